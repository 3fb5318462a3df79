//! Rooms that are on several nodes: what is said in one is heard on the others ([`rtp::link`]).
//!
//! Each room has a channel of its own on the [`Backplane`], named by its account and its name, a SID. The
//! lane of the room says and hears on it, once a tick, and never waits; what comes is put into the
//! room's inbox by whoever carries the backplane.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audio::SILENCE;
use audio::mix::Mixer;
use contracts::Order;
use kernel::Sid;
use rtp::link::{Change, Heard, Link, MESSAGE_MAX, Sound, Told, WHISPERS_MAX};

/// Rooms that are linked at once; others are of this node alone.
const ROOMS_MAX: usize = 8192;
/// Messages that wait for the next tick of a room: half a second of every node that is heard.
const INBOX_MAX: usize = 512;

/// Brings messages to the other nodes, at most once.
pub trait Backplane: Send + Sync {
    /// What is published on the channel is brought here from now on: to [`Links::hear`]. False when
    /// there are too many.
    fn subscribe(&self, channel: &Arc<str>) -> bool;

    fn unsubscribe(&self, channel: &Arc<str>);

    /// Does not wait. False when the message is dropped.
    fn publish(&self, channel: &Arc<str>, message: Vec<u8>) -> bool;
}

/// The rooms of this node that others may have too.
pub struct Links {
    backplane: Arc<dyn Backplane>,
    node: u64,
    began: Instant,
    rooms: Mutex<HashMap<Arc<str>, Arc<Inbox>>>,
    dropped: AtomicU64,
}

type Inbox = Mutex<VecDeque<Vec<u8>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Links {
    /// `node` is random, and this node's alone.
    pub fn new(backplane: Arc<dyn Backplane>, node: u64) -> Arc<Self> {
        let (rooms, dropped) = (Mutex::default(), AtomicU64::default());
        Arc::new(Self { backplane, node, began: Instant::now(), rooms, dropped })
    }

    /// Takes what another node said on a channel; does not wait.
    pub fn hear(&self, channel: &str, message: &[u8]) {
        let inbox = lock(&self.rooms).get(channel).cloned();
        let Some(inbox) = inbox else { return };
        let mut inbox = lock(&inbox);
        if inbox.len() >= INBOX_MAX || message.len() > MESSAGE_MAX {
            self.drop_one();
        } else {
            inbox.push_back(message.to_vec());
        }
    }

    /// Rooms that others may have too, and messages that were dropped since the start.
    pub fn load(&self) -> (usize, u64) {
        (lock(&self.rooms).len(), self.dropped.load(Ordering::Relaxed))
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// A room's way to the other nodes, as long as somebody is in it here.
pub(crate) struct RoomLink {
    links: Arc<Links>,
    channel: Arc<str>,
    inbox: Arc<Inbox>,
    link: Link,
}

impl RoomLink {
    pub fn open(links: &Arc<Links>, account: Sid, room: &str) -> Option<Self> {
        let channel: Arc<str> = format!("{account}.{room}").into();
        let inbox = Arc::<Inbox>::default();
        {
            let mut rooms = lock(&links.rooms);
            if rooms.len() >= ROOMS_MAX || !links.backplane.subscribe(&channel) {
                tracing::warn!(room, "the room is of this node alone: too many are linked");
                return None;
            }
            rooms.insert(channel.clone(), inbox.clone());
        }
        let link = Link::new(links.node);
        Some(Self { links: links.clone(), channel, inbox, link })
    }

    fn publish(&self, message: Vec<u8>) {
        if !self.links.backplane.publish(&self.channel, message) {
            self.links.drop_one();
        }
    }

    /// Before the room is mixed: adds what the others say. What they were told of recordings that may
    /// be here.
    pub fn bring(&mut self, now: Instant, mixer: &mut Mixer<Sid>) -> Vec<Order> {
        let now = now.saturating_duration_since(self.links.began);
        let orders = self.read(now);
        for message in self.link.greet(mixer.len(), now) {
            self.publish(message);
        }
        for sound in self.link.take() {
            if let Some(frame) = &sound.room {
                mixer.add(frame);
            }
            for (to, frame) in &sound.whispers {
                mixer.add_whisper(Sid::from_parts("CA", *to), frame);
            }
        }
        orders
    }

    fn read(&mut self, now: Duration) -> Vec<Order> {
        let waiting = std::mem::take(&mut *lock(&self.inbox));
        let mut orders = Vec::new();
        for message in waiting {
            match self.link.hear(&message, now) {
                Ok(Heard::Taken) => {}
                Ok(Heard::Told(told)) => orders.push(order(told)),
                Ok(Heard::Dropped) | Err(_) => self.links.drop_one(),
            }
        }
        orders
    }

    /// After the room is mixed: says what the members here say.
    pub fn say(&mut self, mixer: &Mixer<Sid>) {
        let mut sound = Sound::default();
        if self.link.is_heard() {
            let own = mixer.own();
            sound.room = (own != SILENCE).then(|| Box::new(own));
            let whispers = mixer.whispers_away().filter(|(_, frame)| *frame != SILENCE);
            sound.whispers =
                whispers.map(|(to, frame)| (to.bits(), frame)).take(WHISPERS_MAX).collect();
        }
        if let Some(message) = self.link.say(sound) {
            self.publish(message);
        }
    }

    /// An order about a recording that is not here may be about one of another node.
    pub fn pass_on(&mut self, order: &Order) {
        if let Some(told) = told(order) {
            let message = self.link.tell(told);
            self.publish(message);
        }
    }

    /// Whether anybody is in the room on other nodes.
    pub fn has_others(&self) -> bool {
        self.link.has_others()
    }
}

impl Drop for RoomLink {
    fn drop(&mut self) {
        self.publish(self.link.bye());
        lock(&self.links.rooms).remove(&self.channel);
        self.links.backplane.unsubscribe(&self.channel);
    }
}

fn told(order: &Order) -> Option<Told> {
    let (recording, what) = match order {
        Order::StopRecording { recording } => (recording, Change::Stop),
        Order::PauseRecording { recording, skip } => (recording, Change::Pause { skip: *skip }),
        Order::ResumeRecording { recording } => (recording, Change::Resume),
        _ => return None,
    };
    Some(Told { recording: recording.bits(), what })
}

fn order(told: Told) -> Order {
    let recording = Sid::from_parts("RE", told.recording);
    match told.what {
        Change::Stop => Order::StopRecording { recording },
        Change::Pause { skip } => Order::PauseRecording { recording, skip },
        Change::Resume => Order::ResumeRecording { recording },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_about_recordings_survive_the_way() {
        let recording = Sid::from_parts("RE", 7);
        for known in [
            Order::StopRecording { recording },
            Order::PauseRecording { recording, skip: true },
            Order::PauseRecording { recording, skip: false },
            Order::ResumeRecording { recording },
        ] {
            assert_eq!(told(&known).map(order), Some(known));
        }
        assert_eq!(told(&Order::Leave), None);
    }
}

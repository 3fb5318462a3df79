//! The sound of simulated handsets, where somebody needs real sound: a stream, a page that listens, or a
//! party of a network with sound in the same room. Everywhere else what is heard is written down,
//! which is all that is needed and takes no time.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use audio::dtmf::Key;
use contracts::{Homes, LegEvent, Order, Unavailable, Utterance, home_of_leg};
use kernel::{Sid, Timestamp};
use media::Engine;

use crate::away::TellOfRoom;
use crate::leg::{Leg, millis_since, take_recorded};
use crate::line_in::{LineIn, Pages};

/// Rooms that are remembered to have sound.
const ROOMS_MAX: usize = 10_000;

/// Handsets' legs in the engine.
pub(crate) struct Sounds {
    engine: Arc<Engine>,
    open: Mutex<Open>,
    pub pages: Pages,
    /// On which node a leg has its sound.
    homes: Arc<dyn Homes>,
    tell: TellOfRoom,
}

#[derive(Default)]
struct Open {
    ends: HashMap<Sid, LineIn>,
    rooms: HashSet<String>,
}

impl Sounds {
    pub fn new(
        engine: Arc<Engine>,
        addresses: Vec<IpAddr>,
        homes: Arc<dyn Homes>,
        tell: TellOfRoom,
    ) -> Self {
        Self { engine, open: Mutex::default(), pages: Pages::new(addresses), homes, tell }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the leg has its sound on another node.
    pub async fn is_elsewhere(&self, account: Sid, leg: Sid) -> Result<bool, Unavailable> {
        self.homes.is_elsewhere(&home_of_leg(account, leg)).await
    }

    /// Somebody with sound of this node is in the room.
    pub fn begin_here(&self, room: &str) {
        self.begin_in(room);
        (self.tell)(room);
    }

    /// Somebody with sound is in the room: whoever is in it needs some.
    pub fn begin_in(&self, room: &str) {
        let mut open = self.open();
        if open.rooms.len() >= ROOMS_MAX {
            open.rooms.clear();
        }
        open.rooms.insert(room.to_owned());
    }

    pub fn is_in(&self, room: &str) -> bool {
        self.open().rooms.contains(room)
    }

    /// The leg's way to the engine, if it has sound.
    pub fn of(&self, leg: Sid) -> Option<LineIn> {
        self.open().ends.get(&leg).cloned()
    }

    /// The leg gets sound, and goes on with all that it does. Beyond the engine's ceiling it stays silent.
    /// False when it has its sound on another node.
    pub async fn begin(&self, leg: &Leg, at: Timestamp) -> Result<bool, Unavailable> {
        if self.of(leg.sid).is_some() {
            return Ok(true);
        }
        if self.is_elsewhere(leg.account, leg.sid).await? {
            return Ok(false);
        }
        let line = LineIn::default();
        if self.engine.open_silent(leg.account, leg.sid, Box::new(line.clone())).is_err() {
            tracing::warn!(leg = %leg.sid, "the engine is full: a handset stays without sound");
            return Ok(true);
        }
        if let Err(error) = self.homes.claim(&home_of_leg(leg.account, leg.sid)).await {
            self.engine.close(leg.sid);
            return Err(error);
        }
        self.open().ends.insert(leg.sid, line);
        self.go_on(leg, at);
        Ok(true)
    }

    /// What the leg did before it had sound.
    fn go_on(&self, leg: &Leg, at: Timestamp) {
        if let Some((room, part)) = leg.room.clone() {
            self.engine.order(leg.sid, at, &Order::Join { room, part });
        }
        if let Some(playing) = &leg.playing
            && let Some(item) = &playing.item
        {
            self.engine.play_on(leg.sid, playing.id, item, millis_since(at, playing.since));
        }
        for running in &leg.recordings {
            self.engine.record_on(leg.sid, running.sid, running.tracks, running.millis(at));
            if let Some((_, skip)) = running.paused {
                let pause = Order::PauseRecording { recording: running.sid, skip };
                self.engine.order(leg.sid, at, &pause);
            }
        }
        if leg.listening.is_some() {
            self.engine.order(leg.sid, at, &Order::Listen(leg.listening.clone()));
        }
    }

    /// Passes on what is about sound.
    pub async fn follow(&self, leg: &Leg, at: Timestamp, order: &Order) -> Result<(), Unavailable> {
        let needs = match order {
            Order::Stream(_) | Order::Siprec(_) | Order::Detect(_) => true,
            Order::Join { room, .. } => self.is_in(room),
            _ => false,
        };
        // What begins now goes on with the order already.
        let goes_on = self.of(leg.sid).is_some();
        if needs {
            self.begin(leg, at).await?;
        }
        let is_new = matches!(order, Order::Stream(_) | Order::Detect(_));
        if goes_on || is_new {
            self.engine.order(leg.sid, at, order);
        }
        Ok(())
    }

    /// Recordings of a leg with sound are reported with it: leaves out what is so.
    pub fn take_over(&self, leg: Sid, events: &mut Vec<LegEvent>) {
        if self.of(leg).is_some() {
            self.said_in(leg, take_recorded(events));
        }
    }

    /// The words of recordings that are about to end.
    pub fn said_in(&self, leg: Sid, spoken: Vec<(Sid, String)>) {
        for (recording, words) in spoken {
            self.engine.said_in(leg, recording, words);
        }
    }

    /// What somebody says on a handset, as sound.
    pub async fn speak(&self, leg: Sid, utterance: Utterance) {
        let Some(line) = self.of(leg) else { return };
        if let Some(samples) = self.engine.spoken(utterance).await {
            line.put(&samples);
        }
    }

    pub fn press(&self, leg: Sid, keys: &str) {
        if let Some(line) = self.of(leg) {
            keys.chars().filter_map(Key::new).for_each(|key| line.press(key));
        }
    }

    pub async fn end(&self, account: Sid, leg: Sid) -> Result<(), Unavailable> {
        if self.open().ends.remove(&leg).is_none() {
            return Ok(());
        }
        self.engine.close(leg);
        self.homes.release(&home_of_leg(account, leg)).await
    }
}

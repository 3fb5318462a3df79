//! The sound of simulated handsets, where somebody needs real sound: a stream, or a party of a
//! network with sound in the same room. Everywhere else what is heard is written down, which is
//! all that is needed and takes no time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use audio::dtmf::Key;
use contracts::{Order, Utterance};
use kernel::{Sid, Timestamp};
use media::{Engine, Wire, WireEnd};

use crate::leg::Leg;

/// Rooms that are remembered to have sound.
const ROOMS_MAX: usize = 10_000;

/// Handsets' legs in the engine.
pub(crate) struct Sounds {
    engine: Arc<Engine>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    ends: HashMap<Sid, WireEnd>,
    rooms: HashSet<String>,
}

impl Sounds {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, open: Mutex::default() }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The leg gets sound, in the room where it is. Beyond the engine's ceiling it stays silent.
    pub fn begin(&self, leg: &Leg, at: Timestamp) {
        let mut open = self.open();
        if open.ends.contains_key(&leg.sid) {
            return;
        }
        let (port, end) = Wire::new(true);
        if self.engine.open_silent(leg.account, leg.sid, Box::new(port)).is_err() {
            tracing::warn!(leg = %leg.sid, "the engine is full: a handset stays without sound");
            return;
        }
        open.ends.insert(leg.sid, end);
        drop(open);
        if let Some((room, part)) = leg.room.clone() {
            self.engine.order(leg.sid, at, &Order::Join { room, part });
        }
    }

    /// Passes on what is about sound.
    pub fn follow(&self, leg: &Leg, at: Timestamp, order: &Order) {
        let needs = match order {
            Order::Stream(_) | Order::Siprec(_) => true,
            Order::Join { room, .. } => self.is_in(room),
            _ => false,
        };
        if needs {
            self.begin(leg, at);
        }
        // Voice is told by the handset what it says and presses, and what was recorded of it.
        let is_sound = matches!(
            order,
            Order::Play { .. }
                | Order::Stop
                | Order::Join { .. }
                | Order::Leave
                | Order::Beep
                | Order::RecordRoom { .. }
                | Order::StopRecording { .. }
                | Order::PauseRecording { .. }
                | Order::ResumeRecording { .. }
                | Order::Stream(_)
                | Order::StopStream { .. }
        );
        if is_sound {
            self.engine.order(leg.sid, at, order);
        }
    }

    /// What somebody says on a handset, as sound.
    pub async fn speak(&self, leg: Sid, text: &str) {
        let end = self.open().ends.get(&leg).cloned();
        let Some(end) = end else { return };
        let utterance = Utterance { text: text.to_owned(), ..Utterance::default() };
        if let Some(samples) = self.engine.spoken(utterance).await {
            end.put(&samples);
        }
    }

    pub fn press(&self, leg: Sid, keys: &str) {
        if let Some(end) = self.open().ends.get(&leg) {
            keys.chars().filter_map(Key::new).for_each(|key| end.press(key));
        }
    }

    /// What a handset has heard of late behind a frame, at 8 kHz, and the frames that there were;
    /// `None` when it has no sound.
    pub fn heard(&self, leg: Sid, after: u64) -> Option<(Vec<i16>, u64)> {
        self.open().ends.get(&leg).map(|end| end.heard(after))
    }

    pub fn end(&self, leg: Sid) {
        if self.open().ends.remove(&leg).is_some() {
            self.engine.close(leg);
        }
    }
}

//! The sound of simulated handsets, where somebody needs real sound: a stream, a page that listens, or a
//! party of a network with sound in the same room. Everywhere else what is heard is written down,
//! which is all that is needed and takes no time.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use audio::dtmf::Key;
use contracts::{LegEvent, Order, Utterance};
use kernel::{Sid, Timestamp};
use media::Engine;

use crate::leg::{Leg, millis_since};
use crate::line_in::{LineIn, Pages};

/// Rooms that are remembered to have sound.
const ROOMS_MAX: usize = 10_000;

/// Handsets' legs in the engine.
pub(crate) struct Sounds {
    engine: Arc<Engine>,
    open: Mutex<Open>,
    pub pages: Pages,
}

#[derive(Default)]
struct Open {
    ends: HashMap<Sid, LineIn>,
    rooms: HashSet<String>,
}

impl Sounds {
    pub fn new(engine: Arc<Engine>, addresses: Vec<IpAddr>) -> Self {
        Self { engine, open: Mutex::default(), pages: Pages::new(addresses) }
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

    /// The leg's way to the engine, if it has sound.
    pub fn of(&self, leg: Sid) -> Option<LineIn> {
        self.open().ends.get(&leg).cloned()
    }

    /// The leg gets sound, and goes on with all that it does. Beyond the engine's ceiling it stays silent.
    pub fn begin(&self, leg: &Leg, at: Timestamp) {
        let mut open = self.open();
        if open.ends.contains_key(&leg.sid) {
            return;
        }
        let line = LineIn::default();
        if self.engine.open_silent(leg.account, leg.sid, Box::new(line.clone())).is_err() {
            tracing::warn!(leg = %leg.sid, "the engine is full: a handset stays without sound");
            return;
        }
        open.ends.insert(leg.sid, line);
        drop(open);
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
    pub fn follow(&self, leg: &Leg, at: Timestamp, order: &Order) {
        let needs = match order {
            Order::Stream(_) | Order::Siprec(_) | Order::Detect(_) => true,
            Order::Join { room, .. } => self.is_in(room),
            _ => false,
        };
        // What begins now goes on with the order already.
        let goes_on = self.of(leg.sid).is_some();
        if needs {
            self.begin(leg, at);
        }
        let is_new = matches!(order, Order::Stream(_) | Order::Detect(_));
        if goes_on || is_new {
            self.engine.order(leg.sid, at, order);
        }
    }

    /// Recordings of a leg with sound are reported with it: leaves out what is so.
    pub fn take_over(&self, leg: Sid, events: &mut Vec<LegEvent>) {
        if self.of(leg).is_none() {
            return;
        }
        events.retain(|event| match event {
            LegEvent::Recorded { recording, spoken, .. } => {
                self.engine.said_in(leg, *recording, spoken.clone());
                false
            }
            _ => true,
        });
    }

    /// What somebody says on a handset, as sound.
    pub async fn speak(&self, leg: Sid, text: &str) {
        let Some(line) = self.of(leg) else { return };
        let utterance = Utterance { text: text.to_owned(), ..Utterance::default() };
        if let Some(samples) = self.engine.spoken(utterance).await {
            line.put(&samples);
        }
    }

    pub fn press(&self, leg: Sid, keys: &str) {
        if let Some(line) = self.of(leg) {
            keys.chars().filter_map(Key::new).for_each(|key| line.press(key));
        }
    }

    pub fn end(&self, leg: Sid) {
        if self.open().ends.remove(&leg).is_some() {
            self.engine.close(leg);
        }
    }
}

//! The engine: which leg is on which lane.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audio::dtmf::Key;
use contracts::{Item, Order, Recogniser, Speaker, Tracks, Utterance, VoiceSink};
use kernel::{Sid, Timestamp};
use outbound::Client;

use crate::fetch::Fetcher;
use crate::lane::{self, Home, Note};
use crate::link::Links;
use crate::load::{Clockwork, Load};
use crate::recorder::Recorder;
use crate::report::Reporter;
use crate::stream::Streams;
use crate::{Fork, Port, leg::Leg};

/// What the engine needs of others.
pub struct Parts {
    /// The platform's time, for reports.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub speaker: Arc<dyn Speaker>,
    pub recogniser: Arc<dyn Recogniser>,
    pub client: Arc<Client>,
    pub sink: Arc<dyn VoiceSink>,
    /// Where recordings grow; a folder of the engine's own.
    pub spool: PathBuf,
    /// Legs at once.
    pub legs_max: usize,
    /// The way to rooms of other nodes, where there are some.
    pub links: Option<Arc<Links>>,
}

/// There are as many legs as the engine can carry well (10004, 503).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What lanes share.
pub(crate) struct Shared {
    pub fetcher: Fetcher,
    pub reporter: Reporter,
    pub recorder: Recorder,
    pub streams: Streams,
    pub recogniser: Arc<dyn Recogniser>,
    pub runtime: tokio::runtime::Handle,
    pub clockwork: Clockwork,
    pub links: Option<Arc<Links>>,
}

/// Legs with sound. Cheap to share.
pub struct Engine {
    legs_max: usize,
    lanes: Vec<Home>,
    /// Which lane a leg is on. Notes are sent under this lock, so that each leg gets its own in
    /// their order.
    homes: Mutex<HashMap<Sid, usize>>,
    shared: Arc<Shared>,
}

impl Engine {
    /// Starts the threads. Must be called within a Tokio runtime.
    pub fn start(parts: Parts, threads: usize) -> Arc<Self> {
        let reporter = Reporter::start(parts.now, parts.sink.clone());
        let shared = Arc::new(Shared {
            fetcher: Fetcher::new(parts.speaker, parts.client.clone()),
            recorder: Recorder::start(parts.spool, parts.sink, reporter.clone()),
            streams: Streams::new(parts.client, reporter.clone()),
            reporter,
            recogniser: parts.recogniser,
            runtime: tokio::runtime::Handle::current(),
            clockwork: Clockwork::default(),
            links: parts.links,
        });
        let lanes = lane::start(threads.max(1), &shared);
        let homes = Mutex::new(HashMap::new());
        Arc::new(Self { legs_max: parts.legs_max, lanes, homes, shared })
    }

    /// A leg gets its sound: from now on its port is called. Opening a leg again replaces its port.
    pub fn open(&self, account: Sid, leg: Sid, port: Box<dyn Port>) -> Result<(), Full> {
        self.add(Leg::new(account, leg, port, true))
    }

    /// A leg whose network reports keys and ends of what is played itself.
    pub fn open_silent(&self, account: Sid, leg: Sid, port: Box<dyn Port>) -> Result<(), Full> {
        self.add(Leg::new(account, leg, port, false))
    }

    fn add(&self, leg: Leg) -> Result<(), Full> {
        let mut homes = self.homes();
        let sid = leg.sid;
        if homes.len() >= self.legs_max && !homes.contains_key(&sid) {
            return Err(Full);
        }
        let home = *homes.entry(sid).or_insert_with(|| self.lane_of(sid.bits()));
        self.send(home, Note::Open(Box::new(leg)));
        Ok(())
    }

    /// Words as samples; `None` when there is nothing to speak with.
    pub async fn spoken(&self, utterance: Utterance) -> Option<Arc<[i16]>> {
        self.shared.fetcher.spoken(utterance).await
    }

    /// There are as many legs as may be.
    pub fn is_full(&self) -> bool {
        self.homes().len() >= self.legs_max
    }

    /// Legs now, and how well the lanes keep their time.
    pub fn load(&self) -> Load {
        let legs = self.homes().len();
        self.shared.clockwork.load(legs)
    }

    /// The leg has ended: its recordings end and are reported, its port is dropped.
    pub fn close(&self, leg: Sid) {
        let mut homes = self.homes();
        if let Some(home) = homes.remove(&leg) {
            self.send(home, Note::Close(leg));
        }
    }

    /// Does what the order says of sound. False when it is not about sound (`Answer`, `Reject`,
    /// `HangUp`, transfers), which is the carrier's own. Of a leg that is not here nothing is done.
    pub fn order(&self, leg: Sid, _at: Timestamp, order: &Order) -> bool {
        if matches!(
            order,
            Order::Answer
                | Order::Progress
                | Order::Reject { .. }
                | Order::HangUp
                | Order::Siprec(_)
                | Order::StopSiprec { .. }
                | Order::Refer { .. }
                | Order::Transfer(_)
        ) {
            return false;
        }
        let mut homes = self.homes();
        let Some(home) = homes.get_mut(&leg) else { return true };
        if let Order::Join { room, .. } = order {
            let lane = self.lane_of(hash(room));
            if lane != *home {
                self.send(*home, Note::Move { leg, to: self.lanes[lane].clone() });
                *home = lane;
            }
        }
        let home = *home;
        let order = match order {
            Order::Play { id, item } => {
                let sound = self.shared.fetcher.sound(item, &self.shared.runtime);
                Note::Play { leg, id: *id, sound, skipped_millis: 0 }
            }
            order => Note::Order { leg, order: Box::new(order.clone()) },
        };
        self.send(home, order);
        true
    }

    /// A leg's sound goes elsewhere too, from now on until the leg ends or [`Engine::unfork`]. Of a leg
    /// that is not here the fork is dropped.
    pub fn fork(&self, leg: Sid, id: Sid, fork: Box<dyn Fork>) {
        self.note(leg, Note::Fork { leg, id, fork });
    }

    pub fn unfork(&self, leg: Sid, id: Sid) {
        self.note(leg, Note::Unfork { leg, id });
    }

    /// Plays what began before the leg had sound, from where it is by now.
    pub fn play_on(&self, leg: Sid, id: u32, item: &Item, skipped_millis: u64) {
        let sound = self.shared.fetcher.sound(item, &self.shared.runtime);
        self.note(leg, Note::Play { leg, id, sound, skipped_millis });
    }

    /// Goes on with a recording that began before the leg had sound; until now it is silent.
    pub fn record_on(&self, leg: Sid, recording: Sid, tracks: Tracks, missed_millis: u64) {
        self.note(leg, Note::Record { leg, recording, tracks, missed_millis });
    }

    /// The words of a recording that is about to end are known, and reported with its sound.
    pub fn said_in(&self, leg: Sid, recording: Sid, words: String) {
        self.note(leg, Note::SaidIn { leg, recording, words });
    }

    fn note(&self, leg: Sid, note: Note) {
        let homes = self.homes();
        if let Some(home) = homes.get(&leg) {
            self.send(*home, note);
        }
    }

    /// A key that came by signalling (SIP INFO).
    pub fn key(&self, leg: Sid, key: Key) {
        self.note(leg, Note::Key { leg, key });
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<Sid, usize>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane_of(&self, hash: u128) -> usize {
        (hash % self.lanes.len() as u128) as usize
    }

    fn send(&self, lane: usize, note: Note) {
        self.lanes[lane].send(note);
    }
}

fn hash(text: &str) -> u128 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().into()
}

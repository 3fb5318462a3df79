//! Wake-ups and invalidations between the parts of the platform.
//!
//! The bus carries hints, never facts: everything that matters is a row in the
//! store first. Losing a message on the bus delays work until the next poll; it
//! never loses it. By itself it serves one process; [`Bus::among`] joins the nodes
//! of a cluster, and while that connection is lost caches do not answer.
//!
//! What is worth nothing a moment later, such as the sound of calls and the words of browser phones,
//! goes by [`Channels`], beside the hints.
//!
//! Bounds: a [`Topic`] holds one pending wake-up; [`Bus::invalidations`] keeps
//! 1,024 and a receiver that falls behind is told so and drops its whole cache.

mod cache;
mod channels;
mod nats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, watch};

pub use cache::{Cache, Ticket};
pub use channels::Channels;
pub use nats::Nats;
use nats::Said;

/// The key of an invalidation of everything.
const ALL: &str = "all";
/// What waits to be told the other nodes.
const OUTBOX_MAX: usize = 1024;

/// What a wake-up is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Jobs were committed.
    Jobs,
    /// Events were committed.
    Events,
}

/// Shared by everything in one process; cheap to clone.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    jobs: watch::Sender<u64>,
    events: watch::Sender<u64>,
    invalidations: broadcast::Sender<Arc<str>>,
    /// To the other nodes, if there may be some.
    others: Option<mpsc::Sender<Said>>,
    /// Whether there is a connection to the others, and how many there have been.
    is_whole: AtomicBool,
    connections: AtomicU64,
    /// Wake-ups of each topic that wait to be told the others: one is enough.
    wakes_waiting: [AtomicBool; 2],
    /// More was invalidated than could be told one by one.
    overflown: AtomicBool,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Bus {
    fn new(others: Option<mpsc::Sender<Said>>) -> Self {
        Self(Arc::new(Inner {
            jobs: watch::Sender::new(0),
            events: watch::Sender::new(0),
            invalidations: broadcast::Sender::new(1024),
            is_whole: AtomicBool::new(others.is_none()),
            connections: AtomicU64::new(0),
            others,
            wakes_waiting: Default::default(),
            overflown: AtomicBool::default(),
        }))
    }

    /// The bus of this node among others. Needs a runtime.
    pub fn among(nats: Nats) -> Self {
        let (others, outbox) = mpsc::channel(OUTBOX_MAX);
        let bus = Self::new(Some(others));
        tokio::spawn(nats.carry(bus.clone(), outbox));
        bus
    }

    /// Which connection to the other nodes there is; `None` while what they say may go unheard.
    pub fn connection(&self) -> Option<u64> {
        let is_whole = self.0.is_whole.load(Ordering::Acquire);
        is_whole.then(|| self.0.connections.load(Ordering::Acquire))
    }

    fn connected(&self) {
        self.0.connections.fetch_add(1, Ordering::AcqRel);
        self.0.is_whole.store(true, Ordering::Release);
        self.hear_all();
    }

    fn disconnected(&self) {
        self.0.is_whole.store(false, Ordering::Release);
    }

    /// Wakes whoever waits for `topic`.
    pub fn wake(&self, topic: Topic) {
        self.wake_here(topic);
        let waiting = &self.0.wakes_waiting[topic as usize];
        if let Some(others) = &self.0.others
            && !waiting.swap(true, Ordering::AcqRel)
            && others.try_send(Said::Wake(topic)).is_err()
        {
            waiting.store(false, Ordering::Release);
        }
    }

    /// A receiver whose `changed()` resolves after the next [`Bus::wake`] of `topic`.
    pub fn wakes(&self, topic: Topic) -> watch::Receiver<u64> {
        self.sender(topic).subscribe()
    }

    /// Tells every cache that what it holds under `key` is stale.
    pub fn invalidate(&self, key: &str) {
        let key: Arc<str> = key.into();
        if let Some(others) = &self.0.others
            && let Err(TrySendError::Full(_)) = others.try_send(Said::Stale(key.clone()))
        {
            self.0.overflown.store(true, Ordering::Release);
        }
        self.invalidate_here(key);
    }

    /// Keys that are stale, for [`concerns`].
    pub fn invalidations(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.invalidations.subscribe()
    }

    /// Another node says something.
    fn hear(&self, what: &str, body: &[u8]) {
        match what {
            ".jobs" => self.wake_here(Topic::Jobs),
            ".events" => self.wake_here(Topic::Events),
            ".stale" => self.invalidate_here(String::from_utf8_lossy(body).trim_end().into()),
            ".all" => self.hear_all(),
            _ => {}
        }
    }

    /// Whatever could have been said may have been.
    fn hear_all(&self) {
        self.invalidate_here(ALL.into());
        self.wake_here(Topic::Jobs);
        self.wake_here(Topic::Events);
    }

    fn invalidate_here(&self, key: Arc<str>) {
        // No receiver means no cache: nothing to tell.
        let _ = self.0.invalidations.send(key);
    }

    fn wake_here(&self, topic: Topic) {
        self.sender(topic).send_modify(|count| *count = count.wrapping_add(1));
    }

    fn sender(&self, topic: Topic) -> &watch::Sender<u64> {
        match topic {
            Topic::Jobs => &self.0.jobs,
            Topic::Events => &self.0.events,
        }
    }
}

/// Whether an invalidation of this key is one of `topic`.
pub fn concerns(key: &str, topic: &str) -> bool {
    key == topic || key == ALL
}

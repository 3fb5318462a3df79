//! Wake-ups and invalidations between the parts of the platform.
//!
//! The bus carries hints, never facts: everything that matters is a row in the
//! store first. Losing a message on the bus delays work until the next poll; it
//! never loses it. This implementation is in-process.
//!
//! Bounds: a [`Topic`] holds one pending wake-up; [`Bus::invalidations`] keeps
//! 1,024 and a receiver that falls behind is told so and drops its whole cache.

mod cache;

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

pub use cache::{Cache, Ticket};

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
}

impl Default for Bus {
    fn default() -> Self {
        Self(Arc::new(Inner {
            jobs: watch::Sender::new(0),
            events: watch::Sender::new(0),
            invalidations: broadcast::Sender::new(1024),
        }))
    }
}

impl Bus {
    /// Wakes whoever waits for `topic`.
    pub fn wake(&self, topic: Topic) {
        self.sender(topic).send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A receiver whose `changed()` resolves after the next [`Bus::wake`] of `topic`.
    pub fn wakes(&self, topic: Topic) -> watch::Receiver<u64> {
        self.sender(topic).subscribe()
    }

    /// Tells every cache that what it holds under `key` is stale.
    pub fn invalidate(&self, key: &str) {
        // No receiver means no cache: nothing to tell.
        let _ = self.0.invalidations.send(key.into());
    }

    pub fn invalidations(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.invalidations.subscribe()
    }

    fn sender(&self, topic: Topic) -> &watch::Sender<u64> {
        match topic {
            Topic::Jobs => &self.0.jobs,
            Topic::Events => &self.0.events,
        }
    }
}

//! The engine: legs on threads that tick every 20 ms.

use std::sync::Arc;

use contracts::{Order, Speaker, VoiceSink};
use kernel::{Sid, Timestamp};

use crate::Port;

/// What the engine needs of others.
pub struct Parts {
    /// The platform's time, for reports.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub speaker: Arc<dyn Speaker>,
    pub sink: Arc<dyn VoiceSink>,
    /// Legs at once.
    pub legs_max: usize,
}

/// There are as many legs as the engine can carry well (10004, 503).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Legs with sound. Cheap to share.
pub struct Engine {
    #[allow(dead_code, reason = "in work")]
    parts: Parts,
}

impl Engine {
    /// Starts the threads, one for each of `lanes`.
    pub fn start(parts: Parts, lanes: usize) -> Arc<Self> {
        let _ = lanes;
        Arc::new(Self { parts })
    }

    /// A leg gets its sound: from now on its port is called. Opening a leg again replaces its port.
    pub fn open(&self, account: Sid, leg: Sid, port: Box<dyn Port>) -> Result<(), Full> {
        let _ = (account, leg, port);
        Ok(())
    }

    /// The leg has ended: its recordings end and are reported, its port is dropped.
    pub fn close(&self, leg: Sid) {
        let _ = leg;
    }

    /// Does what the order says of sound. False when it is not about sound (`Answer`, `Reject`,
    /// `HangUp`): the carrier's own.
    pub fn order(&self, leg: Sid, at: Timestamp, order: &Order) -> bool {
        let _ = (leg, at);
        !matches!(order, Order::Answer | Order::Reject { .. } | Order::HangUp)
    }

    /// A key that came by signalling (SIP INFO).
    pub fn key(&self, leg: Sid, key: audio::dtmf::Key) {
        let _ = (leg, key);
    }
}

//! What may become of one mail to one reader.
//!
//! ```text
//! queued ─► processed ─► delivered ─► bounced | blocked (a bounce that came late)
//!    │          ├─► deferred ─► delivered | bounced | blocked
//!    ▼          └─► bounced | blocked
//! dropped
//! ```

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Queued,
    Dropped,
    Processed,
    Deferred,
    Delivered,
    Bounced,
    Blocked,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Drop,
    Process,
    Defer,
    Deliver,
    Bounce,
    Block,
}

impl Status {
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Dropped,
        Self::Processed,
        Self::Deferred,
        Self::Delivered,
        Self::Bounced,
        Self::Blocked,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dropped => "dropped",
            Self::Processed => "processed",
            Self::Deferred => "deferred",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Blocked => "blocked",
        }
    }

    /// The status of this name, as rows hold it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// As the activity API words it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Queued | Self::Processed | Self::Deferred => "processed",
            Self::Delivered => "delivered",
            Self::Dropped | Self::Bounced | Self::Blocked => "not_delivered",
        }
    }
}

/// The next status; `None` when the event changes nothing and is not told.
pub fn apply(status: Status, event: Event) -> Option<Status> {
    use Status::{Blocked, Bounced, Deferred, Delivered, Dropped, Processed, Queued};
    match (status, event) {
        (Queued, Event::Drop) => Some(Dropped),
        (Queued, Event::Process) => Some(Processed),
        (Processed | Deferred, Event::Defer) => Some(Deferred),
        (Processed | Deferred, Event::Deliver) => Some(Delivered),
        (Processed | Deferred | Delivered, Event::Bounce) => Some(Bounced),
        (Processed | Deferred | Delivered, Event::Block) => Some(Blocked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        use Event::{Block, Bounce, Defer, Deliver, Drop, Process};
        // One row for each status, one column for each event.
        let events = [Drop, Process, Defer, Deliver, Bounce, Block];
        for (status, row) in [
            ("queued", ["dropped", "processed", "", "", "", ""]),
            ("dropped", [""; 6]),
            ("processed", ["", "", "deferred", "delivered", "bounced", "blocked"]),
            ("deferred", ["", "", "deferred", "delivered", "bounced", "blocked"]),
            ("delivered", ["", "", "", "", "bounced", "blocked"]),
            ("bounced", [""; 6]),
            ("blocked", [""; 6]),
        ] {
            let from = Status::named(status).unwrap();
            for (event, expected) in events.into_iter().zip(row) {
                assert_eq!(apply(from, event), Status::named(expected), "{status} {event:?}");
            }
        }
    }
}

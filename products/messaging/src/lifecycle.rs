//! The life of a message as a pure function (messaging §3).
//!
//! ```text
//! accepted ─┐
//!           ├─Assigned─▶ queued ──Taken──▶ sending ▶ sent ──Delivered──▶ delivered ──Read──▶ read
//! scheduled ┘ ◀─Postponed── ┤                         ├──Undelivered──▶ undelivered
//!     └─Cancel─▶ canceled   └──Failed──▶ failed       └──Failed──▶ failed
//! ```
//!
//! Receipts may come twice, late, early or never: what does not fit is no step.

use std::fmt;
use std::str::FromStr;

/// The status on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Accepted,
    Scheduled,
    Queued,
    Sending,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Read,
    Canceled,
    Receiving,
    Received,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Cancel,
    /// It waits for another time.
    Postponed,
    /// Its sender is chosen, and its time has come.
    Assigned,
    /// The carrier took it.
    Taken,
    Delivered,
    Undelivered {
        code: u32,
    },
    /// It will never leave.
    Failed {
        code: u32,
    },
    Read,
}

/// The statuses a message passes through because of an event, in order, and the
/// error code it ends with. Empty: the event changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    pub through: Vec<Status>,
    pub code: Option<u32>,
}

/// The whole state machine. Total: every event is answered in every status.
pub fn apply(status: Status, event: Event) -> Steps {
    use Status::{
        Accepted, Canceled, Delivered, Failed, Queued, Read, Scheduled, Sending, Sent, Undelivered,
    };
    let on_the_way = matches!(status, Accepted | Queued | Sending);
    // A receipt that overtakes the carrier's answer implies that answer.
    let mut through = match event {
        Event::Taken | Event::Delivered | Event::Undelivered { .. } | Event::Read => match status {
            Accepted => vec![Queued, Sending, Sent],
            Queued => vec![Sending, Sent],
            Sending => vec![Sent],
            _ => vec![],
        },
        _ => vec![],
    };
    let (last, code) = match (event, status) {
        (Event::Cancel, Scheduled) => (Some(Canceled), None),
        (Event::Postponed, Accepted | Queued) => (Some(Scheduled), None),
        (Event::Assigned, Accepted | Scheduled) => (Some(Queued), None),
        (Event::Taken, _) => (None, None),
        // A late positive receipt corrects a negative one; rare, but real.
        (Event::Delivered, Sent | Undelivered) => (Some(Delivered), None),
        (Event::Undelivered { code }, Sent) => (Some(Undelivered), Some(code)),
        (Event::Failed { code }, Scheduled | Sent) => (Some(Failed), Some(code)),
        (Event::Read, Sent | Delivered) => (Some(Read), None),
        (Event::Delivered, _) if on_the_way => (Some(Delivered), None),
        (Event::Undelivered { code }, _) if on_the_way => (Some(Undelivered), Some(code)),
        (Event::Failed { code }, _) if on_the_way => (Some(Failed), Some(code)),
        (Event::Read, _) if on_the_way => (Some(Read), None),
        _ => (None, None),
    };
    through.extend(last);
    Steps { through, code }
}

impl Status {
    /// Nothing more is expected; only then may a message be redacted or deleted.
    pub fn is_final(self) -> bool {
        use Status::{Canceled, Delivered, Failed, Read, Received, Sent, Undelivered};
        matches!(self, Sent | Delivered | Undelivered | Failed | Read | Canceled | Received)
    }

    /// A failure, whose error code is shown.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Undelivered)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Read => "read",
            Self::Canceled => "canceled",
            Self::Receiving => "receiving",
            Self::Received => "received",
        }
    }

    /// Every status, for tables and tests.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Undelivered,
        Self::Failed,
        Self::Read,
        Self::Canceled,
        Self::Receiving,
        Self::Received,
    ];
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAStatus;

impl FromStr for Status {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(NotAStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::*;

    fn path(status: Status, event: Event) -> Vec<Status> {
        apply(status, event).through
    }

    #[test]
    fn the_usual_life() {
        assert_eq!(path(Queued, Event::Taken), [Sending, Sent]);
        assert_eq!(path(Sent, Event::Delivered), [Delivered]);
        assert_eq!(path(Delivered, Event::Read), [Read]);
        assert_eq!(path(Accepted, Event::Assigned), [Queued]);
        assert_eq!(path(Scheduled, Event::Assigned), [Queued]);
        assert_eq!(path(Scheduled, Event::Cancel), [Canceled]);
        assert_eq!(path(Accepted, Event::Postponed), [Scheduled]);
        assert_eq!(path(Queued, Event::Postponed), [Scheduled]);
        let lost = apply(Sent, Event::Undelivered { code: 30003 });
        assert_eq!((lost.through, lost.code), (vec![Undelivered], Some(30003)));
    }

    #[test]
    fn receipts_may_overtake_repeat_and_come_late() {
        assert_eq!(path(Queued, Event::Delivered), [Sending, Sent, Delivered]);
        assert_eq!(path(Delivered, Event::Delivered), []);
        assert_eq!(path(Delivered, Event::Taken), []);
        assert_eq!(path(Delivered, Event::Undelivered { code: 30008 }), []);
        assert_eq!(path(Undelivered, Event::Delivered), [Delivered]);
        assert_eq!(path(Queued, Event::Cancel), []);
    }

    #[test]
    fn what_has_ended_stays_ended() {
        let events = [
            Event::Cancel,
            Event::Postponed,
            Event::Assigned,
            Event::Taken,
            Event::Delivered,
            Event::Undelivered { code: 30003 },
            Event::Failed { code: 30001 },
            Event::Read,
        ];
        for status in [Failed, Read, Canceled, Received, Receiving] {
            for event in events {
                assert_eq!(apply(status, event), Steps::default(), "{status} {event:?}");
            }
        }
        // From everywhere else an event leads only to known statuses, and a code only to a failure.
        for status in Status::ALL {
            for event in events {
                let steps = apply(status, event);
                let ends_badly = steps.through.last().is_some_and(|last| last.is_failure());
                assert_eq!(steps.code.is_some(), ends_badly, "{status} {event:?}");
            }
        }
    }
}

//! The life of a call as a pure function (voice-api §2.5).
//!
//! ```text
//! queued ──Placed──▶ (initiated) ──Ringing──▶ ringing ──Answered──▶ in-progress ──Ended──▶ completed
//!    └───────────────────┴───────────────────────┴──Ended──▶ busy | no-answer | failed | canceled
//! ```
//!
//! `initiated` is told in callbacks and shown nowhere.

use std::fmt;

/// The status on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Queued,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The carrier was asked.
    Placed,
    Ringing,
    Answered,
    /// Over, for this reason if nobody has answered.
    Ended(Status),
    /// Over, because this platform cannot go on with it.
    GivenUp,
}

/// The new status, and the event that callbacks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub status: Status,
    /// `initiated`, `ringing`, `answered` or `completed`.
    pub told: &'static str,
}

/// The whole state machine; `None`: the event changes nothing.
pub(crate) fn apply(status: Status, event: Event) -> Option<Step> {
    use Status::{Canceled, Completed, InProgress, Queued, Ringing};
    let step = |status, told| Some(Step { status, told });
    match (status, event) {
        (Queued, Event::Placed) => step(Queued, "initiated"),
        (Queued, Event::Ringing) => step(Ringing, "ringing"),
        (Queued | Ringing, Event::Answered) => step(InProgress, "answered"),
        (InProgress, Event::Ended(_)) => step(Completed, "completed"),
        (Queued | Ringing | InProgress, Event::GivenUp) => step(Status::Failed, "completed"),
        (Queued | Ringing, Event::Ended(InProgress | Queued | Ringing)) => {
            step(Canceled, "completed")
        }
        (Queued | Ringing, Event::Ended(why)) => step(why, "completed"),
        _ => None,
    }
}

impl Status {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Ringing,
        Self::InProgress,
        Self::Completed,
        Self::Busy,
        Self::Failed,
        Self::NoAnswer,
        Self::Canceled,
    ];

    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_forward_only() {
        use Status::*;
        let next = |status, event| apply(status, event).map(|step| step.status);
        assert_eq!(next(Queued, Event::Placed), Some(Queued));
        assert_eq!(next(Queued, Event::Ringing), Some(Ringing));
        assert_eq!(next(Queued, Event::Answered), Some(InProgress));
        assert_eq!(next(Ringing, Event::Answered), Some(InProgress));
        assert_eq!(next(InProgress, Event::Ended(Busy)), Some(Completed));
        for why in [Busy, Failed, NoAnswer, Canceled, Completed] {
            assert_eq!(next(Ringing, Event::Ended(why)), Some(why));
        }
        assert_eq!(next(Ringing, Event::Ringing), None);
        assert_eq!(next(InProgress, Event::Ringing), None);
        for status in [Queued, Ringing, InProgress] {
            assert_eq!(next(status, Event::GivenUp), Some(Failed));
        }
        for status in Status::ALL.into_iter().filter(|status| status.is_final()) {
            for event in
                [Event::GivenUp, Event::Placed, Event::Ringing, Event::Answered, Event::Ended(Busy)]
            {
                assert_eq!(apply(status, event), None, "{status} {event:?}");
            }
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}

//! A verification's life (verify §2.3): pure, total.

use kernel::Timestamp;

/// Sends of one verification.
pub(crate) const SENDS_MAX: i64 = 5;
/// Checks that get an answer; the next one ends the verification.
pub(crate) const CHECKS_MAX: i64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Approved,
    Canceled,
    MaxAttemptsReached,
    Expired,
}

impl Status {
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Approved, Self::Canceled, Self::MaxAttemptsReached, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Canceled => "canceled",
            Self::MaxAttemptsReached => "max_attempts_reached",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Keeps its recipient from another verification until its time is over.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::MaxAttemptsReached)
    }
}

/// What decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub status: Status,
    pub sends: i64,
    pub checks: i64,
    pub expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The code is sent once more.
    Sent,
    Checked {
        right: bool,
    },
    /// Its owner says so.
    Approved,
    Canceled,
}

/// Why an event cannot happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 20404: it has ended.
    Ended,
    /// 60203.
    SendsUsedUp,
    /// 60202.
    ChecksUsedUp,
}

/// The state after `event`; `MaxAttemptsReached` after a check is the answer 60202.
///
/// Differs: delivery that fails does not end a verification, and a second send does not lengthen it.
pub(crate) fn apply(state: State, event: Event, now: Timestamp) -> Result<State, Refusal> {
    match state.status {
        Status::Approved | Status::Canceled | Status::Expired => return Err(Refusal::Ended),
        _ if now >= state.expires_at => return Err(Refusal::Ended),
        Status::MaxAttemptsReached => return Err(Refusal::ChecksUsedUp),
        Status::Pending => {}
    }
    let to = |status| Ok(State { status, ..state });
    match event {
        Event::Sent if state.sends >= SENDS_MAX => Err(Refusal::SendsUsedUp),
        Event::Sent => Ok(State { sends: state.sends + 1, ..state }),
        Event::Checked { .. } if state.checks >= CHECKS_MAX => to(Status::MaxAttemptsReached),
        Event::Checked { right } => {
            let status = if right { Status::Approved } else { Status::Pending };
            Ok(State { status, checks: state.checks + 1, ..state })
        }
        Event::Approved => to(Status::Approved),
        Event::Canceled => to(Status::Canceled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let end = Timestamp::from_seconds(600);
        let at = |status, sends, checks| State { status, sends, checks, expires_at: end };
        let pending = at(Status::Pending, 1, 0);
        let check = |right| Event::Checked { right };
        let now = Timestamp::from_seconds(599);
        for (state, event, after) in [
            (pending, Event::Sent, Ok(at(Status::Pending, 2, 0))),
            (at(Status::Pending, 5, 0), Event::Sent, Err(Refusal::SendsUsedUp)),
            (pending, check(false), Ok(at(Status::Pending, 1, 1))),
            (pending, check(true), Ok(at(Status::Approved, 1, 1))),
            (at(Status::Pending, 1, 4), check(true), Ok(at(Status::Approved, 1, 5))),
            (at(Status::Pending, 1, 5), check(true), Ok(at(Status::MaxAttemptsReached, 1, 5))),
            (at(Status::Pending, 1, 5), check(false), Ok(at(Status::MaxAttemptsReached, 1, 5))),
            (pending, Event::Approved, Ok(at(Status::Approved, 1, 0))),
            (pending, Event::Canceled, Ok(at(Status::Canceled, 1, 0))),
        ] {
            assert_eq!(apply(state, event, now), after, "{state:?} {event:?}");
            assert_eq!(apply(state, event, end), Err(Refusal::Ended), "late {event:?}");
        }
        for event in [Event::Sent, check(true), check(false), Event::Approved, Event::Canceled] {
            for status in [Status::Approved, Status::Canceled, Status::Expired] {
                assert_eq!(apply(at(status, 1, 0), event, now), Err(Refusal::Ended));
            }
            let used_up = at(Status::MaxAttemptsReached, 1, 5);
            assert_eq!(apply(used_up, event, now), Err(Refusal::ChecksUsedUp));
        }
    }
}

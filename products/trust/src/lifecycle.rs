//! The life of a bundle (compliance §7): draft → pending-review → in-review →
//! twilio-approved | twilio-rejected.

/// Where a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Draft,
    PendingReview,
    InReview,
    Rejected,
    Approved,
}

/// As the wire writes them, in the order of [`Status`].
pub const STATUSES: &[&str] =
    &["draft", "pending-review", "in-review", "twilio-rejected", "twilio-approved"];

impl Status {
    pub fn as_str(self) -> &'static str {
        STATUSES[self as usize]
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all =
            [Self::Draft, Self::PendingReview, Self::InReview, Self::Rejected, Self::Approved];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// What happens to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its owner asks for a review.
    Submitted,
    /// Its owner takes it back to work on it.
    Withdrawn,
    /// The reviewer opens it.
    Opened,
    /// The reviewer has decided.
    Decided { is_compliant: bool },
}

/// The status after `event`; `None` when it does not belong here, and nothing happens.
pub fn apply(status: Status, event: Event) -> Option<Status> {
    match (status, event) {
        (Status::Draft | Status::Rejected, Event::Submitted) => Some(Status::PendingReview),
        (Status::PendingReview | Status::Rejected, Event::Withdrawn) => Some(Status::Draft),
        (Status::PendingReview, Event::Opened) => Some(Status::InReview),
        (Status::InReview, Event::Decided { is_compliant: true }) => Some(Status::Approved),
        (Status::InReview, Event::Decided { is_compliant: false }) => Some(Status::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_status() {
        use Status::{Approved, Draft, InReview, PendingReview, Rejected};
        let events = [
            Event::Submitted,
            Event::Withdrawn,
            Event::Opened,
            Event::Decided { is_compliant: true },
            Event::Decided { is_compliant: false },
        ];
        for (status, expected) in [
            (Draft, [Some(PendingReview), None, None, None, None]),
            (PendingReview, [None, Some(Draft), Some(InReview), None, None]),
            (InReview, [None, None, None, Some(Approved), Some(Rejected)]),
            (Rejected, [Some(PendingReview), Some(Draft), None, None, None]),
            (Approved, [None, None, None, None, None]),
        ] {
            assert_eq!(events.map(|event| apply(status, event)), expected, "{status:?}");
        }
    }

    #[test]
    fn statuses_are_spelled_as_the_wire_does() {
        for text in STATUSES {
            assert_eq!(Status::parse(text).map(Status::as_str), Some(*text));
        }
        assert_eq!(Status::parse("approved"), None);
    }
}

//! The life of an approval (whatsapp-content §5): pure and total.

use std::fmt;

use serde::{Deserialize, Serialize};
use template::Verdict;

/// Where an approval stands; a template that was never submitted has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Received,
    Pending,
    Approved,
    Rejected,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An approval request with what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approval {
    pub name: String,
    pub category: String,
    /// The richest type that can be a WhatsApp template.
    pub content_type: String,
    pub status: Status,
    pub rejection_reason: String,
    pub allow_category_change: bool,
}

/// What happens to an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// WhatsApp has it.
    HandedOver,
    Decided(Verdict),
}

/// The approval after the event; `None` when the event changes nothing.
///
/// Differs: nobody reports on quality here, so an approval is never paused or disabled.
pub(crate) fn apply(approval: &Approval, event: Event) -> Option<Approval> {
    let next = approval.clone();
    match (approval.status, event) {
        (Status::Received, Event::HandedOver) => Some(Approval { status: Status::Pending, ..next }),
        (Status::Pending, Event::Decided(Verdict::Approved { category })) => Some(Approval {
            status: Status::Approved,
            category: category.name().to_owned(),
            ..next
        }),
        (Status::Pending, Event::Decided(Verdict::Rejected { reason })) => {
            Some(Approval { status: Status::Rejected, rejection_reason: reason, ..next })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use template::Category;

    use super::*;

    #[test]
    fn every_event_in_every_status() {
        let approval = |status| Approval {
            name: "a".into(),
            category: "UTILITY".into(),
            content_type: "twilio/text".into(),
            status,
            rejection_reason: String::new(),
            allow_category_change: true,
        };
        let approved = || Event::Decided(Verdict::Approved { category: Category::Marketing });
        let rejected = || Event::Decided(Verdict::Rejected { reason: "why".into() });
        use Status::{Approved, Pending, Received, Rejected};
        for (status, event, expected) in [
            (Received, Event::HandedOver, Some((Pending, "UTILITY", ""))),
            (Received, approved(), None),
            (Received, rejected(), None),
            (Pending, Event::HandedOver, None),
            (Pending, approved(), Some((Approved, "MARKETING", ""))),
            (Pending, rejected(), Some((Rejected, "UTILITY", "why"))),
            (Approved, Event::HandedOver, None),
            (Approved, rejected(), None),
            (Rejected, Event::HandedOver, None),
            (Rejected, approved(), None),
        ] {
            let next = apply(&approval(status), event.clone());
            let found = next
                .as_ref()
                .map(|next| (next.status, next.category.as_str(), next.rejection_reason.as_str()));
            assert_eq!(found, expected, "{status} {event:?}");
        }
    }
}

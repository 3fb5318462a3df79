//! How a mailbox answers, and what its reader does.

use contracts::MailRefusal;
use serde::{Deserialize, Serialize};

use super::{IP, Reaction};

/// Attempts that a mailbox which defers puts off.
pub(super) const DEFERRALS: u32 = 2;
/// Addresses of this domain behave as their local part says: `bounces@mailbox.test`.
const DOMAIN: &str = "mailbox.test";

/// How a mailbox behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailBehaviour {
    /// Takes mail; nobody reads it.
    #[default]
    Delivers,
    /// There is no such mailbox: 5.1.1.
    Bounces,
    /// Its server wants no mail of this sender: 5.7.1.
    Blocks,
    /// Puts the first two attempts off: 4.7.1.
    Defers,
    /// Calls it spam.
    Spam,
    Opens,
    /// Opens, and clicks the first link.
    Clicks,
    Unsubscribes,
}

impl MailBehaviour {
    /// What an address says of its mailbox before anybody has set it.
    pub fn of_address(address: &str) -> Self {
        let local = address.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('@'));
        let local = local.unwrap_or_default().split('+').next().unwrap_or_default();
        serde_json::from_value(local.into()).unwrap_or_default()
    }

    pub(super) fn reactions(self) -> &'static [Reaction] {
        match self {
            Self::Delivers | Self::Bounces | Self::Blocks | Self::Defers => &[],
            Self::Spam => &[Reaction::Spam],
            Self::Opens => &[Reaction::Open],
            Self::Clicks => &[Reaction::Open, Reaction::Click],
            Self::Unsubscribes => &[Reaction::Unsubscribe],
        }
    }
}

pub(super) fn refusal(is_block: bool) -> MailRefusal {
    let (status, reason) = match is_block {
        true => ("5.7.1", "550 5.7.1 This sender is listed and not wanted here"),
        false => ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
    };
    MailRefusal {
        status: status.to_owned(),
        reason: reason.to_owned(),
        ip: Some(IP.to_owned()),
        is_block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_how_they_behave() {
        for (address, behaviour) in [
            ("bounces@mailbox.test", MailBehaviour::Bounces),
            ("clicks+17@mailbox.test", MailBehaviour::Clicks),
            ("ann@mailbox.test", MailBehaviour::Delivers),
            ("bounces@example.com", MailBehaviour::Delivers),
            ("bounces@notmailbox.test", MailBehaviour::Delivers),
        ] {
            assert_eq!(MailBehaviour::of_address(address), behaviour, "{address}");
        }
    }
}

//! How fast each sender may send (messaging §15).
//!
//! A sender, or a campaign with all its numbers, is a paced lane: its messages leave in order,
//! each as long after the last one as the segments of that one take. What would wait longer than
//! the queue holds is refused.

use std::time::Duration;

use jobs::Lane;
use kernel::Sid;
use numbering::{Address, Kind};
use serde::Deserialize;
use store::{AccountStore, StoreError};

use crate::message::Message;
use crate::{Messaging, Standing};

/// Segments per second by kind of sender; 0 is no limit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Numbers of the United States and Canada that are not toll-free.
    pub long_code_us: f64,
    pub long_code: f64,
    pub toll_free: f64,
    pub short_code: f64,
    pub alphanumeric: f64,
    /// WhatsApp and other channels, in messages.
    pub channel: f64,
}

impl Default for Rates {
    /// What Twilio's senders do unless more was arranged.
    fn default() -> Self {
        Self {
            long_code_us: 1.0,
            long_code: 10.0,
            toll_free: 3.0,
            short_code: 100.0,
            alphanumeric: 10.0,
            channel: 80.0,
        }
    }
}

impl Rates {
    /// No pace at all: for development.
    pub const UNLIMITED: Self = Self {
        long_code_us: 0.0,
        long_code: 0.0,
        toll_free: 0.0,
        short_code: 0.0,
        alphanumeric: 0.0,
        channel: 0.0,
    };

    fn of(&self, sender: &Address) -> f64 {
        match SenderKind::of(sender) {
            SenderKind::LongCodeUs => self.long_code_us,
            SenderKind::LongCode => self.long_code,
            SenderKind::TollFree => self.toll_free,
            SenderKind::ShortCode => self.short_code,
            SenderKind::Alphanumeric => self.alphanumeric,
            SenderKind::Channel => self.channel,
        }
    }

    /// The lane of a sender of `account`, for a message of so many segments; `None`: it is
    /// not paced.
    pub(crate) fn lane(&self, account: Sid, sender: &str, segments: i64) -> Option<Lane> {
        let address = Address::parse_from(sender).ok()?;
        let segments = match address {
            Address::Channel { .. } => 1,
            _ => segments,
        };
        paced(account, sender, self.of(&address), segments)
    }
}

/// What limits go by.
pub(crate) enum SenderKind {
    LongCodeUs,
    LongCode,
    TollFree,
    ShortCode,
    Alphanumeric,
    Channel,
}

impl SenderKind {
    pub fn of(sender: &Address) -> Self {
        match sender {
            Address::E164(number) if number.kind() == Kind::TollFree => Self::TollFree,
            Address::E164(number)
                if number.country().is_some_and(|home| matches!(home.iso, "US" | "CA")) =>
            {
                Self::LongCodeUs
            }
            Address::E164(_) | Address::Sim(_) => Self::LongCode,
            Address::ShortCode(_) => Self::ShortCode,
            Address::Alphanumeric(_) => Self::Alphanumeric,
            Address::Channel { .. } => Self::Channel,
        }
    }
}

/// The lane of what sends `rate` segments per second: a sender, or a campaign with all its
/// numbers. A name may be the sender of many accounts, each with a queue of its own.
fn paced(account: Sid, sender: &str, rate: f64, segments: i64) -> Option<Lane> {
    if rate <= 0.0 {
        return None;
    }
    let interval = Duration::from_secs_f64(1.0 / rate).max(Duration::from_micros(1));
    let cost = u32::try_from(segments.max(1)).unwrap_or(u32::MAX);
    Some(Lane::paced(format!("send/{account}/{sender}"), interval, cost))
}

impl Messaging {
    /// The lane by which a message with a sender leaves: its campaign's where registration is
    /// enforced, else the sender's own.
    pub(crate) async fn lane(
        &self,
        store: &AccountStore,
        message: &Message,
    ) -> Result<Option<Lane>, StoreError> {
        let Some(from) = message.from.as_deref() else { return Ok(None) };
        let account = store.account();
        if self.parts.enforce_registration {
            let service = message.service.as_deref();
            let standing = self.standing(store, from, &message.to, service).await?;
            if let Standing::Campaign(grant) = standing {
                return Ok(paced(account, &grant.campaign, grant.mps, message.segments));
            }
        }
        Ok(self.parts.rates.lane(account, from, message.segments))
    }

    /// Whether the queue of this lane still holds the message.
    pub(crate) async fn has_room(
        &self,
        store: &AccountStore,
        message: &Message,
        lane: &Lane,
    ) -> Result<bool, StoreError> {
        // Hours of waiting that a queue holds (messaging §15).
        let hours = if message.to.contains(':') { 4 } else { 10 };
        Ok(jobs::backlog(store, lane.name()).await? < Duration::from_secs(hours * 3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_sender_has_its_pace() {
        let account = Sid::from_parts("AC", 1);
        let lane = |sender: &str, segments| Rates::default().lane(account, sender, segments);
        let paced = |sender: &str, millis, cost| {
            Some(Lane::paced(
                format!("send/{account}/{sender}"),
                Duration::from_millis(millis),
                cost,
            ))
        };
        for (sender, millis) in
            [("+14155550100", 1000), ("+442071838750", 100), ("12345", 10), ("Acme", 100)]
        {
            assert_eq!(lane(sender, 3), paced(sender, millis, 3), "{sender}");
        }
        assert_eq!(lane("whatsapp:+14155550100", 3).unwrap(), {
            let name = format!("send/{account}/whatsapp:+14155550100");
            Lane::paced(name, Duration::from_secs_f64(1.0 / 80.0), 1)
        });
        assert_eq!(Rates::UNLIMITED.lane(account, "+14155550100", 1), None);
    }
}

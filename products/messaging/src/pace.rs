//! How fast each sender may send (messaging §15).
//!
//! A sender is a paced lane: its messages leave in order, each as long after the last one as
//! the segments of that one take. What would wait longer than a sender's queue holds is
//! refused.

use std::time::Duration;

use jobs::Lane;
use kernel::Sid;
use numbering::{Address, Kind};
use serde::Deserialize;

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
        match sender {
            Address::E164(number) if number.kind() == Kind::TollFree => self.toll_free,
            Address::E164(number)
                if number.country().is_some_and(|home| matches!(home.iso, "US" | "CA")) =>
            {
                self.long_code_us
            }
            Address::E164(_) | Address::Sim(_) => self.long_code,
            Address::ShortCode(_) => self.short_code,
            Address::Alphanumeric(_) => self.alphanumeric,
            Address::Channel { .. } => self.channel,
        }
    }

    /// The lane of a sender of `account`, for a message of so many segments; `None`: it is
    /// not paced.
    pub(crate) fn lane(&self, account: Sid, sender: &str, segments: i64) -> Option<Lane> {
        let address = Address::parse_from(sender).ok()?;
        let rate = self.of(&address);
        if rate <= 0.0 {
            return None;
        }
        // A name may be the sender of many accounts, each with a queue of its own.
        let name = lane_name(account, sender);
        let interval = Duration::from_secs_f64(1.0 / rate).max(Duration::from_micros(1));
        let cost = match address {
            Address::Channel { .. } => 1,
            _ => u32::try_from(segments.max(1)).unwrap_or(u32::MAX),
        };
        Some(Lane::paced(name, interval, cost))
    }
}

pub(crate) fn lane_name(account: Sid, sender: &str) -> String {
    format!("send/{account}/{sender}")
}

/// What a sender's queue holds (messaging §15).
pub(crate) fn queue_max(sender: &str) -> Duration {
    let hours = if sender.contains(':') { 4 } else { 10 };
    Duration::from_secs(hours * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_sender_has_its_pace() {
        let account = Sid::from_parts("AC", 1);
        let lane = |sender: &str, segments| Rates::default().lane(account, sender, segments);
        let paced = |sender: &str, millis, cost| {
            Some(Lane::paced(lane_name(account, sender), Duration::from_millis(millis), cost))
        };
        for (sender, millis) in
            [("+14155550100", 1000), ("+442071838750", 100), ("12345", 10), ("Acme", 100)]
        {
            assert_eq!(lane(sender, 3), paced(sender, millis, 3), "{sender}");
        }
        assert_eq!(lane("whatsapp:+14155550100", 3).unwrap(), {
            let name = lane_name(account, "whatsapp:+14155550100");
            Lane::paced(name, Duration::from_secs_f64(1.0 / 80.0), 1)
        });
        assert_eq!(Rates::UNLIMITED.lane(account, "+14155550100", 1), None);
    }
}

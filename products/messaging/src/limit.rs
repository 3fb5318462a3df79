//! Whether a sender may send at all, and how much in a day (compliance §5.3, messaging §15).

use jobs::Failure;
use numbering::Address;
use serde::Deserialize;
use store::{AccountBatch, AccountStore, counter};

use crate::message::Message;
use crate::pace::SenderKind;
use crate::{Messaging, Standing};

/// Segments per day of Pacific time and sender, by kind of sender; 0 is no cap.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Numbers of the United States and Canada that are not toll-free.
    pub long_code_us: u32,
    pub long_code: u32,
    pub toll_free: u32,
    pub short_code: u32,
    pub alphanumeric: u32,
    /// WhatsApp and other channels, in messages.
    pub channel: u32,
}

impl Caps {
    fn of(&self, sender: &Address) -> u32 {
        match SenderKind::of(sender) {
            SenderKind::LongCodeUs => self.long_code_us,
            SenderKind::LongCode => self.long_code,
            SenderKind::TollFree => self.toll_free,
            SenderKind::ShortCode => self.short_code,
            SenderKind::Alphanumeric => self.alphanumeric,
            SenderKind::Channel => self.channel,
        }
    }
}

/// A daily cap that a message counts against.
struct Daily {
    /// What counts together.
    name: String,
    cap: i64,
    /// With which a message over the cap fails.
    code: u32,
    /// Percent and warning.
    warnings: &'static [(i64, u32)],
}

/// Shares of a brand's cap at which its account is warned.
const BRAND_WARNINGS: &[(i64, u32)] = &[(50, 30025), (70, 30026)];

/// What a message of so many segments does to a cap.
#[derive(Debug, PartialEq)]
enum Taken {
    Over,
    /// The greatest share that it crosses has this warning.
    Within(Option<u32>),
}

impl Daily {
    fn take(&self, used: i64, segments: i64) -> Taken {
        let after = used + segments;
        if after > self.cap {
            return Taken::Over;
        }
        let crossed =
            |percent: i64| (used * 100 < self.cap * percent) && (after * 100 >= self.cap * percent);
        let warning = self.warnings.iter().rev().find(|(percent, _)| crossed(*percent));
        Taken::Within(warning.map(|(_, code)| *code))
    }
}

impl Messaging {
    /// The code with which a message fails that its sender may not send, or not today:
    /// 30032 to 30035 where registration is enforced, 30023, 30027, 30450. What it takes of the
    /// day's caps is in `batch`.
    ///
    /// Several messages at work at once may together pass a cap by what they hold.
    // Differs: a brand's cap counts what goes to every American network, not to T-Mobile's only.
    pub(crate) async fn over_limit(
        &self,
        store: &AccountStore,
        message: &Message,
        batch: &mut AccountBatch,
    ) -> Result<Option<u32>, Failure> {
        let from = message.from.as_deref().unwrap_or_default();
        let mut caps = Vec::new();
        if self.parts.enforce_registration {
            let service = message.service.as_deref();
            match self.standing(store, from, &message.to, service).await? {
                Standing::Refused { code } => return Ok(Some(code)),
                Standing::Campaign(grant) => caps.push(Daily {
                    name: format!("day/{}", grant.brand),
                    cap: i64::from(grant.daily_cap),
                    code: 30027,
                    warnings: BRAND_WARNINGS,
                }),
                Standing::Exempt | Standing::TollFree => {}
            }
        }
        let cap = Address::parse_from(from).map_or(0, |sender| self.parts.caps.of(&sender));
        if cap > 0 {
            let name = format!("day/{from}");
            caps.push(Daily { name, cap: i64::from(cap), code: 30023, warnings: &[] });
        }
        if self.parts.guard_pumping && self.is_pumping(store, message, batch).await? {
            return Ok(Some(30450));
        }
        let day = self.parts.clock.now().date_pacific();
        for daily in &caps {
            let used = counter::used(store, &daily.name, &day).await?;
            let Taken::Within(warning) = daily.take(used, message.segments) else {
                return Ok(Some(daily.code));
            };
            counter::add(batch, &daily.name, &day, message.segments);
            if let Some(code) = warning {
                let why = format!("{} of {} segments of this day are used", used, daily.cap);
                self.parts.webhooks.alert(batch, &message.sid.to_string(), code, &why, "");
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_warns_when_a_share_is_crossed_and_then_holds() {
        let brand = Daily { name: String::new(), cap: 100, code: 30027, warnings: BRAND_WARNINGS };
        for (used, segments, taken) in [
            (0, 1, Taken::Within(None)),
            (49, 1, Taken::Within(Some(30025))),
            (50, 1, Taken::Within(None)),
            (69, 2, Taken::Within(Some(30026))),
            (40, 35, Taken::Within(Some(30026))),
            (99, 1, Taken::Within(None)),
            (99, 2, Taken::Over),
            (100, 1, Taken::Over),
        ] {
            assert_eq!(brand.take(used, segments), taken, "{used} + {segments}");
        }
    }
}

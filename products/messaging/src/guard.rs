//! SMS pumping (messaging §16): many messages to numbers of one block that nobody reads, sent
//! through somebody's sign-up form to earn their termination fees.
//!
//! The sign is how many recipients of one block of a thousand numbers are new within an hour.
//! Each who answers, and each message confirmed by feedback, vouches for ten more. Safe-listed
//! numbers and messages with `RiskCheck=disable` are not asked about.

// Differs: Twilio's score is not known; it also weighs countries and carriers.

use std::time::Duration;

use kernel::{SidGenerator, Timestamp};
use numbering::E164;
use store::{AccountBatch, AccountStore, StoreError, counter};

use crate::Messaging;
use crate::message::Message;

const WINDOW: Duration = Duration::from_secs(3600);
/// New recipients of a block in a window.
const NEW_MAX: i64 = 50;
/// New recipients that one answer vouches for.
const VOUCHES_FOR: i64 = 10;

impl Messaging {
    /// Whether this message is one of a flood that nobody answers; counts it in `batch` if not.
    pub(crate) async fn is_pumping(
        &self,
        store: &AccountStore,
        message: &Message,
        batch: &mut AccountBatch,
    ) -> Result<bool, StoreError> {
        let Some(block) = block(&message.to) else { return Ok(false) };
        if message.extra.risk_check_off || self.is_safe(store, &message.to).await? {
            return Ok(false);
        }
        let now = self.parts.clock.now();
        if is_known(store, message, now).await? {
            return Ok(false);
        }
        let (name, hour) = (name(block), hour(now));
        if counter::used(store, &name, &hour).await? >= NEW_MAX {
            return Ok(true);
        }
        counter::add(batch, &name, &hour, 1);
        Ok(false)
    }

    /// Somebody at this number has read a message.
    pub(crate) fn vouch(&self, user: &str, batch: &mut AccountBatch) {
        if let (true, Some(block)) = (self.parts.guard_pumping, block(user)) {
            counter::add(batch, &name(block), &hour(self.parts.clock.now()), -VOUCHES_FOR);
        }
    }
}

/// Whether the recipient had a message in this window before.
async fn is_known(
    store: &AccountStore,
    message: &Message,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM message WHERE account_sid = $1 AND to_addr = $2 AND id >= $3
               AND id < $4 LIMIT 1";
    let since = format!("{:032x}", SidGenerator::lower_bound(now - WINDOW));
    let params = vec![message.to.as_str().into(), since.into(), message.sid.hex().into()];
    Ok(store.point(sql, params).await?.is_some())
}

/// What a thousand numbers share.
fn block(number: &str) -> Option<&str> {
    E164::parse(number).ok()?;
    number.get(..number.len().saturating_sub(3)).filter(|block| block.len() > 3)
}

fn name(block: &str) -> String {
    format!("new/{block}")
}

fn hour(now: Timestamp) -> String {
    now.format("%Y-%m-%dT%H")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_thousand_numbers() {
        for (number, expected) in [
            ("+14155550111", Some("+14155550")),
            ("+447400123456", Some("+447400123")),
            ("whatsapp:+14155550111", None),
            ("12345", None),
        ] {
            assert_eq!(block(number), expected, "{number}");
        }
    }
}

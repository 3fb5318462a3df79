//! Delivery rates: of each sender's and each service's last hundred messages, how many arrived.
//!
//! They are kept in memory, by each process for what passes through it, and are gone with it. A
//! rate below 95 % is an alert about the sender or the service, once until it has recovered. The
//! messages of a campaign are those of its service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kernel::Sid;
use store::AccountBatch;

use crate::Messaging;
use crate::lifecycle::Status;
use crate::message::Message;

/// Messages that a rate is of.
const LAST: u32 = 100;
/// Messages that say anything at all.
const LEAST: u32 = 50;
/// A delivery rate below it is an alert.
const PERCENT_LEAST: u32 = 95;
/// Senders and services that are watched; beyond it the memory starts over.
const WATCHED_MAX: usize = 10_000;

/// The last outcomes of one sender or service.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    /// A bit per message, the last one lowest; set: it arrived.
    arrived: u128,
    count: u32,
    is_low: bool,
}

impl Outcomes {
    /// Adds an outcome; the rate in percent when it has just become low.
    fn add(&mut self, has_arrived: bool) -> Option<u32> {
        let mask = (1_u128 << LAST) - 1;
        self.arrived = ((self.arrived << 1) | u128::from(has_arrived)) & mask;
        self.count = (self.count + 1).min(LAST);
        let was_low = self.is_low;
        self.is_low =
            self.count >= LEAST && self.arrived.count_ones() * 100 < PERCENT_LEAST * self.count;
        (self.is_low && !was_low).then(|| self.percent())
    }

    fn percent(&self) -> u32 {
        self.arrived.count_ones() * 100 / self.count.max(1)
    }
}

/// Of whom rates are kept: an account's sender or service.
type Watched = (Sid, String);

#[derive(Debug, Default)]
pub(crate) struct DeliveryRates(Mutex<HashMap<Watched, Outcomes>>);

impl DeliveryRates {
    fn add(&self, account: Sid, who: &str, has_arrived: bool) -> Option<u32> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= WATCHED_MAX {
            all.clear();
        }
        all.entry((account, who.to_owned())).or_default().add(has_arrived)
    }
}

impl Messaging {
    /// Of every account's senders and services the share of its last messages that arrived, 0 to
    /// 1, where there were enough of them.
    pub fn delivery_rates(&self) -> Vec<(Sid, String, f64)> {
        let all = self.delivery_rates.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = all.iter().filter(|(_, outcomes)| outcomes.count >= LEAST);
        said.map(|((account, who), outcomes)| {
            let share = f64::from(outcomes.arrived.count_ones()) / f64::from(outcomes.count);
            (*account, who.clone(), share)
        })
        .collect()
    }

    /// Notes how a message ended: an alert when it failed, and when its sender's or service's
    /// rate has become low.
    pub(crate) fn note_outcome(&self, message: &Message, batch: &mut AccountBatch) {
        let has_arrived = match message.status {
            Status::Delivered => true,
            Status::Undelivered | Status::Failed => false,
            _ => return,
        };
        let code = message.error_code.and_then(|code| u32::try_from(code).ok()).unwrap_or(0);
        if !has_arrived {
            let title = kernel::lookup(code).map_or("the message failed", |row| row.title);
            self.parts.webhooks.alert(batch, &message.sid.to_string(), code, title, "");
        }
        let account = batch.account();
        for who in [&message.from, &message.service].into_iter().flatten() {
            if let Some(percent) = self.delivery_rates.add(account, who, has_arrived) {
                let why = format!("{percent} % of the last messages of {who} were delivered");
                self.parts.webhooks.alert(batch, who, code, &why, "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of which an alert says, after so many arrivals and then so many failures.
    fn told(arrived: usize, failed: usize) -> Option<u32> {
        let mut outcomes = Outcomes::default();
        let all = std::iter::repeat_n(true, arrived).chain(std::iter::repeat_n(false, failed));
        all.filter_map(|has_arrived| outcomes.add(has_arrived)).last()
    }

    #[test]
    fn below_95_percent_is_told_once() {
        for (arrived, failed, expected) in [
            (96, 4, None),
            (95, 5, None),
            (94, 6, Some(94)),
            (40, 9, None),
            (40, 10, Some(80)),
            (1000, 5, None),
            (1000, 6, Some(94)),
            // Told when it became low, not again.
            (94, 60, Some(94)),
        ] {
            assert_eq!(told(arrived, failed), expected, "{arrived} and {failed}");
        }
    }

    #[test]
    fn it_is_told_again_when_it_had_recovered() {
        let mut outcomes = Outcomes::default();
        let mut told = Vec::new();
        for has_arrived in
            [vec![true; 94], vec![false; 6], vec![true; 100], vec![false; 6]].concat()
        {
            told.extend(outcomes.add(has_arrived));
        }
        assert_eq!(told, [94, 94]);
    }
}

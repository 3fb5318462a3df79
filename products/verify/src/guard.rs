//! Fraud guard: codes that many numbers of one range ask for, and nobody enters, are pumped.

use std::time::Duration;

use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use store::{AccountStore, StoreError};

use crate::limit::Counter;

/// The last digits that a range leaves open.
const OPEN_DIGITS: usize = 4;
/// What is looked at.
const WINDOW: Duration = Duration::from_secs(3600);
/// Starts to one range within the window below which nothing is concluded.
const STARTS: i64 = 40;
/// Of so many starts one should be converted.
const PER_CONVERSION: i64 = 10;
/// How long a range stays blocked.
const BLOCK: Duration = Duration::from_secs(12 * 3600);

/// The range of a number: all but its last digits.
pub(crate) fn prefix(number: &str) -> &str {
    number.get(..number.len().saturating_sub(OPEN_DIGITS)).unwrap_or(number)
}

/// The rule. Differs: Twilio's model is not known.
fn is_pumped(starts: i64, converted: i64) -> bool {
    starts >= STARTS && converted * PER_CONVERSION < starts
}

/// The counter that stands while a range is blocked.
fn block(service: &str, prefix: &str) -> Counter {
    Counter::new(format!("blocked/{service}/{prefix}"), 1, BLOCK)
}

/// Refuses a start to a range that is pumped, and blocks the range.
///
/// # Errors
/// The inner error is 60410 / 403.
pub(crate) async fn check(
    store: &AccountStore,
    service: &str,
    to: &str,
    now: Timestamp,
) -> Result<Result<(), ApiError>, StoreError> {
    let prefix = prefix(to);
    let blocked = || {
        let why = format!("Fraud guard has blocked numbers that begin with {prefix} for 12 hours");
        Err(ApiError::new(60410, why))
    };
    let block = block(service, prefix);
    if block.full_for(store, now).await?.is_some() {
        return Ok(blocked());
    }
    // SIDs carry their time; of many attempts as many are read as decide.
    let since = Sid::from_parts("VL", SidGenerator::lower_bound(now - WINDOW));
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(converted), 0) AS BIGINT) FROM (
                   SELECT converted FROM verification_attempt WHERE account_sid = $1
                   AND service_sid = $2 AND prefix = $3 AND sid >= $4
                   ORDER BY sid DESC LIMIT 400) AS recent";
    let row = store.point(sql, vec![service.into(), prefix.into(), since.into()]).await?;
    let (starts, converted) = row.map_or((0, 0), |row| (row.int(0), row.int(1)));
    if !is_pumped(starts, converted) {
        return Ok(Ok(()));
    }
    let mut batch = store.batch();
    block.count(&mut batch, now);
    match store.commit(batch).await {
        Ok(_) | Err(StoreError::Conflict) => Ok(blocked()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_starts_that_nobody_completes_are_pumped() {
        for (starts, converted, pumped) in
            [(39, 0, false), (40, 0, true), (40, 3, true), (40, 4, false), (400, 39, true)]
        {
            assert_eq!(is_pumped(starts, converted), pumped, "{starts} {converted}");
        }
        assert_eq!(prefix("+14155550123"), "+1415555");
        assert_eq!(prefix("+1"), "");
    }
}

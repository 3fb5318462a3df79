//! What was used in a period, as rows: it holds across restarts and processes.

use kernel::Timestamp;

use crate::{AccountBatch, AccountStore, StoreError};

/// What was used under `name` in `period`.
pub async fn used(store: &AccountStore, name: &str, period: &str) -> Result<i64, StoreError> {
    let sql = "SELECT used FROM counter WHERE account_sid = $1 AND name = $2 AND period = $3";
    let row = store.point(sql, vec![name.into(), period.into()]).await?;
    Ok(row.map_or(0, |row| row.int(0)))
}

/// Uses `amount` more; what was used in another period is forgotten.
pub fn add(batch: &mut AccountBatch, name: &str, period: &str, amount: i64) {
    batch.shares("counter", name).tally(
        "INSERT INTO counter (account_sid, name, period, used) VALUES ($1, $2, $3, $4)
         ON CONFLICT (account_sid, name) DO UPDATE SET period = excluded.period, used =
         excluded.used + CASE WHEN counter.period = excluded.period THEN counter.used ELSE 0 END",
        vec![name.into(), period.into(), amount.into()],
        1,
    );
}

/// One more of a category costs so much, in micro-dollars.
pub fn spend(batch: &mut AccountBatch, now: Timestamp, category: &'static str, micros: i64) {
    batch.shares("spend", category).tally(
        "INSERT INTO spend (account_sid, day, category, count, micros)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_sid, day, category) DO UPDATE SET
         count = spend.count + excluded.count, micros = spend.micros + excluded.micros",
        vec![now.date().into(), category.into(), 1i64.into(), micros.into()],
        2,
    );
}

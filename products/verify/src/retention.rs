//! How long verifications and their attempts are kept.

use contracts::{BoxFuture, Clearing, Unavailable};
use kernel::{Sid, SidGenerator, Timestamp};
use store::{AccountStore, StoreError};

use crate::Verify;

/// Rows of each kind that one commit deletes.
const ROWS_MAX: usize = 500;

impl Clearing for Verify {
    fn clear(&self, account: Sid, before: Timestamp) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            forget(&store, before).await.map_err(|error| Unavailable(error.to_string()))
        })
    }
}

/// SIDs begin with their time, so what is old is a range of the primary key.
async fn forget(store: &AccountStore, before: Timestamp) -> Result<bool, StoreError> {
    let bound = |prefix| Sid::from_parts(prefix, SidGenerator::lower_bound(before)).to_string();
    let mut batch = store.batch();
    let (mut found, mut more) = (0, false);
    for (sql, delete, prefix) in [
        (
            "SELECT sid FROM verification WHERE account_sid = $1 AND sid < $2 AND live = 0
             ORDER BY sid LIMIT $3",
            "DELETE FROM verification WHERE account_sid = $1 AND sid = $2 AND live = 0",
            "VE",
        ),
        (
            "SELECT sid FROM verification_attempt WHERE account_sid = $1 AND sid < $2
             ORDER BY sid LIMIT $3",
            "DELETE FROM verification_attempt WHERE account_sid = $1 AND sid = $2",
            "VL",
        ),
    ] {
        let limit = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
        let rows = store.query(sql, vec![bound(prefix).into(), limit.into()]).await?;
        found += rows.len();
        more |= rows.len() == ROWS_MAX;
        for row in &rows {
            batch.run(delete, vec![row.text(0).into()]);
            // What was claimed in the attempt's name, so that its notice was sent once.
            batch.run(
                "DELETE FROM claim WHERE account_sid = $1 AND sid = $2",
                vec![row.text(0).into()],
            );
        }
    }
    if found > 0 {
        store.commit(batch).await?;
    }
    Ok(more)
}

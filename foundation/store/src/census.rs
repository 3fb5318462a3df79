//! The accounts there are, for what goes through them one after the other, and nothing else.

use kernel::Sid;

use crate::{Store, StoreError};

/// All accounts, by their SIDs alone.
#[derive(Clone)]
pub struct Census(Store);

impl Census {
    pub(crate) fn new(store: Store) -> Self {
        Self(store)
    }

    /// The next `limit` accounts behind `sid`, in the order of their SIDs.
    pub async fn after(&self, sid: Option<Sid>, limit: i64) -> Result<Vec<Sid>, StoreError> {
        let last = sid.map(|sid| sid.to_string()).unwrap_or_default();
        let sql =
            "SELECT account_sid FROM account WHERE account_sid > $1 ORDER BY account_sid LIMIT $2";
        let rows = self.0.query(sql, vec![last.into(), limit.into()]).await?;
        Ok(rows.iter().map(|row| row.sid(0)).collect())
    }
}

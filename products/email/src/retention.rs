//! How long mails are kept: their letters, readers and events go when the last thing that happened
//! to a reader is long ago. Lists, counts and settings stay.

use std::collections::BTreeMap;

use contracts::{BoxFuture, Clearing, Unavailable};
use kernel::{Sid, Timestamp};
use store::{AccountStore, StoreError};

use crate::{Email, comms, notice, send};

/// Readers of one commit.
const READERS_MAX: usize = 200;

impl Clearing for Email {
    fn clear(&self, account: Sid, before: Timestamp) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            self.forget(&store, before).await.map_err(|error| Unavailable(error.to_string()))
        })
    }
}

impl Email {
    async fn forget(&self, store: &AccountStore, before: Timestamp) -> Result<bool, StoreError> {
        let sql =
            "SELECT id, mail_id FROM mail_recipient WHERE account_sid = $1 AND last_event < $2
                   AND status NOT IN ('queued', 'processed', 'deferred')
                   ORDER BY last_event LIMIT $3";
        let limit = i64::try_from(READERS_MAX).unwrap_or(i64::MAX);
        let rows = store.query(sql, vec![before.into(), limit.into()]).await?;
        let mut batch = store.batch();
        let mut gone: BTreeMap<&str, i64> = BTreeMap::new();
        for row in &rows {
            let (id, mail) = (row.text(0), row.text(1));
            *gone.entry(mail).or_default() += 1;
            batch.run(
                "DELETE FROM mail_event WHERE account_sid = $1 AND recipient_id = $2",
                vec![id.into()],
            );
            batch.run(
                "DELETE FROM mail_recipient WHERE account_sid = $1 AND id = $2",
                vec![id.into()],
            );
        }
        for (mail, gone) in gone {
            // The id of a reader begins with its mail's.
            let sql = "SELECT count(*) FROM mail_recipient WHERE account_sid = $1 AND id >= $2
                       AND id < $3";
            let range = vec![format!("{mail}.").into(), format!("{mail}/").into()];
            if store.point(sql, range).await?.is_some_and(|row| row.int(0) > gone) {
                continue;
            }
            self.forget_letter(store, mail).await?;
            batch.run("DELETE FROM mail WHERE account_sid = $1 AND id = $2", vec![mail.into()]);
            batch.run(
                "DELETE FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3",
                vec![mail.into(), notice::CLAIM.into()],
            );
        }
        let operations = comms::forget(store, before, &mut batch).await?;
        if rows.len() + operations > 0 {
            store.commit(batch).await?;
        }
        Ok(rows.len() == READERS_MAX)
    }

    /// The letter goes before its row: what is interrupted in between is made up for later.
    async fn forget_letter(&self, store: &AccountStore, mail: &str) -> Result<(), StoreError> {
        let sql = "SELECT blob FROM mail WHERE account_sid = $1 AND id = $2";
        let Some(row) = store.point(sql, vec![mail.into()]).await? else { return Ok(()) };
        // A short one is in the row itself.
        if row.text(0).is_empty() {
            return Ok(());
        }
        let bytes = self.parts.blobs.get(row.text(0)).await?.unwrap_or_default();
        // Equal bytes are one blob: one that does not name its mail may be another's, too.
        match send::is_of(&bytes, mail) {
            true => self.parts.blobs.remove(row.text(0)).await,
            false => Ok(()),
        }
    }
}

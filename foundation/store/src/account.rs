//! The store as one account sees it.

use std::borrow::Cow;

use kernel::{Sid, Timestamp};

use crate::{Batch, Outcome, Row, Store, StoreError, Value};

/// Reads and writes of one account. Its `$1` is always that account.
#[derive(Clone)]
pub struct AccountStore {
    store: Store,
    account: Sid,
}

impl AccountStore {
    pub(crate) fn new(store: Store, account: Sid) -> Self {
        Self { store, account }
    }

    pub fn account(&self) -> Sid {
        self.account
    }

    /// All rows; `params` are `$2` and on.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        check_scope(sql)?;
        self.store.query(sql, self.scoped(params)).await
    }

    /// At most one row by key; `params` are `$2` and on.
    pub async fn point(&self, sql: &str, params: Vec<Value>) -> Result<Option<Row>, StoreError> {
        check_scope(sql)?;
        self.store.point(sql, self.scoped(params)).await
    }

    /// An empty batch of this account.
    pub fn batch(&self) -> AccountBatch {
        AccountBatch { account: self.account, batch: Batch::new(), refused: None }
    }

    /// Commits durably; refuses a batch of another account.
    pub async fn commit(&self, batch: AccountBatch) -> Result<Outcome, StoreError> {
        if batch.account != self.account {
            return Err(StoreError::Unscoped(format!("a batch of {}", batch.account)));
        }
        self.store.commit(batch.into_batch()?).await
    }

    fn scoped(&self, params: Vec<Value>) -> Vec<Value> {
        let mut all = Vec::with_capacity(params.len() + 1);
        all.push(self.account.into());
        all.extend(params);
        all
    }
}

/// A batch whose statements all bind `$1` to one account.
#[derive(Clone, Debug)]
pub struct AccountBatch {
    account: Sid,
    batch: Batch,
    refused: Option<StoreError>,
}

impl AccountBatch {
    pub fn account(&self) -> Sid {
        self.account
    }

    /// Adds a statement; `params` are `$2` and on.
    pub fn run(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        let (sql, params) = self.scoped(sql.into(), params);
        self.batch.run(sql, params);
        self
    }

    /// [`Batch::append`]; `params` are `$2` and on.
    pub fn append(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        let (sql, params) = self.scoped(sql.into(), params);
        self.batch.append(sql, params);
        self
    }

    /// [`Batch::tally`]; `params` are `$2` and on.
    pub fn tally(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
        amounts: usize,
    ) -> &mut Self {
        let (sql, params) = self.scoped(sql.into(), params);
        self.batch.tally(sql, params, amounts);
        self
    }

    /// Adds a statement that must touch a row; `params` are `$2` and on.
    pub fn must(&mut self, sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> &mut Self {
        let (sql, params) = self.scoped(sql.into(), params);
        self.batch.must(sql, params);
        self
    }

    /// Says that something happened: watchers see it after the commit.
    /// `body` is a JSON object.
    pub fn event(&mut self, kind: &str, sid: &str, at: Timestamp, body: String) -> &mut Self {
        self.append(
            "INSERT INTO event (account_sid, kind, sid, at, body) VALUES ($1, $2, $3, $4, $5)",
            vec![kind.into(), sid.into(), at.into(), body.into()],
        );
        self.batch.wakes_events();
        self
    }

    /// An event of the audit: `actor` is the SID of the account or key whose deed it is.
    pub fn deed(
        &mut self,
        kind: &str,
        sid: &str,
        at: Timestamp,
        actor: Sid,
        body: String,
    ) -> &mut Self {
        self.append(
            "INSERT INTO event (account_sid, kind, sid, at, actor, body)
             VALUES ($1, $2, $3, $4, $5, $6)",
            vec![kind.into(), sid.into(), at.into(), actor.into(), body.into()],
        );
        self.batch.wakes_events();
        self
    }

    /// Says that the batch adds jobs.
    pub fn wakes_jobs(&mut self) -> &mut Self {
        self.batch.wakes_jobs();
        self
    }

    /// [`Batch::shares`], of this account.
    pub fn shares(&mut self, kind: &str, name: &str) -> &mut Self {
        self.batch.shares((self.account, kind, name));
        self
    }

    /// The plain batch, to be joined with others in one commit.
    pub fn into_batch(self) -> Result<Batch, StoreError> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(self.batch),
        }
    }

    fn scoped(
        &mut self,
        sql: Cow<'static, str>,
        params: Vec<Value>,
    ) -> (Cow<'static, str>, Vec<Value>) {
        if let Err(error) = check_scope(&sql) {
            self.refused.get_or_insert(error);
        }
        let mut all = Vec::with_capacity(params.len() + 1);
        all.push(self.account.into());
        all.extend(params);
        (sql, all)
    }
}

/// A scoped statement compares `account_sid` with `$1`, or inserts `$1` as its first column.
fn check_scope(sql: &str) -> Result<(), StoreError> {
    let inserts = sql.contains("(account_sid,") && sql.contains("VALUES ($1,");
    if inserts || sql.contains("account_sid = $1") {
        return Ok(());
    }
    Err(StoreError::Unscoped(sql.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_without_their_account_are_refused() {
        for (sql, fine) in [
            ("SELECT body FROM message WHERE account_sid = $1 AND id = $2", true),
            ("INSERT INTO event (account_sid, kind) VALUES ($1, $2)", true),
            ("SELECT body FROM message WHERE id = $1", false),
            ("INSERT INTO event (account_sid, kind) VALUES ($2, $1)", false),
            ("DELETE FROM message", false),
        ] {
            assert_eq!(check_scope(sql).is_ok(), fine, "{sql}");
        }
    }
}

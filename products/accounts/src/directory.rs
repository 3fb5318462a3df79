//! All accounts, as rows and in memory.

use std::sync::Arc;

use contracts::{AccountDirectory, AccountFacts, BoxFuture, Unavailable};
use kernel::{Sid, Timestamp};
use store::{Batch, Row, StoreError};

use crate::Accounts;

/// What a new account may spend before its balance is negative, in micro-dollars.
/// Differs: Twilio's trial credit varies; here every account opens with 100 USD.
pub(crate) const OPENING_CREDIT: i64 = 100_000_000;

/// An account with its secrets opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub sid: Sid,
    pub owner: Sid,
    pub friendly_name: String,
    /// `active`, `suspended` or `closed`.
    pub status: String,
    /// `Full` or `Trial`.
    pub kind: String,
    pub auth_token: String,
    pub secondary_token: Option<String>,
    pub secondary_created: Option<Timestamp>,
    pub test_sid: Sid,
    pub test_token: String,
    pub date_created: Timestamp,
    pub date_updated: Timestamp,
    pub version: i64,
}

impl Account {
    pub fn is_main(&self) -> bool {
        self.sid == self.owner
    }
}

/// An API key with its secret opened.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    pub account: Sid,
    pub kind: String,
    pub policy: Vec<String>,
    pub secret: String,
}

const COLUMNS: &str = "account_sid, owner_sid, friendly_name, status, type, auth_token,
    secondary_token, secondary_created, test_sid, test_token, date_created, date_updated, version";

impl Accounts {
    /// An account by its SID or its test SID.
    pub async fn account(&self, sid: Sid) -> Result<Option<Arc<Account>>, StoreError> {
        if let Some(account) = self.known_accounts.get(&sid) {
            return Ok(Some(account));
        }
        let ticket = self.known_accounts.ticket();
        let sql = format!("SELECT {COLUMNS} FROM account WHERE account_sid = $1 OR test_sid = $1");
        let Some(row) = self.store.point(&sql, vec![sid.into()]).await? else { return Ok(None) };
        let account = Arc::new(self.open_account(&row)?);
        self.known_accounts.keep(ticket, sid, account.clone());
        Ok(Some(account))
    }

    /// The accounts of one owner: itself and its subaccounts, newest first.
    pub(crate) async fn family(&self, owner: Sid) -> Result<Vec<Account>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM account WHERE owner_sid = $1 ORDER BY account_sid DESC LIMIT 1001"
        );
        let rows = self.store.query(&sql, vec![owner.into()]).await?;
        rows.iter().map(|row| self.open_account(row)).collect()
    }

    fn open_account(&self, row: &Row) -> Result<Account, StoreError> {
        let open = |at| self.open_secret(row.blob(at));
        Ok(Account {
            sid: row.sid(0),
            owner: row.sid(1),
            friendly_name: row.text(2).to_owned(),
            status: row.text(3).to_owned(),
            kind: row.text(4).to_owned(),
            auth_token: open(5)?,
            secondary_token: row.opt_blob(6).map(|sealed| self.open_secret(sealed)).transpose()?,
            secondary_created: row.opt_time(7),
            test_sid: row.sid(8),
            test_token: open(9)?,
            date_created: row.time(10),
            date_updated: row.time(11),
            version: row.int(12),
        })
    }

    pub(crate) fn open_secret(&self, sealed: &[u8]) -> Result<String, StoreError> {
        self.sealer.open(sealed).map_err(|error| StoreError::Failed(error.to_string()))
    }

    /// The rows of a new account.
    pub(crate) fn new_account(&self, sid: Sid, owner: Sid, name: &str, token: &str) -> Batch {
        let now = self.clock.now();
        let test_sid = self.clock.sid("AC");
        let test_token = self.clock.hex_token(32);
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO account (account_sid, owner_sid, friendly_name, status, type, auth_token,
             test_sid, test_token, date_created, date_updated, version)
             VALUES ($1, $2, $3, 'active', 'Full', $4, $5, $6, $7, $7, 1)",
            vec![
                sid.into(),
                owner.into(),
                name.into(),
                self.sealer.seal(token).into(),
                test_sid.into(),
                self.sealer.seal(&test_token).into(),
                now.into(),
            ],
        );
        batch
    }

    /// An API key by its SID.
    pub(crate) async fn key(&self, sid: Sid) -> Result<Option<Arc<ApiKey>>, StoreError> {
        if let Some(key) = self.known_keys.get(&sid) {
            return Ok(Some(key));
        }
        let ticket = self.known_keys.ticket();
        let sql = "SELECT account_sid, kind, policy, secret FROM api_key WHERE sid = $1";
        let Some(row) = self.store.point(sql, vec![sid.into()]).await? else { return Ok(None) };
        let policy = row.opt_text(2).map(crate::key::allowed).unwrap_or_default();
        let key = Arc::new(ApiKey {
            account: row.sid(0),
            kind: row.text(1).to_owned(),
            policy,
            secret: self.open_secret(row.blob(3))?,
        });
        self.known_keys.keep(ticket, sid, key.clone());
        Ok(Some(key))
    }

    /// Tells every cache, this one at once, that accounts or keys changed.
    pub(crate) fn changed(&self) {
        self.known_accounts.invalidate();
        self.known_keys.invalidate();
    }

    /// `active`, or what keeps the account from acting, its owner included.
    pub(crate) async fn effective_status(&self, account: &Account) -> Result<String, StoreError> {
        if account.status != "active" || account.is_main() {
            return Ok(account.status.clone());
        }
        let owner = self.account(account.owner).await?;
        Ok(owner.map_or_else(|| "closed".to_owned(), |owner| owner.status.clone()))
    }
}

impl AccountDirectory for Accounts {
    fn facts(&self, account: Sid) -> BoxFuture<'_, Result<Option<AccountFacts>, Unavailable>> {
        Box::pin(async move {
            let unavailable = |error: StoreError| Unavailable(error.to_string());
            let Some(found) = self.account(account).await.map_err(unavailable)? else {
                return Ok(None);
            };
            let status = self.effective_status(&found).await.map_err(unavailable)?;
            Ok(Some(AccountFacts {
                sid: found.sid,
                owner: found.owner,
                is_active: status == "active",
                auth_token: found.auth_token.clone(),
            }))
        })
    }
}

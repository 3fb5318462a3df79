//! Accounts, credentials and who may act on what.
//!
//! Main accounts and subaccounts, auth tokens, API keys, OAuth apps, test
//! credentials. Implements the REST layer's [`rest::Gate`] and the
//! [`contracts::AccountDirectory`].
//!
//! This crate is one of the two tenancy roots: it holds the whole [`Store`]
//! because it decides which account a request belongs to. Secrets are sealed in
//! the store and compared in constant time.

mod access_token;
mod account;
mod auth_token;
mod balance;
mod credential;
mod directory;
mod gate;
mod key;
mod oauth;

use std::sync::Arc;

use bus::Cache;
use clock::Clock;
use kernel::Sid;
use rest::Router;
use store::{Sealer, Store, StoreError};

pub use directory::Account;
use directory::ApiKey;

/// The product's state.
pub struct Accounts {
    store: Store,
    clock: Clock,
    sealer: Sealer,
    /// By account SID and by test SID.
    known_accounts: Arc<Cache<Sid, Arc<Account>>>,
    known_keys: Arc<Cache<Sid, Arc<ApiKey>>>,
    /// Unknown credentials are adopted.
    development: bool,
}

impl Accounts {
    pub fn new(store: Store, clock: Clock, sealer: Sealer, development: bool) -> Arc<Self> {
        let known_accounts = Cache::new(store.bus(), "accounts");
        let known_keys = Cache::new(store.bus(), "api-keys");
        Arc::new(Self { store, clock, sealer, known_accounts, known_keys, development })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &account::ACCOUNT,
                &balance::BALANCE,
                &credential::AWS,
                &credential::PUBLIC_KEY,
                &key::KEY,
                &key::SIGNING_KEY,
                &key::IAM_KEY,
                &auth_token::SECONDARY,
                &auth_token::PROMOTION,
                &oauth::APP,
                &oauth::TOKEN_V2,
                &oauth::TOKEN_V1,
                &oauth::TOKEN_IAM,
            ],
        )
    }

    /// The main account of this instance; made on first use.
    pub async fn main_account(&self) -> Result<Arc<Account>, StoreError> {
        if let Some(account) = self.known_main_account().await? {
            return Ok(account);
        }
        let sid = self.clock.sid("AC");
        let mut batch = self.new_account(sid, sid, "Main account", &self.clock.hex_token(32));
        batch.run("INSERT INTO meta (name, value) VALUES ('main_account', $1)", vec![sid.into()]);
        match self.store.commit(batch).await {
            // Somebody else made it at the same moment: then it is that one.
            Ok(_) | Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(error),
        }
        let found = self.known_main_account().await?;
        found.ok_or_else(|| StoreError::Failed("the main account vanished".into()))
    }

    async fn known_main_account(&self) -> Result<Option<Arc<Account>>, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = 'main_account'";
        match self.store.point(sql, vec![]).await? {
            Some(row) => self.account(row.sid(0)).await,
            None => Ok(None),
        }
    }
}

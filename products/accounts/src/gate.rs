//! Authentication, and the reach of a parent account.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use kernel::{ApiError, Sid};
use rest::{BoxFuture, Credential, Gate, Login, Principal, Verb, unauthenticated};
use store::{Batch, StoreError};

use crate::directory::{Account, ApiKey};
use crate::{Accounts, oauth};

const WRONG_TOKEN: &str = "Authenticate: the auth token does not belong to this account";
const WRONG_SECRET: &str = "Authenticate: the secret does not belong to this API key";
const UNKNOWN: &str = "Authentication Error - invalid username: use an account SID (AC…) or an \
                       API key SID (SK…) of this instance";

impl Gate for Accounts {
    fn authenticate(
        &self,
        login: Login,
        path_account: Option<Sid>,
    ) -> BoxFuture<'_, Result<Principal, ApiError>> {
        Box::pin(async move {
            match login {
                Login::Bearer(token) => self.bearer(&token).await,
                Login::Basic { user, password } => match user.parse::<Sid>() {
                    Ok(sid) if sid.prefix() == "AC" => self.account_login(sid, &password).await,
                    Ok(sid) if sid.prefix() == "SK" => {
                        self.key_login(sid, &password, path_account).await
                    }
                    _ => Err(unauthenticated(UNKNOWN)),
                },
            }
        })
    }

    fn reach<'a>(
        &'a self,
        principal: &'a Principal,
        account: Sid,
        verb: Verb,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move {
            if principal.account == account {
                return Ok(());
            }
            let refused =
                || unauthenticated("Authenticate: this credential does not reach that account");
            let is_parent = matches!(principal.credential, Credential::Token | Credential::MainKey);
            if !is_parent {
                return Err(refused());
            }
            let found = self.account(account).await.map_err(failed)?;
            let target = match found {
                Some(target) => target,
                None if self.development && account.prefix() == "AC" => {
                    self.adopt(account, principal.account, &self.clock.hex_token(32)).await?
                }
                None => return Err(refused()),
            };
            // The test SID of a subaccount is nobody's subaccount.
            if target.sid != account || target.owner != principal.account {
                return Err(refused());
            }
            if target.status != "active" && !matches!(verb, Verb::Fetch | Verb::List) {
                return Err(inactive(&target, &target.status));
            }
            Ok(())
        })
    }
}

impl Accounts {
    async fn account_login(&self, sid: Sid, password: &str) -> Result<Principal, ApiError> {
        let Some(account) = self.account(sid).await.map_err(failed)? else {
            if !self.development {
                return Err(unauthenticated(UNKNOWN));
            }
            check_adoptable(password)?;
            let adopted = self.adopt(sid, sid, password).await?;
            // Somebody else may have adopted it at the same time, with another token.
            return match equal(password, &adopted.auth_token) {
                true => Ok(principal(sid, Credential::Token, sid, true)),
                false => Err(unauthenticated(WRONG_TOKEN)),
            };
        };
        if account.test_sid == sid {
            return match equal(password, &account.test_token) {
                true => Ok(principal(sid, Credential::Test, sid, false)),
                false => Err(unauthenticated(WRONG_TOKEN)),
            };
        }
        let secondary = account.secondary_token.as_deref();
        let known = equal(password, &account.auth_token)
            | secondary.is_some_and(|token| equal(password, token));
        if !known {
            return Err(unauthenticated(WRONG_TOKEN));
        }
        self.check_active(&account).await?;
        Ok(principal(sid, Credential::Token, sid, false))
    }

    async fn key_login(
        &self,
        sid: Sid,
        password: &str,
        path_account: Option<Sid>,
    ) -> Result<Principal, ApiError> {
        let Some(key) = self.key(sid).await.map_err(failed)? else {
            if !self.development {
                return Err(unauthenticated(UNKNOWN));
            }
            check_adoptable(password)?;
            // A deleted key stays deleted.
            let sql = "SELECT sid FROM claim WHERE name = 'deleted-key' AND value = $1";
            if self.store.point(sql, vec![sid.into()]).await.map_err(failed)?.is_some() {
                return Err(unauthenticated(UNKNOWN));
            }
            return self.adopt_key(sid, password, path_account).await;
        };
        if !equal(password, &key.secret) {
            return Err(unauthenticated(WRONG_SECRET));
        }
        self.check_account_active(key.account).await?;
        Ok(principal(key.account, credential(&key), sid, false))
    }

    async fn bearer(&self, token: &str) -> Result<Principal, ApiError> {
        let app = oauth::verify(self, token).await?;
        self.check_account_active(app.account).await?;
        let credential = match app.policy.is_empty() {
            true => Credential::StandardKey,
            false => Credential::RestrictedKey(app.policy),
        };
        Ok(principal(app.account, credential, app.sid, false))
    }

    async fn check_account_active(&self, sid: Sid) -> Result<(), ApiError> {
        match self.account(sid).await.map_err(failed)? {
            Some(account) => self.check_active(&account).await,
            None => Err(unauthenticated(UNKNOWN)),
        }
    }

    async fn check_active(&self, account: &Account) -> Result<(), ApiError> {
        match self.effective_status(account).await.map_err(failed)?.as_str() {
            "active" => Ok(()),
            status => Err(inactive(account, status)),
        }
    }

    /// Development profile: the SID becomes an account with the token first shown.
    async fn adopt(
        &self,
        sid: Sid,
        owner: Sid,
        token: &str,
    ) -> Result<std::sync::Arc<Account>, ApiError> {
        let mut batch = self.new_account(sid, owner, "Adopted account", token);
        let mut event = self.store.account(sid).batch();
        event.event("account.adopted", &sid.to_string(), self.clock.now(), "{}".into());
        batch.extend(event.into_batch().map_err(failed)?);
        match self.store.commit(batch).await {
            // Another request adopted it at the same time: then that one's token counts.
            Ok(_) | Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(failed(error)),
        }
        tracing::info!(account_sid = %sid, "adopted an account (development profile)");
        self.account(sid).await.map_err(failed)?.ok_or_else(|| unauthenticated(UNKNOWN))
    }

    async fn adopt_key(
        &self,
        sid: Sid,
        secret: &str,
        path_account: Option<Sid>,
    ) -> Result<Principal, ApiError> {
        let main = self.main_account().await.map_err(failed)?.sid;
        let account = path_account.unwrap_or(main);
        let known = self.account(account).await.map_err(failed)?.is_some();
        if known && account != main {
            // Whoever is on this machine may read the main account's token anyway; any
            // other account that exists has an owner who made its keys.
            return self.adopted_key(sid, secret).await;
        }
        let mut key = self.key_rows(account, sid, "Adopted key", "standard", None, secret);
        key.event("key.adopted", &sid.to_string(), self.clock.now(), "{}".into());
        let mut batch = match known {
            true => Batch::new(),
            false => {
                let token = self.clock.hex_token(32);
                self.new_account(account, account, "Adopted account", &token)
            }
        };
        batch.extend(key.into_batch().map_err(failed)?);
        match self.store.commit(batch).await {
            Ok(_) => self.changed(),
            // Another request adopted it at the same time: then that one's secret counts.
            Err(StoreError::Duplicate(_)) => return self.adopted_key(sid, secret).await,
            Err(error) => return Err(failed(error)),
        }
        tracing::info!(account_sid = %account, key_sid = %sid, "adopted an API key (development profile)");
        Ok(principal(account, Credential::StandardKey, sid, true))
    }

    /// A key that another request has just adopted.
    async fn adopted_key(&self, sid: Sid, secret: &str) -> Result<Principal, ApiError> {
        let key = self.key(sid).await.map_err(failed)?.ok_or_else(|| unauthenticated(UNKNOWN))?;
        match equal(secret, &key.secret) {
            true => Ok(principal(key.account, credential(&key), sid, true)),
            false => Err(unauthenticated(WRONG_SECRET)),
        }
    }
}

fn principal(account: Sid, credential: Credential, actor: Sid, adopted: bool) -> Principal {
    Principal { account, credential, actor, adopted }
}

fn credential(key: &ApiKey) -> Credential {
    match key.kind.as_str() {
        "main" => Credential::MainKey,
        "restricted" => Credential::RestrictedKey(key.policy.clone()),
        _ => Credential::StandardKey,
    }
}

/// Secrets that a client could not send again are not adopted.
fn check_adoptable(secret: &str) -> Result<(), ApiError> {
    if secret.is_empty() || secret.len() > 128 {
        return Err(unauthenticated(
            "Authenticate: an auth token of 1 to 128 characters is needed",
        ));
    }
    Ok(())
}

fn equal(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

fn inactive(account: &Account, status: &str) -> ApiError {
    ApiError::new(20005, format!("Account {} is {status}", account.sid))
}

/// A failing store while authenticating: 20503 / 503, nothing has happened yet.
pub(crate) fn failed(error: StoreError) -> ApiError {
    tracing::error!(%error, "accounts could not be read or written");
    ApiError::new(20503, "The service is overloaded or stopping; try again")
}

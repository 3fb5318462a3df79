//! Ports that need no product: carriers' notes and signing keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accounts::Accounts;
use contracts::{
    AccountDirectory, BoxFuture, CarrierNotes, MailNames, MessageContent, MessageContents,
    NotesError, Turn, Unavailable,
};
use kernel::{ApiError, Sid};
use rest::{Gate, Login, Principal, Verb};
use store::{Batch, ByAccount, Leases, Store, StoreError};
use verify::Verify;
use webhooks::SigningKeys;

/// The notes of one carrier, in the store.
pub struct Notes {
    store: Store,
    carrier: &'static str,
    /// Set where other nodes write the same notes.
    node: Option<String>,
}

/// Between two looks whether another node's turn is over.
const TURN_LOOK: Duration = Duration::from_millis(5);
/// How long a turn is waited for: longer than the lease of a node that died in its own.
const TURN_WAIT: Duration = Duration::from_secs(15);

impl Notes {
    pub fn new(store: Store, carrier: &'static str, is_shared: bool) -> Self {
        let node = is_shared.then(|| format!("{:016x}", rand::random::<u64>()));
        Self { store, carrier, node }
    }

    async fn take_turn(&self, node: &str, what: &str) -> Result<Turn, NotesError> {
        // Each turn has an owner of its own: what ends late ends nothing of the next.
        let owner = format!("{node}.{:016x}", rand::random::<u64>());
        let leases = Leases::new(self.store.clone(), owner);
        let name = format!("turn/{}/{what}", self.carrier);
        let begun = Instant::now();
        while !leases.take(&name).await.map_err(failed)? {
            if begun.elapsed() > TURN_WAIT {
                return Err(NotesError(format!("another node does not end with {what}")));
            }
            tokio::time::sleep(TURN_LOOK).await;
        }
        let here = tokio::runtime::Handle::current();
        Ok(Turn::new(move || {
            here.spawn(async move {
                if let Err(error) = leases.release(&name).await {
                    tracing::warn!(%error, %name, "a turn ends with its lease");
                }
            });
        }))
    }

    async fn commit(&self, batch: Batch) -> Result<(), NotesError> {
        self.store.commit(batch).await.map(|_| ()).map_err(failed)
    }
}

fn failed(error: StoreError) -> NotesError {
    NotesError(error.to_string())
}

impl CarrierNotes for Notes {
    fn turn<'a>(&'a self, what: &'a str) -> BoxFuture<'a, Result<Turn, NotesError>> {
        Box::pin(async move {
            match &self.node {
                Some(node) => self.take_turn(node, what).await,
                None => Ok(Turn::default()),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, NotesError>> {
        Box::pin(async move {
            let sql = "SELECT value FROM carrier_note WHERE carrier = $1 AND note = $2";
            let row = self.store.point(sql, vec![self.carrier.into(), key.into()]).await;
            Ok(row.map_err(failed)?.map(|row| row.text(0).to_owned()))
        })
    }

    fn put_all(&self, notes: Vec<(String, String)>) -> BoxFuture<'_, Result<(), NotesError>> {
        Box::pin(async move {
            let mut batch = Batch::new();
            for (key, value) in notes {
                batch.run(
                    "INSERT INTO carrier_note (carrier, note, value) VALUES ($1, $2, $3)
                     ON CONFLICT (carrier, note) DO UPDATE SET value = excluded.value",
                    vec![self.carrier.into(), key.into(), value.into()],
                );
            }
            self.commit(batch).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NotesError>> {
        Box::pin(async move {
            let mut batch = Batch::new();
            batch.run(
                "DELETE FROM carrier_note WHERE carrier = $1 AND note = $2",
                vec![self.carrier.into(), key.into()],
            );
            self.commit(batch).await
        })
    }

    fn newest<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, NotesError>> {
        Box::pin(async move {
            // Keys are ASCII: U+10FFFF sorts behind everything that has the prefix.
            let end = format!("{prefix}\u{10ffff}");
            let sql = "SELECT note, value FROM carrier_note WHERE carrier = $1 AND note >= $2
                       AND note < $3 ORDER BY note DESC LIMIT $4";
            let params =
                vec![self.carrier.into(), prefix.into(), end.into(), i64::from(limit).into()];
            let rows = self.store.query(sql, params).await.map_err(failed)?;
            Ok(rows.iter().map(|row| (row.text(0).to_owned(), row.text(1).to_owned())).collect())
        })
    }
}

/// Webhooks are signed with the primary token of their account.
pub struct Keys(pub Arc<Accounts>);

impl SigningKeys for Keys {
    fn signing_key(&self, account: Sid) -> jobs::BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async move {
            let facts = self.0.facts(account).await.map_err(|error| error.to_string())?;
            Ok(facts.map(|facts| facts.auth_token))
        })
    }
}

/// Who is in: accounts and their keys, and the devices of Verify.
pub struct Doors {
    pub accounts: Arc<Accounts>,
    pub verify: Arc<Verify>,
}

impl Gate for Doors {
    fn authenticate(
        &self,
        login: Login,
        path_account: Option<Sid>,
    ) -> rest::BoxFuture<'_, Result<Principal, ApiError>> {
        match login {
            Login::Basic { user, password } if user == "token" => Box::pin(async move {
                let device = self.verify.device_login(&password).await?;
                let facts = self.accounts.facts(device.account).await;
                let facts = facts.map_err(|error| ApiError::new(20503, error.0))?;
                match facts.is_some_and(|facts| facts.is_active) {
                    true => Ok(device),
                    false => {
                        let why = format!("Account {} is not active", device.account);
                        Err(ApiError::new(20005, why))
                    }
                }
            }),
            login => self.accounts.authenticate(login, path_account),
        }
    }

    fn reach<'a>(
        &'a self,
        principal: &'a Principal,
        account: Sid,
        verb: Verb,
    ) -> rest::BoxFuture<'a, Result<(), ApiError>> {
        self.accounts.reach(principal, account, verb)
    }
}

/// Messages as event streams tell of them.
pub struct Contents(pub ByAccount);

impl MessageContents for Contents {
    fn content(
        &self,
        account: Sid,
        message: Sid,
    ) -> BoxFuture<'_, Result<Option<MessageContent>, Unavailable>> {
        Box::pin(async move {
            let sql = "SELECT body, num_segments, num_media, service_sid FROM message
                       WHERE account_sid = $1 AND id = $2";
            let row = self.0.account(account).point(sql, vec![message.hex().into()]).await;
            let row = row.map_err(|error| Unavailable(error.to_string()))?;
            Ok(row.map(|row| MessageContent {
                body: row.text(0).to_owned(),
                segments: row.int(1),
                media: row.int(2),
                service: row.opt_text(3).map(str::to_owned),
            }))
        })
    }
}

/// The claims by which Email is found from outside, and nothing else of the store.
pub struct Claims {
    pub store: Store,
    pub accounts: Arc<Accounts>,
}

impl MailNames for Claims {
    fn holder<'a>(
        &'a self,
        name: &'static str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>> {
        Box::pin(async move {
            let sql = "SELECT account_sid FROM claim WHERE name = $1 AND value = $2";
            let row = self.store.point(sql, vec![name.into(), value.into()]).await;
            let row = row.map_err(|error| Unavailable(error.to_string()))?;
            Ok(row.map(|row| row.sid(0)))
        })
    }

    fn main_account(&self) -> BoxFuture<'_, Result<Sid, Unavailable>> {
        Box::pin(async move {
            let main = self.accounts.main_account().await;
            main.map(|main| main.sid).map_err(|error| Unavailable(error.to_string()))
        })
    }
}

//! Durable state on SQLite or PostgreSQL.
//!
//! Reads are SQL with `$n` and [`Value`]s. Writes are [`Batch`] values: all of a
//! batch happens or none of it, many batches share one commit, and
//! [`Store::commit`] returns only when the commit is on disk. A statement may
//! demand that it touched a row; if it did not, the batch fails with
//! [`StoreError::Conflict`] and the caller reloads and decides again. No
//! transaction lives across an `await`.
//!
//! Code that serves an account gets an [`AccountStore`]: its `$1` is always that
//! account, and a statement that does not use it so is refused.
//!
//! Bounds: the writer's queue holds 8,192 batches, a group 512 batches; beyond
//! them [`Store::commit`] waits. Writes of a [`Store::background`] yield to others.

mod account;
pub mod backup;
mod batch;
mod blob;
mod census;
pub mod counter;
mod intake;
mod journal;
mod lease;
mod postgres;
mod schema;
mod seal;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

use std::path::PathBuf;
use std::sync::Arc;

use bus::{Bus, Topic};

pub use account::{AccountBatch, AccountStore};
pub use batch::{Batch, Outcome};
pub use blob::BlobStore;
pub use census::Census;
pub use journal::{Class, Entry, Journal};
pub use lease::Leases;
pub use seal::{Mac, Sealer, UnsealError, Vault};
pub use value::{Row, Value};

/// Why the store did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A conditional write touched no row: reload and decide again.
    #[error("the row changed since it was read")]
    Conflict,
    /// A unique key exists already.
    #[error("duplicate key: {0}")]
    Duplicate(String),
    /// The database cannot be reached or is shutting down; try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A scoped statement that does not bind its account. A bug in the caller.
    #[error("statement is not scoped to an account: {0}")]
    Unscoped(String),
    /// Everything else the driver says. A bug or a damaged database.
    #[error("store: {0}")]
    Failed(String),
}

/// Where the state lives.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file; created when absent.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database`.
    Postgres(String),
}

/// The whole database. Only the binary, the workers and the two tenancy roots
/// (accounts, numbers) hold one; everyone else gets an [`AccountStore`].
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    bus: Bus,
    background: bool,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
    Postgres(Arc<postgres::Postgres>),
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(location: &Location, bus: Bus) -> Result<Self, StoreError> {
        Self::migrate(location).await?;
        Self::attach(location, bus)
    }

    /// Opens a database whose schema is up to date; refuses one whose is not.
    pub async fn open_as_it_is(location: &Location, bus: Bus) -> Result<Self, StoreError> {
        schema::check(&Self::missing(location).await?)?;
        Self::attach(location, bus)
    }

    fn attach(location: &Location, bus: Bus) -> Result<Self, StoreError> {
        let backend = match location {
            Location::Sqlite(path) => Backend::Sqlite(Arc::new(sqlite::Sqlite::open(path)?)),
            Location::Postgres(url) => Backend::Postgres(Arc::new(postgres::Postgres::open(url))),
        };
        Ok(Self { backend, bus, background: false })
    }

    /// Brings the schema of a database up to date, creating it where there is none.
    pub async fn migrate(location: &Location) -> Result<(), StoreError> {
        match location {
            Location::Sqlite(path) => sqlite::migrate(path),
            Location::Postgres(url) => postgres::migrate(url).await,
        }
    }

    /// The migrations that the database has not seen.
    pub async fn missing(location: &Location) -> Result<Vec<String>, StoreError> {
        match location {
            Location::Sqlite(path) => sqlite::missing(path),
            Location::Postgres(url) => postgres::missing(url).await,
        }
    }

    /// The database's time in microseconds, as SQL: what all nodes agree on.
    pub(crate) fn time_sql(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
            Backend::Postgres(_) => {
                "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
            }
        }
    }

    /// What the database's clock says.
    pub async fn time(&self) -> Result<kernel::Timestamp, StoreError> {
        let row = self.point(&format!("SELECT {}", self.time_sql()), vec![]).await?;
        let row = row.ok_or_else(|| StoreError::Failed("the database has no time".into()))?;
        Ok(kernel::Timestamp::from_micros(row.int(0)))
    }

    /// The same store for work nobody waits for: its writes yield to others',
    /// but a share of every commit is theirs.
    pub fn background(&self) -> Self {
        Self { background: true, ..self.clone() }
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }

    /// All rows of a read-only statement.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        match &self.backend {
            Backend::Sqlite(db) => db.query(sql.to_owned(), params).await,
            Backend::Postgres(db) => db.query(sql, &params).await,
        }
    }

    /// At most one row, by primary key or unique index. On SQLite it runs in
    /// place, without a thread change: a page-cache look-up of microseconds.
    pub async fn point(&self, sql: &str, params: Vec<Value>) -> Result<Option<Row>, StoreError> {
        match &self.backend {
            Backend::Sqlite(db) => db.point(sql, &params),
            Backend::Postgres(db) => Ok(db.query(sql, &params).await?.into_iter().next()),
        }
    }

    /// Commits durably: all of `batch` or nothing.
    pub async fn commit(&self, batch: Batch) -> Result<Outcome, StoreError> {
        let (jobs, events) = (batch.has_jobs, batch.has_events);
        let outcome = match &self.backend {
            Backend::Sqlite(db) => db.commit(batch, self.background).await,
            Backend::Postgres(db) => db.commit(batch, self.background).await,
        }?;
        if jobs {
            self.bus.wake(Topic::Jobs);
        }
        if events {
            self.bus.wake(Topic::Events);
        }
        Ok(outcome)
    }

    /// The part of the store that belongs to `account`.
    pub fn account(&self, account: kernel::Sid) -> AccountStore {
        AccountStore::new(self.clone(), account)
    }

    /// The store by account only, for a product that is told which account by a carrier.
    pub fn by_account(&self) -> ByAccount {
        ByAccount(self.clone())
    }

    /// The events of all accounts, for what streams or prunes them.
    pub fn journal(&self) -> Journal {
        Journal::new(self.clone())
    }

    /// The SIDs of all accounts, for what clears the tables of each.
    pub fn census(&self) -> Census {
        Census::new(self.clone())
    }

    pub fn bus(&self) -> &Bus {
        &self.bus
    }
}

/// Opens the store of one account and nothing else: no statement across accounts
/// can be written with it.
#[derive(Clone)]
pub struct ByAccount(Store);

impl ByAccount {
    /// The part of the store that belongs to `account`.
    pub fn account(&self, account: kernel::Sid) -> AccountStore {
        self.0.account(account)
    }
}

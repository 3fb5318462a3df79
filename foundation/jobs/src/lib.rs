//! Durable promises.
//!
//! A job is a row, written in the same batch as the state that needs it
//! ([`add`]). The [`Runner`] claims due jobs in batches and gives each to the
//! [`Worker`] of its queue; the worker's effects and the job's removal are one
//! commit, so an effect on state happens once, whatever else happens twice.
//!
//! A *lane* is what must be in order, or paced. Of the jobs in an ordered lane only
//! the oldest runs; in a paced lane the next starts when the interval that the last
//! one's cost takes is over, whichever node starts it. A paced job that fails goes
//! back to the front of its lane, which waits with it. However many wait in a lane,
//! the runner sees one. A job that keeps failing ends in the table of dead jobs.
//!
//! When there is more to do than can be done, accounts take turns, and none has more than 192 jobs
//! at work on a node: one account's flood does not keep another waiting.
//!
//! Bounds: 256 jobs at once on a node; a job may take 55 seconds; 8 attempts with delays
//! of 1, 5, 25, 125 … seconds, an hour at most, each up to a quarter less so that
//! what failed together does not come back together.

mod lane;
mod runner;
mod traced;

use std::future::Future;
use std::time::Duration;

use clock::Clock;
use kernel::{Sid, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Batch, Store};

pub use lane::{Lane, backlog, waiting};
pub use runner::{BoxFuture, Runner};
pub use store::{AccountBatch, AccountStore};

/// What to do later.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Names the worker.
    pub queue: &'static str,
    pub lane: Option<Lane>,
    /// JSON.
    pub payload: String,
    pub due_at: Timestamp,
    /// A name of the caller's: a waiting job of the same name is not added twice. Not for
    /// jobs in lanes.
    pub id: Option<String>,
}

impl NewJob {
    /// A job for now, without lane.
    pub fn now(queue: &'static str, clock: &Clock, payload: &impl Serialize) -> Self {
        let payload = serde_json::to_string(payload).expect("payloads are plain structs");
        Self { queue, lane: None, payload, due_at: clock.now(), id: None }
    }

    /// One after the other with the others of this lane, oldest first.
    pub fn in_lane(self, name: impl Into<String>) -> Self {
        self.paced(Lane::ordered(name))
    }

    pub fn paced(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.due_at = self.due_at + delay;
        self
    }

    pub fn at(mut self, due_at: Timestamp) -> Self {
        self.due_at = due_at;
        self
    }
}

const INSERT: &str = "INSERT INTO job (account_sid, id, queue, payload, due_at, ready_at,
    leased_until, attempt) VALUES ($1, $2, $3, $4, $5, $5, 0, 0)";

/// Adds a job to the batch of the state that promises it.
///
/// # Panics
/// When a job in a lane has a name of the caller's.
pub fn add(batch: &mut AccountBatch, clock: &Clock, job: NewJob) {
    assert!(job.lane.is_none() || job.id.is_none(), "a job in a lane is ordered by its own id");
    // The id orders a lane; its bits are those of a SID, strictly increasing.
    let own_id = job.id.is_none();
    let id = job.id.unwrap_or_else(|| clock.sid("JB").hex());
    let payload = traced::keep(job.payload);
    match job.lane {
        Some(lane) => lane::enter(batch, &lane, &id, job.queue, &payload, job.due_at),
        None => {
            let params = vec![id.into(), job.queue.into(), payload.into(), job.due_at.into()];
            match own_id {
                true => batch.append(INSERT, params),
                // One of this name may end in the same batch.
                false => batch.run(format!("{INSERT} ON CONFLICT (id) DO NOTHING"), params),
            };
        }
    }
    batch.wakes_jobs();
}

/// A dead job becomes a fresh one, for now and outside of its lane. The commit conflicts when
/// there is no dead job of this id.
pub fn replay(id: &str, now: Timestamp) -> Batch {
    let mut batch = Batch::new();
    batch.must(
        "INSERT INTO job (id, account_sid, queue, payload, due_at, ready_at, leased_until, attempt)
         SELECT id, account_sid, queue, payload, CAST($2 AS BIGINT), CAST($2 AS BIGINT), 0, 0
         FROM dead_job WHERE id = $1",
        vec![id.into(), now.into()],
    );
    batch.run("DELETE FROM dead_job WHERE id = $1", vec![id.into()]);
    batch.wakes_jobs();
    batch
}

/// Lets a carrier promise, which has no batch of its own.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    clock: Clock,
}

impl Queue {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Commits the promise before it returns.
    pub async fn add(&self, account: Sid, job: NewJob) -> Result<(), Unavailable> {
        let store = self.store.account(account);
        let mut batch = store.batch();
        add(&mut batch, &self.clock, job);
        store.commit(batch).await.map(|_| ()).map_err(|error| Unavailable(error.to_string()))
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// The promise could not be written; nothing was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub account: Sid,
    pub queue: String,
    pub lane: Option<String>,
    /// What it takes of its lane's pace; 0 where the lane has none.
    pub cost: u32,
    pub payload: String,
    /// 1 for the first.
    pub attempt: u32,
    /// When it could start.
    pub ready_at: Timestamp,
}

impl Job {
    /// The payload as the type that was put in.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.payload).map_err(|error| Failure::Hopeless(error.to_string()))
    }
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Try again after the usual delay.
    Retry(String),
    /// Try again at this time; does not count as an attempt.
    Later(Timestamp),
    /// Only the node that has this lease can do it; does not count as an attempt.
    Elsewhere(String),
    /// Another attempt cannot help: to the dead jobs.
    Hopeless(String),
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// Does the jobs of one queue.
pub trait Worker: Send + Sync + 'static {
    const QUEUE: &'static str;

    /// Does `job` and returns what to commit together with its removal.
    fn run(
        &self,
        job: &Job,
        store: &AccountStore,
    ) -> impl Future<Output = Result<AccountBatch, Failure>> + Send;

    /// What is committed together with the burial of a job that has failed for good: who waits for
    /// it hears of it.
    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch {
        let _ = job;
        store.batch()
    }
}

//! Claims due jobs and has them done.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bus::Topic;
use clock::Clock;
use futures_util::FutureExt;
use kernel::{Sid, Timestamp};
use serde_json::{Value, json};
use store::{AccountBatch, AccountStore, Batch, Leases, Store, StoreError};
use telemetry::trace::{self, Kind};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Failure, Job, Worker, lane, traced};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Jobs at work at one time.
const AT_ONCE: usize = 256;
/// Jobs of one account at work here at one time: there is always room for others'.
const AT_ONCE_OF_ACCOUNT: usize = 192;
/// Jobs of one claim that asks for no account in particular.
const CLAIM: usize = 64;
/// Accounts that take turns in one claim.
const TURNS: usize = 32;
/// How long a dead node keeps its jobs from the others.
const LEASE: Duration = Duration::from_secs(15);
/// How often the leases of jobs at work are renewed.
const RENEWAL: Duration = Duration::from_secs(5);
const JOB_TIME_MAX: Duration = Duration::from_secs(55);
const ATTEMPTS_MAX: u32 = 8;
/// When there is more to do than can be done: how long room is gathered for a claim, which looks at
/// all that is at work.
const GATHER: Duration = Duration::from_millis(5);
/// How long a missed wake-up may delay work.
const POLL: Duration = Duration::from_secs(1);

/// Until the next attempt of a job that has failed: 1, 5, 25 … seconds, an hour at most, less up
/// to a quarter that its id decides. What failed together does not come back together.
fn delay(job: &Job) -> Duration {
    let most = 5u64.saturating_pow(job.attempt.saturating_sub(1)).min(3600) * 1000;
    let tail = job.id.get(job.id.len().saturating_sub(4)..).unwrap_or_default();
    let share = u64::from_str_radix(tail, 16).unwrap_or(0) % 1000;
    Duration::from_millis(most - most * share / 4000)
}

/// A worker whatever its type.
trait AnyWorker: Send + Sync {
    fn run<'a>(
        &'a self,
        job: &'a Job,
        store: &'a AccountStore,
    ) -> BoxFuture<'a, Result<AccountBatch, Failure>>;

    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch;
}

impl<W: Worker> AnyWorker for W {
    fn run<'a>(
        &'a self,
        job: &'a Job,
        store: &'a AccountStore,
    ) -> BoxFuture<'a, Result<AccountBatch, Failure>> {
        Box::pin(Worker::run(self, job, store))
    }

    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch {
        Worker::give_up(self, job, store)
    }
}

/// The loop that keeps every promise.
pub struct Runner {
    store: Store,
    clock: Clock,
    workers: HashMap<&'static str, Arc<dyn AnyWorker>>,
    /// Who may do what only one node can; without it there is one node.
    leases: Option<Leases>,
    /// The jobs at work here, and whose they are.
    at_work: Mutex<HashMap<String, Sid>>,
    /// The account that had the last turn.
    turn: Mutex<String>,
}

impl Runner {
    pub fn new(store: Store, clock: Clock) -> Self {
        let (workers, at_work) = (HashMap::new(), Mutex::default());
        Self { store, clock, workers, leases: None, at_work, turn: Mutex::default() }
    }

    /// One of several nodes.
    pub fn among(mut self, leases: Leases) -> Self {
        self.leases = Some(leases);
        self
    }

    /// # Panics
    /// When two workers claim one queue.
    pub fn with<W: Worker>(mut self, worker: Arc<W>) -> Self {
        let queue = W::QUEUE;
        assert!(self.workers.insert(queue, worker).is_none(), "two workers for {queue}");
        self
    }

    /// The queues that have a worker.
    pub fn queues(&self) -> Vec<&'static str> {
        self.workers.keys().copied().collect()
    }

    /// Frees what a former process of the only node had claimed. Not for clusters.
    pub async fn release_leases(&self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.run("UPDATE job SET leased_until = 0 WHERE leased_until > 0", vec![]);
        self.store.commit(batch).await.map(|_| ())
    }

    /// Runs until `stop` turns true, then lets the jobs at work finish.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut at_work = JoinSet::new();
        let mut wakes = self.store.bus().wakes(Topic::Jobs);
        let mut moves = self.clock.moves();
        let mut renewal = tokio::time::interval(RENEWAL);
        // More to do than can be done: accounts take turns.
        let mut crowded = false;
        while !*stop.borrow() {
            wakes.mark_unchanged();
            moves.mark_unchanged();
            if crowded && room.available_permits() < CLAIM {
                tokio::time::sleep(GATHER).await;
            }
            while at_work.try_join_next().is_some() {}
            let free = room.available_permits();
            let full = self.full_accounts();
            crowded |= !full.is_empty();
            let limit = if crowded { free } else { free.min(CLAIM) };
            let jobs = match (limit, crowded) {
                (0, _) => Vec::new(),
                (_, false) => self.claim(limit).await,
                (_, true) => self.claim_in_turn(limit, &full).await,
            };
            let claimed = jobs.len();
            crowded = claimed == limit || !full.is_empty();
            self.start_paced(&jobs).await;
            for job in jobs {
                let permit = room.clone().acquire_owned().await.expect("the room is never closed");
                let runner = self.clone();
                self.mine().insert(job.id.clone(), job.account);
                at_work.spawn(async move {
                    let id = job.id.clone();
                    runner.perform(job).await;
                    runner.mine().remove(&id);
                    drop(permit);
                });
            }
            if claimed > 0 && crowded && claimed < free {
                continue;
            }
            // Whoever is full is not waited for: the end of a job of theirs wakes.
            let nap = if free == 0 || crowded { POLL } else { self.time_to_next().await };
            tokio::select! {
                _ = stop.changed() => {}
                _ = wakes.changed() => {}
                _ = moves.changed() => {}
                _ = at_work.join_next(), if !at_work.is_empty() => {}
                _ = renewal.tick() => self.renew_leases().await,
                () = tokio::time::sleep(nap) => {}
            }
        }
        while at_work.join_next().await.is_some() {}
    }

    fn mine(&self) -> MutexGuard<'_, HashMap<String, Sid>> {
        self.at_work.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// How many jobs of each account are at work here.
    fn at_work_of(&self) -> HashMap<Sid, usize> {
        let mut counts = HashMap::new();
        for account in self.mine().values() {
            *counts.entry(*account).or_default() += 1;
        }
        counts
    }

    /// Accounts that have as much at work here as one may have.
    fn full_accounts(&self) -> Vec<Sid> {
        if self.mine().len() < AT_ONCE_OF_ACCOUNT {
            return Vec::new();
        }
        let counts = self.at_work_of().into_iter();
        let full = counts.filter(|(_, count)| *count >= AT_ONCE_OF_ACCOUNT);
        full.map(|(account, _)| account).collect()
    }

    fn node(&self) -> &str {
        self.leases.as_ref().map_or("", Leases::node)
    }

    /// Keeps the jobs at work here from other nodes.
    async fn renew_leases(&self) {
        let mut ids: Vec<String> = self.mine().keys().cloned().collect();
        ids.sort();
        if ids.is_empty() {
            return;
        }
        let until = self.clock.wall() + LEASE;
        let mut batch = Batch::new();
        for id in ids {
            batch.run(
                "UPDATE job SET leased_until = $1 WHERE id = $2 AND leased_until > 0",
                vec![until.into(), id.into()],
            );
        }
        if let Err(error) = self.store.commit(batch).await {
            tracing::error!(%error, "leases could not be renewed");
        }
    }

    /// Lets the next of each paced lane have its time, now that these have started.
    async fn start_paced(&self, jobs: &[Job]) {
        let mut batch = Batch::new();
        let now = self.clock.now();
        for job in jobs.iter().filter(|job| job.cost > 0) {
            lane::leave(&mut batch, job, now);
        }
        if batch.is_empty() {
            return;
        }
        // If it is not written, the end of the job does it.
        if let Err(error) = self.store.commit(batch).await {
            tracing::error!(%error, "paced lanes could not go on");
        }
    }

    /// Takes jobs that are ready, the oldest first; of each lane that is one.
    async fn claim(&self, limit: usize) -> Vec<Job> {
        let mut batch = Batch::new();
        self.claim_where("", limit, vec![], &mut batch);
        self.take(batch).await
    }

    /// Takes jobs of each account in turn, so that none waits for the flood of another.
    async fn claim_in_turn(&self, limit: usize, full: &[Sid]) -> Vec<Job> {
        let accounts = match self.accounts_with_work(full).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::error!(%error, "jobs could not be looked for");
                return Vec::new();
            }
        };
        let turns = accounts.len().min(limit);
        let at_work = self.at_work_of();
        let mut batch = Batch::new();
        for account in &accounts[..turns] {
            let mine = at_work.get(account).copied().unwrap_or(0);
            let share = (limit / turns).min(AT_ONCE_OF_ACCOUNT.saturating_sub(mine));
            let whose = vec![(*account).into()];
            self.claim_where("account_sid = $6 AND", share, whose, &mut batch);
        }
        // What one leaves of its share the others may take in the next claim.
        if let Some(last) = accounts[..turns].last() {
            *self.turn.lock().unwrap_or_else(|poison| poison.into_inner()) = last.to_string();
        }
        self.take(batch).await
    }

    /// Accounts with a job that could start, after the one that had the last turn, around.
    async fn accounts_with_work(&self, full: &[Sid]) -> Result<Vec<Sid>, StoreError> {
        let turn = self.turn.lock().unwrap_or_else(|poison| poison.into_inner()).clone();
        // From one account to the next in the index, whatever waits of each.
        let sql = "WITH RECURSIVE walk (account, steps) AS (
                SELECT (SELECT MIN(account_sid) FROM job
                        WHERE account_sid > $1 AND ready_at IS NOT NULL), 1
                UNION ALL
                SELECT (SELECT MIN(account_sid) FROM job
                        WHERE account_sid > walk.account AND ready_at IS NOT NULL), steps + 1
                FROM walk WHERE walk.account IS NOT NULL AND steps < 10000)
             SELECT account FROM walk WHERE account IS NOT NULL AND EXISTS (
                SELECT 1 FROM job WHERE account_sid = walk.account AND ready_at <= $2
                AND leased_until <= $3 AND (node IS NULL OR node = $4)) LIMIT $5";
        let mut found: Vec<Sid> = Vec::new();
        for (after, until) in [(turn.as_str(), None), ("", Some(turn.as_str()))] {
            let params = vec![
                after.into(),
                self.clock.now().into(),
                self.clock.wall().into(),
                self.node().into(),
                i64::try_from(TURNS + full.len()).unwrap_or(i64::MAX).into(),
            ];
            for row in self.store.query(sql, params).await? {
                let is_over = until.is_some_and(|until| row.text(0) > until);
                let account = row.sid(0);
                if !is_over && !full.contains(&account) && found.len() < TURNS {
                    found.push(account);
                }
            }
        }
        Ok(found)
    }

    fn claim_where(&self, whose: &str, limit: usize, more: Vec<store::Value>, batch: &mut Batch) {
        let lock = if self.store.kind() == "postgres" { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "UPDATE job SET leased_until = $1, attempt = attempt + 1 WHERE id IN (
                 SELECT id FROM job WHERE {whose} ready_at <= $2 AND leased_until <= $3
                 AND (node IS NULL OR node = $5)
                 ORDER BY ready_at, id LIMIT $4 {lock})
             RETURNING id, account_sid, queue, lane, payload, attempt, cost, ready_at"
        );
        let wall = self.clock.wall();
        let mut params = vec![
            (wall + LEASE).into(),
            self.clock.now().into(),
            wall.into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
            self.node().into(),
        ];
        params.extend(more);
        batch.returning(sql, params);
    }

    async fn take(&self, batch: Batch) -> Vec<Job> {
        let rows = match self.store.commit(batch).await {
            Ok(outcome) => outcome.rows,
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                return Vec::new();
            }
        };
        let job = |row: &store::Row| Job {
            id: row.text(0).to_owned(),
            account: row.sid(1),
            queue: row.text(2).to_owned(),
            lane: row.opt_text(3).map(str::to_owned),
            payload: row.text(4).to_owned(),
            attempt: u32::try_from(row.int(5)).unwrap_or(u32::MAX),
            cost: u32::try_from(row.int(6)).unwrap_or(0),
            ready_at: row.time(7),
        };
        rows.iter().flatten().map(job).collect()
    }

    /// How long until the next job is due; a poll at most.
    async fn time_to_next(&self) -> Duration {
        // In index order: the first free job is found at once, however many wait.
        let sql = "SELECT ready_at FROM job WHERE ready_at IS NOT NULL AND leased_until <= $1
                   AND (node IS NULL OR node = $2) ORDER BY ready_at, id LIMIT 1";
        let params = vec![self.clock.wall().into(), self.node().into()];
        match self.store.point(sql, params).await {
            Ok(Some(row)) => {
                row.opt_time(0).map_or(POLL, |due| due.since(self.clock.now()).min(POLL))
            }
            _ => POLL,
        }
    }

    async fn perform(&self, mut job: Job) {
        let kept = traced::take(&mut job.payload);
        let span = trace::resume("job", Kind::Consumer, kept.as_deref());
        span.say("offhook.queue", &job.queue);
        span.say("offhook.attempt", job.attempt);
        let store = self.store.account(job.account);
        let Some(worker) = self.workers.get(job.queue.as_str()) else {
            self.bury(&job, &format!("no worker for queue {}", job.queue)).await;
            return;
        };
        let work = AssertUnwindSafe(span.run(worker.run(&job, &store))).catch_unwind();
        let outcome = match tokio::time::timeout(JOB_TIME_MAX, work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::Retry("the worker panicked".into())),
            Err(_) => Err(Failure::Retry("the job took too long".into())),
        };
        let outcome = match outcome {
            Ok(batch) => self.finish(&job, batch).await,
            Err(failure) => Err(failure),
        };
        // Why is in the log and with the dead jobs: it may name a number.
        match &outcome {
            Err(Failure::Retry(_)) => span.fail("to be tried again"),
            Err(Failure::Hopeless(_)) => span.fail("given up"),
            _ => {}
        }
        match outcome {
            Ok(()) => {}
            Err(Failure::Elsewhere(lease)) => self.hand_over(&job, &lease).await,
            Err(Failure::Later(at)) => self.postpone(&job, at, None).await,
            Err(Failure::Hopeless(why)) => self.bury(&job, &why).await,
            Err(Failure::Retry(why)) if job.attempt >= ATTEMPTS_MAX => self.bury(&job, &why).await,
            Err(Failure::Retry(why)) => {
                let at = self.clock.now() + delay(&job);
                self.postpone(&job, at, Some(&why)).await;
            }
        }
    }

    /// The job's effects and its removal, in one commit.
    async fn finish(&self, job: &Job, effects: AccountBatch) -> Result<(), Failure> {
        let mut batch = Batch::new();
        batch.must("DELETE FROM job WHERE id = $1", vec![job.id.as_str().into()]);
        lane::leave(&mut batch, job, self.clock.now());
        batch.extend(effects.into_batch()?);
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            // State moved under the worker, or another node had done the job: decide again.
            Err(StoreError::Conflict) => Err(Failure::Later(self.clock.now())),
            Err(error) => Err(error.into()),
        }
    }

    async fn postpone(&self, job: &Job, at: Timestamp, why: Option<&str>) {
        let counted = i64::from(why.is_some());
        // What is only decided again takes no second place in a paced lane.
        let rejoins = job.cost > 0 && at > self.clock.now();
        let ready_at = (!rejoins).then_some(at);
        let mut batch = Batch::new();
        batch.run(
            "UPDATE job SET due_at = $2, ready_at = $5, leased_until = 0, last_error = $3,
             node = NULL, attempt = attempt - 1 + $4 WHERE id = $1",
            vec![job.id.as_str().into(), at.into(), why.into(), counted.into(), ready_at.into()],
        );
        if rejoins {
            lane::rejoin(&mut batch, job);
        }
        batch.wakes_jobs();
        if let Some(why) = why
            && let Ok(told) = self.told(job, "job.failed", why).into_batch()
        {
            batch.extend(told);
        }
        if let Err(error) = self.store.commit(batch).await {
            // Its lease runs out and it is claimed again.
            tracing::error!(job = %job.id, %error, "a job could not be postponed");
        }
    }

    /// To the node that has the lease; when none has it, to whoever looks next.
    async fn hand_over(&self, job: &Job, lease: &str) {
        let owner = match &self.leases {
            Some(leases) => leases.owner(lease).await.unwrap_or(None),
            None => None,
        };
        let Some(owner) = owner.filter(|owner| *owner != self.node()) else {
            let at = self.clock.now() + POLL;
            return self.postpone(job, at, None).await;
        };
        let mut batch = Batch::new();
        batch.run(
            "UPDATE job SET node = $2, leased_until = 0, attempt = attempt - 1 WHERE id = $1",
            vec![job.id.as_str().into(), owner.into()],
        );
        batch.wakes_jobs();
        if let Err(error) = self.store.commit(batch).await {
            tracing::error!(job = %job.id, %error, "a job could not be handed over");
        }
    }

    /// An attempt has failed: told of what the job is about, where it names that.
    fn told(&self, job: &Job, kind: &str, why: &str) -> AccountBatch {
        let about: Value = serde_json::from_str(&job.payload).unwrap_or_default();
        let sid = about["sid"].as_str().unwrap_or(&job.id);
        let body = json!({"queue": job.queue, "attempt": job.attempt, "job": job.id,
            "last_error": why});
        let mut batch = self.store.account(job.account).batch();
        batch.event(kind, sid, self.clock.now(), body.to_string());
        batch
    }

    async fn bury(&self, job: &Job, why: &str) {
        tracing::error!(job = %job.id, queue = %job.queue, %why, "a job is dead");
        let store = self.store.account(job.account);
        let worker = self.workers.get(job.queue.as_str());
        let mut batch = worker.map_or_else(|| store.batch(), |worker| worker.give_up(job, &store));
        let now = self.clock.now();
        batch.run(
            "INSERT INTO dead_job (account_sid, id, queue, lane, payload, attempt, last_error,
             died_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                job.id.as_str().into(),
                job.queue.as_str().into(),
                job.lane.clone().into(),
                job.payload.as_str().into(),
                job.attempt.into(),
                why.into(),
                now.into(),
            ],
        );
        batch.must(
            "DELETE FROM job WHERE account_sid = $1 AND id = $2",
            vec![job.id.as_str().into()],
        );
        let told = self.told(job, "job.dead", why);
        let whole = batch.into_batch().and_then(|batch| {
            let mut whole = Batch::new();
            whole.extend(batch);
            whole.extend(told.into_batch()?);
            lane::leave(&mut whole, job, now);
            Ok(whole)
        });
        let buried = match whole {
            Ok(whole) => self.store.commit(whole).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = buried {
            tracing::error!(job = %job.id, %error, "a dead job could not be buried");
        }
    }
}

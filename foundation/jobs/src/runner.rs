//! Claims due jobs and has them done.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bus::Topic;
use clock::Clock;
use futures_util::FutureExt;
use kernel::Timestamp;
use store::{AccountBatch, AccountStore, Batch, Store, StoreError};
use telemetry::trace::{self, Kind};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Failure, Job, Worker, lane, traced};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Jobs at work at one time.
const AT_ONCE: usize = 256;
/// How long a dead node keeps its jobs from the others.
const LEASE: Duration = Duration::from_secs(15);
/// How often the leases of jobs at work are renewed.
const RENEWAL: Duration = Duration::from_secs(5);
const JOB_TIME_MAX: Duration = Duration::from_secs(55);
const ATTEMPTS_MAX: u32 = 8;
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
}

impl<W: Worker> AnyWorker for W {
    fn run<'a>(
        &'a self,
        job: &'a Job,
        store: &'a AccountStore,
    ) -> BoxFuture<'a, Result<AccountBatch, Failure>> {
        Box::pin(Worker::run(self, job, store))
    }
}

/// The loop that keeps every promise.
pub struct Runner {
    store: Store,
    clock: Clock,
    workers: HashMap<&'static str, Arc<dyn AnyWorker>>,
    /// Ids of the jobs at work here.
    at_work: Mutex<HashSet<String>>,
}

impl Runner {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, workers: HashMap::new(), at_work: Mutex::default() }
    }

    /// # Panics
    /// When two workers claim one queue.
    pub fn with<W: Worker>(mut self, worker: Arc<W>) -> Self {
        let queue = W::QUEUE;
        assert!(self.workers.insert(queue, worker).is_none(), "two workers for {queue}");
        self
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
        while !*stop.borrow() {
            wakes.mark_unchanged();
            moves.mark_unchanged();
            while at_work.try_join_next().is_some() {}
            let free = room.available_permits();
            let jobs = if free == 0 { Vec::new() } else { self.claim(free).await };
            let claimed = jobs.len();
            self.start_paced(&jobs).await;
            for job in jobs {
                let permit = room.clone().acquire_owned().await.expect("the room is never closed");
                let runner = self.clone();
                at_work.spawn(async move {
                    let id = job.id.clone();
                    runner.ids().insert(id.clone());
                    runner.perform(job).await;
                    runner.ids().remove(&id);
                    drop(permit);
                });
            }
            if claimed > 0 && claimed == free {
                continue;
            }
            let nap = self.time_to_next().await;
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

    fn ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.at_work.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Keeps the jobs at work here from other nodes.
    async fn renew_leases(&self) {
        let ids: Vec<String> = self.ids().iter().cloned().collect();
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

    /// Takes jobs that are ready; of each lane that is one.
    async fn claim(&self, limit: usize) -> Vec<Job> {
        let lock = if self.store.kind() == "postgres" { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "UPDATE job SET leased_until = $1, attempt = attempt + 1 WHERE id IN (
                 SELECT id FROM job WHERE ready_at <= $2 AND leased_until <= $3
                 ORDER BY ready_at, id LIMIT $4 {lock})
             RETURNING id, account_sid, queue, lane, payload, attempt, cost, ready_at"
        );
        let wall = self.clock.wall();
        let mut batch = Batch::new();
        batch.returning(
            sql,
            vec![
                (wall + LEASE).into(),
                self.clock.now().into(),
                wall.into(),
                i64::try_from(limit).unwrap_or(i64::MAX).into(),
            ],
        );
        match self.store.commit(batch).await {
            Ok(outcome) => outcome.rows[0]
                .iter()
                .map(|row| Job {
                    id: row.text(0).to_owned(),
                    account: row.sid(1),
                    queue: row.text(2).to_owned(),
                    lane: row.opt_text(3).map(str::to_owned),
                    payload: row.text(4).to_owned(),
                    attempt: u32::try_from(row.int(5)).unwrap_or(u32::MAX),
                    cost: u32::try_from(row.int(6)).unwrap_or(0),
                    ready_at: row.time(7),
                })
                .collect(),
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                Vec::new()
            }
        }
    }

    /// How long until the next job is due; a poll at most.
    async fn time_to_next(&self) -> Duration {
        // In index order: the first free job is found at once, however many wait.
        let sql = "SELECT ready_at FROM job WHERE ready_at IS NOT NULL AND leased_until <= $1
                   ORDER BY ready_at, id LIMIT 1";
        match self.store.point(sql, vec![self.clock.wall().into()]).await {
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
             attempt = attempt - 1 + $4 WHERE id = $1",
            vec![job.id.as_str().into(), at.into(), why.into(), counted.into(), ready_at.into()],
        );
        if rejoins {
            lane::rejoin(&mut batch, job);
        }
        batch.wakes_jobs();
        if let Err(error) = self.store.commit(batch).await {
            // Its lease runs out and it is claimed again.
            tracing::error!(job = %job.id, %error, "a job could not be postponed");
        }
    }

    async fn bury(&self, job: &Job, why: &str) {
        tracing::error!(job = %job.id, queue = %job.queue, %why, "a job is dead");
        let store = self.store.account(job.account);
        let mut batch = store.batch();
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
        batch.event("job.dead", &job.id, now, format!("{{\"queue\":\"{}\"}}", job.queue));
        let whole = batch.into_batch().map(|batch| {
            let mut whole = Batch::new();
            whole.extend(batch);
            lane::leave(&mut whole, job, now);
            whole
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

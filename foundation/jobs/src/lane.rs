//! Lanes: who is next, and when.
//!
//! Of an ordered lane only the first job is ready. A paced lane has a row too, which says when the
//! next may start. Every change of a lane says which one ([`shares`](Batch::shares)), so that two
//! nodes that change one lane do it one after the other, and nodes that change several never wait
//! for each other in a circle.

use std::time::Duration;

use kernel::{Sid, Timestamp};
use store::{AccountBatch, AccountStore, Batch, StoreError};

use crate::Job;

/// How late a paced job may start without the next one waiting longer for it: what a busy
/// machine takes, so that the pace holds; never a pause that is made up for in a burst.
const SLACK: Duration = Duration::from_secs(1);

/// What lanes are called where rows are shared among nodes.
const LANE: &str = "lane";

/// Where a job queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    name: String,
    /// Time that one unit of cost takes; zero: the lane is ordered, not paced.
    interval: Duration,
    /// What the job takes of the pace, in units; 0 in an ordered lane.
    cost: u32,
}

impl Lane {
    /// The next job starts when this one has ended.
    pub fn ordered(name: impl Into<String>) -> Self {
        Self { name: name.into(), interval: Duration::ZERO, cost: 0 }
    }

    /// The next job starts `cost` intervals after this one has started.
    ///
    /// # Panics
    /// When the interval is less than a microsecond, or the cost zero.
    pub fn paced(name: impl Into<String>, interval: Duration, cost: u32) -> Self {
        assert!(interval.as_micros() > 0 && cost > 0, "a pace needs an interval and a cost");
        Self { name: name.into(), interval, cost }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How long what waits in a lane of this account will take to start.
pub async fn backlog(store: &AccountStore, lane: &str) -> Result<Duration, StoreError> {
    let sql = "SELECT cost * interval_us FROM lane WHERE account_sid = $1 AND name = $2";
    let row = store.point(sql, vec![lane.into()]).await?;
    Ok(Duration::from_micros(row.map_or(0, |row| u64::try_from(row.int(0)).unwrap_or(0))))
}

/// How many jobs wait behind the first of a lane of this account.
pub async fn waiting(store: &AccountStore, lane: &str) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM job WHERE account_sid = $1 AND lane = $2 AND ready_at IS NULL";
    Ok(store.point(sql, vec![lane.into()]).await?.map_or(0, |row| row.int(0)))
}

/// Adds a job at the end of its lane: ready if nobody is before it.
pub(crate) fn enter(
    batch: &mut AccountBatch,
    lane: &Lane,
    id: &str,
    queue: &str,
    payload: &str,
    due_at: Timestamp,
) {
    let name = lane.name.as_str();
    batch.shares(LANE, name);
    if lane.cost == 0 {
        batch.run(
            "INSERT INTO job (account_sid, id, queue, lane, payload, due_at, cost, leased_until,
             attempt, ready_at) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0,
             CASE WHEN EXISTS (SELECT 1 FROM job WHERE account_sid = $1 AND lane = $4)
             THEN NULL ELSE CAST($6 AS BIGINT) END)",
            vec![id.into(), queue.into(), name.into(), payload.into(), due_at.into()],
        );
        return;
    }
    let interval = i64::try_from(lane.interval.as_micros()).unwrap_or(i64::MAX);
    batch.run(
        "INSERT INTO lane (account_sid, name, head, cost, free_at, interval_us)
         VALUES ($1, $2, NULL, $3, 0, $4) ON CONFLICT (account_sid, name)
         DO UPDATE SET cost = lane.cost + excluded.cost, interval_us = excluded.interval_us",
        vec![name.into(), lane.cost.into(), interval.into()],
    );
    batch.run(
        "INSERT INTO job (account_sid, id, queue, lane, payload, due_at, cost, leased_until,
         attempt, ready_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0,
         (SELECT CASE WHEN head IS NOT NULL THEN NULL WHEN free_at > $6 THEN free_at ELSE $6 END
          FROM lane WHERE account_sid = $1 AND name = $4))",
        vec![id.into(), queue.into(), name.into(), payload.into(), due_at.into(), lane.cost.into()],
    );
    batch.run(
        "UPDATE lane SET head = $3 WHERE account_sid = $1 AND name = $2 AND head IS NULL",
        vec![name.into(), id.into()],
    );
}

/// Lets the next in the lane be ready when its time comes; nothing if another job is at its head.
/// Of an ordered lane the job itself has been deleted before, in the same batch.
pub(crate) fn leave(batch: &mut Batch, job: &Job, now: Timestamp) {
    let Some(lane) = &job.lane else { return };
    batch.shares((job.account, LANE, lane.as_str()));
    if job.cost == 0 {
        batch.run(
            "UPDATE job SET ready_at = due_at WHERE ready_at IS NULL AND id =
             (SELECT id FROM job WHERE account_sid = $1 AND lane = $2 ORDER BY id LIMIT 1)",
            vec![job.account.into(), lane.as_str().into()],
        );
        return;
    }
    let started = job.ready_at.max(now - SLACK);
    batch.run(
        "UPDATE lane SET cost = cost - $4, free_at = $5 + $4 * interval_us,
         head = (SELECT MIN(id) FROM job WHERE account_sid = $1 AND lane = $2
                 AND ready_at IS NULL)
         WHERE account_sid = $1 AND name = $2 AND head = $3",
        vec![
            job.account.into(),
            lane.as_str().into(),
            job.id.as_str().into(),
            job.cost.into(),
            started.into(),
        ],
    );
    make_ready(batch, job.account, lane);
}

/// Gives the head of a paced lane its time.
fn make_ready(batch: &mut Batch, account: Sid, lane: &str) {
    batch.run(
        "UPDATE job SET ready_at = (SELECT CASE WHEN lane.free_at > job.due_at THEN lane.free_at
         ELSE job.due_at END FROM lane WHERE account_sid = $1 AND name = $2)
         WHERE ready_at IS NULL
         AND id = (SELECT head FROM lane WHERE account_sid = $1 AND name = $2)",
        vec![account.into(), lane.into()],
    );
}

/// Puts a paced job that has failed back to the front of its lane.
pub(crate) fn rejoin(batch: &mut Batch, job: &Job) {
    let Some(lane) = &job.lane else { return };
    let key = || vec![job.account.into(), lane.as_str().into()];
    let mut params = key();
    params.push(job.cost.into());
    batch.shares((job.account, LANE, lane.as_str()));
    batch.run("UPDATE lane SET cost = cost + $3 WHERE account_sid = $1 AND name = $2", params);
    batch.run(
        "UPDATE lane SET head = (SELECT MIN(id) FROM job WHERE account_sid = $1 AND lane = $2
         AND ready_at IS NULL) WHERE account_sid = $1 AND name = $2 AND head IS NULL",
        key(),
    );
    make_ready(batch, job.account, lane);
}

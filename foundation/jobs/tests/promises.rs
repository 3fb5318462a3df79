//! Goal: every job is kept, in lane order, its effect once. Method: a worker that
//! writes what it did into the store, on every database at hand, on virtual time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Clock;
use jobs::{Failure, Job, Lane, NewJob, Runner, Worker};
use kernel::Sid;
use store::testing::databases;
use store::{AccountBatch, AccountStore, Store};
use tokio::sync::watch;

const ALICE: Sid = Sid::from_parts("AC", 1);

/// Notes each payload as an event; fails as the payload says.
struct Scribe {
    clock: Clock,
    runs: AtomicU32,
    seen: Mutex<Vec<String>>,
}

impl Worker for Scribe {
    const QUEUE: &'static str = "scribe";

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let text: String = job.read()?;
        match text.as_str() {
            "hopeless" => return Err(Failure::Hopeless("as asked".into())),
            "panic" if job.attempt == 1 => panic!("as asked"),
            "twice" if job.attempt == 1 => return Err(Failure::Retry("as asked".into())),
            _ => {}
        }
        self.seen.lock().unwrap().push(text.clone());
        let mut batch = store.batch();
        batch.event("done", &text, self.clock.now(), "{}".into());
        Ok(batch)
    }
}

struct Bench {
    store: Store,
    clock: Clock,
    scribe: Arc<Scribe>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn start(store: &Store) -> Bench {
    let clock = Clock::movable();
    let scribe =
        Arc::new(Scribe { clock: clock.clone(), runs: AtomicU32::new(0), seen: Mutex::default() });
    let runner = Arc::new(Runner::new(store.clone(), clock.clone()).with(scribe.clone()));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(runner.run(stopped));
    Bench { store: store.clone(), clock, scribe, stop, task }
}

impl Bench {
    async fn add(&self, jobs: Vec<NewJob>) {
        let store = self.store.account(ALICE);
        let mut batch = store.batch();
        for job in jobs {
            jobs::add(&mut batch, &self.clock, job);
        }
        store.commit(batch).await.unwrap();
    }

    fn job(&self, text: &str) -> NewJob {
        NewJob::now("scribe", &self.clock, &text)
    }

    /// Waits until a count of rows is as wanted; each wait is a wake-up, not a guess.
    async fn until(&self, sql: &str, wanted: i64) {
        for _ in 0..2_000 {
            let row = self.store.point(sql, vec![]).await.unwrap().unwrap();
            if row.int(0) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{sql} never became {wanted}");
    }

    async fn finish(self) -> Vec<String> {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
        Arc::into_inner(self.scribe).unwrap().seen.into_inner().unwrap()
    }
}

const JOBS: &str = "SELECT count(*) FROM job";
const EVENTS: &str = "SELECT count(*) FROM event WHERE kind = 'done'";

#[tokio::test]
async fn due_jobs_run_and_leave_their_effect() {
    for db in databases().await {
        let bench = start(&db.store);
        bench.add((0..600).map(|n| bench.job(&n.to_string())).collect()).await;
        bench.until(JOBS, 0).await;
        bench.until(EVENTS, 600).await;
        assert_eq!(bench.finish().await.len(), 600);
    }
}

#[tokio::test]
async fn a_lane_keeps_its_order() {
    for db in databases().await {
        let bench = start(&db.store);
        let jobs = (0..40).map(|n| bench.job(&format!("{n:02}")).in_lane("one")).collect();
        bench.add(jobs).await;
        bench.until(JOBS, 0).await;
        let seen = bench.finish().await;
        assert!(seen.is_sorted() && seen.len() == 40, "{seen:?}");
    }
}

#[tokio::test]
async fn a_job_in_the_future_runs_when_the_clock_gets_there() {
    for db in databases().await {
        let bench = start(&db.store);
        bench
            .add(vec![bench.job("later").after(Duration::from_secs(25 * 3600)), bench.job("now")])
            .await;
        bench.until(JOBS, 1).await;
        bench.clock.advance(Duration::from_secs(25 * 3600)).unwrap();
        bench.until(JOBS, 0).await;
        assert_eq!(bench.finish().await, ["now", "later"]);
    }
}

#[tokio::test]
async fn failures_are_tried_again_and_hopeless_ones_buried() {
    for db in databases().await {
        let bench = start(&db.store);
        bench.add(vec![bench.job("twice"), bench.job("panic"), bench.job("hopeless")]).await;
        bench.until("SELECT count(*) FROM dead_job", 1).await;
        bench.until("SELECT count(*) FROM job WHERE last_error IS NOT NULL", 2).await;
        bench.clock.advance(Duration::from_secs(2)).unwrap();
        bench.until(JOBS, 0).await;
        let mut seen = bench.finish().await;
        seen.sort();
        assert_eq!(seen, ["panic", "twice"]);
    }
}

/// Starts are noted with the clock's time; the clock moves only as the test says.
#[tokio::test]
async fn a_paced_lane_starts_one_job_per_interval() {
    for db in databases().await {
        let bench = start(&db.store);
        let lane = |cost| Lane::paced("sender", Duration::from_secs(10), cost);
        let begun = bench.clock.now();
        bench.add((0..3).map(|n| bench.job(&format!("s{n}")).paced(lane(1))).collect()).await;
        bench.add(vec![bench.job("s3").paced(lane(3)), bench.job("s4").paced(lane(1))]).await;
        bench.add(vec![bench.job("free"), bench.job("other").in_lane("other")]).await;
        // One lane at its limit holds up nobody else.
        bench.until(EVENTS, 3).await;
        let waiting = jobs::backlog(&db.store.account(ALICE), "sender").await.unwrap();
        assert_eq!(waiting, Duration::from_secs(60));
        for (seconds, done) in [(9, 3), (2, 4), (10, 5), (10, 6), (19, 6), (12, 7)] {
            bench.clock.advance(Duration::from_secs(seconds)).unwrap();
            bench.until(EVENTS, done).await;
        }
        bench.until(JOBS, 0).await;
        let took = bench.clock.now().since(begun);
        assert!(took >= Duration::from_secs(60), "{took:?}");
        let seen = bench.finish().await;
        let paced: Vec<_> = seen.iter().filter(|text| text.starts_with('s')).collect();
        assert_eq!(paced, ["s0", "s1", "s2", "s3", "s4"]);
    }
}

#[tokio::test]
async fn a_pause_is_not_made_up_for_in_a_burst() {
    for db in databases().await {
        let bench = start(&db.store);
        let lane = || Lane::paced("sender", Duration::from_secs(10), 1);
        bench.add((0..4).map(|n| bench.job(&n.to_string()).paced(lane())).collect()).await;
        bench.until(EVENTS, 1).await;
        bench.clock.advance(Duration::from_secs(3600)).unwrap();
        bench.until(EVENTS, 2).await;
        bench.clock.advance(Duration::from_secs(5)).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.until(EVENTS, 2).await;
        bench.clock.advance(Duration::from_secs(6)).unwrap();
        bench.until(EVENTS, 3).await;
        bench.finish().await;
    }
}

#[tokio::test]
async fn a_paced_job_that_fails_stays_first_in_its_lane() {
    for db in databases().await {
        let bench = start(&db.store);
        let lane = || Lane::paced("sender", Duration::from_millis(1), 1);
        let texts = ["twice", "hopeless", "a", "b"];
        bench.add(texts.iter().map(|text| bench.job(text).paced(lane())).collect()).await;
        bench.until("SELECT count(*) FROM job WHERE last_error IS NOT NULL", 1).await;
        for _ in 0..20 {
            bench.clock.advance(Duration::from_secs(1)).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.until(JOBS, 0).await;
        let waiting = jobs::backlog(&db.store.account(ALICE), "sender").await.unwrap();
        assert_eq!(waiting, Duration::ZERO);
        let seen = bench.finish().await;
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
}

#[tokio::test]
async fn a_long_lane_costs_no_more_than_a_short_one() {
    for db in databases().await {
        let bench = start(&db.store);
        let lane = || Lane::paced("sender", Duration::from_secs(3600), 1);
        bench.add((0..2000).map(|n| bench.job(&n.to_string()).paced(lane())).collect()).await;
        bench.add((0..300).map(|n| bench.job(&format!("x{n}")).in_lane("x")).collect()).await;
        bench.until(EVENTS, 301).await;
        let ready = "SELECT count(*) FROM job WHERE ready_at IS NOT NULL";
        bench.until(ready, 1).await;
        bench.finish().await;
    }
}

//! One of several nodes: what they must have in common, and what one does for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use clock::Clock;
use kernel::Sid;
use rest::{Counted, Counts, Limits};
use serde::Deserialize;
use store::{Batch, Leases, Sealer, Store, StoreError, Value};
use tokio::sync::{broadcast::error::RecvError, watch};

use super::{Settings, StartError, failed, time};

/// The bus's key of the clock that a developer moves.
pub(super) const CLOCK: &str = "clock";
/// How long the other nodes take to follow it, with room to spare.
pub(super) const FOLLOWED: Duration = Duration::from_millis(200);
/// How far the clocks of a node and of the database may be apart before it is said.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether there are other nodes, where there is no bus.
const LOOK: Duration = Duration::from_secs(30);

/// The bus as the settings want it.
pub(super) fn bus(settings: &Settings) -> Bus {
    settings.bus.clone().map_or_else(Bus::default, Bus::among)
}

/// This node among the others.
pub(super) fn leases(store: &Store) -> Leases {
    Leases::new(store.clone(), format!("{:016x}", rand::random::<u64>()))
}

/// All nodes open the same secrets: a database belongs to one key.
pub(super) async fn check_key(store: &Store, sealer: &Sealer) -> Result<(), StartError> {
    let mark = sealer.mac("offhook.key").of(&[b"offhook"]);
    let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    let unread = |error: StoreError| failed("database")(error.to_string());
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO meta (name, value) VALUES ('secret_key', $1) ON CONFLICT (name) DO NOTHING",
        vec![mark.as_str().into()],
    );
    store.commit(batch).await.map_err(unread)?;
    let sql = "SELECT value FROM meta WHERE name = 'secret_key'";
    let row = store.point(sql, vec![]).await.map_err(unread)?;
    match row.is_some_and(|row| row.text(0) == mark) {
        true => Ok(()),
        false => Err(failed("secret.key")(
            "the database was made with another key: copy secret.key from the data directory of \
             the node that made it"
                .to_owned(),
        )),
    }
}

/// Time is the database's where nodes must agree, and the node's elsewhere: it is said when they
/// differ.
pub(super) async fn check_clock(store: &Store, clock: &Clock) -> Result<(), StartError> {
    let time = store.time().await.map_err(|error| failed("database")(error.to_string()))?;
    let here = clock.wall();
    let skew = time.since(here).max(here.since(time));
    if skew > SKEW_MAX {
        let seconds = skew.as_secs_f64();
        tracing::warn!(seconds, "the clocks of this machine and of the database are apart");
    }
    Ok(())
}

/// Moves the clock when another node has moved it.
pub(super) async fn follow_clock(store: Store, clock: Clock, mut stop: watch::Receiver<bool>) {
    let mut news = store.bus().invalidations();
    loop {
        let told = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => return,
            told = news.recv() => told,
        };
        match told {
            Ok(key) if !bus::concerns(&key, CLOCK) => continue,
            Err(RecvError::Closed) => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
        if let Err(error) = time::restore_clock(&store, &clock).await {
            tracing::warn!(%error, "the clock cannot be followed");
        }
    }
}

/// Says it when there are other nodes and no bus: what they change is not seen here.
pub(super) async fn miss_bus(leases: Leases, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if leases.nodes().await.is_ok_and(|nodes| nodes.len() > 1) {
            tracing::error!(
                "another node runs on this database, and there is no --bus: changes of one are not \
                 seen by the other"
            );
        }
        let _ = tokio::time::timeout(LOOK, stop.wait_for(|stopped| *stopped)).await;
    }
}

/// `[limits]` of the configuration: none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Of each account.
    pub everybody: Limits,
    /// Of these instead.
    pub accounts: HashMap<Sid, Limits>,
    /// Requests in flight on a node, of all accounts; 0 is no limit.
    pub node_requests_in_flight: u32,
}

/// What the store counts.
pub(super) struct Stored(pub Store);

impl Counts for Stored {
    fn count<'a>(
        &'a self,
        account: Sid,
        what: Counted,
        most: u64,
    ) -> rest::BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let account = self.0.account(account);
            let most: Value = i64::try_from(most).unwrap_or(i64::MAX).into();
            let row = match what {
                Counted::WaitingJobs => {
                    let sql = "SELECT count(*) FROM (SELECT 1 FROM job WHERE account_sid = $1
                               LIMIT $2) AS waiting";
                    account.point(sql, vec![most]).await?
                }
                Counted::Calls => {
                    let sql = "SELECT count(*) FROM (SELECT 1 FROM call WHERE account_sid = $1
                               AND live IS NOT NULL AND date_ended IS NULL LIMIT $2) AS running";
                    account.point(sql, vec![most]).await?
                }
                Counted::MediaBytes => {
                    let sql = "SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM media
                               WHERE account_sid = $1";
                    account.point(sql, vec![]).await?
                }
            };
            Ok(row.map_or(0, |row| u64::try_from(row.int(0)).unwrap_or(0)))
        })
    }
}

/// The limits as the settings say, `--concurrency-max` among them.
pub(super) fn limits(settings: &Settings) -> LimitsConfig {
    let mut limits = settings.config.limits.clone();
    if settings.concurrency_max > 0 {
        limits.everybody.requests_in_flight = settings.concurrency_max;
    }
    limits
}

/// The counter over a store.
pub(super) fn counts(store: &Store) -> Arc<dyn Counts> {
    Arc::new(Stored(store.clone()))
}

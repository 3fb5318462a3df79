//! How long events are kept, and whatever else is over its time.

use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use contracts::Clearing;
use kernel::{Sid, Timestamp};
use store::{Census, Class, Journal, StoreError};
use tokio::sync::watch;

/// Between two clearings, wall time; a clock that is moved clears at once.
const EVERY: Duration = Duration::from_secs(3600);
/// Before the next turn of a clearing that found more than one turn may delete.
const PAUSE: Duration = Duration::from_secs(1);
/// Deletions of one turn and class; each is a commit of up to 1,000 events.
const COMMITS_MAX: usize = 20;
/// Commits of one turn, account and product.
const CLEARINGS_MAX: usize = 20;
/// Accounts of one read.
const ACCOUNTS_MAX: i64 = 100;
const DAY: Duration = Duration::from_secs(86_400);

/// What is kept, and how long (compliance §10, §13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub alerts: Duration,
    /// Who did what.
    pub audit: Duration,
    /// What became of messages, recorded webhooks; mails, verifications.
    pub others: Duration,
}

impl Default for Keep {
    /// Alerts 30 days, the audit 13 months, everything else 30 days.
    fn default() -> Self {
        Self { alerts: DAY * 30, audit: DAY * 396, others: DAY * 30 }
    }
}

/// Deletes what is over its time by the platform's clock. Nothing is promised: a clearing that
/// does not happen is made up for by the next, on whichever node.
pub struct Retention {
    journal: Journal,
    census: Census,
    clearings: Vec<Arc<dyn Clearing>>,
    clock: Clock,
    keep: Keep,
}

impl Retention {
    /// `clearings` are the products whose rows go with the events.
    pub fn new(
        journal: Journal,
        census: Census,
        clearings: Vec<Arc<dyn Clearing>>,
        clock: Clock,
        keep: Keep,
    ) -> Self {
        Self { journal, census, clearings, clock, keep }
    }

    /// Runs until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut moves = self.clock.moves();
        while !*stop.borrow() {
            moves.mark_unchanged();
            let pause = match self.clear().await {
                Ok(true) => PAUSE,
                Ok(false) => EVERY,
                Err(error) => {
                    tracing::error!(%error, "old events could not be deleted");
                    EVERY
                }
            };
            tokio::select! {
                _ = stop.changed() => {}
                _ = moves.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// True when there is more than one turn deletes.
    async fn clear(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let Keep { alerts, audit, others } = self.keep;
        let mut more = false;
        for (class, age) in [(Class::Alert, alerts), (Class::Audit, audit), (Class::Other, others)]
        {
            let mut commits = 0;
            while commits < COMMITS_MAX && self.journal.prune(class, now - age).await? > 0 {
                commits += 1;
            }
            more |= commits == COMMITS_MAX;
        }
        Ok(self.clear_products(now - others).await? || more)
    }

    /// True when some account has more than one turn deletes.
    async fn clear_products(&self, before: Timestamp) -> Result<bool, StoreError> {
        let (mut last, mut more) = (None, false);
        loop {
            let accounts = self.census.after(last, ACCOUNTS_MAX).await?;
            let Some(end) = accounts.last() else { return Ok(more) };
            last = Some(*end);
            for account in accounts {
                for clearing in &self.clearings {
                    more |= clear_fully(&**clearing, account, before).await?;
                }
            }
        }
    }
}

/// True when there is more than one turn deletes.
async fn clear_fully(
    clearing: &dyn Clearing,
    account: Sid,
    before: Timestamp,
) -> Result<bool, StoreError> {
    for _ in 0..CLEARINGS_MAX {
        let cleared = clearing.clear(account, before).await;
        if !cleared.map_err(|error| StoreError::Unavailable(error.0))? {
            return Ok(false);
        }
    }
    Ok(true)
}

//! The event table as the platform's own workers see it: across accounts, and nothing else.

use kernel::{Sid, Timestamp};

use crate::{Batch, Row, Store, StoreError};

/// Reads of one [`Journal::after`] at most.
const READ_MAX: i64 = 1000;
/// Rows that one commit of [`Journal::prune`] deletes at most; more would keep callers waiting.
const PRUNE_MAX: i64 = 1000;

/// All events in the order of their commits.
#[derive(Clone)]
pub struct Journal(Store);

/// A committed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: i64,
    pub account: Sid,
    pub kind: String,
    /// What it is about.
    pub sid: String,
    pub at: Timestamp,
    /// A JSON object.
    pub body: String,
}

/// Which events a rule of retention is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Alert,
    /// Events with an actor.
    Audit,
    /// Everything else: what became of messages, recorded webhooks.
    Other,
}

impl Class {
    fn condition(self) -> &'static str {
        match self {
            Self::Alert => "kind = 'alert'",
            Self::Audit => "actor IS NOT NULL",
            Self::Other => "actor IS NULL AND kind <> 'alert'",
        }
    }
}

impl Journal {
    pub(crate) fn new(store: Store) -> Self {
        Self(store)
    }

    /// The events behind `seq`, oldest first; at most 1,000.
    pub async fn after(&self, seq: i64, limit: i64) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT seq, account_sid, kind, sid, at, body FROM event WHERE seq > $1
                   ORDER BY seq LIMIT $2";
        let rows = self.0.query(sql, vec![seq.into(), limit.clamp(1, READ_MAX).into()]).await?;
        Ok(rows.iter().map(entry).collect())
    }

    /// The number of the newest event; 0 before the first.
    pub async fn newest(&self) -> Result<i64, StoreError> {
        let row = self.0.point("SELECT max(seq) FROM event", vec![]).await?;
        Ok(row.and_then(|row| row.opt_int(0)).unwrap_or(0))
    }

    /// How far `reader` has come; `None` when it never read.
    pub async fn position(&self, reader: &str) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = $1";
        let row = self.0.point(sql, vec![place(reader).into()]).await?;
        Ok(row.and_then(|row| row.text(0).parse().ok()))
    }

    /// Moves `reader` on and commits what it made of the events in between.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another node has moved it meanwhile.
    pub async fn advance(
        &self,
        reader: &str,
        from: Option<i64>,
        to: i64,
        made: Batch,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        match from {
            None => batch.must(
                "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                vec![place(reader).into(), to.to_string().into()],
            ),
            Some(from) => batch.must(
                "UPDATE meta SET value = $3 WHERE name = $1 AND value = $2",
                vec![place(reader).into(), from.to_string().into(), to.to_string().into()],
            ),
        };
        batch.extend(made);
        self.0.commit(batch).await.map(|_| ())
    }

    /// Does anybody hold a claim of this name? What nobody asks for need not be read.
    pub async fn is_wanted(&self, claim: &str) -> Result<bool, StoreError> {
        let sql = "SELECT value FROM claim WHERE name = $1 LIMIT 1";
        Ok(self.0.point(sql, vec![claim.into()]).await?.is_some())
    }

    /// Deletes up to 1,000 of the oldest events of `class` from before `cutoff`; how many it were.
    pub async fn prune(&self, class: Class, cutoff: Timestamp) -> Result<usize, StoreError> {
        let end = self.first_at(cutoff).await?;
        let sql = format!(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < $1 AND at < $2
             AND {} ORDER BY seq LIMIT $3) RETURNING seq",
            class.condition()
        );
        let mut batch = Batch::new();
        batch.returning(sql, vec![end.into(), cutoff.into(), PRUNE_MAX.into()]);
        let outcome = self.0.commit(batch).await?;
        Ok(outcome.rows.first().map_or(0, Vec::len))
    }

    /// The first event at or after `at`, by bisection: events have no index on their time, which
    /// would cost every message, and their numbers grow with it. Where a developer moved the clock
    /// back they do not quite, and an event is pruned later than it could be.
    async fn first_at(&self, at: Timestamp) -> Result<i64, StoreError> {
        let (mut low, mut high) = (0, self.newest().await? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT seq, at FROM event WHERE seq >= $1 ORDER BY seq LIMIT 1";
            match self.0.point(sql, vec![middle.into()]).await? {
                Some(row) if row.time(1) < at => low = row.int(0) + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

fn place(reader: &str) -> String {
    format!("reader/{reader}")
}

fn entry(row: &Row) -> Entry {
    Entry {
        seq: row.int(0),
        account: row.sid(1),
        kind: row.text(2).to_owned(),
        sid: row.text(3).to_owned(),
        at: row.time(4),
        body: row.text(5).to_owned(),
    }
}

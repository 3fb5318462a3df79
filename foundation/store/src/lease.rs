//! What one node does for all.
//!
//! A lease is a row: who has it and until when, by the database's time, which all nodes agree on.
//! Its owner renews it; when it does not, another node takes it. SQLite has one node, which has
//! every lease.
//!
//! Bounds: a node that dies, or loses the database, is replaced within [`TERM`]; one that lives
//! ends its work before that.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{Batch, Store, StoreError};

/// How long a lease holds without being renewed.
pub const TERM: Duration = Duration::from_secs(10);
/// How often it is renewed, or asked for.
const EVERY: Duration = Duration::from_secs(3);
/// Longer than any call.
const HOME_MAX: Duration = Duration::from_secs(3 * 86_400);
/// Before the end of the term, work under the lease has to be over.
const MARGIN: Duration = Duration::from_secs(2);

/// The leases as one node sees them.
#[derive(Clone)]
pub struct Leases {
    store: Store,
    node: String,
}

impl Leases {
    /// `node` is this process's own name.
    pub fn new(store: Store, node: String) -> Self {
        Self { store, node }
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// What this node has as long as it is alive.
    pub fn home(&self) -> String {
        format!("node/{}", self.node)
    }

    /// There is no other node, and never will be.
    pub fn is_alone(&self) -> bool {
        self.store.kind() == "sqlite"
    }

    /// Takes or renews; false when another node has it.
    pub async fn take(&self, name: &str) -> Result<bool, StoreError> {
        let now = self.store.time_sql();
        let alone = self.is_alone();
        let mut batch = Batch::new();
        batch.must(
            format!(
                "INSERT INTO lease (name, owner, expires_at) VALUES ($1, $2, {now} + $3)
                 ON CONFLICT (name) DO UPDATE SET owner = excluded.owner,
                 expires_at = excluded.expires_at
                 WHERE lease.owner = excluded.owner OR lease.expires_at <= {now} OR $4 = 1"
            ),
            vec![
                name.into(),
                self.node.as_str().into(),
                i64::try_from(TERM.as_micros()).unwrap_or(i64::MAX).into(),
                i64::from(alone).into(),
            ],
        );
        match self.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets another node have it at once.
    pub async fn release(&self, name: &str) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.run(
            "DELETE FROM lease WHERE name = $1 AND owner = $2",
            vec![name.into(), self.node.as_str().into()],
        );
        self.store.commit(batch).await.map(|_| ())
    }

    /// Makes this node the home of something until it is released, or the node is dead. With one
    /// node nothing has to be written.
    pub async fn settle(&self, name: &str) -> Result<(), StoreError> {
        if self.is_alone() {
            return Ok(());
        }
        let now = self.store.time_sql();
        let mut batch = Batch::new();
        batch.run(
            format!(
                "INSERT INTO lease (name, owner, expires_at) VALUES ($1, $2, {now} + $3)
                 ON CONFLICT (name) DO UPDATE SET owner = excluded.owner,
                 expires_at = excluded.expires_at"
            ),
            vec![
                name.into(),
                self.node.as_str().into(),
                i64::try_from(HOME_MAX.as_micros()).unwrap_or(i64::MAX).into(),
            ],
        );
        self.store.commit(batch).await.map(|_| ())
    }

    /// Whether another node, which is alive, has it.
    pub async fn is_elsewhere(&self, name: &str) -> Result<bool, StoreError> {
        if self.is_alone() {
            return Ok(false);
        }
        Ok(self.owner(name).await?.is_some_and(|owner| owner != self.node))
    }

    /// Names with this beginning whose nodes are dead, a hundred at most.
    pub async fn orphans(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let now = self.store.time_sql();
        let sql = format!(
            "SELECT name FROM lease WHERE name >= $1 AND name < $2 AND (expires_at <= {now}
             OR NOT EXISTS (SELECT 1 FROM lease AS node WHERE node.name = 'node/' || lease.owner
             AND node.expires_at > {now})) ORDER BY name LIMIT 100"
        );
        let rows = self.store.query(&sql, vec![prefix.into(), format!("{prefix}~").into()]).await?;
        Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
    }

    /// Forgets one whose node is dead.
    pub async fn bury(&self, name: &str) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.run("DELETE FROM lease WHERE name = $1", vec![name.into()]);
        self.store.commit(batch).await.map(|_| ())
    }

    /// The node, alive, that has it now.
    pub async fn owner(&self, name: &str) -> Result<Option<String>, StoreError> {
        let now = self.store.time_sql();
        let sql = format!(
            "SELECT owner FROM lease WHERE name = $1 AND expires_at > {now} AND EXISTS
             (SELECT 1 FROM lease AS node WHERE node.name = 'node/' || lease.owner
             AND node.expires_at > {now})"
        );
        Ok(self.store.point(&sql, vec![name.into()]).await?.map(|row| row.text(0).to_owned()))
    }

    /// Names with this beginning whose nodes are alive, the one settled last first.
    pub async fn latest(&self, prefix: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let now = self.store.time_sql();
        let sql = format!(
            "SELECT name FROM lease WHERE name >= $1 AND name < $2 AND expires_at > {now}
             AND EXISTS (SELECT 1 FROM lease AS node WHERE node.name = 'node/' || lease.owner
             AND node.expires_at > {now}) ORDER BY expires_at DESC, name LIMIT $3"
        );
        let params = vec![prefix.into(), format!("{prefix}~").into(), i64::from(limit).into()];
        let rows = self.store.query(&sql, params).await?;
        Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
    }

    /// The nodes that are alive, this one too.
    pub async fn nodes(&self) -> Result<Vec<String>, StoreError> {
        let now = self.store.time_sql();
        let sql = format!(
            "SELECT owner FROM lease WHERE name >= 'node/' AND name < 'node0'
             AND expires_at > {now} ORDER BY owner"
        );
        let rows = self.store.query(&sql, vec![]).await?;
        Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
    }

    /// Keeps saying that this node is alive, until `stop`; forgets nodes that are long dead.
    pub async fn stay_alive(self, mut stop: watch::Receiver<bool>) {
        let name = self.home();
        while !*stop.borrow() {
            if let Err(error) = self.take(&name).await {
                tracing::warn!(%error, "the node cannot say that it is alive");
            }
            let now = self.store.time_sql();
            let mut batch = Batch::new();
            batch.run(
                format!(
                    "DELETE FROM lease WHERE name >= 'node/' AND name < 'node0'
                     AND expires_at < {now} - 3600000000"
                ),
                vec![],
            );
            // What only a dead node could have done, any may do now.
            batch.run(
                format!(
                    "UPDATE job SET node = NULL WHERE node IS NOT NULL AND NOT EXISTS
                     (SELECT 1 FROM lease WHERE name = 'node/' || job.node AND expires_at > {now})"
                ),
                vec![],
            );
            if let Err(error) = self.store.commit(batch).await {
                tracing::warn!(%error, "dead nodes cannot be looked for");
            }
            let _ = tokio::time::timeout(EVERY, stop.wait_for(|stopped| *stopped)).await;
        }
        if let Err(error) = self.release(&name).await {
            tracing::warn!(%error, "the node cannot say that it ends");
        }
    }

    /// Does `work` while this node has the lease, and waits for it while it has not; until `stop`.
    /// The work is told to stop when the lease cannot be renewed in time.
    pub async fn alone<F: Future<Output = ()>>(
        self,
        name: &str,
        mut stop: watch::Receiver<bool>,
        work: impl Fn(watch::Receiver<bool>) -> F,
    ) {
        while !*stop.borrow() {
            let asked = Instant::now();
            match self.take(name).await {
                Ok(true) => self.hold(name, asked, &mut stop, &work).await,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, name, "a lease cannot be asked for"),
            }
            let _ = tokio::time::timeout(EVERY, stop.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn hold<F: Future<Output = ()>>(
        &self,
        name: &str,
        mut renewed: Instant,
        stop: &mut watch::Receiver<bool>,
        work: &impl Fn(watch::Receiver<bool>) -> F,
    ) {
        let (end, ends) = watch::channel(false);
        let mut work = std::pin::pin!(work(ends));
        loop {
            tokio::select! {
                () = &mut work => break,
                _ = async { stop.wait_for(|stopped| *stopped).await.is_ok() } => {
                    let _ = end.send(true);
                    work.await;
                    break;
                }
                () = tokio::time::sleep(EVERY) => {}
            }
            let asked = Instant::now();
            let left = (TERM - MARGIN).saturating_sub(renewed.elapsed());
            let had = match tokio::time::timeout(left, self.take(name)).await {
                Ok(Ok(true)) => {
                    renewed = asked;
                    true
                }
                Ok(Ok(false)) => false,
                Ok(Err(_)) | Err(_) => renewed.elapsed() + EVERY < TERM - MARGIN,
            };
            if !had {
                tracing::warn!(name, "another node goes on: the lease was not renewed in time");
                let _ = end.send(true);
                // What does not end in time is dropped.
                let _ = tokio::time::timeout(MARGIN, work).await;
                return;
            }
        }
        if let Err(error) = self.release(name).await {
            tracing::warn!(%error, name, "a lease cannot be given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::databases;

    #[tokio::test]
    async fn one_node_has_it_until_it_gives_it_back() {
        for database in databases().await {
            let one = Leases::new(database.store.clone(), "one".into());
            let two = Leases::new(database.store.clone(), "two".into());
            assert!(one.take("x").await.unwrap());
            assert!(one.take("x").await.unwrap(), "renewed");
            assert_eq!(one.owner("x").await.unwrap(), None, "nobody says that it is alive");
            assert!(one.take("node/one").await.unwrap() && two.take("node/two").await.unwrap());
            if database.store.kind() == "postgres" {
                assert!(!two.take("x").await.unwrap());
            }
            assert_eq!(one.owner("x").await.unwrap().as_deref(), Some("one"));
            one.release("x").await.unwrap();
            assert!(two.take("x").await.unwrap());
            assert_eq!(one.owner("x").await.unwrap().as_deref(), Some("two"));
        }
    }

    #[tokio::test]
    async fn what_lives_on_a_node_dies_with_it() {
        for database in databases().await {
            if database.store.kind() == "sqlite" {
                continue;
            }
            let one = Leases::new(database.store.clone(), "one".into());
            let two = Leases::new(database.store.clone(), "two".into());
            assert!(one.take("node/one").await.unwrap() && two.take("node/two").await.unwrap());
            one.settle("leg/a").await.unwrap();
            assert!(two.is_elsewhere("leg/a").await.unwrap());
            assert!(!one.is_elsewhere("leg/a").await.unwrap());
            assert!(two.orphans("leg/").await.unwrap().is_empty());
            two.settle("leg/b").await.unwrap();
            assert_eq!(one.latest("leg/", 9).await.unwrap(), ["leg/b", "leg/a"]);
            one.settle("leg/a").await.unwrap();
            assert_eq!(two.latest("leg/", 1).await.unwrap(), ["leg/a"]);
            one.release("node/one").await.unwrap();
            assert_eq!(two.latest("leg/", 9).await.unwrap(), ["leg/b"]);
            assert!(!two.is_elsewhere("leg/a").await.unwrap());
            assert_eq!(two.orphans("leg/").await.unwrap(), ["leg/a"]);
            two.bury("leg/a").await.unwrap();
            assert!(two.orphans("leg/").await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn what_only_a_dead_node_could_do_any_may_do() {
        for database in databases().await {
            let store = &database.store;
            let (stop, stopped) = watch::channel(false);
            let node = Leases::new(store.clone(), "here".into());
            let mut batch = Batch::new();
            for (id, owner) in [("a", "here"), ("b", "gone")] {
                batch.run(
                    "INSERT INTO job (id, account_sid, queue, payload, due_at, ready_at,
                     leased_until, attempt, node) VALUES ($1, 'AC', 'q', '', 0, 0, 0, 0, $2)",
                    vec![id.into(), owner.into()],
                );
            }
            store.commit(batch).await.unwrap();
            let alive = tokio::spawn(node.clone().stay_alive(stopped));
            let pinned = "SELECT id FROM job WHERE node IS NOT NULL";
            loop {
                let rows = store.query(pinned, vec![]).await.unwrap();
                if rows.len() == 1 {
                    assert_eq!(rows[0].text(0), "a");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(node.nodes().await.unwrap(), ["here"]);
            stop.send(true).unwrap();
            alive.await.unwrap();
            assert!(node.nodes().await.unwrap().is_empty());
        }
    }
}

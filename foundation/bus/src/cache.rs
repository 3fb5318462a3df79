//! A memory of rows that forgets when it is told.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use tokio::sync::broadcast::error::RecvError;

use crate::Bus;

/// Entries kept; beyond it the memory starts over.
const ENTRIES_MAX: usize = 100_000;

/// Rows by key, for look-ups on every request.
///
/// A row is read from the store under a [`Ticket`]; if the memory was told to
/// forget meanwhile, the row may be old and is not kept.
pub struct Cache<K, V> {
    rows: RwLock<Rows<K, V>>,
    /// Counts how often it forgot.
    generation: AtomicU64,
    topic: &'static str,
    bus: Bus,
}

/// What was kept while the bus had one connection to the other nodes.
struct Rows<K, V> {
    connection: u64,
    by_key: HashMap<K, V>,
}

/// Taken before a row is read, given back when it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
    connection: u64,
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache that forgets everything whenever somebody on the bus invalidates
    /// `topic`, or when it missed some of what the bus said. Needs a runtime.
    pub fn new(bus: &Bus, topic: &'static str) -> Arc<Self> {
        let cache = Arc::new(Self {
            rows: RwLock::new(Rows { connection: 0, by_key: HashMap::new() }),
            generation: AtomicU64::new(0),
            topic,
            bus: bus.clone(),
        });
        let mut news = bus.invalidations();
        let weak = Arc::downgrade(&cache);
        tokio::spawn(async move {
            loop {
                let told = match news.recv().await {
                    Ok(key) => crate::concerns(&key, topic),
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return,
                };
                let Some(cache) = weak.upgrade() else { return };
                if told {
                    cache.forget();
                }
            }
        });
        cache
    }

    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        // What another node changed meanwhile would not be known here.
        let connection = self.bus.connection()?;
        let rows = self.rows.read().unwrap_or_else(|poison| poison.into_inner());
        rows.by_key.get(key).filter(|_| rows.connection == connection).cloned()
    }

    /// To be taken before the row is read.
    pub fn ticket(&self) -> Ticket {
        let connection = self.bus.connection().unwrap_or(u64::MAX);
        Ticket { generation: self.generation.load(Ordering::Acquire), connection }
    }

    /// Keeps a row that was read under `ticket`, unless it may be old.
    pub fn keep(&self, ticket: Ticket, key: K, value: V) {
        let mut rows = self.rows.write().unwrap_or_else(|poison| poison.into_inner());
        let is_old = self.generation.load(Ordering::Acquire) != ticket.generation;
        if is_old || self.bus.connection() != Some(ticket.connection) {
            return;
        }
        if rows.by_key.len() >= ENTRIES_MAX || rows.connection != ticket.connection {
            rows.by_key.clear();
        }
        rows.connection = ticket.connection;
        rows.by_key.insert(key, value);
    }

    /// Forgets here and now, and tells every other cache of the topic.
    pub fn invalidate(&self) {
        self.forget();
        self.bus.invalidate(self.topic);
    }

    fn forget(&self) {
        let mut rows = self.rows.write().unwrap_or_else(|poison| poison.into_inner());
        self.generation.fetch_add(1, Ordering::AcqRel);
        rows.by_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_read_before_an_invalidation_is_not_kept_after_it() {
        let bus = Bus::default();
        let cache: Arc<Cache<u32, &str>> = Cache::new(&bus, "rows");
        let ticket = cache.ticket();
        cache.keep(ticket, 1, "fresh");
        assert_eq!(cache.get(&1), Some("fresh"));
        let ticket = cache.ticket();
        cache.invalidate();
        cache.keep(ticket, 1, "old");
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test]
    async fn it_does_not_answer_while_other_nodes_go_unheard() {
        let bus = Bus::new(Some(tokio::sync::mpsc::channel(1).0));
        let cache: Arc<Cache<u32, &str>> = Cache::new(&bus, "rows");
        cache.keep(cache.ticket(), 1, "unheard");
        assert_eq!(cache.get(&1), None);
        bus.connected();
        assert_eq!(cache.get(&1), None);
        let ticket = cache.ticket();
        cache.keep(ticket, 1, "heard");
        assert_eq!(cache.get(&1), Some("heard"));
        bus.disconnected();
        assert_eq!(cache.get(&1), None);
        bus.connected();
        assert_eq!(cache.get(&1), None, "of another connection");
        cache.keep(ticket, 1, "read before it");
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test]
    async fn others_are_told() {
        let bus = Bus::default();
        let (one, other) = (Cache::<u32, u32>::new(&bus, "rows"), Cache::new(&bus, "rows"));
        other.keep(other.ticket(), 1, 1);
        one.invalidate();
        for _ in 0..1_000 {
            if other.get(&1).is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the other cache still remembers");
    }
}

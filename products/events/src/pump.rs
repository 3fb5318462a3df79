//! From committed events to promised deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Topic};
use kernel::Sid;
use rest::Doc;
use store::{Batch, Entry, StoreError};
use tokio::sync::watch;

use crate::Events;
use crate::catalog;
use crate::cloud::Promised;
use crate::delivery;
use crate::sink::{self, IN_USE, Target};
use crate::subscription::{self, Wanted};

const READER: &str = "event-streams";
/// Events of one round.
const ROUND: i64 = 500;
/// Events that one request of a sink with batches carries at most.
const REQUEST_MAX: usize = 100;
/// Events without a subscriber after which the position is written down all the same.
const STRIDE: i64 = 10_000;
/// How long a missed wake-up may delay events.
const POLL: Duration = Duration::from_secs(1);
/// How often it is looked whether anybody has subscribed to anything.
const IDLE: Duration = Duration::from_millis(250);

/// Reads all events in the order of their commits, once.
///
/// How far it has read is a row that moves in the commit of the deliveries it promises, so each is
/// promised once on whichever node; of two nodes one loses the commit and reads on from there.
/// Events become visible in the order of their numbers, whichever node writes them (foundation/store).
pub struct Pump {
    events: Arc<Events>,
    bus: Bus,
    /// The position as it is written down.
    written: Option<i64>,
    /// The position; events up to the written one are done, those between had no subscriber.
    read: i64,
}

/// A sink with what its subscription asks for.
struct Stream {
    sink: String,
    batches: bool,
    subscription: Doc,
    wanted: Vec<Wanted>,
}

impl Pump {
    pub fn new(events: Arc<Events>, bus: Bus) -> Self {
        Self { events, bus, written: None, read: 0 }
    }

    /// Runs until `stop` turns true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut wakes = self.bus.wakes(Topic::Events);
        let mut known = false;
        while !*stop.borrow() {
            wakes.mark_unchanged();
            let outcome = match known {
                true => self.round().await,
                false => self.recall().await.map(|()| Pace::Busy),
            };
            let pace = match outcome {
                Ok(pace) => {
                    known = true;
                    pace
                }
                // Another node was first, or the store is away: read the position again.
                Err(error) => {
                    if !matches!(error, StoreError::Conflict) {
                        tracing::error!(%error, "event streams cannot read events");
                    }
                    known = false;
                    Pace::Idle
                }
            };
            match pace {
                Pace::Busy => {}
                Pace::Idle => tokio::select! {
                    _ = stop.changed() => {}
                    () = tokio::time::sleep(IDLE) => {}
                },
                Pace::Waiting => tokio::select! {
                    _ = stop.changed() => {}
                    _ = wakes.changed() => {}
                    () = tokio::time::sleep(POLL) => {}
                },
            }
        }
    }

    async fn recall(&mut self) -> Result<(), StoreError> {
        self.written = self.events.parts.journal.position(READER).await?;
        self.read = self.written.unwrap_or(0);
        Ok(())
    }

    /// One read and what comes of it.
    async fn round(&mut self) -> Result<Pace, StoreError> {
        let journal = &self.events.parts.journal;
        // Without subscribers nothing is read. The position is taken before the look: whoever
        // subscribes after it misses nothing.
        let newest = journal.newest().await?;
        if !journal.is_wanted(IN_USE).await? {
            self.read = self.read.max(newest);
            return Ok(Pace::Idle);
        }
        let entries = journal.after(self.read, ROUND).await?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(Pace::Waiting) };
        let made = self.promises(&entries).await?;
        if !made.is_empty() || last - self.written.unwrap_or(0) >= STRIDE {
            self.events.parts.journal.advance(READER, self.written, last, made).await?;
            self.written = Some(last);
        }
        self.read = last;
        Ok(Pace::Busy)
    }

    /// The deliveries of these events, of all accounts.
    async fn promises(&self, entries: &[Entry]) -> Result<Batch, StoreError> {
        let mut by_account: BTreeMap<Sid, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| is_streamed(entry)) {
            by_account.entry(entry.account).or_default().push(entry);
        }
        let mut made = Batch::new();
        for (account, entries) in by_account {
            for stream in self.streams(account).await? {
                let events: Vec<Promised> =
                    entries.iter().filter_map(|entry| stream.takes(entry)).collect();
                let size = if stream.batches { REQUEST_MAX } else { 1 };
                let mut batch = self.events.parts.store.account(account).batch();
                for request in events.chunks(size) {
                    let clock = &self.events.parts.clock;
                    delivery::promise(&mut batch, clock, &stream.sink, request.to_vec());
                }
                made.extend(batch.into_batch()?);
            }
        }
        Ok(made)
    }

    /// What an account has subscribed to: a hundred subscriptions at most, as it has sinks.
    async fn streams(&self, account: Sid) -> Result<Vec<Stream>, StoreError> {
        let store = self.events.parts.store.account(account);
        let sql = "SELECT sid, value FROM claim WHERE account_sid = $1 AND name = $2";
        let mut streams = Vec::new();
        for row in store.query(sql, vec![IN_USE.into()]).await? {
            let subscription = rest::load(&store, subscription::KIND, "", row.text(0)).await?;
            let sink = sink::load(&store, row.text(1)).await?;
            let (Some(subscription), Some(sink)) = (subscription, sink) else { continue };
            let Some(target) = Target::of(&sink) else { continue };
            if sink.text("status") != Some("failed") {
                let wanted = Wanted::all(&subscription);
                let batches = target.batches;
                streams.push(Stream { sink: sink.sid, batches, subscription, wanted });
            }
        }
        Ok(streams)
    }
}

/// How soon the next round comes.
enum Pace {
    /// At once.
    Busy,
    /// When something happens.
    Waiting,
    /// Nobody listens.
    Idle,
}

/// Is there a type for it? What is about a sink itself would feed on itself.
fn is_streamed(entry: &Entry) -> bool {
    catalog::by_kind(&entry.kind).is_some() && !entry.sid.starts_with("DG")
}

impl Stream {
    /// The event as this stream gets it, if it asks for its type and did so before it happened.
    fn takes(&self, entry: &Entry) -> Option<Promised> {
        let name = catalog::by_kind(&entry.kind)?.name;
        let wanted = self.wanted.iter().find(|wanted| wanted.name == name)?;
        let is_later = entry.at >= self.subscription.date_created;
        is_later.then(|| Promised::of(entry, name, wanted.schema_version))
    }
}

//! Handing events to sinks, at least once (webhooks §12.2).
//!
//! 2xx is done. 429, 5xx and silence are tried again, ever later, until the event is four hours old;
//! any other answer discards it at once. An event that is given up is an alert, 93101, and a sink
//! that took nothing for four hours has failed: it gets nothing more until it is tested and
//! validated.

use std::time::Duration;

use clock::Clock;
use jobs::{Failure, Job, NewJob, Worker};
use outbound::NatsError;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::sync::Arc;
use store::{AccountBatch, AccountStore};

use crate::Events;
use crate::cloud::Promised;
use crate::sink::{self, Target, TargetKind};

const QUEUE: &str = "events.delivery";
/// Requests to one sink at one time: a slow one must not take the room of all others.
const LANES: i64 = 8;
/// How long an event is tried.
const TRIED_FOR: Duration = Duration::from_secs(4 * 3600);
const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(900);
/// One attempt, without the retry that other webhooks have: connection overrides do not apply.
const OVERRIDES: &str = "#rc=0&tt=5000&rt=5000";

#[derive(Serialize, Deserialize)]
struct Delivery {
    sink: String,
    /// All that one request carries.
    events: Vec<Promised>,
}

/// Promises one request with these events, of which there must be one at least.
pub(crate) fn promise(batch: &mut AccountBatch, clock: &Clock, sink: &str, events: Vec<Promised>) {
    let lane = events.first().map_or(0, |event| event.seq.rem_euclid(LANES));
    let lane = format!("events/{sink}/{lane}");
    let delivery = Delivery { sink: sink.to_owned(), events };
    jobs::add(batch, clock, NewJob::now(QUEUE, clock, &delivery).in_lane(lane));
}

/// Does the deliveries.
pub(crate) struct Deliver(pub Arc<Events>);

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Again,
    Discard,
}

/// By the status that was answered; `None` when nothing was.
fn verdict(status: Option<u16>) -> Verdict {
    match status {
        Some(200..=299) => Verdict::Done,
        None | Some(429 | 500..) => Verdict::Again,
        Some(_) => Verdict::Discard,
    }
}

/// Half of the time that passed since the event, give or take a quarter.
fn delay(age: Duration, random: u64) -> Duration {
    let delay = (age / 2).clamp(DELAY_MIN, DELAY_MAX);
    delay.mul_f64(0.75 + (random % 512) as f64 / 1024.0)
}

impl Deliver {
    async fn deliver(
        &self,
        job: &Job,
        store: &AccountStore,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Delivery { sink, events } = job.read()?;
        let parts = &self.0.parts;
        let Some(doc) = sink::load(store, &sink).await? else { return Ok(()) };
        let (Some(target), Some(first)) = (Target::of(&doc), events.first()) else {
            return Ok(());
        };
        if doc.text("status") == Some("failed") {
            return Ok(());
        }
        let document = self.document(store, target.batches, &events).await?;
        let (verdict, why, address) = match &target.kind {
            TargetKind::Webhook { destination } => {
                let address = destination.split('#').next().unwrap_or_default();
                let url = format!("{address}{OVERRIDES}");
                let outcome =
                    parts.webhooks.post_json(job.account, &url, &document, &sink, batch).await;
                let (status, why) = match &outcome {
                    Ok(answer) => (Some(answer.status), String::new()),
                    Err(failure) => {
                        let answer = failure.answer.as_ref();
                        (answer.map(|answer| answer.status), failure.message.clone())
                    }
                };
                (verdict(status), why, address)
            }
            TargetKind::Nats { destination, subject } => {
                let payload = document.to_string();
                let outcome = parts.client.publish(destination, subject, payload.as_bytes()).await;
                let (verdict, why) = match outcome {
                    Ok(()) => (Verdict::Done, String::new()),
                    Err(error @ NatsError::Refused(_)) => (Verdict::Discard, error.to_string()),
                    Err(error @ NatsError::Unreachable(_)) => (Verdict::Again, error.to_string()),
                };
                (verdict, why, destination.as_str())
            }
        };
        let now = parts.clock.now();
        let age = now.since(first.at);
        match verdict {
            Verdict::Done => {}
            Verdict::Again if age < TRIED_FOR => {
                return Err(Failure::Later(now + delay(age, parts.clock.random())));
            }
            verdict => {
                let count = events.len();
                let why = format!("{count} events were not delivered: {why}");
                parts.webhooks.alert(batch, &sink, 93101, &why, address);
                if verdict == Verdict::Again {
                    sink::store(batch, &doc, sink::with_status(&doc, "failed"));
                }
            }
        }
        Ok(())
    }

    /// One event, or a list where the sink takes batches.
    // Differs: whether a sink without batches gets an object or a list of one is unconfirmed.
    async fn document(
        &self,
        store: &AccountStore,
        batches: bool,
        events: &[Promised],
    ) -> Result<Json, Failure> {
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            let content = match event.message() {
                None => None,
                Some(message) => {
                    let content = self.0.parts.messages.content(store.account(), message).await;
                    content.map_err(|error| Failure::Retry(error.0))?
                }
            };
            all.push(event.envelope(store.account(), content.as_ref()));
        }
        Ok(match (batches, all.len()) {
            (false, 1) => all.remove(0),
            _ => Json::Array(all),
        })
    }
}

impl Worker for Deliver {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let mut batch = store.batch();
        self.deliver(job, store, &mut batch).await?;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_decide_and_delays_grow() {
        for (status, expected) in [
            (Some(200), Verdict::Done),
            (Some(204), Verdict::Done),
            (Some(302), Verdict::Discard),
            (Some(404), Verdict::Discard),
            (Some(429), Verdict::Again),
            (Some(503), Verdict::Again),
            (None, Verdict::Again),
        ] {
            assert_eq!(verdict(status), expected, "{status:?}");
        }
        let seconds = |age, random| delay(Duration::from_secs(age), random).as_secs_f64();
        assert!(seconds(0, 0) < seconds(60, 0) && seconds(60, 0) < seconds(600, 0));
        assert!(seconds(14_000, 511) < 1.3 * 900.0 && seconds(0, 0) >= 0.75);
        assert!(seconds(60, 0) < seconds(60, 511));
    }
}

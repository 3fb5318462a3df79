//! Hands traces to a collector, as OTLP/HTTP in JSON.
//!
//! Bounds: 512 spans a request, one request at a time; what a collector does not take at the second
//! attempt is dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use outbound::{Client, Method, RawRequest};
use telemetry::otlp;
use telemetry::trace::{self, Ended};
use tokio::sync::watch;

const SPANS_MAX: usize = 512;
/// How long spans wait for more.
const PAUSE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(500);

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Config {
    /// `http://collector:4318`; the standard's path is added where there is none.
    pub url: String,
    /// Of the traces that begin here, 0 to 1.
    pub share: f64,
}

/// Exports until `stop`, then what is left.
pub(super) async fn run(config: Config, client: Arc<Client>, mut stop: watch::Receiver<bool>) {
    let mut spans = trace::start(config.share);
    let url = otlp::endpoint(&config.url);
    let instance = format!("{:032x}", rand::random::<u128>());
    // A collector that is away is told of once, not each second.
    let mut is_away = false;
    loop {
        let stopping = *stop.borrow();
        let mut batch = Vec::with_capacity(SPANS_MAX);
        if stopping {
            while batch.len() < SPANS_MAX
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
        } else {
            tokio::select! {
                count = spans.recv_many(&mut batch, SPANS_MAX) => if count == 0 { return },
                _ = stop.changed() => continue,
            }
        }
        match send(&client, &url, &instance, &batch).await {
            Ok(()) => is_away = false,
            Err(why) => {
                trace::count_dropped(batch.len() as u64);
                if !is_away {
                    tracing::warn!(why, "traces cannot be handed over; they are dropped");
                }
                is_away = true;
            }
        }
        if !stopping && batch.len() < SPANS_MAX {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

async fn send(client: &Client, url: &str, instance: &str, batch: &[Ended]) -> Result<(), String> {
    let body = otlp::traces(env!("CARGO_PKG_VERSION"), instance, batch).to_string().into_bytes();
    let request = RawRequest {
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body,
        ..RawRequest::new(Method::Post, url)
    };
    let mut why = String::new();
    for attempt in 0..2 {
        if attempt > 0 {
            tokio::time::sleep(AGAIN).await;
        }
        match client.raw(request.clone()).await {
            Ok(answer) if answer.status < 300 => return Ok(()),
            // What is malformed stays so.
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                return Err(format!("the collector answered {}", answer.status));
            }
            Ok(answer) => why = format!("the collector answered {}", answer.status),
            Err(failure) => why = failure.message,
        }
    }
    Err(why)
}

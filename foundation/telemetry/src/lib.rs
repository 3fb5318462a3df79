//! Logs, metrics and traces.
//!
//! Logs are `tracing` events with stable field names, as text on a terminal or
//! JSON; bodies and numbers never appear above `debug`. Metrics live in one
//! registry per platform, so that tests stay apart.

pub mod otlp;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Starts logging to standard error; `filter` as in `RUST_LOG`.
pub fn init_logs(format: Format, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as tests do it, keeps the first.
    let _ = match format {
        Format::Text => builder.with_target(false).try_init(),
        Format::Json => builder.json().try_init(),
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    product: String,
    method: String,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProductLabel {
    product: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubmissionLabels {
    carrier: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SenderLabel {
    account_sid: String,
    sender: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LatenessLabel {
    /// Microseconds, or `+Inf`.
    le: String,
}

/// Bounds of what waits for somebody else, in seconds.
const EXCHANGE_SECONDS: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// Every metric of the platform.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<ProductLabel, Histogram>,
    submissions: Family<SubmissionLabels, Histogram>,
    webhooks: Family<OutcomeLabel, Histogram>,
    connections: Gauge,
    jobs: Family<QueueLabel, Gauge>,
    dead_jobs: Gauge,
    delivery_rates: Family<SenderLabel, Gauge<f64, AtomicU64>>,
    sound_legs: Gauge,
    sound_late: Family<LatenessLabel, Gauge>,
    sound_skipped: Gauge,
    sound_linked: Gauge,
    sound_dropped: Gauge,
    spans_dropped: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("offhook");
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("requests", "Answered API requests", requests.clone());
        let durations = Family::<ProductLabel, Histogram>::new_with_constructor(|| {
            Histogram::new([
                0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
            ])
        });
        registry.register("request_seconds", "Time to answer API requests", durations.clone());
        let submissions = Family::<SubmissionLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(EXCHANGE_SECONDS)
        });
        registry.register(
            "submission_seconds",
            "Time that carriers took to take or refuse a message",
            submissions.clone(),
        );
        let webhooks = Family::<OutcomeLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(EXCHANGE_SECONDS)
        });
        registry.register(
            "webhook_seconds",
            "Time that applications took to answer",
            webhooks.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open client connections", connections.clone());
        let jobs = Family::<QueueLabel, Gauge>::default();
        registry.register("jobs", "Promises that are not kept yet", jobs.clone());
        let dead_jobs = Gauge::default();
        registry.register("dead_jobs", "Promises that were given up", dead_jobs.clone());
        let delivery_rates = Family::<SenderLabel, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "delivery_rate",
            "Share of a sender's or service's last messages that arrived",
            delivery_rates.clone(),
        );
        let sound_legs = Gauge::default();
        registry.register("sound_legs", "Parties of calls with sound", sound_legs.clone());
        let sound_late = Family::<LatenessLabel, Gauge>::default();
        registry.register(
            "sound_ticks",
            "Ticks of sound that were done within so many microseconds of their time",
            sound_late.clone(),
        );
        let sound_skipped = Gauge::default();
        registry.register(
            "sound_ticks_skipped",
            "Ticks of sound that were left out because the machine could not keep up",
            sound_skipped.clone(),
        );
        let sound_linked = Gauge::default();
        registry.register(
            "sound_rooms_linked",
            "Rooms of calls that other nodes may have too",
            sound_linked.clone(),
        );
        let sound_dropped = Gauge::default();
        registry.register(
            "sound_links_dropped",
            "Messages of sound between nodes that were dropped",
            sound_dropped.clone(),
        );
        let spans_dropped = Gauge::default();
        registry.register(
            "spans_dropped",
            "Parts of traces that no collector got",
            spans_dropped.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            submissions,
            webhooks,
            connections,
            jobs,
            dead_jobs,
            delivery_rates,
            sound_legs,
            sound_late,
            sound_skipped,
            sound_linked,
            sound_dropped,
            spans_dropped,
        }
    }
}

impl Metrics {
    /// Counts one answered API request.
    pub fn answered(&self, product: &str, method: &str, status: u16, took: Duration) {
        let labels = RequestLabels {
            product: product.to_owned(),
            method: method.to_owned(),
            status: u32::from(status),
        };
        self.requests.get_or_create(&labels).inc();
        let label = ProductLabel { product: product.to_owned() };
        self.durations.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Counts one hand-over to a carrier; `outcome` is `accepted`, `refused` or `busy`.
    pub fn submitted(&self, carrier: &str, outcome: &'static str, took: Duration) {
        let labels = SubmissionLabels { carrier: carrier.to_owned(), outcome };
        self.submissions.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts one request of an application's URL, retries and redirects included; without a
    /// status nobody answered.
    pub fn webhook(&self, status: Option<u16>, took: Duration) {
        let outcome = match status {
            Some(..=299) => "2xx",
            Some(..=399) => "3xx",
            Some(..=499) => "4xx",
            Some(_) => "5xx",
            None => "error",
        };
        let label = OutcomeLabel { outcome };
        self.webhooks.get_or_create(&label).observe(took.as_secs_f64());
    }

    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Sets what is read from the store at scrape time: the depth of every queue, of empty ones too.
    pub fn set_jobs(&self, depths: &BTreeMap<&str, i64>, dead: i64) {
        self.jobs.clear();
        for (queue, count) in depths {
            self.jobs.get_or_create(&QueueLabel { queue: (*queue).to_owned() }).set(*count);
        }
        self.dead_jobs.set(dead);
    }

    /// Sets what is asked of Messaging at scrape time: account, sender, share from 0 to 1.
    pub fn set_delivery_rates(&self, rates: Vec<(String, String, f64)>) {
        self.delivery_rates.clear();
        for (account_sid, sender, share) in rates {
            self.delivery_rates.get_or_create(&SenderLabel { account_sid, sender }).set(share);
        }
    }

    /// Sets what is asked of the engine of sound at scrape time: parties, ticks by the upper bounds of
    /// their lateness (in microseconds, the last without one), ticks left out.
    pub fn set_sound(&self, legs: usize, bounds: &[u64], late: &[u64], skipped: u64) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.sound_legs.set(gauge(legs as u64));
        self.sound_skipped.set(gauge(skipped));
        let mut total = 0;
        for (at, count) in late.iter().enumerate() {
            total += count;
            let le = bounds.get(at).map_or("+Inf".to_owned(), u64::to_string);
            self.sound_late.get_or_create(&LatenessLabel { le }).set(gauge(total));
        }
    }

    /// Sets what is asked of sound between nodes at scrape time: rooms, and messages dropped.
    pub fn set_links(&self, rooms: usize, dropped: u64) {
        self.sound_linked.set(i64::try_from(rooms).unwrap_or(i64::MAX));
        self.sound_dropped.set(i64::try_from(dropped).unwrap_or(i64::MAX));
    }

    /// The Prometheus text form.
    pub fn text(&self) -> String {
        self.spans_dropped.set(i64::try_from(trace::dropped()).unwrap_or(i64::MAX));
        let mut out = String::new();
        encode(&mut out, &self.registry).expect("writing to a String does not fail");
        out
    }
}

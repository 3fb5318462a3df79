//! `offhook up`: start the platform here.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use messaging::Rates;
use sim::Network;
use store::Location;

use super::Outcome;
use super::client::URL_FILE;
use super::output::outln;
use crate::config::Config;
use crate::interception;
use crate::server::{self, Env, Settings};

#[derive(Args)]
pub struct Up {
    /// Address to listen on
    #[arg(long, env = "OFFHOOK_LISTEN", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// postgres://user:password@host/database; by default SQLite in the data directory
    #[arg(long, env = "OFFHOOK_DATABASE")]
    database: Option<String>,
    /// nats://one:4222,two:4222: how the nodes of a cluster hear of each other
    #[arg(long, env = "OFFHOOK_BUS", value_parser = bus::Nats::parse, requires = "database")]
    bus: Option<bus::Nats>,
    /// Refuse to start when the schema is not up to date; `offhook migrate` does that
    #[arg(long, env = "OFFHOOK_NO_MIGRATE")]
    no_migrate: bool,
    /// Adopt nothing and keep the clock fixed, also on loopback
    #[arg(long, env = "OFFHOOK_STRICT")]
    strict: bool,
    /// URL under which applications reach this instance's media
    #[arg(long, env = "OFFHOOK_PUBLIC_URL")]
    public_url: Option<String>,
    /// Networks or hosts that webhooks may reach beside public addresses, on other listeners
    /// than loopback
    #[arg(long = "allow-webhooks-to", env = "OFFHOOK_ALLOW_WEBHOOKS_TO", value_delimiter = ',')]
    allow: Vec<String>,
    /// Seed of the simulated network's delays and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Delay of the simulated network in milliseconds: LEAST-MOST
    #[arg(long, value_parser = parse_delay, default_value = "40-160")]
    delay: (u64, u64),
    /// Share of messages that the simulated network loses, 0 to 1
    #[arg(long, value_parser = parse_share, default_value = "0")]
    fault_rate: f64,
    /// Seconds that the simulated reviewer of WhatsApp templates takes
    #[arg(long, default_value_t = server::REVIEW_DELAY.as_secs())]
    review_delay: u64,
    /// Minutes that a verification waits for its code
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=1440), default_value_t = 10)]
    verification_minutes: u64,
    /// File with carriers, routes and rates
    #[arg(long, env = "OFFHOOK_CONFIG")]
    config: Option<PathBuf>,
    /// Let each sender send as fast as networks allow, also in the development profile
    #[arg(long, env = "OFFHOOK_PACE")]
    pace: bool,
    /// Refuse American senders that are not registered, as the carriers there do
    #[arg(long, env = "OFFHOOK_ENFORCE_REGISTRATION")]
    enforce_registration: bool,
    /// Stop floods of texts to one block of numbers that nobody answers (SMS pumping)
    #[arg(long, env = "OFFHOOK_GUARD_PUMPING")]
    guard_pumping: bool,
    /// Requests of one account in flight beyond which 429 answers; 0 is no limit
    #[arg(long, default_value_t = 0)]
    concurrency_max: u32,
    /// Parties of calls with sound at once; more are refused with 503
    #[arg(long, default_value_t = 4096)]
    legs_max: usize,
    /// Days for which mails, verifications and events are kept that are neither alerts (30 days)
    /// nor of the audit (13 months)
    #[arg(long, env = "OFFHOOK_KEEP_EVENTS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_events: u32,
    /// Append every API request and its answer to this file
    #[arg(long)]
    wire_log: Option<PathBuf>,
    /// Hand traces to this OTLP/HTTP collector, such as http://127.0.0.1:4318
    #[arg(long, env = "OFFHOOK_OTLP")]
    otlp: Option<String>,
    /// Share of the traces that begin here, 0 to 1; callers that send `traceparent` decide for
    /// themselves
    #[arg(long, env = "OFFHOOK_OTLP_SHARE", value_parser = parse_share, default_value = "1")]
    otlp_share: f64,
    /// Seconds for which a stopping instance says at /readyz that it is, before it closes its port
    #[arg(long, env = "OFFHOOK_DRAIN_DELAY", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=600))]
    drain_delay: u64,
    /// Log filter
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    log: String,
    /// Log as JSON
    #[arg(long)]
    log_json: bool,
}

/// WhatsApp's own reviewers take 48 hours at most.
const REVIEW_DELAY_MAX: u64 = 48 * 3600;

fn parse_delay(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "give LEAST-MOST in milliseconds, such as 40-160, or one number".to_owned();
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (least.parse().map_err(|_| wrong())?, most.parse().map_err(|_| wrong())?);
    if least <= most && most <= 3_600_000 { Ok((least, most)) } else { Err(wrong()) }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}

/// Where the state of a data directory is, unless a URL says otherwise.
pub(super) fn location(database: Option<String>, data: &Path) -> Location {
    match database {
        Some(url) => Location::Postgres(url),
        None => Location::Sqlite(data.join("offhook.db")),
    }
}

/// Public addresses, and the networks and hosts the operator lists.
fn guarded(allow: &[String]) -> outbound::Policy {
    let (mut networks, mut hosts) = (Vec::new(), Vec::new());
    for entry in allow {
        match (entry.parse::<IpNet>(), entry.parse::<IpAddr>()) {
            (Ok(network), _) => networks.push(network),
            (_, Ok(address)) => networks.push(address.into()),
            _ => hosts.push(entry.clone()),
        }
    }
    outbound::Policy::Guarded { allow: networks, hosts }
}

/// Runs until a signal, then drains.
pub async fn run(up: Up, data: &Path) -> Outcome {
    let format = if up.log_json { telemetry::Format::Json } else { telemetry::Format::Text };
    telemetry::init_logs(format, &up.log);
    let config = up.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let is_loopback = up.listen.ip().is_loopback();
    let policy = if is_loopback { outbound::Policy::Open } else { guarded(&up.allow) };
    let settings = Settings {
        listen: up.listen,
        data: data.to_owned(),
        database: location(up.database, data),
        bus: up.bus,
        migrate: !up.no_migrate,
        development: is_loopback && !up.strict,
        policy,
        public_url: up.public_url,
        network: Network { seed: up.seed, delay_ms: up.delay, fault_rate: up.fault_rate },
        review_delay: Duration::from_secs(up.review_delay.min(REVIEW_DELAY_MAX)),
        sip_directory: None,
        verification_lifetime: Duration::from_secs(up.verification_minutes * 60),
        rates: match (config.rates, is_loopback && !up.strict && !up.pace) {
            (Some(rates), _) => rates,
            (None, true) => Rates::UNLIMITED,
            (None, false) => Rates::default(),
        },
        caps: config.caps,
        enforce_registration: up.enforce_registration,
        guard_pumping: up.guard_pumping,
        concurrency_max: up.concurrency_max,
        legs_max: up.legs_max,
        keep: monitor::Keep {
            others: Duration::from_secs(u64::from(up.keep_events) * 86_400),
            ..monitor::Keep::default()
        },
        wire_log: up.wire_log,
        traces: up.otlp.map(|url| server::TraceConfig { url, share: up.otlp_share }),
        authority: interception::authority()
            .inspect_err(|error| tracing::warn!(%error, "TLS is off: no certificate authority"))
            .ok(),
        foreign: interception::foreign(up.listen),
        config,
    };
    let development = settings.development;
    let running = server::start(settings).await?;
    std::fs::write(data.join(URL_FILE), &running.platform.url)?;
    let env = running.platform.env().await?;
    banner(&env, development);
    stopped().await?;
    eprintln!("offhook: stopping");
    running.drain();
    tokio::time::sleep(Duration::from_secs(up.drain_delay)).await;
    running.stop().await;
    let _ = std::fs::remove_file(data.join(URL_FILE));
    Ok(())
}

/// What a newcomer needs to see.
fn banner(env: &Env, development: bool) {
    let profile = match development {
        true => "development: unknown accounts and senders are adopted, the clock can be moved",
        false => "strict: nothing is adopted, the clock is fixed",
    };
    outln!(
        "\n  Offhook {} is up\n\n    \
         console   {url}/\n    \
         API       {url}/_/api/2010-04-01/…\n    \
         profile   {profile}\n\n    \
         TWILIO_ACCOUNT_SID   {}\n    \
         TWILIO_AUTH_TOKEN    {}\n    \
         TWILIO_PHONE_NUMBER  {}\n\n  \
         `offhook env` prints these for programs, `offhook tail` shows what happens.\n",
        env!("CARGO_PKG_VERSION"),
        env.account_sid,
        env.auth_token,
        env.phone_number,
        url = env.url,
    );
}

/// Resolves on SIGINT or SIGTERM.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

//! Messages accepted: beside yardsticks, beside the programs of others, and when too many ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::Outcome;
use crate::load;
use crate::peers::{Jasmin, Kannel, Prism, Relay};
use crate::process::Server;
use crate::report::{figure, get, say};
use crate::smsc;

type Failure = Box<dyn std::error::Error>;

/// Where programs of others are compared; what counts of each is its best.
const CONNECTIONS: [usize; 3] = [16, 64, 256];
/// Rounds of a measurement, of which the middle one counts.
const ROUNDS: usize = 3;
/// How long half of capacity is kept up.
const HALF_SECONDS: f64 = 20.0;
/// Far too many.
const CALLERS: usize = 1000;

/// Prints what is accepted per second at these numbers of connections.
pub async fn run(requests: usize, connections: &[usize]) -> Outcome {
    say!(
        "accepted messages, the middle of {ROUNDS} rounds of {requests} requests, client and server on one machine"
    );
    say!(
        "{:<9} {:>5} {:>10} {:>9} {:>9} {:>9}",
        "server",
        "conns",
        "per s",
        "p50 ms",
        "p99 ms",
        "of durable"
    );
    let mut servers = Vec::new();
    for kind in ["bare", "durable"] {
        servers.push(Server::yardstick(kind).await?);
    }
    let (platform, started) = Server::platform().await?;
    let idle = platform.resident_kib();
    servers.push(platform);
    for &count in connections {
        // One connection at a time needs fewer requests for the same certainty.
        let requests = if count == 1 { requests / 6 } else { requests };
        let mut rounds: Vec<Vec<load::Measured>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                server.load(count, requests / 10).await?;
                rounds.push(server.load(count, requests).await?);
                // What it has promised is not to be done while another is measured.
                server.rest().await;
            }
        }
        let mut durable = 0.0;
        for (server, rounds) in servers.iter().zip(rounds) {
            let result = load::median(rounds).ok_or("no rounds")?;
            figure(&format!("accept.{}.{count}", server.name), result.per_second);
            if server.name == "durable" {
                durable = result.per_second;
            }
            let share = match server.name {
                "offhook" if durable > 0.0 => {
                    format!("{:.0} %", 100.0 * result.per_second / durable)
                }
                _ => String::new(),
            };
            say!(
                "{:<9} {count:>5} {:>10.0} {:>9.2} {:>9.2} {share:>10}",
                server.name,
                result.per_second,
                result.p50_ms,
                result.p99_ms
            );
        }
    }
    let platform = &servers[2];
    say!("\nstart to first accepted message  {started:.0} ms");
    say!("resident when idle               {:.1} MB", idle as f64 / 1024.0);
    say!("resident after the load          {:.1} MB", platform.resident_kib() as f64 / 1024.0);
    let messages = platform.drain().await?;
    say!("{messages} messages delivered to simulated phones");
    Ok(())
}

/// Prints what each accepts per second at the same number of connections, one after the other.
pub async fn peers(requests: usize) -> Outcome {
    say!("accepted per second, the middle of {ROUNDS} rounds, one server after the other");
    say!(
        "{:<22} {:>5} {:>10} {:>9} {:>9} {:>7}  what it does",
        "server",
        "conns",
        "per s",
        "p50 ms",
        "p99 ms",
        "MB"
    );
    let durable = Server::yardstick("durable").await?;
    own("durable", "durable", &durable, requests, "one row, committed").await?;
    drop(durable);
    let (sqlite, _) = Server::platform().await?;
    own("offhook.sqlite", "offhook", &sqlite, requests, "message, job, event; simulated network")
        .await?;
    drop(sqlite);
    match std::env::var("OFFHOOK_BENCH_POSTGRES") {
        Ok(url) => {
            let postgres = Server::on_postgres(&url).await?;
            let what = "the same on PostgreSQL, one node";
            own("offhook.postgres", "offhook, PostgreSQL", &postgres, requests, what).await?;
        }
        Err(_) => say!(
            "{:<22} did not run: OFFHOOK_BENCH_POSTGRES names no database",
            "offhook, PostgreSQL"
        ),
    }
    let centre = smsc::start().await?;
    match Kannel::start(centre).await {
        Ok(kannel) => {
            foreign(&kannel.relay(None), requests / 4, "spool store; relays by SMPP").await?
        }
        Err(why) => say!("{:<22} did not run: {why}", "kannel"),
    }
    match Jasmin::start(centre).await {
        Ok(jasmin) => {
            foreign(&jasmin.relay(), requests / 8, "RabbitMQ and Redis; relays by SMPP").await?
        }
        Err(why) => say!("{:<22} did not run: {why}", "jasmin"),
    }
    match Prism::start().await {
        Ok(prism) => {
            foreign(&prism.relay(), requests / 20, "answers by the definition, keeps nothing")
                .await?
        }
        Err(why) => say!("{:<22} did not run: {why}", "prism"),
    }
    Ok(())
}

async fn own(key: &str, name: &str, server: &Server, requests: usize, what: &str) -> Outcome {
    server.load(CONNECTIONS[0], requests / 10).await?;
    for connections in CONNECTIONS {
        let measured = middle(async || {
            let measured = server.load(connections, requests).await?;
            server.rest().await;
            Ok(measured)
        });
        row(key, name, connections, &measured.await?, server.resident_kib(), what);
    }
    Ok(())
}

async fn foreign(relay: &Relay, requests: usize, what: &str) -> Outcome {
    let sent =
        async |conns: usize, first: usize, count: usize| -> Result<load::Measured, Failure> {
            let request = relay.request.clone();
            let request: load::Request = Arc::new(move |at| request(first + at));
            let load = load::run_for(relay.status, &relay.address, conns, count, request).await;
            load.map_err(|error| error.to_string().into())
        };
    sent(CONNECTIONS[0], 10_000_000, requests / 10).await?;
    let mut next = 0;
    for connections in CONNECTIONS {
        let measured = middle(async || {
            next += requests;
            sent(connections, next, requests).await
        });
        match measured.await {
            Ok(measured) => {
                let kib = (relay.resident_kib)();
                row(relay.name, relay.name, connections, &measured, kib, what);
            }
            Err(why) => say!("{:<22} {connections:>5} failed: {why}", relay.name),
        }
    }
    Ok(())
}

/// The middle of all rounds; nothing when one fails.
async fn middle(
    mut round: impl AsyncFnMut() -> Result<load::Measured, Failure>,
) -> Result<load::Measured, Failure> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(round().await?);
    }
    Ok(load::median(rounds).ok_or("no rounds")?)
}

fn row(key: &str, name: &str, connections: usize, measured: &load::Measured, kib: u64, what: &str) {
    let key = format!("peers.{key}");
    figure(&key, get(&key).unwrap_or(0.0).max(measured.per_second));
    say!(
        "{name:<22} {connections:>5} {:>10.0} {:>9.2} {:>9.2} {:>7}  {what}",
        measured.per_second,
        measured.p50_ms,
        measured.p99_ms,
        kib / 1024
    );
}

/// Prints latency at half of capacity, then memory while a thousand callers ask without pause.
pub async fn load(requests: usize) -> Outcome {
    let (server, _) = Server::platform().await?;
    server.load(64, requests / 10).await?;
    let capacity = server.load(64, requests).await?.per_second;
    server.settle().await?;
    let half = server.paced(64, capacity / 2.0, HALF_SECONDS).await?;
    figure("load.half.p99", half.p99_ms);
    say!("capacity with 64 connections     {capacity:.0} a second");
    say!(
        "at half of it for {HALF_SECONDS:.0} s           {:.0} a second, p50 {:.2} ms, p99 {:.2} ms from when each was due",
        half.per_second,
        half.p50_ms,
        half.p99_ms
    );
    server.settle().await?;
    let before = server.resident_kib();
    let (peak, over) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
    let watch = {
        let (peak, over, id) = (peak.clone(), over.clone(), server.id());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(crate::process::resident_kib(id), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let crowd = server.load(CALLERS, requests).await?;
    over.store(true, Ordering::Relaxed);
    watch.join().map_err(|_| "the watch failed")?;
    let mb = |kib: u64| kib as f64 / 1024.0;
    let peak = peak.load(Ordering::Relaxed);
    figure("load.crowd.mb", mb(peak));
    say!(
        "{CALLERS} callers without pause       {:.0} a second, p99 {:.0} ms; resident {:.0} MB before, {:.0} MB at most",
        crowd.per_second,
        crowd.p99_ms,
        mb(before),
        mb(peak)
    );
    let waited = server.settle().await?;
    say!("every promise kept               {waited:.1} s after the last request");
    Ok(())
}

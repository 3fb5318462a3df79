//! Verifications started and checked per second, and what one check costs when there are very many.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::load::{self, Measured};
use crate::process::{Server, form};
use crate::report::{figure, say};

type Failure = Box<dyn std::error::Error>;

const CONNECTIONS: [usize; 2] = [1, 16];
const CODE: &str = "471108";
/// Checks of one figure, one after the other.
const CHECKS: usize = 400;
const FEW: u64 = 10;

/// Prints what is started and checked per second, then the cost of a check with few and with `many`
/// verifications that wait.
pub async fn run(requests: usize, many: u64) -> Outcome {
    say!(
        "verifications, {requests} requests per cell; every answer is durable, and every code is sent"
    );
    say!(
        "{:<9} {:<7} {:>5} {:>10} {:>9} {:>9} {:>10}",
        "server",
        "what",
        "conns",
        "per s",
        "p50 ms",
        "p99 ms",
        "of durable"
    );
    let durable = Server::yardstick("durable").await?;
    let platform = Server::configured("").await?;
    let service = service(&platform).await?;
    let mut next = 0;
    for connections in CONNECTIONS {
        let requests = if connections == 1 { requests / 6 } else { requests };
        durable.load(connections, requests / 10).await?;
        let yardstick = durable.load(connections, requests).await?;
        row("durable", "a row", connections, &yardstick, None);
        let first = next;
        next += requests;
        for (what, path) in [("start", "Verifications"), ("check", "VerificationCheck")] {
            let measured = load(&platform, &service, path, connections, first, requests).await?;
            row("offhook", what, connections, &measured, Some(&yardstick));
        }
        platform.settle().await?;
    }

    say!("\none check with a wrong code, {CHECKS} one after the other");
    say!("{:>14} {:>10} {:>10}", "verifications", "mean ms", "p99 ms");
    let mut held = 0;
    let mut means = Vec::new();
    for wanted in [FEW, many] {
        fill(&platform, &service, held, wanted)?;
        held = wanted;
        load(&platform, &service, "Verifications", 16, next, CHECKS).await?;
        platform.settle().await?;
        let (mean, p99) = checks(&platform, &service, next).await?;
        say!("{wanted:>14} {mean:>10.3} {p99:>10.3}");
        means.push(mean);
        next += CHECKS;
    }
    figure("verify.many", means[1] / means[0]);
    say!(
        "{:.2} times the cost at {:.0} times the number",
        means[1] / means[0],
        many as f64 / FEW as f64
    );
    Ok(())
}

fn row(server: &str, what: &str, connections: usize, measured: &Measured, than: Option<&Measured>) {
    let share = than
        .map(|than| format!("{:.0} %", 100.0 * measured.per_second / than.per_second))
        .unwrap_or_default();
    say!(
        "{server:<9} {what:<7} {connections:>5} {:>10.0} {:>9.2} {:>9.2} {share:>10}",
        measured.per_second,
        measured.p50_ms,
        measured.p99_ms
    );
}

/// A service that takes codes of our own.
async fn service(platform: &Server) -> Result<String, Failure> {
    let fields = [("FriendlyName", "Bench"), ("CustomCodeEnabled", "true")];
    let (_, body) = platform.ask(&post(platform, "/_/verify/v2/Services", &fields)).await?;
    let sid = body["sid"].as_str().ok_or_else(|| format!("no service was made: {body}"))?;
    Ok(sid.to_owned())
}

fn post(platform: &Server, path: &str, fields: &[(&str, &str)]) -> String {
    let (host, _, authorization, _) = platform.submission();
    form(&host, path, &authorization, fields)
}

fn number(at: usize) -> String {
    crate::process::us_number(at)
}

fn request(platform: &Server, service: &str, path: &str, at: usize, code: &str) -> String {
    let to = number(at);
    let mut fields = vec![("To", to.as_str())];
    match path {
        "Verifications" => {
            fields.extend([("Channel", "sms"), ("CustomCode", code), ("RiskCheck", "disable")]);
        }
        _ => fields.push(("Code", code)),
    }
    post(platform, &format!("/_/verify/v2/Services/{service}/{path}"), &fields)
}

async fn load(
    platform: &Server,
    service: &str,
    path: &str,
    connections: usize,
    first: usize,
    total: usize,
) -> Result<Measured, Failure> {
    let all: Vec<String> =
        (0..total).map(|at| request(platform, service, path, first + at, CODE)).collect();
    let address = platform.submission().0;
    let measured =
        load::run(&address, connections, total, Arc::new(move |at| all[at].clone())).await;
    measured.map_err(|error| format!("{path}: {error}").into())
}

/// Mean and 99th percentile of a wrong check, in milliseconds.
async fn checks(platform: &Server, service: &str, first: usize) -> Result<(f64, f64), Failure> {
    let mut times = Vec::with_capacity(CHECKS);
    for at in 0..CHECKS {
        let text = request(platform, service, "VerificationCheck", first + at, "000000");
        let began = Instant::now();
        let (status, body) = platform.ask(&text).await?;
        times.push(began.elapsed());
        if status != 201 || body["status"] != "pending" {
            return Err(format!("a wrong check was answered {status}: {body}").into());
        }
    }
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>().as_secs_f64() * 1000.0 / CHECKS as f64;
    Ok((mean, times[CHECKS * 99 / 100].as_secs_f64() * 1000.0))
}

/// Adds verifications that wait for their codes, in the database itself.
fn fill(platform: &Server, service: &str, from: u64, to: u64) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    // SIDs begin with their time: these are of the last hour.
    let sids = i64::try_from(now.as_millis())?.saturating_sub(3_600_000) << 16;
    let now = i64::try_from(now.as_micros())?;
    let (account, _, _) = platform.login()?;
    let database = platform.database()?;
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
         INSERT INTO verification (account_sid, sid, service_sid, to_addr, channel, status, live,
         sends, checks, code_hash, code_sealed, country, extra, date_created, date_updated,
         expires_at, version)
         SELECT ?3, printf('VE%016x%016x', ?4 + i, i * 7919), ?5, printf('+4930%09d', i * 7919),
         'sms', 'pending', 1, 1, 0, randomblob(32), randomblob(34), 'DE', '{}', ?6, ?6,
         ?6 + 86400000000, 1 FROM n",
        (i64::try_from(from)?, i64::try_from(to)?, account, sids, service, now),
    )?;
    Ok(())
}

//! Every figure in one run, and a page of them: what `benches/RESULTS.md` holds is what was printed.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::report::{get, say, take};
use crate::{CONNECTIONS, Outcome, accept, calls, foreign, list, mail, nodes, pace, relay, verify};

/// What is aimed at, and whether a run has it.
struct Aim {
    text: &'static str,
    /// Of this run, where its parts ran.
    value: Option<f64>,
    reached: fn(f64) -> bool,
    unit: &'static str,
}

fn ratio(one: &str, other: &str) -> Option<f64> {
    Some(get(one)? / get(other)?)
}

fn aims() -> Vec<Aim> {
    let aim = |text, value, reached, unit| Aim { text, value, reached, unit };
    vec![
        aim(
            "accepts, over Kannel with its spool store: 1.8",
            ratio("peers.offhook.sqlite", "peers.kannel"),
            |x| x >= 1.8,
            "times",
        ),
        aim(
            "accepts, over Jasmin: 8",
            ratio("peers.offhook.sqlite", "peers.jasmin"),
            |x| x >= 8.0,
            "times",
        ),
        aim(
            "accepts, over Prism, which keeps nothing: 1",
            ratio("peers.offhook.sqlite", "peers.prism"),
            |x| x >= 1.0,
            "times",
        ),
        aim(
            "accepts with 64 connections, of a durable row: 60 %",
            ratio("accept.offhook.64", "accept.durable.64"),
            |x| x >= 0.6,
            "times",
        ),
        aim(
            "PostgreSQL, of SQLite: 50 %",
            ratio("peers.offhook.postgres", "peers.offhook.sqlite"),
            |x| x >= 0.5,
            "times",
        ),
        aim("two nodes on PostgreSQL, over one: 1.7", get("nodes.two"), |x| x >= 1.7, "times"),
        aim(
            "HTTP to SMPP and back, over Kannel: 1",
            ratio("relay.offhook", "relay.kannel"),
            |x| x >= 1.0,
            "times",
        ),
        aim(
            "p99 of accepting at half of capacity: 20 ms",
            get("load.half.p99"),
            |x| x < 20.0,
            "ms",
        ),
        aim(
            "resident with 1,000 callers without pause: 512 MB",
            get("load.crowd.mb"),
            |x| x < 512.0,
            "MB",
        ),
        aim(
            "a list page among many, of among few: 1.5",
            ratio("list.many", "list.few"),
            |x| x <= 1.5,
            "times",
        ),
        aim(
            "a check among many verifications, of among few: 1.5",
            get("verify.many"),
            |x| x <= 1.5,
            "times",
        ),
        aim(
            "a paced sender, off its pace: 1 %",
            get("pace.off").map(|off| off * 100.0),
            |x| x <= 1.0,
            "%",
        ),
        aim(
            "calls set up, each with a document: 150",
            get("calls.per_second"),
            |x| x >= 150.0,
            "a second",
        ),
        aim(
            "bridged calls: p99 of what a tick of sound is late: 5 ms",
            get("calls.bridged.late_ms"),
            |x| x < 5.0,
            "ms",
        ),
        aim("bridged calls: 200 KiB each", get("calls.bridged.kib"), |x| x < 200.0, "KiB"),
    ]
}

/// Runs every part, and writes the page.
pub async fn run(page: &Path, messages: u64, concurrent: u32, without: &[String]) -> Outcome {
    let began = Instant::now();
    let mut parts = String::new();
    for part in [
        "accept", "peers", "nodes", "load", "relay", "list", "pace", "verify", "mail", "foreign",
        "calls",
    ] {
        if without.iter().any(|left| left == part) {
            continue;
        }
        println!("\n==== {part}");
        let outcome = match part {
            "accept" => accept::run(40_000, &CONNECTIONS).await,
            "peers" => accept::peers(40_000).await,
            "nodes" => nodes::run(10_000).await,
            "load" => accept::load(10_000).await,
            "relay" => relay::run(20_000).await,
            "list" => list::run(messages).await,
            "pace" => pace::run(10_000, 15).await,
            "verify" => verify::run(3_000, 100_000).await,
            "mail" => mail::run(2_000).await,
            "foreign" => tokio::task::block_in_place(|| foreign::run(1000)),
            _ => calls::run(concurrent).await,
        };
        if let Err(why) = outcome {
            say!("did not run to its end: {why}");
        }
        write!(parts, "\n## {part}\n\n```\n{}```\n", take())?;
    }
    println!("\n==== aims");
    let mut table = "| aim | this run | |\n|---|---:|---|\n".to_owned();
    for aim in aims() {
        let (value, verdict) = match aim.value {
            Some(value) if (aim.reached)(value) => (format!("{value:.2} {}", aim.unit), "reached"),
            Some(value) => (format!("{value:.2} {}", aim.unit), "**missed**"),
            None => ("not measured".to_owned(), ""),
        };
        println!("{:<60} {value:>16}  {verdict}", aim.text);
        writeln!(table, "| {} | {value} | {verdict} |", aim.text)?;
    }
    let minutes = began.elapsed().as_secs() / 60;
    let text = format!(
        "# Results\n\nWritten by `cargo xtask bench all`; do not edit. Figures of one run may be compared \
         with each other, not with those of another run or machine. Client, servers and database are on \
         one machine.\n\n{}\nThe run took {minutes} \
         minutes.\n\n## Aims\n\n{table}{parts}",
        machine()
    );
    std::fs::write(page, text)?;
    println!("\nwritten to {}", page.display());
    Ok(())
}

/// What ran, on what.
fn machine() -> String {
    let first = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok();
        let text = output.map(|output| {
            let both = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&both).into_owned()
        });
        text.and_then(|text| text.lines().find(|line| !line.trim().is_empty()).map(str::to_owned))
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or("0");
    let memory = memory.parse::<u64>().unwrap_or(0) / 1024 / 1024;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let build = if cfg!(debug_assertions) { "not optimised" } else { "optimised" };
    let package = |name: &str| first("dpkg-query", &["-W", "-f", "${Version}", name]);
    let command: Vec<String> = std::env::args().skip(1).collect();
    let mut text = String::from("| | |\n|---|---|\n");
    for (what, value) in [
        ("command", format!("`cargo xtask bench {}`", command.join(" "))),
        ("date", first("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("revision", first("git", &["describe", "--always", "--dirty"])),
        (
            "machine",
            format!("{cores} processors ({cpu}), {memory} GB, {}", first("uname", &["-sr"])),
        ),
        ("load at the end", load.join(" ")),
        ("client and yardsticks", build.to_owned()),
        ("rustc", first("rustc", &["--version"])),
        ("Kannel", package("kannel")),
        ("RabbitMQ, Redis", format!("{}, {}", package("rabbitmq-server"), package("redis-server"))),
        ("Jasmin", peer("jasmin", "bin/pip", &["show", "jasmin"], "Version: ")),
        ("Prism", peer("prism", "node_modules/.bin/prism", &["--version"], "")),
        ("PostgreSQL", first("psql", &["--version"])),
        ("SIPp", package("sip-tester")),
    ] {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text
}

/// The version that a peer says it has.
fn peer(name: &str, program: &str, args: &[&str], prefix: &str) -> String {
    let Ok(home) = crate::peers::installed(name) else { return "not installed".to_owned() };
    let output = Command::new(home.join(program)).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(prefix));
    line.unwrap_or("unknown").trim().to_owned()
}

//! Every check, one after the other, with totals at the end.

use std::time::Instant;

use crate::postgres::Postgres;
use crate::{Outcome, chaos, console, definitions, matrix, needs, package, run, tidy};

/// A step adds what its runner counted to the totals.
type Step = fn(&mut Totals) -> Outcome;

/// The steps in their order; each may be asked for by name.
const STEPS: &[(&str, Step)] = &[
    ("fmt", |_| run::cargo(&["fmt", "--all", "--check"])),
    ("clippy", |_| {
        run::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("tidy", |_| tidy::run(false)),
    ("package", |_| package::check()),
    ("unit", unit),
    ("definitions", |_| definitions::run(&[])),
    ("sdk", sdk),
    ("browser", browser),
    ("wire", wire),
    ("interop", interop),
    ("chaos", |_| chaos::quick()),
    ("matrix", matrix),
];

/// What the test runners counted.
#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
}

/// Runs all steps, or those named.
pub fn run(names: &[&str]) -> Outcome {
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|(known, _)| known == *name))
    {
        let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no step is called {unknown}; there are {}", known.join(" ")));
    }
    let mut totals = Totals::default();
    let mut report = Vec::new();
    for (name, step) in STEPS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("\n==== {name}");
        let started = Instant::now();
        let outcome = step(&mut totals);
        let took = started.elapsed().as_secs();
        if let Err(why) = &outcome {
            println!("{why}");
        }
        report.push((*name, outcome.is_ok(), took));
    }
    println!("\n==== totals");
    for (name, fine, took) in &report {
        println!("{:<12} {} ({took} s)", name, if *fine { "passed" } else { "FAILED" });
    }
    let failed_steps = report.iter().filter(|(_, fine, _)| !fine).count() as u64;
    let passed = totals.passed + report.len() as u64 - failed_steps;
    let failed = totals.failed.max(failed_steps);
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err("some checks failed".to_owned()) }
}

/// Unit and slice tests, on SQLite and on PostgreSQL.
fn unit(totals: &mut Totals) -> Outcome {
    let server = Postgres::start()?;
    let env = [("OFFHOOK_TEST_POSTGRES", server.url())];
    cargo_test(&["--workspace", "--no-fail-fast"], &env, totals)
}

/// The platform between programs that others wrote: Kannel, a NATS server, OpenSMTPD, SIPp
/// and baresip; and as a cluster.
fn interop(totals: &mut Totals) -> Outcome {
    needs::for_interop()?;
    let server = Postgres::start()?;
    let env = [("OFFHOOK_TEST_POSTGRES", server.url())];
    let tests =
        ["kannel", "nats", "opensmtpd", "sip_peers", "cluster", "cluster_calls", "cluster_sound"];
    let tests: Vec<&str> = tests.iter().flat_map(|name| ["--test", name]).collect();
    cargo_test(&[&["-p", "offhook", "--features", "interop"], &tests[..]].concat(), &env, totals)
}

fn cargo_test(args: &[&str], env: &[(&str, String)], totals: &mut Totals) -> Outcome {
    let args: Vec<&str> = std::iter::once("test").chain(args.iter().copied()).collect();
    let outcome = run::tee(&run::cargo_path(), &args, env);
    let text = match &outcome {
        Ok(text) | Err((_, text)) => text,
    };
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        totals.passed += number_before(line, " passed");
        totals.failed += number_before(line, " failed");
    }
    outcome.map(|_| ()).map_err(|(why, _)| why)
}

/// The same story with every official SDK.
fn sdk(totals: &mut Totals) -> Outcome {
    needs::for_sdks()?;
    run::cargo(&["build", "-p", "offhook"])?;
    let target = run::target();
    let wire = target.join("wire");
    let _ = std::fs::remove_dir_all(&wire);
    std::fs::create_dir_all(&wire).map_err(|error| format!("{}: {error}", wire.display()))?;
    let env = [
        ("OFFHOOK_BIN", target.join("debug/offhook").display().to_string()),
        ("WIRE_LOG_DIR", wire.display().to_string()),
    ];
    let outcome = run::tee("bash", &["conformance/sdk/run.sh"], &env);
    let text = match &outcome {
        Ok(text) | Err((_, text)) => text,
    };
    if let Some(line) = text.lines().rev().find(|line| line.starts_with("sdk stories: ")) {
        totals.passed += number_before(line, " passed");
        totals.failed += number_before(line, " failed");
    }
    outcome.map(|_| ()).map_err(|(why, _)| why)
}

/// The console, checked and built, and its stories in a real browser.
fn browser(totals: &mut Totals) -> Outcome {
    needs::for_console()?;
    needs::for_browser()?;
    console::check()?;
    console::build()?;
    run::cargo(&["build", "-p", "offhook"])?;
    let target = run::target();
    let env = [
        ("OFFHOOK_BIN", target.join("debug/offhook").display().to_string()),
        ("SCREENS_DIR", target.join("console-screens").display().to_string()),
    ];
    let outcome = run::tee("node", &["console/tests/run.mjs"], &env);
    let text = match &outcome {
        Ok(text) | Err((_, text)) => text,
    };
    if let Some(line) = text.lines().rev().find(|line| line.starts_with("browser stories: ")) {
        totals.passed += number_before(line, " passed");
        totals.failed += number_before(line, " failed");
    }
    outcome.map(|_| ()).map_err(|(why, _)| why)
}

/// Every answer the SDKs got, against the official response schemas.
fn wire(_: &mut Totals) -> Outcome {
    let definitions = definitions::fetch()?.display().to_string();
    let wire = run::target().join("wire");
    let logs = std::fs::read_dir(&wire).map_err(|error| format!("{}: {error}", wire.display()))?;
    let logs: Vec<String> =
        logs.filter_map(|entry| Some(entry.ok()?.path().display().to_string())).collect();
    let mut command =
        vec!["run", "--quiet", "-p", "conformance", "--", "wire-log", "--definitions"];
    command.push(&definitions);
    command.extend(logs.iter().map(String::as_str));
    run::cargo(&command)
}

/// Unmodified programs of every stack under `offhook run`.
fn matrix(totals: &mut Totals) -> Outcome {
    let count = matrix::run(&[])?;
    totals.passed += count.passed;
    totals.failed += count.failed;
    count.verdict()
}

/// The number that stands right before `word`.
fn number_before(line: &str, word: &str) -> u64 {
    let head = line.find(word).map_or("", |at| &line[..at]);
    let digits = head.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_from_the_runners_lines() {
        let line = "ok. 12 passed; 3 failed; 0 ignored; 0 measured";
        assert_eq!((number_before(line, " passed"), number_before(line, " failed")), (12, 3));
        assert_eq!(number_before("sdk stories: 118 passed, 0 failed", " passed"), 118);
        assert_eq!(number_before("nothing", " passed"), 0);
    }
}

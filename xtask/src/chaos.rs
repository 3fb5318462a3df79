//! Seeded runs of nodes that are killed, and what must not be lost.

use crate::postgres::Postgres;
use crate::{Outcome, needs, run};

/// Runs of `cargo xtask chaos`, and of the step of `cargo xtask test`.
const RUNS: u64 = 10;
const RUNS_OF_TEST: u64 = 3;

/// `--runs N --seed S`.
pub fn run(args: &[&str]) -> Outcome {
    let (mut runs, mut seed) = (RUNS, 1);
    for pair in args.chunks(2) {
        let &[name, value] = pair else { return Err("usage: chaos [--runs N] [--seed S]".into()) };
        let value = value.parse().map_err(|_| format!("{name} takes a number, not '{value}'"))?;
        match name {
            "--runs" => runs = value,
            "--seed" => seed = value,
            _ => return Err(format!("chaos does not know {name}")),
        }
    }
    go(runs, seed)
}

/// A few runs, for every change.
pub fn quick() -> Outcome {
    go(RUNS_OF_TEST, 1)
}

fn go(runs: u64, seed: u64) -> Outcome {
    needs::for_interop()?;
    let server = Postgres::start()?;
    let env = [
        ("OFFHOOK_TEST_POSTGRES", server.url()),
        ("OFFHOOK_CHAOS_RESTART", server.crash_and_restart()),
        ("OFFHOOK_CHAOS_RUNS", runs.to_string()),
        ("OFFHOOK_CHAOS_SEED", seed.to_string()),
    ];
    let args =
        ["test", "-p", "offhook", "--features", "interop", "--test", "chaos", "--", "--nocapture"];
    run::tee(&run::cargo_path(), &args, &env).map(|_| ()).map_err(|(why, _)| why)
}

//! Seeded runs of nodes that are killed, and what must not be lost.

use crate::postgres::Postgres;
use crate::{Outcome, needs, run};

/// Runs of `cargo xtask chaos`, and of the step of `cargo xtask test`.
const RUNS: u64 = 10;
const RUNS_OF_TEST: u64 = 6;
/// Set in a network of its own, for the runs too.
const OWN_NETWORK: &str = "OFFHOOK_CHAOS_OWN_NETWORK";
const TEST: &[&str] = &["test", "-p", "offhook", "--features", "interop", "--test", "chaos"];

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

/// Where packets can be lost, the runs are in a network of their own: theirs alone are.
fn go(runs: u64, seed: u64) -> Outcome {
    if std::env::var_os(OWN_NETWORK).is_some() {
        return within(runs, seed);
    }
    needs::for_interop()?;
    if !run::is_root() {
        println!("chaos: packets are not lost; only root can make a network for it");
        return within(runs, seed);
    }
    needs::for_lossy_network()?;
    // In there nothing can be fetched.
    run::cargo(&[TEST, &["--no-run"]].concat())?;
    let this = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let (this, runs, seed) = (this.display().to_string(), runs.to_string(), seed.to_string());
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let args = ["--net", "sh", "-c", script, &this, "chaos", "--runs", &runs, "--seed", &seed];
    let own = [(OWN_NETWORK, "1".to_owned())];
    run::tee("unshare", &args, &own).map(|_| ()).map_err(|(why, _)| why)
}

fn within(runs: u64, seed: u64) -> Outcome {
    let server = Postgres::start()?;
    let env = [
        ("OFFHOOK_TEST_POSTGRES", server.url()),
        ("OFFHOOK_CHAOS_RESTART", server.crash_and_restart()),
        ("OFFHOOK_CHAOS_FAIL_OVER", server.with_standby()?),
        ("OFFHOOK_CHAOS_RUNS", runs.to_string()),
        ("OFFHOOK_CHAOS_SEED", seed.to_string()),
    ];
    let args = [TEST, &["--", "--nocapture"]].concat();
    run::tee(&run::cargo_path(), &args, &env).map(|_| ()).map_err(|(why, _)| why)
}

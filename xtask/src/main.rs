//! Everything a developer runs: `cargo xtask up | console | test | matrix | chaos | cluster |
//! fuzz | tidy | bench | definitions`.
//!
//! No other tool is needed: what a step wants and the machine lacks is installed
//! by [`needs`], or named with the command that installs it.

mod chaos;
mod cluster;
mod console;
mod definitions;
mod fuzz;
mod layers;
mod matrix;
mod needs;
mod package;
mod postgres;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  up [ARGS]      build and start the platform; ARGS go to `offhook up`
  console        build the web console, which the next build of the platform holds
  console picture
                 make the picture of it that the README shows
  test [STEP]    run every check (fmt clippy tidy unit definitions sdk browser wire
                 interop chaos matrix), or those named
  matrix [--only TEXT] [--mode syscall|portable] [--as root|user]
                 run unmodified programs of every stack under `offhook run`
  chaos [--runs N] [--seed S]
                 kill nodes, database and bus under load, and look for what is lost
  cluster [LANGUAGES | up]
                 start two nodes behind a balancer and tell the SDK stories, or stay
  fuzz [--seconds N] [TARGET...]
                 look for octets that break what reads octets of strangers
  tidy [--write] check the house rules; --write regenerates generated pages
  bench [ARGS]   measure, beside yardsticks of the same run; `bench all` does everything and
                 writes benches/RESULTS.md
  package        check what is in deploy/, and build the Debian package; `package check` only checks
  definitions    hold the resource tables against the official definitions
  definitions skeleton FILE RESOURCE
                 print a skeleton table from the official definitions";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["up", rest @ ..] => up(rest),
        ["console"] => console::build(),
        ["console", "picture"] => console::picture(),
        ["console", "types"] => console::types(),
        ["test", steps @ ..] => test::run(steps),
        ["tidy"] => tidy::run(false),
        ["tidy", "--write"] => tidy::run(true),
        ["matrix", rest @ ..] => matrix::run(rest).and_then(matrix::Count::verdict),
        ["chaos", rest @ ..] => chaos::run(rest),
        ["cluster", rest @ ..] => cluster::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["bench", rest @ ..] => bench(rest),
        ["package"] => package::run(),
        ["package", "check"] => package::check(),
        ["definitions", rest @ ..] => definitions::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, in a sentence.
type Outcome = Result<(), String>;

fn up(args: &[&str]) -> Outcome {
    if let Err(why) = console::build_if_stale() {
        eprintln!("without the console: {why}");
    }
    run::cargo(&["build", "-p", "offhook"])?;
    let mut command = vec!["up"];
    command.extend(args);
    let binary = run::target().join("debug").join("offhook").display().to_string();
    run::command(&binary, &command)
}

fn bench(args: &[&str]) -> Outcome {
    run::cargo(&["build", "--release", "-p", "offhook", "-p", "benches"])?;
    let binary = run::release_binary("benches");
    if !matches!(args.first(), Some(&("all" | "peers" | "nodes"))) {
        return run::command(&binary, args);
    }
    let peers = needs::for_benches()?;
    let definition = definitions::fetch()?.join("twilio_api_v2010.json");
    std::fs::copy(definition, peers.join("twilio_api_v2010.json")).map_err(|e| e.to_string())?;
    // With its own settings: what is committed is on the disk.
    let server = postgres::Postgres::start()?;
    let env = [
        ("OFFHOOK_BENCH_PEERS", peers.display().to_string()),
        ("OFFHOOK_BENCH_POSTGRES", server.url()),
    ];
    run::tee(&binary, args, &env).map(|_| ()).map_err(|(why, _)| why)
}

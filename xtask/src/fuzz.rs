//! Looks for octets that break what reads octets of strangers; libFuzzer does the looking.

use crate::{Outcome, run};

const SECONDS: u64 = 30;
/// Octets of an input at most.
const OCTETS: u32 = 4096;
/// Seconds that one input may take, and megabytes.
const LIMITS: [&str; 2] = ["-timeout=5", "-rss_limit_mb=2048"];
/// What tells libFuzzer where an input went.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// `[--seconds N] [TARGET...]`: each target for so long; what it found worth keeping is added to
/// its corpus.
pub fn run(args: &[&str]) -> Outcome {
    let (mut seconds, mut targets) = (SECONDS, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (*arg, args.len()) {
            ("--seconds", 1..) => {
                let value = args.next().copied().unwrap_or_default();
                seconds =
                    value.parse().map_err(|_| format!("'{value}' is no number of seconds"))?;
            }
            (name, _) if !name.starts_with('-') => targets.push(name.to_owned()),
            _ => return Err("usage: fuzz [--seconds N] [TARGET...]".into()),
        }
    }
    let known = known()?;
    if let Some(unknown) = targets.iter().find(|name| !known.contains(name)) {
        return Err(format!("no target {unknown}; there are {}", known.join(", ")));
    }
    let targets = if targets.is_empty() { known } else { targets };
    let program = build()?;
    let mut broken = Vec::new();
    for target in &targets {
        println!("fuzz {target}");
        if let Err(why) = look(&program, target, seconds) {
            println!("{why}");
            broken.push(target.as_str());
        }
    }
    println!("fuzz: {} targets, {} broken", targets.len(), broken.len());
    match broken.as_slice() {
        [] => Ok(()),
        _ => Err(format!("broken: {}; the inputs are in fuzz/corpus", broken.join(", "))),
    }
}

/// Every target has a corpus.
fn known() -> Result<Vec<String>, String> {
    let corpus = run::root().join("fuzz/corpus");
    let entries = std::fs::read_dir(&corpus).map_err(|error| format!("{corpus:?}: {error}"))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// The program, made apart from all others: it tells where it goes.
fn build() -> Result<String, String> {
    let target = run::target().join("fuzz");
    // With a target named, build scripts are made without these flags.
    let host = run::output("rustc", &["--print", "host-tuple"]).ok_or("rustc does not answer")?;
    let host = host.trim();
    let args = ["build", "--release", "-p", "fuzz", "--features", "libfuzzer", "--target", host];
    let env =
        [("RUSTFLAGS", COVERAGE.to_owned()), ("CARGO_TARGET_DIR", target.display().to_string())];
    run::tee(&run::cargo_path(), &args, &env).map_err(|(why, _)| why)?;
    Ok(target.join(host).join("release/fuzz").display().to_string())
}

/// Looks from what is known on, and keeps of what it finds the smallest that goes everywhere.
fn look(program: &str, target: &str, seconds: u64) -> Outcome {
    let corpus = run::root().join("fuzz/corpus").join(target).display().to_string();
    let found = run::target().join("fuzz/found").join(target);
    std::fs::create_dir_all(&found).map_err(|error| format!("{found:?}: {error}"))?;
    let found = found.display().to_string();
    let env = [("OFFHOOK_FUZZ_TARGET", target.to_owned())];
    let (length, time) = (format!("-max_len={OCTETS}"), format!("-max_total_time={seconds}"));
    let crash = format!("-artifact_prefix={corpus}/");
    let mut args = vec![&*found, &corpus, &length, &time, &crash, "-print_final_stats=1"];
    args.extend(LIMITS);
    run::tee(program, &args, &env).map_err(|(why, _)| why)?;
    run::tee(program, &["-merge=1", &length, &corpus, &found], &env)
        .map(|_| ())
        .map_err(|(why, _)| why)
}

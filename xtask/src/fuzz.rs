//! Looks for octets that break what reads octets of strangers; libFuzzer does the looking.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::{Outcome, run};

/// Inputs of a corpus at most, beside those that broke something.
const INPUTS: usize = 250;
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

/// Every target has a corpus: `fuzz/corpus/TARGET.txt`, an input a line, in base 64.
fn known() -> Result<Vec<String>, String> {
    let corpus = corpus("");
    let corpus = corpus.parent().ok_or("the corpus lies nowhere")?;
    let entries = std::fs::read_dir(corpus).map_err(|error| format!("{corpus:?}: {error}"))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".txt")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn corpus(target: &str) -> PathBuf {
    run::root().join("fuzz/corpus").join(format!("{target}.txt"))
}

/// Files in a directory of their own, as libFuzzer wants them.
fn unpack(target: &str, directory: &Path) -> io::Result<()> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory)?;
    for (at, line) in std::fs::read_to_string(corpus(target))?.lines().enumerate() {
        let octets = BASE64_STANDARD.decode(line).map_err(io::Error::other)?;
        std::fs::write(directory.join(at.to_string()), octets)?;
    }
    Ok(())
}

/// The shortest of the files that are worth keeping, and every one that broke something.
fn pack(target: &str, kept: &Path, broke: &Path) -> io::Result<()> {
    let mut inputs = files(kept)?;
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    inputs.truncate(INPUTS);
    inputs.extend(files(broke)?);
    let mut lines: Vec<String> = inputs.iter().map(|input| BASE64_STANDARD.encode(input)).collect();
    lines.sort_by_key(|line| (line.len(), line.clone()));
    lines.dedup();
    std::fs::write(corpus(target), lines.join("\n") + "\n")
}

fn files(directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        all.push(std::fs::read(entry?.path())?);
    }
    Ok(all)
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
    let home = run::target().join("fuzz/found").join(target);
    let place = |name: &str| home.join(name);
    let failed = |error: io::Error| format!("the corpus of {target}: {error}");
    unpack(target, &place("known")).map_err(failed)?;
    for name in ["found", "kept", "broke"] {
        let _ = std::fs::remove_dir_all(place(name));
        std::fs::create_dir_all(place(name)).map_err(failed)?;
    }
    let path = |name: &str| place(name).display().to_string();
    let (known, found, kept) = (path("known"), path("found"), path("kept"));
    let env = [("OFFHOOK_FUZZ_TARGET", target.to_owned())];
    let (length, time) = (format!("-max_len={OCTETS}"), format!("-max_total_time={seconds}"));
    let broke = format!("-artifact_prefix={}/", path("broke"));
    let mut args = vec![&*found, &known, &length, &time, &broke, "-print_final_stats=1"];
    args.extend(LIMITS);
    let looked = run::tee(program, &args, &env);
    let merge = ["-merge=1", &length, &broke, &kept, &known, &found];
    let merged = run::tee(program, &merge, &env);
    pack(target, &place("kept"), &place("broke")).map_err(failed)?;
    looked.and(merged).map(|_| ()).map_err(|(why, _)| why)
}

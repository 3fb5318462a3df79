//! Running other programs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository").to_owned()
}

/// Where builds go: `CARGO_TARGET_DIR`, or `target`.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The path of a release binary.
pub fn release_binary(name: &str) -> String {
    target().join("release").join(name).display().to_string()
}

/// Runs a program with our own output; its failure is ours.
pub fn command(program: &str, args: &[&str]) -> Result<(), String> {
    prepared(program, args, &[], |command| command.status().map(|status| status.success()))
}

/// Runs cargo in the repository.
pub fn cargo(args: &[&str]) -> Result<(), String> {
    command(&cargo_path(), args)
}

pub fn cargo_path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs a program, shows its output as it comes, and returns it.
pub fn tee(
    program: &str,
    args: &[&str],
    env: &[(&str, String)],
) -> Result<String, (String, String)> {
    let mut text = String::new();
    let outcome = prepared(program, args, env, |command| {
        // Both streams in one pipe keep their order.
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let out = child.stdout.take().expect("the pipe was asked for");
        for line in BufReader::new(out).lines() {
            let line = line?;
            println!("{line}");
            text.push_str(&line);
            text.push('\n');
        }
        child.wait().map(|status| status.success())
    });
    match outcome {
        Ok(()) => Ok(text),
        Err(why) => Err((why, text)),
    }
}

/// The output of a quick program; `None` when it cannot run or fails.
pub fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id.trim() == "0")
}

fn prepared(
    program: &str,
    args: &[&str],
    env: &[(&str, String)],
    go: impl FnOnce(&mut Command) -> std::io::Result<bool>,
) -> Result<(), String> {
    let shown = format!("{program} {}", args.join(" "));
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    for (name, value) in env {
        command.env(name, value);
    }
    match go(&mut command) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("failed: {shown}")),
        Err(error) => Err(format!("cannot run {shown}: {error}")),
    }
}

//! The official definitions: fetched, never committed, held against our tables.

use std::path::PathBuf;

use crate::{Outcome, run};

/// The package that carries them, and the version the gaps file was written for.
const PACKAGE: &str = "@twilio/cli-core@8.3.2";

/// The directory of the definitions, fetched by npm when absent.
pub fn fetch() -> Result<PathBuf, String> {
    let home = run::target().join("conformance");
    let definitions = home.join("package/src/services/twilio-api");
    if definitions.join("twilio_api_v2010.json").exists() {
        return Ok(definitions);
    }
    std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    let home_text = home.display().to_string();
    let packed =
        run::output("npm", &["pack", "--silent", "--pack-destination", &home_text, PACKAGE])
            .ok_or_else(|| format!("npm cannot fetch {PACKAGE}"))?;
    let name = packed.lines().last().unwrap_or_default().trim();
    let archive = home.join(name).display().to_string();
    run::command("tar", &["-xzf", &archive, "-C", &home_text])?;
    Ok(definitions)
}

/// `definitions` and `definitions skeleton FILE RESOURCE`.
pub fn run(args: &[&str]) -> Outcome {
    let definitions = fetch()?.display().to_string();
    let mut command = vec!["run", "--quiet", "-p", "conformance", "--"];
    match args {
        ["skeleton", rest @ ..] => {
            command.extend(["skeleton", "--definitions", &definitions]);
            command.extend(rest);
        }
        rest => {
            command.extend(["definitions", "--definitions", &definitions]);
            command.extend(rest);
        }
    }
    run::cargo(&command)
}

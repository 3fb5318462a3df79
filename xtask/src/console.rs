//! Building the web console with npm; the binary embeds what comes out.

use std::path::Path;
use std::time::SystemTime;

use crate::{Outcome, needs, run};

/// What the built console is made of, below `console/`.
const SOURCES: &[&str] = &[
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.js",
    "openapi.json",
];

fn npm(args: &[&str]) -> Outcome {
    run::command("npm", &[&["--prefix", "console"], args].concat())
}

/// Builds `console/dist`.
pub fn build() -> Outcome {
    needs::for_console()?;
    packages()?;
    npm(&["run", "build"])
}

/// Format, lint and types.
pub fn check() -> Outcome {
    packages()?;
    npm(&["run", "check"])
}

/// Writes down what our own API is, of which the types are made.
pub fn types() -> Outcome {
    let test = ["test", "-q", "-p", "offhook", "--lib", "the_console_knows_our_api"];
    let outcome = run::tee(&run::cargo_path(), &test, &[("OFFHOOK_WRITE", "1".to_owned())]);
    outcome.map(|_| ()).map_err(|(why, _)| why)
}

/// Makes docs/images/console.png.
pub fn picture() -> Outcome {
    needs::for_browser()?;
    build()?;
    run::cargo(&["build", "-p", "offhook"])?;
    let binary = run::target().join("debug/offhook").display().to_string();
    let script = &["console/tests/picture.mjs"];
    run::tee("node", script, &[("OFFHOOK_BIN", binary)]).map(|_| ()).map_err(|(why, _)| why)
}

/// Builds it where a source is newer than what was built and the machine can.
pub fn build_if_stale() -> Outcome {
    let folder = run::root().join("console");
    let built = modified(&folder.join("dist/index.html"));
    let newest = SOURCES.iter().filter_map(|name| newest(&folder.join(name))).max();
    if built.is_some() && built >= newest {
        return Ok(());
    }
    if !needs::has_node() {
        return Err("Node 20 and npm are not there; `cargo xtask console` says how".to_owned());
    }
    build()
}

/// The packages as the lockfile has them, unless they are there already.
fn packages() -> Outcome {
    let folder = run::root().join("console");
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&folder.join("package-lock.json")) {
        return Ok(());
    }
    // `npm ci` refuses a lockfile from which packages of other platforms are absent.
    npm(&["install", "--no-save"])
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// When something in a file or folder was last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    let entries = std::fs::read_dir(path).ok()?;
    entries.filter_map(|entry| newest(&entry.ok()?.path())).max()
}

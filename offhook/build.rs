//! Makes sure that there is a folder of the console to embed, empty where it was never built.

use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/dist");
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo::warning=no folder for the console: {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the folder when it is asked; a release build holds what it has now.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
}

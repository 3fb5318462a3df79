//! Which crate may import which (ARCHITECTURE.md), checked from `cargo metadata`.

use serde_json::Value;

use crate::run;

/// A layer: the folder its crates live in, and the folders or crates it may import.
struct Layer {
    folder: &'static str,
    may_import: &'static [&'static str],
    /// Third-party crates that must not be imported.
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        folder: "cores/",
        may_import: &["cores/"],
        never: &["tokio", "rand", "hyper", "rusqlite"],
    },
    Layer { folder: "contracts", may_import: &["cores/kernel"], never: &["tokio", "serde_json"] },
    Layer { folder: "foundation/", may_import: &["cores/", "foundation/"], never: &[] },
    Layer {
        folder: "products/",
        may_import: &["foundation/", "cores/", "contracts"],
        never: &["rusqlite", "tokio-postgres", "hyper", "axum"],
    },
    Layer {
        folder: "carriers/",
        may_import: &[
            "cores/",
            "contracts",
            "carriers/media",
            "foundation/outbound",
            "foundation/jobs",
            "foundation/telemetry",
            "foundation/config",
        ],
        never: &["rusqlite", "tokio-postgres"],
    },
];

/// Every import that the layers forbid.
pub fn violations() -> Result<Vec<String>, String> {
    let text = run::output(&run::cargo_path(), &["metadata", "--format-version", "1", "--no-deps"])
        .ok_or("cargo metadata failed")?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let root = run::root().display().to_string();
    let folder_of = |path: &str| {
        let path = path.strip_prefix(&root).unwrap_or(path).trim_start_matches('/');
        path.trim_end_matches("/Cargo.toml").to_owned()
    };
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let mut found = Vec::new();
    for package in packages {
        let folder = folder_of(package["manifest_path"].as_str().unwrap_or_default());
        let Some(layer) = LAYERS.iter().find(|layer| folder.starts_with(layer.folder)) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may stand on anything.
            if dependency["kind"] == "dev" {
                continue;
            }
            let name = dependency["name"].as_str().unwrap_or_default();
            match dependency["path"].as_str() {
                Some(path) => {
                    let target = folder_of(path);
                    if !layer.may_import.iter().any(|allowed| target.starts_with(allowed)) {
                        found.push(format!("{folder} imports {target}"));
                    }
                }
                None if layer.never.contains(&name) => {
                    found.push(format!("{folder} imports the crate {name}"));
                }
                None => {}
            }
        }
    }
    Ok(found)
}

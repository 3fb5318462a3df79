//! `offhook doctor`: what an instance needs of its machine, looked at before it starts.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use store::{Location, Store};

use super::Failure;
use super::output::outln;
use super::state::Database;
use super::up::location;

/// Less than this is too little to go on for long.
const FREE_BYTES_MIN: u64 = 1 << 30;
const SKEW_MAX: Duration = Duration::from_secs(2);
/// Before this a certificate should have been renewed.
const CERTIFICATE_DAYS_MIN: i64 = 14;

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    database: Database,
    /// The bus of the cluster
    #[arg(long, env = "OFFHOOK_BUS")]
    bus: Option<String>,
    /// Address to listen on
    #[arg(long, env = "OFFHOOK_LISTEN", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// URL under which applications reach this instance
    #[arg(long, env = "OFFHOOK_PUBLIC_URL")]
    public_url: Option<String>,
    /// File with carriers, routes and rates
    #[arg(long, env = "OFFHOOK_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Fine,
    /// Something will not work; the rest does.
    Lacks,
    /// It does not start, or not safely.
    Wrong,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    grade: Grade,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    fix: &'static str,
}

struct Report(Vec<Finding>);

impl Report {
    fn add(
        &mut self,
        what: &'static str,
        grade: Grade,
        found: impl Into<String>,
        fix: &'static str,
    ) {
        let fix = if grade == Grade::Fine { "" } else { fix };
        self.0.push(Finding { what, grade, found: found.into(), fix });
    }

    /// Fine with what was found, or `grade` with why not.
    fn tell(
        &mut self,
        what: &'static str,
        outcome: Result<String, String>,
        grade: Grade,
        fix: &'static str,
    ) {
        match outcome {
            Ok(found) => self.add(what, Grade::Fine, found, ""),
            Err(why) => self.add(what, grade, why, fix),
        }
    }
}

/// Exit code 1 when something is wrong.
pub async fn run(args: Doctor, data: &Path, json: bool) -> Result<bool, Failure> {
    let mut report = Report(Vec::new());
    look_at_data(&mut report, data);
    look_at_database(&mut report, location(args.database.database, data)).await;
    if let Some(bus) = &args.bus {
        let outcome = match bus::Nats::parse(bus) {
            Ok(nats) => nats.check().await.map(|()| "a server answers".to_owned()),
            Err(why) => Err(why),
        };
        report.tell("bus", outcome, Grade::Wrong, "start nats-server, or mend --bus");
    }
    look_at_ports(&mut report, args.listen, data);
    if let Some(file) = &args.config {
        let outcome = crate::config::Config::read(file).map(|_| "it is read".to_owned());
        report.tell("configuration", outcome, Grade::Wrong, "mend the file");
    }
    for (program, arguments, why) in [
        (
            "espeak-ng",
            "--version",
            "install espeak-ng, or name a speech service in the configuration: \
          calls with real sound cannot speak without",
        ),
        ("ffmpeg", "-version", "install ffmpeg: sound files other than WAV and MP3 need it"),
    ] {
        report.tell(program, version_of(program, arguments), Grade::Lacks, why);
    }
    look_at_certificate(&mut report);
    match &args.public_url {
        Some(url) => look_at_public_url(&mut report, url).await,
        None if !args.listen.ip().is_loopback() => report.add(
            "public URL",
            Grade::Lacks,
            "none is named",
            "give --public-url: applications fetch media under it",
        ),
        None => {}
    }
    print(&report, json)?;
    Ok(!report.0.iter().any(|finding| finding.grade == Grade::Wrong))
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        outln!("{}", serde_json::to_string_pretty(&report.0)?);
        return Ok(());
    }
    for Finding { what, grade, found, fix } in &report.0 {
        let mark = match grade {
            Grade::Fine => "fine ",
            Grade::Lacks => "lacks",
            Grade::Wrong => "WRONG",
        };
        outln!("{mark}  {what}: {found}");
        if !fix.is_empty() {
            outln!("       {fix}");
        }
    }
    Ok(())
}

fn look_at_data(report: &mut Report, data: &Path) {
    let probe = data.join(".doctor");
    let written = std::fs::create_dir_all(data)
        .and_then(|()| std::fs::write(&probe, b"x"))
        .and_then(|()| std::fs::remove_file(&probe));
    let outcome = written.map(|()| format!("{} is writable", data.display()));
    let outcome = outcome.map_err(|error| format!("{}: {error}", data.display()));
    report.tell("data directory", outcome, Grade::Wrong, "name another with --data, or its owner");
    #[cfg(unix)]
    if let Ok(room) = rustix::fs::statvfs(data) {
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let found = format!("{} MiB are free", free >> 20);
        let grade = if free < FREE_BYTES_MIN { Grade::Wrong } else { Grade::Fine };
        report.add("disk", grade, found, "make room: a full disk refuses every message with 503");
    }
}

async fn look_at_database(report: &mut Report, location: Location) {
    let fix = "run `offhook migrate`, or start without --no-migrate";
    let is_new = matches!(&location, Location::Sqlite(path) if !path.exists());
    if is_new {
        return report.add("database", Grade::Fine, "SQLite; there is none yet", "");
    }
    let missing = match Store::missing(&location).await {
        Ok(missing) => missing,
        Err(error) => {
            let fix = "is the server up, the URL right, the user allowed?";
            return report.add("database", Grade::Wrong, error.to_string(), fix);
        }
    };
    if !missing.is_empty() {
        let found = format!("the schema lacks {}", missing.join(", "));
        return report.add("schema", Grade::Lacks, found, fix);
    }
    report.add("schema", Grade::Fine, "up to date", "");
    let opened = match Store::open_as_it_is(&location, bus::Bus::default()).await {
        Ok(store) => {
            let version = match store.kind() {
                "postgres" => "SELECT current_setting('server_version')",
                _ => "SELECT sqlite_version()",
            };
            let row = store.point(version, vec![]).await;
            row.map(|row| (store, row.map_or(String::new(), |row| row.text(0).to_owned())))
        }
        Err(error) => Err(error),
    };
    let (store, version) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return report.add("database", Grade::Wrong, error.to_string(), "see the message");
        }
    };
    report.add("database", Grade::Fine, format!("{} {version}", store.kind()), "");
    if let Ok(time) = store.time().await {
        let here = clock::Clock::fixed().wall();
        let skew = time.since(here).max(here.since(time));
        let grade = if skew > SKEW_MAX { Grade::Wrong } else { Grade::Fine };
        let found = format!("{} ms from the database's", skew.as_millis());
        report.add("clock", grade, found, "let both machines follow NTP");
    }
}

fn look_at_ports(report: &mut Report, listen: SocketAddr, data: &Path) {
    let outcome = match TcpListener::bind(listen) {
        Ok(_) => Ok(format!("{listen} is free")),
        Err(_) if data.join(super::client::URL_FILE).exists() => {
            Ok(format!("{listen} is taken, and an instance runs on {}", data.display()))
        }
        Err(error) => Err(format!("{listen}: {error}")),
    };
    report.tell("port", outcome, Grade::Wrong, "stop who has it, or name another with --listen");
}

fn version_of(program: &str, argument: &str) -> Result<String, String> {
    let output = Command::new(program).arg(argument).stderr(Stdio::null()).output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.lines().next().unwrap_or_default().chars().take(60).collect())
        }
        Err(_) => Err("it is not there".to_owned()),
    }
}

fn look_at_certificate(report: &mut Report) {
    let authority = match crate::interception::authority() {
        Ok(authority) => authority,
        Err(error) => {
            let fix = "without it the port answers no TLS; put TLS in front";
            return report.add("certificate", Grade::Lacks, error.to_string(), fix);
        }
    };
    let now = clock::Clock::fixed().wall();
    match authority.expires() {
        Some(until) => {
            let days = (until - now.as_micros() / 1_000_000) / 86_400;
            let grade = if days < CERTIFICATE_DAYS_MIN { Grade::Wrong } else { Grade::Fine };
            let found = format!("the machine's authority holds for {days} days");
            report.add("certificate", grade, found, "`offhook trust --help` says how to renew it");
        }
        None => {
            let found = "the machine's authority cannot be read";
            report.add(
                "certificate",
                Grade::Lacks,
                found,
                "remove it; the next start makes another",
            );
        }
    }
}

async fn look_at_public_url(report: &mut Report, url: &str) {
    let outcome = reach(url).await;
    let fix = "DNS, the proxy and the firewall in front must lead to this instance; one that is not \
               started yet does not answer";
    report.tell("public URL", outcome, Grade::Lacks, fix);
}

async fn reach(url: &str) -> Result<String, String> {
    let clock = clock::Clock::fixed();
    let client = outbound::Client::new(outbound::Policy::Open, clock).map_err(|e| e.to_string())?;
    let health = format!("{}/healthz", url.trim_end_matches('/'));
    let fetch = outbound::Fetch { method: outbound::Method::Get, ..outbound::Fetch::new(&*health) };
    match client.fetch(fetch).await {
        Ok(answer) if answer.status == 200 => Ok(format!("{health} answers")),
        Ok(answer) => Err(format!("{health} answers {}", answer.status)),
        Err(failure) => Err(format!("{health}: {}", failure.message)),
    }
}

//! `offhook run`: an unmodified program reaches this platform.

mod child;
mod credentials;
mod instance;
mod record;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use door::{Door, Foreign, Relay};
use intercept::Mode;
use intercept::environment::{self, Places};
use supervisor::{Method, Rules};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Failure;
use crate::interception;
use crate::server::Front;
use instance::{Inside, Instance};
use record::Record;

/// Run a program so that its calls to Twilio, SendGrid and Segment reach this platform
#[derive(Args)]
pub struct Run {
    /// How connections are redirected
    #[arg(long, value_enum, default_value_t = How::Auto)]
    mode: How,
    /// Refuse connections to other public addresses
    #[arg(long)]
    offline: bool,
    /// Give the program no credentials and no number
    #[arg(long)]
    no_creds: bool,
    /// Do not say at the end what was intercepted
    #[arg(long, short)]
    quiet: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// Syscall where the machine can, else portable
    Auto,
    /// The kernel hands over connections (Linux): every program, no proxy variables
    Syscall,
    /// Proxy variables, and small shims in Node, Python, Java and PHP
    Portable,
    /// Proxy variables alone
    Env,
}

/// Runs until the program ends; its exit code is ours.
pub async fn run(run: Run, url: Option<&str>, data: &Path) -> Result<ExitCode, Failure> {
    telemetry::init_logs(telemetry::Format::Text, &logs());
    let authority = interception::authority()?;
    let instance = Instance::find_or_start(url, data, &authority).await?;
    let files = interception::write_files(&authority)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let SocketAddr::V4(address) = listener.local_addr()? else {
        return Err(Failure("the door has no IPv4 address".into()));
    };
    let plan = choose(run.mode)?;

    let record = Arc::new(Record::default());
    let (stop, stopped) = watch::channel(false);
    let foreign = Foreign::Pass { upstream: interception::upstream(None)?, offline: run.offline };
    let authority = Some(authority);
    let door = match &instance.inside {
        Inside::Here(running) => {
            let service = Front::new(running.platform.clone());
            let door = Door { service, authority, foreign, watch: record.clone() };
            tokio::spawn(door::serve(listener, door, stopped))
        }
        Inside::There(authority_of) => {
            let service = Relay::new(authority_of);
            let door = Door { service, authority, foreign, watch: record.clone() };
            tokio::spawn(door::serve(listener, door, stopped))
        }
    };

    let mut command = Command::new(&run.command[0]);
    command.args(&run.command[1..]);
    let door_text = address.to_string();
    let places = Places { door: &door_text, files: &files, url: &instance.env.url };
    let existing = |name: &str| std::env::var(name).ok();
    command.envs(environment::variables(plan.mode(), places, &existing));
    if !run.no_creds {
        command.envs(credentials::missing(&instance.env, &existing, Path::new(".")));
    }
    let mail = instance.env.smtp.as_deref().and_then(|address| address.parse().ok());
    let rules = Rules { door: address, mail, offline: run.offline };
    let code = match child::start(command, &plan, rules) {
        Ok(child) => {
            let supervised = child.supervised.clone();
            if let Some(supervised) = &supervised {
                record.observe(supervised.clone());
            }
            let code = child.wait().await?;
            record.settle().await;
            if !run.quiet {
                let facts = supervised.map(|supervised| supervised.facts());
                for line in record.report(plan.mode(), facts.as_ref(), &files) {
                    eprintln!("offhook: {line}");
                }
            }
            code
        }
        Err(error) => {
            eprintln!("offhook: cannot run {}: {error}", run.command[0].display());
            // As shells have it.
            if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
        }
    };
    // No receiver means that the door has closed already.
    let _ = stop.send(true);
    let _ = door.await;
    instance.stop().await;
    Ok(ExitCode::from(code))
}

/// What the platform itself logs beside the program's output: only trouble, unless asked.
fn logs() -> String {
    std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned())
}

/// How connections are redirected in this run.
enum Plan {
    Syscall(Method),
    Portable,
    Env,
}

impl Plan {
    fn mode(&self) -> Mode {
        match self {
            Self::Syscall(_) => Mode::Syscall,
            Self::Portable => Mode::Portable,
            Self::Env => Mode::Env,
        }
    }
}

/// What was asked for, or an error that says why not; on `auto` the best there is, and a line
/// that says why it is not the first choice.
fn choose(how: How) -> Result<Plan, Failure> {
    match how {
        How::Portable => Ok(Plan::Portable),
        How::Env => Ok(Plan::Env),
        How::Syscall => supervisor::probe().map(Plan::Syscall).map_err(|why| {
            Failure(format!("--mode syscall is not possible here: {why}; use --mode portable"))
        }),
        How::Auto => Ok(supervisor::probe().map_or_else(
            |why| {
                if cfg!(target_os = "linux") {
                    eprintln!("offhook: portable mode, because {why}");
                }
                Plan::Portable
            },
            Plan::Syscall,
        )),
    }
}

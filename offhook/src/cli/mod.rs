//! The command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod client;
mod clock;
mod doctor;
mod env;
mod handset;
mod mailbox;
mod messages;
mod number;
mod output;
mod ready;
mod run;
mod sms;
mod state;
mod tail;
mod trust;
mod up;
mod user;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use client::Client;

/// The communications platform you run yourself.
#[derive(Parser)]
#[command(version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args)]
struct Global {
    /// The instance to talk to; by default the one whose state is in ./.offhook
    #[arg(long, global = true, env = "OFFHOOK_URL")]
    url: Option<String>,
    /// Where state is kept
    #[arg(long, global = true, env = "OFFHOOK_DATA", default_value = "./.offhook")]
    data: std::path::PathBuf,
    /// Print JSON for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Start the platform here
    Up(Box<up::Up>),
    /// Say whether the instance on this machine takes requests; exit code 1 when it does not
    Ready(ready::Ready),
    /// Run a program so that its calls to Twilio, SendGrid and Segment reach this platform
    Run(run::Run),
    /// Print credentials and a number for programs
    Env(env::Env),
    /// Look at what an instance needs of this machine
    Doctor(doctor::Doctor),
    /// Bring the schema of the database up to date
    Migrate(state::Migrate),
    /// Write everything of an instance on SQLite to one file, while it runs
    Backup(state::Backup),
    /// Make an instance from such a file
    Restore(state::Restore),
    /// Put the certificate authority into the system's trust store
    Trust(trust::Trust),
    /// Send text messages
    #[command(subcommand)]
    Sms(sms::Sms),
    /// See and use the simulated phones
    #[command(subcommand)]
    Handset(handset::HandsetCommand),
    /// See and use the simulated mailboxes
    #[command(subcommand)]
    Mailbox(mailbox::MailboxCommand),
    /// Buy, configure and release numbers
    #[command(subcommand)]
    Number(number::Number),
    /// Say who may sign in to the console
    #[command(subcommand)]
    User(user::UserCommand),
    /// Show the WhatsApp sandbox, and the words with which a phone joins it
    Sandbox {
        /// The account; by default the main one
        account: Option<String>,
    },
    /// List messages, newest first
    Messages(messages::Messages),
    /// Show everything as it happens
    Tail(tail::Tail),
    /// See and move the clock (development profile)
    #[command(subcommand)]
    Clock(clock::ClockCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a command could not do, in a sentence.
pub struct Failure(String);

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

type Outcome = Result<(), Failure>;

/// Runs one command.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    runtime.block_on(perform(cli)).unwrap_or_else(|Failure(why)| fail(&why))
}

fn fail(why: &str) -> ExitCode {
    eprintln!("offhook: {why}");
    ExitCode::FAILURE
}

async fn perform(cli: Cli) -> Result<ExitCode, Failure> {
    let Global { url, data, json } = cli.global;
    let client = || Client::find(url.as_deref(), &data);
    match cli.command {
        // The program that was run has an exit code of its own.
        Command::Run(args) => return run::run(args, url.as_deref(), &data).await,
        Command::Doctor(args) => {
            let is_well = doctor::run(args, &data, json).await?;
            return Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Migrate(args) => state::migrate(args, &data).await,
        Command::Backup(args) => state::backup(&args, &data),
        Command::Restore(args) => state::restore(&args, &data),
        Command::Up(up) => up::run(*up, &data).await,
        Command::Ready(args) => ready::run(args, json).await,
        Command::Env(args) => env::run(args, &client()?, json).await,
        Command::Trust(args) => trust::run(&args),
        Command::Sms(args) => sms::run(args, &client()?, json).await,
        Command::Handset(args) => handset::run(args, &client()?, json).await,
        Command::Mailbox(args) => mailbox::run(args, &client()?, json).await,
        Command::Number(args) => number::run(args, &client()?, json).await,
        Command::User(args) => user::run(args, &client()?, json).await,
        Command::Sandbox { account } => handset::sandbox(account, &client()?, json).await,
        Command::Messages(args) => messages::run(args, &client()?, json).await,
        Command::Tail(args) => tail::run(args, &client()?, json).await,
        Command::Clock(args) => clock::run(args, &client()?, json).await,
        Command::Completions { shell } => {
            let mut out = std::io::stdout();
            clap_complete::generate(shell, &mut Cli::command(), "offhook", &mut out);
            Ok(())
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! What the platform does per second, beside yardsticks of the same run.
//!
//! Every figure of one table comes from one run on one machine: a bare axum
//! handler that only parses the form and answers the same JSON, the same handler
//! with one group-committed row (SQLite, `synchronous=FULL`), and the platform
//! with authentication, validation, message, job and event rows and their
//! indexes. Loads are bounded in count. Nothing here asserts a time.

mod accept;
mod all;
mod calls;
mod foreign;
mod list;
mod load;
mod mail;
mod nodes;
mod pace;
mod peers;
mod process;
mod profile;
mod relay;
mod report;
mod smsc;
mod verify;
mod yardstick;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Everything, with a page of results
    All {
        /// Where the page is written
        #[arg(long, default_value = "benches/RESULTS.md")]
        page: PathBuf,
        /// How many messages are many, in lists
        #[arg(long, default_value_t = 5_000_000)]
        messages: u64,
        /// Calls at once
        #[arg(long, default_value_t = 500)]
        concurrent: u32,
        /// Leave these parts out; may be repeated
        #[arg(long)]
        without: Vec<String>,
    },
    /// Messages accepted per second beside the programs of others, and on PostgreSQL
    Peers {
        /// Requests of each measurement
        #[arg(long, default_value_t = 40_000)]
        requests: usize,
    },
    /// What a second node adds on PostgreSQL, each held to a part of a processor
    Nodes {
        /// Requests of each measurement
        #[arg(long, default_value_t = 10_000)]
        requests: usize,
    },
    /// Latency at half of what it can do, and memory when far too many ask
    Load {
        /// Requests of each measurement
        #[arg(long, default_value_t = 20_000)]
        requests: usize,
    },
    /// Accepted messages per second, latency, memory and start-up time (the default)
    Accept {
        /// Requests of each measurement
        #[arg(long, default_value_t = 30_000)]
        requests: usize,
        /// Connections at once; may be repeated
        #[arg(long)]
        connections: Vec<usize>,
    },
    /// Cost of a list page with few and with many messages
    List {
        /// How many messages are many
        #[arg(long, default_value_t = 5_000_000)]
        messages: u64,
    },
    /// How exactly a paced sender keeps its pace, and what its queue costs
    Pace {
        /// Messages that wait
        #[arg(long, default_value_t = 100_000)]
        messages: usize,
        /// Seconds for which the pace is watched
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// HTTP to SMPP and back, beside Kannel
    Relay {
        /// Messages of the measurement
        #[arg(long, default_value_t = 20_000)]
        messages: usize,
    },
    /// Calls over SIP: set-ups a second, and how sound keeps its time, with SIPp as the other side
    Calls {
        /// Calls at once
        #[arg(long, default_value_t = 500)]
        concurrent: u32,
    },
    /// Verifications started and checked per second, and the cost of a check among many
    Verify {
        /// Requests of each measurement
        #[arg(long, default_value_t = 10_000)]
        requests: usize,
        /// How many verifications are many
        #[arg(long, default_value_t = 1_000_000)]
        verifications: u64,
    },
    /// Mail accepted per second, and handed over by SMTP
    Mail {
        /// Mails of the measurement
        #[arg(long, default_value_t = 5_000)]
        mails: usize,
    },
    /// Where the time goes while messages are accepted, and while they are relayed by SMPP; a page
    /// each in `benches/profiles`
    Profile {
        /// Seconds of each
        #[arg(long, default_value_t = 15)]
        seconds: u64,
        /// Where the pages are written
        #[arg(long, default_value = "benches/profiles")]
        into: PathBuf,
    },
    /// What `offhook run` costs a program's other connections
    Foreign {
        /// Connections of a round
        #[arg(long, default_value_t = 1000)]
        connections: usize,
    },
    /// Opens connections and says what each took; the benchmark starts it itself
    #[command(hide = true)]
    Connect { port: u16, connections: usize },
    /// Serves a yardstick; the benchmark starts it itself
    #[command(hide = true)]
    Yardstick {
        /// `bare` or `durable`
        kind: String,
        port: u16,
        directory: PathBuf,
    },
}

/// Connections at once unless others are asked for.
const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let command = Cli::parse().command;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if !matches!(command, Some(Command::Yardstick { .. })) {
        // A client of one thread leaves the most to what is measured.
        builder.worker_threads(1);
    }
    let runtime = builder.enable_all().build()?;
    let default = Command::Accept { requests: 30_000, connections: Vec::new() };
    match command.unwrap_or(default) {
        Command::Yardstick { kind, port, directory } => {
            runtime.block_on(yardstick::serve(&kind, port, &directory))
        }
        Command::Accept { requests, connections } => {
            let connections =
                if connections.is_empty() { CONNECTIONS.to_vec() } else { connections };
            runtime.block_on(accept::run(requests, &connections))
        }
        Command::All { page, messages, concurrent, without } => {
            runtime.block_on(all::run(&page, messages, concurrent, &without))
        }
        Command::Peers { requests } => runtime.block_on(accept::peers(requests)),
        Command::Nodes { requests } => runtime.block_on(nodes::run(requests)),
        Command::Load { requests } => runtime.block_on(accept::load(requests)),
        Command::Profile { seconds, into } => runtime.block_on(profile::run(seconds, &into)),
        Command::List { messages } => runtime.block_on(list::run(messages)),
        Command::Pace { messages, seconds } => runtime.block_on(pace::run(messages, seconds)),
        Command::Relay { messages } => runtime.block_on(relay::run(messages)),
        Command::Calls { concurrent } => runtime.block_on(calls::run(concurrent)),
        Command::Verify { requests, verifications } => {
            runtime.block_on(verify::run(requests, verifications))
        }
        Command::Mail { mails } => runtime.block_on(mail::run(mails)),
        Command::Foreign { connections } => foreign::run(connections),
        Command::Connect { port, connections } => foreign::connect(port, connections),
    }
}

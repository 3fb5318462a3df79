//! Holds this platform against Twilio's published OpenAPI definitions.
//!
//! Three commands: `definitions` compares every mounted table, `wire-log` checks
//! recorded answers, `skeleton` drafts the table of a resource. The definitions
//! come from the npm package `@twilio/cli-core` and are never committed.
//!
//! Three committed lists go with it: `gaps.txt`, what is known to be missing and may
//! only shrink; `extras.txt`, what we have beyond the definitions and why; and
//! `deviations.txt`, where answers differ because Twilio's real answers do.

mod compare;
mod definitions;
mod deviations;
mod formats;
mod gaps;
mod schema;
mod skeleton;
mod wire_log;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand};

use crate::compare::{COLUMNS, Comparison};
use crate::definitions::Definitions;
use crate::deviations::{DEVIATIONS, Deviations};
use crate::wire_log::{Allowed, Report};

/// Hold the platform against Twilio's OpenAPI definitions
#[derive(Parser)]
#[command(name = "conformance")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare every mounted table with the definitions
    Definitions(DefinitionsArgs),
    /// Check every answer in wire logs
    WireLog {
        /// Directory of twilio_*.json
        #[arg(long)]
        definitions: PathBuf,
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print a draft of a resource's table
    Skeleton {
        /// Directory of twilio_*.json
        #[arg(long)]
        definitions: PathBuf,
        /// Definition file, such as twilio_api_v2010
        file: String,
        /// Resource, such as Queue
        resource: String,
    },
}

#[derive(Args)]
struct DefinitionsArgs {
    /// Directory of twilio_*.json
    #[arg(long)]
    definitions: PathBuf,
    /// The accepted gaps
    #[arg(long, default_value = "conformance/gaps.txt")]
    gaps: PathBuf,
    /// Rewrite the accepted gaps; refuses new ones
    #[arg(long)]
    write: bool,
    /// Accept new gaps too
    #[arg(long, requires = "write")]
    accept_new: bool,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Definitions(args) => hold_tables(&args),
        Command::WireLog { definitions, files } => check_logs(&definitions, &files),
        Command::Skeleton { definitions, file, resource } => draft(&definitions, &file, &resource),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn hold_tables(args: &DefinitionsArgs) -> anyhow::Result<bool> {
    let definitions = Definitions::load(&args.definitions)?;
    let comparison = compare_with_platform(&definitions)?;
    print_counts(&comparison);

    let accepted = match std::fs::read_to_string(&args.gaps) {
        Ok(text) => gaps::parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Default::default(),
        Err(error) => return Err(error).context(format!("cannot read {}", args.gaps.display())),
    };
    let judgement = gaps::judge(&comparison.gaps, &accepted);
    let extras = gaps::allowed(gaps::EXTRAS)?;
    let strange: Vec<_> = comparison.extras.difference(&extras).collect();
    let unused: Vec<_> = extras.difference(&comparison.extras).collect();
    print_all("beyond the definitions and not in extras.txt", &strange);
    print_all("in extras.txt, but not beyond the definitions", &unused);

    let may_write = args.write && (args.accept_new || judgement.new.is_empty());
    if may_write {
        std::fs::write(&args.gaps, gaps::text(&comparison.gaps))
            .with_context(|| format!("cannot write {}", args.gaps.display()))?;
        println!("{} gaps written to {}", comparison.gaps.len(), args.gaps.display());
        return Ok(strange.is_empty() && unused.is_empty());
    }
    print_all("new gaps", &judgement.new);
    print_all("closed gaps that are still listed (run with --write)", &judgement.closed);
    if args.write {
        println!("nothing written: new gaps need --accept-new");
    }
    let is_clean = judgement == gaps::Judgement::default();
    Ok(is_clean && strange.is_empty() && unused.is_empty())
}

/// Wires a platform in a scratch directory and compares what it mounts.
fn compare_with_platform(definitions: &Definitions) -> anyhow::Result<Comparison> {
    let scratch = std::env::temp_dir().join(format!("conformance-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let assembled = runtime.block_on(offhook::server::assemble(&scratch));
    let comparison = assembled
        .map(|platform| compare::compare(definitions, platform.router.tables()))
        .map_err(|error| anyhow!("the platform does not start: {error}"));
    drop(runtime);
    // What stays in the temporary directory harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    comparison
}

fn print_counts(comparison: &Comparison) {
    print!("{:<20}", "product");
    for column in COLUMNS {
        print!("{column:>14}");
    }
    println!();
    for row in comparison.rows.iter().chain([&comparison.totals()]) {
        print!("{:<20}", row.name);
        for count in row.counts {
            match count.total {
                0 => print!("{:>14}", "-"),
                _ => print!("{:>14}", format!("{}/{}", count.present, count.total)),
            }
        }
        println!();
    }
}

fn print_all<T: std::fmt::Display>(title: &str, lines: &[T]) {
    if !lines.is_empty() {
        println!("\n{}: {title}", lines.len());
        for line in lines {
            println!("  {line}");
        }
    }
}

fn check_logs(definitions: &Path, files: &[PathBuf]) -> anyhow::Result<bool> {
    let definitions = Definitions::load(definitions)?;
    let allowed = Allowed {
        extras: gaps::allowed(gaps::EXTRAS)?,
        deviations: Deviations::parse(DEVIATIONS)?,
    };
    let mut report = Report::default();
    for file in files {
        let log = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        report.read(&definitions, &allowed, &log).with_context(|| file.display().to_string())?;
    }
    println!("{report}");
    Ok(report.passed())
}

fn draft(definitions: &Path, file: &str, resource: &str) -> anyhow::Result<bool> {
    let definitions = Definitions::load(definitions)?;
    let found = definitions.named(file).with_context(|| format!("no definition file {file}"))?;
    let source = skeleton::skeleton(found, resource).with_context(|| {
        let mut names: Vec<_> = found.operations.iter().map(|op| op.resource()).collect();
        names.sort_unstable();
        names.dedup();
        format!("{file} has no {resource}; it has {}", names.join(", "))
    })?;
    print!("{source}");
    Ok(true)
}

//! The binary: see the library beside it.

use clap::Parser;

fn main() -> std::process::ExitCode {
    offhook::cli::run(offhook::cli::Cli::parse())
}

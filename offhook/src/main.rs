//! The binary: see the library beside it.

use clap::Parser;

/// Messages are accepted on many threads at once, each with dozens of small
/// allocations; the system allocator's locks showed in the profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    offhook::cli::run(offhook::cli::Cli::parse())
}

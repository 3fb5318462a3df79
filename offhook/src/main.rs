//! The binary: see the library beside it.

use clap::Parser;

/// Messages are accepted on many threads at once, each with dozens of small
/// allocations; the system allocator's locks showed in the profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory that is not used again goes back to the system after so many milliseconds. At the
/// allocator's own 10 it went and came back all the time under load.
const PURGE_DELAY_MS: std::ffi::c_long = 1000;
/// `mi_option_purge_delay` of mimalloc 2.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> std::process::ExitCode {
    // SAFETY: the call only stores a number; no other thread runs yet. The environment goes before.
    #[expect(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
    offhook::cli::run(offhook::cli::Cli::parse())
}

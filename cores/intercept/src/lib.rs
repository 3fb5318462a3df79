//! What is intercepted, and what a child process is told so that it is.
//!
//! Decisions without sockets, files or system calls: the doors, certificates
//! and system calls are in `foundation/{door,authority,supervisor}`.

pub mod dns;
pub mod environment;
pub mod keystore;
mod names;
pub mod shims;

pub use environment::Mode;
pub use names::{DOMAINS, is_intercepted};

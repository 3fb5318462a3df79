//! Runs a program whose connections to the intercepted hosts reach our front door.
//!
//! [`spawn`] starts a [`Command`](std::process::Command) of the standard library under
//! a seccomp filter that hands each `connect` of the whole descendant tree to this
//! process (seccomp_unotify(2)). Nobody needs a privilege, a proxy variable or a
//! changed line of code. What is done with a call is decided in `linux/decide.rs`; why it is
//! done this way, and what goes unseen, is in docs/decisions/0002-supervisor.md.
//!
//! It deliberately does not: touch signals, standard streams, the working directory or
//! the exit status, which are the caller's through [`std::process::Child`]; set
//! environment variables; read or change what flows through a connection.
//!
//! Invariants:
//! * a call whose arguments cannot be read is left to the kernel: a hostile program
//!   hurts only itself;
//! * an intercepted host that was looked up with us is the front door or nobody: never
//!   another server, also if that listens on every address of this machine;
//! * the threads end with the tree, not with [`Supervised`]: dropping that leaves the
//!   program running and covered.
//!
//! Bounds: 4 threads for calls, 1 for DNS and up to 32 for DNS over TCP, which may
//! outlive the tree by 10 s; 10 s for a connection to the front door; 256 DNS queries
//! under way, 5 s each; 65,534 names; one caller and one DNS server for each local port.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let method = supervisor::probe()?;
//! let rules = supervisor::Rules { door: "127.0.0.1:8443".parse()?, mail: None, offline: false };
//! let mut command = std::process::Command::new("node");
//! command.arg("server.js").env("NODE_EXTRA_CA_CERTS", "ca.pem");
//! let (mut child, supervised) = supervisor::spawn(command, rules, method)?;
//! let status = child.wait()?;
//! let facts = supervised.facts();
//! println!("{status}: {} connections to {:?}", facts.redirected, facts.hosts);
//! # Ok(())
//! # }
//! ```

mod facts;

#[cfg_attr(
    all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")),
    path = "linux/mod.rs"
)]
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "elsewhere.rs"
)]
mod platform;

use std::net::SocketAddrV4;

pub use facts::{Caller, Facts, Foreign, Noted, Refused};
pub use platform::{Supervised, probe, spawn};

/// What to do with the connections of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The front door, on 127.0.0.1: ports 443 and 80 of every intercepted host.
    pub door: SocketAddrV4,
    /// A listener for mail, on 127.0.0.1: ports 25, 587 and 2525 of every intercepted host.
    /// Without one they are refused.
    pub mail: Option<SocketAddrV4>,
    /// Refuse connections to public addresses. DNS queries are still forwarded.
    pub offline: bool,
}

/// How a socket of the tree is connected on its behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Through a duplicate of it (pidfd_getfd(2), Linux 5.6): nothing about the socket
    /// changes but its peer.
    PidfdGetfd,
    /// By a connected one in its place (SECCOMP_IOCTL_NOTIF_ADDFD, Linux 5.9), for
    /// containers that forbid the former. Socket options and epoll registrations that
    /// were made before the `connect` are lost, duplicates of the descriptor stay
    /// unconnected, and a non-blocking `connect` waits until it is done, up to 10 s.
    AddFd,
}

/// Why this machine cannot supervise: one sentence, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

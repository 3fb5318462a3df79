//! What was seen of a process tree.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a process tree was seen to do so far. Every list is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Calls of `connect`, whatever became of them.
    pub connects: u64,
    /// Connections that were led to the front door.
    pub redirected: u64,
    /// The hosts of `redirected`, with the number of connections of each.
    pub hosts: BTreeMap<String, u64>,
    /// Connections that were led to the listener for mail, by host.
    pub mail: BTreeMap<String, u64>,
    /// Names outside the intercepted domains that were looked up.
    pub foreign_names: Noted<String>,
    /// Public addresses whose port 443 was connected to, not by us.
    pub foreign_tls: Noted<Foreign>,
    /// Connections that were answered with ECONNREFUSED.
    pub refused: Noted<Refused>,
    /// Programs that asked a name server for an intercepted name by `sendto`
    /// without `connect`, as musl does: the answer did not come from us.
    pub own_resolver: Noted<String>,
    /// Programs that set up io_uring, through which connections go unseen.
    pub io_uring: Noted<String>,
    /// Programs whose memory may not be read, so that their calls were let be.
    pub unreadable: Noted<String>,
}

/// A connection past us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub address: IpAddr,
    /// As [`Caller::program`].
    pub program: String,
}

/// A connection that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The intercepted name, or an address in text form.
    pub host: String,
    pub port: u16,
    /// As [`Caller::program`].
    pub program: String,
}

/// The program behind a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The file name of its executable, such as `python3.11` or `node`; if that
    /// cannot be read the name of the thread, and else `?`.
    pub program: String,
    /// The intercepted name that it looked up: lower case, no trailing dot.
    pub host: String,
}

/// Distinct entries in the order they were first seen: the first 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted<T> {
    pub entries: Vec<T>,
    /// How often something else was seen after the list was full.
    pub more: u64,
}

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), more: 0 }
    }
}

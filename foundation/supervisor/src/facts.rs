//! What was seen of a process tree.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Distinct entries that a list holds.
const ENTRIES_MAX: usize = 64;

/// What a process tree was seen to do so far. Every list is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Calls of `connect`, whatever became of them.
    pub connects: u64,
    /// Connections that were led to the front door.
    pub redirected: u64,
    /// The hosts of `redirected`, with the number of connections of each.
    pub hosts: BTreeMap<String, u64>,
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

impl<T: PartialEq> Noted<T> {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(crate) fn note(&mut self, entry: T) {
        if self.entries.contains(&entry) {
            return;
        }
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(entry);
        } else {
            self.more += 1;
        }
    }
}

impl Facts {
    /// Counts a connection to `host`; past 64 hosts only in the sum.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(crate) fn note_redirected(&mut self, host: &str) {
        self.redirected += 1;
        if let Some(count) = self.hosts.get_mut(host) {
            *count += 1;
        } else if self.hosts.len() < ENTRIES_MAX {
            self.hosts.insert(host.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_distinct_entries_and_counts_the_rest() {
        let mut noted = Noted::default();
        for entry in (0..70).chain(0..70) {
            noted.note(entry);
        }
        assert_eq!(noted.entries, (0..64).collect::<Vec<_>>());
        assert_eq!(noted.more, 12);
    }

    #[test]
    fn hosts_beyond_the_bound_are_in_the_sum_only() {
        let mut facts = Facts::default();
        for number in 0..70 {
            facts.note_redirected(&format!("{number}.twilio.com"));
        }
        facts.note_redirected("0.twilio.com");
        assert_eq!((facts.redirected, facts.hosts.len()), (71, 64));
        assert_eq!(facts.hosts["0.twilio.com"], 2);
    }
}

//! Where in a cluster something is that only one node can have.

use std::fmt::Write;

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// Which node has a leg with sound, a session, or the connection to somebody. Where there is one
/// node, it has everything.
pub trait Homes: Send + Sync {
    /// It is on this node from now on.
    fn claim<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// It is over.
    fn release<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Whether it is on another node, which is alive.
    fn is_elsewhere<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Of the homes with this beginning on nodes that are alive, the one that was claimed last;
    /// `None` where there is one node.
    fn latest<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Option<String>, Unavailable>>;
}

/// The name of a leg's home.
pub fn home_of_leg(account: Sid, leg: Sid) -> String {
    format!("leg/{account}/{leg}")
}

/// With what the names of all homes of programs begin that take calls.
pub const HOMES_OF_CLIENTS: &str = "client/";

/// With what the names of the homes of an account's programs begin that take calls under an
/// identity; each has what follows to itself.
pub fn homes_of_client(account: Sid, identity: &str) -> String {
    let mut name = format!("{HOMES_OF_CLIENTS}{account}/");
    for byte in identity.bytes() {
        // A string takes whatever is written.
        let _ = write!(name, "{byte:02x}");
    }
    name.push('/');
    name
}

/// Whose home this is, if it is a program's: what [`homes_of_client`] was told.
pub fn client_of_home(name: &str) -> Option<(Sid, String)> {
    let mut words = name.strip_prefix(HOMES_OF_CLIENTS)?.split('/');
    let account = words.next()?.parse().ok()?;
    let hex = words.next()?;
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()));
    Some((account, String::from_utf8(bytes.collect::<Option<_>>()?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identity_begins_another() {
        let account = Sid::from_parts("AC", 1);
        for identity in ["ann", "ann/1", "", "ä~"] {
            let home = format!("{}00ff", homes_of_client(account, identity));
            assert_eq!(client_of_home(&home), Some((account, identity.to_owned())));
        }
        let ann = homes_of_client(account, "ann");
        assert!(!homes_of_client(account, "ann/1").starts_with(&ann));
        assert_eq!(client_of_home("leg/AC/CA"), None);
    }
}

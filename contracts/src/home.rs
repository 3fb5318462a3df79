//! Where in a cluster something is that only one node can have.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// Which node has a leg with sound, or a session. Where there is one node, it has everything.
pub trait Homes: Send + Sync {
    /// It is on this node from now on.
    fn claim<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// It is over.
    fn release<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Whether it is on another node, which is alive.
    fn is_elsewhere<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>>;
}

/// The name of a leg's home.
pub fn home_of_leg(account: Sid, leg: Sid) -> String {
    format!("leg/{account}/{leg}")
}

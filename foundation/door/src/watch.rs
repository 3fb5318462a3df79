//! What a door tells of those who come.

use std::net::SocketAddr;

/// Who is at the other end of a connection, as far as the door knows. In the extensions of
/// every request that reaches the service.
#[derive(Clone, Debug)]
pub struct Client {
    pub peer: SocketAddr,
    /// The host named in a `CONNECT`, by SOCKS or in the TLS handshake.
    pub host: Option<String>,
    /// `User-Agent` of a `CONNECT`.
    pub user_agent: Option<String>,
}

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The client does not accept our certificate, and said so by this alert.
    Untrusted(String),
    /// The client broke off after it saw our certificate, without a word.
    BrokenOff,
    /// The client asked for a host that is not intercepted.
    ForeignName,
    /// Anything else.
    Other(String),
}

/// One thing that happened.
#[derive(Debug)]
pub enum Seen<'a> {
    Opened,
    Closed,
    /// A request for an intercepted host was answered.
    Answered {
        host: &'a str,
        status: u16,
    },
    /// A foreign connection or request was let through.
    Passed {
        host: &'a str,
        port: u16,
    },
    /// A connection was refused, or could not be made.
    Refused {
        host: &'a str,
        port: u16,
        why: &'a str,
    },
    /// `host`: as the client named it in the handshake.
    TlsFailed {
        client: &'a Client,
        fault: &'a TlsFault,
    },
}

/// Whoever wants to know. Must be quick: it is called on the connection's own task.
pub trait Watch: Send + Sync + 'static {
    fn saw(&self, seen: Seen<'_>);
}

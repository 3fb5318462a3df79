//! Why one exchange failed, and which retry policy covers it.

use std::io;

/// One failed exchange: a Twilio code and a sentence for the person who reads the alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) kind: FaultKind,
}

/// What a retry policy asks of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Name lookup, TCP or TLS did not come up: `rp=ct`.
    Connect,
    /// The server was silent for too long: `rp=rt`.
    Read,
    /// Trying again cannot help, or the time budget is used up.
    Final,
}

impl Fault {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), kind: FaultKind::Final }
    }

    pub(crate) fn connect(code: u32, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Connect, ..Self::new(code, message) }
    }

    pub(crate) fn read(code: u32, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Read, ..Self::new(code, message) }
    }

    pub(crate) fn out_of_time(total_ms: u64) -> Self {
        Self::new(11203, format!("the total time of {total_ms} ms is used up"))
    }

    /// A TCP connection that could not be made.
    pub(crate) fn from_tcp(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::connect(11202, "connection refused"),
            io::ErrorKind::TimedOut => Self::connect(11201, "connecting timed out"),
            _ => Self::connect(11205, format!("could not connect: {error}")),
        }
    }

    /// Anything that goes wrong on an open connection.
    // Differs: a connection that is lost before the whole answer came is 11206 here;
    // which code Twilio picks is not documented.
    pub(crate) fn from_http(error: &hyper::Error) -> Self {
        let mut message = format!("the server broke the HTTP protocol: {error}");
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            message.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        Self::new(11206, message)
    }
}

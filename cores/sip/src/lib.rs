//! SIP without I/O: octets, messages and time in; octets, events and times out (RFC 3261).
//!
//! | module | does | source |
//! |---|---|---|
//! | [`message`] | reads and writes messages | RFC 3261 §7, §25 |
//! | [`uri`] | addresses, names before them, parameters, Via | RFC 3261 §19, §20 |
//! | [`check`] | whether a request can be taken, and what refuses it | RFC 3261 §8.2, RFC 4475 |
//! | [`digest`] | challenges, both sides | RFC 2617, RFC 7616, RFC 8760 |
//! | [`transaction`] | the four transactions, with their timers | RFC 3261 §17, RFC 6026 |
//! | [`dialog`] | who talks to whom, by which way | RFC 3261 §12 |
//! | [`reliable`] | provisional answers that are acknowledged | RFC 3262 |
//! | [`timer`] | session timers | RFC 4028 |
//!
//! It opens no socket, reads no clock and draws no randomness. `now` is the time since any moment,
//! of a clock that does not go back.
//!
//! Invariants, held by property tests:
//! * no octets from the network panic, and what is kept of them is bounded;
//! * a message that was read is written and read again as the same.

pub mod check;
pub mod dialog;
pub mod digest;
pub mod message;
pub mod reliable;
pub mod timer;
pub mod transaction;
pub mod uri;

#[cfg(test)]
#[path = "tests/simulation.rs"]
mod simulation;
#[cfg(test)]
#[path = "tests/torture.rs"]
mod torture;

pub use message::{Headers, Message, Method, Request, Response};
pub use uri::{NameAddr, Uri, Via};

//! The sound of calls, for carriers whose legs have some.
//!
//! A carrier opens a leg with its [`Port`] and passes on the orders that are about sound; the
//! [`Engine`] plays, mixes, records and listens, and reports to Voice what Voice waits for
//! (`Played`, `Digits`, `Speech`, `Recorded` …). Signalling is the carrier's own: the engine knows
//! no packet. Of browsers alone the packets are here, too ([`Peer`]), as more than one carrier has
//! them.
//!
//! Legs live on lanes: threads that tick every 20 ms. Legs of one room are on one lane, so a tick
//! takes no lock. Whatever may wait (files, voices, recognition, sockets) happens in tasks beside.

mod engine;
mod fetch;
mod lane;
mod leg;
mod link;
mod listen;
mod load;
mod opus;
mod peer;
mod player;
mod port;
mod recorder;
mod report;
mod stream;

pub use engine::{Engine, Full, Parts};
pub use link::{Backplane, Links};
pub use load::{BOUNDS_MICROS, Load};
pub use opus::Opus;
pub use peer::{Offered, Peer, Way};
pub use port::{Fork, Heard, Port, Wire, WireEnd};

//! The sound of calls, for carriers whose legs have some.
//!
//! A carrier opens a leg with its [`Port`] and passes on the orders that are about sound; the
//! [`Engine`] plays, mixes, records and listens, and reports to Voice what Voice waits for
//! (`Played`, `Digits`, `Speech`, `Recorded`). Signalling is the carrier's own: the engine knows
//! no packet.

mod engine;
mod port;

pub use engine::{Engine, Full, Parts};
pub use port::{Heard, Port};

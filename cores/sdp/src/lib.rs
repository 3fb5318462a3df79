//! Session descriptions of telephone calls without I/O (RFC 8866), and the agreement that two of
//! them make (RFC 3264): one stream of sound, keys beside it, and its keys (SDES, RFC 4568).
//!
//! It deliberately knows no video, no ICE and no DTLS: such streams are refused one by one, with
//! their place kept, and the sound is taken. Sound by WebRTC is recognized, and agreed on elsewhere.
//!
//! Invariants, held by property tests: no octets panic; what is kept of them is bounded; an answer
//! has as many streams as its offer.

mod agree;
mod read;

pub use agree::{
    Agreed, Local, Recorded, Refusal, Srtp, accept, accept_recording, answer, offer,
    offer_recording,
};
pub use read::{Crypto, Description, Direction, Media, SdpError, Suite, parse};

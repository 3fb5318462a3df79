//! SMPP 3.4 without I/O.
//!
//! [`session::Session`] is one session of either side: octets, requests and time go in;
//! octets and events come out. [`long`] cuts bodies into short messages and puts them
//! together again, [`coding`] knows their alphabets, [`receipt`] reads delivery receipts
//! in the forms that networks use, [`status`] says what an answer means for a message.
//!
//! It opens no socket, reads no clock, draws no randomness and keeps nothing durably.
//!
//! Invariants, held by property tests:
//! * no octets from the peer panic;
//! * every request that a session took has exactly one outcome, whatever the peer does;
//! * what [`long::compose`] makes in any form, [`long::read`] and
//!   [`long::Reassembly`] give back.
//!
//! The codec is our own: the available one refuses a whole PDU when a single field is
//! longer than the standard allows, which real peers' message ids are.

pub mod address;
pub mod coding;
pub mod long;
pub mod pace;
pub mod pdu;
pub mod receipt;
pub mod session;
pub mod status;
pub mod time;
pub mod tlv;
mod wire;

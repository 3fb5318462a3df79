//! RTP without I/O: octets, packets and time in; audio, packets and reports out.
//!
//! | module | does | source |
//! |---|---|---|
//! | [`packet`] | reads and writes packets | RFC 3550 §5.1, RFC 5761 §4 |
//! | [`sequence`] | counters that wrap | RFC 3550 A.1 |
//! | [`stream`] | what is sent: numbers, timestamps, markers; sender reports | RFC 3550 §5.1, §6.4.1 |
//! | [`reception`] | what came: loss, jitter, round trip | RFC 3550 A.3, A.8, §6.4.1 |
//! | [`rtcp`] | reads and writes compound packets | RFC 3550 §6 |
//! | [`event`] | keys beside the audio | RFC 4733 §2 |
//! | [`jitter`] | the adaptive buffer between the network and the 20 ms tick | – |
//! | [`link`] | one room's sound between nodes | – |
//! | [`payload`] | which payload type is which codec | RFC 3551 §6 |
//!
//! It opens no socket, reads no clock and draws no randomness: first sequence numbers, timestamps
//! and SSRCs are passed in. `now` is always the time since any moment, of a clock that does not go
//! back (not the platform's, which a developer can move).
//!
//! Invariants, held by property tests:
//! * no octets from the network panic;
//! * audio leaves the jitter buffer in the order of its timestamps, none of it twice;
//! * the buffer and the delay it makes are bounded, whatever comes.

pub mod event;
pub mod jitter;
pub mod link;
pub mod packet;
pub mod payload;
pub mod reception;
pub mod rtcp;
pub mod sequence;
pub mod stream;

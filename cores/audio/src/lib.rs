//! Telephone audio without I/O.
//!
//! The working form is a [`Frame`]: 20 ms of 8 kHz mono 16-bit linear samples. Everything that
//! happens once per tick of a call takes and gives frames; what comes from files or wideband
//! codecs is brought there by [`resample`].
//!
//! | module | does | source |
//! |---|---|---|
//! | [`answerer`] | person, machine or fax | media §9 |
//! | [`g711`] | µ-law and A-law, both ways, bit-exact | ITU-T G.711 |
//! | [`resample`] | any two rates from 8 to 192 kHz whose ratio is sensible | windowed sinc |
//! | [`wav`] | reads PCM 8/16/24, µ-law, A-law; writes PCM 16, µ-law, A-law | RIFF |
//! | [`tone`] | ringback, busy, congestion and dial tone of 40 networks, SIT, beep | ITU-T E.180 |
//! | [`dtmf`] | makes keys and finds them in audio | ITU-T Q.23, Q.24 |
//! | [`mix`] | conferences: everyone hears the others | – |
//! | [`silence`] | speech begins and ends, trimming of recordings | – |
//! | [`conceal`] | what is heard for a packet that is not there | after G.711 Appendix I |
//! | [`level`] | dBFS and dBm0 | ITU-T G.711 §4 |
//! | [`record`] | two channels in step for a recording | – |
//! | [`time`] | samples and durations | – |
//!
//! It opens no file, reads no clock and draws no randomness.
//!
//! Invariants, held by property tests:
//! * no octets given to a parser panic, and what a parser gives is bounded by what it was given;
//! * `encode(decode(octet)) == octet` for both laws, µ-law's negative zero aside;
//! * a tone's frames are the same however its time is cut;
//! * mixing never wraps: it saturates softly.

pub mod answerer;
pub mod conceal;
pub mod dtmf;
pub mod g711;
pub mod level;
pub mod mix;
pub mod record;
pub mod resample;
pub mod silence;
pub mod time;
pub mod tone;
mod tone_table;
pub mod wav;

/// Samples per second of the working form.
pub const RATE: u32 = 8_000;
/// Samples of one frame.
pub const FRAME: usize = 160;

/// 20 ms of 8 kHz mono audio.
pub type Frame = [i16; FRAME];

/// 20 ms of nothing.
pub const SILENCE: Frame = [0; FRAME];

#[cfg(test)]
#[path = "tests/signals.rs"]
mod signals;

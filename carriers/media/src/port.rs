//! Where a leg's sound comes from and goes to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use audio::Frame;
use audio::dtmf::Key;

/// One leg's way to its network. The engine calls it from its own thread, once every 20 ms, so
/// nothing in it may block or wait.
pub trait Port: Send {
    /// Takes 20 ms of what came. Concealment of what was lost is the port's own.
    fn hear(&mut self, now: Instant) -> Heard;

    /// Gives 20 ms to the network.
    fn say(&mut self, frame: &Frame, now: Instant);

    /// Presses a key beside the sound (RFC 4733). False when the network has no such way: the
    /// engine sends the tone itself.
    fn press(&mut self, key: Key) -> bool {
        let _ = key;
        false
    }

    /// What it gave last is known by its words: nobody needs to understand it.
    fn is_told(&self) -> bool {
        false
    }

    /// Keys come beside the sound, so they are not searched for in it.
    fn has_key_events(&self) -> bool {
        false
    }
}

/// Where a leg's sound goes beside its network. The engine calls it from its own thread, once every
/// 20 ms, so nothing in it may block or wait.
pub trait Fork: Send {
    /// What was heard of the leg, and said to it.
    fn put(&mut self, inbound: &Frame, outbound: &Frame, now: Instant);
}

/// What came of a network in 20 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// `None` when there is nothing: silence.
    pub frame: Option<Frame>,
    /// A key that was pressed, at its beginning.
    pub key: Option<Key>,
}

/// Nothing comes of it and everything goes to it.
pub(crate) struct Nowhere;

impl Port for Nowhere {
    fn hear(&mut self, _now: Instant) -> Heard {
        Heard::default()
    }

    fn say(&mut self, _frame: &Frame, _now: Instant) {}
}

/// Frames that wait on either side of a wire: 10 minutes.
const WIRE_MAX: usize = 30_000;

/// A port without a network: what is put into its other end is heard, what is said can be taken
/// there.
pub struct Wire(Arc<Mutex<Both>>);

/// The other end of a [`Wire`]. Cheap to share.
#[derive(Clone)]
pub struct WireEnd(Arc<Mutex<Both>>);

#[derive(Default)]
struct Both {
    to_engine: VecDeque<Frame>,
    keys: VecDeque<Key>,
    from_engine: VecDeque<Frame>,
    /// Frames that were said before those.
    gone: u64,
    keeps: bool,
}

impl Wire {
    /// A wire and its other end. What is said is kept for the other end only if it `keeps`: then
    /// the oldest is dropped when nobody takes it.
    pub fn new(keeps: bool) -> (Self, WireEnd) {
        let both = Arc::new(Mutex::new(Both { keeps, ..Both::default() }));
        (Self(both.clone()), WireEnd(both))
    }
}

impl WireEnd {
    /// Lets samples be heard after what waits already; what is too much is dropped.
    pub fn put(&self, samples: &[i16]) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in samples.chunks(audio::FRAME) {
            if both.to_engine.len() >= WIRE_MAX {
                return;
            }
            let mut frame = audio::SILENCE;
            frame[..chunk.len()].copy_from_slice(chunk);
            both.to_engine.push_back(frame);
        }
    }

    pub fn press(&self, key: Key) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if both.keys.len() < WIRE_MAX {
            both.keys.push_back(key);
        }
    }

    /// What has been said of late and was not taken, behind this frame of all; and the number of
    /// frames that were said so far.
    pub fn heard(&self, after: u64) -> (Vec<i16>, u64) {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = usize::try_from(after.saturating_sub(both.gone)).unwrap_or(usize::MAX);
        let said = both.gone + both.from_engine.len() as u64;
        (both.from_engine.iter().skip(skipped).flatten().copied().collect(), said)
    }

    /// What has been said since the last time.
    pub fn take(&self) -> Vec<i16> {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.gone += both.from_engine.len() as u64;
        both.from_engine.drain(..).flatten().collect()
    }
}

impl Port for Wire {
    fn hear(&mut self, _now: Instant) -> Heard {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Heard { frame: both.to_engine.pop_front(), key: both.keys.pop_front() }
    }

    fn say(&mut self, frame: &Frame, _now: Instant) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !both.keeps {
            return;
        }
        if both.from_engine.len() >= WIRE_MAX {
            both.from_engine.pop_front();
            both.gone += 1;
        }
        both.from_engine.push_back(*frame);
    }

    fn has_key_events(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_heard_from_any_place() {
        let (mut wire, end) = Wire::new(true);
        let now = Instant::now();
        for value in 0..3 {
            wire.say(&[value; audio::FRAME], now);
        }
        let (samples, said) = end.heard(0);
        assert_eq!((samples.len(), said), (3 * audio::FRAME, 3));
        assert_eq!(end.heard(2), (vec![2; audio::FRAME], 3));
        assert_eq!(end.heard(9), (vec![], 3));
        assert_eq!(end.take().len(), 3 * audio::FRAME);
        wire.say(&[7; audio::FRAME], now);
        assert_eq!(end.heard(0), (vec![7; audio::FRAME], 4), "what is gone is gone");
        assert_eq!(end.heard(3), (vec![7; audio::FRAME], 4));
    }
}

//! Where a leg's sound comes from and goes to.

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

    /// Keys come beside the sound, so they are not searched for in it.
    fn has_key_events(&self) -> bool {
        false
    }
}

/// What came of a network in 20 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// `None` when there is nothing: silence.
    pub frame: Option<Frame>,
    /// A key that was pressed, at its beginning.
    pub key: Option<Key>,
}

//! Keys as tones in the audio (ITU-T Q.23), made and found (Q.24).
//!
//! Needed on legs that did not negotiate telephone-events; see the `rtp` core for those.

mod detect;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::tone::Tone;
use crate::{FRAME, Frame, time};

pub use detect::{Detector, Event};

/// Low group, by row of the keypad.
pub const ROWS: [u16; 4] = [697, 770, 852, 941];
/// High group, by column.
pub const COLUMNS: [u16; 4] = [1_209, 1_336, 1_477, 1_633];
/// Level of a key's two frequencies together, in dBm0.
pub const LEVEL_DBM0: f32 = -8.0;
/// How long a key sounds, and the pause after it, unless told otherwise. The receiver needs 40 ms
/// of each.
pub const ON: Duration = Duration::from_millis(100);
pub const OFF: Duration = Duration::from_millis(100);
/// What `w` and `W` mean in a string of digits.
pub const SHORT_WAIT: Duration = Duration::from_millis(500);
pub const LONG_WAIT: Duration = Duration::from_secs(1);

/// The keys in the order of their RFC 4733 event codes.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// The same by row and column.
const PAD: &[u8; 16] = b"123A456B789C*0#D";

/// One of the sixteen keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u8);

impl Key {
    /// `0` to `9`, `*`, `#`, `A` to `D` in either case.
    pub fn new(key: char) -> Option<Self> {
        let key = u8::try_from(key).ok()?.to_ascii_uppercase();
        KEYS.contains(&key).then_some(Self(key))
    }

    /// By RFC 4733 event code, 0 to 15.
    pub fn from_event(code: u8) -> Option<Self> {
        KEYS.get(usize::from(code)).copied().map(Self)
    }

    /// RFC 4733 event code, 0 to 15.
    pub fn event(self) -> u8 {
        KEYS.iter().position(|key| *key == self.0).unwrap_or_default() as u8
    }

    pub fn as_char(self) -> char {
        self.0.into()
    }

    /// Its low and its high frequency in Hz.
    pub fn frequencies(self) -> (u16, u16) {
        let at = PAD.iter().position(|key| *key == self.0).unwrap_or_default();
        (ROWS[at / 4], COLUMNS[at % 4])
    }

    fn at(row: usize, column: usize) -> Self {
        Self(PAD[row * 4 + column])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.as_char())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// What a string of digits asks for, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Key(Key),
    Wait(Duration),
}

/// Reads a string such as `ww1234#`. The error is the character that is no key and no wait.
pub fn steps(digits: &str) -> Result<Vec<Step>, char> {
    let step = |c| match c {
        'w' => Ok(Step::Wait(SHORT_WAIT)),
        'W' => Ok(Step::Wait(LONG_WAIT)),
        _ => Key::new(c).map(Step::Key).ok_or(c),
    };
    digits.chars().map(step).collect()
}

/// Plays keys as tones.
#[derive(Clone, Debug)]
pub struct Generator {
    steps: VecDeque<Step>,
    on: u32,
    off: u32,
    level: f32,
    /// What sounds, and its samples to come.
    now: Option<(Tone, u64)>,
}

impl Generator {
    /// At the usual times and level.
    pub fn new(steps: Vec<Step>) -> Self {
        Self::with(steps, ON, OFF, LEVEL_DBM0)
    }

    /// `on` and `off` count from 1 ms to 60 s; `level` is in dBm0, of both frequencies together.
    pub fn with(steps: Vec<Step>, on: Duration, off: Duration, level: f32) -> Self {
        let samples = |time| time::samples(time).clamp(8, 480_000) as u32;
        Self { steps: steps.into(), on: samples(on), off: samples(off), level, now: None }
    }

    /// The next 20 ms. None when all is played.
    pub fn frame(&mut self) -> Option<Frame> {
        let mut frame = [0; FRAME];
        let mut at = 0;
        while at < FRAME {
            let Some((tone, left)) = &mut self.now else {
                match self.steps.pop_front() {
                    Some(step) => self.now = Some(self.start(step)),
                    None => break,
                }
                continue;
            };
            let count = (FRAME - at).min(usize::try_from(*left).unwrap_or(FRAME));
            tone.fill(&mut frame[at..at + count]);
            at += count;
            *left -= count as u64;
            if *left == 0 {
                self.now = None;
            }
        }
        (at > 0).then_some(frame)
    }

    fn start(&self, step: Step) -> (Tone, u64) {
        match step {
            Step::Key(key) => {
                let (low, high) = key.frequencies();
                (Tone::pair(low, high, self.level, self.on), u64::from(self.on + self.off))
            }
            Step::Wait(wait) => (Tone::silence(), time::samples(wait)),
        }
    }
}

#[cfg(test)]
#[path = "tests/dtmf.rs"]
mod tests;

//! Finds keys in audio by Goertzel's algorithm.
//!
//! Blocks of 12.75 ms overlap by half. A block holds a key when two frequencies, one of each
//! group, stand out from their groups, are of similar strength (Q.24: the high one at most 4 dB
//! above and 8 dB below the low one) and together are nearly all there is. From one block to the
//! next both keep their level and turn as a tone of their frequency turns, 2.2 % off at most; that
//! tells keys from the harmonics of a voice, and how much of the block they really are.
//! A key is down after four such blocks in a row: 40 ms of tone suffice, 20 ms do not. Right after
//! other sound it takes nine, 65 ms. It is up after four blocks without it: interruptions of 10 ms
//! are bridged, pauses of 40 ms are seen.

use std::time::Duration;

use super::{COLUMNS, Key, ROWS};
use crate::{FRAME, Frame, level, time};

/// Samples of a block, and between the beginnings of two.
const BLOCK: usize = 102;
const HOP: usize = BLOCK / 2;
/// Blocks until a key is believed to be down, and up.
const DOWN: u32 = 4;
const UP: u32 = 4;
/// Blocks until a key is believed that follows on sound, as vowels do and keys do not.
const DOWN_IN_SOUND: u32 = 9;
/// Share of the key's energy that such a sound has at least: 9 dB less.
const SOUND: f32 = 0.125;
/// Share of a block's energy that the two frequencies must have, before and after it is known how
/// far off they are.
const PURITY: f32 = 0.68;
const PURITY_EXACT: f32 = 0.87;
/// Share by which a frequency may be off: Q.24 wants 1.5 % taken and 3.5 % refused.
const OFF_MAX: f32 = 0.022;
/// Most that a frequency's power changes between two blocks of one key: 4 dB.
const STEADY: f32 = 2.5;
/// A frequency stands out from its group when it has this many times the power of any other: 6.5 dB,
/// which leaves room for what the other group leaks.
const ALONE: f32 = 4.5;
/// Most that the high and the low frequency may be above the other: 4 and 8 dB, and 1.5 dB
/// for what one leaks into the other.
const TWIST_HIGH: f32 = 3.55;
const TWIST_LOW: f32 = 8.91;
/// Quietest single frequency, in dBm0.
const QUIETEST_DBM0: f32 = -36.0;

/// A key went down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Down(Key),
    /// How long it was heard, to some 6 ms.
    Up(Key, Duration),
}

/// One direction of a call. A frame costs some 5000 multiplications.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Samples that no block has left behind, and how many.
    window: [i16; BLOCK + FRAME],
    filled: usize,
    /// Power below which a frequency is not heard.
    quietest: f32,
    /// What was in the last block, and in how many before it.
    candidate: Option<(Pair, u32)>,
    /// Energies of the last three blocks, the newest first.
    energies: [f32; 3],
    /// Whether the candidate follows on sound.
    in_sound: bool,
    down: Option<Held>,
}

/// The two frequencies of a block.
#[derive(Clone, Copy, Debug)]
struct Pair {
    key: Key,
    low: Line,
    high: Line,
    energy: f32,
}

/// The spectrum of a block at one frequency.
#[derive(Clone, Copy, Debug)]
struct Line {
    re: f32,
    im: f32,
    /// Radians per sample.
    turn: f32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    key: Key,
    /// Samples from its first to its last block.
    heard: u64,
    /// Blocks since the last that had it.
    missed: u32,
}

impl Default for Detector {
    fn default() -> Self {
        let peak = level::amplitude(QUIETEST_DBM0) * 32_768.0;
        Self {
            window: [0; BLOCK + FRAME],
            filled: 0,
            quietest: (peak * BLOCK as f32 / 2.0).powi(2),
            candidate: None,
            energies: [0.0; 3],
            in_sound: false,
            down: None,
        }
    }
}

impl Detector {
    /// Takes the next 20 ms. At most one key can change in them.
    pub fn put(&mut self, frame: &Frame) -> Option<Event> {
        self.window[self.filled..self.filled + FRAME].copy_from_slice(frame);
        self.filled += FRAME;
        let (mut at, mut event) = (0, None);
        while at + BLOCK <= self.filled {
            let block = std::array::from_fn(|n| self.window[at + n].into());
            let energy = block.iter().map(|x| x * x).sum();
            event = self.follow(energy, self.pair_in(&block, energy)).or(event);
            self.energies = [energy, self.energies[0], self.energies[1]];
            at += HOP;
        }
        self.window.copy_within(at..self.filled, 0);
        self.filled -= at;
        event
    }

    /// The key that is down: what should not be heard by who gets the event instead.
    pub fn key(&self) -> Option<Key> {
        self.down.map(|held| held.key)
    }

    fn follow(&mut self, energy: f32, pair: Option<Pair>) -> Option<Event> {
        let before = self.candidate.map(|(pair, _)| pair.key);
        self.candidate = match (self.candidate, pair) {
            (Some((before, count)), Some(now)) if now.continues(&before) => Some((now, count + 1)),
            (_, now) => now.map(|now| (now, 1)),
        };
        if matches!(self.candidate, Some((pair, 1)) if before != Some(pair.key)) {
            self.in_sound = self.energies[2] >= SOUND * energy;
        }
        let key = pair.map(|pair| pair.key);
        if let Some(held) = &mut self.down {
            if key == Some(held.key) {
                held.heard += HOP as u64 * u64::from(held.missed + 1);
                held.missed = 0;
                return None;
            }
            held.missed += 1;
            if held.missed < UP {
                return None;
            }
            let up = Event::Up(held.key, time::duration(held.heard));
            self.down = None;
            return Some(up);
        }
        let (Pair { key, .. }, count) = self.candidate?;
        if count < if self.in_sound { DOWN_IN_SOUND } else { DOWN } {
            return None;
        }
        let heard = (BLOCK + HOP * (count as usize - 1)) as u64;
        self.down = Some(Held { key, heard, missed: 0 });
        Some(Event::Down(key))
    }

    fn pair_in(&self, block: &[f32; BLOCK], energy: f32) -> Option<Pair> {
        // Two frequencies of the least power.
        if energy < self.quietest * 4.0 / BLOCK as f32 {
            return None;
        }
        let (row, low) = strongest(ROWS.map(|hz| Line::of(block, hz)))?;
        let (column, high) = strongest(COLUMNS.map(|hz| Line::of(block, hz)))?;
        let powers = (low.power(), high.power());
        let is_key = powers.0.min(powers.1) >= self.quietest
            && powers.1 <= powers.0 * TWIST_HIGH
            && powers.0 <= powers.1 * TWIST_LOW
            && powers.0 + powers.1 >= PURITY * energy * BLOCK as f32 / 2.0;
        is_key.then(|| Pair { key: Key::at(row, column), low, high, energy })
    }
}

impl Pair {
    /// Whether both blocks are of one key.
    fn continues(&self, before: &Self) -> bool {
        let (Some(low), Some(high)) = (self.low.since(&before.low), self.high.since(&before.high))
        else {
            return false;
        };
        self.key == before.key && low + high >= PURITY_EXACT * self.energy * BLOCK as f32 / 2.0
    }
}

impl Line {
    /// Goertzel. A sine of peak A has a power of (A·BLOCK/2)².
    fn of(block: &[f32; BLOCK], hz: u16) -> Self {
        let turn = f32::from(hz) * std::f32::consts::TAU / crate::RATE as f32;
        let twice = 2.0 * turn.cos();
        let (mut before, mut last) = (0.0, 0.0);
        for x in block {
            (before, last) = (last, x + twice * last - before);
        }
        Self { re: last - before * turn.cos(), im: before * turn.sin(), turn }
    }

    fn power(&self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    /// The power at the frequency that there really is, which is known from how far it turned
    /// since the block before. None when that was not this tone.
    fn since(&self, before: &Self) -> Option<f32> {
        let (power, power_before) = (self.power(), before.power());
        let re = self.re * before.re + self.im * before.im;
        let im = self.im * before.re - self.re * before.im;
        let turned = im.atan2(re) - self.turn * HOP as f32;
        let turned = turned - (turned / std::f32::consts::TAU).round() * std::f32::consts::TAU;
        let off = turned / HOP as f32;
        let steady = power <= power_before * STEADY && power_before <= power * STEADY;
        if !steady || off.abs() > self.turn * OFF_MAX {
            return None;
        }
        let angle = off * BLOCK as f32 / 2.0;
        let seen = if angle.abs() < 1e-3 { 1.0 } else { angle.sin() / angle };
        Some(power / (seen * seen))
    }
}

/// The one that stands out.
fn strongest(group: [Line; 4]) -> Option<(usize, Line)> {
    let powers = group.map(|line| line.power());
    let mut best = 0;
    for at in 1..4 {
        if powers[at] > powers[best] {
            best = at;
        }
    }
    let alone = (0..4).all(|at| at == best || powers[best] >= powers[at] * ALONE);
    alone.then_some((best, group[best]))
}

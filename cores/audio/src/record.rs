//! Two channels of one recording, in step.
//!
//! Each channel's audio is put where it belongs, counted from the start of the recording. What
//! did not come is silence of the same length, so that both channels are always equally long. The
//! one that is behind is waited for a second at most: nothing grows.

use std::collections::VecDeque;

use crate::RATE;

/// Samples by which one channel may be ahead of the other.
const AHEAD_MAX: u64 = RATE as u64;
/// Longest silence that is made at once for a channel that jumps ahead: a day.
const JUMP_MAX: u64 = RATE as u64 * 86_400;

/// Which of the two. The left one is the first in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Left,
    Right,
}

/// Puts two channels together.
#[derive(Clone, Debug, Default)]
pub struct Interleaver {
    /// What has come of both beyond `given`.
    waiting: [VecDeque<i16>; 2],
    /// Samples of each that are out.
    given: u64,
}

impl Interleaver {
    /// Puts `samples` of a channel at `at` samples from the start, and appends to `out` what both
    /// have by turns. What is already out or there is not written over: audio that comes late is
    /// lost, as it was to who listened.
    ///
    /// One call makes at most a day of silence.
    pub fn put(&mut self, channel: Channel, at: u64, samples: &[i16], out: &mut Vec<i16>) {
        let end = self.given + self.waiting[channel as usize].len() as u64;
        let at = at.min(end.saturating_add(JUMP_MAX));
        let missing = at.saturating_sub(end);
        // Without the detour of a long silence through the queue.
        if missing > AHEAD_MAX {
            self.advance(at - AHEAD_MAX, out);
        }
        let end = self.given + self.waiting[channel as usize].len() as u64;
        let queue = &mut self.waiting[channel as usize];
        queue.extend(std::iter::repeat_n(0, at.saturating_sub(end) as usize));
        let known = end.saturating_sub(at).min(samples.len() as u64) as usize;
        queue.extend(&samples[known..]);
        let [left, right] = &self.waiting;
        let both = left.len().min(right.len());
        let ahead = left.len().max(right.len()) as u64;
        self.advance(self.given + (both as u64).max(ahead.saturating_sub(AHEAD_MAX)), out);
    }

    /// Appends the rest, with silence for what one of them misses up to `length` samples.
    pub fn finish(mut self, length: u64, out: &mut Vec<i16>) {
        let longest = self.waiting.iter().map(VecDeque::len).max().unwrap_or_default() as u64;
        let length = length.min(self.given.saturating_add(JUMP_MAX));
        self.advance((self.given + longest).max(length), out);
    }

    /// Samples of each channel that are out.
    pub fn given(&self) -> u64 {
        self.given
    }

    fn advance(&mut self, to: u64, out: &mut Vec<i16>) {
        let [left, right] = &mut self.waiting;
        for _ in self.given..to {
            out.push(left.pop_front().unwrap_or(0));
            out.push(right.pop_front().unwrap_or(0));
        }
        self.given = self.given.max(to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn channels_take_turns_in_step() {
        let (mut both, mut out) = (Interleaver::default(), Vec::new());
        both.put(Channel::Left, 0, &[1, 2, 3], &mut out);
        assert_eq!(out, []);
        both.put(Channel::Right, 1, &[8, 9], &mut out);
        assert_eq!(out, [1, 0, 2, 8, 3, 9]);
        // Lost audio is silence; late and repeated audio is nothing.
        both.put(Channel::Left, 5, &[6], &mut out);
        both.put(Channel::Left, 4, &[7, 7], &mut out);
        both.put(Channel::Right, 2, &[5, 4, 4], &mut out);
        assert_eq!(out[6..], [0, 4, 0, 4]);
        both.finish(8, &mut out);
        assert_eq!(out[10..], [6, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_channel_that_never_comes_is_silent_and_nothing_grows() {
        let (mut both, mut out) = (Interleaver::default(), Vec::new());
        for at in 0..1_000 {
            both.put(Channel::Right, at * 160, &[5; 160], &mut out);
            assert!(both.waiting.iter().all(|queue| queue.len() <= RATE as usize));
        }
        assert_eq!(both.given(), 160_000 - u64::from(RATE));
        assert!(out.chunks(2).all(|pair| pair == [0, 5]));
    }

    #[test]
    fn a_jump_is_bounded() {
        let (mut both, mut out) = (Interleaver::default(), Vec::new());
        both.put(Channel::Left, 80_000, &[1], &mut out);
        both.finish(0, &mut out);
        assert_eq!(out.len(), 2 * 80_001);
        assert_eq!(out[160_000..], [1, 0]);
    }

    proptest! {
        #[test]
        fn both_channels_are_equally_long(
            puts in prop::collection::vec((any::<bool>(), 0_u64..20_000, 0_usize..400), 0..40),
            length in 0_u64..30_000,
        ) {
            let (mut both, mut out) = (Interleaver::default(), Vec::new());
            let mut longest = length;
            for (left, at, count) in puts {
                let channel = if left { Channel::Left } else { Channel::Right };
                both.put(channel, at, &vec![1; count], &mut out);
                prop_assert_eq!(out.len() as u64, both.given() * 2);
                longest = longest.max(at + count as u64);
            }
            both.finish(length, &mut out);
            prop_assert_eq!(out.len() as u64, longest * 2);
        }
    }
}

//! What a leg plays: one item at a time.

use std::collections::VecDeque;

use audio::dtmf::{self, Generator, Step};
use audio::{FRAME, Frame, SILENCE};

use crate::Port;
use crate::fetch::{Ready, Sound};

pub(crate) struct Player {
    pub id: u32,
    sound: Sound,
    /// Of its beginning, what is over already.
    skipped_millis: u64,
    now: Option<Now>,
}

/// What sounds.
enum Now {
    Samples {
        samples: std::sync::Arc<[i16]>,
        at: usize,
        loops: u32,
    },
    Endless(Box<audio::tone::Tone>),
    /// For so many frames.
    Silence(u64),
    /// Keys, pressed beside the sound or as tones.
    Keys {
        steps: VecDeque<Step>,
        pause: u64,
        tones: Option<Generator>,
    },
}

impl Player {
    pub fn new(id: u32, sound: Sound, skipped_millis: u64) -> Self {
        Self { id, sound, skipped_millis, now: None }
    }

    /// The next 20 ms; `None` when it has been heard to its end.
    pub fn frame(&mut self, port: &mut dyn Port) -> Option<Frame> {
        if self.now.is_none() {
            // It is still being fetched or spoken.
            let Some(ready) = self.sound.ready() else { return Some(SILENCE) };
            self.now = Some(begin(ready, self.skipped_millis));
        }
        match self.now.as_mut()? {
            Now::Samples { samples, at, loops } => {
                if *at >= samples.len() {
                    *loops = loops.saturating_sub(1);
                    *at = 0;
                }
                if *loops == 0 || samples.is_empty() {
                    return None;
                }
                let rest = &samples[*at..];
                let count = rest.len().min(FRAME);
                let mut frame = SILENCE;
                frame[..count].copy_from_slice(&rest[..count]);
                *at += count;
                Some(frame)
            }
            Now::Endless(tone) => Some(tone.frame()),
            Now::Silence(0) => None,
            Now::Silence(frames) => {
                *frames -= 1;
                Some(SILENCE)
            }
            Now::Keys { steps, pause, tones } => keys(steps, pause, tones, port),
        }
    }
}

fn begin(ready: Ready, skipped_millis: u64) -> Now {
    match ready {
        Ready::Samples { samples, loops } => {
            let skipped = usize::try_from(skipped_millis.saturating_mul(8)).unwrap_or(usize::MAX);
            let length = samples.len().max(1);
            let gone = u32::try_from(skipped / length).unwrap_or(u32::MAX);
            Now::Samples { samples, at: skipped % length, loops: loops.saturating_sub(gone) }
        }
        Ready::Endless(tone) => Now::Endless(tone),
        Ready::Silence { millis } => {
            Now::Silence(millis.saturating_sub(skipped_millis).div_ceil(20))
        }
        // Half of a number is none.
        Ready::Keys(steps) => {
            let steps = if skipped_millis == 0 { steps.into() } else { VecDeque::new() };
            Now::Keys { steps, pause: 0, tones: None }
        }
    }
}

fn keys(
    steps: &mut VecDeque<Step>,
    pause: &mut u64,
    tones: &mut Option<Generator>,
    port: &mut dyn Port,
) -> Option<Frame> {
    loop {
        if let Some(generator) = tones {
            if let Some(frame) = generator.frame() {
                return Some(frame);
            }
            *tones = None;
        }
        if *pause > 0 {
            *pause -= 1;
            return Some(SILENCE);
        }
        let frames = |time: std::time::Duration| time.as_millis() as u64 / 20;
        match steps.pop_front()? {
            Step::Wait(time) => *pause = frames(time),
            Step::Key(key) if port.press(key) => *pause = frames(dtmf::ON + dtmf::OFF),
            step => *tones = Some(Generator::new(vec![step])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_already_is_not_played() {
        let samples: std::sync::Arc<[i16]> = (0..1600).map(|at| at as i16).collect();
        for (skipped, loops, expected) in
            [(0, 1, Some(0)), (20, 1, Some(160)), (220, 2, Some(160)), (200, 1, None)]
        {
            let ready = Ready::Samples { samples: samples.clone(), loops };
            let now = begin(ready, skipped);
            let first = match now {
                Now::Samples { loops: 0, .. } => None,
                Now::Samples { samples, at, .. } => Some(samples[at]),
                _ => panic!("samples stay samples"),
            };
            assert_eq!(first, expected, "{skipped} of {loops}");
        }
    }
}

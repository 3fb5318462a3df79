//! What a leg plays: one item at a time.

use std::collections::VecDeque;

use audio::dtmf::{self, Generator, Step};
use audio::{FRAME, Frame, SILENCE};

use crate::Port;
use crate::fetch::{Ready, Sound};

pub(crate) struct Player {
    pub id: u32,
    sound: Sound,
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
    pub fn new(id: u32, sound: Sound) -> Self {
        Self { id, sound, now: None }
    }

    /// The next 20 ms; `None` when it has been heard to its end.
    pub fn frame(&mut self, port: &mut dyn Port) -> Option<Frame> {
        if self.now.is_none() {
            // It is still being fetched or spoken.
            let Some(ready) = self.sound.ready() else { return Some(SILENCE) };
            self.now = Some(match ready {
                Ready::Samples { samples, loops } => Now::Samples { samples, at: 0, loops },
                Ready::Endless(tone) => Now::Endless(tone),
                Ready::Silence { millis } => Now::Silence(millis.div_ceil(20)),
                Ready::Keys(steps) => Now::Keys { steps: steps.into(), pause: 0, tones: None },
            });
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

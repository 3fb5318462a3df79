//! Say, Play and Pause, alone or inside Gather: sounds one after the other.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{LOOPS_MAX, Machine};
use super::talk::{Input, Output, Sound, alert};

/// Characters of one Say.
const SAY_CHARS_MAX: usize = 4096;

/// One thing to be heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Say { text: String, voice: Option<String>, language: Option<String>, loops: u32 },
    Play { url: String, loops: u32 },
    Tones { digits: String },
    Pause { millis: u64 },
}

/// How far a prompt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Running,
    Over,
    /// What happened was not about it.
    Unrelated,
}

/// Sounds under way. The first is being fetched or heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prompt {
    steps: VecDeque<Step>,
    /// What is waited for: a file, a sound's end, or a timer.
    id: u32,
}

impl Step {
    /// What a verb has to be heard; `None` when it has nothing, which may be an alert.
    pub fn of(
        verb: &Element,
        machine: &Machine,
        in_gather: bool,
        out: &mut Vec<Output>,
    ) -> Option<Self> {
        let loops = match verb.integer("loop").unwrap_or(1) {
            0 => LOOPS_MAX as u32,
            loops => loops.min(LOOPS_MAX) as u32,
        };
        let text = |name: &str| verb.get(name).map(str::to_owned);
        match verb.name.as_str() {
            "Say" if verb.text.is_empty() => {
                out.push(alert(13520, "<Say> has no text".to_owned()));
                None
            }
            "Say" => {
                let mut said = verb.text.clone();
                if said.chars().count() > SAY_CHARS_MAX {
                    let message = format!("<Say> has more than {SAY_CHARS_MAX} characters");
                    out.push(alert(13521, message));
                    said = said.chars().take(SAY_CHARS_MAX).collect();
                }
                let (voice, language) = (text("voice"), text("language"));
                Some(Self::Say { text: said, voice, language, loops })
            }
            "Play" => match (verb.get("digits"), in_gather) {
                (Some(_), true) => {
                    let message = "<Play> of digits has no place in <Gather>".to_owned();
                    out.push(alert(13320, message));
                    None
                }
                (Some(digits), false) => Some(Self::Tones { digits: digits.to_owned() }),
                (None, _) if verb.text.is_empty() => {
                    out.push(alert(11100, "<Play> has no URL".to_owned()));
                    None
                }
                (None, _) => {
                    let url = machine.absolute(&verb.text, 11100, out)?;
                    Some(Self::Play { url, loops })
                }
            },
            "Pause" => match verb.integer("length").unwrap_or(1) {
                0 => None,
                seconds => Some(Self::Pause { millis: seconds.saturating_mul(1000) }),
            },
            _ => None,
        }
    }
}

impl Prompt {
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into(), id: 0 }
    }

    /// Starts the first step.
    pub fn begin(&mut self, machine: &mut Machine, out: &mut Vec<Output>) -> Progress {
        let Some(step) = self.steps.front() else { return Progress::Over };
        self.id = machine.id();
        let id = self.id;
        let play = |sound| Output::Play { id, sound };
        out.push(match step.clone() {
            Step::Say { text, voice, language, loops } => {
                play(Sound::Say { text, voice, language, loops })
            }
            Step::Play { url, .. } => Output::Media { id, url },
            Step::Tones { digits } => play(Sound::Tones { digits }),
            // Before the call is answered there is nothing to be silent on.
            Step::Pause { millis } if !machine.answered => Output::Timer { id, millis },
            Step::Pause { millis } => play(Sound::Silence { millis }),
        });
        Progress::Running
    }

    pub fn on(&mut self, input: &Input, machine: &mut Machine, out: &mut Vec<Output>) -> Progress {
        match input {
            Input::Media { id, millis } if *id == self.id => {
                if let Some(Step::Play { url, loops }) = self.steps.front() {
                    let sound = Sound::Play { url: url.clone(), millis: *millis, loops: *loops };
                    out.push(Output::Play { id: *id, sound });
                }
                Progress::Running
            }
            Input::MediaFailed { id } | Input::Played { id } | Input::Timer { id }
                if *id == self.id =>
            {
                self.steps.pop_front();
                self.begin(machine, out)
            }
            _ => Progress::Unrelated,
        }
    }
}

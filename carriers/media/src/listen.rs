//! Who speaks, and what they say.

use std::collections::VecDeque;

use audio::answerer::{self, Answerer, Times};
use audio::silence::{Change, Detector};
use audio::wav::{self, Encoding};
use audio::{FRAME, Frame, RATE};
use contracts::{Detection, LegEvent, Listening, Verdict};
use kernel::Sid;

use crate::engine::Shared;

/// What is kept from before speech was noticed.
const BEFORE_FRAMES: usize = 15;
/// Speech that is recognised at once: a minute.
const SPEECH_MAX: usize = 60 * RATE as usize;

/// Listens for speech, and has it understood.
pub(crate) struct Ear {
    how: Listening,
    speech: Detector,
    before: VecDeque<Frame>,
    said: Vec<i16>,
}

impl Ear {
    pub fn new(how: Listening) -> Self {
        Self { how, speech: Detector::default(), before: VecDeque::new(), said: Vec::new() }
    }

    pub fn put(&mut self, frame: &Frame, account: Sid, leg: Sid, shared: &Shared) {
        let was_speaking = self.speech.is_speaking();
        let change = self.speech.put(frame);
        if was_speaking || self.speech.is_speaking() {
            if !was_speaking {
                self.said.extend(self.before.drain(..).flatten());
            }
            if self.said.len() + FRAME <= SPEECH_MAX {
                self.said.extend_from_slice(frame);
            }
        } else {
            if self.before.len() == BEFORE_FRAMES {
                self.before.pop_front();
            }
            self.before.push_back(*frame);
        }
        match change {
            Some(Change::Began) => shared.reporter.report(account, leg, LegEvent::SpeechBegan),
            Some(Change::Ended) => self.understand(account, leg, shared),
            None => {}
        }
    }

    fn understand(&mut self, account: Sid, leg: Sid, shared: &Shared) {
        let said = std::mem::take(&mut self.said);
        let reporter = shared.reporter.clone();
        let speech = |text| LegEvent::Speech { text, millis: 0 };
        if !self.how.words {
            return reporter.report(account, leg, speech(String::new()));
        }
        let (recogniser, how) = (shared.recogniser.clone(), self.how.clone());
        shared.runtime.spawn(async move {
            let words = match wav::write(Encoding::Pcm16, RATE, 1, &said) {
                Ok(file) => recogniser.recognise(file, &how).await,
                Err(_) => None,
            };
            reporter.report(account, leg, speech(words.unwrap_or_default()));
        });
    }
}

/// Tells a machine from a person.
pub(crate) struct Judge(Answerer);

impl Judge {
    pub fn new(how: Detection) -> Self {
        let millis = std::time::Duration::from_millis;
        let times = Times {
            timeout: millis(how.timeout),
            speech: millis(how.speech_threshold),
            speech_end: millis(how.speech_end_threshold),
            silence: millis(how.silence_timeout),
        };
        Self(Answerer::new(times, how.message_end))
    }

    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    pub fn put(&mut self, frame: &Frame) -> Option<Verdict> {
        Some(match self.0.put(frame)? {
            answerer::Verdict::Human => Verdict::Human,
            answerer::Verdict::Machine => Verdict::MachineStart,
            answerer::Verdict::Beep => Verdict::MachineEndBeep,
            answerer::Verdict::Silence => Verdict::MachineEndSilence,
            answerer::Verdict::Other => Verdict::MachineEndOther,
            answerer::Verdict::Fax => Verdict::Fax,
            answerer::Verdict::Unknown => Verdict::Unknown,
        })
    }
}

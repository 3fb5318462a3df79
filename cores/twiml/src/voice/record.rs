//! Record: what the caller says after the beep.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::talk::{Input, Listening, Output, Params, Sound, alert, pair};

/// What a recording needs to know of its verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPlan {
    /// `Record`, its URLs absolute.
    pub verb: Element,
    /// The words are wanted as text.
    pub transcribe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// The id of the beep.
    Beep(u32),
    /// The ids of the timers for silence and for the whole; 0 is none.
    Running { silence: u32, whole: u32 },
    /// The recording was told to end.
    Ending,
    /// The caller has gone.
    Gone,
}

/// A Record under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    plan: RecordPlan,
    action: Option<Action>,
    phase: Phase,
    key: Option<char>,
}

impl Machine {
    pub(super) fn record(&mut self, mut verb: Element, out: &mut Vec<Output>) {
        self.make_absolute(&mut verb, &["recordingStatusCallback", "transcribeCallback"], out);
        let action = self.action_or_self(&verb, out);
        let transcribe = verb.flag("transcribe", false) || verb.get("transcribeCallback").is_some();
        self.answer(out);
        let beeps = verb.flag("playBeep", true);
        let plan = RecordPlan { verb, transcribe };
        let mut record = Record { plan, action, phase: Phase::Beep(0), key: None };
        if beeps {
            let id = self.id();
            record.phase = Phase::Beep(id);
            out.push(Output::Play { id, sound: Sound::Beep });
        } else {
            self.begin_recording(&mut record, out);
        }
        self.state = State::Recording(record);
    }

    fn begin_recording(&mut self, record: &mut Record, out: &mut Vec<Output>) {
        out.push(Output::Record(Box::new(record.plan.clone())));
        let language = "en-US".to_owned();
        out.push(Output::Listen(Some(Listening { words: false, language, hints: Vec::new() })));
        let silence = self.silence(record, 0, out);
        let longest = if record.plan.transcribe { 120 } else { 3600 };
        let verb = &record.plan.verb;
        let mut seconds = verb.integer("maxLength").unwrap_or(longest);
        if record.plan.transcribe && seconds > 120 {
            out.push(alert(13615, "maxLength is too long for a transcription".to_owned()));
            seconds = 120;
        }
        let whole = self.id();
        out.push(Output::Timer { id: whole, millis: seconds.saturating_mul(1000) });
        record.phase = Phase::Running { silence, whole };
    }

    /// Counts silence once the caller has spoken for so long.
    fn silence(&mut self, record: &Record, speaking_millis: u64, out: &mut Vec<Output>) -> u32 {
        match record.plan.verb.integer("timeout").unwrap_or(5) {
            0 => 0,
            seconds => {
                let id = self.id();
                let millis = speaking_millis.saturating_add(seconds.saturating_mul(1000));
                out.push(Output::Timer { id, millis });
                id
            }
        }
    }

    pub(super) fn on_record(&mut self, mut record: Record, input: Input, out: &mut Vec<Output>) {
        match (record.phase, input) {
            (Phase::Beep(beep), Input::Played { id }) if id == beep => {
                self.begin_recording(&mut record, out);
            }
            (Phase::Running { whole, .. }, Input::SpeechBegan) => {
                record.phase = Phase::Running { silence: 0, whole };
            }
            (Phase::Running { whole, .. }, Input::Speech(speech)) => {
                let silence = self.silence(&record, speech.millis, out);
                record.phase = Phase::Running { silence, whole };
            }
            (Phase::Running { silence, whole }, Input::Timer { id })
                if id == silence || id == whole =>
            {
                record.phase = Phase::Ending;
                out.push(Output::StopRecording);
                out.push(Output::Listen(None));
            }
            (Phase::Running { .. }, Input::Digits(keys)) => {
                let ends = record.plan.verb.get("finishOnKey").unwrap_or("1234567890*#");
                if let Some(key) = keys.chars().find(|key| ends.contains(*key)) {
                    record.phase = Phase::Ending;
                    record.key = Some(key);
                    out.push(Output::StopRecording);
                    out.push(Output::Listen(None));
                }
            }
            (Phase::Gone, Input::Recorded(params)) => {
                self.state = State::Over;
                if let (Some(params), Some(action)) = (params, record.action) {
                    let params = with_digits(params, "hangup".to_owned());
                    let Action { url, method } = action;
                    out.push(Output::Post { url, method, params });
                }
                return;
            }
            // Nothing but silence: the next verb.
            (_, Input::Recorded(None)) => return self.step(out),
            (_, Input::Recorded(Some(params))) => {
                let key = record.key.map(String::from).unwrap_or_default();
                return match record.action {
                    Some(action) => self.request(action, with_digits(params, key), out),
                    None => self.step(out),
                };
            }
            _ => {}
        }
        self.state = State::Recording(record);
    }

    pub(super) fn hung_up_while_recording(&mut self, record: Record, out: &mut Vec<Output>) {
        match record.phase {
            Phase::Beep(_) => {}
            _ => {
                out.push(Output::StopRecording);
                self.state = State::Recording(Record { phase: Phase::Gone, ..record });
            }
        }
    }
}

fn with_digits(mut params: Params, digits: String) -> Params {
    params.push(pair("Digits", digits));
    params
}

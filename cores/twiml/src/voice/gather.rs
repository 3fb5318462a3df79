//! Gather: keys or words from the caller.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::prompt::{Progress, Prompt, Step};
use super::talk::{Input, Listening, Output, SpeechText, alert, pair};

/// The pause after which `speechTimeout="auto"` takes a sentence as said.
const AUTO_PAUSE_MILLIS: u64 = 1000;

/// How long words may take to be understood.
const UNDERSTANDING_MILLIS: u64 = 15_000;

/// The kind of input that came first, and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    Open,
    Keys,
    Speech,
}

/// A Gather under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gather {
    verb: Element,
    action: Option<Action>,
    partial: Option<Action>,
    prompt: Option<Prompt>,
    mode: Mode,
    digits: String,
    said: String,
    /// The timer that counts; 0 while none does.
    timer: u32,
}

impl Gather {
    fn hears(&self, kind: &str) -> bool {
        match self.verb.get("input") {
            None => kind == "dtmf",
            Some(_) => self.verb.words("input").contains(&kind),
        }
    }

    fn timeout_millis(&self) -> u64 {
        self.verb.integer("timeout").unwrap_or(5).saturating_mul(1000)
    }

    /// Silence after speech that ends it.
    fn pause_millis(&self) -> u64 {
        match self.verb.get("speechTimeout") {
            Some("auto") => AUTO_PAUSE_MILLIS,
            _ => {
                let seconds = self.verb.integer("speechTimeout");
                seconds.map_or(self.timeout_millis(), |seconds| seconds.saturating_mul(1000))
            }
        }
    }
}

impl Machine {
    pub(super) fn gather(&mut self, verb: Element, out: &mut Vec<Output>) {
        let model = verb.get("speechModel").is_some_and(|model| model != "default");
        if verb.get("speechTimeout") == Some("auto") && model {
            let message = "speechTimeout auto cannot be used with a speechModel".to_owned();
            out.push(alert(13335, message));
        }
        let mut steps = Vec::new();
        for child in &verb.children {
            steps.extend(Step::of(child, self, true, out));
        }
        let action = self.action_or_self(&verb, out);
        let partial = verb.get("partialResultCallback").map(str::to_owned);
        let partial = partial.and_then(|url| self.absolute(&url, 11100, out));
        let partial =
            partial.map(|url| Action { url, method: verb.method("partialResultCallbackMethod") });
        self.answer(out);
        let mut gather = Box::new(Gather {
            verb,
            action,
            partial,
            prompt: None,
            mode: Mode::Open,
            digits: String::new(),
            said: String::new(),
            timer: 0,
        });
        if gather.hears("speech") {
            let hints = gather.verb.get("hints").unwrap_or_default();
            out.push(Output::Listen(Some(Listening {
                words: true,
                language: gather.verb.get("language").unwrap_or("en-US").to_owned(),
                hints: hints.split(',').map(|hint| hint.trim().to_owned()).collect(),
            })));
        }
        let mut prompt = Prompt::new(steps);
        match prompt.begin(self, out) {
            Progress::Running => gather.prompt = Some(prompt),
            _ => self.arm(&mut gather, out),
        }
        self.state = State::Gathering(gather);
    }

    fn arm(&mut self, gather: &mut Gather, out: &mut Vec<Output>) {
        self.arm_for(gather, gather.timeout_millis(), out);
    }

    fn arm_for(&mut self, gather: &mut Gather, millis: u64, out: &mut Vec<Output>) {
        gather.timer = self.id();
        out.push(Output::Timer { id: gather.timer, millis });
    }

    pub(super) fn on_gather(
        &mut self,
        mut gather: Box<Gather>,
        input: Input,
        out: &mut Vec<Output>,
    ) {
        match input {
            Input::Digits(keys) if gather.hears("dtmf") && gather.mode != Mode::Speech => {
                for key in keys.chars() {
                    if press(&mut gather, key, out) {
                        return self.gathered(*gather, Some(key), out);
                    }
                }
                self.arm(&mut gather, out);
            }
            Input::Speech(speech) if gather.hears("speech") && gather.mode != Mode::Keys => {
                self.speech(&mut gather, &speech, out);
            }
            Input::SpeechBegan if gather.hears("speech") && gather.mode != Mode::Keys => {
                self.speech_began(&mut gather, out);
            }
            Input::Timer { id } if id == gather.timer => {
                return self.gathered(*gather, None, out);
            }
            input => {
                if let Some(mut prompt) = gather.prompt.take() {
                    match prompt.on(&input, self, out) {
                        Progress::Over => self.arm(&mut gather, out),
                        _ => gather.prompt = Some(prompt),
                    }
                }
            }
        }
        self.state = State::Gathering(gather);
    }

    /// What is said follows; until then only the longest speech is waited for.
    fn speech_began(&mut self, gather: &mut Gather, out: &mut Vec<Output>) {
        if gather.prompt.is_some() {
            if !gather.verb.flag("bargeIn", true) {
                return;
            }
            gather.prompt = None;
            out.push(Output::Stop);
        }
        let longest = gather.verb.integer("maxSpeechTime").unwrap_or(60).saturating_mul(1000);
        self.arm_for(gather, longest.saturating_add(UNDERSTANDING_MILLIS), out);
    }

    /// Differs: without barge-in, what is said during the prompt is not heard.
    fn speech(&mut self, gather: &mut Gather, speech: &SpeechText, out: &mut Vec<Output>) {
        if gather.prompt.is_some() {
            if !gather.verb.flag("bargeIn", true) {
                return;
            }
            gather.prompt = None;
            out.push(Output::Stop);
        }
        // A noise, or words that nobody understood.
        if speech.text.is_empty() {
            return self.arm(gather, out);
        }
        gather.mode = Mode::Speech;
        if !gather.said.is_empty() {
            gather.said.push(' ');
        }
        gather.said.push_str(&speech.text);
        if let Some(Action { url, method }) = gather.partial.clone() {
            let params = vec![pair("UnstableSpeechResult", gather.said.clone())];
            out.push(Output::Post { url, method, params });
        }
        let longest = gather.verb.integer("maxSpeechTime").unwrap_or(60).saturating_mul(1000);
        let millis = speech.millis.min(longest).saturating_add(gather.pause_millis());
        self.arm_for(gather, millis, out);
    }

    fn gathered(&mut self, gather: Gather, key: Option<char>, out: &mut Vec<Output>) {
        if gather.hears("speech") {
            out.push(Output::Listen(None));
        }
        let mut params = Vec::new();
        let is_empty = gather.digits.is_empty() && gather.said.is_empty();
        match gather.mode {
            Mode::Speech => {
                params.push(pair("SpeechResult", gather.said.clone()));
                // What a simulated handset says is understood as it is.
                params.push(pair("Confidence", "1.0"));
                let language = gather.verb.get("language").unwrap_or("en-US");
                params.push(pair("Language", language));
            }
            Mode::Keys | Mode::Open => {
                params.push(pair("Digits", gather.digits.clone()));
                let finish = gather.verb.get("finishOnKey").unwrap_or("#");
                if let Some(key) = key.filter(|key| finish.contains(*key)) {
                    params.push(pair("FinishedOnKey", key.to_string()));
                }
            }
        }
        if is_empty && !gather.verb.flag("actionOnEmptyResult", false) {
            return self.step(out);
        }
        match gather.action {
            Some(action) => self.request(action, params, out),
            None => self.step(out),
        }
    }
}

/// A key; true when nothing more is waited for.
fn press(gather: &mut Gather, key: char, out: &mut Vec<Output>) -> bool {
    if gather.prompt.take().is_some() {
        out.push(Output::Stop);
    }
    gather.mode = Mode::Keys;
    // An empty finishOnKey leaves every key to the digits.
    if gather.verb.get("finishOnKey").unwrap_or("#").contains(key) {
        return true;
    }
    gather.digits.push(key);
    gather.verb.integer("numDigits") == Some(gather.digits.chars().count() as u64)
}

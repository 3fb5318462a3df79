//! ConversationRelay: the platform speaks and listens, an application thinks (twiml §7).
//!
//! What the application says comes as JSON and is spoken piece by piece; what the caller says and
//! presses goes back. Who speaks while the other does interrupts, where that is allowed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::document::Element;
use super::machine::Machine;
use super::prompt::{Progress, Prompt, Step};
use super::talk::{Input, Listening, Output, Params, alert, pair};

/// Pieces that wait to be spoken.
const PIECES_MAX: usize = 1_000;
/// Characters of a sentence that has not ended.
const SENTENCE_CHARS_MAX: usize = 4_000;
/// Malformed messages in a row that end the session.
const MALFORMED_MAX: u32 = 10;

/// What may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Interruptible {
    Nothing,
    Keys,
    Speech,
    Any,
}

impl Interruptible {
    fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text?.to_ascii_lowercase().as_str() {
            "none" | "false" => Self::Nothing,
            "dtmf" => Self::Keys,
            "speech" => Self::Speech,
            "any" | "true" => Self::Any,
            _ => return None,
        })
    }
}

/// Something the application wants heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    step: Step,
    interruptible: Interruptible,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Relay {
    tts_language: String,
    transcription_language: String,
    voice: Option<String>,
    hints: Vec<String>,
    interruptible: Interruptible,
    wants_keys: bool,
    preemptible: bool,
    /// The application is there; until then nobody is told what the caller does.
    #[serde(default)]
    is_open: bool,
    pieces: VecDeque<Piece>,
    /// The piece that is heard.
    talking: Option<(Prompt, Piece)>,
    /// Tokens since the end of the last sentence.
    sentence: String,
    malformed: u32,
    handoff: Option<String>,
    /// Why the session is being ended by this side.
    ending: Option<(u32, String)>,
}

impl Relay {
    pub fn of(noun: &Element) -> Self {
        let text = |name: &str| noun.get(name).map(str::to_owned);
        let language = text("language").unwrap_or_else(|| "en-US".to_owned());
        let hints = noun.get("hints").unwrap_or_default();
        let interruptible = Interruptible::parse(noun.get("interruptible"));
        let mut relay = Self {
            tts_language: text("ttsLanguage").unwrap_or_else(|| language.clone()),
            transcription_language: text("transcriptionLanguage").unwrap_or(language),
            voice: text("voice"),
            hints: hints.split(',').map(|hint| hint.trim().to_owned()).collect(),
            interruptible: interruptible.unwrap_or(Interruptible::Any),
            wants_keys: noun.flag("dtmfDetection", false),
            preemptible: noun.flag("preemptible", false),
            is_open: false,
            pieces: VecDeque::new(),
            talking: None,
            sentence: String::new(),
            malformed: 0,
            handoff: None,
            ending: None,
        };
        if let Some(greeting) = noun.get("welcomeGreeting") {
            let interruptible = Interruptible::parse(noun.get("welcomeGreetingInterruptible"));
            relay.push(relay.say(greeting), interruptible.unwrap_or(Interruptible::Any));
        }
        relay
    }

    pub fn listening(&self) -> Listening {
        Listening {
            words: true,
            language: self.transcription_language.clone(),
            hints: self.hints.clone(),
        }
    }

    pub fn is_talking(&self) -> bool {
        self.talking.is_some()
    }

    /// What the action of Connect is told besides what the session's own side adds.
    pub fn outcome(
        &self,
        failure: Option<(u32, String)>,
        mut params: Params,
        gone: bool,
    ) -> Params {
        let failure = self.ending.clone().or(failure.filter(|_| !gone && self.handoff.is_none()));
        let status = match (&failure, gone) {
            (Some(_), _) => "failed",
            (None, true) => "completed",
            (None, false) => "ended",
        };
        params.push(pair("SessionStatus", status));
        if let Some(handoff) = &self.handoff {
            params.push(pair("HandoffData", handoff.clone()));
        }
        if let Some((code, why)) = failure {
            params.push(pair("ErrorCode", code.to_string()));
            params.push(pair("ErrorMessage", why));
        }
        params
    }

    pub fn on(&mut self, input: Input, machine: &mut Machine, out: &mut Vec<Output>) {
        match input {
            Input::RelayOpened => {
                self.is_open = true;
                self.talk(machine, out);
            }
            Input::SpeechBegan | Input::Speech(_) | Input::Digits(_) if !self.is_open => {}
            Input::RelayHeard(message) => self.heard(&message, machine, out),
            Input::SpeechBegan => self.interrupt(Interruptible::Speech, out),
            Input::Speech(speech) if !speech.text.is_empty() => {
                self.interrupt(Interruptible::Speech, out);
                out.push(Output::Tell(
                    json!({
                        "type": "prompt",
                        "voicePrompt": speech.text,
                        "lang": self.transcription_language,
                        "last": true,
                    })
                    .to_string(),
                ));
            }
            Input::Digits(keys) => {
                self.interrupt(Interruptible::Keys, out);
                if self.wants_keys {
                    for key in keys.chars() {
                        let message = json!({ "type": "dtmf", "digit": key.to_string() });
                        out.push(Output::Tell(message.to_string()));
                    }
                }
            }
            input => {
                if let Some((mut prompt, piece)) = self.talking.take() {
                    match prompt.on(&input, machine, out) {
                        Progress::Over => self.talk(machine, out),
                        _ => self.talking = Some((prompt, piece)),
                    }
                }
            }
        }
    }

    /// Begins the next piece, unless one is heard already.
    fn talk(&mut self, machine: &mut Machine, out: &mut Vec<Output>) {
        while self.talking.is_none() {
            let Some(piece) = self.pieces.pop_front() else { return };
            let mut prompt = Prompt::new(vec![piece.step.clone()]);
            if prompt.begin(machine, out) == Progress::Running {
                self.talking = Some((prompt, piece));
            }
        }
    }

    fn interrupt(&mut self, by: Interruptible, out: &mut Vec<Output>) {
        let Some((_, piece)) = &self.talking else { return };
        if piece.interruptible != Interruptible::Any && piece.interruptible != by {
            return;
        }
        let said = match &piece.step {
            Step::Say { text, .. } => text.clone(),
            _ => String::new(),
        };
        out.push(Output::Stop);
        // How much of it was heard is known to who keeps the time.
        out.push(Output::TellInterrupted { said });
        self.talking = None;
        self.pieces.clear();
        self.sentence.clear();
    }

    fn heard(&mut self, message: &str, machine: &mut Machine, out: &mut Vec<Output>) {
        match self.obey(message, out) {
            Ok(()) => {
                self.malformed = 0;
                self.talk(machine, out);
            }
            Err(why) => {
                self.malformed += 1;
                out.push(alert(64107, why.clone()));
                let told = json!({ "type": "error", "description": why });
                out.push(Output::Tell(told.to_string()));
                if self.malformed == MALFORMED_MAX {
                    let reason = "Too many consecutive malformed messages".to_owned();
                    out.push(alert(64105, reason.clone()));
                    self.ending = Some((64105, reason.clone()));
                    out.push(Output::CloseRelay { code: 1007, reason });
                }
            }
        }
    }

    fn obey(&mut self, message: &str, out: &mut Vec<Output>) -> Result<(), String> {
        let message: Json = serde_json::from_str(message).map_err(|_| "a message is not JSON")?;
        let kind = message["type"].as_str().ok_or("a message has no type")?;
        let text = |name: &str| message[name].as_str();
        let flag = |name: &str, default: bool| match &message[name] {
            Json::Bool(is) => *is,
            Json::String(is) => is == "true",
            _ => default,
        };
        let interruptible = match &message["interruptible"] {
            Json::Bool(true) => Interruptible::Any,
            Json::Bool(false) => Interruptible::Nothing,
            other => Interruptible::parse(other.as_str()).unwrap_or(self.interruptible),
        };
        match kind {
            "text" => {
                let token = text("token").ok_or("'text' has no token")?;
                if self.preemptible && self.sentence.is_empty() && self.talking.is_some() {
                    self.preempt(out);
                }
                self.sentence.push_str(token);
                let is_last = flag("last", false);
                let has_ended = self.sentence.trim_end().ends_with(['.', '!', '?', ':', '\n']);
                if is_last || has_ended || self.sentence.chars().count() > SENTENCE_CHARS_MAX {
                    let sentence = std::mem::take(&mut self.sentence);
                    let mut step = self.say(sentence.trim());
                    if let (Step::Say { language, .. }, Some(lang)) = (&mut step, text("lang")) {
                        *language = Some(lang.to_owned());
                    }
                    if !sentence.trim().is_empty() {
                        self.push(step, interruptible);
                    }
                }
                Ok(())
            }
            "play" => {
                let url = text("source").ok_or("'play' has no source")?.to_owned();
                if flag("preemptible", false) && self.talking.is_some() {
                    self.preempt(out);
                }
                let loops = match message["loop"].as_u64().unwrap_or(1) {
                    0 => 1000,
                    loops => loops.min(1000) as u32,
                };
                self.push(Step::Play { url, loops }, interruptible);
                Ok(())
            }
            "sendDigits" => {
                let digits = text("digits").ok_or("'sendDigits' has no digits")?;
                if !digits.chars().all(|key| key.is_ascii_digit() || "w#*".contains(key)) {
                    return Err("'digits' may have 0-9, w, # and * alone".to_owned());
                }
                self.push(Step::Tones { digits: digits.to_owned() }, Interruptible::Nothing);
                Ok(())
            }
            "language" => {
                if text("ttsLanguage").or(text("transcriptionLanguage")).is_none() {
                    return Err("'language' names none".to_owned());
                }
                if let Some(language) = text("ttsLanguage") {
                    self.tts_language = language.to_owned();
                }
                if let Some(language) = text("transcriptionLanguage") {
                    self.transcription_language = language.to_owned();
                    out.push(Output::Listen(Some(self.listening())));
                }
                Ok(())
            }
            "end" => {
                self.handoff = Some(text("handoffData").unwrap_or_default().to_owned());
                let reason = "Closing websocket session".to_owned();
                out.push(Output::CloseRelay { code: 1000, reason });
                Ok(())
            }
            other => Err(format!("'{other}' is no type of message")),
        }
    }

    /// A new talk cycle takes the place of the one that is heard.
    fn preempt(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Stop);
        self.talking = None;
        self.pieces.clear();
    }

    fn say(&self, text: &str) -> Step {
        Step::Say {
            text: text.to_owned(),
            voice: self.voice.clone(),
            language: Some(self.tts_language.clone()),
            loops: 1,
        }
    }

    fn push(&mut self, step: Step, interruptible: Interruptible) {
        if self.pieces.len() < PIECES_MAX {
            self.pieces.push_back(Piece { step, interruptible });
        }
    }
}

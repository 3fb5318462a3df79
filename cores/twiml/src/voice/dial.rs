//! Dial: other parties, a conference, or the next one in a queue.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::talk::{Input, Output, Role, Sound, alert};

/// Parties that one Dial may name.
const TARGETS_MAX: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetKind {
    Number,
    Client,
    Sip,
    /// Whoever waits longest in the queue of this name.
    Queue,
}

/// A party to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub kind: TargetKind,
    /// As written: a number, an identity, a URI, a queue's name.
    pub address: String,
    /// Its element, URLs absolute.
    pub noun: Element,
}

/// Whom to call, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialPlan {
    pub targets: Vec<Target>,
    pub caller_id: Option<String>,
    /// Each party rings so long.
    pub timeout_seconds: u64,
    /// How long the two may talk.
    pub time_limit_seconds: u64,
    /// One after the other instead of all at once.
    pub sequential: bool,
    /// `Dial`, its URLs absolute.
    pub verb: Element,
}

/// A Dial under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dial {
    action: Option<Action>,
    hangup_on_star: bool,
    /// The dialled party and this one hear each other.
    bridged: bool,
    gone: bool,
}

impl Machine {
    pub(super) fn dial(&mut self, mut verb: Element, out: &mut Vec<Output>) {
        let action = self.action(&verb, out);
        self.make_absolute(&mut verb, &["referUrl", "recordingStatusCallback"], out);
        if verb.children.iter().any(|noun| noun.name == "Conference") {
            return self.confer(verb, action, out);
        }
        let targets = self.targets(&mut verb, out);
        if targets.is_empty() {
            let message = "<Dial> names nobody to call".to_owned();
            out.push(alert(13223, message));
            let failed = vec![("DialCallStatus".to_owned(), "failed".to_owned())];
            if let Some(action) = action {
                self.request(action, failed, out);
            }
            return;
        }
        if !verb.flag("answerOnBridge", false) {
            self.answer(out);
            let id = self.id();
            out.push(Output::Play { id, sound: Sound::Ringback });
        }
        let hangup_on_star = verb.flag("hangupOnStar", false);
        self.state = State::Dialling(Dial { action, hangup_on_star, bridged: false, gone: false });
        out.push(Output::Dial(Box::new(DialPlan {
            targets,
            caller_id: verb.get("callerId").map(str::to_owned),
            timeout_seconds: verb.integer("timeout").unwrap_or(30),
            time_limit_seconds: verb.integer("timeLimit").unwrap_or(14_400),
            sequential: verb.flag("sequential", false),
            verb,
        })));
    }

    fn targets(&self, verb: &mut Element, out: &mut Vec<Output>) -> Vec<Target> {
        let mut targets = Vec::new();
        if !verb.text.is_empty() {
            let noun = Element { name: "Number".into(), ..Element::default() };
            targets.push(Target { kind: TargetKind::Number, address: verb.text.clone(), noun });
        }
        for mut noun in std::mem::take(&mut verb.children) {
            let urls = ["url", "statusCallback", "amdStatusCallback"];
            self.make_absolute(&mut noun, &urls, out);
            let inside = |name: &str| {
                let child = noun.children.iter().find(|child| child.name == name);
                child.map_or(noun.text.clone(), |child| child.text.clone())
            };
            let (kind, address) = match noun.name.as_str() {
                "Number" => (TargetKind::Number, noun.text.clone()),
                "Client" => (TargetKind::Client, inside("Identity")),
                "Sip" => (TargetKind::Sip, inside("Uri")),
                "Queue" => (TargetKind::Queue, noun.text.clone()),
                name => {
                    let message = format!("<{name}> cannot be dialled here yet");
                    out.push(alert(13750, message));
                    continue;
                }
            };
            targets.push(Target { kind, address, noun });
        }
        if targets.len() > 1 && targets.iter().any(|target| target.kind == TargetKind::Queue) {
            out.push(alert(13000, "<Queue> stands alone in <Dial>".to_owned()));
            targets.retain(|target| target.kind == TargetKind::Queue);
            targets.truncate(1);
        }
        if targets.len() > TARGETS_MAX {
            let message = format!("<Dial> calls at most {TARGETS_MAX} parties");
            out.push(alert(13250, message));
            targets.truncate(TARGETS_MAX);
        }
        targets
    }

    pub(super) fn on_dial(&mut self, mut dial: Dial, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Bridged if !dial.bridged => {
                dial.bridged = true;
                if self.answered {
                    out.push(Output::Stop);
                }
                self.answer(out);
            }
            Input::EarlyMedia if !dial.bridged && !dial.gone => {
                // Instead of the ringing that is played.
                if self.answered {
                    out.push(Output::Stop);
                }
                out.push(Output::HearDialled);
            }
            Input::Digits(keys) if dial.hangup_on_star && keys.contains('*') => {
                out.push(Output::EndDial);
            }
            Input::DialEnded(params) => {
                if dial.gone {
                    self.state = State::Over;
                    if let Some(Action { url, method }) = dial.action {
                        out.push(Output::Post { url, method, params });
                    }
                    return;
                }
                if !dial.bridged && self.answered {
                    out.push(Output::Stop);
                }
                return match dial.action {
                    Some(action) => self.request(action, params, out),
                    None => self.step(out),
                };
            }
            _ => {}
        }
        self.state = State::Dialling(dial);
    }

    pub(super) fn hung_up_while_dialling(&mut self, dial: Dial, out: &mut Vec<Output>) {
        out.push(Output::EndDial);
        self.state = State::Dialling(Dial { gone: true, ..dial });
        debug_assert!(self.role != Role::Hold, "who holds does not dial");
    }
}

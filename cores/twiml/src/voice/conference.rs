//! Dial with a Conference: in the room, or waiting for it.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Input, Machine, Output, Role, Sound, State, alert};

/// Somebody in a conference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Conference {
    action: Option<Action>,
    hangup_on_star: bool,
    /// What is run while this one waits or is on hold.
    wait: Option<Box<Machine>>,
    /// Something is heard that does not come from the others.
    waits: bool,
    gone: bool,
}

impl Conference {
    pub fn hung_up(self) -> Self {
        Self { gone: true, ..self }
    }
}

impl Machine {
    pub(super) fn confer(&mut self, verb: Element, action: Option<Action>, out: &mut Vec<Output>) {
        if verb.children.len() > 1 || !verb.text.is_empty() {
            let message = "<Conference> stands alone in <Dial>; the others are not called";
            out.push(alert(13000, message.to_owned()));
        }
        let Some(mut noun) = verb.children.iter().find(|n| n.name == "Conference").cloned() else {
            return;
        };
        if noun.text.is_empty() {
            out.push(alert(13237, "<Conference> has no name".to_owned()));
            return;
        }
        let urls = ["waitUrl", "statusCallback", "recordingStatusCallback", "eventCallbackUrl"];
        self.make_absolute(&mut noun, &urls, out);
        self.answer(out);
        let hangup_on_star = verb.flag("hangupOnStar", false);
        self.state = State::Conferring(Conference {
            action,
            hangup_on_star,
            wait: None,
            waits: false,
            gone: false,
        });
        out.push(Output::JoinConference(noun));
    }

    pub(super) fn on_conference(
        &mut self,
        mut conference: Conference,
        input: Input,
        out: &mut Vec<Output>,
    ) {
        match input {
            Input::Waiting(source) => {
                if conference.waits {
                    out.push(Output::Stop);
                }
                conference.waits = true;
                match source {
                    Some(source) => {
                        let mut wait = self.nested(Role::Hold);
                        out.extend(wait.start(source, None));
                        conference.wait = Some(Box::new(wait));
                    }
                    None => {
                        conference.wait = None;
                        let id = self.id();
                        out.push(Output::Play { id, sound: Sound::Music });
                    }
                }
            }
            Input::Joined => {
                if conference.waits {
                    out.push(Output::Stop);
                }
                conference.waits = false;
                conference.wait = None;
            }
            Input::Digits(keys) if conference.hangup_on_star && keys.contains('*') => {
                out.push(Output::LeaveConference);
            }
            Input::LeftConference(params) => {
                if conference.gone {
                    self.state = State::Over;
                    if let Some(Action { url, method }) = conference.action {
                        out.push(Output::Post { url, method, params });
                    }
                    return;
                }
                if conference.waits {
                    out.push(Output::Stop);
                }
                return match conference.action {
                    Some(action) => self.request(action, params, out),
                    None => self.step(out),
                };
            }
            input => {
                if let Some(wait) = &mut conference.wait {
                    let done = wait.on(input);
                    // At its end there is silence, until the conference begins.
                    out.extend(done.into_iter().filter(|output| *output != Output::End));
                }
            }
        }
        self.state = State::Conferring(conference);
    }
}

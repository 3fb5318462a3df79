//! Dial with a Conference: in the room, or waiting for it.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::talk::{Input, Output, Role, Sound, Source, Told, alert};

/// Somebody in a conference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Conference {
    action: Option<Action>,
    hangup_on_star: bool,
    /// What is run while this one waits or is on hold.
    wait: Option<Box<Machine>>,
    /// Something is heard that does not come from the others.
    waits: bool,
    /// Where that comes from; music when it comes from nowhere.
    #[serde(default)]
    waits_with: Option<Source>,
    #[serde(default)]
    announcement: Option<Box<Announcement>>,
    gone: bool,
}

/// Something announced, which takes the place of what is waited with until it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Announcement {
    machine: Machine,
    url: String,
    told: Told,
    /// Something of it was heard, or is to be.
    is_heard: bool,
    failure: Option<String>,
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
            waits_with: None,
            announcement: None,
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
                conference.waits_with = source;
                self.wait(&mut conference, out);
            }
            Input::Announce { source, told } => {
                let url = match &source {
                    Source::Url { url, .. } => url.clone(),
                    Source::Inline(_) => String::new(),
                };
                let mut machine = self.nested(Role::Announce);
                let done = machine.start(source, None);
                conference.wait = None;
                let is_heard = false;
                let announcement = Announcement { machine, url, told, is_heard, failure: None };
                conference.announcement = Some(Box::new(announcement));
                self.announced(&mut conference, done, out);
            }
            Input::Joined => {
                if conference.waits {
                    out.push(Output::Stop);
                }
                conference.waits = false;
                conference.waits_with = None;
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
            input if conference.announcement.is_some() => {
                let mut done = Vec::new();
                if let Some(announcement) = &mut conference.announcement {
                    if let Input::FetchFailed { code, .. } = &input {
                        announcement.failure = Some(format!("{code}: it cannot be fetched"));
                    }
                    done = announcement.machine.on(input);
                }
                self.announced(&mut conference, done, out);
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

    /// Begins what is heard while waiting.
    fn wait(&mut self, conference: &mut Conference, out: &mut Vec<Output>) {
        match conference.waits_with.clone() {
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

    /// What an announcement asks for; at its end what was waited with begins again.
    fn announced(&mut self, conference: &mut Conference, done: Vec<Output>, out: &mut Vec<Output>) {
        for output in done {
            if output != Output::End {
                if let (Output::Play { .. }, Some(it)) = (&output, &mut conference.announcement) {
                    it.is_heard = true;
                }
                out.push(output);
                continue;
            }
            let Some(over) = conference.announcement.take() else { continue };
            let Announcement { url, told, is_heard, failure, .. } = *over;
            let silent = (!is_heard).then(|| "there is nothing to hear in it".to_owned());
            out.push(Output::Announced { url, told, failure: failure.or(silent) });
            if conference.waits {
                self.wait(conference, out);
            }
        }
    }
}

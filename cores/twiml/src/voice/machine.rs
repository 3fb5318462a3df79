//! The machine that runs voice documents: the walk from verb to verb.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::conference::Conference;
use super::connect::Connect;
use super::dial::Dial;
use super::document::{self, Document, Element};
use super::gather::Gather;
use super::pay::Pay;
use super::prompt::{Progress, Prompt, Step};
use super::queue::Queued;
use super::record::Record;
use super::talk::{Input, Output, Params, Role, Source, alert};
use crate::method::Method;

/// Documents of one call; a call that asks for more has a loop without an end.
///
/// Differs: Twilio's limit is unpublished.
const DOCUMENTS_MAX: u32 = 1000;
/// Repetitions of what has no end.
pub(super) const LOOPS_MAX: u64 = 1000;
/// What a caller hears when the application cannot be asked.
const APPLICATION_ERROR: &str = "An application error has occurred. Goodbye.";

/// What the machine is in the middle of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// Between two verbs, or finished.
    Idle,
    Fetching {
        id: u32,
        is_fallback: bool,
    },
    Prompting(Prompt),
    Gathering(Box<Gather>),
    Recording(Record),
    Dialling(Dial),
    Conferring(Conference),
    Queued(Queued),
    Connected(Connect),
    Paying(Box<Pay>),
    Texting {
        action: Option<Action>,
    },
    Referring {
        action: Option<Action>,
    },
    Over,
}

/// What is asked when a verb has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Action {
    pub url: String,
    pub method: Method,
}

/// Runs documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub(super) role: Role,
    pub(super) answered: bool,
    pub(super) next_id: u32,
    /// The URL of the document; an inline one has none.
    base: Option<String>,
    verbs: VecDeque<Element>,
    pub(super) state: State,
    fallback: Option<Action>,
    documents: u32,
}

/// Ids of machines inside others begin so far apart.
const IDS: u32 = 1_000_000;

impl Machine {
    /// A machine for a call that is `answered` already, or rings.
    pub fn new(role: Role, answered: bool) -> Self {
        Self {
            role,
            answered,
            next_id: 1,
            base: None,
            verbs: VecDeque::new(),
            state: State::Idle,
            fallback: None,
            documents: 0,
        }
    }

    /// A machine for a document that is run in the middle of a verb of this one.
    pub(super) fn nested(&mut self, role: Role) -> Self {
        let first_id = self.next_id - self.next_id % IDS + IDS;
        self.next_id = first_id + IDS;
        Self { next_id: first_id, base: self.base.clone(), ..Self::new(role, true) }
    }

    /// Begins with a document, whatever went on before; `fallback` is asked once when one cannot
    /// be had.
    pub fn start(&mut self, source: Source, fallback: Option<(String, Method)>) -> Vec<Output> {
        let mut out = Vec::new();
        if self.is_audible() {
            out.push(Output::Stop);
        }
        self.fallback = fallback.map(|(url, method)| Action { url, method });
        self.state = State::Idle;
        self.verbs.clear();
        match source {
            Source::Url { url, method } => {
                self.base = None;
                self.request(Action { url, method }, Vec::new(), &mut out);
            }
            Source::Inline(text) => {
                self.base = None;
                match document::parse_text(&text) {
                    Ok(document) => self.run(document, &mut out),
                    Err(fatal) => {
                        out.push(alert(fatal.code(), fatal.0.to_string()));
                        self.fall_back(fatal.code(), "", false, &mut out);
                    }
                }
            }
        }
        out
    }

    /// The call was answered by other means than a verb.
    pub fn set_answered(&mut self) {
        self.answered = true;
    }

    /// The last id given out, by this machine or one inside it.
    pub fn last_id(&self) -> u32 {
        self.next_id
    }

    /// Gives out ids above `id`, so that what an earlier machine asked for means nothing here.
    pub fn begin_ids_after(&mut self, id: u32) {
        self.next_id = self.next_id.max(id + 1);
    }

    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Something is heard, or about to be.
    fn is_audible(&self) -> bool {
        !matches!(self.state, State::Idle | State::Fetching { .. } | State::Over)
    }

    /// Told what happened; what does not fit the state changes nothing.
    pub fn on(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::HungUp => self.hung_up(&mut out),
            Input::Fetched { id, body, content_type, url } if self.fetching(id) => {
                self.fetched(id, &body, content_type.as_deref(), url, &mut out);
            }
            Input::FetchFailed { id, code, url } if self.fetching(id) => {
                let is_fallback = matches!(self.state, State::Fetching { is_fallback: true, .. });
                self.fall_back(code, &url, is_fallback, &mut out);
            }
            input => self.in_verb(input, &mut out),
        }
        out
    }

    fn fetching(&self, wanted: u32) -> bool {
        matches!(self.state, State::Fetching { id, .. } if id == wanted)
    }

    /// Hands what happened to the verb that runs.
    fn in_verb(&mut self, input: Input, out: &mut Vec<Output>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Prompting(mut prompt) => match prompt.on(&input, self, out) {
                Progress::Over => self.step(out),
                _ => self.state = State::Prompting(prompt),
            },
            State::Gathering(gather) => self.on_gather(gather, input, out),
            State::Recording(record) => self.on_record(record, input, out),
            State::Dialling(dial) => self.on_dial(dial, input, out),
            State::Conferring(conference) => self.on_conference(conference, input, out),
            State::Queued(queued) => self.on_queued(queued, input, out),
            State::Connected(connect) => self.on_connect(connect, input, out),
            State::Paying(pay) => self.on_pay(pay, input, out),
            State::Texting { action } => match (input, action) {
                (Input::Texted(params), Some(action)) => self.request(action, params, out),
                (Input::Texted(_), None) => self.step(out),
                (_, action) => self.state = State::Texting { action },
            },
            State::Referring { action } => match (input, action) {
                (Input::Referred(params), Some(action)) => self.request(action, params, out),
                (Input::Referred(_), None) => self.step(out),
                (_, action) => self.state = State::Referring { action },
            },
            // A recording may end after its call.
            other => self.state = other,
        }
    }

    fn fetched(
        &mut self,
        id: u32,
        body: &[u8],
        content_type: Option<&str>,
        url: String,
        out: &mut Vec<Output>,
    ) {
        debug_assert!(self.fetching(id), "asked by the caller");
        let is_fallback = matches!(self.state, State::Fetching { is_fallback: true, .. });
        match document::parse(body, content_type, &url) {
            Ok(document) => {
                self.base = Some(url);
                self.run(document, out);
            }
            Err(fatal) => {
                out.push(alert(fatal.code(), fatal.0.to_string()));
                self.fall_back(fatal.code(), &url, is_fallback, out);
            }
        }
    }

    fn run(&mut self, document: Document, out: &mut Vec<Output>) {
        for found in document.diagnostics {
            out.push(alert(found.code, found.to_string()));
        }
        self.verbs = document.verbs.into();
        self.state = State::Idle;
        self.step(out);
    }

    /// The fallback, once; then the caller is told, and the call ends.
    fn fall_back(&mut self, code: u32, url: &str, is_fallback: bool, out: &mut Vec<Output>) {
        if let (Some(fallback), false) = (self.fallback.clone(), is_fallback) {
            let params = vec![
                ("ErrorCode".to_owned(), code.to_string()),
                ("ErrorUrl".to_owned(), url.to_owned()),
            ];
            let id = self.id();
            self.state = State::Fetching { id, is_fallback: true };
            let Action { url, method } = fallback;
            return out.push(Output::Fetch { id, url, method, params });
        }
        match self.role {
            Role::Call if self.answered => {
                let say = Element {
                    name: "Say".into(),
                    text: APPLICATION_ERROR.into(),
                    ..Element::default()
                };
                self.verbs = [say].into();
                self.state = State::Idle;
                self.step(out);
            }
            Role::Call => {
                self.state = State::Over;
                out.push(Output::Fail);
            }
            // Nobody to tell: a party that cannot be screened is let go, who waits hears nothing.
            Role::Screen => self.end_call(out),
            Role::Wait | Role::Hold | Role::Announce | Role::Whisper => self.end(out),
        }
    }

    /// Goes on to the next verb that takes time, or to the end.
    pub(super) fn step(&mut self, out: &mut Vec<Output>) {
        while self.state == State::Idle {
            let Some(verb) = self.verbs.pop_front() else { return self.end(out) };
            self.begin(verb, out);
        }
    }

    fn end(&mut self, out: &mut Vec<Output>) {
        match self.role {
            Role::Call => self.end_call(out),
            Role::Screen | Role::Wait | Role::Hold | Role::Announce | Role::Whisper => {
                self.state = State::Over;
                out.push(Output::End);
            }
        }
    }

    pub(super) fn end_call(&mut self, out: &mut Vec<Output>) {
        self.state = State::Over;
        self.verbs.clear();
        out.push(Output::HangUp);
    }

    fn begin(&mut self, verb: Element, out: &mut Vec<Output>) {
        if !self.allows(&verb.name) {
            let code = match (self.role, verb.name.as_str()) {
                (Role::Screen, "Dial") => 13201,
                (Role::Hold | Role::Announce, _) => 13238,
                _ => 12200,
            };
            return out.push(alert(code, format!("<{}> cannot be used here", verb.name)));
        }
        match verb.name.as_str() {
            "Say" | "Play" | "Pause" => self.prompt(&verb, out),
            "Gather" => self.gather(verb, out),
            "Record" => self.record(verb, out),
            "Dial" => self.dial(verb, out),
            "Enqueue" => self.enqueue(verb, out),
            "Redirect" => self.redirect(&verb, out),
            "Reject" if !self.answered => {
                self.state = State::Over;
                out.push(Output::Reject { busy: verb.get("reason") == Some("busy") });
            }
            "Reject" => self.end_call(out),
            "Hangup" => {
                // Hangup is billed, unlike Reject: the call is answered first.
                if self.role == Role::Call {
                    self.answer(out);
                }
                self.end_call(out);
            }
            "Leave" => {
                self.state = State::Over;
                out.push(Output::LeaveQueue { result: "leave" });
            }
            "Sms" => self.text(&verb, out),
            "Start" => self.start_nouns(&verb, out),
            "Stop" => self.stop_nouns(&verb, out),
            "Connect" => self.connect(verb, out),
            "Pay" => self.pay(verb, out),
            "Refer" => self.refer(&verb, out),
            name => out.push(alert(12200, format!("<{name}> is not a verb that can be run"))),
        }
    }

    /// Which verbs a document of this role may have.
    fn allows(&self, name: &str) -> bool {
        match self.role {
            Role::Call => name != "Leave",
            Role::Screen => !matches!(name, "Dial" | "Enqueue" | "Leave" | "Reject"),
            Role::Wait => {
                let known = ["Play", "Say", "Pause", "Gather", "Redirect", "Hangup", "Leave"];
                known.contains(&name)
            }
            Role::Hold | Role::Announce | Role::Whisper => {
                matches!(name, "Play" | "Say" | "Pause" | "Redirect")
            }
        }
    }

    fn prompt(&mut self, verb: &Element, out: &mut Vec<Output>) {
        let Some(step) = Step::of(verb, self, false, out) else { return };
        if !matches!(step, Step::Pause { .. }) {
            self.answer(out);
        }
        let mut prompt = Prompt::new(vec![step]);
        match prompt.begin(self, out) {
            Progress::Over => {}
            _ => self.state = State::Prompting(prompt),
        }
    }

    fn redirect(&mut self, verb: &Element, out: &mut Vec<Output>) {
        let method = verb.method("method");
        if verb.text.is_empty() && self.base.is_none() {
            let message = "<Redirect> without URL in a document that has none".to_owned();
            return out.push(alert(11100, message));
        }
        if let Some(url) = self.absolute(&verb.text, 11100, out) {
            self.request(Action { url, method }, Vec::new(), out);
        }
    }

    fn text(&mut self, verb: &Element, out: &mut Vec<Output>) {
        if verb.text.is_empty() {
            return out.push(alert(14103, "<Sms> has no text".to_owned()));
        }
        let action = self.action(verb, out);
        let status_callback =
            verb.get("statusCallback").and_then(|url| self.absolute(url, 14105, out));
        self.state = State::Texting { action };
        out.push(Output::Text {
            to: verb.get("to").map(str::to_owned),
            from: verb.get("from").map(str::to_owned),
            body: verb.text.clone(),
            status_callback,
        });
    }

    fn refer(&mut self, verb: &Element, out: &mut Vec<Output>) {
        let noun = verb.children.iter().find(|noun| noun.name == "Sip" && !noun.text.is_empty());
        let Some(noun) = noun else {
            return out.push(alert(12200, "<Refer> has no <Sip> with an address".to_owned()));
        };
        self.answer(out);
        self.state = State::Referring { action: self.action(verb, out) };
        out.push(Output::Refer { to: noun.text.clone() });
    }

    pub(super) fn answer(&mut self, out: &mut Vec<Output>) {
        if !self.answered {
            self.answered = true;
            out.push(Output::Answer);
        }
    }

    pub(super) fn id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Asks for the next document.
    pub(super) fn request(&mut self, action: Action, params: Params, out: &mut Vec<Output>) {
        self.documents += 1;
        if self.documents > DOCUMENTS_MAX {
            let message = format!("more than {DOCUMENTS_MAX} documents for one call");
            out.push(alert(12400, message));
            return self.end_call(out);
        }
        let id = self.id();
        self.verbs.clear();
        self.state = State::Fetching { id, is_fallback: false };
        out.push(Output::Fetch { id, url: action.url, method: action.method, params });
    }

    /// The action of a verb, if it has a good one.
    pub(super) fn action(&self, verb: &Element, out: &mut Vec<Output>) -> Option<Action> {
        let url = self.absolute(verb.get("action")?, 15004, out)?;
        Some(Action { url, method: verb.method("method") })
    }

    /// The action, which is the document itself where a verb names none.
    ///
    /// Differs: with an inline document there is none either, and the next verb runs, with 15004.
    pub(super) fn action_or_self(&self, verb: &Element, out: &mut Vec<Output>) -> Option<Action> {
        match (verb.get("action"), &self.base) {
            (Some(_), _) => self.action(verb, out),
            (None, Some(base)) => Some(Action { url: base.clone(), method: verb.method("method") }),
            (None, None) => {
                let name = &verb.name;
                let message = format!("<{name}> without action in a document that has no URL");
                out.push(alert(15004, message));
                None
            }
        }
    }

    /// A URL as seen from the document; an alert of `code` when it is relative to nothing.
    pub(super) fn absolute(&self, url: &str, code: u32, out: &mut Vec<Output>) -> Option<String> {
        let resolved = match &self.base {
            Some(base) => url::Url::parse(base).and_then(|base| base.join(url)),
            None => url::Url::parse(url),
        };
        match resolved {
            Ok(resolved) => Some(resolved.to_string()),
            Err(_) => {
                out.push(alert(code, format!("'{url}' is no URL from here; write a whole one")));
                None
            }
        }
    }

    /// Makes these attributes absolute, or drops them with an alert.
    pub(super) fn make_absolute(
        &self,
        element: &mut Element,
        names: &[&str],
        out: &mut Vec<Output>,
    ) {
        element.attributes.retain_mut(|(name, value)| {
            if !names.contains(&name.as_str()) || value.is_empty() {
                return true;
            }
            match self.absolute(value, 11100, out) {
                Some(url) => {
                    *value = url;
                    true
                }
                None => false,
            }
        });
    }

    fn hung_up(&mut self, out: &mut Vec<Output>) {
        self.verbs.clear();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Recording(record) => self.hung_up_while_recording(record, out),
            State::Dialling(dial) => self.hung_up_while_dialling(dial, out),
            State::Conferring(conference) => {
                out.push(Output::LeaveConference);
                self.state = State::Conferring(conference.hung_up());
            }
            State::Queued(queued) => {
                out.push(Output::LeaveQueue { result: "hangup" });
                self.state = State::Queued(queued.hung_up());
            }
            State::Connected(connect) => self.hung_up_while_connected(connect, out),
            State::Paying(pay) => self.hung_up_while_paying(pay, out),
            _ => {}
        }
    }
}

//! Start, Stop and Connect: what goes along with a call, and what takes it over for a while.

use serde::{Deserialize, Serialize};

use super::document::Element;
use super::machine::{Action, Machine, State};
use super::relay::Relay;
use super::talk::{Input, Output, Params, alert, pair, unsupported};

/// What a call was handed over to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Connect {
    action: Option<Action>,
    to: To,
    /// The caller has gone.
    gone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum To {
    Stream,
    Relay(Box<Relay>),
    /// A relay whose application a connector names.
    Agent(Box<Relay>),
}

impl Machine {
    pub(super) fn start_nouns(&mut self, verb: &Element, out: &mut Vec<Output>) {
        for noun in &verb.children {
            let mut noun = noun.clone();
            let urls = ["recordingStatusCallback", "statusCallback", "statusCallbackUrl"];
            self.make_absolute(&mut noun, &urls, out);
            match noun.name.as_str() {
                "Recording" => out.push(Output::StartRecording(noun)),
                "Stream" => {
                    if let Some(noun) = with_url(noun, out) {
                        out.push(Output::StartStream { noun, is_bidirectional: false });
                    }
                }
                "Transcription" => out.push(Output::StartTranscription(noun)),
                "Siprec" => out.push(Output::StartSiprec(noun)),
                name => out.push(unsupported(name)),
            }
        }
    }

    pub(super) fn stop_nouns(&mut self, verb: &Element, out: &mut Vec<Output>) {
        for noun in &verb.children {
            let name = noun.get("name").map(str::to_owned);
            match noun.name.as_str() {
                "Recording" => out.push(Output::StopNamedRecording(name)),
                "Stream" => out.push(Output::StopStream { name }),
                "Transcription" => out.push(Output::StopTranscription { name }),
                "Siprec" => out.push(Output::StopSiprec { name }),
                other => out.push(unsupported(other)),
            }
        }
    }

    /// Differs: of several nouns the first is taken, with 12200.
    pub(super) fn connect(&mut self, verb: Element, out: &mut Vec<Output>) {
        if verb.children.len() > 1 {
            let message = "<Connect> takes one noun; the others are left out".to_owned();
            out.push(alert(12200, message));
        }
        let action = self.action(&verb, out);
        let Some(mut noun) = verb.children.into_iter().next() else {
            return out.push(alert(12200, "<Connect> has no noun".to_owned()));
        };
        self.make_absolute(&mut noun, &["statusCallback"], out);
        let to = match noun.name.as_str() {
            "Stream" => {
                if noun.get("track").is_some_and(|track| track != "inbound_track") {
                    let message = "<Stream> in <Connect> has the track inbound_track alone";
                    out.push(alert(31941, message.to_owned()));
                }
                let Some(noun) = with_url(noun, out) else { return };
                self.answer(out);
                out.push(Output::StartStream { noun, is_bidirectional: true });
                To::Stream
            }
            "ConversationRelay" => {
                let Some(noun) = with_url(noun, out) else { return };
                self.answer(out);
                let relay = Relay::of(&noun);
                out.push(Output::Listen(Some(relay.listening())));
                out.push(Output::OpenRelay(noun));
                To::Relay(Box::new(relay))
            }
            "VirtualAgent" => {
                self.answer(out);
                let noun = agent(&noun, out);
                let relay = Relay::of(&noun);
                out.push(Output::Listen(Some(relay.listening())));
                out.push(Output::OpenRelay(noun));
                To::Agent(Box::new(relay))
            }
            name => return out.push(unsupported(&format!("Connect> of <{name}"))),
        };
        self.state = State::Connected(Connect { action, to, gone: false });
    }

    pub(super) fn on_connect(&mut self, mut connect: Connect, input: Input, out: &mut Vec<Output>) {
        let ended = match (&mut connect.to, input) {
            (To::Stream, Input::StreamEnded) => Some(Params::new()),
            (to @ (To::Relay(_) | To::Agent(_)), Input::RelayClosed { failure, params }) => {
                let is_agent = matches!(to, To::Agent(_));
                let (To::Relay(relay) | To::Agent(relay)) = to else { return };
                out.push(Output::Listen(None));
                if relay.is_talking() {
                    out.push(Output::Stop);
                }
                let outcome = relay.outcome(failure, params, connect.gone);
                Some(if is_agent { agent_outcome(&outcome) } else { outcome })
            }
            (To::Relay(relay) | To::Agent(relay), input) if !connect.gone => {
                relay.on(input, self, out);
                None
            }
            _ => None,
        };
        match (ended, connect.action.clone()) {
            (None, _) => self.state = State::Connected(connect),
            (Some(params), Some(Action { url, method })) if connect.gone => {
                self.state = State::Over;
                out.push(Output::Post { url, method, params });
            }
            (Some(_), _) if connect.gone => self.state = State::Over,
            (Some(params), Some(action)) => self.request(action, params, out),
            (Some(_), None) => self.step(out),
        }
    }

    pub(super) fn hung_up_while_connected(&mut self, connect: Connect, out: &mut Vec<Output>) {
        if let To::Relay(_) | To::Agent(_) = &connect.to {
            out.push(Output::CloseRelay { code: 1000, reason: "Closing websocket session".into() });
            self.state = State::Connected(Connect { gone: true, ..connect });
        }
    }
}

/// A virtual agent as the relay that it is: `Config` says what attributes say of a relay.
///
/// Differs: a connector names an application that speaks ConversationRelay, no engine of
/// Dialogflow's; `sentimentAnalysis` and `statusCallback` do nothing, with 32603.
fn agent(noun: &Element, out: &mut Vec<Output>) -> Element {
    let mut relay = Element { name: "VirtualAgent".into(), ..Element::default() };
    for name in ["sentimentAnalysis", "statusCallback"] {
        if noun.get(name).is_some() {
            out.push(alert(32603, format!("{name} of <VirtualAgent> does nothing here")));
        }
    }
    let mut set = |name: &str, value: &str| {
        relay.attributes.retain(|(known, _)| known != name);
        relay.attributes.push((name.to_owned(), value.to_owned()));
    };
    for name in ["connectorName", "language"] {
        if let Some(value) = noun.get(name) {
            set(name, value);
        }
    }
    for config in noun.children.iter().filter(|child| child.name == "Config") {
        let (name, value) = (config.get("name").unwrap_or_default(), config.get("value"));
        match value.filter(|_| CONFIGS.contains(&name)) {
            Some(value) => set(name, value),
            None => {
                let known = CONFIGS.join(", ");
                let message = format!("<Config> '{name}' is not known; these are: {known}");
                out.push(alert(32603, message));
            }
        }
    }
    let parameters = noun.children.iter().filter(|child| child.name == "Parameter");
    relay.children = parameters.cloned().collect();
    relay
}

/// What `Config` may say of a virtual agent.
const CONFIGS: [&str; 8] = [
    "language",
    "ttsLanguage",
    "transcriptionLanguage",
    "voice",
    "welcomeGreeting",
    "welcomeGreetingInterruptible",
    "interruptible",
    "dtmfDetection",
];

/// The outcome of a relay, as that of a virtual agent is told (twiml §6.8).
fn agent_outcome(outcome: &Params) -> Params {
    let get = |name: &str| {
        outcome.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let handoff = get("HandoffData").filter(|data| !data.is_empty());
    let status = match (get("SessionStatus"), handoff) {
        (Some("failed"), _) => "failed",
        (Some("completed"), _) => "hangup",
        (_, Some(_)) => "live-agent-handoff",
        (_, None) => "completed",
    };
    let mut data = serde_json::json!({ "ConversationId": get("SessionId") });
    if let Some(handoff) = handoff {
        // What is JSON stays so.
        let parsed = serde_json::from_str(handoff).unwrap_or_else(|_| handoff.into());
        data["AgentHandoffParameters"] = parsed;
    }
    let mut params = vec![
        pair("VirtualAgentProvider", "offhook"),
        pair("VirtualAgentStatus", status),
        pair("VirtualAgentProviderData", data.to_string()),
    ];
    params.extend(get("ErrorCode").map(|code| pair("VirtualAgentErrorCode", code)));
    params.extend(get("ErrorMessage").map(|why| pair("VirtualAgentError", why)));
    params
}

/// A noun with an address to connect to.
fn with_url(noun: Element, out: &mut Vec<Output>) -> Option<Element> {
    if noun.get("connectorName").is_some() {
        let message = format!("<{}> by connectorName: no connector is configured", noun.name);
        out.push(alert(31940, message));
        return None;
    }
    if noun.get("url").is_none() {
        out.push(alert(31923, format!("<{}> has no url", noun.name)));
        return None;
    }
    Some(noun)
}

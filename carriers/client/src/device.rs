//! One socket of one program: what it says, and what follows.

use std::collections::HashMap;
use std::sync::Arc;

use audio::dtmf::Key;
use contracts::{CallDoor, ClientGrant, Ending, InboundCall, LegEvent, homes_of_client};
use kernel::Sid;
use media::Peer;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::Sender;

use crate::message::{error, message, pairs};
use crate::relay::Relay;
use crate::{Call, Clients, Registered, device_of_home};

/// A message of a program, in bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Parameters of one call.
const PARAMS_MAX: usize = 100;
/// Of a message in a call (voice-api §12).
const CONTENT_CHARS_MAX: usize = 10_000;

/// One socket.
pub struct Device {
    clients: Arc<Clients>,
    id: u64,
    outbox: Sender<String>,
    /// The label of the host by which it came, which it is told to come back to.
    edge: String,
    grant: Option<ClientGrant>,
    /// Its calls on other nodes.
    relays: HashMap<String, Relay>,
}

impl Device {
    /// A socket that has just been opened; answers go to `outbox`.
    pub fn new(clients: Arc<Clients>, edge: &str, outbox: Sender<String>) -> Self {
        let id = (clients.parts.random)() as u64;
        let relays = HashMap::new();
        Self { clients, id, outbox, edge: edge.to_owned(), grant: None, relays }
    }

    /// One whose socket is on another node, for a call that is here.
    pub(crate) fn elsewhere(
        clients: Arc<Clients>,
        id: u64,
        grant: ClientGrant,
        outbox: Sender<String>,
    ) -> Self {
        let (edge, relays) = (String::new(), HashMap::new());
        Self { clients, id, outbox, edge, grant: Some(grant), relays }
    }

    /// Takes a message. False when the socket is to be closed.
    pub async fn receive(&mut self, text: &str) -> bool {
        // The client's half of the heartbeat.
        if text.trim().is_empty() {
            return true;
        }
        if text.len() > MESSAGE_BYTES_MAX {
            return self.refuse(31100, "the message is too long").await;
        }
        let Ok(message) = serde_json::from_str::<Json>(text) else {
            return self.refuse(31100, "the message is not JSON").await;
        };
        let payload = &message["payload"];
        let kind = message["type"].as_str().unwrap_or_default();
        let call = payload["callsid"].as_str().unwrap_or_default();
        if let Some(relay) = self.relays.get(call).filter(|_| kind != "invite") {
            relay.bring(text);
            return true;
        }
        match kind {
            "listen" => return self.listen(payload).await,
            _ if self.grant.is_none() => {
                return self.refuse(31204, "there is no valid token").await;
            }
            "register" => self.register(payload).await,
            "invite" => self.invite(payload).await,
            "answer" => self.answer(payload).await,
            "reinvite" => self.reinvite(payload).await,
            "hangup" => self.over(payload, Ending::HungUp).await,
            "reject" => self.reject(payload).await,
            "dtmf" => self.keys(payload),
            "message" => self.said(payload).await,
            other => {
                tracing::debug!(kind = other, "a message of a browser phone is not known");
            }
        }
        true
    }

    async fn send(&self, text: String) {
        // A socket that is gone hears nothing.
        let _ = self.outbox.send(text).await;
    }

    /// Says why, and that there is nothing to try again.
    async fn refuse(&self, code: u32, why: &str) -> bool {
        self.send(error(code, why, None)).await;
        self.send(message("close", json!({}))).await;
        false
    }

    async fn listen(&mut self, payload: &Json) -> bool {
        let token = payload["token"].as_str().unwrap_or_default();
        let grant = match self.clients.parts.tokens.voice_grant(token).await {
            Ok(Ok(grant)) => grant,
            Ok(Err(refused)) => {
                // As the SDK knows them (realtime-protocols §3.7).
                let code = match refused.code {
                    20101 | 20102 | 20106 => 31204,
                    20104 | 20105 => 31205,
                    20103 | 20107 => 31202,
                    other => other,
                };
                return self.refuse(code, &refused.message).await;
            }
            Err(unavailable) => {
                tracing::error!(error = %unavailable, "a token cannot be checked now");
                self.send(error_of_platform()).await;
                return false;
            }
        };
        let now = (self.clients.parts.now)();
        let ttl = grant.expires.since(now).as_secs();
        let connected = json!({
            "edge": self.edge,
            "gateway": "offhook",
            "region": "US_EAST_VIRGINIA",
            "home": "us1",
            "token": { "identity": grant.identity, "ttl": ttl },
        });
        let is_other = |known: &ClientGrant| {
            (known.account, &known.identity) != (grant.account, &grant.identity)
        };
        if self.grant.as_ref().is_some_and(is_other) {
            self.unregister().await;
        }
        self.grant = Some(grant);
        self.send(message("connected", connected)).await;
        true
    }

    async fn register(&mut self, payload: &Json) {
        let Some(grant) = self.grant.clone() else { return };
        self.unregister().await;
        if payload["media"]["audio"].as_bool() == Some(false) {
            return self.send(message("offline", json!({}))).await;
        }
        if !grant.may_be_called || grant.identity.is_empty() {
            let why = "the token does not allow incoming calls";
            return self.send(error(31201, why, None)).await;
        }
        // First here, then where other nodes see it: what they send finds the program.
        let registered = Registered { device: self.id, outbox: self.outbox.clone() };
        let home = self.home(&grant);
        let key = (grant.account, grant.identity);
        self.clients.state().registered.entry(key).or_default().push(registered);
        if let Err(error) = self.clients.parts.homes.claim(&home).await {
            tracing::error!(%error, "a browser phone cannot be registered now");
            self.unregister().await;
            return self.send(error_of_platform()).await;
        }
        self.send(message("ready", json!({}))).await;
    }

    /// Where the program is.
    fn home(&self, grant: &ClientGrant) -> String {
        homes_of_client(grant.account, &grant.identity) + &device_of_home(self.id)
    }

    async fn unregister(&self) {
        let Some(grant) = &self.grant else { return };
        let key = (grant.account, grant.identity.clone());
        let was_registered = {
            let mut state = self.clients.state();
            let Some(devices) = state.registered.get_mut(&key) else { return };
            let before = devices.len();
            devices.retain(|known| known.device != self.id);
            let left = devices.len();
            if left == 0 {
                state.registered.remove(&key);
            }
            left < before
        };
        if was_registered
            && let Err(error) = self.clients.parts.homes.release(&self.home(grant)).await
        {
            // Calls that come for it find nobody; the node's end forgets it.
            tracing::warn!(%error, "a browser phone is still known to other nodes");
        }
    }

    /// The program places a call, or takes one that it had to this socket.
    async fn invite(&mut self, payload: &Json) {
        let id = payload["callsid"].as_str().unwrap_or_default().to_owned();
        if let Some(token) = payload["reconnect"].as_str() {
            return self.resume(&id, token).await;
        }
        let Some(grant) = self.grant.clone() else { return };
        let hang_up = |code: u32, why: &str| {
            let error = json!({ "code": code, "message": why });
            message("hangup", json!({ "callsid": id, "error": error }))
        };
        let Some(application) = grant.application else {
            return self.send(hang_up(31201, "the token names no TwiML application")).await;
        };
        let mut params = grant.params.clone();
        params.extend(pairs(payload["twilio"]["params"].as_str().unwrap_or_default()));
        params.truncate(PARAMS_MAX);
        let to = params.iter().find(|(name, _)| name == "To").map(|(_, value)| value.clone());
        params.retain(|(name, _)| name != "To");
        let inbound = InboundCall {
            from: format!("client:{}", grant.identity),
            to: to.unwrap_or_default(),
            caller_name: None,
            at: (self.clients.parts.now)(),
            door: CallDoor::Application { account: grant.account, application },
            params,
        };
        let (account, leg) = match self.clients.sink().inbound(&inbound).await {
            Ok(Some(found)) => found,
            Ok(None) => return self.send(hang_up(31404, "Not Found")).await,
            Err(error) => {
                tracing::error!(%error, "a browser's call is not taken");
                return self.send(hang_up(31005, "the platform is not ready")).await;
            }
        };
        let sdp = payload["sdp"].as_str().unwrap_or_default();
        let (peer, answer) = match Peer::answer(sdp, &self.clients.parts.addresses, None).await {
            Ok(made) => made,
            Err(why) => {
                tracing::warn!(why, "a browser's offer is not understood");
                self.send(hang_up(31400, &why)).await;
                let failed = LegEvent::Ended(Ending::Failed);
                return self.clients.report(account, leg, failed).await;
            }
        };
        if self.clients.engine().open(account, leg, peer.port()).is_err() {
            self.send(hang_up(31206, "the platform carries as many calls as it can")).await;
            let failed = LegEvent::Ended(Ending::Failed);
            return self.clients.report(account, leg, failed).await;
        }
        let call = Call {
            account,
            is_outgoing: true,
            client_id: Some(id),
            reconnect: format!("{:032x}", (self.clients.parts.random)()),
            device: self.id,
            outbox: self.outbox.clone(),
            peer: Some(peer),
            sdp: Some(answer),
            ringing: Vec::new(),
            is_answered: false,
        };
        self.clients.state().calls.insert(leg, call);
        self.clients.open_call(leg);
        self.send(message("ringing", json!({ "callsid": leg }))).await;
        let at = (self.clients.parts.now)();
        if let Err(error) = self.clients.sink().ring(account, leg, at).await {
            tracing::error!(%error, %leg, "a browser's call does not begin");
            self.clients.hang_up(leg, Some((31005, "the platform is not ready")));
            self.clients.finish(leg, Ending::Failed).await;
        }
    }

    /// The call of either id, if it is this program's.
    fn call_of(&self, payload: &Json) -> Option<Sid> {
        let id = payload["callsid"].as_str()?;
        let account = self.grant.as_ref()?.account;
        let state = self.clients.state();
        let by_sid = id.parse::<Sid>().ok().filter(|sid| state.calls.contains_key(sid));
        let leg = by_sid.or_else(|| {
            let mut calls = state.calls.iter();
            calls.find(|(_, call)| call.client_id.as_deref() == Some(id)).map(|(leg, _)| *leg)
        })?;
        let call = state.calls.get(&leg)?;
        let rings_here = call.ringing.iter().any(|(known, _)| known.device == self.id);
        (call.account == account && (call.device == self.id || rings_here)).then_some(leg)
    }

    /// A program that lost its socket takes its call to this one, also from another node.
    async fn resume(&mut self, id: &str, token: &str) {
        let answer = {
            let mut state = self.clients.state();
            let found = state.calls.iter_mut().find(|(_, call)| call.reconnect == token);
            found.map(|(leg, call)| {
                call.device = self.id;
                call.outbox = self.outbox.clone();
                json!({ "callsid": leg, "sdp": "", "reconnect": token })
            })
        };
        match answer {
            Some(answer) => self.send(message("answer", answer)).await,
            None => {
                self.relays.remove(id);
                let account = self.grant.as_ref().map(|grant| grant.account);
                let call = account.zip(id.parse().ok());
                let relay = match call {
                    Some((account, leg)) => {
                        self.clients.relay(account, leg, token, &self.outbox).await
                    }
                    None => None,
                };
                match relay {
                    Some(relay) => {
                        self.relays.insert(id.to_owned(), relay);
                    }
                    None => self.send(gone(id)).await,
                }
            }
        }
    }

    async fn answer(&mut self, payload: &Json) {
        let Some(leg) = self.call_of(payload) else { return };
        let sdp = payload["sdp"].as_str().unwrap_or_default();
        if let Err(why) = self.clients.answered(leg, self.id, sdp).await {
            tracing::warn!(why, %leg, "a browser's answer is not understood");
            let failed = json!({ "code": 31400, "message": why });
            self.send(message("hangup", json!({ "callsid": leg, "error": failed }))).await;
            self.clients.finish(leg, Ending::Failed).await;
        }
    }

    /// An ICE restart.
    async fn reinvite(&mut self, payload: &Json) {
        let Some(leg) = self.call_of(payload) else {
            return self.send(gone(payload["callsid"].as_str().unwrap_or_default())).await;
        };
        let sdp = payload["sdp"].as_str().unwrap_or_default().to_owned();
        let peer = self.clients.state().calls.get(&leg).and_then(|call| call.peer.clone());
        let Some(peer) = peer else { return };
        match peer.restart(sdp).await {
            Some(sdp) => {
                let answer = json!({ "callsid": leg, "sdp": sdp });
                self.send(message("answer", answer)).await;
            }
            None => self.send(error(31400, "the offer is not understood", None)).await,
        }
    }

    async fn over(&mut self, payload: &Json, ending: Ending) {
        if let Some(leg) = self.call_of(payload) {
            self.clients.finish(leg, ending).await;
        }
    }

    /// One of the programs that ring declines; the last of them ends the call.
    async fn reject(&mut self, payload: &Json) {
        let Some(leg) = self.call_of(payload) else { return };
        let is_last = {
            let mut state = self.clients.state();
            let Some(call) = state.calls.get_mut(&leg) else { return };
            call.ringing.retain(|(known, _)| known.device != self.id);
            call.ringing.is_empty() && !call.is_answered
        };
        if is_last {
            self.clients.finish(leg, Ending::Busy).await;
        }
    }

    /// The program sends JSON to whoever subscribed to what it sends.
    async fn said(&mut self, payload: &Json) {
        let id = payload["voiceeventsid"].as_str().unwrap_or_default();
        let content = match &payload["content"] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let refusal = if content.chars().count() > CONTENT_CHARS_MAX {
            Some((31212, "the message is too long"))
        } else if payload["messagetype"].as_str() != Some("user-defined-message") {
            Some((31210, "the messagetype is not user-defined-message"))
        } else {
            None
        };
        let leg = self.call_of(payload);
        let account = self.grant.as_ref().map(|grant| grant.account);
        let (Some(leg), Some(account), None) = (leg, account, refusal) else {
            let (code, why) = refusal.unwrap_or((31000, "there is no such call"));
            let refused = json!({
                "callsid": payload["callsid"],
                "voiceeventsid": id,
                "error": { "code": code, "message": why },
            });
            return self.send(message("error", refused)).await;
        };
        self.clients.report(account, leg, LegEvent::Message { content }).await;
        let ack = json!({ "acktype": "message", "callsid": leg, "voiceeventsid": id });
        self.send(message("ack", ack)).await;
    }

    fn keys(&self, payload: &Json) {
        let Some(leg) = self.call_of(payload) else { return };
        let keys = payload["dtmf"].as_str().unwrap_or_default();
        for key in keys.chars().filter_map(Key::new).take(64) {
            self.clients.engine().key(leg, key);
        }
    }

    /// The socket is gone. Calls that run are kept for a while: the program may come back for them.
    pub async fn close(self) {
        self.unregister().await;
        let (ringing, running) = {
            let mut state = self.clients.state();
            let mut ringing = Vec::new();
            let mut running = Vec::new();
            for (leg, call) in &mut state.calls {
                let before = call.ringing.len();
                call.ringing.retain(|(known, _)| known.device != self.id);
                if before > 0 && call.ringing.is_empty() && !call.is_answered {
                    ringing.push(*leg);
                } else if call.device == self.id && (call.is_answered || call.is_outgoing) {
                    running.push((*leg, call.reconnect.clone()));
                }
            }
            (ringing, running)
        };
        for leg in ringing {
            self.clients.finish(leg, Ending::NoAnswer).await;
        }
        let (clients, id) = (self.clients, self.id);
        if running.is_empty() {
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(COMES_BACK).await;
            for (leg, _) in running {
                let is_still_gone =
                    clients.state().calls.get(&leg).is_some_and(|call| call.device == id);
                if is_still_gone {
                    clients.finish(leg, Ending::HungUp).await;
                }
            }
        });
    }
}

/// The end of a call that is not here, or not any more.
pub(crate) fn gone(call: &str) -> String {
    let error = json!({ "code": 31209, "message": "there is no such call any more" });
    message("hangup", json!({ "callsid": call, "error": error }))
}

fn error_of_platform() -> String {
    error(53000, "the platform is not ready; try again", None)
}

/// How long a program may take to come back for its calls (realtime-protocols §3.2).
const COMES_BACK: std::time::Duration = std::time::Duration::from_secs(30);

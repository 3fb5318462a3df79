//! Sessions of ConversationRelay: the WebSocket to the application (twiml §7). What is said over it
//! is the machine's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::Item;
use jobs::Failure;
use kernel::Sid;
use outbound::{Received, SocketFault};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use store::{AccountStore, StoreError};
use tokio::sync::mpsc::{self, Receiver, Sender};
use twiml::voice::{Element, Input, Params};

use crate::Voice;
use crate::act::Act;
use crate::ask::Ask;
use crate::call::Call;
use crate::letter::{Beside, Letter, What};

/// Messages that wait for the application.
const OUTBOX_MAX: usize = 1_000;
/// How fast text is spoken, where nobody measured it.
const CHARS_PER_SECOND: u64 = 15;

/// The name of a session's home.
pub(crate) fn home_of_session(call: Sid) -> String {
    format!("relay/{call}")
}

/// One of `[[virtual_agents]]` of the configuration: an application that speaks ConversationRelay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualAgent {
    /// As `connectorName` names it.
    pub name: String,
    /// `wss://…`
    pub url: String,
}

/// The sessions of this process.
///
/// Differs: a session does not outlive the process, as at Twilio; its call goes on with the action.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Sid, Session>>);

struct Session {
    sid: Sid,
    outbox: Sender<Out>,
}

enum Out {
    Text(String),
    Close { code: u16, reason: String },
}

impl Sessions {
    /// `None` when this session, or a later one of its call, is open already.
    fn open(&self, call: Sid, sid: Sid) -> Option<Receiver<Out>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SIDs carry their time: the younger of two is the call's.
        if sessions.get(&call).is_some_and(|known| known.sid.bits() >= sid.bits()) {
            return None;
        }
        let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
        sessions.insert(call, Session { sid, outbox });
        Some(inbox)
    }

    fn close(&self, call: Sid, sid: Sid) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.get(&call).is_some_and(|known| known.sid == sid) {
            sessions.remove(&call);
        }
    }

    pub fn has(&self, call: Sid, sid: Sid) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&call).is_some_and(|known| known.sid == sid)
    }

    /// False when there is no such session, or it does not keep up.
    fn send(&self, call: Sid, sid: Sid, out: Out) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&call).filter(|known| known.sid == sid);
        session.is_some_and(|known| known.outbox.try_send(out).is_ok())
    }
}

impl Act<'_> {
    /// Promises to connect to the application.
    pub fn open_relay(&mut self, noun: &Element) {
        let session = self.voice.parts.clock.sid("VX");
        self.live.relay = Some((session, self.at));
        let url = match self.relay_url(noun) {
            Ok(url) => url,
            Err(failure) => return self.relay_closed(Some(failure)),
        };
        let account = self.store.account();
        let parameters: Map<String, Json> = noun
            .children
            .iter()
            .filter(|child| child.name == "Parameter")
            .filter_map(|child| {
                let value = child.get("value").unwrap_or_default().to_owned();
                Some((child.get("name")?.to_owned(), value.into()))
            })
            .collect();
        let setup = json!({
            "type": "setup",
            "sessionId": session,
            "callSid": self.call.sid,
            "parentCallSid": self.call.parent.map(|sid| sid.to_string()).unwrap_or_default(),
            "accountSid": account,
            "from": self.call.from,
            "to": self.call.to,
            "forwardedFrom": "",
            "callerName": self.call.setup.caller_name.clone().unwrap_or_default(),
            "direction": self.call.direction,
            "callType": call_type(&self.call.from, &self.call.to),
            "callStatus": self.call.status.as_str().to_uppercase().replace('-', "_"),
            "customParameters": parameters,
        });
        self.ask(Ask::Relay { session, url, setup: setup.to_string() });
        self.voice.look_later(&mut self.batch, self.call.sid, Beside::Relay(session));
    }

    /// Where the application is: as the noun says, or its connector.
    fn relay_url(&self, noun: &Element) -> Result<String, (u32, String)> {
        if noun.name != "VirtualAgent" {
            return Ok(noun.get("url").unwrap_or_default().to_owned());
        }
        let name = noun.get("connectorName").unwrap_or_default();
        let agents = &self.voice.parts.agents;
        let found = agents.iter().find(|agent| agent.name == name);
        found
            .map(|agent| agent.url.clone())
            .ok_or_else(|| (32602, format!("<VirtualAgent>: no connector '{name}' is configured")))
    }

    pub fn tell_relay(&mut self, message: String) {
        self.send_relay(Out::Text(message));
    }

    fn send_relay(&mut self, out: Out) {
        let Some((session, _)) = self.live.relay else { return };
        if !self.voice.sessions.send(self.call.sid, session, out) {
            self.relay_is_gone();
        }
    }

    /// The application is told how much was heard before somebody interrupted.
    pub fn tell_relay_interrupted(&mut self, said: &str) {
        let since = self.live.talking_since.unwrap_or(self.at);
        let millis = u64::try_from(self.at.since(since).as_millis()).unwrap_or(u64::MAX);
        let chars = millis.saturating_mul(CHARS_PER_SECOND) / 1000;
        let heard: String = said.chars().take(usize::try_from(chars).unwrap_or(0)).collect();
        let message = json!({
            "type": "interrupt",
            "utteranceUntilInterrupt": heard,
            "durationUntilInterruptMs": millis,
        });
        self.tell_relay(message.to_string());
    }

    pub fn close_relay(&mut self, code: u16, reason: String) {
        self.send_relay(Out::Close { code, reason });
    }

    /// It is the session that the call has.
    pub fn has_relay(&self, session: Sid) -> bool {
        self.live.relay.is_some_and(|(known, _)| known == session)
    }

    /// There is no socket: it is not open yet, the process that had it has ended, or it broke.
    pub fn relay_is_gone(&mut self) {
        let failure = Some((39001, "the session's connection is gone".to_owned()));
        self.relay_closed(failure);
    }

    pub fn relay_closed(&mut self, failure: Option<(u32, String)>) {
        let Some((session, since)) = self.live.relay.take() else { return };
        if let Some((code, why)) = &failure {
            self.alert(*code, why);
        }
        let seconds = self.at.since(since).as_secs();
        let params: Params = vec![
            ("SessionId".to_owned(), session.to_string()),
            ("SessionDuration".to_owned(), seconds.to_string()),
        ];
        self.tell(Input::RelayClosed { failure, params });
    }

    /// Remembers since when words are heard, for interruptions.
    pub fn note_talking(&mut self, item: &Item) {
        if self.live.relay.is_some() && matches!(item, Item::Say { .. }) {
            self.live.talking_since = Some(self.at);
        }
    }
}

fn call_type(from: &str, to: &str) -> &'static str {
    let is = |prefix: &str| from.starts_with(prefix) || to.starts_with(prefix);
    match () {
        () if is("sip:") => "SIP",
        () if is("client:") => "CLIENT",
        () => "PSTN",
    }
}

impl Voice {
    /// Opens the session that a call was promised, unless it is open or the call has gone on.
    pub(crate) async fn begin_relay(
        &self,
        store: &AccountStore,
        call: Sid,
        session: Sid,
        url: String,
        setup: String,
    ) -> Result<(), Failure> {
        let Some(voice) = self.this.upgrade() else { return Ok(()) };
        if !has_session(store, call, session).await? {
            return Ok(());
        }
        let account = store.account();
        let signature = self.parts.webhooks.signature(account, &url).await;
        let Some(inbox) = self.sessions.open(call, session) else { return Ok(()) };
        tokio::spawn(async move {
            let home = home_of_session(call);
            if let Err(error) = voice.parts.homes.claim(&home).await {
                tracing::warn!(%error, %call, "a session is not found from other nodes");
            }
            let line = Line { account, call, session };
            let headers = [("X-Twilio-Signature".to_owned(), signature)];
            let over = match voice.parts.client.websocket(&url, &headers).await {
                Err(fault) => Err(fault),
                Ok(socket) => voice.relay(&line, socket, setup, inbox).await,
            };
            voice.sessions.close(call, session);
            if let Err(error) = voice.parts.homes.release(&home).await {
                tracing::warn!(%error, %call, "a session that is over is still looked for here");
            }
            let failure = over.err().map(|SocketFault { message, .. }| (39001, message));
            voice.deliver_relay(&line, What::RelayClosed { session, failure }).await;
        });
        Ok(())
    }

    async fn relay(
        &self,
        line: &Line,
        (mut sender, mut receiver): (outbound::SocketSender, outbound::SocketReceiver),
        setup: String,
        mut inbox: Receiver<Out>,
    ) -> Result<(), SocketFault> {
        let store = self.parts.store.account(line.account);
        // While the socket was opened the call may have ended, or gone on.
        if !has_session(&store, line.call, line.session).await.unwrap_or(true) {
            sender.close(1000, "Closing websocket session").await;
            return Ok(());
        }
        sender.send(setup).await?;
        self.hear_relay(line, Input::RelayOpened).await;
        loop {
            tokio::select! {
                out = inbox.recv() => match out {
                    Some(Out::Text(text)) => sender.send(text).await?,
                    Some(Out::Close { code, reason }) => {
                        sender.close(code, &reason).await;
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                received = receiver.receive() => match received? {
                    Received::Text(text) => self.hear_relay(line, Input::RelayHeard(text)).await,
                    Received::Binary => {
                        self.hear_relay(line, Input::RelayHeard("(bytes)".to_owned())).await;
                    }
                    Received::Closed(code) => {
                        let message = format!("the application closed the session with {code}");
                        return Err(SocketFault { code: 39001, message });
                    }
                },
            }
        }
    }

    async fn hear_relay(&self, line: &Line, input: Input) {
        self.deliver_relay(line, What::Relay { session: line.session, input }).await;
    }

    async fn deliver_relay(&self, line: &Line, what: What) {
        let store = self.parts.store.account(line.account);
        let mut batch = store.batch();
        let (call, at) = (line.call, self.parts.clock.now());
        self.send(&mut batch, Letter { call, at, what });
        if let Err(error) = store.commit(batch).await {
            tracing::error!(%error, %call, "a relay's message is lost");
        }
    }
}

/// Whose a socket is.
struct Line {
    account: Sid,
    call: Sid,
    session: Sid,
}

async fn has_session(store: &AccountStore, call: Sid, session: Sid) -> Result<bool, StoreError> {
    let live = Call::load(store, call).await?.and_then(|call| call.live);
    Ok(live.and_then(|live| live.relay).is_some_and(|(known, _)| known == session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_once_and_the_younger_takes_its_place() {
        let sid = |text: &str| text.parse::<Sid>().unwrap();
        let call = sid("CA00000000000000000000000000000001");
        let first = sid("VX00000000000000000000000000000001");
        let second = sid("VX00000000000000000000000000000002");
        let sessions = Sessions::default();
        let _inbox = sessions.open(call, first).expect("nothing is open");
        assert!(sessions.open(call, first).is_none(), "a job that is done twice opens one");
        assert!(sessions.send(call, first, Out::Text("a".into())));
        let _inbox = sessions.open(call, second).expect("the call has gone on");
        assert!(sessions.open(call, first).is_none());
        assert!(!sessions.send(call, first, Out::Text("b".into())));
        sessions.close(call, first);
        assert!(sessions.send(call, second, Out::Text("c".into())), "only its own is closed");
        sessions.close(call, second);
        assert!(!sessions.send(call, second, Out::Text("d".into())));
    }
}

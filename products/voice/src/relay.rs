//! Sessions of ConversationRelay: the WebSocket to the application (twiml §7). What is said over it
//! is the machine's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use contracts::Item;
use jobs::Failure;
use kernel::Sid;
use outbound::{Received, SocketFault};
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc::{self, Receiver, Sender};
use twiml::voice::{Element, Input, Params};

use crate::Voice;
use crate::act::{Act, Letter, What};

/// Messages that wait for the application.
const OUTBOX_MAX: usize = 1_000;
/// How fast text is spoken, where nobody measured it.
const CHARS_PER_SECOND: u64 = 15;

/// The name of a session's home.
pub(crate) fn home_of_session(call: Sid) -> String {
    format!("relay/{call}")
}

/// The sessions of this process.
///
/// Differs: a session does not outlive the process, as at Twilio; its call goes on with the action.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Sid, Sender<Out>>>);

enum Out {
    Text(String),
    Close { code: u16, reason: String },
}

impl Sessions {
    fn open(&self, call: Sid) -> Receiver<Out> {
        let (sender, inbox) = mpsc::channel(OUTBOX_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(call, sender);
        inbox
    }

    fn close(&self, call: Sid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
    }

    /// False when there is no session, or it does not keep up.
    fn send(&self, call: Sid, out: Out) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&call).is_some_and(|session| session.try_send(out).is_ok())
    }
}

impl Act<'_> {
    /// Connects to the application.
    pub async fn open_relay(&mut self, noun: &Element) -> Result<(), Failure> {
        let session = self.voice.parts.clock.sid("VX");
        self.live.relay = Some((session, self.at));
        let url = noun.get("url").unwrap_or_default().to_owned();
        let account = self.store.account();
        let signature = self.voice.parts.webhooks.signature(account, &url).await;
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
        self.voice.begin_relay(account, self.call.sid, url, signature, setup.to_string());
        Ok(())
    }

    pub fn tell_relay(&mut self, message: String) {
        if !self.voice.sessions.send(self.call.sid, Out::Text(message)) {
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
        if !self.voice.sessions.send(self.call.sid, Out::Close { code, reason }) {
            self.relay_is_gone();
        }
    }

    /// There is no socket: the process that had it has ended, or it broke.
    fn relay_is_gone(&mut self) {
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
    fn begin_relay(&self, account: Sid, call: Sid, url: String, signature: String, setup: String) {
        let Some(voice) = self.this.upgrade() else { return };
        let inbox = self.sessions.open(call);
        tokio::spawn(async move {
            let home = home_of_session(call);
            if let Err(error) = voice.parts.homes.claim(&home).await {
                tracing::warn!(%error, %call, "a session is not found from other nodes");
            }
            let headers = [("X-Twilio-Signature".to_owned(), signature)];
            let over = match voice.parts.client.websocket(&url, &headers).await {
                Err(fault) => Err(fault),
                Ok(socket) => voice.relay(account, call, socket, setup, inbox).await,
            };
            voice.sessions.close(call);
            if let Err(error) = voice.parts.homes.release(&home).await {
                tracing::warn!(%error, %call, "a session that is over is still looked for here");
            }
            let failure = over.err().map(|SocketFault { message, .. }| (39001, message));
            voice.deliver_relay(account, call, What::RelayClosed { failure }).await;
        });
    }

    async fn relay(
        &self,
        account: Sid,
        call: Sid,
        (mut sender, mut receiver): (outbound::SocketSender, outbound::SocketReceiver),
        setup: String,
        mut inbox: Receiver<Out>,
    ) -> Result<(), SocketFault> {
        sender.send(setup).await?;
        self.deliver_relay(account, call, What::Machine(Input::RelayOpened)).await;
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
                    Received::Text(text) => {
                        let heard = What::Machine(Input::RelayHeard(text));
                        self.deliver_relay(account, call, heard).await;
                    }
                    Received::Binary => {
                        let heard = What::Machine(Input::RelayHeard("(bytes)".to_owned()));
                        self.deliver_relay(account, call, heard).await;
                    }
                    Received::Closed(code) => {
                        let message = format!("the application closed the session with {code}");
                        return Err(SocketFault { code: 39001, message });
                    }
                },
            }
        }
    }

    async fn deliver_relay(&self, account: Sid, call: Sid, what: What) {
        let store = self.parts.store.account(account);
        let mut batch = store.batch();
        let at = self.parts.clock.now();
        self.send(&mut batch, Letter { call, at, what });
        if let Err(error) = store.commit(batch).await {
            tracing::error!(%error, %call, "a relay's message is lost");
        }
    }
}

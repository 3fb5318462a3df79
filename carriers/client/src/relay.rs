//! A program that came back to another node than its call's: that node brings what the program says to
//! the call's, and what the call's node says to the program's socket. Sound goes on as it did, to the
//! call's node.
//!
//! Each call has a channel on the [`Backplane`], and each socket that is relayed has one. A program proves
//! itself with the token that came with its call. A socket's node says every few seconds that it is there.

use std::sync::Arc;
use std::time::Duration;

use contracts::{ClientGrant, home_of_leg};
use kernel::{Sid, Timestamp};
use media::Backplane;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

use crate::device::{Device, gone};
use crate::message::message;
use crate::{Clients, device_of_home};

const ALIVE_EVERY: Duration = Duration::from_secs(5);
const SILENT_MAX: Duration = Duration::from_secs(15);
/// How long a call's node may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Messages that wait, of one program.
const WAITING_MAX: usize = 256;
/// Programs of other nodes, and sockets here whose call is on another.
const RELAYS_MAX: usize = 10_000;

/// What a socket's node says to the call's.
#[derive(Serialize, Deserialize)]
struct Said {
    device: u64,
    what: What,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum What {
    Resume { token: String },
    Text(String),
    Alive,
    Close,
}

fn channel_of_call(leg: Sid) -> Arc<str> {
    format!("call.{leg}").into()
}

fn channel_of_device(device: u64) -> Arc<str> {
    format!("device.{}", device_of_home(device)).into()
}

/// A call of this socket's program that is on another node. It has an id of its own, as a device that the
/// call's node knows.
pub(crate) struct Relay {
    clients: Arc<Clients>,
    backplane: Arc<dyn Backplane>,
    call: Arc<str>,
    id: u64,
}

impl Relay {
    /// Brings a message of the program to its call.
    pub fn bring(&self, text: &str) {
        say(&*self.backplane, &self.call, self.id, What::Text(text.to_owned()));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        say(&*self.backplane, &self.call, self.id, What::Close);
        self.clients.state().sockets.remove(&self.id);
        self.backplane.unsubscribe(&channel_of_device(self.id));
    }
}

fn say(backplane: &dyn Backplane, call: &Arc<str>, device: u64, what: What) {
    let said = serde_json::to_vec(&Said { device, what }).expect("it is plain data");
    if !backplane.publish(call, said) {
        tracing::warn!(call = &**call, "a browser phone's word is lost between nodes");
    }
}

/// A socket here whose call is on another node.
pub(crate) struct Socket {
    outbox: Sender<String>,
    /// Its call's node has answered.
    is_answered: bool,
    is_over: bool,
}

impl Clients {
    /// A call is here: programs that come back for it to other nodes find it.
    pub(crate) fn open_call(&self, leg: Sid) {
        if let Some(backplane) = &self.parts.backplane {
            backplane.subscribe(&channel_of_call(leg));
        }
    }

    pub(crate) fn close_call(&self, leg: Sid) {
        if let Some(backplane) = &self.parts.backplane {
            backplane.unsubscribe(&channel_of_call(leg));
        }
    }

    /// Asks the node that has this call to let a program go on with it; `None` when there is no such
    /// node. What it answers goes to the program.
    pub(crate) async fn relay(
        self: &Arc<Self>,
        account: Sid,
        leg: Sid,
        token: &str,
        outbox: &Sender<String>,
    ) -> Option<Relay> {
        let backplane = self.parts.backplane.clone()?;
        let is_elsewhere = self.parts.homes.is_elsewhere(&home_of_leg(account, leg)).await;
        if !is_elsewhere.unwrap_or(false) {
            return None;
        }
        let id = (self.parts.random)() as u64;
        {
            let mut state = self.state();
            if state.sockets.len() >= RELAYS_MAX {
                return None;
            }
            let outbox = outbox.clone();
            state.sockets.insert(id, Socket { outbox, is_answered: false, is_over: false });
        }
        backplane.subscribe(&channel_of_device(id));
        let call = channel_of_call(leg);
        say(&*backplane, &call, id, What::Resume { token: token.to_owned() });
        tokio::spawn(self.clone().stay(leg, id, backplane.clone()));
        Some(Relay { clients: self.clone(), backplane, call, id })
    }

    /// Tells a program whose call's node does not answer, and that node that the socket is there.
    async fn stay(self: Arc<Self>, leg: Sid, id: u64, backplane: Arc<dyn Backplane>) {
        sleep(PATIENCE).await;
        let unanswered = {
            let state = self.state();
            state.sockets.get(&id).filter(|socket| !socket.is_answered).map(|it| it.outbox.clone())
        };
        if let Some(outbox) = unanswered {
            let _ = outbox.send(gone(&leg.to_string())).await;
            return;
        }
        let call = channel_of_call(leg);
        while self.state().sockets.get(&id).is_some_and(|socket| !socket.is_over) {
            say(&*backplane, &call, id, What::Alive);
            sleep(ALIVE_EVERY).await;
        }
    }

    /// Takes what another node said; false when it is not for browser phones. Does not wait. Needs a
    /// runtime.
    pub fn hear(self: &Arc<Self>, channel: &str, said: &[u8]) -> bool {
        if let Some(device) = channel.strip_prefix("device.") {
            let device = u64::from_str_radix(device, 16).unwrap_or_default();
            if let (Some(socket), Ok(text)) =
                (self.state().sockets.get_mut(&device), std::str::from_utf8(said))
            {
                socket.is_answered = true;
                let message = serde_json::from_str::<Json>(text).unwrap_or_default();
                socket.is_over |= message["type"] == "hangup";
                let _ = socket.outbox.try_send(text.to_owned());
            }
            return true;
        }
        let Some(leg) = channel.strip_prefix("call.") else { return false };
        if let (Ok(leg), Ok(said)) = (leg.parse(), serde_json::from_slice::<Said>(said)) {
            self.heard(leg, said);
        }
        true
    }

    fn heard(self: &Arc<Self>, leg: Sid, Said { device, what }: Said) {
        let mut state = self.state();
        let What::Resume { token } = what else {
            if let Some(remote) = state.remotes.get(&device) {
                let _ = remote.try_send(what);
            }
            return;
        };
        let remotes = state.remotes.len();
        let Some(call) = state.calls.get_mut(&leg) else { return };
        if call.reconnect != token || remotes >= RELAYS_MAX {
            return;
        }
        let (outbox, outgoing) = channel(WAITING_MAX);
        (call.device, call.outbox) = (device, outbox.clone());
        let answer = json!({ "callsid": leg, "sdp": "", "reconnect": token });
        let _ = outbox.try_send(message("answer", answer));
        let (to, inbox) = channel(WAITING_MAX);
        let grant = ClientGrant {
            account: call.account,
            identity: String::new(),
            may_be_called: false,
            application: None,
            params: Vec::new(),
            expires: Timestamp::EPOCH,
        };
        state.remotes.insert(device, to);
        let remote = Device::elsewhere(self.clone(), device, grant, outbox);
        tokio::spawn(self.clone().serve(remote, device, inbox, outgoing));
    }

    /// A program whose socket is on another node, as long as that says that it is there.
    async fn serve(
        self: Arc<Self>,
        mut remote: Device,
        device: u64,
        mut inbox: Receiver<What>,
        mut outgoing: Receiver<String>,
    ) {
        let to = channel_of_device(device);
        loop {
            tokio::select! {
                text = outgoing.recv() => match (text, &self.parts.backplane) {
                    (Some(text), Some(backplane)) => {
                        backplane.publish(&to, text.into_bytes());
                    }
                    _ => break,
                },
                said = timeout(SILENT_MAX, inbox.recv()) => match said {
                    Ok(Some(What::Text(text))) => {
                        remote.receive(&text).await;
                    }
                    Ok(Some(What::Alive)) => {}
                    Ok(Some(What::Close | What::Resume { .. }) | None) | Err(_) => break,
                },
            }
        }
        self.state().remotes.remove(&device);
        remote.close().await;
    }
}

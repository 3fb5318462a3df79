//! Browser phones: the signalling that the Voice SDK speaks (PStream 1.6, realtime-protocols §3),
//! and their sound over WebRTC.
//!
//! A [`Device`] is one socket of one program; the binary brings its messages and takes the answers.
//! A call of a device is a leg: its signalling is here, its packets are a [`Peer`]'s, its sound is the
//! engine's.

mod device;
mod message;
mod relay;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use contracts::{
    AnsweredBy, BoxFuture, CallNetwork, ClientTokens, Ending, Homes, LegEvent, LegReport, Order,
    OutboundCall, Unavailable, VoiceCarrier, VoiceSink, homes_of_client,
};
use kernel::{Sid, Timestamp};
use media::{Backplane, Engine, Offered, Peer};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::Sender;

pub use device::Device;
use message::{escape, message};

/// Programs of one name that ring at once.
const DEVICES_MAX: usize = 10;

/// A device as the end of its home's name.
fn device_of_home(device: u64) -> String {
    format!("{device:016x}")
}

/// What the carrier stands on.
pub struct Parts {
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub tokens: Arc<dyn ClientTokens>,
    /// Who is registered on which node.
    pub homes: Arc<dyn Homes>,
    /// The way to programs that other nodes have, where there are some.
    pub backplane: Option<Arc<dyn Backplane>>,
    /// Addresses of this machine that browsers reach, for their packets.
    pub addresses: Vec<IpAddr>,
    /// Random, for tokens and ids.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

/// The carrier.
pub struct Clients {
    parts: Parts,
    sink: OnceLock<Arc<dyn VoiceSink>>,
    engine: OnceLock<Arc<Engine>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who may be called, by account and name.
    registered: HashMap<(Sid, String), Vec<Registered>>,
    calls: HashMap<Sid, Call>,
    /// Programs with calls here whose sockets are on other nodes.
    remotes: HashMap<u64, Sender<relay::What>>,
    /// Sockets here whose calls are on other nodes.
    sockets: HashMap<u64, relay::Socket>,
}

#[derive(Clone)]
struct Registered {
    /// Of this socket.
    device: u64,
    outbox: Sender<String>,
}

/// A leg.
struct Call {
    account: Sid,
    /// Called by the program.
    is_outgoing: bool,
    /// Given by the program, until it knows ours.
    client_id: Option<String>,
    /// With this the program takes its call to another socket.
    reconnect: String,
    device: u64,
    outbox: Sender<String>,
    /// The peer of an answered call, or of one that the program placed.
    peer: Option<Peer>,
    /// What the program gets when its call is answered.
    sdp: Option<String>,
    /// Devices that ring.
    ringing: Vec<(Registered, Offered)>,
    is_answered: bool,
}

impl Clients {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            sink: OnceLock::new(),
            engine: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// Connects Voice and the engine; once, before the first device.
    pub fn connect(&self, sink: Arc<dyn VoiceSink>, engine: Arc<Engine>) {
        assert!(self.sink.set(sink).is_ok(), "Voice is connected once");
        assert!(self.engine.set(engine).is_ok(), "the engine is connected once");
    }

    fn sink(&self) -> &Arc<dyn VoiceSink> {
        self.sink.get().expect("the binary connects Voice before it starts")
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.get().expect("the binary connects the engine before it starts")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names that can be called on this node now, with whose they are and how many programs each has.
    pub fn registered(&self) -> BTreeMap<(Sid, String), usize> {
        let state = self.state();
        state.registered.iter().map(|(key, devices)| (key.clone(), devices.len())).collect()
    }

    /// Whether this device, as its home names it, takes calls here.
    fn is_registered(&self, account: Sid, identity: &str, device: &str) -> bool {
        let state = self.state();
        let devices = state.registered.get(&(account, identity.to_owned()));
        devices.into_iter().flatten().any(|known| device_of_home(known.device) == device)
    }

    async fn report(&self, account: Sid, leg: Sid, event: LegEvent) {
        let report = LegReport { account, leg, at: (self.parts.now)(), event };
        while let Err(error) = self.sink().report(&report).await {
            tracing::warn!(%error, %leg, "voice cannot be told now");
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    }

    /// The call is over on the program's side.
    async fn finish(&self, leg: Sid, ending: Ending) {
        let Some(call) = self.state().calls.remove(&leg) else { return };
        self.close_call(leg);
        self.engine().close(leg);
        let gone = message("cancel", json!({ "callsid": leg }));
        for (device, _) in &call.ringing {
            let _ = device.outbox.try_send(gone.clone());
        }
        self.report(call.account, leg, LegEvent::Ended(ending)).await;
    }

    async fn ring(&self, call: &OutboundCall) {
        let identity = call.to.trim_start_matches("client:").to_owned();
        let devices = self.state().registered.get(&(call.account, identity)).cloned();
        let devices: Vec<_> = devices.unwrap_or_default().into_iter().take(DEVICES_MAX).collect();
        let mut ringing = Vec::new();
        for device in devices {
            match Peer::offer(&self.parts.addresses).await {
                Ok(offered) => ringing.push((device, offered)),
                Err(error) => tracing::error!(%error, "no socket for a browser's sound"),
            }
        }
        let Some((first, _)) = ringing.first() else {
            return self.report(call.account, call.leg, LegEvent::Ended(Ending::NoAnswer)).await;
        };
        let (outbox, device) = (first.outbox.clone(), first.device);
        let reconnect = format!("{:032x}", (self.parts.random)());
        let pairs: Vec<String> = call
            .extras
            .headers
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        for (device, offered) in &ringing {
            let invite = message(
                "invite",
                json!({
                    "callsid": call.leg,
                    "sdp": offered.sdp,
                    "reconnect": reconnect,
                    "parameters": {
                        "CallSid": call.leg,
                        "AccountSid": call.account,
                        "From": call.from,
                        "To": call.to,
                        "ApiVersion": "2010-04-01",
                        "Params": pairs.join("&"),
                    },
                }),
            );
            let _ = device.outbox.try_send(invite);
        }
        let made = Call {
            account: call.account,
            is_outgoing: false,
            client_id: None,
            reconnect,
            device,
            outbox,
            peer: None,
            sdp: None,
            ringing,
            is_answered: false,
        };
        self.state().calls.insert(call.leg, made);
        self.open_call(call.leg);
        self.report(call.account, call.leg, LegEvent::Ringing).await;
    }

    /// A program answers a call that rings on it.
    async fn answered(&self, leg: Sid, device: u64, sdp: &str) -> Result<(), String> {
        let (account, offered, others) = {
            let mut state = self.state();
            let call = state.calls.get_mut(&leg).ok_or("no such call")?;
            let at = call.ringing.iter().position(|(known, _)| known.device == device);
            let (chosen, offered) = call.ringing.remove(at.ok_or("the call does not ring here")?);
            call.device = device;
            call.outbox = chosen.outbox;
            call.is_answered = true;
            (call.account, offered, std::mem::take(&mut call.ringing))
        };
        let gone = message("cancel", json!({ "callsid": leg }));
        for (device, _) in others {
            let _ = device.outbox.try_send(gone.clone());
        }
        let peer = offered.accept(sdp)?;
        let opened = self.engine().open(account, leg, peer.port());
        if opened.is_err() {
            self.hang_up(leg, Some((31005, "the platform carries as many calls as it can")));
            self.finish(leg, Ending::Failed).await;
            return Ok(());
        }
        if let Some(call) = self.state().calls.get_mut(&leg) {
            call.peer = Some(peer);
        }
        self.report(account, leg, LegEvent::Answered { by: AnsweredBy::Somebody }).await;
        Ok(())
    }

    /// Tells the program that the call is over.
    fn hang_up(&self, leg: Sid, error: Option<(u32, &str)>) {
        let state = self.state();
        let Some(call) = state.calls.get(&leg) else { return };
        let mut payload = json!({ "callsid": leg });
        if let Some((code, why)) = error {
            payload["error"] = json!({ "code": code, "message": why });
        }
        let is_pending = !call.is_outgoing && !call.is_answered;
        if is_pending {
            for (device, _) in &call.ringing {
                let _ = device.outbox.try_send(message("cancel", payload.clone()));
            }
        } else {
            let _ = call.outbox.try_send(message("hangup", payload));
        }
    }
}

impl CallNetwork for Clients {
    /// Names that no program is registered as are simulated.
    fn reaches(&self, call: &OutboundCall) -> bool {
        let Some(identity) = call.to.strip_prefix("client:") else { return false };
        self.state().registered.contains_key(&(call.account, identity.to_owned()))
    }

    fn has(&self, leg: Sid) -> bool {
        self.state().calls.contains_key(&leg)
    }
}

impl VoiceCarrier for Clients {
    /// Where its latest program is: that node rings it, and every other that it has.
    ///
    /// Differs: of an identity whose programs are connected to several nodes, those ring that share a
    /// node with the one that registered last.
    fn home_of<'a>(
        &'a self,
        call: &'a OutboundCall,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            let Some(identity) = call.to.strip_prefix("client:") else { return Ok(None) };
            let (homes, all) = (&self.parts.homes, homes_of_client(call.account, identity));
            for _ in 0..DEVICES_MAX {
                let Some(home) = homes.latest(&all).await? else { break };
                if self.is_registered(
                    call.account,
                    identity,
                    home.strip_prefix(&all).unwrap_or_default(),
                ) || homes.is_elsewhere(&home).await?
                {
                    return Ok(Some(home));
                }
                // It is gone from here, and could not be released when it went.
                homes.release(&home).await?;
            }
            Ok(None)
        })
    }

    /// Differs: a name that nobody is registered as does not answer.
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            if !self.has(call.leg) {
                self.ring(call).await;
            }
            Ok(())
        })
    }

    fn order<'a>(
        &'a self,
        _account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            match order {
                Order::Answer => {
                    let mut state = self.state();
                    if let Some(call) = state.calls.get_mut(&leg)
                        && let Some(sdp) = call.sdp.take()
                    {
                        call.is_answered = true;
                        let answer =
                            json!({ "callsid": leg, "sdp": sdp, "reconnect": call.reconnect });
                        let _ = call.outbox.try_send(message("answer", answer));
                    }
                }
                Order::Reject { busy } => {
                    let error = match busy {
                        true => (31486, "Busy Here"),
                        false => (31603, "Decline"),
                    };
                    self.hang_up(leg, Some(error));
                    self.end(leg);
                }
                Order::Message { content } => {
                    let state = self.state();
                    if let Some(call) = state.calls.get(&leg) {
                        let content: Json = serde_json::from_str(content)
                            .unwrap_or_else(|_| content.as_str().into());
                        let said = json!({
                            "callsid": leg,
                            "content": content,
                            "contenttype": "application/json",
                            "messagetype": "user-defined-message",
                            "voiceeventsid": format!("KX{:032x}", (self.parts.random)()),
                        });
                        let _ = call.outbox.try_send(message("message", said));
                    }
                }
                Order::HangUp => {
                    self.hang_up(leg, None);
                    self.end(leg);
                }
                order => {
                    self.engine().order(leg, at, order);
                }
            }
            Ok(())
        })
    }
}

impl Clients {
    /// The call is over on this side: nothing more is reported of it but its recordings.
    fn end(&self, leg: Sid) {
        self.state().calls.remove(&leg);
        self.close_call(leg);
        self.engine().close(leg);
    }
}

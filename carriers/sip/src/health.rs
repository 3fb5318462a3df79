//! Whether the hosts of the operator's trunks are there: each is asked now and then (OPTIONS), and one
//! that says nothing is not called until it does again, unless none does.

use std::time::Duration;

use sip::message::Request;
use sip::{Method, NameAddr, Uri};

use crate::Sip;
use crate::agent::{Agent, token};
use crate::config::{Config, Trunk};
use crate::input::{Asked, Input};
use crate::outbound::Target;
use crate::targets::resolve_by_operator;

/// One host of a trunk.
pub(crate) struct Peer {
    trunk: usize,
    host: String,
    due: Duration,
}

/// The hosts that are asked.
pub(crate) fn peers(config: &Config) -> Vec<Peer> {
    let asked = config.trunks.iter().enumerate().filter(|(_, trunk)| trunk.options_seconds > 0);
    let hosts = asked.flat_map(|(at, trunk)| trunk.hosts.iter().map(move |host| (at, host)));
    hosts.map(|(trunk, host)| Peer { trunk, host: host.clone(), due: Duration::ZERO }).collect()
}

impl Sip {
    /// The hosts of a trunk that can be called: all, when none of them answers.
    pub(crate) fn hosts<'a>(&self, trunk: &'a Trunk) -> Vec<&'a String> {
        let silent = self.silent.lock().unwrap_or_else(|poison| poison.into_inner());
        let alive: Vec<&String> =
            trunk.hosts.iter().filter(|host| !silent.contains(*host)).collect();
        if alive.is_empty() { trunk.hosts.iter().collect() } else { alive }
    }
}

impl Agent {
    /// Asks those whose time has come: as soon as it is known where they are.
    pub(crate) fn ask_peers(&mut self) {
        let now = self.now();
        for (at, peer) in self.peers.iter_mut().enumerate().filter(|(_, peer)| peer.due <= now) {
            let trunk = &self.sip.config.trunks[peer.trunk];
            peer.due = now + Duration::from_secs(trunk.options_seconds);
            let Ok(mut uri) = Uri::parse(&format!("sip:{}", peer.host)) else { continue };
            uri.secure |= trunk.secure;
            let sip = self.sip.clone();
            tokio::spawn(async move {
                let target = resolve_by_operator(uri, None).await.ok().map(Box::new);
                // Without an agent nobody is asked.
                let _ = sip.inputs.send(Input::Located { peer: at, target }).await;
            });
        }
    }

    /// It is known where a host is, or that its name leads nowhere.
    pub(crate) async fn ask_peer(&mut self, peer: usize, target: Option<Target>) {
        let Some(target) = target else { return self.note_peer(peer, false) };
        if let Some(name) = &target.tls_name {
            self.wires.name(target.flow.remote, name);
        }
        let own = self.wires.advertised(target.flow.transport, target.flow.remote.ip());
        let from = NameAddr {
            display: None,
            address: Uri::new(Some("offhook"), &own.ip().to_string(), None).to_string(),
            params: vec![("tag".to_owned(), Some(token()))],
        };
        let mut request = Request::new(Method::Options, target.uri.clone());
        let headers = &mut request.headers;
        headers.add("Max-Forwards", "70");
        headers.add("From", from.to_string());
        headers.add("To", format!("<{}>", target.uri));
        headers.add("Call-ID", format!("{}@offhook", token()));
        headers.add("CSeq", "1 OPTIONS");
        headers.add("Contact", self.contact(target.flow, "offhook"));
        headers.add("Accept", "application/sdp");
        self.send(target.flow, request, Asked::Options { peer }).await;
    }

    /// Whether a host has answered: whatever it says but that it cannot now.
    pub(crate) fn note_peer(&mut self, peer: usize, is_there: bool) {
        let Some(Peer { trunk, host, .. }) = self.peers.get(peer) else { return };
        let trunk = &self.sip.config.trunks[*trunk].name;
        let mut silent = self.sip.silent.lock().unwrap_or_else(|poison| poison.into_inner());
        match is_there {
            true if silent.remove(host) => tracing::info!(trunk, host, "a SIP trunk is back"),
            false if silent.insert(host.clone()) => {
                tracing::warn!(trunk, host, "a SIP trunk's host does not answer");
            }
            _ => {}
        }
    }
}

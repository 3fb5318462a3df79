//! The sound of a call: RTP as its descriptions agree on, or WebRTC, whose packets are those of `media`.
//!
//! Who offers WebRTC is answered with it, and who registered by WebSocket is offered it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::g711::Law;
use media::{Offered, Peer, Port, Way};
use rtp::payload::Codec;
use sdp::{Crypto, Description};
use sip::check;
use sip::message::{Request, Response};

use crate::agent::Agent;
use crate::session::{self, RtpPort, Session};

/// How long the connection of a browser may take to answer an offer of its own.
const RENEGOTIATION: Duration = Duration::from_secs(1);

/// The sound of one call.
pub(crate) enum Sound {
    Rtp(Arc<Session>),
    Web(Peer),
}

impl Sound {
    pub(crate) fn rtp(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Rtp(session) => Some(session),
            Self::Web(_) => None,
        }
    }

    pub(crate) fn web(&self) -> Option<&Peer> {
        match self {
            Self::Rtp(_) => None,
            Self::Web(peer) => Some(peer),
        }
    }

    /// The keys of RTP that were agreed on: ours, and theirs.
    pub(crate) fn keys(&self) -> Option<(Crypto, Crypto)> {
        self.rtp()?.agreed()?.keys
    }

    pub(crate) fn port(&self) -> Box<dyn Port> {
        match self {
            Self::Rtp(session) => Box::new(RtpPort(session.clone())),
            Self::Web(peer) => peer.port(),
        }
    }

    /// How long nothing has come, of a call whose other end should send.
    pub(crate) fn silent_for(&self, now: Instant, since: Instant) -> Option<Duration> {
        match self {
            Self::Rtp(session) => session.silent_for(now, since),
            Self::Web(peer) => peer.silent_for(now, since),
        }
    }

    /// The connection is over, and will not come back.
    pub(crate) fn is_over(&self) -> bool {
        self.web().is_some_and(Peer::is_over)
    }

    pub(crate) fn has_keys(&self) -> bool {
        match self {
            Self::Rtp(session) => session.has_keys(),
            Self::Web(peer) => peer.has_keys(),
        }
    }
}

/// Whether an offer is of WebRTC, and so whether there is a codec that both speak.
pub(crate) fn is_web(offer: &Description) -> Option<bool> {
    let spoken = |codec: &Codec| matches!(codec, Codec::G711(Law::Mu) | Codec::Opus);
    let media = offer.media.iter().find(|media| media.port != 0 && media.is_web())?;
    Some(media.codecs().iter().any(|(_, codec)| spoken(codec)))
}

fn session_text<'a>(kind: Option<&str>, body: &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(check::session(kind.unwrap_or_default(), body)?).ok()
}

/// The session of a request, as it is written.
pub(crate) fn text_of(request: &Request) -> Option<&str> {
    session_text(request.headers.get("Content-Type"), &request.body)
}

/// The answer to an offer of WebRTC.
pub(crate) fn accepted(offered: Offered, response: &Response) -> Option<Peer> {
    let text = session_text(response.headers.get("Content-Type"), &response.body)?;
    let accepted = offered.accept(text);
    accepted.inspect_err(|why| tracing::debug!(why, "an answer of WebRTC is none")).ok()
}

/// The answer to another offer of a browser: a hold, other ways to it.
pub(crate) async fn renegotiated(peer: Peer, request: &Request) -> Option<String> {
    let text = text_of(request)?.to_owned();
    tokio::time::timeout(RENEGOTIATION, peer.restart(text)).await.ok()?
}

impl Agent {
    /// A port for the packets of a browser that is reached by `remote`, or whose program is.
    pub(crate) fn way(&self, remote: IpAddr) -> Result<Way, String> {
        let config = &self.sip.config;
        let shown = config.external_address.unwrap_or_else(|| self.wires.address_to(remote));
        let bind = config.sound_address().filter(|own| own.is_ipv4() == shown.is_ipv4());
        let socket = session::socket(bind.unwrap_or(shown), config.rtp_ports);
        Way::by(socket.map_err(|_| "there is no port left for sound")?, shown)
    }
}

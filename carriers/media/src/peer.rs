//! The packets of one connection with a browser: ICE-lite, DTLS-SRTP, G.711 and Opus, by `str0m`.
//!
//! Differs: telephone-events are not taken, so keys come as messages; Opus carries telephone sound, of 8
//! kHz.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audio::dtmf::Key;
use audio::g711::Law;
use audio::{FRAME, Frame};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use crate::{Heard, Opus, Port};

/// Frames that wait to be sent.
const OUTBOX_MAX: usize = 50;
/// Frames that are gathered before the first is heard, and beyond which the oldest are dropped.
const GATHERED: usize = 3;
const WAITING_MAX: usize = 15;
/// The largest datagram.
const DATAGRAM_MAX: usize = 2_000;

/// A call's connection to a browser. Cheap to share; it ends when nobody has it any more.
#[derive(Clone)]
pub struct Peer {
    commands: Sender<Command>,
    inbox: Arc<Mutex<Inbox>>,
}

enum Command {
    Frame(Box<Frame>),
    Restart { sdp: String, answered: oneshot::Sender<Option<String>> },
}

/// What came and was not heard yet.
#[derive(Default)]
struct Inbox {
    frames: VecDeque<Frame>,
    is_flowing: bool,
    /// What is less than a frame.
    rest: Vec<i16>,
}

/// A connection that was offered and waits for the answer.
pub struct Offered {
    pub sdp: String,
    rtc: Rtc,
    socket: UdpSocket,
    pending: SdpPendingOffer,
    mid: Mid,
}

impl Offered {
    /// # Errors
    /// Why the answer is none.
    pub fn accept(mut self, sdp: &str) -> Result<Peer, String> {
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| error.to_string())?;
        let accepted = self.rtc.sdp_api().accept_answer(self.pending, answer);
        accepted.map_err(|error| error.to_string())?;
        Ok(Peer::start(self.rtc, self.socket, Some(self.mid), None))
    }
}

impl Peer {
    /// Offers a connection to a browser that is called.
    ///
    /// # Errors
    /// Why there is no socket for it.
    pub async fn offer(addresses: &[IpAddr]) -> Result<Offered, String> {
        let (mut rtc, socket) = open(addresses).await?;
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().ok_or("there is nothing to offer")?;
        Ok(Offered { sdp: offer.to_sdp_string(), rtc, socket, pending, mid })
    }

    /// Answers the offer of a browser. Without `patience` the connection may be lost and come back, as
    /// its signalling says; else it is over when there has been none for that long.
    ///
    /// # Errors
    /// Why the offer is none, or there is no socket for it.
    pub async fn answer(
        sdp: &str,
        addresses: &[IpAddr],
        patience: Option<Duration>,
    ) -> Result<(Self, String), String> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| error.to_string())?;
        let (mut rtc, socket) = open(addresses).await?;
        let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| error.to_string())?;
        Ok((Self::start(rtc, socket, None, patience), answer.to_sdp_string()))
    }

    fn start(rtc: Rtc, socket: UdpSocket, mid: Option<Mid>, patience: Option<Duration>) -> Self {
        let (commands, inbox) = mpsc::channel(OUTBOX_MAX);
        let shared = Arc::<Mutex<Inbox>>::default();
        let session = Session {
            rtc,
            socket,
            mid,
            inbox: shared.clone(),
            sent: 0,
            is_connected: false,
            patience,
            lost_since: Instant::now(),
            codec: None,
            opus: None,
        };
        tokio::spawn(session.run(inbox));
        Self { commands, inbox: shared }
    }

    pub fn port(&self) -> Box<dyn Port> {
        Box::new(BrowserPort { peer: self.clone() })
    }

    /// The connection is over, whoever ended it.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }

    /// New ICE credentials; the answer to the browser's new offer.
    pub async fn restart(&self, sdp: String) -> Option<String> {
        let (answered, answer) = oneshot::channel();
        self.commands.send(Command::Restart { sdp, answered }).await.ok()?;
        answer.await.ok()?
    }
}

async fn open(addresses: &[IpAddr]) -> Result<(Rtc, UdpSocket), String> {
    let address = addresses.first().ok_or("no address for browsers is configured")?;
    let socket = UdpSocket::bind(SocketAddr::new(*address, 0)).await;
    let socket = socket.map_err(|error| format!("{address}: {error}"))?;
    let local = socket.local_addr().map_err(|error| error.to_string())?;
    let mut rtc = RtcConfig::new()
        .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
        .set_ice_lite(true)
        .clear_codecs()
        .enable_pcmu(true, false)
        .enable_opus(true, false)
        .build(Instant::now());
    let candidate = Candidate::host(local, "udp").map_err(|error| error.to_string())?;
    rtc.add_local_candidate(candidate);
    Ok((rtc, socket))
}

/// The task of one connection.
struct Session {
    rtc: Rtc,
    socket: UdpSocket,
    mid: Option<Mid>,
    inbox: Arc<Mutex<Inbox>>,
    /// Samples that were sent.
    sent: u64,
    is_connected: bool,
    patience: Option<Duration>,
    lost_since: Instant,
    /// What the browser sends, and so gets.
    codec: Option<Codec>,
    /// Made when the first packet of it comes or goes.
    opus: Option<Box<Opus>>,
}

/// Samples of Opus's own clock for one of ours.
const OPUS_CLOCK: u64 = 6;

impl Session {
    async fn run(mut self, mut commands: Receiver<Command>) {
        let mut datagram = vec![0; DATAGRAM_MAX];
        let local = match self.socket.local_addr() {
            Ok(local) => local,
            Err(error) => return tracing::error!(%error, "a browser's socket is gone"),
        };
        while self.rtc.is_alive() {
            let Some(mut timeout) = self.drain().await else { return };
            let now = Instant::now();
            if let Some(patience) = self.patience.filter(|_| !self.is_connected) {
                let end = self.lost_since + patience;
                if now >= end {
                    return;
                }
                timeout = timeout.min(end);
            }
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    let Ok((length, source)) = received else { continue };
                    let Ok(contents) = datagram[..length].try_into() else { continue };
                    let receive =
                        Receive { proto: Protocol::Udp, source, destination: local, contents };
                    let input = Input::Receive(Instant::now(), receive);
                    // Packets of strangers are not for this connection.
                    if self.rtc.accepts(&input)
                        && let Err(error) = self.rtc.handle_input(input)
                    {
                        tracing::debug!(%error, "a browser's packet is not understood");
                    }
                }
                command = commands.recv() => match command {
                    None => return,
                    Some(command) => self.obey(command),
                },
                () = tokio::time::sleep(timeout.saturating_duration_since(now)) => {
                    if self.rtc.handle_input(Input::Timeout(Instant::now())).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Sends and hears what there is; until when there is nothing more. `None` when it is over.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return Some(at),
                Ok(Output::Transmit(out)) => {
                    // A packet that is lost here could be lost anywhere.
                    let _ = self.socket.send_to(&out.contents, out.destination).await;
                }
                Ok(Output::Event(event)) => self.on(event),
                Err(error) => {
                    tracing::debug!(%error, "a browser's connection is over");
                    return None;
                }
            }
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Connected => self.is_connected = true,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.is_connected = false;
                self.lost_since = Instant::now();
            }
            Event::MediaAdded(added) => self.mid = Some(added.mid),
            Event::MediaData(data) => {
                let codec = data.params.spec().codec;
                self.codec = Some(codec);
                match codec {
                    Codec::PCMU => {
                        let mut samples = Vec::with_capacity(data.data.len());
                        Law::Mu.decode_to(&data.data, &mut samples);
                        lock(&self.inbox).put(&samples);
                    }
                    Codec::Opus => self.heard_opus(&data.data),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn heard_opus(&mut self, packet: &[u8]) {
        if self.opus.is_none() {
            self.opus = Opus::new();
        }
        let Some(opus) = &mut self.opus else { return };
        let mut samples = Vec::new();
        opus.decode(packet, &mut samples);
        lock(&self.inbox).put(&samples);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Frame(frame) => self.send(&frame),
            Command::Restart { sdp, answered } => {
                let answer = SdpOffer::from_sdp_string(&sdp)
                    .ok()
                    .and_then(|offer| self.rtc.sdp_api().accept_offer(offer).ok());
                // Who asked may have gone.
                let _ = answered.send(answer.map(|answer| answer.to_sdp_string()));
            }
        }
    }

    fn send(&mut self, frame: &Frame) {
        let at = self.sent;
        self.sent += FRAME as u64;
        let Some(mid) = self.mid.filter(|_| self.is_connected) else { return };
        let Some(writer) = self.rtc.writer(mid) else { return };
        let wanted = self.codec;
        let mut known = writer.payload_params().filter(|known| {
            let codec = known.spec().codec;
            wanted.map_or(matches!(codec, Codec::PCMU | Codec::Opus), |wanted| codec == wanted)
        });
        let Some((pt, codec)) = known.next().map(|known| (known.pt(), known.spec().codec)) else {
            return;
        };
        drop(known);
        let (time, octets) = match codec {
            Codec::Opus => {
                if self.opus.is_none() {
                    self.opus = Opus::new();
                }
                let Some(opus) = &mut self.opus else { return };
                let mut octets = Vec::new();
                if !opus.encode(frame, &mut octets) {
                    return;
                }
                (MediaTime::new(at * OPUS_CLOCK, Frequency::FORTY_EIGHT_KHZ), octets)
            }
            _ => {
                let octets = frame.iter().map(|sample| Law::Mu.encode(*sample)).collect();
                (MediaTime::new(at, Frequency::EIGHT_KHZ), octets)
            }
        };
        if let Err(error) = writer.write(pt, Instant::now(), time, octets) {
            tracing::debug!(%error, "sound for a browser is dropped");
        }
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    fn put(&mut self, samples: &[i16]) {
        self.rest.extend_from_slice(samples);
        while self.rest.len() >= FRAME {
            let mut frame = audio::SILENCE;
            frame.copy_from_slice(&self.rest[..FRAME]);
            self.rest.drain(..FRAME);
            if self.frames.len() >= WAITING_MAX {
                self.frames.pop_front();
            }
            self.frames.push_back(frame);
        }
        self.is_flowing |= self.frames.len() >= GATHERED;
    }

    fn take(&mut self) -> Option<Frame> {
        if !self.is_flowing {
            return None;
        }
        let frame = self.frames.pop_front();
        self.is_flowing = frame.is_some();
        frame
    }
}

/// The engine's end.
struct BrowserPort {
    peer: Peer,
}

impl Port for BrowserPort {
    fn hear(&mut self, _now: Instant) -> Heard {
        Heard { frame: lock(&self.peer.inbox).take(), key: None }
    }

    fn say(&mut self, frame: &Frame, _now: Instant) {
        // A task that is a second behind loses sound, not memory.
        let _ = self.peer.commands.try_send(Command::Frame(Box::new(*frame)));
    }

    /// Browsers get keys as tones.
    fn press(&mut self, _key: Key) -> bool {
        false
    }

    /// Keys come as messages.
    fn has_key_events(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_is_gathered_before_it_is_heard() {
        let mut inbox = Inbox::default();
        inbox.put(&[0; 160]);
        inbox.put(&[0; 160]);
        assert_eq!(inbox.take(), None);
        inbox.put(&[0; 240]);
        assert!(inbox.take().is_some());
        for _ in 0..100 {
            inbox.put(&[0; 160]);
        }
        assert_eq!(inbox.frames.len(), WAITING_MAX);
    }
}

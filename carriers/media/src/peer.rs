//! The packets of one connection with a browser: ICE-lite, DTLS-SRTP, G.711, Opus and keys beside them,
//! by `str0m`.
//!
//! Differs: Opus carries telephone sound, of 8 kHz.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audio::dtmf::Key;
use audio::g711::Law;
use audio::{FRAME, Frame};
use rtp::event;
use rtp::packet::Header;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaData, MediaKind, MediaTime, Mid};
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
/// Keys that wait to be heard.
const KEYS_MAX: usize = 64;
/// The largest datagram.
const DATAGRAM_MAX: usize = 2_000;
/// Payload types of keys, as browsers number them, and their clocks.
const KEYS: [(u8, Frequency); 2] = [(126, Frequency::EIGHT_KHZ), (110, Frequency::FORTY_EIGHT_KHZ)];

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
    pressed: VecDeque<Key>,
    /// Keys have come beside the sound.
    has_keys: bool,
    /// When the last packet came.
    last: Option<Instant>,
    /// The browser does not send, or does not want to hear.
    is_held: bool,
}

/// Where the packets of a connection come and go.
pub struct Way {
    socket: UdpSocket,
    /// The address under which the browser reaches it.
    shown: SocketAddr,
}

impl Way {
    /// A port of its own at the first of the addresses.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(addresses: &[IpAddr]) -> Result<Self, String> {
        let address = addresses.first().ok_or("no address for browsers is configured")?;
        let socket = UdpSocket::bind(SocketAddr::new(*address, 0)).await;
        let socket = socket.map_err(|error| format!("{address}: {error}"))?;
        let shown = socket.local_addr().map_err(|error| error.to_string())?;
        Ok(Self { socket, shown })
    }

    /// A socket that is bound and does not block, under the address by which others reach this host.
    ///
    /// # Errors
    /// Why the socket cannot be used.
    pub fn by(socket: std::net::UdpSocket, shown: IpAddr) -> Result<Self, String> {
        let port = socket.local_addr().map_err(|error| error.to_string())?.port();
        let socket = UdpSocket::from_std(socket).map_err(|error| error.to_string())?;
        Ok(Self { socket, shown: SocketAddr::new(shown, port) })
    }
}

/// A connection that was offered and waits for the answer.
pub struct Offered {
    pub sdp: String,
    rtc: Rtc,
    way: Way,
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
        Ok(Peer::start(self.rtc, self.way, Some(self.mid), None))
    }
}

impl Peer {
    /// Offers a connection to a browser that is called.
    ///
    /// # Errors
    /// Why there is no socket for it.
    pub async fn offer(addresses: &[IpAddr]) -> Result<Offered, String> {
        Self::offer_by(Way::open(addresses).await?)
    }

    /// The same, by a socket of the caller's.
    ///
    /// # Errors
    /// When nothing can be offered.
    pub fn offer_by(way: Way) -> Result<Offered, String> {
        let mut rtc = connection(&way)?;
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().ok_or("there is nothing to offer")?;
        Ok(Offered { sdp: offer.to_sdp_string(), rtc, way, pending, mid })
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
        Self::answer_by(sdp, Way::open(addresses).await?, patience)
    }

    /// The same, by a socket of the caller's.
    ///
    /// # Errors
    /// Why the offer is none.
    pub fn answer_by(
        sdp: &str,
        way: Way,
        patience: Option<Duration>,
    ) -> Result<(Self, String), String> {
        let mut rtc = connection(&way)?;
        let answer = accept(&mut rtc, sdp)?;
        Ok((Self::start(rtc, way, None, patience), answer))
    }

    fn start(rtc: Rtc, way: Way, mid: Option<Mid>, patience: Option<Duration>) -> Self {
        let (commands, inbox) = mpsc::channel(OUTBOX_MAX);
        let shared = Arc::<Mutex<Inbox>>::default();
        let now = Instant::now();
        let session = Session {
            rtc,
            way,
            mid,
            inbox: shared.clone(),
            sent: 0,
            is_connected: false,
            patience,
            began: now,
            lost_since: now,
            codec: None,
            opus: None,
            events: event::Receiver::default(),
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

    /// How long nothing has come, of a browser that should send.
    pub fn silent_for(&self, now: Instant, since: Instant) -> Option<Duration> {
        let inbox = lock(&self.inbox);
        let last = inbox.last.map_or(since, |last| last.max(since));
        (!inbox.is_held).then(|| now.saturating_duration_since(last))
    }

    /// Keys have come beside the sound, so those of signalling would be second copies.
    pub fn has_keys(&self) -> bool {
        lock(&self.inbox).has_keys
    }

    /// New ICE credentials, or who sends from now on; the answer to the browser's new offer.
    pub async fn restart(&self, sdp: String) -> Option<String> {
        let (answered, answer) = oneshot::channel();
        self.commands.send(Command::Restart { sdp, answered }).await.ok()?;
        answer.await.ok()?
    }
}

fn connection(way: &Way) -> Result<Rtc, String> {
    let mut config = RtcConfig::new()
        .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
        .set_ice_lite(true)
        .clear_codecs()
        .enable_pcmu(true, false)
        .enable_opus(true, false);
    for (number, clock) in KEYS {
        let format = FormatParams::default();
        config.codec_config().add_config(number.into(), None, Codec::Tele, clock, None, format);
    }
    let mut rtc = config.build(Instant::now());
    let candidate = Candidate::host(way.shown, "udp").map_err(|error| error.to_string())?;
    rtc.add_local_candidate(candidate);
    Ok(rtc)
}

fn accept(rtc: &mut Rtc, sdp: &str) -> Result<String, String> {
    let offer = SdpOffer::from_sdp_string(&only_sound(sdp)).map_err(|error| error.to_string())?;
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| error.to_string())?;
    Ok(answer.to_sdp_string())
}

/// An offer without its pictures: their streams keep their place with port 0, which is answered with 0.
fn only_sound(sdp: &str) -> String {
    let mut out = Vec::new();
    let (mut is_sound, mut others) = (true, Vec::new());
    for line in sdp.lines() {
        if let Some(stream) = line.strip_prefix("m=") {
            is_sound = stream.starts_with("audio ");
        }
        match (is_sound, line.split_once(' ')) {
            (false, Some((kind, rest))) if line.starts_with("m=") => {
                let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
                out.push(format!("{kind} 0 {rest}"));
            }
            _ => out.push(line.to_owned()),
        }
        if let Some(mid) = line.strip_prefix("a=mid:").filter(|_| !is_sound) {
            others.push(mid.trim().to_owned());
        }
    }
    for line in out.iter_mut().filter(|line| line.starts_with("a=group:BUNDLE")) {
        let words = line.split(' ').filter(|word| !others.iter().any(|mid| mid == word));
        *line = words.collect::<Vec<_>>().join(" ");
    }
    out.join("\r\n") + "\r\n"
}

/// The task of one connection.
struct Session {
    rtc: Rtc,
    way: Way,
    mid: Option<Mid>,
    inbox: Arc<Mutex<Inbox>>,
    /// Samples that were sent.
    sent: u64,
    is_connected: bool,
    patience: Option<Duration>,
    began: Instant,
    lost_since: Instant,
    /// What the browser sends, and so gets.
    codec: Option<Codec>,
    /// Made when the first packet of it comes or goes.
    opus: Option<Box<Opus>>,
    events: event::Receiver,
}

/// Samples of Opus's own clock for one of ours.
const OPUS_CLOCK: u64 = 6;

impl Session {
    async fn run(mut self, mut commands: Receiver<Command>) {
        let mut datagram = vec![0; DATAGRAM_MAX];
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
                received = self.way.socket.recv_from(&mut datagram) => {
                    let Ok((length, source)) = received else { continue };
                    let Ok(contents) = datagram[..length].try_into() else { continue };
                    let destination = self.way.shown;
                    let receive = Receive { proto: Protocol::Udp, source, destination, contents };
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
                    let _ = self.way.socket.send_to(&out.contents, out.destination).await;
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
            Event::MediaAdded(added) if added.kind == MediaKind::Audio => {
                self.mid = Some(added.mid);
                lock(&self.inbox).is_held = added.direction != Direction::SendRecv;
            }
            Event::MediaChanged(changed) if self.mid == Some(changed.mid) => {
                lock(&self.inbox).is_held = changed.direction != Direction::SendRecv;
            }
            Event::MediaData(data) => self.heard(&data),
            _ => {}
        }
    }

    fn heard(&mut self, data: &MediaData) {
        let now = Instant::now();
        lock(&self.inbox).last = Some(now);
        let codec = data.params.spec().codec;
        match codec {
            Codec::Tele => return self.heard_event(data, now),
            Codec::PCMU => {
                let mut samples = Vec::with_capacity(data.data.len());
                Law::Mu.decode_to(&data.data, &mut samples);
                lock(&self.inbox).put(&samples);
            }
            Codec::Opus => self.heard_opus(&data.data),
            _ => return,
        }
        self.codec = Some(codec);
    }

    fn heard_event(&mut self, data: &MediaData, now: Instant) {
        let header = Header {
            payload_type: *data.pt,
            marker: data.audio_start_of_talk_spurt,
            sequence: **data.seq_range.start() as u16,
            timestamp: data.time.numer() as u32,
            ssrc: 0,
        };
        let mut heard = Vec::new();
        self.events.put(&header, &data.data, now.duration_since(self.began), &mut heard);
        let mut inbox = lock(&self.inbox);
        inbox.has_keys = true;
        for what in heard {
            if let event::Heard::Down(key) = what
                && inbox.pressed.len() < KEYS_MAX
            {
                inbox.pressed.push_back(key);
            }
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
                // Who asked may have gone.
                let _ = answered.send(accept(&mut self.rtc, &sdp).ok());
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
        let mut inbox = lock(&self.peer.inbox);
        Heard { frame: inbox.take(), key: inbox.pressed.pop_front() }
    }

    fn say(&mut self, frame: &Frame, _now: Instant) {
        // A task that is a second behind loses sound, not memory.
        let _ = self.peer.commands.try_send(Command::Frame(Box::new(*frame)));
    }

    /// Browsers get keys as tones.
    fn press(&mut self, _key: Key) -> bool {
        false
    }

    /// Keys come beside the sound, or as messages.
    fn has_key_events(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "tests/peer.rs"]
mod tests;

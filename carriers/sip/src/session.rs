//! The sound of one call: a pair of UDP ports, and what comes and goes by them.
//!
//! Signalling says what was agreed ([`Session::agree`]); the engine hears and says 20 ms at a time
//! ([`RtpPort`]). Nothing here waits: sockets do not block, and are emptied at each tick.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use audio::dtmf::Key;
use audio::{FRAME, Frame};
use media::{Heard, Opus, Port};
use rtp::event;
use rtp::jitter::{Decode, JitterBuffer, Limits};
use rtp::packet::{self, Packet};
use rtp::payload::{Codec, Map};
use rtp::reception::Reception;
use rtp::rtcp;
use rtp::stream::Stream;
use sdp::Agreed;

use crate::srtp::Context;

/// Datagrams that one tick takes; what is left waits in the socket, whose bound is the system's.
const DATAGRAMS_MAX: usize = 16;
/// Keys that wait to be sent, and to be told.
const KEYS_MAX: usize = 64;
/// Ticks between reports, about 5 s, and between looks for those of the other end.
const REPORT_TICKS: u32 = 250;
const REPORT_LOOK_TICKS: u32 = 25;
/// How long a source is silent before another is believed.
const LATCH: Duration = Duration::from_secs(1);
/// Ticks of a second.
const TICKS: u32 = 50;
/// A key is held for so long, and as long until the next.
const KEY_TICKS: u32 = 5;
const KEY_GAP_TICKS: u32 = 5;
const DATAGRAM_MAX: usize = 2048;

/// There is no port left for sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPort;

/// Counted of one call's sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub heard: u64,
    pub said: u64,
    /// Of strangers, or not protected as agreed.
    pub refused: u64,
}

/// The sound of one call, shared by signalling and the engine.
pub(crate) struct Session {
    sound: UdpSocket,
    reports: UdpSocket,
    pub(crate) port: u16,
    symmetric: bool,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    agreed: Option<Agreed>,
    /// Where sound really comes from, and when it last did.
    source: Option<SocketAddr>,
    last: Option<Instant>,
    /// Of timestamps, both ways.
    clock: u32,
    buffer: JitterBuffer,
    /// Made when it is agreed on.
    opus: Option<Box<Opus>>,
    events: event::Receiver,
    /// The other end sends keys beside the sound.
    has_keys: bool,
    pressed: VecDeque<Key>,
    reception: Reception,
    stream: Stream,
    sending: Option<event::Sender>,
    to_send: VecDeque<Key>,
    gap: u32,
    tick: u32,
    out: Option<Context>,
    back: Option<Context>,
    packet: Vec<u8>,
    payload: Vec<u8>,
    counts: Counts,
    /// Names the source of reports.
    name: String,
}

/// Even ports of a range, from any of them on.
fn ports((first, last): (u16, u16)) -> impl Iterator<Item = u16> {
    let pairs = u32::from(last - first) / 2;
    let start = rand::random::<u32>() % pairs.max(1);
    let port = move |step| u32::from(first) + u32::from(first % 2) + (start + step) % pairs * 2;
    (0..pairs.min(2000)).map(move |step| port(step) as u16)
}

/// One port of the range, for sound and what belongs to it.
pub(crate) fn socket(address: IpAddr, range: (u16, u16)) -> Result<UdpSocket, NoPort> {
    let bound = |port| UdpSocket::bind((address, port)).ok();
    let mut free = ports(range).filter_map(bound);
    free.find(|socket| socket.set_nonblocking(true).is_ok()).ok_or(NoPort)
}

fn sockets(address: IpAddr, range: (u16, u16)) -> Result<(UdpSocket, UdpSocket, u16), NoPort> {
    for port in ports(range) {
        let Ok(sound) = UdpSocket::bind((address, port)) else { continue };
        let Ok(reports) = UdpSocket::bind((address, port + 1)) else { continue };
        let is_ready = sound.set_nonblocking(true).and(reports.set_nonblocking(true));
        if is_ready.is_ok() {
            return Ok((sound, reports, port));
        }
    }
    Err(NoPort)
}

fn buffer(clock: u32) -> JitterBuffer {
    JitterBuffer::new(clock, Limits::default()).expect("the clocks of codecs are ones")
}

impl Session {
    /// Opens ports on an address, which may be the unspecified one.
    pub(crate) fn open(
        address: IpAddr,
        ports: (u16, u16),
        symmetric: bool,
    ) -> Result<Arc<Self>, NoPort> {
        let (sound, reports, port) = sockets(address, ports)?;
        let stream = Stream::new(rand::random(), rand::random(), rand::random());
        let state = State {
            agreed: None,
            source: None,
            last: None,
            clock: 8_000,
            buffer: buffer(8_000),
            opus: None,
            events: event::Receiver::default(),
            has_keys: false,
            pressed: VecDeque::new(),
            reception: Reception::new(8_000),
            stream,
            sending: None,
            to_send: VecDeque::new(),
            gap: 0,
            tick: rand::random::<u32>() % REPORT_TICKS,
            out: None,
            back: None,
            packet: Vec::with_capacity(DATAGRAM_MAX),
            payload: Vec::with_capacity(FRAME),
            counts: Counts::default(),
            name: format!("{:016x}@offhook", rand::random::<u64>()),
        };
        let state = Mutex::new(state);
        Ok(Arc::new(Self { sound, reports, port, symmetric, began: Instant::now(), state }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// What both ends agreed on, now or anew.
    pub(crate) fn agree(&self, agreed: Agreed) {
        let mut state = self.lock();
        let keys = |found: &Option<Agreed>| found.as_ref().and_then(|a| a.keys.clone());
        if keys(&state.agreed) != agreed.keys {
            let contexts = agreed.keys.as_ref();
            state.out = contexts.map(|(ours, _)| Context::new(ours));
            state.back = contexts.map(|(_, theirs)| Context::new(theirs));
        }
        let moved = state.agreed.as_ref().is_some_and(|old| old.remote != agreed.remote);
        if moved {
            state.source = None;
            state.stream.interrupt();
        }
        let codec = agreed.codec.1;
        if codec.clock() != state.clock {
            state.clock = codec.clock();
            state.buffer = buffer(codec.clock());
            state.reception = Reception::new(codec.clock());
            state.stream.interrupt();
        }
        if codec == Codec::Opus && state.opus.is_none() {
            state.opus = Opus::new();
        }
        state.agreed = Some(agreed);
    }

    pub(crate) fn agreed(&self) -> Option<Agreed> {
        self.lock().agreed.clone()
    }

    /// How long nothing has come, of a call whose other end should send.
    pub(crate) fn silent_for(&self, now: Instant, since: Instant) -> Option<Duration> {
        let state = self.lock();
        let expects = state.agreed.as_ref().is_some_and(|agreed| agreed.direction.receives());
        let is_held = state.agreed.as_ref().is_some_and(Agreed::is_held);
        let last = state.last.map_or(since, |last| last.max(since));
        (expects && !is_held).then(|| now.saturating_duration_since(last))
    }

    /// Keys have come beside the sound, so those of INFO would be second copies.
    pub(crate) fn has_keys(&self) -> bool {
        self.lock().has_keys
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }
}

impl State {
    /// Whether a datagram's source is the other end.
    fn believes(&self, from: SocketAddr, symmetric: bool, now: Instant) -> bool {
        let Some(agreed) = &self.agreed else { return false };
        match self.source {
            Some(source) if source == from => true,
            Some(_) => {
                symmetric
                    && self.last.is_none_or(|last| now.saturating_duration_since(last) > LATCH)
            }
            None => symmetric || agreed.remote.is_some_and(|remote| remote.ip() == from.ip()),
        }
    }

    /// One datagram of sound or keys.
    fn take(&mut self, from: SocketAddr, symmetric: bool, now: Instant, since: Duration) {
        if !self.believes(from, symmetric, now) {
            self.counts.refused += 1;
            return;
        }
        let mut octets = std::mem::take(&mut self.packet);
        if packet::is_rtcp(&octets) {
            self.take_report(&mut octets, since);
        } else {
            self.take_sound(&mut octets, from, now, since);
        }
        self.packet = octets;
    }

    fn take_sound(
        &mut self,
        octets: &mut Vec<u8>,
        from: SocketAddr,
        now: Instant,
        since: Duration,
    ) {
        let opened = self.back.as_mut().is_none_or(|back| back.open(octets).is_ok());
        let Some(agreed) = self.agreed.as_ref().filter(|_| opened) else {
            self.counts.refused += 1;
            return;
        };
        let Ok(packet) = Packet::read(octets) else { return };
        let Some(codec) = agreed.receive.codec(packet.header.payload_type) else { return };
        self.source = Some(from);
        self.last = Some(now);
        self.counts.heard += 1;
        if !agreed.direction.receives() {
            return;
        }
        if !matches!(codec, Codec::TelephoneEvent(_)) {
            self.reception.put(&packet.header, since);
            if !self.events.is_down() && codec.is_audio() && codec.clock() == self.clock {
                self.buffer.put(&packet.header, packet.payload, since);
            }
            return;
        }
        self.reception.beside(&packet.header);
        let mut heard = Vec::new();
        self.events.put(&packet.header, packet.payload, since, &mut heard);
        self.has_keys = true;
        for what in heard {
            if let event::Heard::Down(key) = what
                && self.pressed.len() < KEYS_MAX
            {
                self.pressed.push_back(key);
            }
        }
    }

    fn take_report(&mut self, octets: &mut Vec<u8>, since: Duration) {
        if self.back.as_mut().is_some_and(|back| back.open_report(octets).is_err()) {
            self.counts.refused += 1;
            return;
        }
        for packet in rtcp::read(octets).unwrap_or_default() {
            if let rtcp::Packet::SenderReport { ssrc, info, .. } = packet {
                self.reception.reported(ssrc, &info, since);
            }
        }
    }

    /// The report of this end, if it is time.
    fn report(&mut self, since: Duration) -> Option<Vec<u8>> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ssrc = self.stream.ssrc();
        let blocks: Vec<_> = self.reception.report(since).into_iter().collect();
        let first = match self.counts.said {
            0 => rtcp::Packet::ReceiverReport { ssrc, blocks },
            _ => {
                let info = self.stream.info(rtcp::ntp(wall));
                rtcp::Packet::SenderReport { ssrc, info, blocks }
            }
        };
        let name = rtcp::Packet::Description(vec![(ssrc, self.name.clone())]);
        let mut octets = Vec::new();
        rtcp::write(&[first, name], &mut octets).ok()?;
        if let Some(out) = &mut self.out {
            out.protect_report(&mut octets).ok()?;
        }
        Some(octets)
    }

    /// The packet for 20 ms: of sound, or of a key.
    fn packet(&mut self, frame: &Frame) -> bool {
        let Some(agreed) = &self.agreed else { return false };
        let (codec, events, sends) = (agreed.codec, agreed.events, agreed.direction.sends());
        self.packet.clear();
        let units = self.clock / TICKS;
        if !sends {
            self.stream.silence(units);
            return false;
        }
        if self.sending.is_none()
            && self.gap == 0
            && let Some(key) = self.to_send.pop_front()
        {
            let timestamp = self.stream.timestamp();
            let sender =
                event::Sender::new(key.event(), 10, timestamp, units * KEY_TICKS, units as u16);
            self.sending = Some(sender);
        }
        self.gap = self.gap.saturating_sub(1);
        if let (Some(sending), Some(number)) = (&mut self.sending, events) {
            if let Some(next) = sending.packet() {
                let octets = next.payload.octets();
                let (marker, at) = (next.marker, next.timestamp);
                let done = self.stream.packet(number, marker, at, &octets, &mut self.packet);
                self.stream.silence(units);
                return done.is_ok();
            }
            self.sending = None;
            self.gap = KEY_GAP_TICKS;
        }
        let (number, codec) = codec;
        self.payload.clear();
        let is_made = match (codec, &mut self.opus) {
            (Codec::G711(law), _) => {
                law.encode_to(frame, &mut self.payload);
                true
            }
            (Codec::Opus, Some(opus)) => opus.encode(frame, &mut self.payload),
            _ => false,
        };
        if !is_made {
            self.stream.silence(units);
            return false;
        }
        self.stream.sound(number, &self.payload, units, &mut self.packet).is_ok()
    }
}

/// Makes sound of what comes.
struct Decoder<'a> {
    map: &'a Map,
    opus: Option<&'a mut Opus>,
}

impl Decode for Decoder<'_> {
    fn decode(&mut self, payload_type: u8, payload: &[u8], out: &mut Vec<i16>) {
        match (self.map.codec(payload_type), &mut self.opus) {
            (Some(Codec::G711(law)), _) => law.decode_to(payload, out),
            (Some(Codec::Opus), Some(opus)) => opus.decode(payload, out),
            _ => {}
        }
    }
}

/// The engine's way to the sound of a call.
pub(crate) struct RtpPort(pub(crate) Arc<Session>);

impl Port for RtpPort {
    fn hear(&mut self, now: Instant) -> Heard {
        let session = &*self.0;
        let since = now.saturating_duration_since(session.began);
        let mut state = session.lock();
        let mut octets = [0; DATAGRAM_MAX];
        for _ in 0..DATAGRAMS_MAX {
            let Ok((length, from)) = session.sound.recv_from(&mut octets) else { break };
            state.packet.clear();
            state.packet.extend_from_slice(&octets[..length]);
            state.take(from, session.symmetric, now, since);
        }
        state.tick += 1;
        if state.tick.is_multiple_of(REPORT_LOOK_TICKS) {
            for _ in 0..DATAGRAMS_MAX {
                let Ok((length, from)) = session.reports.recv_from(&mut octets) else { break };
                let agreed = state.agreed.as_ref().and_then(|agreed| agreed.rtcp);
                let known =
                    [agreed, state.source].into_iter().flatten().any(|a| a.ip() == from.ip());
                if known {
                    state.take_report(&mut octets[..length].to_vec(), since);
                }
            }
        }
        if state.tick >= REPORT_TICKS {
            state.tick = 0;
            let to = state.agreed.as_ref().and_then(|agreed| match agreed.mux {
                true => state.source.or(agreed.remote).map(|to| (to, true)),
                false => agreed.rtcp.map(|to| (to, false)),
            });
            if let Some((to, mux)) = to
                && let Some(octets) = state.report(since)
            {
                let socket = if mux { &session.sound } else { &session.reports };
                // Reports may be lost like everything on this way.
                let _ = socket.send_to(&octets, to);
            }
        }
        state.events.tick(since);
        let key = state.pressed.pop_front();
        let State { buffer, agreed, opus, .. } = &mut *state;
        let frame = agreed.as_ref().map(|agreed| {
            buffer.frame(since, &mut Decoder { map: &agreed.receive, opus: opus.as_deref_mut() })
        });
        let plays = buffer.delay(since).is_some();
        Heard { frame: frame.filter(|_| plays), key }
    }

    fn say(&mut self, frame: &Frame, _: Instant) {
        let session = &*self.0;
        let mut state = session.lock();
        let to = state.source.or_else(|| state.agreed.as_ref().and_then(|agreed| agreed.remote));
        if !state.packet(frame) {
            return;
        }
        let State { packet, out, .. } = &mut *state;
        let ready = out.as_mut().is_none_or(|out| out.protect(packet).is_ok());
        let Some(to) = to.filter(|_| ready) else { return };
        if session.sound.send_to(&state.packet, to).is_ok() {
            state.counts.said += 1;
        }
    }

    fn press(&mut self, key: Key) -> bool {
        let mut state = self.0.lock();
        let has_events = state.agreed.as_ref().is_some_and(|agreed| agreed.events.is_some());
        if has_events && state.to_send.len() < KEYS_MAX {
            state.to_send.push_back(key);
        }
        has_events
    }

    fn has_key_events(&self) -> bool {
        self.0.lock().agreed.as_ref().is_some_and(|agreed| agreed.events.is_some())
    }
}

#[cfg(test)]
#[path = "tests/session.rs"]
mod tests;

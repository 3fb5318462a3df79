//! The adaptive jitter buffer between the network and the tick.
//!
//! [`JitterBuffer::put`] takes packets as they come, [`JitterBuffer::frame`] gives 20 ms of audio
//! per tick. In between, audio waits so long that nearly all packets are there when they are due:
//!
//! * The wait is measured from the fastest of the last packets (some 4 s) to the slowest but 3 %,
//!   and a frame more, within [`Limits`]. A clock that drifts moves both.
//! * What is too long is shortened between talkspurts, over losses, in quiet frames at once and in
//!   loud ones, after a second, by blending two frames into one.
//! * What is too short is lengthened between talkspurts, in quiet frames, when nothing is there,
//!   and in loud frames after 200 ms.
//! * What is missing is concealed, and fades to silence within 60 ms; after 200 ms a talkspurt
//!   counts as over.
//!
//! Bounds: at most `Limits::packets` packets of [`PAYLOAD_OCTETS_MAX`] octets wait; audio is never
//! later than `Limits::longest` and three frames, as far as the fastest packet tells.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use audio::conceal::Concealer;
use audio::level::energy;
use audio::{FRAME, Frame, time};

use crate::packet::Header;
use crate::sequence::Timestamps;

/// Longest payload that is taken: 120 ms of any codec the platform speaks.
pub const PAYLOAD_OCTETS_MAX: usize = 1_500;
/// Most samples that a decoder may make of one packet: 120 ms.
pub const DECODED_MAX: usize = 960;

/// Packets by which the wait is measured.
const MEASURED: usize = 200;
/// The share of them that may be late, as a divisor.
const LATE: usize = 33;
/// Samples of concealment after which a talkspurt is over.
const OVER: i64 = 1_600;
/// A transit that differs by this many samples is another stream: 2 s, beyond the longest wait.
const JUMP: i64 = 16_000;
/// Frames for which the wait is too long before loud frames are shortened, too short before
/// they are lengthened, and between two such.
const PATIENCE: u32 = 50;
const PATIENCE_SHORT: u32 = 10;
const PAUSE: u32 = 5;
/// Energy of a frame in which nobody notices a change: −40 dBFS.
const QUIET: u64 = 107_374 * FRAME as u64;

const STEP: i64 = FRAME as i64;

/// How long audio may wait, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Before anything is measured.
    pub first: Duration,
    pub shortest: Duration,
    pub longest: Duration,
    /// Packets that wait.
    pub packets: usize,
}

impl Limits {
    /// `<Conference jitterBufferSize>`.
    pub const SMALL: Self = Self::of(20, 200);
    pub const MEDIUM: Self = Self::of(40, 360);
    pub const LARGE: Self = Self::of(60, 1_000);
    /// Late packets are dropped.
    pub const OFF: Self = Self::of(0, 0);

    const fn of(shortest: u64, longest: u64) -> Self {
        let shortest = Duration::from_millis(shortest);
        let longest = Duration::from_millis(longest);
        Self { first: shortest, shortest, longest, packets: 256 }
    }
}

impl Default for Limits {
    /// A call of two: 40 to 200 ms.
    fn default() -> Self {
        Self::of(40, 200)
    }
}

/// Makes audio of payloads, which come in their order.
pub trait Decode {
    /// Appends 8 kHz samples to `out`; beyond [`DECODED_MAX`] they are cut off. What cannot be
    /// decoded is nothing, and concealed.
    fn decode(&mut self, payload_type: u8, payload: &[u8], out: &mut Vec<i16>);
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Taken,
    /// Its time is over.
    Late,
    Duplicate,
    /// The oldest was dropped for it, or itself when it is older.
    Full,
    /// The payload is empty or longer than [`PAYLOAD_OCTETS_MAX`].
    Size,
    /// Another source, or the same at another time; a second such packet is believed.
    Jumped,
}

/// Counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub taken: u64,
    pub late: u64,
    pub duplicate: u64,
    /// Dropped for want of room.
    pub full: u64,
    /// Samples made up for missing ones.
    pub concealed: u64,
    /// Samples left out, and put in, to change the wait.
    pub shortened: u64,
    pub lengthened: u64,
}

/// One incoming stream of sound.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    limits: Limits,
    /// Timestamp units per sample.
    units: i64,
    source: Option<Source>,
    /// A jump that nothing confirmed: source and transit.
    jump: Option<(u32, i64)>,
    /// By their first sample.
    packets: BTreeMap<i64, Waiting>,
    playing: bool,
    /// Decoded and not yet heard.
    ready: VecDeque<i16>,
    /// The sample after the last that is ready. What begins before it is late.
    edge: Option<i64>,
    /// Samples of concealment since the last real one.
    missing: i64,
    /// Frames for which the wait has been too long, and too short.
    too_long: u32,
    too_short: u32,
    is_quiet: bool,
    concealer: Concealer,
    decoded: Vec<i16>,
    statistics: Statistics,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    timestamps: Timestamps,
    /// Arrival less timestamp of the last packets, in samples.
    transits: VecDeque<i64>,
    /// The fastest of them, and the wait beyond it.
    fastest: i64,
    wait: i64,
}

#[derive(Clone, Debug)]
struct Waiting {
    payload_type: u8,
    marker: bool,
    payload: Vec<u8>,
}

/// The clock is no multiple of 8000 Hz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock of {0} Hz is no multiple of 8000")]
pub struct ClockError(pub u32);

impl JitterBuffer {
    /// `clock` is that of the timestamps, in Hz.
    pub fn new(clock: u32, limits: Limits) -> Result<Self, ClockError> {
        if clock == 0 || !clock.is_multiple_of(audio::RATE) {
            return Err(ClockError(clock));
        }
        Ok(Self {
            limits,
            units: i64::from(clock / audio::RATE),
            source: None,
            jump: None,
            packets: BTreeMap::new(),
            playing: false,
            ready: VecDeque::new(),
            edge: None,
            missing: 0,
            too_long: 0,
            too_short: 0,
            is_quiet: true,
            concealer: Concealer::default(),
            decoded: Vec::new(),
            statistics: Statistics::default(),
        })
    }

    /// Takes a packet of sound.
    pub fn put(&mut self, header: &Header, payload: &[u8], now: Duration) -> Put {
        let put = self.sort(header, payload, samples(now));
        let statistics = &mut self.statistics;
        match put {
            Put::Taken => statistics.taken += 1,
            Put::Late => statistics.late += 1,
            Put::Duplicate => statistics.duplicate += 1,
            Put::Full => statistics.full += 1,
            Put::Size | Put::Jumped => {}
        }
        put
    }

    /// The next 20 ms. To be called once per tick.
    pub fn frame(&mut self, now: Duration, decoder: &mut impl Decode) -> Frame {
        let now = samples(now);
        if !self.playing {
            self.begin(now);
        }
        let frame = if self.playing { self.play(now, decoder) } else { self.made_up() };
        self.is_quiet = energy(&frame) < QUIET;
        frame
    }

    /// How long audio that comes as fast as the fastest waits now, once it plays.
    pub fn delay(&self, now: Duration) -> Option<Duration> {
        let delay = if self.playing { self.delay_at(samples(now)) } else { None };
        delay.map(|delay| time::duration(delay.max(0).unsigned_abs()))
    }

    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn sort(&mut self, header: &Header, payload: &[u8], now: i64) -> Put {
        if payload.is_empty() || payload.len() > PAYLOAD_OCTETS_MAX {
            return Put::Size;
        }
        if !self.is_of_source(header, now) {
            return Put::Jumped;
        }
        let Some(source) = &mut self.source else { return Put::Jumped };
        let at = source.timestamps.unwrap(header.timestamp).div_euclid(self.units);
        if self.packets.contains_key(&at) {
            return Put::Duplicate;
        }
        source.measure(now - at, &self.limits);
        if self.edge.is_some_and(|edge| at < edge) {
            return Put::Late;
        }
        let waiting = Waiting {
            payload_type: header.payload_type,
            marker: header.marker,
            payload: payload.to_vec(),
        };
        self.packets.insert(at, waiting);
        if self.packets.len() > self.limits.packets {
            self.packets.pop_first();
            return Put::Full;
        }
        Put::Taken
    }

    /// Follows the source, and changes it when a second packet confirms a jump.
    fn is_of_source(&mut self, header: &Header, now: i64) -> bool {
        let Some(source) = &self.source else {
            self.source = Some(Source::new(header.ssrc, &self.limits));
            return true;
        };
        let transit = now - source.timestamps.peek(header.timestamp).div_euclid(self.units);
        let allowed = JUMP + samples(self.limits.longest);
        let is_near = source.transits.is_empty() || (transit - source.fastest).abs() <= allowed;
        if source.ssrc == header.ssrc && is_near {
            self.jump = None;
            return true;
        }
        // Of another source, the timestamps have nothing to do with ours: only their steps count.
        let transit = now - i64::from(header.timestamp).div_euclid(self.units);
        let is_confirmed = self
            .jump
            .is_some_and(|(ssrc, before)| ssrc == header.ssrc && (transit - before).abs() <= JUMP);
        if !is_confirmed {
            self.jump = Some((header.ssrc, transit));
            return false;
        }
        self.jump = None;
        self.source = Some(Source::new(header.ssrc, &self.limits));
        self.packets.clear();
        self.ready.clear();
        (self.playing, self.edge) = (false, None);
        true
    }

    /// Begins to play when the first packet has waited long enough.
    fn begin(&mut self, now: i64) {
        let (Some(source), Some((first, _))) = (&self.source, self.packets.first_key_value())
        else {
            return;
        };
        if now - *first - source.fastest >= source.wait {
            (self.playing, self.edge, self.missing) = (true, Some(*first), 0);
            self.ready.clear();
        }
    }

    fn play(&mut self, now: i64, decoder: &mut impl Decode) -> Frame {
        let Some(frame) = self.adapt(now, decoder) else {
            while self.playing && self.ready.len() < FRAME {
                self.step(now, decoder);
            }
            return self.take();
        };
        frame
    }

    /// Changes the wait where it does not hurt. Some when that made the frame.
    fn adapt(&mut self, now: i64, decoder: &mut impl Decode) -> Option<Frame> {
        let wait = self.source.as_ref()?.wait;
        let delay = self.delay_at(now)?;
        let excess = delay - wait;
        if delay > samples(self.limits.longest) + 2 * STEP {
            // Nothing gentle helps.
            self.ready.clear();
            self.edge = self.edge.map(|edge| edge.max(edge + excess));
            self.statistics.shortened += excess.max(0).unsigned_abs();
            return None;
        }
        self.too_long = if excess >= STEP { self.too_long + 1 } else { 0 };
        if excess >= STEP && (self.is_quiet || self.too_long > PATIENCE) {
            while self.ready.len() < 2 * FRAME && self.is_next_here() {
                self.step(now, decoder);
            }
            if self.ready.len() >= 2 * FRAME {
                self.too_long = self.too_long.min(PATIENCE) - self.too_long.min(PAUSE);
                self.statistics.shortened += FRAME as u64;
                let (from, to) = (self.take(), self.take());
                return Some(blend(&from, &to));
            }
        }
        self.too_short = if excess <= -STEP { self.too_short + 1 } else { 0 };
        let is_time = self.is_quiet || self.too_short > PATIENCE_SHORT;
        if excess <= -STEP && is_time && self.missing == 0 {
            self.too_short = PATIENCE_SHORT.saturating_sub(PAUSE);
            self.statistics.lengthened += FRAME as u64;
            return Some(self.made_up());
        }
        None
    }

    /// Makes at least one more sample ready, uses up a packet, or ends the talkspurt.
    fn step(&mut self, now: i64, decoder: &mut impl Decode) {
        let (Some(edge), Some(source)) = (self.edge, &self.source) else { return };
        let room = FRAME.saturating_sub(self.ready.len()) as i64;
        let due = now + self.ready.len() as i64 - source.fastest;
        let Some((first, next)) = self.packets.first_key_value() else {
            // It may still come: waiting for it lengthens the wait, up to the longest.
            if due - edge + room > samples(self.limits.longest) {
                self.edge = Some(edge + room);
            }
            self.conceal(room);
            if self.missing >= OVER {
                self.playing = false;
            }
            return;
        };
        let (first, gap) = (*first, *first - edge);
        if gap <= 0 {
            self.decode_first(edge, decoder);
        } else if next.marker || gap > OVER {
            // Between talkspurts any wait can be had.
            if due - first >= source.wait {
                self.edge = Some(first);
            } else {
                self.conceal(room.min(source.wait - (due - first)));
            }
        } else {
            let excess = due - edge - source.wait;
            if excess >= STEP {
                let skipped = gap.min(excess);
                self.edge = Some(edge + skipped);
                self.statistics.shortened += skipped.unsigned_abs();
            } else {
                let missing = gap.min(room);
                self.edge = Some(edge + missing);
                self.conceal(missing);
            }
        }
    }

    fn decode_first(&mut self, edge: i64, decoder: &mut impl Decode) {
        let Some((first, waiting)) = self.packets.pop_first() else { return };
        self.decoded.clear();
        decoder.decode(waiting.payload_type, &waiting.payload, &mut self.decoded);
        self.decoded.truncate(DECODED_MAX);
        // What overlaps was heard already.
        let heard = usize::try_from(edge - first).unwrap_or(usize::MAX).min(self.decoded.len());
        let fresh = &mut self.decoded[heard..];
        if fresh.is_empty() {
            return;
        }
        self.concealer.heard(fresh);
        self.ready.extend(fresh.iter());
        self.edge = Some(edge + fresh.len() as i64);
        self.missing = 0;
    }

    fn conceal(&mut self, count: i64) {
        let mut made = [0; FRAME];
        let made = &mut made[..usize::try_from(count).unwrap_or(0).min(FRAME)];
        self.concealer.conceal(made);
        self.ready.extend(made.iter());
        self.missing += made.len() as i64;
        self.statistics.concealed += made.len() as u64;
    }

    /// A frame that belongs to no time of the source.
    fn made_up(&mut self) -> Frame {
        let mut frame = [0; FRAME];
        self.concealer.conceal(&mut frame);
        frame
    }

    fn take(&mut self) -> Frame {
        let mut frame = [0; FRAME];
        let count = self.ready.len().min(FRAME);
        for (sample, ready) in frame.iter_mut().zip(self.ready.drain(..count)) {
            *sample = ready;
        }
        frame
    }

    fn is_next_here(&self) -> bool {
        let first = self.packets.first_key_value().map(|(first, _)| *first);
        first.is_some_and(|first| self.edge.is_some_and(|edge| first <= edge))
    }

    /// How long after the fastest packet could bring it the next sample is heard.
    fn delay_at(&self, now: i64) -> Option<i64> {
        let next = self.edge? - self.ready.len() as i64;
        Some(now - next - self.source.as_ref()?.fastest)
    }
}

impl Source {
    fn new(ssrc: u32, limits: &Limits) -> Self {
        Self {
            ssrc,
            timestamps: Timestamps::default(),
            transits: VecDeque::with_capacity(MEASURED),
            fastest: 0,
            wait: samples(limits.first),
        }
    }

    fn measure(&mut self, transit: i64, limits: &Limits) {
        if self.transits.len() == MEASURED {
            self.transits.pop_front();
        }
        self.transits.push_back(transit);
        // The slowest, one more than are left out, slowest first: every packet comes by here.
        let last = self.transits.len() / LATE;
        let mut slow = [i64::MIN; MEASURED / LATE + 1];
        self.fastest = transit;
        for transit in &self.transits {
            self.fastest = self.fastest.min(*transit);
            if *transit > slow[last] {
                let at = slow[..=last].partition_point(|known| known >= transit);
                slow[at..=last].rotate_right(1);
                slow[at] = *transit;
            }
        }
        let slowest = slow[last];
        // Too few say too little.
        let least = if self.transits.len() < MEASURED / 4 { limits.first } else { limits.shortest };
        let (least, most) = (samples(least.max(limits.shortest)), samples(limits.longest));
        self.wait = (slowest - self.fastest + STEP).max(least).min(most);
    }
}

/// From one frame to the other within one.
fn blend(from: &Frame, to: &Frame) -> Frame {
    std::array::from_fn(|at| {
        let (at, all) = (at as i32, FRAME as i32);
        ((i32::from(from[at as usize]) * (all - at) + i32::from(to[at as usize]) * at) / all) as i16
    })
}

fn samples(time: Duration) -> i64 {
    // Half the range leaves room for sums.
    i64::try_from(time::samples(time)).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[cfg(test)]
#[path = "tests/jitter.rs"]
mod tests;

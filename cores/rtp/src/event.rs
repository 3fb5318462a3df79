//! Telephone-events: keys beside the audio (RFC 4733 §2).

use std::time::Duration;

use audio::dtmf::Key;

use crate::packet::Header;

/// Octets of one event's payload.
pub const EVENT_OCTETS: usize = 4;
/// The hook flash.
pub const FLASH: u8 = 16;
/// Longest duration that one segment can say (§2.5.1.3).
pub const SEGMENT_MAX: u16 = 0xFFFF;
/// How often the end is said, the first included (§2.5.1.4).
const ENDS: u8 = 3;
/// Without an update for this long a key counts as released (§2.5.1.2 wants three intervals, and
/// intervals are 50 ms at most).
pub const LOST_END: Duration = Duration::from_millis(150);

/// What lies before the last key counts as a straggler for this long.
const STRAGGLER: Duration = Duration::from_secs(5);

/// The payload of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 15 are keys, 16 is the flash.
    pub event: u8,
    pub end: bool,
    /// In −dBm0, 0 to 63.
    pub volume: u8,
    /// In units of the clock, since the timestamp of the packet.
    pub duration: u16,
}

impl Payload {
    /// None when there are less than four octets; more are ignored.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *octets.first_chunk()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3F, duration })
    }

    pub fn octets(&self) -> [u8; EVENT_OCTETS] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume.min(63), high, low]
    }
}

/// A packet to send. The sequence number is the stream's next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub marker: bool,
    pub timestamp: u32,
    pub payload: Payload,
}

/// Sends one key: a packet per tick, the last of them three times.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    event: u8,
    volume: u8,
    /// Units of the clock per packet.
    step: u16,
    /// Of the segment.
    timestamp: u32,
    in_segment: u16,
    left: u32,
    first: bool,
    ends: u8,
}

impl Sender {
    /// `timestamp` is the stream's at the beginning of the key, `duration` how long it is held and
    /// `step` the time between two packets, both in units of the clock, 1 at least. `volume` is in
    /// −dBm0; 10 is usual.
    pub fn new(event: u8, volume: u8, timestamp: u32, duration: u32, step: u16) -> Self {
        Self {
            event,
            volume: volume.min(63),
            step: step.max(1),
            timestamp,
            in_segment: 0,
            left: duration.max(1),
            first: true,
            ends: 0,
        }
    }

    /// The packet of this tick, the first of which is due at the beginning of the key. None when
    /// all are sent. A key held for longer than a segment goes on in another, which is no new key.
    pub fn packet(&mut self) -> Option<Outgoing> {
        if self.ends >= ENDS {
            return None;
        }
        if self.left > 0 {
            if self.in_segment == SEGMENT_MAX {
                self.timestamp = self.timestamp.wrapping_add(SEGMENT_MAX.into());
                self.in_segment = 0;
            }
            let room = SEGMENT_MAX - self.in_segment;
            let step = u32::from(self.step.min(room)).min(self.left);
            self.in_segment += step as u16;
            self.left -= step;
        }
        let end = self.left == 0;
        self.ends += u8::from(end);
        let marker = std::mem::take(&mut self.first);
        let duration = self.in_segment;
        let payload = Payload { event: self.event, end, volume: self.volume, duration };
        Some(Outgoing { marker, timestamp: self.timestamp, payload })
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Reported with the first packet of it that comes, whichever that is.
    Down(Key),
    /// How long it was held, in units of the clock.
    Up(Key, u32),
    /// The hook was pressed shortly.
    Flash,
}

/// Receives the events of one stream: each key once, whatever is lost, repeated or out of order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receiver {
    /// The last event, down or up.
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    event: u8,
    /// Of its last segment.
    timestamp: u32,
    /// Of the segments before that.
    before: u32,
    duration: u16,
    updated: Duration,
    down: bool,
}

impl Receiver {
    /// Takes a packet of the telephone-event payload type and appends to `heard` what it says, at
    /// most three things. `now` is the time of any clock that does not go back. Events that are
    /// neither keys nor the flash say nothing.
    pub fn put(&mut self, header: &Header, octets: &[u8], now: Duration, heard: &mut Vec<Heard>) {
        let Some(payload) = Payload::read(octets).filter(|payload| payload.event <= FLASH) else {
            return;
        };
        let is_known = self.last.as_mut().filter(|last| last.ssrc == header.ssrc).is_some_and(
            |last| match last.place(header, &payload, now) {
                Place::Before => true,
                Place::Same if last.down => {
                    last.duration = last.duration.max(payload.duration);
                    last.updated = now;
                    if payload.end {
                        heard.extend(last.release());
                    }
                    true
                }
                Place::Same => true,
                Place::After => false,
            },
        );
        if is_known {
            return;
        }
        heard.extend(self.last.as_mut().and_then(Last::release));
        let mut last = Last {
            ssrc: header.ssrc,
            event: payload.event,
            timestamp: header.timestamp,
            before: 0,
            duration: payload.duration,
            updated: now,
            down: true,
        };
        heard.push(Key::from_event(payload.event).map_or(Heard::Flash, Heard::Down));
        if payload.end {
            heard.extend(last.release());
        }
        self.last = Some(last);
    }

    /// To be called every tick: the end of a key whose last packets were lost.
    pub fn tick(&mut self, now: Duration) -> Option<Heard> {
        let last = self.last.as_mut()?;
        if now.saturating_sub(last.updated) < LOST_END { None } else { last.release() }
    }

    /// Whether a key is down: its audio is not to be heard then.
    pub fn is_down(&self) -> bool {
        self.last.is_some_and(|last| last.down)
    }
}

/// Where a packet is beside the last key.
enum Place {
    Before,
    Same,
    After,
}

impl Last {
    fn place(&mut self, header: &Header, payload: &Payload, now: Duration) -> Place {
        let ahead = header.timestamp.wrapping_sub(self.timestamp);
        if ahead > u32::MAX / 2 {
            // Long after, it is no straggler: the source began to count anew.
            let straggles = now.saturating_sub(self.updated) < STRAGGLER;
            return if straggles { Place::Before } else { Place::After };
        }
        if self.event != payload.event {
            return Place::After;
        }
        // Another segment of the same key begins where the one before must end.
        let goes_on = ahead > 0 && ahead.is_multiple_of(SEGMENT_MAX.into());
        if self.down && goes_on && !header.marker {
            self.before = self.before.saturating_add(ahead);
            (self.timestamp, self.duration) = (header.timestamp, 0);
        }
        if self.timestamp == header.timestamp { Place::Same } else { Place::After }
    }

    fn release(&mut self) -> Option<Heard> {
        if !std::mem::take(&mut self.down) {
            return None;
        }
        let key = Key::from_event(self.event)?;
        Some(Heard::Up(key, self.before.saturating_add(self.duration.into())))
    }
}

#[cfg(test)]
#[path = "tests/event.rs"]
mod tests;

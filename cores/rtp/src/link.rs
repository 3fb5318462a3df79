//! One room on several nodes: each tells the others what its own members say.
//!
//! A node says hello in a room once a second, and at once when somebody new does; whoever was heard
//! within three seconds is told, every tick in which there is something to hear. What comes of each
//! other node waits in a buffer of three frames, so that it is heard evenly; what comes too late is
//! dropped, and what has piled up is cut.
//!
//! Messages are octets of this format, numbers in network order:
//!
//! | octets | |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | kind: 0 hello, 1 bye, 2 sound, 3 told of a recording |
//! | 8 | the node that says it |
//! | hello: 2 | its members in the room |
//! | sound: 8, 1, 1 | tick, whether the room hears a frame, number of whispers |
//! | … 320 | that frame: 160 samples of 16 bits |
//! | … 16, 320 | of each whisper, who hears it, and its frame |
//! | told: 16, 1 | the recording, 0 to stop, 1 to silence, 2 to skip, 3 to go on |
//!
//! Bounds: [`NODES_MAX`] others, [`WHISPERS_MAX`] whispers of a tick, [`DEPTH_MAX`] frames of each node
//! that wait, [`TOLD_MAX`] recordings of which is told.

use std::collections::BTreeMap;
use std::time::Duration;

use audio::{FRAME, Frame};

/// Other nodes that are heard in one room.
pub const NODES_MAX: usize = 16;
pub const WHISPERS_MAX: usize = 16;
/// Frames between the one that is heard and the latest.
pub const DEPTH_MAX: u64 = 10;
/// Recordings of which the others are told.
pub const TOLD_MAX: usize = 8;
/// Frames that are waited for before sound is heard.
const WAIT: u64 = 3;
/// Frames without anything after which sound begins anew.
const OVER: u32 = 25;
const BETWEEN_HELLOS: Duration = Duration::from_secs(1);
const SILENT_MAX: Duration = Duration::from_secs(3);
/// How often what is told of a recording is said again, with a hello.
const REPEATS: u32 = 30;

const VERSION: u8 = 1;
const HEAD: usize = 10;
const FRAME_OCTETS: usize = 2 * FRAME;
/// The longest message, in octets.
pub const MESSAGE_MAX: usize = HEAD + 10 + FRAME_OCTETS + WHISPERS_MAX * (16 + FRAME_OCTETS);

/// What a node says to the others in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Hello {
        members: u16,
    },
    /// It has left the room.
    Bye,
    Sound {
        tick: u64,
        sound: Sound,
    },
    Told(Told),
}

/// What is said on a node in one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sound {
    pub room: Option<Box<Frame>>,
    /// By who hears it.
    pub whispers: Vec<(u128, Frame)>,
}

/// What becomes of a recording that may be another node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub recording: u128,
    pub what: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Stop,
    Pause { skip: bool },
    Resume,
}

/// Octets that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of a link")]
pub struct Malformed;

impl Message {
    pub fn write(&self, node: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + 10 + FRAME_OCTETS);
        out.extend([VERSION, self.kind()]);
        out.extend(node.to_be_bytes());
        match self {
            Self::Hello { members } => out.extend(members.to_be_bytes()),
            Self::Bye => {}
            Self::Sound { tick, sound } => {
                let count = sound.whispers.len().min(WHISPERS_MAX);
                out.extend(tick.to_be_bytes());
                out.extend([u8::from(sound.room.is_some()), count as u8]);
                let put = |frame: &Frame, out: &mut Vec<u8>| {
                    frame.iter().for_each(|sample| out.extend(sample.to_be_bytes()));
                };
                if let Some(frame) = &sound.room {
                    put(frame, &mut out);
                }
                for (to, frame) in &sound.whispers[..count] {
                    out.extend(to.to_be_bytes());
                    put(frame, &mut out);
                }
            }
            Self::Told(Told { recording, what }) => {
                out.extend(recording.to_be_bytes());
                out.push(match what {
                    Change::Stop => 0,
                    Change::Pause { skip: false } => 1,
                    Change::Pause { skip: true } => 2,
                    Change::Resume => 3,
                });
            }
        }
        out
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0,
            Self::Bye => 1,
            Self::Sound { .. } => 2,
            Self::Told(_) => 3,
        }
    }

    /// The message, and which node says it.
    pub fn read(octets: &[u8]) -> Result<(u64, Self), Malformed> {
        let mut rest = Rest(octets);
        let [version, kind] = rest.take()?;
        let node = u64::from_be_bytes(rest.take()?);
        let message = match (version, kind) {
            (VERSION, 0) => Self::Hello { members: u16::from_be_bytes(rest.take()?) },
            (VERSION, 1) => Self::Bye,
            (VERSION, 2) => {
                let tick = u64::from_be_bytes(rest.take()?);
                let [has_room, count] = rest.take()?;
                if has_room > 1 || usize::from(count) > WHISPERS_MAX {
                    return Err(Malformed);
                }
                let room = match has_room {
                    0 => None,
                    _ => Some(Box::new(rest.frame()?)),
                };
                let whisper =
                    |rest: &mut Rest<'_>| Ok((u128::from_be_bytes(rest.take()?), rest.frame()?));
                let whispers = (0..count).map(|_| whisper(&mut rest)).collect::<Result<_, _>>()?;
                Self::Sound { tick, sound: Sound { room, whispers } }
            }
            (VERSION, 3) => {
                let recording = u128::from_be_bytes(rest.take()?);
                let what = match rest.take()? {
                    [0] => Change::Stop,
                    [1] => Change::Pause { skip: false },
                    [2] => Change::Pause { skip: true },
                    [3] => Change::Resume,
                    _ => return Err(Malformed),
                };
                Self::Told(Told { recording, what })
            }
            _ => return Err(Malformed),
        };
        if rest.0.is_empty() { Ok((node, message)) } else { Err(Malformed) }
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn frame(&mut self) -> Result<Frame, Malformed> {
        let octets: [u8; FRAME_OCTETS] = self.take()?;
        Ok(std::array::from_fn(|at| i16::from_be_bytes([octets[2 * at], octets[2 * at + 1]])))
    }
}

/// What comes of one node, made even.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    waiting: BTreeMap<u64, Sound>,
    /// The tick that is heard next; none while there is nothing to hear.
    next: Option<u64>,
    /// Ticks in which there was nothing.
    idle: u32,
}

impl Buffer {
    /// Takes what was said in a tick of its node. False when it is too late, or twice, to be heard.
    pub fn put(&mut self, tick: u64, sound: Sound) -> bool {
        let next = match self.next {
            // Everything is late by now: it begins anew.
            Some(next) if tick < next && self.waiting.is_empty() => tick.saturating_sub(WAIT),
            Some(next) if tick < next => return false,
            Some(next) if tick - next > DEPTH_MAX => {
                let next = tick.saturating_sub(WAIT - 1);
                self.waiting = self.waiting.split_off(&next);
                next
            }
            Some(next) => next,
            None => tick.saturating_sub(WAIT),
        };
        self.next = Some(next);
        self.waiting.insert(tick, sound).is_none()
    }

    /// What is heard in this tick.
    pub fn take(&mut self) -> Option<Sound> {
        let next = self.next?;
        self.next = Some(next.saturating_add(1));
        let taken = self.waiting.remove(&next);
        self.idle = if taken.is_some() { 0 } else { self.idle + 1 };
        if self.idle >= OVER && self.waiting.is_empty() {
            *self = Self::default();
        }
        taken
    }
}

#[derive(Debug, Default)]
struct Other {
    heard_at: Duration,
    members: u16,
    buffer: Buffer,
}

/// What a message leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Taken,
    /// Sound that is not heard: it came too late, or of a node that is not known.
    Dropped,
    Told(Told),
}

/// A room as one of its nodes sees it. `now` is the time since any moment, of a clock that does not
/// go back.
#[derive(Debug)]
pub struct Link {
    node: u64,
    others: BTreeMap<u64, Other>,
    /// When the next hello is due; none is at once.
    hello_at: Option<Duration>,
    /// Members that the others know of.
    members: u16,
    tick: u64,
    /// What was told of recordings, and how often it is said again.
    told: Vec<(Told, u32)>,
}

impl Link {
    /// `node` is random.
    pub fn new(node: u64) -> Self {
        let (others, told) = (BTreeMap::new(), Vec::new());
        Self { node, others, hello_at: None, members: 0, tick: 0, told }
    }

    /// Takes what a node says in the room.
    pub fn hear(&mut self, octets: &[u8], now: Duration) -> Result<Heard, Malformed> {
        let (node, message) = Message::read(octets)?;
        if node == self.node {
            return Ok(Heard::Taken);
        }
        match message {
            Message::Hello { members } => {
                if !self.others.contains_key(&node) {
                    if self.others.len() >= NODES_MAX {
                        return Ok(Heard::Dropped);
                    }
                    self.hello_at = None;
                }
                let other = self.others.entry(node).or_default();
                (other.heard_at, other.members) = (now, members);
            }
            Message::Bye => {
                self.others.remove(&node);
            }
            Message::Sound { tick, sound } => {
                let Some(other) = self.others.get_mut(&node) else { return Ok(Heard::Dropped) };
                other.heard_at = now;
                if !other.buffer.put(tick, sound) {
                    return Ok(Heard::Dropped);
                }
            }
            Message::Told(told) => return Ok(Heard::Told(told)),
        }
        Ok(Heard::Taken)
    }

    /// Once a tick: what is due to be said beside sound. Nodes that went silent are forgotten.
    pub fn greet(&mut self, members: usize, now: Duration) -> Vec<Vec<u8>> {
        self.others.retain(|_, other| now.saturating_sub(other.heard_at) < SILENT_MAX);
        let members = u16::try_from(members).unwrap_or(u16::MAX);
        // Whether anybody is there is told at once.
        let is_news = (members == 0) != (self.members == 0);
        if self.hello_at.is_some_and(|at| now < at) && !is_news {
            return Vec::new();
        }
        self.members = members;
        self.hello_at = Some(now + BETWEEN_HELLOS);
        let mut due = vec![Message::Hello { members }.write(self.node)];
        due.extend(self.told.iter().map(|(told, _)| Message::Told(*told).write(self.node)));
        self.told.retain_mut(|(_, left)| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        due
    }

    /// What the others say in this tick, of each node.
    pub fn take(&mut self) -> impl Iterator<Item = Sound> {
        self.others.values_mut().filter_map(|other| other.buffer.take())
    }

    /// Whether anybody hears what is said.
    pub fn is_heard(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether there are members on other nodes.
    pub fn has_others(&self) -> bool {
        self.others.values().any(|other| other.members > 0)
    }

    /// Once a tick: what the others are to hear, if anybody hears it and it is not silence.
    pub fn say(&mut self, sound: Sound) -> Option<Vec<u8>> {
        self.tick += 1;
        let is_something = sound.room.is_some() || !sound.whispers.is_empty();
        let message = Message::Sound { tick: self.tick, sound };
        (is_something && self.is_heard()).then(|| message.write(self.node))
    }

    /// A recording that is not here is to be told of: at once, and again later, as a message may be
    /// lost. Only what was told last of it is.
    pub fn tell(&mut self, told: Told) -> Vec<u8> {
        self.told.retain(|(known, _)| known.recording != told.recording);
        if self.told.len() >= TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push((told, REPEATS));
        Message::Told(told).write(self.node)
    }

    /// What is said last.
    pub fn bye(&self) -> Vec<u8> {
        Message::Bye.write(self.node)
    }
}

#[cfg(test)]
#[path = "tests/link.rs"]
mod tests;

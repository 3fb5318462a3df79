//! Calls between Voice and the carriers.
//!
//! A leg is one telephone's part of a call; its SID is the call's. What a leg is to play is said by
//! its meaning ([`Item`]): a simulated handset writes it down, a network with media renders it.
//! Legs that are to hear each other are put into one room.
//!
//! Every order and every report has the time at which it happens on the platform's clock, so that a
//! call takes as long as it would take, also when a developer moves the clock past it.

use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Unavailable};

/// Something to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Spoken text.
    Say {
        text: String,
        voice: Option<String>,
        language: Option<String>,
        loops: u32,
    },
    /// A sound file, whose length the platform knows already.
    Play {
        url: String,
        millis: u64,
        loops: u32,
    },
    /// Keypad tones: `0-9 A-D * #`, `w` waits half a second, `W` a second.
    Tones {
        digits: String,
    },
    Silence {
        millis: u64,
    },
    Beep,
    /// Until it is stopped.
    Ringback,
    /// Music for those who wait, until it is stopped.
    Music,
}

/// How somebody takes part in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The others hear this leg.
    pub speaks: bool,
    /// This leg hears the others.
    pub hears: bool,
    /// Only this leg hears what is said: a whisper.
    pub only_to: Option<Sid>,
}

/// What a leg is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    Answer,
    Reject {
        busy: bool,
    },
    HangUp,
    /// Plays one item; its end is reported under `id`. A new item replaces the one before.
    Play {
        id: u32,
        item: Item,
    },
    Stop,
    /// Enters a room, or takes another part in it. A leg is in one room at most.
    Join {
        room: String,
        part: Part,
    },
    Leave,
    /// Records what the leg says.
    Record {
        recording: Sid,
    },
    StopRecording {
        recording: Sid,
    },
    /// What follows is not recorded; with `skip` it takes no time in the recording either,
    /// otherwise it is silence there.
    PauseRecording {
        recording: Sid,
        skip: bool,
    },
    ResumeRecording {
        recording: Sid,
    },
    /// JSON text for the program at the other end; networks without programs drop it.
    Message {
        content: String,
    },
}

/// A call to place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundCall {
    pub account: Sid,
    /// Placing the same leg twice rings once.
    pub leg: Sid,
    /// What the called party sees.
    pub from: String,
    /// E.164, `client:name` or `sip:user@host`.
    pub to: String,
    pub at: Timestamp,
}

/// Who or what answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnsweredBy {
    Human,
    Machine,
    Fax,
}

/// Why a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The other party hung up, or was hung up on.
    HungUp,
    Busy,
    NoAnswer,
    /// There is nobody to ring, or no way to them.
    Failed,
}

/// What happened on a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegEvent {
    Ringing,
    Answered {
        by: AnsweredBy,
    },
    Ended(Ending),
    /// The item of this id has been heard to its end.
    Played {
        id: u32,
    },
    Digits(String),
    /// Somebody began to speak, and will for so long.
    Speech {
        text: String,
        millis: u64,
    },
    /// A recording has ended; `spoken` is what was said in it.
    Recorded {
        recording: Sid,
        millis: u64,
        spoken: String,
    },
    /// The program at the other end sent JSON text.
    Message {
        content: String,
    },
}

/// An event with its leg and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegReport {
    pub account: Sid,
    pub leg: Sid,
    pub at: Timestamp,
    pub event: LegEvent,
}

/// A network that carries calls.
pub trait VoiceCarrier: Send + Sync {
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// An order to a leg that has ended does nothing.
    fn order<'a>(
        &'a self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// A call from a telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundCall {
    pub from: String,
    pub to: String,
    /// Who the caller says to be.
    pub caller_name: Option<String>,
    pub at: Timestamp,
}

/// Implemented by Voice; called by carriers.
pub trait VoiceSink: Send + Sync {
    /// Accepts durably before it answers.
    fn report<'a>(&'a self, report: &'a LegReport) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// The account and leg of a new call; `None` when nobody owns the number. Nothing is ordered
    /// of the leg before [`VoiceSink::ring`].
    fn inbound<'a>(
        &'a self,
        call: &'a InboundCall,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>>;

    /// The carrier knows the leg now: what its number says about calls begins.
    fn ring(&self, account: Sid, leg: Sid, at: Timestamp)
    -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// What turns words into sound, for recordings of what simulated handsets say.
pub trait Speaker: Send + Sync {
    /// A WAV file of 8 kHz mono, 16 bits, or `None` when there is nothing to speak with.
    fn speak<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Option<Vec<u8>>>;
}

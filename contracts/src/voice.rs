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
    /// Sound goes both ways before the call is answered, as far as the network has that.
    Progress,
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
    /// Everybody in the room where this leg is hears a beep.
    Beep,
    Record {
        recording: Sid,
        tracks: Tracks,
    },
    /// Records what everybody says in the room where this leg is, also when it has left, until it is
    /// stopped by any leg that is there or nobody is. This leg reports the end.
    RecordRoom {
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
    /// What is pressed from now on is a secret, or not any more. Keys are reported all the same, but
    /// whoever keeps or passes on what a leg does leaves them out.
    KeepKeys {
        are_secret: bool,
    },
    /// JSON text for the program at the other end; networks without programs drop it.
    Message {
        content: String,
    },
    /// Reports what is said from now on, or no longer.
    Listen(Option<Listening>),
    /// Finds out whether a person or a machine answered.
    Detect(Detection),
    /// Brings the leg's sound to an application.
    Stream(Box<StreamSetup>),
    StopStream {
        stream: Sid,
    },
    /// Brings the leg's sound to a recorder.
    Siprec(Box<SiprecSetup>),
    StopSiprec {
        siprec: Sid,
    },
    /// Sends the other end to another address; [`LegEvent::Referred`] says what became of it.
    Refer {
        to: String,
    },
    /// What becomes of the transfer that the other end wants ([`LegEvent::Transfer`]).
    Transfer(Transfer),
}

/// What becomes of a transfer that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfer {
    /// It is not allowed, as this code says.
    Refused {
        code: u32,
    },
    Begun,
    /// A final SIP response: the new party has answered, or has not.
    Over {
        response: u16,
    },
}

/// What of a leg is recorded or streamed: what it says, what it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tracks {
    Inbound,
    Outbound,
    /// Both, mixed.
    Both,
    /// Both, apart: what it says is the first channel.
    Dual,
}

/// How a leg is listened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The words are wanted, not only that somebody speaks.
    pub words: bool,
    /// BCP 47.
    pub language: String,
    pub hints: Vec<String>,
}

/// How an answering machine is told from a person, in milliseconds (media §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Waits for the end of a machine's greeting.
    pub message_end: bool,
    pub timeout: u64,
    pub speech_threshold: u64,
    pub speech_end_threshold: u64,
    pub silence_timeout: u64,
}

/// A stream of a leg's sound to an application (media §1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSetup {
    pub stream: Sid,
    pub url: String,
    /// `X-Twilio-Signature` of the URL.
    pub signature: String,
    pub tracks: Tracks,
    /// The application's sound is heard on the leg.
    pub is_bidirectional: bool,
    pub parameters: Vec<(String, String)>,
}

/// A session with a recorder of the operator's (SIPREC), for one leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiprecSetup {
    pub siprec: Sid,
    /// A recorder of the configuration.
    pub connector: String,
    pub tracks: Tracks,
    /// Who is heard on the leg, and whom it hears.
    pub inbound: String,
    pub outbound: String,
    pub parameters: Vec<(String, String)>,
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
    /// What only some networks carry.
    #[serde(default)]
    pub extras: CallExtras,
}

/// What goes along with a call on networks that can carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallExtras {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_name: Option<String>,
    /// Answers a challenge of the called party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Custom headers of SIP, or parameters of a client, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The BYOC trunk (`BY…`) or trunk (`TK…`) to go by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Sid>,
}

/// Who or what answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnsweredBy {
    Human,
    Machine,
    Fax,
    /// The network cannot say; [`Order::Detect`] finds out.
    Somebody,
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
    /// The called party is to be heard before it answers.
    EarlyMedia,
    Answered {
        by: AnsweredBy,
    },
    Ended(Ending),
    /// The item of this id has been heard to its end.
    Played {
        id: u32,
    },
    Digits(String),
    /// Somebody began to speak; [`LegEvent::Speech`] follows. Networks that know at once what will
    /// be said leave it out.
    SpeechBegan,
    /// Somebody speaks, and will for `millis` more. The words are empty where nobody understands
    /// them.
    Speech {
        text: String,
        millis: u64,
    },
    /// A recording has ended.
    Recorded {
        recording: Sid,
        millis: u64,
        /// What was said in it, where the network knows words.
        spoken: String,
        /// Where its sound is kept ([`VoiceSink::keep_sound`]), of networks with sound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sound: Option<String>,
    },
    /// What [`Order::Detect`] found.
    Detected(Verdict),
    Stream {
        stream: Sid,
        news: StreamNews,
    },
    Siprec {
        siprec: Sid,
        news: StreamNews,
    },
    /// What the network said about the call.
    Signal(Signal),
    /// The program at the other end sent JSON text.
    Message {
        content: String,
    },
    /// The other end wants whom it talks to to go on with somebody else.
    Transfer {
        /// A SIP or telephone URI.
        to: String,
        /// The leg of its own that is to give its party over (`Replaces`).
        instead_of: Option<Sid>,
    },
    /// What became of [`Order::Refer`]: how the other end answered, and what it told of the new call.
    Referred {
        response: u16,
        notified: Option<u16>,
    },
}

/// Who answered, as far as sound tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Human,
    MachineStart,
    MachineEndBeep,
    MachineEndSilence,
    MachineEndOther,
    Fax,
    Unknown,
}

/// What becomes of a stream, or of a session with a recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamNews {
    Started,
    /// Its end: the application closed it, the order came, or the leg ended.
    Stopped,
    /// It failed (319xx), and has ended when `is_over`.
    Failed {
        code: u32,
        why: String,
        is_over: bool,
    },
}

/// What a network says about a call beside what happens on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The final SIP response, told in the final callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_response: Option<u16>,
    /// A notification of the call: a code of the error table, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<(u32, String)>,
    /// Told in every request about the call from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(String, String)>,
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

    /// The home ([`Homes`](crate::Homes)) of whom the call is for, if only its node reaches them.
    fn home_of<'a>(
        &'a self,
        call: &'a OutboundCall,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        let _ = call;
        Box::pin(async { Ok(None) })
    }

    /// Somebody whose network has sound is in this room: legs without any of their own need some to be
    /// heard there.
    fn sound_in<'a>(&'a self, room: &'a str) -> BoxFuture<'a, Result<(), Unavailable>> {
        let _ = room;
        Box::pin(async { Ok(()) })
    }
}

/// A network of calls beside the simulated one, which knows what is its own.
pub trait CallNetwork: VoiceCarrier {
    /// Whether a call goes by it.
    fn reaches(&self, call: &OutboundCall) -> bool;

    /// Whether the leg is on it. One that was placed here is, until it has ended.
    fn has(&self, leg: Sid) -> bool;
}

/// A call from a telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundCall {
    pub from: String,
    pub to: String,
    /// Who the caller says to be.
    pub caller_name: Option<String>,
    pub at: Timestamp,
    pub door: CallDoor,
    /// What the network adds for the application, named as its requests name it
    /// (`SipHeader_X-Order`, `SipCallId`, `SipDomain` …).
    pub params: Vec<(String, String)>,
}

/// By which door a call came, which says whose instructions it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallDoor {
    /// The owner of the called number says.
    Number,
    /// A SIP domain (`SD…`) says.
    SipDomain { account: Sid, domain: Sid },
    /// A client's token names the TwiML application (`AP…`).
    Application { account: Sid, application: Sid },
    /// The termination side of a trunk (`TK…`): the call goes on to the number, without a document.
    Trunk { account: Sid, trunk: Sid },
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

    /// Keeps a WAV file; its name is told with [`LegEvent::Recorded`].
    fn keep_sound(&self, file: Vec<u8>) -> BoxFuture<'_, Result<String, Unavailable>>;

    /// The carrier knows the leg now: what its number says about calls begins.
    fn ring(&self, account: Sid, leg: Sid, at: Timestamp)
    -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// Words to be spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Utterance {
    pub text: String,
    /// As `<Say voice>` names it.
    pub voice: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
}

/// What turns words into sound.
pub trait Speaker: Send + Sync {
    /// A WAV file of 8 kHz mono, 16 bits, or `None` when there is nothing to speak with.
    fn speak<'a>(&'a self, utterance: &'a Utterance) -> BoxFuture<'a, Option<Vec<u8>>>;
}

/// What makes other kinds of files of sound.
pub trait SoundFiles: Send + Sync {
    /// A WAV file as MP3; `None` where nothing on this machine can make one.
    fn mp3(&self, file: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>>;
}

/// What turns sound into words.
pub trait Recogniser: Send + Sync {
    /// The words of a WAV file of 8 kHz mono, 16 bits; `None` when nobody understands it.
    fn recognise<'a>(&'a self, file: Vec<u8>, how: &'a Listening) -> BoxFuture<'a, Option<String>>;
}

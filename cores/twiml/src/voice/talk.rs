//! What the machine is told, and what it wants: the words between it and whoever carries the call.

use serde::{Deserialize, Serialize};

use super::dial::DialPlan;
use super::document::Element;
use super::payment::{Captured, PayFailure, PayOutcome, Plan};
use super::queue::EnqueuePlan;
use super::record::RecordPlan;
use crate::method::Method;
/// Parameters of a request, in order.
pub type Params = Vec<(String, String)>;

/// What a document is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A call of its own: at the end of the document it is hung up.
    Call,
    /// The party that somebody dialled, before the two are connected.
    Screen,
    /// Somebody who waits in a queue.
    Wait,
    /// Somebody who waits in a conference, or is on hold in one.
    Hold,
    /// Somebody in a conference to whom something is announced.
    Announce,
    /// Somebody who waited in a queue and is about to be talked to.
    Whisper,
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Url { url: String, method: Method },
    Inline(String),
}

/// Of what an announcement's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// Another participant's end of it is.
    Nothing,
    /// Of this participant.
    One,
    /// Of the conference.
    All,
}

/// Something to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sound {
    Say { text: String, voice: Option<String>, language: Option<String>, loops: u32 },
    Play { url: String, millis: u64, loops: u32 },
    Tones { digits: String },
    Silence { millis: u64 },
    Beep,
    Ringback,
    Music,
}

/// How a caller is listened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The words are wanted, not only that somebody speaks.
    pub words: bool,
    /// BCP 47.
    pub language: String,
    pub hints: Vec<String>,
}

/// What somebody said, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechText {
    pub text: String,
    pub millis: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A document was answered; `url` is where from, after redirects.
    Fetched {
        id: u32,
        body: Vec<u8>,
        content_type: Option<String>,
        url: String,
    },
    /// No document could be had of `url`.
    FetchFailed {
        id: u32,
        code: u32,
        url: String,
    },
    /// A sound file is there, and so long.
    Media {
        id: u32,
        millis: u64,
    },
    MediaFailed {
        id: u32,
    },
    /// A sound was heard to its end.
    Played {
        id: u32,
    },
    Timer {
        id: u32,
    },
    Digits(String),
    /// Somebody began to speak; what they say follows.
    SpeechBegan,
    Speech(SpeechText),
    /// The application has ended the stream that has the call, or it broke.
    StreamEnded,
    /// The application of a ConversationRelay is there, said something, or is gone.
    RelayOpened,
    RelayHeard(String),
    RelayClosed {
        failure: Option<(u32, String)>,
        /// What is known of the session.
        params: Params,
    },
    /// The connector of a Pay is there; the month is counted since the year 0.
    PayOpened {
        month: u32,
    },
    /// There is no such connector, or it cannot do what is wanted.
    PayRefused(PayFailure),
    /// What the connector answered.
    Paid(PayOutcome),
    /// A recording that was asked for has ended; `None`: nothing but silence was in it.
    Recorded(Option<Params>),
    /// The dialled party is to be heard before it answers.
    EarlyMedia,
    /// The dialled party and this one hear each other.
    Bridged,
    /// All that was dialled has ended.
    DialEnded(Params),
    /// The conference has not begun, or this one is put on hold: wait with this.
    Waiting(Option<Source>),
    /// Nothing is to be waited for any more.
    Joined,
    /// Something is announced in the conference.
    Announce {
        source: Source,
        told: Told,
    },
    /// The conference is over for this one.
    LeftConference(Params),
    /// The place in the queue is taken.
    Enqueued,
    /// Somebody talks to the one who waited: at once, or when this has been heard.
    Dequeued {
        #[serde(default)]
        whisper: Option<Source>,
    },
    LeftQueue(Params),
    Texted(Params),
    /// What became of [`Output::Refer`].
    Referred(Params),
    HungUp,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Answer,
    /// Not to be answered at all.
    Reject {
        busy: bool,
    },
    HangUp,
    /// The document could not be had, and nobody has answered: the call fails.
    Fail,
    Fetch {
        id: u32,
        url: String,
        method: Method,
        params: Params,
    },
    /// Finds out whether this is sound, and how long.
    Media {
        id: u32,
        url: String,
    },
    Play {
        id: u32,
        sound: Sound,
    },
    Stop,
    Timer {
        id: u32,
        millis: u64,
    },
    /// A request whose answer is ignored.
    Post {
        url: String,
        method: Method,
        params: Params,
    },
    Alert {
        code: u32,
        message: String,
    },
    Record(Box<RecordPlan>),
    StopRecording,
    /// Records from here on, in the background: the element is `Recording`.
    StartRecording(Element),
    StopNamedRecording(Option<String>),
    /// The element is `Stream`, its URLs absolute.
    StartStream {
        noun: Element,
        is_bidirectional: bool,
    },
    /// Of this name, or all that were started.
    StopStream {
        name: Option<String>,
    },
    /// The element is `Transcription`.
    StartTranscription(Element),
    StopTranscription {
        name: Option<String>,
    },
    /// The element is `Siprec`.
    StartSiprec(Element),
    StopSiprec {
        name: Option<String>,
    },
    /// What is said is to be reported, or not any more.
    Listen(Option<Listening>),
    /// The element is `ConversationRelay`.
    OpenRelay(Element),
    /// A message for the application of the relay.
    Tell(String),
    /// The application is told that these words were interrupted.
    TellInterrupted {
        said: String,
    },
    CloseRelay {
        code: u16,
        reason: String,
    },
    /// A payment begins: from here on what is keyed in is secret.
    OpenPay(Box<Plan>),
    /// The connector is to be asked.
    Pay(Box<(Plan, Captured)>),
    /// Keys are no secrets any more.
    ClosePay,
    Dial(Box<DialPlan>),
    /// Lets this one hear the dialled party, which has not answered yet.
    HearDialled,
    /// Hangs up what was dialled; its end is told.
    EndDial,
    /// Joins a conference: the element is `Conference`, its URLs absolute.
    JoinConference(Element),
    LeaveConference,
    /// An announcement is over.
    Announced {
        url: String,
        told: Told,
        failure: Option<String>,
    },
    Enqueue(Box<EnqueuePlan>),
    LeaveQueue {
        result: &'static str,
    },
    /// The whisper has been heard: the two may talk.
    Meet,
    Text {
        to: Option<String>,
        from: Option<String>,
        body: String,
        status_callback: Option<String>,
    },
    /// Sends the caller to another address; what became of it is told.
    Refer {
        to: String,
    },
    /// The document of a [`Role`] other than a call's has come to its end.
    End,
}

pub(super) fn alert(code: u32, message: String) -> Output {
    Output::Alert { code, message }
}

pub(super) fn unsupported(name: &str) -> Output {
    alert(13750, format!("<{name}> needs media or a provider that this platform does not have yet"))
}

pub(super) fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

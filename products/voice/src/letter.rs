//! What can happen to a call, as it is written down until the call hears of it.

use contracts::LegEvent;
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use twiml::voice::payment::PayOutcome;
use twiml::voice::{Input, Source};

use crate::call::Hook;
use crate::dial::ChildNews;
use crate::listen::Transcribing;
use crate::pay::{Payment, PaymentStep};
use crate::recording::RecordSetup;
use crate::siprec::SiprecPlan;
use crate::stream::StreamPlan;
use crate::transfer::Transferred;

/// Something that happened to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub call: Sid,
    pub at: Timestamp,
    pub what: What,
}

/// What runs beside a call, in one process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Beside {
    Stream(Sid),
    Relay(Sid),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// An outbound call is to be placed.
    Place,
    /// An inbound call rings.
    Ring,
    Leg(LegEvent),
    /// The caller pressed keys, which are sealed.
    Keys {
        sealed: String,
    },
    Machine(Input),
    RingTimeout,
    TimeLimit,
    /// It is known whether a machine answered.
    Verdict,
    /// A dialled call tells who dialled it.
    Child {
        sid: Sid,
        news: ChildNews,
    },
    /// The dialled call may talk now.
    Bridge {
        room: String,
    },
    /// The dialled call is not needed any more, or its talk is over.
    Release,
    DialTimeLimit {
        winner: Sid,
    },
    DialTimeout,
    /// Somebody may be waiting in the queue now.
    TryQueue,
    /// Whoever waited in a queue is talked to.
    Taken {
        by: Sid,
        #[serde(default)]
        whisper: Option<Source>,
    },
    /// That talk is over.
    Returned,
    LeaveQueue {
        result: String,
        then: Option<Source>,
    },
    LeftConference {
        ends_call: bool,
    },
    /// The API wants the call recorded, and no longer.
    Record {
        recording: Sid,
        setup: RecordSetup,
    },
    StopRecord {
        recording: Sid,
    },
    PauseRecord {
        recording: Sid,
        skip: bool,
    },
    ResumeRecord {
        recording: Sid,
    },
    /// The API wants a stream, and no longer.
    StartStream(Box<StreamPlan>),
    StopStream {
        sid: Sid,
    },
    StartSiprec(Box<SiprecPlan>),
    StopSiprec {
        sid: Sid,
    },
    StartTranscription(Box<Transcribing>),
    StopTranscription {
        sid: Sid,
    },
    /// The application of a ConversationRelay is there, or said something.
    Relay {
        session: Sid,
        input: Input,
    },
    /// Somebody with whom this call talked wants it to go on so.
    Transferred(Box<Transferred>),
    /// What became of the transfer that this call wanted, as a SIP response.
    TransferOver {
        response: u16,
    },
    /// The other call of the one who transfers takes this one's party.
    HandOver,
    /// The session of a ConversationRelay is over.
    RelayClosed {
        session: Sid,
        failure: Option<(u32, String)>,
    },
    /// The API takes a payment.
    StartPayment(Box<Payment>),
    StepPayment {
        payment: Sid,
        key: String,
        callback: String,
        step: PaymentStep,
    },
    PaymentTimeout {
        payment: Sid,
        round: u32,
    },
    PaymentMade {
        payment: Sid,
        outcome: PayOutcome,
    },
    /// Who spoke in a conference is silent again.
    SpeechEnded,
    /// Something that the call waits for has failed for good.
    GiveUp,
    /// A stream or the session of a relay that should be here still.
    Look(Beside),
    /// The API says so.
    End {
        canceled: bool,
    },
    Replace {
        source: Source,
        fallback: Option<Hook>,
    },
}

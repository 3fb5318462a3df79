//! The seam between products and carriers: commands, events and ports.
//!
//! Types only, no logic. A product that needs another product, and a carrier
//! that must tell a product what happened, meet here and nowhere else.

mod account;
mod carrier;
mod clearing;
mod client;
mod content;
mod home;
mod line;
mod mail;
mod message;
mod notice;
mod number;
mod sip;
mod submission;
mod subscriber;
mod trust;
mod validation;
mod voice;

use std::future::Future;
use std::pin::Pin;

pub use account::{AccountDirectory, AccountFacts};
pub use carrier::{CarrierNotes, ConfigError, NotesError, Turn};
pub use clearing::Clearing;
pub use client::{ClientGrant, ClientRefusal, ClientTokens};
pub use content::{ContentApproval, ContentDirectory, ContentTemplate};
pub use home::{HOMES_OF_CLIENTS, Homes, client_of_home, home_of_leg, homes_of_client};
pub use line::{Line, LineKind, Lines};
pub use mail::{
    InboundMail, MailAttempt, MailCarrier, MailDns, MailNames, MailRefusal, MailRelay, MailSink,
    OutboundMail, RelayRefusal, Shown, Visit,
};
pub use message::{
    InboundMedia, InboundMessage, InboundOutcome, MessageCarrier, MessageContent, MessageContents,
    MessageSink, OutboundMedia, OutboundMessage, Place, Receipt, ReceiptStatus, Submission, Tap,
};
pub use notice::{
    Notice, NoticeChannel, NoticeError, NoticeOutcome, NoticeSender, NoticeSink, NoticeTemplate,
    Speech,
};
pub use number::{CallRoute, InboundRoute, NumberDirectory, NumberOwner, OwnedNumber};
pub use sip::{
    DialingPermissions, DialingRisk, IpBlock, SipAccess, SipDirectory, SipPlace, SipPlaceKind,
    SipPurpose, SipTarget, SipTransfers, TransferMode,
};
pub use submission::{
    ApplicationLink, BindAccount, BindDirectory, MessageSubmission, SubmissionRefusal,
    SubmissionStatus, SubmittedMessage,
};
pub use subscriber::{Caller, LineStatus, Person, Pumping, Subscriber, Subscribers};
pub use trust::{TrustBundle, TrustDirectory};
pub use validation::ValidationCalls;
pub use voice::{
    AnsweredBy, CallDoor, CallExtras, CallNetwork, Detection, Ending, InboundCall, Item, LegEvent,
    LegReport, Listening, Order, OutboundCall, Part, Recogniser, Signal, SiprecSetup, SoundFiles,
    Speaker, StreamNews, StreamSetup, Tracks, Transfer, Utterance, Verdict, VoiceCarrier,
    VoiceSink,
};

/// What ports answer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A port could not answer now; the caller tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

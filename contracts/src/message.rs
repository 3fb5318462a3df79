//! Text messages between Messaging and the carriers.

use kernel::{Sid, Timestamp};

use crate::{BoxFuture, Unavailable};

/// Media of an outbound message, already fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMedia {
    pub content_type: String,
    /// Where the platform serves it.
    pub url: String,
}

/// A message for a carrier. Submitting the same `sid` twice must not deliver twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMessage {
    pub account: Sid,
    pub sid: Sid,
    pub from: String,
    pub to: String,
    pub body: String,
    pub segments: u32,
    pub media: Vec<OutboundMedia>,
    /// On WhatsApp: buttons, lists and the like; JSON of `template::WhatsAppMessage`.
    pub rich: Option<String>,
}

/// What the nearest hop said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// The carrier has it; receipts may follow.
    Accepted,
    /// It will never take it; the code is a 30xxx of the error table.
    Refused { code: u32 },
    /// Not now.
    Busy(Unavailable),
    /// Not on this node: on the one that has this lease.
    Elsewhere(&'static str),
}

/// A network that carries messages.
pub trait MessageCarrier: Send + Sync {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission>;
}

/// What became of a submitted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptStatus {
    Delivered,
    /// A 30xxx of the error table.
    Undelivered {
        code: u32,
    },
    Read,
}

/// A delivery receipt. May come twice, late, or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub account: Sid,
    pub sid: Sid,
    pub status: ReceiptStatus,
    /// When the handset had it.
    pub done_at: Timestamp,
}

/// Media of an inbound message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundMedia {
    pub content_type: String,
    pub bytes: Vec<u8>,
}

/// A message from a handset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InboundMessage {
    pub from: String,
    pub to: String,
    pub body: String,
    pub media: Vec<InboundMedia>,
    /// What was tapped to say it.
    pub tap: Option<Tap>,
    /// What its user is called on the channel.
    pub profile_name: Option<String>,
    /// Where its user is, if that is what it tells.
    pub place: Option<Place>,
    /// TwiML that answers it in the application's place: of a simulated handset, to try a document.
    pub document: Option<String>,
}

/// A place on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
    pub label: Option<String>,
    pub address: Option<String>,
}

/// A button, or a row of a list, of an earlier message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    pub text: String,
    /// What the sender gave it as its id.
    pub payload: String,
    pub is_row: bool,
}

/// What became of an inbound message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboundOutcome {
    /// Stored under this SID in this account.
    Received { account: Sid, sid: Sid },
    /// Nobody owns the number.
    NoSuchNumber,
}

/// Implemented by Messaging; called by carriers.
pub trait MessageSink: Send + Sync {
    fn receipt<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Accepts durably before it answers.
    fn inbound<'a>(
        &'a self,
        message: &'a InboundMessage,
    ) -> BoxFuture<'a, Result<InboundOutcome, Unavailable>>;
}

/// What was said in a message, for those who are told that something became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageContent {
    /// Empty when it was redacted.
    pub body: String,
    pub segments: i64,
    pub media: i64,
    pub service: Option<String>,
}

/// Looks messages up.
pub trait MessageContents: Send + Sync {
    /// `None` when the account has no such message, or no longer.
    fn content(
        &self,
        account: Sid,
        message: Sid,
    ) -> BoxFuture<'_, Result<Option<MessageContent>, Unavailable>>;
}

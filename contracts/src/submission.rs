//! Messages that applications hand to a carrier instead of the API.
//!
//! An application that binds to a carrier's listener submits through
//! [`MessageSubmission`]; what becomes of its messages, and what is sent to its
//! numbers, goes back to it through [`ApplicationLink`].

use kernel::{Sid, Timestamp};

use crate::{BoxFuture, InboundMessage, ReceiptStatus, Unavailable};

/// A message from a bound application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedMessage {
    pub account: Sid,
    /// E.164, short code or alphanumeric, as the application wrote it.
    pub from: String,
    pub to: String,
    pub body: String,
    /// After this it need not be sent any more; may be in the past.
    pub valid_until: Option<Timestamp>,
}

/// Why a submission was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmissionRefusal {
    /// It will never be; the code is a row of the error table.
    Refused { code: u32 },
    /// Not now; nothing was accepted.
    Busy(Unavailable),
}

/// Implemented by Messaging.
pub trait MessageSubmission: Send + Sync {
    /// Accepts durably before it answers with the message's SID.
    fn send<'a>(
        &'a self,
        message: &'a SubmittedMessage,
    ) -> BoxFuture<'a, Result<Sid, SubmissionRefusal>>;
}

/// Who may bind under a name.
#[derive(Clone, PartialEq, Eq)]
pub struct BindAccount {
    pub account: Sid,
    pub password: String,
    /// Sessions of this name at once, 1 or more.
    pub sessions_max: u32,
    /// Messages per second and session; 0 is no limit.
    pub rate_per_second: u32,
}

/// The names under which applications bind.
pub trait BindDirectory: Send + Sync {
    /// `None`: nobody binds under this name. The carrier compares the password.
    fn bind_account<'a>(
        &'a self,
        system_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<BindAccount>, Unavailable>>;
}

/// What became of a submitted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionStatus {
    pub sid: Sid,
    pub status: ReceiptStatus,
    pub at: Timestamp,
}

/// The way back to bound applications. Implemented by carriers that listen.
pub trait ApplicationLink: Send + Sync {
    /// The lease of the node that applications are bound to, when it is not this one.
    fn elsewhere(&self) -> Option<&'static str> {
        None
    }

    /// A final status. One of a message that no application submitted here is ignored,
    /// so that all may be passed. Kept durably before it answers.
    fn status<'a>(&'a self, status: &'a SubmissionStatus)
    -> BoxFuture<'a, Result<(), Unavailable>>;

    /// A message to a number of the application `system_id`. Kept durably before it
    /// answers, and delivered when the application is bound.
    fn deliver<'a>(
        &'a self,
        system_id: &'a str,
        message: &'a InboundMessage,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;
}

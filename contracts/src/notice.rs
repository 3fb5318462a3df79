//! Short notices to one person: a login code, an alarm. Whoever can reach people
//! on a channel sends them for products that cannot.

use std::collections::BTreeMap;

use kernel::Sid;
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, Unavailable};

/// How a notice reaches its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeChannel {
    Sms,
    WhatsApp,
    /// Spoken.
    Call,
    Email,
}

/// What to tell whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub account: Sid,
    /// The asker's own SID for it. Sending the same one twice sends once.
    pub reference: Sid,
    pub channel: NoticeChannel,
    /// E.164, or a mail address.
    pub to: String,
    /// The sender to use; `None` leaves it to the platform.
    pub from: Option<String>,
    /// Of a mail only.
    pub subject: Option<String>,
    pub text: String,
    /// Of a mail only.
    pub html: Option<String>,
    /// Of a call only: how it is said.
    pub speech: Option<Speech>,
    /// Of a mail only: a template of the account's, which takes the place of the texts.
    pub template: Option<NoticeTemplate>,
}

/// A template and what fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeTemplate {
    pub id: String,
    pub data: BTreeMap<String, String>,
}

/// How a text is said in a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speech {
    pub language: Option<String>,
    pub voice: Option<String>,
    /// Dialled when somebody answers: an extension.
    pub digits: Option<String>,
    /// Said first; the text follows when a key is pressed.
    pub prompt: Option<String>,
}

/// Why a notice was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeError {
    /// It will never be: a code of the error table.
    Refused { code: u32 },
    /// Not now.
    Unavailable(Unavailable),
}

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    Sent,
    Delivered,
    /// A code of the error table.
    Failed {
        code: u32,
    },
}

/// Implemented by Messaging, Email and Voice, each for its channels.
pub trait NoticeSender: Send + Sync {
    /// Accepts durably before it answers.
    fn send<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), NoticeError>>;

    /// Whether a notice may name this template: it is there, and shows one of `needed`.
    ///
    /// # Errors
    /// 60218 for one that is not there, 60219 for one that shows none of them.
    fn check_template<'a>(
        &'a self,
        _account: Sid,
        _id: &'a str,
        _needed: &'a [&'a str],
    ) -> BoxFuture<'a, Result<(), NoticeError>> {
        Box::pin(async { Err(NoticeError::Refused { code: 60218 }) })
    }
}

/// Implemented by who asks. Outcomes may come twice, late, or never.
pub trait NoticeSink: Send + Sync {
    fn outcome(
        &self,
        account: Sid,
        reference: Sid,
        outcome: NoticeOutcome,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;
}

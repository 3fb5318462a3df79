//! Mail between Email and the carriers.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// One mail for one reader. Delivering the same `id` twice must not show it twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMail {
    pub account: Sid,
    /// The `sg_message_id`: the mail and its reader.
    pub id: String,
    /// The envelope: where bounces go, and whom it is for.
    pub envelope_from: String,
    pub to: String,
    /// 1 for the first.
    pub attempt: u32,
    /// The whole message (RFC 5322), signed where there is a key.
    pub message: Vec<u8>,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailAttempt {
    /// The reader's server has it. `response` is what it said.
    Delivered { response: String, ip: Option<String>, tls: bool },
    /// Not now: greylisted, overloaded, out of reach.
    Deferred { response: String, ip: Option<String> },
    /// It will never take it.
    Refused(MailRefusal),
    /// Nothing was tried: the carrier is at its bound of connections.
    Busy(Unavailable),
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRefusal {
    /// Enhanced status (RFC 3463), as `5.1.1`.
    pub status: String,
    pub reason: String,
    pub ip: Option<String>,
    /// It is the message or the sender that was refused, not the address.
    pub is_block: bool,
}

/// A network that carries mail; tries once, the caller tries again.
pub trait MailCarrier: Send + Sync {
    fn deliver<'a>(&'a self, mail: &'a OutboundMail) -> BoxFuture<'a, MailAttempt>;
}

/// Who follows a link of a mail, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// The path of the link behind the public URL, query left out.
    pub path: String,
    pub user_agent: String,
    pub ip: String,
    /// A POST with `List-Unsubscribe=One-Click` (RFC 8058), or of the page's own form.
    pub is_post: bool,
}

/// What a visitor is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A transparent picture.
    Pixel,
    Redirect(String),
    /// Text of a page, and whether it has the button that unsubscribes.
    Page {
        text: &'static str,
        button: bool,
    },
    /// No link of ours.
    Nothing,
}

/// A mail that came from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundMail {
    /// Empty for bounces.
    pub envelope_from: String,
    pub to: Vec<String>,
    pub message: Vec<u8>,
    pub ip: String,
}

/// Implemented by Email; called by carriers.
pub trait MailSink: Send + Sync {
    /// Somebody follows a link of a mail: its picture, a link, the way out.
    fn visit<'a>(&'a self, visit: &'a Visit) -> BoxFuture<'a, Result<Shown, Unavailable>>;

    /// The reader called it spam.
    fn complaint<'a>(&'a self, account: Sid, id: &'a str)
    -> BoxFuture<'a, Result<(), Unavailable>>;

    /// A bounce that came after the mail had been taken.
    fn bounce<'a>(
        &'a self,
        account: Sid,
        id: &'a str,
        refusal: &'a MailRefusal,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Whether anybody here takes mail for this address.
    fn takes<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Accepts durably before it answers; for addresses of which [`MailSink::takes`] is true.
    fn inbound<'a>(&'a self, mail: &'a InboundMail) -> BoxFuture<'a, Result<(), Unavailable>>;
}

/// Why a relay did not take a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayRefusal {
    /// It will never: what to tell the client.
    Refused(String),
    /// Not now.
    Busy(Unavailable),
}

/// Mail that programs hand over by SMTP instead of the API. Implemented by Email.
pub trait MailRelay: Send + Sync {
    /// The account behind an API key that may send; `None` when it opens nothing.
    fn login<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>>;

    /// Accepts durably before it answers with the mail's id.
    fn relay<'a>(
        &'a self,
        account: Sid,
        recipients: &'a [String],
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<String, RelayRefusal>>;
}

/// The names under which Email is found from outside: of API keys, of domains that take mail.
/// Each is some account's.
pub trait MailNames: Send + Sync {
    /// The account that holds `value` under `name`, in the table of claims.
    fn holder<'a>(
        &'a self,
        name: &'static str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>>;

    /// Who adopts what nobody holds (development profile).
    fn main_account(&self) -> BoxFuture<'_, Result<Sid, Unavailable>>;
}

/// Looks up what domains publish.
pub trait MailDns: Send + Sync {
    /// The TXT records of a name, each as one text; none when there is no such name.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unavailable>>;
}

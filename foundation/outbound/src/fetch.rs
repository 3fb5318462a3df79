//! What is asked for, and what came of it.

use std::fmt;

use kernel::Timestamp;

/// The largest TwiML document, in bytes (Twilio error 11750).
pub const TWIML_BYTES_MAX: usize = 64 * 1024;

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The method as written in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// True when parameters travel in a body; otherwise they are added to the query.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// What is sent along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    #[default]
    None,
    /// Decoded names and values, in the order they are sent.
    Form(Vec<(String, String)>),
    /// A JSON document, sent as it is. A signed URL gets `bodySHA256` added. Not sent with
    /// a method that has no body.
    Json(Vec<u8>),
}

/// Why something is fetched; it decides what an answer that is too large means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A document that will be read: too large is 11750.
    #[default]
    Document,
    /// A notification whose answer nobody reads: what is too large is cut.
    Callback,
    /// A media file: too large is 11751.
    Media,
}

/// One request of an application's URL, as Twilio makes it.
#[derive(Clone)]
pub struct Fetch {
    /// As configured, with connection overrides in the fragment.
    pub url: String,
    pub method: Method,
    pub payload: Payload,
    /// Signs the request when set: the primary token of the account that owns the resource.
    pub auth_token: Option<String>,
    /// The largest answer in bytes.
    pub body_bytes_max: usize,
    /// Requests of one scope share cookies; none are kept or sent without one.
    pub cookie_scope: Option<String>,
    /// `I-Twilio-Idempotency-Token`, the same on every attempt; a random UUID when `None`.
    pub idempotency_token: Option<String>,
    pub purpose: Purpose,
}

impl Fetch {
    /// An unsigned POST of nothing, for a document of at most [`TWIML_BYTES_MAX`].
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: Method::Post,
            payload: Payload::None,
            auth_token: None,
            body_bytes_max: TWIML_BYTES_MAX,
            cookie_scope: None,
            idempotency_token: None,
            purpose: Purpose::Document,
        }
    }
}

/// What the last server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order received; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The `Content-Type` header as sent.
    pub content_type: Option<String>,
    /// At most the limit of the request; transfer coding removed, content coding not.
    pub body: Vec<u8>,
    /// The URL that answered, after redirects: the base for relative URLs in the document.
    /// Without fragment, with userinfo.
    pub final_url: String,
    /// Every request made, in order; never empty, except inside a [`FetchFailure`], which
    /// holds them itself.
    pub attempts: Vec<Attempt>,
}

impl Answer {
    /// The first header of that name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }
}

/// Why there is no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFailure {
    /// A row of the error table: 11100 11200–11206 11210 11215 11220 11235–11237 11240 11243
    /// 11750 11751.
    pub code: u32,
    /// One sentence for the owner of the URL; holds no password.
    pub message: String,
    /// What was answered, when a server did: a status of 400 or above, or a body that is too
    /// large, cut at the limit.
    pub answer: Option<Box<Answer>>,
    /// Every request made, in order; empty when none could be.
    pub attempts: Vec<Attempt>,
}

impl fmt::Display for FetchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for FetchFailure {}

/// One request on one connection, as a console shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// As sent; a password in it is replaced by `***`.
    pub url: String,
    pub method: Method,
    /// As sent, in order; the value of `Authorization` is replaced by `***`.
    pub request_headers: Vec<(String, String)>,
    /// The first 16 KiB.
    pub request_body: Vec<u8>,
    /// `None` when no answer began.
    pub status: Option<u16>,
    pub response_headers: Vec<(String, String)>,
    /// The first 16 KiB; empty for a redirect, whose body is not read.
    pub response_body: Vec<u8>,
    /// By the platform's clock.
    pub started: Timestamp,
    /// From before the name lookup to the last byte.
    pub duration_ms: u64,
    /// Why the exchange failed, if it did.
    pub error: Option<String>,
}

pub(crate) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

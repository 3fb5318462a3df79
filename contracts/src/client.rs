//! Phones that are programs: who may be one, and as whom.

use kernel::{Sid, Timestamp};

use crate::{BoxFuture, Unavailable};

/// What an access token with a voice grant allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientGrant {
    pub account: Sid,
    /// Calls to `client:{identity}` ring here.
    pub identity: String,
    /// Whether calls come to it at all.
    pub may_be_called: bool,
    /// The TwiML application (`AP…`) that says what its own calls do.
    pub application: Option<Sid>,
    /// Sent along with its own calls.
    pub params: Vec<(String, String)>,
    pub expires: Timestamp,
}

/// Why a token is not taken (201xx).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRefusal {
    pub code: u32,
    pub message: String,
}

/// Reads access tokens.
pub trait ClientTokens: Send + Sync {
    /// The grant of a token, its signature checked.
    fn voice_grant<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Result<ClientGrant, ClientRefusal>, Unavailable>>;
}

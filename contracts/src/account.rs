//! What other parts need to know of an account.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// The facts that signing and sending depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    pub sid: Sid,
    /// The account itself when it is a main account.
    pub owner: Sid,
    /// Neither suspended nor closed, and its owner neither.
    pub is_active: bool,
    /// Primary auth token: signs this account's webhooks.
    pub auth_token: String,
}

/// Implemented by the accounts product.
pub trait AccountDirectory: Send + Sync {
    /// `None` when there is no such account.
    fn facts(&self, account: Sid) -> BoxFuture<'_, Result<Option<AccountFacts>, Unavailable>>;
}

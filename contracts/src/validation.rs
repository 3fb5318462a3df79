//! The call that asks for a validation code.

use crate::{BoxFuture, Unavailable};

/// Implemented by whoever carries calls.
pub trait ValidationCalls: Send + Sync {
    /// Calls `number` and asks for `code`. True when it was entered.
    fn place<'a>(
        &'a self,
        number: &'a str,
        code: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;
}

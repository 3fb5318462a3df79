//! Forgetting in time.

use kernel::{Sid, Timestamp};

use crate::{BoxFuture, Unavailable};

/// Implemented by products whose rows pile up; called for each account, again and again.
pub trait Clearing: Send + Sync {
    /// Deletes a bounded part of what ended before `before`; true when there may be more. What is
    /// under way stays, however old it is.
    fn clear(&self, account: Sid, before: Timestamp) -> BoxFuture<'_, Result<bool, Unavailable>>;
}

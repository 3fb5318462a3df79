//! Who an account's customers are, as far as it has been reviewed.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// A customer profile or trust product, as registrations need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// True for a customer profile, false for a trust product.
    pub is_customer_profile: bool,
    /// Its policy is for one person's business.
    pub is_sole_proprietor: bool,
    pub friendly_name: String,
    /// Reviewed, and not rejected.
    pub is_approved: bool,
}

/// Implemented by the trust product.
pub trait TrustDirectory: Send + Sync {
    /// The bundle `BU…` of `account`; `None` when it has none of this SID.
    fn bundle<'a>(
        &'a self,
        account: Sid,
        bundle: &'a str,
    ) -> BoxFuture<'a, Result<Option<TrustBundle>, Unavailable>>;
}

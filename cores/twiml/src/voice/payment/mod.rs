//! What a payment by telephone is made of, whoever asks for it: the `Pay` verb or the Payments API.
//!
//! [`Plan`] is what is wanted, [`Captured`] what the payer has keyed in. What was keyed in is never
//! written with the rest: it is not serialized where a [`Captured`] is marked to be skipped, shows
//! nothing when it is printed, and whoever keeps it seals it.

mod captured;
mod card;
mod plan;

pub use captured::{Captured, Field};
pub use card::CardType;
pub use plan::{PaymentMethod, Plan, Postal};

use serde::{Deserialize, Serialize};

use super::talk::Params;

/// A payment that a connector did not make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayFailure {
    /// 64xxx.
    pub code: u32,
    pub why: String,
    /// What the connector said, where it said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// What a connector answered: the token or the confirmation, as requests name them.
pub type PayOutcome = Result<Params, PayFailure>;

/// How a failure is told.
pub fn failure_params(failure: &PayFailure) -> Params {
    let mut params = vec![
        ("PayErrorCode".to_owned(), failure.code.to_string()),
        ("PaymentError".to_owned(), failure.why.clone()),
    ];
    params.extend(failure.said.clone().map(|said| ("ConnectorError".to_owned(), said)));
    params
}

//! The template that Twilio's WhatsApp examples name: every account has it, approved, from the
//! moment it is first asked for.

use clock::Clock;
use serde_json::{Value as Json, json};
use store::{AccountStore, StoreError};

use crate::approval::FIELD;
use crate::lifecycle::{Approval, Status};
use crate::resource::KIND;

/// Its SID, in every account.
const SID: &str = "HXb5a6e1d5cf90e031b3c87934b78a571a";

/// Adds the sample to the account if `asked` is it.
pub(crate) async fn seed(
    store: &AccountStore,
    clock: &Clock,
    asked: &str,
) -> Result<bool, StoreError> {
    if asked != SID {
        return Ok(false);
    }
    let approval = Approval {
        name: "sample_appointment".to_owned(),
        category: "UTILITY".to_owned(),
        content_type: "twilio/text".to_owned(),
        status: Status::Approved,
        rejection_reason: String::new(),
        allow_category_change: true,
    };
    let fields = json!({
        "friendly_name": "sample_appointment",
        "language": "en",
        "variables": {"1": "12/1", "2": "3pm"},
        "types": {"twilio/text": {
            "body": "Your appointment is on {{1}} at {{2}}. Answer this message to change it.",
        }},
        FIELD: approval,
    });
    let Json::Object(fields) = fields else { unreachable!("it is written as an object") };
    let mut batch = store.batch();
    rest::insert(&mut batch, KIND, "", SID, &fields, clock.now());
    match store.commit(batch).await {
        Ok(_) | Err(StoreError::Duplicate(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

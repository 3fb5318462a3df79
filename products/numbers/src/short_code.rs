//! `/SMS/ShortCodes` (messaging §20). Short codes are leased outside the API; the
//! operator adds them ([`Numbers::add_short_code`]), the API configures them.

use kernel::Sid;
use rest::{Field, Op, Param, Resource, Table, Wire};
use serde_json::json;
use store::StoreError;

use crate::Numbers;

pub(crate) const KIND: &str = "ShortCode";

const UPDATE: &[Param] = &[
    Param::text("FriendlyName", 64).code(20002),
    Param::one_of("ApiVersion", &["2010-04-01", "2008-08-01"]),
    Param::url("SmsUrl"),
    Param::method("SmsMethod"),
    Param::url("SmsFallbackUrl"),
    Param::method("SmsFallbackMethod"),
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::text("short_code"),
    Field::sid("sid", &["SC"]),
    Field::new("sms_fallback_method", Wire::Method),
    Field::new("sms_fallback_url", Wire::Url),
    Field::new("sms_method", Wire::Method),
    Field::new("sms_url", Wire::Url),
    Field::text("uri"),
];

pub static SHORT_CODE: Resource<Numbers> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/SMS/ShortCodes",
        "/2010-04-01/Accounts/{AccountSid}/SMS/ShortCodes/{Sid}",
    )
    .key("short_codes")
    .sid("SC")
    .fields(FIELDS),
    ops: &[
        Op::list(&[Param::text("FriendlyName", 64), Param::text("ShortCode", 6)]),
        Op::fetch(),
        Op::update(UPDATE),
    ],
};

impl Numbers {
    /// Gives `account` a short code of 3 to 6 digits.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when another account has it.
    pub async fn add_short_code(&self, account: Sid, code: &str) -> Result<Sid, StoreError> {
        let sid = self.clock.sid("SC");
        let body = json!({
            "short_code": code, "friendly_name": code, "api_version": "2010-04-01",
            "sms_url": null, "sms_method": "POST", "sms_fallback_url": null,
            "sms_fallback_method": "POST",
        });
        self.insert(account, KIND, sid, code, body).await?;
        Ok(sid)
    }
}

//! `/v2/Services` (verify §1): what a program's verifications are like.

use kernel::ApiError;
use rest::{Access, Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Verb, Wire};
use serde_json::{Value as Json, json};
use store::AccountStore;

use crate::Verify;
use crate::faults::{failed, invalid};

pub(crate) const KIND: &str = "VerifyService";

const ATTACHMENTS: &[&str] = &["platform", "cross-platform", "any"];
const PREFERENCES: &[&str] = &["required", "preferred", "discouraged"];
/// Channels that a fallback policy may have.
const FALLBACKS: &[&str] = &["sms", "call", "whatsapp", "email"];
/// Seconds until the next channel of a fallback policy is tried.
const FALLBACK_DELAY: i64 = 30;

const fn text(name: &'static str, max: u32) -> Param {
    Param::text(name, max).code(60200)
}

const fn flag(name: &'static str) -> Param {
    Param::boolean(name).code(60200).default("false")
}

const fn number(name: &'static str, min: i64, max: i64) -> Param {
    Param::integer(name, min, max).code(60200)
}

const CREATE: &[Param] = &settings(text("FriendlyName", 32).required(60200));
const UPDATE: &[Param] = &settings(text("FriendlyName", 32));

/// Both operations take the same, but for whether a name is needed.
const fn settings(name: Param) -> [Param; 29] {
    [
        name,
        number("CodeLength", 4, 10).default("6"),
        flag("LookupEnabled"),
        flag("SkipSmsToLandlines"),
        flag("DtmfInputRequired").default("true"),
        text("TtsName", 64),
        flag("Psd2Enabled"),
        flag("DoNotShareWarningEnabled"),
        flag("CustomCodeEnabled"),
        flag("Push.IncludeDate"),
        Param::sid("Push.ApnCredentialSid", &["CR"]).code(60200),
        Param::sid("Push.FcmCredentialSid", &["CR"]).code(60200),
        text("Totp.Issuer", 64),
        number("Totp.TimeStep", 20, 60),
        number("Totp.CodeLength", 3, 8),
        number("Totp.Skew", 0, 2),
        Param::sid("DefaultTemplateSid", &["HJ"]).code(60200),
        Param::sid("Whatsapp.MsgServiceSid", &["MG"]).code(60200),
        text("Whatsapp.From", 64),
        text("Passkeys.RelyingParty.Id", 253),
        text("Passkeys.RelyingParty.Name", 64),
        text("Passkeys.RelyingParty.Origins", 2048),
        Param::one_of("Passkeys.AuthenticatorAttachment", ATTACHMENTS).code(60200),
        Param::one_of("Passkeys.DiscoverableCredentials", PREFERENCES).code(60200),
        Param::one_of("Passkeys.UserVerification", PREFERENCES).code(60200),
        flag("VerifyEventSubscriptionEnabled"),
        flag("FraudGuardEnabled").default("true"),
        text("Fallback.Channels", 64),
        number("Fallback.Delay", 5, 600).default("30"),
    ]
}

const FIELDS: &[Field] = &[
    Field::sid("sid", &["VA"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::new("code_length", Wire::Integer(4, 10)).empty("6"),
    Field::new("lookup_enabled", Wire::Boolean).empty("false"),
    Field::new("psd2_enabled", Wire::Boolean).empty("false"),
    Field::new("skip_sms_to_landlines", Wire::Boolean).empty("false"),
    Field::new("dtmf_input_required", Wire::Boolean).empty("true"),
    Field::text("tts_name"),
    Field::new("do_not_share_warning_enabled", Wire::Boolean).empty("false"),
    Field::new("custom_code_enabled", Wire::Boolean).empty("false"),
    Field::new("push", Wire::Json),
    Field::new("totp", Wire::Json),
    Field::new("whatsapp", Wire::Json),
    Field::new("passkeys", Wire::Json),
    Field::sid("default_template_sid", &["HJ"]),
    Field::new("verify_event_subscription_enabled", Wire::Boolean).empty("false"),
    Field::new("fraud_guard_enabled", Wire::Boolean).empty("true"),
    Field::new("fallback", Wire::Json),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
    Field::new("links", Wire::UriMap),
];

pub static SERVICE: Resource<Verify> = Resource {
    table: Table::product(KIND, "verify", "/v2/Services", "/v2/Services/{Sid}")
        .key("services")
        .sid("VA")
        .fields(FIELDS)
        .access(Access::Keys("verify/services"))
        .adoptable()
        .links(&[
            ("verification_checks", "/VerificationCheck"),
            ("verifications", "/Verifications"),
            ("rate_limits", "/RateLimits"),
            ("messaging_configurations", "/MessagingConfigurations"),
            ("entities", "/Entities"),
            ("webhooks", "/Webhooks"),
            ("access_tokens", "/AccessTokens"),
        ]),
    ops: &[
        Op::create(CREATE).with(|_, _, draft| Box::pin(async { complete(draft) })),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|_, _, draft| Box::pin(async { complete(draft) })),
        Op::delete().with(|_, _, draft| {
            Box::pin(async {
                forget(draft);
                Ok(())
            })
        }),
    ],
};

/// Checks the settings together, and puts those of one kind in one object.
///
/// # Errors
/// 60200 for a name that cannot be said, an unknown template, or a fallback that is none.
// Differs: names of 31 and 32 characters are taken; the voice of TtsName is kept, and simulated
// calls have none.
fn complete(draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Update && draft.fields.get("friendly_name") == Some(&json!("")) {
        return Err(invalid("FriendlyName", "it cannot be empty"));
    }
    check_name("FriendlyName", draft.text("friendly_name").unwrap_or_default())?;
    for (field, usual) in [
        ("code_length", json!(6)),
        ("dtmf_input_required", json!(true)),
        ("fraud_guard_enabled", json!(true)),
        ("fallback_delay", json!(FALLBACK_DELAY)),
    ] {
        if draft.fields.get(field).is_none_or(Json::is_null) {
            draft.set(field, usual);
        }
    }
    if let Some(template) = draft.text("default_template_sid")
        && crate::template::by_sid(template).is_none()
    {
        return Err(ApiError::new(60228, format!("There is no template {template}")));
    }
    let channels = split(draft.text("fallback_channels").unwrap_or_default());
    if let Some(unknown) = channels.iter().find(|name| !FALLBACKS.contains(&name.as_str())) {
        let why = format!("{unknown} is none of {}", FALLBACKS.join(", "));
        return Err(invalid("Fallback.Channels", &why));
    }
    let origins = split(draft.text("passkeys_relying_party_origins").unwrap_or_default());
    let value = |field: &str| match draft.fields.get(field) {
        None => Json::Null,
        Some(value) if value == "" => Json::Null,
        Some(value) => value.clone(),
    };
    let origins = if origins.is_empty() { Json::Null } else { json!(origins) };
    let push = json!({
        "include_date": value("push_include_date") == json!(true),
        "apn_credential_sid": value("push_apn_credential_sid"),
        "fcm_credential_sid": value("push_fcm_credential_sid"),
    });
    let totp = json!({
        "issuer": value("totp_issuer"),
        "time_step": value("totp_time_step"),
        "code_length": value("totp_code_length"),
        "skew": value("totp_skew"),
    });
    let whatsapp = json!({
        "msg_service_sid": value("whatsapp_msg_service_sid"),
        "from": value("whatsapp_from"),
    });
    let passkeys = json!({
        "relying_party": {
            "id": value("passkeys_relying_party_id"),
            "name": value("passkeys_relying_party_name"),
            "origins": origins,
        },
        "authenticator_attachment": value("passkeys_authenticator_attachment"),
        "discoverable_credentials": value("passkeys_discoverable_credentials"),
        "user_verification": value("passkeys_user_verification"),
    });
    let fallback = match channels.is_empty() {
        true => Json::Null,
        false => json!({"channels": channels, "delay": value("fallback_delay")}),
    };
    let (voice, template) = (value("tts_name"), value("default_template_sid"));
    for (field, object) in [
        ("tts_name", voice),
        ("default_template_sid", template),
        ("push", push),
        ("totp", totp),
        ("whatsapp", whatsapp),
        ("passkeys", passkeys),
        ("fallback", fallback),
    ] {
        draft.set(field, object);
    }
    Ok(())
}

/// Everything below a service goes with it; its verifications stay as attempts.
fn forget(draft: &mut Draft) {
    let sid = draft.sid.clone();
    draft.batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND (parent = $2 OR parent LIKE $3)",
        vec![sid.as_str().into(), format!("{sid}/%").into()],
    );
    draft.batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid LIKE $2",
        vec![format!("{sid}/%").into()],
    );
}

fn split(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A name goes into what is said: letters, digits, spaces, `-` and `_`, and four digits at most,
/// so that it cannot be a number or an address.
///
/// # Errors
/// 60200.
pub(crate) fn check_name(param: &str, name: &str) -> Result<(), ApiError> {
    let odd = name.chars().find(|c| !(c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')));
    if let Some(odd) = odd {
        let why = format!("{odd:?} is not allowed: letters, digits, spaces, - and _ are");
        return Err(invalid(param, &why));
    }
    if name.chars().filter(char::is_ascii_digit).count() > 4 {
        return Err(invalid(param, "more than four digits"));
    }
    if name.chars().count() > 32 {
        return Err(invalid(param, "more than 32 characters"));
    }
    Ok(())
}

/// A service as verifications need it.
pub(crate) struct Service(pub Doc);

impl Service {
    /// The service of the path's `ServiceSid`.
    ///
    /// # Errors
    /// 20404 when the account has no such service.
    pub async fn of(ctx: &Ctx) -> Result<Self, ApiError> {
        let sid = ctx.param("ServiceSid");
        let found = Self::load(&ctx.store, sid).await.map_err(failed(ctx))?;
        found.ok_or_else(|| ctx.not_found())
    }

    pub async fn load(store: &AccountStore, sid: &str) -> Result<Option<Self>, store::StoreError> {
        Ok(rest::load(store, KIND, "", sid).await?.map(Self))
    }

    pub fn sid(&self) -> &str {
        &self.0.sid
    }

    pub fn name(&self) -> &str {
        self.0.text("friendly_name").unwrap_or("Verify")
    }

    pub fn flag(&self, field: &str) -> bool {
        self.0.fields.get(field).and_then(Json::as_bool).unwrap_or(false)
    }

    /// On unless it was switched off, also for services that were adopted.
    pub fn guards(&self) -> bool {
        self.0.fields.get("fraud_guard_enabled").and_then(Json::as_bool).unwrap_or(true)
    }

    pub fn asks_for_key(&self) -> bool {
        self.0.fields.get("dtmf_input_required").and_then(Json::as_bool).unwrap_or(true)
    }

    pub fn code_length(&self) -> usize {
        let length = self.0.fields.get("code_length").and_then(Json::as_u64).unwrap_or(6);
        usize::try_from(length).unwrap_or(6).clamp(4, 10)
    }

    pub fn integer(&self, field: &str) -> Option<i64> {
        self.0.fields.get(field).and_then(Json::as_i64)
    }

    /// The channel that a fallback policy tries after `channel`, and how many seconds later.
    pub fn fallback(&self, channel: &str) -> Option<(String, u64)> {
        let channels = split(self.0.text("fallback_channels").unwrap_or_default());
        let at = channels.iter().position(|known| known == channel)?;
        let delay = self.integer("fallback_delay").unwrap_or(FALLBACK_DELAY);
        Some((channels.get(at + 1)?.clone(), u64::try_from(delay).unwrap_or(30)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_pass_for_numbers_or_addresses() {
        for (name, fine) in [
            ("Owl Inc", true),
            ("Eulen-Bank_24", true),
            ("Überfall 1234", true),
            ("Call 12345", false),
            ("owl.example", false),
            ("https://x", false),
            ("{{code}}", false),
            (&"x".repeat(33), false),
        ] {
            assert_eq!(check_name("FriendlyName", name).is_ok(), fine, "{name}");
        }
    }
}

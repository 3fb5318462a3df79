//! `/Applications`: URLs that numbers and messages share (voice-api §5).

use kernel::ApiError;
use rest::{Ctx, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::Numbers;

pub(crate) const KIND: &str = "Application";

const fn param(name: &'static str) -> Param {
    Param::url(name).code(21402)
}

const PARAMS: &[Param] = &[
    Param::text("FriendlyName", 64).code(20002),
    Param::one_of("ApiVersion", &["2010-04-01", "2008-08-01"]).default("2010-04-01"),
    param("VoiceUrl"),
    Param::method("VoiceMethod"),
    param("VoiceFallbackUrl"),
    Param::method("VoiceFallbackMethod"),
    param("StatusCallback"),
    Param::method("StatusCallbackMethod"),
    Param::boolean("VoiceCallerIdLookup").default("false"),
    param("SmsUrl"),
    Param::method("SmsMethod"),
    param("SmsFallbackUrl"),
    Param::method("SmsFallbackMethod"),
    param("SmsStatusCallback"),
    param("MessageStatusCallback"),
    Param::boolean("PublicApplicationConnectEnabled").default("false"),
];

const METHOD: Wire = Wire::Method;

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::new("message_status_callback", Wire::Url),
    Field::sid("sid", &["AP"]),
    Field::new("sms_fallback_method", METHOD),
    Field::new("sms_fallback_url", Wire::Url),
    Field::new("sms_method", METHOD),
    Field::new("sms_status_callback", Wire::Url),
    Field::new("sms_url", Wire::Url),
    Field::new("status_callback", Wire::Url),
    Field::new("status_callback_method", METHOD),
    Field::text("uri"),
    Field::new("voice_caller_id_lookup", Wire::Boolean),
    Field::new("voice_fallback_method", METHOD),
    Field::new("voice_fallback_url", Wire::Url),
    Field::new("voice_method", METHOD),
    Field::new("voice_url", Wire::Url),
    Field::new("public_application_connect_enabled", Wire::Boolean),
];

pub static APPLICATION: Resource<Numbers> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Applications",
        "/2010-04-01/Accounts/{AccountSid}/Applications/{Sid}",
    )
    .key("applications")
    .sid("AP")
    .fields(FIELDS),
    ops: &[
        Op::create(PARAMS).with(|_, ctx, draft| Box::pin(async move { complete(ctx, draft) })),
        Op::list(&[Param::text("FriendlyName", 64)]),
        Op::fetch(),
        Op::update(PARAMS).with(|_, ctx, draft| Box::pin(async move { complete(ctx, draft) })),
        Op::delete(),
    ],
};

/// Unnamed applications are named by their moment; fallbacks need a primary URL.
fn complete(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Create && draft.text("friendly_name").is_none() {
        let name = format!("Application created at {}", ctx.now.format("%Y-%m-%d %H:%M"));
        draft.set("friendly_name", name);
    }
    check_fallbacks(draft)
}

/// 21405 and 21406: a fallback URL without the URL it falls back for.
pub(crate) fn check_fallbacks(draft: &Draft) -> Result<(), ApiError> {
    let lonely =
        |fallback, primary| draft.text(fallback).is_some() && draft.text(primary).is_none();
    if lonely("voice_fallback_url", "voice_url") {
        return Err(ApiError::new(21405, "VoiceFallbackUrl needs a VoiceUrl beside it"));
    }
    if lonely("sms_fallback_url", "sms_url") {
        return Err(ApiError::new(21406, "SmsFallbackUrl needs an SmsUrl beside it"));
    }
    Ok(())
}

//! `voice/v1/ByocTrunks` (voice-api §15): the carrier that a customer brings.

use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::{Trunking, domain, policy, shelf};

pub(crate) const KIND: &str = "ByocTrunk";
const TRUNKS_MAX: i64 = 10_000;

const PARAMS: &[Param] = &[
    Param::text("FriendlyName", 255),
    Param::url("VoiceUrl"),
    Param::method("VoiceMethod"),
    Param::url("VoiceFallbackUrl"),
    Param::method("VoiceFallbackMethod"),
    Param::url("StatusCallbackUrl"),
    Param::method("StatusCallbackMethod"),
    Param::boolean("CnamLookupEnabled").default("false"),
    Param::sid("ConnectionPolicySid", &["NY"]),
    Param::sid("FromDomainSid", &["SD"]),
];

pub static BYOC_TRUNK: Resource<Trunking> = Resource {
    table: Table::product(KIND, "voice", "/v1/ByocTrunks", "/v1/ByocTrunks/{Sid}")
        .key("byoc_trunks")
        .sid("BY")
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::sid("sid", &["BY"]),
            Field::text("friendly_name"),
            Field::new("voice_url", Wire::Url),
            Field::new("voice_method", Wire::Method),
            Field::new("voice_fallback_url", Wire::Url),
            Field::new("voice_fallback_method", Wire::Method),
            Field::new("status_callback_url", Wire::Url),
            Field::new("status_callback_method", Wire::Method),
            Field::new("cnam_lookup_enabled", Wire::Boolean),
            Field::sid("connection_policy_sid", &["NY"]),
            Field::sid("from_domain_sid", &["SD"]),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::new("url", Wire::Url),
        ])
        .access(Access::Keys("voice/byoc-trunks")),
    ops: &[
        Op::create(PARAMS).with(|_, ctx, draft| Box::pin(check(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(PARAMS).with(|_, ctx, draft| Box::pin(check(ctx, draft))),
        Op::delete().with(|_, ctx, draft| Box::pin(remove(ctx, draft))),
    ],
};

async fn check(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, KIND, "", TRUNKS_MAX, 20001).await?;
    }
    for (field, param, kind) in [
        ("connection_policy_sid", "ConnectionPolicySid", policy::KIND),
        ("from_domain_sid", "FromDomainSid", domain::KIND),
    ] {
        match draft.text(field) {
            Some(sid) => {
                shelf::check_exists(ctx, kind, param, sid, 20001).await?;
            }
            None => {
                draft.fields.remove(field);
            }
        }
    }
    Ok(())
}

/// A trunk that a domain calls by stays.
async fn remove(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let domains = shelf::all(&ctx.store, domain::KIND, "").await.map_err(shelf::failed(ctx))?;
    match domains.iter().find(|doc| doc.text("byoc_trunk_sid") == Some(&draft.sid)) {
        None => Ok(()),
        Some(doc) => {
            let why = format!("Domain {} has this trunk: change the domain first", doc.sid);
            Err(ApiError::new(21247, why))
        }
    }
}

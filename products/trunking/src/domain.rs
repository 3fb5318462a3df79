//! `/SIP/Domains` (voice-api §13.1).

use kernel::ApiError;
use rest::{
    Access, Ctx, Doc, Draft, Field, Op, Page, Param, Record, Reply, Resource, Table, Verb, Wire,
};

use crate::{Trunking, byoc, host, mapping, shelf, source};

pub(crate) const KIND: &str = "SipDomain";
/// What every account may name a domain below.
const SUFFIX: &str = "sip.twilio.com";
const DOMAINS_MAX: i64 = 100;

const NAME: Param = Param::text("DomainName", 253).code(21232);
const CREATE: &[Param] = &settings(NAME.required(21232));
const UPDATE: &[Param] = &settings(NAME);

/// Both operations take the same, but for whether a name is needed.
const fn settings(name: Param) -> [Param; 13] {
    [
        name,
        Param::text("FriendlyName", 64).code(21231),
        Param::url("VoiceUrl"),
        Param::method("VoiceMethod"),
        Param::url("VoiceFallbackUrl"),
        Param::method("VoiceFallbackMethod"),
        Param::url("VoiceStatusCallbackUrl"),
        Param::method("VoiceStatusCallbackMethod"),
        Param::boolean("SipRegistration").default("false"),
        Param::boolean("EmergencyCallingEnabled").default("false"),
        Param::boolean("Secure").default("false"),
        Param::sid("ByocTrunkSid", &["BY"]).code(21231),
        Param::sid("EmergencyCallerSid", &["PN"]).code(21231),
    ]
}

pub static DOMAIN: Resource<Trunking> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/SIP/Domains",
        "/2010-04-01/Accounts/{AccountSid}/SIP/Domains/{Sid}",
    )
    .key("domains")
    .sid("SD")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::text("api_version").empty("\"2010-04-01\""),
        Field::text("auth_type").empty("\"\""),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("domain_name"),
        Field::text("friendly_name"),
        Field::sid("sid", &["SD"]),
        Field::text("uri"),
        Field::new("voice_fallback_method", Wire::Method),
        Field::new("voice_fallback_url", Wire::Url),
        Field::new("voice_method", Wire::Method),
        Field::new("voice_status_callback_method", Wire::Method),
        Field::new("voice_status_callback_url", Wire::Url),
        Field::new("voice_url", Wire::Url),
        Field::new("subresource_uris", Wire::UriMap),
        Field::new("sip_registration", Wire::Boolean),
        Field::new("emergency_calling_enabled", Wire::Boolean),
        Field::new("secure", Wire::Boolean),
        Field::sid("byoc_trunk_sid", &["BY"]),
        Field::sid("emergency_caller_sid", &["PN"]),
    ])
    .links(&[
        ("credential_list_mappings", "/CredentialListMappings"),
        ("ip_access_control_list_mappings", "/IpAccessControlListMappings"),
    ])
    .access(Access::Keys("voice/sip-domains")),
    ops: &[
        Op::create(CREATE).with(|sip, ctx, draft| Box::pin(check(sip, ctx, draft))),
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(UPDATE).with(|sip, ctx, draft| Box::pin(check(sip, ctx, draft))),
        Op::delete().with(|_, ctx, draft| Box::pin(remove(ctx, draft))),
    ],
};

/// A name of its own below a suffix, and what it refers to.
///
/// Differs: emergency calls are not carried: what is said of them is kept and shown.
async fn check(sip: &Trunking, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, KIND, "", DOMAINS_MAX, 21230).await?;
    }
    // A name that is not changed stays, whatever the operator allows now.
    if ctx.form.has("DomainName") {
        let mut suffixes = vec![SUFFIX];
        suffixes.extend(sip.parts.config.sip_suffix.as_deref());
        let given = draft.text("domain_name").unwrap_or_default();
        let name = host::checked(given, &suffixes).map_err(|why| ApiError::new(21232, why))?;
        take_host(sip, draft, &name, 21232).await?;
        draft.set("domain_name", name);
    }
    if draft.text("friendly_name").is_none() {
        let name = draft.text("domain_name").unwrap_or_default().to_owned();
        draft.set("friendly_name", name);
    }
    if let Some(trunk) = draft.text("byoc_trunk_sid") {
        shelf::check_exists(ctx, byoc::KIND, "ByocTrunkSid", trunk, 21231).await?;
    }
    if let Some(number) = draft.text("emergency_caller_sid").and_then(|sid| sid.parse().ok()) {
        let owned = sip.parts.numbers.owned(ctx.account, number).await.map_err(shelf::busy)?;
        if owned.is_none() {
            let why = format!("EmergencyCallerSid: the account has no {number}");
            return Err(ApiError::new(21231, why));
        }
    }
    // An unset SID is null on the wire, never an empty text.
    for field in ["byoc_trunk_sid", "emergency_caller_sid"] {
        if draft.text(field).is_none() {
            draft.fields.remove(field);
        }
    }
    let auth_type = auth_type(&ctx.store, &draft.sid).await.map_err(shelf::failed(ctx))?;
    draft.set("auth_type", auth_type);
    Ok(())
}

/// Claims a host for a place in the place of the one it had.
///
/// # Errors
/// `code` when another place of whatever account has it.
pub(crate) async fn take_host(
    sip: &Trunking,
    draft: &mut Draft,
    name: &str,
    code: u32,
) -> Result<(), ApiError> {
    let held = sip.parts.numbers.holder(host::CLAIM, name).await.map_err(shelf::busy)?;
    match held {
        Some((_, sid)) if sid.to_string() == draft.sid => return Ok(()),
        Some(_) => return Err(ApiError::new(code, format!("DomainName '{name}' is taken"))),
        None => {}
    }
    release_host(draft);
    draft.claim(host::CLAIM, name);
    Ok(())
}

/// Gives back the host of a place.
pub(crate) fn release_host(draft: &mut Draft) {
    let sid = draft.sid.clone();
    draft.batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3",
        vec![sid.into(), host::CLAIM.into()],
    );
}

/// 21233 while addresses are mapped to it; the mappings of its lists go with it.
async fn remove(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let sid = draft.sid.clone();
    let mapped = shelf::all(&ctx.store, source::MAPPING, "").await.map_err(shelf::failed(ctx))?;
    if mapped.iter().any(|mapping| mapping.text("sip_domain_sid") == Some(&sid)) {
        let why = format!("Source addresses are mapped to {sid}: delete their mappings first");
        return Err(ApiError::new(21233, why));
    }
    forget_mappings(draft, mapping::OF_DOMAINS);
    Ok(())
}

pub(crate) fn forget_mappings(draft: &mut Draft, kinds: &[&'static str]) {
    for &kind in kinds {
        let sid = draft.sid.clone();
        draft.batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3",
            vec![kind.into(), sid.into()],
        );
    }
}

/// What callers must show, from what is mapped.
async fn auth_type(
    store: &store::AccountStore,
    domain: &str,
) -> Result<&'static str, store::StoreError> {
    let kinds = [mapping::CALLS_CREDENTIALS_KIND, mapping::CALLS_ADDRESSES_KIND];
    Ok(match mapping::kinds(store, kinds, domain).await? {
        [true, true] => "CREDENTIAL_LIST,IP_ACL",
        [true, false] => "CREDENTIAL_LIST",
        [false, true] => "IP_ACL",
        [false, false] => "",
    })
}

async fn shown(ctx: &Ctx, mut doc: Doc) -> Result<Record, ApiError> {
    let auth_type = auth_type(&ctx.store, &doc.sid).await.map_err(shelf::failed(ctx))?;
    doc.fields.insert("auth_type".into(), auth_type.into());
    Ok(rest::record(ctx.account, ctx.table, &doc))
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let page = rest::documents(ctx, KIND, "", |_| true).await;
    let (docs, has_next) = page.map_err(shelf::failed(ctx))?;
    let mut records = Vec::with_capacity(docs.len());
    for doc in docs {
        records.push(shown(ctx, doc).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let found = rest::load(&ctx.store, KIND, "", ctx.param("Sid")).await;
    let doc = found.map_err(shelf::failed(ctx))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(shown(ctx, doc).await?))
}

//! `trunking/v1/Trunks`, their origination URLs and recording (voice-api §14).

use kernel::ApiError;
use rest::{
    Access, Ctx, Doc, Draft, Field, Op, Page, Param, Record, Reply, Resource, Table, Verb, Wire,
};
use serde_json::{Value as Json, json};
use store::StoreError;

use crate::{Trunking, domain, host, mapping, shelf};

pub(crate) const KIND: &str = "Trunk";
pub(crate) const ORIGINATION: &str = "TrunkOriginationUrl";
/// What every account may name a trunk below.
const SUFFIX: &str = "pstn.twilio.com";
const TRUNKS_MAX: i64 = 100;
/// Origination URLs of one trunk.
const ORIGINATIONS_MAX: i64 = 10;
/// Times a change of the recording is decided again.
const DECISIONS_MAX: usize = 4;

const TRANSFER_MODES: &[&str] = &["disable-all", "enable-all", "sip-only"];
const TRANSFER_CALLER_IDS: &[&str] = &["from-transferee", "from-transferor"];
const MODES: &[&str] = &[
    "do-not-record",
    "record-from-ringing",
    "record-from-answer",
    "record-from-ringing-dual",
    "record-from-answer-dual",
];
const TRIMS: &[&str] = &["trim-silence", "do-not-trim"];

const ACCESS: Access = Access::Keys("trunking/trunks");

const PARAMS: &[Param] = &[
    Param::text("FriendlyName", 64).code(21245),
    Param::text("DomainName", 253).code(21245),
    Param::url("DisasterRecoveryUrl"),
    Param::method("DisasterRecoveryMethod"),
    Param::one_of("TransferMode", TRANSFER_MODES).default("disable-all"),
    Param::boolean("Secure").default("false"),
    Param::boolean("CnamLookupEnabled").default("false"),
    Param::one_of("TransferCallerId", TRANSFER_CALLER_IDS).default("from-transferee"),
];

pub static TRUNK: Resource<Trunking> = Resource {
    table: Table::product(KIND, "trunking", "/v1/Trunks", "/v1/Trunks/{Sid}")
        .key("trunks")
        .sid("TK")
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::text("domain_name"),
            Field::new("disaster_recovery_method", Wire::Method),
            Field::new("disaster_recovery_url", Wire::Url),
            Field::text("friendly_name"),
            Field::new("secure", Wire::Boolean),
            Field::new("recording", Wire::Json)
                .empty(r#"{"mode":"do-not-record","trim":"do-not-trim"}"#),
            Field::new("transfer_mode", Wire::Enum(TRANSFER_MODES)),
            Field::new("transfer_caller_id", Wire::Enum(TRANSFER_CALLER_IDS)),
            Field::new("cnam_lookup_enabled", Wire::Boolean),
            Field::text("auth_type").empty("\"\""),
            Field::new("symmetric_rtp_enabled", Wire::Boolean).empty("false"),
            Field::new("auth_type_set", Wire::Json).empty("[]"),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::sid("sid", &["TK"]),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ])
        .links(&[
            ("origination_urls", "/OriginationUrls"),
            ("credential_lists", "/CredentialLists"),
            ("ip_access_control_lists", "/IpAccessControlLists"),
            ("phone_numbers", "/PhoneNumbers"),
            ("recording", "/Recording"),
        ])
        .access(ACCESS),
    ops: &[
        Op::create(PARAMS).with(|sip, ctx, draft| Box::pin(check(sip, ctx, draft))),
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(PARAMS).with(|sip, ctx, draft| Box::pin(check(sip, ctx, draft))),
        Op::delete().with(|sip, ctx, draft| Box::pin(remove(sip, ctx, draft))),
    ],
};

/// Differs: a name may be looked up of nobody: `CnamLookupEnabled` is kept and shown.
async fn check(sip: &Trunking, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, KIND, "", TRUNKS_MAX, 21244).await?;
    }
    match draft.text("domain_name") {
        // A name that is not changed stays, whatever the operator allows now.
        Some(_) if !ctx.form.has("DomainName") => {}
        Some(given) => {
            let mut suffixes = vec![SUFFIX];
            suffixes.extend(sip.parts.config.trunk_suffix.as_deref());
            let name = host::checked(given, &suffixes).map_err(|why| ApiError::new(21245, why))?;
            domain::take_host(sip, draft, &name, 21248).await?;
            draft.set("domain_name", name);
        }
        None => {
            domain::release_host(draft);
            draft.fields.remove("domain_name");
        }
    }
    let shown = auth_types(ctx, &draft.sid).await?;
    draft.fields.extend(shown);
    Ok(())
}

/// 21247 while numbers belong to it; everything below it goes with it.
async fn remove(sip: &Trunking, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let trunk = ctx.param_sid("Sid", &["TK"])?;
    let numbers = sip.parts.numbers.numbers_of_trunk(ctx.account, trunk);
    if let Some(number) = numbers.await.map_err(shelf::busy)?.first() {
        let why = format!("Numbers belong to {trunk}, such as {number}: take them away first");
        return Err(ApiError::new(21247, why));
    }
    domain::forget_mappings(draft, mapping::OF_TRUNKS);
    domain::forget_mappings(draft, &[ORIGINATION]);
    Ok(())
}

/// What callers must show, from what is mapped.
async fn auth_types(ctx: &Ctx, trunk: &str) -> Result<serde_json::Map<String, Json>, ApiError> {
    let kinds = [mapping::TRUNK_CREDENTIALS_KIND, mapping::TRUNK_ADDRESSES_KIND];
    let [credentials, addresses] =
        mapping::kinds(&ctx.store, kinds, trunk).await.map_err(shelf::failed(ctx))?;
    let mut types = Vec::new();
    if addresses {
        types.push("IP_ACL");
    }
    if credentials {
        types.push("CREDENTIAL_LIST");
    }
    let all = [("auth_type", json!(types.join(","))), ("auth_type_set", json!(types))];
    Ok(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

async fn shown(ctx: &Ctx, mut doc: Doc) -> Result<Record, ApiError> {
    let types = auth_types(ctx, &doc.sid).await?;
    doc.fields.extend(types);
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
    let doc = existing(ctx, "Sid").await?;
    Ok(Reply::Record(shown(ctx, doc).await?))
}

/// The trunk that a parameter of the path names.
async fn existing(ctx: &Ctx, param: &str) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, KIND, "", ctx.param(param)).await;
    found.map_err(shelf::failed(ctx))?.ok_or_else(|| ctx.not_found())
}

const PRIORITY: Param = Param::integer("Priority", 0, 65_535);
const WEIGHT: Param = Param::integer("Weight", 0, 65_535);
const ENABLED: Param = Param::boolean("Enabled");
const NAME: Param = Param::text("FriendlyName", 64);
const URI: Param = Param::text("SipUrl", 2048).code(21245);

pub static ORIGINATION_URL: Resource<Trunking> = Resource {
    table: Table::product(
        ORIGINATION,
        "trunking",
        "/v1/Trunks/{TrunkSid}/OriginationUrls",
        "/v1/Trunks/{TrunkSid}/OriginationUrls/{Sid}",
    )
    .key("origination_urls")
    .sid("OU")
    .under(KIND)
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("sid", &["OU"]),
        Field::sid("trunk_sid", &["TK"]),
        Field::new("weight", Wire::Integer(0, 65_535)),
        Field::new("enabled", Wire::Boolean),
        Field::new("sip_url", Wire::Url),
        Field::text("friendly_name"),
        Field::new("priority", Wire::Integer(0, 65_535)),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ])
    .access(ACCESS),
    ops: &[
        Op::create(&[
            WEIGHT.required(20001),
            PRIORITY.required(20001),
            ENABLED.required(20001),
            NAME.required(20001),
            URI.required(21245),
        ])
        .with(|_, ctx, draft| Box::pin(check_origination(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[WEIGHT, PRIORITY, ENABLED, NAME, URI])
            .with(|_, ctx, draft| Box::pin(check_origination(ctx, draft))),
        Op::delete(),
    ],
};

async fn check_origination(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let trunk = ctx.param("TrunkSid").to_owned();
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, ORIGINATION, &trunk, ORIGINATIONS_MAX, 21249).await?;
    }
    host::check_uri(draft.text("sip_url").unwrap_or_default())
        .map_err(|why| ApiError::new(21245, format!("SipUrl: {why}")))?;
    draft.set("trunk_sid", trunk);
    Ok(())
}

/// Part of its trunk's document.
pub static RECORDING: Resource<Trunking> = Resource {
    table: Table::product("TrunkRecording", "trunking", "", "/v1/Trunks/{TrunkSid}/Recording")
        .singleton()
        .fields(&[
            Field::new("mode", Wire::Enum(MODES)).empty("\"do-not-record\""),
            Field::new("trim", Wire::Enum(TRIMS)).empty("\"do-not-trim\""),
        ])
        .access(ACCESS),
    ops: &[
        Op::fetch().by(|_, ctx| {
            Box::pin(async move { Ok(recording(&existing(ctx, "TrunkSid").await?.fields)) })
        }),
        Op::update(&[Param::one_of("Mode", MODES), Param::one_of("Trim", TRIMS)])
            .by(|_, ctx| Box::pin(set_recording(ctx))),
    ],
};

fn recording(fields: &serde_json::Map<String, Json>) -> Reply {
    let mut record = Record::new("");
    let part = |name: &str| fields.get("recording").and_then(|recording| recording[name].as_str());
    for name in ["mode", "trim"] {
        if let Some(value) = part(name) {
            record.set(name, value);
        }
    }
    Reply::Record(record)
}

async fn set_recording(ctx: &Ctx) -> Result<Reply, ApiError> {
    for _ in 0..DECISIONS_MAX {
        let doc = existing(ctx, "TrunkSid").await?;
        let mut fields = doc.fields.clone();
        let before = fields.get("recording").cloned().unwrap_or(Json::Null);
        let value = |param: &str, name: &str, usual: &str| {
            let given = ctx.form.text(param).or(before[name].as_str());
            given.unwrap_or(usual).to_owned()
        };
        let after = json!({
            "mode": value("Mode", "mode", "do-not-record"),
            "trim": value("Trim", "trim", "do-not-trim"),
        });
        fields.insert("recording".into(), after);
        let mut batch = ctx.store.batch();
        rest::revise(&mut batch, KIND, "", &doc, &fields, ctx.now);
        let changes = rest::changes(Some(&doc.fields), Some(&fields));
        ctx.audit(&mut batch, "trunk.updated", &doc.sid, changes);
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(recording(&fields)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(shelf::failed(ctx)(error)),
        }
    }
    Err(ApiError::new(20409, "The trunk is being changed by others; try again"))
}

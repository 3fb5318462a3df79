//! `messaging.twilio.com/v3/OptOuts` (compliance §2): opt-out sets on the wire.
//!
//! A set begins with the default words and answers. It counts for the Messaging Services it is
//! attached to, or as the account's default for every sender that has no set of its own.

// Differs: the official definition names the paths of opt-out sets and their objects, but no
// operations. Here GET reads, POST adds or sets with a JSON body, and DELETE removes what its
// query names.
// Differs: `accountDefault` and `/v3/OptOuts/{OptOutSid}/MessagingServices` attach a set; there is
// no documented way.

use kernel::{ApiError, Sid};
use numbering::Country;
use rest::{Ctx, Doc, Draft, Field, Op, Page, Param, Record, Reply, Resource, Table, Verb, Wire};
use serde_json::{Value as Json, json};
use store::{AccountStore, StoreError};

use super::language::{self, LANGUAGES};
use super::set::{Fault, KINDS, KeywordType, OptOutSet, is_reserved, kind_name};
use super::{language::ALL as EVERYWHERE, reply};
use crate::Messaging;

const KIND: &str = "OptOut";
/// A service has one set.
pub(crate) const SERVICE_CLAIM: &str = "opt-out-service";
/// An account has one set for everything else.
pub(crate) const ACCOUNT_CLAIM: &str = "opt-out-account";
/// Times a change is decided again when somebody else changes the set.
const DECISIONS_MAX: usize = 4;

const SETTINGS: &[Param] =
    &[Param::text("friendlyName", 64), Param::boolean("accountDefault").default("false")];

const FIELDS: &[Field] = &[
    Field::sid("opt_out_sid", &["OO"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::new("account_default", Wire::Boolean).empty("false"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

/// Everything of this file.
pub(super) const ALL: &[&Resource<Messaging>] = &[
    &OPT_OUT,
    &DEFAULTS,
    &CONFIGURED_LANGUAGES,
    &CONFIGURED_TYPES,
    &TYPES,
    &KEYWORDS,
    &MESSAGES,
    &SERVICES,
];

static OPT_OUT: Resource<Messaging> = Resource {
    table: Table::product(KIND, "messaging", "/v3/OptOuts", "/v3/OptOuts/{OptOutSid}")
        .key("opt_outs")
        .sid("OO")
        .fields(FIELDS),
    ops: &[
        Op::create(SETTINGS).json().with(|m, ctx, draft| Box::pin(settle(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(SETTINGS).json().with(|m, ctx, draft| Box::pin(settle(m, ctx, draft))),
        Op::delete().with(|m, ctx, draft| Box::pin(settle(m, ctx, draft))),
    ],
};

const fn fixed(name: &'static str, path: &'static str, fields: &'static [Field]) -> Table {
    Table::product(name, "messaging", "", path).singleton().fields(fields)
}

static DEFAULTS: Resource<Messaging> = Resource {
    table: fixed(
        "OptOutDefault",
        "/v3/OptOuts/DefaultKeywordsMessages",
        &[Field::new("defaultKeywords", Wire::Json)],
    ),
    ops: &[Op::fetch().by(|_, _| Box::pin(async { Ok(defaults()) }))],
};

static CONFIGURED_LANGUAGES: Resource<Messaging> = Resource {
    table: fixed(
        "OptOutLanguage",
        "/v3/OptOuts/Configurations/Languages",
        &[Field::new("languages", Wire::Json)],
    ),
    ops: &[Op::fetch().by(|_, _| Box::pin(async { Ok(languages()) }))],
};

static CONFIGURED_TYPES: Resource<Messaging> = Resource {
    table: fixed(
        "OptOutCountry",
        "/v3/OptOuts/Configurations/MessageTypes",
        &[Field::new("message_types", Wire::Json)],
    ),
    ops: &[Op::fetch().by(|_, _| {
        let isos = std::iter::once(EVERYWHERE).chain(Country::all().iter().map(|c| c.iso));
        let answer = one("message_types", isos.map(message_type).collect());
        Box::pin(async { Ok(answer) })
    })],
};

const fn part(name: &'static str, path: &'static str, fields: &'static [Field]) -> Table {
    fixed(name, path, fields).under(KIND)
}

const CONFIG: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("opt_out_sid", &["OO"]),
    Field::new("config", Wire::Json).empty("[]"),
];

const COUNTRY: Param = Param::text("messageType", 3).required(20001);
const TYPE: Param = Param::text("keywordType", 64).required(20001);
const KEYWORD: &[Param] = &[TYPE, COUNTRY, Param::text("keyword", 64).required(20001)];

static TYPES: Resource<Messaging> = Resource {
    table: part(
        "OptOutMessageType",
        "/v3/OptOuts/{OptOutSid}/MessageTypes",
        &[
            Field::sid("account_sid", &["AC"]),
            Field::sid("opt_out_sid", &["OO"]),
            Field::new("message_types", Wire::Json).empty("[]"),
        ],
    ),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(show(ctx, Part::Countries))),
        Op::delete().params(&[COUNTRY]).by(|m, ctx| {
            Box::pin(async move {
                let country = country(ctx)?;
                change(m, ctx, |set| set.remove_country(&country)).await?;
                Ok(Reply::Empty)
            })
        }),
    ],
};

static KEYWORDS: Resource<Messaging> = Resource {
    table: part("OptOutKeyword", "/v3/OptOuts/{OptOutSid}/Keywords", CONFIG),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(show(ctx, Part::Keywords))),
        Op::create(KEYWORD).at_instance().json().by(|m, ctx| {
            Box::pin(async move {
                let (kind, country) = (keyword_type(ctx)?, country(ctx)?);
                let word = ctx.form.text("keyword").unwrap_or_default();
                let doc = change(m, ctx, |set| set.add_keyword(kind, &country, word)).await?;
                Ok(Reply::Record(part_of(ctx, &doc, Part::Keywords)))
            })
        }),
        Op::delete().params(KEYWORD).by(|m, ctx| {
            Box::pin(async move {
                let (kind, country) = (keyword_type(ctx)?, country(ctx)?);
                let word = ctx.form.text("keyword").unwrap_or_default();
                change(m, ctx, |set| set.remove_keyword(kind, &country, word)).await?;
                Ok(Reply::Empty)
            })
        }),
    ],
};

static MESSAGES: Resource<Messaging> = Resource {
    table: part("OptOutMessage", "/v3/OptOuts/{OptOutSid}/Messages", CONFIG),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(show(ctx, Part::Messages))),
        Op::create(&[TYPE, COUNTRY, Param::text("message", 320).required(20001)])
            .at_instance()
            .json()
            .by(|m, ctx| {
                Box::pin(async move {
                    let (kind, country) = (keyword_type(ctx)?, country(ctx)?);
                    let text = ctx.form.text("message").unwrap_or_default();
                    let doc = change(m, ctx, |set| set.set_message(kind, &country, text)).await?;
                    Ok(Reply::Record(part_of(ctx, &doc, Part::Messages)))
                })
            }),
        Op::delete().params(&[TYPE, COUNTRY]).by(|m, ctx| {
            Box::pin(async move {
                let (kind, country) = (keyword_type(ctx)?, country(ctx)?);
                change(m, ctx, |set| set.remove_message(kind, &country)).await?;
                Ok(Reply::Empty)
            })
        }),
    ],
};

static SERVICES: Resource<Messaging> = Resource {
    table: Table::product(
        "OptOutMessagingService",
        "messaging",
        "/v3/OptOuts/{OptOutSid}/MessagingServices",
        "/v3/OptOuts/{OptOutSid}/MessagingServices/{MessagingServiceSid}",
    )
    .key("messaging_services")
    .fields(&[
        Field::sid("opt_out_sid", &["OO"]),
        Field::sid("messaging_service_sid", &["MG"]),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(attachments(ctx))),
        Op::create(&[]).at_instance().by(|m, ctx| Box::pin(attach(m, ctx))),
        Op::delete().by(|m, ctx| Box::pin(detach(m, ctx))),
    ],
};

/// The set that a service or an account is given.
pub(super) async fn attached(
    store: &AccountStore,
    claim: &str,
    value: &str,
) -> Result<Option<OptOutSet>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let Some(row) = store.point(sql, vec![claim.into(), value.into()]).await? else {
        return Ok(None);
    };
    Ok(rest::load(store, KIND, "", row.text(0)).await?.map(|doc| set_of(&doc)))
}

fn set_of(doc: &Doc) -> OptOutSet {
    let config = doc.fields.get("config").cloned().unwrap_or_default();
    serde_json::from_value(config).unwrap_or_else(|_| OptOutSet::usual())
}

/// Gives a new set its words, and the account its default.
///
/// # Errors
/// 20409 when another set is the account's default.
async fn settle(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    draft.set("opt_out_sid", draft.sid.clone());
    if draft.verb == Verb::Create {
        draft.set("config", json!(OptOutSet::usual()));
    }
    let is_default = |fields: &serde_json::Map<String, Json>| {
        fields.get("account_default") == Some(&Json::Bool(true))
    };
    let was = draft.previous.as_ref().is_some_and(|doc| is_default(&doc.fields));
    match (was, is_default(&draft.fields), draft.verb) {
        // A deleted set takes its claims with it.
        (_, _, Verb::Delete) => {}
        (false, true, _) => draft.claim(ACCOUNT_CLAIM, &ctx.account.to_string()),
        (true, false, _) => {
            let sid = draft.sid.clone();
            draft.batch.run(
                "DELETE FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3",
                vec![sid.into(), ACCOUNT_CLAIM.into()],
            );
        }
        _ => {}
    }
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

/// What a path shows of a set.
#[derive(Clone, Copy)]
enum Part {
    Countries,
    Keywords,
    Messages,
}

async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, KIND, "", ctx.param("OptOutSid")).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

async fn show(ctx: &Ctx, part: Part) -> Result<Reply, ApiError> {
    Ok(Reply::Record(part_of(ctx, &existing(ctx).await?, part)))
}

fn part_of(ctx: &Ctx, doc: &Doc, part: Part) -> Record {
    let set = set_of(doc);
    let mut record = Record::new("");
    record.set("account_sid", ctx.account).set("opt_out_sid", doc.sid.as_str());
    let entries = set.0.iter();
    match part {
        Part::Countries => {
            let types: Vec<Json> = set.countries().into_iter().map(message_type).collect();
            record.set("message_types", Json::Array(types));
        }
        Part::Keywords => {
            let with = entries.filter(|entry| !entry.keywords.is_empty()).map(|entry| {
                json!({
                    "keyword_type": entry.keyword_type,
                    "message_type": entry.message_type,
                    "keywords": entry.keywords,
                })
            });
            record.set("config", Json::Array(with.collect()));
        }
        Part::Messages => {
            let with = entries.filter(|entry| entry.message.is_some()).map(|entry| {
                json!({
                    "keyword_type": entry.keyword_type,
                    "message_type": entry.message_type,
                    "message": entry.message,
                })
            });
            record.set("config", Json::Array(with.collect()));
        }
    }
    record
}

/// Changes a set, again when somebody else was quicker.
async fn change(
    messaging: &Messaging,
    ctx: &Ctx,
    change: impl Fn(&mut OptOutSet) -> Result<(), Fault> + Send,
) -> Result<Doc, ApiError> {
    for _ in 0..DECISIONS_MAX {
        let mut doc = existing(ctx).await?;
        let mut set = set_of(&doc);
        change(&mut set).map_err(|fault| refusal(ctx, &fault))?;
        let mut fields = doc.fields.clone();
        fields.insert("config".into(), json!(set));
        let mut batch = ctx.store.batch();
        rest::revise(&mut batch, KIND, "", &doc, &fields, ctx.now);
        match ctx.store.commit(batch).await {
            Ok(_) => {
                messaging.memory.invalidate();
                doc.fields = fields;
                return Ok(doc);
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(ApiError::new(20409, "The opt-out set is being changed by others; try again"))
}

fn refusal(ctx: &Ctx, fault: &Fault) -> ApiError {
    let word = ctx.form.text("keyword").unwrap_or_default();
    let why = match fault {
        Fault::NotAWord => {
            format!("keyword '{word}' is not one word of 1 to 34 letters and digits")
        }
        Fault::Taken(kind) => format!("keyword '{word}' means {kind} already"),
        Fault::Reserved => "STOP, START and HELP, and the message type ALL, stay".to_owned(),
        Fault::Full => "The opt-out set has as many entries as it may have".to_owned(),
        Fault::Absent => return ctx.not_found(),
    };
    ApiError::new(20001, why)
}

fn keyword_type(ctx: &Ctx) -> Result<KeywordType, ApiError> {
    let text = ctx.form.text("keywordType").unwrap_or_default();
    KeywordType::parse(text).ok_or_else(|| {
        let why = format!("keywordType '{text}' is not a kind and a language, as STOP.ENGLISH");
        ApiError::new(20001, why)
    })
}

fn country(ctx: &Ctx) -> Result<String, ApiError> {
    let text = ctx.form.text("messageType").unwrap_or_default().to_ascii_uppercase();
    if text == EVERYWHERE || Country::by_iso(&text).is_some() {
        return Ok(text);
    }
    let why = format!("messageType '{text}' is neither ALL nor the ISO code of a country");
    Err(ApiError::new(20001, why))
}

fn message_type(key: &str) -> Json {
    let name = Country::by_iso(key).map_or("Global Default Settings", |country| country.name);
    json!({"key": key, "friendly_name": name})
}

fn one(field: &'static str, list: Vec<Json>) -> Reply {
    let mut record = Record::new("");
    record.set(field, Json::Array(list));
    Reply::Record(record)
}

fn languages() -> Reply {
    let keys = LANGUAGES.iter();
    let all = keys.map(|key| json!({"key": key, "friendly_name": language::friendly_name(key)}));
    one("languages", all.collect())
}

fn defaults() -> Reply {
    let rows = KINDS.into_iter().flat_map(|kind| {
        sms::keywords(kind).iter().map(move |keyword| {
            json!({
                "keyword": keyword,
                "keywordType": kind_name(kind),
                "messageType": EVERYWHERE,
                "language": EVERYWHERE,
                "message": reply(kind),
                "reserved": is_reserved(keyword),
            })
        })
    });
    one("defaultKeywords", rows.collect())
}

fn attachment(set: &str, service: &str) -> Record {
    let mut record = Record::at("MessagingServiceSid", service);
    record.set("opt_out_sid", set).set("messaging_service_sid", service);
    record
}

async fn attachments(ctx: &Ctx) -> Result<Reply, ApiError> {
    let set = existing(ctx).await?.sid;
    let sql = "SELECT value FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3
               ORDER BY value DESC LIMIT $4 OFFSET $5";
    let page = &ctx.page;
    let params =
        vec![set.as_str().into(), SERVICE_CLAIM.into(), page.limit().into(), page.offset().into()];
    let rows = ctx.store.query(sql, params).await;
    let (rows, has_next) = page.cut(rows.map_err(|error| rest::store_error(ctx, error))?);
    let records = rows.iter().map(|row| attachment(&set, row.text(0))).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// # Errors
/// 21701 / 404 for no such service; 20409 when it has another set.
async fn attach(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let set = existing(ctx).await?.sid;
    let service = ctx.param_sid("MessagingServiceSid", &["MG"])?.to_string();
    let found = messaging.service(&ctx.store, &service).await;
    if found.map_err(|error| rest::store_error(ctx, error))?.is_none() {
        return Err(crate::service::no_service(&service));
    }
    let record = attachment(&set, &service);
    if held_by(ctx, &service).await?.as_deref() == Some(set.as_str()) {
        return Ok(Reply::Record(record));
    }
    let mut batch = ctx.store.batch();
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![set.into(), SERVICE_CLAIM.into(), service.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    messaging.memory.invalidate();
    Ok(Reply::Record(record))
}

async fn detach(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let set = existing(ctx).await?.sid;
    let service: Sid = ctx.param_sid("MessagingServiceSid", &["MG"])?;
    if held_by(ctx, &service.to_string()).await?.as_deref() != Some(set.as_str()) {
        return Err(ctx.not_found());
    }
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3 AND value = $4",
        vec![set.into(), SERVICE_CLAIM.into(), service.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    messaging.memory.invalidate();
    Ok(Reply::Empty)
}

/// The set that the service has.
async fn held_by(ctx: &Ctx, service: &str) -> Result<Option<String>, ApiError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = ctx.store.point(sql, vec![SERVICE_CLAIM.into(), service.into()]).await;
    Ok(row.map_err(|error| rest::store_error(ctx, error))?.map(|row| row.text(0).to_owned()))
}

//! `…/Challenges` and their `Notifications` (verify §7): a factor is asked, and answers.

use std::time::Duration;

use kernel::{ApiError, Timestamp};
use rest::{
    Access, Ctx, Cursor, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire,
};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, StoreError};

use crate::device::{self, Jwt};
use crate::entity::{self, details, fresh, place};
use crate::factor::{self, Factor};
use crate::faults::{failed, invalid_factor};
use crate::limit::Counter;
use crate::service::Service;
use crate::{Verify, webhook};

pub(crate) const KIND: &str = "VerifyChallenge";
/// Usual and longest life.
const LIFE: Duration = Duration::from_secs(300);
const LIFE_MAX: Duration = Duration::from_secs(3600);
const TRIES_MAX: i64 = 5;
const NOTIFICATIONS_MAX: i64 = 3;
const STATUSES: &[&str] = &["pending", "expired", "approved", "denied"];
const FIELDS_MAX: usize = 20;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// What a device signs with its answer; all are members of a challenge's answer.
const SIGNED: &[&str] = &[
    "sid",
    "account_sid",
    "service_sid",
    "entity_sid",
    "identity",
    "factor_sid",
    "date_created",
    "expiration_date",
    "details",
    "hidden_details",
    "factor_type",
];

const fn text(name: &'static str, max: u32) -> Param {
    Param::text(name, max).code(60300)
}

const CREATE: &[Param] = &[
    Param::sid("FactorSid", &["YF"]).required(60300).code(60300),
    Param::date_time("ExpirationDate").code(60300),
    text("Details.Message", 256),
    text("Details.Fields", 512).list(),
    text("HiddenDetails", 4096),
    text("AuthPayload", 5456),
];

pub(crate) const FIELDS: &[Field] = &[
    Field::sid("sid", &["YC"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("service_sid", &["VA"]),
    Field::sid("entity_sid", &["YE"]),
    Field::text("identity"),
    Field::sid("factor_sid", &["YF"]),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("date_responded", Wire::Iso8601),
    Field::new("expiration_date", Wire::Iso8601),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::new("responded_reason", Wire::Enum(&["none", "not_needed", "not_requested"])),
    Field::new("details", Wire::Json),
    Field::new("hidden_details", Wire::Json),
    Field::new("metadata", Wire::Json),
    Field::new("factor_type", Wire::Enum(factor::TYPES)),
    Field::new("url", Wire::Url),
    Field::new("links", Wire::UriMap),
];

pub static CHALLENGE: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/Entities/{Identity}/Challenges",
        "/v2/Services/{ServiceSid}/Entities/{Identity}/Challenges/{Sid}",
    )
    .key("challenges")
    .sid("YC")
    .access(Access::Keys("verify/challenges"))
    .links(&[("notifications", "/Notifications")])
    .fields(FIELDS),
    ops: &[
        Op::create(CREATE).by(|verify, ctx| Box::pin(create(verify, ctx))),
        Op::list(&[
            Param::sid("FactorSid", &["YF"]),
            Param::one_of("Status", STATUSES),
            Param::one_of("Order", &["asc", "desc"]),
        ])
        .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[text("AuthPayload", 5456), text("Metadata", 4096)])
            .by(|verify, ctx| Box::pin(update(verify, ctx))),
    ],
};

pub static NOTIFICATION: Resource<Verify> = Resource {
    table: Table::product(
        "VerifyNotification",
        "verify",
        "/v2/Services/{ServiceSid}/Entities/{Identity}/Challenges/{ChallengeSid}/Notifications",
        "",
    )
    .collection()
    .sid("NT")
    .access(Access::Keys("verify/notifications"))
    .fields(&[
        Field::sid("sid", &["NT"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("entity_sid", &["YE"]),
        Field::text("identity"),
        Field::sid("challenge_sid", &["YC"]),
        Field::text("priority"),
        Field::new("ttl", Wire::Integer(0, 300)),
        Field::new("date_created", Wire::Iso8601),
    ]),
    ops: &[
        Op::create(&[Param::integer("Ttl", 0, 300).code(60300)]).by(|_, ctx| Box::pin(notify(ctx)))
    ],
};

/// The status at `now`: what was not answered in time has expired.
pub(crate) fn status(doc: &Doc, now: Timestamp) -> &str {
    match doc.text("status") {
        Some("pending") if now >= expires(doc) => "expired",
        Some(status) => status,
        None => "pending",
    }
}

fn expires(doc: &Doc) -> Timestamp {
    Timestamp::from_micros(doc.fields.get("expires_at").and_then(Json::as_i64).unwrap_or(0))
}

/// The answer's members that a table has, as JSON.
fn wire(ctx: &Ctx, identity: &str, doc: &Doc) -> Map<String, Json> {
    let field = |name: &str| doc.fields.get(name).cloned().unwrap_or(Json::Null);
    let time = |at: Timestamp| Json::from(at.iso8601());
    let responded = doc.fields.get("responded_at").and_then(Json::as_i64);
    let mut all = Map::new();
    for (name, value) in [
        ("sid", json!(doc.sid)),
        ("account_sid", json!(ctx.account)),
        ("service_sid", json!(ctx.param("ServiceSid"))),
        ("entity_sid", field("entity_sid")),
        ("identity", json!(identity)),
        ("factor_sid", field("factor_sid")),
        ("date_created", time(doc.date_created)),
        ("date_updated", time(doc.date_updated)),
        ("date_responded", responded.map_or(Json::Null, |at| time(Timestamp::from_micros(at)))),
        ("expiration_date", time(expires(doc))),
        ("status", json!(status(doc, ctx.now))),
        ("responded_reason", field("responded_reason")),
        ("details", field("details")),
        ("hidden_details", field("hidden_details")),
        ("metadata", field("metadata")),
        ("factor_type", field("factor_type")),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

pub(crate) fn record(ctx: &Ctx, identity: &str, doc: &Doc) -> Record {
    let mut record = Record::new(&doc.sid).with_path("Identity", identity);
    let mut all = wire(ctx, identity, doc);
    for field in FIELDS {
        if let Some(value) = all.remove(field.name) {
            match value {
                Json::Null => record.set(field.name, rest::Val::Null),
                Json::String(text) => record.set(field.name, text),
                other => record.set(field.name, other),
            };
        }
    }
    record
}

/// # Errors
/// 60318 for a factor that is not verified; 60312 when it is challenged too often.
async fn create(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let identity = ctx.param("Identity");
    for _ in 0..crate::DECISIONS_MAX {
        let entity = entity::existing(ctx, service.sid(), identity).await?;
        let sid = ctx.form.text("FactorSid").unwrap_or_default();
        let found = factor::load(&ctx.store, service.sid(), identity, sid).await;
        let factor = found.map_err(failed(ctx))?.ok_or_else(|| ctx.not_found())?;
        if !factor.is_verified() {
            return Err(ApiError::new(60318, format!("The factor {sid} is not verified")));
        }
        let mut fields = asked(ctx, &service, &factor)?;
        fields.insert("entity_sid".into(), json!(entity.text("entity_sid")));
        let mut batch = ctx.store.batch();
        let step = ctx.form.text("AuthPayload").filter(|_| factor.kind() == "totp");
        let step = step.map(|code| factor.step_of(verify, code));
        if let Some(step) = step {
            fields.insert("tries".into(), 1.into());
            if let Some(step) = step {
                answered(&mut fields, "approved", ctx.now);
                factor.revise(&mut batch, &[("last_step", step.into())], ctx.now);
            }
        }
        let doc = fresh(ctx.clock.sid("YC"), fields, ctx.now);
        rest::insert(&mut batch, KIND, &factor.place(), &doc.sid, &doc.fields, ctx.now);
        let limits = limits(&factor);
        limits.iter().for_each(|limit| limit.count(&mut batch, ctx.now));
        if status(&doc, ctx.now) == "approved" {
            tell(verify, ctx, &factor, &doc, &mut batch).await?;
        }
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(Reply::Record(record(ctx, identity, &doc))),
            Err(StoreError::Conflict) => {
                let full = crate::limit::first_full(&ctx.store, &limits, ctx.now).await;
                if let Some((_, wait)) = full.map_err(failed(ctx))? {
                    ctx.answer_header("retry-after", wait.as_secs().max(1).to_string());
                    let why = format!("The factor {sid} is challenged too often");
                    return Err(ApiError::new(60312, why));
                }
            }
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// How often a factor may be challenged: short codes are guessed sooner.
fn limits(factor: &Factor) -> Vec<Counter> {
    let sid = &factor.doc.sid;
    match factor.kind() == "totp" && factor.totp().digits <= 4 {
        true => vec![Counter::new(format!("challenge-day/{sid}"), 10, DAY)],
        false => vec![
            Counter::new(format!("challenge-hour/{sid}"), 50, HOUR),
            Counter::new(format!("challenge-day/{sid}"), 100, DAY),
        ],
    }
}

/// The fields that a request for a challenge makes.
fn asked(ctx: &Ctx, service: &Service, factor: &Factor) -> Result<Map<String, Json>, ApiError> {
    let form = &ctx.form;
    let expires = form.time("ExpirationDate").unwrap_or(ctx.now + LIFE);
    if expires <= ctx.now || expires > ctx.now + LIFE_MAX {
        return Err(invalid_factor("ExpirationDate", "it is within the next hour"));
    }
    let mut shown = Json::Null;
    if factor.kind() == "push" {
        let message = form.text("Details.Message");
        let message = message.ok_or_else(|| invalid_factor("Details.Message", "push needs it"))?;
        let fields = form.list("Details.Fields");
        if fields.len() > FIELDS_MAX {
            return Err(invalid_factor("Details.Fields", "there are more than 20"));
        }
        let fields: Result<Vec<Json>, ApiError> = fields.into_iter().map(detail).collect();
        let date = service.flag("push_include_date").then(|| ctx.now.iso8601());
        shown = json!({"message": message, "date": date, "fields": fields?});
    }
    Ok(Map::from_iter([
        ("factor_sid".to_owned(), json!(factor.doc.sid)),
        ("factor_type".to_owned(), json!(factor.kind())),
        ("status".to_owned(), json!("pending")),
        ("responded_reason".to_owned(), json!("none")),
        ("details".to_owned(), shown),
        ("hidden_details".to_owned(), details("HiddenDetails", form.text("HiddenDetails"), 1024)?),
        ("expires_at".to_owned(), json!(expires.as_micros())),
    ]))
}

/// A `{"label", "value"}` of a push challenge.
fn detail(text: &str) -> Result<Json, ApiError> {
    let json: Json = serde_json::from_str(text).unwrap_or(Json::Null);
    let fits = |name: &str, max| {
        json[name].as_str().is_some_and(|text| (1..=max).contains(&text.chars().count()))
    };
    match fits("label", 36) && fits("value", 128) {
        true => Ok(json!({"label": json["label"], "value": json["value"]})),
        false => {
            let why = "each is JSON with a label of 36 and a value of 128 characters at most";
            Err(invalid_factor("Details.Fields", why))
        }
    }
}

fn answered(fields: &mut Map<String, Json>, status: &str, now: Timestamp) {
    fields.insert("status".into(), status.into());
    fields.insert("responded_at".into(), now.as_micros().into());
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let identity = ctx.param("Identity");
    entity::existing(ctx, service.sid(), identity).await?;
    let own = factor::caller(ctx).map(|caller| caller.to_string());
    let wanted = own.as_deref().or_else(|| ctx.form.text("FactorSid"));
    let keep = |doc: &Doc| {
        wanted.is_none_or(|factor| doc.text("factor_sid") == Some(factor))
            && ctx.form.text("Status").is_none_or(|wanted| wanted == status(doc, ctx.now))
    };
    let place = place(service.sid(), identity);
    let (mut docs, has_next) =
        rest::documents(ctx, KIND, &place, keep).await.map_err(failed(ctx))?;
    // Differs: a page holds the newest, in the order that is asked for.
    if ctx.form.text("Order") != Some("desc")
        && matches!(ctx.page.cursor, Cursor::Offset)
        && !has_next
    {
        docs.reverse();
    }
    let records = docs.iter().map(|doc| record(ctx, identity, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// The challenge of the path; a device reaches its own only.
async fn existing(ctx: &Ctx, param: &str) -> Result<Doc, ApiError> {
    let place = place(ctx.param("ServiceSid"), ctx.param("Identity"));
    let found =
        rest::load(&ctx.store, KIND, &place, ctx.param(param)).await.map_err(failed(ctx))?;
    let caller = factor::caller(ctx).map(|caller| caller.to_string());
    let found = found.filter(|doc| {
        caller.as_deref().is_none_or(|caller| doc.text("factor_sid") == Some(caller))
    });
    found.ok_or_else(|| ctx.not_found())
}

/// While it waits, a header names what an answer must sign.
async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, "Sid").await?;
    if status(&doc, ctx.now) == "pending" && doc.text("factor_type") == Some("push") {
        ctx.answer_header("twilio-verify-signature-fields", SIGNED.join(","));
    }
    Ok(Reply::Record(record(ctx, ctx.param("Identity"), &doc)))
}

/// # Errors
/// 60322 for one that was answered, 60323 for one that has expired, 60324 for a wrong code or
/// signature, 60308 after five wrong codes.
async fn update(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let identity = ctx.param("Identity");
    for _ in 0..crate::DECISIONS_MAX {
        let mut doc = existing(ctx, "Sid").await?;
        let mut fields = doc.fields.clone();
        let mut batch = ctx.store.batch();
        if let Some(metadata) = ctx.form.text("Metadata") {
            fields.insert("metadata".into(), details("Metadata", Some(metadata), 1024)?);
        }
        let mut refusal = None;
        let mut of = None;
        if let Some(payload) = ctx.form.text("AuthPayload") {
            match status(&doc, ctx.now) {
                "pending" => {}
                "expired" => return Err(ApiError::new(60323, "The challenge has expired")),
                _ => return Err(ApiError::new(60322, "The challenge was answered")),
            }
            let tries = doc.fields.get("tries").and_then(Json::as_i64).unwrap_or(0);
            if tries >= TRIES_MAX {
                return Err(ApiError::new(60308, "The challenge was tried five times"));
            }
            let sid = doc.text("factor_sid").unwrap_or_default();
            let found = factor::load(&ctx.store, ctx.param("ServiceSid"), identity, sid).await;
            let factor = found.map_err(failed(ctx))?.ok_or_else(|| ctx.not_found())?;
            match answer(verify, ctx, &factor, &doc, payload, &mut batch) {
                Some(answer) => answered(&mut fields, answer, ctx.now),
                None => {
                    fields.insert("tries".into(), (tries + 1).into());
                    refusal = Some(ApiError::new(60324, "The code or signature is wrong"));
                }
            }
            of = Some(factor);
        }
        rest::revise(
            &mut batch,
            KIND,
            &place(ctx.param("ServiceSid"), identity),
            &doc,
            &fields,
            ctx.now,
        );
        doc.fields = fields;
        doc.date_updated = ctx.now;
        if let (Some(factor), None) = (&of, &refusal) {
            tell(verify, ctx, factor, &doc, &mut batch).await?;
        }
        match (ctx.store.commit(batch).await, refusal) {
            (Ok(_), Some(refusal)) => return Err(refusal),
            (Ok(_), None) => return Ok(Reply::Record(record(ctx, identity, &doc))),
            (Err(StoreError::Conflict), _) => {}
            (Err(error), _) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// What the factor's owner answers; `None` when the answer is not the factor's.
fn answer(
    verify: &Verify,
    ctx: &Ctx,
    factor: &Factor,
    doc: &Doc,
    payload: &str,
    batch: &mut AccountBatch,
) -> Option<&'static str> {
    if factor.kind() == "totp" {
        let step = factor.step_of(verify, payload)?;
        factor.revise(batch, &[("last_step", step.into())], ctx.now);
        return Some("approved");
    }
    let jwt = Jwt::parse(payload)?;
    let key = factor.doc.text("public_key").and_then(device::public_key)?;
    let known = wire(ctx, &factor.identity, doc);
    let is_same = SIGNED.iter().all(|name| jwt.payload.get(*name) == known.get(*name));
    if !jwt.is_of(&key) || !is_same {
        return None;
    }
    match jwt.payload["status"].as_str() {
        Some("approved") => Some("approved"),
        Some("denied") => Some("denied"),
        _ => None,
    }
}

pub(crate) async fn tell(
    verify: &Verify,
    ctx: &Ctx,
    factor: &Factor,
    doc: &Doc,
    batch: &mut AccountBatch,
) -> Result<(), ApiError> {
    let status = status(doc, ctx.now);
    if !matches!(status, "approved" | "denied") {
        return Ok(());
    }
    let field = |name: &str| doc.fields.get(name).map_or("null".into(), Json::to_string);
    let mut facts = factor.facts();
    facts.extend([
        ("challenge_sid", doc.sid.clone()),
        ("challenge_details", field("details")),
        ("challenge_hidden_details", field("hidden_details")),
        ("challenge_metadata", field("metadata")),
    ]);
    let kind = format!("challenge.{status}");
    let told = webhook::call(verify, &ctx.store, &factor.service, &kind, &facts, batch).await;
    told.map_err(failed(ctx))
}

/// # Errors
/// 60307 for a device without push, 60309 after three.
// Differs: nothing is pushed through Apple or Google; what would be is an event, push.notification,
// and a device asks for its challenges.
async fn notify(ctx: &Ctx) -> Result<Reply, ApiError> {
    let identity = ctx.param("Identity");
    for _ in 0..crate::DECISIONS_MAX {
        let doc = existing(ctx, "ChallengeSid").await?;
        match status(&doc, ctx.now) {
            "pending" => {}
            "expired" => return Err(ApiError::new(60323, "The challenge has expired")),
            _ => return Err(ApiError::new(60322, "The challenge was answered")),
        }
        let service = ctx.param("ServiceSid");
        let sid = doc.text("factor_sid").unwrap_or_default();
        let found = factor::load(&ctx.store, service, identity, sid).await.map_err(failed(ctx))?;
        let factor = found.ok_or_else(|| ctx.not_found())?;
        let platform = factor.config("notification_platform");
        if !matches!(platform.as_str(), Some("apn" | "fcm")) {
            let why = format!("The factor {sid} gets no push notifications");
            return Err(ApiError::new(60307, why));
        }
        let sent = doc.fields.get("notifications").and_then(Json::as_i64).unwrap_or(0);
        if sent >= NOTIFICATIONS_MAX {
            let why = format!("{} was sent {NOTIFICATIONS_MAX} times", doc.sid);
            return Err(ApiError::new(60309, why));
        }
        let mut fields = doc.fields.clone();
        fields.insert("notifications".into(), (sent + 1).into());
        let notification = ctx.clock.sid("NT");
        let ttl = ctx.form.integer("Ttl").unwrap_or(300);
        let mut batch = ctx.store.batch();
        rest::revise(&mut batch, KIND, &factor.place(), &doc, &fields, ctx.now);
        let pushed = json!({
            "type": "verify_push_challenge",
            "challenge_sid": doc.sid,
            "factor_sid": sid,
            "platform": platform,
            "message": doc.fields["details"]["message"],
            "ttl": ttl,
        });
        batch.event("push.notification", &notification.to_string(), ctx.now, pushed.to_string());
        match ctx.store.commit(batch).await {
            Ok(_) => {
                let mut record = Record::new(&notification.to_string());
                record
                    .set("sid", notification)
                    .set("account_sid", ctx.account)
                    .set("service_sid", service)
                    .set("entity_sid", doc.text("entity_sid"))
                    .set("identity", identity)
                    .set("challenge_sid", doc.sid.as_str())
                    .set("priority", "high")
                    .set("ttl", ttl)
                    .set("date_created", ctx.now);
                return Ok(Reply::Record(record));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

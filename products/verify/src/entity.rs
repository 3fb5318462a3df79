//! `/v2/Services/{VA}/Entities` (verify §7): whom factors belong to. Stored under the identity.

use std::time::Duration;

use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, StoreError};

use crate::Verify;
use crate::faults::{failed, invalid_factor};
use crate::limit::Counter;
use crate::service::Service;

const KIND: &str = "VerifyEntity";
/// Entities of a service that are made within a second.
const PER_SECOND_MAX: i64 = 40;

pub static ENTITY: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/Entities",
        "/v2/Services/{ServiceSid}/Entities/{Identity}",
    )
    .key("entities")
    .access(Access::Keys("verify/entities"))
    .fields(&[
        Field::sid("sid", &["YE"]),
        Field::text("identity"),
        Field::sid("account_sid", &["AC"]),
        Field::sid("service_sid", &["VA"]),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
        Field::new("links", Wire::UriMap),
    ])
    .links(&[
        ("factors", "/Factors"),
        ("new_factors", "/Factors"),
        ("challenges", "/Challenges"),
    ]),
    ops: &[
        Op::create(&[Param::text("Identity", 64).required(60300).code(60300)])
            .by(|_, ctx| Box::pin(create(ctx))),
        // Differs: entities are listed by identity, from the last to the first.
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| {
            Box::pin(async {
                let service = Service::of(ctx).await?;
                let doc = existing(ctx, service.sid(), ctx.param("Identity")).await?;
                Ok(Reply::Record(record(ctx, &doc)))
            })
        }),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

/// # Errors
/// 60300: 8 to 64 letters, digits and dashes are needed.
pub(crate) fn check_identity(identity: &str) -> Result<(), ApiError> {
    let fits = (8..=64).contains(&identity.len())
        && identity.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match fits {
        true => Ok(()),
        false => Err(invalid_factor("Identity", "it has 8 to 64 letters, digits and dashes")),
    }
}

/// What lives under an entity has this parent.
pub(crate) fn place(service: &str, identity: &str) -> String {
    format!("{service}/{identity}")
}

async fn create(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let identity = ctx.form.text("Identity").unwrap_or_default();
    check_identity(identity)?;
    check_rate(ctx, service.sid()).await?;
    let mut batch = ctx.store.batch();
    let doc = insert(ctx, service.sid(), identity, &mut batch);
    match ctx.store.commit(batch).await {
        Err(StoreError::Conflict) => Err(too_fast()),
        Ok(_) => Ok(Reply::Record(record(ctx, &doc))),
        Err(StoreError::Duplicate(_)) => {
            Err(ApiError::new(60301, format!("The entity {identity} exists")))
        }
        Err(error) => Err(rest::store_error(ctx, error)),
    }
}

/// Counts the entities of a service that are made within a second.
fn made_in(service: &str) -> Counter {
    Counter::new(format!("entities/{service}"), PER_SECOND_MAX, Duration::from_secs(1))
}

fn too_fast() -> ApiError {
    ApiError::new(60328, format!("More than {PER_SECOND_MAX} entities in a second"))
}

/// # Errors
/// 60328 when no more entities may be made within this second.
async fn check_rate(ctx: &Ctx, service: &str) -> Result<(), ApiError> {
    let full = made_in(service).full_for(&ctx.store, ctx.now).await.map_err(failed(ctx))?;
    if full.is_some() { Err(too_fast()) } else { Ok(()) }
}

fn insert(ctx: &Ctx, service: &str, identity: &str, batch: &mut AccountBatch) -> Doc {
    let mut fields = Map::new();
    fields.insert("entity_sid".into(), ctx.clock.sid("YE").to_string().into());
    rest::insert(batch, KIND, service, identity, &fields, ctx.now);
    made_in(service).count(batch, ctx.now);
    let (date_created, date_updated) = (ctx.now, ctx.now);
    Doc { sid: identity.to_owned(), fields, date_created, date_updated, version: 1 }
}

/// The SID of an entity, which comes into being with its first factor.
pub(crate) async fn ensure(
    ctx: &Ctx,
    service: &str,
    identity: &str,
    batch: &mut AccountBatch,
) -> Result<String, ApiError> {
    check_identity(identity)?;
    let known = rest::load(&ctx.store, KIND, service, identity).await.map_err(failed(ctx))?;
    let doc = match known {
        Some(known) => known,
        None => {
            check_rate(ctx, service).await?;
            insert(ctx, service, identity, batch)
        }
    };
    Ok(doc.text("entity_sid").unwrap_or_default().to_owned())
}

/// # Errors
/// 20404.
pub(crate) async fn existing(ctx: &Ctx, service: &str, identity: &str) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, KIND, service, identity).await.map_err(failed(ctx))?;
    found.ok_or_else(|| ctx.not_found())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let page = rest::documents(ctx, KIND, service.sid(), |_| true).await;
    let (docs, has_next) = page.map_err(failed(ctx))?;
    let records = docs.iter().map(|doc| record(ctx, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// Its factors and challenges go with it.
async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let doc = existing(ctx, service.sid(), ctx.param("Identity")).await?;
    let place = place(service.sid(), &doc.sid);
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![KIND.into(), service.sid().into(), doc.sid.as_str().into()],
    );
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND parent = $2",
        vec![place.as_str().into()],
    );
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid LIKE $2",
        vec![format!("{place}/%").into()],
    );
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    Ok(Reply::Empty)
}

fn record(ctx: &Ctx, doc: &Doc) -> Record {
    let mut record = Record::at("Identity", &doc.sid);
    record
        .set("sid", doc.text("entity_sid"))
        .set("identity", doc.sid.as_str())
        .set("account_sid", ctx.account)
        .set("service_sid", ctx.param("ServiceSid"))
        .set("date_created", doc.date_created)
        .set("date_updated", doc.date_updated);
    record
}

/// A document of this moment.
pub(crate) fn fresh(sid: Sid, fields: Map<String, Json>, now: Timestamp) -> Doc {
    Doc { sid: sid.to_string(), fields, date_created: now, date_updated: now, version: 1 }
}

/// A JSON object of strings within `max` characters, as metadata and hidden details are.
///
/// # Errors
/// 60300.
pub(crate) fn details(param: &str, text: Option<&str>, max: usize) -> Result<Json, ApiError> {
    let Some(text) = text else { return Ok(Json::Null) };
    let json: Json = serde_json::from_str(text).unwrap_or(Json::Null);
    let is_plain = json.as_object().is_some_and(|object| object.values().all(Json::is_string));
    if !is_plain || text.chars().count() > max {
        let why = format!("it is a JSON object of strings, {max} characters at most");
        return Err(invalid_factor(param, &why));
    }
    Ok(json!(json))
}

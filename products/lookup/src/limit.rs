//! `/v2/RateLimits`: how often an account may ask for a package.

use kernel::ApiError;
use rest::{Ctx, Doc, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{StoreError, counter};

use crate::package::ALL;
use crate::{Lookup, shown};

const KIND: &str = "LookupRateLimit";
/// Buckets of one package.
const BUCKETS_MAX: usize = 20;

const FIELDS: &[Field] = &[
    Field::text("field"),
    Field::new("limit", Wire::Integer(0, i64::MAX)),
    Field::text("bucket"),
    Field::text("owner"),
    Field::new("ttl", Wire::Integer(1, 86_400)),
];

/// Differs: none is there until one is put.
pub static RATE_LIMITS: Resource<Lookup> = Resource {
    table: Table::product("LookupRateLimits", "lookups", "/v2/RateLimits", "/v2/RateLimits")
        .singleton()
        .fields(&[Field::new("rate_limits", Wire::Json).empty("[]")]),
    ops: &[Op::fetch()
        .params(&[Param::text("Fields", 1024).list()])
        .by(|_, ctx| Box::pin(list(ctx)))],
};

pub static RATE_LIMIT: Resource<Lookup> = Resource {
    table: Table::product(
        KIND,
        "lookups",
        "/v2/RateLimits/Fields/{Field}/Bucket/{Bucket}",
        "/v2/RateLimits/Fields/{Field}/Bucket/{Bucket}",
    )
    .singleton()
    .fields(FIELDS),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[Param::integer("limit", 0, 1_000_000), Param::integer("ttl", 1, 86_400)])
            .json()
            .by(|_, ctx| Box::pin(put(ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

/// The package and bucket in the path.
fn named(ctx: &Ctx) -> Result<(&str, &str), ApiError> {
    let (field, bucket) = (ctx.param("Field"), ctx.param("Bucket"));
    if !ALL.contains(&field) {
        let why = format!("'{field}' is no package; use one of {}", ALL.join(", "));
        return Err(ApiError::new(20001, why));
    }
    let is_name = (1..=64).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    match is_name {
        true => Ok((field, bucket)),
        false => Err(ApiError::new(20001, format!("Bucket '{bucket}' is not a name"))),
    }
}

/// Whether the account has asked for this package as often as any of its buckets lets it; counts
/// this time.
pub(crate) async fn is_over(ctx: &Ctx, package: &str) -> Result<bool, StoreError> {
    let mut batch = ctx.store.batch();
    let mut is_over = false;
    for doc in buckets(ctx, package).await? {
        let number = |name: &str| doc.fields.get(name).and_then(Json::as_i64).unwrap_or(0);
        let ttl = number("ttl").max(1);
        // A window begins with the clock, not with the first request.
        let window = (ctx.now.as_seconds() / ttl).to_string();
        let name = format!("lookup/{package}/{}", doc.sid);
        is_over |= counter::used(&ctx.store, &name, &window).await? >= number("limit");
        counter::add(&mut batch, &name, &window, 1);
    }
    ctx.store.commit(batch).await?;
    Ok(is_over)
}

async fn buckets(ctx: &Ctx, package: &str) -> Result<Vec<Doc>, StoreError> {
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               ORDER BY sid LIMIT 20";
    let rows = ctx.store.query(sql, vec![KIND.into(), package.into()]).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.extend(rest::load(&ctx.store, KIND, package, row.text(0)).await?);
    }
    Ok(all)
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let wanted: Vec<&str> =
        ctx.form.list("Fields").into_iter().flat_map(|text| text.split(',')).collect();
    let mut all = Vec::new();
    for package in ALL.iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        let docs = buckets(ctx, package).await.map_err(|error| rest::store_error(ctx, error))?;
        all.extend(docs.into_iter().map(|doc| Json::Object(doc.fields)));
    }
    let mut record = Record::new("");
    record.set("rate_limits", Json::Array(all));
    Ok(Reply::Record(record))
}

async fn existing(ctx: &Ctx) -> Result<Option<Doc>, ApiError> {
    let (field, bucket) = named(ctx)?;
    let found = rest::load(&ctx.store, KIND, field, bucket).await;
    found.map_err(|error| rest::store_error(ctx, error))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(shown(ctx, &doc.fields)))
}

async fn put(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (field, bucket) = named(ctx)?;
    for name in ["limit", "ttl"] {
        if ctx.form.integer(name).is_none() {
            return Err(rest::missing(name, 20001));
        }
    }
    let known = existing(ctx).await?;
    let failed = |error| rest::store_error(ctx, error);
    if known.is_none() && buckets(ctx, field).await.map_err(failed)?.len() >= BUCKETS_MAX {
        let why = format!("{field} has {BUCKETS_MAX} buckets; delete one first");
        return Err(ApiError::new(20001, why));
    }
    let mut fields = Map::new();
    for (name, value) in [
        ("field", json!(field)),
        ("limit", json!(ctx.form.integer("limit"))),
        ("bucket", json!(bucket)),
        ("owner", json!(ctx.account)),
        ("ttl", json!(ctx.form.integer("ttl"))),
    ] {
        fields.insert(name.to_owned(), value);
    }
    let mut batch = ctx.store.batch();
    match &known {
        Some(doc) => rest::revise(&mut batch, KIND, field, doc, &fields, ctx.now),
        None => rest::insert(&mut batch, KIND, field, bucket, &fields, ctx.now),
    }
    ctx.store.commit(batch).await.map_err(failed)?;
    Ok(Reply::Record(shown(ctx, &fields)))
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (field, bucket) = named(ctx)?;
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![KIND.into(), field.into(), bucket.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

//! `/v1/Subscriptions/{DF}/SubscribedEvents`: the types of a subscription (webhooks §12.1).

use kernel::{ApiError, Sid};
use rest::{
    Access, Ctx, Cursor, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire,
};
use serde_json::Value as Json;
use store::StoreError;

use crate::Events;
use crate::subscription::{KIND, Wanted};

const VERSION: Param = Param::integer("SchemaVersion", 1, i64::MAX);

pub static SUBSCRIBED_EVENT: Resource<Events> = Resource {
    table: Table::product(
        "SubscribedEvent",
        "events",
        "/v1/Subscriptions/{SubscriptionSid}/SubscribedEvents",
        "/v1/Subscriptions/{SubscriptionSid}/SubscribedEvents/{Type}",
    )
    .key("types")
    .access(Access::Keys("event-streams/subscriptions"))
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::text("type"),
        Field::new("schema_version", Wire::Integer(0, i64::MAX)),
        Field::sid("subscription_sid", &["DF"]),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[Param::text("Type", 256).required(20001), VERSION])
            .status(200)
            .by(|_, ctx| Box::pin(create(ctx))),
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[VERSION]).by(|_, ctx| Box::pin(update(ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

/// The subscription in the path, or 20404.
async fn subscription(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid: Sid = ctx.param_sid("SubscriptionSid", &["DF"])?;
    let found = rest::load(&ctx.store, KIND, "", &sid.to_string()).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

fn record(ctx: &Ctx, wanted: &Wanted) -> Record {
    let mut record = Record::at("Type", &wanted.name);
    record
        .set("account_sid", ctx.account)
        .set("type", wanted.name.as_str())
        .set("schema_version", wanted.schema_version)
        .set("subscription_sid", ctx.param("SubscriptionSid"));
    record
}

fn named(ctx: &Ctx, all: &[Wanted]) -> Result<Wanted, ApiError> {
    let found = all.iter().find(|wanted| wanted.name == ctx.param("Type"));
    found.cloned().ok_or_else(|| ctx.not_found())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let all = Wanted::all(&subscription(ctx).await?);
    let size = ctx.page.size as usize;
    let start = match &ctx.page.cursor {
        Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        Cursor::After(key) => all.partition_point(|wanted| wanted.name <= *key),
        Cursor::Before(key) => {
            all.partition_point(|wanted| wanted.name < *key).saturating_sub(size)
        }
    };
    let rest = all.get(start..).unwrap_or_default();
    let records = rest.iter().take(size).map(|wanted| record(ctx, wanted)).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let all = Wanted::all(&subscription(ctx).await?);
    Ok(Reply::Record(record(ctx, &named(ctx, &all)?)))
}

/// Asking for a type again changes its version.
async fn create(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = subscription(ctx).await?;
    let wanted =
        Wanted::new(ctx.form.text("Type").unwrap_or_default(), ctx.form.integer("SchemaVersion"))?;
    put(ctx, doc, wanted).await
}

async fn update(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = subscription(ctx).await?;
    let old = named(ctx, &Wanted::all(&doc))?;
    let version = ctx.form.integer("SchemaVersion").unwrap_or(old.schema_version);
    put(ctx, doc, Wanted::new(&old.name, Some(version))?).await
}

async fn put(ctx: &Ctx, doc: Doc, wanted: Wanted) -> Result<Reply, ApiError> {
    let mut all = Wanted::all(&doc);
    all.retain(|other| other.name != wanted.name);
    all.push(wanted.clone());
    write(ctx, doc, all).await?;
    Ok(Reply::Record(record(ctx, &wanted)))
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = subscription(ctx).await?;
    let mut all = Wanted::all(&doc);
    let gone = named(ctx, &all)?;
    all.retain(|wanted| *wanted != gone);
    write(ctx, doc, all).await?;
    Ok(Reply::Empty)
}

/// 20409 / 409 when the subscription changed since it was read.
async fn write(ctx: &Ctx, doc: Doc, mut all: Vec<Wanted>) -> Result<(), ApiError> {
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut fields = doc.fields.clone();
    fields.insert("types".to_owned(), Wanted::json(&all));
    let mut batch = ctx.store.batch();
    let changes = rest::changes(Some(&doc.fields), Some(&fields));
    ctx.audit(&mut batch, "event-subscription.updated", &doc.sid, changes);
    batch.must(
        "UPDATE resource SET body = $4, date_updated = $5, version = version + 1
         WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3 AND version = $6",
        vec![
            KIND.into(),
            doc.sid.as_str().into(),
            Json::Object(fields).to_string().into(),
            ctx.now.into(),
            doc.version.into(),
        ],
    );
    let committed: Result<_, StoreError> = ctx.store.commit(batch).await;
    committed.map(|_| ()).map_err(|error| rest::store_error(ctx, error))
}

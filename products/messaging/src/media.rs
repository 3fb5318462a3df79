//! `/Messages/{MessageSid}/Media` (messaging §5).
//!
//! Differs: the path without extension answers the bytes themselves, where Twilio
//! redirects to a signed address of its content network.

use kernel::{ApiError, Timestamp};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use store::{Row, Value};

use crate::Messaging;
use crate::resource::{cursor_id, existing};

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("content_type"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::sid("parent_sid", &["SM", "MM"]),
    Field::sid("sid", &["ME"]),
    Field::text("uri"),
];

pub static MEDIA: Resource<Messaging> = Resource {
    table: Table::v2010(
        "Media",
        "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media",
        "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}",
    )
    .key("media_list")
    .sid("ME")
    .fields(FIELDS)
    .access(Access::PublicBytes("messaging/media")),
    ops: &[
        Op::list(&[
            Param::date_time("DateCreated"),
            Param::date_time("DateCreated<"),
            Param::date_time("DateCreated>"),
        ])
        .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|messaging, ctx| Box::pin(fetch(messaging, ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

const COLUMNS: &str = "id, content_type, blob, date_created";

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let message = existing(ctx, "MessageSid").await?;
    let mut sql = format!("SELECT {COLUMNS} FROM media WHERE account_sid = $1 AND message_id = $2");
    let mut params: Vec<Value> = vec![message.sid.hex().into()];
    let (from, before) = ctx.form.range(["DateCreated", "DateCreated<", "DateCreated>"]);
    let (bound, order): (Option<(&str, Value)>, &str) = match &ctx.page.cursor {
        Cursor::Offset => (None, "DESC"),
        Cursor::After(key) => (Some(("id <", cursor_id(key)?.into())), "DESC"),
        Cursor::Before(key) => (Some(("id >", cursor_id(key)?.into())), "ASC"),
    };
    let conditions = [
        from.map(|at| ("date_created >=", Value::from(at))),
        before.map(|at| ("date_created <", Value::from(at))),
        bound,
    ];
    for (condition, value) in conditions.into_iter().flatten() {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    }
    params.push(ctx.page.limit().into());
    params.push(ctx.page.offset().into());
    sql.push_str(&format!(
        " ORDER BY id {order} LIMIT ${} OFFSET ${}",
        params.len(),
        params.len() + 1
    ));
    let rows =
        ctx.store.query(&sql, params).await.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| record(ctx, row)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let row = existing_media(ctx).await?;
    if ctx.path.ends_with(".json") || ctx.path.ends_with(".xml") {
        return Ok(Reply::Record(record(ctx, &row)));
    }
    let bytes = messaging.parts.blobs.get(row.text(2)).await;
    let body = bytes.map_err(|error| rest::store_error(ctx, error))?;
    let body = body.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Bytes { content_type: row.text(1).to_owned(), body })
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let row = existing_media(ctx).await?;
    let message = ctx.param_sid("MessageSid", &["SM", "MM"])?;
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM media WHERE account_sid = $1 AND message_id = $2 AND id = $3",
        vec![message.hex().into(), row.text(0).into()],
    );
    batch.event("media.deleted", ctx.param("Sid"), ctx.now, "{}".into());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

async fn existing_media(ctx: &Ctx) -> Result<Row, ApiError> {
    let message = ctx.param_sid("MessageSid", &["SM", "MM"])?;
    let sid = ctx.param_sid("Sid", &["ME"])?;
    let sql = "SELECT id, content_type, blob, date_created FROM media
               WHERE account_sid = $1 AND message_id = $2 AND id = $3";
    let row = ctx.store.point(sql, vec![message.hex().into(), sid.hex().into()]).await;
    row.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

fn record(ctx: &Ctx, row: &Row) -> Record {
    let sid = format!("ME{}", row.text(0));
    let created: Timestamp = row.time(3);
    let mut record = Record::new(&sid);
    record
        .set("account_sid", ctx.account)
        .set("content_type", row.text(1))
        .set("date_created", created)
        .set("date_updated", created)
        .set("parent_sid", ctx.param("MessageSid"))
        .set("sid", sid.as_str());
    record
}

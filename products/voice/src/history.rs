//! What happened around a call: its requests, and what went wrong (voice-api §2.6, §16).
//!
//! Both are events that the webhooks of the call wrote.

use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{Row, Value};

use crate::Voice;
use crate::resource::existing;

pub static EVENT: Resource<Voice> = Resource {
    table: Table::v2010(
        "CallEvent",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Events",
        "",
    )
    .collection()
    .key("events")
    .fields(&[Field::new("request", Wire::Json), Field::new("response", Wire::Json)])
    .access(Access::Keys("voice/calls")),
    ops: &[Op::list(&[]).by(|_, ctx| Box::pin(events(ctx)))],
};

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::sid("call_sid", &["CA"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("error_code"),
    Field::text("log"),
    Field::new("message_date", Wire::Rfc2822),
    Field::text("message_text"),
    Field::new("more_info", Wire::Url),
    Field::new("request_method", Wire::Method),
    Field::new("request_url", Wire::Url),
    Field::sid("sid", &["NO"]),
    Field::text("uri"),
];

const ONE: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::sid("call_sid", &["CA"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("error_code"),
    Field::text("log"),
    Field::new("message_date", Wire::Rfc2822),
    Field::text("message_text"),
    Field::new("more_info", Wire::Url),
    Field::new("request_method", Wire::Method),
    Field::new("request_url", Wire::Url),
    Field::text("request_variables"),
    Field::text("response_body"),
    Field::text("response_headers"),
    Field::sid("sid", &["NO"]),
    Field::text("uri"),
];

const LIST: &[Param] = &[
    Param::integer("Log", 0, 1),
    Param::date_time("MessageDate"),
    Param::date_time("MessageDate<"),
    Param::date_time("MessageDate>"),
];

pub static CALL_NOTIFICATION: Resource<Voice> = Resource {
    table: Table::v2010(
        "CallNotification",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Notifications",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Notifications/{Sid}",
    )
    .key("notifications")
    .sid("NO")
    .fields(FIELDS)
    .access(Access::Keys("voice/notifications")),
    ops: &[
        Op::list(LIST).by(|_, ctx| Box::pin(notifications(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(notification(ctx))).fields(ONE),
    ],
};

pub static NOTIFICATION: Resource<Voice> = Resource {
    table: Table::v2010(
        "Notification",
        "/2010-04-01/Accounts/{AccountSid}/Notifications",
        "/2010-04-01/Accounts/{AccountSid}/Notifications/{Sid}",
    )
    .key("notifications")
    .sid("NO")
    .fields(FIELDS)
    .access(Access::Keys("voice/notifications")),
    ops: &[
        Op::list(LIST).by(|_, ctx| Box::pin(notifications(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(notification(ctx))).fields(ONE),
    ],
};

fn parsed(row: &Row) -> Json {
    serde_json::from_str(row.text(3)).unwrap_or(Json::Null)
}

/// The requests about a call, oldest first.
async fn events(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing(ctx, "CallSid").await?;
    let sql = "SELECT seq, at, sid, body FROM event WHERE account_sid = $1 AND sid = $2
               AND kind = 'webhook' ORDER BY seq LIMIT $3 OFFSET $4";
    let params = vec![call.sid.into(), ctx.page.limit().into(), ctx.page.offset().into()];
    let rows = ctx.store.query(sql, params).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| {
        let body = parsed(row);
        let form = body["request_body"].as_str().unwrap_or_default();
        let parameters: Map<String, Json> = pairs(form);
        let mut record = Record::new("");
        record
            .set(
                "request",
                json!({
                    "method": body["method"],
                    "url": body["url"],
                    "parameters": parameters,
                }),
            )
            .set(
                "response",
                json!({
                    "response_code": body["status"],
                    "request_duration": body["duration_ms"],
                    "content_type": header(&body, "content-type"),
                    "response_body": body["response_body"],
                    "date_created": row.time(1).rfc2822(),
                }),
            );
        record
    });
    Ok(Reply::List(Page { records: records.collect(), has_next }))
}

fn pairs(form: &str) -> Map<String, Json> {
    let pairs = form_urlencoded::parse(form.as_bytes());
    pairs.map(|(name, value)| (name.to_lowercase(), value.into_owned().into())).collect()
}

fn header(body: &Json, name: &str) -> Json {
    let headers = body["response_headers"].as_array();
    let found = headers.and_then(|all| {
        all.iter().find(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    });
    found.map_or(Json::Null, |pair| pair[1].clone())
}

fn sid_of(at: Timestamp, seq: i64) -> Sid {
    SidGenerator::numbered("NO", at, seq.unsigned_abs())
}

fn seq_of(sid: Sid) -> i64 {
    // The cast keeps the low 64 bits, where the number is.
    i64::try_from(sid.bits() as u64).unwrap_or(i64::MAX)
}

/// The alerts of a call, or of all, newest first.
async fn notifications(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut sql =
        "SELECT seq, at, sid, body FROM event WHERE account_sid = $1 AND kind = 'alert'".to_owned();
    let mut params: Vec<Value> = Vec::new();
    let mut filter = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    };
    if !ctx.param("CallSid").is_empty() {
        filter("sid =", existing(ctx, "CallSid").await?.sid.into());
    } else {
        filter("sid LIKE", "CA%".into());
    }
    if let Some(log) = ctx.form.integer("Log") {
        let level = if log == 0 { "error" } else { "warning" };
        filter("body LIKE", format!("%\"level\":\"{level}\"%").into());
    }
    let (from, before) = ctx.form.range(["MessageDate", "MessageDate<", "MessageDate>"]);
    if let Some(from) = from {
        filter("at >=", from.into());
    }
    if let Some(before) = before {
        filter("at <", before.into());
    }
    let seq = |key: &str| match key.parse::<Sid>() {
        Ok(sid) if sid.prefix() == "NO" => Ok(seq_of(sid)),
        _ => Err(ApiError::new(21481, format!("PageToken names '{key}', none of this list"))),
    };
    let order = match &ctx.page.cursor {
        Cursor::Offset => "DESC",
        Cursor::After(key) => {
            filter("seq <", seq(key)?.into());
            "DESC"
        }
        Cursor::Before(key) => {
            filter("seq >", seq(key)?.into());
            "ASC"
        }
    };
    params.push(ctx.page.limit().into());
    params.push(ctx.page.offset().into());
    let (limit, offset) = (params.len(), params.len() + 1);
    sql.push_str(&format!(" ORDER BY seq {order} LIMIT ${limit} OFFSET ${offset}"));
    let rows = ctx.store.query(&sql, params).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| record(ctx, row)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

fn record(ctx: &Ctx, row: &Row) -> Record {
    let body = parsed(row);
    let at = row.time(1);
    let sid = sid_of(at, row.int(0)).to_string();
    let mut record = Record::new(&sid);
    let is_error = body["level"] == "error";
    record
        .set("account_sid", ctx.account)
        .set("call_sid", row.text(2))
        .set("date_created", at)
        .set("date_updated", at)
        .set("error_code", body["code"].to_string())
        .set("log", if is_error { "0" } else { "1" })
        .set("message_date", at)
        .set("message_text", body["message"].clone())
        .set("more_info", format!("https://www.twilio.com/docs/errors/{}", body["code"]))
        .set("request_method", body["method"].clone())
        .set("request_url", body["url"].clone())
        .set("sid", sid.as_str());
    record.with_cursor(sid)
}

/// The alert with the exchange that it is about.
async fn notification(ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let sid = ctx.param_sid("Sid", &["NO"])?;
    let sql = "SELECT seq, at, sid, body FROM event WHERE account_sid = $1 AND kind = 'alert'
               AND seq = $2";
    let row = ctx.store.point(sql, vec![seq_of(sid).into()]).await.map_err(failed)?;
    let row = row
        .filter(|row| sid_of(row.time(1), row.int(0)) == sid)
        .filter(|row| ctx.param("CallSid").is_empty() || row.text(2) == ctx.param("CallSid"))
        .ok_or_else(|| ctx.not_found())?;
    let mut record = record(ctx, &row);
    let sql = "SELECT seq, at, sid, body FROM event WHERE account_sid = $1 AND kind = 'webhook'
               AND sid = $2 AND seq < $3 ORDER BY seq DESC LIMIT 1";
    let params = vec![row.text(2).into(), row.int(0).into()];
    if let Some(row) = ctx.store.point(sql, params).await.map_err(failed)? {
        let body = parsed(&row);
        record
            .set("request_variables", body["request_body"].clone())
            .set("response_body", body["response_body"].clone())
            .set("response_headers", body["response_headers"].to_string());
    }
    Ok(Reply::Record(record))
}

//! `/Messages`: the table, and fetch, list, update, delete (messaging §4).

use kernel::{ApiError, Sid, SidGenerator};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Reply, Resource, Table, Wire};
use store::Value;

use crate::Messaging;
use crate::create::create;
use crate::lifecycle::{self, Event, Status};
use crate::message::{COLUMNS, Message, forget_webhooks};

const STATUSES: &[&str] = &[
    "queued",
    "sending",
    "sent",
    "failed",
    "delivered",
    "undelivered",
    "receiving",
    "received",
    "accepted",
    "scheduled",
    "read",
    "partially_delivered",
    "canceled",
];
const DIRECTIONS: &[&str] = &["inbound", "outbound-api", "outbound-call", "outbound-reply"];
const INTENTS: &[&str] = &[
    "otp",
    "notifications",
    "marketing",
    "fraud",
    "security",
    "customercare",
    "delivery",
    "education",
    "polling",
    "announcements",
    "events",
];

const CREATE: &[Param] = &[
    Param::address("To").required(21604),
    Param::address("From"),
    Param::text("MessagingServiceSid", 64).code(21705),
    Param::text("Body", 65_536).code(21617),
    Param::url("MediaUrl").code(21620).list(),
    Param::sid("ContentSid", &["HX"]).code(21655),
    Param::text("ContentVariables", 65_536).code(21656),
    Param::url("StatusCallback").code(21609),
    Param::sid("ApplicationSid", &["AP"]).code(21218),
    Param::integer("ValidityPeriod", 1, 36_000).code(21624),
    Param::new("MaxPrice", Wire::Number).code(21627),
    Param::boolean("ProvideFeedback"),
    Param::integer("Attempt", 0, 1_000_000),
    Param::boolean("ForceDelivery"),
    Param::one_of("ContentRetention", &["retain", "discard"]).code(30029),
    Param::one_of("AddressRetention", &["retain", "obfuscate"]).code(30030),
    Param::boolean("SmartEncoded"),
    Param::text("PersistentAction", 1024).list(),
    Param::one_of("TrafficType", &["free"]),
    Param::boolean("ShortenUrls"),
    Param::one_of("ScheduleType", &["fixed"]).code(35112),
    Param::date_time("SendAt").code(35114),
    Param::boolean("SendAsMms"),
    Param::one_of("RiskCheck", &["enable", "disable"]),
    Param::one_of("MessageIntent", INTENTS),
];

const LIST: &[Param] = &[
    Param::address("To"),
    Param::address("From"),
    Param::date_time("DateSent"),
    Param::date_time("DateSent<"),
    Param::date_time("DateSent>"),
];

const FIELDS: &[Field] = &[
    Field::text("body"),
    Field::text("num_segments"),
    Field::new("direction", Wire::Enum(DIRECTIONS)),
    Field::new("from", Wire::Address),
    Field::new("to", Wire::Address),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("price"),
    Field::text("error_message"),
    Field::text("uri"),
    Field::sid("account_sid", &["AC"]),
    Field::text("num_media"),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::sid("messaging_service_sid", &["MG"]),
    Field::sid("sid", &["SM", "MM"]),
    Field::new("date_sent", Wire::Rfc2822),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("error_code", Wire::Integer(0, i64::MAX)),
    Field::text("price_unit"),
    Field::text("api_version"),
    Field::new("subresource_uris", Wire::UriMap),
];

const fn table(list: &'static str, instance: &'static str) -> Table {
    Table::v2010("Message", list, instance)
        .key("messages")
        .sid("SM")
        .fields(FIELDS)
        .access(Access::Keys("messaging/messages"))
}

const OPS: &[Op<Messaging>] = &[
    Op::create(CREATE).with_test_credentials().by(|m, ctx| Box::pin(create(m, ctx))),
    Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
    Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    Op::update(&[
        Param::text("Body", 1600).code(30400),
        Param::one_of("Status", &["canceled"]).code(30400),
    ])
    .by(|m, ctx| Box::pin(update(m, ctx))),
    Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
];

pub static MESSAGE: Resource<Messaging> = Resource {
    table: table(
        "/2010-04-01/Accounts/{AccountSid}/Messages",
        "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}",
    ),
    ops: OPS,
};

/// The retired path, for long-gone clients.
pub static LEGACY_MESSAGE: Resource<Messaging> = Resource {
    table: table(
        "/2010-04-01/Accounts/{AccountSid}/SMS/Messages",
        "/2010-04-01/Accounts/{AccountSid}/SMS/Messages/{Sid}",
    ),
    ops: OPS,
};

/// The message in the path, or 20404.
pub(crate) async fn existing(ctx: &Ctx, param: &str) -> Result<Message, ApiError> {
    let sid = ctx.param_sid(param, &["SM", "MM"])?;
    let found = Message::load(&ctx.store, sid).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(existing(ctx, "Sid").await?.record(ctx)))
}

/// Newest first by keyset: a page costs the same at any depth.
async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut sql = format!("SELECT {COLUMNS} FROM message WHERE account_sid = $1");
    let mut params: Vec<Value> = Vec::new();
    let mut filter = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    };
    if let Some(to) = ctx.form.text("To") {
        filter("to_addr =", normal(to).into());
    }
    if let Some(from) = ctx.form.text("From") {
        filter("from_addr =", normal(from).into());
    }
    let (from, before) = ctx.form.range(["DateSent", "DateSent<", "DateSent>"]);
    // A message that is not sent yet counts by its creation.
    if let Some(from) = from {
        filter("COALESCE(date_sent, date_created) >=", from.into());
    }
    if let Some(before) = before {
        filter("COALESCE(date_sent, date_created) <", before.into());
        // It was created before it was sent: the key bounds the scan.
        filter("id <", format!("{:032x}", SidGenerator::lower_bound(before)).into());
    }
    let order = match &ctx.page.cursor {
        Cursor::Offset => "DESC",
        Cursor::After(key) => {
            filter("id <", cursor_id(key)?.into());
            "DESC"
        }
        Cursor::Before(key) => {
            filter("id >", cursor_id(key)?.into());
            "ASC"
        }
    };
    params.push(ctx.page.limit().into());
    params.push(ctx.page.offset().into());
    let (limit, offset) = (params.len(), params.len() + 1);
    sql.push_str(&format!(" ORDER BY id {order} LIMIT ${limit} OFFSET ${offset}"));
    let rows =
        ctx.store.query(&sql, params).await.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| Message::of(row).record(ctx)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// The id behind a page token's SID; 21481 when it is none.
pub(crate) fn cursor_id(key: &str) -> Result<String, ApiError> {
    let sid = key.parse::<Sid>().map_err(|_| {
        ApiError::new(21481, format!("PageToken names '{key}', which is none of this list"))
    })?;
    Ok(sid.hex())
}

/// Filters compare with the stored form of an address.
fn normal(text: &str) -> String {
    numbering::Address::parse_to(text).map_or_else(|_| text.to_owned(), |to| to.to_string())
}

/// Redact with an empty `Body`, cancel with `Status=canceled`; one of the two.
async fn update(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let (body, status) = (ctx.form.raw("Body"), ctx.form.text("Status"));
    let refuse = |why: &str| Err(ApiError::new(30400, why));
    let mut message = existing(ctx, "Sid").await?;
    let mut batch = ctx.store.batch();
    match (body, status) {
        (Some(""), None) => {
            if !message.status.is_final() {
                return Err(in_progress(&message));
            }
            // What a template was to be filled with says what the body said.
            message.extra.content = None;
            let extra = serde_json::to_string(&message.extra).expect("extras are plain text");
            batch.must(
                "UPDATE message SET body = '', date_updated = $3, version = version + 1,
                 extra = $5 WHERE account_sid = $1 AND id = $2 AND version = $4",
                vec![
                    message.sid.hex().into(),
                    ctx.now.into(),
                    message.version.into(),
                    extra.into(),
                ],
            );
            forget_webhooks(message.sid, &mut batch);
            message.body.clear();
            message.date_updated = ctx.now;
            batch.event("message.redacted", &message.sid.to_string(), ctx.now, "{}".into());
        }
        (None, Some(_)) => {
            let steps = lifecycle::apply(message.status, Event::Cancel);
            if steps.through.last() != Some(&Status::Canceled) {
                let why = format!(
                    "The message is {} and can no longer be canceled; only a scheduled one can",
                    message.status
                );
                return Err(ApiError::new(30409, why));
            }
            message.step(&steps, ctx.now, &messaging.parts.clock, &mut batch);
        }
        (Some(_), None) => {
            return refuse("Body can only be emptied: send an empty 'Body' to redact");
        }
        (None, None) => return refuse("Send an empty 'Body' to redact, or 'Status=canceled'"),
        (Some(_), Some(_)) => return refuse("Send either 'Body' or 'Status', not both"),
    }
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Record(message.record(ctx)))
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let message = existing(ctx, "Sid").await?;
    if !message.status.is_final() {
        return Err(in_progress(&message));
    }
    let mut batch = ctx.store.batch();
    let id = message.sid.hex();
    batch.must("DELETE FROM message WHERE account_sid = $1 AND id = $2", vec![id.as_str().into()]);
    batch.run(
        "DELETE FROM media WHERE account_sid = $1 AND message_id = $2",
        vec![id.as_str().into()],
    );
    forget_webhooks(message.sid, &mut batch);
    batch.event("message.deleted", &message.sid.to_string(), ctx.now, "{}".into());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

/// 20009 / 409: the message is still on its way (rest-conventions §8.4).
fn in_progress(message: &Message) -> ApiError {
    let why = format!("The message is {}; wait until it has ended", message.status);
    ApiError::new(20009, why).with_status(409)
}

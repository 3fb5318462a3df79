//! `/v2/Alarms`: who is told when there are many alerts (messaging-adjacent §5).
//!
//! A job per alarm looks once a minute at the alerts of its window. When they are as many as its
//! value, the alarm fires: its webhook is called and `alarm.fired` is an event, and again not
//! before a whole window has passed.

// Differs: what Twilio's alarms post to a webhook is unpublished; here it is a form, signed as
// every other webhook: AccountSid, AlarmSid, FriendlyName, QueryType, Query, TriggerValue,
// TimeWindow, Value, DateFired. An alarm without webhook or mail is told by its event.

use std::sync::Arc;
use std::time::Duration;

use contracts::{Notice, NoticeChannel, NoticeError};
use jobs::{AccountBatch, AccountStore, Failure, Job, NewJob, Worker};
use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Doc, Field, Form, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use webhooks::Callback;

use crate::Monitor;

const KIND: &str = "Alarm";
const QUEUE: &str = "monitor.alarm";
const EVERY: Duration = Duration::from_secs(60);
/// Alarms of one account. Differs: Twilio's bound is unpublished.
const ALARMS_MAX: i64 = 100;

const QUERY_TYPES: &[&str] = &["ERROR_CODE", "LOG_LEVEL", "ALL"];
const WINDOWS: &[&str] = &["FIVE_MINS", "FIFTEEN_MINS", "ONE_HOUR", "TWELVE_HOURS", "ONE_DAY"];
const LEVELS: &[&str] = &["error", "warning", "notice", "debug"];

fn minutes(window: &str) -> u64 {
    match window {
        "FIVE_MINS" => 5,
        "FIFTEEN_MINS" => 15,
        "ONE_HOUR" => 60,
        "TWELVE_HOURS" => 12 * 60,
        _ => 24 * 60,
    }
}

const PARAMS: &[Param] = &[
    Param::text("friendlyName", 256).required(20001),
    Param::one_of("queryType", QUERY_TYPES).required(20001),
    Param::text("query", 256),
    Param::integer("triggerValue", 1, 1_000_000).required(20001),
    Param::one_of("timeWindow", WINDOWS).required(20001),
    Param::text("email", 320).list(),
    Param::url("webhook"),
    Param::boolean("consoleIndicator"),
    Param::text("description", 1024).required(20001),
    Param::boolean("enabled").required(20001),
];

const FIELDS: &[Field] = &[
    Field::text("friendlyName"),
    Field::new("queryType", Wire::Enum(QUERY_TYPES)),
    Field::text("query"),
    Field::new("triggerValue", Wire::Integer(1, 1_000_000)),
    Field::new("timeWindow", Wire::Enum(WINDOWS)),
    Field::new("email", Wire::Json).empty("[]"),
    Field::text("webhook"),
    Field::new("consoleIndicator", Wire::Boolean).empty("false"),
    Field::text("description"),
    Field::new("enabled", Wire::Boolean),
    Field::text("product"),
    Field::sid("alertConfigSid", &["AK"]),
    Field::new("dateUpdated", Wire::Iso8601),
    Field::new("dateCreated", Wire::Iso8601),
];

/// What a write answers.
const WRITTEN: &[Field] = &[Field::sid("sid", &["AK"])];

pub static ALARM: Resource<Monitor> = Resource {
    table: Table::product(KIND, "monitor", "/v2/Alarms", "/v2/Alarms/{Sid}")
        .key("alarms")
        .sid("AK")
        .fields(FIELDS)
        .access(Access::Keys("monitor/alarms")),
    ops: &[
        Op::create(PARAMS).json().fields(WRITTEN).by(|_, ctx| Box::pin(create(ctx))),
        Op::list(&[Param::one_of("SortOrder", &["asc", "desc"])]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(PARAMS).json().fields(WRITTEN).by(|_, ctx| Box::pin(update(ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

pub static STATUS: Resource<Monitor> = Resource {
    table: Table::product(
        "AlarmStatus",
        "monitor",
        "/v2/Alarms/{Sid}/status",
        "/v2/Alarms/{Sid}/status",
    )
    .singleton()
    .access(Access::Keys("monitor/alarms")),
    ops: &[Op::update(&[Param::boolean("enabled").required(20001)])
        .json()
        .status(204)
        .by(|_, ctx| Box::pin(set_enabled(ctx)))],
};

/// What the caller asks for, checked.
fn fields(form: &Form) -> Result<Map<String, Json>, ApiError> {
    let query = form.text("query").unwrap_or_default();
    match form.text("queryType") {
        Some("ERROR_CODE") if query.parse::<u32>().is_err() => {
            return Err(ApiError::new(20001, format!("query '{query}' is not an error code")));
        }
        Some("LOG_LEVEL") if !LEVELS.contains(&query.to_ascii_lowercase().as_str()) => {
            let why = format!("query '{query}' is none of {}", LEVELS.join(", "));
            return Err(ApiError::new(20001, why));
        }
        _ => {}
    }
    let mut fields = Map::new();
    for name in ["friendlyName", "queryType", "query", "timeWindow", "webhook", "description"] {
        fields.insert(name.into(), form.text(name).into());
    }
    fields.insert("triggerValue".into(), form.integer("triggerValue").into());
    fields.insert("email".into(), form.list("email").into());
    fields.insert("consoleIndicator".into(), form.boolean("consoleIndicator").into());
    fields.insert("enabled".into(), form.boolean("enabled").into());
    Ok(fields)
}

fn is_enabled(fields: &Map<String, Json>) -> bool {
    fields.get("enabled").and_then(Json::as_bool).unwrap_or(false)
}

async fn create(ctx: &Ctx) -> Result<Reply, ApiError> {
    let fields = fields(&ctx.form)?;
    let sql = "SELECT count(*) FROM resource WHERE account_sid = $1 AND kind = $2";
    let row = ctx.store.point(sql, vec![KIND.into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    if row.is_some_and(|row| row.int(0) >= ALARMS_MAX) {
        let why = format!("The account has {ALARMS_MAX} alarms; delete one first");
        return Err(ApiError::new(20001, why));
    }
    let sid = ctx.clock.sid("AK").to_string();
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, KIND, "", &sid, &fields, ctx.now);
    watch(&mut batch, ctx, &sid, is_enabled(&fields));
    commit(ctx, batch).await?;
    Ok(written(&sid))
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let docs = rest::documents(ctx, KIND, "", |_| true).await;
    let (docs, has_next) = docs.map_err(|error| rest::store_error(ctx, error))?;
    let mut records: Vec<Record> = docs.iter().map(record).collect();
    // Differs: the order is that of the page.
    if ctx.form.text("SortOrder") == Some("asc") {
        records.reverse();
    }
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(&existing(ctx).await?)))
}

async fn update(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let fields = fields(&ctx.form)?;
    rewrite(ctx, &doc, &fields).await?;
    Ok(written(&doc.sid))
}

async fn set_enabled(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let mut fields = doc.fields.clone();
    fields.insert("enabled".into(), ctx.form.boolean("enabled").into());
    rewrite(ctx, &doc, &fields).await?;
    Ok(Reply::Empty)
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let mut batch = ctx.store.batch();
    batch.must(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3",
        vec![KIND.into(), doc.sid.as_str().into()],
    );
    watch(&mut batch, ctx, &doc.sid, false);
    commit(ctx, batch).await?;
    Ok(Reply::Empty)
}

async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid = ctx.param_sid("Sid", &["AK"])?.to_string();
    let doc = rest::load(&ctx.store, KIND, "", &sid).await;
    doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

/// Writes the alarm, and begins to watch it anew or no more.
async fn rewrite(ctx: &Ctx, doc: &Doc, fields: &Map<String, Json>) -> Result<(), ApiError> {
    let mut batch = ctx.store.batch();
    rest::revise(&mut batch, KIND, "", doc, fields, ctx.now);
    watch(&mut batch, ctx, &doc.sid, is_enabled(fields));
    commit(ctx, batch).await
}

fn written(sid: &str) -> Reply {
    let mut record = Record::new(sid);
    record.set("sid", sid);
    Reply::Record(record)
}

async fn commit(ctx: &Ctx, batch: AccountBatch) -> Result<(), ApiError> {
    let committed = ctx.store.commit(batch).await;
    committed.map(|_| ()).map_err(|error| rest::store_error(ctx, error))
}

fn record(doc: &Doc) -> Record {
    let mut record = Record::new(&doc.sid);
    for field in FIELDS {
        if let Some(value) = doc.fields.get(field.name) {
            record.set(field.name, value.clone());
        }
    }
    record
        .set("product", "monitor")
        .set("alertConfigSid", doc.sid.as_str())
        .set("dateCreated", doc.date_created)
        .set("dateUpdated", doc.date_updated);
    record.with_cursor(doc.sid.clone())
}

#[derive(Serialize, Deserialize)]
struct Look {
    alarm: String,
    /// Alerts up to this number are older than any window.
    after: i64,
}

fn job_id(alarm: &str) -> String {
    format!("{QUEUE}/{alarm}")
}

/// Promises the first look, or none any more.
fn watch(batch: &mut AccountBatch, ctx: &Ctx, alarm: &str, is_enabled: bool) {
    let id = job_id(alarm);
    batch.run("DELETE FROM job WHERE account_sid = $1 AND id = $2", vec![id.as_str().into()]);
    if is_enabled {
        let look = Look { alarm: alarm.to_owned(), after: 0 };
        jobs::add(batch, &ctx.clock, NewJob::now(QUEUE, &ctx.clock, &look).named(id));
    }
}

/// Looks at the alerts of alarms.
pub(crate) struct Lookout(pub Arc<Monitor>);

impl Lookout {
    async fn look(&self, store: &AccountStore, look: Look) -> Result<AccountBatch, Failure> {
        let clock = &self.0.clock;
        let mut batch = store.batch();
        let Some(doc) = rest::load(store, KIND, "", &look.alarm).await? else { return Ok(batch) };
        if !is_enabled(&doc.fields) {
            return Ok(batch);
        }
        let now = clock.now();
        let window = Duration::from_secs(60 * minutes(doc.text("timeWindow").unwrap_or_default()));
        let since = now - window;
        let after = last_before(store, look.after, since).await?;
        let value = count(store, &doc, after, since).await?;
        let trigger = doc.fields.get("triggerValue").and_then(Json::as_i64).unwrap_or(i64::MAX);
        let fired = doc.fields.get("fired").and_then(Json::as_i64).map(Timestamp::from_micros);
        if value >= trigger && fired.is_none_or(|fired| fired <= since) {
            fire(&mut batch, &doc, value, now);
            self.mail(store, &doc, value).await?;
            if let Some(url) = doc.text("webhook") {
                let callback = callback(store, &doc, url, value, now);
                webhooks::promise(&mut batch, clock, callback);
            }
        }
        let next = Look { alarm: look.alarm, after };
        let id = job_id(&next.alarm);
        jobs::add(&mut batch, clock, NewJob::now(QUEUE, clock, &next).named(id).after(EVERY));
        Ok(batch)
    }
}

impl Lookout {
    /// Tells those who are to have a mail. Each is sent once for a firing, however often this
    /// is tried.
    async fn mail(&self, store: &AccountStore, doc: &Doc, value: i64) -> Result<(), Failure> {
        let text = |field: &str| doc.text(field).unwrap_or_default();
        let addresses = doc.fields.get("email").and_then(Json::as_array);
        for (at, to) in addresses.into_iter().flatten().filter_map(Json::as_str).enumerate() {
            let alarm: Sid = doc.sid.parse().map_err(|_| Failure::Hopeless("no SID".into()))?;
            let firing = (doc.version as u128) << 16 | at as u128;
            let notice = Notice {
                account: store.account(),
                reference: Sid::from_parts("AK", alarm.bits() ^ firing),
                channel: NoticeChannel::Email,
                to: to.to_owned(),
                from: None,
                subject: Some(format!("Alarm: {}", text("friendlyName"))),
                text: format!(
                    "{}\n\n{value} alerts in {}; the alarm is set to {}.\n",
                    text("description"),
                    text("timeWindow"),
                    doc.fields.get("triggerValue").map_or(String::new(), Json::to_string),
                ),
                html: None,
                speech: None,
                template: None,
            };
            match self.0.mail.send(&notice).await {
                Ok(()) => {}
                // One address that cannot be reached keeps the others from nothing.
                Err(NoticeError::Refused { code }) => {
                    tracing::warn!(alarm = doc.sid, code, "an alarm cannot be sent by mail");
                }
                Err(NoticeError::Unavailable(why)) => return Err(Failure::Retry(why.0)),
            }
        }
        Ok(())
    }
}

/// The number of the last alert before the window, which no later window reaches.
async fn last_before(
    store: &AccountStore,
    after: i64,
    since: Timestamp,
) -> Result<i64, store::StoreError> {
    let sql = "SELECT COALESCE(MAX(seq), $2) FROM event WHERE account_sid = $1 AND kind = 'alert'
               AND seq > $2 AND at < $3";
    let row = store.point(sql, vec![after.into(), since.into()]).await?;
    Ok(row.map_or(after, |row| row.int(0)))
}

async fn count(
    store: &AccountStore,
    doc: &Doc,
    after: i64,
    since: Timestamp,
) -> Result<i64, store::StoreError> {
    // The body is JSON of our own making: its members have one spelling.
    let query = doc.text("query").unwrap_or_default();
    let pattern = match doc.text("queryType") {
        Some("ERROR_CODE") => format!("%\"code\":{query},%"),
        Some("LOG_LEVEL") => format!("%\"level\":\"{}\"%", query.to_ascii_lowercase()),
        _ => "%".to_owned(),
    };
    let sql = "SELECT count(*) FROM event WHERE account_sid = $1 AND kind = 'alert'
               AND seq > $2 AND at >= $3 AND body LIKE $4";
    let row = store.point(sql, vec![after.into(), since.into(), pattern.into()]).await?;
    Ok(row.map_or(0, |row| row.int(0)))
}

/// Notes that it has fired; the commit conflicts when the alarm changed meanwhile.
fn fire(batch: &mut AccountBatch, doc: &Doc, value: i64, now: Timestamp) {
    let mut fields = doc.fields.clone();
    fields.insert("fired".into(), now.as_micros().into());
    rest::revise(batch, KIND, "", doc, &fields, now);
    let body = json!({
        "friendly_name": doc.text("friendlyName"),
        "value": value,
        "console_indicator": doc.fields.get("consoleIndicator"),
    });
    batch.event("alarm.fired", &doc.sid, now, body.to_string());
}

fn callback(store: &AccountStore, doc: &Doc, url: &str, value: i64, now: Timestamp) -> Callback {
    let text = |field: &str| doc.text(field).unwrap_or_default().to_owned();
    let params = [
        ("AccountSid", store.account().to_string()),
        ("AlarmSid", doc.sid.clone()),
        ("FriendlyName", text("friendlyName")),
        ("QueryType", text("queryType")),
        ("Query", text("query")),
        ("TriggerValue", doc.fields.get("triggerValue").map_or(String::new(), Json::to_string)),
        ("TimeWindow", text("timeWindow")),
        ("Value", value.to_string()),
        ("DateFired", now.iso8601()),
    ];
    Callback {
        url: url.to_owned(),
        method: "POST".to_owned(),
        params: params.map(|(name, value)| (name.to_owned(), value)).into(),
        resource: doc.sid.clone(),
    }
}

impl Worker for Lookout {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.look(store, job.read()?).await
    }
}

//! `/v1/Sinks`: where events go (webhooks §12.1).

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Draft, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::Events;
use crate::cloud::Promised;
use crate::delivery;

pub(crate) const KIND: &str = "EventSink";

/// What a subscription claims of its sink: one sink has one subscription.
pub(crate) const IN_USE: &str = "event-sink";

/// Sinks of one account (webhooks §12).
const SINKS_MAX: i64 = 100;

// Differs: `nats` is Offhook's own; kinesis, segment and email are refused.
const TYPES: &[&str] = &["kinesis", "webhook", "segment", "email", "nats"];
const STATUSES: &[&str] = &["initialized", "validating", "active", "failed"];

pub static SINK: Resource<Events> = Resource {
    table: Table::product(KIND, "events", "/v1/Sinks", "/v1/Sinks/{Sid}")
        .key("sinks")
        .sid("DG")
        .access(Access::Keys("event-streams/sinks"))
        .links(&[("sink_test", "/Test"), ("sink_validate", "/Validate")])
        .fields(&[
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::text("description"),
            Field::sid("sid", &["DG"]),
            Field::new("sink_configuration", Wire::Json),
            Field::new("sink_type", Wire::Enum(TYPES)),
            Field::new("status", Wire::Enum(STATUSES)),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ]),
    ops: &[
        Op::create(&[
            Param::text("Description", 256).required(20001),
            Param::new("SinkConfiguration", Wire::Json).required(20001),
            Param::one_of("SinkType", TYPES).required(20001),
        ])
        .with(|_, ctx, draft| Box::pin(create(ctx, draft))),
        Op::list(&[Param::boolean("InUse"), Param::one_of("Status", STATUSES)])
            .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch(),
        Op::update(&[Param::text("Description", 256).required(20001)]),
        Op::delete().with(|_, ctx, draft| Box::pin(delete(ctx, draft))),
    ],
};

pub static TEST: Resource<Events> = Resource {
    table: Table::product("EventSinkTest", "events", "/v1/Sinks/{Sid}/Test", "")
        .collection()
        .access(Access::Keys("event-streams/sinks"))
        .fields(&[Field::text("result")]),
    ops: &[Op::create(&[]).status(200).by(|events, ctx| Box::pin(test(events, ctx)))],
};

pub static VALIDATE: Resource<Events> = Resource {
    table: Table::product("EventSinkValidation", "events", "/v1/Sinks/{Sid}/Validate", "")
        .collection()
        .access(Access::Keys("event-streams/sinks"))
        .fields(&[Field::text("result")]),
    ops: &[Op::create(&[Param::text("TestId", 64).required(20001)])
        .by(|_, ctx| Box::pin(validate(ctx)))],
};

/// Where a sink's events go.
pub(crate) struct Target {
    pub kind: TargetKind,
    /// Several events at once, as an array.
    pub batches: bool,
}

pub(crate) enum TargetKind {
    Webhook { destination: String },
    Nats { destination: String, subject: String },
}

impl Target {
    /// # Errors
    /// Why the configuration is none of this type of sink.
    fn read(kind: &str, configuration: &Json) -> Result<Self, String> {
        let destination = configuration["destination"].as_str();
        let destination = destination.ok_or("SinkConfiguration needs a 'destination'")?.to_owned();
        let batches = match &configuration["batch_events"] {
            Json::Null => false,
            Json::Bool(batches) => *batches,
            other => return Err(format!("batch_events {other} is neither true nor false")),
        };
        let kind = match kind {
            "webhook" => {
                rest::check_url(&destination).map_err(|why| format!("destination: {why}"))?;
                match &configuration["method"] {
                    Json::Null => {}
                    // Differs: whether Twilio takes another method than POST is unconfirmed.
                    Json::String(method) if method.eq_ignore_ascii_case("POST") => {}
                    other => return Err(format!("method {other} is not POST")),
                }
                TargetKind::Webhook { destination }
            }
            "nats" => {
                outbound::check_nats_url(&destination)
                    .map_err(|why| format!("destination: {why}"))?;
                let subject = configuration["subject"].as_str().unwrap_or_default().to_owned();
                if !outbound::is_nats_subject(&subject) {
                    return Err(format!("subject '{subject}' is none such as offhook.events"));
                }
                TargetKind::Nats { destination, subject }
            }
            other => {
                let why = "is not supported by Offhook; use webhook or nats";
                return Err(format!("SinkType '{other}' {why}"));
            }
        };
        Ok(Self { kind, batches })
    }

    /// Of a sink that was accepted.
    pub fn of(sink: &Doc) -> Option<Self> {
        Self::read(sink.text("sink_type")?, sink.fields.get("sink_configuration")?).ok()
    }
}

/// The sink of this SID.
pub(crate) async fn load(store: &AccountStore, sid: &str) -> Result<Option<Doc>, StoreError> {
    rest::load(store, KIND, "", sid).await
}

/// Writes a sink's fields; the commit conflicts when it changed since it was read.
pub(crate) fn store(batch: &mut AccountBatch, sink: &Doc, fields: Map<String, Json>) {
    batch.must(
        "UPDATE resource SET body = $4, version = version + 1
         WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3 AND version = $5",
        vec![
            KIND.into(),
            sink.sid.as_str().into(),
            Json::Object(fields).to_string().into(),
            sink.version.into(),
        ],
    );
}

/// The fields with another status.
pub(crate) fn with_status(sink: &Doc, status: &str) -> Map<String, Json> {
    let mut fields = sink.fields.clone();
    fields.insert("status".to_owned(), status.into());
    fields
}

async fn create(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let refuse = |why: String| ApiError::new(91000, why);
    let kind = draft.text("sink_type").unwrap_or_default();
    let configuration = draft.fields.get("sink_configuration").unwrap_or(&Json::Null);
    Target::read(kind, configuration).map_err(refuse)?;
    let sql = "SELECT count(*) FROM resource WHERE account_sid = $1 AND kind = $2";
    let row = ctx.store.point(sql, vec![KIND.into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    if row.is_some_and(|row| row.int(0) >= SINKS_MAX) {
        return Err(ApiError::new(91003, format!("The account has {SINKS_MAX} sinks already")));
    }
    // A webhook needs no validation: it is active when its creation has been answered.
    draft.set("status", "active");
    draft.reveal("status", "initialized");
    Ok(())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sql = "SELECT value FROM claim WHERE account_sid = $1 AND name = $2";
    let rows = ctx.store.query(sql, vec![IN_USE.into()]).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let is_used = |sink: &Doc| rows.iter().any(|row| row.text(0) == sink.sid);
    let (in_use, status) = (ctx.form.boolean("InUse"), ctx.form.text("Status"));
    let keep = |sink: &Doc| {
        in_use.is_none_or(|wanted| wanted == is_used(sink))
            && status.is_none_or(|wanted| sink.text("status") == Some(wanted))
    };
    let (sinks, has_next) = rest::documents(ctx, KIND, "", keep)
        .await
        .map_err(|error| rest::store_error(ctx, error))?;
    let records = sinks.iter().map(|sink| rest::record(ctx.account, ctx.table, sink)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// 91007 / 409 while a subscription uses the sink.
async fn delete(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if user_of(ctx, &draft.sid).await?.is_some() {
        let why = format!("Sink with SID {} is in use; delete its subscription first", draft.sid);
        return Err(ApiError::new(91007, why));
    }
    // A subscription that comes in between makes the commit conflict.
    draft.batch.must(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3
         AND NOT EXISTS (SELECT 1 FROM claim WHERE name = $4 AND value = $3)",
        vec![KIND.into(), draft.sid.as_str().into(), IN_USE.into()],
    );
    Ok(())
}

/// The subscription that uses a sink.
pub(crate) async fn user_of(ctx: &Ctx, sink: &str) -> Result<Option<String>, ApiError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = ctx.store.point(sql, vec![IN_USE.into(), sink.into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    Ok(row.map(|row| row.text(0).to_owned()))
}

/// The sink in the path, or 20404.
async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid: Sid = ctx.param_sid("Sid", &["DG"])?;
    let found = load(&ctx.store, &sid.to_string()).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

fn result(text: &str) -> Reply {
    let mut record = Record::new("");
    record.set("result", text);
    Reply::Record(record)
}

/// Sends an event with a test id, which [`validate`] wants back.
async fn test(events: &Events, ctx: &Ctx) -> Result<Reply, ApiError> {
    let sink = existing(ctx).await?;
    let id = ctx.clock.hex_token(32);
    // A failed sink is tried again; one that works goes on meanwhile.
    let status = match sink.text("status") {
        Some("active") => "active",
        _ => "validating",
    };
    let mut fields = with_status(&sink, status);
    fields.insert("test_id".to_owned(), id.clone().into());
    let mut batch = ctx.store.batch();
    store(&mut batch, &sink, fields);
    let number = i64::try_from(ctx.clock.random() >> 1).unwrap_or(i64::MAX);
    let event = Promised::test(&sink.sid, &id, ctx.now, number);
    delivery::promise(&mut batch, &events.parts.clock, &sink.sid, vec![event]);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(result("submitted"))
}

/// 91005 / 400 when the id is not that of the last test.
async fn validate(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sink = existing(ctx).await?;
    let given = ctx.form.text("TestId");
    if given.is_none() || sink.text("test_id") != given {
        return Err(ApiError::new(91005, "TestId is not that of the sink's last test event"));
    }
    let mut fields = with_status(&sink, "active");
    fields.remove("test_id");
    let mut batch = ctx.store.batch();
    store(&mut batch, &sink, fields);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(result("valid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sink_is_configured_by_its_type() {
        let url = "https://x.example/";
        for (kind, configuration, expected) in [
            ("webhook", json!({"destination": url}), Ok(false)),
            (
                "webhook",
                json!({"destination": url, "method": "POST", "batch_events": true}),
                Ok(true),
            ),
            ("webhook", json!({"destination": url, "method": "GET"}), Err("GET")),
            ("webhook", json!({"destination": url, "batch_events": "yes"}), Err("yes")),
            ("webhook", json!({"destination": "nowhere"}), Err("nowhere")),
            ("webhook", json!({}), Err("destination")),
            ("webhook", json!([]), Err("destination")),
            ("nats", json!({"destination": "nats://b", "subject": "a.b"}), Ok(false)),
            ("nats", json!({"destination": "nats://b", "subject": "a.>"}), Err("subject")),
            ("nats", json!({"destination": url, "subject": "a.b"}), Err("destination")),
            ("kinesis", json!({"destination": "arn"}), Err("kinesis")),
        ] {
            match (Target::read(kind, &configuration), expected) {
                (Ok(target), Ok(batches)) => assert_eq!(target.batches, batches),
                (Err(why), Err(word)) => assert!(why.contains(word), "{why}"),
                (read, _) => panic!("{configuration}: {:?}", read.map(|target| target.batches)),
            }
        }
    }
}

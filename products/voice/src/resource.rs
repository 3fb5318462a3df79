//! `/Calls`: the table, and fetch, list, update, delete (voice-api §2).

use kernel::{ApiError, Sid, SidGenerator};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Reply, Resource, Table, Wire};
use store::Value;
use twiml::voice::Source;

use crate::Voice;
use crate::call::{COLUMNS, Call, Hook};
use crate::conference::method;
use crate::create::{create, inline};
use crate::letter::{Letter, What};
use crate::lifecycle::Status;

const STATUSES: &[&str] =
    &["queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"];

const CREATE: &[Param] = &[
    Param::text("To", 512).required(21201).code(21211),
    Param::text("From", 512).required(21213).code(21212),
    Param::method("Method").code(21209),
    Param::url("FallbackUrl").code(21205),
    Param::method("FallbackMethod").code(21209),
    Param::url("StatusCallback").code(21205),
    Param::text("StatusCallbackEvent", 64).list(),
    Param::method("StatusCallbackMethod").code(21209),
    Param::text("SendDigits", 32).code(21206),
    Param::integer("Timeout", 1, 600).code(21208),
    Param::boolean("Record"),
    Param::one_of("RecordingChannels", &["mono", "dual"]),
    Param::url("RecordingStatusCallback").code(21205),
    Param::method("RecordingStatusCallbackMethod").code(21209),
    Param::text("SipAuthUsername", 255).code(21221),
    Param::text("SipAuthPassword", 255).code(21223),
    Param::text("MachineDetection", 32).code(21234),
    Param::integer("MachineDetectionTimeout", 3, 60).code(21234),
    Param::text("RecordingStatusCallbackEvent", 64).list(),
    Param::one_of("Trim", &["trim-silence", "do-not-trim"]),
    Param::text("CallerId", 256),
    Param::integer("MachineDetectionSpeechThreshold", 1000, 6000).code(21234),
    Param::integer("MachineDetectionSpeechEndThreshold", 500, 5000).code(21234),
    Param::integer("MachineDetectionSilenceTimeout", 2000, 10_000).code(21234),
    Param::text("AsyncAmd", 8),
    Param::url("AsyncAmdStatusCallback").code(21205),
    Param::method("AsyncAmdStatusCallbackMethod").code(21209),
    Param::sid("Byoc", &["BY"]).code(21300),
    Param::text("CallReason", 50),
    Param::text("CallToken", 4096),
    Param::one_of("RecordingTrack", &["both", "inbound", "outbound"]),
    Param::integer("TimeLimit", 1, 86_400),
    Param::url("ClientNotificationUrl").code(21205),
    Param::url("Url").code(21205),
    Param::text("Twiml", 65_536).code(32018),
    Param::sid("ApplicationSid", &["AP"]).code(21218),
];

const LIST: &[Param] = &[
    Param::text("To", 512),
    Param::text("From", 512),
    Param::sid("ParentCallSid", &["CA"]),
    Param::one_of("Status", STATUSES),
    Param::date_time("StartTime"),
    Param::date_time("StartTime<"),
    Param::date_time("StartTime>"),
    Param::date_time("EndTime"),
    Param::date_time("EndTime<"),
    Param::date_time("EndTime>"),
];

const UPDATE: &[Param] = &[
    Param::url("Url").code(21205),
    Param::method("Method").code(21209),
    Param::one_of("Status", &["canceled", "completed"]).code(21220),
    Param::url("FallbackUrl").code(21205),
    Param::method("FallbackMethod").code(21209),
    Param::url("StatusCallback").code(21205),
    Param::method("StatusCallbackMethod").code(21209),
    Param::text("Twiml", 65_536).code(32018),
    Param::integer("TimeLimit", 1, 86_400),
];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["CA"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::sid("parent_call_sid", &["CA"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("to"),
    Field::text("to_formatted"),
    Field::text("from"),
    Field::text("from_formatted"),
    Field::sid("phone_number_sid", &["PN"]),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::new("start_time", Wire::Rfc2822),
    Field::new("end_time", Wire::Rfc2822),
    Field::text("duration"),
    Field::text("price"),
    Field::text("price_unit"),
    Field::text("direction"),
    Field::text("answered_by"),
    Field::text("api_version"),
    Field::text("forwarded_from"),
    Field::sid("group_sid", &["GP"]),
    Field::text("caller_name"),
    Field::text("queue_time"),
    Field::sid("trunk_sid", &["TK"]),
    Field::text("uri"),
    Field::new("subresource_uris", Wire::UriMap),
];

pub static CALL: Resource<Voice> = Resource {
    table: Table::v2010(
        "Call",
        "/2010-04-01/Accounts/{AccountSid}/Calls",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}",
    )
    .key("calls")
    .sid("CA")
    .fields(FIELDS)
    .links(&[
        ("events", "/Events"),
        ("notifications", "/Notifications"),
        ("recordings", "/Recordings"),
        ("payments", "/Payments"),
        ("siprec", "/Siprec"),
        ("user_defined_message_subscriptions", "/UserDefinedMessageSubscriptions"),
        ("user_defined_messages", "/UserDefinedMessages"),
    ])
    .access(Access::Keys("voice/calls")),
    ops: &[
        Op::create(CREATE).with_test_credentials().by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(UPDATE).by(|voice, ctx| Box::pin(update(voice, ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

/// The call in the path, or 20404.
pub(crate) async fn existing(ctx: &Ctx, param: &str) -> Result<Call, ApiError> {
    let sid = ctx.param_sid(param, &["CA"])?;
    let found = Call::load(&ctx.store, sid).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(existing(ctx, "Sid").await?.record(ctx)))
}

/// Newest first by keyset: a page costs the same at any depth.
async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut sql = format!("SELECT {COLUMNS} FROM call WHERE account_sid = $1");
    let mut params: Vec<Value> = Vec::new();
    let mut filter = |condition: &str, value: Value| {
        params.push(value);
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    };
    for (param, column) in [("To", "to_addr ="), ("From", "from_addr =")] {
        if let Some(text) = ctx.form.text(param) {
            let normal = crate::create::number(text).unwrap_or_else(|| text.to_owned());
            filter(column, normal.into());
        }
    }
    if let Some(parent) = ctx.form.sid("ParentCallSid") {
        filter("parent_id =", parent.hex().into());
    }
    if let Some(status) = ctx.form.text("Status") {
        filter("status =", status.into());
    }
    let started = ctx.form.range(["StartTime", "StartTime<", "StartTime>"]);
    let ended = ctx.form.range(["EndTime", "EndTime<", "EndTime>"]);
    for (column, (from, before)) in [("date_started", started), ("date_ended", ended)] {
        if let Some(from) = from {
            filter(&format!("{column} >="), from.into());
        }
        if let Some(before) = before {
            filter(&format!("{column} <"), before.into());
            // It was created before: the key bounds the scan.
            filter("id <", format!("{:032x}", SidGenerator::lower_bound(before)).into());
        }
    }
    let id = |key: &str| match key.parse::<Sid>() {
        Ok(sid) => Ok(sid.hex()),
        Err(_) => Err(ApiError::new(21481, format!("PageToken names '{key}', none of this list"))),
    };
    let order = match &ctx.page.cursor {
        Cursor::Offset => "DESC",
        Cursor::After(key) => {
            filter("id <", id(key)?.into());
            "DESC"
        }
        Cursor::Before(key) => {
            filter("id >", id(key)?.into());
            "ASC"
        }
    };
    params.push(ctx.page.limit().into());
    params.push(ctx.page.offset().into());
    let (limit, offset) = (params.len(), params.len() + 1);
    sql.push_str(&format!(" ORDER BY id {order} LIMIT ${limit} OFFSET ${offset}"));
    let rows = ctx.store.query(&sql, params).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| Call::of(row).record(ctx)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// 21220: what the call's status does not allow.
fn wrong_state(call: &Call, what: &str) -> ApiError {
    let why = format!("Call is not in-progress. Cannot {what}: it is {}", call.status);
    ApiError::new(21220, why)
}

/// Ends a call, gives it another document, or changes what it was made with.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let form = &ctx.form;
    let mut call = existing(ctx, "Sid").await?;
    let mut batch = ctx.store.batch();
    let mut send = |what| voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what });
    match (form.text("Status"), form.text("Url"), form.text("Twiml")) {
        (Some("canceled"), ..) => {
            if !matches!(call.status, Status::Queued | Status::Ringing) {
                return Err(wrong_state(&call, "cancel"));
            }
            send(What::End { canceled: true });
        }
        (Some(_), ..) => {
            if call.status.is_final() {
                return Err(wrong_state(&call, "end"));
            }
            send(What::End { canceled: call.status != Status::InProgress });
        }
        (None, Some(_), Some(_)) => {
            return Err(ApiError::new(20001, "Send either 'Url' or 'Twiml', not both"));
        }
        (None, url, twiml) => {
            let source = match (url, twiml) {
                (Some(url), _) => {
                    Some(Source::Url { url: url.to_owned(), method: method(form.text("Method")) })
                }
                (None, Some(twiml)) => Some(inline(twiml)?),
                (None, None) => None,
            };
            if let Some(source) = source {
                if call.status != Status::InProgress {
                    return Err(wrong_state(&call, "redirect"));
                }
                let fallback = form.text("FallbackUrl").map(|url| Hook {
                    url: url.to_owned(),
                    method: method(form.text("FallbackMethod")),
                    events: Vec::new(),
                });
                send(What::Replace { source, fallback });
            }
        }
    }
    let mut is_changed = false;
    if let Some(url) = form.text("StatusCallback") {
        let events = call.setup.status_callback.take().map(|hook| hook.events).unwrap_or_default();
        call.setup.status_callback = Some(Hook {
            url: url.to_owned(),
            method: method(form.text("StatusCallbackMethod")),
            events,
        });
        is_changed = true;
    }
    if let Some(seconds) = form.integer("TimeLimit").and_then(|s| u64::try_from(s).ok()) {
        call.setup.time_limit_seconds = Some(seconds);
        is_changed = true;
        let since = call.started.unwrap_or(ctx.now);
        let at = since + std::time::Duration::from_secs(seconds);
        voice.send_at(&mut batch, Letter { call: call.sid, at, what: What::TimeLimit });
    }
    if is_changed {
        if call.status.is_final() {
            return Err(wrong_state(&call, "change"));
        }
        call.save(ctx.now, &mut batch);
    }
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    // A call that is ended by this is shown as ended once it is.
    let call = voice.settled(ctx, call).await?;
    Ok(Reply::Record(call.record(ctx)))
}

impl Voice {
    /// The call when what was just asked of it has happened, or a second later.
    async fn settled(&self, ctx: &Ctx, call: Call) -> Result<Call, ApiError> {
        if ctx.form.text("Status").is_none() {
            return Ok(call);
        }
        let failed = |error| rest::store_error(ctx, error);
        for _ in 0..50 {
            let found = Call::load(&ctx.store, call.sid).await.map_err(failed)?;
            match found {
                Some(found) if found.status.is_final() => return Ok(found),
                _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
        Ok(Call::load(&ctx.store, call.sid).await.map_err(failed)?.unwrap_or(call))
    }
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    forget(ctx, existing(ctx, "Sid").await?).await
}

/// Removes a call that is over, with what belongs to it alone.
pub(crate) async fn forget(ctx: &Ctx, call: Call) -> Result<Reply, ApiError> {
    if !call.status.is_final() {
        let why = format!("The call is {}; end it first", call.status);
        return Err(ApiError::new(20009, why).with_status(409));
    }
    let mut batch = ctx.store.batch();
    batch.must("DELETE FROM call WHERE account_sid = $1 AND id = $2", vec![call.sid.hex().into()]);
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid IN
         (SELECT sid FROM resource WHERE account_sid = $1 AND parent = $2
          AND kind IN ('UserDefinedMessage', 'UserDefinedMessageSubscription'))",
        vec![call.sid.into()],
    );
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND parent = $2
         AND kind IN ('UserDefinedMessage', 'UserDefinedMessageSubscription')",
        vec![call.sid.into()],
    );
    batch.run(
        "UPDATE event SET body = '{}' WHERE account_sid = $1 AND sid = $2 AND kind = 'webhook'",
        vec![call.sid.into()],
    );
    ctx.audit(&mut batch, "call.deleted", &call.sid.to_string(), serde_json::Value::Null);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

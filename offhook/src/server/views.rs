//! What the console shows that no wire API tells.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kernel::{ApiError, Sid, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sim::ThreadEntry;
use store::{Row, Store, StoreError};
use webhooks::Callback;

use super::api::{App, Refusal, bad};
use super::handsets::number_of;

/// How long a user's message lets anything be said on a channel.
const WINDOW_MICROS: i64 = 24 * 3600 * 1_000_000;
/// Opt-outs of one read.
const OPT_OUTS_MAX: i64 = 1000;
/// How far back the events of one resource are looked for.
const TIMELINE_MAX: i64 = 200_000;

/// Which events to read. With `after` the oldest first from there, else the newest,
/// those before `before` if it is given; `sid` leaves those of one resource, among the
/// newest 200,000.
#[derive(Deserialize)]
pub struct EventsQuery {
    after: Option<i64>,
    before: Option<i64>,
    /// A SID, or the id of a mail or job.
    sid: Option<String>,
    pub limit: Option<i64>,
}

impl EventsQuery {
    /// Whether the resource may be one.
    pub fn is_fit(&self) -> bool {
        let sid = self.sid.as_deref().unwrap_or_default();
        sid.len() <= 256 && sid.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// The events that were asked for, oldest first.
pub async fn events(
    store: &Store,
    query: &EventsQuery,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let columns = "SELECT seq, account_sid, kind, sid, at, body FROM event";
    let after = query.after.unwrap_or(0);
    let before = query.before.unwrap_or(i64::MAX);
    let mut values = vec![after.into(), before.into(), limit.into()];
    let of_sid = match &query.sid {
        None => String::new(),
        Some(sid) => {
            values.push(sid.as_str().into());
            values.push(TIMELINE_MAX.into());
            "AND sid = $4 AND seq > (SELECT max(seq) FROM event) - $5".to_owned()
        }
    };
    let order = if query.after.is_some() { "seq" } else { "seq DESC" };
    let sql = format!("{columns} WHERE seq > $1 AND seq < $2 {of_sid} ORDER BY {order} LIMIT $3");
    let mut rows = store.query(&sql, values).await?;
    if query.after.is_none() {
        rows.reverse();
    }
    Ok(rows)
}

/// Makes a recorded request of a webhook once more, signed anew; its answer is recorded, and not
/// carried out.
pub async fn replay(
    State(app): State<App>,
    Path(seq): Path<i64>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let sql = "SELECT account_sid, sid, body FROM event WHERE seq = $1 AND kind = 'webhook'";
    let row = app.store.point(sql, vec![seq.into()]).await?;
    let why = || Refusal(ApiError::new(20404, format!("No webhook has the number {seq}")));
    let row = row.ok_or_else(why)?;
    let told: Value = serde_json::from_str(row.text(2)).unwrap_or(Value::Null);
    let text = |name: &str| told[name].as_str().unwrap_or_default();
    let is_form = told["request_headers"].as_array().into_iter().flatten().any(|header| {
        let named = |at: usize| header[at].as_str().unwrap_or_default().to_ascii_lowercase();
        named(0) == "content-type" && named(1).starts_with("application/x-www-form-urlencoded")
    });
    let body = text("request_body");
    if !body.is_empty() && !is_form {
        return Err(bad("Only webhooks that post a form are made again: copy it as curl"));
    }
    let callback = Callback {
        url: text("url").to_owned(),
        method: text("method").to_owned(),
        params: form_urlencoded::parse(body.as_bytes()).into_owned().collect(),
        resource: row.text(1).to_owned(),
    };
    let store = app.store.account(row.sid(0));
    let mut batch = store.batch();
    webhooks::promise(&mut batch, &app.clock, callback);
    store.commit(batch).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"seq": seq, "replayed": true}))))
}

/// When the next thing is due that waits for the clock.
pub async fn next_timer(store: &Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(ready_at) FROM job WHERE ready_at > $1";
    let row = store.point(sql, vec![now.into()]).await?;
    Ok(row.and_then(|row| row.opt_int(0)).map(Timestamp::from_micros))
}

/// What was sent from a handset, by the addresses at which the platform serves it.
pub async fn find_media(app: &App, entry: &mut ThreadEntry) -> Result<(), Refusal> {
    let (Some(account), Ok(message)) = (entry.account, entry.sid.parse::<Sid>()) else {
        return Ok(());
    };
    let sql = "SELECT id FROM media WHERE account_sid = $1 AND message_id = $2
               ORDER BY id LIMIT 10";
    let values = vec![account.to_string().into(), message.hex().into()];
    let found = app.store.query(sql, values).await?;
    if !found.is_empty() {
        let base = format!("{}/2010-04-01/Accounts/{account}/Messages/{message}/Media", app.url);
        entry.media = found.iter().map(|row| format!("{base}/ME{}", row.text(0))).collect();
    }
    Ok(())
}

/// Who may not write to a handset, and until when others may say anything to it.
pub async fn standing(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let number = number_of(&number)?;
    let on_whatsapp = format!("whatsapp:{number}");
    let both = || vec![number.clone().into(), on_whatsapp.clone().into()];
    let sql = "SELECT account_sid, scope, address, source, date_created FROM opt_out
               WHERE address IN ($1, $2) LIMIT 100";
    let opt_outs = app.store.query(sql, both()).await?;
    let sql = "SELECT sender, last_inbound FROM channel_session WHERE address IN ($1, $2)
               LIMIT 100";
    let windows = app.store.query(sql, both()).await?;
    let windows = windows.iter().map(|row| {
        let ends = Timestamp::from_micros(row.time(1).as_micros().saturating_add(WINDOW_MICROS));
        json!({"sender": row.text(0), "ends": ends.iso8601()})
    });
    Ok(Json(json!({
        "opt_outs": opt_outs.iter().map(opt_out).collect::<Vec<_>>(),
        "windows": windows.collect::<Vec<_>>(),
    })))
}

/// The newest opt-outs of all accounts.
pub async fn opt_outs(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let sql = "SELECT account_sid, scope, address, source, date_created FROM opt_out
               ORDER BY date_created DESC LIMIT $1";
    let rows = app.store.query(sql, vec![OPT_OUTS_MAX.into()]).await?;
    Ok(Json(json!({ "opt_outs": rows.iter().map(opt_out).collect::<Vec<_>>() })))
}

fn opt_out(row: &Row) -> Value {
    json!({
        "account_sid": row.text(0),
        "scope": row.text(1),
        "address": row.text(2),
        "source": row.text(3),
        "at": row.time(4).iso8601(),
    })
}

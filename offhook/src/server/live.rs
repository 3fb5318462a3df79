//! What happens, as it happens: events by page, by server-sent events and by WebSocket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use bytes::Bytes;
use futures_util::Stream;
use kernel::Sid;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Row, Store, StoreError};
use tokio::sync::watch;

use super::access::{self, Visitor};
use super::api::{App, Refusal, bad};
use super::views;

/// Events of one read.
const EVENTS_MAX: i64 = 1000;
/// How often a stream sees whether its session goes on.
const SESSION_CHECK: Duration = Duration::from_secs(5);
/// How often it is seen that a page is still there.
const PING: Duration = Duration::from_secs(15);

pub(super) async fn events(
    State(app): State<App>,
    Query(query): Query<views::EventsQuery>,
) -> Result<Json<Value>, Refusal> {
    if !query.is_fit() {
        return Err(bad("'sid' is no SID, and no id of a mail or a job"));
    }
    let limit = query.limit.unwrap_or(100).clamp(1, EVENTS_MAX);
    let rows = views::events(&app.store, &query, limit).await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        events.push(event_json(&app.store, row).await);
    }
    Ok(Json(json!({ "events": events })))
}

async fn events_after(store: &Store, after: i64, limit: i64) -> Result<Vec<Row>, StoreError> {
    let sql = "SELECT seq, account_sid, kind, sid, at, body FROM event WHERE seq > $1
               ORDER BY seq LIMIT $2";
    store.query(sql, vec![after.into(), limit.into()]).await
}

/// An event for people. Events of messages hold no text: it is read from the
/// message, so that what was redacted or deleted is gone here too.
async fn event_json(store: &Store, row: &Row) -> Value {
    let (kind, sid) = (row.text(2), row.text(3));
    let mut data = serde_json::from_str::<Value>(row.text(5)).unwrap_or(Value::Null);
    if kind.starts_with("message.")
        && let Ok(message) = sid.parse::<Sid>()
    {
        let sql = "SELECT body FROM message WHERE account_sid = $1 AND id = $2";
        let found = store.point(sql, vec![row.text(1).into(), message.hex().into()]).await;
        data["body"] = found.ok().flatten().map(|row| row.text(0).to_owned()).into();
    }
    json!({
        "seq": row.int(0),
        "account_sid": row.text(1),
        "kind": kind,
        "sid": sid,
        "at": row.time(4).iso8601(),
        "data": data,
    })
}

#[derive(Deserialize)]
pub(super) struct StreamQuery {
    after: Option<i64>,
}

/// Events as they are committed; `?after=` or `Last-Event-ID` resumes without a gap.
pub(super) async fn stream(
    State(app): State<App>,
    Query(query): Query<StreamQuery>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let watcher = Watcher::behind(app, visitor, query.after.or(resumed)).await?;
    let events = futures_util::stream::unfold(watcher, |mut watcher| async move {
        let row = watcher.next().await?;
        let json = watcher.shown(&row).await;
        let event = Event::default().id(row.int(0).to_string()).data(json);
        Some((Ok(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The same by WebSocket, of which a browser has enough for every tab.
pub(super) async fn socket(
    State(app): State<App>,
    Query(query): Query<StreamQuery>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    // No page of others reads along with a person's cookie.
    if visitor.session.is_some() {
        access::check_origin(&app.url, &headers).map_err(Refusal)?;
    }
    let watcher = Watcher::behind(app, visitor, query.after).await?;
    Ok(upgrade.on_upgrade(|socket| tell(watcher, socket)))
}

/// Until either side is done.
async fn tell(mut watcher: Watcher, mut socket: WebSocket) {
    let mut alive = tokio::time::interval(PING);
    loop {
        let sent = tokio::select! {
            row = watcher.next() => match row {
                Some(row) => socket.send(Message::text(watcher.shown(&row).await)).await,
                None => break,
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            _ = alive.tick() => socket.send(Message::Ping(Bytes::new())).await,
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

/// Reads the events behind `after` as they come.
struct Watcher {
    app: App,
    visitor: Visitor,
    /// When it was last seen that the session goes on.
    checked: Instant,
    after: i64,
    wakes: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    ready: VecDeque<Row>,
}

impl Watcher {
    /// Of what comes behind `after`, or from now on.
    async fn behind(app: App, visitor: Visitor, after: Option<i64>) -> Result<Self, Refusal> {
        let after = match after {
            Some(after) => after,
            None => {
                let newest = app.store.point("SELECT max(seq) FROM event", vec![]).await?;
                newest.and_then(|row| row.opt_int(0)).unwrap_or(0)
            }
        };
        let wakes = app.store.bus().wakes(bus::Topic::Events);
        let stopped = app.stop.subscribe();
        let checked = Instant::now();
        Ok(Self { app, visitor, checked, after, wakes, stopped, ready: VecDeque::new() })
    }

    /// An event as the visitor's role sees it.
    async fn shown(&self, row: &Row) -> String {
        self.visitor.shown(event_json(&self.app.store, row).await).to_string()
    }

    /// The next event; none when the platform stops, which does not wait for who looks on, and
    /// when the session is over.
    async fn next(&mut self) -> Option<Row> {
        loop {
            if self.checked.elapsed() > SESSION_CHECK {
                self.checked = Instant::now();
                if !access::goes_on(&self.app, &self.visitor).await {
                    return None;
                }
            }
            if let Some(row) = self.ready.pop_front() {
                self.after = row.int(0);
                return Some(row);
            }
            if *self.stopped.borrow() {
                return None;
            }
            self.wakes.mark_unchanged();
            match events_after(&self.app.store, self.after, 200).await {
                Ok(rows) if !rows.is_empty() => self.ready.extend(rows),
                // Nothing new, or the store is away: wait for a wake-up, or a second.
                _ => tokio::select! {
                    _ = self.wakes.changed() => {}
                    _ = self.stopped.changed() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                },
            }
        }
    }
}

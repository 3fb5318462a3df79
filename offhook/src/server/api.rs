//! `/_offhook/v1`: our own JSON API, and the pages beside it. Who may use it: [`super::access`].

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use base64::Engine;
use bytes::Bytes;
use clock::Clock;
use contracts::{AccountDirectory, AnsweredBy, InboundMedia, InboundMessage, InboundOutcome, Tap};
use futures_util::Stream;
use kernel::{ApiError, Sid, Timestamp};
use numbering::{Address, ShortCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sim::{Behaviour, Handset, Owner, WhenCalled};
use store::{Batch, Row, Store, StoreError};
use tokio::sync::watch;
use whatsapp::WebhookError;

use super::access::{self, Visitor};
use super::{Platform, clients, console, health, links, mailboxes, own, proxy, views};

pub(super) type App = Arc<Platform>;

/// Events of one read.
const EVENTS_MAX: i64 = 1000;
/// Thread entries of one read.
const THREAD_MAX: u32 = 1000;
/// How often a stream sees whether its session goes on.
const SESSION_CHECK: Duration = Duration::from_secs(5);
/// How often it is seen that a page is still there.
const PING: Duration = Duration::from_secs(15);
/// How long a handset may ring before somebody answers.
const RING_MILLIS_MAX: u64 = 600_000;
/// Seconds the clock may be advanced by at once: a hundred years.
const ADVANCE_MAX: f64 = 100.0 * 366.0 * 86_400.0;

/// What a program needs to know of this instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Env {
    pub account_sid: String,
    pub auth_token: String,
    pub phone_number: String,
    pub test_account_sid: String,
    pub test_auth_token: String,
    pub url: String,
    /// Where mail is handed over by SMTP on this machine, `127.0.0.1:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Where telephones reach this platform by SIP on this machine, over UDP and TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip: Option<String>,
    /// And by SIP over WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_ws: Option<String>,
}

/// Pages and API as one router.
pub fn router(platform: App) -> Router {
    // The resources describe themselves.
    let wire = Router::new().route("/wire/{product}/{*path}", any(proxy::pass));
    let api = own::routes(own::operations()).merge(wire);
    Router::new()
        .nest(own::BASE, api)
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(platform.clone(), access::guard))
        .route("/_offhook/openapi.json", get(openapi))
        .route("/_offhook/ca.pem", get(authority))
        .nest(own::BASE, own::routes(own::door()))
        // Readers of mails follow these.
        .merge(mailboxes::links())
        // Browsers sign in with tokens of the accounts.
        .merge(clients::routes())
        // The account signs what it posts; nobody signs in.
        .route(twilio::STATUS_PATH, post(twilio_status))
        .route(twilio::INBOUND_PATH, post(twilio_inbound))
        // Whoever got a message follows its links.
        .route("/l/{code}", get(links::here))
        .route(whatsapp::WEBHOOK_PATH, get(whatsapp_verify).post(whatsapp_webhook))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/", get(console::page))
        .route("/console", get(console::page))
        .route("/console/", get(console::page))
        .route("/console/{*path}", get(console::asset))
        .fallback(nowhere)
        .with_state(platform)
}

/// A refusal in the form of every other error. No browser asks for a password by itself for it: people
/// sign in on the page.
pub(super) struct Refusal(pub(super) ApiError);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = rest::Router::refuse(&self.0).map(Body::from);
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "our API cannot reach the store");
        Self(ApiError::new(20503, "The store is unavailable; try again"))
    }
}

pub(super) fn bad(why: impl Into<String>) -> Refusal {
    Refusal(ApiError::new(20001, why))
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> Refusal {
    Refusal(ApiError::new(20503, error.to_string()))
}

/// Reads a JSON body; an empty one is an empty object.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, Refusal> {
    let body = if body.trim().is_empty() { "{}" } else { body };
    serde_json::from_str(body).map_err(|error| bad(format!("The JSON body: {error}")))
}

impl Platform {
    /// The main account's credentials and number; both are made on first use.
    pub async fn env(&self) -> Result<Env, StoreError> {
        // Two that ask at once on the first day would be given a number each.
        static FIRST: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one_at_a_time = FIRST.lock().await;
        let mut turn = 0;
        // Nor do two nodes; a node that died while it asked is not waited for longer than its lease.
        while turn < 200 && !self.leases.take("env").await? {
            tokio::time::sleep(Duration::from_millis(60)).await;
            turn += 1;
        }
        let account = self.accounts.main_account().await?;
        let phone_number = self.numbers.first_number(account.sid).await;
        self.leases.release("env").await?;
        Ok(Env {
            account_sid: account.sid.to_string(),
            auth_token: account.auth_token.clone(),
            phone_number: phone_number?,
            test_account_sid: account.test_sid.to_string(),
            test_auth_token: account.test_token.clone(),
            url: self.url.clone(),
            smtp: self.smtp.as_ref().and_then(|smtp| smtp.local()).map(|local| local.to_string()),
            sip: self.sip.as_ref().and_then(|sip| sip.local()).map(|local| local.to_string()),
            sip_ws: self.sip.as_ref().and_then(|sip| sip.local_ws()).map(|at| format!("ws://{at}")),
        })
    }
}

impl Platform {
    /// The account that a request names, which must exist; else the main one.
    pub(super) async fn account_or_main(&self, named: Option<Sid>) -> Result<Sid, Refusal> {
        let Some(account) = named else { return Ok(self.accounts.main_account().await?.sid) };
        match self.accounts.facts(account).await.map_err(unavailable)? {
            Some(_) => Ok(account),
            None => Err(Refusal(ApiError::new(20404, format!("There is no account {account}")))),
        }
    }
}

/// Who may change nothing learns no token.
pub(super) async fn env(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Refusal> {
    let mut env = json!(app.env().await?);
    if !visitor.role.may(users::Need::Change) {
        for token in ["auth_token", "test_auth_token"] {
            env[token] = Value::Null;
        }
    }
    Ok(Json(env))
}

/// The normal form of a handset's number.
pub(super) fn number_of(text: &str) -> Result<String, Refusal> {
    match Address::parse_to(text) {
        Ok(Address::E164(number)) => Ok(number.to_string()),
        _ => Err(bad(format!("'{text}' is not a phone number: use E.164, +14155550100"))),
    }
}

pub(super) async fn handsets(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let handsets = app.sim.handsets(1000).await.map_err(unavailable)?;
    Ok(Json(json!({ "handsets": handsets })))
}

pub(super) async fn handset(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Handset>, Refusal> {
    Ok(Json(app.sim.handset(&number_of(&number)?).await.map_err(unavailable)?))
}

/// The handset's owner looks at it.
pub(super) async fn look(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let count = app.sim.read(&number_of(&number)?).await.map_err(unavailable)?;
    Ok(Json(json!({ "read": count })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandsetChange {
    name: Option<String>,
    behaviour: Option<Behaviour>,
    when_called: Option<WhenCalled>,
    answers_after_ms: Option<u64>,
    answered_by: Option<AnsweredBy>,
}

pub(super) async fn set_handset(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Handset>, Refusal> {
    let change: HandsetChange = read(&body)?;
    let mut handset = app.sim.handset(&number_of(&number)?).await.map_err(unavailable)?;
    if let Some(name) = change.name {
        handset.name = name.chars().take(64).collect();
    }
    handset.behaviour = change.behaviour.unwrap_or(handset.behaviour);
    handset.when_called = change.when_called.unwrap_or(handset.when_called);
    handset.answers_after_ms =
        change.answers_after_ms.unwrap_or(handset.answers_after_ms).min(RING_MILLIS_MAX);
    handset.answered_by = change.answered_by.unwrap_or(handset.answered_by);
    app.sim.set_handset(&handset).await.map_err(unavailable)?;
    Ok(Json(handset))
}

#[derive(Deserialize)]
pub(super) struct ThreadQuery {
    limit: Option<u32>,
}

pub(super) async fn thread(
    State(app): State<App>,
    Path(number): Path<String>,
    Query(query): Query<ThreadQuery>,
) -> Result<Json<Value>, Refusal> {
    let limit = query.limit.unwrap_or(50).min(THREAD_MAX);
    let mut entries = app.sim.thread(&number_of(&number)?, limit).await.map_err(unavailable)?;
    for entry in entries.iter_mut().filter(|entry| entry.outgoing && !entry.media.is_empty()) {
        views::find_media(&app, entry).await?;
    }
    let lines = entries.iter().map(|entry| {
        json!({
            "sid": entry.sid,
            "direction": if entry.outgoing { "sent" } else { "received" },
            "peer": entry.peer,
            "body": entry.body,
            "media": entry.media,
            "at": entry.at.iso8601(),
            "failed": entry.failed,
            "read": entry.read,
            "rich": entry.rich,
        })
    });
    Ok(Json(json!({ "messages": lines.collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    to: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    media: Vec<TypedMedia>,
    /// The id of a button that was tapped; `body` is its text.
    button: Option<String>,
    /// The id of a row of a list that was chosen; `body` is its text.
    row: Option<String>,
    /// A document that answers in the application's place.
    twiml: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedMedia {
    content_type: String,
    /// Base64.
    data: String,
}

pub(super) async fn send_from(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let typed: Typed = read(&body)?;
    let from = number_of(&number)?;
    if typed.body.is_empty() && typed.media.is_empty() {
        return Err(bad("A 'body' or 'media' is required"));
    }
    if typed.body.contains('\0') {
        return Err(bad("'body' has a NUL character: leave it out"));
    }
    if typed.body.chars().count() > 1600 || typed.media.len() > 10 {
        return Err(bad("At most 1600 characters in 'body' and 10 items in 'media'"));
    }
    if typed.twiml.as_ref().is_some_and(|document| document.len() > twiml::BODY_BYTES_MAX) {
        return Err(bad(format!("'twiml' may have {} octets", twiml::BODY_BYTES_MAX)));
    }
    let mut media = Vec::with_capacity(typed.media.len());
    for item in typed.media {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&item.data)
            .map_err(|error| bad(format!("'data' of a media is not base64: {error}")))?;
        media.push(InboundMedia { content_type: item.content_type, bytes });
    }
    let tapped = typed.button.map(|id| (id, false)).or(typed.row.map(|id| (id, true)));
    let tap = tapped.map(|(payload, is_row)| Tap { text: typed.body.clone(), payload, is_row });
    let message = InboundMessage {
        to: typed.to.clone(),
        body: typed.body,
        media,
        tap,
        document: typed.twiml,
        ..InboundMessage::default()
    };
    let sent = app.sim.send_from(&from, message).await;
    match sent.map_err(unavailable)? {
        InboundOutcome::Received { account, sid } => Ok((
            StatusCode::CREATED,
            Json(json!({"sid": sid, "account_sid": account, "from": from, "to": typed.to})),
        )),
        InboundOutcome::NoSuchNumber => {
            let why = format!("No account owns {}; buy it or send from it once", typed.to);
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

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

async fn clock_json(store: &Store, clock: &Clock) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({
        "now": clock.now().iso8601(),
        "offset_seconds": clock.offset_micros() / 1_000_000,
        "movable": clock.is_movable(),
        "next_timer": views::next_timer(store, clock.now()).await?.map(Timestamp::iso8601),
    })))
}

pub(super) async fn clock_now(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    clock_json(&app.store, &app.clock).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance_seconds: Option<f64>,
    set: Option<String>,
    #[serde(default)]
    resume: bool,
}

pub(super) async fn move_clock(
    State(app): State<App>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let moved = match read::<Move>(&body)? {
        Move { advance_seconds: Some(seconds), set: None, resume: false } => {
            if !(0.0..=ADVANCE_MAX).contains(&seconds) {
                return Err(bad("advance_seconds must be from 0 to a hundred years"));
            }
            app.clock.advance(Duration::from_secs_f64(seconds))
        }
        Move { advance_seconds: None, set: Some(text), resume: false } => {
            let at = Timestamp::parse(&text);
            app.clock.set(at.map_err(|error| bad(format!("set: '{text}' is {error}")))?)
        }
        Move { advance_seconds: None, set: None, resume: true } => app.clock.resume(),
        _ => return Err(bad("Give one of advance_seconds, set or resume")),
    };
    moved.map_err(|error| Refusal(ApiError::new(20403, error.to_string())))?;
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO meta (name, value) VALUES ('clock_offset', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![app.clock.offset_micros().to_string().into()],
    );
    app.store.commit(batch).await?;
    app.store.bus().invalidate(super::cluster::CLOCK);
    if app.leases.nodes().await?.len() > 1 {
        // The other nodes have followed when the answer is read.
        tokio::time::sleep(super::cluster::FOLLOWED).await;
    }
    clock_json(&app.store, &app.clock).await
}

/// A moved clock stays moved over a restart, else time would step back; and on every node.
pub async fn restore_clock(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let sql = "SELECT value FROM meta WHERE name = 'clock_offset'";
    let Some(row) = store.point(sql, vec![]).await? else { return Ok(()) };
    let offset: i64 = row.text(0).parse().unwrap_or(0);
    if offset.abs_diff(clock.offset_micros()) < 1_000 {
        return Ok(());
    }
    let at = Timestamp::from_micros(clock.wall().as_micros().saturating_add(offset));
    if clock.set(at).is_ok() {
        tracing::info!(now = %clock.now(), "the clock was moved before and still is");
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewShortCode {
    short_code: String,
    account_sid: Option<Sid>,
}

pub(super) async fn add_short_code(
    State(app): State<App>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let wanted: NewShortCode = read(&body)?;
    let code = ShortCode::parse(&wanted.short_code)
        .ok_or_else(|| bad("short_code must have 3 to 6 digits"))?
        .to_string();
    let account = match wanted.account_sid {
        Some(account) => account,
        None => app.accounts.main_account().await?.sid,
    };
    match app.numbers.add_short_code(account, &code).await {
        Ok(sid) => Ok((StatusCode::CREATED, Json(json!({"sid": sid, "short_code": code})))),
        Err(StoreError::Duplicate(_)) => {
            Err(Refusal(ApiError::new(20409, format!("{code} belongs to an account already"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Who the phone belongs to, as Lookup tells it.
pub(super) async fn owner(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Owner>, Refusal> {
    let owner = app.sim.owner(&number_of(&number)?).await.map_err(unavailable)?;
    Ok(Json(owner.unwrap_or_default()))
}

pub(super) async fn set_owner(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Owner>, Refusal> {
    let (number, owner): (_, Owner) = (number_of(&number)?, read(&body)?);
    owner.check().map_err(bad)?;
    app.sim.set_owner(&number, &owner).await.map_err(unavailable)?;
    Ok(Json(owner))
}

#[derive(Deserialize)]
pub(super) struct OfAccount {
    account_sid: Option<Sid>,
}

/// The WhatsApp sandbox of an account, by default the main one.
pub(super) async fn sandbox(
    State(app): State<App>,
    Query(query): Query<OfAccount>,
) -> Result<Json<Value>, Refusal> {
    let account = match query.account_sid {
        Some(account) => account,
        None => app.accounts.main_account().await?.sid,
    };
    if app.accounts.facts(account).await.map_err(|error| unavailable(error.0))?.is_none() {
        return Err(Refusal(ApiError::new(20404, format!("There is no account {account}"))));
    }
    let sandbox = app.messaging.sandbox(&app.store.account(account)).await?;
    Ok(Json(json!({
        "account_sid": account,
        "number": messaging::SANDBOX,
        "sender_sid": sandbox.sender,
        "join": format!("join {}", sandbox.code),
    })))
}

pub(super) async fn dead_jobs(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let sql = "SELECT id, account_sid, queue, payload, attempt, last_error, died_at FROM dead_job
               ORDER BY died_at DESC LIMIT 1000";
    let rows = app.store.query(sql, vec![]).await?;
    let jobs = rows.iter().map(|row| {
        json!({
            "id": row.text(0),
            "account_sid": row.text(1),
            "queue": row.text(2),
            "payload": serde_json::from_str::<Value>(row.text(3)).unwrap_or(Value::Null),
            "attempt": row.int(4),
            "last_error": row.opt_text(5),
            "died_at": row.time(6).iso8601(),
        })
    });
    Ok(Json(json!({ "dead_jobs": jobs.collect::<Vec<_>>() })))
}

/// A dead job becomes a fresh one.
pub(super) async fn replay(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let batch = jobs::replay(&id, app.clock.now());
    match app.store.commit(batch).await {
        Ok(_) => Ok(Json(json!({"id": id, "replayed": true}))),
        Err(StoreError::Conflict) => {
            Err(Refusal(ApiError::new(20404, format!("No dead job has the id {id}"))))
        }
        Err(error) => Err(error.into()),
    }
}

async fn metrics(State(app): State<App>) -> Result<Response, Refusal> {
    let waiting = app.store.query("SELECT queue, count(*) FROM job GROUP BY queue", vec![]).await?;
    // An empty queue is a figure too: a series that comes and goes cannot be watched.
    let mut depths: BTreeMap<&str, i64> = app.queues.iter().map(|queue| (*queue, 0)).collect();
    depths.extend(waiting.iter().map(|row| (row.text(0), row.int(1))));
    let dead = app.store.point("SELECT count(*) FROM dead_job", vec![]).await?;
    app.metrics.set_jobs(&depths, dead.map_or(0, |row| row.int(0)));
    let rates = app.messaging.delivery_rates().into_iter();
    let rates = rates.map(|(account, sender, share)| (account.to_string(), sender, share));
    app.metrics.set_delivery_rates(rates.collect());
    let media::Load { legs, late, skipped, .. } = app.sound.load();
    app.metrics.set_sound(legs, &media::BOUNDS_MICROS, &late, skipped);
    let linked = app.between_nodes.as_ref().map(|live| live.links.load());
    let (rooms, dropped) = linked.unwrap_or_default();
    app.metrics.set_links(rooms, dropped);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response())
}

async fn openapi(State(app): State<App>) -> Json<Value> {
    Json(own::describe(rest::openapi(app.router.tables())))
}

/// The certificate authority's certificate, for programs in other containers.
async fn authority(State(app): State<App>) -> Response {
    match &app.authority_pem {
        Some(pem) => ([("content-type", "application/x-pem-file")], pem.clone()).into_response(),
        None => bad("This instance has no certificate authority; its log says why").into_response(),
    }
}

/// A callback of the account that carries messages: its parameters and signature.
fn callback(headers: &HeaderMap, body: &Bytes) -> (Vec<(String, String)>, String) {
    let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let params = form_urlencoded::parse(body).into_owned().collect();
    (params, signature.unwrap_or_default().to_owned())
}

/// An empty document: nothing is answered by TwiML here, replies go by the API.
fn taken(outcome: Result<(), twilio::CallbackError>) -> Response {
    match outcome {
        Ok(()) => ([("content-type", "text/xml")], "<Response/>").into_response(),
        Err(twilio::CallbackError::Forged) => StatusCode::FORBIDDEN.into_response(),
        Err(twilio::CallbackError::Unavailable(why)) => {
            tracing::warn!(%why, "a callback of the account could not be taken");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn twilio_status(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(twilio) = &app.twilio else { return StatusCode::NOT_FOUND.into_response() };
    let (params, signature) = callback(&headers, &body);
    taken(twilio.status(&params, &signature).await)
}

async fn twilio_inbound(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(twilio) = &app.twilio else { return StatusCode::NOT_FOUND.into_response() };
    let (params, signature) = callback(&headers, &body);
    taken(twilio.inbound(&params, &signature).await)
}

#[derive(Deserialize)]
struct Hub {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

async fn whatsapp_verify(State(app): State<App>, Query(hub): Query<Hub>) -> Response {
    let Some(whatsapp) = &app.whatsapp else { return StatusCode::NOT_FOUND.into_response() };
    match whatsapp.verify(&hub.mode, &hub.verify_token, &hub.challenge) {
        Ok(challenge) => challenge.to_owned().into_response(),
        Err(_) => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn whatsapp_webhook(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(whatsapp) = &app.whatsapp else { return StatusCode::NOT_FOUND.into_response() };
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    let taken = whatsapp.webhook(&body, signature.unwrap_or_default()).await;
    match taken {
        Ok(()) => StatusCode::OK,
        Err(WebhookError::Forged) => StatusCode::FORBIDDEN,
        Err(WebhookError::Malformed) => StatusCode::BAD_REQUEST,
        Err(WebhookError::Unavailable(why)) => {
            tracing::warn!(%why, "Meta will have to call again");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
    .into_response()
}

async fn nowhere(request: Request) -> Response {
    let path = request.uri().path();
    let why = format!(
        "Nothing is at {path}. A product's API is at its own host ({{product}}.twilio.com) or \
         behind /_/{{product}}/, as in /_/api/2010-04-01/…"
    );
    Refusal(ApiError::new(20404, why)).into_response()
}

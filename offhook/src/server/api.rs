//! `/_offhook/v1`: our own JSON API, and the pages beside it. Who may use it: [`super::access`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use contracts::AccountDirectory;
use kernel::{ApiError, Sid};
use numbering::ShortCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;

use super::access::{self, Visitor};
use super::{Platform, clients, console, health, hooks, links, mailboxes, own, proxy};

pub(super) type App = Arc<Platform>;

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
        .merge(hooks::routes())
        // Whoever got a message follows its links.
        .route("/l/{code}", get(links::here))
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

async fn nowhere(request: Request) -> Response {
    let path = request.uri().path();
    let why = format!(
        "Nothing is at {path}. A product's API is at its own host ({{product}}.twilio.com) or \
         behind /_/{{product}}/, as in /_/api/2010-04-01/…"
    );
    Refusal(ApiError::new(20404, why)).into_response()
}

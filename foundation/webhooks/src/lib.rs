//! Asking customers' URLs.
//!
//! [`Webhooks::ask`] signs and sends one request and writes what happened as
//! events of the account: the exact HTTP of every attempt (`webhook`), and an
//! `alert` with its code when it failed. [`promise`] makes a status callback a
//! job; its answer is ignored, and a failure is an alert, not a retry (webhooks
//! §4: status callbacks are not delivered later).
//!
//! It deliberately does not understand answers: TwiML is the caller's.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::Clock;
use jobs::{BoxFuture, Failure, Job, NewJob, Worker};
use kernel::Sid;
use outbound::{Answer, Attempt, Client, Fetch, FetchFailure, Method, Payload, Purpose};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{AccountBatch, AccountStore};
use telemetry::Metrics;
use telemetry::trace::{self, Kind};

/// The queue of promised callbacks.
pub const QUEUE: &str = "webhook.callback";

/// Between two looks for a signing key while the store is away.
const KEY_AGAIN: Duration = Duration::from_millis(250);

/// Where an account's signing key comes from.
pub trait SigningKeys: Send + Sync {
    /// The primary auth token; `None` when the account is gone.
    ///
    /// # Errors
    /// Why it cannot be read now.
    fn signing_key(&self, account: Sid) -> BoxFuture<'_, Result<Option<String>, String>>;
}

/// One question to a customer's URL.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub url: &'a str,
    /// `GET` or `POST`.
    pub method: &'a str,
    pub params: Vec<(String, String)>,
    /// What it is about: a message, a call.
    pub resource: &'a str,
    /// Requests with the same scope share cookies.
    pub cookie_scope: Option<String>,
}

/// A callback that will be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Callback {
    pub url: String,
    pub method: String,
    pub params: Vec<(String, String)>,
    /// What it is about. Callbacks about one resource go out in order.
    pub resource: String,
}

/// Promises a callback in the commit of the state it tells of.
pub fn promise(batch: &mut AccountBatch, clock: &Clock, callback: Callback) {
    let lane = format!("callback/{}", callback.resource);
    jobs::add(batch, clock, NewJob::now(QUEUE, clock, &callback).in_lane(lane));
}

/// Promises the callbacks of all that happened to one resource in a commit, as one job. When it is
/// done again because nobody knows how far it came, all of them are made again.
pub fn promise_all(batch: &mut AccountBatch, clock: &Clock, mut callbacks: Vec<Callback>) {
    if callbacks.len() <= 1 {
        let only = callbacks.pop();
        return only.into_iter().for_each(|callback| promise(batch, clock, callback));
    }
    let lane = format!("callback/{}", callbacks[0].resource);
    jobs::add(batch, clock, NewJob::now(QUEUE, clock, &callbacks).in_lane(lane));
}

/// What an alert tells.
struct Fault<'a> {
    resource: &'a str,
    code: u32,
    message: &'a str,
    url: &'a str,
    /// `None` when no request failed, but what was answered cannot be used.
    method: Option<Method>,
}

/// The body of the event `webhook`.
#[derive(Serialize)]
struct Exchange<'a> {
    url: &'a str,
    method: &'a str,
    request_headers: &'a [(String, String)],
    request_body: Cow<'a, str>,
    status: Option<u16>,
    response_headers: &'a [(String, String)],
    response_body: Cow<'a, str>,
    started: String,
    duration_ms: u64,
    error: Option<&'a str>,
}

/// The one place that asks customers' URLs.
pub struct Webhooks {
    client: Arc<Client>,
    keys: Arc<dyn SigningKeys>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Webhooks {
    pub fn new(
        client: Arc<Client>,
        keys: Arc<dyn SigningKeys>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { client, keys, clock, metrics })
    }

    /// Asks for a document, and adds the record of it to `batch`.
    ///
    /// # Errors
    /// What [`Client::fetch`] says; the alert is in `batch` already.
    pub async fn ask(
        &self,
        account: Sid,
        question: Question<'_>,
        batch: &mut AccountBatch,
    ) -> Result<Answer, FetchFailure> {
        self.request(account, question, Purpose::Document, batch).await
    }

    /// `X-Twilio-Signature` of a WebSocket's URL; empty when the account is gone.
    pub async fn signature(&self, account: Sid, url: &str) -> String {
        let key = self.key(account).await;
        let none: [(&str, &str); 0] = [];
        key.map(|key| signature::sign(&key, url, &none)).unwrap_or_default()
    }

    /// What an account's requests are signed with. Nothing goes out unsigned because the store is
    /// away: that is waited for, as long as the caller's job may take.
    async fn key(&self, account: Sid) -> Option<String> {
        loop {
            match self.keys.signing_key(account).await {
                Ok(key) => return key,
                Err(why) => tracing::warn!(%account, %why, "a request waits to be signed"),
            }
            tokio::time::sleep(KEY_AGAIN).await;
        }
    }

    async fn request(
        &self,
        account: Sid,
        question: Question<'_>,
        purpose: Purpose,
        batch: &mut AccountBatch,
    ) -> Result<Answer, FetchFailure> {
        let method = match question.method {
            "GET" => Method::Get,
            _ => Method::Post,
        };
        let fetch = Fetch {
            method,
            payload: Payload::Form(question.params),
            auth_token: self.key(account).await,
            cookie_scope: question.cookie_scope.map(|scope| format!("{account}/{scope}")),
            purpose,
            ..Fetch::new(question.url)
        };
        let span = trace::span("webhook", Kind::Client);
        span.say("http.request.method", method.as_str());
        span.say("offhook.resource", question.resource);
        let began = Instant::now();
        let outcome = span.run(self.client.fetch(fetch)).await;
        let status = match &outcome {
            Ok(answer) => Some(answer.status),
            Err(failure) => failure.answer.as_ref().map(|answer| answer.status),
        };
        self.metrics.webhook(status, began.elapsed());
        match (&outcome, status) {
            (Err(failure), _) => span.fail(failure.code),
            (_, Some(status)) => span.say("http.response.status_code", status),
            _ => {}
        }
        drop(span);
        let (attempts, failure) = match &outcome {
            Ok(answer) => (&answer.attempts, None),
            Err(failure) => (&failure.attempts, Some(failure)),
        };
        for attempt in attempts {
            self.record(batch, question.resource, attempt);
        }
        if let Some(failure) = failure {
            let fault = Fault {
                resource: question.resource,
                code: failure.code,
                message: &failure.message,
                url: question.url,
                method: Some(method),
            };
            self.raise(batch, fault);
        }
        outcome
    }

    /// Posts a JSON document, and adds the record of it to `batch`. What a failure means is for
    /// the caller to say: there is no alert.
    ///
    /// # Errors
    /// What [`Client::fetch`] says.
    pub async fn post_json(
        &self,
        account: Sid,
        url: &str,
        document: &Value,
        resource: &str,
        batch: &mut AccountBatch,
    ) -> Result<Answer, FetchFailure> {
        let fetch = Fetch {
            payload: Payload::Json(document.to_string().into_bytes()),
            auth_token: self.key(account).await,
            purpose: Purpose::Callback,
            ..Fetch::new(url)
        };
        let outcome = self.client.fetch(fetch).await;
        let attempts = match &outcome {
            Ok(answer) => &answer.attempts,
            Err(failure) => &failure.attempts,
        };
        for attempt in attempts {
            self.record(batch, resource, attempt);
        }
        outcome
    }

    /// Writes an alert: what the debugger shows.
    pub fn alert(
        &self,
        batch: &mut AccountBatch,
        resource: &str,
        code: u32,
        message: &str,
        url: &str,
    ) {
        self.raise(batch, Fault { resource, code, message, url, method: None });
    }

    fn raise(&self, batch: &mut AccountBatch, fault: Fault<'_>) {
        let Fault { resource, code, message, url, method } = fault;
        tracing::warn!(account_sid = %batch.account(), resource, code, why = message, "alert");
        let row = kernel::lookup(code);
        let level = match row.map(|row| row.level) {
            Some(kernel::Level::Warning) => "warning",
            _ => "error",
        };
        let body = json!({
            "code": code,
            "level": level,
            "message": message,
            "url": kernel::without_password(url),
            "method": method.map(Method::as_str),
            "transient": row.is_some_and(kernel::ErrorRow::is_transient),
        });
        batch.event("alert", resource, self.clock.now(), body.to_string());
    }

    /// Writes the exact HTTP of one attempt.
    fn record(&self, batch: &mut AccountBatch, resource: &str, attempt: &Attempt) {
        let body = Exchange {
            url: &attempt.url,
            method: attempt.method.as_str(),
            request_headers: &attempt.request_headers,
            request_body: String::from_utf8_lossy(&attempt.request_body),
            status: attempt.status,
            response_headers: &attempt.response_headers,
            response_body: String::from_utf8_lossy(&attempt.response_body),
            started: attempt.started.iso8601(),
            duration_ms: attempt.duration_ms,
            error: attempt.error.as_deref(),
        };
        let body = serde_json::to_string(&body).expect("an exchange is plain text");
        batch.event("webhook", resource, self.clock.now(), body);
    }
}

impl Worker for Webhooks {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        // One, or those of what happened at once, in their order.
        let callbacks: Vec<Callback> = match job.payload.starts_with('[') {
            true => job.read()?,
            false => vec![job.read()?],
        };
        let mut batch = store.batch();
        for callback in callbacks {
            let question = Question {
                url: &callback.url,
                method: &callback.method,
                params: callback.params,
                resource: &callback.resource,
                cookie_scope: None,
            };
            // The answer to a status callback is ignored; a failure is an alert already.
            let _ = self.request(job.account, question, Purpose::Callback, &mut batch).await;
        }
        Ok(batch)
    }
}

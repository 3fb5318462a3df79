//! Batches, and mail that is paused or cancelled (sendgrid §4).

use std::time::Duration;

use serde_json::{Value, json};
use store::{AccountStore, StoreError};

use crate::Email;
use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};

const BATCH: &str = "EmailBatch";
const HELD: &str = "EmailScheduledSend";
const HELD_MAX: usize = 100;
const BATCH_LIFE: Duration = Duration::from_secs(10 * 86_400);

pub const ROUTES: &[Route] = &[
    route("POST", "/v3/mail/batch", "mail.batch.create", |e, c| Box::pin(create_batch(e, c))),
    route("GET", "/v3/mail/batch/{id}", "mail.batch.read", |_, c| Box::pin(fetch_batch(c))),
    route("POST", "/v3/user/scheduled_sends", "user.scheduled_sends.create", |_, c| {
        Box::pin(create(c))
    }),
    route("GET", "/v3/user/scheduled_sends", "user.scheduled_sends.read", |_, c| Box::pin(list(c))),
    route("GET", "/v3/user/scheduled_sends/{id}", "user.scheduled_sends.read", |_, c| {
        Box::pin(fetch(c))
    }),
    route("PATCH", "/v3/user/scheduled_sends/{id}", "user.scheduled_sends.update", |_, c| {
        Box::pin(change(c))
    }),
    route("DELETE", "/v3/user/scheduled_sends/{id}", "user.scheduled_sends.delete", |_, c| {
        Box::pin(delete(c))
    }),
];

/// What keeps a batch back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Pause,
    Cancel,
}

pub async fn hold(store: &AccountStore, batch: &str) -> Result<Option<Hold>, StoreError> {
    let doc = shelf::get(store, HELD, "", batch).await?;
    Ok(doc.map(|doc| if doc.body["status"] == "cancel" { Hold::Cancel } else { Hold::Pause }))
}

pub async fn is_known(store: &AccountStore, batch: &str) -> Result<bool, StoreError> {
    Ok(shelf::get(store, BATCH, "", batch).await?.is_some())
}

async fn create_batch(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let id = email.token(36);
    let mut batch = call.store.batch();
    shelf::insert(&mut batch, BATCH, "", &id, &json!({}), call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(201, json!({"batch_id": id})))
}

/// A batch of this account that is not too old.
async fn batch(call: &Call, id: &str) -> Result<Doc, Fault> {
    let found = shelf::get(&call.store, BATCH, "", id).await?;
    let found = found.filter(|doc| call.now.since(doc.created) < BATCH_LIFE);
    found.ok_or_else(|| Fault::field("batch_id", "invalid batch id"))
}

async fn fetch_batch(call: &Call) -> Result<Answer, Fault> {
    let doc = batch(call, call.param("id")).await?;
    Ok(Answer::Json(200, json!({"batch_id": doc.id})))
}

fn status(value: Option<&Value>) -> Result<&str, Fault> {
    let status =
        value.and_then(Value::as_str).filter(|status| ["pause", "cancel"].contains(status));
    status.ok_or_else(|| Fault::field("status", "status must be either cancel or pause"))
}

async fn create(call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let id = body.get("batch_id").and_then(Value::as_str).unwrap_or_default();
    let status = status(body.get("status"))?;
    batch(call, id).await?;
    if shelf::get(&call.store, HELD, "", id).await?.is_some() {
        return Err(Fault::field(
            "batch_id",
            "a status for this batch id exists, try PATCH to update the status",
        ));
    }
    if shelf::all(&call.store, HELD, "").await?.len() >= HELD_MAX {
        return Err(Fault::new(400, "at most 100 batches can be paused or cancelled at a time"));
    }
    let mut batch = call.store.batch();
    shelf::insert(&mut batch, HELD, "", id, &json!({"status": status}), call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(201, json!({"batch_id": id, "status": status})))
}

fn shown(doc: &Doc) -> Value {
    json!({"batch_id": doc.id, "status": doc.body["status"]})
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let all = shelf::all(&call.store, HELD, "").await?;
    Ok(Answer::Json(200, all.iter().map(shown).collect()))
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let doc = shelf::get(&call.store, HELD, "", call.param("id")).await?;
    Ok(Answer::Json(200, doc.iter().map(shown).collect()))
}

async fn load(call: &Call) -> Result<Doc, Fault> {
    let doc = shelf::get(&call.store, HELD, "", call.param("id")).await?;
    doc.ok_or_else(|| Fault::new(404, "batch id not found"))
}

async fn change(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call).await?;
    doc.body["status"] = status(call.object()?.get("status"))?.into();
    let mut batch = call.store.batch();
    shelf::update(&mut batch, HELD, "", &doc, call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, HELD, "", &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

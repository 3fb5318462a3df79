//! The Event Webhook: settings, signatures, deliveries (sendgrid §7).
//!
//! An event that a webhook asks for is a row of its outbox in the commit of what happened, with a
//! job in the webhook's lane. The job posts everything that waits, as one array, and takes it out
//! of the outbox in the commit of its own removal: each event is posted once at least.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use jobs::{Failure, Job, NewJob, Worker};
use outbound::{Method, RawRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::Email;
use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};

const KIND: &str = "EmailEventWebhook";
const QUEUE: &str = "email.webhook";
/// Webhooks of one account.
const WEBHOOKS_MAX: usize = 5;
const POST_BYTES_MAX: usize = 768 * 1024;
const POST_EVENTS_MAX: i64 = 2000;
/// How long after an event it is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);

pub const ROUTES: &[Route] = &[
    route(
        "POST",
        "/v3/user/webhooks/event/settings",
        "user.webhooks.event.settings.create",
        |e, c| Box::pin(create(e, c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/event/settings",
        "user.webhooks.event.settings.read",
        |_, c| Box::pin(fetch(c)),
    ),
    route(
        "PATCH",
        "/v3/user/webhooks/event/settings",
        "user.webhooks.event.settings.update",
        |e, c| Box::pin(change(e, c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/event/settings/all",
        "user.webhooks.event.settings.read",
        |_, c| Box::pin(list(c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/event/settings/{id}",
        "user.webhooks.event.settings.read",
        |_, c| Box::pin(fetch(c)),
    ),
    route(
        "PATCH",
        "/v3/user/webhooks/event/settings/{id}",
        "user.webhooks.event.settings.update",
        |e, c| Box::pin(change(e, c)),
    ),
    route(
        "DELETE",
        "/v3/user/webhooks/event/settings/{id}",
        "user.webhooks.event.settings.delete",
        |_, c| Box::pin(delete(c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/event/settings/signed",
        "user.webhooks.event.settings.read",
        |_, c| Box::pin(signed(c)),
    ),
    route(
        "PATCH",
        "/v3/user/webhooks/event/settings/signed",
        "user.webhooks.event.settings.update",
        |e, c| Box::pin(sign(e, c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/event/settings/signed/{id}",
        "user.webhooks.event.settings.read",
        |_, c| Box::pin(signed(c)),
    ),
    route(
        "PATCH",
        "/v3/user/webhooks/event/settings/signed/{id}",
        "user.webhooks.event.settings.update",
        |e, c| Box::pin(sign(e, c)),
    ),
    route("POST", "/v3/user/webhooks/event/test", "user.webhooks.event.test.create", |e, c| {
        Box::pin(test(e, c))
    }),
];

/// The names of settings, and the events that they switch.
const SWITCHES: [(&str, &str); 11] = [
    ("group_resubscribe", "group_resubscribe"),
    ("delivered", "delivered"),
    ("group_unsubscribe", "group_unsubscribe"),
    ("spam_report", "spamreport"),
    ("bounce", "bounce"),
    ("deferred", "deferred"),
    ("unsubscribe", "unsubscribe"),
    ("processed", "processed"),
    ("open", "open"),
    ("click", "click"),
    ("dropped", "dropped"),
];

/// A webhook that is switched on.
#[derive(Clone, Debug)]
pub struct Webhook {
    id: String,
    wanted: Vec<&'static str>,
}

impl Webhook {
    pub fn wants(&self, event: &str) -> bool {
        self.wanted.contains(&event)
    }
}

/// The webhooks of an account that are on.
pub async fn enabled(store: &AccountStore) -> Result<Vec<Webhook>, StoreError> {
    let docs = shelf::all(store, KIND, "").await?;
    let is_on = |doc: &&Doc| {
        doc.body["enabled"] == true && doc.body["url"].as_str().is_some_and(|url| !url.is_empty())
    };
    let wanted = |doc: &Doc| {
        SWITCHES
            .iter()
            .filter(|(name, _)| doc.body[*name] == true)
            .map(|(_, event)| *event)
            .collect()
    };
    Ok(docs
        .iter()
        .filter(is_on)
        .map(|doc| Webhook { id: doc.id.clone(), wanted: wanted(doc) })
        .collect())
}

#[derive(Serialize, Deserialize)]
struct Delivery {
    webhook: String,
}

/// Keeps an event for a webhook, and promises to post it.
pub fn promise(
    batch: &mut AccountBatch,
    clock: &Clock,
    webhook: &Webhook,
    id: &str,
    event: &str,
    delay: Duration,
) {
    batch.run(
        "INSERT INTO mail_outbox (account_sid, webhook, id, at, body) VALUES ($1, $2, $3, $4, $5)",
        vec![webhook.id.as_str().into(), id.into(), clock.now().into(), event.into()],
    );
    let delivery = Delivery { webhook: webhook.id.clone() };
    let lane = format!("email-webhook/{}", webhook.id);
    jobs::add(batch, clock, NewJob::now(QUEUE, clock, &delivery).after(delay).in_lane(lane));
}

/// Posts what waits.
pub struct Poster(pub Arc<Email>);

impl Worker for Poster {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let delivery: Delivery = job.read()?;
        let mut batch = store.batch();
        self.0.post(&delivery.webhook, store, &mut batch).await?;
        Ok(batch)
    }
}

/// When the next attempt is: later the older the events are.
fn next_attempt(age: Duration) -> Duration {
    (age / 2).clamp(Duration::from_secs(5), Duration::from_secs(3600))
}

impl Email {
    async fn post(
        &self,
        id: &str,
        store: &AccountStore,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let sql = "SELECT id, at, body FROM mail_outbox WHERE account_sid = $1 AND webhook = $2
                   ORDER BY id LIMIT $3";
        let rows = store.query(sql, vec![id.into(), POST_EVENTS_MAX.into()]).await?;
        let Some(first) = rows.first() else { return Ok(()) };
        let doc = shelf::get(store, KIND, "", id).await?;
        let (mut bytes, mut events, mut ids) = (2, Vec::new(), Vec::new());
        for row in &rows {
            bytes += row.text(2).len() + 1;
            if bytes > POST_BYTES_MAX && !events.is_empty() {
                break;
            }
            events.push(row.text(2));
            ids.push(row.text(0));
        }
        if let Some(doc) = doc.filter(|doc| doc.body["enabled"] == true) {
            let body = format!("[{}]", events.join(","));
            let url = doc.body["url"].as_str().unwrap_or_default();
            if let Err(why) = self.post_events(&doc, url, body).await {
                let now = self.parts.clock.now();
                let age = now.since(first.time(1));
                if age < TRIED_FOR {
                    tracing::debug!(account_sid = %store.account(), webhook = id, %why, "an event webhook did not take its events");
                    return Err(Failure::Later(now + next_attempt(age)));
                }
                let why = format!("{} events were not taken within 24 hours: {why}", events.len());
                self.parts.webhooks.alert(batch, id, 11200, &why, url);
            }
        }
        for event in ids {
            batch.run(
                "DELETE FROM mail_outbox WHERE account_sid = $1 AND webhook = $2 AND id = $3",
                vec![id.into(), event.into()],
            );
        }
        Ok(())
    }

    /// Posts one array. The error is why it was not taken.
    async fn post_events(&self, doc: &Doc, url: &str, body: String) -> Result<(), String> {
        let mut request = RawRequest::new(Method::Post, url);
        request.headers = vec![
            ("Content-Type".into(), "application/json".into()),
            ("User-Agent".into(), "SendGrid Event API".into()),
        ];
        if doc.body["signed"] == true {
            let stamp = self.parts.clock.now().as_seconds().to_string();
            let signature = self.signature(doc, &format!("{stamp}{body}"))?;
            let prefix = "X-Twilio-Email-Event-Webhook";
            request.headers.push((format!("{prefix}-Signature"), signature));
            request.headers.push((format!("{prefix}-Timestamp"), stamp));
        }
        request.body = body.into_bytes();
        let answer = self.parts.client.raw(request).await.map_err(|failure| failure.message)?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(format!("{url} answered {status}")),
        }
    }

    /// ECDSA over P-256 and SHA-256, DER, base64.
    fn signature(&self, doc: &Doc, text: &str) -> Result<String, String> {
        let broken = || "the webhook's key cannot be read".to_owned();
        let sealed =
            STANDARD.decode(doc.body["key"].as_str().unwrap_or_default()).map_err(|_| broken())?;
        let pkcs8 = self.parts.sealer.open(&sealed).map_err(|_| broken())?;
        let pkcs8 = STANDARD.decode(pkcs8).map_err(|_| broken())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
            .map_err(|_| broken())?;
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| broken())?;
        Ok(STANDARD.encode(signature))
    }

    /// A fresh key pair: sealed, and its public half as programs are given it.
    fn new_key(&self) -> Result<(String, String), Fault> {
        let failed = |_| Fault::new(500, "no key could be made");
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(failed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref())
            .map_err(|_| Fault::new(500, "no key could be made"))?;
        // SubjectPublicKeyInfo of P-256 before the point (RFC 5480 §2).
        const PREFIX: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let public = STANDARD.encode([&PREFIX, pair.public_key().as_ref()].concat());
        let sealed = self.parts.sealer.seal(&STANDARD.encode(pkcs8.as_ref()));
        Ok((STANDARD.encode(sealed), public))
    }
}

/// What callers see of a webhook.
fn shown(doc: &Doc) -> Value {
    let mut json = doc.body.clone();
    if let Some(map) = json.as_object_mut() {
        map.retain(|name, _| !["key", "signed"].contains(&name.as_str()));
        map.insert("id".into(), doc.id.as_str().into());
        map.insert("created_date".into(), doc.created.iso8601().into());
        map.insert("updated_date".into(), doc.updated.iso8601().into());
    }
    json
}

/// Takes over what a body sets.
fn set(body: &mut Value, given: &Map<String, Value>) -> Result<(), Fault> {
    for (name, value) in given {
        match name.as_str() {
            "url" => {
                let url =
                    value.as_str().filter(|url| url.is_empty() || rest::check_url(url).is_ok());
                body["url"] = url
                    .ok_or_else(|| {
                        Fault::field("url", "url must be an absolute http or https URL")
                    })?
                    .into();
            }
            "friendly_name" => match value {
                Value::Null => body["friendly_name"] = Value::Null,
                Value::String(text) if text.chars().count() <= 255 => {
                    body["friendly_name"] = text.as_str().into()
                }
                _ => {
                    return Err(Fault::field(
                        "friendly_name",
                        "friendly_name must be a string of at most 255 characters",
                    ));
                }
            },
            "oauth_client_id" | "oauth_client_secret" | "oauth_token_url"
                if value.as_str().is_some_and(|text| !text.is_empty()) =>
            {
                let why = "OAuth of the Event Webhook is not supported by this version of Offhook; \
                           sign it instead";
                return Err(Fault::field(name, why));
            }
            switch if switch == "enabled" || SWITCHES.iter().any(|(known, _)| *known == switch) => {
                body[switch] = value
                    .as_bool()
                    .ok_or_else(|| Fault::field(switch, format!("{switch} must be a boolean")))?
                    .into();
            }
            _ => {}
        }
    }
    Ok(())
}

fn blank() -> Value {
    let mut body = json!({"enabled": false, "url": "", "friendly_name": null, "signed": false});
    for (name, _) in SWITCHES {
        body[name] = false.into();
    }
    for name in ["oauth_client_id", "oauth_token_url"] {
        body[name] = Value::Null;
    }
    body
}

async fn create(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let mut body = blank();
    set(&mut body, &call.object()?)?;
    if body["url"] == "" {
        return Err(Fault::field("url", "url is required"));
    }
    if shelf::all(&call.store, KIND, "").await?.len() >= WEBHOOKS_MAX {
        return Err(Fault::new(400, format!("there can be at most {WEBHOOKS_MAX} webhooks")));
    }
    save_new(email, call, body).await.map(|doc| Answer::Json(201, shown(&doc)))
}

async fn save_new(email: &Email, call: &Call, body: Value) -> Result<Doc, Fault> {
    let id = email.uuid();
    let mut batch = call.store.batch();
    shelf::insert(&mut batch, KIND, "", &id, &body, call.now);
    call.store.commit(batch).await?;
    shelf::get(&call.store, KIND, "", &id).await?.ok_or_else(Fault::not_found)
}

/// The webhook that the path names; without a name the oldest.
async fn find(call: &Call) -> Result<Option<Doc>, Fault> {
    match call.param("id") {
        "" => {
            let mut docs = shelf::all(&call.store, KIND, "").await?;
            docs.sort_by_key(|doc| doc.created);
            Ok(docs.into_iter().next())
        }
        id => Ok(Some(shelf::get(&call.store, KIND, "", id).await?.ok_or_else(Fault::not_found)?)),
    }
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let json = find(call).await?.map_or_else(blank, |doc| shown(&doc));
    Ok(Answer::Json(200, json))
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let docs = shelf::all(&call.store, KIND, "").await?;
    let all: Vec<_> = docs.iter().map(shown).collect();
    Ok(Answer::Json(200, json!({"max_allowed": WEBHOOKS_MAX, "webhooks": all})))
}

async fn save(call: &Call, doc: &Doc) -> Result<(), Fault> {
    let mut batch = call.store.batch();
    shelf::update(&mut batch, KIND, "", doc, call.now);
    call.store.commit(batch).await?;
    Ok(())
}

async fn change(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let given = call.object()?;
    let mut doc = match find(call).await? {
        Some(doc) => doc,
        None => save_new(email, call, blank()).await?,
    };
    set(&mut doc.body, &given)?;
    save(call, &doc).await?;
    Ok(Answer::Json(200, shown(&doc)))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = find(call).await?.ok_or_else(Fault::not_found)?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, KIND, "", &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

async fn signed(call: &Call) -> Result<Answer, Fault> {
    let doc = find(call).await?.ok_or_else(Fault::not_found)?;
    Ok(Answer::Json(200, json!({"id": doc.id, "public_key": public_key(&doc)})))
}

fn public_key(doc: &Doc) -> Value {
    match doc.body["signed"] == true {
        true => doc.body["public_key"].clone(),
        false => "".into(),
    }
}

async fn sign(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let enabled = call.object()?.get("enabled").and_then(Value::as_bool);
    let enabled = enabled.ok_or_else(|| Fault::field("enabled", "enabled must be a boolean"))?;
    let mut doc = match find(call).await? {
        Some(doc) => doc,
        None => save_new(email, call, blank()).await?,
    };
    if enabled && doc.body["signed"] != true {
        let (sealed, public) = email.new_key()?;
        doc.body["key"] = sealed.into();
        doc.body["public_key"] = public.into();
    }
    doc.body["signed"] = enabled.into();
    save(call, &doc).await?;
    Ok(Answer::Json(200, json!({"id": doc.id, "public_key": public_key(&doc)})))
}

/// Posts one sample of each event, at once.
async fn test(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let given = call.object()?;
    let url = given.get("url").and_then(Value::as_str).filter(|url| rest::check_url(url).is_ok());
    let url =
        url.ok_or_else(|| Fault::field("url", "url must be an absolute http or https URL"))?;
    let known = match given.get("id").and_then(Value::as_str) {
        Some(id) => {
            Some(shelf::get(&call.store, KIND, "", id).await?.ok_or_else(Fault::not_found)?)
        }
        None => find(call).await?,
    };
    let samples: Vec<_> = SWITCHES
        .iter()
        .map(|(_, event)| {
            json!({
                "email": "example@test.com", "timestamp": call.now.as_seconds(), "event": event,
                "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>", "category": ["cat facts"],
                "sg_event_id": email.token(16), "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            })
        })
        .collect();
    let blank =
        Doc { id: String::new(), body: blank(), created: call.now, updated: call.now, version: 0 };
    let doc = known.unwrap_or(blank);
    let posted = email.post_events(&doc, url, Value::Array(samples).to_string()).await;
    posted.map_err(|why| Fault::field("url", format!("the test was not taken: {why}")))?;
    Ok(Answer::Empty(204))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_rarer_the_older_the_events() {
        for (age, next) in [(0, 5), (10, 5), (60, 30), (4000, 2000), (80_000, 3600)] {
            assert_eq!(next_attempt(Duration::from_secs(age)), Duration::from_secs(next), "{age}");
        }
    }
}

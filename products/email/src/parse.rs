//! Inbound Parse: mail that comes in, posted to the application (sendgrid §8).

use std::sync::Arc;
use std::time::Duration;

use contracts::{InboundMail, Unavailable};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use outbound::{Method, RawRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{AccountBatch, AccountStore};

use crate::Email;
use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};

const KIND: &str = "EmailParse";
/// The directory from a host name to its account.
const CLAIM: &str = "email-parse";
const QUEUE: &str = "email.parse";
const HOSTS_MAX: usize = 500;
/// How long a mail is offered to the application.
const TRIED_FOR: Duration = Duration::from_secs(3 * 86_400);

pub const ROUTES: &[Route] = &[
    route(
        "POST",
        "/v3/user/webhooks/parse/settings",
        "user.webhooks.parse.settings.create",
        |_, c| Box::pin(create(c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/parse/settings",
        "user.webhooks.parse.settings.read",
        |_, c| Box::pin(list(c)),
    ),
    route(
        "GET",
        "/v3/user/webhooks/parse/settings/{hostname}",
        "user.webhooks.parse.settings.read",
        |_, c| Box::pin(fetch(c)),
    ),
    route(
        "PATCH",
        "/v3/user/webhooks/parse/settings/{hostname}",
        "user.webhooks.parse.settings.update",
        |_, c| Box::pin(change(c)),
    ),
    route(
        "DELETE",
        "/v3/user/webhooks/parse/settings/{hostname}",
        "user.webhooks.parse.settings.delete",
        |_, c| Box::pin(delete(c)),
    ),
];

fn shown(doc: &Doc) -> Value {
    let mut json = doc.body.clone();
    json["hostname"] = doc.id.as_str().into();
    json
}

fn set(doc: &mut Value, body: &Map<String, Value>) -> Result<(), Fault> {
    if let Some(value) = body.get("url") {
        let url = value.as_str().filter(|url| rest::check_url(url).is_ok());
        doc["url"] = url
            .ok_or_else(|| Fault::field("url", "url must be an absolute http or https URL"))?
            .into();
    }
    for name in ["spam_check", "send_raw"] {
        if let Some(value) = body.get(name) {
            doc[name] = value
                .as_bool()
                .ok_or_else(|| Fault::field(name, format!("{name} must be a boolean")))?
                .into();
        }
    }
    match doc["spam_check"] == true {
        true => Err(Fault::field(
            "spam_check",
            "spam_check is not supported by this version of Offhook",
        )),
        false => Ok(()),
    }
}

async fn create(call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let host = body.get("hostname").and_then(Value::as_str).map(str::to_ascii_lowercase);
    let host = host
        .filter(|host| mail::is_domain(host))
        .ok_or_else(|| Fault::field("hostname", "hostname must be a domain name"))?;
    let mut doc = json!({"url": "", "spam_check": false, "send_raw": false});
    set(&mut doc, &body)?;
    if doc["url"] == "" {
        return Err(Fault::field("url", "url is required"));
    }
    if shelf::all(&call.store, KIND, "").await?.len() >= HOSTS_MAX {
        return Err(Fault::new(400, format!("there can be at most {HOSTS_MAX} host names")));
    }
    let mut batch = call.store.batch();
    shelf::claim(&mut batch, CLAIM, &host, &host);
    shelf::insert(&mut batch, KIND, "", &host, &doc, call.now);
    match call.store.commit(batch).await {
        Err(store::StoreError::Duplicate(_)) => {
            return Err(Fault::field("hostname", "this host name is in use already"));
        }
        outcome => outcome?,
    };
    doc["hostname"] = host.into();
    Ok(Answer::Json(201, doc))
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let docs = shelf::all(&call.store, KIND, "").await?;
    Ok(Answer::Json(200, json!({"result": docs.iter().map(shown).collect::<Vec<_>>()})))
}

async fn load(call: &Call) -> Result<Doc, Fault> {
    let host = call.param("hostname").to_ascii_lowercase();
    shelf::get(&call.store, KIND, "", &host).await?.ok_or_else(Fault::not_found)
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    Ok(Answer::Json(200, shown(&load(call).await?)))
}

async fn change(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call).await?;
    set(&mut doc.body, &call.object()?)?;
    let mut batch = call.store.batch();
    shelf::update(&mut batch, KIND, "", &doc, call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(200, shown(&doc)))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, KIND, "", &doc.id);
    shelf::release(&mut batch, CLAIM, &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

/// Whose mail an address gets.
pub async fn holder(email: &Email, address: &str) -> Result<Option<Sid>, Unavailable> {
    email.parts.names.holder(CLAIM, &mail::domain_of(address)).await
}

/// A mail that waits for its application.
#[derive(Serialize, Deserialize)]
struct Waiting {
    host: String,
    blob: String,
    from: String,
    to: String,
    ip: String,
    at: Timestamp,
}

/// Keeps a mail and promises to post it.
pub async fn take(email: &Email, to: &str, mail: &InboundMail) -> Result<(), Unavailable> {
    let Some(account) = holder(email, to).await? else { return Ok(()) };
    let unavailable = |error: store::StoreError| Unavailable(error.to_string());
    let store = email.parts.store.account(account);
    let blob = email.parts.blobs.put(&mail.message).await.map_err(unavailable)?;
    let clock = &email.parts.clock;
    let waiting = Waiting {
        host: mail::domain_of(to),
        blob,
        from: mail.envelope_from.clone(),
        to: to.to_owned(),
        ip: mail.ip.clone(),
        at: clock.now(),
    };
    let mut batch = store.batch();
    jobs::add(&mut batch, clock, NewJob::now(QUEUE, clock, &waiting));
    store.commit(batch).await.map(|_| ()).map_err(unavailable)
}

/// Posts mail to applications.
pub struct Poster(pub Arc<Email>);

impl Worker for Poster {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let waiting: Waiting = job.read()?;
        let mut batch = store.batch();
        self.0.post_inbound(&waiting, store, &mut batch).await?;
        Ok(batch)
    }
}

impl Email {
    async fn post_inbound(
        &self,
        waiting: &Waiting,
        store: &AccountStore,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Some(doc) = shelf::get(store, KIND, "", &waiting.host).await? else { return Ok(()) };
        let Some(bytes) = self.parts.blobs.get(&waiting.blob).await? else { return Ok(()) };
        let url = doc.body["url"].as_str().unwrap_or_default();
        let boundary = format!("xYzZY{}", self.parts.clock.hex_token(32));
        let body = form(waiting, &bytes, doc.body["send_raw"] == true, &boundary);
        let mut request = RawRequest::new(Method::Post, url);
        request.headers = vec![
            ("Content-Type".into(), format!("multipart/form-data; boundary={boundary}")),
            ("User-Agent".into(), "SendGrid Parse API".into()),
        ];
        request.body = body;
        let why = match self.parts.client.raw(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
            // 4xx means that it is never wanted.
            Ok(answer) if (400..500).contains(&answer.status) => {
                format!("{url} answered {}; the mail is dropped", answer.status)
            }
            Ok(answer) => {
                return self.again(
                    waiting,
                    batch,
                    url,
                    format!("{url} answered {}", answer.status),
                );
            }
            Err(failure) => return self.again(waiting, batch, url, failure.message),
        };
        self.parts.webhooks.alert(batch, &waiting.host, 11200, &why, url);
        Ok(())
    }

    fn again(
        &self,
        waiting: &Waiting,
        batch: &mut AccountBatch,
        url: &str,
        why: String,
    ) -> Result<(), Failure> {
        let now = self.parts.clock.now();
        let age = now.since(waiting.at);
        if age < TRIED_FOR {
            let delay = (age / 2).clamp(Duration::from_secs(5), Duration::from_secs(3600));
            return Err(Failure::Later(now + delay));
        }
        self.parts.webhooks.alert(
            batch,
            &waiting.host,
            11200,
            &format!("given up after 3 days: {why}"),
            url,
        );
        Ok(())
    }
}

/// A field or file of `multipart/form-data`; quotes and line ends in names are escaped.
fn field(out: &mut Vec<u8>, boundary: &str, name: &str, file: Option<(&str, &str)>, value: &[u8]) {
    let quoted = |text: &str| text.replace('"', "%22").replace(['\r', '\n'], " ");
    out.extend_from_slice(
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name))
            .as_bytes(),
    );
    if let Some((filename, kind)) = file {
        out.extend_from_slice(
            format!("; filename=\"{}\"\r\nContent-Type: {}", quoted(filename), quoted(kind))
                .as_bytes(),
        );
    }
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The form of one mail. What cannot be read as a mail is posted raw.
// Differs: SPF and DKIM of mail that comes in are not checked: both fields say "none".
fn form(waiting: &Waiting, bytes: &[u8], raw: bool, boundary: &str) -> Vec<u8> {
    let read = mail::read(bytes);
    let mut out = Vec::with_capacity(bytes.len() + 4096);
    let mut text =
        |name: &str, value: &str| field(&mut out, boundary, name, None, value.as_bytes());
    let known = read.clone().unwrap_or_default();
    let envelope = json!({"to": [waiting.to], "from": waiting.from}).to_string();
    text("to", &known.to);
    text("cc", &known.cc);
    text("from", &known.from);
    text("subject", &known.subject);
    text("sender_ip", &waiting.ip);
    text("envelope", &envelope);
    text("SPF", "none");
    text("dkim", "none");
    let mut charsets = json!({"to": "UTF-8", "from": "UTF-8", "subject": "UTF-8", "cc": "UTF-8"});
    if raw || read.is_none() {
        text("charsets", &charsets.to_string());
        text("email", &String::from_utf8_lossy(bytes));
    } else {
        text("headers", &known.headers);
        for (name, value) in [("text", &known.text), ("html", &known.html)] {
            if let Some(value) = value {
                charsets[name] = "utf-8".into();
                text(name, value);
            }
        }
        text("charsets", &charsets.to_string());
        text("attachments", &known.parts.len().to_string());
        let (mut info, mut ids) = (Map::new(), Map::new());
        for (at, part) in known.parts.iter().enumerate() {
            let name = format!("attachment{}", at + 1);
            let mut about = json!({"filename": part.filename, "name": part.filename, "type": part.content_type});
            if let Some(id) = &part.content_id {
                about["content-id"] = id.as_str().into();
                ids.insert(id.clone(), name.clone().into());
            }
            info.insert(name, about);
        }
        if !info.is_empty() {
            text("attachment-info", &Value::Object(info).to_string());
        }
        if !ids.is_empty() {
            text("content-ids", &Value::Object(ids).to_string());
        }
        for (at, part) in known.parts.iter().enumerate() {
            field(
                &mut out,
                boundary,
                &format!("attachment{}", at + 1),
                Some((&part.filename, &part.content_type)),
                &part.bytes,
            );
        }
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

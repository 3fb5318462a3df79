//! API keys (`SG.…`): who calls, and what they may do (sendgrid §9).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::Sid;
use rest::{Credential, Login};
use serde_json::{Map, Value, json};
use store::{AccountBatch, StoreError};

use crate::Email;
use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};

const KIND: &str = "EmailApiKey";
/// The directory from a key's id to its account; a deleted key keeps its entry, so that it is
/// not adopted again.
const CLAIM: &str = "email-key";
const KEYS_MAX: usize = 100;
const KEY_CHARS_MAX: usize = 128;

pub const ROUTES: &[Route] = &[
    route("POST", "/v3/api_keys", "api_keys.create", |e, c| Box::pin(create(e, c))),
    route("GET", "/v3/api_keys", "api_keys.read", |_, c| Box::pin(list(c))),
    route("GET", "/v3/api_keys/{id}", "api_keys.read", |_, c| Box::pin(fetch(c))),
    route("PUT", "/v3/api_keys/{id}", "api_keys.update", |e, c| Box::pin(change(e, c, true))),
    route("PATCH", "/v3/api_keys/{id}", "api_keys.update", |e, c| Box::pin(change(e, c, false))),
    route("DELETE", "/v3/api_keys/{id}", "api_keys.delete", |_, c| Box::pin(delete(c))),
    route("GET", "/v3/scopes", "", |e, c| Box::pin(scopes(e, c))),
];

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: Sid,
    /// `None`: everything.
    pub scopes: Option<Vec<String>>,
    /// This request brought the key into being (development profile).
    pub is_adopted: bool,
}

impl Caller {
    /// # Errors
    /// 403 when the key lacks the scope.
    pub fn may(&self, scope: &str) -> Result<(), Fault> {
        match &self.scopes {
            Some(scopes) if !scope.is_empty() && !scopes.iter().any(|known| known == scope) => {
                Err(Fault::forbidden())
            }
            _ => Ok(()),
        }
    }
}

/// The caller behind a request: a Bearer key, or Twilio credentials.
pub async fn authenticate(email: &Email, request: &rest::Incoming) -> Result<Caller, Fault> {
    if request.headers.contains_key("on-behalf-of") {
        return Err(Fault::unsupported("On-Behalf-Of: a subuser"));
    }
    match Login::from_headers(&request.headers).map_err(|_| Fault::unauthorized())? {
        Login::Bearer(key) => by_key(email, &key).await?.ok_or_else(Fault::unauthorized),
        login @ Login::Basic { .. } => {
            let principal = email.parts.gate.authenticate(login, None).await;
            let principal = principal.map_err(|error| match error.status {
                503 => Fault::new(503, error.message),
                _ => Fault::unauthorized(),
            })?;
            match principal.credential {
                Credential::Token | Credential::MainKey | Credential::StandardKey => {}
                Credential::Test | Credential::RestrictedKey(_) => return Err(Fault::forbidden()),
            }
            let (account, is_adopted) = (principal.account, principal.adopted);
            Ok(Caller { account, scopes: None, is_adopted })
        }
    }
}

/// The caller behind a key; `None` when it opens nothing.
pub async fn by_key(email: &Email, key: &str) -> Result<Option<Caller>, Fault> {
    let Some(id) = id_of(key) else { return Ok(None) };
    let parts = &email.parts;
    for is_second in [false, true] {
        let Some(account) = parts.names.holder(CLAIM, &id).await? else {
            if !parts.development || is_second {
                return Ok(None);
            }
            let account = parts.names.main_account().await?;
            match adopt(email, account, &id, key).await {
                Ok(()) => {
                    tracing::info!(account_sid = %account, "adopted a mail API key (development profile)");
                    return Ok(Some(Caller { account, scopes: None, is_adopted: true }));
                }
                // Another request adopted it at the same time: then that one's secret counts.
                Err(StoreError::Duplicate(_)) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        let facts = parts.accounts.facts(account).await?;
        if !facts.is_some_and(|facts| facts.is_active) {
            return Ok(None);
        }
        let doc = shelf::get(&parts.store.account(account), KIND, "", &id).await?;
        let Some(doc) = doc else { return Ok(None) };
        let kept = doc.body["hash"].as_str().unwrap_or_default();
        if verify_slices_are_equal(kept.as_bytes(), hash(key).as_bytes()).is_err() {
            return Ok(None);
        }
        return Ok(Some(Caller { account, scopes: scopes_of(&doc), is_adopted: false }));
    }
    Ok(None)
}

/// The id within a key. A key of another form than SendGrid's, as examples have, is known by
/// what it hashes to.
fn id_of(key: &str) -> Option<String> {
    let rest = key.strip_prefix("SG.").filter(|rest| !rest.is_empty())?;
    if key.len() > KEY_CHARS_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    match rest.split_once('.') {
        Some((id, secret)) if id.len() == 22 && secret.len() == 43 => Some(id.to_owned()),
        _ => Some(hash(key)[..22].to_owned()),
    }
}

/// A key has 256 random bits: its hash needs no salt.
fn hash(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.as_bytes()))
}

async fn adopt(email: &Email, account: Sid, id: &str, key: &str) -> Result<(), StoreError> {
    let store = email.parts.store.account(account);
    let mut batch = store.batch();
    add(email, &mut batch, id, key, "Adopted key", None);
    batch.event("email.key.adopted", id, email.parts.clock.now(), "{}".into());
    store.commit(batch).await.map(|_| ())
}

fn add(
    email: &Email,
    batch: &mut AccountBatch,
    id: &str,
    key: &str,
    name: &str,
    scopes: Option<&[String]>,
) {
    let body = json!({"name": name, "scopes": scopes, "hash": hash(key)});
    shelf::claim(batch, CLAIM, id, id);
    shelf::insert(batch, KIND, "", id, &body, email.parts.clock.now());
}

fn scopes_of(doc: &Doc) -> Option<Vec<String>> {
    let scopes = doc.body["scopes"].as_array()?;
    Some(scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn name_of(body: &Map<String, Value>) -> Result<&str, Fault> {
    let name = body.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Fault::field("name", "missing required argument name"))?;
    match name.chars().count() > 100 || name.contains('\0') {
        true => Err(Fault::field("name", "the name must have at most 100 characters")),
        false => Ok(name),
    }
}

/// The scopes that a caller asks for; it gives none away that it lacks.
fn wanted_scopes(
    email: &Email,
    call: &Call,
    body: &Map<String, Value>,
) -> Result<Option<Vec<String>>, Fault> {
    let Some(given) = body.get("scopes") else { return Ok(call.caller.scopes.clone()) };
    let bad = |why: String| Fault::field("scopes", why);
    let given = given.as_array().ok_or_else(|| bad("scopes must be an array of strings".into()))?;
    let known = email.routes.scopes();
    let mut scopes = Vec::with_capacity(given.len());
    for scope in given {
        let scope =
            scope.as_str().ok_or_else(|| bad("scopes must be an array of strings".into()))?;
        if !known.contains(&scope) && !EXTRA_SCOPES.contains(&scope) {
            return Err(bad(format!("{scope:?} is not a scope; GET /v3/scopes lists them")));
        }
        call.caller.may(scope)?;
        scopes.push(scope.to_owned());
    }
    Ok(Some(scopes))
}

/// Scopes that programs ask for and behind which there is nothing here.
const EXTRA_SCOPES: &[&str] = &[
    "2fa_required",
    "sender_verification_eligible",
    "sender_verification_exempt",
    "sender_verification_legacy",
    "marketing.read",
    "alerts.read",
    "ips.read",
    "subusers.read",
    "teammates.read",
    "user.profile.read",
];

async fn create(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let name = name_of(&body)?;
    let scopes = wanted_scopes(email, call, &body)?;
    if shelf::all(&call.store, KIND, "").await?.len() >= KEYS_MAX {
        return Err(Fault::new(400, "maximum of 100 API keys has been reached"));
    }
    let (id, secret) = (email.token(16), email.token(32));
    let key = format!("SG.{id}.{secret}");
    let mut batch = call.store.batch();
    add(email, &mut batch, &id, &key, name, scopes.as_deref());
    call.store.commit(batch).await?;
    let shown = shown_scopes(email, scopes.as_deref());
    Ok(Answer::Json(201, json!({"api_key": key, "api_key_id": id, "name": name, "scopes": shown})))
}

fn shown_scopes(email: &Email, scopes: Option<&[String]>) -> Value {
    scopes.map_or_else(|| json!(email.routes.scopes()), |scopes| json!(scopes))
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let keys = shelf::all(&call.store, KIND, "").await?;
    let keys = keys.iter().map(|doc| json!({"name": doc.body["name"], "api_key_id": doc.id}));
    Ok(Answer::Json(200, json!({"result": keys.collect::<Vec<_>>()})))
}

async fn load(call: &Call) -> Result<Doc, Fault> {
    let found = shelf::get(&call.store, KIND, "", call.param("id")).await?;
    found.ok_or_else(|| Fault::new(404, "unable to find API Key"))
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let json =
        json!({"api_key_id": doc.id, "name": doc.body["name"], "scopes": doc.body["scopes"]});
    Ok(Answer::Json(200, json))
}

async fn change(email: &Email, call: &Call, with_scopes: bool) -> Result<Answer, Fault> {
    let mut doc = load(call).await?;
    let body = call.object()?;
    doc.body["name"] = name_of(&body)?.into();
    if with_scopes {
        let scopes = wanted_scopes(email, call, &body)?;
        doc.body["scopes"] = json!(scopes);
    }
    let mut batch = call.store.batch();
    shelf::update(&mut batch, KIND, "", &doc, call.now);
    call.store.commit(batch).await?;
    let mut json = json!({"api_key_id": doc.id, "name": doc.body["name"]});
    if with_scopes {
        json["scopes"] = shown_scopes(email, scopes_of(&doc).as_deref());
    }
    Ok(Answer::Json(200, json))
}

async fn delete(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, KIND, "", &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

async fn scopes(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let scopes = shown_scopes(email, call.caller.scopes.as_deref());
    Ok(Answer::Json(200, json!({"scopes": scopes})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_right_form_have_an_id() {
        let (id, secret) = ("a".repeat(22), "b".repeat(43));
        assert_eq!(id_of(&format!("SG.{id}.{secret}")), Some(id));
        assert_eq!(id_of("SG.test").map(|id| id.len()), Some(22));
        assert_ne!(id_of("SG.test"), id_of("SG.test2"));
        for none in ["", "SG.", "AC123", "sg.x", "SG.a b"] {
            assert_eq!(id_of(none), None, "{none}");
        }
        assert_eq!(id_of(&format!("SG.{}", "x".repeat(200))), None);
    }
}

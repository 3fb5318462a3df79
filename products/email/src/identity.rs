//! Who an account may send as: authenticated domains, branded links, verified senders
//! (sendgrid §9).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobs::Failure;
use serde_json::{Value, json};
use store::{AccountStore, StoreError};

use crate::fault::Fault;
use crate::shelf::{self, Doc};
use crate::wire::{Answer, Call, Route, route};
use crate::{Email, dkim};

const DOMAIN: &str = "EmailDomain";
const SENDER: &str = "EmailSender";
const MANY: usize = 500;
const SELECTOR: &str = "s1";

pub const ROUTES: &[Route] = &[
    route("POST", "/v3/whitelabel/domains", "whitelabel.create", |e, c| {
        Box::pin(create_domain(e, c))
    }),
    route("GET", "/v3/whitelabel/domains", "whitelabel.read", |_, c| Box::pin(domains(c))),
    route("GET", "/v3/whitelabel/domains/default", "whitelabel.read", |_, c| {
        Box::pin(default_domain(c))
    }),
    route("GET", "/v3/whitelabel/domains/{id}", "whitelabel.read", |_, c| Box::pin(domain(c))),
    route("PATCH", "/v3/whitelabel/domains/{id}", "whitelabel.update", |_, c| {
        Box::pin(change_domain(c))
    }),
    route("DELETE", "/v3/whitelabel/domains/{id}", "whitelabel.delete", |_, c| {
        Box::pin(delete_domain(c))
    }),
    route("POST", "/v3/whitelabel/domains/{id}/validate", "whitelabel.create", |e, c| {
        Box::pin(validate(e, c))
    }),
    route("POST", "/v3/verified_senders", "sender_verification.create", |e, c| {
        Box::pin(create_sender(e, c))
    }),
    route("GET", "/v3/verified_senders", "sender_verification.read", |_, c| Box::pin(senders(c))),
    route("PATCH", "/v3/verified_senders/{id}", "sender_verification.update", |_, c| {
        Box::pin(change_sender(c))
    }),
    route("DELETE", "/v3/verified_senders/{id}", "sender_verification.delete", |_, c| {
        Box::pin(delete_sender(c))
    }),
];

/// What signs the mail of a domain.
pub struct Signer {
    pub key: dkim::Key,
    pub domain: String,
    pub selector: String,
    /// Where bounces go.
    pub return_domain: String,
}

fn covers(doc: &Doc, domain: &str) -> bool {
    let own = doc.body["domain"].as_str().unwrap_or_default();
    !own.is_empty()
        && (domain == own || domain.strip_suffix(own).is_some_and(|head| head.ends_with('.')))
}

/// The valid domain that a sender's domain is, or lies below.
async fn valid_domain(store: &AccountStore, domain: &str) -> Result<Option<Doc>, StoreError> {
    let docs = shelf::all(store, DOMAIN, "").await?;
    Ok(docs.into_iter().find(|doc| doc.body["valid"] == true && covers(doc, domain)))
}

pub async fn may_send_as(store: &AccountStore, email: &str) -> Result<bool, StoreError> {
    if valid_domain(store, &mail::domain_of(email)).await?.is_some() {
        return Ok(true);
    }
    let senders = shelf::all(store, SENDER, "").await?;
    let is_same = |doc: &Doc| {
        doc.body["from_email"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(email))
    };
    Ok(senders.iter().any(|doc| doc.body["verified"] == true && is_same(doc)))
}

/// The domain that an account sends from unless it says otherwise.
pub async fn usual_domain(store: &AccountStore) -> Result<Option<String>, StoreError> {
    let mut docs = shelf::all(store, DOMAIN, "").await?;
    docs.retain(|doc| doc.body["valid"] == true);
    docs.sort_by_key(|doc| doc.body["default"] != true);
    let domain = docs.first().and_then(|doc| doc.body["domain"].as_str());
    Ok(domain.map(str::to_owned))
}

pub async fn signing(
    email: &Email,
    store: &AccountStore,
    domain: &str,
) -> Result<Option<Signer>, Failure> {
    let Some(doc) = valid_domain(store, domain).await? else { return Ok(None) };
    let broken = || Failure::Retry(format!("the key of {domain} cannot be read"));
    let sealed =
        STANDARD.decode(doc.body["key"].as_str().unwrap_or_default()).map_err(|_| broken())?;
    let secret = email.parts.sealer.open(&sealed).map_err(|_| broken())?;
    let key = dkim::Key::from_secret(&secret).map_err(|_| broken())?;
    let text = |name: &str| doc.body[name].as_str().unwrap_or_default().to_owned();
    let return_domain = format!("{}.{}", text("subdomain"), text("domain"));
    Ok(Some(Signer { key, domain: text("domain"), selector: text("selector"), return_domain }))
}

/// The host of the platform's public URL: what senders' DNS names.
fn own_host(email: &Email) -> String {
    let url = url::Url::parse(&email.parts.public_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn dns(doc: &Doc, host: &str) -> Value {
    let text = |name: &str| doc.body[name].as_str().unwrap_or_default();
    let (domain, way_back) = (text("domain"), format!("{}.{}", text("subdomain"), text("domain")));
    let valid = &doc.body["valid"];
    json!({
        "mail_server": {"valid": valid, "type": "mx", "host": way_back, "data": format!("{host}.")},
        "subdomain_spf": {"valid": valid, "type": "txt", "host": way_back, "data": format!("v=spf1 a:{host} ~all")},
        "dkim": {"valid": valid, "type": "txt", "host": format!("{}._domainkey.{domain}", text("selector")), "data": text("record")},
    })
}

fn shown_domain(doc: &Doc) -> Value {
    let number: u64 = doc.id.parse().unwrap_or(0);
    json!({
        "id": number, "user_id": 1, "subdomain": doc.body["subdomain"], "domain": doc.body["domain"],
        "username": "", "ips": [], "custom_spf": false, "default": doc.body["default"], "legacy": false,
        "automatic_security": false, "valid": doc.body["valid"], "dns": dns(doc, doc.body["host"].as_str().unwrap_or_default()),
    })
}

// Differs: records are always the ones that the domain's owner publishes themselves (MX and two
// TXT), as with `automatic_security: false`: there is nobody to host the targets of CNAMEs.
async fn create_domain(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let domain = body.get("domain").and_then(Value::as_str).map(str::to_ascii_lowercase);
    let domain = domain
        .filter(|domain| mail::is_domain(domain))
        .ok_or_else(|| Fault::field("domain", "domain must be a domain name"))?;
    let random = email.parts.clock.random();
    let subdomain = match body.get("subdomain") {
        None | Some(Value::Null) => format!("em{}", 1000 + random % 9000),
        Some(value) => {
            let label = value.as_str().filter(|label| mail::is_domain(&format!("{label}.x")));
            label
                .ok_or_else(|| Fault::field("subdomain", "subdomain must be a label of a domain"))?
                .to_ascii_lowercase()
        }
    };
    let selector = match body.get("custom_dkim_selector") {
        None | Some(Value::Null) => SELECTOR.to_owned(),
        Some(value) => {
            let label = value.as_str().filter(|label| {
                (1..=3).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric())
            });
            label
                .ok_or_else(|| {
                    Fault::field(
                        "custom_dkim_selector",
                        "custom_dkim_selector must be at most 3 letters and digits",
                    )
                })?
                .to_owned()
        }
    };
    let known = shelf::all(&call.store, DOMAIN, "").await?;
    if known.iter().any(|doc| {
        doc.body["domain"] == domain.as_str() && doc.body["subdomain"] == subdomain.as_str()
    }) {
        return Err(Fault::field("domain", "this domain and subdomain are authenticated already"));
    }
    if known.len() >= MANY {
        return Err(Fault::new(400, format!("there can be at most {MANY} domains")));
    }
    let failed = |_| Fault::new(500, "no key could be made");
    // An RSA key takes its time: not on a thread that answers requests.
    let key = tokio::task::spawn_blocking(dkim::Key::generate)
        .await
        .map_err(|_| Fault::new(500, "no key could be made"))?
        .map_err(failed)?;
    let sealed = STANDARD.encode(email.parts.sealer.seal(&key.secret().map_err(failed)?));
    let is_default = body.get("default").and_then(Value::as_bool).unwrap_or(false);
    let doc = json!({
        "domain": domain, "subdomain": subdomain, "selector": selector, "default": is_default, "valid": false,
        "key": sealed, "record": key.record().map_err(failed)?, "host": own_host(email),
    });
    let id = (1_000_000 + random % 90_000_000).to_string();
    let mut batch = call.store.batch();
    if is_default {
        only_default(call, &mut batch, &id).await?;
    }
    shelf::insert(&mut batch, DOMAIN, "", &id, &doc, call.now);
    call.store.commit(batch).await?;
    let doc = load(call, DOMAIN, &id).await?;
    Ok(Answer::Json(201, shown_domain(&doc)))
}

async fn only_default(call: &Call, batch: &mut store::AccountBatch, id: &str) -> Result<(), Fault> {
    for mut other in shelf::all(&call.store, DOMAIN, "").await? {
        if other.id != id && other.body["default"] == true {
            other.body["default"] = false.into();
            shelf::update(batch, DOMAIN, "", &other, call.now);
        }
    }
    Ok(())
}

async fn load(call: &Call, kind: &str, id: &str) -> Result<Doc, Fault> {
    shelf::get(&call.store, kind, "", id).await?.ok_or_else(Fault::not_found)
}

async fn domains(call: &Call) -> Result<Answer, Fault> {
    let wanted = call.query("domain").unwrap_or_default().to_ascii_lowercase();
    let limit = usize::try_from(call.number("limit", 50, 1..=500)?).unwrap_or(50);
    let offset = usize::try_from(call.number("offset", 0, 0..=10_000)?).unwrap_or(0);
    let docs = shelf::all(&call.store, DOMAIN, "").await?;
    let fits =
        |doc: &&Doc| doc.body["domain"].as_str().is_some_and(|domain| domain.contains(&wanted));
    Ok(Answer::Json(
        200,
        docs.iter().filter(fits).skip(offset).take(limit).map(shown_domain).collect(),
    ))
}

async fn default_domain(call: &Call) -> Result<Answer, Fault> {
    let docs = shelf::all(&call.store, DOMAIN, "").await?;
    let doc = docs.iter().find(|doc| doc.body["default"] == true).ok_or_else(Fault::not_found)?;
    Ok(Answer::Json(200, shown_domain(doc)))
}

async fn domain(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call, DOMAIN, call.param("id")).await?;
    Ok(Answer::Json(200, shown_domain(&doc)))
}

async fn change_domain(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call, DOMAIN, call.param("id")).await?;
    let mut batch = call.store.batch();
    if let Some(value) = call.object()?.get("default") {
        let is_default =
            value.as_bool().ok_or_else(|| Fault::field("default", "default must be a boolean"))?;
        doc.body["default"] = is_default.into();
        if is_default {
            only_default(call, &mut batch, &doc.id).await?;
        }
    }
    shelf::update(&mut batch, DOMAIN, "", &doc, call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(200, shown_domain(&doc)))
}

async fn delete_domain(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call, DOMAIN, call.param("id")).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, DOMAIN, "", &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

/// Whether what the DNS has of a name holds the record; spaces and quotes do not matter.
fn has_record(found: &[String], wanted: &str) -> bool {
    let bare =
        |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != '"').collect::<String>();
    found.iter().any(|text| bare(text) == bare(wanted))
}

// Differs: in the development profile every domain validates, without a look at the DNS.
async fn validate(email: &Email, call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call, DOMAIN, call.param("id")).await?;
    let records = dns(&doc, doc.body["host"].as_str().unwrap_or_default());
    let mut results = json!({});
    let mut valid = true;
    for name in ["subdomain_spf", "dkim"] {
        let record = &records[name];
        let (host, data) = (
            record["host"].as_str().unwrap_or_default(),
            record["data"].as_str().unwrap_or_default(),
        );
        let reason = match (email.parts.development, email.dns.get()) {
            (true, _) => None,
            (false, None) => {
                return Err(Fault::new(
                    400,
                    "domains are validated by the resolver of [carriers.smtp], which this instance has not",
                ));
            }
            (false, Some(dns)) => {
                let found = dns.txt(host).await?;
                let why = || format!("Expected TXT record for {host:?} to be {data:?}.");
                (!has_record(&found, data)).then(why)
            }
        };
        valid &= reason.is_none();
        results[name] = json!({"valid": reason.is_none(), "reason": reason});
    }
    doc.body["valid"] = valid.into();
    let mut batch = call.store.batch();
    shelf::update(&mut batch, DOMAIN, "", &doc, call.now);
    call.store.commit(batch).await?;
    let id: u64 = doc.id.parse().unwrap_or(0);
    Ok(Answer::Json(200, json!({"id": id, "valid": valid, "validation_results": results})))
}

const SENDER_FIELDS: [&str; 10] = [
    "nickname",
    "from_email",
    "from_name",
    "reply_to",
    "reply_to_name",
    "address",
    "address2",
    "city",
    "state",
    "country",
];

fn shown_sender(doc: &Doc) -> Value {
    let mut json = doc.body.clone();
    json["id"] = doc.id.parse::<u64>().unwrap_or(0).into();
    json
}

fn set_sender(doc: &mut Value, body: &serde_json::Map<String, Value>) -> Result<(), Fault> {
    for name in SENDER_FIELDS.into_iter().chain(["zip"]) {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        let text = value
            .as_str()
            .filter(|text| text.chars().count() <= 256 && !text.chars().any(char::is_control));
        doc[name] = text
            .ok_or_else(|| {
                Fault::field(name, format!("{name} must be a string of at most 256 characters"))
            })?
            .into();
    }
    for name in ["from_email", "reply_to"] {
        let text = doc[name].as_str().unwrap_or_default();
        if !mail::is_address(text) && (name == "from_email" || !text.is_empty()) {
            return Err(Fault::field(name, format!("{name} must be an email address")));
        }
    }
    Ok(())
}

// Differs: in the development profile a sender is verified at once; no mail asks its owner.
async fn create_sender(email: &Email, call: &Call) -> Result<Answer, Fault> {
    if !email.parts.development {
        let why = "single senders cannot be verified here: authenticate the domain of from_email \
                   (POST /v3/whitelabel/domains)";
        return Err(Fault::field("from_email", why));
    }
    let mut doc = json!({"verified": true, "locked": false});
    for name in SENDER_FIELDS.into_iter().chain(["zip"]) {
        doc[name] = "".into();
    }
    set_sender(&mut doc, &call.object()?)?;
    let known = shelf::all(&call.store, SENDER, "").await?;
    if known.iter().any(|other| other.body["from_email"] == doc["from_email"]) {
        return Err(Fault::field("from_email", "already exists"));
    }
    if known.len() >= MANY {
        return Err(Fault::new(400, format!("there can be at most {MANY} senders")));
    }
    let id = (1_000_000 + email.parts.clock.random() % 90_000_000).to_string();
    let mut batch = call.store.batch();
    shelf::insert(&mut batch, SENDER, "", &id, &doc, call.now);
    call.store.commit(batch).await?;
    let doc = load(call, SENDER, &id).await?;
    Ok(Answer::Json(201, shown_sender(&doc)))
}

async fn senders(call: &Call) -> Result<Answer, Fault> {
    let docs = shelf::all(&call.store, SENDER, "").await?;
    Ok(Answer::Json(200, json!({"results": docs.iter().map(shown_sender).collect::<Vec<_>>()})))
}

async fn change_sender(call: &Call) -> Result<Answer, Fault> {
    let mut doc = load(call, SENDER, call.param("id")).await?;
    let body = call.object()?;
    if body.get("from_email").is_some_and(|email| *email != doc.body["from_email"]) {
        return Err(Fault::field(
            "from_email",
            "from_email of a verified sender cannot be changed; verify another",
        ));
    }
    set_sender(&mut doc.body, &body)?;
    let mut batch = call.store.batch();
    shelf::update(&mut batch, SENDER, "", &doc, call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(200, shown_sender(&doc)))
}

async fn delete_sender(call: &Call) -> Result<Answer, Fault> {
    let doc = load(call, SENDER, call.param("id")).await?;
    let mut batch = call.store.batch();
    shelf::remove(&mut batch, SENDER, "", &doc.id);
    call.store.commit(batch).await?;
    Ok(Answer::Empty(204))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compared_without_spaces_and_quotes() {
        let found = vec!["v=spf1 a:x ~all".to_owned(), "\"k=rsa; p=AB\" \"CD\"".to_owned()];
        assert!(has_record(&found, "k=rsa; p=ABCD"));
        assert!(!has_record(&found, "k=rsa; p=ABC"));
    }
}

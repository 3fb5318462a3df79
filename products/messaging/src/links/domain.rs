//! A domain of short links as a document, and what it takes to send with it (messaging §14).

use kernel::{ApiError, Sid, Timestamp};
use rest::{Ctx, Doc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use store::{AccountStore, StoreError};

use crate::Messaging;

pub(crate) const KIND: &str = "LinkDomain";
/// From a host to its domain.
pub(crate) const HOST_CLAIM: &str = "link-domain";
/// From a service to its domain.
pub(crate) const SERVICE_CLAIM: &str = "link-service";

/// What an account has said about a domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Domain {
    /// `None`: adopted in development, the platform's own address.
    pub host: Option<String>,
    pub certificate: Option<Certificate>,
    pub config: Option<Config>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub sid: String,
    /// `None`: somebody else cares for it.
    pub expires: Option<Timestamp>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub sid: String,
    pub fallback_url: Option<String>,
    pub callback_url: Option<String>,
    pub continue_on_failure: bool,
    pub disable_https: bool,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Domain {
    pub fn of(doc: &Doc) -> Self {
        serde_json::from_value(Json::Object(doc.fields.clone())).unwrap_or_default()
    }

    pub fn fields(&self) -> Map<String, Json> {
        match serde_json::to_value(self) {
            Ok(Json::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    pub fn goes_on(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.continue_on_failure)
    }

    /// The code of why links of this domain would not open: 30107 without a certificate, 30102
    /// after its end.
    pub fn fault(&self, now: Timestamp) -> Option<u32> {
        match &self.certificate {
            None => Some(30107),
            Some(certificate) if certificate.expires.is_some_and(|end| end <= now) => Some(30102),
            Some(_) => None,
        }
    }
}

/// What links of a service begin with, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortener {
    pub domain: Option<String>,
    /// Ends where the code begins.
    pub base: String,
}

/// Why a service cannot shorten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CannotShorten {
    pub code: u32,
    /// The domain says that the message goes with its long links.
    pub goes_on: bool,
}

impl Messaging {
    /// How a service shortens.
    ///
    // Differs: in development a service without a domain, and a domain that is not set up, shorten
    // with the platform's own address.
    pub(crate) async fn shortener(
        &self,
        store: &AccountStore,
        service: &str,
    ) -> Result<Result<Shortener, CannotShorten>, StoreError> {
        let here = |domain| Shortener { domain, base: format!("{}/l/", self.parts.public_url) };
        let Some((sid, domain)) = domain_of_service(store, service).await? else {
            return Ok(match self.parts.development {
                true => Ok(here(None)),
                false => Err(CannotShorten { code: 30106, goes_on: false }),
            });
        };
        let fault = domain.fault(self.parts.clock.now());
        Ok(match (&domain.host, fault) {
            (Some(host), None) => {
                let plain = domain.config.as_ref().is_some_and(|config| config.disable_https);
                let scheme = if plain { "" } else { "https://" };
                Ok(Shortener { domain: Some(sid), base: format!("{scheme}{host}/") })
            }
            (None, _) | (_, Some(30107)) if self.parts.development => Ok(here(Some(sid))),
            (_, code) => {
                Err(CannotShorten { code: code.unwrap_or(30106), goes_on: domain.goes_on() })
            }
        })
    }
}

pub(crate) async fn domain_of_service(
    store: &AccountStore,
    service: &str,
) -> Result<Option<(String, Domain)>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = store.point(sql, vec![SERVICE_CLAIM.into(), service.into()]).await?;
    let Some(row) = row else { return Ok(None) };
    let sid = row.text(0).to_owned();
    Ok(load(store, &sid).await?.map(|doc| (sid, Domain::of(&doc))))
}

pub(crate) async fn load(store: &AccountStore, sid: &str) -> Result<Option<Doc>, StoreError> {
    rest::load(store, KIND, "", sid).await
}

/// The domain in the path.
///
/// # Errors
/// 30100 / 400 for what is no SID of a domain; 20404.
pub(super) async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid = domain_sid(ctx)?;
    let found = load(&ctx.store, &sid).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

fn domain_sid(ctx: &Ctx) -> Result<String, ApiError> {
    let text = ctx.param("DomainSid");
    let sid = text.parse::<Sid>().ok().filter(|sid| sid.prefix() == "DN");
    sid.map(|sid| sid.to_string()).ok_or_else(|| {
        ApiError::new(30100, format!("DomainSid '{text}' is not a SID that begins with DN"))
    })
}

/// The domain in the path, to be changed; in development an unknown one comes into being.
///
/// # Errors
/// 30100; 30106 / 400 for a domain that is not the account's.
pub(super) async fn existing_or_adopted(messaging: &Messaging, ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid = domain_sid(ctx)?;
    let found = load(&ctx.store, &sid).await.map_err(|error| rest::store_error(ctx, error))?;
    if let Some(doc) = found {
        return Ok(doc);
    }
    if !messaging.parts.development {
        let why = format!(
            "The domain {sid} is not set up in this account; POST /_offhook/v1/link-domains adds one"
        );
        return Err(ApiError::new(30106, why));
    }
    let fields = Domain::default().fields();
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, KIND, "", &sid, &fields, ctx.now);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    ctx.announce_adoption(&sid);
    Ok(Doc { sid, fields, date_created: ctx.now, date_updated: ctx.now, version: 1 })
}

/// Writes what has become of a domain; 20409 when somebody else changed it meanwhile.
pub(super) async fn revise(ctx: &Ctx, doc: &Doc, domain: &Domain) -> Result<(), ApiError> {
    let mut batch = ctx.store.batch();
    if let Some(host) = &domain.host
        && Domain::of(doc).host.is_none()
    {
        claim_host(&mut batch, &doc.sid, host);
    }
    rest::revise(&mut batch, KIND, "", doc, &domain.fields(), ctx.now);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(())
}

fn claim_host(batch: &mut store::AccountBatch, domain: &str, host: &str) {
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![domain.into(), HOST_CLAIM.into(), host.into()],
    );
}

/// A host of short links in its normal form; `None` when it is no DNS name.
pub(crate) fn host(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let name = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
    let url = url::Url::parse(&format!("https://{name}/")).ok()?;
    let host = url.domain().filter(|host| host.contains('.') && host.len() <= 253)?;
    (host.eq_ignore_ascii_case(name)).then(|| host.to_ascii_lowercase())
}

impl Messaging {
    /// Adds a domain for short links; `Err(why)` for a name that is none.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the host has a domain already.
    pub async fn add_link_domain(
        &self,
        account: Sid,
        name: &str,
    ) -> Result<Result<(Sid, String), String>, StoreError> {
        let Some(host) = host(name) else {
            return Ok(Err(format!("'{name}' is no host name, as go.example.com")));
        };
        let store = self.parts.store.account(account);
        let sid = self.parts.clock.sid("DN");
        let domain = Domain { host: Some(host.clone()), ..Domain::default() };
        let mut batch = store.batch();
        claim_host(&mut batch, &sid.to_string(), &host);
        let now = self.parts.clock.now();
        rest::insert(&mut batch, KIND, "", &sid.to_string(), &domain.fields(), now);
        batch.event("link-domain.created", &sid.to_string(), now, "{}".into());
        store.commit(batch).await?;
        Ok(Ok((sid, host)))
    }
}

impl Messaging {
    /// The domains of an account with their hosts, newest first; at most a thousand.
    pub async fn link_domains(
        &self,
        account: Sid,
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2
                   AND parent = '' ORDER BY sid DESC LIMIT 1000";
        let rows = self.parts.store.account(account).query(sql, vec![KIND.into()]).await?;
        let read = |row: &store::Row| {
            let domain = serde_json::from_str::<Domain>(row.text(1)).unwrap_or_default();
            (row.text(0).to_owned(), domain.host)
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Forgets a domain with its certificate, its configuration and what is associated with it; its
    /// links lead nowhere any more. False when the account has no such domain.
    pub async fn remove_link_domain(&self, account: Sid, domain: Sid) -> Result<bool, StoreError> {
        let store = self.parts.store.account(account);
        let mut batch = store.batch();
        batch.must(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
             AND sid = $3",
            vec![KIND.into(), domain.into()],
        );
        batch.run("DELETE FROM claim WHERE account_sid = $1 AND sid = $2", vec![domain.into()]);
        batch.run(
            "DELETE FROM link WHERE account_sid = $1 AND domain_sid = $2",
            vec![domain.into()],
        );
        let now = self.parts.clock.now();
        batch.event("link-domain.deleted", &domain.to_string(), now, "{}".into());
        match store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_dns_names() {
        for (text, expected) in [
            ("go.example.com", Some("go.example.com")),
            ("https://Go.Example.com/", Some("go.example.com")),
            ("localhost", None),
            ("10.0.0.1", None),
            ("go.example.com/path", None),
            ("go.example.com:8443", None),
            ("user@go.example.com", None),
            ("", None),
        ] {
            assert_eq!(host(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_domain_needs_a_certificate_that_lasts() {
        let now = Timestamp::from_seconds(1_000);
        let with = |expires: Option<i64>| Domain {
            certificate: Some(Certificate {
                sid: "CW".into(),
                expires: expires.map(Timestamp::from_seconds),
                created: now,
                updated: now,
            }),
            ..Domain::default()
        };
        for (domain, fault) in [
            (Domain::default(), Some(30107)),
            (with(None), None),
            (with(Some(1_001)), None),
            (with(Some(1_000)), Some(30102)),
        ] {
            assert_eq!(domain.fault(now), fault);
            let doc = Doc {
                sid: "DN".into(),
                fields: domain.fields(),
                date_created: now,
                date_updated: now,
                version: 1,
            };
            assert_eq!(Domain::of(&doc), domain);
        }
    }
}

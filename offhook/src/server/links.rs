//! Short links: who follows one is led on, at a domain of an account or below `/l` of this address.

use std::net::IpAddr;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contracts::Unavailable;
use kernel::{ApiError, Sid};
use messaging::{Landing, PROBE_PATH, Visit};
use serde::Deserialize;
use serde_json::{Value, json};
use store::StoreError;

use super::Platform;
use super::api::{App, Refusal, bad, read};

/// The answer of a domain of short links; `None` when the host is none.
pub(super) async fn at_domain<B>(
    platform: &Platform,
    host: &str,
    request: &Request<B>,
) -> Option<Response> {
    let is_own = |own: &str| own == host || own.split(':').next() == Some(host);
    let own = platform.url.split_once("://").map_or("", |(_, rest)| rest);
    if !host.contains('.') || host.parse::<IpAddr>().is_ok() || is_own(own) {
        return None;
    }
    let (account, domain) = match owner_of_host(platform, host).await {
        Ok(owner) => owner?,
        Err(error) => return Some(unavailable(&error)),
    };
    let path = request.uri().path();
    if path == PROBE_PATH {
        return Some(domain.into_response());
    }
    let code = path.trim_matches('/');
    Some(lead(platform, account, Some(&domain), code, request.method(), request.headers()).await)
}

/// `/l/{code}` of this address, for links without a domain of their own.
pub(super) async fn here(
    State(app): State<App>,
    Path(code): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match owner_of_link(&app, &code).await {
        Ok(Some(account)) => lead(&app, account, None, &code, &method, &headers).await,
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn lead(
    platform: &Platform,
    account: Sid,
    domain: Option<&str>,
    code: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let user_agent = agent.unwrap_or_default();
    let visit = Visit { account, domain, code, user_agent, is_click: method == Method::GET };
    match platform.messaging.follow(visit).await {
        Ok(Landing::At(url)) => Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, url)
            .header(header::CACHE_CONTROL, "no-store")
            .body(Body::empty())
            .unwrap_or_else(|_| StatusCode::NOT_FOUND.into_response()),
        Ok(Landing::Nowhere) => StatusCode::NOT_FOUND.into_response(),
        Err(Unavailable(why)) => {
            tracing::error!(%why, "a short link cannot be looked up");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

fn unavailable(error: &StoreError) -> Response {
    tracing::error!(%error, "a short link cannot be looked up");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// Who follows a link names no account: the directory from a host to its domain.
async fn owner_of_host(
    platform: &Platform,
    host: &str,
) -> Result<Option<(Sid, String)>, StoreError> {
    let sql = "SELECT account_sid, sid FROM claim WHERE name = 'link-domain' AND value = $1";
    let row = platform.store.point(sql, vec![host.into()]).await?;
    Ok(row.and_then(|row| Some((row.text(0).parse().ok()?, row.text(1).to_owned()))))
}

/// The directory from a code to its account.
async fn owner_of_link(platform: &Platform, code: &str) -> Result<Option<Sid>, StoreError> {
    let sql = "SELECT account_sid FROM link WHERE code = $1";
    let row = platform.store.point(sql, vec![code.into()]).await?;
    Ok(row.and_then(|row| row.text(0).parse().ok()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// The main account unless another is named.
    account_sid: Option<Sid>,
}

pub(super) async fn domains(
    State(app): State<App>,
    Query(whose): Query<Whose>,
) -> Result<Json<Value>, Refusal> {
    let account = app.account_or_main(whose.account_sid).await?;
    let all = app.messaging.link_domains(account).await?;
    let all = all.iter().map(|(sid, host)| json!({"domain_sid": sid, "domain_name": host}));
    Ok(Json(json!({"account_sid": account, "link_domains": all.collect::<Vec<_>>()})))
}

pub(super) async fn remove_domain(
    State(app): State<App>,
    Path(domain): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<StatusCode, Refusal> {
    let account = app.account_or_main(whose.account_sid).await?;
    let sid = domain.parse::<Sid>().ok().filter(|sid| sid.prefix() == "DN");
    let is_removed = match sid {
        Some(sid) => app.messaging.remove_link_domain(account, sid).await?,
        None => false,
    };
    match is_removed {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let why = format!("The account {account} has no link domain {domain}");
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDomain {
    domain_name: String,
    /// The main account unless another is named.
    account_sid: Option<Sid>,
}

/// `POST /_offhook/v1/link-domains`: what Twilio's Console does.
pub(super) async fn add_domain(
    State(app): State<App>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let wanted: NewDomain = read(&body)?;
    let account = app.account_or_main(wanted.account_sid).await?;
    match app.messaging.add_link_domain(account, &wanted.domain_name).await {
        Ok(Ok((sid, host))) => Ok((
            StatusCode::CREATED,
            Json(json!({"domain_sid": sid, "account_sid": account, "domain_name": host})),
        )),
        Ok(Err(why)) => Err(bad(format!("domain_name: {why}"))),
        Err(StoreError::Duplicate(_)) => {
            let why = format!("{} is a link domain already", wanted.domain_name);
            Err(Refusal(ApiError::new(20409, why)))
        }
        Err(error) => Err(error.into()),
    }
}

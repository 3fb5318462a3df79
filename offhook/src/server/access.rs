//! Who may use our own API, and what of it.
//!
//! On a loopback listener nobody signs in, but only requests that name a local host and come from no
//! foreign page act (no DNS rebinding, no cross-site POST). On any other listener a program gives the
//! main account's SID and auth token, and a person signs in as a user, whose role decides.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use kernel::ApiError;
use rest::Gate;
use serde_json::Value;
use users::{Need, Role};

use super::Platform;
use super::api::{App, Refusal};
use super::redact;

/// The cookie that holds a session's token.
pub const COOKIE: &str = "offhook_session";

/// What each route needs, to read and to act: the first whose path begins so. What is not listed is
/// the owners'.
const NEEDS: &[(&str, Need, Need)] = &[
    ("/session", Need::Nothing, Need::Nothing),
    ("/env", Need::Nothing, Need::Users),
    ("/clock", Need::Nothing, Need::Change),
    ("/errors/", Need::Nothing, Need::Users),
    // Reads a document that the request holds.
    ("/twiml", Need::Nothing, Need::Nothing),
    ("/delivery-rates", Need::Usage, Need::Users),
    ("/events", Need::Read, Need::Replay),
    ("/handsets", Need::Read, Need::Change),
    ("/mailboxes", Need::Read, Need::Change),
    ("/opt-outs", Need::Read, Need::Users),
    ("/sandbox", Need::Read, Need::Users),
    ("/networks", Need::Read, Need::Users),
    ("/quiet-hours", Need::Read, Need::Change),
    ("/short-codes", Need::Read, Need::Change),
    ("/link-domains", Need::Read, Need::Change),
    ("/dead-jobs", Need::Read, Need::Replay),
    ("/wire/{product}/", Need::Read, Need::Change),
    ("/users", Need::Users, Need::Users),
];

/// Of the wire API, what those may read who see usage alone.
const USAGE: &[(&str, &str)] = &[("api", "/Usage/Records"), ("pricing", "")];

/// Whoever asks, as it was found out.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub role: Role,
    /// A user and the session's token; none on loopback, and of the main account.
    pub session: Option<(String, String)>,
}

impl Visitor {
    /// Everything, as on loopback.
    const OWNER: Self = Self { role: Role::Owner, session: None };

    /// Leaves out of an answer what the role does not see.
    pub fn shown(&self, mut value: Value) -> Value {
        if !self.role.may(Need::Change) {
            redact::hide_secrets(&mut value);
        }
        if !self.role.sees_bodies() {
            redact::hide_bodies(&mut value);
        }
        value
    }
}

fn forbidden(why: impl Into<String>) -> ApiError {
    ApiError::new(20403, why)
}

/// Lets pass who may, and leaves out of the answer what the role does not see.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let visitor = match visitor(&app, request.headers(), request.method()).await {
        Ok(visitor) => visitor,
        Err(error) => return Refusal(error).into_response(),
    };
    let need = need(&request);
    if !visitor.role.may(need) {
        let why = format!("The role {} may not do this", visitor.role);
        return Refusal(forbidden(why)).into_response();
    }
    request.extensions_mut().insert(visitor.clone());
    shown(&visitor, next.run(request).await).await
}

fn need(request: &Request) -> Need {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let found = need_of(path.strip_prefix("/_offhook/v1").unwrap_or(path), is_read);
    if found == Need::Read && is_usage(request.uri().path()) { Need::Usage } else { found }
}

fn need_of(path: &str, is_read: bool) -> Need {
    if path == "/metrics" && is_read {
        return Need::Read;
    }
    let found = NEEDS.iter().find(|(start, ..)| path.starts_with(start));
    found.map_or(Need::Users, |(_, read, act)| if is_read { *read } else { *act })
}

/// Usage and prices of the wire API, whosever account it is.
fn is_usage(path: &str) -> bool {
    let Some(path) = path.strip_prefix("/_offhook/v1/wire/") else { return false };
    let Some((product, path)) = path.split_once('/') else { return false };
    // Nothing that a path may be written as otherwise.
    let is_plain = !path.contains('%') && !path.contains("..");
    USAGE.iter().any(|(name, part)| *name == product && path.contains(part)) && is_plain
}

/// Who it is.
///
/// # Errors
/// 20003 / 401 when nobody is known by what the request has; 20403 / 403 when it must not act.
async fn visitor(
    app: &Platform,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Visitor, ApiError> {
    if app.is_loopback {
        check_local(headers)?;
        return Ok(Visitor::OWNER);
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return main_account(app, headers).await;
    }
    let token = cookie(headers).ok_or_else(|| ApiError::new(20003, "Sign in"))?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        check_origin(&app.url, headers)?;
    }
    let session = app.users.session(token).await.map_err(|_| ApiError::new(20503, "Try again"))?;
    let session = session.ok_or_else(|| ApiError::new(20003, "The session is over: sign in"))?;
    Ok(Visitor { role: session.role, session: Some((session.user, token.to_owned())) })
}

async fn main_account(app: &Platform, headers: &HeaderMap) -> Result<Visitor, ApiError> {
    let login = rest::Login::from_headers(headers)?;
    let principal = app.accounts.authenticate(login, None).await?;
    let main = app.accounts.main_account().await.map_err(|_| ApiError::new(20503, "Try again"))?;
    match (principal.account == main.sid, principal.credential) {
        (true, rest::Credential::Token | rest::Credential::MainKey) => Ok(Visitor::OWNER),
        _ => Err(forbidden("Use the main account's SID and auth token")),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn check_local(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = text(headers, header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]" | "offhook.localhost") {
        let why = format!("Host '{host}' is not a local name; use 127.0.0.1 or localhost");
        return Err(forbidden(why));
    }
    match text(headers, header::ORIGIN) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Err(forbidden(format!("Pages of {origin} may not use this API")))
        }
        _ => Ok(()),
    }
}

/// A change comes from our own page: its origin is the host that was asked, or the public URL.
pub fn check_origin(url: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = text(headers, header::HOST).unwrap_or_default();
    let origin = text(headers, header::ORIGIN).unwrap_or_default();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let is_own =
        !authority.is_empty() && (authority == host || origin == url.trim_end_matches('/'));
    match is_own {
        true => Ok(()),
        false => Err(forbidden("Only this instance's own page may do this")),
    }
}

/// The session's token that a browser sends.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).map(str::trim);
    pairs.find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether a session is still what it was.
pub async fn goes_on(app: &Platform, visitor: &Visitor) -> bool {
    let Some((_, token)) = &visitor.session else { return true };
    match app.users.session(token).await {
        Ok(found) => found.is_some_and(|found| found.role == visitor.role),
        // The store is away: the next look tells.
        Err(_) => true,
    }
}

/// The answer as the role sees it. Whoever does not see bodies gets nothing but what was looked at.
async fn shown(visitor: &Visitor, response: Response) -> Response {
    let status = response.status();
    let is_empty = status == StatusCode::NO_CONTENT;
    if visitor.role.may(Need::Change) || is_empty || !status.is_success() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    if kind.starts_with("application/json") {
        let (mut parts, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            return Refusal(ApiError::new(20500, "The answer broke off")).into_response();
        };
        let value = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::from(visitor.shown(value).to_string()));
    }
    // Streams of events are looked at event by event; pages of errors are ours.
    let is_looked_at = kind.starts_with("text/event-stream") || kind.starts_with("text/markdown");
    match visitor.role.sees_bodies() || is_looked_at {
        true => response,
        false => Refusal(forbidden(format!("The role {} does not see this", visitor.role)))
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_need_what_they_do() {
        for (path, read, act) in [
            ("/events/{seq}/replay", Need::Read, Need::Replay),
            ("/handsets/{number}/messages", Need::Read, Need::Change),
            ("/dead-jobs/{id}/replay", Need::Read, Need::Replay),
            ("/wire/{product}/{*path}", Need::Read, Need::Change),
            ("/users/{name}", Need::Users, Need::Users),
            ("/metrics", Need::Read, Need::Users),
            ("/something/new", Need::Users, Need::Users),
            ("", Need::Users, Need::Users),
        ] {
            assert_eq!((need_of(path, true), need_of(path, false)), (read, act), "{path}");
        }
    }

    #[test]
    fn usage_is_usage_however_it_is_asked_for() {
        let at = |path: &str| is_usage(&format!("/_offhook/v1/wire/{path}"));
        assert!(at("api/2010-04-01/Accounts/AC1/Usage/Records/ThisMonth.json"));
        assert!(at("pricing/v1/Messaging/Countries"));
        for path in [
            "api/2010-04-01/Accounts/AC1/Messages.json",
            "api/2010-04-01/Accounts/AC1/Usage/Records/../../Messages.json",
            "api/2010-04-01/Accounts/AC1/Usage/Records%2f..%2f..%2fMessages.json",
            "api/2010-04-01/Accounts/AC1/Messages.json%3f/Usage/Records.json",
            "verify/Usage/Records",
        ] {
            assert!(!at(path), "{path}");
        }
    }

    #[test]
    fn the_page_is_known_by_its_origin() {
        let check = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            check_origin("https://sms.example", &headers).is_ok()
        };
        assert!(check("sms.example", "https://sms.example"));
        assert!(check("10.0.0.1:4010", "https://sms.example"));
        assert!(check("10.0.0.1:4010", "http://10.0.0.1:4010"));
        assert!(!check("10.0.0.1:4010", "http://evil.example"));
        assert!(!check("10.0.0.1:4010", "null"));
        assert!(!check("", ""));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            "a=b; offhook_session=abc; offhook_session2=x".parse().unwrap(),
        );
        assert_eq!(cookie(&headers), Some("abc"));
        headers.insert(header::COOKIE, "offhook_session2=x".parse().unwrap());
        assert_eq!(cookie(&headers), None);
    }
}

//! Which product a request is for, and its answer. The port itself is `foundation/door`.
//!
//! Bounds: a body of 8 MiB (a mail: 42 MiB) within 30 s, 60 s for an answer.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use door::{Client, Seen, Watch};
use http::header::{CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as IncomingBody;
use hyper::service::Service as HyperService;
use intercept::is_intercepted;
use kernel::ApiError;
use rest::{Incoming, Router};
use serde_json::json;
use telemetry::trace::{self, Kind, Span};
use tower_service::Service;

use super::{Platform, api, links, redact};

const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of a mail with its attachments, which are base64.
const MAIL_BYTES_MAX: usize = 42 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(30);
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// In the answer to a request for a host or product that this version does not serve.
const UNSUPPORTED: HeaderName = HeaderName::from_static("offhook-unsupported");

/// The platform as the service of a door.
#[derive(Clone)]
pub struct Front {
    platform: Arc<Platform>,
    own: axum::Router,
}

impl Front {
    pub fn new(platform: Arc<Platform>) -> Self {
        let own = api::router(platform.clone());
        Self { platform, own }
    }
}

impl HyperService<Request<IncomingBody>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<IncomingBody>) -> Self::Future {
        let Self { platform, own } = self.clone();
        Box::pin(async move { Ok(answer(&platform, own, request).await) })
    }
}

/// Counts connections.
pub struct Counted(pub Arc<Platform>);

impl Watch for Counted {
    fn saw(&self, seen: Seen<'_>) {
        match seen {
            Seen::Opened => self.0.metrics.connection_opened(),
            Seen::Closed => self.0.metrics.connection_closed(),
            Seen::TlsFailed { client, fault } => {
                let host = client.host.as_deref().unwrap_or_default();
                // A public port is knocked at all day.
                tracing::debug!(host, ?fault, "a TLS handshake failed");
            }
            Seen::Answered { .. } | Seen::Passed { .. } | Seen::Refused { .. } => {}
        }
    }
}

/// Where a request goes.
enum Target {
    /// A product's REST API: product, region labels, base URL, path behind the prefix.
    Product { product: String, region: Option<String>, base: String, path: String },
    /// SendGrid's API: base URL.
    Mail { base: String, path: String },
    /// An intercepted host behind which there is no product of ours.
    Unsupported(String),
    /// Our own pages and API, and the short links of accounts; the host that was asked.
    Own(String),
}

/// First label of the host, or the `/_/{product}` prefix, or the 2010 path of a
/// client that was only given a base URL.
fn target(request: &Request<impl Sized>) -> Target {
    let uri = request.uri();
    let named = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/1.0 needs no Host: then the connection knows.
    let connected = || request.extensions().get::<Client>()?.host.as_deref();
    let host = uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(named).or_else(connected).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let path = uri.path();
    if let Some(labels) = name.strip_suffix(".twilio.com") {
        let mut labels = labels.split('.');
        let product = labels.next().unwrap_or_default().to_owned();
        let region = labels.next_back().map(str::to_owned);
        let base = format!("https://{name}");
        // Where browser phones signal, tell how they are, and get their sounds.
        if matches!(product.as_str(), "voice-js" | "eventgw" | "sdk") {
            return Target::Own(name);
        }
        // The mail API under Twilio's credentials.
        if product == "email" && path.starts_with("/v3/") {
            return Target::Mail { base, path: path.to_owned() };
        }
        return Target::Product { product, region, base, path: path.to_owned() };
    }
    if matches!(name.as_str(), "api.sendgrid.com" | "api.eu.sendgrid.com") {
        return Target::Mail { base: format!("https://{name}"), path: path.to_owned() };
    }
    if is_intercepted(&name) {
        return Target::Unsupported(name);
    }
    if let Some(rest) = path.strip_prefix("/_/") {
        let (product, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base = format!("http://{host}/_/{product}");
        if product == "sendgrid" {
            return Target::Mail { base, path: format!("/{path}") };
        }
        return Target::Product {
            product: product.to_owned(),
            region: None,
            base,
            path: format!("/{path}"),
        };
    }
    if path.starts_with("/2010-04-01") {
        let base = format!("http://{host}");
        return Target::Product {
            product: "api".into(),
            region: None,
            base,
            path: path.to_owned(),
        };
    }
    if path.starts_with("/v3/") {
        return Target::Mail { base: format!("http://{host}"), path: path.to_owned() };
    }
    Target::Own(name)
}

/// A clear refusal for what is not served (yet).
fn unsupported(what: &str, path: &str) -> Response<Bytes> {
    let why = format!(
        "{what}{path} is not supported by this version of Offhook; \
         /_offhook/openapi.json lists what is"
    );
    let mut response = Router::refuse(&ApiError::new(20404, why));
    if let Ok(what) = HeaderValue::from_str(what) {
        response.headers_mut().insert(UNSUPPORTED, what);
    }
    response
}

async fn answer(
    platform: &Platform,
    mut own: axum::Router,
    request: Request<IncomingBody>,
) -> Response<Body> {
    match target(&request) {
        Target::Unsupported(host) => unsupported(&host, request.uri().path()).map(Body::from),
        Target::Own(host) => {
            if let Some(led) = links::at_domain(platform, &host, &request).await {
                return led;
            }
            match own.call(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Target::Mail { base, path } => {
            let (started, method) = (Instant::now(), request.method().clone());
            let span = asked(&request);
            let answered = span.run(mail_answer(platform, request, base, path));
            let response = match tokio::time::timeout(ANSWER_TIME, answered).await {
                Ok(response) => response,
                Err(_) => Router::refuse(&ApiError::new(20504, "The request took too long")),
            };
            let status = response.status().as_u16();
            answered_with(&span, status);
            platform.metrics.answered("sendgrid", method.as_str(), status, started.elapsed());
            response.map(Body::from)
        }
        Target::Product { product, region, base, path } => {
            let started = Instant::now();
            let method = request.method().clone();
            let span = asked(&request);
            let answered = product_answer(platform, request, &product, region, base, path);
            let answered = span.run(answered);
            let response = match tokio::time::timeout(ANSWER_TIME, answered).await {
                Ok(response) => response,
                Err(_) => Router::refuse(&ApiError::new(20504, "The request took too long")),
            };
            let status = response.status().as_u16();
            answered_with(&span, status);
            // An unknown product is not a label: labels must stay few.
            let label = if platform.router.has_product(&product) { &product } else { "unknown" };
            platform.metrics.answered(label, method.as_str(), status, started.elapsed());
            response.map(Body::from)
        }
    }
}

/// The span of an API request, below what the client says it is part of.
fn asked(request: &Request<IncomingBody>) -> Span {
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let span = trace::root("request", Kind::Server, traceparent);
    span.say("http.request.method", request.method());
    span
}

fn answered_with(span: &Span, status: u16) {
    span.say("http.response.status_code", status);
    if status >= 500 {
        span.fail(status);
    }
}

/// A request to SendGrid's API.
async fn mail_answer(
    platform: &Platform,
    request: Request<IncomingBody>,
    base: String,
    path: String,
) -> Response<Bytes> {
    let peer = request.extensions().get::<Client>().map(|client| client.peer.ip());
    let (parts, body) = request.into_parts();
    let body = match collect(body, MAIL_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return email::refuse(error.status, &error.message),
    };
    let incoming = Incoming {
        method: parts.method,
        product: "sendgrid".to_owned(),
        region: None,
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        base,
        peer,
    };
    platform.email.handle(incoming).await
}

async fn product_answer(
    platform: &Platform,
    request: Request<IncomingBody>,
    product: &str,
    region: Option<String>,
    base: String,
    path: String,
) -> Response<Bytes> {
    if !platform.router.has_product(product) {
        return unsupported(&format!("{product}.twilio.com"), &path);
    }
    let peer = request.extensions().get::<Client>().map(|client| client.peer.ip());
    let (parts, body) = request.into_parts();
    let body = match collect(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return Router::refuse(&error),
    };
    let incoming = Incoming {
        method: parts.method,
        product: product.to_owned(),
        region,
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        base,
        peer,
    };
    match &platform.wire_log {
        None => platform.router.handle(incoming).await,
        Some(log) => {
            let seen = incoming.clone();
            let response = platform.router.handle(incoming).await;
            log.write(&seen, &response);
            response
        }
    }
}

/// The whole body, within its bounds.
///
/// # Errors
/// 20413 / 413 beyond `bytes_max`; 20001 / 400 when it breaks off or takes too long.
async fn collect(body: IncomingBody, bytes_max: usize) -> Result<Bytes, ApiError> {
    let limited = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(BODY_TIME, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("The request body is larger than {bytes_max} bytes");
            Err(ApiError::new(20413, why))
        }
        Ok(Err(_)) => Err(ApiError::new(20001, "The request body broke off")),
        Err(_) => Err(ApiError::new(20001, "The request body took too long").with_status(408)),
    }
}

/// Every API request and its answer, one JSON object per line, without credentials.
pub struct WireLog(Mutex<File>);

impl WireLog {
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    fn write(&self, request: &Incoming, response: &Response<Bytes>) {
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let mut line = json!({
            "product": request.product,
            "method": request.method.as_str(),
            "path": request.path,
            "query": request.query,
            "status": response.status().as_u16(),
            "content_type": content_type,
            "body": without_secrets(&String::from_utf8_lossy(response.body())),
        })
        .to_string();
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the wire log cannot be written");
        }
    }
}

fn without_secrets(body: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(body) else {
        return body.to_owned();
    };
    redact::hide_secrets(&mut json);
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, uri: &str) -> String {
        let request = Request::builder().uri(uri).header(HOST, host).body(()).unwrap();
        match target(&request) {
            Target::Own(_) => "own".into(),
            Target::Unsupported(host) => format!("unsupported {host}"),
            Target::Mail { base, path } => format!("mail {base} {path}"),
            Target::Product { product, region, base, path } => {
                format!("{product} {} {base} {path}", region.unwrap_or_default())
            }
        }
    }

    #[test]
    fn hosts_prefixes_and_paths_find_their_product() {
        for (host, uri, target) in [
            ("api.twilio.com", "/2010-04-01/x", "api  https://api.twilio.com /2010-04-01/x"),
            (
                "verify.dublin.ie1.twilio.com:443",
                "/v2/Services",
                "verify ie1 https://verify.dublin.ie1.twilio.com /v2/Services",
            ),
            ("api.ie1.twilio.com", "/x", "api ie1 https://api.ie1.twilio.com /x"),
            (
                "127.0.0.1:4010",
                "/_/verify/v2/Services",
                "verify  http://127.0.0.1:4010/_/verify /v2/Services",
            ),
            (
                "localhost:4010",
                "/2010-04-01/A.json",
                "api  http://localhost:4010 /2010-04-01/A.json",
            ),
            ("localhost:4010", "/_offhook/v1/env", "own"),
            ("localhost:4010", "/", "own"),
            ("api.sendgrid.com", "/v3/mail/send", "mail https://api.sendgrid.com /v3/mail/send"),
            ("email.twilio.com", "/v3/mail/send", "mail https://email.twilio.com /v3/mail/send"),
            ("localhost:4010", "/v3/scopes", "mail http://localhost:4010 /v3/scopes"),
            ("localhost:4010", "/_/sendgrid/v3/a", "mail http://localhost:4010/_/sendgrid /v3/a"),
            ("api.segment.io", "/v1/track", "unsupported api.segment.io"),
            ("x", "https://api.twilio.com/y", "api  https://api.twilio.com /y"),
        ] {
            assert_eq!(at(host, uri), target, "{host}{uri}");
        }
    }

    #[test]
    fn the_wire_log_keeps_no_secret() {
        let body = r#"{"accounts":[{"auth_token":"abcd","sid":"AC1"}]}"#;
        assert_eq!(without_secrets(body), r#"{"accounts":[{"auth_token":"****","sid":"AC1"}]}"#);
    }
}

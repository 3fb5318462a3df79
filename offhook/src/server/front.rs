//! The front door: one port for every product host, our own API and the console.
//!
//! Bounds: 10,000 connections, 64 KiB of headers within 15 s, a body of 8 MiB
//! within 30 s, 60 s for an answer. Beyond the connections the door waits.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as IncomingBody;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use kernel::ApiError;
use rest::{Incoming, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_service::Service;

use super::{Platform, api};

const CONNECTIONS_MAX: usize = 10_000;
const HEADER_BYTES_MAX: usize = 64 * 1024;
const HEADER_TIME: Duration = Duration::from_secs(15);
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(30);
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// How long open connections may finish when the instance stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `stop` turns true, then drains.
pub async fn serve(
    listener: TcpListener,
    platform: Arc<Platform>,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES_MAX as u32);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let own = api::router(platform.clone());
    let counted = platform.clone();
    loop {
        let permit = room.clone().acquire_owned().await.expect("the room is never closed");
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stop.changed() => break,
        };
        // Answers are small and complete: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let (platform, own) = (platform.clone(), own.clone());
        let service = hyper::service::service_fn(move |request| {
            let (platform, own) = (platform.clone(), own.clone());
            async move { Ok::<_, std::convert::Infallible>(answer(&platform, own, request).await) }
        });
        let connection =
            builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        let counted = counted.clone();
        tokio::spawn(async move {
            counted.metrics.connection_opened();
            // A client that breaks off is its own affair.
            let _ = connection.await;
            counted.metrics.connection_closed();
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after the drain time");
    }
}

/// Where a request goes.
enum Target {
    /// A product's REST API: product, region labels, base URL, path behind the prefix.
    Product { product: String, region: Option<String>, base: String, path: String },
    /// Our own pages and API.
    Own,
}

/// First label of the host, or the `/_/{product}` prefix, or the 2010 path of a
/// client that was only given a base URL.
fn target(headers: &HeaderMap, uri: &http::Uri) -> Target {
    let host = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()))
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let path = uri.path();
    if let Some(labels) = name.strip_suffix(".twilio.com") {
        let mut labels = labels.split('.');
        let product = labels.next().unwrap_or_default().to_owned();
        let region = labels.next_back().map(str::to_owned);
        let base = format!("https://{name}");
        return Target::Product { product, region, base, path: path.to_owned() };
    }
    if let Some(rest) = path.strip_prefix("/_/") {
        let (product, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base = format!("http://{host}/_/{product}");
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
    Target::Own
}

async fn answer(
    platform: &Platform,
    mut own: axum::Router,
    request: Request<IncomingBody>,
) -> Response<Body> {
    match target(request.headers(), request.uri()) {
        Target::Own => match own.call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Target::Product { product, region, base, path } => {
            let started = Instant::now();
            let method = request.method().clone();
            let answered = product_answer(platform, request, &product, region, base, path);
            let response = match tokio::time::timeout(ANSWER_TIME, answered).await {
                Ok(response) => response,
                Err(_) => Router::refuse(&ApiError::new(20504, "The request took too long")),
            };
            let status = response.status().as_u16();
            // An unknown product is not a label: labels must stay few.
            let label = if platform.router.has_product(&product) { &product } else { "unknown" };
            platform.metrics.answered(label, method.as_str(), status, started.elapsed());
            response.map(Body::from)
        }
    }
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
        let why = format!(
            "{product}.twilio.com{path} is not supported by this version of Offhook; \
             /_offhook/openapi.json lists what is"
        );
        return Router::refuse(&ApiError::new(20404, why));
    }
    let (parts, body) = request.into_parts();
    let body = match collect(body).await {
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
/// 20413 / 413 beyond 8 MiB; 20001 / 400 when it breaks off or takes too long.
async fn collect(body: IncomingBody) -> Result<Bytes, ApiError> {
    let limited = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIME, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("The request body is larger than {BODY_BYTES_MAX} bytes");
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
            "body": redact(&String::from_utf8_lossy(response.body())),
        })
        .to_string();
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the wire log cannot be written");
        }
    }
}

/// Secrets in answers become as many stars, so that their type can still be checked.
fn redact(body: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(body) else {
        return body.to_owned();
    };
    fn walk(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                for (name, value) in map {
                    let secret = [
                        "auth_token",
                        "secondary_auth_token",
                        "secret",
                        "access_token",
                        "refresh_token",
                        "id_token",
                    ];
                    match value {
                        serde_json::Value::String(text) if secret.contains(&name.as_str()) => {
                            *text = "*".repeat(text.len());
                        }
                        other => walk(other),
                    }
                }
            }
            serde_json::Value::Array(list) => list.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut json);
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, uri: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        match target(&headers, &uri.parse().unwrap()) {
            Target::Own => "own".into(),
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
        ] {
            assert_eq!(at(host, uri), target, "{host}{uri}");
        }
    }

    #[test]
    fn the_wire_log_keeps_no_secret() {
        let body = r#"{"accounts":[{"auth_token":"abcd","sid":"AC1"}]}"#;
        assert_eq!(redact(body), r#"{"accounts":[{"auth_token":"****","sid":"AC1"}]}"#);
    }
}

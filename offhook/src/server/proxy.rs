//! The wire API for the console's page: the main account's, as far as the visitor's role goes.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use kernel::ApiError;
use rest::Incoming;

use super::api::{App, Refusal, bad};

/// Forms alone come this way.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// `/_offhook/v1/wire/{product}/…`: what `/_/{product}/…` is for programs.
pub async fn pass(
    State(app): State<App>,
    Path((product, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    if !app.router.has_product(&product) {
        return Err(Refusal(ApiError::new(20404, format!("There is no product {product}"))));
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| bad("The body is too large, or broke off"))?.to_bytes();
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::IF_MATCH] {
        if let Some(value) = parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let main = app.accounts.main_account().await?;
    let login = STANDARD.encode(format!("{}:{}", main.sid, main.auth_token));
    let login = HeaderValue::try_from(format!("Basic {login}"));
    headers.insert(header::AUTHORIZATION, login.map_err(|error| bad(error.to_string()))?);
    // As it was written: what a path holds is the table's to read.
    let stem = format!("/_offhook/v1/wire/{product}");
    let raw =
        parts.uri.path().strip_prefix(&stem).map_or_else(|| format!("/{path}"), str::to_owned);
    let incoming = Incoming {
        method: parts.method,
        product: product.clone(),
        region: None,
        path: raw,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
        base: format!("{}/_/{product}", app.url),
        peer: None,
    };
    let mut response = app.router.handle(incoming).await.map(Body::from);
    // A browser would ask for a password by itself.
    response.headers_mut().remove(header::WWW_AUTHENTICATE);
    Ok(response)
}

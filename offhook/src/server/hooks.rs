//! Where networks call back: a Twilio account that carries messages, and the WhatsApp Cloud API. They
//! sign what they post; nobody signs in.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use whatsapp::WebhookError;

use super::api::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(twilio::STATUS_PATH, post(twilio_status))
        .route(twilio::INBOUND_PATH, post(twilio_inbound))
        .route(whatsapp::WEBHOOK_PATH, get(whatsapp_verify).post(whatsapp_webhook))
}

/// A callback of the account that carries messages: its parameters and signature.
fn callback(headers: &HeaderMap, body: &Bytes) -> (Vec<(String, String)>, String) {
    let signature = headers.get("x-twilio-signature").and_then(|value| value.to_str().ok());
    let params = form_urlencoded::parse(body).into_owned().collect();
    (params, signature.unwrap_or_default().to_owned())
}

/// An empty document: nothing is answered by TwiML here, replies go by the API.
fn taken(outcome: Result<(), twilio::CallbackError>) -> Response {
    match outcome {
        Ok(()) => ([("content-type", "text/xml")], "<Response/>").into_response(),
        Err(twilio::CallbackError::Forged) => StatusCode::FORBIDDEN.into_response(),
        Err(twilio::CallbackError::Unavailable(why)) => {
            tracing::warn!(%why, "a callback of the account could not be taken");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn twilio_status(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(twilio) = &app.twilio else { return StatusCode::NOT_FOUND.into_response() };
    let (params, signature) = callback(&headers, &body);
    taken(twilio.status(&params, &signature).await)
}

async fn twilio_inbound(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(twilio) = &app.twilio else { return StatusCode::NOT_FOUND.into_response() };
    let (params, signature) = callback(&headers, &body);
    taken(twilio.inbound(&params, &signature).await)
}

#[derive(Deserialize)]
struct Hub {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

async fn whatsapp_verify(State(app): State<App>, Query(hub): Query<Hub>) -> Response {
    let Some(whatsapp) = &app.whatsapp else { return StatusCode::NOT_FOUND.into_response() };
    match whatsapp.verify(&hub.mode, &hub.verify_token, &hub.challenge) {
        Ok(challenge) => challenge.to_owned().into_response(),
        Err(_) => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn whatsapp_webhook(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(whatsapp) = &app.whatsapp else { return StatusCode::NOT_FOUND.into_response() };
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    let taken = whatsapp.webhook(&body, signature.unwrap_or_default()).await;
    match taken {
        Ok(()) => StatusCode::OK,
        Err(WebhookError::Forged) => StatusCode::FORBIDDEN,
        Err(WebhookError::Malformed) => StatusCode::BAD_REQUEST,
        Err(WebhookError::Unavailable(why)) => {
            tracing::warn!(%why, "Meta will have to call again");
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
    .into_response()
}

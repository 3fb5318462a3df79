//! Simulated mailboxes in our own API, and the links that mails hold.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use contracts::{InboundMail, MailSink, Shown, Visit};
use door::Client;
use kernel::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::{MailBehaviour, Mailbox, Reaction};

use super::api::{App, Refusal, bad, read, unavailable};

/// Mails of one read.
const MAILS_MAX: u32 = 1000;
/// Its own styles and pictures, and an origin that is nobody's.
const PAGE_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
    frame-ancestors 'self'";
/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// What readers of mails follow; open to everybody, as the links are.
pub fn links() -> Router<App> {
    Router::new().route("/_offhook/mail/{kind}/{account}/{token}", any(visit))
}

fn address_of(text: &str) -> Result<String, Refusal> {
    match mail::is_address(text) {
        true => Ok(text.to_lowercase()),
        false => Err(bad(format!("'{text}' is not an email address"))),
    }
}

pub(super) async fn mailboxes(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let all = app.mailboxes.mailboxes(1000).await.map_err(unavailable)?;
    Ok(Json(json!({ "mailboxes": all })))
}

pub(super) async fn mailbox(
    State(app): State<App>,
    Path(address): Path<String>,
) -> Result<Json<Mailbox>, Refusal> {
    Ok(Json(app.mailboxes.mailbox(&address_of(&address)?).await.map_err(unavailable)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    behaviour: MailBehaviour,
}

pub(super) async fn set_mailbox(
    State(app): State<App>,
    Path(address): Path<String>,
    body: String,
) -> Result<Json<Mailbox>, Refusal> {
    let Change { behaviour } = read(&body)?;
    let mailbox = Mailbox { address: address_of(&address)?, behaviour };
    app.mailboxes.set_mailbox(&mailbox).await.map_err(unavailable)?;
    Ok(Json(mailbox))
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<u32>,
}

pub(super) async fn mails(
    State(app): State<App>,
    Path(address): Path<String>,
    Query(query): Query<Limit>,
) -> Result<Json<Value>, Refusal> {
    let limit = query.limit.unwrap_or(50).min(MAILS_MAX);
    let all = app.mailboxes.mails(&address_of(&address)?, limit).await.map_err(unavailable)?;
    let all = all.iter().map(|mail| {
        let mut json = json!(mail);
        json["at"] = mail.at.iso8601().into();
        json
    });
    Ok(Json(json!({ "mails": all.collect::<Vec<_>>() })))
}

/// A mail's HTML as a page of nobody's: nothing in it runs, is loaded or leads anywhere.
pub(super) async fn page(
    State(app): State<App>,
    Path((address, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let all = app.mailboxes.mails(&address_of(&address)?, MAILS_MAX).await;
    let found = all.map_err(unavailable)?.into_iter().find(|mail| mail.id == id);
    let why = || Refusal(ApiError::new(20404, format!("{address} has no mail {id} with a page")));
    let html = found.and_then(|mail| mail.html).ok_or_else(why)?;
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Ok((fixed, Html(html)).into_response())
}

pub(super) async fn react(
    State(app): State<App>,
    Path((address, id, reaction)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let known: Reaction = serde_json::from_value(reaction.as_str().into()).map_err(|_| {
        bad(format!("'{reaction}' is none of open, click, unsubscribe, spam and bounce"))
    })?;
    let reacted = app.mailboxes.react(&address_of(&address)?, &id, known).await;
    match reacted.map_err(unavailable)? {
        true => Ok(Json(json!({"id": id, "reaction": reaction}))),
        false => {
            let why = format!("{address} has no mail {id}, or nothing in it to {reaction}");
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    to: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    html: Option<String>,
    /// The whole message instead, as it goes over the wire.
    raw: Option<String>,
}

pub(super) async fn write(
    State(app): State<App>,
    Path(address): Path<String>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let written: Written = read(&body)?;
    let (from, to) = (address_of(&address)?, address_of(&written.to)?);
    let body = |kind: &str, text: &str| mail::Body { content_type: kind.into(), text: text.into() };
    let message = match written.raw {
        Some(raw) => raw.into_bytes(),
        None => {
            let mut bodies = vec![body("text/plain", &written.text)];
            bodies.extend(written.html.as_deref().map(|html| body("text/html", html)));
            let id = app.clock.hex_token(24);
            let headers = [
                ("Date", app.clock.now().rfc2822()),
                ("From", from.clone()),
                ("To", to.clone()),
                ("Subject", written.subject),
                ("Message-ID", format!("<{id}@mailbox.test>")),
            ];
            mail::Message {
                headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
                bodies,
                attachments: Vec::new(),
                boundary: id,
            }
            .bytes()
        }
    };
    let inbound = InboundMail {
        envelope_from: from,
        to: vec![to.clone()],
        message,
        ip: "203.0.113.25".to_owned(),
    };
    match app.mailboxes.write(&inbound).await.map_err(unavailable)? {
        true => Ok((StatusCode::CREATED, Json(json!({"to": to})))),
        false => {
            let why = format!("Nobody takes mail for {to}: set up Inbound Parse for its domain");
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

async fn visit(
    State(app): State<App>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    client: Option<Extension<Client>>,
) -> Response {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let visit = Visit {
        path: uri.path().to_owned(),
        user_agent: agent.unwrap_or_default().chars().take(512).collect(),
        ip: client.map(|client| client.peer.ip().to_string()).unwrap_or_default(),
        is_post: method == Method::POST,
    };
    match app.email.visit(&visit).await {
        Ok(Shown::Pixel) => ([(header::CONTENT_TYPE, "image/gif")], PIXEL).into_response(),
        Ok(Shown::Redirect(url)) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        Ok(Shown::Page { text, button }) => {
            let form = "<form method=\"post\"><button>Unsubscribe</button></form>";
            let form = if button { form } else { "" };
            Html(format!("<!doctype html><title>{text}</title><p>{text}</p>{form}")).into_response()
        }
        Ok(Shown::Nothing) => (StatusCode::NOT_FOUND, "No link of a mail.").into_response(),
        Err(error) => {
            tracing::error!(%error, "a link of a mail could not be followed");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

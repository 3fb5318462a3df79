//! The simulated phones: what they are, what they show, what is typed on them.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine;
use contracts::{AnsweredBy, InboundMedia, InboundMessage, InboundOutcome, Tap};
use kernel::ApiError;
use numbering::Address;
use serde::Deserialize;
use serde_json::{Value, json};
use sim::{Behaviour, Handset, Owner, WhenCalled};

use super::api::{App, Refusal, bad, read, unavailable};
use super::views;

/// Thread entries of one read.
const THREAD_MAX: u32 = 1000;
/// How long a handset may ring before somebody answers.
const RING_MILLIS_MAX: u64 = 600_000;

/// The normal form of a handset's number.
pub(super) fn number_of(text: &str) -> Result<String, Refusal> {
    match Address::parse_to(text) {
        Ok(Address::E164(number)) => Ok(number.to_string()),
        _ => Err(bad(format!("'{text}' is not a phone number: use E.164, +14155550100"))),
    }
}

pub(super) async fn handsets(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let handsets = app.sim.handsets(1000).await.map_err(unavailable)?;
    Ok(Json(json!({ "handsets": handsets })))
}

pub(super) async fn handset(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Handset>, Refusal> {
    Ok(Json(app.sim.handset(&number_of(&number)?).await.map_err(unavailable)?))
}

/// The handset's owner looks at it.
pub(super) async fn look(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let count = app.sim.read(&number_of(&number)?).await.map_err(unavailable)?;
    Ok(Json(json!({ "read": count })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandsetChange {
    name: Option<String>,
    behaviour: Option<Behaviour>,
    when_called: Option<WhenCalled>,
    answers_after_ms: Option<u64>,
    answered_by: Option<AnsweredBy>,
}

pub(super) async fn set_handset(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Handset>, Refusal> {
    let change: HandsetChange = read(&body)?;
    let mut handset = app.sim.handset(&number_of(&number)?).await.map_err(unavailable)?;
    if let Some(name) = change.name {
        handset.name = name.chars().take(64).collect();
    }
    handset.behaviour = change.behaviour.unwrap_or(handset.behaviour);
    handset.when_called = change.when_called.unwrap_or(handset.when_called);
    handset.answers_after_ms =
        change.answers_after_ms.unwrap_or(handset.answers_after_ms).min(RING_MILLIS_MAX);
    handset.answered_by = change.answered_by.unwrap_or(handset.answered_by);
    app.sim.set_handset(&handset).await.map_err(unavailable)?;
    Ok(Json(handset))
}

#[derive(Deserialize)]
pub(super) struct ThreadQuery {
    limit: Option<u32>,
}

pub(super) async fn thread(
    State(app): State<App>,
    Path(number): Path<String>,
    Query(query): Query<ThreadQuery>,
) -> Result<Json<Value>, Refusal> {
    let limit = query.limit.unwrap_or(50).min(THREAD_MAX);
    let mut entries = app.sim.thread(&number_of(&number)?, limit).await.map_err(unavailable)?;
    for entry in entries.iter_mut().filter(|entry| entry.outgoing && !entry.media.is_empty()) {
        views::find_media(&app, entry).await?;
    }
    let lines = entries.iter().map(|entry| {
        json!({
            "sid": entry.sid,
            "direction": if entry.outgoing { "sent" } else { "received" },
            "peer": entry.peer,
            "body": entry.body,
            "media": entry.media,
            "at": entry.at.iso8601(),
            "failed": entry.failed,
            "read": entry.read,
            "rich": entry.rich,
        })
    });
    Ok(Json(json!({ "messages": lines.collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    to: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    media: Vec<TypedMedia>,
    /// The id of a button that was tapped; `body` is its text.
    button: Option<String>,
    /// The id of a row of a list that was chosen; `body` is its text.
    row: Option<String>,
    /// A document that answers in the application's place.
    twiml: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedMedia {
    content_type: String,
    /// Base64.
    data: String,
}

pub(super) async fn send_from(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let typed: Typed = read(&body)?;
    let from = number_of(&number)?;
    if typed.body.is_empty() && typed.media.is_empty() {
        return Err(bad("A 'body' or 'media' is required"));
    }
    if typed.body.contains('\0') {
        return Err(bad("'body' has a NUL character: leave it out"));
    }
    if typed.body.chars().count() > 1600 || typed.media.len() > 10 {
        return Err(bad("At most 1600 characters in 'body' and 10 items in 'media'"));
    }
    if typed.twiml.as_ref().is_some_and(|document| document.len() > twiml::BODY_BYTES_MAX) {
        return Err(bad(format!("'twiml' may have {} octets", twiml::BODY_BYTES_MAX)));
    }
    let mut media = Vec::with_capacity(typed.media.len());
    for item in typed.media {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(&item.data)
            .map_err(|error| bad(format!("'data' of a media is not base64: {error}")))?;
        media.push(InboundMedia { content_type: item.content_type, bytes });
    }
    let tapped = typed.button.map(|id| (id, false)).or(typed.row.map(|id| (id, true)));
    let tap = tapped.map(|(payload, is_row)| Tap { text: typed.body.clone(), payload, is_row });
    let message = InboundMessage {
        to: typed.to.clone(),
        body: typed.body,
        media,
        tap,
        document: typed.twiml,
        ..InboundMessage::default()
    };
    let sent = app.sim.send_from(&from, message).await;
    match sent.map_err(unavailable)? {
        InboundOutcome::Received { account, sid } => Ok((
            StatusCode::CREATED,
            Json(json!({"sid": sid, "account_sid": account, "from": from, "to": typed.to})),
        )),
        InboundOutcome::NoSuchNumber => {
            let why = format!("No account owns {}; buy it or send from it once", typed.to);
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

/// Who the phone belongs to, as Lookup tells it.
pub(super) async fn owner(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Owner>, Refusal> {
    let owner = app.sim.owner(&number_of(&number)?).await.map_err(unavailable)?;
    Ok(Json(owner.unwrap_or_default()))
}

pub(super) async fn set_owner(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Owner>, Refusal> {
    let (number, owner): (_, Owner) = (number_of(&number)?, read(&body)?);
    owner.check().map_err(bad)?;
    app.sim.set_owner(&number, &owner).await.map_err(unavailable)?;
    Ok(Json(owner))
}

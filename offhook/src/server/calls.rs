//! Calls on simulated handsets, in our own API.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use kernel::{ApiError, Sid};
use serde::Deserialize;
use serde_json::{Value, json};
use sim::{HandsetCallError, Leg, NoPage};

use super::api::{App, Refusal, bad, read, unavailable};
use super::handsets::number_of;

/// Calls of one read.
const CALLS_MAX: u32 = 200;
/// Characters of a sentence.
const SENTENCE_CHARS_MAX: usize = 1000;
const KEYS_MAX: usize = 64;
/// Characters of a program's message.
const MESSAGE_CHARS_MAX: usize = 10_000;
/// Octets of a page's offer.
const SDP_BYTES_MAX: usize = 64 * 1024;

impl From<HandsetCallError> for Refusal {
    fn from(error: HandsetCallError) -> Self {
        match error {
            HandsetCallError::NoSuchCall => {
                let why = "The handset is in no call that allows this";
                Self(ApiError::new(20404, why))
            }
            HandsetCallError::NobodyOwns => Self(ApiError::new(
                20404,
                "No account owns the number; buy it or call from it once",
            )),
            HandsetCallError::NoPage(NoPage::TooMany) => {
                let why = "As many pages listen as may: 4 to one call, 64 to all";
                Self(ApiError::new(20429, why))
            }
            HandsetCallError::NoPage(NoPage::NotUnderstood(why)) => {
                bad(format!("'sdp' is no offer of sound: {why}"))
            }
            HandsetCallError::Elsewhere => Self(ApiError::new(
                20409,
                "The sound of the call is on another node of this cluster; ask that node, by its own \
                 address",
            )),
            HandsetCallError::Unavailable(error) => unavailable(error),
        }
    }
}

/// A call as its handset shows it; what was heard is oldest first.
fn shown(leg: &Leg) -> Value {
    let heard = leg.heard.iter().map(|line| {
        json!({
            "at": line.at.iso8601(),
            "sound": line.sound,
            "text": line.text,
            "milliseconds": line.millis,
            "cut": line.cut,
        })
    });
    json!({
        "sid": leg.sid,
        "account_sid": leg.account,
        "direction": if leg.outgoing { "outgoing" } else { "incoming" },
        "peer": leg.peer,
        "status": leg.status,
        "began": leg.began.iso8601(),
        "answered": leg.answered.map(|at| at.iso8601()),
        "ended": leg.ended.map(|at| at.iso8601()),
        "heard": heard.collect::<Vec<_>>(),
    })
}

/// A handset's number; clients have names instead.
fn handset_of(number: String) -> Result<String, Refusal> {
    match number.starts_with("client:") {
        true => Ok(number),
        false => number_of(&number),
    }
}

#[derive(Deserialize)]
pub(super) struct CallsQuery {
    limit: Option<u32>,
}

pub(super) async fn list(
    State(app): State<App>,
    Path(number): Path<String>,
    Query(query): Query<CallsQuery>,
) -> Result<Json<Value>, Refusal> {
    let limit = query.limit.unwrap_or(20).min(CALLS_MAX);
    let handset = handset_of(number)?;
    let calls = app.sim.calls(&handset, limit).await.map_err(unavailable)?;
    Ok(Json(json!({ "calls": calls.iter().map(shown).collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dialled {
    to: Option<String>,
}

pub(super) async fn call(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let dialled: Dialled = read(&body)?;
    let to = match dialled.to {
        Some(to) => number_of(&to)?,
        None => app.env().await?.phone_number,
    };
    let leg = app.sim.call(&number_of(&number)?, &to).await?;
    Ok((StatusCode::CREATED, Json(shown(&leg))))
}

/// The call, if it is one of the handset's.
async fn call_of(app: &App, number: String, call: Sid) -> Result<Sid, Refusal> {
    let handset = handset_of(number)?;
    let calls = app.sim.calls(&handset, CALLS_MAX).await.map_err(unavailable)?;
    let is_its = calls.iter().any(|leg| leg.sid == call);
    is_its.then_some(call).ok_or_else(|| HandsetCallError::NoSuchCall.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offered {
    sdp: String,
}

/// A page listens to the call by WebRTC, and its microphone is what the handset says: the answer to its
/// offer, and the number with which it leaves.
pub(super) async fn listen(
    State(app): State<App>,
    Path((number, call)): Path<(String, Sid)>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Offered { sdp } = read(&body)?;
    if sdp.len() > SDP_BYTES_MAX {
        return Err(bad(format!("'sdp' may have {SDP_BYTES_MAX} octets")));
    }
    let call = call_of(&app, number, call).await?;
    // Half of what is random, so that JavaScript keeps it whole.
    let page = u64::from(app.clock.random() as u32);
    let answer = app.sim.listen(call, page, &sdp).await?;
    Ok((StatusCode::CREATED, Json(json!({ "page": page, "sdp": answer }))))
}

/// The page leaves the call.
pub(super) async fn leave(
    State(app): State<App>,
    Path((number, call, page)): Path<(String, Sid, u64)>,
) -> Result<StatusCode, Refusal> {
    app.sim.leave(call_of(&app, number, call).await?, page);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn answer(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(shown(&app.sim.answer(&number_of(&number)?).await?)))
}

pub(super) async fn reject(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(shown(&app.sim.decline(&number_of(&number)?).await?)))
}

pub(super) async fn hang_up(
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(shown(&app.sim.hang_up(&number_of(&number)?).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pressed {
    digits: String,
}

pub(super) async fn press(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let Pressed { digits } = read(&body)?;
    let fits = digits.chars().all(|key| key.is_ascii_digit() || matches!(key, '*' | '#'));
    if digits.is_empty() || digits.len() > KEYS_MAX || !fits {
        return Err(bad(format!("'digits' must be 1 to {KEYS_MAX} of 0-9, * and #")));
    }
    Ok(Json(shown(&app.sim.press(&number_of(&number)?, &digits).await?)))
}

/// The program on a handset sends a message of its own: any JSON.
pub(super) async fn message(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let content: Value = read(&body)?;
    let content = content.to_string();
    if content.chars().count() > MESSAGE_CHARS_MAX {
        return Err(bad(format!("at most {MESSAGE_CHARS_MAX} characters of JSON")));
    }
    let handset = handset_of(number)?;
    Ok(Json(shown(&app.sim.message(&handset, &content).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    text: String,
}

pub(super) async fn speak(
    State(app): State<App>,
    Path(number): Path<String>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let Spoken { text } = read(&body)?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > SENTENCE_CHARS_MAX || text.contains('\0') {
        let why =
            format!("'text' must have 1 to {SENTENCE_CHARS_MAX} characters, none of them NUL");
        return Err(bad(why));
    }
    Ok(Json(shown(&app.sim.speak(&number_of(&number)?, text).await?)))
}

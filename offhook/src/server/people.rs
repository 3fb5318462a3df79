//! Signing in, and the users of this instance.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use door::Client;
use kernel::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};
use users::{Refused, Role, User};

use super::access::{self, COOKIE, Visitor};
use super::api::{App, Refusal, read};

/// Where a session's cookie goes.
const PLACE: &str = "Path=/_offhook/v1; HttpOnly; SameSite=Strict";
/// Of the cookie alone; the session ends by itself.
const COOKIE_SECONDS: u64 = 7 * 24 * 3600;

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let why = refused.to_string();
        let code = match refused {
            Refused::Unknown => 20003,
            Refused::Wait(_) => 20429,
            Refused::Bad(_) => 20001,
            Refused::NoSuchUser(_) => 20404,
            Refused::Exists(_) | Refused::LastOwner(_) => 20409,
            Refused::Store(error) => return error.into(),
        };
        Self(ApiError::new(code, why))
    }
}

fn session_json(name: Option<&str>, role: Role) -> Json<Value> {
    let is_signed_in = name.is_some();
    Json(json!({"user": name, "role": role, "may": role.needs(), "signed_in": is_signed_in,
        "sees_bodies": role.sees_bodies()}))
}

pub(super) async fn session(Extension(visitor): Extension<Visitor>) -> Json<Value> {
    session_json(visitor.session.as_ref().map(|(user, _)| user.as_str()), visitor.role)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user: String,
    password: String,
}

pub(super) async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    client: Option<Extension<Client>>,
    body: String,
) -> Result<Response, Refusal> {
    if app.is_loopback {
        let why = "Nobody signs in on loopback";
        return Err(Refusal(ApiError::new(20404, why)));
    }
    access::check_origin(&app.url, &headers).map_err(Refusal)?;
    let SignIn { user, password } = read(&body)?;
    let address = client.map(|client| client.peer.ip().to_string()).unwrap_or_default();
    let signed_in = app.users.sign_in(&user, &password, &address).await;
    let (token, session) = match signed_in {
        Err(refused) => {
            let wait = match refused {
                Refused::Wait(seconds) => Some(seconds),
                _ => None,
            };
            let mut response = Refusal::from(refused).into_response();
            if let Some(seconds) = wait {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            return Ok(response);
        }
        Ok(signed_in) => signed_in,
    };
    let mut response = session_json(Some(&session.user), session.role).into_response();
    set_cookie(&app, &mut response, &token, COOKIE_SECONDS);
    Ok(response)
}

fn set_cookie(app: &App, response: &mut Response, token: &str, seconds: u64) {
    let secure = if app.url.starts_with("https://") { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; {PLACE}; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

pub(super) async fn sign_out(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Refusal> {
    if let Some((_, token)) = &visitor.session {
        app.users.sign_out(token).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&app, &mut response, "", 0);
    Ok(response)
}

fn user_json(user: &User) -> Value {
    json!({"name": user.name, "role": user.role, "date_created": user.created.iso8601()})
}

pub(super) async fn users(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let all = app.users.list().await?;
    Ok(Json(json!({ "users": all.iter().map(user_json).collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: String,
    password: String,
}

fn role_of(text: &str) -> Result<Role, Refusal> {
    text.parse().map_err(super::api::bad)
}

pub(super) async fn add(
    State(app): State<App>,
    body: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let NewUser { name, role, password } = read(&body)?;
    let user = app.users.add(&name, role_of(&role)?, &password).await?;
    Ok((StatusCode::CREATED, Json(user_json(&user))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    role: Option<String>,
    password: Option<String>,
}

pub(super) async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let Change { role, password } = read(&body)?;
    let role = role.as_deref().map(role_of).transpose()?;
    if role.is_none() && password.is_none() {
        return Err(super::api::bad("Give 'role' or 'password'"));
    }
    app.users.change(&name, role, password.as_deref()).await?;
    Ok(Json(json!({ "name": name })))
}

pub(super) async fn remove(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.users.remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

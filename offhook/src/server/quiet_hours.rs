//! `/_offhook/v1/quiet-hours`: who keeps quiet hours (docs/guides/opt-out.md).

use axum::Json;
use axum::extract::{Query, State};
use kernel::{ApiError, Sid};
use messaging::QuietHours;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{App, Refusal, bad, read};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    account_sid: Option<Sid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: QuietHours,
    /// The main account unless another is named.
    account_sid: Option<Sid>,
    /// One of its services instead of all it sends.
    messaging_service_sid: Option<Sid>,
}

pub(super) async fn show(
    State(app): State<App>,
    Query(whose): Query<Whose>,
) -> Result<Json<Value>, Refusal> {
    let account = app.account_or_main(whose.account_sid).await?;
    let all = app.messaging.quiet_hours(account).await?;
    let all = all.iter().map(|(scope, mode)| json!({"scope": scope, "mode": mode}));
    Ok(Json(json!({"account_sid": account, "quiet_hours": all.collect::<Vec<_>>()})))
}

pub(super) async fn set(State(app): State<App>, body: String) -> Result<Json<Value>, Refusal> {
    let wanted: Switch = read(&body)?;
    let service = wanted.messaging_service_sid;
    if let Some(service) = service.filter(|service| service.prefix() != "MG") {
        return Err(bad(format!("messaging_service_sid {service} does not begin with MG")));
    }
    let account = app.account_or_main(wanted.account_sid).await?;
    match app.messaging.set_quiet_hours(account, service, wanted.mode).await? {
        Some(()) => {
            let scope = service.unwrap_or(account);
            Ok(Json(json!({"account_sid": account, "scope": scope, "mode": wanted.mode})))
        }
        None => {
            let service = service.map(|service| service.to_string()).unwrap_or_default();
            let why = format!("The account {account} has no Messaging Service {service}");
            Err(Refusal(ApiError::new(20404, why)))
        }
    }
}

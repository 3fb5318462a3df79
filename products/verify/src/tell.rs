//! Who hears of what happens: Event Streams (verify §9), and the webhooks of a service.

use kernel::{Sid, Timestamp};
use serde_json::{Value as Json, json};
use store::{AccountBatch, StoreError};

use crate::Verify;
use crate::lifecycle::Status;
use crate::service::Service;
use crate::verification::Verification;
use crate::webhook;

/// For who watches this platform alone: no address, no code.
fn about(found: &Verification) -> Json {
    json!({"channel": found.channel, "service_sid": found.service})
}

impl Verify {
    /// A verification has got this status.
    pub(crate) fn tell(
        &self,
        service: &Service,
        found: &Verification,
        status: &str,
        now: Timestamp,
        batch: &mut AccountBatch,
    ) {
        let status = status.replace('_', "-");
        let (kind, facts) = match service.flag("verify_event_subscription_enabled") {
            true => (format!("verification.{status}"), facts(service, found, batch.account(), now)),
            false => (format!("verify.{status}"), about(found)),
        };
        batch.event(&kind, &found.sid.to_string(), now, facts.to_string());
    }

    /// A send of a verification has got this status, perhaps with an error.
    pub(crate) fn tell_message(
        &self,
        service: &Service,
        found: &Verification,
        attempt: Sid,
        (status, code): (&str, Option<i64>),
        now: Timestamp,
        batch: &mut AccountBatch,
    ) {
        if service.flag("verify_event_subscription_enabled") {
            let mut facts = facts(service, found, batch.account(), now);
            facts["attempt_sid"] = json!(attempt);
            facts["message_status"] = status.to_ascii_uppercase().into();
            let kind = format!("verify-message.{status}");
            batch.event(&kind, &found.sid.to_string(), now, facts.to_string());
            return;
        }
        let mut facts = about(found);
        facts["attempt_sid"] = json!(attempt);
        if let Some(code) = code {
            facts["error_code"] = code.into();
        }
        batch.event(&format!("verify.{status}"), &found.sid.to_string(), now, facts.to_string());
    }

    /// Beyond Twilio's: webhooks that ask for `verification.*` hear of ends.
    pub(crate) async fn hook_verification(
        &self,
        service: &Service,
        found: &Verification,
        batch: &mut AccountBatch,
    ) -> Result<(), StoreError> {
        let store = self.parts.store.account(batch.account());
        let status = found.state.status.as_str();
        let params = [
            ("verification_sid", found.sid.to_string()),
            ("To", found.to.clone()),
            ("Status", status.to_owned()),
            ("Channel", found.channel.clone()),
        ];
        let kind = format!("verification.{status}");
        webhook::call(self, &store, service.sid(), &kind, &params, batch).await
    }
}

/// The `data` of an event, in which there is no code.
fn facts(service: &Service, found: &Verification, account: Sid, now: Timestamp) -> Json {
    let extra = &found.extra;
    let status = found.state.status;
    let sends = extra.sends.iter().map(|send| {
        json!({
            "time": send.time.iso8601(),
            "channel": send.channel.to_ascii_uppercase(),
            "attempt_sid": send.attempt,
            "locale": send.locale,
            "tags": extra.tags,
        })
    });
    let checks = extra.checks.iter().map(|check| {
        let status = if check.right { "SUCCESS" } else { "FAILURE" };
        json!({"time": check.time.iso8601(), "status": status})
    });
    let since = |wanted: Status| (status == wanted).then(|| now.iso8601());
    json!({
        "account_sid": account,
        "service_sid": found.service,
        "verification_sid": found.sid,
        "friendly_name": service.name(),
        "custom_friendly_name": extra.choices.friendly_name,
        "custom_code_enabled": extra.has_custom_code,
        "created_at": found.date_created.iso8601(),
        "verified_at": since(Status::Approved),
        "expired_at": since(Status::Expired),
        "to": found.to,
        "verification_status": status.as_str().to_ascii_uppercase(),
        "country": found.country,
        "code_length": (!extra.has_custom_code).then_some(extra.code_length),
        "send_code_attempts": {
            "count": extra.sends.len(),
            "attempts": Json::Array(sends.collect()),
        },
        "check_attempts": {
            "count": extra.checks.len(),
            "attempts": Json::Array(checks.collect()),
        },
    })
}

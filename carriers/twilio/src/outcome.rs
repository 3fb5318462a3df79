//! What the account's answers and statuses mean here: pure.

use contracts::{ReceiptStatus, Submission, Unavailable};
use serde_json::Value;

/// A request that did not make a message.
pub fn refusal(status: u16, json: &Value) -> Submission {
    let code = json["code"].as_u64().and_then(|code| u32::try_from(code).ok());
    let message = json["message"].as_str().unwrap_or("no explanation");
    let busy = || Submission::Busy(Unavailable(format!("answered {status}: {message}")));
    match (status, code) {
        // Too many at once, a full queue, or trouble on their side: later.
        (429 | 500..=599, _) | (_, Some(20429 | 21611)) => busy(),
        // Wrong credentials or a suspended account are for the operator to mend.
        (401 | 403, _) => busy(),
        (_, Some(code)) => Submission::Refused { code: as_delivery_code(code) },
        _ => busy(),
    }
}

/// A code of the Messages API as the code with which a message of ours fails.
fn as_delivery_code(code: u32) -> u32 {
    match code {
        21610 => 21610,
        21211 | 21265 | 21612 | 21408 => 30005,
        21614 => 30006,
        21618 => 30007,
        21620 | 21621 | 21623 => 30019,
        30_000..=39_999 | 63_000..=63_999 => code,
        _ => 30008,
    }
}

/// A status of the account's message; `None`: it is still on its way.
pub fn of(status: &str, code: Option<u32>) -> Option<ReceiptStatus> {
    match status {
        "delivered" => Some(ReceiptStatus::Delivered),
        "read" => Some(ReceiptStatus::Read),
        "undelivered" | "failed" | "canceled" => {
            Some(ReceiptStatus::Undelivered { code: as_delivery_code(code.unwrap_or(30008)) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_pass_later_is_busy_and_the_rest_is_refused() {
        let refused = |status, code: u32| match refusal(status, &json!({"code": code})) {
            Submission::Refused { code } => Some(code),
            _ => None,
        };
        for (status, code, expected) in [
            (400, 21610, Some(21610)),
            (400, 21211, Some(30005)),
            (400, 21614, Some(30006)),
            (400, 30034, Some(30034)),
            (400, 99999, Some(30008)),
            (429, 20429, None),
            (400, 21611, None),
            (401, 20003, None),
            (503, 20503, None),
        ] {
            assert_eq!(refused(status, code), expected, "{status} {code}");
        }
        assert!(matches!(refusal(502, &Value::Null), Submission::Busy(_)));
    }

    #[test]
    fn statuses_become_receipts_when_they_are_final() {
        assert_eq!(of("delivered", None), Some(ReceiptStatus::Delivered));
        assert_eq!(of("failed", Some(30003)), Some(ReceiptStatus::Undelivered { code: 30003 }));
        assert_eq!(of("undelivered", None), Some(ReceiptStatus::Undelivered { code: 30008 }));
        for open in ["queued", "accepted", "sending", "sent", "scheduled", ""] {
            assert_eq!(of(open, None), None, "{open}");
        }
    }
}

//! What the Cloud API's answers, statuses and errors mean here: pure (whatsapp-content §12).

use contracts::{ReceiptStatus, Submission, Unavailable};
use serde_json::Value;

/// What Meta's codes are as ours.
const CODES: &[(u64, u32)] = &[
    (368, 63013),
    (130_472, 63032),
    (130_497, 63013),
    (131_005, 63001),
    (131_008, 63021),
    (131_009, 63005),
    (131_021, 63031),
    (131_026, 63024),
    (131_030, 63015),
    (131_031, 63051),
    (131_037, 63022),
    (131_042, 63020),
    (131_044, 63020),
    (131_045, 63022),
    (131_047, 63016),
    (131_048, 63026),
    (131_049, 63049),
    (131_050, 63033),
    (131_051, 63021),
    (131_052, 63019),
    (131_053, 63019),
    (131_062, 63024),
    (131_063, 63062),
    (131_064, 63018),
    (132_000, 63028),
    (132_001, 63027),
    (132_005, 63021),
    (132_007, 63013),
    (132_008, 63028),
    (132_012, 63030),
    (132_015, 63041),
    (132_016, 63042),
    (132_068, 63021),
    (132_069, 63021),
    (137_000, 63024),
];

/// Codes after which the same request may pass: limits, and trouble on their side.
const TRANSIENT: &[u64] = &[1, 2, 4, 80007, 130_429, 131_000, 131_016, 131_056, 131_057];

/// Codes that the operator has to mend: the token, its permissions.
const CREDENTIALS: &[u64] = &[0, 3, 10, 190];

/// A code of Meta's as the code with which a message of ours fails.
fn code_of(theirs: u64) -> u32 {
    match CODES.iter().find(|(known, _)| *known == theirs) {
        Some((_, ours)) => *ours,
        None if matches!(theirs, 4 | 80007 | 130_429 | 131_056) => 63018,
        None => 63023,
    }
}

/// A request that was not answered with a message's id.
pub(crate) fn refusal(status: u16, json: &Value) -> Submission {
    let error = &json["error"];
    let message = error["message"].as_str().unwrap_or("no explanation");
    let busy = || Submission::Busy(Unavailable(format!("answered {status}: {message}")));
    match error["code"].as_u64() {
        Some(code) if TRANSIENT.contains(&code) || CREDENTIALS.contains(&code) => busy(),
        Some(200..=299) => busy(),
        Some(code) => Submission::Refused { code: code_of(code) },
        None => busy(),
    }
}

/// A status of a message; `None`: it is still on its way.
pub(crate) fn receipt(status: &Value) -> Option<ReceiptStatus> {
    match status["status"].as_str()? {
        "delivered" => Some(ReceiptStatus::Delivered),
        "read" | "played" => Some(ReceiptStatus::Read),
        "failed" => {
            let code = status["errors"][0]["code"].as_u64().map_or(63023, code_of);
            Some(ReceiptStatus::Undelivered { code })
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
        for (status, code, expected) in [
            (400, 131_047, Some(63016)),
            (400, 131_026, Some(63024)),
            (400, 132_001, Some(63027)),
            (400, 999_999, Some(63023)),
            (429, 130_429, None),
            (400, 131_056, None),
            (500, 131_000, None),
            (401, 190, None),
            (403, 200, None),
        ] {
            let found = match refusal(status, &json!({"error": {"code": code}})) {
                Submission::Refused { code } => Some(code),
                _ => None,
            };
            assert_eq!(found, expected, "{status} {code}");
        }
        assert!(matches!(refusal(502, &Value::Null), Submission::Busy(_)));
    }

    #[test]
    fn statuses_become_receipts_when_they_are_final() {
        assert_eq!(receipt(&json!({"status": "delivered"})), Some(ReceiptStatus::Delivered));
        assert_eq!(receipt(&json!({"status": "read"})), Some(ReceiptStatus::Read));
        let failed = json!({"status": "failed", "errors": [{"code": 131_047}]});
        assert_eq!(receipt(&failed), Some(ReceiptStatus::Undelivered { code: 63016 }));
        let silent = json!({"status": "failed"});
        assert_eq!(receipt(&silent), Some(ReceiptStatus::Undelivered { code: 63023 }));
        for open in [json!({"status": "sent"}), json!({"status": "deleted"}), json!({})] {
            assert_eq!(receipt(&open), None, "{open}");
        }
    }
}

//! What is left out of answers: secrets for those who may not use them, bodies and numbers for
//! auditors. Pure.

use serde_json::Value;

/// Names of what opens something.
const SECRETS: &[&str] = &[
    "auth_token",
    "secondary_auth_token",
    "secret",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
];

/// What an auditor reads as it is, beside the names that end as [`ENDINGS`]; a name that is not
/// known is left out.
const KEPT: &[&str] = &[
    "answered",
    "answered_by",
    "attempt",
    "began",
    "behaviour",
    "cancelled",
    "category",
    "channel",
    "code",
    "count",
    "count_unit",
    "country_code",
    "currency",
    "cut",
    "died_at",
    "direction",
    "ended",
    "ends",
    "error",
    "error_code",
    "event",
    "id",
    "key",
    "kind",
    "level",
    "log_level",
    "may",
    "message",
    "method",
    "next_timer",
    "now",
    "price",
    "price_unit",
    "queue",
    "role",
    "scope",
    "sid",
    "sound",
    "source",
    "state",
    "status",
    "store",
    "type",
    "usage",
    "usage_unit",
    "user",
    "window_unit",
];
const ENDINGS: &[&str] = &["_sid", "_at", "_status", "_unit", "uri", "page_url"];
const STARTS: &[&str] = &["date_", "start_", "end_"];
/// Addresses: of them the beginning and the end are told.
const ADDRESSES: &[&str] =
    &["from", "to", "number", "phone_number", "peer", "address", "sender", "caller", "called"];

const LEFT_OUT: &str = "[left out]";

/// Secrets become as many stars, so that their type can still be checked.
pub fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    // The URI of an authenticator has its secret in it.
                    Value::String(text)
                        if SECRETS.contains(&name.as_str()) || text.starts_with("otpauth://") =>
                    {
                        *text = "*".repeat(text.len());
                    }
                    other => hide_secrets(other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// Leaves texts out, but those that are known to say nothing of anybody, and masks addresses.
pub fn hide_bodies(value: &mut Value) {
    hide("", value);
}

fn hide(name: &str, value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| hide(name, value)),
        Value::Array(list) => list.iter_mut().for_each(|value| hide(name, value)),
        Value::String(text) if ADDRESSES.contains(&name) => *text = masked(text),
        Value::String(text) if is_kept(name) => *text = without_numbers(text),
        Value::String(text) if !text.is_empty() => LEFT_OUT.clone_into(text),
        _ => {}
    }
}

fn is_kept(name: &str) -> bool {
    KEPT.contains(&name)
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || STARTS.iter().any(|start| name.starts_with(start))
}

/// `+1415•••23`; of what is too short nothing.
fn masked(address: &str) -> String {
    let (channel, rest) = address.rsplit_once(':').unwrap_or(("", address));
    let chars: Vec<char> = rest.chars().collect();
    let colon = if channel.is_empty() { "" } else { ":" };
    if chars.len() < 9 {
        return format!("{channel}{colon}•••");
    }
    let start: String = chars[..4].iter().collect();
    let end: String = chars[chars.len() - 2..].iter().collect();
    format!("{channel}{colon}{start}•••{end}")
}

/// Runs of seven digits and more behind a plus are masked in what is kept, `%2B` being one too.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['+', '%']) {
        let plus = if rest[at..].starts_with("%2B") { 3 } else { 1 };
        let (before, behind) = rest.split_at(at + plus);
        out.push_str(before);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 7 && (plus == 3 || before.ends_with('+')) {
            out.push_str(&behind[..3]);
            out.push_str("•••");
        } else {
            out.push_str(&behind[..digits]);
        }
        rest = &behind[digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_stars() {
        let mut value = json!({"accounts": [{"auth_token": "abcd", "sid": "AC1"}]});
        hide_secrets(&mut value);
        assert_eq!(value, json!({"accounts": [{"auth_token": "****", "sid": "AC1"}]}));
    }

    #[test]
    fn an_auditor_sees_what_happened_and_not_what_was_said() {
        let mut value = json!({
            "kind": "message.sent", "sid": "SM1", "at": 5,
            "data": {
                "from": "whatsapp:+14155550100", "to": "+14155550123", "body": "My secret",
                "error_code": 30003, "status": "sent", "whatever": "new", "media": ["image/png"],
                "url": "https://app.example/?To=%2B14155550123",
                "sms_url": "https://user:password@app.example/", "name": "Ada",
                "request_headers": [["X-Twilio-Signature", "abc"]],
                "message": "No one answers at +14155550123, truly",
                "next_page_uri": "/x?To=%2B14155550123&PageToken=PASM1",
            },
        });
        hide_bodies(&mut value);
        let expected = json!({
            "kind": "message.sent", "sid": "SM1", "at": 5,
            "data": {
                "from": "whatsapp:+141•••00", "to": "+141•••23", "body": LEFT_OUT,
                "error_code": 30003, "status": "sent", "whatever": LEFT_OUT, "media": [LEFT_OUT],
                "url": LEFT_OUT, "sms_url": LEFT_OUT, "name": LEFT_OUT,
                "request_headers": [[LEFT_OUT, LEFT_OUT]],
                "message": "No one answers at +141•••, truly",
                "next_page_uri": "/x?To=%2B141•••&PageToken=PASM1",
            },
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn odd_texts_are_masked_too() {
        for (text, masks) in [
            ("", "•••"),
            ("12345", "•••"),
            ("client:ann", "client:•••"),
            ("ann@example.com", "ann@•••om"),
            ("+4915112345678", "+491•••78"),
        ] {
            assert_eq!(masked(text), masks);
        }
        for (text, left) in [("50 % of + 5", "50 % of + 5"), ("a+1234567", "a+123•••"), ("%", "%")]
        {
            assert_eq!(without_numbers(text), left);
        }
    }
}

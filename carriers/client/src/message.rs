//! Messages of PStream 1.6.

use serde_json::{Value as Json, json};

/// One message, as text.
pub(crate) fn message(kind: &str, payload: Json) -> String {
    json!({ "type": kind, "version": "1.6", "payload": payload }).to_string()
}

/// An error of the device, or of one call.
pub(crate) fn error(code: u32, why: &str, call: Option<&str>) -> String {
    let mut payload = json!({ "error": { "code": code, "message": why } });
    if let Some(call) = call {
        payload["callsid"] = call.into();
    }
    message("error", payload)
}

/// Percent-encoded, as custom parameters are.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The pairs of `a=b&c=d`, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (unescape(name), unescape(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_survive_the_way() {
        assert_eq!(escape("a b&c=ä"), "a%20b%26c%3D%C3%A4");
        assert_eq!(
            pairs("To=%2B1415&note=a%20b%26&x"),
            [
                ("To".to_owned(), "+1415".to_owned()),
                ("note".to_owned(), "a b&".to_owned()),
                ("x".to_owned(), String::new()),
            ]
        );
        assert_eq!(pairs("a=%"), [("a".to_owned(), "%".to_owned())]);
        assert_eq!(pairs("a=%zz"), [("a".to_owned(), "%zz".to_owned())]);
    }
}

//! What a mail is made of: its texts, attachments and headers.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value;

use super::{Check, Object, has_control};

const RESERVED_HEADERS: [&str; 12] = [
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
];

impl Check {
    pub(super) fn content(&mut self, body: &Object, is_template: bool) {
        let all = match body.get("content") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(all)) => all,
            Some(_) => {
                return self.fail(
                    "content",
                    "The content parameter must be an array of objects with type and value.",
                );
            }
        };
        if all.is_empty() && !is_template {
            return self.fail("content", "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block. We typically suggest both text/plain and text/html blocks are included, but only one block is required.");
        }
        let mut rank = 0;
        for (at, one) in all.iter().enumerate() {
            let kind = one.get("type").and_then(Value::as_str).unwrap_or_default();
            let field = format!("content.{at}.type");
            if kind.is_empty() {
                self.fail(
                    &field,
                    "The content type must be a string at least one character in length.",
                );
            } else if has_control(kind) || kind.contains([';', ',']) {
                self.fail(&field, "The content type cannot contain ';', ',', CR or LF characters.");
            }
            if one.get("value").and_then(Value::as_str).is_none_or(str::is_empty) {
                self.fail(
                    &format!("content.{at}.value"),
                    "The content value must be a string at least one character in length.",
                );
            }
            let this = match kind {
                "text/plain" => 1,
                "text/html" => 2,
                _ => 3,
            };
            if this < rank {
                self.fail("content", "Following RFC 1341, section 7.2, if either text/html or text/plain are to be sent in your email: text/plain needs to be first, followed by text/html, followed by any other content.");
            }
            // AMP stands between the two.
            rank = if kind == "text/x-amp-html" { rank } else { this.max(rank) };
        }
    }

    pub(super) fn attachments(&mut self, body: &Object) {
        let all = match body.get("attachments") {
            None | Some(Value::Null) => return,
            Some(Value::Array(all)) => all,
            Some(_) => {
                return self
                    .fail("attachments", "The attachments parameter must be an array of objects.");
            }
        };
        for (at, one) in all.iter().enumerate() {
            let field = |name: &str| format!("attachments.{at}.{name}");
            let text = |name: &str| one.get(name).filter(|value| !value.is_null());
            match text("content").and_then(Value::as_str) {
                None | Some("") => self.fail(
                    &field("content"),
                    "The attachment content must be a string at least one character in length.",
                ),
                Some(content) if decode(content).is_none() => {
                    self.fail(&field("content"), "The attachment content must be base64 encoded.");
                }
                Some(_) => {}
            }
            if text("filename").is_none() {
                self.fail(&field("filename"), "The attachment filename is required.");
            }
            for name in ["filename", "type", "content_id"] {
                match text(name) {
                    None => {}
                    Some(Value::String(value)) if value.is_empty() => self.fail(&field(name), format!("The attachment {name} must be a string at least one character in length.")),
                    Some(Value::String(value)) if has_control(value) || (name != "filename" && value.contains([';', ','])) => {
                        self.fail(&field(name), format!("The attachment {name} cannot contain ';', ',', CR or LF characters."));
                    }
                    Some(Value::String(_)) => {}
                    Some(_) => self.fail(&field(name), format!("The attachment {name} must be a string.")),
                }
            }
            match text("disposition") {
                None => {}
                Some(Value::String(how)) if how == "inline" || how == "attachment" => {}
                Some(other) => {
                    let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                    self.fail(&field("disposition"), format!("The content-disposition of your attachment can be either \"inline\" or \"attachment\". You provided {shown}."));
                }
            }
        }
    }

    pub(super) fn headers(&mut self, object: &Object, field: &str) {
        let map = match object.get("headers") {
            None | Some(Value::Null) => return,
            Some(Value::Object(map)) => map,
            Some(_) => {
                return self.fail(field, "The headers parameter must be an object of strings.");
            }
        };
        let mut seen = HashSet::new();
        for (name, value) in map {
            let at = format!("{field}.{name}");
            let lower = name.to_ascii_lowercase();
            if RESERVED_HEADERS.contains(&lower.as_str()) {
                self.fail(&at, "Header cannot be one of the reserved keys.");
            }
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
            {
                self.fail(field, "Header names must be ASCII without spaces or colons.");
            }
            if !seen.insert(lower) {
                self.fail(&at, "Header names must be unique.");
            }
            match value {
                Value::String(text) if has_control(text) => {
                    self.fail(&at, "Header values cannot contain CR, LF or NUL characters.")
                }
                Value::String(_) => {}
                _ => self.fail(&at, "Header values must be strings."),
            }
        }
    }
}

/// Base64 with or without its padding, line ends among it.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(&text).or_else(|_| STANDARD_NO_PAD.decode(&text)).ok()
}

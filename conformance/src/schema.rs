//! One answer against its official schema.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::definitions::Definition;
use crate::formats::{Demand, demand};

/// What is wrong, and where in the body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// JSON pointer; array indices are written `*`, so that equal faults are equal.
    pub pointer: String,
    pub what: String,
}

/// Checks the bodies of one operation.
pub(crate) struct Checker<'a> {
    file: &'a Definition,
    /// Keys of the allow-list for extras, such as `api_v2010 field Message.x`.
    allowed: &'a BTreeSet<String>,
    /// `Message`.
    resource: &'a str,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    pub fn new(file: &'a Definition, resource: &'a str, allowed: &'a BTreeSet<String>) -> Self {
        Self { file, allowed, resource, faults: Vec::new() }
    }

    /// The faults of a body; none is a pass.
    pub fn check(mut self, schema: &Json, body: &Json) -> Vec<Fault> {
        self.value(schema, body, "");
        self.faults
    }

    fn fault(&mut self, pointer: &str, what: impl Into<String>) {
        self.faults.push(Fault { pointer: pointer.to_owned(), what: what.into() });
    }

    fn value(&mut self, schema: &Json, value: &Json, at: &str) {
        let resolved = self.file.resolve(schema);
        let is_nullable = schema["nullable"] == true || resolved["nullable"] == true;
        let demand = demand(resolved);
        if demand == Demand::Anything && resolved.get("allOf").is_none() {
            return;
        }
        if value.is_null() {
            if !is_nullable {
                self.fault(at, "null, which is not declared");
            }
            return;
        }
        match (resolved["type"].as_str(), value) {
            (Some("object") | None, Json::Object(map)) => self.object(resolved, map, at),
            (Some("array"), Json::Array(items)) => {
                for item in items {
                    self.value(&resolved["items"], item, &format!("{at}/*"));
                }
            }
            (Some("string"), Json::String(text)) => {
                if let Err(what) = check_text(&demand, text) {
                    self.fault(at, what);
                }
            }
            (Some("integer"), Json::Number(number)) if number.is_i64() || number.is_u64() => {}
            (Some("number"), Json::Number(_)) | (Some("boolean"), Json::Bool(_)) => {}
            (declared, value) => {
                let declared = declared.unwrap_or("object");
                self.fault(at, format!("{} where {declared} is declared", kind(value)));
            }
        }
    }

    fn object(&mut self, schema: &Json, map: &serde_json::Map<String, Json>, at: &str) {
        let file = self.file;
        let properties = file.properties(schema);
        if schema["format"] == "uri-map" {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if is_uri(text) => {}
                    _ => self.fault(&format!("{at}/{name}"), "not a URI"),
                }
            }
            return;
        }
        if properties.is_empty() {
            return;
        }
        for (name, property) in &properties {
            match map.get(*name) {
                Some(value) => self.value(property, value, &format!("{at}/{name}")),
                None => self.fault(&format!("{at}/{name}"), "missing"),
            }
        }
        let is_open = !matches!(schema["additionalProperties"], Json::Null | Json::Bool(false));
        for name in map.keys().filter(|_| !is_open) {
            let key = format!("{} field {}.{name}", self.file.name, self.resource);
            let is_declared = properties.iter().any(|(known, _)| known == name);
            if !is_declared && !self.allowed.contains(&key) {
                self.fault(&format!("{at}/{name}"), "not declared");
            }
        }
    }
}

/// Holds a string against its declared format.
fn check_text(demand: &Demand, text: &str) -> Result<(), String> {
    // A secret that the wire log has covered.
    if !text.is_empty() && text.bytes().all(|byte| byte == b'*') {
        return Ok(());
    }
    let (fits, wanted) = match demand {
        Demand::Rfc2822 => {
            (is_rfc2822(text), "an RFC 2822 date such as Thu, 24 Aug 2023 05:01:45 +0000")
        }
        Demand::Iso8601 => (is_iso8601(text), "an ISO 8601 date such as 2023-08-24T05:01:45Z"),
        Demand::Date => (is_date(text), "a date such as 2023-08-24"),
        // An URL that is not set is empty in the 2010 API.
        Demand::Uri => (text.is_empty() || is_uri(text), "a URI"),
        Demand::Sid(prefixes) => (is_sid(text, prefixes), "a SID of the declared kind"),
        Demand::Method => {
            let methods = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE"];
            (methods.contains(&text), "an HTTP method")
        }
        Demand::Enum(values) => (values.iter().any(|value| value == text), "one of the enum"),
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(format!("'{text}' is not {wanted}")) }
}

/// `9` stands for a digit, `a` for a letter, everything else for itself.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'9' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_alphabetic(),
            _ => byte == form,
        })
}

fn is_rfc2822(text: &str) -> bool {
    // The parser also compares the weekday with the date.
    has_form(text, "aaa, 99 aaa 9999 99:99:99 +0000") && jiff::fmt::rfc2822::parse(text).is_ok()
}

fn is_iso8601(text: &str) -> bool {
    has_form(text, "9999-99-99T99:99:99Z") && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_date(text: &str) -> bool {
    has_form(text, "9999-99-99") && text.parse::<jiff::civil::Date>().is_ok()
}

/// Absolute, or a path as the 2010 API writes it.
fn is_uri(text: &str) -> bool {
    let is_clean = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let sip = ["sip:", "sips:"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    is_clean
        && (text.starts_with('/')
            || sip.is_some_and(|rest| !rest.is_empty())
            || text.split_once("://").is_some_and(|(_, rest)| !rest.is_empty()))
}

fn is_sid(text: &str, prefixes: &[String]) -> bool {
    let Some((prefix, hex)) = text.split_at_checked(2) else { return false };
    hex.len() == 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (prefixes.is_empty() || prefixes.iter().any(|known| known == prefix))
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Checks the body of an error: `code`, `message`, `more_info`, `status`, perhaps `details`.
pub(crate) fn check_error(status: u16, body: &Json) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |name: &str, what: &str| {
        faults.push(Fault { pointer: format!("/{name}"), what: what.to_owned() });
    };
    let Some(map) = body.as_object() else {
        fault("", "an error without an error body");
        return faults;
    };
    if !map.get("code").is_some_and(|code| code.is_u64()) {
        fault("code", "not an integer");
    }
    if map.get("message").and_then(Json::as_str).is_none_or(str::is_empty) {
        fault("message", "not a text");
    }
    if !map.get("more_info").and_then(Json::as_str).is_some_and(|t| !t.is_empty() && is_uri(t)) {
        fault("more_info", "not a URI");
    }
    if map.get("status").and_then(Json::as_u64) != Some(u64::from(status)) {
        fault("status", "not the status of the response");
    }
    if map.get("details").is_some_and(|details| !details.is_object()) {
        fault("details", "not an object");
    }
    for name in map.keys() {
        if !["code", "message", "more_info", "status", "details"].contains(&name.as_str()) {
            fault(name, "not part of an error");
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(schema: Json, body: Json) -> Vec<String> {
        let doc = json!({"components": {"schemas": {"status": {
            "type": "string", "enum": ["queued", "sent"]}}}});
        let file = Definition::new("api_v2010", doc);
        let allowed = BTreeSet::from(["api_v2010 field Message.type".to_owned()]);
        let found = Checker::new(&file, "Message", &allowed).check(&schema, &body);
        found.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.what)).collect()
    }

    fn one(schema: Json, value: Json) -> Vec<String> {
        faults(json!({"type": "object", "properties": {"x": schema}}), json!({"x": value}))
    }

    #[test]
    fn values_of_the_declared_type_pass_and_all_others_fail() {
        let hex = "0123456789abcdef0123456789abcdef";
        let sid = json!({"type": "string", "pattern": "^(SM|MM)[0-9a-fA-F]{32}$"});
        let rfc = json!({"type": "string", "format": "date-time-rfc-2822"});
        let iso = json!({"type": "string", "format": "date-time"});
        let date = json!({"type": "string", "format": "date"});
        let uri = json!({"type": "string", "format": "uri"});
        let map = json!({"type": "object", "format": "uri-map"});
        let status = json!({"$ref": "#/components/schemas/status"});
        for (schema, right, wrong) in [
            (json!({"type": "string"}), json!("1"), json!(1)),
            (json!({"type": "integer"}), json!(1), json!("1")),
            (json!({"type": "integer"}), json!(-1), json!(1.5)),
            (json!({"type": "number"}), json!(1.5), json!("1.5")),
            (json!({"type": "boolean"}), json!(true), json!("true")),
            (json!({"type": "string", "nullable": true}), json!(null), json!(0)),
            (json!({"type": "string"}), json!(""), json!(null)),
            (json!({"type": "array", "items": {"type": "string"}}), json!(["a"]), json!([1])),
            (json!({"type": "array", "items": {}}), json!([1]), json!({})),
            (json!({"type": "object"}), json!({"a": 1}), json!([])),
            (sid.clone(), json!(format!("SM{hex}")), json!(format!("PN{hex}"))),
            (sid, json!(format!("MM{hex}")), json!("MM12")),
            (rfc.clone(), json!("Thu, 24 Aug 2023 05:01:45 +0000"), json!("2023-08-24T05:01:45Z")),
            (
                rfc.clone(),
                json!("Sun, 01 Jan 2023 00:00:00 +0000"),
                json!("Mon, 01 Jan 2023 00:00:00 +0000"),
            ),
            (rfc, json!("*****"), json!("Thu, 24 Aug 2023 05:01:45 GMT")),
            (iso.clone(), json!("2023-08-24T05:01:45Z"), json!("2023-08-24T05:01:45.123Z")),
            (iso, json!("2023-08-24T05:01:45Z"), json!("2023-13-24T05:01:45Z")),
            (date, json!("2023-08-24"), json!("2023-02-30")),
            (uri.clone(), json!("https://a.example/x"), json!("a b")),
            (uri, json!("/2010-04-01/x.json"), json!("example")),
            (map.clone(), json!({"media": "/x.json"}), json!({"media": null})),
            (map, json!({}), json!("x")),
            (status, json!("sent"), json!("odd")),
        ] {
            assert_eq!(one(schema.clone(), right.clone()), [""; 0], "{schema} {right}");
            assert_eq!(one(schema.clone(), wrong.clone()).len(), 1, "{schema} {wrong}");
        }
    }

    #[test]
    fn missing_and_undeclared_properties_are_found_at_any_depth() {
        let meta = json!({"type": "object", "properties": {
            "meta": {"type": "object", "properties": {"key": {"type": "string"}, "page": {"type": "integer"}}},
        }});
        assert_eq!(
            faults(meta, json!({"meta": {"key": "x", "odd": 1}, "more": 1})),
            ["/meta/page: missing", "/meta/odd: not declared", "/more: not declared"]
        );
    }

    #[test]
    fn allowed_extras_pass() {
        let schema = json!({"type": "object", "properties": {"sid": {"type": "string"}}});
        assert_eq!(faults(schema, json!({"sid": "", "type": "x"})), [""; 0]);
    }

    #[test]
    fn errors_have_their_form() {
        let good = json!({"code": 20404, "message": "gone", "status": 404,
            "more_info": "https://www.twilio.com/docs/errors/20404"});
        assert_eq!(check_error(404, &good), []);
        assert_eq!(check_error(400, &good).len(), 1);
        assert_eq!(check_error(404, &json!({"message": "x"})).len(), 3);
        assert_eq!(check_error(404, &json!("x")).len(), 1);
        let mut odd = good;
        odd["odd"] = json!(1);
        odd["code"] = json!("20404");
        assert_eq!(check_error(404, &odd).len(), 2);
    }
}

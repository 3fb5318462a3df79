//! The rules of `POST /v3/mail/send` that need nothing but the request (sendgrid §2.1).

mod content;
mod settings;

use std::collections::HashSet;

use kernel::Timestamp;
use serde_json::{Map, Value};

use crate::fault::{Fault, Item};
use crate::letter::Letter;
pub use content::decode;

const PERSONALIZATIONS_MAX: usize = 1000;
const RECIPIENTS_MAX: usize = 1000;
const CUSTOM_ARGS_BYTES_MAX: usize = 10_000;
const SUBSTITUTIONS_MAX: usize = 10_000;
const SCHEDULE_MAX: i64 = 72 * 3600;
/// Errors of one answer.
const ERRORS_MAX: usize = 50;

/// What is wrong, as it is found.
struct Check {
    items: Vec<Item>,
    now: Timestamp,
}

type Object = Map<String, Value>;

/// Reads a request.
///
/// # Errors
/// 400 with everything that is wrong, up to fifty things.
pub fn letter(body: &Object, now: Timestamp) -> Result<Letter, Fault> {
    let mut check = Check { items: Vec::new(), now };
    check.whole(body);
    if !check.items.is_empty() {
        check.items.truncate(ERRORS_MAX);
        return Err(Fault { status: 400, items: check.items, is_unsupported: false });
    }
    // Empty members count as absent.
    let mut body = body.clone();
    body.retain(|_, value| !value.is_null());
    if let Some(all) = body.get_mut("personalizations").and_then(Value::as_array_mut) {
        for one in all.iter_mut().filter_map(Value::as_object_mut) {
            one.retain(|_, value| !value.is_null());
        }
    }
    serde_json::from_value(Value::Object(body))
        .map_err(|error| Fault::new(400, format!("The request body cannot be read: {error}")))
}

fn is_present(object: &Object, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\r' | '\n' | '\0'))
}

impl Check {
    fn fail(&mut self, field: &str, message: impl Into<String>) {
        if self.items.len() <= ERRORS_MAX {
            self.items.push(Item { message: message.into(), field: Some(field.to_owned()) });
        }
    }

    fn whole(&mut self, body: &Object) {
        self.person_of(body, "from", "from");
        self.personalizations(body);
        if is_present(body, "reply_to") && is_present(body, "reply_to_list") {
            self.fail(
                "reply_to_list",
                "The reply_to_list parameter cannot be used together with the reply_to parameter.",
            );
        }
        if let Some(value) = body.get("reply_to").filter(|value| !value.is_null()) {
            self.person(value, "reply_to", "Reply-To");
        }
        self.people(body, "reply_to_list", "reply_to_list", "Reply-To");
        self.subject(body, "");
        let is_template = self.template(body);
        self.content(body, is_template);
        self.attachments(body);
        self.headers(body, "headers");
        self.texts(body, "sections", "sections");
        self.custom_args(body, "custom_args");
        self.send_at(body, "send_at");
        self.categories(body);
        self.asm(body);
        if body.get("batch_id").is_some_and(|id| !id.is_string() && !id.is_null()) {
            self.fail("batch_id", "The batch_id must be a string.");
        }
        match body.get("ip_pool_name") {
            None | Some(Value::Null) => {}
            Some(Value::String(name)) if (2..=64).contains(&name.chars().count()) => {}
            Some(_) => self
                .fail("ip_pool_name", "The ip_pool_name must be a string of 2 to 64 characters."),
        }
        self.settings(body);
        self.needs_subject(body, is_template);
    }

    fn person_of(&mut self, body: &Object, name: &str, field: &str) {
        match body.get(name) {
            Some(value @ Value::Object(_)) => self.person(value, field, "From"),
            _ => self.fail(field, "The from object must be provided for every email send. It is an object that requires the email parameter, but may also contain a name parameter.  e.g. {\"email\" : \"example@example.com\"}  or {\"email\" : \"example@example.com\", \"name\" : \"Example Recipient\"}."),
        }
    }

    fn person(&mut self, value: &Value, field: &str, label: &str) {
        let at = format!("{field}.email");
        match value.get("email").and_then(Value::as_str) {
            Some(email) if email.chars().count() > 320 => {
                self.fail(
                    &at,
                    format!("The {label} email exceeds the maximum total length of 320 characters"),
                );
            }
            Some(email) if mail::is_address(email.trim()) && !has_control(email) => {}
            _ => self.fail(&at, "Does not contain a valid address."),
        }
        match value.get("name") {
            None | Some(Value::Null) => {}
            Some(Value::String(name)) if has_control(name) => {
                self.fail(
                    &format!("{field}.name"),
                    "The name parameter cannot contain CR, LF or NUL characters.",
                );
            }
            Some(Value::String(_)) => {}
            Some(_) => self.fail(&format!("{field}.name"), "The name parameter must be a string."),
        }
    }

    /// How many there are.
    fn people(&mut self, body: &Object, name: &str, field: &str, label: &str) -> usize {
        match body.get(name) {
            None | Some(Value::Null) => 0,
            Some(Value::Array(all)) => {
                for (at, value) in all.iter().enumerate().take(RECIPIENTS_MAX) {
                    self.person(value, &format!("{field}.{at}"), label);
                }
                all.len()
            }
            Some(_) => {
                self.fail(field, format!("The {name} parameter must be an array of objects that have an 'email' parameter."));
                0
            }
        }
    }

    fn personalizations(&mut self, body: &Object) {
        const NONE: &str =
            "The personalizations field is required and must have at least one personalization.";
        let Some(all) = body.get("personalizations").and_then(Value::as_array) else {
            return self.fail("personalizations", NONE);
        };
        if all.is_empty() {
            return self.fail("personalizations", NONE);
        }
        if all.len() > PERSONALIZATIONS_MAX {
            let why = format!(
                "The personalization block is limited to 1000 personalizations per API request. You have provided {} personalizations. Please consider splitting this into multiple requests and resending your request.",
                all.len()
            );
            return self.fail("personalizations", why);
        }
        let is_dynamic =
            body.get("template_id").and_then(Value::as_str).is_some_and(|id| id.starts_with("d-"));
        let mut count = 0;
        for (at, one) in all.iter().enumerate() {
            let field = format!("personalizations.{at}");
            let Some(one) = one.as_object() else {
                self.fail(&field, "A personalization must be an object.");
                continue;
            };
            count += self.personalization(one, &field, is_dynamic);
        }
        if count > RECIPIENTS_MAX {
            self.fail(
                "personalizations",
                "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
            );
        }
    }

    fn personalization(&mut self, one: &Object, field: &str, is_dynamic: bool) -> usize {
        let to = format!("{field}.to");
        if one.get("to").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            self.fail(&to, "The to array is required for all personalization objects, and must have at least one email object with a valid email address.");
        }
        let mut count = self.people(one, "to", &to, "To");
        count += self.people(one, "cc", &format!("{field}.cc"), "CC");
        count += self.people(one, "bcc", &format!("{field}.bcc"), "BCC");
        let mut seen = HashSet::new();
        for list in ["to", "cc", "bcc"] {
            for person in one.get(list).and_then(Value::as_array).into_iter().flatten() {
                let Some(email) = person.get("email").and_then(Value::as_str) else { continue };
                if !seen.insert(email.trim().to_lowercase()) {
                    self.fail(field, format!("Each email address in the personalization block should be unique between to, cc, and bcc. We found the first duplicate instance of [{email}] in the {field}.{list} field."));
                }
            }
        }
        if let Some(from) = one.get("from").filter(|from| !from.is_null()) {
            self.person(from, &format!("{field}.from"), "From");
        }
        self.subject(one, &format!("{field}."));
        self.headers(one, &format!("{field}.headers"));
        self.custom_args(one, &format!("{field}.custom_args"));
        self.send_at(one, &format!("{field}.send_at"));
        let substitutions = format!("{field}.substitutions");
        self.texts(one, "substitutions", &substitutions);
        if let Some(map) = one.get("substitutions").and_then(Value::as_object) {
            if map.len() > SUBSTITUTIONS_MAX {
                self.fail(&substitutions, "You are limited to 10,000 substitutions.");
            }
            if is_dynamic && !map.is_empty() {
                self.fail(&substitutions, "Substitutions may not be used with dynamic templating");
            }
        }
        match one.get("dynamic_template_data") {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => self.fail(
                &format!("{field}.dynamic_template_data"),
                "The dynamic_template_data must be an object.",
            ),
        }
        count
    }

    fn subject(&mut self, object: &Object, before: &str) {
        let field = format!("{before}subject");
        match object.get("subject") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if has_control(text) => {
                self.fail(&field, "The subject cannot contain CR, LF or NUL characters.");
            }
            Some(Value::String(text)) if !text.is_empty() => {}
            // Libraries send an empty one beside a template.
            Some(Value::String(_)) if is_present(object, "template_id") => {}
            Some(_) => self.fail(
                &field,
                "The subject of your email must be a string at least one character in length.",
            ),
        }
    }

    fn needs_subject(&mut self, body: &Object, is_template: bool) {
        let has = |object: &Object| {
            object.get("subject").and_then(Value::as_str).is_some_and(|text| !text.is_empty())
        };
        let all = body.get("personalizations").and_then(Value::as_array);
        let everywhere =
            all.is_some_and(|all| all.iter().all(|one| one.as_object().is_some_and(has)));
        let is_told = self.items.iter().any(|item| item.field.as_deref() == Some("subject"));
        if !is_template && !has(body) && !everywhere && !is_told {
            self.fail("subject", "The subject is required. You can get around this requirement if you use a template with a subject defined or if every personalization has a subject defined.");
        }
    }

    /// Whether there is a template.
    fn template(&mut self, body: &Object) -> bool {
        match body.get("template_id") {
            None | Some(Value::Null) => false,
            Some(Value::String(id)) => !id.is_empty(),
            Some(_) => {
                self.fail("template_id", "The template_id must be a string.");
                false
            }
        }
    }

    fn texts(&mut self, object: &Object, name: &str, field: &str) {
        match object.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (key, _) in map.iter().filter(|(_, value)| !value.is_string()) {
                    self.fail(
                        &format!("{field}.{key}"),
                        format!("The {name} values must be strings."),
                    );
                }
            }
            Some(_) => {
                self.fail(field, format!("The {name} parameter must be an object of strings."))
            }
        }
    }

    fn custom_args(&mut self, object: &Object, field: &str) {
        self.texts(object, "custom_args", field);
        let Some(map) = object.get("custom_args").and_then(Value::as_object) else { return };
        let bytes: usize =
            map.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if bytes > CUSTOM_ARGS_BYTES_MAX {
            self.fail(
                field,
                "The combined size of custom_args cannot be larger than 10,000 bytes.",
            );
        }
    }

    fn send_at(&mut self, object: &Object, field: &str) {
        match object.get("send_at") {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64() {
                Some(at) if at.saturating_sub(self.now.as_seconds()) > SCHEDULE_MAX => {
                    self.fail(field, "Scheduling more than 72 hours in advance is forbidden.");
                }
                Some(_) => {}
                None => self.fail(field, "The send_at parameter is expecting a Unix timestamp as an integer. We will send immediately if you include a send_at timestamp that is in the past."),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fine() -> Value {
        json!({
            "personalizations": [{"to": [{"email": "a@example.com"}]}],
            "from": {"email": "b@example.com", "name": "B"},
            "subject": "Hi",
            "content": [{"type": "text/plain", "value": "Hello"}],
        })
    }

    fn check(body: &Value) -> Vec<(String, String)> {
        match letter(body.as_object().unwrap(), Timestamp::from_seconds(1_000_000)) {
            Ok(_) => Vec::new(),
            Err(fault) => fault
                .items
                .into_iter()
                .map(|item| (item.field.unwrap_or_default(), item.message))
                .collect(),
        }
    }

    #[test]
    fn each_rule_names_its_field() {
        assert_eq!(check(&fine()), []);
        let many: Vec<_> =
            (0..1001).map(|at| json!({"email": format!("a{at}@example.com")})).collect();
        for (pointer, value, field, words) in [
            ("/personalizations", json!([]), "personalizations", "at least one personalization"),
            ("/personalizations", json!(null), "personalizations", "is required"),
            ("/personalizations/0/to", json!([]), "personalizations.0.to", "to array is required"),
            (
                "/personalizations/0/to/0/email",
                json!("x"),
                "personalizations.0.to.0.email",
                "Does not contain a valid address.",
            ),
            (
                "/personalizations/0/to",
                json!(many),
                "personalizations",
                "limit of 1000 total recipients",
            ),
            (
                "/personalizations/0/cc",
                json!([{"email": "A@example.com"}]),
                "personalizations.0",
                "first duplicate instance of [A@example.com] in the personalizations.0.cc",
            ),
            ("/personalizations/0/cc", json!(5), "personalizations.0.cc", "array"),
            (
                "/personalizations/0/headers",
                json!({"To": "x"}),
                "personalizations.0.headers.To",
                "reserved keys",
            ),
            (
                "/personalizations/0/headers",
                json!({"X-A": "b\r\nBcc: c"}),
                "personalizations.0.headers.X-A",
                "CR, LF",
            ),
            (
                "/personalizations/0/headers",
                json!({"X A": "b"}),
                "personalizations.0.headers",
                "without spaces",
            ),
            (
                "/personalizations/0/send_at",
                json!("soon"),
                "personalizations.0.send_at",
                "expecting a Unix timestamp",
            ),
            (
                "/personalizations/0/custom_args",
                json!({"a": 1}),
                "personalizations.0.custom_args.a",
                "must be strings",
            ),
            (
                "/personalizations/0/subject",
                json!(""),
                "personalizations.0.subject",
                "at least one character",
            ),
            ("/from", json!(null), "from", "The from object must be provided"),
            ("/from/email", json!("b@example.com\nBcc: c@x.org"), "from.email", "valid address"),
            ("/from/name", json!("B\r\nX: y"), "from.name", "CR, LF"),
            ("/reply_to", json!({"name": "x"}), "reply_to.email", "valid address"),
            ("/subject", json!("a\r\nBcc: c@x.org"), "subject", "CR, LF"),
            ("/subject", json!(null), "subject", "The subject is required."),
            ("/content", json!([]), "content", "Unless a valid template_id"),
            (
                "/content/0/value",
                json!(""),
                "content.0.value",
                "The content value must be a string",
            ),
            ("/content/0/type", json!("text/plain; charset=x"), "content.0.type", "';'"),
            (
                "/content",
                json!([{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "y"}]),
                "content",
                "RFC 1341",
            ),
            (
                "/attachments",
                json!([{"content": "%%%", "filename": "a"}]),
                "attachments.0.content",
                "base64",
            ),
            ("/attachments", json!([{"content": "YQ=="}]), "attachments.0.filename", "required"),
            (
                "/attachments",
                json!([{"content": "YQ==", "filename": "a\r\nb"}]),
                "attachments.0.filename",
                "CR or LF",
            ),
            (
                "/attachments",
                json!([{"content": "YQ==", "filename": "a", "disposition": "x"}]),
                "attachments.0.disposition",
                "You provided x",
            ),
            ("/categories", json!(["a", "a"]), "categories.1", "unique"),
            ("/categories", json!(vec!["x"; 11]), "categories", "limited to 10"),
            ("/send_at", json!(1_000_000 + 73 * 3600), "send_at", "72 hours"),
            ("/batch_id", json!(5), "batch_id", "must be a string"),
            ("/asm", json!({"group_id": "x"}), "asm.group_id", "integer"),
            (
                "/mail_settings",
                json!({"sandbox_mode": {"enable": "yes"}}),
                "mail_settings.sandbox_mode.enable",
                "The sandbox mode enable param should be a boolean value.",
            ),
            (
                "/mail_settings",
                json!({"bypass_list_management": {"enable": true}, "bypass_spam_management": {"enable": true}}),
                "mail_settings.bypass_list_management",
                "combined",
            ),
            (
                "/tracking_settings",
                json!({"click_tracking": {"enable": 1}}),
                "tracking_settings.click_tracking.enable",
                "boolean",
            ),
        ] {
            let mut body = fine();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let parent =
                if parent.is_empty() { &mut body } else { body.pointer_mut(parent).unwrap() };
            parent[name] = value;
            let found = check(&body);
            assert!(
                found.iter().any(|(at, why)| at == field && why.contains(words)),
                "{pointer}: {found:?}"
            );
        }
    }

    #[test]
    fn a_template_needs_no_content_and_takes_no_substitutions() {
        let mut body = fine();
        body["template_id"] = json!("d-1");
        body["content"] = json!(null);
        body["subject"] = json!(null);
        assert_eq!(check(&body), []);
        body["personalizations"][0]["substitutions"] = json!({"-a-": "b"});
        assert_eq!(check(&body)[0].0, "personalizations.0.substitutions");
    }

    #[test]
    fn anything_at_all_is_answered() {
        for value in [
            json!({}),
            json!({"personalizations": {}}),
            json!({"personalizations": [1, null, []], "from": []}),
            json!({"content": [1], "attachments": [null], "headers": [], "asm": 1, "categories": "x", "mail_settings": {"x": 1, "footer": 5}}),
        ] {
            assert!(!check(&value).is_empty());
        }
    }
}

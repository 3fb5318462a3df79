//! Mail that programs hand over by SMTP, with what `X-SMTPAPI` asks for (sendgrid §11).

use contracts::{BoxFuture, MailRelay, RelayRefusal, Unavailable};
use kernel::Sid;
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::{Email, check, key};

/// Recipients of one message: each is a personalization of its own.
const RECIPIENTS_MAX: usize = 1000;

/// The filters of `X-SMTPAPI`: their names, the settings they are, and how members are called.
type Filter = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);
const FILTERS: &[Filter] = &[
    ("clicktrack", "tracking_settings", "click_tracking", &[("enable_text", "enable_text")]),
    ("opentrack", "tracking_settings", "open_tracking", &[("replace", "substitution_tag")]),
    (
        "subscriptiontrack",
        "tracking_settings",
        "subscription_tracking",
        &[("text/plain", "text"), ("text/html", "html"), ("replace", "substitution_tag")],
    ),
    (
        "ganalytics",
        "tracking_settings",
        "ganalytics",
        &[
            ("utm_source", "utm_source"),
            ("utm_medium", "utm_medium"),
            ("utm_term", "utm_term"),
            ("utm_content", "utm_content"),
            ("utm_campaign", "utm_campaign"),
        ],
    ),
    ("footer", "mail_settings", "footer", &[("text/plain", "text"), ("text/html", "html")]),
    ("bypass_list_management", "mail_settings", "bypass_list_management", &[]),
    ("bypass_spam_management", "mail_settings", "bypass_spam_management", &[]),
    ("bypass_bounce_management", "mail_settings", "bypass_bounce_management", &[]),
    ("bypass_unsubscribe_management", "mail_settings", "bypass_unsubscribe_management", &[]),
];

/// Header lines that the platform writes itself.
const OWN: [&str; 14] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "reply-to",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "x-smtpapi",
    "received",
    "dkim-signature",
];

/// The value of a header with its lines joined; the first where there are several.
fn header(headers: &str, name: &str) -> Option<String> {
    let mut lines = headers.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((known, value)) = line.split_once(':') else { continue };
        let mut value = value.trim().to_owned();
        while let Some(more) = lines.peek().filter(|line| line.starts_with([' ', '\t'])) {
            value.push(' ');
            value.push_str(more.trim());
            lines.next();
        }
        if known.eq_ignore_ascii_case(name) {
            return Some(value);
        }
    }
    None
}

/// Further headers that the message has, as `mail/send` takes them.
fn own_headers(headers: &str) -> Map<String, Value> {
    let names = headers
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'));
    names
        .map(|(name, _)| name.trim())
        .filter(|name| !OWN.contains(&name.to_ascii_lowercase().as_str()))
        .filter_map(|name| Some((name.to_owned(), header(headers, name)?.into())))
        .collect()
}

/// `Name <address>` as a person.
fn person(text: &str) -> Value {
    match text.rsplit_once('<') {
        Some((name, rest)) => {
            json!({"name": name.trim().trim_matches('"'), "email": rest.split('>').next().unwrap_or_default().trim()})
        }
        None => json!({"email": text.trim()}),
    }
}

/// The request of `mail/send` that a message means; the error is what the client is told.
fn request(recipients: &[String], message: &[u8]) -> Result<Value, String> {
    let read = mail::read(message).ok_or("the message has no headers")?;
    let api = header(&read.headers, "x-smtpapi").unwrap_or_else(|| "{}".to_owned());
    let api: Value = serde_json::from_str(&api).map_err(|_| "Invalid SMTPAPI header")?;
    let api = api.as_object().ok_or("Invalid SMTPAPI header")?;
    let mut to: Vec<Value> = recipients.iter().map(|email| json!({"email": email})).collect();
    if let Some(all) = api.get("to").and_then(Value::as_array) {
        to = all.iter().filter_map(Value::as_str).map(person).collect();
    }
    if to.len() > RECIPIENTS_MAX {
        return Err(format!("a message has at most {RECIPIENTS_MAX} recipients"));
    }
    let each_at = api.get("send_each_at").and_then(Value::as_array);
    if each_at.is_some() && api.contains_key("send_at") {
        return Err("Invalid SMTPAPI header: send_at and send_each_at exclude each other".into());
    }
    let mut parts = Vec::with_capacity(to.len());
    for (at, one) in to.into_iter().enumerate() {
        let mut part = json!({"to": [one]});
        let mut substitutions = Map::new();
        for (tag, values) in api.get("sub").and_then(Value::as_object).into_iter().flatten() {
            let value = values.as_array().and_then(|values| values.get(at)).map(text_of);
            substitutions.insert(tag.clone(), value.unwrap_or_default().into());
        }
        if !substitutions.is_empty() {
            part["substitutions"] = Value::Object(substitutions);
        }
        if let Some(at) = each_at.and_then(|all| all.get(at)) {
            part["send_at"] = at.clone();
        }
        parts.push(part);
    }
    let mut body =
        json!({"personalizations": parts, "from": person(&read.from), "subject": read.subject});
    if let Some(reply_to) = header(&read.headers, "reply-to") {
        body["reply_to"] = person(&reply_to);
    }
    body["headers"] = Value::Object(own_headers(&read.headers));
    let mut content = Vec::new();
    for (kind, text) in [("text/plain", &read.text), ("text/html", &read.html)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            content.push(json!({"type": kind, "value": text}));
        }
    }
    if content.is_empty() {
        content.push(json!({"type": "text/plain", "value": " "}));
    }
    body["content"] = content.into();
    let files: Vec<_> = read.parts.iter().map(attached).collect();
    if !files.is_empty() {
        body["attachments"] = files.into();
    }
    take_api(&mut body, api);
    Ok(body)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn attached(part: &mail::Part) -> Value {
    use base64::Engine;
    let mut json = json!({
        "content": base64::engine::general_purpose::STANDARD.encode(&part.bytes),
        "filename": part.filename.replace(['\r', '\n'], " "), "type": part.content_type,
        "disposition": if part.is_inline { "inline" } else { "attachment" },
    });
    if let Some(id) = &part.content_id {
        json["content_id"] = id.as_str().into();
    }
    json
}

/// What `X-SMTPAPI` says beside the recipients.
fn take_api(body: &mut Value, api: &Map<String, Value>) {
    let texts = |map: &Map<String, Value>| -> Value {
        map.iter()
            .map(|(name, value)| (name.clone(), text_of(value).into()))
            .collect::<Map<_, _>>()
            .into()
    };
    match api.get("category") {
        Some(Value::String(one)) => {
            body["categories"] = json!([one]);
            body["one_category"] = true.into();
        }
        Some(all @ Value::Array(_)) => body["categories"] = all.clone(),
        _ => {}
    }
    for (theirs, ours) in [("section", "sections"), ("unique_args", "custom_args")] {
        if let Some(map) = api.get(theirs).and_then(Value::as_object) {
            body[ours] = texts(map);
        }
    }
    for (theirs, ours) in
        [("send_at", "send_at"), ("batch_id", "batch_id"), ("ip_pool", "ip_pool_name")]
    {
        if let Some(value) = api.get(theirs) {
            body[ours] = value.clone();
        }
    }
    if let Some(group) = api.get("asm_group_id") {
        body["asm"] = json!({"group_id": group});
        if let Some(shown) = api.get("asm_groups_to_display") {
            body["asm"]["groups_to_display"] = shown.clone();
        }
    }
    for (name, filter) in api.get("filters").and_then(Value::as_object).into_iter().flatten() {
        let settings = &filter["settings"];
        if name == "templates" {
            if let Some(id) = settings.get("template_id") {
                body["template_id"] = id.clone();
            }
            continue;
        }
        let Some((_, group, setting, members)) = FILTERS.iter().find(|(known, ..)| known == name)
        else {
            continue;
        };
        let is_on =
            |value: &Value| *value == json!(1) || *value == json!("1") || *value == json!(true);
        let mut own = json!({"enable": is_on(&settings["enable"])});
        for (theirs, ours) in *members {
            if let Some(value) = settings.get(*theirs) {
                own[*ours] =
                    if *ours == "enable_text" { is_on(value).into() } else { value.clone() };
            }
        }
        body[*group][*setting] = own;
    }
}

impl MailRelay for Email {
    fn login<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>> {
        Box::pin(async move {
            let caller = key::by_key(self, key)
                .await
                .map_err(|fault| Unavailable(format!("{:?}", fault.status)))?;
            Ok(caller.filter(|caller| caller.may("mail.send").is_ok()).map(|caller| caller.account))
        })
    }

    // Differs: an `X-SMTPAPI` that cannot be read is refused when the message is handed over.
    fn relay<'a>(
        &'a self,
        account: Sid,
        recipients: &'a [String],
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<String, RelayRefusal>> {
        Box::pin(async move {
            let body = request(recipients, message).map_err(RelayRefusal::Refused)?;
            let store = self.parts.store.account(account);
            let told = |fault: Fault| match fault.status {
                503 => RelayRefusal::Busy(Unavailable("try again".into())),
                _ => RelayRefusal::Refused(fault.items.first().map_or_else(String::new, |item| {
                    match &item.field {
                        Some(field) => format!("{field}: {}", item.message),
                        None => item.message.clone(),
                    }
                })),
            };
            let empty = Map::new();
            let letter = check::letter(body.as_object().unwrap_or(&empty), self.parts.clock.now())
                .map_err(told)?;
            self.check_state(&store, &letter).await.map_err(told)?;
            self.accept(&store, &letter, None).await.map_err(|error| told(error.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_its_header_becomes_a_request() {
        let message = b"From: \"Bo\" <b@example.com>\r\nTo: x@example.com\r\nSubject: Hi -name-\r\nX-Own: yes\r\n\
            X-SMTPAPI: {\"to\": [\"Ann <a@example.com>\", \"c@example.com\"], \"sub\": {\"-name-\":\r\n\
            \x20[\"Ann\", \"Cy\"]}, \"category\": \"news\", \"unique_args\": {\"n\": 5}, \"filters\": {\"clicktrack\":\r\n\
            \x20{\"settings\": {\"enable\": 0}}}}\r\nContent-Type: text/html\r\n\r\n<p>-name-</p>\r\n";
        let body = request(&["x@example.com".into()], message).unwrap();
        assert_eq!(
            body["personalizations"][0]["to"][0],
            json!({"name": "Ann", "email": "a@example.com"})
        );
        assert_eq!(body["personalizations"][1]["substitutions"]["-name-"], "Cy");
        assert_eq!(
            (&body["categories"], &body["custom_args"]["n"]),
            (&json!(["news"]), &json!("5"))
        );
        assert_eq!(body["tracking_settings"]["click_tracking"]["enable"], false);
        assert_eq!(body["headers"], json!({"X-Own": "yes"}));
        assert_eq!(body["from"], json!({"name": "Bo", "email": "b@example.com"}));
        assert_eq!(request(&[], b"X-SMTPAPI: {x\r\n\r\n").unwrap_err(), "Invalid SMTPAPI header");
        assert_eq!(request(&[], b"X-SMTPAPI: []\r\n\r\n").unwrap_err(), "Invalid SMTPAPI header");
    }
}

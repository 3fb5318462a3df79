//! A message as the Cloud API wants it: pure (whatsapp-content §9).

use contracts::OutboundMessage;
use serde_json::{Map, Value, json};
use template::{Button, Header, Slide, TemplateUse, WhatsAppMessage};

/// A message that the Cloud API has no form for: 63021.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// The JSON of a request to send.
pub(crate) fn request(message: &OutboundMessage) -> Result<Value, Unsupported> {
    let to = message.to.trim_start_matches("whatsapp:");
    let mut request = Map::new();
    for (name, value) in
        [("messaging_product", "whatsapp"), ("recipient_type", "individual"), ("to", to)]
    {
        request.insert(name.into(), value.into());
    }
    let (kind, content) = content(message)?;
    request.insert("type".into(), kind.into());
    request.insert(kind.into(), content);
    Ok(Value::Object(request))
}

fn content(message: &OutboundMessage) -> Result<(&'static str, Value), Unsupported> {
    if let Some(rich) = &message.rich {
        let rich: WhatsAppMessage = serde_json::from_str(rich).map_err(|_| Unsupported)?;
        return from_template(&rich);
    }
    match &message.media[..] {
        [] => Ok(("text", json!({"body": message.body, "preview_url": true}))),
        // One is what a message holds; Messaging sends no more on this channel.
        [media, ..] => Ok(with_media(&media.content_type, &media.url, &message.body)),
    }
}

fn with_media(content_type: &str, url: &str, caption: &str) -> (&'static str, Value) {
    let mut media = json!({"link": url});
    let kind = kind_of(content_type);
    if kind != "audio" && kind != "sticker" && !caption.is_empty() {
        media["caption"] = caption.into();
    }
    (kind, media)
}

/// What Meta calls media of this type.
fn kind_of(content_type: &str) -> &'static str {
    match content_type.split('/').next().unwrap_or_default() {
        "image" if content_type.starts_with("image/webp") => "sticker",
        "image" => "image",
        "video" => "video",
        "audio" => "audio",
        _ => "document",
    }
}

/// What an address is of that has no type: what its ending says.
fn kind_of_url(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mp4" | "3gp" => "video",
        "pdf" | "doc" | "docx" | "xls" | "xlsx" | "txt" => "document",
        _ => "image",
    }
}

fn from_template(rich: &WhatsAppMessage) -> Result<(&'static str, Value), Unsupported> {
    if let Some(template) = &rich.template {
        return Ok(("template", approved(rich, template)));
    }
    let action = match (&rich.list, &rich.buttons[..]) {
        _ if !rich.carousel.is_empty() => return Err(Unsupported),
        (Some(list), _) => {
            let rows = list.rows.iter().map(|row| {
                let mut told = json!({"id": row.id, "title": row.title});
                if !row.description.is_empty() {
                    told["description"] = row.description.as_str().into();
                }
                told
            });
            let rows: Vec<Value> = rows.collect();
            let sections = json!([{"title": list.button, "rows": rows}]);
            Some(("list", json!({"button": list.button, "sections": sections})))
        }
        (None, []) => None,
        (None, [Button::Url { title, url, .. }]) => {
            let parameters = json!({"display_text": title, "url": url});
            Some(("cta_url", json!({"name": "cta_url", "parameters": parameters})))
        }
        (None, buttons) => {
            let replies: Option<Vec<_>> = buttons
                .iter()
                .map(|button| match button {
                    Button::Reply { title, id } => {
                        Some(json!({"type": "reply", "reply": {"id": id, "title": title}}))
                    }
                    _ => None,
                })
                .collect();
            Some(("button", json!({"buttons": replies.ok_or(Unsupported)?})))
        }
    };
    match (action, &rich.header) {
        (Some((kind, action)), header) => {
            let mut interactive =
                json!({"type": kind, "body": {"text": rich.body}, "action": action});
            if let Some(footer) = &rich.footer {
                interactive["footer"] = json!({"text": footer});
            }
            if let Some(header) = header.as_ref().and_then(header_of) {
                interactive["header"] = header;
            }
            Ok(("interactive", interactive))
        }
        (None, Some(Header::Location { latitude, longitude, label, address })) => Ok((
            "location",
            json!({"latitude": latitude, "longitude": longitude, "name": label,
                   "address": address}),
        )),
        (None, Some(Header::Media { url })) => {
            let kind = kind_of_url(url);
            Ok((kind, json!({"link": url, "caption": rich.body})))
        }
        (None, _) => Ok(("text", json!({"body": rich.body, "preview_url": true}))),
    }
}

fn header_of(header: &Header) -> Option<Value> {
    match header {
        Header::Text { text } => Some(json!({"type": "text", "text": text})),
        Header::Media { url } => {
            let kind = kind_of_url(url);
            Some(json!({"type": kind, kind: {"link": url}}))
        }
        Header::Location { .. } => None,
    }
}

/// A template that Meta has approved, with what its blanks are filled with.
fn approved(rich: &WhatsAppMessage, template: &TemplateUse) -> Value {
    let mut components = Vec::new();
    match &rich.header {
        Some(Header::Location { latitude, longitude, label, address }) => {
            let place = json!({"latitude": latitude, "longitude": longitude, "name": label,
                               "address": address});
            let parameters = json!([{"type": "location", "location": place}]);
            components.push(json!({"type": "header", "parameters": parameters}));
        }
        // What a header says is part of the template.
        Some(Header::Text { .. }) | None => {}
        Some(header) => {
            components.push(json!({"type": "header", "parameters": [header_of(header)]}));
        }
    }
    let body: Vec<_> = template.body_parameters.iter().map(parameter).collect();
    if !body.is_empty() {
        components.push(json!({"type": "body", "parameters": body}));
    }
    components.extend(buttons_of(&rich.buttons));
    if !rich.carousel.is_empty() {
        let cards = rich.carousel.iter().enumerate().map(|(at, slide)| card(at, slide));
        components.push(json!({"type": "carousel", "cards": cards.collect::<Vec<_>>()}));
    }
    let language = json!({"code": template.language, "policy": "deterministic"});
    json!({"name": template.name, "language": language, "components": components})
}

fn parameter((name, value): &(String, String)) -> Value {
    match name.bytes().all(|b| b.is_ascii_digit()) {
        true => json!({"type": "text", "text": value}),
        false => json!({"type": "text", "parameter_name": name, "text": value}),
    }
}

/// The components of the buttons that take a parameter.
fn buttons_of(buttons: &[Button]) -> Vec<Value> {
    let component = |(at, button): (usize, &Button)| {
        let (sub_type, parameter) = match button {
            Button::Reply { id, .. } => ("quick_reply", json!({"type": "payload", "payload": id})),
            Button::Url { parameter: Some(text), .. } => {
                ("url", json!({"type": "text", "text": text}))
            }
            Button::CopyCode { code, .. } => {
                ("copy_code", json!({"type": "coupon_code", "coupon_code": code}))
            }
            Button::Flow { token, .. } => {
                ("flow", json!({"type": "action", "action": {"flow_token": token}}))
            }
            _ => return None,
        };
        Some(json!({"type": "button", "sub_type": sub_type, "index": at.to_string(),
                    "parameters": [parameter]}))
    };
    buttons.iter().enumerate().filter_map(component).collect()
}

fn card(at: usize, slide: &Slide) -> Value {
    let kind = kind_of_url(&slide.media);
    let header = json!({"type": "header",
                        "parameters": [{"type": kind, kind: {"link": slide.media}}]});
    let mut components = vec![header];
    components.extend(buttons_of(&slide.buttons));
    json!({"card_index": at, "components": components})
}

#[cfg(test)]
mod tests {
    use contracts::OutboundMedia;
    use kernel::Sid;
    use template::{List, Row};

    use super::*;

    fn plain(body: &str) -> OutboundMessage {
        OutboundMessage {
            account: Sid::from_parts("AC", 1),
            sid: Sid::from_parts("SM", 1),
            from: "whatsapp:+14155550190".into(),
            to: "whatsapp:+14155550111".into(),
            body: body.into(),
            segments: 1,
            media: Vec::new(),
            rich: None,
        }
    }

    fn rich(message: &WhatsAppMessage) -> OutboundMessage {
        OutboundMessage { rich: Some(serde_json::to_string(message).unwrap()), ..plain("") }
    }

    #[test]
    fn text_and_media_have_their_types() {
        let text = request(&plain("hi")).unwrap();
        assert_eq!(
            text,
            json!({"messaging_product": "whatsapp", "recipient_type": "individual",
                   "to": "+14155550111", "type": "text",
                   "text": {"body": "hi", "preview_url": true}})
        );
        for (content_type, kind, has_caption) in [
            ("image/jpeg", "image", true),
            ("image/webp", "sticker", false),
            ("video/mp4", "video", true),
            ("audio/ogg", "audio", false),
            ("application/pdf", "document", true),
        ] {
            let media = OutboundMedia {
                content_type: content_type.into(),
                url: "https://x.example/a".into(),
            };
            let sent = request(&OutboundMessage { media: vec![media], ..plain("look") }).unwrap();
            assert_eq!(sent["type"], kind);
            assert_eq!(sent[kind]["link"], "https://x.example/a");
            assert_eq!(sent[kind].get("caption").is_some(), has_caption, "{content_type}");
        }
    }

    #[test]
    fn what_can_be_tapped_is_interactive() {
        let reply = |id: &str| Button::Reply { title: id.to_uppercase(), id: id.to_owned() };
        let body = || WhatsAppMessage { body: "b".into(), ..WhatsAppMessage::default() };
        let buttons = WhatsAppMessage {
            buttons: vec![reply("yes"), reply("no")],
            footer: Some("f".into()),
            ..body()
        };
        let sent = request(&rich(&buttons)).unwrap();
        assert_eq!(sent["interactive"]["type"], "button");
        assert_eq!(sent["interactive"]["action"]["buttons"][1]["reply"]["id"], "no");
        assert_eq!(sent["interactive"]["footer"]["text"], "f");
        let row = Row { id: "am".into(), title: "Morning".into(), description: String::new() };
        let list = WhatsAppMessage {
            list: Some(List { button: "Choose".into(), rows: vec![row] }),
            ..body()
        };
        let sent = request(&rich(&list)).unwrap();
        let rows = &sent["interactive"]["action"]["sections"][0]["rows"];
        assert_eq!(*rows, json!([{"id": "am", "title": "Morning"}]));
        let mixed = WhatsAppMessage {
            buttons: vec![reply("yes"), Button::Call { title: "Call".into() }],
            ..body()
        };
        assert_eq!(request(&rich(&mixed)), Err(Unsupported));
    }

    #[test]
    fn an_approved_template_is_named_and_filled() {
        let template = TemplateUse {
            name: "reminder".into(),
            language: "en".into(),
            body_parameters: vec![("1".into(), "Ada".into()), ("when".into(), "noon".into())],
        };
        let message = WhatsAppMessage {
            body: "Ada at noon".into(),
            header: Some(Header::Media { url: "https://x.example/a.pdf".into() }),
            buttons: vec![
                Button::Phone { title: "Call".into(), phone: "+1".into() },
                Button::Reply { title: "Yes".into(), id: "yes".into() },
            ],
            template: Some(template),
            ..WhatsAppMessage::default()
        };
        let sent = request(&rich(&message)).unwrap();
        assert_eq!(sent["type"], "template");
        assert_eq!(sent["template"]["language"]["code"], "en");
        let components = &sent["template"]["components"];
        assert_eq!(components[0]["parameters"][0]["document"]["link"], "https://x.example/a.pdf");
        assert_eq!(
            components[1]["parameters"],
            json!([{"type": "text", "text": "Ada"},
                   {"type": "text", "parameter_name": "when", "text": "noon"}])
        );
        assert_eq!(
            components[2],
            json!({"type": "button", "sub_type": "quick_reply", "index": "1",
                   "parameters": [{"type": "payload", "payload": "yes"}]})
        );
    }
}

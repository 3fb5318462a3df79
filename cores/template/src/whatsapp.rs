//! A message as WhatsApp shows it (whatsapp-content §1, §3, §4).

use serde::{Deserialize, Serialize};

use crate::content::{Action, ActionKind, Card, Content, WhatsAppCard};
use crate::model::Channel;
use crate::variables::blanks;
use crate::{Fault, Kind, Template, Values, placeholders};

/// Characters of a body with anything around it, and of one that was approved.
const BODY_MAX: usize = 1024;
/// Characters of a body alone.
const TEXT_MAX: usize = 1600;
/// Reply buttons that need no approval, and the characters of their titles.
const SESSION_BUTTONS_MAX: usize = 3;
const SESSION_TITLE_MAX: usize = 20;
/// Characters of a one-time code.
const CODE_MAX: usize = 15;

/// What a handset, a console or a carrier of WhatsApp needs to know of a message. What is not
/// there is left out of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhatsAppMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<List>,
    /// Cards side by side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub carousel: Vec<Slide>,
    /// Sent as a template that was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateUse>,
}

/// What stands above the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Header {
    Text { text: String },
    Media { url: String },
    Location { latitude: f64, longitude: f64, label: String, address: String },
}

/// A button under the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Button {
    /// Comes back as `ButtonText` and `ButtonPayload`.
    Reply {
        title: String,
        id: String,
    },
    Url {
        title: String,
        url: String,
        /// What the variable at the URL's end was filled with.
        #[serde(skip_serializing_if = "Option::is_none")]
        parameter: Option<String>,
    },
    Phone {
        title: String,
        phone: String,
    },
    CopyCode {
        title: String,
        code: String,
    },
    Call {
        title: String,
    },
    Catalog {
        id: String,
        items: Vec<String>,
    },
    Flow {
        title: String,
        flow_id: Option<String>,
        token: String,
        first_page: String,
    },
}

/// A list behind a button; one row can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    pub button: String,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub title: String,
    pub description: String,
}

/// One card of a carousel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slide {
    pub media: String,
    pub title: String,
    pub body: String,
    pub buttons: Vec<Button>,
}

/// The approved template that a message is an instance of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateUse {
    /// Under which it was approved.
    pub name: String,
    pub language: String,
    /// Placeholder and value, in the body's order, each once.
    pub body_parameters: Vec<(String, String)>,
}

/// What may be sent to this user now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The user wrote to this sender in the last 24 hours.
    pub is_window_open: bool,
    /// The name under which the template is approved.
    pub approved_as: Option<&'a str>,
}

/// The richest type that may be sent on these terms: the approved one at any time, one that
/// needs no approval while the window is open.
///
/// # Errors
/// 216602 when WhatsApp can show none of the types; 63016 when what it can show needs an
/// approval or an open window; 63028 when a parameter of an approved template has no value;
/// 63021 when a filled text is too long; 21656 when a value breaks the type or a line.
///
/// Differs: all of them are decided here; Twilio reports some only when the channel has.
pub fn whatsapp_message(
    template: &Template,
    values: &Values,
    terms: Terms<'_>,
) -> Result<WhatsAppMessage, Fault> {
    let approved = terms.approved_as.and(template.reviewed_kind());
    let session = template
        .kinds()
        .into_iter()
        .rev()
        .find(|kind| terms.is_window_open && needs_no_approval(template, *kind));
    let Some(kind) = approved.max(session) else {
        return Err(refusal(template));
    };
    let mut message = shown(template.filled(kind, values)?, template, kind, values)?;
    if approved == Some(kind) {
        values.check_for_whatsapp()?;
        message.template = Some(use_of(template, kind, values, terms.approved_as)?);
    }
    let alone = matches!(kind, Kind::Text | Kind::Media) && message.template.is_none();
    let (length, max) = (message.body.chars().count(), if alone { TEXT_MAX } else { BODY_MAX });
    if length > max {
        let why = format!("The filled body has {length} characters; at most {max}");
        return Err(Fault::new(63021, why));
    }
    Ok(message)
}

fn refusal(template: &Template) -> Fault {
    if template.kinds().into_iter().any(|kind| kind.is_for(Channel::WhatsApp)) {
        let why = "The template needs an approval, or a message of the user in the last 24 hours";
        return Fault::new(63016, why);
    }
    let names: Vec<&str> = template.types().keys().map(String::as_str).collect();
    Fault::new(216602, format!("WhatsApp cannot show {}", names.join(", ")))
}

/// Whether an answer within 24 hours may have this form without a review.
fn needs_no_approval(template: &Template, kind: Kind) -> bool {
    let few = |actions: &[Action]| {
        actions.len() <= SESSION_BUTTONS_MAX
            && actions.iter().all(|action| {
                action.kind == ActionKind::QuickReply
                    && action.title.chars().count() <= SESSION_TITLE_MAX
            })
    };
    match template.written(kind) {
        Some(
            Content::Text(_)
            | Content::Media(_)
            | Content::Location(_)
            | Content::ListPicker(_)
            | Content::Catalog(_)
            | Content::WhatsAppFlows(_),
        ) => true,
        Some(Content::QuickReply(reply)) => few(&reply.actions),
        Some(Content::Card(card)) => few(&card.actions),
        Some(Content::WhatsAppCard(card)) => few(&card.actions),
        _ => false,
    }
}

fn use_of(
    template: &Template,
    kind: Kind,
    values: &Values,
    name: Option<&str>,
) -> Result<TemplateUse, Fault> {
    let values = values.or(template.samples());
    for blank in template.texts(kind).into_iter().flat_map(placeholders) {
        if values.get(blank).is_none() {
            let why = format!("The template's parameter {{{{{blank}}}}} has no value");
            return Err(Fault::new(63028, why));
        }
    }
    let mut body_parameters: Vec<(String, String)> = Vec::new();
    for blank in placeholders(&body_of(template, kind)) {
        if body_parameters.iter().all(|(known, _)| known != blank) {
            let value = values.get(blank).unwrap_or_default();
            body_parameters.push((blank.to_owned(), value.to_owned()));
        }
    }
    Ok(TemplateUse {
        name: name.unwrap_or_default().to_owned(),
        language: template.language().to_owned(),
        body_parameters,
    })
}

/// What WhatsApp reviews as the body, as it is written.
pub(crate) fn body_of(template: &Template, kind: Kind) -> String {
    match template.written(kind) {
        Some(Content::Text(text)) => text.body,
        Some(Content::Media(media)) => media.body,
        Some(Content::ListPicker(list)) => list.body,
        Some(Content::CallToAction(content) | Content::QuickReply(content)) => content.body,
        Some(Content::Card(card)) => card.title,
        Some(Content::Catalog(catalog)) => catalog.body,
        Some(Content::Carousel(carousel)) => carousel.body,
        Some(Content::Flows(flows)) => flows.body,
        Some(Content::WhatsAppCard(card)) => card.body,
        Some(Content::WhatsAppFlows(flows)) => flows.body,
        Some(Content::Authentication(_)) => "{{1}} is your verification code.".to_owned(),
        Some(Content::Location(_) | Content::Schedule(_) | Content::Unknown) | None => {
            String::new()
        }
    }
}

fn shown(
    content: Content,
    template: &Template,
    kind: Kind,
    values: &Values,
) -> Result<WhatsAppMessage, Fault> {
    let values = values.or(template.samples());
    let plain = |body: String| WhatsAppMessage { body, ..WhatsAppMessage::default() };
    let full =
        |header, body, footer, buttons| WhatsAppMessage { header, footer, buttons, ..plain(body) };
    Ok(match content {
        Content::Text(text) => plain(text.body),
        Content::Media(media) => full(first_media(media.media), media.body, None, Vec::new()),
        Content::Location(place) => {
            let (latitude, longitude) = place.degrees().ok_or_else(|| {
                Fault::new(21656, "The latitude or longitude is none when it is filled")
            })?;
            let (label, address) = (place.label.clone(), place.address);
            let header = Header::Location { latitude, longitude, label, address };
            full(Some(header), place.label, None, Vec::new())
        }
        Content::ListPicker(list) => {
            let rows = list.items.into_iter().map(|item| Row {
                id: item.id,
                title: item.item,
                description: item.description,
            });
            let rows = rows.collect();
            WhatsAppMessage { list: Some(List { button: list.button, rows }), ..plain(list.body) }
        }
        Content::CallToAction(filled) | Content::QuickReply(filled) => {
            let written = match template.written(kind) {
                Some(Content::CallToAction(written) | Content::QuickReply(written)) => {
                    written.actions
                }
                _ => Vec::new(),
            };
            full(None, filled.body, None, buttons(filled.actions, &written, &values))
        }
        Content::Card(Card { title, subtitle, media, actions }) => {
            let written = match template.written(kind) {
                Some(Content::Card(written)) => written.actions,
                _ => Vec::new(),
            };
            let buttons = buttons(actions, &written, &values);
            full(first_media(media), title, some(subtitle), buttons)
        }
        Content::WhatsAppCard(WhatsAppCard { body, header_text, footer, media, actions }) => {
            let written = match template.written(kind) {
                Some(Content::WhatsAppCard(written)) => written.actions,
                _ => Vec::new(),
            };
            let header = some(header_text).map(|text| Header::Text { text });
            let buttons = buttons(actions, &written, &values);
            full(header.or(first_media(media)), body, some(footer), buttons)
        }
        Content::Catalog(catalog) => {
            let header = some(catalog.title).map(|text| Header::Text { text });
            let items = catalog.items.into_iter().map(|item| item.id).collect();
            let buttons = vec![Button::Catalog { id: catalog.id, items }];
            full(header, catalog.body, some(catalog.subtitle), buttons)
        }
        Content::Carousel(carousel) => {
            let written = match template.written(kind) {
                Some(Content::Carousel(written)) => written.cards,
                _ => Vec::new(),
            };
            let slides = carousel.cards.into_iter().zip(written).map(|(card, written)| Slide {
                media: card.media,
                title: card.title,
                body: card.body,
                buttons: buttons(card.actions, &written.actions, &values),
            });
            WhatsAppMessage { carousel: slides.collect(), ..plain(carousel.body) }
        }
        Content::Flows(flows) => {
            let first_page = flows.pages.first().map(|page| page.id.clone()).unwrap_or_default();
            let (title, token) = (flows.button_text, String::new());
            let flow = Button::Flow { title, flow_id: None, token, first_page };
            full(first_media([flows.media_url]), flows.body, some(flows.subtitle), vec![flow])
        }
        Content::WhatsAppFlows(flows) => {
            let flow = Button::Flow {
                title: flows.button_text,
                flow_id: Some(flows.flow_id),
                token: flows.flow_token,
                first_page: flows.flow_first_page_id,
            };
            full(first_media([flows.media_url]), flows.body, some(flows.subtitle), vec![flow])
        }
        Content::Authentication(login) => {
            let Some(code) = values.get("1") else {
                return Err(Fault::new(63028, "Variable 1, the code, has no value"));
            };
            if code.chars().count() > CODE_MAX {
                let why = format!("Variable 1, the code, has more than {CODE_MAX} characters");
                return Err(Fault::new(21656, why));
            }
            let mut body = format!("{code} is your verification code.");
            if login.add_security_recommendation {
                body.push_str(" For your security, do not share this code.");
            }
            let footer = login
                .code_expiration_minutes
                .map(|minutes| format!("This code expires in {minutes} minutes."));
            let buttons = login.actions.into_iter().map(|action| Button::CopyCode {
                title: action.copy_code_text,
                code: code.to_owned(),
            });
            full(None, body, footer, buttons.collect())
        }
        Content::Schedule(_) | Content::Unknown => return Err(refusal(template)),
    })
}

/// The actions as buttons; `written` are the same before they were filled.
fn buttons(filled: Vec<Action>, written: &[Action], values: &Values) -> Vec<Button> {
    let button = |(at, action): (usize, Action)| {
        let title = action.title;
        match action.kind {
            ActionKind::QuickReply => {
                let id = if action.id.is_empty() { title.clone() } else { action.id };
                Button::Reply { title, id }
            }
            ActionKind::Url => {
                let blank = written.get(at).and_then(|written| blanks(&written.url).next());
                let parameter = blank.and_then(|blank| values.get(blank.name));
                let parameter = parameter.map(str::to_owned);
                Button::Url { title, url: action.url, parameter }
            }
            ActionKind::PhoneNumber => Button::Phone { title, phone: action.phone },
            ActionKind::CopyCode => Button::CopyCode { title, code: action.code },
            ActionKind::VoiceCall | ActionKind::VoiceCallRequest => Button::Call { title },
        }
    };
    filled.into_iter().enumerate().map(button).collect()
}

/// WhatsApp carries one media in a message.
fn first_media(urls: impl IntoIterator<Item = String>) -> Option<Header> {
    let url = urls.into_iter().find(|url| !url.is_empty())?;
    Some(Header::Media { url })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const CLOSED: Terms<'_> = Terms { is_window_open: false, approved_as: None };
    const OPEN: Terms<'_> = Terms { is_window_open: true, approved_as: None };
    const APPROVED: Terms<'_> = Terms { is_window_open: false, approved_as: Some("order_1") };

    fn made(types: Json, values: &str, terms: Terms<'_>) -> Result<WhatsAppMessage, u32> {
        let template = Template::new("en", &json!({"1": "Owl"}), &types).unwrap();
        let values = Values::parse(values).unwrap();
        whatsapp_message(&template, &values, terms).map_err(|fault| fault.code)
    }

    fn replies(count: usize, title: usize) -> Json {
        let action = json!({"title": "t".repeat(title), "id": "yes"});
        json!({"twilio/quick-reply": {"body": "Hi {{1}}.", "actions": vec![action; count]}})
    }

    #[test]
    fn what_may_be_sent_depends_on_window_and_approval() {
        let call = json!({"twilio/call-to-action": {"body": "b", "actions": [
            {"type": "URL", "title": "Go", "url": "https://a.b/{{1}}"}]}});
        let list = json!({"twilio/list-picker": {"body": "b", "button": "c",
            "items": [{"id": "1", "item": "i"}]}});
        let text = json!({"twilio/text": {"body": "Hi {{1}}!"}});
        let card = json!({"body": "b", "media": "https://a.b/c", "actions": [{"title": "x"}]});
        let carousel = json!({"twilio/carousel": {"body": "b", "cards": [card, card]}});
        for (types, terms, expected) in [
            (&text, CLOSED, Err(63016)),
            (&text, OPEN, Ok(false)),
            (&text, APPROVED, Ok(true)),
            (&call, OPEN, Err(63016)),
            (&call, APPROVED, Ok(true)),
            (&carousel, OPEN, Err(63016)),
            (&carousel, APPROVED, Ok(true)),
            (&list, OPEN, Ok(false)),
            (&list, APPROVED, Err(63016)),
            (&replies(3, 20), OPEN, Ok(false)),
            (&replies(4, 20), OPEN, Err(63016)),
            (&replies(3, 21), OPEN, Err(63016)),
            (&replies(10, 25), APPROVED, Ok(true)),
            (
                &json!({"twilio/schedule": {"id": "i", "title": "t", "timeSlots": "x"}}),
                OPEN,
                Err(216602),
            ),
            (&json!({"twilio/pay": {}}), APPROVED, Err(216602)),
        ] {
            let found = made(types.clone(), "{}", terms).map(|made| made.template.is_some());
            assert_eq!(found, expected, "{types} {terms:?}");
        }
    }

    #[test]
    fn the_richest_form_wins() {
        let mut types = replies(2, 5);
        types["twilio/text"] = json!({"body": "plain"});
        let message = made(types.clone(), r#"{"1":"Ann"}"#, OPEN).unwrap();
        assert_eq!(message.body, "Hi Ann.");
        let reply = Button::Reply { title: "ttttt".into(), id: "yes".into() };
        assert_eq!(message.buttons, [reply.clone(), reply]);
    }

    #[test]
    fn an_approved_template_knows_its_parameters() {
        let types = json!({"twilio/call-to-action": {
            "body": "Hi {{1}}, {{2}} and {{1}}.",
            "actions": [{"type": "URL", "title": "Go", "url": "https://a.b/{{3}}"}]}});
        assert_eq!(made(types.clone(), r#"{"2":"b"}"#, APPROVED).map(|_| ()), Err(63028));
        assert_eq!(
            made(types.clone(), r#"{"2":"b\nc","3":"c"}"#, APPROVED).map(|_| ()),
            Err(21656)
        );
        let message = made(types, r#"{"2":"b","3":"c"}"#, APPROVED).unwrap();
        let template = message.template.clone().unwrap();
        assert_eq!((template.name.as_str(), template.language.as_str()), ("order_1", "en"));
        let pairs = [("1".to_owned(), "Owl".to_owned()), ("2".to_owned(), "b".to_owned())];
        assert_eq!(template.body_parameters, pairs);
        let url = Button::Url {
            title: "Go".into(),
            url: "https://a.b/c".into(),
            parameter: Some("c".into()),
        };
        assert_eq!(message.buttons, [url]);
        let json = serde_json::to_value(&message).unwrap();
        assert_eq!(json["buttons"][0]["type"], "url");
        assert_eq!(serde_json::from_value::<WhatsAppMessage>(json).unwrap(), message);
    }

    #[test]
    fn a_login_code_has_whatsapps_words() {
        let types = json!({"whatsapp/authentication": {"add_security_recommendation": true,
            "code_expiration_minutes": 5,
            "actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}});
        let message = made(types.clone(), r#"{"1":"123456"}"#, APPROVED).unwrap();
        assert!(message.body.starts_with("123456 is your verification code."));
        assert_eq!(message.footer.as_deref(), Some("This code expires in 5 minutes."));
        let long = r#"{"1":"1234567890123456"}"#;
        assert_eq!(made(types.clone(), long, APPROVED).map(|_| ()), Err(21656));
        assert_eq!(made(types, "{}", OPEN).map(|_| ()), Err(63016));
    }

    #[test]
    fn filled_bodies_have_their_limit() {
        let types = json!({"twilio/text": {"body": "Hi {{1}}!"}});
        let long = |length: usize| format!("{{\"1\":\"{}\"}}", "x".repeat(length));
        for (length, terms, fine) in [
            (1596, OPEN, true),
            (1597, OPEN, false),
            (1020, APPROVED, true),
            (1021, APPROVED, false),
        ] {
            let found = made(types.clone(), &long(length), terms).map(|_| ());
            assert_eq!(found, if fine { Ok(()) } else { Err(63021) }, "{length}");
        }
    }

    #[test]
    fn cards_places_and_lists_have_their_parts() {
        let card = json!({"twilio/card": {"title": "T", "subtitle": "S",
            "media": ["https://a.b/c.png"], "actions": [{"type": "QUICK_REPLY", "title": "Y"}]}});
        let message = made(card, "{}", OPEN).unwrap();
        assert_eq!((message.body.as_str(), message.footer.as_deref()), ("T", Some("S")));
        assert_eq!(message.header, Some(Header::Media { url: "https://a.b/c.png".into() }));
        let place = json!({"twilio/location": {"latitude": "{{1}}", "longitude": 2, "label": "L"}});
        assert_eq!(made(place.clone(), "{}", OPEN).map(|_| ()), Err(21656));
        let message = made(place, r#"{"1":"1.5"}"#, OPEN).unwrap();
        assert!(matches!(message.header, Some(Header::Location { latitude: 1.5, .. })));
    }
}

//! SMS and MMS (whatsapp-content §3).

use crate::model::Channel;
use crate::{Content, Fault, Template, Values};

/// What an SMS or MMS is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextMessage {
    pub body: String,
    /// URLs; with any it is an MMS.
    pub media: Vec<String>,
}

/// The richest type that SMS and MMS can show: media, else text. Everything else needs a
/// `twilio/text` beside it.
///
/// Differs: media is chosen before text whoever the sender is; one that cannot send MMS then
/// refuses the message.
///
/// # Errors
/// 216602 / 400 when the template has neither; 21656 / 400 when a value breaks the type.
pub fn text_message(template: &Template, values: &Values) -> Result<TextMessage, Fault> {
    for kind in template.kinds().into_iter().rev().filter(|kind| kind.is_for(Channel::Text)) {
        match template.filled(kind, values)? {
            Content::Media(media) => {
                return Ok(TextMessage { body: media.body, media: media.media });
            }
            Content::Text(text) => return Ok(TextMessage { body: text.body, media: Vec::new() }),
            _ => {}
        }
    }
    let names: Vec<&str> = template.types().keys().map(String::as_str).collect();
    let why = format!("SMS and MMS cannot show {}: add twilio/text", names.join(", "));
    Err(Fault::new(216602, why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn sent(types: Json, values: &str) -> Result<(String, usize), u32> {
        let template = Template::new("en", &json!({"1": "Owl", "2": ""}), &types).unwrap();
        let values = Values::parse(values).unwrap();
        let message = text_message(&template, &values).map_err(|fault| fault.code)?;
        Ok((message.body, message.media.len()))
    }

    #[test]
    fn text_and_media_go_and_the_rest_needs_text() {
        let text = json!({"body": "Hi {{1}} {{2}}"});
        let media = json!({"body": "See {{1}}", "media": ["https://a.b/{{1}}.png"]});
        let replies = json!({"body": "Q", "actions": [{"title": "Yes"}]});
        let place = json!({"latitude": 1, "longitude": 2});
        for (types, values, expected) in [
            (json!({"twilio/text": text}), "{}", Ok(("Hi Owl {{2}}".to_owned(), 0))),
            (json!({"twilio/text": text}), r#"{"1":"A","2":"B"}"#, Ok(("Hi A B".into(), 0))),
            (json!({"twilio/text": text, "twilio/media": media}), "{}", Ok(("See Owl".into(), 1))),
            (
                json!({"twilio/text": text, "twilio/quick-reply": replies}),
                "{}",
                Ok(("Hi Owl {{2}}".into(), 0)),
            ),
            (json!({"twilio/quick-reply": replies}), "{}", Err(216602)),
            (json!({"twilio/location": place}), "{}", Err(216602)),
            (json!({"twilio/pay": {}}), "{}", Err(216602)),
        ] {
            assert_eq!(sent(types.clone(), values), expected, "{types} {values}");
        }
    }
}

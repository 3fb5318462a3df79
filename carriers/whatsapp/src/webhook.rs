//! What Meta calls the webhook with: statuses, and what people send (whatsapp-content §10).

use contracts::{InboundMedia, InboundMessage, InboundOutcome, Place, Receipt, Tap, Unavailable};
use outbound::{Method, RawRequest};
use serde_json::Value;

use crate::{Ours, WhatsApp, noted, outcome};

const MEDIA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a call was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookError {
    /// Its signature is not the app's, or its token not ours: 403.
    Forged,
    /// It is no JSON of a WhatsApp Business account: 400.
    Malformed,
    /// Not now; Meta tries again: 503.
    Unavailable(Unavailable),
}

impl From<Unavailable> for WebhookError {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

impl WhatsApp {
    /// The challenge that proves to Meta that the webhook is ours.
    ///
    /// # Errors
    /// A token that is not the configured one.
    pub fn verify<'a>(
        &self,
        mode: &str,
        token: &str,
        challenge: &'a str,
    ) -> Result<&'a str, WebhookError> {
        let is_ours = signature::is_equal(token, &self.config.verify_token.0);
        (mode == "subscribe" && is_ours).then_some(challenge).ok_or(WebhookError::Forged)
    }

    /// One call, which may tell of many things; each is taken once, however often it is told.
    ///
    /// # Errors
    /// A signature that is not the app's; a body that is not what Meta sends; a store or a media
    /// that does not answer.
    pub async fn webhook(&self, body: &[u8], signature: &str) -> Result<(), WebhookError> {
        if !signature::validate_hub(&self.config.app_secret.0, body, signature) {
            return Err(WebhookError::Forged);
        }
        let json: Value = serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)?;
        if json["object"] != "whatsapp_business_account" {
            return Err(WebhookError::Malformed);
        }
        for change in each(&json["entry"]).flat_map(|entry| each(&entry["changes"])) {
            if change["field"] != "messages" {
                tracing::info!(field = %change["field"], "Meta tells of something else");
                continue;
            }
            let value = &change["value"];
            for status in each(&value["statuses"]) {
                self.status(status).await?;
            }
            for message in each(&value["messages"]) {
                self.inbound(value, message).await?;
            }
        }
        Ok(())
    }

    async fn status(&self, status: &Value) -> Result<(), Unavailable> {
        let theirs = status["id"].as_str().unwrap_or_default();
        let note = self.notes.get(&format!("theirs/{theirs}")).await.map_err(noted)?;
        // Of messages that were not sent from here, such statuses are not ours.
        let Some(ours) = note.and_then(|note| serde_json::from_str::<Ours>(&note).ok()) else {
            return Ok(());
        };
        let Some(status) = outcome::receipt(status) else { return Ok(()) };
        let done_at = self.now();
        let receipt = Receipt { account: ours.account, sid: ours.sid, status, done_at };
        self.sink().receipt(&receipt).await
    }

    async fn inbound(&self, value: &Value, message: &Value) -> Result<(), Unavailable> {
        let (Some(id), Some(from)) = (message["id"].as_str(), message["from"].as_str()) else {
            tracing::warn!("Meta tells of a message without id or number");
            return Ok(());
        };
        let Some(to) =
            value["metadata"]["phone_number_id"].as_str().and_then(|id| self.config.sender_of(id))
        else {
            tracing::warn!("Meta tells of a message to a number that is not configured");
            return Ok(());
        };
        let seen = format!("inbound/{id}");
        if self.notes.get(&seen).await.map_err(noted)?.is_some() {
            return Ok(());
        }
        let Some(mut said) = said(message) else {
            tracing::info!(kind = %message["type"], "a message of a kind that has no webhook");
            return Ok(());
        };
        if let Some(media) = media_id(message) {
            said.media.push(self.media(media).await?);
        }
        let contact = each(&value["contacts"]).find(|contact| contact["wa_id"] == from);
        let name = contact.and_then(|contact| contact["profile"]["name"].as_str());
        let inbound = InboundMessage {
            from: format!("whatsapp:+{}", from.trim_start_matches('+')),
            to,
            profile_name: name.map(str::to_owned),
            ..said
        };
        if self.sink().inbound(&inbound).await? == InboundOutcome::NoSuchNumber {
            tracing::warn!(to = %kernel::Redacted(&inbound.to),
                "Meta has a message for a sender that nobody has here");
        }
        self.notes.put(&seen, "1".to_owned()).await.map_err(noted)
    }

    /// The media of this id, fetched from Meta.
    async fn media(&self, id: &str) -> Result<InboundMedia, Unavailable> {
        let url = format!("{}/{id}", self.config.base_url);
        let (status, json) = self.ask(Method::Get, url, None).await?;
        let Some(url) = json["url"].as_str() else {
            return Err(Unavailable(format!("media {id}: answered {status} without a url")));
        };
        let mut request = RawRequest::new(Method::Get, url);
        request.headers = vec![self.authorization()];
        request.body_bytes_max = MEDIA_BYTES_MAX;
        let answer = self.client.raw(request).await;
        let answer = answer.map_err(|failure| Unavailable(failure.message))?;
        if answer.status != 200 {
            return Err(Unavailable(format!("media {id}: answered {}", answer.status)));
        }
        let content_type = json["mime_type"].as_str().unwrap_or("application/octet-stream");
        Ok(InboundMedia { content_type: content_type.to_owned(), bytes: answer.body })
    }
}

fn each(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}

const WITH_MEDIA: &[&str] = &["image", "video", "document", "sticker", "audio", "voice"];

fn media_id(message: &Value) -> Option<&str> {
    let kind = message["type"].as_str().filter(|kind| WITH_MEDIA.contains(kind))?;
    // It becomes part of a path.
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
    message[kind]["id"].as_str().filter(is_id)
}

/// What a message says; `None` for what no webhook of Twilio's tells of, such as a reaction.
fn said(message: &Value) -> Option<InboundMessage> {
    let text = |json: &Value| json.as_str().unwrap_or_default().to_owned();
    let kind = message["type"].as_str()?;
    let it = &message[kind];
    let said = |body: String| InboundMessage { body, ..InboundMessage::default() };
    let tapped = |title: &Value, payload: &Value, is_row| InboundMessage {
        tap: Some(Tap { text: text(title), payload: text(payload), is_row }),
        ..said(text(title))
    };
    match kind {
        "text" => Some(said(text(&it["body"]))),
        _ if WITH_MEDIA.contains(&kind) => Some(said(text(&it["caption"]))),
        "button" => Some(tapped(&it["text"], &it["payload"], false)),
        "interactive" => {
            let (reply, is_row) = match it["type"].as_str()? {
                "button_reply" => (&it["button_reply"], false),
                "list_reply" => (&it["list_reply"], true),
                _ => return None,
            };
            Some(tapped(&reply["title"], &reply["id"], is_row))
        }
        "location" => Some(InboundMessage {
            place: Some(Place {
                latitude: it["latitude"].as_f64()?,
                longitude: it["longitude"].as_f64()?,
                label: it["name"].as_str().map(str::to_owned),
                address: it["address"].as_str().map(str::to_owned),
            }),
            ..said(String::new())
        }),
        "contacts" => {
            Some(InboundMessage { media: each(it).map(card).collect(), ..said(String::new()) })
        }
        _ => None,
    }
}

/// A contact as a vCard.
fn card(contact: &Value) -> InboundMedia {
    // A line of a vCard ends where its value has an end of line.
    let plain = |json: &Value| json.as_str().unwrap_or_default().replace(['\r', '\n'], " ");
    let name = plain(&contact["name"]["formatted_name"]);
    let mut card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\n");
    for phone in each(&contact["phones"]) {
        card.push_str(&format!("TEL:{}\r\n", plain(&phone["phone"])));
    }
    for email in each(&contact["emails"]) {
        card.push_str(&format!("EMAIL:{}\r\n", plain(&email["email"])));
    }
    card.push_str("END:VCARD\r\n");
    InboundMedia { content_type: "text/vcard".to_owned(), bytes: card.into_bytes() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_says_what_it_can() {
        let of = |kind: &str, it: Value| said(&json!({"type": kind, kind: it}));
        assert_eq!(of("text", json!({"body": "hi"})).unwrap().body, "hi");
        assert_eq!(of("image", json!({"id": "1", "caption": "look"})).unwrap().body, "look");
        let button = of("button", json!({"text": "Yes", "payload": "y"})).unwrap();
        let tap = |is_row| Some(Tap { text: "Yes".into(), payload: "y".into(), is_row });
        assert_eq!((button.body.as_str(), button.tap), ("Yes", tap(false)));
        let row = json!({"type": "list_reply", "list_reply": {"id": "y", "title": "Yes"}});
        assert_eq!(of("interactive", row).unwrap().tap, tap(true));
        let place = json!({"latitude": 1.5, "longitude": -2.0, "name": "Pier"});
        assert_eq!(of("location", place).unwrap().place.unwrap().label.as_deref(), Some("Pier"));
        let contact = json!([{"name": {"formatted_name": "Ada\nB"}, "phones": [{"phone": "+1"}]}]);
        let card = String::from_utf8(of("contacts", contact).unwrap().media[0].bytes.clone());
        assert!(card.unwrap().contains("FN:Ada B\r\nTEL:+1\r\n"));
        for (kind, it) in [("reaction", json!({"emoji": "x"})), ("unsupported", json!({}))] {
            assert_eq!(of(kind, it), None, "{kind}");
        }
    }

    #[test]
    fn only_an_id_names_a_media() {
        let of = |id: &str| json!({"type": "image", "image": {"id": id}});
        assert_eq!(media_id(&of("123")), Some("123"));
        assert_eq!(media_id(&of("../1")), None);
        assert_eq!(media_id(&json!({"type": "text", "text": {"id": "1"}})), None);
    }
}

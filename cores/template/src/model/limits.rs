//! What each type may hold (whatsapp-content §3). Lengths are characters of what is written,
//! placeholders included.

use crate::content::{Action, ActionKind, Content, Location};
use crate::{Fault, placeholders};

const TEXT_MAX: usize = 1600;
const BODY_MAX: usize = 1024;
const FOOTER_MAX: usize = 60;
const BUTTON_TITLE_MAX: usize = 25;
const LIST_BUTTON_MAX: usize = 20;
const ITEM_MAX: usize = 24;
const ITEM_DESCRIPTION_MAX: usize = 72;
const ID_MAX: usize = 200;
const URL_MAX: usize = 2000;
const CARD_BODY_MAX: usize = 160;
const MEDIA_MAX: usize = 10;
const ACTIONS_MAX: usize = 10;
const LIST_ITEMS_MAX: usize = 10;
const CATALOG_ITEMS_MAX: usize = 30;
const PAGES_MAX: usize = 100;

use ActionKind::{CopyCode, PhoneNumber, QuickReply, Url, VoiceCall, VoiceCallRequest};

/// Holds a type to its limits.
///
/// # Errors
/// 20001 / 400 with the field that breaks one.
///
/// Differs: Twilio's code for a field beyond its limit is not documented; this is 20001.
pub(super) fn check(name: &str, content: &Content) -> Result<(), Fault> {
    let at = At(name);
    match content {
        Content::Text(text) => at.filled("body", &text.body, TEXT_MAX),
        Content::Media(media) => {
            at.count("media", media.media.len(), 1, MEDIA_MAX)?;
            at.all("media", &media.media, URL_MAX)?;
            at.most("body", &media.body, TEXT_MAX)
        }
        Content::Location(location) => at.location(location),
        Content::ListPicker(list) => {
            at.filled("body", &list.body, BODY_MAX)?;
            at.filled("button", &list.button, LIST_BUTTON_MAX)?;
            at.count("items", list.items.len(), 1, LIST_ITEMS_MAX)?;
            for item in &list.items {
                at.filled("items.item", &item.item, ITEM_MAX)?;
                at.filled("items.id", &item.id, ID_MAX)?;
                at.most("items.description", &item.description, ITEM_DESCRIPTION_MAX)?;
            }
            Ok(())
        }
        Content::CallToAction(call) => {
            at.filled("body", &call.body, TEXT_MAX)?;
            at.count("actions", call.actions.len(), 1, ACTIONS_MAX)?;
            let allowed = [Url, PhoneNumber, CopyCode, VoiceCall, VoiceCallRequest];
            at.actions(&call.actions, &allowed)
        }
        Content::QuickReply(reply) => {
            at.filled("body", &reply.body, BODY_MAX)?;
            at.count("actions", reply.actions.len(), 1, ACTIONS_MAX)?;
            at.actions(&reply.actions, &[QuickReply])
        }
        Content::Card(card) => {
            at.most("title", &card.title, BODY_MAX)?;
            at.most("subtitle", &card.subtitle, FOOTER_MAX)?;
            if card.title.is_empty() && card.media.is_empty() {
                return at.wrong("has neither title nor media");
            }
            at.count("media", card.media.len(), 0, MEDIA_MAX)?;
            at.all("media", &card.media, URL_MAX)?;
            at.count("actions", card.actions.len(), 0, ACTIONS_MAX)?;
            at.actions(&card.actions, &[Url, PhoneNumber, QuickReply, CopyCode, VoiceCall])
        }
        Content::Catalog(catalog) => {
            at.filled("body", &catalog.body, BODY_MAX)?;
            at.most("subtitle", &catalog.subtitle, FOOTER_MAX)?;
            at.count("items", catalog.items.len(), 0, CATALOG_ITEMS_MAX)
        }
        Content::Carousel(carousel) => {
            at.filled("body", &carousel.body, BODY_MAX)?;
            at.count("cards", carousel.cards.len(), 2, ACTIONS_MAX)?;
            for card in &carousel.cards {
                at.filled("cards.body", &card.body, CARD_BODY_MAX)?;
                at.filled("cards.media", &card.media, URL_MAX)?;
                at.count("cards.actions", card.actions.len(), 1, 2)?;
                at.actions(&card.actions, &[Url, PhoneNumber, QuickReply])?;
            }
            let shape = |at: usize| {
                let card = &carousel.cards[at];
                let kinds: Vec<ActionKind> =
                    card.actions.iter().map(|action| action.kind).collect();
                (card.title.is_empty(), kinds)
            };
            if (1..carousel.cards.len()).any(|card| shape(card) != shape(0)) {
                return at.wrong("has cards of unequal structure: the same buttons on each");
            }
            Ok(())
        }
        Content::Flows(flows) => {
            at.filled("body", &flows.body, BODY_MAX)?;
            at.filled("button_text", &flows.button_text, BUTTON_TITLE_MAX)?;
            at.filled("type", &flows.kind, ID_MAX)?;
            at.most("subtitle", &flows.subtitle, FOOTER_MAX)?;
            at.count("pages", flows.pages.len(), 1, PAGES_MAX)?;
            for page in &flows.pages {
                at.filled("pages.id", &page.id, ID_MAX)?;
                at.filled("pages.title", &page.title, BODY_MAX)?;
                if page.layout.iter().any(|part| part["type"].as_str().is_none_or(str::is_empty)) {
                    return at.wrong("has a pages.layout component without type");
                }
            }
            Ok(())
        }
        Content::Schedule(schedule) => {
            at.filled("id", &schedule.id, ID_MAX)?;
            at.filled("title", &schedule.title, BODY_MAX)?;
            at.filled("timeSlots", &schedule.time_slots, usize::MAX)
        }
        Content::WhatsAppCard(card) => {
            at.filled("body", &card.body, BODY_MAX)?;
            at.most("header_text", &card.header_text, FOOTER_MAX)?;
            at.most("footer", &card.footer, FOOTER_MAX)?;
            at.count("media", card.media.len(), 0, 1)?;
            at.all("media", &card.media, URL_MAX)?;
            if !card.header_text.is_empty() && !card.media.is_empty() {
                return at.wrong("has both header_text and media: a header is one of them");
            }
            at.count("actions", card.actions.len(), 0, ACTIONS_MAX)?;
            at.actions(&card.actions, &[Url, PhoneNumber, QuickReply, CopyCode, VoiceCall])
        }
        Content::WhatsAppFlows(flows) => {
            at.filled("body", &flows.body, BODY_MAX)?;
            at.filled("button_text", &flows.button_text, BUTTON_TITLE_MAX)?;
            at.filled("flow_id", &flows.flow_id, ID_MAX)?;
            at.most("subtitle", &flows.subtitle, FOOTER_MAX)
        }
        Content::Authentication(code) => {
            at.count("actions", code.actions.len(), 1, 1)?;
            for action in &code.actions {
                if action.kind != CopyCode {
                    return at.wrong("has an action that is not COPY_CODE");
                }
                at.filled("actions.copy_code_text", &action.copy_code_text, BUTTON_TITLE_MAX)?;
            }
            match code.code_expiration_minutes {
                Some(minutes) if !(1.0..=90.0).contains(&minutes) => {
                    at.wrong("has a code_expiration_minutes that is not from 1 to 90")
                }
                _ => Ok(()),
            }
        }
        Content::Unknown => Ok(()),
    }
}

/// The type whose fields are checked.
struct At<'a>(&'a str);

impl At<'_> {
    fn wrong(&self, why: &str) -> Result<(), Fault> {
        Err(Fault::new(20001, format!("types.{} {why}", self.0)))
    }

    fn most(&self, field: &str, text: &str, max: usize) -> Result<(), Fault> {
        let length = text.chars().count();
        if length > max {
            return self.wrong(&format!("has a {field} of {length} characters; at most {max}"));
        }
        Ok(())
    }

    fn filled(&self, field: &str, text: &str, max: usize) -> Result<(), Fault> {
        if text.is_empty() {
            return self.wrong(&format!("needs a {field}"));
        }
        self.most(field, text, max)
    }

    fn all(&self, field: &str, texts: &[String], max: usize) -> Result<(), Fault> {
        texts.iter().try_for_each(|text| self.filled(field, text, max))
    }

    fn count(&self, field: &str, count: usize, min: usize, max: usize) -> Result<(), Fault> {
        if (min..=max).contains(&count) {
            return Ok(());
        }
        self.wrong(&format!("has {count} {field}; {min} to {max} are allowed"))
    }

    fn location(&self, location: &Location) -> Result<(), Fault> {
        let blank = |json: &serde_json::Value| {
            json.as_str().is_some_and(|text| !placeholders(text).is_empty())
        };
        if blank(&location.latitude) || blank(&location.longitude) {
            return Ok(());
        }
        match location.degrees() {
            Some(_) => Ok(()),
            None => self.wrong("has a latitude or longitude that is none"),
        }
    }

    /// Buttons: of these kinds, each with what its kind needs; two URLs, one phone number and
    /// one code at most.
    fn actions(&self, actions: &[Action], allowed: &[ActionKind]) -> Result<(), Fault> {
        for action in actions {
            if !allowed.contains(&action.kind) {
                return self.wrong(&format!("cannot have an action of type {:?}", action.kind));
            }
            self.filled("actions.title", &action.title, BUTTON_TITLE_MAX)?;
            self.most("actions.id", &action.id, ID_MAX)?;
            match action.kind {
                Url => self.url(&action.url)?,
                PhoneNumber => self.filled("actions.phone", &action.phone, ITEM_MAX)?,
                CopyCode => self.filled("actions.code", &action.code, ITEM_MAX)?,
                QuickReply | VoiceCall | VoiceCallRequest => {}
            }
        }
        for (kind, name, max) in
            [(Url, "URL", 2), (PhoneNumber, "PHONE_NUMBER", 1), (CopyCode, "COPY_CODE", 1)]
        {
            let count = actions.iter().filter(|action| action.kind == kind).count();
            if count > max {
                return self.wrong(&format!("has {count} {name} actions; at most {max}"));
            }
        }
        Ok(())
    }

    /// At most one variable, at the end.
    fn url(&self, url: &str) -> Result<(), Fault> {
        self.filled("actions.url", url, URL_MAX)?;
        let blanks: Vec<_> = crate::variables::blanks(url).collect();
        match blanks.as_slice() {
            [] => Ok(()),
            [only] if only.end == url.len() => Ok(()),
            _ => self.wrong("has an actions.url with a variable that is not its end"),
        }
    }
}

//! A template: reading and holding to the limits (whatsapp-content §2 to §4).

mod limits;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::variables::{VARIABLES_MAX, Values, placeholders};
use crate::{Content, Fault};

const TYPES_MAX: usize = 20;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// SMS and MMS.
    Text,
    WhatsApp,
}

/// The content types, from simple to rich.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Text,
    Media,
    Location,
    ListPicker,
    CallToAction,
    QuickReply,
    Card,
    Catalog,
    Carousel,
    Flows,
    Schedule,
    WhatsAppCard,
    WhatsAppFlows,
    Authentication,
}

impl Kind {
    pub const ALL: [Self; 14] = [
        Self::Text,
        Self::Media,
        Self::Location,
        Self::ListPicker,
        Self::CallToAction,
        Self::QuickReply,
        Self::Card,
        Self::Catalog,
        Self::Carousel,
        Self::Flows,
        Self::Schedule,
        Self::WhatsAppCard,
        Self::WhatsAppFlows,
        Self::Authentication,
    ];

    /// The key under `types`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "twilio/text",
            Self::Media => "twilio/media",
            Self::Location => "twilio/location",
            Self::ListPicker => "twilio/list-picker",
            Self::CallToAction => "twilio/call-to-action",
            Self::QuickReply => "twilio/quick-reply",
            Self::Card => "twilio/card",
            Self::Catalog => "twilio/catalog",
            Self::Carousel => "twilio/carousel",
            Self::Flows => "twilio/flows",
            Self::Schedule => "twilio/schedule",
            Self::WhatsAppCard => "whatsapp/card",
            Self::WhatsAppFlows => "whatsapp/flows",
            Self::Authentication => "whatsapp/authentication",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// WhatsApp takes it as a template that its reviewers have approved.
    pub fn can_be_approved(self) -> bool {
        !matches!(self, Self::Location | Self::ListPicker | Self::Schedule)
    }

    /// The channel can show it in some way.
    pub fn is_for(self, channel: Channel) -> bool {
        match channel {
            Channel::Text => matches!(self, Self::Text | Self::Media),
            Channel::WhatsApp => self != Self::Schedule,
        }
    }
}

/// A template that keeps every limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    language: String,
    samples: Values,
    types: Map<String, Json>,
}

impl Template {
    /// Reads what a client sends; members that are null count as absent.
    ///
    /// # Errors
    /// All 400: 92004 for a language that is none, 92007 for variables that are not strings,
    /// 92001 without types, 92008 for a type whose name has the wrong form, 92002 beyond 100
    /// variables, 20001 for a type that lacks a field or breaks a limit.
    ///
    /// Differs: a type of another name is kept as it is and refused when it would be sent;
    /// members of a type that the definitions do not name are kept too.
    pub fn new(language: &str, variables: &Json, types: &Json) -> Result<Self, Fault> {
        if !is_language(language) {
            let why = format!("language '{language}' is not a code such as en or pt_BR");
            return Err(Fault::new(92004, why));
        }
        let samples = samples(variables)?;
        let types = match without_nulls(types) {
            Json::Object(types) if !types.is_empty() => types,
            Json::Object(_) | Json::Null => {
                return Err(Fault::new(92001, "types has no content type: give twilio/text"));
            }
            _ => return Err(Fault::new(92001, "types is not a JSON object")),
        };
        if types.len() > TYPES_MAX {
            let why = format!("types has {} content types; at most {TYPES_MAX}", types.len());
            return Err(Fault::new(92008, why));
        }
        let mut texts = Vec::new();
        types.values().for_each(|json| gather(json, &mut texts));
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(Fault::new(20001, "types has a NUL character: leave it out"));
        }
        let template = Self { language: language.to_owned(), samples, types };
        let used = template.placeholders();
        let unused = template.samples.names().filter(|name| !used.contains(name)).count();
        if used.len() + unused > VARIABLES_MAX {
            let why = format!("{} variables; at most {VARIABLES_MAX}", used.len() + unused);
            return Err(Fault::new(92002, why));
        }
        for (name, json) in &template.types {
            limits::check(name, &read(name, json)?)?;
        }
        Ok(template)
    }

    /// The language as it was given: `en`, `pt_BR`.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Defaults and samples of the variables.
    pub fn samples(&self) -> &Values {
        &self.samples
    }

    /// The types as they are stored: nulls left out.
    pub fn types(&self) -> &Map<String, Json> {
        &self.types
    }

    /// The known types, from simple to rich.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.types.keys().filter_map(|name| Kind::of(name)).collect();
        kinds.sort_unstable();
        kinds
    }

    /// The richest type that WhatsApp's reviewers take.
    pub fn reviewed_kind(&self) -> Option<Kind> {
        self.kinds().into_iter().rev().find(|kind| kind.can_be_approved())
    }

    /// The type with its placeholders as they are written.
    pub fn written(&self, kind: Kind) -> Option<Content> {
        read(kind.name(), self.types.get(kind.name())?).ok()
    }

    /// The type filled with `values`, and with the defaults for what they leave out.
    ///
    /// # Errors
    /// 21656 / 400 when a value breaks the type; 216602 / 400 when the template lacks it.
    pub fn filled(&self, kind: Kind, values: &Values) -> Result<Content, Fault> {
        let json = self.types.get(kind.name()).ok_or_else(|| {
            Fault::new(216602, format!("The content has no type {}", kind.name()))
        })?;
        let json = values.or(&self.samples).fill_all(json)?;
        read(kind.name(), &json).map_err(|fault| Fault::new(21656, fault.why))
    }

    /// Every text of a type that may hold placeholders, in the order it is written.
    pub(crate) fn texts(&self, kind: Kind) -> Vec<&str> {
        let mut all = Vec::new();
        if let Some(json) = self.types.get(kind.name()) {
            gather(json, &mut all);
        }
        all
    }

    /// The distinct placeholders of all types.
    fn placeholders(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        self.types.values().for_each(|json| gather(json, &mut texts));
        let mut names: Vec<&str> = texts.into_iter().flat_map(placeholders).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn samples(variables: &Json) -> Result<Values, Fault> {
    match variables {
        Json::Null => Ok(Values::default()),
        Json::Object(object) => {
            Values::of(object).map_err(|why| Fault::new(92007, format!("variables {why}")))
        }
        _ => Err(Fault::new(92007, "variables is not a JSON object such as {\"1\":\"Owl\"}")),
    }
}

/// `en`, `fil`, `pt_BR`, `zh-Hant`.
fn is_language(code: &str) -> bool {
    let (language, region) = match code.split_once(['_', '-']) {
        Some((language, region)) => (language, Some(region)),
        None => (code, None),
    };
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphabetic());
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && region.is_none_or(|region| (2..=4).contains(&region.len()) && letters(region))
}

/// SDKs write a null for every member that the program left out.
fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Json::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn gather<'a>(json: &'a Json, texts: &mut Vec<&'a str>) {
    match json {
        Json::String(text) => texts.push(text),
        Json::Array(items) => items.iter().for_each(|item| gather(item, texts)),
        Json::Object(members) => members.values().for_each(|value| gather(value, texts)),
        _ => {}
    }
}

fn read(name: &str, json: &Json) -> Result<Content, Fault> {
    let Some(kind) = Kind::of(name) else {
        let parts = name.split_once('/').map(|(owner, kind)| [owner, kind]);
        let part = |text: &str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        return match parts {
            Some(parts) if parts.into_iter().all(part) => Ok(Content::Unknown),
            _ => Err(Fault::new(92008, format!("'{name}' is not a type such as twilio/text"))),
        };
    };
    Ok(match kind {
        Kind::Text => Content::Text(typed(name, json)?),
        Kind::Media => Content::Media(typed(name, json)?),
        Kind::Location => Content::Location(typed(name, json)?),
        Kind::ListPicker => Content::ListPicker(typed(name, json)?),
        Kind::CallToAction => Content::CallToAction(typed(name, json)?),
        Kind::QuickReply => Content::QuickReply(typed(name, json)?),
        Kind::Card => Content::Card(typed(name, json)?),
        Kind::Catalog => Content::Catalog(typed(name, json)?),
        Kind::Carousel => Content::Carousel(typed(name, json)?),
        Kind::Flows => Content::Flows(typed(name, json)?),
        Kind::Schedule => Content::Schedule(typed(name, json)?),
        Kind::WhatsAppCard => Content::WhatsAppCard(typed(name, json)?),
        Kind::WhatsAppFlows => Content::WhatsAppFlows(typed(name, json)?),
        Kind::Authentication => Content::Authentication(typed(name, json)?),
    })
}

fn typed<T: DeserializeOwned>(name: &str, json: &Json) -> Result<T, Fault> {
    if !json.is_object() {
        return Err(Fault::new(20001, format!("types.{name} is not a JSON object")));
    }
    T::deserialize(json).map_err(|error| Fault::new(20001, format!("types.{name}: {error}")))
}

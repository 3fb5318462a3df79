//! The content types as their owners write them (whatsapp-content §3).

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One form of a template, typed. Strings may hold placeholders until they are filled.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text(Text),
    Media(Media),
    Location(Location),
    ListPicker(ListPicker),
    CallToAction(WithActions),
    QuickReply(WithActions),
    Card(Card),
    Catalog(Catalog),
    Carousel(Carousel),
    Flows(Flows),
    Schedule(Schedule),
    WhatsAppCard(WhatsAppCard),
    WhatsAppFlows(WhatsAppFlows),
    Authentication(Authentication),
    /// A type that this version does not know: kept, never sent.
    Unknown,
}

/// `twilio/text`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text {
    pub body: String,
}

/// `twilio/media`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Media {
    #[serde(default)]
    pub body: String,
    /// URLs.
    pub media: Vec<String>,
}

/// `twilio/location`. The coordinates are degrees: numbers, or text with a placeholder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    pub latitude: Json,
    pub longitude: Json,
    #[serde(default)]
    pub label: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub address: String,
}

impl Location {
    /// Latitude from -90 to 90 and longitude from -180 to 180; `None` when they are none.
    pub fn degrees(&self) -> Option<(f64, f64)> {
        let number = |json: &Json| match json {
            Json::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let (latitude, longitude): (f64, f64) = (number(&self.latitude)?, number(&self.longitude)?);
        let fine = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        fine.then_some((latitude, longitude))
    }
}

/// `twilio/list-picker`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListPicker {
    pub body: String,
    pub button: String,
    pub items: Vec<ListItem>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListItem {
    pub id: String,
    pub item: String,
    #[serde(default)]
    pub description: String,
}

/// `twilio/call-to-action` and `twilio/quick-reply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithActions {
    pub body: String,
    pub actions: Vec<Action>,
}

/// What a button does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionKind {
    #[default]
    QuickReply,
    Url,
    PhoneNumber,
    CopyCode,
    VoiceCall,
    VoiceCallRequest,
}

/// A button; which members it needs is up to its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    #[serde(rename = "type")]
    pub kind: ActionKind,
    pub title: String,
    pub id: String,
    pub url: String,
    pub phone: String,
    pub code: String,
    /// Only in `whatsapp/authentication`, instead of the title.
    pub copy_code_text: String,
}

/// `twilio/card`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    pub title: String,
    pub subtitle: String,
    /// URLs.
    pub media: Vec<String>,
    pub actions: Vec<Action>,
}

/// `twilio/catalog`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    pub body: String,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub subtitle: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub items: Vec<CatalogItem>,
    /// JSON text that a variable brings.
    #[serde(default)]
    pub dynamic_items: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CatalogItem {
    pub id: String,
    pub section_title: String,
    pub name: String,
    pub media_url: String,
    pub price: Json,
    pub description: String,
}

/// `twilio/carousel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carousel {
    pub body: String,
    pub cards: Vec<CarouselCard>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarouselCard {
    #[serde(default)]
    pub title: String,
    pub body: String,
    /// URL.
    pub media: String,
    pub actions: Vec<Action>,
}

/// `twilio/flows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flows {
    pub body: String,
    pub button_text: String,
    pub pages: Vec<FlowPage>,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub subtitle: String,
    #[serde(default)]
    pub media_url: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowPage {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub next_page_id: String,
    #[serde(default)]
    pub subtitle: String,
    /// Components with at least a `type`.
    pub layout: Vec<Json>,
}

/// `twilio/schedule`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: String,
    pub title: String,
    #[serde(rename = "timeSlots")]
    pub time_slots: String,
}

/// `whatsapp/card`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatsAppCard {
    pub body: String,
    #[serde(default)]
    pub header_text: String,
    #[serde(default)]
    pub footer: String,
    #[serde(default)]
    pub media: Vec<String>,
    #[serde(default)]
    pub actions: Vec<Action>,
}

/// `whatsapp/flows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhatsAppFlows {
    pub body: String,
    pub button_text: String,
    pub flow_id: String,
    #[serde(default)]
    pub subtitle: String,
    #[serde(default)]
    pub media_url: String,
    #[serde(default)]
    pub flow_token: String,
    #[serde(default)]
    pub flow_first_page_id: String,
    #[serde(default)]
    pub is_flow_first_page_endpoint: bool,
}

/// `whatsapp/authentication`: WhatsApp writes the text, variable 1 is the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Authentication {
    pub actions: Vec<Action>,
    #[serde(default)]
    pub add_security_recommendation: bool,
    /// 1 to 90.
    #[serde(default)]
    pub code_expiration_minutes: Option<f64>,
}

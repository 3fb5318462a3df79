//! Content templates (whatsapp-content §2 to §5): one message in several forms, with blanks.
//!
//! A [`Template`] holds content types, from plain text to carousels, in which `{{1}}` stands for
//! a variable. [`Values`] fill it. [`text_message`] makes an SMS or MMS of it, and
//! [`whatsapp_message`] a message with headers, buttons and lists. [`review`](fn@review) decides
//! as WhatsApp's reviewers do.
//!
//! Everything here is a pure function of its arguments. Bounds: 20 types, 100 variables, a filled
//! type of 1 MiB.

mod content;
mod fault;
mod model;
mod review;
mod text;
mod variables;
mod whatsapp;

pub use content::{
    Action, ActionKind, Authentication, Card, Carousel, CarouselCard, Catalog, CatalogItem,
    Content, FlowPage, Flows, ListItem, ListPicker, Location, Media, Schedule, Text, WhatsAppCard,
    WhatsAppFlows, WithActions,
};
pub use fault::Fault;
pub use model::{Channel, Kind, Template};
pub use review::{Category, Submission, Verdict, review};
pub use text::{TextMessage, text_message};
pub use variables::{Values, placeholders};
pub use whatsapp::{
    Button, Header, List, Row, Slide, TemplateUse, Terms, WhatsAppMessage, whatsapp_message,
};

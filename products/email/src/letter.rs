//! What a program asks to be sent: the body of `POST /v3/mail/send` once it has been checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub type Texts = BTreeMap<String, String>;

/// An address with the name that is shown for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    pub email: String,
    pub name: Option<String>,
}

/// One mail of a request, with all its readers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Personalization {
    pub to: Vec<Person>,
    pub cc: Vec<Person>,
    pub bcc: Vec<Person>,
    pub from: Option<Person>,
    pub subject: Option<String>,
    pub headers: Texts,
    pub substitutions: Texts,
    pub dynamic_template_data: Option<Value>,
    pub custom_args: Texts,
    pub send_at: Option<i64>,
    /// What its only reader is called by Twilio's own Email API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comms_id: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attached {
    /// Base64.
    pub content: String,
    pub filename: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub disposition: Option<String>,
    pub content_id: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Asm {
    pub group_id: i64,
    pub groups_to_display: Vec<i64>,
}

/// The whole request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Letter {
    pub personalizations: Vec<Personalization>,
    pub from: Person,
    pub reply_to: Option<Person>,
    pub reply_to_list: Vec<Person>,
    pub subject: Option<String>,
    pub content: Vec<Content>,
    pub attachments: Vec<Attached>,
    pub template_id: Option<String>,
    pub sections: Texts,
    pub headers: Texts,
    pub categories: Vec<String>,
    pub custom_args: Texts,
    pub send_at: Option<i64>,
    pub batch_id: Option<String>,
    pub asm: Option<Asm>,
    pub ip_pool_name: Option<String>,
    pub mail_settings: Map<String, Value>,
    pub tracking_settings: Map<String, Value>,
    /// Categories came as one text (X-SMTPAPI), and are shown so.
    pub one_category: bool,
    /// Subject and content are Liquid, filled with the data of each personalization.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_liquid: bool,
}

impl Letter {
    pub fn setting(&self, group: &str, name: &str) -> Option<&Value> {
        let group = if group == "tracking" { &self.tracking_settings } else { &self.mail_settings };
        group.get(name)
    }

    /// Whether a setting of the mail turns something on or off; `None` leaves it to the account.
    pub fn enables(&self, group: &str, name: &str) -> Option<bool> {
        self.setting(group, name)?.get("enable")?.as_bool()
    }

    pub fn is_dynamic(&self) -> bool {
        self.template_id.as_deref().is_some_and(|id| id.starts_with("d-"))
    }
}

impl Personalization {
    /// Every reader in the order of the lists.
    pub fn readers(&self) -> impl Iterator<Item = &Person> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }
}

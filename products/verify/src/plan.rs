//! What a verification's sends will say: decided at the start, worded when the code is at hand.

use std::collections::BTreeMap;

use contracts::{NoticeTemplate, Speech};
use kernel::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::faults::invalid;
use crate::service::Service;
use crate::template::{self, Template};
use crate::words::{self, Words};

/// Longest text that is sent, in characters.
const TEXT_MAX: usize = 500;
/// Stands for a code when the length of a text is judged.
const LONGEST_CODE: &str = "0000000000";

/// Templates by SID with their substitutions.
pub(crate) type Templates = Vec<(String, BTreeMap<String, String>)>;

/// What the start of a verification asked for, also for its later sends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Choices {
    pub locale: Option<String>,
    pub friendly_name: Option<String>,
    /// The whole text; has `{{code}}` or the custom code in it.
    pub message: Option<String>,
    /// The first for a channel is used.
    pub templates: Templates,
    pub app_hash: Option<String>,
    pub amount: Option<String>,
    pub payee: Option<String>,
    /// An extension that calls dial.
    pub send_digits: Option<String>,
    pub mail_from: Option<String>,
    pub mail_template: Option<String>,
    pub mail_substitutions: BTreeMap<String, String>,
}

/// What to send over one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub locale: String,
    pub text: String,
    pub subject: Option<String>,
    pub values: BTreeMap<String, String>,
    /// The code is said digit by digit, in this way.
    #[serde(default)]
    pub speech: Option<Speech>,
    /// The mail template that takes the place of the text.
    #[serde(default)]
    pub template: Option<String>,
    pub from: Option<String>,
}

impl Plan {
    /// What `channel` will say to somebody in `country`.
    ///
    /// # Errors
    /// 60224, 60227, 60228 and 60229 for a template that does not fit; 60247 for a text that is too
    /// long; 60331 for a call in a language without a voice; 60206 and 60214 with PSD2; 60602 for
    /// an app hash outside of texts.
    pub fn new(
        service: &Service,
        choices: &Choices,
        channel: &str,
        country: &str,
        ttl_minutes: u64,
    ) -> Result<Self, ApiError> {
        check_payment(service, choices, channel)?;
        let chosen = choices.locale.as_deref();
        let locale = match channel {
            "email" => "en",
            _ => chosen.unwrap_or_else(|| words::of_country(country)),
        };
        if channel == "call" && chosen.is_some() && words::exact(locale).is_none() {
            let why = format!("There is no voice that speaks {locale}");
            return Err(ApiError::new(60331, why));
        }
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        let words = words::of(locale);
        let (mut text, locale) = if let Some(message) = &choices.message {
            (message.clone(), locale.to_owned())
        } else if let Some((template, substitutions)) = chosen_template(service, choices, channel)?
        {
            values.extend(substitutions);
            translated(template, chosen, locale)?
        } else {
            (usual(choices, channel, words), words.locale.to_owned())
        };
        if service.flag("do_not_share_warning_enabled") && channel == "sms" {
            text = format!("{}. {}", text.trim_end_matches('.'), words.warning);
        }
        match &choices.app_hash {
            None => {}
            Some(hash) if channel == "sms" => text = format!("<#> {text}\n{hash}"),
            Some(_) => {
                return Err(ApiError::new(60602, "AppHash is for the channel sms only"));
            }
        }
        values
            .extend(choices.mail_substitutions.clone().into_iter().filter(|_| channel == "email"));
        let name = choices.friendly_name.as_deref().unwrap_or(service.name());
        for (known, value) in [
            ("friendly_name", Some(name)),
            ("amount", choices.amount.as_deref()),
            ("payee", choices.payee.as_deref()),
            ("ttl", Some(ttl_minutes.to_string().as_str())),
        ] {
            if let Some(value) = value {
                values.insert(known.to_owned(), value.to_owned());
            }
        }
        let lacking = words::names(&text).into_iter().find(|name| {
            *name != "code" && !values.contains_key(*name) && choices.message.is_none()
        });
        if let Some(lacking) = lacking {
            let why = format!("TemplateCustomSubstitutions lacks a value for {lacking}");
            return Err(ApiError::new(60224, why));
        }
        let subject =
            (channel == "email").then(|| "{{friendly_name}} verification code".to_owned());
        let from = sender(service, choices, channel);
        let speech = (channel == "call").then(|| Speech {
            language: Some(locale.clone()),
            voice: service.0.text("tts_name").map(str::to_owned),
            digits: choices.send_digits.clone(),
            prompt: service.asks_for_key().then(|| words.press.to_owned()),
        });
        let template = choices.mail_template.clone().filter(|_| channel == "email");
        let plan = Self { locale, text, subject, values, speech, template, from };
        let length = plan.text(LONGEST_CODE).chars().count();
        if length > TEXT_MAX {
            let why = format!("The text would have {length} characters: {TEXT_MAX} are possible");
            return Err(ApiError::new(60247, why));
        }
        Ok(plan)
    }

    /// The text with its code.
    pub fn text(&self, code: &str) -> String {
        self.worded(&self.text, code)
    }

    pub fn subject(&self, code: &str) -> Option<String> {
        Some(self.worded(self.subject.as_deref()?, code))
    }

    /// The template with all that it may show.
    pub fn template(&self, code: &str) -> Option<NoticeTemplate> {
        let mut data = self.values.clone();
        for (name, value) in [("twilio_code", code.to_owned()), ("twilio_message", self.text(code))]
        {
            data.insert(name.to_owned(), value);
        }
        Some(NoticeTemplate { id: self.template.clone()?, data })
    }

    fn worded(&self, text: &str, code: &str) -> String {
        words::fill(text, |name| match name {
            "code" if self.speech.is_some() => {
                let digits: Vec<String> = code.chars().map(String::from).collect();
                Some(digits.join(", "))
            }
            "code" => Some(code.to_owned()),
            name => self.values.get(name).cloned(),
        })
    }
}

/// What PSD2 demands.
fn check_payment(service: &Service, choices: &Choices, channel: &str) -> Result<(), ApiError> {
    if !service.flag("psd2_enabled") {
        return Ok(());
    }
    if channel == "call" {
        return Err(ApiError::new(60214, "A payment cannot be confirmed by call (PSD2)"));
    }
    if choices.amount.is_none() || choices.payee.is_none() {
        return Err(ApiError::new(60206, "The service needs Amount and Payee (PSD2)"));
    }
    Ok(())
}

/// The text where no template is chosen.
fn usual(choices: &Choices, channel: &str, words: &Words) -> String {
    if choices.amount.is_some() && choices.payee.is_some() && channel != "call" {
        return words.payment.to_owned();
    }
    match channel {
        "call" => words.spoken.to_owned(),
        _ => words.plain.to_owned(),
    }
}

type Chosen = (&'static Template, BTreeMap<String, String>);

/// The template for a channel: the request's, or the service's for texts.
fn chosen_template(
    service: &Service,
    choices: &Choices,
    channel: &str,
) -> Result<Option<Chosen>, ApiError> {
    let medium = if channel == "call" { "voice" } else { channel };
    let mut misfit = None;
    for (sid, substitutions) in &choices.templates {
        let found = template::by_sid(sid);
        let found =
            found.ok_or_else(|| ApiError::new(60228, format!("There is no template {sid}")))?;
        if found.channels.contains(&medium) {
            return Ok(Some((found, substitutions.clone())));
        }
        misfit = Some(sid);
    }
    if let Some(sid) = misfit {
        let why = format!("The template {sid} is not for the channel {channel}");
        return Err(ApiError::new(60227, why));
    }
    let usual = service.0.text("default_template_sid").filter(|_| channel == "sms");
    Ok(usual.and_then(template::by_sid).map(|template| (template, BTreeMap::new())))
}

/// The template's text and its locale: one that was asked for must be there.
fn translated(
    template: &Template,
    chosen: Option<&str>,
    locale: &str,
) -> Result<(String, String), ApiError> {
    if let Some(text) = template.text(locale) {
        return Ok((text, locale.to_owned()));
    }
    match (chosen, template.text("en")) {
        (None, Some(text)) => Ok((text, "en".to_owned())),
        _ => {
            let why = format!("The template {} has no translation to {locale}", template.sid());
            Err(ApiError::new(60229, why))
        }
    }
}

/// The sender that is set for a channel.
fn sender(service: &Service, choices: &Choices, channel: &str) -> Option<String> {
    let set = |part: &str, field: &str| {
        let value = service.0.fields.get(part)?.get(field)?;
        value.as_str().map(str::to_owned)
    };
    match channel {
        "whatsapp" => set("whatsapp", "from").or_else(|| set("whatsapp", "msg_service_sid")),
        "email" => choices.mail_from.clone(),
        _ => None,
    }
}

/// A JSON object of strings, as substitutions are.
///
/// # Errors
/// 60200.
pub(crate) fn strings(param: &str, json: &Json) -> Result<BTreeMap<String, String>, ApiError> {
    let object = json.as_object().ok_or_else(|| invalid(param, "it is not a JSON object"))?;
    let pairs = object.iter().map(|(name, value)| match value {
        Json::String(text) => Ok((name.clone(), text.clone())),
        Json::Number(number) => Ok((name.clone(), number.to_string())),
        Json::Bool(flag) => Ok((name.clone(), flag.to_string())),
        _ => Err(invalid(param, &format!("the value of {name} is not a string"))),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Timestamp;
    use rest::Doc;
    use serde_json::json;

    fn service(fields: Json) -> Service {
        let mut all = json!({"friendly_name": "Owl"});
        all.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        let (now, fields) = (Timestamp::EPOCH, all.as_object().cloned().unwrap());
        Service(Doc { sid: "VA1".into(), fields, date_created: now, date_updated: now, version: 1 })
    }

    fn said(service: &Service, choices: &Choices, channel: &str) -> Result<String, u32> {
        let plan = Plan::new(service, choices, channel, "US", 10).map_err(|error| error.code)?;
        Ok(plan.text("123456"))
    }

    #[test]
    fn settings_and_choices_shape_what_is_said() {
        let plain = service(json!({}));
        let none = Choices::default;
        let warns = service(json!({"do_not_share_warning_enabled": true}));
        let pays = service(json!({"psd2_enabled": true}));
        let paid = Choices { amount: Some("€9".into()), payee: Some("Bob".into()), ..none() };
        let template = |number: u128, pairs: &[(&str, &str)]| Choices {
            templates: vec![(
                kernel::Sid::from_parts("HJ", number).to_string(),
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            )],
            ..none()
        };
        let in_german = Choices { locale: Some("de".into()), ..none() };
        let hashed = Choices { app_hash: Some("abcdefghijk".into()), ..none() };
        let in_thai = Choices { locale: Some("th".into()), ..none() };
        let long = Choices { message: Some("x".repeat(501)), ..none() };
        let sly = template(0x0ff0_0004, &[("action", "{{code}}")]);
        let silent = service(json!({"dtmf_input_required": false}));
        for (service, choices, channel, text) in [
            (&plain, none(), "sms", Ok("Your Owl verification code is: 123456")),
            (&plain, in_german, "sms", Ok("Ihr Bestätigungscode für Owl lautet: 123456")),
            (
                &silent,
                none(),
                "call",
                Ok("Your Owl verification code is 1, 2, 3, 4, 5, 6. Once more: 1, 2, 3, 4, 5, 6."),
            ),
            (
                &warns,
                none(),
                "sms",
                Ok("Your Owl verification code is: 123456. Do not share this code with anyone; \
                    nobody of ours will ask for it."),
            ),
            (
                &plain,
                hashed.clone(),
                "sms",
                Ok("<#> Your Owl verification code is: 123456\nabcdefghijk"),
            ),
            (&plain, hashed, "call", Err(60602)),
            (&pays, none(), "sms", Err(60206)),
            (&pays, paid.clone(), "call", Err(60214)),
            (&pays, paid, "sms", Ok("Your code to pay €9 to Bob with Owl is: 123456")),
            (
                &plain,
                template(0x0ff0_0003, &[]),
                "sms",
                Ok("123456 is your Owl code. It expires in 10 minutes."),
            ),
            (&plain, template(0x0ff0_0004, &[]), "sms", Err(60224)),
            (&plain, template(0x0ff0_0004, &[("action", "pay")]), "call", Err(60227)),
            (&plain, sly, "sms", Ok("123456 is your Owl code to {{code}}.")),
            (&plain, template(7, &[]), "sms", Err(60228)),
            (&plain, in_thai.clone(), "call", Err(60331)),
            (&plain, in_thai, "sms", Ok("Your Owl verification code is: 123456")),
            (&plain, long, "sms", Err(60247)),
        ] {
            assert_eq!(said(service, &choices, channel), text.map(str::to_owned), "{choices:?}");
        }
    }
}

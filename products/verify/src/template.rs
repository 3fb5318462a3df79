//! `/v2/Templates` (verify §9): the texts that verifications may be sent with.

use kernel::{Sid, Timestamp};
use rest::{Access, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};

use crate::Verify;
use crate::words::{self, Words};

/// A template. Differs: these are there from the start, of every account, and approved; others
/// cannot be made.
pub(crate) struct Template {
    number: u128,
    pub name: &'static str,
    /// `sms` and `voice`.
    pub channels: &'static [&'static str],
    texts: Texts,
}

enum Texts {
    /// Every language's words.
    Plain(fn(&Words) -> String),
    /// Of its own, by locale.
    Own(&'static [(&'static str, &'static str)]),
}

static TEMPLATES: &[Template] = &[
    Template {
        number: 0x0ff0_0001,
        name: "Code",
        channels: &["sms", "voice"],
        texts: Texts::Plain(|words| words.plain.to_owned()),
    },
    Template {
        number: 0x0ff0_0002,
        name: "Code with a warning",
        channels: &["sms"],
        texts: Texts::Plain(|words| format!("{}. {}", words.plain, words.warning)),
    },
    Template {
        number: 0x0ff0_0003,
        name: "Code that expires",
        channels: &["sms", "voice"],
        texts: Texts::Own(&[
            ("en", "{{code}} is your {{friendly_name}} code. It expires in {{ttl}} minutes."),
            ("de", "{{code}} ist Ihr Code für {{friendly_name}}. Er gilt {{ttl}} Minuten."),
            ("es", "{{code}} es tu código de {{friendly_name}}. Caduca en {{ttl}} minutos."),
            ("fr", "{{code}} est votre code {{friendly_name}}. Il expire dans {{ttl}} minutes."),
        ]),
    },
    Template {
        number: 0x0ff0_0004,
        name: "Code for an action",
        channels: &["sms"],
        texts: Texts::Own(&[
            ("en", "{{code}} is your {{friendly_name}} code to {{action}}."),
            ("de", "{{code}} ist Ihr Code für {{friendly_name}}: {{action}}."),
            ("es", "{{code}} es tu código de {{friendly_name}} para {{action}}."),
            ("fr", "{{code}} est votre code {{friendly_name}} pour {{action}}."),
        ]),
    },
];

impl Template {
    pub fn sid(&self) -> Sid {
        Sid::from_parts("HJ", self.number)
    }

    /// The text in a locale or its language.
    pub fn text(&self, locale: &str) -> Option<String> {
        match self.texts {
            Texts::Plain(text) => words::exact(locale).map(text),
            Texts::Own(texts) => {
                let language = locale.split('-').next().unwrap_or_default();
                let find = |wanted: &str| texts.iter().find(|(known, _)| *known == wanted);
                find(locale).or_else(|| find(language)).map(|(_, text)| (*text).to_owned())
            }
        }
    }

    fn translations(&self) -> Vec<(&'static str, String)> {
        match self.texts {
            Texts::Plain(text) => {
                words::all().iter().map(|words| (words.locale, text(words))).collect()
            }
            Texts::Own(texts) => {
                texts.iter().map(|(locale, text)| (*locale, (*text).to_owned())).collect()
            }
        }
    }

    fn wire(&self) -> Json {
        let epoch = Timestamp::EPOCH.iso8601();
        let all = self.translations().into_iter().map(|(locale, text)| {
            let translation = json!({
                "is_default_translation": locale == "en",
                "status": "approved",
                "locale": locale,
                "text": text,
                "date_updated": epoch,
                "date_created": epoch,
            });
            (locale.to_owned(), translation)
        });
        Json::Object(all.collect::<Map<_, _>>())
    }
}

pub(crate) fn by_sid(sid: &str) -> Option<&'static Template> {
    let sid: Sid = sid.parse().ok()?;
    TEMPLATES.iter().find(|template| template.sid() == sid)
}

pub static TEMPLATE: Resource<Verify> = Resource {
    table: Table::product("VerificationTemplate", "verify", "/v2/Templates", "")
        .collection()
        .key("templates")
        .sid("HJ")
        .access(Access::Keys("verify/templates"))
        .fields(&[
            Field::sid("sid", &["HJ"]),
            Field::sid("account_sid", &["AC"]),
            Field::text("friendly_name"),
            Field::new("channels", Wire::Json),
            Field::new("translations", Wire::Json),
        ]),
    ops: &[Op::list(&[Param::text("FriendlyName", 256)]).by(|_, ctx| {
        Box::pin(async {
            let wanted = ctx.form.text("FriendlyName");
            // One page of a SID's kind holds them all; behind it is nothing.
            let is_first = matches!(ctx.page.cursor, Cursor::Offset) && ctx.page.offset() == 0;
            let all = TEMPLATES.iter().filter(|_| is_first);
            let all = all.filter(|template| wanted.is_none_or(|name| name == template.name));
            let records = all.map(|template| {
                let mut record = Record::new(&template.sid().to_string());
                record
                    .set("sid", template.sid())
                    .set("account_sid", ctx.account)
                    .set("friendly_name", template.name)
                    .set("channels", json!(template.channels))
                    .set("translations", template.wire());
                record
            });
            Ok(Reply::List(Page { records: records.collect(), has_next: false }))
        })
    })],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_says_the_code_in_english() {
        for template in TEMPLATES {
            let text = template.text("en").unwrap();
            assert!(words::names(&text).contains(&"code"), "{text}");
            assert_eq!(by_sid(&template.sid().to_string()).unwrap().name, template.name);
        }
        assert_eq!(by_sid("HJ0").map(|template| template.name), None);
        assert!(TEMPLATES[2].text("ja").is_none() && TEMPLATES[0].text("ja").is_some());
    }
}

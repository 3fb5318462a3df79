//! What is asked of a mail beside what is in it: categories, groups of unsubscribers, settings.

use std::collections::HashSet;

use serde_json::Value;

use super::{Check, Object};

const CATEGORIES_MAX: usize = 10;

/// A setting: its name, how errors call it, and its members that are text.
type Setting = (&'static str, &'static str, &'static [&'static str]);

const MAIL_SETTINGS: &[Setting] = &[
    ("bypass_list_management", "bypass list management", &[]),
    ("bypass_spam_management", "bypass spam management", &[]),
    ("bypass_bounce_management", "bypass bounce management", &[]),
    ("bypass_unsubscribe_management", "bypass unsubscribe management", &[]),
    ("footer", "footer", &["text", "html"]),
    ("sandbox_mode", "sandbox mode", &[]),
    ("bcc", "bcc", &["email"]),
    ("spam_check", "spam check", &["post_to_url"]),
];

const TRACKING_SETTINGS: &[Setting] = &[
    ("click_tracking", "click tracking", &[]),
    ("open_tracking", "open tracking", &["substitution_tag"]),
    ("subscription_tracking", "subscription tracking", &["text", "html", "substitution_tag"]),
    (
        "ganalytics",
        "ganalytics",
        &["utm_source", "utm_medium", "utm_term", "utm_content", "utm_campaign"],
    ),
];

impl Check {
    pub(super) fn categories(&mut self, body: &Object) {
        let all = match body.get("categories") {
            None | Some(Value::Null) => return,
            Some(Value::Array(all)) => all,
            Some(_) => {
                return self
                    .fail("categories", "The categories parameter must be an array of strings.");
            }
        };
        if all.len() > CATEGORIES_MAX {
            self.fail("categories", "You are limited to 10 categories per request.");
        }
        let mut seen = HashSet::new();
        for (at, one) in all.iter().enumerate() {
            let field = format!("categories.{at}");
            match one.as_str() {
                None => self.fail(&field, "The category must be a string."),
                Some(text) if text.chars().count() > 255 => {
                    self.fail(&field, "A category cannot be longer than 255 characters.")
                }
                Some(text) if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                    self.fail(&field, "A category must be ASCII text.")
                }
                Some(text) if !seen.insert(text) => {
                    self.fail(&field, "The categories must be unique.")
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn asm(&mut self, body: &Object) {
        let Some(asm) = body.get("asm").filter(|asm| !asm.is_null()) else { return };
        if asm.get("group_id").and_then(Value::as_i64).is_none() {
            self.fail("asm.group_id", "The asm group_id must be an integer.");
        }
        match asm.get("groups_to_display") {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) if all.len() > 25 => {
                self.fail("asm.groups_to_display", "There is a limit of 25 groups to display.")
            }
            Some(Value::Array(all)) if all.iter().all(Value::is_i64) => {}
            Some(_) => self.fail(
                "asm.groups_to_display",
                "The groups_to_display must be an array of integers.",
            ),
        }
    }

    pub(super) fn settings(&mut self, body: &Object) {
        for (group, members) in
            [("mail_settings", MAIL_SETTINGS), ("tracking_settings", TRACKING_SETTINGS)]
        {
            let map = match body.get(group) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(map)) => map,
                Some(_) => {
                    self.fail(group, format!("The {group} parameter must be an object."));
                    continue;
                }
            };
            for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                let field = format!("{group}.{name}");
                let Some((_, label, texts)) = members.iter().find(|(known, ..)| known == name)
                else {
                    self.fail(&field, format!("{name} is not one of the {group}."));
                    continue;
                };
                match value.get("enable") {
                    None | Some(Value::Null | Value::Bool(_)) => {}
                    Some(_) => self.fail(
                        &format!("{field}.enable"),
                        format!("The {label} enable param should be a boolean value."),
                    ),
                }
                for text in *texts {
                    if value.get(*text).is_some_and(|value| !value.is_string() && !value.is_null())
                    {
                        self.fail(
                            &format!("{field}.{text}"),
                            format!("The {label} {text} param must be a string value."),
                        );
                    }
                }
            }
        }
        let enables = |name: &str| {
            body.get("mail_settings").and_then(|all| all.get(name)?.get("enable")?.as_bool())
                == Some(true)
        };
        let others =
            ["bypass_spam_management", "bypass_bounce_management", "bypass_unsubscribe_management"];
        if enables("bypass_list_management") && others.iter().any(|name| enables(name)) {
            self.fail(
                "mail_settings.bypass_list_management",
                "bypass_list_management cannot be combined with the other bypass settings.",
            );
        }
        for name in ["spam_check", "bcc"] {
            if enables(name) {
                self.fail(
                    &format!("mail_settings.{name}"),
                    format!("The mail setting {name} is retired and not supported here."),
                );
            }
        }
    }
}

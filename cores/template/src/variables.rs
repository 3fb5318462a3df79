//! Blanks and what fills them (whatsapp-content §4).

use serde_json::{Map, Value as Json};

use crate::Fault;

/// Bytes that the strings of one filled type may have together.
const FILLED_MAX: usize = 1 << 20;
/// Characters of a placeholder's name.
const NAME_MAX: usize = 64;
/// Variables of one template, and of one message.
pub(crate) const VARIABLES_MAX: usize = 100;

/// Names and the text that replaces them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<(String, String)>);

impl Values {
    /// `ContentVariables`: a JSON object of at most 100 strings, none of them null or empty.
    ///
    /// # Errors
    /// 21656 / 400.
    pub fn parse(json: &str) -> Result<Self, Fault> {
        let bad = |why: String| Fault::new(21656, format!("ContentVariables {why}"));
        let object: Map<String, Json> = serde_json::from_str(json).map_err(|error| {
            bad(format!("is not a JSON object such as {{\"1\":\"x\"}}: {error}"))
        })?;
        if object.len() > VARIABLES_MAX {
            let why = format!("has {} variables; at most {VARIABLES_MAX}", object.len());
            return Err(bad(why));
        }
        Self::of(&object).map_err(bad).and_then(|values| {
            match values.0.iter().find(|(_, value)| value.is_empty()) {
                Some((name, _)) => Err(bad(format!("has an empty value for '{name}'"))),
                None => Ok(values),
            }
        })
    }

    /// The members of an object, which must be strings that a text column can hold; else the
    /// reason.
    pub(crate) fn of(object: &Map<String, Json>) -> Result<Self, String> {
        let pairs = object.iter().map(|(name, value)| match value {
            Json::String(text) if text.contains('\0') => {
                Err(format!("has a NUL character for '{name}'"))
            }
            Json::String(text) => Ok((name.clone(), text.clone())),
            other => Err(format!("has {other} for '{name}', which is not a string")),
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// These, and the defaults for what they leave out. An empty default fills nothing.
    pub fn or(&self, defaults: &Self) -> Self {
        let missing =
            defaults.0.iter().filter(|(name, value)| !value.is_empty() && self.get(name).is_none());
        Self(self.0.iter().chain(missing).cloned().collect())
    }

    /// What WhatsApp refuses in a template's parameter: line breaks, tabs and more than three
    /// spaces in a row.
    ///
    /// # Errors
    /// 21656 / 400.
    pub fn check_for_whatsapp(&self) -> Result<(), Fault> {
        for (name, value) in &self.0 {
            if value.contains(['\n', '\r', '\t']) || value.contains("    ") {
                let why = "has a line break, a tab or four spaces in a row";
                let why = format!("ContentVariables: the value of '{name}' {why}");
                return Err(Fault::new(21656, why));
            }
        }
        Ok(())
    }

    /// The text with every placeholder that has a value replaced by it, once: what a value
    /// brings in is not filled again.
    ///
    /// Differs: a placeholder without value and default stays as it is written.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut at = 0;
        for blank in blanks(text) {
            let Some(value) = self.get(blank.name) else { continue };
            filled.push_str(&text[at..blank.start]);
            filled.push_str(value);
            at = blank.end;
        }
        filled.push_str(&text[at..]);
        filled
    }

    /// Every string in the JSON filled.
    ///
    /// # Errors
    /// 21656 / 400 when it becomes larger than 1 MiB.
    pub(crate) fn fill_all(&self, json: &Json) -> Result<Json, Fault> {
        let mut left = FILLED_MAX;
        self.fill_within(json, &mut left)
    }

    fn fill_within(&self, json: &Json, left: &mut usize) -> Result<Json, Fault> {
        Ok(match json {
            Json::String(text) => {
                let size: usize = blanks(text)
                    .filter_map(|blank| self.get(blank.name))
                    .fold(text.len(), |sum, value| sum.saturating_add(value.len()));
                *left = left.checked_sub(size).ok_or_else(|| {
                    Fault::new(21656, "ContentVariables make the message larger than 1 MiB")
                })?;
                self.fill(text).into()
            }
            Json::Array(items) => {
                let filled = items.iter().map(|item| self.fill_within(item, left));
                filled.collect::<Result<Vec<_>, _>>()?.into()
            }
            Json::Object(members) => {
                let mut filled = Map::with_capacity(members.len());
                for (name, value) in members {
                    filled.insert(name.clone(), self.fill_within(value, left)?);
                }
                Json::Object(filled)
            }
            other => other.clone(),
        })
    }
}

/// The names of the placeholders in a text, in order, repeated ones repeated.
pub fn placeholders(text: &str) -> Vec<&str> {
    blanks(text).map(|blank| blank.name).collect()
}

/// A placeholder and the bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blank<'a> {
    pub name: &'a str,
    pub start: usize,
    pub end: usize,
}

/// `{{name}}`, where a name is letters, digits and underscores; anything else is text.
pub(crate) fn blanks(text: &str) -> impl Iterator<Item = Blank<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = text[at..].find("{{") {
            let start = at + found;
            let inside = &text[start + 2..];
            let length = inside
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                .count();
            if (1..=NAME_MAX).contains(&length) && inside[length..].starts_with("}}") {
                at = start + 2 + length + 2;
                return Some(Blank { name: &inside[..length], start, end: at });
            }
            // `{{{1}}` holds a placeholder behind its first brace.
            at = start + 1;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(json: &str) -> Values {
        Values::parse(json).unwrap()
    }

    #[test]
    fn placeholders_are_found_where_they_stand() {
        for (text, names) in [
            ("", vec![]),
            ("Hi {{1}}, {{name}}!", vec!["1", "name"]),
            ("{{1}}{{1}}", vec!["1", "1"]),
            ("{{{1}}}", vec!["1"]),
            ("{{}} {{ 1 }} {{a-b}} {{1} {1}}", vec![]),
            ("{{é}} {{_a9}}", vec!["_a9"]),
        ] {
            assert_eq!(placeholders(text), names, "{text}");
        }
    }

    #[test]
    fn values_win_over_defaults_and_are_not_filled_again() {
        let given = values(r#"{"1":"{{2}}","b":"B"}"#);
        let defaults =
            Values::of(serde_json::json!({"1": "one", "2": "two", "3": ""}).as_object().unwrap());
        let all = given.or(&defaults.unwrap());
        assert_eq!(all.fill("{{1}} {{2}} {{3}} {{b}} {{{b}}}"), "{{2}} two {{3}} B {B}");
    }

    #[test]
    fn what_is_not_an_object_of_strings_is_21656() {
        let many: Vec<String> = (0..101).map(|at| format!("\"v{at}\":\"x\"")).collect();
        let many = format!("{{{}}}", many.join(","));
        for bad in [
            &*many,
            "{\"1\":\"\\u0000\"}",
            "",
            "x",
            "[]",
            "null",
            "\"a\"",
            "{\"1\":1}",
            "{\"1\":null}",
            "{\"1\":\"\"}",
        ] {
            assert_eq!(Values::parse(bad).map_err(|fault| fault.code), Err(21656), "{bad}");
        }
        assert_eq!(values("{}"), Values::default());
    }

    #[test]
    fn whatsapp_refuses_white_space_that_breaks_lines() {
        for (value, fine) in
            [("a b", true), ("a   b", true), ("a    b", false), ("a\\nb", false), ("a\\tb", false)]
        {
            let values = values(&format!("{{\"1\":\"{value}\"}}"));
            assert_eq!(values.check_for_whatsapp().is_ok(), fine, "{value}");
        }
    }

    #[test]
    fn a_filled_type_has_a_bound() {
        let long = "x".repeat(60_000);
        let values = values(&format!("{{\"1\":\"{long}\"}}"));
        let many = serde_json::json!({"body": vec!["{{1}}"; 40]});
        assert_eq!(values.fill_all(&many).map_err(|fault| fault.code), Err(21656));
    }
}

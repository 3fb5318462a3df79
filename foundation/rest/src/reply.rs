//! What a handler answers, and its JSON.

use kernel::{Sid, Timestamp};
use serde_json::Value as Json;

use crate::table::{Dialect, Field, Table, Wire};

/// A value of a record before the table gives it its wire form.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(Timestamp),
    Json(Json),
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Val {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Val {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Timestamp> for Val {
    fn from(value: Timestamp) -> Self {
        Self::Time(value)
    }
}

impl From<Sid> for Val {
    fn from(value: Sid) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<Json> for Val {
    fn from(value: Json) -> Self {
        Self::Json(value)
    }
}

impl<T: Into<Val>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One resource as a product hands it over: names and values, in table order
/// where speed matters. `uri`/`url` and links are added by the renderer.
#[derive(Clone, Debug, Default)]
pub struct Record {
    values: Vec<(&'static str, Val)>,
    /// Path parameters of the record that the request does not have (a list, a creation).
    pub(crate) path: Vec<(&'static str, String)>,
    /// What pages by: a SID or another key of the list's order.
    pub(crate) cursor: String,
}

impl Record {
    /// An empty record whose instance path has `{Sid}` = `sid`, which also is its cursor.
    pub fn new(sid: &str) -> Self {
        Self::at("Sid", sid)
    }

    /// An empty record whose instance path ends with another parameter.
    pub fn at(name: &'static str, value: &str) -> Self {
        Self {
            values: Vec::with_capacity(24),
            path: vec![(name, value.to_owned())],
            cursor: value.to_owned(),
        }
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Val>) -> &mut Self {
        self.values.push((name, value.into()));
        self
    }

    /// Gives the record's instance path another parameter.
    pub fn with_path(mut self, name: &'static str, value: &str) -> Self {
        self.path.push((name, value.to_owned()));
        self
    }

    /// Pages by `cursor` instead of the SID.
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = cursor.into();
        self
    }

    pub fn get(&self, name: &str) -> Option<&Val> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// There is more behind the last record.
    pub has_next: bool,
}

/// What a handler answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// One record with the operation's status.
    Record(Record),
    /// One record with another status.
    RecordWith(u16, Record),
    List(Page),
    /// 204.
    Empty,
    Redirect {
        status: u16,
        location: String,
    },
    /// One record with the operation's status, which is a redirect to `location`.
    RecordAt {
        location: String,
        record: Record,
    },
    /// Bytes of another type, such as media.
    Bytes {
        content_type: String,
        body: Vec<u8>,
    },
    /// A JSON document that no table describes.
    Json(u16, Json),
}

/// Writes records in the wire form of their table.
pub(crate) struct Renderer<'a> {
    pub table: &'a Table,
    pub fields: &'static [Field],
    /// `https://verify.twilio.com` or `http://127.0.0.1:4010/_/verify`.
    pub base: &'a str,
    /// The request's path parameters.
    pub path: &'a [(String, String)],
}

impl Renderer<'_> {
    /// The record as a JSON object, fields in table order, none left out.
    pub fn json(&self, record: &Record, out: &mut String) {
        out.push('{');
        for (at, (name, value)) in self.fields(record).enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_string(name, out);
            out.push(':');
            write_value(&value, out);
        }
        out.push('}');
    }

    /// Every field of the table with its wire value.
    pub fn fields<'r>(
        &'r self,
        record: &'r Record,
    ) -> impl Iterator<Item = (&'static str, WireValue<'r>)> {
        let mut next = 0;
        self.fields.iter().map(move |field| {
            // Products set values in table order, so the search mostly hits at once.
            let found = record.values[next.min(record.values.len())..]
                .iter()
                .position(|(name, _)| *name == field.name)
                .map(|step| next + step)
                .or_else(|| record.values.iter().position(|(name, _)| *name == field.name));
            let value = match found {
                Some(at) => {
                    next = at + 1;
                    wire_value(&record.values[at].1, field.wire)
                }
                None => self.derived(field.name, record).unwrap_or(WireValue::Raw(field.empty)),
            };
            (field.name, value)
        })
    }

    fn derived(&self, name: &str, record: &Record) -> Option<WireValue<'static>> {
        match (name, self.table.dialect) {
            ("uri", Dialect::V2010) => {
                Some(WireValue::Text(format!("{}.json", self.instance_path(record)?).into()))
            }
            ("url", Dialect::Product) => Some(WireValue::Text(
                format!("{}{}", self.base, self.instance_path(record)?).into(),
            )),
            ("subresource_uris" | "links", _) if !self.table.links.is_empty() => {
                let instance = self.instance_path(record)?;
                let mut map = serde_json::Map::new();
                for (key, suffix) in self.table.links {
                    let uri = match self.table.dialect {
                        Dialect::V2010 => format!("{instance}{suffix}.json"),
                        Dialect::Product => format!("{}{instance}{suffix}", self.base),
                    };
                    map.insert((*key).to_owned(), uri.into());
                }
                Some(WireValue::Json(Json::Object(map)))
            }
            _ => None,
        }
    }

    fn instance_path(&self, record: &Record) -> Option<String> {
        let template = self.table.instance.or(self.table.list)?;
        let mut path = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some((head, tail)) = rest.split_once('{') {
            let (name, tail) = tail.split_once('}')?;
            path.push_str(head);
            let own = record.path.iter().find(|(known, _)| *known == name).map(|(_, v)| v);
            let asked = || self.path.iter().find(|(known, _)| known == name).map(|(_, v)| v);
            path.push_str(own.or_else(asked)?);
            rest = tail;
        }
        path.push_str(rest);
        Some(path)
    }
}

/// A value in its wire form, ready to be written as JSON, XML or CSV.
#[derive(Clone, Debug)]
pub(crate) enum WireValue<'a> {
    Null,
    Raw(&'static str),
    Text(std::borrow::Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Json(Json),
}

/// The table decides the type: a number in a text field is written as a string.
fn wire_value(value: &Val, wire: Wire) -> WireValue<'_> {
    let textual = !matches!(
        wire,
        Wire::Integer(..) | Wire::Number | Wire::Boolean | Wire::Json | Wire::UriMap
    );
    match value {
        Val::Null => WireValue::Null,
        Val::Text(text) => match wire {
            Wire::Integer(..) => text.parse().map_or(WireValue::Null, WireValue::Int),
            _ => WireValue::Text(text.as_str().into()),
        },
        Val::Int(int) if textual => WireValue::Text(int.to_string().into()),
        Val::Int(int) => WireValue::Int(*int),
        Val::Float(float) if textual => WireValue::Text(float.to_string().into()),
        Val::Float(float) => WireValue::Float(*float),
        Val::Bool(bool) if textual => WireValue::Text(bool.to_string().into()),
        Val::Bool(bool) => WireValue::Bool(*bool),
        Val::Time(at) => WireValue::Text(
            match wire {
                Wire::Rfc2822 => at.rfc2822(),
                Wire::Date => at.date(),
                _ => at.iso8601(),
            }
            .into(),
        ),
        Val::Json(json) => WireValue::Json(json.clone()),
    }
}

fn write_value(value: &WireValue<'_>, out: &mut String) {
    use std::fmt::Write;
    let written = match value {
        WireValue::Null => out.write_str("null"),
        WireValue::Raw(json) => out.write_str(json),
        WireValue::Text(text) => {
            write_string(text, out);
            Ok(())
        }
        WireValue::Int(int) => write!(out, "{int}"),
        WireValue::Float(float) => write!(out, "{float}"),
        WireValue::Bool(bool) => write!(out, "{bool}"),
        WireValue::Json(json) => write!(out, "{json}"),
    };
    written.expect("writing to a String does not fail");
}

/// JSON string literal.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_decides_types_order_and_links() {
        const FIELDS: &[Field] = &[
            Field::sid("sid", &["SM"]),
            Field::text("num_segments"),
            Field::new("error_code", Wire::Integer(0, i64::MAX)),
            Field::new("date_sent", Wire::Rfc2822),
            Field::text("uri"),
            Field::new("subresource_uris", Wire::UriMap),
            Field::text("voice_url").empty("\"\""),
        ];
        let table =
            Table::v2010("Message", "/x", "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}")
                .fields(FIELDS)
                .links(&[("media", "/Media")]);
        let path = [("AccountSid".to_owned(), "AC1".to_owned())];
        let mut record = Record::new("SM1");
        record.set("num_segments", 2i64).set("sid", "SM1").set("error_code", 30003i64);
        let mut out = String::new();
        Renderer { table: &table, fields: FIELDS, base: "https://api.twilio.com", path: &path }
            .json(&record, &mut out);
        assert_eq!(
            out,
            concat!(
                r#"{"sid":"SM1","num_segments":"2","error_code":30003,"date_sent":null,"#,
                r#""uri":"/2010-04-01/Accounts/AC1/Messages/SM1.json","#,
                r#""subresource_uris":{"media":"/2010-04-01/Accounts/AC1/Messages/SM1/Media.json"},"#,
                r#""voice_url":""}"#
            )
        );
    }

    #[test]
    fn strings_are_escaped_as_json_wants() {
        let mut out = String::new();
        write_string("a\"b\\c\n\u{1}é😀", &mut out);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), "a\"b\\c\n\u{1}é😀");
    }
}

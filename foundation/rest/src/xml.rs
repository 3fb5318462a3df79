//! The XML and CSV forms of the 2010-04-01 API (rest-conventions §4).
//!
//! Differs: the CSV quoting of Twilio is not documented; this is RFC 4180.

use std::fmt::Write;

use kernel::ApiError;
use serde_json::Value as Json;

use crate::paging::Envelope;
use crate::reply::{Record, Renderer, WireValue};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<TwilioResponse>";
const TAIL: &str = "</TwilioResponse>";

/// One record: `<TwilioResponse><Message>…`.
pub(crate) fn record(renderer: &Renderer<'_>, record: &Record) -> String {
    let mut out = HEAD.to_owned();
    element(renderer, record, &mut out);
    out + TAIL
}

/// A list: a plural element whose paging members are attributes.
pub(crate) fn list(renderer: &Renderer<'_>, envelope: &Envelope<'_>) -> String {
    let mut out = HEAD.to_owned();
    let plural = pascal(renderer.table.key);
    let _ = write!(out, "<{plural}");
    for (name, json) in envelope.v2010_members() {
        let text = match serde_json::from_str(&json) {
            Ok(Json::String(text)) => text,
            Ok(Json::Null) => String::new(),
            _ => json,
        };
        let _ = write!(out, " {}=\"", name.replace('_', ""));
        escape(&text, &mut out);
        out.push('"');
    }
    out.push('>');
    for record in &envelope.page.records {
        element(renderer, record, &mut out);
    }
    let _ = write!(out, "</{plural}>");
    out + TAIL
}

/// `<RestException>`.
pub(crate) fn error(error: &ApiError) -> String {
    let mut out = format!("{HEAD}<RestException><Code>{}</Code><Message>", error.code);
    escape(&error.message, &mut out);
    let _ = write!(
        out,
        "</Message><MoreInfo>{}</MoreInfo><Status>{}</Status></RestException>{TAIL}",
        error.more_info(),
        error.status
    );
    out
}

/// A header row of field names, then a row per record.
pub(crate) fn csv(renderer: &Renderer<'_>, records: &[Record]) -> String {
    let names: Vec<_> = renderer.fields.iter().map(|field| field.name).collect();
    let mut out = names.join(",");
    out.push_str("\r\n");
    for record in records {
        let cells: Vec<String> = renderer
            .fields(record)
            .map(|(_, value)| {
                let text = plain(&value);
                let quote = text.contains(['"', ',', '\n', '\r']);
                if quote { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
            })
            .collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

fn element(renderer: &Renderer<'_>, record: &Record, out: &mut String) {
    let name = renderer.table.name;
    let _ = write!(out, "<{name}>");
    for (field, value) in renderer.fields(record) {
        let tag = pascal(field);
        let _ = write!(out, "<{tag}>");
        match &value {
            WireValue::Json(json) => nested(json, out),
            other => escape(&plain(other), out),
        }
        let _ = write!(out, "</{tag}>");
    }
    let _ = write!(out, "</{name}>");
}

fn nested(json: &Json, out: &mut String) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                let tag = pascal(key);
                let _ = write!(out, "<{tag}>");
                nested(value, out);
                let _ = write!(out, "</{tag}>");
            }
        }
        Json::Array(list) => list.iter().for_each(|item| {
            out.push_str("<Item>");
            nested(item, out);
            out.push_str("</Item>");
        }),
        Json::Null => {}
        Json::String(text) => escape(text, out),
        other => escape(&other.to_string(), out),
    }
}

fn plain(value: &WireValue<'_>) -> String {
    match value {
        WireValue::Null | WireValue::Raw("null" | "\"\"") => String::new(),
        WireValue::Raw(json) => (*json).to_owned(),
        WireValue::Text(text) => text.to_string(),
        WireValue::Int(int) => int.to_string(),
        WireValue::Float(float) => float.to_string(),
        WireValue::Bool(bool) => bool.to_string(),
        WireValue::Json(Json::String(text)) => text.clone(),
        WireValue::Json(Json::Null) => String::new(),
        WireValue::Json(json) => json.to_string(),
    }
}

/// `date_created` → `DateCreated`.
fn pascal(name: &str) -> String {
    name.split('_')
        .map(|part| match part.split_at_checked(1) {
            Some((first, rest)) => first.to_ascii_uppercase() + rest,
            None => String::new(),
        })
        .collect()
}

/// XML text and attribute escaping; characters XML 1.0 forbids become U+FFFD.
fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push(letter),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paging::PageRequest;
    use crate::reply::Page;
    use crate::table::{Field, Table};

    const TABLE: Table = Table::v2010("Message", "/list", "/list/{Sid}").key("messages").fields(&[
        Field::text("sid"),
        Field::text("body"),
        Field::text("date_sent"),
    ]);

    fn sample() -> Record {
        let mut record = Record::new("SM1");
        record.set("sid", "SM1").set("body", "a<b & \"c\", d");
        record
    }

    #[test]
    fn records_lists_errors_and_csv_have_their_documented_shapes() {
        let renderer = Renderer { table: &TABLE, fields: TABLE.fields, base: "", path: &[] };
        let inner = "<Message><Sid>SM1</Sid><Body>a&lt;b &amp; &quot;c&quot;, d</Body>\
                     <DateSent></DateSent></Message>";
        assert_eq!(record(&renderer, &sample()), format!("{HEAD}{inner}{TAIL}"));
        let envelope = Envelope {
            table: &TABLE,
            request: &PageRequest { size: 50, ..PageRequest::default() },
            page: &Page { records: vec![sample()], has_next: false },
            path: "/list",
            query: "",
            base: "",
        };
        let text = list(&renderer, &envelope);
        assert!(text.contains("<Messages end=\"0\" firstpageuri=\"/list?PageSize=50&amp;Page=0\""));
        assert!(text.contains(inner));
        let refused = error(&ApiError::not_found("/x"));
        assert!(refused.contains("<RestException><Code>20404</Code>"), "{refused}");
        let table = csv(&renderer, &[sample()]);
        assert_eq!(table, "sid,body,date_sent\r\nSM1,\"a<b & \"\"c\"\", d\",\r\n");
    }
}

//! A first draft of a resource's table, for people to edit.

use std::fmt::Write;

use rest::Verb;
use serde_json::Value as Json;

use crate::definitions::{Definition, Operation};
use crate::formats::{Demand, demand};

/// The Rust source of a resource's tables, or none when the file does not know it.
pub(crate) fn skeleton(file: &Definition, resource: &str) -> Option<String> {
    let all: Vec<_> = file.operations.iter().filter(|op| op.resource() == resource).collect();
    let first = all.iter().find(|op| is_at_list(op)).or(all.first())?;
    let mut out = format!("//! `{}`: from `{}`, to be edited.\n\n", first.path, file.name);
    out.push_str("use rest::{Field, Op, Param, Resource, Table, Wire};\n\n");
    let mut ops = Vec::new();
    for verb in [Verb::Create, Verb::List, Verb::Fetch, Verb::Update, Verb::Delete] {
        let prefix = format!("{verb:?}");
        let Some(op) = all.iter().find(|op| op.id.starts_with(&prefix)) else { continue };
        let name = prefix.to_ascii_uppercase();
        let mut lines = String::new();
        for (param, schema) in &op.params {
            if !["PageSize", "Page", "PageToken"].contains(&param.as_str()) {
                let _ = writeln!(lines, "    {},", param_source(file, op, param, schema));
            }
        }
        let params = match (lines.is_empty(), verb) {
            (_, Verb::Fetch | Verb::Delete) => "",
            (true, _) => "&[]",
            (false, _) => name.as_str(),
        };
        if !lines.is_empty() && !params.is_empty() {
            let _ = write!(out, "const {name}: &[Param] = &[\n{lines}];\n\n");
        }
        let status = op.success().map(|(status, _)| status).unwrap_or_default();
        let usual = match verb {
            Verb::Create => 201,
            Verb::Delete => 204,
            _ => 200,
        };
        let status = if status == usual { String::new() } else { format!(".status({status})") };
        ops.push(format!("        Op::{}({params}){status},\n", name.to_ascii_lowercase()));
    }
    let (fields, key, sid) = record(file, &all);
    let _ = write!(out, "const FIELDS: &[Field] = &[\n{fields}];\n\n");
    let upper = snake(resource).to_ascii_uppercase();
    let path = |is_list: bool| {
        let found = all.iter().find(|op| is_list == is_at_list(op));
        found.map(|op| op.path.strip_suffix(".json").unwrap_or(&op.path).to_owned())
    };
    let (list, instance) = (path(true), path(false));
    let make = match file.name == "api_v2010" {
        true => format!("Table::v2010(\n        \"{resource}\""),
        false => format!("Table::product(\n        \"{resource}\",\n        \"{}\"", first.host),
    };
    let _ = write!(out, "pub static {upper}: Resource<State> = Resource {{\n    table: {make}");
    for path in [&list, &instance] {
        let _ = write!(out, ",\n        \"{}\"", path.as_deref().unwrap_or_default());
    }
    out.push_str(",\n    )\n");
    match (&list, &instance) {
        (None, _) => out.push_str("    .singleton()\n"),
        (_, None) => out.push_str("    .collection()\n"),
        _ => {}
    }
    let _ = write!(out, "    .key(\"{key}\")\n    .sid(\"{sid}\")\n    .fields(FIELDS),\n");
    let _ = write!(out, "    ops: &[\n{}    ],\n}};\n", ops.concat());
    Some(out)
}

fn is_at_list(op: &Operation) -> bool {
    op.id.starts_with("List") || op.id.starts_with("Create")
}

/// Fields, name of the list's array, and SID prefix.
fn record(file: &Definition, all: &[&Operation]) -> (String, String, String) {
    let (mut fields, mut key, mut sid) = (String::new(), String::new(), String::new());
    for op in all {
        let Some((_, Some(schema))) = op.success() else { continue };
        let mut record = schema;
        if op.id.starts_with("List")
            && let Some((name, items)) = file.list_items(schema)
        {
            key = name.to_owned();
            record = items;
        }
        if fields.is_empty() {
            for (name, schema) in file.properties(record) {
                let wire = wire(file, schema);
                let source = match wire.as_str() {
                    "Wire::Text" => format!("Field::text(\"{name}\")"),
                    _ => match wire.strip_prefix("Wire::Sid(") {
                        Some(prefixes) => format!("Field::sid(\"{name}\", {prefixes}"),
                        None => format!("Field::new(\"{name}\", {wire})"),
                    },
                };
                if let (true, Demand::Sid(prefixes)) = (name == "sid", demand(file.resolve(schema)))
                {
                    sid = prefixes.first().cloned().unwrap_or_default();
                }
                let _ = writeln!(fields, "    {source},");
            }
        }
    }
    (fields, key, sid)
}

fn param_source(file: &Definition, op: &Operation, name: &str, schema: &Json) -> String {
    let schema = file.resolve(schema);
    let is_list = schema["type"] == "array";
    let schema = if is_list { file.resolve(&schema["items"]) } else { schema };
    let mut source = match demand(schema) {
        Demand::Text => format!("Param::text(\"{name}\", 65_536)"),
        Demand::Uri => format!("Param::url(\"{name}\")"),
        Demand::Method => format!("Param::method(\"{name}\")"),
        Demand::Boolean => format!("Param::boolean(\"{name}\")"),
        Demand::Integer => format!("Param::integer(\"{name}\", 0, i64::MAX)"),
        Demand::Rfc2822 | Demand::Iso8601 => format!("Param::date_time(\"{name}\")"),
        Demand::Sid(prefixes) => format!("Param::sid(\"{name}\", {})", quoted(&prefixes)),
        Demand::Enum(values) => format!("Param::one_of(\"{name}\", {})", quoted(&values)),
        _ => format!("Param::new(\"{name}\", {})", wire(file, schema)),
    };
    if op.required.iter().any(|required| required == name) {
        source.push_str(".required(20001)");
    }
    if is_list {
        source.push_str(".list()");
    }
    source
}

fn wire(file: &Definition, schema: &Json) -> String {
    match demand(file.resolve(schema)) {
        Demand::Text => "Wire::Text".into(),
        Demand::Uri => "Wire::Url".into(),
        Demand::Rfc2822 => "Wire::Rfc2822".into(),
        Demand::Iso8601 => "Wire::Iso8601".into(),
        Demand::Date => "Wire::Date".into(),
        Demand::Sid(prefixes) => format!("Wire::Sid({})", quoted(&prefixes)),
        Demand::Method => "Wire::Method".into(),
        Demand::Enum(values) => format!("Wire::Enum({})", quoted(&values)),
        Demand::Integer => "Wire::Integer(0, i64::MAX)".into(),
        Demand::Number => "Wire::Number".into(),
        Demand::Boolean => "Wire::Boolean".into(),
        Demand::UriMap => "Wire::UriMap".into(),
        Demand::Anything | Demand::Object | Demand::Array => "Wire::Json".into(),
    }
}

fn quoted(values: &[String]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
    format!("&[{}]", values.join(", "))
}

/// `SigningKey` becomes `signing_key`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_becomes_a_table() {
        let record = json!({"properties": {
            "sid": {"type": "string", "pattern": "^QU[0-9a-fA-F]{32}$"},
            "date_created": {"type": "string", "format": "date-time-rfc-2822"},
        }});
        let doc = json!({"servers": [{"url": "https://api.twilio.com"}], "paths": {
            "/2010-04-01/BigQueues.json": {
                "get": {"operationId": "ListBigQueue", "responses": {"200": {"content": {"j": {
                    "schema": {"properties": {"big_queues": {"type": "array", "items": record}}},
                }}}}},
                "post": {"operationId": "CreateBigQueue", "requestBody": {"content": {"f": {
                    "schema": {"properties": {"Name": {"type": "string"}}, "required": ["Name"]},
                }}}, "responses": {"201": {"content": {"j": {"schema": record}}}}},
            },
            "/2010-04-01/BigQueues/{Sid}.json": {"delete": {
                "operationId": "DeleteBigQueue", "responses": {"204": {}}}},
        }});
        let file = Definition::new("api_v2010", doc);
        let source = skeleton(&file, "BigQueue").unwrap();
        for line in [
            "Param::text(\"Name\", 65_536).required(20001),",
            "Field::sid(\"sid\", &[\"QU\"]),",
            "Field::new(\"date_created\", Wire::Rfc2822),",
            "pub static BIG_QUEUE: Resource<State>",
            "\"/2010-04-01/BigQueues/{Sid}\"",
            ".key(\"big_queues\")",
            ".sid(\"QU\")",
            "Op::create(CREATE),",
            "Op::list(&[]),",
            "Op::delete(),",
        ] {
            assert!(source.contains(line), "{line}\n{source}");
        }
        assert_eq!(skeleton(&file, "Queue"), None);
    }
}

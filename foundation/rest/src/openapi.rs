//! OpenAPI 3.1 from the tables.

use serde_json::{Map, Value as Json, json};

use crate::table::{Access, Dialect, Field, OpDecl, Param, Table, Verb, Wire};

/// The description of everything that is mounted.
pub fn openapi<'a>(tables: impl Iterator<Item = (&'static Table, &'a [OpDecl])>) -> Json {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for (table, ops) in tables {
        let schema = format!("{}.{}", table.product, table.name);
        schemas.insert(schema.clone(), record_schema(table));
        for op in ops {
            let at_list = matches!(op.verb, Verb::List | Verb::Create) && !op.at_instance;
            let Some(path) = (if at_list { table.list } else { table.instance }) else { continue };
            let extension = if table.dialect == Dialect::V2010 { ".json" } else { "" };
            // OpenAPI joins server and path; the product prefix keeps equal paths of two hosts apart.
            let key = format!("/_/{}{path}{extension}", table.product);
            let method = match op.verb {
                Verb::List | Verb::Fetch => "get",
                Verb::Create | Verb::Update => "post",
                Verb::Delete => "delete",
            };
            let item = paths.entry(key).or_insert_with(|| json!({}));
            item[method] = operation(table, op, path, &schema);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Offhook",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every resource of this instance, as its tables declare it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": schemas,
        },
    })
}

fn operation(table: &Table, op: &OpDecl, path: &str, schema: &str) -> Json {
    let mut parameters: Vec<Json> = path
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    let mut operation = json!({
        "operationId": format!("{:?}{}", op.verb, table.name),
        "tags": [table.product],
    });
    let record = json!({"$ref": format!("#/components/schemas/{schema}")});
    let content = match op.verb {
        Verb::Delete => json!({"description": "Deleted"}),
        Verb::List => described("A page", list_schema(table, &record)),
        _ => described("The resource", record),
    };
    operation["responses"] = json!({
        op.status.to_string(): content,
        "default": {"description": "An error: code, message, more_info, status"},
    });
    if matches!(op.verb, Verb::Create | Verb::Update) {
        let mut properties = Map::new();
        for param in op.params {
            properties.insert(param.name.to_owned(), param_schema(param));
        }
        let required: Vec<_> =
            op.params.iter().filter(|p| p.required.is_some()).map(|p| p.name).collect();
        operation["requestBody"] = json!({"content": {
            if op.json { "application/json" } else { "application/x-www-form-urlencoded" }: {
                "schema": {"type": "object", "properties": properties, "required": required},
            },
        }});
    } else {
        for param in op.params {
            parameters.push(json!({
                "name": param.name,
                "in": "query",
                "required": param.required.is_some(),
                "schema": param_schema(param),
            }));
        }
        if op.verb == Verb::List {
            parameters.push(json!({"name": "PageSize", "in": "query", "schema":
                {"type": "integer", "minimum": 1, "maximum": table.page_size_max}}));
            for (name, kind) in [("Page", "integer"), ("PageToken", "string")] {
                parameters.push(json!({"name": name, "in": "query", "schema": {"type": kind}}));
            }
        }
    }
    operation["parameters"] = parameters.into();
    if table.access == Access::Public {
        operation["security"] = json!([]);
    }
    operation
}

fn described(description: &str, schema: Json) -> Json {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn record_schema(table: &Table) -> Json {
    let mut properties = Map::new();
    for field in table.fields {
        properties.insert(field.name.to_owned(), field_schema(field));
    }
    let names: Vec<_> = table.fields.iter().map(|field| field.name).collect();
    json!({"type": "object", "properties": properties, "required": names})
}

fn list_schema(table: &Table, record: &Json) -> Json {
    json!({"type": "object", "required": [table.key], "properties": {
        table.key: {"type": "array", "items": record},
    }})
}

fn field_schema(field: &Field) -> Json {
    let mut schema = wire_schema(field.wire);
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

fn param_schema(param: &Param) -> Json {
    let mut schema = wire_schema(param.wire);
    if let Some(default) = param.default {
        schema["default"] = default.into();
    }
    if param.wire == Wire::Text && param.max_chars < 65_536 {
        schema["maxLength"] = param.max_chars.into();
    }
    if param.repeats { json!({"type": "array", "items": schema}) } else { schema }
}

fn wire_schema(wire: Wire) -> Json {
    match wire {
        Wire::Text | Wire::Address | Wire::PrefixedMap => json!({"type": "string"}),
        Wire::Integer(min, max) if min > i64::MIN && max < i64::MAX => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Wire::Integer(..) => json!({"type": "integer"}),
        Wire::Number => json!({"type": "number"}),
        Wire::Boolean => json!({"type": "boolean"}),
        Wire::Sid([]) => json!({"type": "string", "pattern": "^[A-Z]{2}[0-9a-fA-F]{32}$"}),
        Wire::Sid(prefixes) => {
            json!({"type": "string", "pattern": format!("^({})[0-9a-fA-F]{{32}}$", prefixes.join("|"))})
        }
        Wire::Url => json!({"type": "string", "format": "uri"}),
        Wire::Method => json!({"type": "string", "enum": ["GET", "POST"]}),
        Wire::Enum(values) => json!({"type": "string", "enum": values}),
        Wire::DateTime | Wire::Iso8601 => json!({"type": "string", "format": "date-time"}),
        Wire::Rfc2822 => json!({"type": "string", "format": "date-time-rfc-2822"}),
        Wire::Date => json!({"type": "string", "format": "date"}),
        Wire::Day => {
            let pattern = r"^(\d{4}-\d{2}-\d{2}|[+-]?\d+days?)$";
            json!({"type": "string", "pattern": pattern})
        }
        Wire::Json => json!({}),
        Wire::UriMap => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    }
}

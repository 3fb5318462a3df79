//! What JSON of our own API looks like, as constants, and as schemas of OpenAPI 3.1.

use serde_json::{Map, Value, json};

/// A JSON object with a name.
pub struct Shape {
    pub name: &'static str,
    pub members: &'static [Member],
}

pub struct Member {
    name: &'static str,
    kind: Kind,
    is_always: bool,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    /// ISO 8601.
    Time,
    Integer,
    Number,
    Flag,
    /// Any JSON.
    Anything,
    /// An object whose members are not said here.
    Members,
    /// Two texts, as an array.
    Pair,
    OneOf(&'static [&'static str]),
    A(&'static Shape),
    List(&'static Kind),
    OrNull(&'static Kind),
}

/// A member that is always there.
pub const fn has(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, is_always: true }
}

/// A member that may be absent.
pub const fn may(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, is_always: false }
}

impl Member {
    pub fn parameter(&self, place: &str) -> Value {
        let (mut into, schema) = (Map::new(), self.kind);
        let schema = schema.schema(&mut into);
        json!({"name": self.name, "in": place, "required": self.is_always, "schema": schema})
    }
}

impl Shape {
    /// A reference to the schema, which is put among `all` with those it refers to.
    pub fn refer(&self, all: &mut Map<String, Value>) -> Value {
        if !all.contains_key(self.name) {
            all.insert(self.name.to_owned(), Value::Null);
            let mut properties = Map::new();
            for member in self.members {
                properties.insert(member.name.to_owned(), member.kind.schema(all));
            }
            let always = self.members.iter().filter(|member| member.is_always);
            let always: Vec<_> = always.map(|member| member.name).collect();
            let schema = json!({"type": "object", "properties": properties, "required": always});
            all.insert(self.name.to_owned(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{}", self.name)})
    }
}

impl Kind {
    fn schema(self, all: &mut Map<String, Value>) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Anything => json!({}),
            Self::Members => json!({"type": "object", "additionalProperties": true}),
            Self::Pair => json!({"type": "array", "minItems": 2, "maxItems": 2,
                "prefixItems": [{"type": "string"}, {"type": "string"}]}),
            Self::OneOf(values) => json!({"type": "string", "enum": values}),
            Self::A(shape) => shape.refer(all),
            Self::List(kind) => json!({"type": "array", "items": kind.schema(all)}),
            Self::OrNull(kind) => match *kind {
                Self::A(shape) => json!({"anyOf": [shape.refer(all), {"type": "null"}]}),
                Self::OneOf(values) => {
                    let values: Vec<_> =
                        values.iter().map(|one| json!(one)).chain([Value::Null]).collect();
                    json!({"type": ["string", "null"], "enum": values})
                }
                kind => {
                    let mut schema = kind.schema(all);
                    schema["type"] = json!([schema["type"], "null"]);
                    schema
                }
            },
        }
    }
}

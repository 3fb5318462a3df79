//! Which wire types of a table answer a schema of the definitions.

use rest::Wire;
use serde_json::Value as Json;

/// What a schema demands of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Anything,
    Text,
    Uri,
    Rfc2822,
    Iso8601,
    Date,
    /// Prefixes of the SID; empty is any.
    Sid(Vec<String>),
    Method,
    Enum(Vec<String>),
    Integer,
    Number,
    Boolean,
    Object,
    UriMap,
    Array,
}

/// Reads a resolved schema.
pub(crate) fn demand(schema: &Json) -> Demand {
    let format = schema["format"].as_str().unwrap_or_default();
    let values = schema["enum"].as_array();
    match (schema["type"].as_str().unwrap_or_default(), format) {
        (_, "http-method") => Demand::Method,
        (_, "uri-map") => Demand::UriMap,
        ("string", _) if values.is_some() => Demand::Enum(
            values.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect(),
        ),
        ("string", "date-time-rfc-2822") => Demand::Rfc2822,
        ("string", "date-time") => Demand::Iso8601,
        ("string", "date") => Demand::Date,
        ("string", "uri") => Demand::Uri,
        ("string", _) => match schema["pattern"].as_str().and_then(sid_prefixes) {
            Some(prefixes) => Demand::Sid(prefixes),
            None => Demand::Text,
        },
        ("integer", _) => Demand::Integer,
        ("number", _) => Demand::Number,
        ("boolean", _) => Demand::Boolean,
        ("object", _) => Demand::Object,
        ("array", _) => Demand::Array,
        _ => Demand::Anything,
    }
}

/// The prefixes of a SID pattern such as `^(SM|MM)[0-9a-fA-F]{32}$`; none when the
/// pattern is of another kind.
pub(crate) fn sid_prefixes(pattern: &str) -> Option<Vec<String>> {
    let bare = pattern.trim_start_matches('^').trim_end_matches('$');
    let head = bare.strip_suffix("{32}")?;
    let (head, _) = head.strip_suffix(']')?.rsplit_once('[')?;
    if head.starts_with('[') {
        return Some(Vec::new());
    }
    let head = head.strip_prefix('(').and_then(|h| h.strip_suffix(')')).unwrap_or(head);
    let prefixes: Vec<String> = head.split('|').map(str::to_owned).collect();
    let is_prefix = |p: &String| p.len() == 2 && p.bytes().all(|byte| byte.is_ascii_uppercase());
    prefixes.iter().all(is_prefix).then_some(prefixes)
}

/// True when a field of this type is written as the schema demands.
pub(crate) fn field_answers(wire: Wire, demand: &Demand) -> bool {
    match demand {
        Demand::Anything => true,
        // Whatever is written as a JSON string.
        Demand::Text => !matches!(
            wire,
            Wire::Integer(..) | Wire::Number | Wire::Boolean | Wire::Json | Wire::UriMap
        ),
        Demand::Uri => matches!(wire, Wire::Url | Wire::Text),
        Demand::Rfc2822 => wire == Wire::Rfc2822,
        Demand::Iso8601 => wire == Wire::Iso8601,
        Demand::Date => matches!(wire, Wire::Date | Wire::Day),
        Demand::Sid(prefixes) => is_sid(wire, prefixes),
        Demand::Method => wire == Wire::Method,
        Demand::Enum(_) => matches!(wire, Wire::Enum(_)),
        Demand::Integer => matches!(wire, Wire::Integer(..)),
        Demand::Number => matches!(wire, Wire::Number | Wire::Integer(..)),
        Demand::Boolean => wire == Wire::Boolean,
        Demand::Object => matches!(wire, Wire::Json | Wire::UriMap),
        Demand::UriMap => wire == Wire::UriMap,
        Demand::Array => wire == Wire::Json,
    }
}

/// True when a parameter of this type takes what the schema describes.
pub(crate) fn param_answers(wire: Wire, demand: &Demand) -> bool {
    match demand {
        Demand::Anything | Demand::Text => true,
        Demand::Uri => matches!(wire, Wire::Url | Wire::Text),
        Demand::Rfc2822 | Demand::Iso8601 => wire == Wire::DateTime,
        Demand::Date => matches!(wire, Wire::Date | Wire::DateTime | Wire::Day),
        Demand::Sid(prefixes) => is_sid(wire, prefixes),
        Demand::Method => wire == Wire::Method,
        Demand::Enum(_) => matches!(wire, Wire::Enum(_)),
        Demand::Integer => matches!(wire, Wire::Integer(..)),
        Demand::Number => wire == Wire::Number,
        Demand::Boolean => wire == Wire::Boolean,
        Demand::Object | Demand::UriMap => matches!(wire, Wire::Json | Wire::PrefixedMap),
        // Held against the items, because an array is a repeated key.
        Demand::Array => true,
    }
}

fn is_sid(wire: Wire, prefixes: &[String]) -> bool {
    match wire {
        Wire::Sid(own) => {
            prefixes.is_empty() || prefixes.iter().all(|prefix| own.contains(&prefix.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sid_patterns_are_read() {
        assert_eq!(sid_prefixes("^AC[0-9a-fA-F]{32}$").unwrap(), ["AC"]);
        assert_eq!(sid_prefixes("^(SM|MM)[0-9a-fA-F]{32}$").unwrap(), ["SM", "MM"]);
        assert_eq!(sid_prefixes("OR[0-9a-f]{32}").unwrap(), ["OR"]);
        assert!(sid_prefixes("^[a-zA-Z]{2}[0-9a-fA-F]{32}$").unwrap().is_empty());
        assert_eq!(sid_prefixes("^aia_asst_.+$"), None);
        assert_eq!(sid_prefixes("^[A-Z0-9]{6}$"), None);
    }

    #[test]
    fn a_field_of_another_type_does_not_answer() {
        for (schema, right, wrong) in [
            (json!({"type": "string"}), Wire::Text, Wire::Integer(0, 9)),
            (json!({"type": "string", "format": "date-time"}), Wire::Iso8601, Wire::Rfc2822),
            (
                json!({"type": "string", "format": "date-time-rfc-2822"}),
                Wire::Rfc2822,
                Wire::Iso8601,
            ),
            (json!({"type": "string", "format": "uri"}), Wire::Url, Wire::Json),
            (json!({"type": "string", "enum": ["a"]}), Wire::Enum(&["a"]), Wire::Text),
            (
                json!({"type": "string", "pattern": "^QU[0-9a-fA-F]{32}$"}),
                Wire::Sid(&["QU"]),
                Wire::Sid(&["AC"]),
            ),
            (json!({"type": "integer"}), Wire::Integer(0, 1), Wire::Text),
            (json!({"type": "boolean"}), Wire::Boolean, Wire::Text),
            (json!({"type": "object"}), Wire::Json, Wire::Text),
            (json!({"type": "object", "format": "uri-map"}), Wire::UriMap, Wire::Json),
            (json!({"type": "array"}), Wire::Json, Wire::Text),
        ] {
            assert!(field_answers(right, &demand(&schema)), "{schema}");
            assert!(!field_answers(wrong, &demand(&schema)), "{schema}");
        }
    }

    #[test]
    fn a_parameter_of_another_type_does_not_answer() {
        let date = demand(&json!({"type": "string", "format": "date-time"}));
        assert!(param_answers(Wire::DateTime, &date) && !param_answers(Wire::Text, &date));
        let number = demand(&json!({"type": "number"}));
        assert!(param_answers(Wire::Number, &number) && !param_answers(Wire::Text, &number));
    }
}

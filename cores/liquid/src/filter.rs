//! What values go through.

use serde_json::{Number, Value};

use crate::render::text;

/// The value and the filter's arguments; what is missing of them is nil.
pub(crate) type Filter = fn(Value, &[Value]) -> Value;

const FILTERS: &[(&str, Filter)] = &[
    ("default", |value, given| match &value {
        Value::Null | Value::Bool(false) => argument(given, 0),
        Value::String(text) if text.is_empty() => argument(given, 0),
        Value::Array(all) if all.is_empty() => argument(given, 0),
        _ => value,
    }),
    ("upcase", |value, _| text(&value).to_uppercase().into()),
    ("downcase", |value, _| text(&value).to_lowercase().into()),
    ("capitalize", |value, _| capitalized(&text(&value)).into()),
    ("strip", |value, _| text(&value).trim().into()),
    ("lstrip", |value, _| text(&value).trim_start().into()),
    ("rstrip", |value, _| text(&value).trim_end().into()),
    ("append", |value, given| (text(&value) + &word(given, 0)).into()),
    ("prepend", |value, given| (word(given, 0) + &text(&value)).into()),
    ("remove", |value, given| replaced(&text(&value), &word(given, 0), "").into()),
    ("replace", |value, given| replaced(&text(&value), &word(given, 0), &word(given, 1)).into()),
    ("escape", |value, _| escaped(&text(&value)).into()),
    ("newline_to_br", |value, _| text(&value).replace('\n', "<br />\n").into()),
    ("truncate", |value, given| truncated(&text(&value), given).into()),
    ("size", |value, _| match value {
        Value::Array(all) => all.len().into(),
        Value::Object(map) => map.len().into(),
        other => text(&other).chars().count().into(),
    }),
    ("first", |value, _| value.as_array().and_then(|all| all.first()).cloned().into()),
    ("last", |value, _| value.as_array().and_then(|all| all.last()).cloned().into()),
    ("join", |value, given| {
        let between = if given.is_empty() { " ".to_owned() } else { word(given, 0) };
        match value {
            Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(&between).into(),
            other => other,
        }
    }),
    ("split", |value, given| {
        let (whole, by) = (text(&value), word(given, 0));
        match by.is_empty() {
            true => whole.chars().map(|c| Value::from(c.to_string())).collect(),
            false => whole.split(by.as_str()).map(Value::from).collect(),
        }
    }),
    ("plus", |value, given| counted(&value, given, |a, b| a.checked_add(b), |a, b| a + b)),
    ("minus", |value, given| counted(&value, given, |a, b| a.checked_sub(b), |a, b| a - b)),
    ("times", |value, given| counted(&value, given, |a, b| a.checked_mul(b), |a, b| a * b)),
    ("divided_by", |value, given| {
        counted(&value, given, |a, b| a.checked_div_euclid(b), |a, b| a / b)
    }),
    ("modulo", |value, given| {
        counted(&value, given, |a, b| a.checked_rem_euclid(b), f64::rem_euclid)
    }),
    ("round", |value, given| {
        let places = given.first().and_then(Value::as_i64).unwrap_or(0).clamp(0, 15);
        let shift = 10f64.powi(i32::try_from(places).unwrap_or(0));
        let rounded = (number(&value).as_f64().unwrap_or(0.0) * shift).round() / shift;
        if places == 0 { Value::from(rounded as i64) } else { Value::from(rounded) }
    }),
    ("floor", |value, _| Value::from(number(&value).as_f64().unwrap_or(0.0).floor() as i64)),
    ("ceil", |value, _| Value::from(number(&value).as_f64().unwrap_or(0.0).ceil() as i64)),
];

pub(crate) fn by_name(name: &str) -> Option<Filter> {
    FILTERS.iter().find(|(known, _)| *known == name).map(|(_, filter)| *filter)
}

fn argument(given: &[Value], at: usize) -> Value {
    given.get(at).cloned().unwrap_or_default()
}

fn word(given: &[Value], at: usize) -> String {
    given.get(at).map(text).unwrap_or_default()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    first + &chars.as_str().to_lowercase()
}

/// An empty word is nowhere.
fn replaced(text: &str, old: &str, new: &str) -> String {
    // What would grow beyond all bounds is left.
    let grows = text.len().saturating_mul(new.len()) > 64 * 1024 * 1024;
    if old.is_empty() || grows { text.to_owned() } else { text.replace(old, new) }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The ellipsis counts.
fn truncated(text: &str, given: &[Value]) -> String {
    let length = given.first().and_then(Value::as_u64).unwrap_or(50);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let ellipsis = if given.len() > 1 { word(given, 1) } else { "...".to_owned() };
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept = length.saturating_sub(ellipsis.chars().count());
    text.chars().take(kept).collect::<String>() + &ellipsis
}

fn number(value: &Value) -> Number {
    let parsed = match value {
        Value::Number(number) => Some(number.clone()),
        other => text(other).trim().parse().ok(),
    };
    parsed.unwrap_or_else(|| 0.into())
}

/// Whole numbers stay whole; what cannot be counted is nil.
fn counted(
    value: &Value,
    given: &[Value],
    whole: fn(i64, i64) -> Option<i64>,
    real: fn(f64, f64) -> f64,
) -> Value {
    let (a, b) = (number(value), number(&argument(given, 0)));
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => whole(a, b).into(),
        _ => real(a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0)).into(),
    }
}

//! Holds answers of our own API against their description.

use std::sync::OnceLock;

use serde_json::Value;

use super::Reply;

fn description() -> &'static Value {
    static KNOWN: OnceLock<Value> = OnceLock::new();
    KNOWN.get_or_init(offhook::server::own_description)
}

/// Panics where a success is not what the description says.
pub fn check(method: &str, path: &str, reply: &Reply) {
    if !(200..300).contains(&reply.status) || path.contains("/wire/") {
        return;
    }
    let path = path.split('?').next().unwrap_or_default();
    let paths = description()["paths"].as_object().expect("there are paths");
    let fits = |template: &&String| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        wanted.clone().count() == given.clone().count()
            && wanted.all(|part| given.next().is_some_and(|is| part.starts_with('{') || part == is))
    };
    let template = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count());
    let template = template.unwrap_or_else(|| panic!("{path} is not described"));
    let operation = &paths[template][method.to_lowercase()];
    let answer = &operation["responses"][reply.status.to_string()];
    assert!(answer.is_object(), "{method} {path} answers {}, which is not said", reply.status);
    if let Some(schema) = answer.pointer("/content/application~1json/schema")
        && let Err(fault) = compare(schema, &reply.json(), "answer")
    {
        panic!("{method} {path}: {fault}");
    }
}

fn compare(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let known = description().pointer(&name[1..]);
        return compare(known.expect("what is referred to is there"), value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults = any.iter().map(|one| compare(one, value, at)).collect::<Vec<_>>();
        return match faults.iter().any(Result::is_ok) {
            true => Ok(()),
            false => faults.into_iter().next().unwrap_or(Ok(())),
        };
    }
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let named = |kind: &Value| kind == is || (kind == "number" && is == "integer");
    let is_fit = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(named),
        kind => named(kind),
    };
    if !is_fit {
        return Err(format!("{at} is {value}, not {}", schema["type"]));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{at} is {value}, none of {values:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        compare(&schema["items"], item, &format!("{at}[{index}]"))?;
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !members.contains_key(name) {
            return Err(format!("{at} has no {name}"));
        }
    }
    for (name, member) in members {
        let known = properties.get(name).ok_or_else(|| format!("{at} has {name} besides"))?;
        compare(known, member, &format!("{at}.{name}"))?;
    }
    Ok(())
}

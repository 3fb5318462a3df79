//! From nodes and data to text.

use serde_json::Value;

use crate::date;
use crate::parse::{Call, Expr, Node, Template};

/// Bytes of a rendering; what is beyond is left out.
const OUT_MAX: usize = 10 * 1024 * 1024;

/// What names mean at some place.
struct Scope<'a> {
    /// From the root inwards.
    values: Vec<&'a Value>,
    /// Index and count of the loop around, and the key where it goes over an object.
    at: Option<(usize, usize, Option<&'a str>)>,
}

/// A value found or made.
enum Found<'a> {
    Ref(&'a Value),
    Own(Value),
}

impl Found<'_> {
    fn value(&self) -> &Value {
        match self {
            Self::Ref(value) => value,
            Self::Own(value) => value,
        }
    }
}

impl Template {
    /// The text for `data`. `escapes` for HTML; a subject or plain text is not escaped.
    pub fn render(&self, data: &Value, escapes: bool) -> String {
        let mut out = String::new();
        let scope = Scope { values: vec![data], at: None };
        nodes(&self.nodes, &scope, escapes, &mut out);
        out
    }
}

fn nodes<'a>(all: &[Node], scope: &Scope<'a>, escapes: bool, out: &mut String) {
    for node in all {
        if out.len() > OUT_MAX {
            return;
        }
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Show { call, escaped } => {
                let text = show(call, scope);
                match escapes && *escaped {
                    true => escape(&text, out),
                    false => out.push_str(&text),
                }
            }
            Node::Choice { branches, otherwise } => {
                let held = branches.iter().find(|(condition, _)| holds(condition, scope));
                nodes(held.map_or(otherwise, |(_, body)| body), scope, escapes, out);
            }
            Node::Each { list, body, otherwise } => {
                each(list, body, otherwise, scope, escapes, out)
            }
            Node::With { value, body, otherwise } => match find(value, scope) {
                Found::Ref(value) if is_true(value) => {
                    let inner = Scope { values: pushed(scope, value), at: scope.at };
                    nodes(body, &inner, escapes, out);
                }
                _ => nodes(otherwise, scope, escapes, out),
            },
        }
    }
}

fn pushed<'a>(scope: &Scope<'a>, value: &'a Value) -> Vec<&'a Value> {
    let mut values = scope.values.clone();
    values.push(value);
    values
}

fn each<'a>(
    list: &Expr,
    body: &[Node],
    otherwise: &[Node],
    scope: &Scope<'a>,
    escapes: bool,
    out: &mut String,
) {
    let items: Vec<(Option<&'a str>, &'a Value)> = match find(list, scope) {
        Found::Ref(Value::Array(items)) => items.iter().map(|item| (None, item)).collect(),
        Found::Ref(Value::Object(map)) => {
            map.iter().map(|(key, item)| (Some(key.as_str()), item)).collect()
        }
        _ => Vec::new(),
    };
    if items.is_empty() {
        return nodes(otherwise, scope, escapes, out);
    }
    let count = items.len();
    for (at, (key, item)) in items.into_iter().enumerate() {
        let inner = Scope { values: pushed(scope, item), at: Some((at, count, key)) };
        nodes(body, &inner, escapes, out);
        if out.len() > OUT_MAX {
            return;
        }
    }
}

static NULL: Value = Value::Null;

fn find<'a>(expr: &Expr, scope: &Scope<'a>) -> Found<'a> {
    match expr {
        Expr::Text(text) => Found::Own(Value::String(text.clone())),
        Expr::Number(number) => {
            Found::Own(serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number))
        }
        Expr::Bool(bool) => Found::Own(Value::Bool(*bool)),
        Expr::Null => Found::Own(Value::Null),
        Expr::Loop(name) => Found::Own(match (name.as_str(), scope.at) {
            ("index", Some((at, ..))) => at.into(),
            ("key", Some((at, _, key))) => key.map_or_else(|| at.into(), Value::from),
            ("first", Some((at, ..))) => (at == 0).into(),
            ("last", Some((at, count, _))) => (at + 1 == count).into(),
            _ => Value::Null,
        }),
        Expr::Length(of) => Found::Own(match find(of, scope).value() {
            Value::Array(items) => items.len().into(),
            Value::Object(map) => map.len().into(),
            Value::String(text) => text.chars().count().into(),
            _ => 0.into(),
        }),
        Expr::Path { up, root, names } => {
            let depth = scope.values.len() - 1;
            let at = if *root { 0 } else { depth.saturating_sub(*up) };
            let mut value = scope.values[at];
            for name in names {
                value = match value {
                    Value::Object(map) => map.get(name).unwrap_or(&NULL),
                    Value::Array(items) if name == "length" => {
                        return Found::Own(items.len().into());
                    }
                    Value::Array(items) => {
                        name.parse::<usize>().ok().and_then(|at| items.get(at)).unwrap_or(&NULL)
                    }
                    _ => &NULL,
                };
            }
            Found::Ref(value)
        }
    }
}

fn show(call: &Call, scope: &Scope<'_>) -> String {
    let arg = |at: usize| call.args.get(at).map(|expr| find(expr, scope));
    match call.helper.as_str() {
        "insert" => {
            let text = arg(0).map(|found| text(found.value())).unwrap_or_default();
            if !text.is_empty() {
                return text;
            }
            let usual = arg(1).map(|found| self::text(found.value())).unwrap_or_default();
            usual.strip_prefix("default=").map_or(usual.clone(), str::to_owned)
        }
        "formatDate" => {
            let part = |at: usize| arg(at).map(|found| text(found.value())).unwrap_or_default();
            date::format(&part(0), &part(1), &part(2)).unwrap_or_else(|| part(0))
        }
        _ => arg(0).map(|found| text(found.value())).unwrap_or_default(),
    }
}

/// As JavaScript shows it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(bool) => Some(f64::from(u8::from(*bool))),
        _ => None,
    }
}

/// Numbers and texts of numbers are equal, as in `==`.
fn equal(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => text(a) == text(b) && a.is_null() == b.is_null(),
    }
}

fn holds(call: &Call, scope: &Scope<'_>) -> bool {
    let values: Vec<_> = call.args.iter().map(|arg| find(arg, scope)).collect();
    let value = |at: usize| values.get(at).map_or(&NULL, Found::value);
    let compare = |fine: fn(f64, f64) -> bool| match (number(value(0)), number(value(1))) {
        (Some(a), Some(b)) => fine(a, b),
        _ => false,
    };
    match call.helper.as_str() {
        "if" => is_true(value(0)),
        "unless" => !is_true(value(0)),
        "and" => is_true(value(0)) && is_true(value(1)),
        "or" => is_true(value(0)) || is_true(value(1)),
        "equals" => equal(value(0), value(1)),
        "notEquals" => !equal(value(0), value(1)),
        "greaterThan" => compare(|a, b| a > b),
        "lessThan" => compare(|a, b| a < b),
        _ => false,
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            '`' => out.push_str("&#x60;"),
            '=' => out.push_str("&#x3D;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_render_as_the_field_does() {
        let data = json!({
            "user": {"name": "Ann <b>", "orders": 3, "vip": true, "none": null},
            "cart": [{"item": "cup", "price": "2"}, {"item": "tea", "price": 5.0}],
            "empty": [], "zero": 0, "code": "5", "at": "2026-11-21T09:05:07Z",
        });
        for (template, expected) in [
            (
                "Hi {{user.name}} {{{user.name}}} {{&user.name}}!",
                "Hi Ann &lt;b&gt; Ann <b> Ann <b>!",
            ),
            ("{{missing}}{{user.missing.deep}}{{user.none}}.", "."),
            ("{{! no }}{{!-- not {{even}} --}}x", "x"),
            ("{{#if user.vip}}VIP{{else}}no{{/if}}", "VIP"),
            ("{{#if zero}}a{{else if user.vip}}b{{else}}c{{/if}}", "b"),
            ("{{#unless empty}}none{{/unless}}", "none"),
            (
                "{{#each cart}}{{@index}}:{{this.item}}={{price}}{{#unless @last}}, {{/unless}}{{/each}}",
                "0:cup=2, 1:tea=5",
            ),
            ("{{#each cart}}{{@root.zero}}{{../code}}{{/each}}", "0505"),
            ("{{#each empty}}x{{else}}nothing{{/each}}", "nothing"),
            ("{{#greaterThan user.orders 2}}many{{/greaterThan}}", "many"),
            (
                "{{#greaterThan (length cart) 1}}a{{/greaterThan}}{{#lessThan 0 length cart}}b{{/lessThan}}",
                "ab",
            ),
            ("{{#equals code 5}}eq{{/equals}}{{#notEquals code \"6\"}}ne{{/notEquals}}", "eqne"),
            ("{{#equals user.name \"Bob\"}}a{{else}}b{{/equals}}", "b"),
            ("{{#and user.vip zero}}a{{else}}b{{/and}}{{#or user.vip zero}}c{{/or}}", "bc"),
            (
                "{{insert user.name}}|{{insert missing \"default=Customer\"}}|{{insert missing \"you\"}}",
                "Ann &lt;b&gt;|Customer|you",
            ),
            ("{{formatDate at \"MMMM DD, YYYY h:mm:ss A\"}}", "November 21, 2026 9:05:07 AM"),
            ("{{formatDate at \"YY-MM-DD HH:mm\" \"-0800\"}}", "26-11-21 01:05"),
            ("{{formatDate 0 \"dddd D MMM\"}}", "Thursday 1 Jan"),
            ("{{#with user}}{{name}}{{/with}}", "Ann &lt;b&gt;"),
            ("\\{{raw}} {{ cart.0.item }} {{cart.length}}", "{{raw}} cup 2"),
        ] {
            let read =
                Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
            assert_eq!(read.render(&data, true), expected, "{template}");
        }
        let subject = Template::parse("{{user.name}}").unwrap();
        assert_eq!(subject.render(&data, false), "Ann <b>");
    }

    #[test]
    fn what_is_no_template_is_said() {
        for (template, why) in [
            ("{{#if x}}", "not closed"),
            ("{{/if}}", "closes nothing"),
            ("{{#if x}}{{/each}}", "closed by"),
            ("{{#shout x}}{{/shout}}", "no helper #shout"),
            ("{{#equals a}}{{/equals}}", "2 value(s)"),
            ("{{x", "not closed"),
            ("{{}}", "names nothing"),
            ("{{> footer}}", "partials"),
            ("{{shout x}}", "helper"),
            ("{{else}}", "no block"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.0.contains(why), "{template}: {error}");
        }
        let deep = "{{#if a}}".repeat(60);
        assert!(Template::parse(&deep).unwrap_err().0.contains("deep"));
    }

    #[test]
    fn a_rendering_is_bounded() {
        let items = json!({"a": vec![0; 1000]});
        let template = Template::parse(
            "{{#each a}}{{#each ../a}}{{#each @root.a}}0123456789{{/each}}{{/each}}{{/each}}",
        )
        .unwrap();
        assert!(template.render(&items, true).len() < 11 * 1024 * 1024);
    }
}

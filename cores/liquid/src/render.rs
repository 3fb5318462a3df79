//! From nodes and data to text, step by step within a bound.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::{Comparison, Condition, Expr, Fault, Loop, Node, Over, Step, Term};

const STEPS_MAX: usize = 100_000;
const TEXT_MAX: usize = 5 * 1024 * 1024;

pub(crate) fn render(nodes: &[Node], data: &Value) -> Result<String, Fault> {
    let mut run = Run { data, locals: Vec::new(), steps: 0, out: String::new() };
    run.nodes(nodes)?;
    Ok(run.out)
}

struct Run<'a> {
    data: &'a Value,
    /// What loops and `assign` have named; the last one counts.
    locals: Vec<(String, Value)>,
    steps: usize,
    out: String,
}

/// How nodes end: at their end, or out of a loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// As text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64().or_else(|| other.as_f64().map(|number| number as i64)),
    }
}

impl Run<'_> {
    fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        let why = match (self.steps > STEPS_MAX, self.out.len() > TEXT_MAX) {
            (true, _) => format!("the template takes more than {STEPS_MAX} steps"),
            (_, true) => "the text has more than 5 MiB".to_owned(),
            _ => return Ok(()),
        };
        Err(Fault { line: 0, why })
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<Flow, Fault> {
        for node in nodes {
            self.step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::On
                }
                Node::Output(expr) => {
                    let shown = text(&self.expr(expr)?);
                    self.out.push_str(&shown);
                    Flow::On
                }
                Node::Assign(name, expr) => {
                    let value = self.expr(expr)?;
                    self.set(name, value);
                    Flow::On
                }
                Node::If(branches) => {
                    let found = branches
                        .iter()
                        .find(|(condition, _)| condition.as_ref().is_none_or(|c| self.holds(c)));
                    self.nodes(found.map_or(&[], |(_, body)| body))?
                }
                Node::Case(value, branches) => {
                    let value = self.value(value);
                    let found = branches.iter().find(|(values, _)| {
                        values.is_empty()
                            || values.iter().any(|one| equal(&value, &self.value(one)))
                    });
                    self.nodes(found.map_or(&[], |(_, body)| body))?
                }
                Node::For(each) => self.each(each)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Value) {
        match self.locals.iter_mut().rfind(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.locals.push((name.to_owned(), value)),
        }
    }

    fn each(&mut self, each: &Loop) -> Result<Flow, Fault> {
        let number = |run: &Self, term: &Option<Term>| {
            term.as_ref().and_then(|term| whole(&run.value(term)))
        };
        let offset = usize::try_from(number(self, &each.offset).unwrap_or(0)).unwrap_or(0);
        let limit = number(self, &each.limit)
            .map_or(STEPS_MAX, |limit| usize::try_from(limit).unwrap_or(0).min(STEPS_MAX));
        let mut values: Vec<Value> = match &each.over {
            Over::Range(from, to) => {
                let (from, to) = (whole(&self.value(from)), whole(&self.value(to)));
                let (from, to) = (from.unwrap_or(0), to.unwrap_or(-1));
                if to.saturating_sub(from) > STEPS_MAX as i64 {
                    return Err(Fault { line: 0, why: "a range has too many numbers".into() });
                }
                (from..=to).map(Value::from).collect()
            }
            Over::Values(term) => match self.value(term) {
                Value::Array(all) => all,
                Value::Object(all) => {
                    all.into_iter().map(|(name, value)| json!([name, value])).collect()
                }
                _ => Vec::new(),
            },
        };
        values = values.into_iter().skip(offset).take(limit).collect();
        if each.is_reversed {
            values.reverse();
        }
        if values.is_empty() {
            return self.nodes(&each.otherwise);
        }
        let length = values.len();
        let held = self.locals.len();
        for (at, value) in values.into_iter().enumerate() {
            self.step()?;
            self.locals.push((each.name.clone(), value));
            self.locals.push((
                "forloop".into(),
                json!({
                    "index": at + 1, "index0": at, "length": length,
                    "first": at == 0, "last": at + 1 == length,
                    "rindex": length - at, "rindex0": length - at - 1,
                }),
            ));
            let flow = self.nodes(&each.body)?;
            // What was assigned in the loop stays; what the loop named does not.
            let mut inner = self.locals.split_off(held);
            self.locals.extend(inner.drain(2..));
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn expr(&mut self, expr: &Expr) -> Result<Value, Fault> {
        let mut value = self.value(&expr.value);
        for (filter, arguments) in &expr.filters {
            self.step()?;
            let arguments: Vec<Value> = arguments.iter().map(|one| self.value(one)).collect();
            value = filter(value, &arguments);
            if value.as_str().is_some_and(|text| text.len() > TEXT_MAX) {
                return Err(Fault { line: 0, why: "a value has more than 5 MiB".into() });
            }
        }
        Ok(value)
    }

    fn value(&self, term: &Term) -> Value {
        let (name, steps) = match term {
            Term::Literal(value) => return value.clone(),
            Term::Path(name, steps) => (name, steps),
        };
        let local = self.locals.iter().rfind(|(known, _)| known == name).map(|(_, value)| value);
        let mut value = local.or_else(|| self.data.get(name)).unwrap_or(&Value::Null);
        for step in steps {
            let key = match step {
                Step::Member(name) => Value::String(name.clone()),
                Step::Index(term) => self.value(term),
            };
            match member(value, &key) {
                Found::There(found) => value = found,
                // Nothing is asked of a size.
                Found::Made(found) => return found,
            }
        }
        value.clone()
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Is(term) => is_true(&self.value(term)),
            Condition::And(a, b) => self.holds(a) && self.holds(b),
            Condition::Or(a, b) => self.holds(a) || self.holds(b),
            Condition::Compare(a, how, b) => compare(&self.value(a), *how, &self.value(b)),
        }
    }
}

enum Found<'a> {
    There(&'a Value),
    Made(Value),
}

/// What is asked of a value; nil where there is no such thing.
fn member<'a>(value: &'a Value, key: &Value) -> Found<'a> {
    let there = |found: Option<&'a Value>| Found::There(found.unwrap_or(&Value::Null));
    match (value, key) {
        (Value::Object(map), Value::String(name)) if map.contains_key(name) => there(map.get(name)),
        (Value::Array(all), Value::Number(_)) => {
            let at = whole(key).unwrap_or(0);
            let at = if at < 0 { at + all.len() as i64 } else { at };
            there(usize::try_from(at).ok().and_then(|at| all.get(at)))
        }
        (Value::Array(all), Value::String(name)) => match name.as_str() {
            "first" => there(all.first()),
            "last" => there(all.last()),
            "size" => Found::Made(all.len().into()),
            _ => there(None),
        },
        (Value::Object(map), Value::String(name)) if name == "size" => {
            Found::Made(map.len().into())
        }
        (Value::String(text), Value::String(name)) if name == "size" => {
            Found::Made(text.chars().count().into())
        }
        _ => there(None),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        // `blank` and `empty`.
        (Value::Array(all), Value::String(text)) | (Value::String(text), Value::Array(all)) => {
            text.is_empty() && all.is_empty()
        }
        _ => a == b,
    }
}

fn compare(a: &Value, how: Comparison, b: &Value) -> bool {
    let order = || match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    };
    match how {
        Comparison::Equal => equal(a, b),
        Comparison::Unequal => !equal(a, b),
        Comparison::Less => order() == Some(Ordering::Less),
        Comparison::More => order() == Some(Ordering::Greater),
        Comparison::LessOrEqual => order().is_some_and(|order| order != Ordering::Greater),
        Comparison::MoreOrEqual => order().is_some_and(|order| order != Ordering::Less),
        Comparison::Contains => match a {
            Value::String(whole) => whole.contains(&text(b)),
            Value::Array(all) => all.iter().any(|one| equal(one, b)),
            Value::Object(map) => map.contains_key(&text(b)),
            _ => false,
        },
    }
}

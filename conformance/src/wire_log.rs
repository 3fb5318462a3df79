//! Recorded answers against the definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::Context;
use serde_json::Value as Json;

use crate::definitions::{Definition, Definitions, Operation};
use crate::deviations::Deviations;
use crate::schema::{Checker, Fault, check_error};

/// What answers may have beside what the definitions say.
#[derive(Debug, Default)]
pub(crate) struct Allowed {
    /// Keys of the list of extras.
    pub extras: BTreeSet<String>,
    pub deviations: Deviations,
}

/// The outcome of one or more logs.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub checked: usize,
    pub failed: usize,
    /// Distinct faults: how often, and the first request that had it.
    pub faults: BTreeMap<(String, Fault), (usize, String)>,
    /// Requests that no definition knows.
    pub unknown: BTreeMap<String, usize>,
    /// Answers in XML, CSV and bytes, which the definitions do not describe.
    pub not_json: usize,
}

/// One line of a log.
struct Line<'a> {
    product: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    content_type: &'a str,
    body: &'a str,
}

impl<'a> Line<'a> {
    fn of(json: &'a Json) -> Option<Self> {
        Some(Self {
            product: json["product"].as_str()?,
            method: json["method"].as_str()?,
            path: json["path"].as_str()?,
            status: u16::try_from(json["status"].as_u64()?).ok()?,
            content_type: json["content_type"].as_str().unwrap_or_default(),
            body: json["body"].as_str()?,
        })
    }

    /// The client asked for JSON: everywhere but on paths of the 2010 API without `.json`.
    fn wants_json(&self) -> bool {
        !self.path.starts_with("/2010-04-01") || self.path.ends_with(".json")
    }
}

impl Report {
    /// Checks every line of a log.
    ///
    /// # Errors
    /// When a line is not one of a wire log.
    pub fn read(
        &mut self,
        definitions: &Definitions,
        allowed: &Allowed,
        log: &str,
    ) -> anyhow::Result<()> {
        for (at, text) in log.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let json: Json = serde_json::from_str(text)
                .with_context(|| format!("line {} is not JSON", at + 1))?;
            let line = Line::of(&json)
                .with_context(|| format!("line {} is no line of a wire log", at + 1))?;
            self.line(definitions, allowed, &line);
        }
        Ok(())
    }

    fn line(&mut self, definitions: &Definitions, allowed: &Allowed, line: &Line<'_>) {
        let found = find(definitions, line.product, line.method, line.path);
        let Some((file, operation)) = found else {
            let request = format!("{} {} {}", line.product, line.method, line.path);
            *self.unknown.entry(without_sids(&request)).or_default() += 1;
            return;
        };
        if !line.wants_json() {
            self.not_json += 1;
            return;
        }
        let faults = check(file, operation, allowed, line);
        self.checked += 1;
        self.failed += usize::from(!faults.is_empty());
        for fault in faults {
            let operation = format!("{} {} {}", line.product, operation.method, operation.path);
            let request = format!("{} {}", line.status, line.path);
            self.faults.entry((operation, fault)).or_insert((0, request)).0 += 1;
        }
    }

    /// True when something was checked and nothing was wrong.
    pub fn passed(&self) -> bool {
        self.checked > 0 && self.failed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((operation, fault), (count, first)) in &self.faults {
            let Fault { pointer, what } = fault;
            writeln!(f, "FAIL {operation} {pointer}: {what} ({count} times, first {first})")?;
        }
        for (request, count) in &self.unknown {
            writeln!(f, "not in the definitions: {request} ({count} times)")?;
        }
        if self.not_json > 0 {
            writeln!(f, "{} responses were not asked for as JSON", self.not_json)?;
        }
        write!(f, "{} responses checked, {} failed", self.checked, self.failed)
    }
}

/// The operation behind a request; literal segments win over parameters.
fn find<'a>(
    definitions: &'a Definitions,
    product: &str,
    method: &str,
    path: &str,
) -> Option<(&'a Definition, &'a Operation)> {
    let path = path.strip_suffix(".json").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let all = definitions
        .files
        .iter()
        .flat_map(|file| file.operations.iter().map(move |operation| (file, operation)));
    all.filter(|(_, operation)| operation.host == product && operation.method == method)
        .filter_map(|found| Some((literals(&found.1.shape, path)?, found)))
        .max_by_key(|(literals, _)| *literals)
        .map(|(_, found)| found)
}

/// How many segments match literally; none when the path is another.
fn literals(shape: &str, path: &str) -> Option<usize> {
    let (mut shape, mut path) = (shape.split('/'), path.split('/'));
    let mut count = 0;
    loop {
        match (shape.next(), path.next()) {
            (None, None) => return Some(count),
            (Some("{}"), Some(part)) if !part.is_empty() => {}
            (Some(wanted), Some(part)) if wanted == part => count += 1,
            _ => return None,
        }
    }
}

fn check(
    file: &Definition,
    operation: &Operation,
    allowed: &Allowed,
    line: &Line<'_>,
) -> Vec<Fault> {
    let fault = |what: String| vec![Fault { pointer: String::new(), what }];
    let body = serde_json::from_str::<Json>(line.body);
    if line.status >= 400 {
        return match body {
            Ok(body) => check_error(line.status, &body),
            Err(_) => fault("an error whose body is not JSON".into()),
        };
    }
    let Some(schema) = operation.responses.get(&line.status) else {
        let declared: Vec<_> = operation.responses.keys().map(u16::to_string).collect();
        return fault(format!("status {} where {} is declared", line.status, declared.join(", ")));
    };
    let Some(schema) = schema else {
        let is_fine = line.status != 204 || line.body.is_empty();
        return if is_fine { Vec::new() } else { fault("a body with status 204".into()) };
    };
    if !line.content_type.starts_with("application/json")
        && !line.content_type.starts_with("application/scim+json")
    {
        return fault(format!("content type '{}' where JSON is declared", line.content_type));
    }
    match body {
        Ok(body) => {
            let resource = operation.resource();
            let mut faults = Checker::new(file, resource, &allowed.extras).check(schema, &body);
            faults.retain(|fault| !allowed.deviations.allow(&file.name, operation, fault));
            faults
        }
        Err(_) => fault("the body is not JSON".into()),
    }
}

/// Segments that are SIDs become `{}`, so that equal requests are counted together.
fn without_sids(request: &str) -> String {
    let is_sid = |part: &str| part.len() == 34 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let parts: Vec<_> = request
        .split('/')
        .map(|part| match part.split_once('.').unwrap_or((part, "")) {
            (sid, "") if is_sid(sid) => "{}".to_owned(),
            (sid, extension) if is_sid(sid) => format!("{{}}.{extension}"),
            _ => part.to_owned(),
        })
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(lines: &[Json]) -> Report {
        let record = json!({"type": "object", "properties": {"sid": {"type": "string"}}});
        let list = json!({"type": "object", "properties": {
            "xs": {"type": "array", "items": record}, "page": {"type": "integer"}}});
        let body = |schema: &Json| json!({"content": {"application/json": {"schema": schema}}});
        let doc = json!({
            "servers": [{"url": "https://api.twilio.com"}],
            "paths": {
                "/2010-04-01/Xs.json": {
                    "get": {"operationId": "ListX", "responses": {"200": body(&list)}},
                    "post": {"operationId": "CreateX", "responses": {"201": body(&record)}},
                },
                "/2010-04-01/Xs/{Sid}.json": {
                    "get": {"operationId": "FetchX", "responses": {"200": body(&record)}},
                    "delete": {"operationId": "DeleteX", "responses": {"204": {}}},
                },
                "/2010-04-01/Xs/Own.json": {
                    "get": {"operationId": "FetchOwn", "responses": {"200": body(&list)}},
                },
            },
        });
        let definitions = Definitions { files: vec![Definition::new("api_v2010", doc)] };
        let log: Vec<_> = lines.iter().map(Json::to_string).collect();
        let mut report = Report::default();
        report.read(&definitions, &Allowed::default(), &log.join("\n")).unwrap();
        report
    }

    fn line(method: &str, path: &str, status: u16, body: &str) -> Json {
        json!({"product": "api", "method": method, "path": path, "query": "", "status": status,
            "content_type": "application/json", "body": body})
    }

    #[test]
    fn right_answers_pass() {
        let error = r#"{"code":20404,"message":"m","more_info":"https://x/e","status":404}"#;
        let report = report(&[
            line("GET", "/2010-04-01/Xs.json", 200, r#"{"xs":[{"sid":"a"}],"page":0}"#),
            line("POST", "/2010-04-01/Xs.json", 201, r#"{"sid":"a"}"#),
            line("DELETE", "/2010-04-01/Xs/a.json", 204, ""),
            line("GET", "/2010-04-01/Xs/a.json", 404, error),
            line("GET", "/2010-04-01/Xs/Own.json", 200, r#"{"xs":[],"page":0}"#),
        ]);
        assert_eq!(report.to_string(), "5 responses checked, 0 failed");
        assert!(report.passed());
    }

    #[test]
    fn every_kind_of_wrong_answer_fails() {
        for wrong in [
            line("GET", "/2010-04-01/Xs.json", 200, r#"{"xs":[{"sid":1}],"page":0}"#),
            line("GET", "/2010-04-01/Xs.json", 200, r#"{"xs":[]}"#),
            line("GET", "/2010-04-01/Xs.json", 200, r#"{"xs":[],"page":0,"odd":[]}"#),
            line("POST", "/2010-04-01/Xs.json", 200, r#"{"sid":"a"}"#),
            line("POST", "/2010-04-01/Xs.json", 201, "text"),
            line("DELETE", "/2010-04-01/Xs/a.json", 204, "{}"),
            line("GET", "/2010-04-01/Xs/a.json", 404, "{}"),
            line("GET", "/2010-04-01/Xs/a.json", 404, "<html>"),
        ] {
            let report = report(std::slice::from_ref(&wrong));
            assert_eq!((report.checked, report.failed), (1, 1), "{wrong}");
            assert!(!report.passed());
        }
    }

    #[test]
    fn unknown_operations_are_listed_and_nothing_checked_is_no_pass() {
        let sid = "AC0123456789abcdef0123456789abcdef";
        let report = report(&[
            line("GET", &format!("/2010-04-01/Ys/{sid}.json"), 200, "{}"),
            line("GET", "/2010-04-01/Xs", 200, "<xml/>"),
        ]);
        assert_eq!((report.checked, report.unknown.len(), report.not_json), (0, 1, 1));
        assert!(report.unknown.contains_key("api GET /2010-04-01/Ys/{}.json"));
        assert!(!report.passed());
    }
}

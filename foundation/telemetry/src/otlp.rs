//! Spans in the JSON form of OTLP/HTTP (opentelemetry-proto, `ExportTraceServiceRequest`).

use serde_json::{Value, json};

use crate::trace::{Ended, Kind};

/// The body of one `POST /v1/traces`.
pub fn traces(version: &str, instance: &str, spans: &[Ended]) -> Value {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            attribute("service.name", "offhook"),
            attribute("service.version", version),
            attribute("service.instance.id", instance),
        ]},
        "scopeSpans": [{"scope": {"name": "offhook", "version": version}, "spans": spans}],
    }]})
}

/// The URL that traces are posted to: a base gets the standard's path.
pub fn endpoint(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.trim_end_matches('/').contains('/') {
        true => url.to_owned(),
        false => format!("{}/v1/traces", url.trim_end_matches('/')),
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span(span: &Ended) -> Value {
    let kind = match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Consumer => 5,
    };
    let attributes = span.attributes.iter().map(|(key, value)| attribute(key, value));
    let mut whole = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": attributes.collect::<Vec<_>>(),
    });
    if span.parent != 0 {
        whole["parentSpanId"] = format!("{:016x}", span.parent).into();
    }
    if let Some(fault) = &span.fault {
        whole["status"] = json!({"code": 2, "message": fault});
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_gets_the_path_and_a_path_is_kept() {
        for (given, posted) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://key@otlp.example/x/v1/traces", "https://key@otlp.example/x/v1/traces"),
        ] {
            assert_eq!(endpoint(given), posted);
        }
    }

    #[test]
    fn ids_are_hex_and_times_are_text() {
        let ended = Ended {
            trace: 0x4bf9,
            id: 7,
            parent: 0,
            name: "job",
            kind: Kind::Consumer,
            began: 1,
            ended: 2,
            attributes: vec![("offhook.queue", "message.dispatch".to_owned())],
            fault: Some("30003".to_owned()),
        };
        let body = traces("1.0.0", "node", &[ended]);
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "00000000000000000000000000004bf9");
        assert_eq!(span["spanId"], "0000000000000007");
        assert_eq!(span.get("parentSpanId"), None);
        assert_eq!((&span["kind"], &span["endTimeUnixNano"]), (&json!(5), &json!("2")));
        assert_eq!(span["attributes"][0]["value"]["stringValue"], "message.dispatch");
        assert_eq!(span["status"], json!({"code": 2, "message": "30003"}));
    }
}

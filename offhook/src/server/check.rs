//! A TwiML document as the person who writes it wants it read: what it does, and what is wrong where.

use axum::Json;
use kernel::lookup;
use serde::Deserialize;
use serde_json::{Value, json};
use twiml::messaging::Verb;
use twiml::voice::Element;
use twiml::{Diagnostic, messaging, voice};

use super::api::{Refusal, bad, read};

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Voice,
    Messaging,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: Kind,
    document: String,
    /// What the document was answered with; `text/xml` when it is typed.
    content_type: Option<String>,
}

/// Reads a document and does nothing else.
pub async fn twiml(body: String) -> Result<Json<Value>, Refusal> {
    let Document { kind, document, content_type } = read(&body)?;
    if document.len() > twiml::BODY_BYTES_MAX * 2 {
        return Err(bad("'document' is too long"));
    }
    let content_type = Some(content_type.as_deref().unwrap_or("text/xml"));
    let read = match kind {
        Kind::Voice => voice::parse(document.as_bytes(), content_type, "")
            .map(|found| (found.verbs.iter().map(element).collect::<Vec<_>>(), found.diagnostics)),
        Kind::Messaging => messaging::parse(document.as_bytes(), content_type)
            .map(|found| (found.verbs.iter().map(verb).collect(), found.diagnostics)),
    };
    let (verbs, diagnostics, is_fatal) = match read {
        Ok((verbs, diagnostics)) => (verbs, diagnostics, false),
        Err(twiml::Fatal(diagnostic)) => (Vec::new(), vec![diagnostic], true),
    };
    let diagnostics = diagnostics.iter().map(|diagnostic| told(diagnostic, is_fatal));
    let diagnostics = diagnostics.collect::<Vec<_>>();
    Ok(Json(json!({"verbs": verbs, "diagnostics": diagnostics, "fatal": is_fatal})))
}

fn told(diagnostic: &Diagnostic, is_fatal: bool) -> Value {
    json!({
        "code": diagnostic.code,
        "title": lookup(diagnostic.code).map(|row| row.title),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "message": diagnostic.message,
        "fatal": is_fatal,
    })
}

fn element(element: &Element) -> Value {
    let mut shown = json!({"name": element.name});
    if !element.text.is_empty() {
        shown["text"] = element.text.as_str().into();
    }
    shown
}

fn verb(verb: &Verb) -> Value {
    match verb {
        Verb::Message(message) => {
            json!({"name": "Message", "text": message.body, "media": message.media.len()})
        }
        Verb::Redirect { url, .. } => json!({"name": "Redirect", "text": url}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(kind: &str, document: &str) -> Value {
        let body = json!({"kind": kind, "document": document}).to_string();
        twiml(body).await.ok().expect("it is read").0
    }

    #[tokio::test]
    async fn a_mistake_is_told_with_its_place() {
        let found = ask("voice", "<Response>\n  <Say>Hi</Say>\n  <Sya>Hi</Sya>\n</Response>").await;
        assert_eq!(found["verbs"], json!([{"name": "Say", "text": "Hi"}]));
        let one = &found["diagnostics"][0];
        assert_eq!(
            (&one["code"], &one["line"], &one["column"]),
            (&json!(12200), &json!(3), &json!(3))
        );
        assert_eq!(found["fatal"], false);
    }

    #[tokio::test]
    async fn what_cannot_be_read_does_nothing() {
        for kind in ["voice", "messaging"] {
            let found = ask(kind, "<Response><Say>").await;
            assert_eq!(
                (&found["fatal"], &found["diagnostics"][0]["code"]),
                (&json!(true), &json!(12100))
            );
        }
        let found = ask("messaging", "<Response><Message>Hello</Message></Response>").await;
        assert_eq!(found["verbs"][0]["text"], "Hello");
        assert!(twiml("{\"kind\": \"fax\", \"document\": \"\"}".into()).await.is_err());
    }
}

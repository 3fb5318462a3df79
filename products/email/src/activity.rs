//! What became of mails, for people who look (sendgrid §10).

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::reader::{COLUMNS, Reader};
use crate::wire::{Answer, Call, Route, route};

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/messages", "messages.read", |_, c| Box::pin(list(c))),
    route("GET", "/v3/messages/{id}", "messages.read", |_, c| Box::pin(fetch(c))),
];

/// One comparison of a query.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    Status(String),
    To(String),
    From(String),
    Subject(String),
    Id(String),
}

/// Reads `status="delivered" AND to_email="x"`. Of the language of the field these comparisons are
/// known; `None` names the first thing that is not.
// Differs: queries know equality on status, to_email, from_email, subject and msg_id, joined by AND.
fn parse(query: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    let mut rest = query.trim();
    while !rest.is_empty() {
        let unknown = || format!("the query cannot be read at {rest:?}");
        let (name, tail) = rest.split_once('=').ok_or_else(unknown)?;
        let tail = tail.trim_start();
        let quote = tail.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(unknown)?;
        let (value, tail) = tail[1..].split_once(quote).ok_or_else(unknown)?;
        let value = value.to_owned();
        terms.push(match name.trim() {
            "status" => Term::Status(value),
            "to_email" => Term::To(value),
            "from_email" => Term::From(value),
            "subject" => Term::Subject(value),
            "msg_id" => Term::Id(value),
            other => return Err(format!("the query compares {other:?}; known are status, to_email, from_email, subject and msg_id")),
        });
        let tail = tail.trim_start();
        rest = match tail.get(..3).filter(|and| and.eq_ignore_ascii_case("and")) {
            Some(_) => tail[3..].trim_start(),
            None if tail.is_empty() => tail,
            None => return Err(format!("the query cannot be read at {tail:?}")),
        };
    }
    Ok(terms)
}

fn shown(reader: &Reader) -> Value {
    json!({
        "from_email": reader.from, "msg_id": reader.id, "subject": reader.subject, "to_email": reader.email,
        "status": reader.status.shown(), "opens_count": reader.opens, "clicks_count": reader.clicks,
        "last_event_time": reader.last_event.iso8601(),
    })
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let limit = call.number("limit", 10, 1..=1000)?;
    let terms =
        parse(call.query("query").unwrap_or_default()).map_err(|why| Fault::field("query", why))?;
    let mut sql = format!("SELECT {COLUMNS} FROM mail_recipient WHERE account_sid = $1");
    let mut params = Vec::new();
    for term in terms {
        let (condition, value) = match term {
            Term::To(value) => ("email =", value),
            Term::From(value) => ("from_email =", value),
            Term::Subject(value) => ("subject =", value),
            Term::Id(value) => ("id =", value),
            Term::Status(status) => {
                // Words of ours, not of the query.
                let own = match status.as_str() {
                    "processed" | "processing" => "('queued', 'processed', 'deferred')",
                    "delivered" => "('delivered')",
                    "not_delivered" => "('dropped', 'bounced', 'blocked')",
                    other => {
                        return Err(Fault::field(
                            "query",
                            format!(
                                "{other:?} is no status; there are processed, delivered and not_delivered"
                            ),
                        ));
                    }
                };
                sql.push_str(&format!(" AND status IN {own}"));
                continue;
            }
        };
        params.push(value.into());
        sql.push_str(&format!(" AND {condition} ${}", params.len() + 1));
    }
    params.push(limit.into());
    sql.push_str(&format!(" ORDER BY last_event DESC, id LIMIT ${}", params.len() + 1));
    let rows = call.store.query(&sql, params).await?;
    let all: Vec<_> = rows.iter().map(|row| shown(&Reader::read(row))).collect();
    Ok(Answer::Json(200, json!({"messages": all})))
}

async fn fetch(call: &Call) -> Result<Answer, Fault> {
    let reader = Reader::load(&call.store, call.param("id")).await?.ok_or_else(Fault::not_found)?;
    let sql = "SELECT body FROM mail_event WHERE account_sid = $1 AND recipient_id = $2 ORDER BY id LIMIT 1000";
    let rows = call.store.query(sql, vec![reader.id.as_str().into()]).await?;
    let events = rows.iter().filter_map(|row| {
        let event: Value = serde_json::from_str(row.text(0)).ok()?;
        let at = kernel::Timestamp::from_seconds(event["timestamp"].as_i64()?).iso8601();
        let mut json = json!({"event_name": event["event"], "processed": at});
        for (ours, theirs) in [
            ("reason", "reason"),
            ("attempt", "attempt_num"),
            ("url", "url"),
            ("useragent", "http_user_agent"),
            ("ip", "mx_server"),
        ] {
            if let Some(value) = event.get(ours) {
                json[theirs] = value.clone();
            }
        }
        if event["event"] == "bounce" {
            json["bounce_type"] = if event["type"] == "blocked" { "soft" } else { "hard" }.into();
        }
        Some(json)
    });
    let mut json = shown(&reader);
    json["events"] = events.collect();
    json["template_id"] = json!(reader.meta.template_id);
    json["asm_group_id"] = json!(reader.meta.group_id);
    json["categories"] = json!(reader.meta.categories);
    json["unique_args"] = json!(json!(reader.meta.custom_args).to_string());
    Ok(Answer::Json(200, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_or_refused() {
        let both = vec![Term::Status("delivered".into()), Term::To("a@b.c".into())];
        assert_eq!(parse("status=\"delivered\" AND to_email='a@b.c'"), Ok(both));
        assert_eq!(parse(""), Ok(vec![]));
        for bad in [
            "status",
            "status=x",
            "status=\"x",
            "x=\"y\"",
            "status=\"a\" OR status=\"b\"",
            "to_email=\"a\"; DROP",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

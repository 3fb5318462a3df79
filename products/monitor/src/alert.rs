//! `/v1/Alerts`: what the debugger shows (compliance §13).

use kernel::{ApiError, HIDDEN, is_secret};
use rest::{Access, Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::Value as Json;
use store::Row;

use crate::Monitor;
use crate::shown::{Query, sid_of};

const LEVELS: &[&str] = &["error", "warning", "notice", "debug"];

const LIST: &[Param] = &[
    Param::one_of("LogLevel", LEVELS),
    Param::date_time("StartDate"),
    Param::date_time("EndDate"),
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("alert_text"),
    Field::text("api_version"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_generated", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::text("error_code"),
    Field::text("log_level"),
    Field::text("more_info"),
    Field::new("request_method", Wire::Method),
    Field::text("request_url"),
    Field::sid("resource_sid", &[]),
    Field::sid("service_sid", &[]),
    Field::sid("sid", &["NO"]),
    Field::new("url", Wire::Url),
];

const INSTANCE_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("alert_text"),
    Field::text("api_version"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_generated", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::text("error_code"),
    Field::text("log_level"),
    Field::text("more_info"),
    Field::new("request_method", Wire::Method),
    Field::text("request_url"),
    Field::text("request_variables"),
    Field::sid("resource_sid", &[]),
    Field::text("response_body"),
    Field::text("response_headers"),
    Field::sid("sid", &["NO"]),
    Field::new("url", Wire::Url),
    Field::text("request_headers"),
    Field::sid("service_sid", &[]),
];

pub static ALERT: Resource<Monitor> = Resource {
    table: Table::product("Alert", "monitor", "/v1/Alerts", "/v1/Alerts/{Sid}")
        .key("alerts")
        .sid("NO")
        .fields(FIELDS)
        .access(Access::Keys("monitor/alerts")),
    ops: &[
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))).fields(INSTANCE_FIELDS),
    ],
};

const COLUMNS: &str = "seq, at, sid, body";

fn alerts() -> Query {
    Query::new(COLUMNS, "kind = 'alert'")
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut query = alerts();
    query.between(ctx);
    if let Some(level) = ctx.form.text("LogLevel") {
        // Differs: what a level that is none answers is unpublished; here it is refused.
        if !LEVELS.contains(&level) {
            let why = format!("LogLevel '{level}' is none of {}", LEVELS.join(", "));
            return Err(ApiError::new(20001, why));
        }
        // The body is JSON of our own making: its members have one spelling.
        query.and("body LIKE", format!("%\"level\":\"{level}\"%"));
    }
    let (rows, has_next) = query.page(ctx, "NO").await?;
    Ok(Reply::List(Page { records: rows.iter().map(|row| record(ctx, row)).collect(), has_next }))
}

/// The alert with the exchange that it is about.
async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let row = alerts().fetch(ctx, "NO").await?;
    let mut record = record(ctx, &row);
    if let Some(exchange) = exchange(ctx, &row).await? {
        record
            .set("request_method", exchange["method"].clone())
            .set("request_variables", variables(&exchange))
            .set("request_headers", headers(&exchange["request_headers"]))
            .set("response_headers", headers(&exchange["response_headers"]))
            .set("response_body", exchange["response_body"].clone());
    }
    Ok(Reply::Record(record))
}

/// The recorded webhook before the alert, which wrote both in one commit.
async fn exchange(ctx: &Ctx, alert: &Row) -> Result<Option<Json>, ApiError> {
    let sql = "SELECT body FROM event WHERE account_sid = $1 AND kind = 'webhook' AND sid = $2
               AND seq < $3 ORDER BY seq DESC LIMIT 1";
    let row = ctx.store.point(sql, vec![alert.text(2).into(), alert.int(0).into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    let exchange = row.and_then(|row| serde_json::from_str::<Json>(row.text(0)).ok());
    // What was said in a redacted message is gone from here as well.
    Ok(exchange.filter(|exchange| exchange.get("method").is_some()))
}

fn record(ctx: &Ctx, row: &Row) -> Record {
    let (seq, at) = (row.int(0), row.time(1));
    let body: Json = serde_json::from_str(row.text(3)).unwrap_or(Json::Null);
    let sid = sid_of("NO", at, seq);
    let code = body["code"].as_u64().unwrap_or_default();
    let mut record = Record::new(&sid.to_string());
    record
        .set("account_sid", ctx.account)
        .set("alert_text", alert_text(code, &body))
        .set("api_version", "2010-04-01")
        .set("date_created", at)
        .set("date_generated", at)
        .set("date_updated", at)
        .set("error_code", code.to_string())
        .set("log_level", body["level"].as_str())
        .set("more_info", format!("https://www.twilio.com/docs/errors/{code}"))
        .set("resource_sid", row.text(2))
        .set("sid", sid)
        .set("request_url", body["url"].as_str())
        // Differs: the list knows the method only where the request itself failed.
        .set("request_method", body["method"].as_str());
    record
}

/// Form-encoded text. Differs: Twilio's has further members, of which no list is published.
fn alert_text(code: u64, body: &Json) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("Msg", body["message"].as_str().unwrap_or_default())
        .append_pair("ErrorCode", &code.to_string())
        .append_pair("LogLevel", &body["level"].as_str().unwrap_or_default().to_ascii_uppercase())
        .append_pair("url", body["url"].as_str().unwrap_or_default())
        .finish()
}

/// The parameters of the request, form-encoded, secrets hidden.
fn variables(exchange: &Json) -> String {
    let text = |name: &str| exchange[name].as_str().unwrap_or_default();
    let pairs = match text("method") {
        "GET" => text("url").split_once('?').map_or("", |(_, query)| query),
        _ => text("request_body"),
    };
    hidden(form_urlencoded::parse(pairs.as_bytes()).into_owned())
}

/// Headers as form-encoded text, secrets hidden.
fn headers(pairs: &Json) -> String {
    let pairs = pairs.as_array().into_iter().flatten();
    let text = |pair: &Json, at: usize| pair[at].as_str().unwrap_or_default().to_owned();
    hidden(pairs.map(|pair| (text(pair, 0), text(pair, 1))))
}

fn hidden(pairs: impl Iterator<Item = (String, String)>) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        out.append_pair(&name, if is_secret(&name) { HIDDEN } else { &value });
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exchanges_show_no_secret() {
        let exchange = json!({
            "method": "POST",
            "request_body": "To=%2B1&AuthToken=abc",
            "request_headers": [["X-Twilio-Signature", "sig"], ["Accept", "*/*"]],
        });
        assert_eq!(variables(&exchange), "To=%2B1&AuthToken=***");
        let shown = headers(&exchange["request_headers"]);
        assert_eq!(shown, "X-Twilio-Signature=***&Accept=*%2F*");
        let asked = json!({"method": "GET", "url": "https://x/?a=1&password=2"});
        assert_eq!(variables(&asked), "a=1&password=***");
    }
}

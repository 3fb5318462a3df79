//! One call: its links, events, metrics and annotation.

use std::collections::HashMap;

use kernel::{ApiError, Sid, Timestamp};
use rest::{Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::AccountStore;

use super::{ACCESS, REACH, before, check_advanced, check_choices, summary};
use crate::Voice;
use crate::call::Call;
use crate::resource::existing;

const ANNOTATION_KIND: &str = "CallAnnotation";
/// Notes that filters look through, the newest.
const ANNOTATIONS_MAX: i64 = 10_000;
const EDGES: &[&str] = &["unknown_edge", "carrier_edge", "sip_edge", "sdk_edge", "client_edge"];

pub static CALL: Resource<Voice> = Resource {
    table: Table::product("InsightsCall", "insights", "", "/v1/Voice/{Sid}")
        .singleton()
        .fields(&[
            Field::sid("sid", &["CA"]),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ])
        .links(&[
            ("events", "/Events"),
            ("metrics", "/Metrics"),
            ("summary", "/Summary"),
            ("annotation", "/Annotation"),
        ])
        .access(ACCESS),
    ops: &[Op::fetch().by(|_, ctx| {
        Box::pin(async move {
            let sid = existing(ctx, "Sid").await?.sid.to_string();
            let mut record = Record::new(&sid);
            record.set("sid", sid.as_str());
            Ok(Reply::Record(record))
        })
    })],
};

/// 17002 for a call that is too old to be looked into.
pub(super) fn check_reach(ctx: &Ctx, call: &Call) -> Result<(), ApiError> {
    match call.created < before(ctx.now, REACH) {
        false => Ok(()),
        true => Err(ApiError::new(17002, format!("Call {} is more than 30 days old", call.sid))),
    }
}

/// Differs: events are the steps of the call and its alerts; there are none of the edges' sound.
pub static EVENTS: Resource<Voice> = Resource {
    table: Table::product("InsightsEvent", "insights", "/v1/Voice/{CallSid}/Events", "")
        .collection()
        .key("events")
        .fields(&[
            Field::text("timestamp"),
            Field::sid("call_sid", &["CA"]),
            Field::sid("account_sid", &["AC"]),
            Field::new("edge", Wire::Enum(EDGES)),
            Field::text("group"),
            Field::new("level", Wire::Enum(&["UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR"])),
            Field::text("name"),
            Field::new("carrier_edge", Wire::Json),
            Field::new("sip_edge", Wire::Json),
            Field::new("sdk_edge", Wire::Json),
            Field::new("client_edge", Wire::Json),
        ])
        .access(ACCESS),
    ops: &[Op::list(&[Param::one_of("Edge", EDGES).code(17400)]).by(|_, ctx| Box::pin(events(ctx)))],
};

/// The edge at which a call meets its network.
fn edge(call: &Call) -> &'static str {
    match summary::call_type(call) {
        "client" => "sdk_edge",
        "sip" => "sip_edge",
        _ => "carrier_edge",
    }
}

async fn events(ctx: &Ctx) -> Result<Reply, ApiError> {
    check_choices(ctx)?;
    let call = existing(ctx, "CallSid").await?;
    check_reach(ctx, &call)?;
    check_advanced(ctx).await?;
    let edge = edge(&call);
    if ctx.form.text("Edge").is_some_and(|wanted| wanted != edge) {
        return Ok(Reply::List(Page::default()));
    }
    let sql = "SELECT kind, at, body FROM event WHERE account_sid = $1 AND sid = $2
               AND (kind LIKE 'call.%' OR kind = 'alert') ORDER BY seq LIMIT $3 OFFSET $4";
    let params = vec![call.sid.into(), ctx.page.limit().into(), ctx.page.offset().into()];
    let rows = ctx.store.query(sql, params).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let (rows, has_next) = ctx.page.cut(rows);
    let records = rows.iter().map(|row| {
        let body: Json = serde_json::from_str(row.text(2)).unwrap_or_default();
        event(ctx.account, &call, edge, row.text(0), row.time(1), &body)
    });
    Ok(Reply::List(Page { records: records.collect(), has_next }))
}

fn event(
    account: Sid,
    call: &Call,
    edge: &'static str,
    kind: &str,
    at: Timestamp,
    body: &Json,
) -> Record {
    let (group, name, level, about) = match kind.strip_prefix("call.") {
        Some(step) => {
            let about = json!({"metadata": {"direction": body["direction"]}});
            ("call_status", step.replace('-', "_"), "INFO", about)
        }
        None => {
            let level = if body["level"] == "error" { "ERROR" } else { "WARNING" };
            let about = json!({"error": {"code": body["code"], "message": body["message"]}});
            ("alert", body["code"].to_string(), level, about)
        }
    };
    let mut record = Record::new("");
    record
        .set("timestamp", at.iso8601())
        .set("call_sid", call.sid)
        .set("account_sid", account)
        .set("edge", edge)
        .set("group", group)
        .set("level", level)
        .set("name", name)
        .set(edge, about);
    record
}

/// Differs: no network measures sound here, so no call has metrics.
pub static METRICS: Resource<Voice> = Resource {
    table: Table::product("InsightsMetric", "insights", "/v1/Voice/{CallSid}/Metrics", "")
        .collection()
        .key("metrics")
        .fields(&[
            Field::text("timestamp"),
            Field::sid("call_sid", &["CA"]),
            Field::sid("account_sid", &["AC"]),
            Field::new("edge", Wire::Enum(EDGES)),
            Field::new("direction", Wire::Enum(&["unknown", "inbound", "outbound", "both"])),
            Field::new("carrier_edge", Wire::Json),
            Field::new("sip_edge", Wire::Json),
            Field::new("sdk_edge", Wire::Json),
            Field::new("client_edge", Wire::Json),
        ])
        .access(ACCESS),
    ops: &[Op::list(&[
        Param::one_of("Edge", EDGES).code(17400),
        Param::one_of("Direction", &["unknown", "inbound", "outbound", "both"]).code(17400),
    ])
    .by(|_, ctx| {
        Box::pin(async move {
            check_choices(ctx)?;
            check_reach(ctx, &existing(ctx, "CallSid").await?)?;
            check_advanced(ctx).await?;
            Ok(Reply::List(Page::default()))
        })
    })],
};

const VERDICTS: &[&str] = &["unknown_answered_by", "human", "machine"];
const CONNECTIVITY: &[&str] = &[
    "unknown_connectivity_issue",
    "no_connectivity_issue",
    "invalid_number",
    "caller_id",
    "dropped_call",
    "number_reachability",
];
const QUALITY: &[&str] = &[
    "unknown_quality_issue",
    "no_quality_issue",
    "low_volume",
    "choppy_robotic",
    "echo",
    "dtmf",
    "latency",
    "owa",
    "static_noise",
];

pub static ANNOTATION: Resource<Voice> = Resource {
    table: Table::product("Annotation", "insights", "", "/v1/Voice/{CallSid}/Annotation")
        .singleton()
        .fields(&[
            Field::sid("call_sid", &["CA"]),
            Field::sid("account_sid", &["AC"]),
            Field::new("answered_by", Wire::Enum(VERDICTS)),
            Field::new("connectivity_issue", Wire::Enum(CONNECTIVITY)),
            Field::new("quality_issues", Wire::Json).empty("[]"),
            Field::new("spam", Wire::Boolean),
            Field::new("call_score", Wire::Integer(1, 5)),
            Field::text("comment"),
            Field::text("incident"),
            Field::new("url", Wire::Url),
        ])
        .access(ACCESS),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[
            Param::one_of("AnsweredBy", VERDICTS).code(17400),
            Param::one_of("ConnectivityIssue", CONNECTIVITY).code(17400),
            Param::text("QualityIssues", 255).code(17400),
            Param::boolean("Spam").code(17400),
            Param::integer("CallScore", 1, 5).code(17400),
            Param::text("Comment", 100).code(17400),
            Param::text("Incident", 100).code(17400),
        ])
        .by(|_, ctx| Box::pin(annotate(ctx))),
    ],
};

/// What somebody noted about a call.
pub(super) async fn annotation(
    ctx: &Ctx,
    store: &AccountStore,
    call: Sid,
) -> Result<Option<Json>, ApiError> {
    let found = rest::load(store, ANNOTATION_KIND, "", &call.to_string()).await;
    let found = found.map_err(|error| rest::store_error(ctx, error))?;
    Ok(found.map(|doc| Json::Object(doc.fields)))
}

/// Everything that was noted about calls, by their SIDs.
pub(super) async fn annotations(
    ctx: &Ctx,
    store: &AccountStore,
) -> Result<HashMap<String, Json>, ApiError> {
    let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2
               AND parent = '' ORDER BY sid DESC LIMIT $3";
    let rows = store.query(sql, vec![ANNOTATION_KIND.into(), ANNOTATIONS_MAX.into()]).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let noted = |row: &store::Row| {
        (row.text(0).to_owned(), serde_json::from_str(row.text(1)).unwrap_or_default())
    };
    Ok(rows.iter().map(noted).collect())
}

fn shown(ctx: &Ctx, call: Sid, annotation: &Json) -> Reply {
    let mut record = Record::at("CallSid", &call.to_string());
    record.set("call_sid", call).set("account_sid", ctx.account);
    for name in [
        "answered_by",
        "connectivity_issue",
        "quality_issues",
        "spam",
        "call_score",
        "comment",
        "incident",
    ] {
        if !annotation[name].is_null() {
            record.set(name, annotation[name].clone());
        }
    }
    Reply::Record(record)
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing(ctx, "CallSid").await?.sid;
    let annotation = annotation(ctx, &ctx.store, call).await?.unwrap_or_default();
    Ok(shown(ctx, call, &annotation))
}

async fn annotate(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing(ctx, "CallSid").await?.sid;
    let mut fields = match annotation(ctx, &ctx.store, call).await? {
        Some(Json::Object(fields)) => fields,
        _ => Map::new(),
    };
    let given = rest::fields_of(ctx.op.params, &ctx.form);
    for (name, value) in given {
        let value = match (name.as_str(), value) {
            ("quality_issues", Json::String(list)) => json!(quality_issues(&list)?),
            // What is emptied is unknown again.
            (_, Json::String(text)) if text.is_empty() => Json::Null,
            (_, value) => value,
        };
        fields.insert(name, value);
    }
    let fields = Json::Object(fields);
    let mut batch = ctx.store.batch();
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)
         ON CONFLICT (account_sid, kind, parent, sid)
         DO UPDATE SET body = excluded.body, date_updated = excluded.date_updated",
        vec![ANNOTATION_KIND.into(), call.into(), fields.to_string().into(), ctx.now.into()],
    );
    ctx.audit(&mut batch, "call-annotation.updated", &call.to_string(), fields.clone());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(shown(ctx, call, &fields))
}

/// Issues of a list with commas.
///
/// # Errors
/// 17400 for one that there is not.
fn quality_issues(list: &str) -> Result<Vec<&str>, ApiError> {
    let issues: Vec<&str> =
        list.split(',').map(str::trim).filter(|issue| !issue.is_empty()).collect();
    match issues.iter().find(|issue| !QUALITY.contains(issue)) {
        None => Ok(issues),
        Some(stray) => {
            let why = format!("QualityIssues '{stray}' is none of {}", QUALITY.join(", "));
            Err(ApiError::new(17400, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quality_issues;

    #[test]
    fn quality_issues_are_a_list_with_commas() {
        assert_eq!(quality_issues("echo, low_volume").unwrap(), ["echo", "low_volume"]);
        assert_eq!(quality_issues("").unwrap(), Vec::<&str>::new());
        assert_eq!(quality_issues("hiss").unwrap_err().code, 17400);
    }
}

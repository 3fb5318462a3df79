//! `/v1/Events`: who changed what (compliance §13).

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::Row;

use crate::Monitor;
use crate::shown::{Query, sid_of};

/// Users, which this platform has none of, accounts and keys.
const ACTORS: &[&str] = &["US", "AC", "SK"];

const LIST: &[Param] = &[
    Param::sid("ActorSid", ACTORS),
    Param::text("EventType", 128),
    Param::sid("ResourceSid", &[]),
    Param::text("SourceIpAddress", 64),
    Param::date_time("StartDate"),
    Param::date_time("EndDate"),
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("actor_sid", ACTORS),
    Field::text("actor_type"),
    Field::text("description"),
    Field::new("event_data", Wire::Json),
    Field::new("event_date", Wire::Iso8601),
    Field::text("event_type"),
    Field::sid("resource_sid", &[]),
    Field::text("resource_type"),
    Field::sid("sid", &["AE"]),
    Field::text("source"),
    Field::text("source_ip_address"),
    Field::new("url", Wire::Url),
    Field::new("links", Wire::UriMap),
];

// Differs: resources are named by their tables (`incoming-phone-number.created`), where Twilio has
// shorter names for some (`phone-number.created`); of most no list is published.
pub static EVENT: Resource<Monitor> = Resource {
    table: Table::product("Event", "monitor", "/v1/Events", "/v1/Events/{Sid}")
        .key("events")
        .sid("AE")
        .fields(FIELDS)
        .access(Access::Keys("monitor/events")),
    ops: &[
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    ],
};

const COLUMNS: &str = "seq, at, kind, sid, actor, body";

fn deeds() -> Query {
    Query::new(COLUMNS, "actor IS NOT NULL")
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut query = deeds();
    query.between(ctx);
    for (param, condition) in
        [("ActorSid", "actor ="), ("EventType", "kind ="), ("ResourceSid", "sid =")]
    {
        if let Some(wanted) = ctx.form.text(param) {
            query.and(condition, wanted);
        }
    }
    if let Some(address) = ctx.form.text("SourceIpAddress") {
        // An address that is none came from nowhere.
        let address = address.parse::<std::net::IpAddr>().map_or("none".into(), |a| a.to_string());
        query.and("body LIKE", format!("{{\"source_ip_address\":\"{address}\"%"));
    }
    let (rows, has_next) = query.page(ctx, "AE").await?;
    Ok(Reply::List(Page { records: rows.iter().map(|row| record(ctx, row)).collect(), has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(ctx, &deeds().fetch(ctx, "AE").await?)))
}

fn record(ctx: &Ctx, row: &Row) -> Record {
    let (seq, at, kind, resource) = (row.int(0), row.time(1), row.text(2), row.text(3));
    let actor = row.text(4);
    let body: Json = serde_json::from_str(row.text(5)).unwrap_or(Json::Null);
    let sid = sid_of("AE", at, seq);
    let mut record = Record::new(&sid.to_string());
    record
        .set("account_sid", ctx.account)
        .set("actor_sid", actor)
        // Differs: what Twilio calls an API key that acts is unpublished.
        .set("actor_type", if actor.starts_with("SK") { "api-key" } else { "account" })
        .set("event_data", json!({"resource_properties": body["resource_properties"]}))
        .set("event_date", at)
        .set("event_type", kind)
        .set("resource_sid", resource)
        .set("resource_type", kind.split_once('.').map_or(kind, |(resource, _)| resource))
        .set("sid", sid)
        .set("source", "api")
        .set("source_ip_address", body["source_ip_address"].as_str())
        .set("links", links(ctx, kind, actor, resource));
    record
}

/// Where actor and resource are. Differs: a resource has a link only where its kind has one path
/// whose parts an event knows, and the owner who acts on its subaccount has none.
fn links(ctx: &Ctx, kind: &str, actor: &str, resource: &str) -> Json {
    let api = ctx.base.replacen("monitor", "api", 1);
    let account = format!("{api}/2010-04-01/Accounts/{}", ctx.account);
    let mut links = Map::new();
    if actor.starts_with("SK") {
        links.insert("actor".into(), format!("{account}/Keys/{actor}.json").into());
    } else if actor == ctx.account.to_string() {
        links.insert("actor".into(), format!("{account}.json").into());
    }
    let collection = match kind.split_once('.').map_or(kind, |(resource, _)| resource) {
        "account" => None,
        "application" => Some("Applications"),
        "incoming-phone-number" => Some("IncomingPhoneNumbers"),
        "key" => Some("Keys"),
        "usage-trigger" => Some("Usage/Triggers"),
        _ => return Json::Object(links),
    };
    let resource = match collection {
        Some(collection) => format!("{account}/{collection}/{resource}.json"),
        None => format!("{account}.json"),
    };
    links.insert("resource".into(), resource.into());
    Json::Object(links)
}

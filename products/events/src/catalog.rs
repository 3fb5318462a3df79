//! `/v1/Types` and `/v1/Schemas`: what can be subscribed to (webhooks §12).

use kernel::{ApiError, Timestamp};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};

use crate::Events;

/// A type of events.
pub struct Type {
    pub name: &'static str,
    pub schema: &'static str,
    pub description: &'static str,
    /// The kind of events that it is made of.
    pub kind: &'static str,
}

const fn message(name: &'static str, kind: &'static str, description: &'static str) -> Type {
    Type { name, schema: "Messaging.MessageStatus", description, kind }
}

const fn verify(name: &'static str, kind: &'static str, description: &'static str) -> Type {
    Type { name, schema: "AccountSecurity.VerifyEventStreamEvent", description, kind }
}

/// Sorted by name.
// Differs: only what this platform delivers is listed; Twilio's list has every product's types.
pub const TYPES: &[Type] = &[
    verify(
        "com.twilio.accountsecurity.verify.message.delivered",
        "verify-message.delivered",
        "A verification's message was delivered",
    ),
    verify(
        "com.twilio.accountsecurity.verify.message.sent",
        "verify-message.sent",
        "A verification's message was sent",
    ),
    verify(
        "com.twilio.accountsecurity.verify.message.undelivered",
        "verify-message.undelivered",
        "A verification's message was not delivered",
    ),
    verify(
        "com.twilio.accountsecurity.verify.verification.approved",
        "verification.approved",
        "A verification was approved",
    ),
    verify(
        "com.twilio.accountsecurity.verify.verification.canceled",
        "verification.canceled",
        "A verification was canceled",
    ),
    verify(
        "com.twilio.accountsecurity.verify.verification.expired",
        "verification.expired",
        "A verification expired",
    ),
    verify(
        "com.twilio.accountsecurity.verify.verification.max-attempts-reached",
        "verification.max-attempts-reached",
        "A verification's checks were used up",
    ),
    verify(
        "com.twilio.accountsecurity.verify.verification.pending",
        "verification.pending",
        "A verification was started, or its code sent again",
    ),
    Type {
        name: "com.twilio.daptbt.link-shortening.link-clicked",
        schema: "LinkShortening.LinkClicked",
        description: "Somebody followed a short link",
        kind: "link.clicked",
    },
    Type {
        name: "com.twilio.error-logs.error.logged",
        schema: "ErrorLogs.Error",
        description: "An error or warning was logged",
        kind: "alert",
    },
    Type {
        name: "com.twilio.messaging.inbound-message.received",
        schema: "Messaging.InboundMessageV1",
        description: "A message was received",
        kind: "message.received",
    },
    message(
        "com.twilio.messaging.message.delivered",
        "message.delivered",
        "A message was delivered",
    ),
    message("com.twilio.messaging.message.failed", "message.failed", "A message failed"),
    message("com.twilio.messaging.message.queued", "message.queued", "A message was queued"),
    message("com.twilio.messaging.message.read", "message.read", "A message was read"),
    message("com.twilio.messaging.message.sent", "message.sent", "A message was sent"),
    message(
        "com.twilio.messaging.message.undelivered",
        "message.undelivered",
        "A message was not delivered",
    ),
];

/// What a test sends; nobody can subscribe to it.
pub const TEST_TYPE: &str = "com.twilio.eventstreams.test-event";

/// Schemas with their only version. Differs: Twilio's have earlier and later ones, which differ in
/// the fields that they leave out.
const SCHEMAS: &[(&str, i64)] = &[
    ("AccountSecurity.VerifyEventStreamEvent", 1),
    ("ErrorLogs.Error", 1),
    ("EventStreams.TestSink", 1),
    ("LinkShortening.LinkClicked", 1),
    ("Messaging.InboundMessageV1", 1),
    ("Messaging.MessageStatus", 1),
];

/// The type of this name.
pub fn by_name(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.name == name)
}

/// The type that events of this kind are of.
pub fn by_kind(kind: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.kind == kind)
}

/// The newest version of a schema.
pub fn version(schema: &str) -> Option<i64> {
    SCHEMAS.iter().find(|(known, _)| *known == schema).map(|(_, version)| *version)
}

/// Where a version of a schema is published.
pub fn raw(schema: &str, version: i64) -> String {
    format!("https://events-schemas.twilio.com/{schema}/{version}")
}

pub static EVENT_TYPE: Resource<Events> = Resource {
    table: Table::product("EventType", "events", "/v1/Types", "/v1/Types/{Type}")
        .key("types")
        .access(Access::Keys("event-streams/types"))
        .fields(&[
            Field::text("type"),
            Field::text("schema_id"),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::text("description"),
            Field::text("status"),
            Field::text("documentation_url"),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ]),
    ops: &[
        Op::list(&[Param::text("SchemaId", 128)]).by(|_, ctx| Box::pin(async { list(ctx) })),
        Op::fetch().by(|_, ctx| {
            Box::pin(async {
                let known = by_name(ctx.param("Type")).ok_or_else(|| ctx.not_found())?;
                Ok(Reply::Record(record(ctx, known)))
            })
        }),
    ],
};

/// By name, which is what a page token holds.
fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let schema = ctx.form.text("SchemaId");
    let mut all: Vec<&Type> =
        TYPES.iter().filter(|known| schema.is_none_or(|schema| schema == known.schema)).collect();
    let size = ctx.page.size as usize;
    let start = match &ctx.page.cursor {
        Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        Cursor::After(key) => all.partition_point(|known| known.name <= key.as_str()),
        Cursor::Before(key) => {
            all.partition_point(|known| known.name < key.as_str()).saturating_sub(size)
        }
    };
    let mut rest = all.split_off(start.min(all.len()));
    let has_next = rest.len() > size;
    rest.truncate(size);
    let records = rest.into_iter().map(|known| record(ctx, known)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

fn record(ctx: &Ctx, known: &Type) -> Record {
    let mut record = Record::at("Type", known.name);
    let schema = format!("{}/v1/Schemas/{}", ctx.base, known.schema);
    record
        .set("type", known.name)
        .set("schema_id", known.schema)
        .set("date_created", Timestamp::EPOCH)
        .set("date_updated", Timestamp::EPOCH)
        .set("description", known.description)
        .set("status", "available")
        .set("documentation_url", "https://www.twilio.com/docs/events/event-types")
        .set("links", serde_json::json!({"schema": schema}));
    record
}

pub static SCHEMA: Resource<Events> = Resource {
    table: Table::product("EventSchema", "events", "", "/v1/Schemas/{Id}")
        .singleton()
        .access(Access::Keys("event-streams/schemas"))
        .links(&[("versions", "/Versions")])
        .fields(&[
            Field::text("id"),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
            Field::new("latest_version_date_created", Wire::Iso8601),
            Field::new("latest_version", Wire::Integer(0, i64::MAX)),
        ]),
    ops: &[Op::fetch().by(|_, ctx| {
        Box::pin(async {
            let (id, version) = known_schema(ctx)?;
            let mut record = Record::at("Id", id);
            record
                .set("id", id)
                .set("latest_version_date_created", Timestamp::EPOCH)
                .set("latest_version", version);
            Ok(Reply::Record(record))
        })
    })],
};

pub static SCHEMA_VERSION: Resource<Events> = Resource {
    table: Table::product(
        "EventSchemaVersion",
        "events",
        "/v1/Schemas/{Id}/Versions",
        "/v1/Schemas/{Id}/Versions/{SchemaVersion}",
    )
    .key("schema_versions")
    .access(Access::Keys("event-streams/schemas"))
    .fields(&[
        Field::text("id"),
        Field::new("schema_version", Wire::Integer(0, i64::MAX)),
        Field::new("date_created", Wire::Iso8601),
        Field::new("url", Wire::Url),
        Field::new("raw", Wire::Url),
    ]),
    ops: &[
        Op::list(&[]).by(|_, ctx| {
            Box::pin(async {
                let (id, version) = known_schema(ctx)?;
                let records = vec![version_record(id, version)];
                Ok(Reply::List(Page { records, has_next: false }))
            })
        }),
        Op::fetch().by(|_, ctx| {
            Box::pin(async {
                let (id, version) = known_schema(ctx)?;
                match ctx.param("SchemaVersion").parse() == Ok(version) {
                    true => Ok(Reply::Record(version_record(id, version))),
                    false => Err(ctx.not_found()),
                }
            })
        }),
    ],
};

fn known_schema(ctx: &Ctx) -> Result<(&'static str, i64), ApiError> {
    let found = SCHEMAS.iter().find(|(known, _)| *known == ctx.param("Id"));
    found.copied().ok_or_else(|| ctx.not_found())
}

fn version_record(id: &str, version: i64) -> Record {
    let mut record = Record::at("SchemaVersion", &version.to_string());
    record
        .set("id", id)
        .set("schema_version", version)
        .set("date_created", Timestamp::EPOCH)
        .set("raw", raw(id, version));
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_sorted_and_have_schemas() {
        assert!(TYPES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(TYPES.iter().all(|known| version(known.schema).is_some()));
        assert_eq!(
            by_kind("message.sent").map(|t| t.name),
            Some("com.twilio.messaging.message.sent")
        );
        assert!(by_kind("message.sending").is_none() && by_name(TEST_TYPE).is_none());
    }
}

//! `/v1/Subscriptions`: which events go to a sink (webhooks §12.1).

use kernel::ApiError;
use rest::{Access, Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::{Value as Json, json};

use crate::Events;
use crate::catalog;
use crate::sink;

pub(crate) const KIND: &str = "EventSubscription";

// Twilio's bound of 100 subscriptions follows from that of sinks, of which each has one at most.
pub static SUBSCRIPTION: Resource<Events> = Resource {
    table: Table::product(KIND, "events", "/v1/Subscriptions", "/v1/Subscriptions/{Sid}")
        .key("subscriptions")
        .sid("DF")
        .access(Access::Keys("event-streams/subscriptions"))
        .links(&[("subscribed_events", "/SubscribedEvents")])
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::sid("sid", &["DF"]),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::text("description"),
            Field::sid("sink_sid", &["DG"]),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ]),
    ops: &[
        Op::create(&[
            Param::text("Description", 256).required(20001),
            Param::sid("SinkSid", &["DG"]).required(20001).code(91006),
            Param::new("Types", Wire::Json).required(91103).list(),
        ])
        .with(|_, ctx, draft| Box::pin(create(ctx, draft))),
        Op::list(&[Param::sid("SinkSid", &["DG"]).code(91006)]),
        Op::fetch(),
        Op::update(&[Param::text("Description", 256)]),
        Op::delete(),
    ],
};

/// A type that is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub name: String,
    pub schema_version: i64,
}

impl Wanted {
    /// Checks the type; without a version it is the newest of its schema.
    ///
    /// # Errors
    /// 91104 / 404 for a type that is not delivered here, 91100 / 400 for a version it has not.
    pub fn new(name: &str, version: Option<i64>) -> Result<Self, ApiError> {
        let Some(known) = catalog::by_name(name) else {
            let why =
                format!("Type not found in the system: {name}; /v1/Types lists what there is");
            return Err(ApiError::new(91104, why));
        };
        let newest = catalog::version(known.schema).unwrap_or(1);
        let schema_version = version.unwrap_or(newest);
        // Differs: earlier and later versions than ours are answered as ours, because programs name
        // the one that they were written for.
        if schema_version < 1 {
            let why = format!("schema_version {schema_version} of {name} is not 1 or more");
            return Err(ApiError::new(91100, why));
        }
        Ok(Self { name: name.to_owned(), schema_version })
    }

    fn read(json: &Json) -> Result<Self, ApiError> {
        let Some(name) = json["type"].as_str() else {
            let why = format!("Types: {json} is no object with a 'type'");
            return Err(ApiError::new(91100, why));
        };
        Self::new(name, json["schema_version"].as_i64())
    }

    /// Everything a subscription asks for, sorted by name.
    pub fn all(subscription: &Doc) -> Vec<Self> {
        let types = subscription.fields.get("types").and_then(Json::as_array);
        types.into_iter().flatten().filter_map(|json| Self::read(json).ok()).collect()
    }

    /// As a subscription holds it.
    pub fn json(all: &[Self]) -> Json {
        let one =
            |wanted: &Self| json!({"type": wanted.name, "schema_version": wanted.schema_version});
        all.iter().map(one).collect()
    }
}

async fn create(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let given = draft.fields.get("types").and_then(Json::as_array).cloned().unwrap_or_default();
    // One parameter may hold a list, too.
    let given = given.into_iter().flat_map(|json| match json {
        Json::Array(list) => list,
        other => vec![other],
    });
    let mut types = Vec::new();
    for json in given {
        let wanted = Wanted::read(&json)?;
        types.retain(|other: &Wanted| other.name != wanted.name);
        types.push(wanted);
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    draft.set("types", Wanted::json(&types));

    let sid = draft.text("sink_sid").unwrap_or_default().to_owned();
    let found = sink::load(&ctx.store, &sid).await;
    let found = found.map_err(|error| rest::store_error(ctx, error))?;
    let found = found.ok_or_else(|| ApiError::new(91001, format!("There is no sink {sid}")))?;
    if found.text("status") != Some("active") {
        let why = format!("Sink {sid} is not active; test and validate it first");
        return Err(ApiError::new(91100, why));
    }
    if sink::user_of(ctx, &sid).await?.is_some() {
        return Err(ApiError::new(91007, format!("Sink with SID {sid} is in use")));
    }
    draft.claim(sink::IN_USE, &sid);
    // If the sink goes in between, so does the subscription.
    draft.batch.must(
        "UPDATE resource SET version = version WHERE account_sid = $1 AND kind = $2
         AND parent = '' AND sid = $3",
        vec![sink::KIND.into(), sid.into()],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_and_has_a_version() {
        let sent = "com.twilio.messaging.message.sent";
        for (json, expected) in [
            (json!({"type": sent}), Ok(1)),
            (json!({"type": sent, "schema_version": 4}), Ok(4)),
            (json!({"type": sent, "schema_version": 0}), Err(91100)),
            (json!({"type": "com.twilio.voice.media.fetched"}), Err(91104)),
            (json!({"kind": sent}), Err(91100)),
            (json!(sent), Err(91100)),
        ] {
            let read = Wanted::read(&json).map(|wanted| wanted.schema_version);
            assert_eq!(read.map_err(|error| error.code), expected, "{json}");
        }
    }
}

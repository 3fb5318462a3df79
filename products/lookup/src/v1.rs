//! `/v1/PhoneNumbers/{number}` (verify §13).

use kernel::ApiError;
use numbering::examine;
use rest::{Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::json;

use crate::Lookup;
use crate::package::{Inputs, Subject};

const TYPES: &[&str] = &["carrier", "caller-name"];

/// Differs: there is no marketplace of add-ons; asking for one is told so in `add_ons`.
pub static PHONE_NUMBER: Resource<Lookup> = Resource {
    table: Table::product(
        "LookupV1PhoneNumber",
        "lookups",
        "/v1/PhoneNumbers/{PhoneNumber}",
        "/v1/PhoneNumbers/{PhoneNumber}",
    )
    .singleton()
    .fields(&[
        Field::new("caller_name", Wire::Json),
        Field::text("country_code"),
        Field::text("phone_number"),
        Field::text("national_format"),
        Field::new("carrier", Wire::Json),
        Field::new("add_ons", Wire::Json),
        Field::new("url", Wire::Url),
    ]),
    ops: &[Op::fetch()
        .params(&[
            Param::text("CountryCode", 2),
            Param::one_of("Type", TYPES).list(),
            Param::text("AddOns", 256).list(),
            Param::new("AddOnsData", Wire::PrefixedMap),
        ])
        .by(|lookup, ctx| Box::pin(fetch(lookup, ctx)))],
};

async fn fetch(lookup: &Lookup, ctx: &Ctx) -> Result<Reply, ApiError> {
    let found = examine(ctx.param("PhoneNumber"), ctx.form.text("CountryCode").unwrap_or("US"));
    let Some(number) = found.number.filter(|_| found.fault.is_none()) else {
        return Err(ctx.not_found());
    };
    let mut record = Record::new("");
    record
        .set("country_code", found.country.map(|country| country.iso))
        .set("phone_number", found.text.as_str())
        .set("national_format", found.national.as_deref());
    let asked = ctx.form.list("Type");
    if !asked.is_empty() {
        let said = lookup.source.ask(&number.to_string()).await;
        let (subscriber, code) = match said {
            Ok(subscriber) => (subscriber, None),
            Err(why) => {
                tracing::warn!(%why, "the data source of lookups does not answer");
                (contracts::Subscriber::default(), Some(60613))
            }
        };
        let subject =
            Subject { number, subscriber: &subscriber, override_type: None, now: ctx.now };
        if asked.contains(&"carrier") {
            let line = subscriber.line.as_ref();
            record.set("carrier", json!({
                "mobile_country_code": line.and_then(|line| line.mobile_country_code.as_deref()),
                "mobile_network_code": line.and_then(|line| line.mobile_network_code.as_deref()),
                "name": line.map(|line| line.carrier.as_str()),
                "type": line.map(|line| line.kind.as_str()),
                "error_code": code,
            }));
        }
        if asked.contains(&"caller-name") {
            let mut name = subject.package("caller_name", &Inputs::default());
            if let Some(code) = code {
                name["error_code"] = code.into();
            }
            record.set("caller_name", name);
        }
    }
    if !ctx.form.list("AddOns").is_empty() {
        record.set(
            "add_ons",
            json!({
                "status": "failed", "message": "Add-ons are not supported by Offhook", "code": null,
                "results": {},
            }),
        );
    }
    Ok(Reply::Record(record))
}

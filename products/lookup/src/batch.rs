//! `/v2/batch/query`: many numbers at once.

use kernel::ApiError;
use rest::{Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::Lookup;
use crate::identity::Claim;
use crate::number::{Question, packages};
use crate::package::Inputs;

/// Numbers of one request. Differs: Twilio's bound is unpublished.
const NUMBERS_MAX: usize = 100;

pub static BATCH: Resource<Lookup> = Resource {
    table: Table::product("LookupBatch", "lookups", "/v2/batch/query", "/v2/batch/query")
        .collection()
        .fields(&[Field::new("phone_numbers", Wire::Json).empty("[]")]),
    ops: &[Op::create(&[Param::new("phone_numbers", Wire::Json).list()])
        .json()
        .status(200)
        .by(|lookup, ctx| Box::pin(query(lookup, ctx)))],
};

#[derive(Deserialize)]
struct Asked {
    phone_number: String,
    correlation_id: Option<String>,
    #[serde(default)]
    fields: Vec<String>,
    country_code: Option<String>,
    #[serde(default)]
    identity_match: AskedIdentity,
    #[serde(default)]
    reassigned_number: AskedReassigned,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AskedIdentity {
    first_name: Option<String>,
    last_name: Option<String>,
    address_line1: Option<String>,
    address_line2: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    address_country_code: Option<String>,
    national_id: Option<String>,
    date_of_birth: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AskedReassigned {
    last_verified_date: Option<String>,
}

async fn query(lookup: &Lookup, ctx: &Ctx) -> Result<Reply, ApiError> {
    let asked = ctx.form.list("phone_numbers");
    if asked.len() > NUMBERS_MAX {
        let why = format!("phone_numbers has {}; at most {NUMBERS_MAX} are allowed", asked.len());
        return Err(ApiError::new(20001, why));
    }
    let mut answers = Vec::with_capacity(asked.len());
    for text in asked {
        let asked: Asked = serde_json::from_str(text).map_err(|error| {
            ApiError::new(20001, format!("phone_numbers holds no such object: {error}"))
        })?;
        let fields = asked.fields.join(",");
        let identity = &asked.identity_match;
        let lines = [identity.address_line1.as_deref(), identity.address_line2.as_deref()];
        let lines: Vec<&str> = lines.into_iter().flatten().collect();
        let question = Question {
            number: &asked.phone_number,
            country: asked.country_code.as_deref(),
            fields: packages(&fields)?,
            inputs: Inputs {
                claim: Claim {
                    first_name: identity.first_name.as_deref(),
                    last_name: identity.last_name.as_deref(),
                    address_lines: (!lines.is_empty()).then(|| lines.join(" ")),
                    city: identity.city.as_deref(),
                    state: identity.state.as_deref(),
                    postal_code: identity.postal_code.as_deref(),
                    country: identity.address_country_code.as_deref(),
                    national_id: identity.national_id.as_deref(),
                    date_of_birth: identity.date_of_birth.as_deref(),
                },
                last_verified: asked.reassigned_number.last_verified_date.as_deref(),
            },
        };
        let mut answer = Map::new();
        answer.insert("correlation_id".into(), asked.correlation_id.clone().into());
        answer.insert("twilio_error_code".into(), Json::Null);
        answer.extend(lookup.answer(ctx, &question).await?);
        answers.push(Json::Object(answer));
    }
    let mut record = Record::new("");
    record.set("phone_numbers", Json::Array(answers));
    Ok(Reply::Record(record))
}

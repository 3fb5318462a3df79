//! `/v2/PhoneNumbers/{number}`, and what an account says of a number instead.

use kernel::ApiError;
use numbering::{E164, Examined, examine};
use rest::{Ctx, Field, Op, Param, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::StoreError;

use crate::identity::Claim;
use crate::package::{ALL, Inputs, LINE_TYPES, Subject};
use crate::{Lookup, limit, shown};

const OVERRIDE_KIND: &str = "LookupOverride";
/// The one package that can be overridden.
const OVERRIDABLE: &str = "line_type_intelligence";
/// Numbers without plus sign or country are of this one.
const REGION: &str = "US";

const FETCH: &[Param] = &[
    Param::text("Fields", 1024),
    Param::text("CountryCode", 2),
    Param::text("FirstName", 256),
    Param::text("LastName", 256),
    Param::text("AddressLine1", 256),
    Param::text("AddressLine2", 256),
    Param::text("City", 256),
    Param::text("State", 256),
    Param::text("PostalCode", 64),
    Param::text("AddressCountryCode", 2),
    Param::text("NationalId", 64),
    Param::text("DateOfBirth", 10),
    Param::text("LastVerifiedDate", 10),
    Param::text("VerificationSid", 34),
    Param::text("PartnerSubId", 64),
];

const FIELDS: &[Field] = &[
    Field::text("calling_country_code"),
    Field::text("country_code"),
    Field::text("phone_number"),
    Field::text("national_format"),
    Field::new("valid", Wire::Boolean),
    Field::new("validation_errors", Wire::Json).empty("[]"),
    Field::new("caller_name", Wire::Json),
    Field::new("sim_swap", Wire::Json),
    Field::new("call_forwarding", Wire::Json),
    Field::new("line_status", Wire::Json),
    Field::new("line_type_intelligence", Wire::Json),
    Field::new("identity_match", Wire::Json),
    Field::new("reassigned_number", Wire::Json),
    Field::new("sms_pumping_risk", Wire::Json),
    Field::new("phone_number_quality_score", Wire::Json),
    Field::new("pre_fill", Wire::Json),
    Field::new("url", Wire::Url),
];

/// Differs: `pre_fill` and `phone_number_quality_score` answer 60606: no data source has them.
pub static PHONE_NUMBER: Resource<Lookup> = Resource {
    table: Table::product(
        "LookupPhoneNumber",
        "lookups",
        "/v2/PhoneNumbers/{PhoneNumber}",
        "/v2/PhoneNumbers/{PhoneNumber}",
    )
    .singleton()
    .fields(FIELDS),
    ops: &[Op::fetch()
        .params(FETCH)
        .with_test_credentials()
        .by(|lookup, ctx| Box::pin(fetch(lookup, ctx)))],
};

const OVERRIDE_PARAMS: &[Param] =
    &[Param::one_of("line_type", LINE_TYPES), Param::text("reason", 1024)];

pub static OVERRIDE: Resource<Lookup> = Resource {
    table: Table::product(
        OVERRIDE_KIND,
        "lookups",
        "/v2/PhoneNumbers/{PhoneNumber}/Overrides/{Field}",
        "/v2/PhoneNumbers/{PhoneNumber}/Overrides/{Field}",
    )
    .singleton()
    .fields(&[
        Field::text("phone_number"),
        Field::new("original_line_type", Wire::Enum(LINE_TYPES)),
        Field::new("overridden_line_type", Wire::Enum(LINE_TYPES)),
        Field::text("override_reason"),
        Field::new("override_timestamp", Wire::Iso8601),
        Field::sid("overridden_by_account_sid", &["AC"]),
    ]),
    ops: &[
        Op::create(OVERRIDE_PARAMS)
            .at_instance()
            .json()
            .by(|m, ctx| Box::pin(put_override(m, ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch_override(ctx))),
        Op::update(OVERRIDE_PARAMS).json().by(|m, ctx| Box::pin(put_override(m, ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete_override(ctx))),
    ],
};

/// A number with the packages that were asked for.
pub(crate) struct Question<'a> {
    pub number: &'a str,
    pub country: Option<&'a str>,
    pub fields: Vec<&'a str>,
    pub inputs: Inputs<'a>,
}

impl Lookup {
    /// Every member of the answer but its address.
    pub(crate) async fn answer(
        &self,
        ctx: &Ctx,
        question: &Question<'_>,
    ) -> Result<Map<String, Json>, ApiError> {
        let found = examine(question.number, question.country.unwrap_or(REGION));
        let mut answer = described(&found);
        for package in ALL {
            answer.insert((*package).to_owned(), Json::Null);
        }
        let asked: Vec<&str> =
            ALL.iter().copied().filter(|package| question.fields.contains(package)).collect();
        // Nothing is known of a number that cannot be one.
        let Some(number) = found.number.filter(|_| found.fault.is_none() && !asked.is_empty())
        else {
            return Ok(answer);
        };
        let said = self.source.ask(&number.to_string()).await;
        let override_type = overridden(ctx, number).await.map_err(|e| rest::store_error(ctx, e))?;
        for package in asked {
            let limited = limit::is_over(ctx, package).await;
            let over = limited.map_err(|error| rest::store_error(ctx, error))?;
            let object = match &said {
                _ if over => json!({"error_code": 60616}),
                Ok(subscriber) => {
                    let override_type = override_type.as_deref();
                    let subject = Subject { number, subscriber, override_type, now: ctx.now };
                    subject.package(package, &question.inputs)
                }
                Err(why) => {
                    tracing::warn!(%why, "the data source of lookups does not answer");
                    json!({"error_code": 60613})
                }
            };
            answer.insert(package.to_owned(), object);
        }
        Ok(answer)
    }
}

fn described(found: &Examined) -> Map<String, Json> {
    let mut answer = Map::new();
    let country = found.country;
    let errors: Vec<&str> = found.fault.iter().map(|fault| fault.as_str()).collect();
    for (name, value) in [
        ("calling_country_code", json!(country.map(|country| country.calling_code.to_string()))),
        ("country_code", json!(country.map(|country| country.iso))),
        ("phone_number", json!(found.text)),
        ("national_format", json!(found.national)),
        ("valid", json!(found.fault.is_none())),
        ("validation_errors", json!(errors)),
    ] {
        answer.insert(name.to_owned(), value);
    }
    answer
}

/// The packages of a comma-separated list: 20001 for one that is none.
pub(crate) fn packages(text: &str) -> Result<Vec<&str>, ApiError> {
    let asked: Vec<&str> =
        text.split(',').map(str::trim).filter(|package| !package.is_empty()).collect();
    match asked.iter().find(|package| !ALL.contains(package) && **package != "validation") {
        None => Ok(asked),
        Some(unknown) => {
            let known = ALL.join(", ");
            let why = format!("Fields has '{unknown}', which is none of validation, {known}");
            Err(ApiError::new(20001, why))
        }
    }
}

async fn fetch(lookup: &Lookup, ctx: &Ctx) -> Result<Reply, ApiError> {
    let given = ctx.param("PhoneNumber");
    if given.trim().is_empty() {
        return Err(ctx.not_found());
    }
    let form = &ctx.form;
    let lines = [form.text("AddressLine1"), form.text("AddressLine2")];
    let lines: Vec<&str> = lines.into_iter().flatten().collect();
    let question = Question {
        number: given,
        country: form.text("CountryCode"),
        fields: packages(form.text("Fields").unwrap_or_default())?,
        inputs: Inputs {
            claim: Claim {
                first_name: form.text("FirstName"),
                last_name: form.text("LastName"),
                address_lines: (!lines.is_empty()).then(|| lines.join(" ")),
                city: form.text("City"),
                state: form.text("State"),
                postal_code: form.text("PostalCode"),
                country: form.text("AddressCountryCode"),
                national_id: form.text("NationalId"),
                date_of_birth: form.text("DateOfBirth"),
            },
            last_verified: form.text("LastVerifiedDate"),
        },
    };
    let mut answer = lookup.answer(ctx, &question).await?;
    if ctx.is_test() {
        magic(&mut answer, &question);
    }
    Ok(Reply::Record(shown(ctx, &answer)))
}

/// What test credentials are told of the magic numbers (rest-conventions §13.4).
fn magic(answer: &mut Map<String, Json>, question: &Question<'_>) {
    let digits = question.number.trim_start_matches('+');
    let period = match digits {
        "12345678900" | "12345678904" => Some("PT48H"),
        "12345678901" | "12345678907" => Some("PT24H"),
        _ => None,
    };
    if let (Some(period), true) = (period, question.fields.contains(&"sim_swap")) {
        let swap = json!({"last_sim_swap_date": null, "swapped_period": period,
                          "swapped_in_period": false});
        answer.insert(
            "sim_swap".into(),
            json!({"last_sim_swap": swap, "carrier_name": null,
            "mobile_country_code": null, "mobile_network_code": null, "error_code": null}),
        );
    }
    let verified = question.inputs.last_verified == Some("20211015");
    if verified && digits.ends_with("2345678904") && question.fields.contains(&"reassigned_number")
    {
        answer.insert(
            "reassigned_number".into(),
            json!({"last_verified_date": "2021-10-15",
            "is_number_reassigned": "no", "error_code": null}),
        );
    }
}

/// What the account says of the number's line.
async fn overridden(ctx: &Ctx, number: E164) -> Result<Option<String>, StoreError> {
    let found = rest::load(&ctx.store, OVERRIDE_KIND, OVERRIDABLE, &number.to_string()).await?;
    Ok(found.and_then(|doc| doc.text("overridden_line_type").map(str::to_owned)))
}

/// The number in the path, in its normal form: 20404 for what is none.
fn subject(ctx: &Ctx) -> Result<E164, ApiError> {
    let found = examine(ctx.param("PhoneNumber"), REGION);
    if ctx.param("Field") != OVERRIDABLE {
        let why = format!("Only {OVERRIDABLE} can be overridden, not '{}'", ctx.param("Field"));
        return Err(ApiError::new(20001, why));
    }
    found.number.filter(|_| found.fault.is_none()).ok_or_else(|| ctx.not_found())
}

async fn put_override(lookup: &Lookup, ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = subject(ctx)?;
    for name in ["line_type", "reason"] {
        if ctx.form.text(name).is_none() {
            return Err(rest::missing(name, 20001));
        }
    }
    let failed = |error| rest::store_error(ctx, error);
    let text = number.to_string();
    let known = rest::load(&ctx.store, OVERRIDE_KIND, OVERRIDABLE, &text).await.map_err(failed)?;
    let is_update = ctx.op.verb == rest::Verb::Update;
    if is_update && known.is_none() {
        return Err(ctx.not_found());
    }
    let subscriber = lookup.source.ask(&text).await.unwrap_or_default();
    let subject = Subject { number, subscriber: &subscriber, override_type: None, now: ctx.now };
    let mut fields = Map::new();
    for (name, value) in [
        ("phone_number", json!(text)),
        ("original_line_type", json!(subject.line_type())),
        ("overridden_line_type", json!(ctx.form.text("line_type"))),
        ("override_reason", json!(ctx.form.text("reason"))),
        ("override_timestamp", json!(ctx.now.iso8601())),
        ("overridden_by_account_sid", json!(ctx.account)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    let mut batch = ctx.store.batch();
    match &known {
        Some(doc) => {
            rest::revise(&mut batch, OVERRIDE_KIND, OVERRIDABLE, doc, &fields, ctx.now);
        }
        None => rest::insert(&mut batch, OVERRIDE_KIND, OVERRIDABLE, &text, &fields, ctx.now),
    }
    ctx.store.commit(batch).await.map_err(failed)?;
    Ok(Reply::Record(shown(ctx, &fields)))
}

async fn fetch_override(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = subject(ctx)?.to_string();
    let found = rest::load(&ctx.store, OVERRIDE_KIND, OVERRIDABLE, &number).await;
    let doc = found.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Record(shown(ctx, &doc.ok_or_else(|| ctx.not_found())?.fields)))
}

async fn delete_override(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = subject(ctx)?.to_string();
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![OVERRIDE_KIND.into(), OVERRIDABLE.into(), number.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

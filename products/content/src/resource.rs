//! `/v1/Content`: templates (whatsapp-content §2).

use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Reply, Resource, Table, Verb, Wire};
use serde_json::{Value as Json, json};
use template::{Fault, Template};

use crate::approval::FIELD;
use crate::{Content, sample};

pub(crate) const KIND: &str = "Content";
pub(crate) const ACCESS: Access = Access::Keys("content/content");

const CREATE: &[Param] = &[
    Param::text("friendly_name", 255).default(""),
    Param::new("variables", Wire::Json).code(92007).default("{}"),
    Param::text("language", 16).required(92003).code(92004),
    Param::new("types", Wire::Json).required(92001).code(92001),
];

const UPDATE: &[Param] = &[
    Param::text("friendly_name", 255),
    Param::new("variables", Wire::Json).code(92007),
    Param::text("language", 16).code(92004),
    Param::new("types", Wire::Json).required(92001).code(92001),
];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["HX"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::text("language"),
    Field::new("variables", Wire::Json),
    Field::new("types", Wire::Json),
    Field::new("url", Wire::Url),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("links", Wire::UriMap),
];

pub(crate) const LINKS: &[(&str, &str)] =
    &[("approval_create", "/ApprovalRequests/whatsapp"), ("approval_fetch", "/ApprovalRequests")];

pub static CONTENT: Resource<Content> = Resource {
    table: Table::product(KIND, "content", "/v1/Content", "/v1/Content/{Sid}")
        .key("contents")
        .sid("HX")
        .fields(FIELDS)
        .links(LINKS)
        .access(ACCESS),
    ops: &[
        Op::create(CREATE).json().with(|_, _, draft| Box::pin(async move { complete(draft) })),
        Op::list(&[]),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(UPDATE).json().with(|_, _, draft| Box::pin(async move { complete(draft) })),
        Op::delete(),
    ],
};

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let sid = ctx.param_sid("Sid", &["HX"])?.to_string();
    let mut found = rest::load(&ctx.store, KIND, "", &sid).await.map_err(failed)?;
    if found.is_none() && sample::seed(&ctx.store, &ctx.clock, &sid).await.map_err(failed)? {
        found = rest::load(&ctx.store, KIND, "", &sid).await.map_err(failed)?;
    }
    let doc = found.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// The template must be one; 20409 when it was submitted and can no longer change.
///
/// Differs: Twilio's code for the update of a submitted template is not documented.
fn complete(draft: &mut Draft) -> Result<(), ApiError> {
    if draft.verb == Verb::Update && draft.fields.contains_key(FIELD) {
        let why = format!("{} was submitted for approval: make a new template", draft.sid);
        return Err(ApiError::new(20409, why));
    }
    if draft.fields.get("variables").is_none_or(Json::is_null) {
        draft.set("variables", json!({}));
    }
    let part = |field: &str| draft.fields.get(field).unwrap_or(&Json::Null);
    let language = draft.text("language").unwrap_or_default();
    let template = Template::new(language, part("variables"), part("types")).map_err(refused)?;
    draft.set("types", Json::Object(template.types().clone()));
    Ok(())
}

/// A fault of a template as the API answers it.
fn refused(fault: Fault) -> ApiError {
    ApiError::new(fault.code, fault.why)
}

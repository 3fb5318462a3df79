//! `/v1/CustomerProfiles` and `/v1/TrustProducts` (compliance §7): one resource under two names.

use kernel::ApiError;
use rest::{Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::Value as Json;
use store::{AccountStore, StoreError};

use crate::lifecycle::{self, Event, STATUSES, Status};
use crate::{Trust, catalogue, review};

pub(crate) const CUSTOMER_PROFILE_KIND: &str = "CustomerProfile";
pub(crate) const TRUST_PRODUCT_KIND: &str = "TrustProduct";

const CREATE: &[Param] = &[
    Param::text("FriendlyName", 255).required(20001),
    Param::text("Email", 255).required(20001),
    Param::sid("PolicySid", &["RN"]).required(20001),
    Param::url("StatusCallback"),
];

const LIST: &[Param] = &[
    Param::one_of("Status", STATUSES),
    Param::text("FriendlyName", 255),
    Param::sid("PolicySid", &["RN"]),
];

const UPDATE: &[Param] = &[
    Param::one_of("Status", STATUSES).code(22203),
    Param::url("StatusCallback"),
    Param::text("FriendlyName", 255),
    Param::text("Email", 255),
];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["BU"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("policy_sid", &["RN"]),
    Field::text("friendly_name"),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::new("valid_until", Wire::Iso8601),
    Field::text("email"),
    Field::new("status_callback", Wire::Url),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
    Field::new("links", Wire::UriMap),
    Field::new("errors", Wire::Json),
];

const OPS: &[Op<Trust>] = &[
    Op::create(CREATE).with(|_, _, draft| Box::pin(async move { complete(draft) })),
    Op::list(LIST),
    Op::fetch(),
    Op::update(UPDATE).with(|trust, ctx, draft| Box::pin(async move { change(trust, ctx, draft) })),
    Op::delete().with(|_, _, draft| Box::pin(async move { remove(draft) })),
];

const fn bundle(table: Table) -> Resource<Trust> {
    Resource { table: table.key("results").sid("BU").fields(FIELDS), ops: OPS }
}

pub static CUSTOMER_PROFILE: Resource<Trust> = bundle(
    Table::product(
        CUSTOMER_PROFILE_KIND,
        "trusthub",
        "/v1/CustomerProfiles",
        "/v1/CustomerProfiles/{Sid}",
    )
    .links(&[
        ("customer_profiles_entity_assignments", "/EntityAssignments"),
        ("customer_profiles_evaluations", "/Evaluations"),
        ("customer_profiles_channel_endpoint_assignment", "/ChannelEndpointAssignments"),
    ]),
);

pub static TRUST_PRODUCT: Resource<Trust> = bundle(
    Table::product(TRUST_PRODUCT_KIND, "trusthub", "/v1/TrustProducts", "/v1/TrustProducts/{Sid}")
        .links(&[
            ("trust_products_entity_assignments", "/EntityAssignments"),
            ("trust_products_evaluations", "/Evaluations"),
            ("trust_products_channel_endpoint_assignment", "/ChannelEndpointAssignments"),
        ]),
);

/// A bundle of either kind.
pub(crate) async fn find(
    store: &AccountStore,
    sid: &str,
) -> Result<Option<(&'static str, Doc)>, StoreError> {
    for kind in [CUSTOMER_PROFILE_KIND, TRUST_PRODUCT_KIND] {
        if let Some(doc) = rest::load(store, kind, "", sid).await? {
            return Ok(Some((kind, doc)));
        }
    }
    Ok(None)
}

/// A new bundle is a draft under a policy that exists.
///
// Differs: a primary customer profile may be made through the API; Twilio wants its console.
fn complete(draft: &mut Draft) -> Result<(), ApiError> {
    let policy = draft.text("policy_sid").unwrap_or_default();
    if catalogue::policy(policy).is_none() {
        let why = format!("There is no policy {policy}: GET /v1/Policies lists them");
        return Err(ApiError::new(20001, why));
    }
    draft.set("status", Status::Draft.as_str());
    Ok(())
}

/// Submits or withdraws a bundle, or changes its fields.
///
/// # Errors
/// 22203 for a status that its owner cannot give it; 22204 for a status together with fields.
///
// Differs: whether 22203 and 22204 are what Trust Hub answers, as bundles of numbers do, is
// unconfirmed.
fn change(trust: &Trust, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let Some(wanted) = ctx.form.text("Status").and_then(Status::parse) else { return Ok(()) };
    if ["FriendlyName", "Email", "StatusCallback"].iter().any(|field| ctx.form.has(field)) {
        let why = "Status and other fields cannot change in one update: send two";
        return Err(ApiError::new(22204, why));
    }
    let current = status(draft.previous.as_ref().map(|doc| &doc.fields));
    if wanted == current {
        return Ok(());
    }
    let event = match wanted {
        Status::PendingReview => Some(Event::Submitted),
        Status::Draft => Some(Event::Withdrawn),
        _ => None,
    };
    let Some(next) = event.and_then(|event| lifecycle::apply(current, event)) else {
        let why = format!(
            "A bundle that is {} cannot be made {}: submit a draft with pending-review",
            current.as_str(),
            wanted.as_str()
        );
        return Err(ApiError::new(22203, why));
    };
    draft.set("status", next.as_str());
    draft.set("errors", Json::Null);
    review::callback(trust, draft.sid.as_str(), &draft.fields, &mut draft.batch);
    if next == Status::PendingReview {
        review::promise(trust, ctx.table.name, &draft.sid, &mut draft.batch);
    }
    Ok(())
}

/// The status that a document has.
pub(crate) fn status(fields: Option<&serde_json::Map<String, Json>>) -> Status {
    let text = fields.and_then(|fields| fields.get("status")).and_then(Json::as_str);
    text.and_then(Status::parse).unwrap_or(Status::Draft)
}

/// A bundle takes its assignments and evaluations with it.
fn remove(draft: &mut Draft) -> Result<(), ApiError> {
    let sid = draft.sid.clone();
    draft
        .batch
        .run("DELETE FROM resource WHERE account_sid = $1 AND parent = $2", vec![sid.into()]);
    Ok(())
}

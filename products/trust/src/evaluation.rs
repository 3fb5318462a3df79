//! `/v1/{CustomerProfiles|TrustProducts}/{BU}/Evaluations`: a bundle held against a policy
//! (compliance §7).

use kernel::ApiError;
use rest::{Ctx, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{AccountStore, StoreError};

use crate::catalogue::{self, Kind, Policy, Support};
use crate::lifecycle::Status;
use crate::{Trust, assignment, bundle, party};

const CREATE: &[Param] = &[Param::sid("PolicySid", &["RN"]).required(20001)];

const VERDICTS: &[&str] = &["compliant", "noncompliant"];

const fn fields(parent: &'static str) -> [Field; 8] {
    [
        Field::sid("sid", &["EL"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("policy_sid", &["RN"]),
        Field::sid(parent, &["BU"]),
        Field::new("status", Wire::Enum(VERDICTS)),
        Field::new("results", Wire::Json).empty("[]"),
        Field::new("date_created", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]
}

const OPS: &[Op<Trust>] = &[
    Op::create(CREATE).with(|_, ctx, draft| Box::pin(decide(ctx, draft))),
    Op::list(&[]),
    Op::fetch(),
];

const fn evaluation(table: Table) -> Resource<Trust> {
    Resource { table: table.key("results").sid("EL"), ops: OPS }
}

pub static CUSTOMER_PROFILE_EVALUATION: Resource<Trust> = evaluation(
    Table::product(
        "CustomerProfileEvaluation",
        "trusthub",
        "/v1/CustomerProfiles/{CustomerProfileSid}/Evaluations",
        "/v1/CustomerProfiles/{CustomerProfileSid}/Evaluations/{Sid}",
    )
    .under(bundle::CUSTOMER_PROFILE_KIND)
    .fields(&fields("customer_profile_sid")),
);

pub static TRUST_PRODUCT_EVALUATION: Resource<Trust> = evaluation(
    Table::product(
        "TrustProductEvaluation",
        "trusthub",
        "/v1/TrustProducts/{TrustProductSid}/Evaluations",
        "/v1/TrustProducts/{TrustProductSid}/Evaluations/{Sid}",
    )
    .under(bundle::TRUST_PRODUCT_KIND)
    .fields(&fields("trust_product_sid")),
);

/// A policy that does not exist is 20001.
async fn decide(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let policy = draft.text("policy_sid").unwrap_or_default().to_owned();
    if catalogue::policy(&policy).is_none() {
        let why = format!("There is no policy {policy}: GET /v1/Policies lists them");
        return Err(ApiError::new(20001, why));
    }
    let (field, bundle) = assignment::parent_of(ctx);
    let bundle = bundle.to_owned();
    let evaluation = evaluate(&ctx.store, &bundle, &policy).await;
    let evaluation = evaluation.map_err(|error| rest::store_error(ctx, error))?;
    draft.set(field, bundle);
    draft.set("status", VERDICTS[usize::from(!evaluation.is_compliant())]);
    draft.set("results", evaluation.results);
    Ok(())
}

/// Holds what is assigned to a bundle against a policy.
pub(crate) async fn evaluate(
    store: &AccountStore,
    bundle: &str,
    policy: &str,
) -> Result<Evaluation, StoreError> {
    let Some(policy) = catalogue::policy(policy) else { return Ok(Evaluation::default()) };
    let mut entities = Vec::new();
    for object in assignment::objects(store, bundle).await? {
        entities.extend(entity(store, &object).await?);
    }
    Ok(judge(policy, &entities))
}

/// What is assigned.
#[derive(Debug)]
pub(crate) enum Entity {
    /// An end user or document.
    Party {
        kind: String,
        attributes: Map<String, Json>,
    },
    Bundle {
        policy: String,
        status: Status,
    },
}

async fn entity(store: &AccountStore, object: &str) -> Result<Option<Entity>, StoreError> {
    if let Some(doc) = party::find(store, object).await? {
        let attributes = doc.fields.get("attributes").and_then(Json::as_object).cloned();
        let kind = doc.text("type").unwrap_or_default().to_owned();
        return Ok(Some(Entity::Party { kind, attributes: attributes.unwrap_or_default() }));
    }
    let found = bundle::find(store, object).await?;
    Ok(found.map(|(_, doc)| Entity::Bundle {
        policy: doc.text("policy_sid").unwrap_or_default().to_owned(),
        status: bundle::status(Some(&doc.fields)),
    }))
}

/// One result per requirement, as the wire shows them.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    results: Vec<Json>,
}

impl Evaluation {
    pub fn is_compliant(&self) -> bool {
        self.results.iter().all(|result| result["passed"] == true)
    }

    /// Why not, as the `errors` of a rejected bundle.
    pub fn faults(&self) -> Vec<Json> {
        let failed = self.results.iter().filter(|result| result["passed"] != true);
        let fault = |result: &Json| json!({"code": result["error_code"], "description": result["failure_reason"]});
        failed.map(fault).collect()
    }
}

/// The decision: every kind that the policy needs with every attribute it needs (22214–22217),
/// and every profile it builds on, which must not be a draft or rejected.
///
// Differs: attributes are checked for being there, not for their values.
fn judge(policy: &Policy, entities: &[Entity]) -> Evaluation {
    let parties = policy.kinds().filter_map(|(kind, is_optional)| {
        let found = entities.iter().find_map(|entity| match entity {
            Entity::Party { kind: name, attributes } if name == kind.name => Some(attributes),
            _ => None,
        });
        (found.is_some() || !is_optional).then(|| party_result(kind, found))
    });
    let profiles = policy.profiles.iter().map(|support| profile_result(support, entities));
    Evaluation { results: parties.chain(profiles).collect() }
}

fn party_result(kind: &Kind, found: Option<&Map<String, Json>>) -> Json {
    let is_document = catalogue::kind(catalogue::DOCUMENTS, kind.name).is_some();
    let (absent, incomplete) = if is_document { (22216, 22217) } else { (22214, 22215) };
    let is_filled = |value: &Json| match value {
        Json::Null => false,
        Json::String(text) => !text.trim().is_empty(),
        Json::Array(list) => !list.is_empty(),
        _ => true,
    };
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for attribute in kind.attributes.iter().filter(|attribute| attribute.is_required) {
        if found.and_then(|all| all.get(attribute.name)).is_some_and(is_filled) {
            valid.push(json!({"friendly_name": attribute.label, "object_field": attribute.name,
                              "passed": true, "failure_reason": null, "error_code": null}));
        } else {
            let why = format!("{} of {} is missing", attribute.label, kind.label);
            invalid.push(json!({"friendly_name": attribute.label,
                                "object_field": attribute.name, "passed": false,
                                "failure_reason": why, "error_code": incomplete}));
        }
    }
    let failure = match found {
        None => Some((absent, format!("{} is missing: assign one to the bundle", kind.label))),
        Some(_) => invalid.first().map(|first| {
            let why = first["failure_reason"].as_str().unwrap_or_default().to_owned();
            (incomplete, why)
        }),
    };
    result(kind.name, kind.label, failure, (valid, invalid))
}

// Differs: a profile that is missing is reported as 22214; Twilio's code for it is unconfirmed.
fn profile_result(support: &Support, entities: &[Entity]) -> Json {
    let of_policy = |entity: &&Entity| matches!(entity, Entity::Bundle { policy, .. } if support.policies.contains(&policy.as_str()));
    let failure = match entities.iter().find(of_policy) {
        Some(Entity::Bundle { status: Status::Draft | Status::Rejected, .. }) => {
            Some((22214, format!("{} is neither approved nor under review", support.label)))
        }
        Some(_) => None,
        None => Some((22214, format!("{} is missing: assign its BU SID", support.label))),
    };
    let check = json!({"friendly_name": "Supporting Bundle Status", "object_field": "bundle_status",
                       "passed": failure.is_none(), "error_code": failure.as_ref().map(|it| it.0),
                       "failure_reason": failure.as_ref().map(|it| it.1.clone())});
    let checks = if failure.is_none() { (vec![check], vec![]) } else { (vec![], vec![check]) };
    result(support.name, support.label, failure, checks)
}

fn result(
    name: &str,
    label: &str,
    failure: Option<(u32, String)>,
    (valid, invalid): (Vec<Json>, Vec<Json>),
) -> Json {
    let (code, why) = failure.unzip();
    json!({"friendly_name": label, "object_type": name, "passed": code.is_none(),
           "failure_reason": why, "error_code": code, "valid": valid, "invalid": invalid,
           "requirement_friendly_name": label, "requirement_name": name})
}

#[cfg(test)]
mod tests {
    use super::*;

    const A2P: &str = "RNb0d4771c2c98518d916a3d4cd70a8f8b";
    const SECONDARY: &str = "RNdfbf3fae0e1107f8aded0e7cead80bf5";
    const STARTER: &str = "RN806dd6cd175f314e1f96a9727ee271f4";

    fn party(kind: &str, attributes: Json) -> Entity {
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        Entity::Party { kind: kind.into(), attributes }
    }

    fn profile(policy: &str, status: Status) -> Entity {
        Entity::Bundle { policy: policy.into(), status }
    }

    #[test]
    fn a_bundle_needs_all_that_its_policy_asks_for() {
        let kind = "us_a2p_messaging_profile_information";
        let private = || party(kind, json!({"company_type": "private"}));
        for (entities, codes) in [
            (vec![private(), profile(SECONDARY, Status::Approved)], vec![]),
            (vec![private(), profile(SECONDARY, Status::PendingReview)], vec![]),
            (vec![private(), profile(SECONDARY, Status::Draft)], vec![22214]),
            (vec![private(), profile(SECONDARY, Status::Rejected)], vec![22214]),
            (vec![private(), profile(STARTER, Status::Approved)], vec![22214]),
            (vec![private()], vec![22214]),
            (vec![profile(SECONDARY, Status::Approved)], vec![22214]),
            (vec![party(kind, json!({})), profile(SECONDARY, Status::Approved)], vec![22215]),
            (
                vec![party(kind, json!({"company_type": " "})), profile(SECONDARY, Status::Draft)],
                vec![22215, 22214],
            ),
        ] {
            let evaluation = judge(catalogue::policy(A2P).unwrap(), &entities);
            let found: Vec<_> =
                evaluation.faults().iter().map(|fault| fault["code"].as_u64().unwrap()).collect();
            assert_eq!(found, codes, "{entities:?}");
            assert_eq!(evaluation.is_compliant(), codes.is_empty());
        }
    }

    #[test]
    fn what_is_optional_may_be_absent_but_not_half_there() {
        let policy = catalogue::policy(STARTER).unwrap();
        let address = party("customer_profile_address", json!({"address_sids": []}));
        let codes = judge(policy, &[address]).faults();
        let codes: Vec<_> = codes.iter().map(|fault| fault["code"].clone()).collect();
        assert_eq!(codes, [22214, 22217, 22214]);
        let primary = catalogue::policy("RN6433641899984f951173ef1738c3bdd0").unwrap();
        assert_eq!(judge(primary, &[]).results.len(), 3);
        let second = party("authorized_representative_2", json!({"first_name": "Ada"}));
        assert_eq!(judge(primary, &[second]).results.len(), 4);
    }
}

//! `/v1/a2p/BrandRegistrations` (compliance §5.2): who sends.

use std::time::Duration;

use contracts::TrustBundle;
use jobs::Failure;
use kernel::ApiError;
use rest::{Ctx, Doc, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::AccountStore;

use super::lifecycle::{Event, Machine};
use super::review::{Step, Subject, Verdict, promise};
use super::{later, registry_id, rejection, seed};
use crate::Messaging;
use crate::create::unavailable;

pub(super) const KIND: &str = "BrandRegistrations";

pub(super) const MACHINE: Machine = Machine {
    field: "status",
    waiting: "PENDING",
    reviewing: "IN_REVIEW",
    good: "APPROVED",
    bad: "FAILED",
    suspended: Some("SUSPENDED"),
};

/// One minute until it is looked at, ten until it is decided.
const PLAN: &[(Step, Duration)] =
    &[(Step::Open, Duration::from_secs(60)), (Step::Decide, Duration::from_secs(600))];

/// Times a failed brand may be sent again (21724).
// Differs: Twilio's number is unconfirmed.
const RESUBMISSIONS_MAX: i64 = 3;

const STATUSES: &[&str] = &[
    "PENDING",
    "APPROVED",
    "FAILED",
    "IN_REVIEW",
    "DELETION_PENDING",
    "DELETION_FAILED",
    "SUSPENDED",
];
const IDENTITIES: &[&str] = &["SELF_DECLARED", "UNVERIFIED", "VERIFIED", "VETTED_VERIFIED"];
/// What a brand's data may be wrong in.
const FEEDBACK: &[&str] = &["TAX_ID", "STOCK_SYMBOL", "NONPROFIT", "GOVERNMENT_ENTITY", "OTHERS"];

const CREATE: &[Param] = &[
    Param::sid("CustomerProfileBundleSid", &["BU"]).required(20001),
    Param::sid("A2PProfileBundleSid", &["BU"]).required(20001),
    Param::one_of("BrandType", &["STANDARD", "SOLE_PROPRIETOR", "STARTER"]).default("STANDARD"),
    Param::boolean("Mock").default("false"),
    Param::boolean("SkipAutomaticSecVet").default("false"),
];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["BN"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("customer_profile_bundle_sid", &["BU"]),
    Field::sid("a2p_profile_bundle_sid", &["BU"]),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::text("brand_type"),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::text("tcr_id"),
    Field::text("failure_reason"),
    Field::new("errors", Wire::Json).empty("[]"),
    Field::new("url", Wire::Url),
    Field::new("brand_score", Wire::Integer(0, i64::MAX)),
    Field::new("brand_feedback", Wire::Json),
    Field::new("identity_status", Wire::Enum(IDENTITIES)).empty("\"UNVERIFIED\""),
    Field::new("russell_3000", Wire::Boolean).empty("false"),
    Field::new("government_entity", Wire::Boolean).empty("false"),
    Field::text("tax_exempt_status"),
    Field::new("skip_automatic_sec_vet", Wire::Boolean),
    Field::new("mock", Wire::Boolean),
    Field::new("links", Wire::UriMap),
];

pub static BRAND: Resource<Messaging> = Resource {
    table: Table::product(
        KIND,
        "messaging",
        "/v1/a2p/BrandRegistrations",
        "/v1/a2p/BrandRegistrations/{Sid}",
    )
    .key("data")
    .sid("BN")
    .fields(FIELDS)
    .links(&[("brand_vettings", "/Vettings"), ("brand_registration_otps", "/SmsOtp")]),
    ops: &[
        Op::create(CREATE).with(|m, ctx, draft| Box::pin(submit(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[]).status(202).with(|m, _, draft| Box::pin(async move { resubmit(m, draft) })),
    ],
};

/// An approved brand of the account.
///
/// # Errors
/// 21717 / 400 when there is none of this SID, or it is not approved.
pub(super) async fn approved(ctx: &Ctx, sid: &str) -> Result<Doc, ApiError> {
    let found = rest::load(&ctx.store, KIND, "", sid).await.map_err(super::failed(ctx))?;
    let Some(doc) = found else {
        return Err(ApiError::new(21717, format!("The account has no brand {sid}")));
    };
    match doc.text("status") {
        Some("APPROVED") => Ok(doc),
        status => {
            let status = status.unwrap_or_default();
            let why = format!("The brand {sid} is {status}: wait until it is APPROVED");
            Err(ApiError::new(21717, why))
        }
    }
}

/// # Errors
/// 20404 for a bundle that the account does not have; 20001 for a trust product where a customer
/// profile belongs, and the reverse; 21726 for a starter brand.
async fn submit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if draft.text("brand_type") == Some("STARTER") {
        return Err(ApiError::new(21726, "BrandType STARTER is no more: use SOLE_PROPRIETOR"));
    }
    let trust = &messaging.parts.trust;
    for (param, wants_profile) in
        [("CustomerProfileBundleSid", true), ("A2PProfileBundleSid", false)]
    {
        let sid = ctx.form.sid(param).expect("the table requires it").to_string();
        let Some(found) = trust.bundle(ctx.account, &sid).await.map_err(unavailable)? else {
            return Err(ApiError::new(20404, format!("The account has no bundle {sid} ({param})")));
        };
        if found.is_customer_profile != wants_profile {
            let wanted = if wants_profile { "customer profile" } else { "trust product" };
            let why = format!("{param} must name a {wanted}, which {sid} is not");
            return Err(ApiError::new(20001, why));
        }
    }
    // Behind its digit the parameter's name begins a word, and the field's does not.
    let bundle = draft.fields.remove("a2_p_profile_bundle_sid").unwrap_or(Json::Null);
    draft.set("a2p_profile_bundle_sid", bundle);
    draft.set("status", MACHINE.waiting);
    let subject = Subject { kind: KIND, parent: "", sid: &draft.sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

/// A failed brand goes to vetting again, with what its bundles hold now.
///
/// # Errors
/// 21725 unless it is FAILED; 21724 after three times.
fn resubmit(messaging: &Messaging, draft: &mut Draft) -> Result<(), ApiError> {
    let sid = draft.sid.clone();
    let status = draft.text(MACHINE.field).unwrap_or_default().to_owned();
    let Some(next) = MACHINE.apply(&status, Event::Resubmitted) else {
        let why = format!("The brand {sid} is {status}; only a FAILED one can be sent again");
        return Err(ApiError::new(21725, why));
    };
    let times = draft.fields.get("resubmissions").and_then(Json::as_i64).unwrap_or(0);
    if times >= RESUBMISSIONS_MAX {
        let why = format!("The brand {sid} was sent again {times} times, which is the limit");
        return Err(ApiError::new(21724, why));
    }
    draft.set("resubmissions", times + 1);
    draft.set("status", next);
    draft.fields.extend(cleared());
    let subject = Subject { kind: KIND, parent: "", sid: &sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

/// Nothing of an earlier vetting.
fn cleared() -> Map<String, Json> {
    let nothing =
        ["failure_reason", "brand_feedback", "brand_score"].map(|name| (name, Json::Null));
    let all = nothing.into_iter().chain([("errors", json!([]))]);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) async fn vet(
    messaging: &Messaging,
    store: &AccountStore,
    doc: &Doc,
) -> Result<Verdict, Failure> {
    let mut bundles = [None, None];
    for (at, field) in
        ["customer_profile_bundle_sid", "a2p_profile_bundle_sid"].into_iter().enumerate()
    {
        let sid = doc.text(field).unwrap_or_default();
        bundles[at] = messaging.parts.trust.bundle(store.account(), sid).await.map_err(later)?;
    }
    let magic = messaging.parts.development;
    Ok(judge(doc, bundles.each_ref().map(Option::as_ref), magic))
}

/// How the vetting of a brand ends. A mock brand needs no approved bundles. The name of the A2P
/// bundle may ask, in development: `Fail TAX_ID …` (or any other feedback) fails with it, `Score
/// 80 …` gives that score.
///
// Differs: the trust score comes from the SID; the `errors` of a failed brand have words and no
// codes, which are unconfirmed.
fn judge(doc: &Doc, [profile, a2p]: [Option<&TrustBundle>; 2], magic: bool) -> Verdict {
    let flag = |field: &str| doc.fields.get(field).and_then(Json::as_bool).unwrap_or(false);
    let name = a2p.filter(|_| magic).map_or("", |bundle| bundle.friendly_name.as_str());
    let mut words = name.split_whitespace();
    let (verb, object) = (words.next(), words.next());
    if verb == Some("Fail") {
        let feedback = FEEDBACK.iter().find(|known| Some(**known) == object).unwrap_or(&"OTHERS");
        return fails(feedback, &format!("The name '{name}' asks the simulated vetting to fail"));
    }
    let is_sole = doc.text("brand_type") == Some("SOLE_PROPRIETOR");
    let bundles = [profile, a2p];
    if !flag("mock") {
        if !bundles.iter().all(|it| it.is_some_and(|bundle| bundle.is_approved)) {
            return fails("OTHERS", "A bundle of the brand is not twilio-approved");
        }
        if !bundles.iter().all(|it| it.is_some_and(|bundle| bundle.is_sole_proprietor == is_sole)) {
            return fails("OTHERS", "A bundle's policy is for another type of brand");
        }
    }
    let asked = object.filter(|_| verb == Some("Score")).and_then(|score| score.parse().ok());
    let score: i64 = asked.unwrap_or(1 + (seed(&doc.sid) % 100) as i64).clamp(1, 100);
    let mut told = cleared();
    told.insert("tcr_id".into(), registry_id('B', &doc.sid).into());
    if is_sole {
        told.insert("identity_status".into(), "SELF_DECLARED".into());
    } else {
        told.insert("identity_status".into(), "VERIFIED".into());
        if !flag("skip_automatic_sec_vet") {
            told.insert("brand_score".into(), score.into());
        }
    }
    Verdict::Passes(told)
}

fn fails(feedback: &str, why: &str) -> Verdict {
    let mut told = Map::new();
    told.insert("failure_reason".into(), why.into());
    told.insert("brand_feedback".into(), json!([feedback]));
    told.insert("errors".into(), json!([rejection::error(None, why, &[])]));
    told.insert("identity_status".into(), "UNVERIFIED".into());
    Verdict::Fails(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brand(fields: Json) -> Doc {
        let now = kernel::Timestamp::parse("2026-01-01").unwrap();
        Doc {
            sid: "BN00000000000000000000000000000029".into(),
            fields: fields.as_object().cloned().unwrap(),
            date_created: now,
            date_updated: now,
            version: 1,
        }
    }

    fn bundle(name: &str, is_approved: bool) -> TrustBundle {
        let friendly_name = name.to_owned();
        TrustBundle {
            is_customer_profile: false,
            is_sole_proprietor: name.contains("sole"),
            friendly_name,
            is_approved,
        }
    }

    #[test]
    fn bundles_and_their_names_decide() {
        let (plain, draft) = (bundle("Acme", true), bundle("Acme", false));
        let sole_bundle = bundle("Ada's sole business", true);
        let standard = json!({"brand_type": "STANDARD"});
        let mock = json!({"brand_type": "STANDARD", "mock": true});
        let unvetted = json!({"brand_type": "STANDARD", "skip_automatic_sec_vet": true});
        let sole = json!({"brand_type": "SOLE_PROPRIETOR"});
        let [fail, fail_other, high, too_high] =
            ["Fail TAX_ID", "Fail it", "Score 80 Acme", "Score 900"].map(|name| bundle(name, true));
        for (fields, a2p, magic, expected) in [
            (&standard, &plain, true, Ok((json!(42), "VERIFIED"))),
            (&standard, &draft, true, Err("OTHERS")),
            (&mock, &draft, true, Ok((json!(42), "VERIFIED"))),
            (&unvetted, &plain, true, Ok((Json::Null, "VERIFIED"))),
            (&sole, &sole_bundle, true, Ok((Json::Null, "SELF_DECLARED"))),
            (&sole, &plain, true, Err("OTHERS")),
            (&standard, &sole_bundle, true, Err("OTHERS")),
            (&standard, &fail, true, Err("TAX_ID")),
            (&mock, &fail_other, true, Err("OTHERS")),
            (&standard, &fail, false, Ok((json!(42), "VERIFIED"))),
            (&standard, &high, true, Ok((json!(80), "VERIFIED"))),
            (&standard, &too_high, true, Ok((json!(100), "VERIFIED"))),
        ] {
            let profile = if *fields == sole { &sole_bundle } else { &plain };
            let verdict = judge(&brand(fields.clone()), [Some(profile), Some(a2p)], magic);
            match (verdict, expected) {
                (Verdict::Passes(told), Ok((score, identity))) => {
                    assert_eq!(
                        (&told["brand_score"], &told["identity_status"]),
                        (&score, &json!(identity)),
                        "{fields} {a2p:?}"
                    );
                }
                (Verdict::Fails(told), Err(feedback)) => {
                    assert_eq!(told["brand_feedback"], json!([feedback]), "{fields} {a2p:?}");
                }
                (verdict, _) => panic!("{fields} {a2p:?}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn a_bundle_that_is_gone_fails() {
        let verdict = judge(&brand(json!({})), [None, None], false);
        assert!(matches!(verdict, Verdict::Fails(_)), "{verdict:?}");
    }
}

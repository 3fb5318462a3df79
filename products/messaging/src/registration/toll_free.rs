//! `/v1/Tollfree/Verifications` (compliance §6): what a toll-free number is used for.
//!
//! A number has one verification; the verification claims its SID.

use std::time::Duration;

use kernel::{ApiError, Sid, Timestamp};
use numbering::{E164, Kind};
use rest::{Ctx, Draft, Op, Page, Reply, Resource, Table};
use serde_json::{Map, Value as Json, json};

use super::lifecycle::{Event, Machine};
use super::review::{Step, Subject, Verdict, promise};
use super::toll_free_fields::{CREATE, FIELDS, LIST, UPDATE};
use super::{failed, rejection};
use crate::Messaging;
use crate::create::unavailable;

pub(super) const KIND: &str = "TollfreeVerification";

/// Name of the claims of verifications on numbers.
pub(super) const CLAIM: &str = "tollfree-verification";

pub(super) const MACHINE: Machine = Machine {
    field: "status",
    waiting: "PENDING_REVIEW",
    reviewing: "IN_REVIEW",
    good: "TWILIO_APPROVED",
    bad: "TWILIO_REJECTED",
    suspended: None,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = HOUR.saturating_mul(24);

const PLAN: &[(Step, Duration)] = &[(Step::Open, HOUR), (Step::Decide, DAY)];

/// How long a rejected verification can be corrected.
const EDIT_TIME: Duration = DAY.saturating_mul(7);

/// Reasons that no correction cures.
const FINAL: &[u32] = &[30443, 30444];

// Differs: IncludeSubAccounts is accepted and adds nothing; a list is of one account.
pub static VERIFICATION: Resource<Messaging> = Resource {
    table: Table::product(
        KIND,
        "messaging",
        "/v1/Tollfree/Verifications",
        "/v1/Tollfree/Verifications/{Sid}",
    )
    .key("verifications")
    .sid("HH")
    .fields(FIELDS),
    ops: &[
        Op::create(CREATE).with(|m, ctx, draft| Box::pin(submit(m, ctx, draft))),
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch(),
        Op::update(UPDATE)
            .status(202)
            .with(|m, ctx, draft| Box::pin(async move { resubmit(m, ctx, draft) })),
        Op::delete(),
    ],
};

/// # Errors
/// 30436 for a number that the account does not have or that is not toll-free; 20404 for a customer
/// profile that it does not have; 20409 when the number has a verification.
async fn submit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let number: Sid = ctx.form.sid("TollfreePhoneNumberSid").expect("the table requires it");
    let owned = messaging.parts.numbers.owned(ctx.account, number).await.map_err(unavailable)?;
    let address = owned.map(|owned| owned.address).unwrap_or_default();
    if !E164::parse(&address).is_ok_and(|it| it.kind() == Kind::TollFree) {
        let why = format!("TollfreePhoneNumberSid {number} is no toll-free number of the account");
        return Err(ApiError::new(30436, why).with_status(400));
    }
    if let Some(profile) = ctx.form.text("CustomerProfileSid") {
        let found = messaging.parts.trust.bundle(ctx.account, profile).await;
        if !found.map_err(unavailable)?.is_some_and(|bundle| bundle.is_customer_profile) {
            let why = format!("The account has no customer profile {profile}");
            return Err(ApiError::new(20404, why));
        }
    }
    draft.claim(CLAIM, &number.to_string());
    draft.set("tollfree_phone_number", address);
    draft.set(MACHINE.field, MACHINE.waiting);
    let subject = Subject { kind: KIND, parent: "", sid: &draft.sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

/// A rejected verification is corrected and reviewed again.
///
/// # Errors
/// 20409 when it has not been rejected, or can no longer be corrected.
///
// Differs: the code of this refusal is unconfirmed.
fn resubmit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let sid = draft.sid.clone();
    let status = draft.text(MACHINE.field).unwrap_or_default().to_owned();
    let Some(next) = MACHINE.apply(&status, Event::Resubmitted) else {
        let why = format!("The verification {sid} is {status}; only a rejected one can be changed");
        return Err(ApiError::new(20409, why));
    };
    let until = draft.text("edit_expiration").and_then(|text| Timestamp::parse(text).ok());
    if draft.fields.get("edit_allowed") != Some(&Json::Bool(true))
        || until.is_none_or(|until| until < ctx.now)
    {
        let why = format!("The verification {sid} cannot be changed any more: make a new one");
        return Err(ApiError::new(20409, why));
    }
    draft.set(MACHINE.field, next);
    for told in ["rejection_reason", "error_code", "rejection_reasons", "edit_allowed"] {
        draft.set(told, Json::Null);
    }
    draft.set("edit_expiration", Json::Null);
    let subject = Subject { kind: KIND, parent: "", sid: &sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let products = ctx.form.list("TrustProductSid");
    let filters = [
        ("TollfreePhoneNumberSid", "tollfree_phone_number_sid"),
        ("Status", "status"),
        ("ExternalReferenceId", "external_reference_id"),
    ];
    let page = rest::documents(ctx, KIND, "", |doc| {
        let fits = |(param, field)| {
            ctx.form.text(param).is_none_or(|wanted| doc.text(field) == Some(wanted))
        };
        let product = doc.text("trust_product_sid").unwrap_or_default();
        filters.into_iter().all(fits) && (products.is_empty() || products.contains(&product))
    });
    let (docs, has_next) = page.await.map_err(failed(ctx))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// How the review ends. In development a UseCaseSummary that begins `Reject` is rejected with
/// 30440, `Reject 30446` with that reason. A shortened link in the sample is 30449, an election
/// campaign without Campaign Verify 30442.
pub(super) fn judge(fields: &Map<String, Json>, development: bool, now: Timestamp) -> Verdict {
    let text = |field: &str| fields.get(field).and_then(Json::as_str).unwrap_or_default();
    let asked = rejection::asked_for(text("use_case_summary"), rejection::TOLL_FREE);
    let categories = fields.get("use_case_categories").and_then(Json::as_array);
    let mut categories = categories.into_iter().flatten().filter_map(Json::as_str);
    let is_political = categories.any(|it| it.starts_with("POLITICAL"));
    let reason = if let Some(code) = asked.filter(|_| development) {
        Some(code)
    } else if rejection::has_shortened_link(text("production_message_sample")) {
        Some(30449)
    } else if is_political && text("vetting_id").is_empty() {
        Some(30442)
    } else {
        None
    };
    let Some(code) = reason else { return Verdict::Passes(Map::new()) };
    let words = rejection::words(code);
    let is_final = FINAL.contains(&code);
    let until = (!is_final).then(|| (now + EDIT_TIME).iso8601());
    let told = [
        ("rejection_reason", json!(words)),
        ("error_code", json!(code)),
        ("rejection_reasons", json!([{"code": code, "reason": words}])),
        ("edit_allowed", json!(!is_final)),
        ("edit_expiration", json!(until)),
    ];
    Verdict::Fails(told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_decide() {
        let now = Timestamp::parse("2026-01-01").unwrap();
        for (fields, development, expected) in [
            (json!({"use_case_summary": "Codes"}), true, None),
            (json!({"use_case_summary": "Reject"}), true, Some((30440, true))),
            (json!({"use_case_summary": "Reject 30446"}), true, Some((30446, true))),
            (json!({"use_case_summary": "Reject 30444"}), true, Some((30444, false))),
            (json!({"use_case_summary": "Reject 30446"}), false, None),
            (json!({"production_message_sample": "See bit.ly/x"}), false, Some((30449, true))),
            (
                json!({"use_case_categories": ["POLITICAL_ELECTION_CAMPAIGNS"]}),
                false,
                Some((30442, true)),
            ),
            (
                json!({"use_case_categories": ["POLITICAL_ELECTION_CAMPAIGNS"],
                    "vetting_id": "cv|1"}),
                false,
                None,
            ),
        ] {
            let verdict = judge(fields.as_object().unwrap(), development, now);
            let found = match verdict {
                Verdict::Passes(_) => None,
                Verdict::Fails(told) => {
                    let may_edit = told["edit_allowed"] == true;
                    let until = may_edit.then_some("2026-01-08T00:00:00Z");
                    assert_eq!(told["edit_expiration"].as_str(), until);
                    Some((told["error_code"].as_u64().unwrap(), may_edit))
                }
            };
            assert_eq!(found, expected, "{fields}");
        }
    }
}

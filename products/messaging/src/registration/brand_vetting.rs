//! `…/BrandRegistrations/{BN}/Vettings` and `…/SmsOtp` (compliance §5.2): a brand looked at again,
//! and the phone of a sole proprietor.

use std::time::Duration;

use jobs::Failure;
use kernel::{ApiError, Timestamp};
use rest::{Ctx, Doc, Draft, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, AccountStore};

use super::lifecycle::Machine;
use super::review::{Step, Subject, Verdict, promise};
use super::{brand, failed, seed};
use crate::Messaging;

pub(super) const KIND: &str = "BrandVetting";

pub(super) const MACHINE: Machine = Machine {
    field: "vetting_status",
    waiting: "PENDING",
    reviewing: "IN_PROGRESS",
    good: "SUCCESS",
    bad: "FAILED",
    suspended: None,
};

const PLAN: &[(Step, Duration)] =
    &[(Step::Open, Duration::from_secs(60)), (Step::Decide, Duration::from_secs(600))];

const PROVIDERS: &[&str] = &["campaign-verify", "aegis"];

pub static VETTING: Resource<Messaging> = Resource {
    table: Table::product(
        KIND,
        "messaging",
        "/v1/a2p/BrandRegistrations/{BrandSid}/Vettings",
        "/v1/a2p/BrandRegistrations/{BrandSid}/Vettings/{BrandVettingSid}",
    )
    .key("data")
    .sid("VT")
    .under(brand::KIND)
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("brand_sid", &["BN"]),
        Field::sid("brand_vetting_sid", &["VT"]),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("date_created", Wire::Iso8601),
        Field::text("vetting_id"),
        Field::text("vetting_class"),
        Field::text("vetting_status"),
        Field::new("vetting_provider", Wire::Enum(PROVIDERS)),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[
            Param::one_of("VettingProvider", PROVIDERS).required(20001),
            Param::text("VettingId", 1024),
        ])
        .with(|m, ctx, draft| Box::pin(submit(m, ctx, draft))),
        Op::list(&[Param::one_of("VettingProvider", PROVIDERS)]),
        Op::fetch(),
    ],
};

// Differs: nobody is texted a code; the phone of a sole proprietor counts as proven.
pub static OTP: Resource<Messaging> = Resource {
    table: Table::product(
        "BrandRegistrationOtp",
        "messaging",
        "/v1/a2p/BrandRegistrations/{BrandRegistrationSid}/SmsOtp",
        "",
    )
    .collection()
    .fields(&[Field::sid("account_sid", &["AC"]), Field::sid("brand_registration_sid", &["BN"])]),
    ops: &[Op::create(&[]).by(|_, ctx| Box::pin(prove(ctx)))],
};

/// # Errors
/// 21717 for a brand that is not a sole proprietor's.
async fn prove(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sid = ctx.param("BrandRegistrationSid");
    let brand = rest::load(&ctx.store, brand::KIND, "", sid).await.map_err(failed(ctx))?;
    let brand = brand.ok_or_else(|| ctx.not_found())?;
    if brand.text("brand_type") != Some("SOLE_PROPRIETOR") {
        let why = format!("The brand {sid} has no phone to prove: it is no SOLE_PROPRIETOR");
        return Err(ApiError::new(21717, why));
    }
    let mut record = Record::new("");
    record.set("account_sid", ctx.account).set("brand_registration_sid", sid);
    Ok(Reply::Record(record))
}

/// # Errors
/// 21717 unless the brand is approved; with Campaign Verify 21721 for a sole proprietor and 21722
/// for no token; 21723 while another vetting is at work.
async fn submit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let parent = ctx.param("BrandSid");
    let brand = brand::approved(ctx, parent).await?;
    let is_political = draft.text("vetting_provider") == Some("campaign-verify");
    if is_political {
        if brand.text("brand_type") == Some("SOLE_PROPRIETOR") {
            let why = format!("The brand {parent} is a SOLE_PROPRIETOR, which is not political");
            return Err(ApiError::new(21721, why));
        }
        if !draft.text("vetting_id").is_some_and(|token| token.starts_with("cv|")) {
            let why = "VettingId must be a Campaign Verify token, which begins with cv|";
            return Err(ApiError::new(21722, why));
        }
    }
    let earlier = rest::documents(ctx, KIND, parent, |doc| {
        let status = doc.text(MACHINE.field).unwrap_or_default();
        status == MACHINE.waiting || status == MACHINE.reviewing
    });
    let (at_work, _) = earlier.await.map_err(failed(ctx))?;
    if !at_work.is_empty() {
        let why = format!("A vetting of the brand {parent} is at work: wait for its end");
        return Err(ApiError::new(21723, why));
    }
    let sid = draft.sid.clone();
    draft.set("brand_sid", parent);
    draft.set("brand_vetting_sid", sid.as_str());
    draft.set("vetting_class", if is_political { "POLITICAL" } else { "STANDARD" });
    draft.set(MACHINE.field, MACHINE.waiting);
    let subject = Subject { kind: KIND, parent, sid: &sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

/// In development a VettingId that has `reject` in it fails.
pub(super) fn judge(doc: &Doc, development: bool) -> Verdict {
    let token = doc.text("vetting_id").unwrap_or_default();
    if development && token.to_ascii_lowercase().contains("reject") {
        return Verdict::Fails(Map::new());
    }
    let mut told = Map::new();
    if token.is_empty() {
        told.insert("vetting_id".into(), format!("{:012x}", seed(&doc.sid)).into());
    }
    Verdict::Passes(told)
}

/// A vetting that succeeds is the brand's: it is vetted, and its score never falls.
pub(super) async fn moved(
    store: &AccountStore,
    brand: &str,
    fields: &Map<String, Json>,
    now: Timestamp,
    batch: &mut AccountBatch,
) -> Result<(), Failure> {
    let is = |field: &str, value: &str| fields.get(field).is_some_and(|it| it == value);
    if !is(MACHINE.field, MACHINE.good) || !is("vetting_class", "STANDARD") {
        return Ok(());
    }
    let Some(doc) = rest::load(store, brand::KIND, "", brand).await? else { return Ok(()) };
    let vetting = fields.get("brand_vetting_sid").and_then(Json::as_str).unwrap_or_default();
    let found = 1 + (seed(vetting) % 100) as i64;
    let known = doc.fields.get("brand_score").and_then(Json::as_i64).unwrap_or(0);
    let mut changed = doc.fields.clone();
    changed.insert("brand_score".into(), known.max(found).into());
    changed.insert("identity_status".into(), "VETTED_VERIFIED".into());
    rest::revise(batch, brand::KIND, "", &doc, &changed, now);
    Ok(())
}

//! `…/Compliance/Usa2p/Usecases`: what a campaign may be for (compliance §5.2).

use kernel::ApiError;
use rest::{Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};

use super::{brand, failed};
use crate::Messaging;

/// A use case of the registry.
#[derive(Debug)]
pub(super) struct UseCase {
    pub code: &'static str,
    name: &'static str,
    description: &'static str,
    /// Carriers look at each campaign of it themselves.
    needs_approval: bool,
}

const fn row(code: &'static str, name: &'static str, description: &'static str) -> UseCase {
    UseCase { code, name, description, needs_approval: false }
}

const fn special(code: &'static str, name: &'static str, description: &'static str) -> UseCase {
    UseCase { code, name, description, needs_approval: true }
}

pub(super) const SOLE_PROPRIETOR: &str = "SOLE_PROPRIETOR";

static USE_CASES: &[UseCase] = &[
    row("2FA", "Two-factor authentication", "One-time passcodes and password resets"),
    row("ACCOUNT_NOTIFICATION", "Account notification", "Notices about an account's state"),
    special("AGENTS_FRANCHISES", "Agents and franchises", "Many local offices of one brand"),
    row("CHARITY", "Charity", "Messages of registered charities"),
    special("PROXY", "Proxy", "People who talk through pooled numbers"),
    row("CUSTOMER_CARE", "Customer care", "Support and account management"),
    row("DELIVERY_NOTIFICATION", "Delivery notification", "Where a parcel or order is"),
    special("EMERGENCY", "Emergency", "Public safety in disasters and crises"),
    row("FRAUD_ALERT", "Fraud alert", "Warnings of suspicious activity"),
    row("HIGHER_EDUCATION", "Higher education", "Messages of colleges and universities"),
    special("K12_EDUCATION", "K-12 education", "Messages of schools"),
    row("LOW_VOLUME", "Low volume, mixed", "Several use cases with few messages"),
    row("MARKETING", "Marketing", "Promotions to people who asked for them"),
    row("MIXED", "Mixed", "Several use cases in one campaign"),
    row("POLITICAL", "Political", "Messages of political campaigns and committees"),
    row("POLLING_VOTING", "Polling and voting", "Surveys and votes that are not political"),
    row("PUBLIC_SERVICE_ANNOUNCEMENT", "Public service announcement", "Information for the public"),
    row("SECURITY_ALERT", "Security alert", "Warnings of a breach that need action"),
    special("SOCIAL", "Social", "Influencers and communities"),
    special("SWEEPSTAKE", "Sweepstake", "Games and prize draws"),
    row(SOLE_PROPRIETOR, "Sole proprietor", "Messages of one person's business"),
];

/// The use case of this code.
pub(super) fn find(code: &str) -> Option<&'static UseCase> {
    USE_CASES.iter().find(|use_case| use_case.code == code)
}

/// A sole proprietor has a use case of its own, and no other brand has it.
pub(super) fn fits(use_case: &str, brand_type: &str) -> bool {
    (use_case == SOLE_PROPRIETOR) == (brand_type == "SOLE_PROPRIETOR")
}

pub static USE_CASE: Resource<Messaging> = Resource {
    table: Table::product(
        "UsAppToPersonUsecase",
        "messaging",
        "",
        "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p/Usecases",
    )
    .singleton()
    .fields(&[Field::new("us_app_to_person_usecases", Wire::Json).empty("[]")]),
    ops: &[Op::fetch()
        .params(&[Param::sid("BrandRegistrationSid", &["BN"])])
        .by(|m, ctx| Box::pin(fetch(m, ctx)))],
};

/// All use cases, or those that fit a brand.
///
/// # Errors
/// 20404 for no such service; 21717 for no such brand.
async fn fetch(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = messaging.service(&ctx.store, ctx.param("MessagingServiceSid")).await;
    if service.map_err(failed(ctx))?.is_none() {
        return Err(ctx.not_found());
    }
    let brand_type = match ctx.form.text("BrandRegistrationSid") {
        None => None,
        Some(sid) => {
            let doc = rest::load(&ctx.store, brand::KIND, "", sid).await.map_err(failed(ctx))?;
            let why = || ApiError::new(21717, format!("The account has no brand {sid}"));
            Some(doc.ok_or_else(why)?.text("brand_type").unwrap_or_default().to_owned())
        }
    };
    let all = USE_CASES.iter();
    let fitting = all.filter(|one| brand_type.as_ref().is_none_or(|kind| fits(one.code, kind)));
    let list: Json = fitting
        .map(|one| {
            json!({"code": one.code, "name": one.name, "description": one.description,
                   "post_approval_required": one.needs_approval})
        })
        .collect();
    let mut record = Record::new("");
    record.set("us_app_to_person_usecases", list);
    Ok(Reply::Record(record))
}

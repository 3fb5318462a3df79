//! `POST /v2/Services/{VA}/VerificationCheck` (verify §3): is it the code?

use kernel::ApiError;
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use store::StoreError;

use crate::Verify;
use crate::faults::{failed, invalid};
use crate::lifecycle::{self, Event, Status};
use crate::service::Service;
use crate::verification::{CHANNELS, Check, Verification, refused};

/// The code of a silent authentication whose URL was not asked yet.
const NO_RESULT_YET: u32 = 60519;

pub static CHECK: Resource<Verify> = Resource {
    table: Table::product(
        "VerificationCheck",
        "verify",
        "/v2/Services/{ServiceSid}/VerificationCheck",
        "",
    )
    .collection()
    .access(Access::Keys("verify/verification-checks"))
    .fields(&[
        Field::sid("sid", &["VE"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("to"),
        Field::new("channel", Wire::Enum(CHANNELS)),
        Field::text("status"),
        Field::new("valid", Wire::Boolean),
        Field::text("amount"),
        Field::text("payee"),
        Field::new("sna_attempts_error_codes", Wire::Json),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
    ]),
    ops: &[Op::create(&[
        Param::text("Code", 64).code(60200),
        Param::text("To", 254).code(60200),
        Param::sid("VerificationSid", &["VE"]).code(60200),
        Param::text("Amount", 64).code(60200),
        Param::text("Payee", 128).code(60200),
        Param::text("SnaClientToken", 128).code(60200),
    ])
    .by(|verify, ctx| Box::pin(check(verify, ctx)))],
};

/// A right and a wrong code cost the same: one keyed hash, compared in constant time, and one
/// commit. Where nothing is pending a hash is made all the same.
async fn check(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let form = &ctx.form;
    if form.text("To").is_none() && form.text("VerificationSid").is_none() {
        return Err(ApiError::new(60221, "To or VerificationSid is needed"));
    }
    if let Some(code) = form.text("Code") {
        check_form(code)?;
    }
    let service = Service::of(ctx).await?;
    for _ in 0..crate::DECISIONS_MAX {
        let Some(mut found) = find(ctx, service.sid()).await? else {
            verify.hash(verify.nobody, form.text("Code").unwrap_or_default());
            let path = format!("/Services/{}/VerificationCheck", service.sid());
            return Err(ApiError::not_found(&path));
        };
        let right = is_right(verify, ctx, &found)?;
        let path = format!("/Services/{}/VerificationCheck", service.sid());
        let state = lifecycle::apply(found.state, Event::Checked { right }, ctx.now);
        found.state = state.map_err(|refusal| refused(refusal, &path))?;
        found.extra.checks.push(Check { time: ctx.now, right });
        let mut batch = ctx.store.batch();
        match found.state.status {
            Status::Pending => found.update(&mut batch, ctx.now),
            _ => verify
                .ended(&service, &mut found, ctx.now, &mut batch)
                .await
                .map_err(failed(ctx))?,
        }
        match ctx.store.commit(batch).await {
            Ok(_) if found.state.status == Status::MaxAttemptsReached => {
                return Err(refused(lifecycle::Refusal::ChecksUsedUp, &path));
            }
            Ok(_) => return Ok(Reply::Record(record(ctx, &found))),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// 60200 unless it could be a code.
pub(crate) fn check_form(code: &str) -> Result<(), ApiError> {
    let fits = (4..=10).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    match fits {
        true => Ok(()),
        false => Err(invalid("Code", "it has 4 to 10 letters or digits")),
    }
}

/// The live verification that is meant.
async fn find(ctx: &Ctx, service: &str) -> Result<Option<Verification>, ApiError> {
    let found = match (ctx.form.text("VerificationSid"), ctx.form.text("To")) {
        (Some(sid), _) => Verification::load(&ctx.store, sid).await,
        (None, to) => Verification::live(&ctx.store, service, to.unwrap_or_default()).await,
    };
    let found = found.map_err(failed(ctx))?;
    Ok(found.filter(|found| {
        found.service == service && found.state.status.is_live() && !found.is_over(ctx.now)
    }))
}

fn is_right(verify: &Verify, ctx: &Ctx, found: &Verification) -> Result<bool, ApiError> {
    let form = &ctx.form;
    let choices = &found.extra.choices;
    let same = |param: &str, known: &Option<String>| {
        known.is_none() || form.text(param) == known.as_deref()
    };
    let pays_the_same = same("Amount", &choices.amount) & same("Payee", &choices.payee);
    let Some(code) = form.text("Code") else {
        let silent = found.extra.silent.as_ref().filter(|_| found.channel == "sna");
        let silent = silent.ok_or_else(|| rest::missing("Code", 60200))?;
        let token = form.text("SnaClientToken").unwrap_or_default();
        let knows = silent
            .client_token
            .as_ref()
            .is_none_or(|known| verify.same(known.as_bytes(), token.as_bytes()));
        return Ok(silent.result == Some(0) && knows);
    };
    let hash = verify.hash(found.sid, code);
    let known = found.code.as_ref().map_or(&[][..], |code| &code.hash);
    Ok(verify.same(known, &hash) & pays_the_same)
}

fn record(ctx: &Ctx, found: &Verification) -> Record {
    let codes = found.extra.silent.as_ref().map_or(Vec::new(), |silent| match silent.result {
        Some(0) => Vec::new(),
        result => {
            let code = result.unwrap_or(NO_RESULT_YET);
            vec![json!({"attempt_sid": silent.attempt, "code": code})]
        }
    });
    let mut record = Record::new(&found.sid.to_string());
    record
        .set("sid", found.sid)
        .set("service_sid", found.service.as_str())
        .set("account_sid", ctx.account)
        .set("to", found.to.as_str())
        .set("channel", found.channel.as_str())
        .set("status", found.state.status.as_str())
        .set("valid", found.state.status == Status::Approved)
        .set("amount", found.extra.choices.amount.clone())
        .set("payee", found.extra.choices.payee.clone())
        .set("sna_attempts_error_codes", Json::Array(codes))
        .set("date_created", found.date_created)
        .set("date_updated", found.date_updated);
    record
}

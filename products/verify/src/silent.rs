//! The URL of silent authentication (verify §4): asked over a handset's mobile data, whose network
//! says whose it is.
//!
//! Differs: the simulated network takes a request for one of the number's own handset, unless the
//! header `Offhook-Handset` names another number.

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Op, Reply, Resource, Table};
use store::StoreError;

use crate::Verify;
use crate::faults::failed;
use crate::lifecycle::Status;
use crate::verification::{Silent, Verification};

const HANDSET: &str = "offhook-handset";

pub static SILENT: Resource<Verify> = Resource {
    table: Table::product(
        "SilentNetworkAuth",
        "verify",
        "",
        "/v2/SilentNetworkAuth/{AccountSid}/{VerificationSid}/{Secret}",
    )
    .singleton()
    .access(Access::Public),
    ops: &[Op::fetch().by(|verify, ctx| Box::pin(answer(verify, ctx)))],
};

impl Verify {
    pub(crate) fn silent_url(&self, account: Sid, verification: Sid, silent: &Silent) -> String {
        let base = &self.parts.public_url;
        format!("{base}/_/verify/v2/SilentNetworkAuth/{account}/{verification}/{}", silent.secret)
    }
}

async fn answer(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let account: Sid = ctx.param("AccountSid").parse().map_err(|_| ctx.not_found())?;
    let store = verify.parts.store.account(account);
    for _ in 0..crate::DECISIONS_MAX {
        let found = Verification::load(&store, ctx.param("VerificationSid")).await;
        let mut found = found.map_err(failed(ctx))?.ok_or_else(|| ctx.not_found())?;
        let is_open = found.state.status == Status::Pending && !found.is_over(ctx.now);
        let secret = ctx.param("Secret").as_bytes();
        let known = found.extra.silent.as_mut().filter(|silent| {
            verify.same(silent.secret.as_bytes(), secret) && is_open && verify.parts.development
        });
        let silent = known.ok_or_else(|| ctx.not_found())?;
        let handset = ctx.headers.get(HANDSET).and_then(|value| value.to_str().ok());
        let handset = handset.unwrap_or(&found.to);
        let code = verify.parts.lines.identify(&found.to, handset).await;
        let code = code.map_err(crate::unavailable)?;
        silent.result = Some(code);
        let token = silent.client_token.clone();
        let attempt = silent.attempt;
        let mut batch = store.batch();
        found.update(&mut batch, ctx.now);
        batch.run(
            "UPDATE verification_attempt SET message_status = $3, error_code = $4, date_updated = $5
             WHERE account_sid = $1 AND sid = $2",
            vec![
                attempt.into(),
                if code == 0 { "delivered" } else { "failed" }.into(),
                (code != 0).then_some(i64::from(code)).into(),
                ctx.now.into(),
            ],
        );
        if code != 0 {
            verify.promise_text(&found, attempt, &mut batch);
        }
        match store.commit(batch).await {
            Ok(_) => return Ok(said(&found, code, token)),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

fn said(found: &Verification, code: u32, token: Option<String>) -> Reply {
    let what = match code {
        0 => "Success",
        _ => kernel::lookup(code).map_or("Error", |row| row.title),
    };
    let carrier = found.extra.lookup["carrier"]["name"].clone();
    let carrier = carrier.as_str().unwrap_or_default().replace(' ', "+");
    let mut body =
        format!("ErrorCode={code}&ErrorDescription={}&Carrier={carrier}", what.replace(' ', "+"));
    if let Some(token) = token {
        body.push_str(&format!("&SnaClientToken={token}"));
    }
    Reply::Bytes { content_type: "text/plain".to_owned(), body: body.into_bytes() }
}

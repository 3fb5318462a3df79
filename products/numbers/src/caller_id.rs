//! `/OutgoingCallerIds` and their validation calls (voice-api §6.3).
//!
//! A validation request answers a code; the platform then calls the number and
//! asks for it. Whoever carries the call tells through the
//! [`contracts::ValidationCalls`] port whether the code was entered.

use std::sync::Arc;
use std::time::Duration;

use jobs::{Failure, Job, NewJob, Worker};
use kernel::{ApiError, Sid};
use numbering::Address;
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{AccountBatch, AccountStore, StoreError};
use webhooks::Callback;

use crate::Numbers;
use crate::incoming::is_owned;

const KIND: &str = "OutgoingCallerId";
const QUEUE: &str = "numbers.validate";

const FIELDS: &[Field] = &[
    Field::sid("sid", &["PN"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::sid("account_sid", &["AC"]),
    Field::text("phone_number"),
    Field::text("uri"),
];

const REQUEST_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("call_sid", &["CA"]),
    Field::text("friendly_name"),
    Field::text("phone_number"),
    Field::text("validation_code"),
];

pub static OUTGOING_CALLER_ID: Resource<Numbers> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/OutgoingCallerIds",
        "/2010-04-01/Accounts/{AccountSid}/OutgoingCallerIds/{Sid}",
    )
    .key("outgoing_caller_ids")
    .sid("PN")
    .access(Access::Keys("numbers/outgoing-caller-ids"))
    .fields(FIELDS),
    ops: &[
        Op::create(&[
            Param::address("PhoneNumber").required(21401),
            Param::text("FriendlyName", 64).code(20002),
            Param::integer("CallDelay", 0, 60).code(21454),
            Param::text("Extension", 32).code(21206),
            Param::url("StatusCallback").code(21456),
            Param::method("StatusCallbackMethod"),
        ])
        .status(200)
        .fields(REQUEST_FIELDS)
        .by(|numbers, ctx| Box::pin(request(numbers, ctx))),
        Op::list(&[Param::address("PhoneNumber"), Param::text("FriendlyName", 64)]),
        Op::fetch(),
        Op::update(&[Param::text("FriendlyName", 64).code(20002)]),
        Op::delete(),
    ],
};

/// A validation call to come.
#[derive(Serialize, Deserialize)]
struct Validation {
    number: String,
    name: String,
    code: String,
    call: Sid,
    callback: Option<String>,
    callback_method: String,
}

async fn request(numbers: &Numbers, ctx: &Ctx) -> Result<Reply, ApiError> {
    let text = ctx.form.text("PhoneNumber").unwrap_or_default();
    let number = match Address::parse_to(text) {
        Ok(Address::E164(number)) if number.is_valid() => number,
        _ => {
            let why =
                format!("PhoneNumber '{text}' is not a valid number: use E.164, +14155550100");
            return Err(ApiError::new(21401, why));
        }
    };
    if is_owned(numbers, &number.to_string()).await {
        return Err(ApiError::new(
            21449,
            format!("{number} can be used already: it is an owned number"),
        ));
    }
    let known = validated(&ctx.store, &number.to_string()).await;
    if known.map_err(|error| rest::store_error(ctx, error))?.is_some() {
        return Err(ApiError::new(21450, format!("{number} is validated already")));
    }
    let code = format!("{:06}", ctx.clock.random() % 1_000_000);
    let name =
        ctx.form.text("FriendlyName").map_or_else(|| number.national_format(), str::to_owned);
    let call = ctx.clock.sid("CA");
    let validation = Validation {
        number: number.to_string(),
        name: name.clone(),
        code: code.clone(),
        call,
        callback: ctx.form.text("StatusCallback").map(str::to_owned),
        callback_method: ctx.form.text("StatusCallbackMethod").unwrap_or("POST").to_owned(),
    };
    let delay = u64::try_from(ctx.form.integer("CallDelay").unwrap_or(0)).unwrap_or(0);
    let mut batch = ctx.store.batch();
    let job = NewJob::now(QUEUE, &ctx.clock, &validation).after(Duration::from_secs(delay));
    jobs::add(&mut batch, &ctx.clock, job);
    batch.event("validation-request.created", &call.to_string(), ctx.now, "{}".into());
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let mut record = Record::new("");
    record
        .set("account_sid", ctx.account)
        .set("call_sid", call)
        .set("friendly_name", name)
        .set("phone_number", number.to_string())
        .set("validation_code", code);
    Ok(Reply::Record(record))
}

/// The caller id that a number is already.
pub(crate) async fn validated(
    store: &AccountStore,
    number: &str,
) -> Result<Option<Sid>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let claim = claim_value(store.account(), number);
    let row = store.point(sql, vec![KIND.into(), claim.into()]).await?;
    Ok(row.map(|row| row.sid(0)))
}

/// A caller id is validated once per account.
fn claim_value(account: Sid, number: &str) -> String {
    format!("{account}/{number}")
}

/// Places the validation calls.
pub struct ValidationWorker(pub Arc<Numbers>);

impl Worker for ValidationWorker {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let numbers = &self.0;
        let validation: Validation = job.read()?;
        let mut batch = store.batch();
        // Two requests for one number end in one caller id: the later call is not made.
        let known = validated(store, &validation.number).await?;
        let entered = match known {
            Some(_) => true,
            None => {
                let call = numbers.calls.place(&validation.number, &validation.code).await;
                call.map_err(|error| Failure::Retry(error.0))?
            }
        };
        let sid = known.unwrap_or_else(|| numbers.clock.sid("PN"));
        if entered && known.is_none() {
            keep(numbers, job.account, sid, &validation, &mut batch);
        }
        if let Some(url) = &validation.callback {
            let mut params = vec![
                ("AccountSid".to_owned(), job.account.to_string()),
                ("CallSid".to_owned(), validation.call.to_string()),
                ("To".to_owned(), validation.number.clone()),
                ("Called".to_owned(), validation.number.clone()),
                ("ApiVersion".to_owned(), "2010-04-01".to_owned()),
                (
                    "VerificationStatus".to_owned(),
                    if entered { "success" } else { "failed" }.to_owned(),
                ),
            ];
            if entered {
                params.push(("OutgoingCallerIdSid".to_owned(), sid.to_string()));
            }
            let callback = Callback {
                url: url.clone(),
                method: validation.callback_method.clone(),
                params,
                resource: validation.call.to_string(),
            };
            webhooks::promise(&mut batch, &numbers.clock, callback);
        }
        Ok(batch)
    }
}

/// The number becomes a caller id, once.
fn keep(
    numbers: &Numbers,
    account: Sid,
    sid: Sid,
    validation: &Validation,
    batch: &mut AccountBatch,
) {
    let now = numbers.clock.now();
    let body = json!({"phone_number": validation.number, "friendly_name": validation.name});
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![sid.into(), KIND.into(), claim_value(account, &validation.number).into()],
    );
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)",
        vec![KIND.into(), sid.into(), body.to_string().into(), now.into()],
    );
    batch.event("outgoing-caller-id.created", &sid.to_string(), now, "{}".into());
}

//! A verification as it is stored, and `/v2/Services/{VA}/Verifications` (verify §2).

use std::time::Duration;

use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{AccountBatch, AccountStore, Row, StoreError};

use crate::Verify;
use crate::faults::{failed, invalid};
use crate::lifecycle::{self, Event, Refusal, State, Status};
use crate::limit::{self, Counter};
use crate::plan::Choices;
use crate::service::Service;

/// One send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Send {
    pub time: Timestamp,
    pub channel: String,
    pub attempt: Sid,
    pub locale: String,
}

/// One check, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub time: Timestamp,
    pub right: bool,
}

/// Silent authentication: the secret of its URL, and what the network said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Silent {
    pub secret: String,
    pub attempt: Sid,
    /// `None` until the URL was asked.
    pub result: Option<u32>,
    /// Shown by the URL, and demanded by the check.
    pub client_token: Option<String>,
}

/// What no statement searches for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    pub choices: Choices,
    pub has_custom_code: bool,
    pub code_length: usize,
    pub tags: Json,
    pub lookup: Json,
    pub sends: Vec<Send>,
    pub checks: Vec<Check>,
    pub silent: Option<Silent>,
    /// The channel was left to the platform.
    pub auto: bool,
}

/// A code as it is kept: recognised by its hash, recovered by the seal.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub hash: Vec<u8>,
    pub sealed: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Verification {
    pub sid: Sid,
    pub service: String,
    pub to: String,
    pub channel: String,
    pub state: State,
    /// Gone when it has ended.
    pub code: Option<Code>,
    pub country: String,
    pub extra: Extra,
    pub date_created: Timestamp,
    pub date_updated: Timestamp,
    pub version: i64,
}

const COLUMNS: &str = "sid, service_sid, to_addr, channel, status, sends, checks, code_hash,
    code_sealed, country, extra, date_created, date_updated, expires_at, version";

impl Verification {
    /// The one of this SID.
    pub async fn load(store: &AccountStore, sid: &str) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM verification WHERE account_sid = $1 AND sid = $2");
        Ok(store.point(&sql, vec![sid.into()]).await?.map(|row| Self::of(&row)))
    }

    /// The one that keeps `to` busy, also when its time is over.
    pub async fn live(
        store: &AccountStore,
        service: &str,
        to: &str,
    ) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM verification WHERE account_sid = $1 AND service_sid = $2
             AND to_addr = $3 AND live = 1"
        );
        let row = store.point(&sql, vec![service.into(), to.into()]).await?;
        Ok(row.map(|row| Self::of(&row)))
    }

    fn of(row: &Row) -> Self {
        let code = row.opt_blob(7).zip(row.opt_blob(8));
        Self {
            sid: row.sid(0),
            service: row.text(1).to_owned(),
            to: row.text(2).to_owned(),
            channel: row.text(3).to_owned(),
            state: State {
                status: Status::parse(row.text(4)).unwrap_or(Status::Expired),
                sends: row.int(5),
                checks: row.int(6),
                expires_at: row.time(13),
            },
            code: code.map(|(hash, sealed)| Code { hash: hash.to_vec(), sealed: sealed.to_vec() }),
            country: row.text(9).to_owned(),
            extra: serde_json::from_str(row.text(10)).unwrap_or_default(),
            date_created: row.time(11),
            date_updated: row.time(12),
            version: row.int(14),
        }
    }

    fn extra(&self) -> String {
        serde_json::to_string(&self.extra).expect("what a verification keeps is plain")
    }

    /// Adds the new row; a duplicate when `to` is busy.
    pub fn insert(&self, batch: &mut AccountBatch) {
        let (hash, sealed) = self.code.clone().map(|code| (code.hash, code.sealed)).unzip();
        batch.run(
            "INSERT INTO verification (account_sid, sid, service_sid, to_addr, channel, status,
             live, sends, checks, code_hash, code_sealed, amount, payee, country, extra,
             date_created, date_updated, expires_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, 1)",
            vec![
                self.sid.into(),
                self.service.as_str().into(),
                self.to.as_str().into(),
                self.channel.as_str().into(),
                self.state.status.as_str().into(),
                self.state.sends.into(),
                self.state.checks.into(),
                hash.into(),
                sealed.into(),
                self.extra.choices.amount.clone().into(),
                self.extra.choices.payee.clone().into(),
                self.country.as_str().into(),
                self.extra().into(),
                self.date_created.into(),
                self.state.expires_at.into(),
            ],
        );
    }

    /// Writes what has changed; a conflict when somebody else has. The code goes with the end.
    pub fn update(&mut self, batch: &mut AccountBatch, now: Timestamp) {
        self.date_updated = now;
        let is_pending = self.state.status == Status::Pending;
        let code = self.code.take_if(|_| !is_pending);
        drop(code);
        let (hash, sealed) = self.code.clone().map(|code| (code.hash, code.sealed)).unzip();
        batch.must(
            "UPDATE verification SET channel = $3, status = $4, live = $5, sends = $6, checks = $7,
             code_hash = $8, code_sealed = $9, extra = $10, date_updated = $11, version = $12 + 1
             WHERE account_sid = $1 AND sid = $2 AND version = $12",
            vec![
                self.sid.into(),
                self.channel.as_str().into(),
                self.state.status.as_str().into(),
                self.state.status.is_live().into(),
                self.state.sends.into(),
                self.state.checks.into(),
                hash.into(),
                sealed.into(),
                self.extra().into(),
                now.into(),
                self.version.into(),
            ],
        );
    }

    /// Its time is over, whether or not that was written.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.state.expires_at
    }

    pub fn last_attempt(&self) -> Option<Sid> {
        self.extra.sends.last().map(|send| send.attempt)
    }
}

/// The error of what cannot happen to a verification.
pub(crate) fn refused(refusal: Refusal, path: &str) -> ApiError {
    match refusal {
        Refusal::Ended => crate::faults::missing(path),
        Refusal::SendsUsedUp => ApiError::new(60203, "Max send attempts reached"),
        Refusal::ChecksUsedUp => ApiError::new(60202, "Max check attempts reached"),
    }
}

/// Channels that a verification ends up with.
pub(crate) const CHANNELS: &[&str] = &["sms", "call", "email", "whatsapp", "sna"];

const CREATE: &[Param] = &[
    Param::text("To", 254).required(60200).code(60200),
    Param::text("Channel", 16).required(60200).code(60200),
    Param::text("CustomFriendlyName", 32).code(60200),
    Param::text("CustomMessage", 2000).code(60200),
    Param::text("SendDigits", 32).code(60200),
    Param::text("Locale", 16).code(60200),
    Param::text("CustomCode", 64).code(60200),
    Param::text("Amount", 64).code(60200),
    Param::text("Payee", 128).code(60200),
    Param::new("RateLimits", Wire::Json).code(60200),
    Param::new("ChannelConfiguration", Wire::Json).code(60200),
    Param::text("AppHash", 11).code(60200),
    Param::sid("TemplateSid", &["HJ"]).code(60200),
    Param::new("TemplateCustomSubstitutions", Wire::Json).code(60200),
    Param::new("Templates", Wire::Json).code(60200),
    Param::text("DeviceIp", 45).code(60200),
    Param::boolean("EnableSnaClientToken").code(60200),
    Param::one_of("RiskCheck", &["enable", "disable"]).code(60200),
    Param::new("Tags", Wire::Json).code(60200),
];

pub static VERIFICATION: Resource<Verify> = Resource {
    table: Table::product(
        "Verification",
        "verify",
        "/v2/Services/{ServiceSid}/Verifications",
        "/v2/Services/{ServiceSid}/Verifications/{Sid}",
    )
    .sid("VE")
    .access(Access::Keys("verify/verifications"))
    .fields(&[
        Field::sid("sid", &["VE"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("to"),
        Field::new("channel", Wire::Enum(CHANNELS)),
        Field::text("status"),
        Field::new("valid", Wire::Boolean),
        Field::new("lookup", Wire::Json),
        Field::text("amount"),
        Field::text("payee"),
        Field::new("send_code_attempts", Wire::Json),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("sna", Wire::Json),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(CREATE).by(|verify, ctx| Box::pin(crate::create::create(verify, ctx))),
        Op::fetch().by(|verify, ctx| Box::pin(fetch(verify, ctx))),
        Op::update(&[Param::one_of("Status", &["canceled", "approved"])
            .required(60200)
            .code(60200)])
        .by(|verify, ctx| Box::pin(update(verify, ctx))),
    ],
};

/// How often one verification may be fetched, and within how many seconds.
const POLLS: [(i64, u64); 3] = [(60, 60), (180, 3600), (250, 86_400)];

/// Counts a fetch. Differs: the answer to one too many is that of a rate limit, with its headers.
async fn poll(ctx: &Ctx, found: &Verification) -> Result<(), ApiError> {
    let counters = POLLS.map(|(max, seconds)| {
        let name = format!("poll/{}/{seconds}", found.sid);
        Counter::new(name, max, Duration::from_secs(seconds))
    });
    for _ in 0..crate::DECISIONS_MAX {
        let full = limit::first_full(&ctx.store, &counters, ctx.now).await.map_err(failed(ctx))?;
        if let Some((_, wait)) = full {
            return Err(limit::refusal(ctx, "Verification fetch", wait));
        }
        let mut batch = ctx.store.batch();
        for counter in &counters {
            counter.count(&mut batch, ctx.now);
        }
        limit::forget(&mut batch, ctx.now);
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

async fn fetch(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let found = find(ctx, service.sid()).await?;
    // What was approved or has expired is as if it were deleted.
    let is_gone = match found.state.status {
        Status::Approved | Status::Expired => true,
        Status::Pending | Status::MaxAttemptsReached => found.is_over(ctx.now),
        Status::Canceled => false,
    };
    if is_gone {
        return Err(ctx.not_found());
    }
    poll(ctx, &found).await?;
    Ok(Reply::Record(record(verify, ctx, &found)))
}

/// The verification that the path names, by its SID or its recipient.
async fn find(ctx: &Ctx, service: &str) -> Result<Verification, ApiError> {
    let name = ctx.param("Sid");
    let found = match Sid::is_form("VE", name) {
        true => Verification::load(&ctx.store, name).await,
        false => Verification::live(&ctx.store, service, name).await,
    };
    let found = found.map_err(failed(ctx))?;
    found.filter(|found| found.service == service).ok_or_else(|| ctx.not_found())
}

/// Its owner ends it. Differs: one that was canceled, or whose checks are used up, stays as it is.
async fn update(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let event = match ctx.form.text("Status") {
        Some("approved") => Event::Approved,
        Some("canceled") => Event::Canceled,
        _ => return Err(invalid("Status", "it is neither approved nor canceled")),
    };
    let service = Service::of(ctx).await?;
    for _ in 0..crate::DECISIONS_MAX {
        let mut found = find(ctx, service.sid()).await?;
        let state = lifecycle::apply(found.state, event, ctx.now);
        found.state = state.map_err(|_| ctx.not_found())?;
        let mut batch = ctx.store.batch();
        verify.ended(&service, &mut found, ctx.now, &mut batch).await.map_err(failed(ctx))?;
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(Reply::Record(record(verify, ctx, &found))),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

pub(crate) fn record(verify: &Verify, ctx: &Ctx, found: &Verification) -> Record {
    let extra = &found.extra;
    let sends = extra.sends.iter().map(|send| {
        let channel = match send.channel.as_str() {
            channel @ ("whatsapp" | "sna") => channel.to_owned(),
            channel => channel.to_ascii_uppercase(),
        };
        json!({"time": send.time.iso8601(), "channel": channel, "attempt_sid": send.attempt})
    });
    let is_silent = found.channel == "sna" && found.state.status == Status::Pending;
    let silent = extra.silent.as_ref().filter(|_| is_silent);
    let sna =
        silent.map(|silent| json!({"url": verify.silent_url(ctx.account, found.sid, silent)}));
    let mut record = Record::new(&found.sid.to_string());
    record
        .set("sid", found.sid)
        .set("service_sid", found.service.as_str())
        .set("account_sid", ctx.account)
        .set("to", found.to.as_str())
        .set("channel", found.channel.as_str())
        .set("status", found.state.status.as_str())
        .set("valid", found.state.status == Status::Approved)
        .set("lookup", if extra.lookup.is_null() { json!({}) } else { extra.lookup.clone() })
        .set("amount", extra.choices.amount.clone())
        .set("payee", extra.choices.payee.clone())
        .set("send_code_attempts", Json::Array(sends.collect()))
        .set("date_created", found.date_created)
        .set("date_updated", found.date_updated)
        .set("sna", sna.unwrap_or(Json::Null));
    record
}

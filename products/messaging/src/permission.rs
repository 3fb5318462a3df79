//! `accounts.twilio.com/v1/Messaging/GeoPermissions` and `SafeList/Numbers` (messaging §16):
//! where an account sends, and whom it always may.

use std::collections::HashSet;
use std::sync::Arc;

use kernel::ApiError;
use numbering::{Country, E164};
use rest::{Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use store::{AccountStore, StoreError};

use crate::Messaging;

const GEO_KIND: &str = "MessagingGeoPermission";
const SAFE_KIND: &str = "SafeListNumber";
/// Digits of what may be on a safe list.
const SAFE_DIGITS: std::ops::RangeInclusive<usize> = 4..=15;
/// Numbers on a safe list.
const SAFE_MAX: i64 = 10_000;

/// Where an account does not send.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    /// ISO codes.
    blocked: HashSet<String>,
}

pub static GEO_PERMISSION: Resource<Messaging> = Resource {
    table: Table::product(
        GEO_KIND,
        "accounts",
        "/v1/Messaging/GeoPermissions",
        "/v1/Messaging/GeoPermissions",
    )
    .singleton()
    .fields(&[Field::new("permissions", Wire::Json).empty("[]")]),
    ops: &[
        Op::fetch()
            .params(&[Param::text("CountryCode", 1024)])
            .by(|m, ctx| Box::pin(fetch(m, ctx))),
        Op::update(&[Param::new("Permissions", Wire::Json).list().required(20001)])
            .by(|m, ctx| Box::pin(update(m, ctx))),
    ],
};

const NUMBER: &[Param] = &[Param::text("PhoneNumber", 20).required(20001)];
const WHICH: &[Param] = &[Param::text("PhoneNumber", 20)];

/// Whom the guard against pumping never stops ([`crate::guard`]).
pub static SAFE_LIST: Resource<Messaging> = Resource {
    table: Table::product(SAFE_KIND, "accounts", "/v1/SafeList/Numbers", "/v1/SafeList/Numbers")
        .singleton()
        .fields(&[Field::sid("sid", &["GN"]), Field::text("phone_number")]),
    ops: &[
        Op::create(NUMBER).at_instance().by(|_, ctx| Box::pin(add_safe(ctx))),
        Op::fetch().params(WHICH).by(|_, ctx| Box::pin(find_safe(ctx))),
        Op::delete().params(WHICH).by(|_, ctx| Box::pin(remove_safe(ctx))),
    ],
};

impl Messaging {
    /// 21408 when the account does not send to the country of this number.
    ///
    /// Differs: every country is enabled until one is disabled; Twilio begins with few.
    pub(crate) async fn check_geo(
        &self,
        store: &AccountStore,
        to: E164,
    ) -> Result<Result<(), ApiError>, StoreError> {
        let Some(country) = to.country() else { return Ok(Ok(())) };
        let permissions = self.permissions(store).await?;
        if !permissions.blocked.contains(country.iso) {
            return Ok(Ok(()));
        }
        let why = format!("The account does not send to {} ({})", country.name, country.iso);
        Ok(Err(ApiError::new(21408, why)))
    }

    /// Whether the number, or a beginning of it, is on the account's safe list.
    pub(crate) async fn is_safe(
        &self,
        store: &AccountStore,
        number: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
                   AND sid IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) LIMIT 1";
        // Four digits at least, fifteen at most; a shorter number repeats itself.
        let beginnings = (SAFE_DIGITS.start() + 1..=SAFE_DIGITS.end() + 1)
            .map(|length| number.get(..length).unwrap_or(number).into());
        let params = std::iter::once(SAFE_KIND.into()).chain(beginnings).collect();
        Ok(store.point(sql, params).await?.is_some())
    }

    async fn permissions(&self, store: &AccountStore) -> Result<Arc<Permissions>, StoreError> {
        if let Some(known) = self.memory.permissions.get(&store.account()) {
            return Ok(known);
        }
        let ticket = self.memory.permissions.ticket();
        let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''";
        let rows = store.query(sql, vec![GEO_KIND.into()]).await?;
        let blocked = rows.iter().map(|row| row.text(0).to_owned()).collect();
        let permissions = Arc::new(Permissions { blocked });
        self.memory.permissions.keep(ticket, store.account(), permissions.clone());
        Ok(permissions)
    }
}

/// All countries, or those of a comma-separated list.
async fn fetch(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let permissions = messaging.permissions(&ctx.store).await;
    let permissions = permissions.map_err(|error| rest::store_error(ctx, error))?;
    let wanted: Option<Vec<String>> = ctx
        .form
        .text("CountryCode")
        .map(|codes| codes.split(',').map(|code| code.trim().to_ascii_uppercase()).collect());
    let countries = Country::all().iter().filter(|country| {
        wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|iso| iso == country.iso))
    });
    let list = countries.map(|country| {
        json!({
            "country_code": country.iso,
            "type": "country",
            "enabled": !permissions.blocked.contains(country.iso),
            "prefix": format!("+{}", country.calling_code),
            "message": "",
        })
    });
    Ok(answer(list.collect()))
}

async fn update(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut batch = ctx.store.batch();
    let mut answers = Vec::new();
    for given in ctx.form.list("Permissions") {
        let items = match serde_json::from_str(given) {
            Ok(Json::Array(items)) => items,
            Ok(item) => vec![item],
            Err(error) => {
                return Err(ApiError::new(20001, format!("'Permissions' holds no JSON: {error}")));
            }
        };
        for item in items {
            let code = item["country_code"].as_str().unwrap_or_default().to_ascii_uppercase();
            let mut faults = Vec::new();
            if Country::by_iso(&code).is_none() {
                faults.push("Country code is not valid");
            }
            if item["type"].as_str() != Some("country") {
                faults.push("Type must be country");
            }
            let enabled = item["enabled"].as_bool();
            match (enabled, faults.is_empty()) {
                (None, _) => faults.push("Enabled must be true or false"),
                (Some(true), true) => {
                    batch.run(
                        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2
                         AND parent = '' AND sid = $3",
                        vec![GEO_KIND.into(), code.as_str().into()],
                    );
                }
                (Some(false), true) => {
                    batch.run(
                        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created,
                         date_updated, version) VALUES ($1, $2, '', $3, '{}', $4, $4, 1)
                         ON CONFLICT DO NOTHING",
                        vec![GEO_KIND.into(), code.as_str().into(), ctx.now.into()],
                    );
                }
                (Some(_), false) => {}
            }
            answers.push(json!({
                "country_code": code,
                "type": "country",
                "enabled": enabled,
                "error_code": if faults.is_empty() { 0 } else { 30649 },
                "error_messages": faults,
            }));
        }
    }
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    messaging.memory.invalidate();
    Ok(answer(answers))
}

fn answer(permissions: Vec<Json>) -> Reply {
    let mut record = Record::new("");
    record.set("permissions", Json::Array(permissions));
    Reply::Record(record)
}

/// A number, or the beginning that a thousand of them share; `x` may stand for the last three.
fn safe_number(ctx: &Ctx) -> Result<String, ApiError> {
    let text = ctx.form.text("PhoneNumber").unwrap_or_default();
    let digits = text.trim_start_matches('+').trim_end_matches(['x', 'X']);
    let is_fine = SAFE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    match is_fine {
        true => Ok(format!("+{digits}")),
        false => {
            let why = format!("'PhoneNumber' {text} is neither E.164 nor the prefix of one");
            Err(ApiError::new(20001, why))
        }
    }
}

async fn stored(ctx: &Ctx, number: &str) -> Result<Option<String>, ApiError> {
    let sql = "SELECT body FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
               AND sid = $3";
    let row = ctx.store.point(sql, vec![SAFE_KIND.into(), number.into()]).await;
    Ok(row.map_err(|error| rest::store_error(ctx, error))?.map(|row| row.text(0).to_owned()))
}

fn safe(sid: &str, number: &str) -> Record {
    let mut record = Record::new("");
    record.set("sid", sid).set("phone_number", number);
    record
}

async fn add_safe(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = safe_number(ctx)?;
    if let Some(sid) = stored(ctx, &number).await? {
        return Ok(Reply::Record(safe(&sid, &number)));
    }
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND kind = $2";
    let row = ctx.store.point(sql, vec![SAFE_KIND.into()]).await;
    let count = row.map_err(|error| rest::store_error(ctx, error))?.map_or(0, |row| row.int(0));
    if count >= SAFE_MAX {
        let why = format!("The safe list has {count} numbers; at most {SAFE_MAX} are allowed");
        return Err(ApiError::new(20001, why));
    }
    let sid = ctx.clock.sid("GN").to_string();
    let mut batch = ctx.store.batch();
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, '', $3, $4, $5, $5, 1) ON CONFLICT DO NOTHING",
        vec![SAFE_KIND.into(), number.as_str().into(), sid.as_str().into(), ctx.now.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Record(safe(&sid, &number)))
}

async fn find_safe(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = safe_number(ctx)?;
    match stored(ctx, &number).await? {
        Some(sid) => Ok(Reply::Record(safe(&sid, &number))),
        None => Err(ctx.not_found()),
    }
}

async fn remove_safe(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = safe_number(ctx)?;
    if stored(ctx, &number).await?.is_none() {
        return Err(ctx.not_found());
    }
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3",
        vec![SAFE_KIND.into(), number.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

//! `accounts.twilio.com/v1/Consents/Bulk` and `Contacts/Bulk` (compliance §3): what
//! applications know of their recipients' wishes, many at once.
//!
//! An item that is wrong is answered with its faults; the others are taken.

use kernel::{ApiError, Sid, Timestamp};
use numbering::{Country, E164};
use rest::{Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};

use crate::Messaging;
use crate::opt_out::{Consent, record};

/// Differs: the size of a request is not documented; a hundred items are taken.
const ITEMS_MAX: usize = 100;
const SOURCES: [&str; 5] = ["website", "offline", "opt-in-message", "opt-out-message", "others"];

const ITEMS: &[Param] = &[Param::new("Items", Wire::Json).list().required(20001)];
const FIELDS: &[Field] = &[Field::new("items", Wire::Json).empty("[]")];

const fn table(name: &'static str, path: &'static str) -> Table {
    Table::product(name, "accounts", path, path).collection().fields(FIELDS)
}

pub static CONSENT: Resource<Messaging> = Resource {
    table: table("BulkConsents", "/v1/Consents/Bulk"),
    ops: &[Op::create(ITEMS).by(|m, ctx| Box::pin(consents(m, ctx)))],
};

pub static CONTACT: Resource<Messaging> = Resource {
    table: table("BulkContacts", "/v1/Contacts/Bulk"),
    ops: &[Op::create(ITEMS).by(|_, ctx| Box::pin(contacts(ctx)))],
};

async fn consents(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let items = items(ctx)?;
    let mut batch = ctx.store.batch();
    let mut answers = Vec::new();
    for item in &items {
        let mut faults = faults(item);
        let scope = text(item, "sender_id");
        let scope = match E164::parse(scope) {
            Ok(number) => number.to_string(),
            Err(_) => scope.to_owned(),
        };
        let known = if Sid::is_form("MG", &scope) {
            let found = messaging.service(&ctx.store, &scope).await;
            found.map_err(|error| rest::store_error(ctx, error))?.is_some()
        } else {
            numbering::Address::parse_from(&scope).is_ok()
        };
        if !known {
            faults.push("INVALID_SENDER_ID");
        }
        let agrees = match text(item, "status") {
            "opt-in" => Some(true),
            "opt-out" => Some(false),
            _ => {
                faults.push("INVALID_STATUS");
                None
            }
        };
        let source = text(item, "source");
        if !SOURCES.contains(&source) {
            faults.push("INVALID_SOURCE");
        }
        let at = match item.get("date_of_consent").and_then(Json::as_str) {
            None | Some("") => Some(ctx.now),
            Some(date) => Timestamp::parse(date).ok().filter(|date| *date <= ctx.now),
        };
        if at.is_none() {
            faults.push("INVALID_DATE_OF_CONSENT");
        }
        let contact = E164::parse(text(item, "contact_id"));
        if let (Ok(contact), Some(agrees), Some(at), true) =
            (contact, agrees, at, faults.is_empty())
        {
            let address = contact.to_string();
            let consent = Consent { scope: &scope, address: &address, agrees, source, at };
            record(&consent, ctx.now, &ctx.clock, &mut batch);
        }
        answers.push(answer(item, 30646, &faults));
    }
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(all(answers))
}

/// Where contacts are: an American ZIP code says when it is quiet there.
async fn contacts(ctx: &Ctx) -> Result<Reply, ApiError> {
    let mut batch = ctx.store.batch();
    let mut answers = Vec::new();
    for item in &items(ctx)? {
        let mut faults = faults(item);
        let country = text(item, "country_iso_code").to_ascii_uppercase();
        if Country::by_iso(&country).is_none() {
            faults.push("INVALID_COUNTRY_ISO_CODE");
        }
        let zip = text(item, "zip_code");
        if zip.is_empty() || zip.len() > 16 {
            faults.push("INVALID_ZIP_CODE");
        }
        if let (Ok(contact), true) = (E164::parse(text(item, "contact_id")), faults.is_empty()) {
            batch.run(
                "INSERT INTO contact (account_sid, address, country, zip, date_updated)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account_sid, address) DO UPDATE SET
                 country = excluded.country, zip = excluded.zip,
                 date_updated = excluded.date_updated",
                vec![contact.to_string().into(), country.into(), zip.into(), ctx.now.into()],
            );
        }
        answers.push(answer(item, 30647, &faults));
    }
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(all(answers))
}

/// The items of a request: each is JSON, one by one or as one array.
fn items(ctx: &Ctx) -> Result<Vec<Json>, ApiError> {
    let mut items = Vec::new();
    for given in ctx.form.list("Items") {
        match serde_json::from_str(given) {
            Ok(Json::Array(several)) => items.extend(several),
            Ok(item) => items.push(item),
            Err(error) => {
                return Err(ApiError::new(20001, format!("'Items' holds no JSON: {error}")));
            }
        }
    }
    if items.len() > ITEMS_MAX {
        let why = format!("{} 'Items'; at most {ITEMS_MAX} are allowed", items.len());
        return Err(ApiError::new(20001, why));
    }
    Ok(items)
}

/// What every item needs.
fn faults(item: &Json) -> Vec<&'static str> {
    let mut faults = Vec::new();
    if E164::parse(text(item, "contact_id")).is_err() {
        faults.push("INVALID_CONTACT_ID");
    }
    let correlation = text(item, "correlation_id");
    if correlation.len() != 32 || !correlation.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        faults.push("INVALID_CORRELATION_ID");
    }
    faults
}

fn text<'a>(item: &'a Json, name: &str) -> &'a str {
    item.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn answer(item: &Json, code: u32, faults: &[&str]) -> Json {
    json!({
        "correlation_id": text(item, "correlation_id"),
        "error_code": if faults.is_empty() { 0 } else { code },
        "error_messages": faults,
    })
}

fn all(answers: Vec<Json>) -> Reply {
    let mut record = Record::new("");
    record.set("items", Json::Array(answers));
    Reply::Record(record)
}

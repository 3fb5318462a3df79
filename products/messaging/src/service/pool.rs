//! Adding senders to a service's pool, and taking them out.
//!
//! A number is in one pool at most: the pool claims its SID.

use contracts::OwnedNumber;
use kernel::{ApiError, Sid};
use numbering::{Address, Country};
use rest::{Ctx, Draft};
use serde_json::{Value as Json, json};
use store::{Row, StoreError};

use super::select::Sender;
use crate::Messaging;
use crate::channel;
use crate::create::unavailable;

pub(crate) const PHONE_NUMBER: &str = "MessagingServicePhoneNumber";
pub(crate) const SHORT_CODE: &str = "MessagingServiceShortCode";
pub(crate) const ALPHA_SENDER: &str = "MessagingServiceAlphaSender";
pub(crate) const CHANNEL_SENDER: &str = "MessagingServiceChannelSender";
pub(crate) const DESTINATION_ALPHA_SENDER: &str = "MessagingServiceDestinationAlphaSender";

/// Name of the claims of services on numbers and short codes.
pub(crate) const CLAIM: &str = "messaging-service-sender";

/// Senders in one pool (21714).
const SENDERS_MAX: i64 = 400;

/// 21714 beyond the limit.
async fn check_room(ctx: &Ctx) -> Result<(), ApiError> {
    let service = service_of(ctx);
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND parent = $2
               AND kind IN ($3, $4, $5, $6, $7)";
    let kinds = [PHONE_NUMBER, SHORT_CODE, ALPHA_SENDER, DESTINATION_ALPHA_SENDER, CHANNEL_SENDER];
    let params = [service].into_iter().chain(kinds).map(Into::into).collect();
    let row = ctx.store.point(sql, params).await;
    let count = row.map_err(|error| rest::store_error(ctx, error))?.map_or(0, |row| row.int(0));
    if count < SENDERS_MAX {
        return Ok(());
    }
    let why =
        format!("The pool of {service} has {count} senders; at most {SENDERS_MAX} are allowed");
    Err(ApiError::new(21714, why))
}

/// A number or short code of the account joins the pool.
///
/// # Errors
/// 20404 for a number that is not the account's; 21710 and 21712 for one that is in this or
/// another pool; 21714; 21715 without SMS.
pub(crate) async fn add_number(
    messaging: &Messaging,
    ctx: &Ctx,
    draft: &mut Draft,
) -> Result<(), ApiError> {
    check_room(ctx).await?;
    let (param, field) = match ctx.table.name {
        PHONE_NUMBER => ("PhoneNumberSid", "phone_number"),
        _ => ("ShortCodeSid", "short_code"),
    };
    let number = ctx.form.sid(param).expect("the table requires it");
    let owned = messaging.parts.numbers.owned(ctx.account, number).await.map_err(unavailable)?;
    let Some(OwnedNumber { address, sms, mms, voice }) = owned else {
        return Err(ApiError::new(20404, format!("The account has no number {number}")));
    };
    if !sms {
        return Err(ApiError::new(21715, format!("The number {address} cannot send SMS")));
    }
    claim(ctx, draft, number, &address).await?;
    let capable = [("MMS", mms), ("SMS", sms), ("Voice", voice)];
    let capabilities: Vec<_> =
        capable.iter().filter(|(_, can)| *can).map(|(name, _)| *name).collect();
    draft.sid = number.to_string();
    draft.fields.remove(if field == "phone_number" {
        "phone_number_sid"
    } else {
        "short_code_sid"
    });
    draft.set("service_sid", service_of(ctx));
    draft.set(field, address.as_str());
    draft.set("country_code", country_of(&address));
    draft.set("capabilities", json!(capabilities));
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

/// A name joins the pool.
///
/// # Errors
/// 21709 for what no network shows as a name, a taken one, or an unknown country; 21714.
pub(crate) async fn add_alpha(
    messaging: &Messaging,
    ctx: &Ctx,
    draft: &mut Draft,
) -> Result<(), ApiError> {
    check_room(ctx).await?;
    let name = ctx.form.text("AlphaSender").unwrap_or_default();
    let wrong = |why: &str| ApiError::new(21709, format!("The AlphaSender '{name}' {why}"));
    let Ok(Address::Alphanumeric(normal)) = Address::parse_from(name) else {
        return Err(wrong(
            "needs 1 to 11 letters, digits, spaces or +-_&, and one letter at least",
        ));
    };
    let country = ctx.form.text("IsoCountryCode").unwrap_or_default().to_ascii_uppercase();
    if !country.is_empty() && Country::by_iso(&country).is_none() {
        return Err(wrong("has an IsoCountryCode that is no country: use two letters, GB"));
    }
    draft.set("service_sid", ctx.param("ServiceSid"));
    draft.set("alpha_sender", normal.to_string());
    draft.set("capabilities", json!(["SMS"]));
    if ctx.table.name == DESTINATION_ALPHA_SENDER {
        draft.set("iso_country_code", country.as_str());
    }
    let scope = format!("{}/{}/{country}", ctx.param("ServiceSid"), ctx.table.name);
    draft.claim("messaging-service-alpha", &scope);
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

/// A sender of a channel joins the pool.
///
/// # Errors
/// 20404 for a sender that is not the account's; 21710 and 21712 for one that is in this or
/// another pool; 21714.
pub(crate) async fn add_channel(
    messaging: &Messaging,
    ctx: &Ctx,
    draft: &mut Draft,
) -> Result<(), ApiError> {
    check_room(ctx).await?;
    let sid = ctx.form.sid("Sid").expect("the table requires it");
    let found = rest::load(&ctx.store, channel::KIND, "", &sid.to_string()).await;
    let doc = found.map_err(|error| rest::store_error(ctx, error))?;
    let address = doc.as_ref().and_then(|doc| doc.text("sender_id"));
    let Some(address) = address.and_then(|text| Address::parse_from(text).ok()) else {
        return Err(ApiError::new(20404, format!("The account has no channel sender {sid}")));
    };
    claim(ctx, draft, sid, &address.to_string()).await?;
    let kind = match address.channel() {
        Some(numbering::Channel::Rcs) => "RCS",
        _ => "WhatsApp",
    };
    let country = address.number().and_then(numbering::E164::country);
    draft.sid = sid.to_string();
    draft.fields.remove("sid");
    draft.set("messaging_service_sid", service_of(ctx));
    draft.set("sender", address.to_string());
    draft.set("sender_type", kind);
    draft.set("country_code", country.map_or("", |country| country.iso));
    draft.set("capabilities", json!(["SMS", "MMS"]));
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

/// Claims a sender for the service of the path: 21710, 21712.
async fn claim(ctx: &Ctx, draft: &mut Draft, sender: Sid, name: &str) -> Result<(), ApiError> {
    let service = service_of(ctx);
    let holder = holder(ctx, sender).await.map_err(|error| rest::store_error(ctx, error))?;
    if let Some(holder) = holder {
        return Err(if holder == service {
            ApiError::new(21710, format!("{name} is in the pool of {service} already"))
        } else {
            let why = format!("{name} is in the pool of {holder}; take it out of there first");
            ApiError::new(21712, why)
        });
    }
    draft.batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![service.into(), CLAIM.into(), sender.to_string().into()],
    );
    Ok(())
}

/// The service in the path; two spellings of its name are in use.
fn service_of(ctx: &Ctx) -> &str {
    match ctx.param("ServiceSid") {
        "" => ctx.param("MessagingServiceSid"),
        service => service,
    }
}

/// A sender leaves the pool, and recipients forget it.
pub(crate) fn remove(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let service = service_of(ctx);
    let sid = draft.sid.clone();
    draft.batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3",
        vec![CLAIM.into(), sid.into()],
    );
    let names = ["phone_number", "short_code", "alpha_sender", "sender"];
    if let Some(address) = names.iter().find_map(|name| draft.text(name)).map(str::to_owned) {
        draft.batch.run(
            "DELETE FROM sticky_sender WHERE account_sid = $1 AND service_sid = $2 AND sender = $3",
            vec![service.into(), address.into()],
        );
    }
    let memory = messaging.memory.clone();
    draft.afterwards(move || memory.invalidate());
    Ok(())
}

/// The service whose pool has this number.
async fn holder(ctx: &Ctx, number: Sid) -> Result<Option<String>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = ctx.store.point(sql, vec![CLAIM.into(), number.to_string().into()]).await?;
    Ok(row.map(|row| row.text(0).to_owned()))
}

/// ISO code of a number's country; short codes are American.
///
/// Differs: a short code has no country of its own here; all are taken for US ones.
fn country_of(address: &str) -> &'static str {
    match numbering::E164::parse(address) {
        Ok(number) => number.country().map_or("", |country| country.iso),
        Err(_) => "US",
    }
}

/// A stored pool member as a sender: `kind`, `body`.
pub(crate) fn sender(row: &Row) -> Option<Sender> {
    let fields: Json = serde_json::from_str(row.text(1)).ok()?;
    let text = |field: &str| fields.get(field).and_then(Json::as_str).unwrap_or_default();
    let can = |name: &str| {
        fields["capabilities"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
    };
    let (address, country) = match row.text(0) {
        PHONE_NUMBER => (text("phone_number"), text("country_code")),
        SHORT_CODE => (text("short_code"), text("country_code")),
        ALPHA_SENDER => (text("alpha_sender"), ""),
        CHANNEL_SENDER => (text("sender"), text("country_code")),
        DESTINATION_ALPHA_SENDER => (text("alpha_sender"), text("iso_country_code")),
        _ => return None,
    };
    Some(Sender {
        address: Address::parse_from(address).ok()?,
        country: country.to_owned(),
        sms: can("SMS"),
        mms: can("MMS"),
    })
}

/// The documents of a pool, to be read with [`sender`].
pub(crate) const MEMBERS: &str =
    "SELECT kind, body FROM resource WHERE account_sid = $1 AND parent = $2 ORDER BY sid";

//! `voice/v1/DialingPermissions` and `Settings` (voice-api §15): where an account may call.
//!
//! Differs: until somebody says otherwise everything may be called in the development profile, and
//! every low-risk number elsewhere; Twilio begins with the account's own country. Numbers that are
//! in no country's plan, such as satellites', may be called in the development profile alone.

use contracts::{DialingRisk, Unavailable};
use kernel::{ApiError, Sid};
use numbering::{Country, E164};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use store::{AccountStore, StoreError};

use crate::{Trunking, risk, shelf};

const KIND: &str = "DialingPermission";
const SETTINGS_KIND: &str = "DialingPermissionsSettings";
/// Countries in one update; there are fewer.
const UPDATES_MAX: usize = 300;

const ACCESS: Access = Access::Keys("voice/dialing-permissions");

/// What of a country may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    low: bool,
    special: bool,
    tollfraud: bool,
}

const NAMES: [&str; 3] = [
    "low_risk_numbers_enabled",
    "high_risk_special_numbers_enabled",
    "high_risk_tollfraud_numbers_enabled",
];

impl Flags {
    fn usual(development: bool) -> Self {
        Self { low: true, special: development, tollfraud: development }
    }

    fn allows(self, risk: DialingRisk) -> bool {
        match risk {
            DialingRisk::Low => self.low,
            DialingRisk::HighRiskSpecial => self.special,
            DialingRisk::HighRiskTollfraud => self.tollfraud,
        }
    }

    fn values(self) -> [bool; 3] {
        [self.low, self.special, self.tollfraud]
    }

    /// These, but for what an object says.
    ///
    /// # Errors
    /// The name of a member that is neither true nor false.
    fn changed(self, object: &Json) -> Result<Self, &'static str> {
        let mut values = self.values();
        for (name, value) in NAMES.iter().zip(&mut values) {
            *value = match &object[*name] {
                Json::Null => *value,
                Json::Bool(given) => *given,
                Json::String(text) => match text.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(name),
                },
                _ => return Err(name),
            };
        }
        let [low, special, tollfraud] = values;
        Ok(Self { low, special, tollfraud })
    }

    fn json(self) -> Json {
        NAMES
            .iter()
            .zip(self.values())
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

pub static COUNTRY: Resource<Trunking> = Resource {
    table: Table::product(
        "DialingPermissionsCountry",
        "voice",
        "/v1/DialingPermissions/Countries",
        "/v1/DialingPermissions/Countries/{IsoCode}",
    )
    .key("content")
    .fields(&[
        Field::text("iso_code"),
        Field::text("name"),
        Field::text("continent"),
        Field::new("country_codes", Wire::Json).empty("[]"),
        Field::new("low_risk_numbers_enabled", Wire::Boolean),
        Field::new("high_risk_special_numbers_enabled", Wire::Boolean),
        Field::new("high_risk_tollfraud_numbers_enabled", Wire::Boolean),
        Field::new("url", Wire::Url),
        Field::new("links", Wire::UriMap),
    ])
    .links(&[("highrisk_special_prefixes", "/HighRiskSpecialPrefixes")])
    .access(ACCESS),
    ops: &[
        Op::list(&[
            Param::text("IsoCode", 2),
            Param::text("Continent", 32),
            Param::text("CountryCode", 8),
            Param::boolean("LowRiskNumbersEnabled"),
            Param::boolean("HighRiskSpecialNumbersEnabled"),
            Param::boolean("HighRiskTollfraudNumbersEnabled"),
        ])
        .by(|sip, ctx| Box::pin(list(sip, ctx))),
        Op::fetch().by(|sip, ctx| Box::pin(fetch(sip, ctx))),
    ],
};

pub static SPECIAL_PREFIXES: Resource<Trunking> = Resource {
    table: Table::product(
        "DialingPermissionsHrsPrefixes",
        "voice",
        "/v1/DialingPermissions/Countries/{IsoCode}/HighRiskSpecialPrefixes",
        "",
    )
    .collection()
    .key("content")
    .fields(&[Field::text("prefix")])
    .access(ACCESS),
    ops: &[Op::list(&[]).by(|sip, ctx| Box::pin(async move { prefixes(sip, ctx) }))],
};

pub static BULK_UPDATE: Resource<Trunking> = Resource {
    table: Table::product(
        "DialingPermissionsCountryBulkUpdate",
        "voice",
        "/v1/DialingPermissions/BulkCountryUpdates",
        "",
    )
    .collection()
    .fields(&[
        Field::new("update_count", Wire::Integer(0, i64::MAX)),
        Field::text("update_request"),
    ])
    .access(ACCESS),
    ops: &[Op::create(&[Param::new("UpdateRequest", Wire::Text).required(20001)])
        .by(|sip, ctx| Box::pin(update(sip, ctx)))],
};

pub static SETTINGS: Resource<Trunking> = Resource {
    table: Table::product("DialingPermissionsSettings", "voice", "", "/v1/Settings")
        .singleton()
        .fields(&[
            Field::new("dialing_permissions_inheritance", Wire::Boolean),
            Field::new("url", Wire::Url),
        ])
        .access(ACCESS),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(settings(ctx))),
        Op::update(&[Param::boolean("DialingPermissionsInheritance")])
            .status(202)
            .by(|_, ctx| Box::pin(set(ctx))),
    ],
};

impl Trunking {
    /// What an account said of its countries, its own or its parent's.
    async fn said(&self, account: Sid) -> Result<HashMap<String, Flags>, Unavailable> {
        let mut of = account;
        let facts = self.parts.accounts.facts(account).await?;
        if let Some(owner) = facts.map(|facts| facts.owner).filter(|owner| *owner != account) {
            let store = self.parts.store.account(account);
            if inherits(&store).await.map_err(shelf::unavailable)? {
                of = owner;
            }
        }
        self.own(&self.parts.store.account(of)).await.map_err(shelf::unavailable)
    }

    /// What an account itself said.
    async fn own(&self, store: &AccountStore) -> Result<HashMap<String, Flags>, StoreError> {
        let docs = shelf::all(store, KIND, "").await?;
        let usual = Flags::usual(self.parts.development);
        let flags = |doc: rest::Doc| {
            let flags = usual.changed(&Json::Object(doc.fields)).unwrap_or(usual);
            (doc.sid, flags)
        };
        Ok(docs.into_iter().map(flags).collect())
    }

    /// `None` when the account may call a number; everything that is no telephone number may be.
    pub(crate) async fn refused(
        &self,
        account: Sid,
        number: &str,
    ) -> Result<Option<DialingRisk>, Unavailable> {
        let Ok(number) = E164::parse(number) else { return Ok(None) };
        let risk = risk::risk(number, &self.parts.config);
        let Some(country) = number.country() else {
            return Ok((!self.parts.development).then_some(DialingRisk::HighRiskTollfraud));
        };
        let said = self.said(account).await?;
        let flags = said.get(country.iso).copied();
        let flags = flags.unwrap_or(Flags::usual(self.parts.development));
        Ok((!flags.allows(risk)).then_some(risk))
    }
}

fn record(country: &Country, flags: Flags) -> Record {
    let mut record = Record::at("IsoCode", country.iso);
    record
        .set("iso_code", country.iso)
        .set("name", country.name)
        .set("continent", risk::continent(country.iso))
        .set("country_codes", json!([country.calling_code.to_string()]));
    for (name, value) in NAMES.into_iter().zip(flags.values()) {
        record.set(name, value);
    }
    record
}

/// Countries by ISO code, which is what a page token holds.
async fn list(sip: &Trunking, ctx: &Ctx) -> Result<Reply, ApiError> {
    let said = sip.said(ctx.account).await.map_err(shelf::busy)?;
    let usual = Flags::usual(sip.parts.development);
    let is = |param: &str, value: &str| {
        let given = ctx.form.text(param);
        given.is_none_or(|given| given.trim_start_matches('+').eq_ignore_ascii_case(value))
    };
    let flag = |param: &str, value: bool| ctx.form.boolean(param).is_none_or(|it| it == value);
    let all: Vec<(&Country, Flags)> = Country::all()
        .iter()
        .map(|country| (country, said.get(country.iso).copied().unwrap_or(usual)))
        .filter(|(country, flags)| {
            is("IsoCode", country.iso)
                && is("Continent", risk::continent(country.iso))
                && is("CountryCode", &country.calling_code.to_string())
                && flag("LowRiskNumbersEnabled", flags.low)
                && flag("HighRiskSpecialNumbersEnabled", flags.special)
                && flag("HighRiskTollfraudNumbersEnabled", flags.tollfraud)
        })
        .collect();
    let size = ctx.page.size as usize;
    let start = match &ctx.page.cursor {
        Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        Cursor::After(key) => all.partition_point(|(country, _)| country.iso <= key.as_str()),
        Cursor::Before(key) => {
            all.partition_point(|(country, _)| country.iso < key.as_str()).saturating_sub(size)
        }
    };
    let rest = all.get(start..).unwrap_or_default();
    let records = rest.iter().take(size).map(|(country, flags)| record(country, *flags)).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

async fn fetch(sip: &Trunking, ctx: &Ctx) -> Result<Reply, ApiError> {
    let country = Country::by_iso(ctx.param("IsoCode")).ok_or_else(|| ctx.not_found())?;
    let said = sip.said(ctx.account).await.map_err(shelf::busy)?;
    let usual = Flags::usual(sip.parts.development);
    Ok(Reply::Record(record(country, said.get(country.iso).copied().unwrap_or(usual))))
}

fn prefixes(sip: &Trunking, ctx: &Ctx) -> Result<Reply, ApiError> {
    let country = Country::by_iso(ctx.param("IsoCode")).ok_or_else(|| ctx.not_found())?;
    let all = risk::special_prefixes(country.iso, country.calling_code, &sip.parts.config);
    let size = ctx.page.size as usize;
    let start = match &ctx.page.cursor {
        Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        Cursor::After(key) => all.partition_point(|prefix| prefix <= key),
        Cursor::Before(key) => all.partition_point(|prefix| prefix < key).saturating_sub(size),
    };
    let rest = all.get(start..).unwrap_or_default();
    let row = |prefix: &String| {
        let mut record = Record::new("").with_cursor(prefix.as_str());
        record.set("prefix", prefix.as_str());
        record
    };
    let records = rest.iter().take(size).map(row).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

/// Every country of the request, or none of them.
///
/// # Errors
/// 20001 for what is no list of countries, names none that there is, or says neither yes nor no.
async fn update(sip: &Trunking, ctx: &Ctx) -> Result<Reply, ApiError> {
    let invalid = |why: String| ApiError::new(20001, format!("UpdateRequest: {why}"));
    let given = ctx.form.text("UpdateRequest").unwrap_or_default();
    let given: Vec<Json> = serde_json::from_str(given)
        .map_err(|error| invalid(format!("it is no JSON array: {error}")))?;
    if given.len() > UPDATES_MAX {
        return Err(invalid(format!("{} countries; at most {UPDATES_MAX}", given.len())));
    }
    let mut known = sip.own(&ctx.store).await.map_err(shelf::failed(ctx))?;
    let usual = Flags::usual(sip.parts.development);
    let mut batch = ctx.store.batch();
    for item in &given {
        let iso = item["iso_code"].as_str().unwrap_or_default();
        let country = Country::by_iso(iso).ok_or_else(|| invalid(format!("no country '{iso}'")))?;
        let before = known.get(country.iso).copied().unwrap_or(usual);
        let after = before
            .changed(item)
            .map_err(|name| invalid(format!("{name} of {iso} is neither true nor false")))?;
        known.insert(country.iso.to_owned(), after);
        put(ctx, &mut batch, KIND, country.iso, &after.json());
    }
    let kind = "dialing-permissions.updated";
    ctx.audit(&mut batch, kind, &ctx.account.to_string(), json!({"countries": given.len()}));
    ctx.store.commit(batch).await.map_err(shelf::failed(ctx))?;
    let mut record = Record::new("");
    record
        .set("update_count", i64::try_from(given.len()).unwrap_or(i64::MAX))
        .set("update_request", "accepted");
    Ok(Reply::Record(record))
}

/// Writes a document, whether it is there or not.
fn put(ctx: &Ctx, batch: &mut store::AccountBatch, kind: &str, sid: &str, body: &Json) {
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)
         ON CONFLICT (account_sid, kind, parent, sid)
         DO UPDATE SET body = excluded.body, date_updated = excluded.date_updated",
        vec![kind.into(), sid.into(), body.to_string().into(), ctx.now.into()],
    );
}

const THE_SETTINGS: &str = "settings";

/// Whether a subaccount calls where its parent may; it does until it says otherwise.
async fn inherits(store: &AccountStore) -> Result<bool, StoreError> {
    let found = rest::load(store, SETTINGS_KIND, "", THE_SETTINGS).await?;
    Ok(found.is_none_or(|doc| shelf::flag(&doc, "dialing_permissions_inheritance")))
}

async fn settings(ctx: &Ctx) -> Result<Reply, ApiError> {
    let inherits = inherits(&ctx.store).await.map_err(shelf::failed(ctx))?;
    let mut record = Record::new("");
    record.set("dialing_permissions_inheritance", inherits);
    Ok(Reply::Record(record))
}

async fn set(ctx: &Ctx) -> Result<Reply, ApiError> {
    if let Some(wanted) = ctx.form.boolean("DialingPermissionsInheritance") {
        let mut batch = ctx.store.batch();
        let body = json!({"dialing_permissions_inheritance": wanted});
        put(ctx, &mut batch, SETTINGS_KIND, THE_SETTINGS, &body);
        let kind = "dialing-permissions-settings.updated";
        ctx.audit(&mut batch, kind, &ctx.account.to_string(), body);
        ctx.store.commit(batch).await.map_err(shelf::failed(ctx))?;
    }
    settings(ctx).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_by_what_is_said_of_them() {
        let usual = Flags::usual(false);
        for (object, expected) in [
            (json!({}), Ok([true, false, false])),
            (json!({"low_risk_numbers_enabled": "false"}), Ok([false, false, false])),
            (json!({"high_risk_special_numbers_enabled": true}), Ok([true, true, false])),
            (json!({"high_risk_tollfraud_numbers_enabled": "True"}), Ok([true, false, true])),
            (json!({"low_risk_numbers_enabled": "yes"}), Err("low_risk_numbers_enabled")),
            (json!({"low_risk_numbers_enabled": 1}), Err("low_risk_numbers_enabled")),
        ] {
            assert_eq!(usual.changed(&object).map(Flags::values), expected, "{object}");
        }
        assert!(Flags::usual(true).allows(DialingRisk::HighRiskTollfraud));
        assert!(!usual.allows(DialingRisk::HighRiskSpecial));
    }
}

//! `/Addresses` and the numbers that have them: where a customer is, as regulators ask.
//!
//! Differs: nobody looks addresses up: their form is checked, by country where it is known, but they
//! are neither corrected nor validated, and no emergency call knows them.

use kernel::ApiError;
use numbering::Country;
use rest::{Ctx, Doc, Draft, Field, Op, Page, Param, Reply, Resource, Table, Verb, Wire};

use crate::{Numbers, incoming};

pub(crate) const KIND: &str = "Address";

const fn text(name: &'static str, max: u32) -> Param {
    Param::text(name, max).code(21628)
}

const FLAGS: [Param; 2] =
    [Param::boolean("EmergencyEnabled").default("false"), Param::boolean("AutoCorrectAddress")];

pub static ADDRESS: Resource<Numbers> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Addresses",
        "/2010-04-01/Accounts/{AccountSid}/Addresses/{Sid}",
    )
    .key("addresses")
    .sid("AD")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::text("city"),
        Field::text("customer_name"),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("friendly_name"),
        Field::text("iso_country"),
        Field::text("postal_code"),
        Field::text("region"),
        Field::sid("sid", &["AD"]),
        Field::text("street"),
        Field::text("uri"),
        Field::new("emergency_enabled", Wire::Boolean).empty("false"),
        Field::new("validated", Wire::Boolean).empty("false"),
        Field::new("verified", Wire::Boolean).empty("false"),
        Field::text("street_secondary"),
    ]),
    ops: &[
        Op::create(&[
            text("CustomerName", 255).required(21628),
            text("Street", 255).required(21628),
            text("City", 255).required(21628),
            text("Region", 255).required(21628),
            text("PostalCode", 32).required(21628),
            text("IsoCountry", 2).required(21628),
            text("FriendlyName", 64),
            FLAGS[0],
            FLAGS[1],
            text("StreetSecondary", 255),
        ])
        .with(|_, _, draft| Box::pin(async move { check(draft) })),
        Op::list(&[
            Param::text("CustomerName", 255),
            Param::text("FriendlyName", 64),
            Param::boolean("EmergencyEnabled"),
            Param::text("IsoCountry", 2),
        ]),
        Op::fetch(),
        Op::update(&[
            text("FriendlyName", 64),
            text("CustomerName", 255),
            text("Street", 255),
            text("City", 255),
            text("Region", 255),
            text("PostalCode", 32),
            FLAGS[0],
            FLAGS[1],
            text("StreetSecondary", 255),
        ])
        .with(|_, _, draft| Box::pin(async move { check(draft) })),
        Op::delete().with(|_, ctx, draft| Box::pin(remove(ctx, draft))),
    ],
};

/// # Errors
/// 21628 for a country that there is not, a postal code that is none there, or an emptied part.
fn check(draft: &mut Draft) -> Result<(), ApiError> {
    let invalid = |why: String| ApiError::new(21628, why);
    for part in ["customer_name", "street", "city", "region", "postal_code"] {
        if draft.verb == Verb::Update && draft.text(part).is_none() {
            return Err(invalid(format!("{part} cannot be empty")));
        }
    }
    let given = draft.text("iso_country").unwrap_or_default();
    let country = Country::by_iso(given)
        .ok_or_else(|| invalid(format!("IsoCountry '{given}' is no ISO 3166-1 alpha-2 code")))?;
    let code = draft.text("postal_code").unwrap_or_default();
    if !is_postal_code(country.iso, code) {
        return Err(invalid(format!("PostalCode '{code}' is none of {}", country.name)));
    }
    draft.set("iso_country", country.iso);
    draft.fields.remove("auto_correct_address");
    Ok(())
}

/// Whether a code has the form of its country; of other countries every code has.
fn is_postal_code(iso: &str, code: &str) -> bool {
    let form = |pattern: &str| {
        code.len() == pattern.len()
            && code.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_alphabetic(),
                other => byte == other,
            })
    };
    match iso {
        "US" | "PR" => form("99999") || form("99999-9999"),
        "CA" => form("A9A 9A9") || form("A9A9A9"),
        "DE" | "FR" | "IT" | "ES" => form("99999"),
        "AT" | "BE" | "CH" | "DK" | "AU" => form("9999"),
        _ => true,
    }
}

/// The numbers that have an address.
fn has(doc: &Doc, address: &str) -> bool {
    ["address_sid", "emergency_address_sid"].iter().any(|field| doc.text(field) == Some(address))
}

/// An address that numbers have stays.
async fn remove(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
               AND body LIKE $3 ORDER BY sid LIMIT 1";
    let params = vec![incoming::KIND.into(), format!("%{}%", draft.sid).into()];
    let row = ctx.store.point(sql, params).await.map_err(|error| rest::store_error(ctx, error))?;
    match row {
        None => Ok(()),
        Some(row) => {
            let why = format!("Number {} has this address: change it first", row.text(0));
            Err(ApiError::new(20409, why))
        }
    }
}

pub static DEPENDENT_NUMBER: Resource<Numbers> = Resource {
    table: Table::v2010(
        "DependentPhoneNumber",
        "/2010-04-01/Accounts/{AccountSid}/Addresses/{AddressSid}/DependentPhoneNumbers",
        "",
    )
    .collection()
    .key("dependent_phone_numbers")
    .sid("PN")
    .fields(&[
        Field::sid("sid", &["PN"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("friendly_name"),
        Field::new("phone_number", Wire::Address),
        Field::new("voice_url", Wire::Url).empty("\"\""),
        Field::new("voice_method", Wire::Method).empty("\"POST\""),
        Field::new("voice_fallback_method", Wire::Method).empty("\"POST\""),
        Field::new("voice_fallback_url", Wire::Url).empty("\"\""),
        Field::new("voice_caller_id_lookup", Wire::Boolean).empty("false"),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::new("sms_fallback_method", Wire::Method).empty("\"POST\""),
        Field::new("sms_fallback_url", Wire::Url).empty("\"\""),
        Field::new("sms_method", Wire::Method).empty("\"POST\""),
        Field::new("sms_url", Wire::Url).empty("\"\""),
        Field::new("address_requirements", Wire::Enum(&["none", "any", "local", "foreign"]))
            .empty("\"none\""),
        Field::new("capabilities", Wire::Json),
        Field::new("status_callback", Wire::Url).empty("\"\""),
        Field::new("status_callback_method", Wire::Method).empty("\"POST\""),
        Field::text("api_version").empty("\"2010-04-01\""),
        Field::sid("sms_application_sid", &["AP"]),
        Field::sid("voice_application_sid", &["AP"]),
        Field::sid("trunk_sid", &["TK"]),
        Field::new("emergency_status", Wire::Enum(&["Active", "Inactive"])).empty("\"Inactive\""),
        Field::sid("emergency_address_sid", &["AD"]),
        Field::text("uri"),
    ]),
    ops: &[Op::list(&[]).by(|_, ctx| Box::pin(dependents(ctx)))],
};

async fn dependents(ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let address = ctx.param("AddressSid");
    let known = rest::load(&ctx.store, KIND, "", address).await.map_err(failed)?;
    known.ok_or_else(|| ctx.not_found())?;
    let page = rest::documents(ctx, incoming::KIND, "", |doc| has(doc, address)).await;
    let (docs, has_next) = page.map_err(failed)?;
    let records = docs.into_iter().map(|mut doc| {
        // What is not set has no SID here.
        doc.fields.retain(|name, value| !name.ends_with("_sid") || *value != "");
        let uri =
            format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers/{}.json", ctx.account, doc.sid);
        doc.fields.insert("uri".into(), uri.into());
        rest::record(ctx.account, ctx.table, &doc)
    });
    Ok(Reply::List(Page { records: records.collect(), has_next }))
}

#[cfg(test)]
mod tests {
    use super::is_postal_code;

    #[test]
    fn postal_codes_have_the_form_of_their_country() {
        for (iso, code, fine) in [
            ("US", "94105", true),
            ("US", "94105-1234", true),
            ("US", "9410", false),
            ("CA", "M5V 2T6", true),
            ("CA", "12345", false),
            ("DE", "10115", true),
            ("CH", "80012", false),
            ("GB", "SW1A 1AA", true),
        ] {
            assert_eq!(is_postal_code(iso, code), fine, "{iso} {code}");
        }
    }
}

//! `/v2/Services/{VA}/MessagingConfigurations` (verify §9): which messaging service texts a country.

use kernel::ApiError;
use numbering::Country;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Wire};
use store::{AccountStore, StoreError};

use crate::Verify;
use crate::faults::{failed, invalid};

const KIND: &str = "VerifyMessagingConfiguration";
/// The country of a configuration for every other country.
const ALL: &str = "all";

const SERVICE: Param = Param::sid("MessagingServiceSid", &["MG"]).required(60200).code(60200);

/// Its SID is the country.
pub static CONFIGURATION: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/MessagingConfigurations",
        "/v2/Services/{ServiceSid}/MessagingConfigurations/{Country}",
    )
    .key("messaging_configurations")
    .under(crate::service::KIND)
    .access(Access::Keys("verify/messaging-configurations"))
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("service_sid", &["VA"]),
        Field::text("country"),
        Field::sid("messaging_service_sid", &["MG"]),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[Param::text("Country", 3).required(60200).code(60200), SERVICE])
            .with(|_, ctx, draft| Box::pin(name(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[SERVICE]),
        Op::delete(),
    ],
};

/// # Errors
/// 60200 for what is no country, 60213 when it has a configuration.
async fn name(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let asked = draft.text("country").unwrap_or_default().to_owned();
    let country = match asked.eq_ignore_ascii_case(ALL) {
        true => ALL.to_owned(),
        false => {
            let iso = asked.to_ascii_uppercase();
            let known = Country::by_iso(&iso).ok_or_else(|| invalid("Country", &asked))?;
            known.iso.to_owned()
        }
    };
    let service = ctx.param("ServiceSid");
    let known = rest::load(&ctx.store, KIND, service, &country).await.map_err(failed(ctx))?;
    if known.is_some() {
        let why = format!("The service has a messaging configuration for {country}");
        return Err(ApiError::new(60213, why));
    }
    draft.set("country", country.as_str());
    draft.set("service_sid", service);
    draft.sid = country;
    Ok(())
}

/// The messaging service for a country's texts.
pub(crate) async fn sender(
    store: &AccountStore,
    service: &str,
    country: &str,
) -> Result<Option<String>, StoreError> {
    for country in [country, ALL].into_iter().filter(|country| !country.is_empty()) {
        if let Some(doc) = rest::load(store, KIND, service, country).await? {
            return Ok(doc.text("messaging_service_sid").map(str::to_owned));
        }
    }
    Ok(None)
}

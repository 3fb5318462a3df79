//! `/AvailablePhoneNumbers`: the generated inventory (voice-api §6.2).

use kernel::ApiError;
use numbering::{AvailableNumber, Country, E164, Filter, FilterError, LatLong, NumberType};
use rest::{Access, Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};

use crate::Numbers;
use crate::incoming::is_owned;

const COUNTRIES: &str = "/2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers";
const ONE_COUNTRY: &str = "/2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers/{CountryCode}";
const ACCESS: Access = Access::Keys("numbers/available-phone-numbers");
/// Numbers that one search looks through at most.
const CANDIDATES_MAX: usize = 2000;

pub static COUNTRY: Resource<Numbers> = Resource {
    table: Table::v2010("Country", COUNTRIES, ONE_COUNTRY)
        .key("countries")
        .without_paging_members()
        .access(ACCESS)
        .fields(&[
            Field::text("country_code"),
            Field::text("country"),
            Field::text("uri"),
            Field::new("beta", Wire::Boolean),
            Field::new("subresource_uris", Wire::UriMap),
        ]),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(async move { list_countries(ctx) })),
        Op::fetch().by(|_, ctx| Box::pin(async move { fetch_country(ctx) })),
    ],
};

const FILTERS: &[Param] = &[
    Param::integer("AreaCode", 0, 999).code(21451),
    Param::text("Contains", 32).code(21421),
    Param::boolean("SmsEnabled"),
    Param::boolean("MmsEnabled"),
    Param::boolean("VoiceEnabled"),
    Param::boolean("ExcludeAllAddressRequired"),
    Param::boolean("ExcludeLocalAddressRequired"),
    Param::boolean("ExcludeForeignAddressRequired"),
    Param::boolean("Beta"),
    Param::text("NearNumber", 20),
    Param::text("NearLatLong", 64),
    Param::integer("Distance", 1, 500),
    Param::text("InPostalCode", 16),
    Param::text("InRegion", 64),
    Param::text("InRateCenter", 64),
    Param::text("InLata", 16),
    Param::text("InLocality", 64),
    Param::boolean("FaxEnabled"),
];

const FIELDS: &[Field] = &[
    Field::text("friendly_name"),
    Field::text("phone_number"),
    Field::text("lata"),
    Field::text("locality"),
    Field::text("rate_center"),
    // Numbers by schema: the SDKs that check types decode them as floats.
    Field::new("latitude", Wire::Number),
    Field::new("longitude", Wire::Number),
    Field::text("region"),
    Field::text("postal_code"),
    Field::text("iso_country"),
    Field::text("address_requirements"),
    Field::new("beta", Wire::Boolean),
    Field::new("capabilities", Wire::Json),
];

macro_rules! searches {
    ($($name:ident $path:literal $kind:expr;)*) => {$(
        pub static $name: Resource<Numbers> = Resource {
            table: Table::v2010(
                "AvailablePhoneNumber",
                concat!(
                    "/2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers/{CountryCode}/", $path),
                "",
            )
            .collection()
            .key("available_phone_numbers")
            .access(ACCESS)
            .fields(FIELDS),
            ops: &[Op::list(FILTERS).by(|numbers, ctx| Box::pin(search(numbers, ctx, $kind)))],
        };
    )*};
}

searches! {
    LOCAL "Local" NumberType::Local;
    MOBILE "Mobile" NumberType::Mobile;
    TOLL_FREE "TollFree" NumberType::TollFree;
    NATIONAL "National" NumberType::National;
    SHARED_COST "SharedCost" NumberType::SharedCost;
    VOIP "Voip" NumberType::Voip;
    MACHINE_TO_MACHINE "MachineToMachine" NumberType::MachineToMachine;
}

fn list_countries(ctx: &Ctx) -> Result<Reply, ApiError> {
    let all = Country::all();
    let start = usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX);
    let rest = all.get(start..).unwrap_or_default();
    // The whole list fits one answer, as on Twilio, unless a page is asked for.
    let size = if ctx.page.asked { ctx.page.size as usize } else { all.len() };
    let records = rest.iter().take(size).map(|country| country_record(ctx, country)).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

fn fetch_country(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(country_record(ctx, country(ctx)?)))
}

fn country(ctx: &Ctx) -> Result<&'static Country, ApiError> {
    Country::by_iso(ctx.param("CountryCode")).ok_or_else(|| ctx.not_found())
}

fn country_record(ctx: &Ctx, country: &Country) -> Record {
    let base =
        format!("/2010-04-01/Accounts/{}/AvailablePhoneNumbers/{}", ctx.account, country.iso);
    let mut uris = Map::new();
    for kind in NumberType::ALL {
        if country.offer(kind).is_some() {
            let path = format!("{base}/{}.json", kind.path());
            uris.insert(kind.key().to_owned(), path.into());
        }
    }
    let mut record = Record::at("CountryCode", country.iso);
    record
        .set("country_code", country.iso)
        .set("country", country.name)
        .set("beta", country.beta)
        .set("subresource_uris", Json::Object(uris));
    record
}

async fn search(numbers: &Numbers, ctx: &Ctx, kind: NumberType) -> Result<Reply, ApiError> {
    let country = country(ctx)?;
    if country.offer(kind).is_none() {
        return Err(ctx.not_found());
    }
    let filter = filter(ctx)?;
    let start = usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX);
    let wanted = start.saturating_add(ctx.page.size as usize + 1).min(CANDIDATES_MAX);
    let refused = |error: FilterError| {
        let code = match error {
            FilterError::AreaCode => 21451,
            FilterError::NorthAmericaOnly("AreaCode") => 21457,
            _ => 21421,
        };
        ApiError::new(code, error.to_string())
    };
    let none_taken = |_: E164| false;
    let offers =
        numbering::search(country.iso, kind, &filter, wanted, &none_taken).map_err(refused)?;
    let mut free = Vec::with_capacity(offers.len());
    for offer in offers {
        if !is_owned(numbers, &offer.phone_number.to_string()).await {
            free.push(offer);
        }
    }
    let rest = free.get(start..).unwrap_or_default();
    let size = ctx.page.size as usize;
    let records = rest.iter().take(size).map(record).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

fn filter(ctx: &Ctx) -> Result<Filter, ApiError> {
    let text = |name: &str| ctx.form.text(name).map(str::to_owned);
    let flag = |name: &str| ctx.form.boolean(name);
    let number = |name: &str, code: u32| match ctx.form.text(name).map(str::parse::<u16>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => {
            Err(ApiError::new(code, format!("{name} must be a number of three digits")))
        }
    };
    let near_number = ctx.form.text("NearNumber").map(|text| {
        E164::parse(text).map_err(|_| {
            ApiError::new(21421, format!("NearNumber '{text}' is not an E.164 number"))
        })
    });
    let near_lat_long = ctx.form.text("NearLatLong").map(|text| {
        LatLong::parse(text).ok_or_else(|| {
            let why = format!("NearLatLong '{text}' is not 'latitude,longitude'");
            ApiError::new(21421, why)
        })
    });
    Ok(Filter {
        area_code: number("AreaCode", 21451)?,
        contains: text("Contains"),
        sms_enabled: flag("SmsEnabled"),
        mms_enabled: flag("MmsEnabled"),
        voice_enabled: flag("VoiceEnabled"),
        fax_enabled: flag("FaxEnabled"),
        exclude_all_address_required: flag("ExcludeAllAddressRequired").unwrap_or(false),
        exclude_local_address_required: flag("ExcludeLocalAddressRequired").unwrap_or(false),
        exclude_foreign_address_required: flag("ExcludeForeignAddressRequired").unwrap_or(false),
        beta: flag("Beta"),
        near_number: near_number.transpose()?,
        near_lat_long: near_lat_long.transpose()?,
        distance: ctx.form.integer("Distance").and_then(|miles| u32::try_from(miles).ok()),
        in_postal_code: text("InPostalCode"),
        in_region: text("InRegion"),
        in_rate_center: text("InRateCenter"),
        in_lata: number("InLata", 21421)?,
        in_locality: text("InLocality"),
    })
}

fn record(offer: &AvailableNumber) -> Record {
    let number = offer.phone_number.to_string();
    let has = &offer.capabilities;
    let mut record = Record::at("PhoneNumber", &number);
    record
        .set("friendly_name", offer.friendly_name.as_str())
        .set("phone_number", number)
        .set("lata", offer.lata.map(|lata| lata.to_string()))
        .set("locality", offer.locality)
        .set("rate_center", offer.rate_center)
        .set("latitude", offer.latitude)
        .set("longitude", offer.longitude)
        .set("region", offer.region)
        .set("postal_code", offer.postal_code)
        .set("iso_country", offer.iso_country)
        .set("address_requirements", offer.address_requirements.as_str())
        .set("beta", offer.beta)
        .set(
            "capabilities",
            json!({"voice": has.voice, "SMS": has.sms, "MMS": has.mms, "fax": has.fax}),
        );
    record
}

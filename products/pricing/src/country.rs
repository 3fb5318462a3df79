//! Price lists by country: messages, numbers, calls, trunks (messaging-adjacent §2).

use kernel::ApiError;
use numbering::{Country, NumberType, Offer};
use rest::{Access, Ctx, Cursor, Field, Op, Page, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use tariff::Rates;

use crate::Pricing;
use crate::price::{anywhere, type_name, with};

const LISTED: &[Field] =
    &[Field::text("country"), Field::text("iso_country"), Field::new("url", Wire::Url)];

macro_rules! prices {
    ($($name:literal),+) => {
        &[
            Field::text("country"),
            Field::text("iso_country"),
            $(Field::new($name, Wire::Json),)+
            Field::text("price_unit"),
            Field::new("url", Wire::Url),
        ]
    };
}

const fn table(name: &'static str, list: &'static str, instance: &'static str) -> Table {
    Table::product(name, "pricing", list, instance)
        .key("countries")
        .fields(LISTED)
        .access(Access::Keys("pricing/countries"))
}

macro_rules! countries {
    ($resource:ident, $name:literal, $path:literal, $has:expr, $fill:expr, $fields:expr) => {
        pub static $resource: Resource<Pricing> = Resource {
            table: table($name, $path, concat!($path, "/{IsoCountry}")),
            ops: &[
                Op::list(&[]).by(|_, ctx| Box::pin(async move { list(ctx, $has) })),
                Op::fetch()
                    .by(|pricing, ctx| Box::pin(async move { fetch(pricing, ctx, $has, $fill) }))
                    .fields($fields),
            ],
        };
    };
}

countries!(
    MESSAGING,
    "MessagingCountry",
    "/v1/Messaging/Countries",
    everywhere,
    messaging,
    prices!("inbound_sms_prices", "outbound_sms_prices")
);
countries!(
    PHONE_NUMBERS,
    "PhoneNumberCountry",
    "/v1/PhoneNumbers/Countries",
    with_numbers,
    phone_numbers,
    prices!("phone_number_prices")
);
countries!(
    VOICE,
    "VoiceCountry",
    "/v1/Voice/Countries",
    everywhere,
    voice,
    prices!("inbound_call_prices", "outbound_prefix_prices")
);
countries!(
    VOICE_V2,
    "VoiceCountryV2",
    "/v2/Voice/Countries",
    everywhere,
    voice_v2,
    prices!("inbound_call_prices", "outbound_prefix_prices")
);
countries!(
    TRUNKING,
    "TrunkingCountry",
    "/v2/Trunking/Countries",
    everywhere,
    trunking,
    prices!("originating_call_prices", "terminating_prefix_prices")
);

fn everywhere(_: &Country) -> bool {
    true
}

fn with_numbers(country: &Country) -> bool {
    !country.offers.is_empty()
}

/// Countries by ISO code, which is what a page token holds.
fn list(ctx: &Ctx, has: fn(&Country) -> bool) -> Result<Reply, ApiError> {
    let all: Vec<&Country> = Country::all().iter().filter(|country| has(country)).collect();
    let behind = |key: &str| all.partition_point(|country| country.iso <= key);
    let before = |key: &str| all.partition_point(|country| country.iso < key);
    let size = ctx.page.size as usize;
    let start = match &ctx.page.cursor {
        Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        Cursor::After(key) => behind(key),
        Cursor::Before(key) => before(key).saturating_sub(size),
    };
    let rest = all.get(start..).unwrap_or_default();
    let records = rest.iter().take(size).map(|country| record(country)).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

fn record(country: &Country) -> Record {
    let mut record = Record::at("IsoCountry", country.iso);
    record.set("country", country.name).set("iso_country", country.iso);
    record
}

/// One country, or 20404 / 404.
fn fetch(
    pricing: &Pricing,
    ctx: &Ctx,
    has: fn(&Country) -> bool,
    fill: fn(&Country, &Rates, &mut Record),
) -> Result<Reply, ApiError> {
    let country = Country::by_iso(ctx.param("IsoCountry")).filter(|country| has(country));
    let country = country.ok_or_else(|| ctx.not_found())?;
    let mut record = record(country);
    fill(country, pricing.tariff.rates(Some(country.iso)), &mut record);
    record.set("price_unit", "USD");
    Ok(Reply::Record(record))
}

/// The types of numbers that can be had in a country and do what `can` asks.
fn types(country: &Country, can: fn(&Offer) -> bool) -> Vec<NumberType> {
    let offers = NumberType::ALL.into_iter().filter_map(|kind| country.offer(kind));
    offers.filter(|offer| can(offer)).map(|offer| offer.number_type).collect()
}

fn by_type(country: &Country, can: fn(&Offer) -> bool, price: impl Fn(NumberType) -> i64) -> Json {
    let price = |kind| with([("number_type", type_name(kind).into())], price(kind));
    types(country, can).into_iter().map(price).collect()
}

fn messaging(country: &Country, rates: &Rates, record: &mut Record) {
    let own = |offer: &Offer| offer.capabilities.sms;
    let mut prices = by_type(country, own, |_| rates.sms_out);
    if prices.as_array().is_some_and(Vec::is_empty) {
        // Where no number can be had, messages come from abroad.
        prices = json!([with([("number_type", "mobile".into())], rates.sms_out)]);
    }
    // Differs: one price for all carriers, which are not told apart.
    let outbound = json!([{"carrier": "Other", "mcc": null, "mnc": null, "prices": prices}]);
    record
        .set("inbound_sms_prices", by_type(country, own, |_| rates.sms_in))
        .set("outbound_sms_prices", outbound);
}

fn phone_numbers(country: &Country, rates: &Rates, record: &mut Record) {
    let prices = by_type(
        country,
        |_| true,
        |kind| match kind {
            NumberType::Mobile => rates.number_mobile,
            NumberType::TollFree => rates.number_toll_free,
            _ => rates.number,
        },
    );
    record.set("phone_number_prices", prices);
}

fn inbound_calls(country: &Country, price: i64) -> Json {
    by_type(country, |offer| offer.capabilities.voice, move |_| price)
}

/// Every prefix of the country costs the same: it is the calling code.
fn prefix(country: &Country) -> Json {
    json!([country.calling_code.to_string()])
}

fn named(service: &str, country: &Country) -> Json {
    format!("{service} - {}", country.name).into()
}

fn voice(country: &Country, rates: &Rates, record: &mut Record) {
    let outbound = with(
        [("prefixes", prefix(country)), ("friendly_name", named("Outbound Minute", country))],
        rates.call_out,
    );
    record
        .set("inbound_call_prices", inbound_calls(country, rates.call_in))
        .set("outbound_prefix_prices", json!([outbound]));
}

fn voice_v2(country: &Country, rates: &Rates, record: &mut Record) {
    let outbound = prefixes(country, "Outbound Minute", rates.call_out);
    record
        .set("inbound_call_prices", inbound_calls(country, rates.call_in))
        .set("outbound_prefix_prices", outbound);
}

fn trunking(country: &Country, rates: &Rates, record: &mut Record) {
    let terminating = prefixes(country, "Outbound Trunking Minute", rates.trunk_out);
    record
        .set("originating_call_prices", inbound_calls(country, rates.trunk_in))
        .set("terminating_prefix_prices", terminating);
}

fn prefixes(country: &Country, service: &str, price: i64) -> Json {
    let members = [
        ("destination_prefixes", prefix(country)),
        ("origination_prefixes", anywhere()),
        ("friendly_name", named(service, country)),
    ];
    json!([with(members, price)])
}

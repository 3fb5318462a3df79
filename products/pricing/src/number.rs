//! What a call to or from one number costs (messaging-adjacent §2).

use kernel::ApiError;
use numbering::{Country, E164, Kind};
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};
use tariff::{Micros, Rates};

use crate::Pricing;
use crate::price::{anywhere, with};

// Differs: one price whatever number calls, so the origination number is only echoed.
const ORIGIN: &[Param] = &[Param::address("OriginationNumber")];

macro_rules! fields {
    ($($number:literal),+; $($price:literal),+) => {
        &[
            $(Field::text($number),)+
            Field::text("country"),
            Field::text("iso_country"),
            $(Field::new($price, Wire::Json),)+
            Field::text("price_unit"),
            Field::new("url", Wire::Url),
        ]
    };
}

const fn table(name: &'static str, path: &'static str, fields: &'static [Field]) -> Table {
    Table::product(name, "pricing", "", path)
        .singleton()
        .fields(fields)
        .access(Access::Keys("pricing/numbers"))
}

pub static VOICE: Resource<Pricing> = Resource {
    table: table(
        "VoiceNumber",
        "/v1/Voice/Numbers/{Number}",
        fields!("number"; "outbound_call_price", "inbound_call_price"),
    ),
    ops: &[Op::fetch().by(|pricing, ctx| Box::pin(voice(pricing, ctx)))],
};

pub static VOICE_V2: Resource<Pricing> = Resource {
    table: table(
        "VoiceNumberV2",
        "/v2/Voice/Numbers/{DestinationNumber}",
        fields!("destination_number", "origination_number";
            "outbound_call_prices", "inbound_call_price"),
    ),
    ops: &[Op::fetch().params(ORIGIN).by(|pricing, ctx| Box::pin(voice_v2(pricing, ctx)))],
};

pub static TRUNKING: Resource<Pricing> = Resource {
    table: table(
        "TrunkingNumber",
        "/v2/Trunking/Numbers/{DestinationNumber}",
        fields!("destination_number", "origination_number";
            "terminating_prefix_prices", "originating_call_price"),
    ),
    ops: &[Op::fetch().params(ORIGIN).by(|pricing, ctx| Box::pin(trunking(pricing, ctx)))],
};

/// A number in the path with what it costs.
struct Priced<'a> {
    number: E164,
    country: &'static Country,
    rates: &'a Rates,
    /// It belongs to the account that asks.
    is_own: bool,
}

impl Priced<'_> {
    /// 20404 / 404 when the path names no number of any country.
    async fn find<'a>(
        pricing: &'a Pricing,
        ctx: &Ctx,
        param: &str,
    ) -> Result<Priced<'a>, ApiError> {
        let number = E164::parse(ctx.param(param)).map_err(|_| ctx.not_found())?;
        let country = number.country().ok_or_else(|| ctx.not_found())?;
        let owner = pricing.numbers.owner(&number.to_string()).await;
        let owner = owner.map_err(|_| ApiError::new(20503, "Try again"))?;
        let is_own = owner.is_some_and(|owner| owner.account == ctx.account);
        Ok(Priced { number, country, rates: pricing.tariff.rates(Some(country.iso)), is_own })
    }

    /// The price of calls to it, which only its owner is told.
    fn inbound(&self, price: Micros) -> Json {
        if !self.is_own {
            return json!({"base_price": null, "current_price": null, "number_type": null});
        }
        let number_type = match self.number.kind() {
            Kind::Mobile => "mobile",
            Kind::TollFree => "toll free",
            _ => "local",
        };
        with([("number_type", number_type.into())], price)
    }

    fn record(&self, param: &'static str) -> Record {
        let mut record = Record::at(param, &self.number.to_string());
        record
            .set("country", self.country.name)
            .set("iso_country", self.country.iso)
            .set("price_unit", "USD");
        record
    }

    fn record_v2(&self, ctx: &Ctx) -> Record {
        let mut record = self.record("DestinationNumber");
        record
            .set("destination_number", self.number.to_string())
            .set("origination_number", ctx.form.text("OriginationNumber"));
        record
    }
}

async fn voice(pricing: &Pricing, ctx: &Ctx) -> Result<Reply, ApiError> {
    let priced = Priced::find(pricing, ctx, "Number").await?;
    let mut record = priced.record("Number");
    record
        .set("number", priced.number.to_string())
        .set("outbound_call_price", with([], priced.rates.call_out))
        .set("inbound_call_price", priced.inbound(priced.rates.call_in));
    Ok(Reply::Record(record))
}

async fn voice_v2(pricing: &Pricing, ctx: &Ctx) -> Result<Reply, ApiError> {
    let priced = Priced::find(pricing, ctx, "DestinationNumber").await?;
    let outbound = with([("origination_prefixes", anywhere())], priced.rates.call_out);
    let mut record = priced.record_v2(ctx);
    record
        .set("outbound_call_prices", json!([outbound]))
        .set("inbound_call_price", priced.inbound(priced.rates.call_in));
    Ok(Reply::Record(record))
}

async fn trunking(pricing: &Pricing, ctx: &Ctx) -> Result<Reply, ApiError> {
    let priced = Priced::find(pricing, ctx, "DestinationNumber").await?;
    let members = [
        ("destination_prefixes", json!([priced.country.calling_code.to_string()])),
        ("origination_prefixes", anywhere()),
        ("friendly_name", format!("Outbound Trunking Minute - {}", priced.country.name).into()),
    ];
    let mut record = priced.record_v2(ctx);
    record
        .set("terminating_prefix_prices", json!([with(members, priced.rates.trunk_out)]))
        .set("originating_call_price", priced.inbound(priced.rates.trunk_in));
    Ok(Reply::Record(record))
}

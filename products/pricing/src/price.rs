//! Prices in the forms of the wire (messaging-adjacent §2).

use numbering::NumberType;
use serde_json::{Value as Json, json};
use tariff::{Micros, decimal};

/// Any caller may originate.
pub fn anywhere() -> Json {
    json!(["ALL"])
}

/// A price without discount: the base price is what is paid.
fn of(micros: Micros) -> [(&'static str, Json); 2] {
    [("base_price", decimal(micros).into()), ("current_price", decimal(micros).into())]
}

/// A price with other members before it.
pub fn with(members: impl IntoIterator<Item = (&'static str, Json)>, micros: Micros) -> Json {
    let members = members.into_iter().chain(of(micros));
    Json::Object(members.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What price lists call a type of number: with a space, unlike every other API.
pub fn type_name(kind: NumberType) -> &'static str {
    match kind {
        NumberType::Local => "local",
        NumberType::Mobile => "mobile",
        NumberType::TollFree => "toll free",
        NumberType::National => "national",
        NumberType::SharedCost => "shared cost",
        NumberType::Voip => "voip",
        NumberType::MachineToMachine => "machine to machine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_decimal_strings() {
        let price = with([("number_type", type_name(NumberType::TollFree).into())], 7_900);
        let expected = json!({
            "number_type": "toll free",
            "base_price": "0.0079",
            "current_price": "0.0079",
        });
        assert_eq!(price, expected);
    }
}

//! What is wanted of a payment.

use serde::{Deserialize, Serialize};

use super::captured::{Captured, Field};
use super::card::CardType;
use crate::voice::grammar::{as_flag, split_words};

/// The greatest amount, in units of the currency.
const AMOUNT_MAX: u64 = 1_000_000;
const ACCOUNT_TYPES: [&str; 4] =
    ["consumer-checking", "consumer-savings", "commercial-checking", "commercial-savings"];
const TOKEN_TYPES: [&str; 3] = ["one-time", "reusable", "payment-method"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentMethod {
    CreditCard,
    AchDebit,
}

impl PaymentMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreditCard => "credit-card",
            Self::AchDebit => "ach-debit",
        }
    }
}

/// Whether the postal code is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Postal {
    Asked,
    Unasked,
    /// The application knows it.
    Known(String),
}

/// What the application wants of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub connector: String,
    pub method: PaymentMethod,
    /// Of a bank account.
    pub account_type: Option<String>,
    pub token_type: String,
    /// What is charged; `None`: a token is made.
    pub amount: Option<String>,
    /// ISO 4217, in lower case.
    pub currency: String,
    pub description: Option<String>,
    pub asks_code: bool,
    pub postal: Postal,
    pub postal_length_min: usize,
    pub card_types: Vec<CardType>,
    /// For the connector, as they are.
    pub parameters: Vec<(String, String)>,
}

impl Plan {
    /// Reads a plan from its attributes, which `get` knows by the names of the verb.
    ///
    /// # Errors
    /// 64003, 64006, 64011, 64013, 64017 or 64020, with the attribute.
    pub fn read<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        parameters: Vec<(String, String)>,
    ) -> Result<Self, (u32, String)> {
        let method = match get("paymentMethod") {
            None | Some("credit-card") => PaymentMethod::CreditCard,
            Some("ach-debit") => PaymentMethod::AchDebit,
            Some(other) => return Err((64013, format!("paymentMethod '{other}' is none"))),
        };
        let account_type = get("bankAccountType").map(str::to_owned);
        match (&account_type, method) {
            (Some(_), PaymentMethod::CreditCard) => {
                return Err((64017, "bankAccountType goes with ach-debit alone".to_owned()));
            }
            (Some(kind), _) if !ACCOUNT_TYPES.contains(&kind.as_str()) => {
                return Err((64020, format!("bankAccountType '{kind}' is none")));
            }
            _ => {}
        }
        let token_type = get("tokenType").unwrap_or("reusable");
        if !TOKEN_TYPES.contains(&token_type) {
            return Err((64006, format!("tokenType '{token_type}' is none")));
        }
        let currency = get("currency").unwrap_or("usd").to_ascii_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_lowercase()) {
            return Err((64011, format!("currency '{currency}' is no code of ISO 4217")));
        }
        let postal = match get("postalCode") {
            None => Postal::Asked,
            Some(text) => match as_flag(text) {
                Some(true) => Postal::Asked,
                Some(false) => Postal::Unasked,
                None => Postal::Known(text.to_owned()),
            },
        };
        let mut card_types = Vec::new();
        for word in split_words(get("validCardTypes").unwrap_or("visa mastercard amex")) {
            let kind = CardType::parse(word);
            card_types.push(kind.ok_or_else(|| (64020, format!("validCardTypes: '{word}'")))?);
        }
        let postal_length_min = match get("minPostalCodeLength") {
            None => 1,
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| (64020, format!("minPostalCodeLength '{text}' is no number")))?
                .max(1),
        };
        Ok(Self {
            connector: get("paymentConnector").unwrap_or("Default").to_owned(),
            method,
            account_type: match method {
                PaymentMethod::CreditCard => None,
                PaymentMethod::AchDebit => {
                    Some(account_type.unwrap_or_else(|| ACCOUNT_TYPES[0].to_owned()))
                }
            },
            token_type: token_type.to_owned(),
            amount: amount(get("chargeAmount"))?,
            currency,
            description: get("description").map(str::to_owned),
            asks_code: get("securityCode").and_then(as_flag).unwrap_or(true),
            postal,
            postal_length_min,
            card_types,
            parameters,
        })
    }

    /// What the payer is asked, in order.
    pub fn fields(&self) -> Vec<Field> {
        match self.method {
            PaymentMethod::AchDebit => vec![Field::RoutingNumber, Field::AccountNumber],
            PaymentMethod::CreditCard => {
                let mut fields = vec![Field::CardNumber, Field::ExpirationDate];
                fields.extend(self.asks_code.then_some(Field::SecurityCode));
                fields.extend((self.postal == Postal::Asked).then_some(Field::PostalCode));
                fields
            }
        }
    }

    /// What has not been keyed in yet.
    pub fn missing(&self, captured: &Captured) -> Vec<Field> {
        let mut fields = self.fields();
        fields.retain(|field| captured.get(*field).is_none());
        fields
    }
}

/// A decimal from 0 to [`AMOUNT_MAX`]; `None` for nothing.
fn amount(text: Option<&str>) -> Result<Option<String>, (u32, String)> {
    let Some(text) = text else { return Ok(None) };
    let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let fits = whole.parse::<u64>().is_ok_and(|whole| {
        whole < AMOUNT_MAX || (whole == AMOUNT_MAX && cents.bytes().all(|digit| digit == b'0'))
    });
    if !fits || !is_number(whole) || !is_number(cents) || text.ends_with('.') {
        return Err((64003, format!("chargeAmount '{text}' is no amount from 0 to {AMOUNT_MAX}")));
    }
    let is_zero = text.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    Ok((!is_zero).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attributes: &[(&str, &'static str)]) -> Result<Plan, u32> {
        let get = |name: &str| {
            attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        Plan::read(get, Vec::new()).map_err(|(code, _)| code)
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let plan = read(&[]).unwrap();
        assert_eq!((plan.connector.as_str(), plan.token_type.as_str()), ("Default", "reusable"));
        assert_eq!((plan.amount.as_deref(), plan.currency.as_str()), (None, "usd"));
        assert_eq!(plan.fields().len(), 4);
        let plan = read(&[("securityCode", "false"), ("postalCode", "94105")]).unwrap();
        assert_eq!(plan.fields(), [Field::CardNumber, Field::ExpirationDate]);
        assert_eq!(plan.postal, Postal::Known("94105".into()));
        let plan = read(&[("paymentMethod", "ach-debit")]).unwrap();
        assert_eq!(plan.fields(), [Field::RoutingNumber, Field::AccountNumber]);
        assert_eq!(plan.account_type.as_deref(), Some("consumer-checking"));
    }

    #[test]
    fn a_plan_that_cannot_be_has_its_code() {
        for (name, value, code) in [
            ("paymentMethod", "barter", 64013),
            ("bankAccountType", "consumer-savings", 64017),
            ("tokenType", "forever", 64006),
            ("currency", "dollars", 64011),
            ("validCardTypes", "visa tarot", 64020),
            ("minPostalCodeLength", "x", 64020),
            ("chargeAmount", "-1", 64003),
            ("chargeAmount", "ten", 64003),
            ("chargeAmount", "1000000.01", 64003),
            ("chargeAmount", "+5", 64003),
            ("chargeAmount", "5.", 64003),
        ] {
            assert_eq!(read(&[(name, value)]), Err(code), "{name}={value}");
        }
        for (value, amount) in [("0", None), ("0.00", None), ("20.45", Some("20.45"))] {
            assert_eq!(read(&[("chargeAmount", value)]).unwrap().amount.as_deref(), amount);
        }
    }
}

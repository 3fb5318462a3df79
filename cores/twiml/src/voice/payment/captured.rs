//! What a payer has keyed in, checked and masked.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::card::{CardType, passes_luhn};
use super::plan::{PaymentMethod, Plan, Postal};
use crate::voice::talk::Params;

/// One thing that the payer keys in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    CardNumber,
    ExpirationDate,
    SecurityCode,
    PostalCode,
    RoutingNumber,
    AccountNumber,
}

impl Field {
    pub const ALL: [Self; 6] = [
        Self::CardNumber,
        Self::ExpirationDate,
        Self::SecurityCode,
        Self::PostalCode,
        Self::RoutingNumber,
        Self::AccountNumber,
    ];

    /// As `For`, `Capture` and `<Prompt for>` name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CardNumber => "payment-card-number",
            Self::ExpirationDate => "expiration-date",
            Self::SecurityCode => "security-code",
            Self::PostalCode => "postal-code",
            Self::RoutingNumber => "bank-routing-number",
            Self::AccountNumber => "bank-account-number",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == text)
    }

    /// The name of its value in requests.
    pub fn param(self) -> &'static str {
        match self {
            Self::CardNumber => "PaymentCardNumber",
            Self::ExpirationDate => "ExpirationDate",
            Self::SecurityCode => "SecurityCode",
            Self::PostalCode => "PaymentCardPostalCode",
            Self::RoutingNumber => "BankRoutingNumber",
            Self::AccountNumber => "BankAccountNumber",
        }
    }

    /// What is told when its value is wrong.
    fn error(self) -> &'static str {
        match self {
            Self::CardNumber => "invalid-card-number",
            Self::ExpirationDate => "invalid-date",
            Self::SecurityCode => "invalid-security-code",
            Self::PostalCode => "invalid-postal-code",
            Self::RoutingNumber => "invalid-bank-routing-number",
            Self::AccountNumber => "invalid-bank-account-number",
        }
    }
}

/// The values that are known. Whoever keeps them seals them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    values: Vec<(Field, String)>,
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(field, _)| field)).finish()
    }
}

impl Captured {
    pub fn get(&self, field: Field) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| *known == field);
        found.map(|(_, value)| value.as_str())
    }

    pub fn card_type(&self) -> Option<CardType> {
        self.get(Field::CardNumber).and_then(CardType::of)
    }

    /// The keys after which `field` is complete without a word, for a value that begins like this.
    pub fn is_full(&self, field: Field, digits: &str) -> bool {
        let most = match field {
            Field::CardNumber => CardType::of(digits).map_or(19, CardType::length_max),
            Field::ExpirationDate => 4,
            Field::SecurityCode => self.card_type().map_or(4, CardType::code_length),
            Field::PostalCode => 10,
            Field::RoutingNumber => 9,
            Field::AccountNumber => 17,
        };
        digits.len() >= most
    }

    /// Keeps the value of a field, when it can be one. `month` counts the months since the year 0.
    ///
    /// # Errors
    /// The `ErrorType` of what is wrong with it.
    pub fn keep(
        &mut self,
        field: Field,
        digits: &str,
        plan: &Plan,
        month: u32,
    ) -> Result<(), &'static str> {
        let is_good = match field {
            Field::CardNumber => {
                let kind = CardType::of(digits);
                let is_length = kind
                    .map_or((12..=19).contains(&digits.len()), |k| k.allows_length(digits.len()));
                if !is_length || (kind != Some(CardType::Enroute) && !passes_luhn(digits)) {
                    return Err(field.error());
                }
                if !kind.is_some_and(|kind| kind.is_among(&plan.card_types)) {
                    return Err("invalid-card-type");
                }
                // The code of one card is not that of another.
                self.values.retain(|(known, _)| *known != Field::SecurityCode);
                true
            }
            Field::ExpirationDate => expires(digits).is_some_and(|expires| expires >= month),
            Field::SecurityCode => match self.card_type() {
                None => return Err("invalid-card-number-security-code-capture-sequence"),
                Some(kind) => digits.len() == kind.code_length(),
            },
            Field::PostalCode => (plan.postal_length_min..=10).contains(&digits.len()),
            Field::RoutingNumber => is_routing_number(digits),
            Field::AccountNumber => (4..=17).contains(&digits.len()),
        };
        if !is_good || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(field.error());
        }
        self.values.retain(|(known, _)| *known != field);
        self.values.push((field, digits.to_owned()));
        Ok(())
    }

    /// What requests are told: masked where it is secret.
    pub fn masked(&self, plan: &Plan) -> Params {
        let mut params = vec![("PaymentMethod".to_owned(), plan.method.as_str().to_owned())];
        for (field, value) in &self.values {
            params.push((field.param().to_owned(), mask(*field, value)));
            if let (Field::CardNumber, Some(kind)) = (field, CardType::of(value)) {
                params.push(("PaymentCardType".to_owned(), kind.as_str().to_owned()));
            }
        }
        if let (PaymentMethod::CreditCard, Postal::Known(code)) = (plan.method, &plan.postal) {
            params.push(("PaymentCardPostalCode".to_owned(), code.clone()));
        }
        if let Some(kind) = &plan.account_type {
            params.push(("BankAccountType".to_owned(), kind.clone()));
        }
        params
    }
}

/// Differs: how Twilio writes what it leaves out of bank account numbers is unpublished.
fn mask(field: Field, value: &str) -> String {
    let last = |count: usize| value.get(value.len().saturating_sub(count)..).unwrap_or_default();
    match field {
        Field::CardNumber => format!("xxxx-xxxx-xxxx-{}", last(4)),
        Field::SecurityCode => "***".to_owned(),
        Field::AccountNumber => format!("{}{}", "x".repeat(value.len() - 2), last(2)),
        Field::ExpirationDate | Field::PostalCode | Field::RoutingNumber => value.to_owned(),
    }
}

/// The month of `MMYY`, counted since the year 0.
fn expires(digits: &str) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    let month: u32 = digits.get(..2)?.parse().ok()?;
    let year: u32 = digits.get(2..)?.parse().ok()?;
    (1..=12).contains(&month).then(|| (2000 + year) * 12 + month - 1)
}

/// Nine digits with the checksum of the American Bankers Association.
fn is_routing_number(digits: &str) -> bool {
    let weighted = digits.bytes().zip([3, 7, 1].into_iter().cycle());
    let sum: u32 = weighted.map(|(digit, by)| u32::from(digit.wrapping_sub(b'0')) * by).sum();
    digits.len() == 9 && sum > 0 && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// November 2026.
    const MONTH: u32 = 2026 * 12 + 10;

    fn plan(attributes: &[(&str, &'static str)]) -> Plan {
        let get = |name: &str| {
            attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        };
        Plan::read(get, Vec::new()).unwrap()
    }

    #[test]
    fn values_are_checked() {
        use Field::*;
        let plan = plan(&[("validCardTypes", "visa amex"), ("minPostalCodeLength", "5")]);
        for (field, digits, expected) in [
            (SecurityCode, "123", Err("invalid-card-number-security-code-capture-sequence")),
            (CardNumber, "4242424242424241", Err("invalid-card-number")),
            (CardNumber, "424242424242424", Err("invalid-card-number")),
            (CardNumber, "5555555555554444", Err("invalid-card-type")),
            (CardNumber, "378282246310005", Ok(())),
            (SecurityCode, "123", Err("invalid-security-code")),
            (SecurityCode, "1234", Ok(())),
            (ExpirationDate, "1026", Err("invalid-date")),
            (ExpirationDate, "1330", Err("invalid-date")),
            (ExpirationDate, "126", Err("invalid-date")),
            (ExpirationDate, "1126", Ok(())),
            (PostalCode, "9410", Err("invalid-postal-code")),
            (PostalCode, "94105", Ok(())),
            (RoutingNumber, "110000001", Err("invalid-bank-routing-number")),
            (RoutingNumber, "110000000", Ok(())),
            (AccountNumber, "123", Err("invalid-bank-account-number")),
            (AccountNumber, "000123456789", Ok(())),
        ] {
            let mut captured = Captured::default();
            if field == SecurityCode
                && expected != Err("invalid-card-number-security-code-capture-sequence")
            {
                captured.keep(CardNumber, "378282246310005", &plan, MONTH).unwrap();
            }
            assert_eq!(captured.keep(field, digits, &plan, MONTH), expected, "{field:?} {digits}");
            assert_eq!(captured.get(field).is_some(), expected.is_ok(), "{field:?} {digits}");
        }
    }

    #[test]
    fn what_is_told_is_masked_and_what_is_printed_says_nothing() {
        let plan = plan(&[]);
        let mut captured = Captured::default();
        captured.keep(Field::CardNumber, "4242424242424242", &plan, MONTH).unwrap();
        captured.keep(Field::SecurityCode, "123", &plan, MONTH).unwrap();
        assert_eq!(plan.missing(&captured), [Field::ExpirationDate, Field::PostalCode]);
        let told: Vec<String> =
            captured.masked(&plan).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            told,
            [
                "PaymentMethod=credit-card",
                "PaymentCardNumber=xxxx-xxxx-xxxx-4242",
                "PaymentCardType=visa",
                "SecurityCode=***"
            ]
        );
        assert!(!format!("{captured:?}").contains("4242"));
        // Another card needs its own code.
        captured.keep(Field::CardNumber, "378282246310005", &plan, MONTH).unwrap();
        assert_eq!(captured.get(Field::SecurityCode), None);
    }

    #[test]
    fn a_value_is_full_when_no_key_can_follow() {
        let captured = Captured::default();
        for (field, digits, expected) in [
            (Field::CardNumber, "4242424242424242", false),
            (Field::CardNumber, "5555555555554444", true),
            (Field::CardNumber, "378282246310005", true),
            (Field::ExpirationDate, "123", false),
            (Field::ExpirationDate, "1230", true),
            (Field::RoutingNumber, "110000000", true),
        ] {
            assert_eq!(captured.is_full(field, digits), expected, "{field:?} {digits}");
        }
    }
}

//! Kinds of cards, by the ranges of ISO/IEC 7812 that their issuers publish.

use serde::{Deserialize, Serialize};

/// Differs: an Optima card is an American Express card by its number; `optima` allows those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardType {
    Visa,
    Mastercard,
    Amex,
    Maestro,
    Discover,
    Optima,
    Jcb,
    DinersClub,
    Enroute,
}

impl CardType {
    pub const ALL: [Self; 9] = [
        Self::Visa,
        Self::Mastercard,
        Self::Amex,
        Self::Maestro,
        Self::Discover,
        Self::Optima,
        Self::Jcb,
        Self::DinersClub,
        Self::Enroute,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visa => "visa",
            Self::Mastercard => "mastercard",
            Self::Amex => "amex",
            Self::Maestro => "maestro",
            Self::Discover => "discover",
            Self::Optima => "optima",
            Self::Jcb => "jcb",
            Self::DinersClub => "diners-club",
            Self::Enroute => "enroute",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// The kind of a number, by its first digits.
    pub fn of(number: &str) -> Option<Self> {
        let first = |count: usize| number.get(..count).and_then(|text| text.parse::<u32>().ok());
        let two = first(2)?;
        let four = first(4)?;
        Some(match (two, four) {
            (_, 2014 | 2149) => Self::Enroute,
            (34 | 37, _) => Self::Amex,
            (_, 3528..=3589) => Self::Jcb,
            (36 | 38 | 39, _) | (_, 3000..=3059 | 3095) => Self::DinersClub,
            (40..=49, _) => Self::Visa,
            (51..=55, _) | (_, 2221..=2720) => Self::Mastercard,
            (_, 6011 | 6440..=6499) | (65, _) => Self::Discover,
            (50 | 56..=58 | 60..=69, _) => Self::Maestro,
            _ => return None,
        })
    }

    /// How many digits a number of this kind may have.
    pub fn allows_length(self, digits: usize) -> bool {
        match self {
            Self::Visa => matches!(digits, 13 | 16 | 19),
            Self::Mastercard => digits == 16,
            Self::Amex | Self::Optima | Self::Enroute => digits == 15,
            Self::Discover | Self::Jcb => (16..=19).contains(&digits),
            Self::DinersClub => (14..=19).contains(&digits),
            Self::Maestro => (12..=19).contains(&digits),
        }
    }

    /// The most digits of a number of this kind.
    pub fn length_max(self) -> usize {
        match self {
            Self::Mastercard => 16,
            Self::Amex | Self::Optima | Self::Enroute => 15,
            _ => 19,
        }
    }

    pub fn code_length(self) -> usize {
        if matches!(self, Self::Amex | Self::Optima) { 4 } else { 3 }
    }

    /// Whether a list of kinds has this one.
    pub fn is_among(self, kinds: &[Self]) -> bool {
        kinds.contains(&self) || (self == Self::Amex && kinds.contains(&Self::Optima))
    }
}

/// The check digit of ISO/IEC 7812-1 is right.
pub(super) fn passes_luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|digit| u32::from(digit.wrapping_sub(b'0')));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => 2 * digit - 9,
            (_, digit) => 2 * digit,
        })
        .sum();
    sum.is_multiple_of(10) && number.bytes().any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_its_kind() {
        for (number, kind) in [
            ("4242424242424242", Some(CardType::Visa)),
            ("5555555555554444", Some(CardType::Mastercard)),
            ("2223003122003222", Some(CardType::Mastercard)),
            ("378282246310005", Some(CardType::Amex)),
            ("6011111111111117", Some(CardType::Discover)),
            ("6500000000000002", Some(CardType::Discover)),
            ("3530111333300000", Some(CardType::Jcb)),
            ("30569309025904", Some(CardType::DinersClub)),
            ("36227206271667", Some(CardType::DinersClub)),
            ("6759649826438453", Some(CardType::Maestro)),
            ("201400000000009", Some(CardType::Enroute)),
            ("1111111111111117", None),
            ("4", None),
        ] {
            assert_eq!(CardType::of(number), kind, "{number}");
            if let Some(kind) = kind {
                assert!(kind.allows_length(number.len()), "{number}");
                assert!(number.len() <= kind.length_max(), "{number}");
            }
        }
        for kind in CardType::ALL {
            assert_eq!(CardType::parse(kind.as_str()), Some(kind));
        }
        assert!(CardType::Amex.is_among(&[CardType::Optima]));
        assert!(!CardType::Visa.is_among(&[CardType::Optima]));
    }

    #[test]
    fn a_check_digit_is_checked() {
        for good in ["4242424242424242", "378282246310005", "6011111111111117"] {
            assert!(passes_luhn(good), "{good}");
            let wrong = format!("{}1", &good[..good.len() - 1]);
            assert_eq!(passes_luhn(&wrong), good.ends_with('1'), "{wrong}");
        }
        assert!(!passes_luhn("0000000000000000"));
    }
}

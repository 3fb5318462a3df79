//! What somebody typed as a number, however wrong it is.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, ValidationError,
};

use crate::country::Country;
use crate::e164::E164;

/// Longest text that is looked at.
const CHARS_MAX: usize = 250;

/// Why a number is none that anybody could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    TooShort,
    TooLong,
    InvalidButPossible,
    InvalidCountryCode,
    InvalidLength,
    NotANumber,
}

impl Invalid {
    /// As Lookup words it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "TOO_SHORT",
            Self::TooLong => "TOO_LONG",
            Self::InvalidButPossible => "INVALID_BUT_POSSIBLE",
            Self::InvalidCountryCode => "INVALID_COUNTRY_CODE",
            Self::InvalidLength => "INVALID_LENGTH",
            Self::NotANumber => "NOT_A_NUMBER",
        }
    }
}

/// What is known of a text that should be a number.
#[derive(Clone, Debug)]
pub struct Examined {
    /// In E.164 form as far as it has one: `+` and what was given otherwise.
    pub text: String,
    /// The number, if it has the shape of one.
    pub number: Option<E164>,
    /// As people of that country write it.
    pub national: Option<String>,
    pub country: Option<&'static Country>,
    /// `None`: it is valid.
    pub fault: Option<Invalid>,
}

/// Reads `text`, which is a number of the country `region` (ISO code) unless it begins with a
/// plus sign or names another.
pub fn examine(text: &str, region: &str) -> Examined {
    let nothing = |fault| {
        let code = Country::by_iso(region).map_or(1, |country| country.calling_code);
        let plain = text.trim().trim_start_matches('+');
        let shown = match text.trim().starts_with('+') {
            true => format!("+{plain}"),
            false => format!("+{code}{plain}"),
        };
        Examined { text: shown, number: None, national: None, country: None, fault: Some(fault) }
    };
    if text.chars().count() > CHARS_MAX {
        return nothing(Invalid::NotANumber);
    }
    let region = Country::by_iso(region).and_then(|country| country.iso.parse().ok());
    let parsed = match PHONE_NUMBER_UTIL.parse(text, region) {
        Ok(parsed) => parsed,
        Err(ParseError::InvalidCountryCode) => return nothing(Invalid::InvalidCountryCode),
        Err(ParseError::TooShortAfterIdd | ParseError::TooShortNsn) => {
            return nothing(Invalid::TooShort);
        }
        Err(ParseError::TooLongNsn) => return nothing(Invalid::TooLong),
        Err(_) => return nothing(Invalid::NotANumber),
    };
    let shown = PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164).into_owned();
    let number = E164::parse(&shown).ok();
    // What we hold valid is: fictional numbers among them.
    let is_valid = match number {
        Some(number) => number.is_valid(),
        None => PHONE_NUMBER_UTIL.is_valid_number(&parsed),
    };
    let fault = match PHONE_NUMBER_UTIL.is_possible_number_with_reason(&parsed) {
        _ if is_valid => None,
        Ok(NumberLengthType::IsPossible | NumberLengthType::IsPossibleLocalOnly) => {
            Some(Invalid::InvalidButPossible)
        }
        Err(ValidationError::InvalidCountryCode) => Some(Invalid::InvalidCountryCode),
        Err(ValidationError::TooShort) => Some(Invalid::TooShort),
        Err(ValidationError::InvalidLength) => Some(Invalid::InvalidLength),
        Err(ValidationError::TooLong) => Some(Invalid::TooLong),
    };
    let national = match number {
        Some(number) if is_valid => number.national_format(),
        _ => PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::National).into_owned(),
    };
    Examined {
        text: shown,
        country: number.and_then(E164::country),
        number,
        national: Some(national),
        fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_number_has_a_name() {
        for (text, region, shown, fault) in [
            ("+14155552671", "US", "+14155552671", None),
            ("(415) 555-2671", "US", "+14155552671", None),
            ("020 7946 0958", "GB", "+442079460958", None),
            ("+44 20 7946 0958", "US", "+442079460958", None),
            ("+1415555", "US", "+1415555", Some(Invalid::TooShort)),
            ("+141555526710", "US", "+141555526710", Some(Invalid::TooLong)),
            ("+12001230101", "US", "+12001230101", Some(Invalid::InvalidButPossible)),
            ("+9991234567", "US", "+9991234567", Some(Invalid::InvalidCountryCode)),
            ("notanumber", "US", "+1notanumber", Some(Invalid::NotANumber)),
        ] {
            let found = examine(text, region);
            assert_eq!((&*found.text, found.fault), (shown, fault), "{text}");
        }
        assert_eq!(examine("(415) 555-2671", "US").national.as_deref(), Some("(415) 555-2671"));
        assert_eq!(examine(&"1".repeat(1000), "US").fault, Some(Invalid::NotANumber));
    }
}

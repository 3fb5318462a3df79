//! One telephone number in international form, and what the numbering plans say about it.

use std::fmt;
use std::str::FromStr;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType};
use thiserror::Error;

use crate::country::Country;
use crate::place::Place;

/// An E.164 number: 7 to 15 digits, the first not zero (ITU-T E.164 §6).
///
/// The digits are one integer, so the type is `Copy`, eight bytes, and free to compare. Shape only:
/// [`E164::is_valid`] asks the numbering plans.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(u64);

/// The text is not `+` and 7 to 15 digits of which the first is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a number in E.164 form")]
pub struct NotE164;

/// What a number is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    FixedLine,
    Mobile,
    /// The plan does not tell them apart, as in North America.
    FixedLineOrMobile,
    TollFree,
    Premium,
    SharedCost,
    Voip,
    Personal,
    Pager,
    /// One number for all offices of a company (libphonenumber's UAN).
    Company,
    Voicemail,
    Unknown,
}

const SMALLEST: u64 = 1_000_000;
const LARGEST: u64 = 999_999_999_999_999;
/// `+1` and ten digits.
const NANP: std::ops::RangeInclusive<u64> = 10_000_000_000..=19_999_999_999;

impl E164 {
    /// Strict: `+` and digits, nothing else. [`crate::Address`] is the lenient door.
    pub fn parse(text: &str) -> Result<E164, NotE164> {
        E164::from_digits(text.strip_prefix('+').ok_or(NotE164)?)
    }

    /// From digits that begin with the calling code, without `+`.
    pub fn from_digits(digits: &str) -> Result<E164, NotE164> {
        if digits.len() > 15 || digits.starts_with('0') {
            return Err(NotE164);
        }
        let mut value = 0;
        for byte in digits.bytes() {
            if !byte.is_ascii_digit() {
                return Err(NotE164);
            }
            value = value * 10 + u64::from(byte - b'0');
        }
        E164::from_u64(value).ok_or(NotE164)
    }

    /// From the digits as an integer; `None` outside of 7 to 15 digits.
    pub fn from_u64(digits: u64) -> Option<E164> {
        (SMALLEST..=LARGEST).contains(&digits).then_some(E164(digits))
    }

    /// The digits as an integer, calling code first.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The country whose plan the number is in; toll-free and other shared `+1` numbers count as
    /// US. `None` for unassigned and supranational codes.
    pub fn country(self) -> Option<&'static Country> {
        Country::by_digits(self.0)
    }

    /// Could this number exist? Length and leading digits by the country's plan.
    ///
    // Differs: fictional North American numbers (555 as area code or exchange) are valid here,
    // because programs under development use them.
    pub fn is_valid(self) -> bool {
        match self.nanp() {
            Some(Nanp::Shared(kind)) => kind.is_some(),
            Some(Nanp::Elsewhere) | None => {
                self.in_library().is_some_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number))
            }
        }
    }

    /// What the number is used for; `Unknown` if it is not valid.
    pub fn kind(self) -> Kind {
        match self.nanp() {
            Some(Nanp::Shared(kind)) => kind.unwrap_or(Kind::Unknown),
            Some(Nanp::Elsewhere) | None => self.in_library().map_or(Kind::Unknown, |number| {
                Kind::from_library(PHONE_NUMBER_UTIL.get_number_type(&number))
            }),
        }
    }

    /// As people of that country write it: `(415) 555-2671`, `020 7946 0958`.
    pub fn national_format(self) -> String {
        if NANP.contains(&self.0) {
            let digits = self.0 % 10_000_000_000;
            let (area, exchange, line) =
                (digits / 10_000_000, digits / 10_000 % 1000, digits % 10_000);
            return format!("({area:03}) {exchange:03}-{line:04}");
        }
        match self.in_library() {
            Some(number) => {
                PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National).into_owned()
            }
            None => self.0.to_string(),
        }
    }

    /// `(415, 555)` of `+14155552671`; `None` outside of calling code 1.
    pub(crate) fn area_code_and_exchange(self) -> Option<(u16, u16)> {
        if !NANP.contains(&self.0) {
            return None;
        }
        let area_code = u16::try_from(self.0 / 10_000_000 % 1000).ok()?;
        let exchange = u16::try_from(self.0 / 10_000 % 1000).ok()?;
        Some((area_code, exchange))
    }

    /// The rules of the North American plan, which need no tables of patterns.
    fn nanp(self) -> Option<Nanp> {
        let (area_code, exchange) = self.area_code_and_exchange()?;
        if area_code == 555 || (exchange == 555 && area_code >= 200) {
            return Some(Nanp::Shared(Some(service(area_code).unwrap_or(Kind::FixedLineOrMobile))));
        }
        let is_exchange = exchange >= 200 && exchange % 100 != 11;
        if let Some(kind) = service(area_code) {
            return Some(Nanp::Shared(is_exchange.then_some(kind)));
        }
        if Place::of_area_code(area_code).is_empty() {
            return Some(Nanp::Elsewhere);
        }
        Some(Nanp::Shared(is_exchange.then_some(Kind::FixedLineOrMobile)))
    }

    fn in_library(self) -> Option<PhoneNumber> {
        PHONE_NUMBER_UTIL.parse(self.to_string(), None).ok()
    }
}

/// Who rules over a `+1` number.
enum Nanp {
    /// The common rules; `None` if they forbid the number.
    Shared(Option<Kind>),
    /// An island with a plan of its own, or an area code not in use.
    Elsewhere,
}

/// The use of a non-geographic area code (checked by test against the library).
fn service(area_code: u16) -> Option<Kind> {
    match area_code {
        800 | 833 | 844 | 855 | 866 | 877 | 888 => Some(Kind::TollFree),
        900 => Some(Kind::Premium),
        500 | 521..=529 | 533 | 544 | 566 | 577 | 588 => Some(Kind::Personal),
        _ => None,
    }
}

impl Kind {
    fn from_library(kind: PhoneNumberType) -> Kind {
        match kind {
            PhoneNumberType::FixedLine => Kind::FixedLine,
            PhoneNumberType::Mobile => Kind::Mobile,
            PhoneNumberType::FixedLineOrMobile => Kind::FixedLineOrMobile,
            PhoneNumberType::TollFree => Kind::TollFree,
            PhoneNumberType::PremiumRate => Kind::Premium,
            PhoneNumberType::SharedCost => Kind::SharedCost,
            PhoneNumberType::VoIP => Kind::Voip,
            PhoneNumberType::PersonalNumber => Kind::Personal,
            PhoneNumberType::Pager => Kind::Pager,
            PhoneNumberType::UAN => Kind::Company,
            PhoneNumberType::VoiceMail => Kind::Voicemail,
            PhoneNumberType::Unknown => Kind::Unknown,
        }
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// The same as `Display`; redaction is the caller's duty.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for E164 {
    type Err = NotE164;

    fn from_str(text: &str) -> Result<E164, NotE164> {
        E164::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn shape() {
        for text in ["", "+", "14155550100", "+0123456789", "+123456", "+1234567890123456", "+1 4"]
        {
            assert_eq!(E164::parse(text), Err(NotE164), "{text}");
        }
        assert_eq!(number("+1234567").to_string(), "+1234567");
        assert_eq!(number("+999999999999999").as_u64(), LARGEST);
        assert_eq!(size_of::<E164>(), 8);
    }

    #[test]
    fn validity_and_kind() {
        for (text, is_valid, kind) in [
            ("+14155550100", true, Kind::FixedLineOrMobile),
            ("+15551234567", true, Kind::FixedLineOrMobile),
            ("+15005550006", true, Kind::Personal),
            ("+14155552671", true, Kind::FixedLineOrMobile),
            ("+14152115555", false, Kind::Unknown),
            ("+14151234567", false, Kind::Unknown),
            ("+11155550100", false, Kind::Unknown),
            ("+1234567890", false, Kind::Unknown),
            ("+12999999999", false, Kind::Unknown),
            ("+18005550100", true, Kind::TollFree),
            ("+18884567890", true, Kind::TollFree),
            ("+19002345678", true, Kind::Premium),
            ("+442079460958", true, Kind::FixedLine),
            ("+447400123456", true, Kind::Mobile),
            ("+390236618300", true, Kind::FixedLine),
            ("+97233142764978", false, Kind::Unknown),
            ("+883510012345678", true, Kind::Voip),
            ("+9991234567", false, Kind::Unknown),
        ] {
            assert_eq!((number(text).is_valid(), number(text).kind()), (is_valid, kind), "{text}");
        }
    }

    #[test]
    fn national_forms() {
        assert_eq!(number("+14155552671").national_format(), "(415) 555-2671");
        assert_eq!(number("+442079460958").national_format(), "020 7946 0958");
        assert_eq!(number("+9991234567").national_format(), "9991234567");
    }

    proptest! {
        #[test]
        fn text_round_trips(digits in SMALLEST..=LARGEST) {
            let number = E164::from_u64(digits).unwrap();
            prop_assert_eq!(E164::parse(&number.to_string()), Ok(number));
            number.is_valid();
            number.national_format();
            number.country();
        }

        /// The rules written out agree with the library wherever both know the area code, except
        /// for exchanges N11 and 555, which the library does not single out.
        #[test]
        fn written_rules_agree_with_the_library(digits in 12_000_000_000_u64..20_000_000_000) {
            let number = E164::from_u64(digits).unwrap();
            let (area_code, exchange) = number.area_code_and_exchange().unwrap();
            let newer = [357, 436, 457, 465, 471, 483, 621, 624, 679, 729, 837, 861, 924];
            let library = number.in_library().unwrap();
            if number.is_valid() && area_code != 555 && exchange != 555
                && !newer.contains(&area_code) {
                prop_assert!(PHONE_NUMBER_UTIL.is_valid_number(&library), "{number}");
            }
            if PHONE_NUMBER_UTIL.is_valid_number(&library) && exchange % 100 != 11 {
                prop_assert!(number.is_valid(), "{number}");
            }
        }
    }
}

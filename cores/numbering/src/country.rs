//! Countries: whose numbers they are, what can be bought there, who may send under a name.

use crate::country_table::{PREFIXES, ROWS};

/// The kinds of number that can be bought (Twilio docs: AvailablePhoneNumbers sub-resources).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberType {
    Local,
    Mobile,
    TollFree,
    National,
    SharedCost,
    Voip,
    MachineToMachine,
}

impl NumberType {
    /// All types, in the order in which the wire lists them.
    pub const ALL: [NumberType; 7] = [
        NumberType::Local,
        NumberType::TollFree,
        NumberType::Mobile,
        NumberType::National,
        NumberType::SharedCost,
        NumberType::Voip,
        NumberType::MachineToMachine,
    ];

    /// The last segment of the resource's path, such as `TollFree`.
    pub fn path(self) -> &'static str {
        match self {
            NumberType::Local => "Local",
            NumberType::Mobile => "Mobile",
            NumberType::TollFree => "TollFree",
            NumberType::National => "National",
            NumberType::SharedCost => "SharedCost",
            NumberType::Voip => "Voip",
            NumberType::MachineToMachine => "MachineToMachine",
        }
    }

    /// The key under `subresource_uris`, such as `toll_free`.
    pub fn key(self) -> &'static str {
        match self {
            NumberType::Local => "local",
            NumberType::Mobile => "mobile",
            NumberType::TollFree => "toll_free",
            NumberType::National => "national",
            NumberType::SharedCost => "shared_cost",
            NumberType::Voip => "voip",
            NumberType::MachineToMachine => "machine_to_machine",
        }
    }

    /// The type whose path segment this is; exact, as paths are.
    pub fn from_path(segment: &str) -> Option<NumberType> {
        NumberType::ALL.into_iter().find(|kind| kind.path() == segment)
    }
}

/// What a number can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    pub voice: bool,
    pub sms: bool,
    pub mms: bool,
    pub fax: bool,
}

impl Capabilities {
    pub const VOICE: Capabilities =
        Capabilities { voice: true, sms: false, mms: false, fax: false };
    pub const SMS: Capabilities = Capabilities { voice: false, sms: true, mms: false, fax: false };
    pub const VOICE_SMS: Capabilities =
        Capabilities { voice: true, sms: true, mms: false, fax: false };
    pub const VOICE_SMS_MMS: Capabilities =
        Capabilities { voice: true, sms: true, mms: true, fax: false };
}

/// Which address an account must hold before it may own a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressRequirements {
    /// No address.
    None,
    /// Any address in the world.
    Any,
    /// An address in the number's country or city.
    Local,
    /// An address outside of the number's country is enough.
    Foreign,
}

impl AddressRequirements {
    /// The wire value, such as `local`.
    pub fn as_str(self) -> &'static str {
        match self {
            AddressRequirements::None => "none",
            AddressRequirements::Any => "any",
            AddressRequirements::Local => "local",
            AddressRequirements::Foreign => "foreign",
        }
    }
}

/// Whether messages into a country may come from a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlphaSender {
    /// Any name, at once.
    Supported,
    /// Only a name registered there beforehand.
    Registration,
    /// Never: networks refuse or rewrite it.
    Unsupported,
}

/// A range of national numbers: digits, and `x` for any digit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) digits: &'static str,
    pub(crate) locality: Option<&'static str>,
}

/// One type of number that a country offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub number_type: NumberType,
    pub capabilities: Capabilities,
    pub address_requirements: AddressRequirements,
    /// Empty in the countries whose numbers come from the area-code table.
    pub(crate) blocks: &'static [Block],
}

/// A country or territory with numbers of its own.
#[derive(Clone, Copy, Debug)]
pub struct Country {
    /// ISO 3166-1 alpha-2, upper case; `XK` for Kosovo.
    pub iso: &'static str,
    /// English name.
    pub name: &'static str,
    /// 1–999; shared by several countries in a few cases (1, 7, 44 …).
    pub calling_code: u16,
    /// May a message to this country come from a name?
    pub alphanumeric: AlphaSender,
    /// Are numbers here new to the platform? The wire's `beta`.
    pub beta: bool,
    /// What can be bought; empty when nothing can.
    pub offers: &'static [Offer],
}

impl Country {
    /// Every country, sorted by ISO code.
    pub fn all() -> &'static [Country] {
        ROWS
    }

    /// The country of an ISO 3166-1 alpha-2 code, in either case.
    pub fn by_iso(iso: &str) -> Option<&'static Country> {
        let &[first, second] = iso.as_bytes() else { return None };
        let wanted = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        let at = ROWS.binary_search_by(|row| row.iso.as_bytes().cmp(&wanted[..])).ok()?;
        ROWS.get(at)
    }

    /// The offer of one type, if this country has it.
    pub fn offer(&self, number_type: NumberType) -> Option<&'static Offer> {
        self.offers.iter().find(|offer| offer.number_type == number_type)
    }

    /// Do this country's numbers carry area codes with known places (US, CA, PR)?
    pub fn has_area_codes(&self) -> bool {
        matches!(self.iso, "US" | "CA" | "PR")
    }

    /// Whose number begins with these digits (calling code first)? Longest prefix wins.
    pub(crate) fn by_digits(digits: u64) -> Option<&'static Country> {
        let mut prefix = digits;
        while prefix > PREFIX_MAX {
            prefix /= 10;
        }
        while prefix > 0 {
            let wanted = u32::try_from(prefix).ok()?;
            if let Ok(at) = PREFIXES.binary_search_by_key(&wanted, |&(known, _)| known) {
                return Country::by_iso(PREFIXES[at].1);
            }
            prefix /= 10;
        }
        None
    }
}

/// Prefixes in the table have at most seven digits.
const PREFIX_MAX: u64 = 9_999_999;

pub(crate) const fn country(
    iso: &'static str,
    name: &'static str,
    calling_code: u16,
    alphanumeric: AlphaSender,
    offers: &'static [Offer],
) -> Country {
    Country { iso, name, calling_code, alphanumeric, beta: false, offers }
}

impl Country {
    pub(crate) const fn in_beta(self) -> Country {
        Country { beta: true, ..self }
    }
}

pub(crate) const fn offer(
    number_type: NumberType,
    capabilities: Capabilities,
    address_requirements: AddressRequirements,
    blocks: &'static [Block],
) -> Offer {
    Offer { number_type, capabilities, address_requirements, blocks }
}

pub(crate) const fn block(digits: &'static str) -> Block {
    Block { digits, locality: None }
}

pub(crate) const fn city(digits: &'static str, locality: &'static str) -> Block {
    Block { digits, locality: Some(locality) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_refer_to_each_other() {
        assert!(ROWS.windows(2).all(|pair| pair[0].iso < pair[1].iso));
        assert!(PREFIXES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(PREFIXES.iter().all(|&(prefix, _)| u64::from(prefix) <= PREFIX_MAX));
        for (prefix, iso) in PREFIXES {
            let country = Country::by_iso(iso).expect("every prefix names a country");
            assert!(prefix.to_string().starts_with(&country.calling_code.to_string()), "{prefix}");
        }
        // These share the numbers of Guadeloupe, which cannot be told apart by prefix.
        for country in ROWS.iter().filter(|country| !["BL", "MF"].contains(&country.iso)) {
            assert!(PREFIXES.iter().any(|&(_, iso)| iso == country.iso), "{}", country.iso);
        }
    }

    #[test]
    fn at_least_sixty_countries_sell_numbers() {
        assert!(ROWS.iter().filter(|country| !country.offers.is_empty()).count() >= 60);
    }

    #[test]
    fn the_longest_prefix_names_the_country() {
        for (digits, iso) in [
            (14155552671, "US"),
            (16045550100, "CA"),
            (17875550100, "PR"),
            (18765550100, "JM"),
            (18005550100, "US"),
            (442079460000, "GB"),
            (441534700000, "JE"),
            (77012345678, "KZ"),
            (79161234567, "RU"),
            (390669812345, "VA"),
            (390694712345, "IT"),
        ] {
            assert_eq!(Country::by_digits(digits).map(|country| country.iso), Some(iso));
        }
        assert!(Country::by_digits(9991234567).is_none());
        assert!(Country::by_digits(0).is_none());
    }

    #[test]
    fn iso_codes_are_found_in_either_case() {
        assert_eq!(Country::by_iso("gb").map(|country| country.name), Some("United Kingdom"));
        assert!(Country::by_iso("ZZ").is_none());
        assert!(Country::by_iso("é").is_none());
    }

    #[test]
    fn paths_of_types_round_trip() {
        for kind in NumberType::ALL {
            assert_eq!(NumberType::from_path(kind.path()), Some(kind));
        }
    }
}

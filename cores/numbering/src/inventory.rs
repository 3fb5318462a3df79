//! Numbers to buy: endless, deterministic, and real in shape.
//!
//! There is no stock. A search walks the number ranges of a country in a fixed scattered order and
//! yields the valid numbers that satisfy the filter; what is already taken, the caller says.

use std::collections::HashSet;

use thiserror::Error;

use crate::contains::{Contains, Mask};
use crate::country::{AddressRequirements, Capabilities, Country, NumberType, Offer};
use crate::e164::{E164, Kind};
use crate::place::{LatLong, Place};

/// A number that can be bought (Twilio docs: AvailablePhoneNumbers). `None` is the wire's null.
#[derive(Clone, Debug, PartialEq)]
pub struct AvailableNumber {
    /// `(415) 555-2671` in North America, E.164 elsewhere.
    pub friendly_name: String,
    pub phone_number: E164,
    pub number_type: NumberType,
    /// Local access and transport area; 888 in Canada.
    pub lata: Option<u16>,
    pub locality: Option<&'static str>,
    pub rate_center: Option<&'static str>,
    /// Degrees, of the city.
    pub latitude: Option<f64>,
    /// Degrees, of the city.
    pub longitude: Option<f64>,
    /// State or province, two letters.
    pub region: Option<&'static str>,
    pub postal_code: Option<&'static str>,
    pub iso_country: &'static str,
    pub address_requirements: AddressRequirements,
    pub beta: bool,
    pub capabilities: Capabilities,
}

/// What the numbers of a search must be; `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Three digits. Countries with area codes only, as all geographic filters but `in_locality`.
    pub area_code: Option<u16>,
    /// A pattern of 2 to 16 characters.
    pub contains: Option<String>,
    pub sms_enabled: Option<bool>,
    pub mms_enabled: Option<bool>,
    pub voice_enabled: Option<bool>,
    pub fax_enabled: Option<bool>,
    pub exclude_all_address_required: bool,
    pub exclude_local_address_required: bool,
    pub exclude_foreign_address_required: bool,
    /// `Some(false)` excludes numbers new to the platform.
    pub beta: Option<bool>,
    /// Near the city of this number.
    pub near_number: Option<E164>,
    /// Near this point; wins over `near_number`.
    pub near_lat_long: Option<LatLong>,
    /// Statute miles for the two above, 0 to 500; 25 if not given.
    pub distance: Option<u32>,
    pub in_postal_code: Option<String>,
    pub in_region: Option<String>,
    /// Needs `in_lata`.
    pub in_rate_center: Option<String>,
    pub in_lata: Option<u16>,
    pub in_locality: Option<String>,
}

/// Why a search cannot be made. The first two are 404 on the wire, the rest 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    #[error("no country has this ISO code, or none of its numbers are sold")]
    UnknownCountry,
    #[error("the country does not offer this type of number")]
    UnknownType,
    /// Holds the parameter's name.
    #[error("{0} can be used in the United States and Canada only")]
    NorthAmericaOnly(&'static str),
    #[error("AreaCode has three digits, from 200")]
    AreaCode,
    #[error("Contains has 2 to 16 characters")]
    ContainsLength,
    #[error("Contains has a character that is no digit, letter or sign")]
    ContainsCharacter,
    #[error("Contains needs two digits or letters beside a wildcard, and one otherwise")]
    ContainsLiterals,
    #[error("Contains has a wildcard between digits; wildcards go to the ends")]
    ContainsWildcard,
    #[error("Contains has signs next to each other that mean nothing together")]
    ContainsAdjacent,
    #[error("Distance is at most 500 miles")]
    Distance,
    #[error("NearNumber has no known place")]
    NearNumber,
    #[error("InRateCenter needs InLata")]
    RateCenterWithoutLata,
}

/// Miles around `Near*` when the filter names none (Twilio docs: AvailablePhoneNumbers).
const DISTANCE_DEFAULT: u32 = 25;
/// Most miles around `Near*` (same source).
const DISTANCE_MAX: u32 = 500;
/// Most numbers one search returns (the largest page of the API).
const LIMIT_MAX: usize = 1000;
/// Most candidates one search looks at, which bounds a barren one to about 10 ms in
/// North America and 80 ms elsewhere.
const CANDIDATES_MAX: usize = 30_000;

/// Finds numbers to buy: at most `limit` (and 1000), without those that `is_taken`.
///
/// Fewer than `limit` when the filter leaves fewer, or so few that they are not among the first
/// 30,000 candidates.
pub fn search(
    country: &str,
    number_type: NumberType,
    filter: &Filter,
    limit: usize,
    is_taken: &dyn Fn(E164) -> bool,
) -> Result<Vec<AvailableNumber>, FilterError> {
    let country = Country::by_iso(country)
        .filter(|country| !country.offers.is_empty())
        .ok_or(FilterError::UnknownCountry)?;
    let offer = country.offer(number_type).ok_or(FilterError::UnknownType)?;
    let query = Query::new(country, filter)?;
    if !query.admits_offer(offer) {
        return Ok(Vec::new());
    }
    let limit = limit.min(LIMIT_MAX);
    let mut found: Vec<AvailableNumber> = Vec::new();
    let mut seen = HashSet::new();
    for candidate in Walk::new(query.ranges(offer)).take(CANDIDATES_MAX) {
        if found.len() == limit {
            break;
        }
        if !seen.insert(candidate) || !is_of(candidate, country, number_type) {
            continue;
        }
        let number = describe(candidate, country, offer);
        if query.admits(&number) && !is_taken(candidate) {
            found.push(number);
        }
    }
    Ok(found)
}

/// The number as the inventory would offer it: any valid number of a country and type on offer can
/// be bought, whether a search would come upon it or not. `None` if it cannot.
pub fn contains(number: E164) -> Option<AvailableNumber> {
    if !number.is_valid() {
        return None;
    }
    let country = number.country()?;
    let offer = country.offer(type_of(number, country)?)?;
    Some(describe(number, country, offer))
}

/// The type by the country's own ranges first, since plans draw the line differently (a German
/// national number is a fixed line to the library), then by use.
fn type_of(number: E164, country: &Country) -> Option<NumberType> {
    let kind = number.kind();
    if kind == Kind::Premium {
        return None;
    }
    let digits = number.as_u64().to_string();
    let by_range = country.offers.iter().find(|offer| {
        offer.blocks.iter().any(|block| is_in(&digits, &range(country, block.digits)))
    });
    let by_kind = || {
        let choices: &[NumberType] = match kind {
            Kind::FixedLine => &[NumberType::Local],
            Kind::Mobile => &[NumberType::Mobile],
            Kind::FixedLineOrMobile => &[NumberType::Local, NumberType::Mobile],
            Kind::TollFree => &[NumberType::TollFree],
            Kind::SharedCost => &[NumberType::SharedCost],
            Kind::Voip => &[NumberType::Voip, NumberType::National],
            Kind::Company => &[NumberType::National],
            Kind::Premium | Kind::Personal | Kind::Pager | Kind::Voicemail | Kind::Unknown => &[],
        };
        choices.iter().copied().find(|&choice| country.offer(choice).is_some())
    };
    by_range.map(|offer| offer.number_type).or_else(by_kind)
}

/// May a candidate from the ranges of a type be sold as such?
fn is_of(number: E164, country: &Country, number_type: NumberType) -> bool {
    if !number.is_valid() {
        return false;
    }
    if number_type == NumberType::TollFree && country.calling_code == 1 {
        return true; // Toll-free codes are shared by the whole of North America.
    }
    number.country().is_some_and(|home| home.iso == country.iso)
        && type_of(number, country) == Some(number_type)
}

fn describe(number: E164, country: &'static Country, offer: &Offer) -> AvailableNumber {
    let place = Place::of(number);
    let digits = number.as_u64().to_string();
    let in_block = || {
        let block = offer.blocks.iter().find(|block| is_in(&digits, &range(country, block.digits)));
        block.and_then(|block| block.locality)
    };
    let friendly_name =
        if country.calling_code == 1 { number.national_format() } else { number.to_string() };
    AvailableNumber {
        friendly_name,
        phone_number: number,
        number_type: offer.number_type,
        lata: place.map(|place| place.lata),
        locality: place.map(|place| place.locality).or_else(in_block),
        rate_center: place.map(|place| place.rate_center),
        latitude: place.map(|place| place.position.latitude),
        longitude: place.map(|place| place.position.longitude),
        region: place.map(|place| place.region),
        postal_code: place.map(|place| place.postal_code),
        iso_country: country.iso,
        address_requirements: offer.address_requirements,
        beta: country.beta,
        capabilities: offer.capabilities,
    }
}

/// A filter checked and resolved against a country.
struct Query<'a> {
    country: &'static Country,
    filter: &'a Filter,
    contains: Option<Contains>,
    /// A centre and a radius in miles.
    near: Option<(LatLong, f64)>,
}

impl<'a> Query<'a> {
    fn new(country: &'static Country, filter: &'a Filter) -> Result<Query<'a>, FilterError> {
        if !country.has_area_codes() {
            let used = [
                ("AreaCode", filter.area_code.is_some()),
                ("NearNumber", filter.near_number.is_some()),
                ("NearLatLong", filter.near_lat_long.is_some()),
                ("Distance", filter.distance.is_some()),
                ("InPostalCode", filter.in_postal_code.is_some()),
                ("InRegion", filter.in_region.is_some()),
                ("InRateCenter", filter.in_rate_center.is_some()),
                ("InLata", filter.in_lata.is_some()),
            ];
            if let Some((name, _)) = used.into_iter().find(|&(_, is_used)| is_used) {
                return Err(FilterError::NorthAmericaOnly(name));
            }
        }
        if filter.area_code.is_some_and(|code| !(200..=999).contains(&code)) {
            return Err(FilterError::AreaCode);
        }
        if filter.in_rate_center.is_some() && filter.in_lata.is_none() {
            return Err(FilterError::RateCenterWithoutLata);
        }
        let distance = filter.distance.unwrap_or(DISTANCE_DEFAULT);
        if distance > DISTANCE_MAX {
            return Err(FilterError::Distance);
        }
        let centre = match (filter.near_lat_long, filter.near_number) {
            (Some(point), _) => Some(point),
            (None, Some(number)) => {
                Some(Place::of(number).ok_or(FilterError::NearNumber)?.position)
            }
            (None, None) => None,
        };
        let contains = filter.contains.as_deref().map(Contains::parse).transpose()?;
        let near = centre.map(|centre| (centre, f64::from(distance)));
        Ok(Query { country, filter, contains, near })
    }

    /// The filters that hold for all numbers of an offer or for none.
    fn admits_offer(&self, offer: &Offer) -> bool {
        let equals = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let filter = self.filter;
        let is_excluded = match offer.address_requirements {
            AddressRequirements::None => false,
            AddressRequirements::Any => filter.exclude_all_address_required,
            AddressRequirements::Local => filter.exclude_local_address_required,
            AddressRequirements::Foreign => filter.exclude_foreign_address_required,
        };
        equals(filter.voice_enabled, offer.capabilities.voice)
            && equals(filter.sms_enabled, offer.capabilities.sms)
            && equals(filter.mms_enabled, offer.capabilities.mms)
            && equals(filter.fax_enabled, offer.capabilities.fax)
            && !(filter.beta == Some(false) && self.country.beta)
            && !is_excluded
    }

    /// The filters about where a number is.
    fn admits(&self, number: &AvailableNumber) -> bool {
        let filter = self.filter;
        let position = number
            .latitude
            .zip(number.longitude)
            .map(|(latitude, longitude)| LatLong { latitude, longitude });
        let is_near = |(centre, miles)| position.is_some_and(|at| at.miles_to(centre) <= miles);
        is_same(&filter.in_region, number.region)
            && is_same(&filter.in_locality, number.locality)
            && is_same(&filter.in_rate_center, number.rate_center)
            && filter.in_lata.is_none_or(|lata| number.lata == Some(lata))
            && is_same_postal_area(&filter.in_postal_code, number.postal_code)
            && self.near.is_none_or(is_near)
    }

    /// The ranges to walk: those of the offer, as narrow as area and pattern make them.
    fn ranges(&self, offer: &Offer) -> Vec<Mask> {
        let whole: Vec<Mask> = match (self.country.has_area_codes(), offer.number_type) {
            (true, NumberType::TollFree) => {
                [888, 877, 866, 855, 844, 833].map(|code| self.area_range(code)).to_vec()
            }
            (true, _) => self.area_codes().into_iter().map(|code| self.area_range(code)).collect(),
            (false, _) => {
                offer.blocks.iter().map(|block| range(self.country, block.digits)).collect()
            }
        };
        let is_in_area =
            |mask: &Mask| self.filter.area_code.is_none_or(|code| *mask == self.area_range(code));
        let whole = whole.into_iter().filter(is_in_area);
        match &self.contains {
            Some(pattern) => whole.flat_map(|mask| pattern.over(&mask)).collect(),
            None => whole.collect(),
        }
    }

    fn area_range(&self, area_code: u16) -> Mask {
        range(self.country, &format!("{area_code}xxxxxxx"))
    }

    /// The area codes with a place that the filter admits: nearest first, else scattered.
    fn area_codes(&self) -> Vec<u16> {
        let mut codes: Vec<(u64, u16)> = Vec::new();
        for place in Place::all().iter().filter(|place| place.iso == self.country.iso) {
            let rank = match self.near {
                Some((centre, miles)) => {
                    let away = place.position.miles_to(centre);
                    if away > miles {
                        continue;
                    }
                    // Whole thousandths of a mile sort like the distance itself.
                    (away * 1000.0) as u64
                }
                None => 0,
            };
            let is_wanted = is_same(&self.filter.in_region, Some(place.region))
                && is_same(&self.filter.in_rate_center, Some(place.rate_center))
                && is_same(&self.filter.in_locality, Some(place.locality))
                && is_same_postal_area(&self.filter.in_postal_code, Some(place.postal_code))
                && self.filter.in_lata.is_none_or(|lata| lata == place.lata);
            if is_wanted {
                codes.extend(place.area_codes.iter().map(|&code| (rank, code)));
            }
        }
        codes.sort_by_key(|&(rank, code)| (rank, scatter(u64::from(code))));
        let mut seen = HashSet::new();
        codes.into_iter().map(|(_, code)| code).filter(|&code| seen.insert(code)).collect()
    }
}

fn is_same(wanted: &Option<String>, is: Option<&str>) -> bool {
    wanted
        .as_deref()
        .is_none_or(|wanted| is.is_some_and(|is| is.eq_ignore_ascii_case(wanted.trim())))
}

// Differs: a postal code matches by its first three characters (the sorting area), since each place
// here has one postal code and real cities have dozens.
fn is_same_postal_area(wanted: &Option<String>, is: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| {
        let area = |code: &str| code.trim().chars().take(3).collect::<String>().to_uppercase();
        is.is_some_and(|is| area(is) == area(wanted))
    })
}

/// The mask of a block of national digits, calling code first.
fn range(country: &Country, block: &str) -> Mask {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    country.calling_code.to_string().bytes().chain(block.bytes()).map(digit).collect()
}

fn is_in(digits: &str, range: &Mask) -> bool {
    digits.len() == range.len()
        && digits.bytes().zip(range).all(|(digit, slot)| slot.is_none_or(|s| s + b'0' == digit))
}

/// Walks ranges in turn, one number of each per round, each number of a range once and in scattered
/// order: the free digits count up in steps that share no factor with ten.
struct Walk {
    ranges: Vec<Mask>,
    next_range: usize,
    round: u64,
    /// Rounds after which every range is exhausted.
    rounds: u64,
}

impl Walk {
    fn new(ranges: Vec<Mask>) -> Walk {
        let rounds = ranges.iter().map(size).max().unwrap_or(0);
        Walk { ranges, next_range: 0, round: 0, rounds }
    }
}

impl Iterator for Walk {
    type Item = E164;

    fn next(&mut self) -> Option<E164> {
        loop {
            if self.next_range == self.ranges.len() {
                self.next_range = 0;
                self.round += 1;
            }
            if self.round >= self.rounds {
                return None;
            }
            let range = &self.ranges[self.next_range];
            self.next_range += 1;
            if self.round < size(range) {
                // A range outside of E.164 cannot come from the tables; skipping keeps this total.
                if let Some(number) = nth(range, self.round) {
                    return Some(number);
                }
            }
        }
    }
}

/// How many numbers a range holds; ranges have at most 15 digits.
fn size(range: &Mask) -> u64 {
    range.iter().filter(|slot| slot.is_none()).fold(1, |size: u64, _| size.saturating_mul(10))
}

fn nth(range: &Mask, index: u64) -> Option<E164> {
    let size = u128::from(size(range));
    let seed = range.iter().fold(range.len() as u64, |seed, slot| {
        scatter(seed ^ u64::from(slot.map_or(10, |digit| digit)))
    });
    // About 0.618 of the range, made odd and not a multiple of five.
    let step = size * 618 / 1000 / 10 * 10 + 7;
    let mut free = (u128::from(seed) + u128::from(index) * step) % size;
    let mut digits = 0_u64;
    let mut place_value = 1_u64;
    for slot in range.iter().rev() {
        let digit = slot.map_or_else(
            || {
                let digit = (free % 10) as u64;
                free /= 10;
                digit
            },
            u64::from,
        );
        digits = digits.checked_add(digit.checked_mul(place_value)?)?;
        place_value = place_value.checked_mul(10)?;
    }
    E164::from_u64(digits)
}

/// SplitMix64's finaliser: neighbours in, strangers out.
fn scatter(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

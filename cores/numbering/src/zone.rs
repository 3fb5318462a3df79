//! What time it is where an American number or ZIP code is.
//!
//! A zone is its rule in the form of POSIX, with the daylight saving time of the United States since
//! 2007. Source: general knowledge, written by hand.

// Differs: a state, area code or ZIP area that a boundary of time runs through has the time of most
// of its people.

use crate::e164::E164;
use crate::place::Place;

const ATLANTIC: &str = "AST4";
const EASTERN: &str = "EST5EDT,M3.2.0,M11.1.0";
const CENTRAL: &str = "CST6CDT,M3.2.0,M11.1.0";
const MOUNTAIN: &str = "MST7MDT,M3.2.0,M11.1.0";
const ARIZONA: &str = "MST7";
const PACIFIC: &str = "PST8PDT,M3.2.0,M11.1.0";
const ALASKA: &str = "AKST9AKDT,M3.2.0,M11.1.0";
const HAWAII: &str = "HST10";
const CHAMORRO: &str = "ChST-10";

/// Area codes whose time is not that of their state.
const AREA_CODES: [(u16, &str); 8] = [
    (219, CENTRAL),
    (270, CENTRAL),
    (364, CENTRAL),
    (423, EASTERN),
    (448, CENTRAL),
    (850, CENTRAL),
    (865, EASTERN),
    (915, MOUNTAIN),
];

/// The first three digits of ZIP codes, from and to.
const ZIP_AREAS: &[(u16, u16, &str)] = &[
    (5, 5, EASTERN),
    (6, 9, ATLANTIC),
    (10, 323, EASTERN),
    (324, 325, CENTRAL),
    (326, 349, EASTERN),
    (350, 372, CENTRAL),
    (373, 374, EASTERN),
    (375, 375, CENTRAL),
    (376, 379, EASTERN),
    (380, 397, CENTRAL),
    (398, 418, EASTERN),
    (420, 424, CENTRAL),
    (425, 462, EASTERN),
    (463, 464, CENTRAL),
    (465, 475, EASTERN),
    (476, 477, CENTRAL),
    (478, 499, EASTERN),
    (500, 576, CENTRAL),
    (577, 577, MOUNTAIN),
    (580, 585, CENTRAL),
    (586, 586, MOUNTAIN),
    (587, 588, CENTRAL),
    (590, 599, MOUNTAIN),
    (600, 692, CENTRAL),
    (693, 693, MOUNTAIN),
    (700, 797, CENTRAL),
    (798, 834, MOUNTAIN),
    (835, 835, PACIFIC),
    (836, 837, MOUNTAIN),
    (838, 838, PACIFIC),
    (840, 847, MOUNTAIN),
    (850, 865, ARIZONA),
    (870, 885, MOUNTAIN),
    (889, 961, PACIFIC),
    (967, 968, HAWAII),
    (969, 969, CHAMORRO),
    (970, 978, PACIFIC),
    (979, 979, MOUNTAIN),
    (980, 994, PACIFIC),
    (995, 999, ALASKA),
];

/// The zone of an American number, by its area code. `None` outside of the United States, and for
/// numbers without a place such as toll-free ones.
pub fn zone_of_number(number: E164) -> Option<&'static str> {
    let (area_code, _) = number.area_code_and_exchange()?;
    let place = Place::of(number)?;
    let own = AREA_CODES.iter().find(|(code, _)| *code == area_code);
    own.map(|(_, zone)| *zone).or_else(|| zone_of_state(place.region))
}

/// The zone of an American ZIP code, of which the first three digits count.
pub fn zone_of_zip(zip: &str) -> Option<&'static str> {
    let digits = zip.trim().get(..5).filter(|five| five.bytes().all(|b| b.is_ascii_digit()))?;
    let area: u16 = digits[..3].parse().ok()?;
    let found = ZIP_AREAS.iter().find(|(from, to, _)| (*from..=*to).contains(&area));
    found.map(|(_, _, zone)| *zone)
}

fn zone_of_state(state: &str) -> Option<&'static str> {
    Some(match state {
        "PR" => ATLANTIC,
        "CT" | "DC" | "DE" | "FL" | "GA" | "IN" | "KY" | "MA" | "MD" | "ME" | "MI" | "NC"
        | "NH" | "NJ" | "NY" | "OH" | "PA" | "RI" | "SC" | "VA" | "VT" | "WV" => EASTERN,
        "AL" | "AR" | "IA" | "IL" | "KS" | "LA" | "MN" | "MO" | "MS" | "ND" | "NE" | "OK"
        | "SD" | "TN" | "TX" | "WI" => CENTRAL,
        "CO" | "ID" | "MT" | "NM" | "UT" | "WY" => MOUNTAIN,
        "AZ" => ARIZONA,
        "CA" | "NV" | "OR" | "WA" => PACIFIC,
        "AK" => ALASKA,
        "HI" => HAWAII,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn area_codes_have_their_time() {
        for (number, zone) in [
            ("+14155550100", Some(PACIFIC)),
            ("+12125550100", Some(EASTERN)),
            ("+13125550100", Some(CENTRAL)),
            ("+16025550100", Some(ARIZONA)),
            ("+18505550100", Some(CENTRAL)),
            ("+19155550100", Some(MOUNTAIN)),
            ("+18085550100", Some(HAWAII)),
            ("+17875550100", Some(ATLANTIC)),
            ("+14165550100", None),
            ("+18005550100", None),
            ("+33612345678", None),
        ] {
            assert_eq!(zone_of_number(E164::parse(number).unwrap()), zone, "{number}");
        }
        for place in Place::all().iter().filter(|place| place.iso != "CA") {
            assert!(zone_of_state(place.region).is_some(), "{}", place.locality);
        }
    }

    #[test]
    fn zip_codes_have_their_time() {
        for (zip, zone) in [
            ("94103", Some(PACIFIC)),
            ("10001-1234", Some(EASTERN)),
            ("00901", Some(ATLANTIC)),
            ("32501", Some(CENTRAL)),
            ("79901", Some(MOUNTAIN)),
            ("96813", Some(HAWAII)),
            ("99501", Some(ALASKA)),
            ("00100", None),
            ("K1A 0B1", None),
            ("941", None),
            ("", None),
        ] {
            assert_eq!(zone_of_zip(zip), zone, "{zip}");
        }
        // The areas are in order and do not overlap, and every place's code agrees with its state.
        assert!(ZIP_AREAS.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for place in Place::all().iter().filter(|place| place.iso != "CA") {
            assert!(zone_of_zip(place.postal_code).is_some(), "{}", place.locality);
        }
    }
}

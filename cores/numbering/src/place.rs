//! Where a North American number is: area code to city, and distances between cities.

use std::sync::LazyLock;

use crate::e164::E164;
use crate::place_table::ROWS;

/// A city and the area codes that serve it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) locality: &'static str,
    pub(crate) region: &'static str,
    pub(crate) iso: &'static str,
    pub(crate) rate_center: &'static str,
    pub(crate) lata: u16,
    pub(crate) position: LatLong,
    pub(crate) postal_code: &'static str,
    pub(crate) area_codes: &'static [u16],
}

#[expect(clippy::too_many_arguments, reason = "one call per table row")]
pub(crate) const fn place(
    locality: &'static str,
    region: &'static str,
    iso: &'static str,
    rate_center: &'static str,
    lata: u16,
    (latitude, longitude): (f64, f64),
    postal_code: &'static str,
    area_codes: &'static [u16],
) -> Place {
    let position = LatLong { latitude, longitude };
    Place { locality, region, iso, rate_center, lata, position, postal_code, area_codes }
}

impl Place {
    /// Every place, in table order.
    pub(crate) fn all() -> &'static [Place] {
        ROWS
    }

    /// The places of an area code, its main city first; empty for codes without places.
    pub(crate) fn of_area_code(area_code: u16) -> &'static [&'static Place] {
        PLACES_BY_AREA_CODE.get(usize::from(area_code)).map_or(&[], Vec::as_slice)
    }

    /// The place of a number: its exchange decides among the places of its area code, so that one
    /// exchange is always one city.
    pub(crate) fn of(number: E164) -> Option<&'static Place> {
        let (area_code, exchange) = number.area_code_and_exchange()?;
        let places = Place::of_area_code(area_code);
        places.get(usize::from(exchange) % places.len().max(1)).copied()
    }
}

/// Built once, about 30 kB; index is the area code.
static PLACES_BY_AREA_CODE: LazyLock<Vec<Vec<&'static Place>>> = LazyLock::new(|| {
    let mut index = vec![Vec::new(); 1000];
    for place in ROWS {
        for &area_code in place.area_codes {
            index[usize::from(area_code)].push(place);
        }
    }
    index
});

/// What a webhook says about where a number is (`FromCity`, `FromState`, `FromZip`, `FromCountry`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    /// Upper case, as the webhooks write it.
    pub city: String,
    /// Two-letter state or province.
    pub state: &'static str,
    /// ZIP or postal code.
    pub zip: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
}

/// Where a number is. `None` outside of the US, Canada and Puerto Rico, and for numbers without a
/// place such as toll-free ones.
pub fn locate(number: E164) -> Option<Locality> {
    let place = Place::of(number)?;
    Some(Locality {
        city: place.locality.to_ascii_uppercase(),
        state: place.region,
        zip: place.postal_code,
        country: place.iso,
    })
}

/// A point on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatLong {
    /// −90 to 90, north positive.
    pub latitude: f64,
    /// −180 to 180, east positive.
    pub longitude: f64,
}

impl LatLong {
    /// From the wire form `37.840699,-122.461853`; `None` if malformed or out of range.
    pub fn parse(text: &str) -> Option<LatLong> {
        let (latitude, longitude) = text.split_once(',')?;
        let latitude: f64 = latitude.trim().parse().ok()?;
        let longitude: f64 = longitude.trim().parse().ok()?;
        let is_on_earth =
            (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        is_on_earth.then_some(LatLong { latitude, longitude })
    }

    /// Great-circle distance in statute miles (haversine; mean earth radius 3958.8 miles).
    pub fn miles_to(self, other: LatLong) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_latitude = ((to - from) / 2.0).sin();
        let half_longitude = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let chord = half_latitude.powi(2) + from.cos() * to.cos() * half_longitude.powi(2);
        2.0 * 3958.8 * chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_a_city_of_its_area_code() {
        let number = E164::parse("+12125550123").unwrap();
        let expected =
            Locality { city: "NEW YORK".into(), state: "NY", zip: "10007", country: "US" };
        assert_eq!(locate(number), Some(expected));
        let locate = |text| locate(E164::parse(text).unwrap());
        assert_eq!(locate("+14165550100").unwrap().state, "ON");
        assert_eq!(locate("+17875550100").unwrap().country, "PR");
        assert_eq!(locate("+18005550100"), None);
        assert_eq!(locate("+442079460000"), None);
    }

    #[test]
    fn rows_are_well_formed() {
        for place in Place::all() {
            assert!(!place.area_codes.is_empty());
            assert!(place.region.len() == 2 && place.rate_center.len() <= 10, "{place:?}");
            assert!(place.area_codes.iter().all(|code| (200..=999).contains(code)));
            let zip = place.postal_code;
            assert_eq!(zip.len(), if place.iso == "CA" { 7 } else { 5 }, "{zip}");
            assert!(place.position.latitude > 17.0 && place.position.longitude < -52.0);
        }
        let codes = (200..1000).filter(|&code| !Place::of_area_code(code).is_empty()).count();
        assert!(codes >= 400, "{codes}");
    }

    #[test]
    fn distances_are_great_circles() {
        let san_francisco = LatLong::parse("37.7749,-122.4194").unwrap();
        let los_angeles = LatLong::parse("34.0522, -118.2437").unwrap();
        assert!((san_francisco.miles_to(los_angeles) - 347.4).abs() < 1.0);
        assert_eq!(san_francisco.miles_to(san_francisco), 0.0);
        assert_eq!(LatLong::parse("91,0"), None);
        assert_eq!(LatLong::parse("nan,0"), None);
        assert_eq!(LatLong::parse("1"), None);
    }
}

//! Goal: the inventory keeps its promises: valid, filtered, distinct, repeatable numbers in every
//! country it sells. Method: tables of searches with known answers, and random filters whose answers
//! are checked against a plain reading of the filter.

use std::collections::HashSet;

use numbering::{
    AvailableNumber, Country, E164, Filter, FilterError, LatLong, NumberType, contains, search,
};
use proptest::prelude::*;

const LOCAL: NumberType = NumberType::Local;

fn find(country: &str, number_type: NumberType, filter: &Filter, limit: usize) -> Vec<String> {
    found(country, number_type, filter, limit)
        .iter()
        .map(|number| number.phone_number.to_string())
        .collect()
}

fn found(
    country: &str,
    number_type: NumberType,
    filter: &Filter,
    limit: usize,
) -> Vec<AvailableNumber> {
    search(country, number_type, filter, limit, &|_| false).unwrap()
}

fn contains_filter(pattern: &str) -> Filter {
    Filter { contains: Some(pattern.into()), ..Filter::default() }
}

#[test]
fn every_country_sells_every_type_it_lists() {
    for country in Country::all() {
        for offer in country.offers {
            let numbers = found(country.iso, offer.number_type, &Filter::default(), 30);
            let what = format!("{} {:?}", country.iso, offer.number_type);
            assert_eq!(numbers.len(), 30, "{what}");
            let distinct: HashSet<E164> = numbers.iter().map(|n| n.phone_number).collect();
            assert_eq!(distinct.len(), 30, "{what}");
            for number in numbers {
                assert!(number.phone_number.is_valid(), "{what} {number:?}");
                assert_eq!(number.iso_country, country.iso);
                let bought = contains(number.phone_number).expect("what is found can be bought");
                if !(country.iso == "CA" && offer.number_type == NumberType::TollFree) {
                    assert_eq!(bought, number);
                }
            }
        }
    }
}

#[test]
fn a_north_american_number_knows_its_place() {
    let filter =
        Filter { area_code: Some(808), in_locality: Some("hilo".into()), ..Filter::default() };
    let number = &found("US", LOCAL, &filter, 1)[0];
    assert!(number.friendly_name.starts_with("(808) "));
    assert_eq!(number.locality, Some("Hilo"));
    assert_eq!((number.region, number.rate_center), (Some("HI"), Some("HILO")));
    assert_eq!((number.lata, number.postal_code), (Some(834), Some("96720")));
    let london = Filter { in_locality: Some("London".into()), ..Filter::default() };
    let number = &found("GB", LOCAL, &london, 1)[0];
    assert_eq!(number.friendly_name, number.phone_number.to_string());
    assert!(number.friendly_name.starts_with("+4420"));
    assert_eq!(number.region, None);
}

#[test]
fn patterns_are_found_however_rare() {
    let storm = find("US", LOCAL, &contains_filter("STORM"), 20);
    assert_eq!(storm.len(), 20);
    assert!(storm.iter().all(|number| number.contains("78676")));
    assert_eq!(find("US", LOCAL, &contains_filter("4155552671"), 20), ["+14155552671"]);
    assert_eq!(find("US", LOCAL, &contains_filter("+1510555267*"), 20).len(), 10);
    assert!(
        find("GB", NumberType::Mobile, &contains_filter("1234$"), 5)
            .iter()
            .all(|number| number.ends_with("1234"))
    );
    assert!(find("US", LOCAL, &contains_filter("+44"), 5).is_empty());
}

#[test]
fn near_means_near_and_nearest_first() {
    let oakland = LatLong { latitude: 37.8044, longitude: -122.2712 };
    let filter = Filter { near_lat_long: Some(oakland), ..Filter::default() };
    let numbers = found("US", LOCAL, &filter, 100);
    assert_eq!(numbers.len(), 100);
    assert!(
        numbers[0].phone_number.to_string().starts_with("+1510")
            || numbers[0].phone_number.to_string().starts_with("+1341")
    );
    for number in numbers {
        let at =
            LatLong { latitude: number.latitude.unwrap(), longitude: number.longitude.unwrap() };
        assert!(at.miles_to(oakland) <= 25.0);
    }
    let by_number = Filter { near_number: E164::parse("+13055550100").ok(), ..Filter::default() };
    assert!(found("US", LOCAL, &by_number, 9).iter().all(|number| number.region == Some("FL")));
}

#[test]
fn what_is_taken_is_not_offered() {
    let first = find("SE", NumberType::Mobile, &Filter::default(), 10);
    let is_taken = |number: E164| first[..5].contains(&number.to_string());
    let second = search("SE", NumberType::Mobile, &Filter::default(), 5, &is_taken).unwrap();
    let second: Vec<String> = second.iter().map(|n| n.phone_number.to_string()).collect();
    assert_eq!(second, first[5..]);
}

#[test]
fn capabilities_addresses_and_beta_filter_whole_offers() {
    let mms = Filter { mms_enabled: Some(true), ..Filter::default() };
    assert!(!find("US", LOCAL, &mms, 1).is_empty());
    assert!(find("DE", LOCAL, &mms, 1).is_empty());
    let no_sms = Filter { sms_enabled: Some(false), ..Filter::default() };
    assert!(find("US", LOCAL, &no_sms, 1).is_empty());
    let no_local = Filter { exclude_local_address_required: true, ..Filter::default() };
    assert!(find("DE", LOCAL, &no_local, 1).is_empty());
    let no_beta = Filter { beta: Some(false), ..Filter::default() };
    assert!(find("GE", LOCAL, &no_beta, 1).is_empty());
    assert!(!find("GE", LOCAL, &Filter::default(), 1).is_empty());
}

#[test]
fn wrong_searches_are_refused() {
    use FilterError::*;
    let none = Filter::default();
    let region = Filter { in_region: Some("BE".into()), ..none.clone() };
    let low = Filter { area_code: Some(42), ..none.clone() };
    let far = Filter { distance: Some(501), ..none.clone() };
    let centre = Filter { in_rate_center: Some("HILO".into()), ..none.clone() };
    let abroad = Filter { near_number: E164::parse("+442079460958").ok(), ..none.clone() };
    for (country, number_type, filter, expected) in [
        ("ZZ", LOCAL, &none, UnknownCountry),
        ("KP", LOCAL, &none, UnknownCountry),
        ("US", NumberType::Mobile, &none, UnknownType),
        ("DE", LOCAL, &region, NorthAmericaOnly("InRegion")),
        ("US", LOCAL, &low, AreaCode),
        ("US", LOCAL, &far, Distance),
        ("US", LOCAL, &centre, RateCenterWithoutLata),
        ("US", LOCAL, &abroad, NearNumber),
        ("US", LOCAL, &contains_filter("5*5"), ContainsWildcard),
    ] {
        let refused = search(country, number_type, filter, 1, &|_| false);
        assert_eq!(refused, Err(expected), "{country} {filter:?}");
    }
}

#[test]
fn any_valid_number_of_a_sold_type_can_be_bought() {
    for (text, expected) in [
        ("+14155552671", Some(NumberType::Local)),
        ("+18885550100", Some(NumberType::TollFree)),
        ("+447911123456", Some(NumberType::Mobile)),
        ("+442079460958", Some(NumberType::Local)),
        ("+33975123456", Some(NumberType::National)),
        ("+15005550006", None),
        ("+19005550100", None),
        ("+14151234567", None),
        ("+850212381234", None),
    ] {
        let bought = contains(E164::parse(text).unwrap());
        assert_eq!(bought.map(|number| number.number_type), expected, "{text}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    (
        prop::option::of(prop::sample::select(vec![212, 415, 604, 787, 808, 918, 999])),
        prop::option::of("[0-9]{2,4}|[A-Z]{3}|\\+1[2-9][0-9]{2}|[0-9]{3}\\$|[0-9]{3}\\*{4}"),
        prop::option::of(prop::sample::select(vec!["CA", "NY", "ON", "PR", "XX"])),
        prop::option::of(0_u32..=500),
        prop::option::of((25.0..50.0, -125.0..-70.0)),
    )
        .prop_map(|(area_code, contains, region, distance, near)| Filter {
            area_code,
            contains,
            in_region: region.map(str::to_owned),
            distance,
            near_lat_long: near.map(|(latitude, longitude)| LatLong { latitude, longitude }),
            ..Filter::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn searches_are_sound_distinct_and_repeatable(
        filter in any_filter(),
        country in prop::sample::select(vec!["US", "CA", "PR"]),
    ) {
        let numbers = found(country, LOCAL, &filter, 20);
        prop_assert_eq!(&numbers, &found(country, LOCAL, &filter, 20));
        let fewer = found(country, LOCAL, &filter, 5);
        prop_assert_eq!(&fewer[..], &numbers[..fewer.len()]);
        let distinct: HashSet<E164> = numbers.iter().map(|n| n.phone_number).collect();
        prop_assert_eq!(distinct.len(), numbers.len());
        for number in numbers {
            let text = number.phone_number.to_string();
            prop_assert!(number.phone_number.is_valid());
            prop_assert_eq!(number.iso_country, country);
            if let Some(code) = filter.area_code {
                prop_assert!(text[2..].starts_with(&code.to_string()));
            }
            if let Some(region) = &filter.in_region {
                prop_assert_eq!(number.region, Some(region.as_str()));
            }
            if let Some(pattern) = &filter.contains {
                prop_assert!(is_match(pattern, &text), "{pattern} {text}");
            }
            if let Some(centre) = filter.near_lat_long {
                let at = LatLong {
                    latitude: number.latitude.unwrap(),
                    longitude: number.longitude.unwrap(),
                };
                let miles = f64::from(filter.distance.unwrap_or(25));
                prop_assert!(at.miles_to(centre) <= miles);
            }
        }
    }

    #[test]
    fn any_number_can_be_asked_for(digits in 1_000_000_u64..1_000_000_000_000_000) {
        let number = E164::from_u64(digits).unwrap();
        if let Some(found) = contains(number) {
            prop_assert!(number.is_valid());
            prop_assert_eq!(found.phone_number, number);
        }
    }
}

/// A plain second reading of the patterns that `any_filter` makes.
fn is_match(pattern: &str, number: &str) -> bool {
    let keys = ["", "", "ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"];
    let literal: String = pattern
        .trim_end_matches(['*', '$'])
        .chars()
        .map(|c| match keys.iter().position(|key| key.contains(c)) {
            Some(digit) => char::from(b'0' + u8::try_from(digit).unwrap()),
            None => c,
        })
        .collect();
    let room = pattern.matches('*').count();
    match (pattern.starts_with('+'), pattern.ends_with('$')) {
        (true, _) => number.starts_with(&literal),
        (_, true) => number.ends_with(&literal),
        _ => number[..number.len() - room].contains(&literal),
    }
}

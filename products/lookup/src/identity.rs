//! How well what a caller says of a person fits who has the number: pure.

use contracts::Person;
use serde_json::{Value as Json, json};

/// What a caller says; `None` was not said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim<'a> {
    pub first_name: Option<&'a str>,
    pub last_name: Option<&'a str>,
    pub address_lines: Option<String>,
    pub city: Option<&'a str>,
    pub state: Option<&'a str>,
    pub postal_code: Option<&'a str>,
    pub country: Option<&'a str>,
    pub national_id: Option<&'a str>,
    pub date_of_birth: Option<&'a str>,
}

/// How well one thing fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Exact,
    High,
    Partial,
    No,
    Unknown,
}

impl Fit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact_match",
            Self::High => "high_partial_match",
            Self::Partial => "partial_match",
            Self::No => "no_match",
            Self::Unknown => "no_data_available",
        }
    }
}

/// Letters and digits only, in one case: how an address is written does not count.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Differs: Twilio's measure is not known; here a name or address that is the beginning of the
/// other fits highly, one whose words are partly there partially.
fn fit(said: Option<&str>, known: &str) -> Option<Fit> {
    let said = said?;
    if known.is_empty() {
        return Some(Fit::Unknown);
    }
    let (a, b) = (plain(said), plain(known));
    if a == b {
        return Some(Fit::Exact);
    }
    if a.is_empty() {
        return Some(Fit::No);
    }
    if a.starts_with(&b) || b.starts_with(&a) {
        return Some(Fit::High);
    }
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(plain).collect() };
    let theirs = words(known);
    let shared = words(said).iter().any(|word| word.len() > 2 && theirs.contains(word));
    Some(if shared { Fit::Partial } else { Fit::No })
}

/// The package's object: each thing that was said, and a score of all.
pub(crate) fn compare(claim: &Claim<'_>, person: Option<&Person>) -> Json {
    let unknown = Person::default();
    let person = person.unwrap_or(&unknown);
    let names = fit(claim.first_name, &person.first_name);
    let last = fit(claim.last_name, &person.last_name);
    let address = fit(claim.address_lines.as_deref(), &person.address_line);
    let city = fit(claim.city, &person.city);
    let state = fit(claim.state, &person.state);
    let postal_code = fit(claim.postal_code, &person.postal_code);
    let country = fit(claim.country, &person.country);
    let national_id = fit(claim.national_id, &person.national_id);
    let birth = fit(claim.date_of_birth, &person.date_of_birth);
    let word = |fit: Option<Fit>| fit.map(Fit::as_str);
    json!({
        "first_name_match": word(names),
        "last_name_match": word(last),
        "address_lines_match": word(address),
        "city_match": word(city),
        "state_match": word(state),
        "postal_code_match": word(postal_code),
        "address_country_match": word(country),
        "national_id_match": word(national_id),
        "date_of_birth_match": word(birth),
        "summary_score": score(&[names, last, address, national_id, birth]),
        "error_code": null,
        "error_message": null,
    })
}

/// 100 when the names and one thing more fit exactly, 80 when they fit at least highly, 70 for the
/// names alone, 40 for the last name alone, 20 for anything, else 0.
fn score(fits: &[Option<Fit>; 5]) -> u32 {
    let is = |fit: Option<Fit>, least: &[Fit]| fit.is_some_and(|fit| least.contains(&fit));
    let exact = [Fit::Exact];
    let good = [Fit::Exact, Fit::High];
    let [first, last, rest @ ..] = fits;
    let others = |least: &[Fit]| rest.iter().any(|fit| is(*fit, least));
    match () {
        () if is(*first, &exact) && is(*last, &exact) && others(&exact) => 100,
        () if is(*first, &good) && is(*last, &good) && others(&good) => 80,
        () if is(*first, &good) && is(*last, &good) => 70,
        () if is(*last, &good) => 40,
        () if fits.iter().any(|fit| is(*fit, &[Fit::Exact, Fit::High, Fit::Partial])) => 20,
        () => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Person {
        Person {
            first_name: "Ada".into(),
            last_name: "Byron".into(),
            address_line: "12 St James's Square".into(),
            city: "London".into(),
            ..Person::default()
        }
    }

    #[test]
    fn a_person_is_compared_part_by_part() {
        for (first, last, address, expected) in [
            ("ada", "BYRON", "12 St. James's Square", 100),
            ("Ada", "Byron", "12 St James's Square, London SW1", 80),
            ("Ada", "Byron", "1 Elsewhere", 70),
            ("Eve", "Byron", "1 Elsewhere", 40),
            ("Eve", "Smith", "99 Square", 20),
            ("Eve", "Smith", "1 Elsewhere", 0),
        ] {
            let claim = Claim {
                first_name: Some(first),
                last_name: Some(last),
                address_lines: Some(address.into()),
                ..Claim::default()
            };
            let found = compare(&claim, Some(&ada()));
            assert_eq!(found["summary_score"], expected, "{first} {last} {address}: {found}");
        }
        let claim = Claim { first_name: Some("Ada"), state: Some("CA"), ..Claim::default() };
        let found = compare(&claim, Some(&ada()));
        assert_eq!(found["state_match"], "no_data_available");
        assert_eq!(found["city_match"], Json::Null);
        assert_eq!(compare(&claim, None)["first_name_match"], "no_data_available");
    }
}

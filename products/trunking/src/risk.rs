//! Numbers that are dangerous to call, and the continents of countries: tables.
//!
//! Differs: Twilio's lists of high-risk prefixes are its own and change; the ones here are the
//! premium-rate and personal ranges that national numbering plans publish, and island and
//! satellite plans that calls are sent to for their fees. An operator adds to them.

use contracts::DialingRisk;
use numbering::E164;

use crate::Config;

/// Premium-rate and personal ranges by country, sorted by ISO code: national numbers' beginnings.
const SPECIAL: &[(&str, &[&str])] = &[
    ("AT", &["900", "901", "930", "931", "939"]),
    ("AU", &["19"]),
    ("BE", &["900", "901", "902", "903", "904", "905", "906", "907", "909"]),
    ("BR", &["900"]),
    ("CA", &["900"]),
    ("CH", &["900", "901", "906"]),
    ("DE", &["137", "900"]),
    ("DK", &["90"]),
    ("ES", &["803", "806", "807", "905", "907"]),
    ("FI", &["600", "700"]),
    ("FR", &["89"]),
    ("GB", &["70", "871", "872", "873", "9"]),
    ("GR", &["901", "909"]),
    ("HK", &["900"]),
    ("IE", &["15"]),
    ("IT", &["892", "893", "894", "895", "899"]),
    ("JP", &["990"]),
    ("LT", &["900"]),
    ("LV", &["90"]),
    ("NL", &["900", "906", "909"]),
    ("NO", &["820", "829"]),
    ("NZ", &["900"]),
    ("PL", &["700", "701", "703", "704", "708"]),
    ("SE", &["900", "939", "944", "99"]),
    ("SG", &["1900"]),
    ("US", &["900"]),
];

/// Plans that calls are sent to for their fees.
const TOLLFRAUD: &[&str] = &[
    "247", "252", "290", "53", "674", "677", "678", "682", "683", "685", "686", "688", "690",
    "881", "882", "883",
];

const CONTINENTS: &[(&str, &str)] = &[
    (
        "AFRICA",
        "AC AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY \
         MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TA TD TG TN TZ UG YT ZA ZM \
         ZW",
    ),
    (
        "ASIA",
        "AE AF AM AZ BD BH BN BT CC CN CX CY GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB LK \
         MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        "EUROPE",
        "AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT \
         LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        "NORTH_AMERICA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI \
         PA PM PR SV SX TC TT US VC VG VI",
    ),
    ("OCEANIA", "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PW SB TK TO TV VU WF WS"),
    ("SOUTH_AMERICA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// The continent of a country, as the wire writes it.
pub(crate) fn continent(iso: &str) -> &'static str {
    let has = |list: &str| list.split_whitespace().any(|known| known == iso);
    CONTINENTS.iter().find(|(_, list)| has(list)).map_or("", |(name, _)| name)
}

/// The high-risk special prefixes of a country: `+1900`.
pub(crate) fn special_prefixes(iso: &str, calling_code: u16, config: &Config) -> Vec<String> {
    let known = SPECIAL.iter().find(|(known, _)| *known == iso).map_or(&[][..], |(_, all)| all);
    let code = calling_code.to_string();
    let own = config.special_prefixes.iter().map(|prefix| digits(prefix));
    let own = own.filter(|prefix| prefix.starts_with(&code)).map(|prefix| format!("+{prefix}"));
    let known = known.iter().map(|prefix| format!("+{code}{prefix}"));
    let mut all: Vec<String> = known.chain(own).collect();
    all.sort();
    all.dedup();
    all
}

fn digits(prefix: &str) -> &str {
    prefix.trim().trim_start_matches('+')
}

/// What calling a number risks: special ranges count before the plans that are dangerous whole.
pub(crate) fn risk(number: E164, config: &Config) -> DialingRisk {
    let text = number.to_string();
    let begins = |prefix: &str| !digits(prefix).is_empty() && text[1..].starts_with(digits(prefix));
    let own = |list: &[String]| list.iter().any(|prefix| begins(prefix));
    let special = number.country().is_some_and(|country| {
        let all = special_prefixes(country.iso, country.calling_code, config);
        all.iter().any(|prefix| begins(prefix))
    });
    if special || own(&config.special_prefixes) {
        return DialingRisk::HighRiskSpecial;
    }
    if TOLLFRAUD.iter().any(|prefix| begins(prefix)) || own(&config.tollfraud_prefixes) {
        return DialingRisk::HighRiskTollfraud;
    }
    DialingRisk::Low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_on_one_continent() {
        for country in numbering::Country::all() {
            let on = CONTINENTS
                .iter()
                .filter(|(_, list)| list.split_whitespace().any(|known| known == country.iso));
            assert_eq!(on.count(), 1, "{}", country.iso);
        }
    }

    #[test]
    fn special_ranges_are_countries_and_shown_whole() {
        for (iso, _) in SPECIAL {
            assert!(numbering::Country::by_iso(iso).is_some(), "{iso}");
        }
        let config = Config { special_prefixes: vec!["+49180".into()], ..Config::default() };
        assert_eq!(special_prefixes("DE", 49, &config), ["+49137", "+49180", "+49900"]);
        assert_eq!(special_prefixes("FR", 33, &config), ["+3389"]);
    }

    #[test]
    fn numbers_have_the_risk_of_their_beginning() {
        let config = Config { tollfraud_prefixes: vec!["+3706".into()], ..Config::default() };
        for (number, expected) in [
            ("+14155550100", DialingRisk::Low),
            ("+19005550100", DialingRisk::HighRiskSpecial),
            ("+449011234567", DialingRisk::HighRiskSpecial),
            ("+447700900123", DialingRisk::Low),
            ("+881612345678", DialingRisk::HighRiskTollfraud),
            ("+37061234567", DialingRisk::HighRiskTollfraud),
        ] {
            assert_eq!(risk(E164::parse(number).unwrap(), &config), expected, "{number}");
        }
    }
}

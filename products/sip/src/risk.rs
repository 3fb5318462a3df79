//! Numbers that are dangerous to call, and the continents of countries: tables.
//!
//! Differs: Twilio's lists of high-risk prefixes are its own and change; the ones here are the
//! premium-rate and personal ranges that national numbering plans publish, and island and
//! satellite plans that calls are sent to for their fees. An operator adds to them.

use contracts::DialingRisk;
use numbering::E164;

use crate::Config;

/// Premium-rate and personal ranges by country, sorted by ISO code; digits without plus sign.
const SPECIAL: &[(&str, &[&str])] = &[
    ("AT", &["43900", "43901", "43930", "43931", "43939"]),
    ("AU", &["6119"]),
    ("BE", &["32900", "32901", "32902", "32903", "32904", "32905", "32906", "32907", "32909"]),
    ("BR", &["55900"]),
    ("CA", &["1900"]),
    ("CH", &["41900", "41901", "41906"]),
    ("DE", &["49137", "49900"]),
    ("DK", &["4590"]),
    ("ES", &["34803", "34806", "34807", "34905", "34907"]),
    ("FI", &["358600", "358700"]),
    ("FR", &["3389"]),
    ("GB", &["4470", "44871", "44872", "44873", "449"]),
    ("GR", &["30901", "30909"]),
    ("HK", &["852900"]),
    ("IE", &["35315"]),
    ("IT", &["39892", "39893", "39894", "39895", "39899"]),
    ("JP", &["81990"]),
    ("LT", &["370900"]),
    ("LV", &["37190"]),
    ("NL", &["31900", "31906", "31909"]),
    ("NO", &["47820", "47829"]),
    ("NZ", &["64900"]),
    ("PL", &["48700", "48701", "48703", "48704", "48708"]),
    ("SE", &["46900", "46939", "46944", "4699"]),
    ("SG", &["651900"]),
    ("US", &["1900"]),
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
    let own = own.filter(|prefix| prefix.starts_with(&code));
    let mut all: Vec<String> =
        known.iter().copied().chain(own).map(|prefix| format!("+{prefix}")).collect();
    all.sort();
    all.dedup();
    all
}

fn digits(prefix: &str) -> &str {
    prefix.trim().trim_start_matches('+')
}

/// What calling a number risks: special ranges count before the plans that are dangerous whole.
pub(crate) fn risk(number: E164, config: &Config) -> DialingRisk {
    let number = number.as_u64().to_string();
    let begins = |prefix: &str| !digits(prefix).is_empty() && number.starts_with(digits(prefix));
    let own = |list: &[String]| list.iter().any(|prefix| begins(prefix));
    if SPECIAL.iter().any(|(_, all)| all.iter().any(|prefix| begins(prefix)))
        || own(&config.special_prefixes)
    {
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
    fn special_ranges_are_in_their_countries_plans() {
        for (iso, prefixes) in SPECIAL {
            let country = numbering::Country::by_iso(iso).unwrap();
            for prefix in *prefixes {
                assert!(prefix.starts_with(&country.calling_code.to_string()), "{iso} {prefix}");
            }
        }
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

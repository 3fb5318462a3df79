//! The built-in tariff.

use super::{Rates, Tariff};

const fn rates(text: [i64; 2], mms: i64, calls: [i64; 2], numbers: [i64; 3]) -> Rates {
    let [sms_out, sms_in] = text;
    let [call_out, call_in] = calls;
    let [number, number_mobile, number_toll_free] = numbers;
    Rates {
        sms_out,
        sms_in,
        mms,
        call_out,
        call_in,
        trunk_out: call_out / 2,
        trunk_in: call_in / 2,
        number,
        number_mobile,
        number_toll_free,
    }
}

const NORTH_AMERICA: Rates =
    rates([7_900, 7_900], 20_000, [14_000, 8_500], [1_150_000, 1_150_000, 2_150_000]);
const EUROPE: Rates =
    rates([60_000, 7_500], 90_000, [30_000, 10_000], [1_500_000, 6_000_000, 20_000_000]);
const ASIA: Rates =
    rates([50_000, 7_500], 80_000, [60_000, 10_000], [4_000_000, 8_000_000, 25_000_000]);
const LATIN_AMERICA: Rates =
    rates([40_000, 7_500], 70_000, [40_000, 10_000], [3_500_000, 6_000_000, 20_000_000]);
const OCEANIA: Rates =
    rates([45_000, 7_500], 60_000, [30_000, 10_000], [3_000_000, 6_000_000, 16_000_000]);

/// Examples: plausible in their order of magnitude, and nobody's price list.
// Differs: Twilio's prices depend on carrier, sender and volume and change weekly; these are ours,
// by country and in US dollars.
pub const EXAMPLE: Tariff = Tariff {
    rows: &[
        ("AR", LATIN_AMERICA),
        ("AT", EUROPE),
        ("AU", OCEANIA),
        ("BE", EUROPE),
        ("BR", LATIN_AMERICA),
        ("CA", NORTH_AMERICA),
        ("CH", EUROPE),
        ("CL", LATIN_AMERICA),
        ("CO", LATIN_AMERICA),
        ("CZ", EUROPE),
        ("DE", EUROPE),
        ("DK", EUROPE),
        ("EE", EUROPE),
        ("ES", EUROPE),
        ("FI", EUROPE),
        ("FR", EUROPE),
        ("GB", Rates { sms_out: 40_000, number: 1_150_000, ..EUROPE }),
        ("GR", EUROPE),
        ("HK", ASIA),
        ("HU", EUROPE),
        ("ID", ASIA),
        ("IE", EUROPE),
        ("IL", ASIA),
        ("IN", ASIA),
        ("IT", EUROPE),
        ("JP", ASIA),
        ("KR", ASIA),
        ("LT", EUROPE),
        ("LU", EUROPE),
        ("LV", EUROPE),
        ("MX", LATIN_AMERICA),
        ("MY", ASIA),
        ("NL", EUROPE),
        ("NO", EUROPE),
        ("NZ", OCEANIA),
        ("PE", LATIN_AMERICA),
        ("PH", ASIA),
        ("PL", EUROPE),
        ("PR", NORTH_AMERICA),
        ("PT", EUROPE),
        ("RO", EUROPE),
        ("SE", EUROPE),
        ("SG", ASIA),
        ("SI", EUROPE),
        ("SK", EUROPE),
        ("TH", ASIA),
        ("TR", EUROPE),
        ("TW", ASIA),
        ("US", NORTH_AMERICA),
        ("VI", NORTH_AMERICA),
        ("VN", ASIA),
        ("ZA", ASIA),
    ],
    elsewhere: rates(
        [90_000, 7_500],
        120_000,
        [200_000, 15_000],
        [8_000_000, 15_000_000, 30_000_000],
    ),
};

//! What things cost, by country.
//!
//! One [`Tariff`] for what is billed and for what price lists show. [`EXAMPLE`] is built in; an
//! operator's own is the same type with other rows.
//!
//! It deliberately knows no account and no currency but the US dollar.

mod example_table;

pub use example_table::EXAMPLE;

/// Millionths of a US dollar.
pub type Micros = i64;

/// What things cost in one country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// A segment of text to a number there.
    pub sms_out: Micros,
    /// A segment of text to an own number there.
    pub sms_in: Micros,
    /// A message with media, either way.
    pub mms: Micros,
    /// A minute to a number there, and of a call to an own number there.
    pub call_out: Micros,
    pub call_in: Micros,
    /// A minute of a trunk, either way.
    pub trunk_out: Micros,
    pub trunk_in: Micros,
    /// A number for a month.
    pub number: Micros,
    pub number_mobile: Micros,
    pub number_toll_free: Micros,
}

/// The rates of all countries.
#[derive(Clone, Copy, Debug)]
pub struct Tariff {
    /// ISO 3166-1 alpha-2 in upper case, sorted.
    pub rows: &'static [(&'static str, Rates)],
    /// Of every country without a row.
    pub elsewhere: Rates,
}

impl Tariff {
    /// The rates of a country by its ISO code in upper case; without one, those of elsewhere.
    pub fn rates(&self, iso: Option<&str>) -> &Rates {
        let at = iso.and_then(|iso| self.rows.binary_search_by(|(row, _)| (*row).cmp(iso)).ok());
        at.map_or(&self.elsewhere, |at| &self.rows[at].1)
    }
}

impl Rates {
    /// What a message costs; media count once, text by its segments, of which there is one at least.
    pub fn message(&self, inbound: bool, segments: i64, media: i64) -> Micros {
        match (media > 0, inbound) {
            (true, _) => self.mms,
            (false, true) => self.sms_in.saturating_mul(segments.max(1)),
            (false, false) => self.sms_out.saturating_mul(segments.max(1)),
        }
    }
}

/// `0.0079`: dollars as a decimal without zeros that say nothing.
pub fn decimal(micros: Micros) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, (micros % 1_000_000).abs());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_no_price_is_nothing() {
        assert!(EXAMPLE.rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for rates in EXAMPLE.rows.iter().map(|(_, rates)| rates).chain([&EXAMPLE.elsewhere]) {
            assert!(rates.sms_out > 0 && rates.call_out > 0 && rates.number > 0, "{rates:?}");
        }
    }

    #[test]
    fn messages_cost_by_segment_and_country() {
        let us = EXAMPLE.rates(Some("US"));
        assert_eq!(us.message(false, 3, 0), 23_700);
        assert_eq!(us.message(true, 0, 0), 7_900);
        assert_eq!(us.message(false, 3, 2), 20_000);
        assert_eq!(EXAMPLE.rates(None), EXAMPLE.rates(Some("ZZ")));
        assert_ne!(EXAMPLE.rates(Some("DE")), us);
    }

    #[test]
    fn decimals_have_no_idle_zeros() {
        for (micros, text) in [(0, "0"), (7_900, "0.0079"), (1_150_000, "1.15"), (20_000_000, "20")]
        {
            assert_eq!(decimal(micros), text);
        }
    }
}

//! Sums of the counters that billing keeps.

use std::collections::HashMap;

use store::{AccountStore, StoreError};
pub use tariff::decimal;

use crate::category;
use crate::period::Range;

/// A number of things or of dollars, in millionths.
pub type Millionths = i64;

/// What was counted under one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub count: i64,
    /// Millionths of a dollar.
    pub micros: i64,
}

/// Counters of some days, by day and counter.
pub struct Counters(HashMap<(String, String), Sum>);

impl Counters {
    /// Reads the counters of `range`: a handful for each day on which something was billed.
    pub async fn read(store: &AccountStore, range: Range) -> Result<Self, StoreError> {
        let sql = "SELECT day, category, count, micros FROM spend
                   WHERE account_sid = $1 AND day >= $2 AND day <= $3";
        let days = vec![range.first.to_string().into(), range.last.to_string().into()];
        let rows = store.query(sql, days).await?;
        let sums = rows.iter().map(|row| {
            let sum = Sum { count: row.int(2), micros: row.int(3) };
            ((row.text(0).to_owned(), row.text(1).to_owned()), sum)
        });
        Ok(Self(sums.collect()))
    }

    /// The sum of a category over `range`.
    pub fn sum(&self, category: &str, range: Range) -> Sum {
        let counters = category::counters(category);
        let (first, last) = (range.first.to_string(), range.last.to_string());
        let mut total = Sum::default();
        for ((day, counter), sum) in &self.0 {
            if *day >= first && *day <= last && counters.contains(&counter.as_str()) {
                total.count = total.count.saturating_add(sum.count);
                total.micros = total.micros.saturating_add(sum.micros);
            }
        }
        total
    }
}

/// A decimal of up to six places; `None` when it is none, negative, or too large.
pub fn parse(text: &str) -> Option<Millionths> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && places.is_empty()) || !digits(whole) || !digits(places) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let places: i64 = format!("{places:0<6}").get(..6)?.parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_written() {
        for (text, value, written) in [
            ("0", 0, "0"),
            ("30", 30_000_000, "30"),
            ("0.0079", 7_900, "0.0079"),
            (".5", 500_000, "0.5"),
            ("1.2345678", 1_234_567, "1.234567"),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
            assert_eq!(decimal(value), written);
        }
        for bad in ["", ".", "-1", "1e3", "a", "99999999999999", "1.x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

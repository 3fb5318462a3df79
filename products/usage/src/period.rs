//! Spans of days, UTC.

use jiff::civil::Date;
use jiff::{Span, ToSpan};
use kernel::Timestamp;

/// How a range of days is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Whole,
    Days,
    Months,
    Years,
}

/// From one day to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: Date,
    pub last: Date,
}

/// The day of a moment.
pub fn day(at: Timestamp) -> Date {
    at.date().parse().unwrap_or(Date::MAX)
}

/// `2026-01-31`, or days from `today`: `-30days`, `+1day`; `None` when it is neither.
pub fn parse(text: &str, today: Date) -> Option<Date> {
    let text = text.trim();
    // A plus sign that was not percent-encoded arrives as a space, which is trimmed.
    if let Some(number) = text.strip_suffix("days").or_else(|| text.strip_suffix("day")) {
        let days: i64 = number.trim_start_matches('+').parse().ok()?;
        return today.checked_add(Span::new().try_days(days).ok()?).ok();
    }
    // Longer forms carry a time, which a day has not.
    text.get(..10)?.parse().ok().filter(|_| Timestamp::parse(text).is_ok())
}

impl Range {
    /// The month of `day`, `back` months before.
    pub fn month(day: Date, back: i32) -> Self {
        let first = day.first_of_month().saturating_sub(back.months());
        Self { first, last: first.last_of_month() }
    }

    pub fn year(day: Date, back: i32) -> Self {
        let first = day.first_of_year().saturating_sub(back.years());
        Self { first, last: first.last_of_year() }
    }

    pub fn one(day: Date) -> Self {
        Self { first: day, last: day }
    }

    /// How many records `cut` makes of the range; 0 when it ends before it begins.
    pub fn count(self, cut: Cut) -> u64 {
        if self.last < self.first {
            return 0;
        }
        let (first, last) = (self.first, self.last);
        let years = i64::from(last.year()) - i64::from(first.year());
        let months = years * 12 + i64::from(last.month()) - i64::from(first.month());
        let days = (last - first).get_days();
        let steps = match cut {
            Cut::Whole => 0,
            Cut::Days => i64::from(days),
            Cut::Months => months,
            Cut::Years => years,
        };
        steps.unsigned_abs() + 1
    }

    /// The record `back` steps before the newest, cut to the range.
    // Differs: whether Twilio's months and years end with the range is unconfirmed. So is the order
    // of records; here the newest is first.
    pub fn part(self, cut: Cut, back: u64) -> Self {
        let back = i32::try_from(back).unwrap_or(i32::MAX);
        let whole = match cut {
            Cut::Whole => self,
            Cut::Days => Self::one(self.last.saturating_sub(back.days())),
            Cut::Months => Self::month(self.last, back),
            Cut::Years => Self::year(self.last, back),
        };
        Self { first: whole.first.max(self.first), last: whole.last.min(self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn range(first: &str, last: &str) -> Range {
        Range { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    #[test]
    fn dates_are_absolute_or_relative() {
        let today = date(2026, 3, 1);
        for (text, expected) in [
            ("2026-01-31", Some(date(2026, 1, 31))),
            ("2026-01-31T10:00:00Z", Some(date(2026, 1, 31))),
            ("-30days", Some(date(2026, 1, 30))),
            ("+1day", Some(date(2026, 3, 2))),
            (" 1days", Some(date(2026, 3, 2))),
            ("0days", Some(today)),
            ("-99999999days", None),
            ("days", None),
            ("2026-02-30", None),
            ("2026-01-31junk", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse(text, today), expected, "{text}");
        }
    }

    #[test]
    fn ranges_are_cut_newest_first() {
        let all = range("2025-11-15", "2026-02-10");
        for (cut, count, newest, oldest) in [
            (Cut::Whole, 1, all, all),
            (Cut::Days, 88, range("2026-02-10", "2026-02-10"), range("2025-11-15", "2025-11-15")),
            (Cut::Months, 4, range("2026-02-01", "2026-02-10"), range("2025-11-15", "2025-11-30")),
            (Cut::Years, 2, range("2026-01-01", "2026-02-10"), range("2025-11-15", "2025-12-31")),
        ] {
            assert_eq!(all.count(cut), count, "{cut:?}");
            assert_eq!(all.part(cut, 0), newest, "{cut:?}");
            assert_eq!(all.part(cut, count - 1), oldest, "{cut:?}");
        }
        assert_eq!(range("2026-02-10", "2026-02-09").count(Cut::Days), 0);
    }
}

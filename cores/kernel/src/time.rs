//! Instants, and the date families of the wire.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The text is in none of the date forms that [`Timestamp::parse`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampError;

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date: use YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
    }
}

impl std::error::Error for TimestampError {}

impl Timestamp {
    pub const EPOCH: Self = Self(0);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * 1_000)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `Thu, 24 Aug 2023 05:01:45 +0000`: the 2010-04-01 API (rest-conventions §4.1).
    pub fn rfc2822(self) -> String {
        self.civil().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// `2015-07-30T20:00:00Z`: every other API. No fraction: twilio-python refuses one.
    pub fn iso8601(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// `2015-07-30`, UTC.
    pub fn date(self) -> String {
        self.civil().strftime("%Y-%m-%d").to_string()
    }

    /// `2015-07-30` where American carriers' days begin: Pacific time.
    pub fn date_pacific(self) -> String {
        // The rule in force since 2007; it needs no database of zones.
        let pacific = TimeZone::posix("PST8PDT,M3.2.0,M11.1.0").expect("a rule of POSIX");
        let at = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        at.to_zoned(pacific).strftime("%Y-%m-%d").to_string()
    }

    /// Any strftime form of the UTC civil time.
    pub fn format(self, pattern: &str) -> String {
        self.civil().strftime(pattern).to_string()
    }

    /// Reads every date form that clients send: ISO 8601 with or without zone
    /// (none means UTC), date only (midnight UTC), a space for the `T`,
    /// `MM/DD/YYYY HH:MM:SS [zone]`, RFC 2822 (rest-conventions §3).
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let text = text.trim();
        let utc = |civil: DateTime| {
            civil.to_zoned(TimeZone::UTC).map(|z| Self(z.timestamp().as_microsecond())).ok()
        };
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(at.as_microsecond()));
        }
        if Self::is_date_only(text) {
            return text
                .parse::<Date>()
                .ok()
                .and_then(|d| utc(d.at(0, 0, 0, 0)))
                .ok_or(TimestampError);
        }
        if let Ok(civil) = temporal::DateTimeParser::new().parse_datetime(text) {
            return utc(civil).ok_or(TimestampError);
        }
        if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
            return Ok(Self(zoned.timestamp().as_microsecond()));
        }
        // Differs: a zone abbreviation behind the American form is read as UTC.
        let american = text.rsplit_once(' ').map_or(text, |(head, tail)| {
            if tail.bytes().all(|b| b.is_ascii_alphabetic()) { head } else { text }
        });
        DateTime::strptime("%m/%d/%Y %H:%M:%S", american).ok().and_then(utc).ok_or(TimestampError)
    }

    /// True when `text` is a bare `YYYY-MM-DD`: a filter then means the whole day.
    pub fn is_date_only(text: &str) -> bool {
        text.trim().len() == 10 && text.trim().parse::<Date>().is_ok()
    }

    fn civil(self) -> DateTime {
        jiff::Timestamp::from_microsecond(self.0)
            .map(|at| at.to_zoned(TimeZone::UTC).datetime())
            .unwrap_or(DateTime::MAX)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso8601())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_date_families_are_exact() {
        let at = Timestamp::from_seconds(1_692_853_305);
        assert_eq!(at.rfc2822(), "Thu, 24 Aug 2023 05:01:45 +0000");
        assert_eq!(at.iso8601(), "2023-08-24T05:01:45Z");
        let early = Timestamp::parse("2008-01-02").unwrap();
        assert_eq!(early.rfc2822(), "Wed, 02 Jan 2008 00:00:00 +0000");
    }

    #[test]
    fn reads_every_form_clients_send() {
        for (text, iso) in [
            ("2024-02-01T00:00:00Z", "2024-02-01T00:00:00Z"),
            ("2024-02-01T03:00:00+03:00", "2024-02-01T00:00:00Z"),
            ("2024-02-01T00:00:00", "2024-02-01T00:00:00Z"),
            ("2024-02-01T00:00:00.123Z", "2024-02-01T00:00:00Z"),
            ("2019-06-11 22:05:25.000", "2019-06-11T22:05:25Z"),
            ("2008-01-02", "2008-01-02T00:00:00Z"),
            ("06/11/2019 22:05:25 MST", "2019-06-11T22:05:25Z"),
            ("Wed, 19 Jun 2019 22:04:00 -0000", "2019-06-19T22:04:00Z"),
            ("Wed, 19 Jun 2019 22:04:00 +0000", "2019-06-19T22:04:00Z"),
        ] {
            assert_eq!(Timestamp::parse(text).map(|at| at.iso8601()).as_deref(), Ok(iso), "{text}");
        }
        for bad in ["", "soon", "2024-13-01", "2024-02-30T00:00:00Z", "12"] {
            assert_eq!(Timestamp::parse(bad), Err(TimestampError), "{bad}");
        }
    }
}

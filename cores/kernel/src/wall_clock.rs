//! What clocks on the wall of a place show.

use jiff::tz::TimeZone;

use crate::Timestamp;

/// The clocks of a place, by their rule in the form of POSIX: `EST5EDT,M3.2.0,M11.1.0`.
#[derive(Clone, Debug)]
pub struct WallClock(TimeZone);

impl WallClock {
    /// `None` when the text is no such rule.
    pub fn of(rule: &str) -> Option<Self> {
        TimeZone::posix(rule).ok().map(Self)
    }

    /// The hour from 0 to 23 that the clocks show.
    pub fn hour(&self, at: Timestamp) -> i8 {
        self.zoned(at).map_or(0, |zoned| zoned.hour())
    }

    /// The next instant after `at` at which the clocks show this full hour, from 0 to 23.
    pub fn next(&self, at: Timestamp, hour: i8) -> Timestamp {
        let found = self.zoned(at).and_then(|zoned| {
            let today = zoned.date();
            let days = [Some(today), today.tomorrow().ok()];
            let instants = days.into_iter().flatten().filter_map(|day| {
                let shown = day.at(hour, 0, 0, 0).to_zoned(self.0.clone()).ok()?;
                Some(Timestamp::from_micros(shown.timestamp().as_microsecond()))
            });
            instants.into_iter().find(|instant| *instant > at)
        });
        found.unwrap_or(at)
    }

    fn zoned(&self, at: Timestamp) -> Option<jiff::Zoned> {
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        Some(instant.to_zoned(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_follow_their_rule_through_the_year() {
        let eastern = WallClock::of("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let arizona = WallClock::of("MST7").unwrap();
        for (at, clock, hour, next_eight) in [
            ("2026-01-15T02:30:00Z", &eastern, 21, "2026-01-15T13:00:00Z"),
            ("2026-07-15T02:30:00Z", &eastern, 22, "2026-07-15T12:00:00Z"),
            ("2026-07-15T12:00:00Z", &eastern, 8, "2026-07-16T12:00:00Z"),
            ("2026-07-15T02:30:00Z", &arizona, 19, "2026-07-15T15:00:00Z"),
            // The night in which an hour is left out.
            ("2026-03-08T04:00:00Z", &eastern, 23, "2026-03-08T12:00:00Z"),
            ("2026-11-01T03:00:00Z", &eastern, 23, "2026-11-01T13:00:00Z"),
        ] {
            let at = Timestamp::parse(at).unwrap();
            assert_eq!(clock.hour(at), hour, "{at}");
            assert_eq!(clock.next(at, 8).iso8601(), next_eight, "{at}");
        }
        assert!(WallClock::of("noon").is_none());
    }
}

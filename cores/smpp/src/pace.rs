//! Waiting: how long after a failure, and how often at most.

use std::time::Duration;

use kernel::Timestamp;

/// Delays that double from `first` to `max` until something succeeds.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max: max.max(first), next: first }
    }

    /// The delay after one more failure.
    pub fn fail(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.max);
        delay
    }

    /// As [`fail`](Self::fail), between half and all of it as `random` falls, so that
    /// sessions cut together do not come back together.
    pub fn fail_with_jitter(&mut self, random: u64) -> Duration {
        let half = self.fail() / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX / 2);
        half + Duration::from_micros(random % (micros + 1))
    }

    pub fn succeed(&mut self) {
        self.next = self.first;
    }
}

/// A rate with a burst of one second's worth (GCRA).
#[derive(Clone, Debug)]
pub struct Pace {
    /// 0: no limit.
    per_second: u32,
    /// Microseconds until which the rate is used up.
    used_until: i64,
}

impl Pace {
    /// `per_second` 0 is no limit.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, used_until: i64::MIN }
    }

    /// When the next one may go; not later than `now` when it may go at once.
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        if self.per_second == 0 {
            return now;
        }
        let burst = 1_000_000 - self.interval_micros();
        Timestamp::from_micros(self.used_until.saturating_sub(burst)).max(now)
    }

    /// Takes one if it may go now.
    pub fn take(&mut self, now: Timestamp) -> bool {
        if self.ready_at(now) > now {
            return false;
        }
        if self.per_second > 0 {
            self.used_until = self.used_until.max(now.as_micros()) + self.interval_micros();
        }
        true
    }

    fn interval_micros(&self) -> i64 {
        1_000_000 / i64::from(self.per_second.clamp(1, 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_up_to_the_most_and_start_over() {
        let mut backoff = Backoff::new(SECOND, SECOND * 5);
        let seconds: Vec<u64> = (0..5).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5]);
        backoff.succeed();
        assert_eq!(backoff.fail(), SECOND);
    }

    #[test]
    fn jitter_stays_between_half_and_all() {
        for random in [0, 1, 500_000, 500_001, u64::MAX] {
            let delay = Backoff::new(SECOND, SECOND).fail_with_jitter(random);
            assert!(delay >= SECOND / 2 && delay <= SECOND, "{delay:?}");
        }
    }

    #[test]
    fn a_pace_lets_its_rate_through() {
        let mut pace = Pace::new(10);
        let at = |millis| Timestamp::from_millis(millis);
        let burst = (0..20).filter(|_| pace.take(at(0))).count();
        assert_eq!(burst, 10);
        assert_eq!(pace.ready_at(at(0)), at(100));
        let later = (0..1_000).filter(|step| pace.take(at(step * 10))).count();
        assert!((99..=100).contains(&later), "{later}");
        assert!((0..10_000).all(|_| Pace::new(0).take(at(0))));
    }
}

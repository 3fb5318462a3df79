//! How well the lanes keep their time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of lateness, in microseconds; the last bucket has none.
pub const BOUNDS_MICROS: [u64; 11] =
    [250, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Clockwork {
    late: [AtomicU64; BOUNDS_MICROS.len() + 1],
    skipped: AtomicU64,
}

/// How the engine does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Legs now.
    pub legs: usize,
    /// Ticks by how late they were done, as [`BOUNDS_MICROS`] divides; the last is beyond.
    pub late: [u64; BOUNDS_MICROS.len() + 1],
    /// Ticks that were left out because the lane was too far behind.
    pub skipped: u64,
}

impl Clockwork {
    /// A tick was done so long after it was due.
    pub fn done(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.iter().position(|bound| micros <= *bound);
        self.late[bucket.unwrap_or(BOUNDS_MICROS.len())].fetch_add(1, Ordering::Relaxed);
    }

    pub fn skip(&self, ticks: u64) {
        self.skipped.fetch_add(ticks, Ordering::Relaxed);
    }

    pub fn load(&self, legs: usize) -> Load {
        Load {
            legs,
            late: std::array::from_fn(|at| self.late[at].load(Ordering::Relaxed)),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_by_their_lateness() {
        let clockwork = Clockwork::default();
        for micros in [0, 250, 251, 30_000, 1_000_000] {
            clockwork.done(Duration::from_micros(micros));
        }
        clockwork.skip(3);
        let load = clockwork.load(7);
        assert_eq!(load.late, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!((load.legs, load.skipped), (7, 3));
    }
}

//! Samples and durations at the working rate of 8 kHz.

use std::time::Duration;

use crate::{FRAME, RATE};

/// Length of a [`crate::Frame`].
pub const FRAME_TIME: Duration = Duration::from_millis(20);

/// Samples that `time` holds, rounded down; saturates.
pub fn samples(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(RATE) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// How long `samples` last, rounded down to the nanosecond.
pub fn duration(samples: u64) -> Duration {
    let rate = u64::from(RATE);
    Duration::new(samples / rate, (samples % rate * 1_000_000_000 / rate) as u32)
}

/// Frames that cover `time`, the last one perhaps in part.
pub fn frames(time: Duration) -> u64 {
    samples(time).div_ceil(FRAME as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_fifty_frames() {
        assert_eq!(samples(Duration::from_secs(1)), 8_000);
        assert_eq!(frames(Duration::from_secs(1)), 50);
        assert_eq!(frames(Duration::from_millis(21)), 2);
        assert_eq!(duration(160), FRAME_TIME);
        assert_eq!(samples(Duration::MAX), u64::MAX);
    }

    #[test]
    fn whole_samples_survive_the_way_there_and_back() {
        for count in [0, 1, 7, 159, 8_001, 691_200_000, u64::MAX / RATE as u64] {
            assert_eq!(samples(duration(count)), count, "{count}");
        }
    }
}

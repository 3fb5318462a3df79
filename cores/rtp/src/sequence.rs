//! Counters of 16 and 32 bits that wrap, made into ones that do not.

/// Follows a counter of `BITS` bits. The next value is the one nearest to the highest so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper<const BITS: u32> {
    highest: Option<i64>,
}

/// RTP sequence numbers.
pub type Sequence = Unwrapper<16>;
/// RTP timestamps.
pub type Timestamps = Unwrapper<32>;

impl<const BITS: u32> Unwrapper<BITS> {
    /// The value without wrapping. The first is as it is; what lies before it may be negative.
    pub fn unwrap(&mut self, value: u32) -> i64 {
        let unwrapped = self.peek(value);
        self.highest = Some(self.highest.map_or(unwrapped, |highest| highest.max(unwrapped)));
        unwrapped
    }

    /// The same without following.
    pub fn peek(&self, value: u32) -> i64 {
        let Some(highest) = self.highest else { return value.into() };
        let period = 1_i64 << BITS;
        let ahead = (i64::from(value) - highest).rem_euclid(period);
        highest + if ahead < period / 2 { ahead } else { ahead - period }
    }

    pub fn highest(&self) -> Option<i64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrapping_counters_go_on() {
        let mut sequence = Sequence::default();
        let values = [65_534, 65_535, 0, 65_533, 2, 1];
        assert_eq!(
            values.map(|value| sequence.unwrap(value)),
            [65_534, 65_535, 65_536, 65_533, 65_538, 65_537]
        );
        assert_eq!(sequence.highest(), Some(65_538));
        let mut timestamps = Timestamps::default();
        assert_eq!(timestamps.unwrap(5), 5);
        assert_eq!(timestamps.peek(u32::MAX), -1);
    }

    proptest! {
        #[test]
        fn steps_are_kept(start: u32, steps in prop::collection::vec(-30_000_i64..30_000, 0..100)) {
            let mut sequence = Sequence::default();
            let mut real = i64::from(start & 0xFFFF);
            let mut highest = real;
            sequence.unwrap(start & 0xFFFF);
            for step in steps {
                real = highest + step;
                highest = highest.max(real);
                prop_assert_eq!(sequence.unwrap((real & 0xFFFF) as u32), real);
            }
            prop_assert_eq!(sequence.highest(), Some(highest));
            let _ = real;
        }
    }
}

//! What is heard for samples that did not come: the last pitch period again, fading away.
//!
//! In the manner of ITU-T G.711 Appendix I, shorter: within 60 ms all is silence, and what comes
//! then is blended in over 4 ms.

use crate::RATE;

/// Samples of the past in which a period is looked for: 30 ms.
const PAST: usize = 240;
/// Periods of 5 to 15 ms: pitches from 66 to 200 Hz, and multiples of higher ones.
const PERIOD_MIN: usize = 40;
const PERIOD_MAX: usize = 120;
/// From where it fades, and to where.
const FULL: u32 = RATE / 100;
const GONE: u32 = RATE * 6 / 100;
/// Samples in which the real signal takes over.
const BLEND: usize = 32;

/// The memory of one stream.
#[derive(Clone, Debug)]
pub struct Concealer {
    past: [i16; PAST],
    period: usize,
    /// Samples concealed since the last real one.
    concealed: u32,
}

impl Default for Concealer {
    fn default() -> Self {
        Self { past: [0; PAST], period: PERIOD_MAX, concealed: 0 }
    }
}

impl Concealer {
    /// Takes what came, and blends its beginning when something was concealed before it.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.concealed > 0 && !samples.is_empty() {
            let count = samples.len().min(BLEND);
            for (at, sample) in samples[..count].iter_mut().enumerate() {
                let share = (at as i32 + 1) * 256 / (count as i32 + 1);
                let old = i32::from(self.next());
                *sample = ((i32::from(*sample) * share + old * (256 - share)) / 256) as i16;
            }
            self.concealed = 0;
        }
        if samples.len() >= PAST {
            self.past.copy_from_slice(&samples[samples.len() - PAST..]);
        } else {
            self.past.copy_within(samples.len().., 0);
            self.past[PAST - samples.len()..].copy_from_slice(samples);
        }
    }

    /// Fills `out` with what may have been there.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.concealed == 0 {
            self.period = period(&self.past);
        }
        for sample in out {
            *sample = self.next();
        }
    }

    /// Whether the last samples were made up.
    pub fn is_concealing(&self) -> bool {
        self.concealed > 0
    }

    fn next(&mut self) -> i16 {
        let at = self.concealed;
        self.concealed = at.saturating_add(1);
        if at >= GONE {
            return 0;
        }
        let sample = self.past[PAST - self.period + at as usize % self.period];
        let left = (GONE - at).min(GONE - FULL) as i32;
        (i32::from(sample) * left / (GONE - FULL) as i32) as i16
    }
}

/// The distance at which the past looks most like its end.
fn period(past: &[i16; PAST]) -> usize {
    let end = &past[PAST - PERIOD_MAX..];
    let mut best = (PERIOD_MAX, 0.0);
    for period in PERIOD_MIN..=PERIOD_MAX {
        let before = &past[PAST - PERIOD_MAX - period..PAST - period];
        let (mut like, mut energy) = (0.0_f32, 1.0_f32);
        for (a, b) in end.iter().zip(before) {
            like += f32::from(*a) * f32::from(*b);
            energy += f32::from(*b) * f32::from(*b);
        }
        let score = if like > 0.0 { like * like / energy } else { 0.0 };
        // A little more than rounding: of multiples the shortest.
        if score > best.1 * 1.001 {
            best = (period, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::dbfs;
    use crate::signals;

    #[test]
    fn a_lost_frame_of_a_vowel_continues_it() {
        let whole = signals::pair((125.0, 6_000.0), (375.0, 3_000.0), 1_280);
        let mut concealer = Concealer::default();
        concealer.heard(&mut whole[..800].to_vec());
        let mut made = [0; 160];
        concealer.conceal(&mut made);
        let difference: Vec<i16> =
            made[..80].iter().zip(&whole[800..]).map(|(a, b)| a - b).collect();
        assert!(dbfs(&difference) < dbfs(&whole) - 30.0, "{}", dbfs(&difference));
        // And the next real frame joins without a step.
        let mut next = whole[960..1_120].to_vec();
        concealer.heard(&mut next);
        let step = next[0].abs_diff(made[159]);
        assert!(step < 3_000, "{step}");
        assert_eq!(next[32..], whole[992..1_120]);
        assert!(!concealer.is_concealing());
    }

    #[test]
    fn after_60_ms_there_is_silence() {
        let mut concealer = Concealer::default();
        concealer.heard(&mut signals::pair((200.0, 9_000.0), (0.0, 0.0), 400));
        let mut made = vec![1; 1_600];
        concealer.conceal(&mut made);
        assert!(dbfs(&made[..160]) > -20.0 && dbfs(&made[320..480]) < dbfs(&made[..160]) - 9.0);
        assert!(made[480..].iter().all(|sample| *sample == 0));
    }

    #[test]
    fn without_a_past_there_is_silence() {
        let mut made = [1; 160];
        Concealer::default().conceal(&mut made);
        assert_eq!(made, [0; 160]);
    }
}

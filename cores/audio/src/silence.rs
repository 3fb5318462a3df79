//! Whether somebody speaks: for the time-outs and trimming of recordings, the end of speech, and
//! who speaks in a conference.

use std::ops::Range;
use std::time::Duration;

use crate::level::{FLOOR_DBFS, dbfs};
use crate::time::FRAME_TIME;
use crate::{FRAME, Frame};

/// What is quieter is silence.
///
/// Differs: Twilio does not publish its threshold; here it is −45 dBFS.
pub const SILENCE_DBFS: f32 = -45.0;
/// What is left at either end of a trimmed recording.
pub const TRIM_KEEPS: Duration = Duration::from_millis(200);

/// How far speech stands above the noise to begin, and to go on.
const BEGIN_DB: f32 = 10.0;
const GO_ON_DB: f32 = 6.0;
/// The noise is believed to rise by this much per frame (3 dB per second), and up to this.
const NOISE_RISE_DB: f32 = 0.06;
const NOISE_MAX_DBFS: f32 = -35.0;

/// Speech began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Began,
    Ended,
}

/// Follows one voice, with hysteresis in level and time.
#[derive(Clone, Debug)]
pub struct Detector {
    /// Frames of sound until speech has begun, and of silence until it has ended.
    begin: u32,
    end: u32,
    noise: f32,
    speaking: bool,
    sound: u32,
    silence: u32,
}

impl Default for Detector {
    /// Begins after 60 ms and ends after 400 ms.
    fn default() -> Self {
        Self::new(Duration::from_millis(60), Duration::from_millis(400))
    }
}

impl Detector {
    /// How long there must be sound for speech to begin, and silence for it to end; 20 ms at least.
    pub fn new(begin: Duration, end: Duration) -> Self {
        let frames = |time| crate::time::frames(time).clamp(1, u32::MAX.into()) as u32;
        Self {
            begin: frames(begin),
            end: frames(end),
            noise: FLOOR_DBFS,
            speaking: false,
            sound: 0,
            silence: 0,
        }
    }

    pub fn put(&mut self, frame: &Frame) -> Option<Change> {
        let level = dbfs(frame);
        self.noise = (self.noise + NOISE_RISE_DB).min(level).min(NOISE_MAX_DBFS);
        let above = if self.speaking { GO_ON_DB } else { BEGIN_DB };
        if level >= SILENCE_DBFS.max(self.noise + above) {
            self.sound = self.sound.saturating_add(1);
            if self.speaking || self.sound >= self.begin {
                self.silence = 0;
            } else {
                self.silence = self.silence.saturating_add(1);
            }
        } else {
            self.sound = 0;
            self.silence = self.silence.saturating_add(1);
        }
        if !self.speaking && self.sound >= self.begin {
            self.speaking = true;
            return Some(Change::Began);
        }
        if self.speaking && self.silence >= self.end {
            self.speaking = false;
            return Some(Change::Ended);
        }
        None
    }

    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// How long nobody has spoken: since the last sound of speech, or the first frame.
    pub fn silent_for(&self) -> Duration {
        FRAME_TIME.saturating_mul(self.silence)
    }
}

/// Where the sound is in 8 kHz `samples`, with [`TRIM_KEEPS`] on either side. Empty when there is
/// none.
pub fn trim(samples: &[i16]) -> Range<usize> {
    let is_sound = |piece: &[i16]| dbfs(piece) >= SILENCE_DBFS;
    let Some(first) = samples.chunks(FRAME).position(is_sound) else { return 0..0 };
    let last = samples.chunks(FRAME).rposition(is_sound).unwrap_or(first);
    let keep = crate::time::samples(TRIM_KEEPS) as usize;
    (first * FRAME).saturating_sub(keep)..samples.len().min((last + 1) * FRAME + keep)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SILENCE;
    use crate::signals::{self, Random};

    fn put(detector: &mut Detector, samples: &[i16]) -> Vec<Change> {
        samples.chunks_exact(FRAME).filter_map(|f| detector.put(f.try_into().unwrap())).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_voice_begins_and_ends() {
        let voice = signals::pair((150.0, 3_000.0), (600.0, 2_000.0), 8_000);
        let mut detector = Detector::default();
        assert_eq!(put(&mut detector, &[0; 8_000]), []);
        assert_eq!(detector.silent_for(), ms(1_000));
        assert_eq!(put(&mut detector, &voice), [Change::Began]);
        assert_eq!((detector.silent_for(), detector.is_speaking()), (ms(0), true));
        assert_eq!(put(&mut detector, &[0; 3_040]), []);
        assert_eq!(put(&mut detector, &[0; 160]), [Change::Ended]);
        assert_eq!((detector.silent_for(), detector.is_speaking()), (ms(400), false));
    }

    #[test]
    fn a_click_is_no_speech() {
        let mut detector = Detector::default();
        for _ in 0..20 {
            assert_eq!(detector.put(&[9_000; FRAME]), None);
            assert_eq!(detector.put(&[9_000; FRAME]), None);
            (0..5).for_each(|_| assert_eq!(detector.put(&SILENCE), None));
        }
        assert_eq!(detector.silent_for(), ms(2_800));
    }

    #[test]
    fn pauses_between_words_do_not_end_it() {
        let mut detector = Detector::default();
        let word = signals::pair((150.0, 3_000.0), (600.0, 2_000.0), 1_600);
        let mut changes = Vec::new();
        for _ in 0..10 {
            changes.extend(put(&mut detector, &word));
            changes.extend(put(&mut detector, &[0; 2_400]));
        }
        assert_eq!(changes, [Change::Began]);
    }

    #[test]
    fn noise_is_learnt_and_a_voice_above_it_is_heard() {
        let mut random = Random::new(1);
        let mut detector = Detector::default();
        // −40 dBFS: above the fixed threshold.
        put(&mut detector, &signals::noise(&mut random, 330.0, 8_000 * 20));
        assert!(!detector.is_speaking());
        let noise = signals::noise(&mut random, 330.0, 8_000);
        let voice = signals::pair((150.0, 4_000.0), (600.0, 3_000.0), 8_000);
        assert_eq!(put(&mut detector, &signals::sum(&noise, &voice)), [Change::Began]);
        assert_eq!(put(&mut detector, &noise), [Change::Ended]);
    }

    #[test]
    fn trimming_leaves_200_ms() {
        let mut samples = vec![0; 8_000];
        samples.extend(signals::pair((300.0, 3_000.0), (0.0, 0.0), 8_000));
        samples.resize(24_000, 3);
        assert_eq!(trim(&samples), 6_400..17_600);
        assert_eq!(trim(&samples[8_000..16_000]), 0..8_000);
        assert_eq!((trim(&[0; 999]), trim(&[])), (0..0, 0..0));
    }

    proptest! {
        #[test]
        fn what_is_trimmed_is_within(samples in prop::collection::vec(any::<i16>(), 0..2_000)) {
            let range = trim(&samples);
            prop_assert!(range.start <= range.end && range.end <= samples.len());
        }
    }
}

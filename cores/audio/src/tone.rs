//! Call-progress tones (ITU-T E.180) as endless audio.
//!
//! A tone is written as segments with a blank between, the first following the last:
//!
//! ```text
//! 425/1000        425 Hz for a second        0/4000    silence for four
//! 440+480/2000    both at once               425       for ever
//! 400*25/400      400 Hz whose loudness swings at 25 Hz
//! ```

use std::sync::LazyLock;

use crate::level::amplitude;
use crate::tone_table::ROWS;
use crate::{FRAME, Frame, RATE, time};

/// Level of all frequencies of a segment together, in dBm0.
pub const LEVEL_DBM0: f32 = -13.0;
/// ITU-T E.180 special information tone, once: what follows is an announcement.
pub const SPECIAL_INFORMATION: &str = "950/330 1400/330 1800/330 0";
/// Before a recording and at a conference's door, once.
///
/// Differs: Twilio does not publish its beep; here it is 1400 Hz for half a second.
pub const BEEP: &str = "1400/500 0";

const SEGMENTS_MAX: usize = 16;
const FREQUENCY_MAX: u16 = 3_900;
/// Longest segment, in milliseconds.
const TIME_MAX: u32 = 60_000;
/// Samples in which a segment of sound fades in and out, so that it does not click.
const RAMP: u32 = 32;

/// What a network says by a tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Ringback,
    Busy,
    Congestion,
    Dial,
}

/// The tone of a network, by its code in `<Dial ringTone>`: a country such as `us` or `uk`, or
/// `us-old`. None for a code that is not in the list.
pub fn of(code: &str, signal: Signal) -> Option<Tone> {
    let row = ROWS.iter().find(|row| row.code == code)?;
    Tone::parse(match signal {
        Signal::Ringback => row.ringback,
        Signal::Busy => row.busy,
        Signal::Congestion => row.congestion,
        Signal::Dial => row.dial,
    })
    .ok()
}

/// Every code that [`of`] knows.
pub fn codes() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.code)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToneError {
    #[error("a tone has 1 to 16 segments")]
    Segments,
    #[error("a segment is FREQUENCY[+FREQUENCY|*FREQUENCY][/MILLISECONDS]")]
    Segment,
    #[error("a frequency is 1 to 3900 Hz")]
    Frequency,
    #[error("a segment lasts 1 to 60000 ms")]
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wave {
    Silence,
    One(u16),
    Sum(u16, u16),
    /// Carrier and modulation.
    Modulated(u16, u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    wave: Wave,
    /// None for ever.
    samples: Option<u32>,
}

/// Endless audio of a repeating pattern. Cloned, it continues twice from the same place.
#[derive(Clone, Debug)]
pub struct Tone {
    segments: Vec<Segment>,
    level: f32,
    /// Which segment sounds, and how many of its samples have been.
    at: usize,
    gone: u32,
    /// Turns of the two frequencies, in 2⁻³².
    phases: [u32; 2],
}

impl Tone {
    /// Reads the notation above. No more than 16 segments.
    pub fn parse(pattern: &str) -> Result<Self, ToneError> {
        let segments = pattern
            .split_whitespace()
            .take(SEGMENTS_MAX + 1)
            .map(segment)
            .collect::<Result<_, _>>()?;
        Self::new(segments, amplitude(LEVEL_DBM0))
    }

    /// Two frequencies for some samples, at least one, then silence. `level` is that of both
    /// together, in dBm0.
    pub(crate) fn pair(low: u16, high: u16, level: f32, samples: u32) -> Self {
        let segments = vec![
            Segment { wave: Wave::Sum(low, high), samples: Some(samples) },
            Segment { wave: Wave::Silence, samples: None },
        ];
        Self { segments, level: amplitude(level), at: 0, gone: 0, phases: [0; 2] }
    }

    /// Nothing for ever.
    pub(crate) fn silence() -> Self {
        let segments = vec![Segment { wave: Wave::Silence, samples: None }];
        Self { segments, level: 0.0, at: 0, gone: 0, phases: [0; 2] }
    }

    fn new(segments: Vec<Segment>, level: f32) -> Result<Self, ToneError> {
        if segments.is_empty() || segments.len() > SEGMENTS_MAX {
            return Err(ToneError::Segments);
        }
        Ok(Self { segments, level, at: 0, gone: 0, phases: [0; 2] })
    }

    /// The next 20 ms.
    pub fn frame(&mut self) -> Frame {
        let mut frame = [0; FRAME];
        self.fill(&mut frame);
        frame
    }

    /// The next samples, as many as `out` holds.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = self.sample();
        }
    }

    /// How long the pattern is until it repeats. None when it ends in a segment without end.
    pub fn period(&self) -> Option<std::time::Duration> {
        let samples = self.segments.iter().map(|segment| segment.samples.map(u64::from));
        samples.sum::<Option<u64>>().map(time::duration)
    }

    fn sample(&mut self) -> i16 {
        let segment = self.segments[self.at];
        let value = match segment.wave {
            Wave::Silence => 0.0,
            Wave::One(hz) => self.turn(0, hz),
            // Two of half the power each.
            Wave::Sum(low, high) => {
                (self.turn(0, low) + self.turn(1, high)) * std::f32::consts::FRAC_1_SQRT_2
            }
            // Full modulation, of the same peak.
            Wave::Modulated(hz, by) => self.turn(0, hz) * (1.0 + self.turn(1, by)) / 2.0,
        };
        let edge = match segment.samples {
            Some(samples) => self.gone.min(samples - 1 - self.gone),
            None => self.gone,
        };
        let ramp = if edge < RAMP { edge as f32 / RAMP as f32 } else { 1.0 };
        self.advance(segment);
        (value * ramp * self.level * 32_767.0) as i16
    }

    fn advance(&mut self, segment: Segment) {
        match segment.samples {
            Some(samples) if self.gone + 1 == samples => {
                self.gone = 0;
                self.at = (self.at + 1) % self.segments.len();
                self.phases = [0; 2];
            }
            Some(_) => self.gone += 1,
            // Only the ramp needs to know.
            None => self.gone = (self.gone + 1).min(RAMP),
        }
    }

    /// The sine of one of the phases, which then moves on.
    fn turn(&mut self, which: usize, hz: u16) -> f32 {
        let phase = &mut self.phases[which];
        let value = sine(*phase);
        *phase = phase.wrapping_add(((u64::from(hz) << 32) / u64::from(RATE)) as u32);
        value
    }
}

/// One turn in 1024 steps and the first again.
static SINE: LazyLock<[f32; 1_025]> =
    LazyLock::new(|| std::array::from_fn(|at| (at as f32 / 1_024.0 * std::f32::consts::TAU).sin()));

/// The sine of a phase in 2⁻³² turns, exact to −110 dB.
fn sine(phase: u32) -> f32 {
    let at = (phase >> 22) as usize;
    let part = (phase & 0x3F_FFFF) as f32 / 4_194_304.0;
    SINE[at] + (SINE[at + 1] - SINE[at]) * part
}

fn segment(text: &str) -> Result<Segment, ToneError> {
    let (wave, time) = match text.split_once('/') {
        Some((wave, time)) => (wave, Some(time)),
        None => (text, None),
    };
    let wave = if let Some((a, b)) = wave.split_once('+') {
        Wave::Sum(frequency(a)?, frequency(b)?)
    } else if let Some((a, b)) = wave.split_once('*') {
        Wave::Modulated(frequency(a)?, frequency(b)?)
    } else if wave == "0" {
        Wave::Silence
    } else {
        Wave::One(frequency(wave)?)
    };
    let samples = match time {
        Some(time) => {
            let ms: u32 = time.parse().map_err(|_| ToneError::Segment)?;
            if !(1..=TIME_MAX).contains(&ms) {
                return Err(ToneError::Time);
            }
            Some(ms * RATE / 1_000)
        }
        None => None,
    };
    Ok(Segment { wave, samples })
}

fn frequency(text: &str) -> Result<u16, ToneError> {
    let hz: u16 = text.parse().map_err(|_| ToneError::Segment)?;
    if (1..=FREQUENCY_MAX).contains(&hz) { Ok(hz) } else { Err(ToneError::Frequency) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::level::{dbfs, dbm0};

    const SIGNALS: [Signal; 4] = [Signal::Ringback, Signal::Busy, Signal::Congestion, Signal::Dial];

    fn audio(tone: &mut Tone, ms: usize) -> Vec<i16> {
        let mut samples = vec![0; ms * 8];
        tone.fill(&mut samples);
        samples
    }

    /// Power of one frequency, as a share of all.
    fn share(samples: &[i16], hz: f64) -> f64 {
        let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let angle = at as f64 * hz * std::f64::consts::TAU / 8_000.0;
            let x = f64::from(*sample);
            re += x * angle.cos();
            im += x * angle.sin();
            all += x * x;
        }
        2.0 * (re * re + im * im) / (samples.len() as f64 * all)
    }

    #[test]
    fn every_row_of_the_table_sounds() {
        assert_eq!(codes().count(), ROWS.len());
        for code in codes() {
            for signal in SIGNALS {
                let mut tone = of(code, signal).unwrap_or_else(|| panic!("{code} {signal:?}"));
                let level = dbm0(dbfs(&audio(&mut tone, 160)[400..]));
                // Modulated tones have the peak, not the power.
                assert!((-20.0..-12.5).contains(&level), "{code} {signal:?}: {level}");
            }
        }
        assert!(of("xx", Signal::Busy).is_none());
    }

    #[test]
    fn american_ringback_is_two_seconds_in_six() {
        let mut tone = of("us", Signal::Ringback).unwrap();
        assert_eq!(tone.period(), Some(Duration::from_secs(6)));
        for _ in 0..2 {
            let on = audio(&mut tone, 2_000);
            assert!((dbm0(dbfs(&on)) + 13.0).abs() < 0.2, "{}", dbm0(dbfs(&on)));
            assert!(
                (share(&on, 440.0) - 0.5).abs() < 0.01 && (share(&on, 480.0) - 0.5).abs() < 0.01
            );
            assert!(audio(&mut tone, 4_000).iter().all(|sample| *sample == 0));
        }
    }

    #[test]
    fn modulation_makes_side_bands() {
        let mut tone = of("in", Signal::Dial).unwrap();
        let samples = audio(&mut tone, 2_000);
        for (hz, expected) in [(400.0, 2.0 / 3.0), (375.0, 1.0 / 6.0), (425.0, 1.0 / 6.0)] {
            assert!((share(&samples, hz) - expected).abs() < 0.01, "{hz}");
        }
        assert_eq!(tone.period(), None);
    }

    #[test]
    fn the_information_tone_rises_once() {
        let mut tone = Tone::parse(SPECIAL_INFORMATION).unwrap();
        for hz in [950.0, 1_400.0, 1_800.0] {
            assert!(share(&audio(&mut tone, 330), hz) > 0.98, "{hz}");
        }
        assert!(audio(&mut tone, 5_000).iter().all(|sample| *sample == 0));
    }

    #[test]
    fn tones_do_not_click() {
        for code in codes() {
            let mut tone = of(code, Signal::Busy).unwrap();
            let samples = audio(&mut tone, 3_000);
            // The steepest step of 480 and 620 Hz at this level, with room.
            let steepest = samples.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
            assert!(steepest < Some(3_200), "{code} {steepest:?}");
        }
    }

    #[test]
    fn what_is_not_the_notation_is_refused() {
        for (text, error) in [
            ("", ToneError::Segments),
            (
                "0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1 0/1",
                ToneError::Segments,
            ),
            ("425/", ToneError::Segment),
            ("x", ToneError::Segment),
            ("425+", ToneError::Segment),
            ("425/0", ToneError::Time),
            ("425/60001", ToneError::Time),
            ("3901", ToneError::Frequency),
            ("0+425", ToneError::Frequency),
        ] {
            assert_eq!(Tone::parse(text).unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(text in "[0-9+*/ x]{0,40}") {
            if let Ok(mut tone) = Tone::parse(&text) {
                tone.frame();
            }
        }

        #[test]
        fn time_may_be_cut_anywhere(cuts in prop::collection::vec(1_usize..500, 1..20)) {
            let mut whole = vec![0; cuts.iter().sum()];
            let tone = of("au", Signal::Ringback).unwrap();
            tone.clone().fill(&mut whole);
            let (mut tone, mut at) = (tone, 0);
            for cut in cuts {
                let mut piece = vec![0; cut];
                tone.fill(&mut piece);
                prop_assert_eq!(&piece[..], &whole[at..at + cut]);
                at += cut;
            }
        }
    }
}

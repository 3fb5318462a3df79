//! Changes the sampling rate by a windowed sinc in polyphase form.
//!
//! Speech is flat to 3.4 kHz and aliases are 55 dB down or more at 8 kHz. One output sample costs
//! 48 multiplications, times the ratio when the rate goes down. Our own, because the only available
//! crate of the kind brings an FFT and its own buffer types for what is one sum here.

use std::collections::VecDeque;
use std::f64::consts::PI;

/// Lowest and highest rate, in Hz.
pub const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Bounds the table: 11025 → 8000 Hz needs 320 phases, 8000 → 44100 Hz 441.
const PHASES_MAX: u32 = 640;
/// Zero crossings of the sinc on either side.
const CROSSINGS: f64 = 24.0;
/// Where the filter is 6 dB down, as a share of the lower Nyquist frequency.
const CUTOFF: f64 = 0.925;
/// Kaiser's β for 63 dB.
const BETA: f64 = 6.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResampleError {
    #[error("a rate of {0} Hz is outside 8000 to 192000")]
    Rate(u32),
    #[error("the rates {0} and {1} Hz have no simple ratio")]
    Ratio(u32, u32),
}

/// A stream of samples on its way to another rate.
///
/// What is pushed in pieces comes out as if pushed at once; [`Resampler::finish`] gives the rest.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// Output and input steps per common period.
    up: u32,
    down: u32,
    /// Input samples on either side of an output sample.
    reach: usize,
    /// Coefficients, phase by phase, `2 * reach` each.
    taps: Vec<f32>,
    /// The window of input that the next output needs, from `reach` before it.
    window: VecDeque<i16>,
    phase: u32,
    taken: u64,
    given: u64,
}

impl Resampler {
    pub fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        for rate in [from, to] {
            if !RATES.contains(&rate) {
                return Err(ResampleError::Rate(rate));
            }
        }
        let common = gcd(from, to);
        let (up, down) = (to / common, from / common);
        if up > PHASES_MAX {
            return Err(ResampleError::Ratio(from, to));
        }
        // Cycles per input sample at which the filter closes, doubled.
        let cutoff = CUTOFF * f64::from(to.min(from)) / f64::from(from);
        let reach = (CROSSINGS / cutoff).ceil() as usize;
        let taps = if up == down { Vec::new() } else { table(up, cutoff, reach) };
        // Before the first sample there was silence.
        let window = VecDeque::from(vec![0; reach - 1]);
        Ok(Self { up, down, reach, taps, window, phase: 0, taken: 0, given: 0 })
    }

    /// Takes `input` and appends to `out` what is ready.
    pub fn push(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.taken += input.len() as u64;
        if self.up == self.down {
            self.given += input.len() as u64;
            out.extend_from_slice(input);
            return;
        }
        self.window.extend(input);
        self.drain(out, u64::MAX);
    }

    /// Appends what the last samples still owe: in all, as long as the input was, rounded up.
    pub fn finish(mut self, out: &mut Vec<i16>) {
        let owed = (self.taken * u64::from(self.up)).div_ceil(u64::from(self.down));
        if self.up != self.down {
            self.window.extend(std::iter::repeat_n(0, 2 * self.reach));
            self.drain(out, owed);
        }
    }

    fn drain(&mut self, out: &mut Vec<i16>, until: u64) {
        let width = 2 * self.reach;
        let window = self.window.make_contiguous();
        let mut at = (self.phase / self.up) as usize;
        self.phase %= self.up;
        while at + width <= window.len() && self.given < until {
            let taps = &self.taps[self.phase as usize * width..][..width];
            let sum: f32 =
                window[at..at + width].iter().zip(taps).map(|(x, tap)| f32::from(*x) * tap).sum();
            // The cast saturates.
            out.push(sum.round() as i16);
            self.given += 1;
            self.phase += self.down;
            at += (self.phase / self.up) as usize;
            self.phase %= self.up;
        }
        // A large step may lie beyond what is here; what it skips has yet to come.
        let here = at.min(window.len());
        self.window.drain(..here);
        self.phase += (at - here) as u32 * self.up;
    }
}

/// All of `samples` at another rate.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, ResampleError> {
    let mut resampler = Resampler::new(from, to)?;
    let mut out = Vec::new();
    resampler.push(samples, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

fn table(up: u32, cutoff: f64, reach: usize) -> Vec<f32> {
    let mut taps = Vec::with_capacity(up as usize * 2 * reach);
    for phase in 0..up {
        let offset = f64::from(phase) / f64::from(up);
        let row: Vec<f64> = (0..2 * reach)
            .map(|tap| {
                let x = tap as f64 - (reach - 1) as f64 - offset;
                let angle = PI * x * cutoff;
                let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
                sinc * kaiser(x / reach as f64)
            })
            .collect();
        // Every phase passes a constant unchanged.
        let sum: f64 = row.iter().sum();
        taps.extend(row.iter().map(|tap| (tap / sum) as f32));
    }
    taps
}

fn kaiser(x: f64) -> f64 {
    bessel(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of the first kind and order zero, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..32 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::level::dbfs;

    fn sine(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = hz * 2.0 * PI / f64::from(rate);
        (0..samples).map(|at| ((at as f64 * step).sin() * 16_384.0) as i16).collect()
    }

    /// Level in the middle, where the filter is full.
    fn inner(samples: &[i16]) -> f32 {
        dbfs(&samples[samples.len() / 4..samples.len() * 3 / 4])
    }

    #[test]
    fn speech_passes_at_its_level() {
        for (from, to) in [
            (8_000, 16_000),
            (8_000, 48_000),
            (16_000, 8_000),
            (48_000, 8_000),
            (48_000, 16_000),
            (22_050, 8_000),
            (24_000, 8_000),
            (44_100, 8_000),
            (8_000, 44_100),
        ] {
            for hz in [100.0, 300.0, 1_000.0, 3_000.0, 3_400.0] {
                let out = resample(&sine(hz, from, from as usize), from, to).unwrap();
                assert_eq!(out.len(), to as usize);
                let level = inner(&out);
                assert!((level + 9.03).abs() < 0.3, "{from} {to} {hz}: {level}");
            }
        }
    }

    #[test]
    fn the_shape_is_kept_where_it_was() {
        let out = resample(&sine(440.0, 8_000, 8_000), 8_000, 48_000).unwrap();
        let expected = sine(440.0, 48_000, 48_000);
        for at in 1_000..47_000 {
            assert!((i32::from(out[at]) - i32::from(expected[at])).abs() < 40, "{at}");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        for (from, hz) in
            [(16_000, 4_300.0), (48_000, 4_300.0), (48_000, 7_000.0), (44_100, 15_000.0)]
        {
            let level = inner(&resample(&sine(hz, from, from as usize), from, 8_000).unwrap());
            assert!(level < -9.0 - 55.0, "{from} {hz}: {level}");
        }
        // And no image above on the way up.
        let up = resample(&sine(1_000.0, 8_000, 8_000), 8_000, 16_000).unwrap();
        let difference: Vec<i16> =
            up.iter().zip(sine(1_000.0, 16_000, 16_000)).map(|(a, b)| a - b).collect();
        assert!(inner(&difference) < -64.0);
    }

    #[test]
    fn rates_are_bounded() {
        let error = |from, to| Resampler::new(from, to).unwrap_err();
        assert_eq!(error(7_999, 8_000), ResampleError::Rate(7_999));
        assert_eq!(error(8_000, 192_001), ResampleError::Rate(192_001));
        assert_eq!(error(8_000, 8_001), ResampleError::Ratio(8_000, 8_001));
        assert_eq!(resample(&[1, 2, 3], 8_000, 8_000).unwrap(), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(
            samples in prop::collection::vec(any::<i16>(), 0..600),
            cut in 1_usize..200,
            rates in prop::sample::select(vec![
                (8_000, 48_000), (48_000, 8_000), (192_000, 8_000), (22_050, 8_000), (8_000, 16_000),
            ]),
        ) {
            let (from, to) = rates;
            let whole = resample(&samples, from, to).unwrap();
            prop_assert_eq!(whole.len(), (samples.len() * to as usize).div_ceil(from as usize));
            let mut resampler = Resampler::new(from, to).unwrap();
            let mut out = Vec::new();
            samples.chunks(cut).for_each(|piece| resampler.push(piece, &mut out));
            resampler.finish(&mut out);
            prop_assert_eq!(out, whole);
        }
    }
}

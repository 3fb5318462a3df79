//! How loud it is.
//!
//! dBFS is relative to a square wave of full scale, so that no signal is above 0 and a full-scale
//! sine is at −3.01. dBm0 is the level on a telephone line: a full-scale sine is +3.17 dBm0 in
//! µ-law (ITU-T G.711 §4; +3.14 in A-law, which is not told apart).

use crate::Frame;

/// What silence measures.
pub const FLOOR_DBFS: f32 = -96.0;
/// dBm0 of a full-scale sine.
const SINE_DBM0: f32 = 3.17;
/// dBFS of a full-scale sine.
const SINE_DBFS: f32 = -3.01;

/// Sum of squares: the energy of up to 2³³ samples fits.
pub fn energy(samples: &[i16]) -> u64 {
    samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum()
}

/// Root mean square in dBFS, from [`FLOOR_DBFS`] to 0.
pub fn dbfs(samples: &[i16]) -> f32 {
    mean_square_dbfs(energy(samples) as f32 / samples.len().max(1) as f32)
}

/// dBFS as dBm0.
pub fn dbm0(dbfs: f32) -> f32 {
    dbfs - SINE_DBFS + SINE_DBM0
}

/// Peak of a sine with this level in dBm0, as a share of full scale (1 is the loudest sine).
pub fn amplitude(dbm0: f32) -> f32 {
    10_f32.powf((dbm0 - SINE_DBM0) / 20.0).min(1.0)
}

fn mean_square_dbfs(mean: f32) -> f32 {
    (10.0 * (mean / (32_768.0 * 32_768.0)).log10()).clamp(FLOOR_DBFS, 0.0)
}

/// Follows the level of a stream: up at once, down by half in about 70 ms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    mean: f32,
    peak: u16,
}

impl Meter {
    pub fn put(&mut self, frame: &Frame) {
        let mean = energy(frame) as f32 / frame.len() as f32;
        self.mean = mean.max(self.mean * 0.8 + mean * 0.2);
        let peak = frame.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default();
        self.peak = self.peak.max(peak);
    }

    /// The level now, in dBFS.
    pub fn dbfs(&self) -> f32 {
        mean_square_dbfs(self.mean)
    }

    /// The largest sample since the last call, 0 to 32768.
    pub fn take_peak(&mut self) -> u16 {
        std::mem::take(&mut self.peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SILENCE;

    #[test]
    fn levels_of_known_signals() {
        assert_eq!(dbfs(&[]), FLOOR_DBFS);
        assert_eq!(dbfs(&SILENCE), FLOOR_DBFS);
        assert!(dbfs(&[i16::MIN, i16::MIN]).abs() < 0.01);
        let sine: Vec<i16> = (0..8_000)
            .map(|at| ((at as f32 / 8.0 * std::f32::consts::TAU).sin() * 32_767.0) as i16)
            .collect();
        assert!((dbfs(&sine) + 3.01).abs() < 0.05, "{}", dbfs(&sine));
        assert!((dbm0(dbfs(&sine)) - 3.17).abs() < 0.05);
        assert!((amplitude(3.17) - 1.0).abs() < 1e-6);
        assert!((amplitude(-16.83) - 0.1).abs() < 1e-4);
    }

    #[test]
    fn the_meter_rises_at_once_and_falls_slowly() {
        let mut meter = Meter::default();
        meter.put(&[8_192; 160]);
        assert!((meter.dbfs() + 12.04).abs() < 0.01);
        assert_eq!((meter.take_peak(), meter.take_peak()), (8_192, 0));
        meter.put(&SILENCE);
        assert!(meter.dbfs() > -14.0);
        (0..100).for_each(|_| meter.put(&SILENCE));
        assert!(meter.dbfs() < -90.0);
    }
}

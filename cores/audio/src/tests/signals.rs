//! Signals for tests, by seed.

use std::f64::consts::TAU;

/// A small generator, so that a seed means the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Of mean 0 and deviation 1, nearly normal.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// White noise of a root mean square.
pub fn noise(random: &mut Random, rms: f64, samples: usize) -> Vec<i16> {
    (0..samples).map(|_| (random.normal() * rms) as i16).collect()
}

/// Two sines of given peaks.
pub fn pair(low: (f64, f64), high: (f64, f64), samples: usize) -> Vec<i16> {
    let wave = |at: usize, (hz, peak): (f64, f64)| (at as f64 * hz * TAU / 8_000.0).sin() * peak;
    (0..samples).map(|at| (wave(at, low) + wave(at, high)) as i16).collect()
}

/// The sum, saturated.
pub fn sum(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// Something like speech: syllables of vowels, whose pitch and formants glide, hisses and pauses.
pub fn speech(random: &mut Random, samples: usize) -> Vec<i16> {
    let mut out = Vec::with_capacity(samples);
    while out.len() < samples {
        let length = random.between(400.0, 2_400.0) as usize;
        match random.next() % 8 {
            0 => out.resize(out.len() + length, 0),
            1 | 2 => {
                let rms = random.between(200.0, 2_000.0);
                out.extend(noise(random, rms, length));
            }
            _ => vowel(random, length, &mut out),
        }
    }
    out.truncate(samples);
    out
}

fn vowel(random: &mut Random, length: usize, out: &mut Vec<i16>) {
    let mut pitch = random.between(80.0, 255.0);
    let glide = random.between(-30.0, 30.0) / length as f64;
    // Frequency, bandwidth, glide.
    let mut formants = [
        (random.between(280.0, 950.0), random.between(40.0, 120.0), 0.0),
        (random.between(900.0, 2_300.0), random.between(50.0, 150.0), 0.0),
        (random.between(2_300.0, 3_200.0), random.between(80.0, 200.0), 0.0),
    ];
    formants.iter_mut().for_each(|f| f.2 = random.between(-150.0, 150.0) / length as f64);
    let (mut states, mut phase) = ([[0.0; 2]; 3], 0.0);
    let mut wave = Vec::with_capacity(length);
    for at in 0..length {
        phase += pitch / 8_000.0;
        let mut x = random.normal() * 0.01;
        if phase >= 1.0 {
            phase -= 1.0;
            x += 1.0;
        }
        pitch += glide;
        for (formant, state) in formants.iter_mut().zip(&mut states) {
            let radius = (-std::f64::consts::PI * formant.1 / 8_000.0).exp();
            let turn = formant.0 * TAU / 8_000.0;
            let y = x + 2.0 * radius * turn.cos() * state[0] - radius * radius * state[1];
            *state = [y, state[0]];
            x = y * (1.0 - radius);
            formant.0 += formant.2;
        }
        let rise = (at.min(length - at) as f64 / 160.0).min(1.0);
        wave.push(x * rise);
    }
    let loudest = wave.iter().fold(1e-9_f64, |max, x| max.max(x.abs()));
    let peak = random.between(2_000.0, 20_000.0);
    out.extend(wave.iter().map(|x| (x / loudest * peak) as i16));
}

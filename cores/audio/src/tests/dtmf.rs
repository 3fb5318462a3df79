use super::*;
use crate::g711::Law;
use crate::level::amplitude;
use crate::signals::{self, Random};

const ALL: &str = "0123456789*#ABCD";

/// Everything that a detector says about `samples`, with a pause after them.
fn events(samples: &[i16]) -> Vec<Event> {
    let mut padded = samples.to_vec();
    padded.resize(samples.len().next_multiple_of(FRAME) + 5 * FRAME, 0);
    let mut detector = Detector::default();
    padded.chunks_exact(FRAME).filter_map(|frame| detector.put(frame.try_into().unwrap())).collect()
}

fn keys(samples: &[i16]) -> String {
    let down = |event: &Event| match event {
        Event::Down(key) => Some(key.as_char()),
        Event::Up(..) => None,
    };
    events(samples).iter().filter_map(down).collect()
}

/// A key after `lead` samples of silence; levels in dBm0 per frequency, `off` a share of the
/// frequencies.
fn key(key: Key, low: f32, high: f32, off: f64, samples: usize, lead: usize) -> Vec<i16> {
    let (row, column) = key.frequencies();
    let wave =
        |hz: u16, level| (f64::from(hz) * (1.0 + off), f64::from(amplitude(level)) * 32_767.0);
    let mut out = vec![0; lead];
    out.extend(signals::pair(wave(row, low), wave(column, high), samples));
    out
}

fn all() -> impl Iterator<Item = Key> {
    ALL.chars().map(|c| Key::new(c).unwrap())
}

#[test]
fn keys_have_their_codes_and_frequencies() {
    for (code, c) in ALL.chars().enumerate() {
        let key = Key::new(c).unwrap();
        assert_eq!(usize::from(key.event()), code);
        assert_eq!(Key::from_event(code as u8), Some(key));
        assert_eq!(key.to_string(), c.to_string());
    }
    assert_eq!(Key::new('a'), Key::new('A'));
    assert_eq!((Key::new('w'), Key::new('é'), Key::from_event(16)), (None, None, None));
    assert_eq!(Key::new('5').unwrap().frequencies(), (770, 1_336));
    assert_eq!(Key::new('D').unwrap().frequencies(), (941, 1_633));
}

#[test]
fn strings_of_digits_are_read() {
    let one = Step::Key(Key::new('1').unwrap());
    assert_eq!(steps("w1W"), Ok(vec![Step::Wait(SHORT_WAIT), one, Step::Wait(LONG_WAIT)]));
    assert_eq!(steps("12x"), Err('x'));
    assert_eq!(steps(""), Ok(Vec::new()));
}

#[test]
fn what_is_played_is_found() {
    for (on, off) in [(100, 100), (40, 40), (60, 45), (250, 40)] {
        let times = (Duration::from_millis(on), Duration::from_millis(off));
        let text = "0123456789*#ABCD1122";
        let mut generator = Generator::with(steps(text).unwrap(), times.0, times.1, LEVEL_DBM0);
        let mut samples = Vec::new();
        while let Some(frame) = generator.frame() {
            samples.extend(frame);
        }
        assert_eq!(samples.len(), (20 * (on + off) as usize * 8).next_multiple_of(FRAME));
        assert_eq!(keys(&samples), text, "{on}/{off}");
        for law in [Law::Mu, Law::A] {
            let coded: Vec<i16> = samples.iter().map(|s| law.decode(law.encode(*s))).collect();
            assert_eq!(keys(&coded), text, "{law:?} {on}/{off}");
        }
    }
}

#[test]
fn waits_are_silent() {
    let mut generator = Generator::new(steps("wW").unwrap());
    let frames: Vec<Frame> = std::iter::from_fn(|| generator.frame()).collect();
    assert_eq!(frames.len(), 75);
    assert!(frames.iter().flatten().all(|sample| *sample == 0));
}

#[test]
fn a_key_of_40_ms_is_found_wherever_it_falls() {
    for which in all() {
        for lead in 0..FRAME {
            let samples = key(which, -9.0, -9.0, 0.0, 320, lead);
            assert_eq!(keys(&samples), which.to_string(), "{lead}");
        }
    }
}

#[test]
fn a_key_of_20_ms_is_none() {
    for which in all() {
        for lead in (0..FRAME).step_by(7) {
            assert_eq!(keys(&key(which, -9.0, -9.0, 0.0, 160, lead)), "", "{which} {lead}");
        }
    }
}

#[test]
fn the_length_is_told() {
    let which = Key::new('7').unwrap();
    for ms in [60, 100, 500, 3_000] {
        let events = events(&key(which, -9.0, -9.0, 0.0, ms * 8, 33));
        let [Event::Down(_), Event::Up(_, heard)] = events[..] else { panic!("{events:?}") };
        assert!(
            heard.abs_diff(Duration::from_millis(ms as u64)) <= Duration::from_millis(13),
            "{heard:?}"
        );
    }
}

#[test]
fn interruptions_of_10_ms_are_bridged_and_pauses_of_40_ms_are_not() {
    for which in all() {
        for lead in (0..FRAME).step_by(11) {
            let again = |pause: usize| {
                let mut samples = key(which, -9.0, -9.0, 0.0, 600, lead);
                samples.extend(key(which, -9.0, -9.0, 0.0, 600, pause));
                keys(&samples)
            };
            assert_eq!(again(80), which.to_string());
            assert_eq!(again(320), format!("{which}{which}"));
        }
    }
}

#[test]
fn levels_twist_and_frequencies_as_q24_wants() {
    for which in all() {
        // Low, high, share by which the frequencies are off; whether it is a key.
        for (low, high, off, is_key) in [
            (-4.0, -4.0, 0.0, true),
            (-29.0, -29.0, 0.0, true),
            (-45.0, -45.0, 0.0, false),
            (-9.0, -17.0, 0.0, true),
            (-13.0, -9.0, 0.0, true),
            (-9.0, -21.0, 0.0, false),
            (-17.0, -9.0, 0.0, false),
            (-9.0, -9.0, 0.015, true),
            (-9.0, -9.0, -0.015, true),
            (-9.0, -15.0, 0.015, true),
        ] {
            for lead in [0, 17, 60, 140] {
                let found = keys(&key(which, low, high, off, 480, lead));
                let expected = if is_key { which.to_string() } else { String::new() };
                assert_eq!(found, expected, "{which} {low} {high} {off}");
            }
        }
    }
}

#[test]
fn a_single_frequency_and_a_chord_are_no_keys() {
    for hz in ROWS.into_iter().chain(COLUMNS) {
        let one = signals::pair((hz.into(), 8_000.0), (0.0, 0.0), 1_600);
        assert_eq!(keys(&one), "", "{hz}");
        // A key with a third frequency as strong.
        let third = signals::pair((697.0, 5_000.0), (1_209.0, 5_000.0), 1_600);
        let chord = signals::sum(&third, &signals::pair((480.0, 5_000.0), (0.0, 0.0), 1_600));
        assert_eq!(keys(&chord), "");
    }
    for tone in crate::tone::codes() {
        let mut tone = crate::tone::of(tone, crate::tone::Signal::Ringback).unwrap();
        let mut samples = vec![0; 16_000];
        tone.fill(&mut samples);
        assert_eq!(keys(&samples), "");
    }
}

#[test]
fn keys_are_found_in_noise() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        for which in all() {
            let lead = (random.share() * 160.0) as usize;
            let tone = key(which, -12.0, -12.0, 0.0, 400, lead);
            // 15 dB below both frequencies together.
            let rms = f64::from(amplitude(-12.0)) * 32_767.0 / 10_f64.powf(15.0 / 20.0);
            let noise = signals::noise(&mut random, rms, tone.len());
            assert_eq!(keys(&signals::sum(&tone, &noise)), which.to_string(), "seed {seed}");
        }
    }
}

#[test]
fn noise_presses_no_keys() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let rms = random.between(10.0, 6_000.0);
        let noise = signals::noise(&mut random, rms, 8_000 * 60);
        assert_eq!(keys(&noise), "", "seed {seed}");
    }
}

/// Vowels whose formants happen to lie on a key's frequencies cannot be told from it: of half an
/// hour of nothing but syllables, three may be taken for keys.
#[test]
fn speech_presses_hardly_any_keys() {
    let speech = |seed| signals::speech(&mut Random::new(seed), 8_000 * 60);
    let found: String = (0..30).map(|seed| keys(&speech(seed))).collect();
    assert!(found.len() <= 3, "{found}");
}

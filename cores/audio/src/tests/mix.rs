use proptest::prelude::*;

use super::*;

type Conference = Mixer<u32>;

fn conference(members: u32) -> Conference {
    let mut mixer = Mixer::new(Limits::default());
    (0..members).for_each(|id| mixer.set(id, Part::default()).unwrap());
    mixer
}

/// Two ticks of constant frames, so that what begins in ramps is there.
fn tick(mixer: &mut Conference, voices: &[(u32, i16)]) {
    for _ in 0..2 {
        voices.iter().for_each(|(id, value)| mixer.put(*id, [*value; FRAME]));
        mixer.mix(None);
    }
}

/// The last sample of what a member hears.
fn heard(mixer: &Conference, id: u32) -> Option<i16> {
    match mixer.hear(id) {
        Heard::Common(frame) => Some(frame[FRAME - 1]),
        Heard::Own(frame) => Some(frame[FRAME - 1]),
        Heard::Nothing => None,
    }
}

#[test]
fn everyone_hears_the_others() {
    let mut mixer = conference(4);
    tick(&mut mixer, &[(0, 1_000), (1, 200), (2, 30)]);
    let all: Vec<_> = (0..4).map(|id| heard(&mixer, id)).collect();
    assert_eq!(all, [Some(230), Some(1_030), Some(1_200), Some(1_230)]);
    assert!(matches!(mixer.hear(3), Heard::Common(_)));
    assert_eq!(mixer.everyone(), &[1_230; FRAME]);
    assert_eq!(mixer.hear(9), Heard::Nothing);
}

#[test]
fn parts_as_they_are_set() {
    let mut mixer = conference(4);
    mixer.set(0, Part { muted: true, ..Part::default() }).unwrap();
    mixer.set(1, Part { held: true, ..Part::default() }).unwrap();
    mixer.set(2, Part { gain: 128, ..Part::default() }).unwrap();
    tick(&mut mixer, &[(0, 1_000), (1, 200), (2, 30)]);
    let all: Vec<_> = (0..4).map(|id| heard(&mixer, id)).collect();
    assert_eq!(all, [Some(15), None, Some(0), Some(15)]);
    mixer.remove(2);
    tick(&mut mixer, &[(2, 30)]);
    assert_eq!((heard(&mixer, 3), heard(&mixer, 2), mixer.len()), (Some(0), None, 3));
}

#[test]
fn a_coach_is_heard_by_one() {
    let mut mixer = conference(4);
    mixer.set(0, Part { coaches: Some(1), ..Part::default() }).unwrap();
    tick(&mut mixer, &[(0, 1_000), (1, 200), (2, 30)]);
    let all: Vec<_> = (0..4).map(|id| heard(&mixer, id)).collect();
    assert_eq!(all, [Some(230), Some(1_030), Some(200), Some(230)]);
    assert_eq!(mixer.everyone()[0], 230);
    // Who coaches somebody who is not there talks to nobody.
    mixer.remove(1);
    tick(&mut mixer, &[(0, 1_000), (2, 30)]);
    assert_eq!(
        (heard(&mixer, 0), heard(&mixer, 2), heard(&mixer, 3)),
        (Some(30), Some(0), Some(30))
    );
}

#[test]
fn announcements_are_heard_by_all_but_the_held() {
    let mut mixer = conference(3);
    mixer.set(2, Part { held: true, ..Part::default() }).unwrap();
    tick(&mut mixer, &[(0, 50)]);
    mixer.put(0, [50; FRAME]);
    mixer.mix(Some(&[700; FRAME]));
    let all: Vec<_> = (0..3).map(|id| heard(&mixer, id)).collect();
    assert_eq!(all, [Some(700), Some(750), None]);
}

#[test]
fn only_the_loudest_are_mixed_and_places_are_kept() {
    let mut mixer: Conference = Mixer::new(Limits { members: 10, loudest: 2 });
    (0..4).for_each(|id| mixer.set(id, Part::default()).unwrap());
    tick(&mut mixer, &[(0, 100), (1, 90), (2, 80), (3, 10)]);
    assert_eq!(mixer.loudest().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(
        (heard(&mixer, 3), heard(&mixer, 0), heard(&mixer, 2)),
        (Some(190), Some(90), Some(190))
    );
    // A little louder is not enough, half as loud again is.
    tick(&mut mixer, &[(0, 100), (1, 90), (2, 110), (3, 10)]);
    assert_eq!(mixer.loudest().collect::<Vec<_>>(), [0, 1]);
    tick(&mut mixer, &[(0, 100), (1, 90), (2, 150), (3, 10)]);
    assert_eq!(mixer.loudest().collect::<Vec<_>>(), [0, 2]);
    // A pause between words does not cost the place.
    (0..5).for_each(|_| mixer.mix(None));
    mixer.put(1, [90; FRAME]);
    mixer.mix(None);
    assert!(mixer.loudest().any(|id| id == 2));
}

#[test]
fn changes_do_not_click() {
    let mut mixer = conference(2);
    let mut samples = Vec::new();
    for turn in 0..20 {
        let part = Part { muted: turn % 2 == 0, gain: 512, ..Part::default() };
        mixer.set(0, part).unwrap();
        for _ in 0..3 {
            mixer.put(0, [8_000; FRAME]);
            mixer.mix(None);
            let Heard::Common(frame) = mixer.hear(1) else { panic!() };
            samples.extend(*frame);
        }
    }
    assert!(samples.contains(&0) && samples.contains(&16_000));
    assert!(samples.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 125));
}

#[test]
fn the_conference_is_bounded() {
    let mut mixer = conference(250);
    assert_eq!(mixer.set(250, Part::default()), Err(Full(250)));
    assert_eq!(mixer.set(7, Part { gain: u16::MAX, ..Part::default() }), Ok(()));
    assert_eq!(mixer.part(7).unwrap().gain, GAIN_MAX);
    // All at full scale: limited, not wrapped.
    for _ in 0..2 {
        (0..250).for_each(|id| mixer.put(id, [i16::MAX; FRAME]));
        mixer.mix(Some(&[i16::MAX; FRAME]));
    }
    assert!((0..250).all(|id| heard(&mixer, id).unwrap() > 30_000));
    for _ in 0..2 {
        (0..250).for_each(|id| mixer.put(id, [i16::MIN; FRAME]));
        mixer.mix(Some(&[i16::MIN; FRAME]));
    }
    assert!((0..250).all(|id| heard(&mixer, id).unwrap() < -30_000));
}

#[test]
fn limiting_is_even_and_rises_always() {
    let mut last = 0;
    for sum in 0..200_000 {
        let limited = limit(sum);
        assert!(limited >= last && limit(-sum) == -limited);
        last = limited;
    }
    assert_eq!((limit(KNEE), limit(KNEE + 100)), (16_384, 16_483));
    assert!(limit(i32::MAX) > 32_000 && limit(i32::MIN) < -32_000);
}

proptest! {
    /// As long as nothing is limited, hearing is exact arithmetic.
    #[test]
    fn nobody_hears_themselves(values in prop::collection::vec(-1_500_i16..1_500, 1..8)) {
        let mut mixer = conference(values.len() as u32);
        let voices: Vec<(u32, i16)> = (0..).zip(values.iter().copied()).collect();
        tick(&mut mixer, &voices);
        let all: i16 = values.iter().sum();
        for (id, value) in voices {
            prop_assert_eq!(heard(&mixer, id), Some(all - value));
        }
    }
}

#[test]
fn what_is_said_elsewhere_is_heard_here_and_does_not_go_back() {
    let mut mixer = conference(2);
    mixer.set(2, Part { held: true, ..Part::default() }).unwrap();
    for _ in 0..2 {
        mixer.put(0, [1_000; FRAME]);
        mixer.add(&[20; FRAME]);
        mixer.add(&[5; FRAME]);
        mixer.mix(Some(&[300; FRAME]));
    }
    let all: Vec<_> = (0..3).map(|id| heard(&mixer, id)).collect();
    assert_eq!(all, [Some(325), Some(1_325), None]);
    assert_eq!((mixer.everyone()[0], mixer.own()), (1_325, [1_300; FRAME]));
    tick(&mut mixer, &[(0, 1_000)]);
    assert_eq!((heard(&mixer, 1), mixer.own()), (Some(1_000), [1_000; FRAME]));
}

#[test]
fn whispers_cross_over_to_whom_they_are_for() {
    let mut mixer = conference(2);
    mixer.set(1, Part { coaches: Some(7), ..Part::default() }).unwrap();
    tick(&mut mixer, &[(0, 100), (1, 40)]);
    assert_eq!(mixer.whispers_away().collect::<Vec<_>>(), [(7, [40; FRAME])]);
    assert_eq!((heard(&mixer, 0), mixer.own()), (Some(0), [100; FRAME]));
    mixer.add_whisper(0, &[9; FRAME]);
    mixer.add_whisper(8, &[9; FRAME]);
    mixer.put(0, [100; FRAME]);
    mixer.mix(None);
    assert_eq!((heard(&mixer, 0), heard(&mixer, 1)), (Some(9), Some(100)));
    assert_eq!(mixer.whispers_away().count(), 0, "nothing is passed on");
}

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(20);

fn sound(value: i16) -> Sound {
    Sound { room: Some(Box::new([value; FRAME])), whispers: Vec::new() }
}

fn value(sound: Option<Sound>) -> Option<i16> {
    sound.and_then(|sound| sound.room).map(|frame| frame[0])
}

#[test]
fn messages_survive_the_way() {
    let whispers = vec![(7, [1; FRAME]), (u128::MAX, [-2; FRAME])];
    for message in [
        Message::Hello { members: 3 },
        Message::Bye,
        Message::Sound { tick: 9, sound: sound(-5) },
        Message::Sound { tick: u64::MAX, sound: Sound { room: None, whispers } },
        Message::Told(Told { recording: 1, what: Change::Stop }),
        Message::Told(Told { recording: 1, what: Change::Pause { skip: false } }),
        Message::Told(Told { recording: 1, what: Change::Pause { skip: true } }),
        Message::Told(Told { recording: 1, what: Change::Resume }),
    ] {
        let octets = message.write(77);
        assert!(octets.len() <= MESSAGE_MAX);
        assert_eq!(Message::read(&octets), Ok((77, message)));
        assert_eq!(Message::read(&octets[..octets.len() - 1]), Err(Malformed));
        let longer = [&octets[..], &[0]].concat();
        assert_eq!(Message::read(&longer), Err(Malformed));
    }
}

#[test]
fn what_comes_is_heard_three_frames_later_and_in_order() {
    let mut buffer = Buffer::default();
    assert!(buffer.put(100, sound(0)) && buffer.put(102, sound(2)) && buffer.put(101, sound(1)));
    assert!(!buffer.put(101, sound(1)), "twice");
    let heard: Vec<_> = (0..7).map(|_| value(buffer.take())).collect();
    assert_eq!(heard, [None, None, None, Some(0), Some(1), Some(2), None]);
}

#[test]
fn what_is_late_is_dropped_and_what_stays_late_begins_anew() {
    let mut buffer = Buffer::default();
    for tick in 10..14 {
        buffer.put(tick, sound(0));
    }
    (0..6).for_each(|_| drop(buffer.take()));
    assert!(!buffer.put(11, sound(1)), "others wait that are later");
    buffer.take();
    // The way has become longer for good.
    assert!(buffer.put(14, sound(4)));
    (0..5).for_each(|_| drop(buffer.take()));
    assert!(buffer.put(15, sound(5)));
    let heard: Vec<_> = (0..4).map(|_| value(buffer.take())).collect();
    assert_eq!(heard, [None, None, None, Some(5)]);
}

#[test]
fn no_tick_is_too_late_to_be_heard() {
    let mut buffer = Buffer::default();
    for tick in [1, u64::MAX, u64::MAX - 1] {
        buffer.put(tick, sound(1));
    }
    let heard = (0..10).filter_map(|_| buffer.take()).count();
    assert_eq!(heard, 2);
}

#[test]
fn what_piles_up_is_cut() {
    let mut buffer = Buffer::default();
    for tick in 0..50 {
        buffer.put(tick, sound(tick as i16));
        assert!(buffer.waiting.len() as u64 <= DEPTH_MAX + 1, "{}", buffer.waiting.len());
    }
    // No more waits than has to.
    let mut left = 0;
    while value(buffer.take()) != Some(49) {
        left += 1;
        assert!(left <= DEPTH_MAX);
    }
}

/// Two links that hear each other at once, for so many ticks from `now`.
fn talk(one: &mut Link, two: &mut Link, now: &mut Duration, ticks: u32) -> Vec<Option<i16>> {
    let mut heard = Vec::new();
    for _ in 0..ticks {
        let says = one.greet(1, *now).into_iter().chain(one.say(sound(8)));
        says.for_each(|octets| assert_eq!(two.hear(&octets, *now), Ok(Heard::Taken)));
        let says = two.greet(1, *now).into_iter().chain(two.say(sound(9)));
        says.for_each(|octets| assert_eq!(one.hear(&octets, *now), Ok(Heard::Taken)));
        heard.push(value(two.take().next()));
        *now += TICK;
    }
    heard
}

#[test]
fn who_is_heard_is_told_and_who_is_silent_is_forgotten() {
    let (mut one, mut two) = (Link::new(1), Link::new(2));
    let mut now = Duration::ZERO;
    assert_eq!(one.say(sound(1)), None, "nobody hears it");
    let heard = talk(&mut one, &mut two, &mut now, 10);
    assert_eq!(&heard[5..], [Some(8); 5]);
    assert!(one.has_others() && two.has_others());
    // Silence needs no message.
    assert_eq!(one.say(Sound::default()), None);
    // Two is gone without a word.
    now += Duration::from_secs(4);
    assert_eq!(one.greet(1, now).len(), 1);
    assert!(!one.is_heard());
    assert_eq!(one.say(sound(1)), None);
    // And there again.
    let heard = talk(&mut one, &mut two, &mut now, 10);
    assert_eq!(heard.last(), Some(&Some(8)));
    one.hear(&two.bye(), now).unwrap();
    assert!(!one.is_heard());
}

#[test]
fn a_hello_is_due_once_a_second_and_at_once_when_somebody_is_new() {
    let mut link = Link::new(1);
    let at = Duration::from_millis;
    assert_eq!(link.greet(1, at(0)).len(), 1);
    assert_eq!(link.greet(2, at(20)).len(), 0);
    let hello = Message::Hello { members: 0 }.write(2);
    link.hear(&hello, at(30)).unwrap();
    assert_eq!(link.greet(2, at(40)).len(), 1, "to who is new");
    link.hear(&hello, at(50)).unwrap();
    assert_eq!(link.greet(2, at(60)).len(), 0);
    assert!(link.is_heard() && !link.has_others(), "it only listens");
    assert_eq!(link.greet(0, at(80)).len(), 1, "nobody is there any more");
    assert_eq!(link.greet(0, at(1060)).len(), 0);
    assert_eq!(link.greet(0, at(1080)).len(), 1);
}

#[test]
fn what_was_told_last_of_a_recording_is_said_again() {
    let mut link = Link::new(1);
    for (recording, what) in
        [(1, Change::Pause { skip: true }), (1, Change::Resume), (2, Change::Stop)]
    {
        link.tell(Told { recording, what });
    }
    let due = link.greet(1, Duration::ZERO);
    let told: Vec<_> = due.iter().map(|octets| Message::read(octets).unwrap().1).collect();
    let last = [(1, Change::Resume), (2, Change::Stop)];
    let last = last.map(|(recording, what)| Message::Told(Told { recording, what }));
    assert_eq!((told.len(), &told[1..]), (3, &last[..]));
    for second in 1..REPEATS {
        assert_eq!(link.greet(1, Duration::from_secs(second.into())).len(), 3);
    }
    assert_eq!(link.greet(1, Duration::from_secs(100)).len(), 1);
    for recording in 0..100 {
        link.tell(Told { recording, what: Change::Stop });
    }
    assert_eq!(link.told.len(), TOLD_MAX);
}

#[test]
fn so_many_nodes_are_heard_and_none_that_said_no_hello() {
    let mut link = Link::new(0);
    let now = Duration::ZERO;
    let message = Message::Sound { tick: 1, sound: sound(1) };
    assert_eq!(link.hear(&message.write(1), now), Ok(Heard::Dropped));
    for node in 1..=40 {
        link.hear(&Message::Hello { members: 1 }.write(node), now).unwrap();
    }
    assert_eq!(link.others.len(), NODES_MAX);
    assert_eq!(link.hear(&message.write(1), now), Ok(Heard::Taken));
    assert_eq!(link.hear(&message.write(40), now), Ok(Heard::Dropped));
}

proptest! {
    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..1000), fits in any::<bool>()) {
        let mut octets = octets;
        if fits && octets.len() > 1 {
            (octets[0], octets[1]) = (VERSION, octets[1] % 4);
        }
        if let Ok((node, message)) = Message::read(&octets) {
            prop_assert_eq!(message.write(node), octets);
        }
    }

    #[test]
    fn nothing_piles_up_and_nothing_is_heard_twice(
        ticks in proptest::collection::vec((any::<u16>(), any::<bool>()), 0..300),
    ) {
        let mut buffer = Buffer::default();
        let mut put = 0;
        let mut heard = 0;
        for (tick, takes) in ticks {
            put += u32::from(buffer.put(tick.into(), sound(1)));
            heard += u32::from(takes && buffer.take().is_some());
            prop_assert!(buffer.waiting.len() as u64 <= DEPTH_MAX + 1);
        }
        prop_assert!(heard <= put);
    }
}

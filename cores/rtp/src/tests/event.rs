use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn key(c: char) -> Key {
    Key::new(c).unwrap()
}

fn sent(c: char, timestamp: u32, duration: u32) -> Vec<Outgoing> {
    let mut sender = Sender::new(key(c).event(), 10, timestamp, duration, 160);
    std::iter::from_fn(|| sender.packet()).collect()
}

/// Every 20 ms one packet, or none that arrives.
fn received(packets: impl IntoIterator<Item = Option<Outgoing>>) -> Vec<Heard> {
    let (mut receiver, mut heard) = (Receiver::default(), Vec::new());
    let mut now = Duration::ZERO;
    for packet in packets.into_iter().chain(std::iter::repeat_n(None, 10)) {
        if let Some(packet) = packet {
            let (timestamp, marker) = (packet.timestamp, packet.marker);
            let header = Header { ssrc: 1, timestamp, marker, ..Header::default() };
            receiver.put(&header, &packet.payload.octets(), now, &mut heard);
        }
        heard.extend(receiver.tick(now));
        now += ms(20);
    }
    assert!(!receiver.is_down());
    heard
}

#[test]
fn a_payload_is_what_the_standard_draws() {
    let payload = Payload { event: 11, end: true, volume: 10, duration: 0x0320 };
    assert_eq!(payload.octets(), [11, 0x8A, 0x03, 0x20]);
    assert_eq!(Payload::read(&[11, 0x8A, 0x03, 0x20, 9]), Some(payload));
    // The reserved bit is ignored.
    assert_eq!(Payload::read(&[11, 0xCA, 0x03, 0x20]), Some(payload));
    assert_eq!(Payload::read(&[11, 0x8A, 0x03]), None);
}

#[test]
fn a_key_grows_and_ends_three_times() {
    let packets = sent('5', 1_000, 400);
    let seen: Vec<_> =
        packets.iter().map(|p| (p.marker, p.payload.duration, p.payload.end)).collect();
    assert_eq!(
        seen,
        [
            (true, 160, false),
            (false, 320, false),
            (false, 400, true),
            (false, 400, true),
            (false, 400, true)
        ]
    );
    assert!(packets.iter().all(|p| p.timestamp == 1_000 && p.payload.event == 5));
    assert_eq!(sent('5', 0, 0).len(), 3);
}

#[test]
fn a_key_held_long_goes_on_in_another_segment() {
    let packets = sent('#', 7, 140_000);
    let mut timestamps: Vec<u32> = packets.iter().map(|p| p.timestamp).collect();
    timestamps.dedup();
    assert_eq!(timestamps, [7, 7 + 65_535, 7 + 131_070]);
    assert_eq!(packets.iter().filter(|p| p.marker).count(), 1);
    let longest = packets.iter().map(|p| p.payload.duration).max();
    assert_eq!(longest, Some(SEGMENT_MAX));
    let heard = received(packets.into_iter().map(Some));
    assert_eq!(heard, [Heard::Down(key('#')), Heard::Up(key('#'), 140_000)]);
}

#[test]
fn the_same_key_twice_is_two_keys() {
    let packets = sent('1', 0, 800).into_iter().chain(sent('1', 1_600, 800)).map(Some);
    let up = Heard::Up(key('1'), 800);
    assert_eq!(received(packets), [Heard::Down(key('1')), up, Heard::Down(key('1')), up]);
}

#[test]
fn lost_beginnings_and_ends_are_made_good() {
    let packets = || sent('9', 0, 800).into_iter().enumerate();
    // Only the last packet comes.
    let heard = received(packets().map(|(at, p)| (at == 6).then_some(p)));
    assert_eq!(heard, [Heard::Down(key('9')), Heard::Up(key('9'), 800)]);
    // No end comes.
    let heard = received(packets().map(|(at, p)| (at < 4).then_some(p)));
    assert_eq!(heard, [Heard::Down(key('9')), Heard::Up(key('9'), 640)]);
    // No end comes, but the next key.
    let first = sent('9', 0, 800).into_iter().take(2);
    let heard = received(first.chain(sent('8', 1_600, 800)).map(Some));
    assert_eq!(
        heard,
        [
            Heard::Down(key('9')),
            Heard::Up(key('9'), 320),
            Heard::Down(key('8')),
            Heard::Up(key('8'), 800)
        ]
    );
}

#[test]
fn stragglers_say_nothing_and_a_source_may_begin_anew() {
    let (mut receiver, mut heard) = (Receiver::default(), Vec::new());
    let mut put = |timestamp, ssrc, now| {
        let header = Header { ssrc, timestamp, ..Header::default() };
        let payload = Payload { event: 3, end: true, volume: 0, duration: 160 };
        heard.clear();
        receiver.put(&header, &payload.octets(), ms(now), &mut heard);
        heard.len()
    };
    assert_eq!(put(10_000, 1, 0), 2);
    assert_eq!((put(9_000, 1, 20), put(10_000, 1, 40)), (0, 0));
    assert_eq!(put(9_000, 2, 60), 2);
    assert_eq!(put(8_000, 2, 6_000), 2);
}

#[test]
fn the_flash_is_no_key_and_other_events_are_nothing() {
    let flash = Payload { event: FLASH, end: true, volume: 0, duration: 160 };
    let packet = |payload| Some(Outgoing { marker: true, timestamp: 0, payload });
    assert_eq!(received([packet(flash), packet(flash)]), [Heard::Flash]);
    assert_eq!(received([packet(Payload { event: 17, ..flash })]), []);
}

proptest! {
    #[test]
    fn no_octets_panic(
        packets in prop::collection::vec(
            (any::<u32>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..6)), 0..50,
        ),
    ) {
        let (mut receiver, mut heard) = (Receiver::default(), Vec::new());
        for (at, (timestamp, marker, octets)) in packets.into_iter().enumerate() {
            let before = heard.len();
            let header = Header { timestamp, marker, ..Header::default() };
            receiver.put(&header, &octets, ms(at as u64 * 20), &mut heard);
            prop_assert!(heard.len() <= before + 3);
        }
    }

    /// Of every key at least one packet comes: each is heard once and in order.
    #[test]
    fn keys_survive_loss_and_repetition(
        digits in "[0-9*#A-D]{1,12}",
        fates in prop::collection::vec(0_u8..4, 12 * 8),
    ) {
        let mut packets = Vec::new();
        for (nth, c) in digits.chars().enumerate() {
            let all = sent(c, nth as u32 * 1_600, 800);
            let mut some = false;
            for (at, packet) in all.iter().enumerate() {
                let fate = fates[nth * 8 + at];
                let is_last_hope = !some && at + 1 == all.len();
                if fate > 0 || is_last_hope {
                    some = true;
                    packets.push(Some(*packet));
                    packets.extend((fate == 3).then_some(Some(*packet)));
                } else {
                    packets.push(None);
                }
            }
        }
        let down: String = received(packets).into_iter().filter_map(|heard| match heard {
            Heard::Down(key) => Some(key.as_char()),
            _ => None,
        }).collect();
        prop_assert_eq!(down, digits);
    }
}

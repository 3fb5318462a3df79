use proptest::prelude::*;

use super::*;
use crate::payload::{Codec, Map};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Decodes payloads that hold a number and how many samples they are; notes the numbers.
#[derive(Default)]
struct Notes(Vec<u32>);

impl Decode for Notes {
    fn decode(&mut self, _: u8, payload: &[u8], out: &mut Vec<i16>) {
        let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
        self.0.push(number);
        let value = if number.is_multiple_of(2) { 9_000 } else { 8_000 };
        out.resize(out.len() + usize::from(payload[4]) * 8, value);
    }
}

fn packet(number: u32, ms: u8) -> (Header, Vec<u8>) {
    let header = Header {
        ssrc: 1,
        marker: number == 0,
        sequence: number as u16,
        // Wraps on the way.
        timestamp: number.wrapping_mul(u32::from(ms) * 8).wrapping_sub(5_000),
        payload_type: 0,
    };
    (header, [&number.to_be_bytes()[..], &[ms]].concat())
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

struct Network {
    /// Of 100.
    loss: u64,
    duplicates: u64,
    /// Evenly from 0 to this, in ms: what is above 20 reorders.
    jitter: u64,
    /// Parts per million by which the sender's clock is fast.
    skew: i64,
    packet_ms: u8,
}

const GOOD: Network = Network { loss: 0, duplicates: 0, jitter: 0, skew: 0, packet_ms: 20 };

struct Outcome {
    numbers: Vec<u32>,
    statistics: Statistics,
    /// The longest and the last, in ms.
    delays: (u64, u64),
    sent: u32,
    /// Samples out.
    out: u64,
}

/// Sends for so many seconds through the network.
fn simulate(network: &Network, limits: Limits, seconds: u64, seed: u64) -> Outcome {
    let mut random = Random(seed);
    let mut arrivals = Vec::new();
    let sent = (seconds * 1_000 / u64::from(network.packet_ms)) as u32;
    for number in 0..sent {
        let left = u64::from(number) * u64::from(network.packet_ms) * 1_000;
        let left = left as i64 - left as i64 * network.skew / 1_000_000;
        let mut arrive =
            || (left as u64 + 30_000 + random.below(network.jitter * 1_000 + 1), number);
        let (one, other) = (arrive(), arrive());
        if random.below(100) >= network.loss {
            arrivals.push(one);
            if random.below(100) < network.duplicates {
                arrivals.push(other);
            }
        }
    }
    arrivals.sort_unstable();
    let mut buffer = JitterBuffer::new(8_000, limits).unwrap();
    let (mut notes, mut at, mut longest, mut last, mut out) = (Notes::default(), 0, 0, 0, 0);
    // The tick has a phase of its own.
    let phase = random.below(20_000);
    for tick in 0..seconds * 50 + 100 {
        let now = tick * 20_000 + phase;
        while at < arrivals.len() && arrivals[at].0 <= now {
            let (header, payload) = packet(arrivals[at].1, network.packet_ms);
            buffer.put(&header, &payload, Duration::from_micros(arrivals[at].0));
            at += 1;
        }
        buffer.frame(Duration::from_micros(now), &mut notes);
        out += FRAME as u64;
        assert!(buffer.len() <= limits.packets);
        // Waiting for what never comes, at the end, is no delay.
        if at < arrivals.len()
            && let Some(delay) = buffer.delay(Duration::from_micros(now + 20_000))
        {
            last = delay.as_millis() as u64;
            longest = longest.max(last);
        }
    }
    let statistics = buffer.statistics();
    Outcome { numbers: notes.0, statistics, delays: (longest, last), sent, out }
}

fn is_in_order(numbers: &[u32]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn a_good_network_loses_nothing_and_waits_shortly() {
    for packet_ms in [10, 20, 30, 40, 60] {
        let network = Network { packet_ms, ..GOOD };
        let outcome = simulate(&network, Limits::default(), 20, 1);
        assert_eq!(outcome.numbers, (0..outcome.sent).collect::<Vec<_>>(), "{packet_ms}");
        assert_eq!((outcome.statistics.late, outcome.statistics.shortened), (0, 0), "{packet_ms}");
        assert!(outcome.delays.0 <= 60, "{packet_ms}: {:?}", outcome.delays);
    }
}

#[test]
fn order_and_delay_hold_on_bad_networks() {
    for seed in 0..5 {
        for loss in [0, 1, 5, 20] {
            for jitter in [0, 15, 40, 100, 200] {
                let network = Network { loss, jitter, duplicates: 5, ..GOOD };
                let limits = Limits { longest: ms(260), ..Limits::default() };
                let outcome = simulate(&network, limits, 60, seed);
                let about = format!("loss {loss} jitter {jitter} seed {seed}");
                assert!(is_in_order(&outcome.numbers), "{about}");
                assert!(outcome.delays.0 <= 260 + 60, "{about}: {:?}", outcome.delays);
                assert!(outcome.delays.1 <= jitter + 80, "{about}: {:?}", outcome.delays);
                // Besides what the network loses, hardly 4 % are too late.
                let lost = u64::from(outcome.sent) - outcome.numbers.len() as u64;
                let allowed = u64::from(outcome.sent) * (loss * 13 / 10 + 4) / 100;
                assert!(lost <= allowed, "{about}: {lost} of {}", outcome.sent);
                assert!(outcome.statistics.duplicate + outcome.statistics.late > 0, "{about}");
            }
        }
    }
}

#[test]
fn drifting_clocks_are_followed() {
    for skew in [-100, 100, -1_000, 1_000] {
        let network = Network { skew, jitter: 5, ..GOOD };
        let outcome = simulate(&network, Limits::default(), 300, 3);
        let lost = u64::from(outcome.sent) - outcome.numbers.len() as u64;
        assert!(lost <= 20, "{skew}: {lost}");
        assert!(outcome.delays.0 <= 120, "{skew}: {:?}", outcome.delays);
    }
}

#[test]
fn a_lost_packet_is_concealed_and_time_goes_on() {
    let network = Network { loss: 10, ..GOOD };
    let outcome = simulate(&network, Limits::default(), 30, 7);
    let lost = u64::from(outcome.sent) - outcome.numbers.len() as u64;
    let made = outcome.statistics.concealed + outcome.statistics.shortened
        - outcome.statistics.lengthened.min(outcome.statistics.concealed);
    assert!(lost > 100 && made >= lost * FRAME as u64 * 9 / 10, "{lost} {made}");
    assert!(outcome.out >= u64::from(outcome.sent) * FRAME as u64);
}

#[test]
fn the_wait_shrinks_when_the_network_gets_better() {
    let mut buffer = JitterBuffer::new(8_000, Limits::default()).unwrap();
    let (mut notes, mut random, mut delays) = (Notes::default(), Random(5), Vec::new());
    let mut arrivals: Vec<(u64, u32)> = (0..1_500_u32)
        .map(|n| (u64::from(n) * 20 + if n < 500 { random.below(150) } else { 0 }, n))
        .collect();
    arrivals.sort_unstable();
    let mut at = 0;
    for tick in 0..1_500 {
        while at < arrivals.len() && arrivals[at].0 <= tick * 20 {
            let (header, payload) = packet(arrivals[at].1, 20);
            buffer.put(&header, &payload, ms(arrivals[at].0));
            at += 1;
        }
        buffer.frame(ms(tick * 20), &mut notes);
        delays.push(buffer.delay(ms(tick * 20 + 20)).map_or(0, |d| d.as_millis()));
    }
    assert!(delays[490] >= 120, "{}", delays[490]);
    assert!(delays[1_499] <= 80, "{}", delays[1_499]);
    assert!(buffer.statistics().shortened > 0 && is_in_order(&notes.0));
}

/// Puts numbers, one every 20 ms of both sides.
fn feed(
    buffer: &mut JitterBuffer,
    notes: &mut Notes,
    numbers: std::ops::Range<u32>,
    from: u64,
) -> Vec<Frame> {
    let tick = |(at, number)| {
        let now = ms(from + at as u64 * 20);
        let (header, payload) = packet(number, 20);
        buffer.put(&header, &payload, now);
        buffer.frame(now, notes)
    };
    numbers.enumerate().map(tick).collect()
}

#[test]
fn silence_ends_a_talkspurt_and_the_next_begins_at_its_delay() {
    let mut buffer = JitterBuffer::new(8_000, Limits::default()).unwrap();
    let mut notes = Notes::default();
    feed(&mut buffer, &mut notes, 0..50, 0);
    // Nothing for a second; the source's clock goes on.
    for tick in 50..100 {
        buffer.frame(ms(tick * 20), &mut notes);
    }
    assert_eq!(buffer.delay(ms(2_000)), None);
    let frames = feed(&mut buffer, &mut notes, 100..150, 2_000);
    assert_eq!(frames.iter().take_while(|frame| frame[80] == 0).count(), 2);
    assert_eq!(notes.0.len(), 50 + 48);
    assert!(is_in_order(&notes.0));
    // What was played already does not come again after the silence.
    let (header, payload) = packet(40, 20);
    assert_eq!(buffer.put(&header, &payload, ms(3_000)), Put::Late);
}

#[test]
fn another_source_is_believed_when_it_comes_again() {
    let mut buffer = JitterBuffer::new(8_000, Limits::default()).unwrap();
    let mut notes = Notes::default();
    feed(&mut buffer, &mut notes, 0..20, 0);
    let put = |buffer: &mut JitterBuffer, ssrc, number, timestamp, now| {
        let (header, payload) = packet(number, 20);
        buffer.put(&Header { ssrc, timestamp, ..header }, &payload, ms(now))
    };
    // A stray one is not, nor one from another time.
    assert_eq!(put(&mut buffer, 9, 700, 4_000_000, 400), Put::Jumped);
    feed(&mut buffer, &mut notes, 20..22, 400);
    assert_eq!(put(&mut buffer, 1, 700, 9_000_000, 440), Put::Jumped);
    feed(&mut buffer, &mut notes, 22..24, 440);
    assert_eq!(put(&mut buffer, 9, 700, 4_000_000, 480), Put::Jumped);
    assert_eq!(put(&mut buffer, 9, 701, 4_000_160, 500), Put::Taken);
    for tick in 0..10 {
        buffer.frame(ms(500 + tick * 20), &mut notes);
    }
    assert_eq!(notes.0.last(), Some(&701));
}

#[test]
fn what_comes_too_early_too_often_or_too_long_is_bounded() {
    let limits = Limits { packets: 10, ..Limits::default() };
    let mut buffer = JitterBuffer::new(8_000, limits).unwrap();
    let mut put = |number| {
        let (header, payload) = packet(number, 20);
        buffer.put(&header, &payload, ms(0))
    };
    assert_eq!((0..10).map(&mut put).filter(|put| *put == Put::Taken).count(), 10);
    assert_eq!((put(5), put(10), put(11)), (Put::Duplicate, Put::Full, Put::Full));
    assert_eq!(buffer.len(), 10);
    let (header, _) = packet(12, 20);
    assert_eq!(buffer.put(&header, &[], ms(0)), Put::Size);
    assert_eq!(buffer.put(&header, &[0; 1_501], ms(0)), Put::Size);
    assert_eq!(JitterBuffer::new(44_100, limits).err(), Some(ClockError(44_100)));
    assert_eq!(JitterBuffer::new(0, limits).err(), Some(ClockError(0)));
}

#[test]
fn without_a_buffer_nothing_waits() {
    let outcome = simulate(&GOOD, Limits::OFF, 20, 1);
    assert!(outcome.delays.0 <= 60, "{:?}", outcome.delays);
    assert!(outcome.numbers.len() as u32 >= outcome.sent - 2);
    assert!(is_in_order(&outcome.numbers));
}

#[test]
fn g711_and_wider_clocks_play() {
    let mut map = Map::default();
    map.add(0, Codec::G711(audio::g711::Law::Mu)).unwrap();
    let mut buffer = JitterBuffer::new(48_000, Limits::default()).unwrap();
    let mut loud = 0;
    for number in 0..50_u32 {
        let now = ms(u64::from(number) * 20);
        let header = Header { timestamp: number * 960, ..Header::default() };
        buffer.put(&header, &[0x80; 160], now);
        loud += usize::from(buffer.frame(now, &mut map)[FRAME - 1] == 32_124);
    }
    assert_eq!(loud, 48);
    // What nobody can decode is silence and ends.
    for number in 50..100_u32 {
        let now = ms(u64::from(number) * 20);
        let header = Header { timestamp: number * 960, payload_type: 99, ..Header::default() };
        buffer.put(&header, &[0x80; 160], now);
        buffer.frame(now, &mut map);
    }
    assert_eq!(buffer.frame(ms(2_000), &mut map), audio::SILENCE);
}

proptest! {
    #[test]
    fn nothing_panics_and_order_holds(
        steps in prop::collection::vec(
            (any::<u32>(), 0_u32..400, 0_u64..400, 0_u8..6, any::<u8>()), 0..200,
        ),
        longest in 0_u64..2_000,
    ) {
        let limits = Limits { longest: ms(longest), packets: 20, ..Limits::default() };
        let mut buffer = JitterBuffer::new(8_000, limits).unwrap();
        let (mut notes, mut now) = (Notes::default(), 0);
        for (wild, near, pass, kind, length) in steps {
            now += pass;
            let (mut header, mut payload) = packet(near, length);
            match kind {
                0 => header.timestamp = wild,
                1 => header.ssrc = wild % 3,
                2 => header.timestamp = (now * 8) as u32,
                3 => header.marker = true,
                _ => {}
            }
            payload[4] = length;
            buffer.put(&header, &payload, ms(now));
            buffer.frame(ms(now), &mut notes);
            prop_assert!(buffer.len() <= 20);
            prop_assert!(buffer.ready.len() <= FRAME + DECODED_MAX);
        }
    }

    #[test]
    fn any_network_keeps_the_order(
        loss in 0_u64..60, duplicates in 0_u64..50, jitter in 0_u64..800, skew in -500_i64..500,
        packet_ms in prop::sample::select(vec![10_u8, 20, 30, 60]), seed: u64,
    ) {
        let network = Network { loss, duplicates, jitter, skew, packet_ms };
        let outcome = simulate(&network, Limits::MEDIUM, 4, seed);
        prop_assert!(is_in_order(&outcome.numbers));
        prop_assert!(outcome.delays.0 <= 360 + 60, "{:?}", outcome.delays);
    }
}

use sdp::{Direction, Local, Srtp, Suite};

use super::*;
use crate::agent::new_key;

fn session() -> Arc<Session> {
    Session::open("127.0.0.1".parse().unwrap(), (30_000, 39_999), true).unwrap()
}

fn local(session: &Session) -> Local {
    let address = "127.0.0.1".parse().unwrap();
    Local { address, port: session.port, session: 1, version: 1, direction: Direction::Both }
}

/// Two ends that have agreed, protected or not.
fn pair(suite: Option<Suite>) -> (Arc<Session>, Arc<Session>) {
    let (one, two) = (session(), session());
    let key = suite.map(|suite| new_key(1, suite));
    let offer = sdp::parse(sdp::offer(&local(&one), key.as_ref()).as_bytes()).unwrap();
    let make = |theirs: &sdp::Crypto| new_key(theirs.tag, theirs.suite);
    let (agreed, text) = sdp::answer(&offer, &local(&two), Srtp::Allowed, make).unwrap();
    two.agree(agreed);
    let answer = sdp::parse(text.as_bytes()).unwrap();
    one.agree(sdp::accept(&answer, &local(&one), key.as_ref()).unwrap());
    (one, two)
}

fn loud() -> Frame {
    std::array::from_fn(|at| if at % 8 < 4 { 8_000 } else { -8_000 })
}

/// Ticks of both, as fast as packets take; what the second heard.
fn ticks(one: &mut RtpPort, two: &mut RtpPort, count: u32) -> (u32, Vec<Key>) {
    let start = Instant::now();
    let (mut frames, mut keys) = (0, Vec::new());
    for tick in 0..count {
        let now = start + Duration::from_millis(20) * tick;
        one.say(&loud(), now);
        std::thread::sleep(Duration::from_millis(1));
        one.hear(now);
        let heard = two.hear(now);
        keys.extend(heard.key);
        frames += u32::from(heard.frame.is_some_and(|f| f.iter().any(|s| s.abs() > 4_000)));
    }
    (frames, keys)
}

#[test]
fn sound_and_keys_go_through_protected_and_not() {
    for suite in [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AesCm128HmacSha1_32)] {
        let (one, two) = pair(suite);
        let (mut a, mut b) = (RtpPort(one.clone()), RtpPort(two.clone()));
        let (frames, keys) = ticks(&mut a, &mut b, 50);
        assert!(frames > 30 && keys.is_empty(), "{suite:?}: {frames}");
        for key in "5#A".chars() {
            assert!(a.press(Key::new(key).unwrap()));
        }
        let (_, keys) = ticks(&mut a, &mut b, 80);
        assert_eq!(keys.iter().map(|key| key.as_char()).collect::<String>(), "5#A", "{suite:?}");
        assert!(two.has_keys() && !one.has_keys());
        assert_eq!(two.counts().refused, 0);
    }
}

#[test]
fn strangers_are_not_heard_while_the_other_end_speaks() {
    let (one, two) = pair(None);
    let (mut a, mut b) = (RtpPort(one), RtpPort(two.clone()));
    ticks(&mut a, &mut b, 20);
    let heard = two.counts().heard;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut stream = Stream::new(1, 1, 1);
    for _ in 0..10 {
        let mut out = Vec::new();
        stream.sound(0, &[0; 160], 160, &mut out).unwrap();
        stranger.send_to(&out, ("127.0.0.1", two.port)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(5));
    b.hear(Instant::now());
    assert_eq!(two.counts(), Counts { heard, refused: 10, ..two.counts() });
    // The other end is silent and somebody goes on from another address: it has moved.
    let later = Instant::now() + Duration::from_secs(2);
    let mut out = Vec::new();
    stream.sound(0, &[0; 160], 160, &mut out).unwrap();
    stranger.send_to(&out, ("127.0.0.1", two.port)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    b.hear(later);
    assert_eq!(two.counts().heard, heard + 1);
}

#[test]
fn whoever_has_no_key_is_not_heard() {
    let (_, two) = pair(Some(Suite::AesCm128HmacSha1_80));
    let mut b = RtpPort(two.clone());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut out = Vec::new();
    Stream::new(1, 1, 1).sound(0, &[0; 160], 160, &mut out).unwrap();
    stranger.send_to(&out, ("127.0.0.1", two.port)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    b.hear(Instant::now());
    assert_eq!((two.counts().heard, two.counts().refused), (0, 1));
    // It has not become the source either.
    assert!(two.lock().source.is_none());
}

#[test]
fn who_is_held_hears_nothing_and_is_not_missed() {
    let (one, two) = pair(None);
    let (mut a, mut b) = (RtpPort(one), RtpPort(two.clone()));
    ticks(&mut a, &mut b, 5);
    let now = Instant::now() + Duration::from_secs(90);
    assert!(two.silent_for(now, Instant::now()).unwrap() > Duration::from_secs(80));
    let mut held = two.agreed().unwrap();
    held.direction = Direction::ReceiveOnly;
    two.agree(held);
    assert_eq!(two.silent_for(now, Instant::now()), None);
    let said = two.counts().said;
    b.say(&loud(), Instant::now());
    assert_eq!(two.counts().said, said);
}

#[test]
fn reports_are_sent_and_read() {
    let (one, two) = pair(Some(Suite::AesCm128HmacSha1_32));
    let (mut a, mut b) = (RtpPort(one.clone()), RtpPort(two.clone()));
    one.lock().tick = REPORT_TICKS - 30;
    two.lock().tick = 0;
    ticks(&mut a, &mut b, 60);
    let mut state = two.lock();
    let block = state.reception.report(Duration::from_secs(2)).unwrap();
    assert_ne!(block.last_report, 0, "a sender report has come");
    assert_eq!(block.lost, 0);
}

#[test]
fn ports_are_even_and_come_back() {
    let sessions: Vec<_> = (0..20).map(|_| session()).collect();
    assert!(sessions.iter().all(|session| session.port.is_multiple_of(2)));
    let few = || Session::open("127.0.0.1".parse().unwrap(), (29_000, 29_004), true);
    let (one, two) = (few().unwrap(), few().unwrap());
    assert_eq!(few().err(), Some(NoPort));
    drop((one, two));
    assert!(few().is_ok());
}

#[test]
fn opus_carries_sound_and_keys_too() {
    let (one, two) = (session(), session());
    let only = sdp::offer(&local(&one), None).replace(" 0 8 111 ", " 111 ");
    let offer = sdp::parse(only.as_bytes()).unwrap();
    let make = |theirs: &sdp::Crypto| new_key(theirs.tag, theirs.suite);
    let (agreed, text) = sdp::answer(&offer, &local(&two), Srtp::Allowed, make).unwrap();
    assert_eq!(agreed.codec, (111, Codec::Opus));
    two.agree(agreed);
    let answer = sdp::parse(text.as_bytes()).unwrap();
    one.agree(sdp::accept(&answer, &local(&one), None).unwrap());
    let (mut a, mut b) = (RtpPort(one), RtpPort(two));
    let (frames, keys) = ticks(&mut a, &mut b, 60);
    assert!(frames > 30 && keys.is_empty(), "{frames}");
    assert!(a.press(Key::new('7').unwrap()));
    let (_, keys) = ticks(&mut a, &mut b, 40);
    assert_eq!(keys.iter().map(|key| key.as_char()).collect::<String>(), "7");
}

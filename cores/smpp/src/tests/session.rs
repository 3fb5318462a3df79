//! Goal: both sides keep their promises, whatever the line does. Method: two sessions on
//! a line in memory, then properties over random scripts.
use proptest::prelude::*;

use super::*;
use crate::pdu::id;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn bind(mode: Mode) -> Bind {
    Bind {
        mode,
        system_id: "esme".into(),
        password: "secret".into(),
        system_type: String::new(),
        interface_version: INTERFACE_VERSION,
        address_range: crate::address::Address::default(),
    }
}

fn drain(session: &mut Session) -> (Vec<u8>, Vec<Event>) {
    let (mut octets, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = session.poll() {
        match output {
            Output::Transmit(more) => octets.extend(more),
            Output::Event(event) => events.push(event),
        }
    }
    (octets, events)
}

/// Carries octets both ways until both are still; the events of each.
fn exchange(now: Timestamp, a: &mut Session, b: &mut Session) -> (Vec<Event>, Vec<Event>) {
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    loop {
        let (to_b, events) = drain(a);
        from_a.extend(events);
        b.receive(now, &to_b);
        let (to_a, events) = drain(b);
        from_b.extend(events);
        a.receive(now, &to_a);
        if to_a.is_empty() && to_b.is_empty() {
            return (from_a, from_b);
        }
    }
}

fn bound(mode: Mode, limits: Limits) -> (Session, Session) {
    let mut esme = Session::esme(at(0), bind(mode), limits);
    let mut smsc = Session::smsc(at(0), limits);
    let (_, events) = exchange(at(0), &mut esme, &mut smsc);
    let [Event::BindRequested { sequence, bind }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((bind.system_id.as_str(), bind.password.as_str()), ("esme", "secret"));
    smsc.answer_bind(at(0), *sequence, Ok("smsc"));
    let (events, _) = exchange(at(0), &mut smsc, &mut esme);
    assert_eq!(events, [Event::Bound { mode, system_id: String::new() }]);
    (esme, smsc)
}

fn sm(text: &str) -> Sm {
    Sm { short_message: text.as_bytes().to_vec(), ..Sm::default() }
}

#[test]
fn a_message_goes_and_its_answer_comes_back() {
    let (mut esme, mut smsc) = bound(Mode::Transceiver, Limits::default());
    assert!(esme.request(at(1), 7, Body::SubmitSm(sm("hi"))));
    let (_, events) = exchange(at(1), &mut esme, &mut smsc);
    let [Event::Request { sequence, sm: got }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(got.short_message, b"hi");
    smsc.respond(at(2), *sequence, Status::OK, "id-1");
    let (_, events) = exchange(at(2), &mut smsc, &mut esme);
    let message_id = "id-1".to_owned();
    assert_eq!(events, [Event::Answered { tag: 7, status: Status::OK, message_id }]);
}

#[test]
fn a_refused_bind_ends_both_sides() {
    let mut esme = Session::esme(at(0), bind(Mode::Receiver), Limits::default());
    let mut smsc = Session::smsc(at(0), Limits::default());
    exchange(at(0), &mut esme, &mut smsc);
    smsc.answer_bind(at(0), 1, Err(Status::INVALID_PASSWORD));
    let (a, b) = exchange(at(0), &mut smsc, &mut esme);
    let closed = [Event::Closed(Reason::BindRefused(Status::INVALID_PASSWORD))];
    assert_eq!((a.as_slice(), b.as_slice()), (closed.as_slice(), closed.as_slice()));
}

#[test]
fn the_window_is_kept_in_both_directions() {
    let limits = Limits { window_out: 2, window_in: 1, ..Limits::default() };
    let (mut esme, mut smsc) = bound(Mode::Transceiver, limits);
    let sent = (0..5).filter(|tag| esme.request(at(1), *tag, Body::SubmitSm(sm("hi")))).count();
    assert_eq!(sent, 2);
    assert_eq!(esme.readiness(at(1)), Readiness::AfterEvent);
    let (answers, requests) = exchange(at(1), &mut esme, &mut smsc);
    assert_eq!(requests.len(), 1, "the second is beyond the peer's window");
    let throttled = Status::THROTTLED;
    assert!(matches!(answers[..], [Event::Answered { status, .. }] if status == throttled));
}

#[test]
fn throttling_pauses_and_doubles_once_per_window() {
    let patience = (Duration::from_millis(100), Duration::from_millis(300));
    let (mut esme, mut smsc) = bound(Mode::Transmitter, Limits { patience, ..Limits::default() });
    let mut now = at(0);
    for pause in [100, 200, 300, 300] {
        assert!(esme.request(now, 1, Body::SubmitSm(sm("a"))));
        assert!(esme.request(now, 2, Body::SubmitSm(sm("b"))));
        let (_, events) = exchange(now, &mut esme, &mut smsc);
        for event in events {
            let Event::Request { sequence, .. } = event else { panic!("{event:?}") };
            smsc.respond(now, sequence, Status::QUEUE_FULL, "");
        }
        exchange(now, &mut smsc, &mut esme);
        let until = now + Duration::from_millis(pause);
        assert_eq!(esme.readiness(now), Readiness::At(until));
        now = until;
    }
    assert_eq!(esme.readiness(now), Readiness::Now);
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let limits = Limits::default();
    let (mut esme, mut smsc) = bound(Mode::Transceiver, limits);
    assert_eq!(esme.wake_at(), Some(at(30_000)));
    esme.tick(at(30_000));
    let (_, events) = exchange(at(30_000), &mut esme, &mut smsc);
    assert!(events.is_empty(), "answered without a word to the shell");
    assert_eq!(esme.wake_at(), Some(at(60_000)));
    esme.tick(at(60_000));
    drain(&mut esme);
    esme.tick(at(69_999));
    assert_eq!(drain(&mut esme), (vec![], vec![]));
    esme.tick(at(70_000));
    assert_eq!(drain(&mut esme).1, [Event::Closed(Reason::Silent)]);
    assert_eq!(esme.wake_at(), None);
}

#[test]
fn unbind_waits_for_answers_then_shakes_hands() {
    let (mut esme, mut smsc) = bound(Mode::Transceiver, Limits::default());
    assert!(esme.request(at(1), 7, Body::SubmitSm(sm("hi"))));
    let (_, events) = exchange(at(1), &mut esme, &mut smsc);
    esme.unbind(at(2));
    assert_eq!(esme.readiness(at(2)), Readiness::Never);
    assert_eq!(drain(&mut esme), (vec![], vec![]), "one request is still out");
    let [Event::Request { sequence, .. }] = events.as_slice() else { panic!("{events:?}") };
    smsc.respond(at(3), *sequence, Status::OK, "id");
    let (b, a) = exchange(at(3), &mut smsc, &mut esme);
    assert!(matches!(a[0], Event::Answered { tag: 7, .. }));
    assert_eq!(a[1], Event::Closed(Reason::Unbound));
    assert_eq!(b, [Event::Closed(Reason::PeerUnbound)]);
}

#[test]
fn requests_expire_and_late_answers_say_nothing() {
    let (mut esme, mut smsc) = bound(Mode::Transmitter, Limits::default());
    assert!(esme.request(at(0), 7, Body::SubmitSm(sm("hi"))));
    exchange(at(0), &mut esme, &mut smsc);
    assert_eq!(esme.wake_at(), Some(at(10_000)));
    esme.tick(at(10_000));
    assert_eq!(drain(&mut esme).1, [Event::Unanswered { tag: 7 }]);
    smsc.respond(at(10_001), 2, Status::OK, "id");
    let (_, events) = exchange(at(10_001), &mut smsc, &mut esme);
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn what_does_not_belong_is_answered_with_a_clear_status() {
    let wire = |body| {
        let mut octets = Vec::new();
        pdu::write(&Pdu { status: Status::OK, sequence: 9, body }, &mut octets);
        octets
    };
    let unknown = [0, 0, 0, 16, 0, 0, 7, 7, 0, 0, 0, 0, 0, 0, 0, 9].to_vec();
    let short = [0, 0, 0, 17, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 1].to_vec();
    let unsupported = |command| wire(Body::Unsupported { command });
    let table = [
        (wire(Body::DeliverSm(sm("x"))), 0x8000_0005, Status::INVALID_BIND_STATUS),
        (wire(Body::Bind(bind(Mode::Receiver))), 0x8000_0001, Status::ALREADY_BOUND),
        (unsupported(id::SUBMIT_MULTI), 0x8000_0021, Status::INVALID_COMMAND_ID),
        (unsupported(id::QUERY_SM), 0x8000_0003, Status::QUERY_FAILED),
        (unknown, id::GENERIC_NACK, Status::INVALID_COMMAND_ID),
        (short, id::GENERIC_NACK, Status::INVALID_COMMAND_LENGTH),
    ];
    for (octets, command, status) in table {
        let (_, mut smsc) = bound(Mode::Transceiver, Limits::default());
        smsc.receive(at(1), &octets);
        let (answer, events) = drain(&mut smsc);
        let answer = pdu::read(&answer).unwrap();
        assert_eq!((answer.body.command(), answer.status, answer.sequence), (command, status, 9));
        assert!(events.is_empty());
    }
}

#[test]
fn a_pdu_of_impossible_size_ends_the_session() {
    for length in [0_u32, 15, 200_000, u32::MAX] {
        let (mut esme, _) = bound(Mode::Transceiver, Limits::default());
        esme.receive(at(1), &length.to_be_bytes());
        let (answer, events) = drain(&mut esme);
        assert_eq!(pdu::read(&answer).unwrap().status, Status::INVALID_COMMAND_LENGTH);
        assert_eq!(events, [Event::Closed(Reason::Size(length as usize))]);
    }
}

#[test]
fn nobody_binds_in_time() {
    let mut smsc = Session::smsc(at(0), Limits::default());
    smsc.tick(at(10_000));
    assert_eq!(drain(&mut smsc).1, [Event::Closed(Reason::NoBind)]);
}

#[derive(Clone, Debug)]
enum Step {
    Request,
    /// Answer the nth open request with this status.
    Answer(usize, u32),
    /// An answer to a sequence number that may not be out.
    Stray(u32),
    Pass(i64),
    Noise(Vec<u8>),
    Unbind,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Request),
        4 => (0_usize..8, prop::sample::select(vec![0, 0x58, 0x14, 0x45]))
            .prop_map(|(nth, status)| Step::Answer(nth, status)),
        1 => (0_u32..20).prop_map(Step::Stray),
        2 => (0_i64..20_000).prop_map(Step::Pass),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Noise),
        1 => Just(Step::Unbind),
    ]
}

proptest! {
    #[test]
    fn every_request_has_exactly_one_outcome(steps in prop::collection::vec(step(), 0..80)) {
        let (mut esme, _) = bound(Mode::Transceiver, Limits::default());
        let (mut now, mut taken, mut open) = (at(0), 0_u64, Vec::new());
        let mut outcomes = Vec::new();
        let answer = |sequence, status| {
            let body = Body::SubmitSmResp { message_id: "id".into() };
            let mut octets = Vec::new();
            pdu::write(&Pdu { status: Status(status), sequence, body }, &mut octets);
            octets
        };
        for step in steps {
            match step {
                Step::Request => {
                    taken += u64::from(esme.request(now, taken, Body::SubmitSm(sm("x"))));
                }
                Step::Answer(nth, status) if nth < open.len() => {
                    esme.receive(now, &answer(open.remove(nth), status));
                }
                Step::Stray(sequence) => esme.receive(now, &answer(sequence, 0)),
                Step::Pass(millis) => {
                    now = now + Duration::from_millis(millis as u64);
                    esme.tick(now);
                }
                Step::Noise(octets) => esme.receive(now, &octets),
                Step::Unbind => esme.unbind(now),
                Step::Answer(..) => {}
            }
            let (octets, events) = drain(&mut esme);
            outcomes.extend(events);
            let mut rest = octets.as_slice();
            while let Some(length) = rest.first_chunk().map(|word| u32::from_be_bytes(*word)) {
                let (first, others) = rest.split_at(length as usize);
                let pdu = pdu::read(first).unwrap();
                if matches!(pdu.body, Body::SubmitSm(_)) {
                    open.push(pdu.sequence);
                }
                rest = others;
            }
        }
        esme.disconnected();
        outcomes.extend(drain(&mut esme).1);
        let mut tags: Vec<u64> = outcomes
            .iter()
            .filter_map(|event| match event {
                Event::Answered { tag, .. } | Event::Unanswered { tag } => Some(*tag),
                _ => None,
            })
            .collect();
        tags.sort_unstable();
        prop_assert_eq!(tags, (0..taken).collect::<Vec<_>>());
        let closings = outcomes.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        prop_assert_eq!(closings, 1);
        prop_assert_eq!(esme.readiness(now), Readiness::Never);
    }

    #[test]
    fn no_octets_panic(
        role: bool,
        pieces in prop::collection::vec((0_u32..0x120, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let (esme, smsc) = bound(Mode::Transceiver, Limits::default());
        let mut session = if role { esme } else { smsc };
        for (command, body) in pieces {
            let length = (16 + body.len()) as u32;
            let words = [length, command | (u32::from(role) << 31), 0, 3];
            let header = words.into_iter().flat_map(u32::to_be_bytes);
            let octets: Vec<u8> = header.chain(body).collect();
            session.receive(at(1), &octets);
            drain(&mut session);
        }
    }

    #[test]
    fn pdus_round_trip_in_any_pieces(
        text in prop::collection::vec(any::<u8>(), 0..254),
        tag: u16,
        value in prop::collection::vec(any::<u8>(), 0..300),
        cut in 1_usize..64,
    ) {
        let (mut esme, mut smsc) = bound(Mode::Transceiver, Limits::default());
        let tlvs = crate::tlv::Tlvs::default().with(tag, value);
        let sent = Sm { short_message: text, tlvs, ..Sm::default() };
        esme.request(at(1), 1, Body::SubmitSm(sent.clone()));
        let (octets, _) = drain(&mut esme);
        for piece in octets.chunks(cut) {
            smsc.receive(at(1), piece);
        }
        let (_, events) = drain(&mut smsc);
        prop_assert_eq!(events, [Event::Request { sequence: 2, sm: sent }]);
    }
}

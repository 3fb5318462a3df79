use super::*;
use crate::message::{Message, read};
use crate::transaction::{Event, Flow, Id, Transactions, Transport};

fn request(text: &str) -> Request {
    match read(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn invite(more: &str) -> Request {
    request(&format!(
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=f\r\n\
         To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:x@h>\r\n{more}\r\n"
    ))
}

fn prack(rack: &str) -> Request {
    request(&format!(
        "PRACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK2\r\nFrom: <sip:x@y>;tag=f\r\n\
         To: <sip:a@b>;tag=t\r\nCall-ID: c\r\nCSeq: 8 PRACK\r\nRAck: {rack}\r\n\r\n"
    ))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Codes with their RSeq, and names of events.
fn shown(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Send { octets, .. } => match read(octets) {
                Ok(Message::Response(response)) => {
                    let number = response.headers.get("RSeq").map(|n| format!(" {n}"));
                    format!("{}{}", response.code, number.unwrap_or_default())
                }
                other => panic!("{other:?}"),
            },
            Event::PrackMissing { .. } => "missing".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A callee that has an INVITE.
fn callee() -> (Transactions, Id, Request) {
    let mut all = Transactions::new(10);
    let flow = Flow {
        // On connections too.
        transport: Transport::Tcp,
        remote: "192.0.2.1:5060".parse().unwrap(),
        connection: 0,
    };
    let invite = invite("Require: 100rel\r\n");
    let events = all.receive(flow, Message::Request(invite.clone()), Duration::ZERO);
    let id = events.iter().find_map(|event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    (all, id.unwrap(), invite)
}

fn answer(invite: &Request, code: u16, session: &str) -> Response {
    let mut response = invite.response(code, "", Some("t"));
    response.body = session.as_bytes().to_vec();
    response
}

#[test]
fn wishes_are_read() {
    assert_eq!(wish(&invite("")), Wish::None);
    assert_eq!(wish(&invite("Supported: timer, 100REL\r\n")), Wish::Supported);
    assert_eq!(wish(&invite("Supported: 100rel\r\nRequire: 100rel\r\n")), Wish::Required);
}

#[test]
fn an_answer_is_sent_ever_more_rarely_until_its_prack_is_missed() {
    let (mut all, id, invite) = callee();
    let sent = all.respond_reliably(id, answer(&invite, 180, ""), 41, Duration::ZERO);
    assert_eq!(shown(&sent), ["180 42"]);
    let mut seen = Vec::new();
    while let Some(at) = all.next_due().filter(|at| *at < seconds(100.0)) {
        let events = all.due(at);
        seen.extend(shown(&events).into_iter().map(|what| (at.as_millis(), what)));
    }
    let (last, sent) = seen.split_last().unwrap();
    let times: Vec<u128> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(*last, (32_000, "missing".to_owned()));
}

#[test]
fn answers_go_one_after_the_other() {
    let (mut all, id, invite) = callee();
    let at = seconds(1.0);
    assert_eq!(shown(&all.respond_reliably(id, answer(&invite, 180, ""), 41, at)), ["180 42"]);
    assert!(all.respond_reliably(id, answer(&invite, 183, "v=0"), 41, at).is_empty());
    for wrong in ["43 7 INVITE", "42 8 INVITE", "42 7 BYE", "42 7", "x"] {
        assert_eq!(all.acknowledged(id, &prack(wrong), at), None, "{wrong}");
    }
    let next = all.acknowledged(id, &prack("42 7 INVITE"), at).unwrap();
    assert_eq!(shown(&next), ["183 43"]);
    assert_eq!(all.acknowledged(id, &prack("42 7 INVITE"), at), None, "it was acknowledged");
    // The success agrees on what the answer says: it waits.
    assert!(all.respond(id, &answer(&invite, 200, "v=0"), at).is_empty());
    assert_eq!(shown(&all.due(seconds(1.5))), ["183 43"]);
    let next = all.acknowledged(id, &prack("43 7 INVITE"), seconds(2.0)).unwrap();
    assert_eq!(shown(&next), ["200"]);
    assert_eq!(shown(&all.due(seconds(2.5))), ["200"]);
    assert!(all.respond_reliably(id, answer(&invite, 183, ""), 41, seconds(3.0)).is_empty());
}

#[test]
fn a_success_does_not_wait_for_mere_ringing_nor_a_refusal_for_anything() {
    for (session, code) in [("", 200), ("v=0", 487)] {
        let (mut all, id, invite) = callee();
        all.respond_reliably(id, answer(&invite, 180, session), 0, Duration::ZERO);
        let sent = all.respond(id, &answer(&invite, code, ""), seconds(0.1));
        assert_eq!(shown(&sent), [code.to_string()]);
        // Its PRACK may be under way; nothing more is sent for it.
        let next = all.acknowledged(id, &prack("1 7 INVITE"), seconds(0.2));
        assert_eq!(next.map(|events| shown(&events)), Some(Vec::new()));
    }
}

#[test]
fn a_caller_acknowledges_each_answer_of_each_dialog_once() {
    let invite = invite("");
    let mut known = Acknowledged::default();
    let mut rack = |tag: &str, number: u32| {
        let mut response = invite.response(183, "", Some(tag));
        response.headers.add("Require", "100rel");
        response.headers.add("RSeq", number.to_string());
        match known.take(&invite, &response) {
            Asked::Prack(prack) => {
                assert_eq!(prack.headers.tag("To").as_deref(), Some(tag));
                let cseq = prack.headers.cseq().unwrap().0;
                format!("{cseq}: {}", prack.headers.get("RAck").unwrap())
            }
            other => format!("{other:?}"),
        }
    };
    for (tag, number, expected) in [
        ("one", 100, "8: 100 7 INVITE"),
        ("one", 100, "Repeated"),
        ("one", 102, "Repeated"),
        ("two", 5, "8: 5 7 INVITE"),
        ("one", 101, "9: 101 7 INVITE"),
    ] {
        assert_eq!(rack(tag, number), expected, "{tag} {number}");
    }
    assert_eq!((known.cseq("one"), known.cseq("none")), (Some(9), None));
    assert_eq!(known.take(&invite, &invite.response(180, "", Some("t"))), Asked::Nothing);
}

use super::*;
use crate::message::read;

fn flow(transport: Transport) -> Flow {
    Flow { transport, remote: "192.0.2.1:5060".parse().unwrap(), connection: 0 }
}

fn request(method: &str, branch: &str, more: &str) -> Request {
    let text = format!(
        "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch={branch}\r\nFrom: <sip:x@y>;tag=f\r\n\
         To: <sip:a@b>{more}\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\r\n"
    );
    match read(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// First lines of what is sent, and the names of everything else.
fn shown(events: &[Event]) -> Vec<String> {
    let line = |octets: &[u8]| {
        let text = String::from_utf8_lossy(octets);
        text.split(" SIP/2.0\r\n").next().unwrap().lines().next().unwrap().to_owned()
    };
    events
        .iter()
        .map(|event| match event {
            Event::Send { octets, .. } => line(octets),
            Event::Request { request, .. } => format!("request {}", request.method),
            Event::Ack { .. } => "ack".into(),
            Event::Cancel { .. } => "cancel".into(),
            Event::AckMissing { .. } => "ack missing".into(),
            Event::PrackMissing { .. } => "prack missing".into(),
            Event::Response { response, .. } => format!("response {}", response.code),
            Event::Timeout { .. } => "timeout".into(),
            Event::Stray { .. } => "stray".into(),
        })
        .collect()
}

/// Everything that happens until `end`, with its time in milliseconds.
fn run(all: &mut Transactions, end: f64) -> Vec<(u128, String)> {
    let mut seen = Vec::new();
    while let Some(at) = all.next_due().filter(|at| *at <= seconds(end)) {
        let events = all.due(at);
        seen.extend(shown(&events).into_iter().map(|what| (at.as_millis(), what)));
    }
    seen
}

fn started(events: &[Event]) -> Id {
    let found = events.iter().find_map(|event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    found.unwrap()
}

const ZERO: Duration = Duration::ZERO;

#[test]
fn an_invite_is_told_once_and_refused_until_the_ack() {
    let mut all = Transactions::new(10);
    let udp = flow(Transport::Udp);
    let invite = request("INVITE", "z9hG4bK1", "");
    let events = all.receive(udp, Message::Request(invite.clone()), ZERO);
    assert_eq!(shown(&events), ["SIP/2.0 100 Trying", "request INVITE"]);
    let id = started(&events);
    let again = all.receive(udp, Message::Request(invite.clone()), ZERO);
    assert_eq!(shown(&again), ["SIP/2.0 100 Trying"]);
    let busy = invite.response(486, "", Some("t"));
    assert_eq!(shown(&all.respond(id, &busy, ZERO)), ["SIP/2.0 486 Busy Here"]);
    // What comes after a final answer is not sent.
    assert!(all.respond(id, &invite.response(200, "", Some("t")), ZERO).is_empty());
    let sent: Vec<u128> = run(&mut all, 10.0).into_iter().map(|(at, _)| at).collect();
    assert_eq!(sent, [500, 1500, 3500, 7500]);
    let ack = request("ACK", "z9hG4bK1", ";tag=t");
    assert!(all.receive(udp, Message::Request(ack), seconds(10.0)).is_empty());
    assert!(run(&mut all, 100.0).is_empty());
    assert!(all.is_empty());
}

#[test]
fn a_success_is_repeated_until_its_ack_on_connections_too() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut all = Transactions::new(10);
        let invite = request("INVITE", "z9hG4bK1", "");
        let events = all.receive(flow(transport), Message::Request(invite.clone()), ZERO);
        let id = started(&events);
        all.respond(id, &invite.response(200, "", Some("t")), ZERO);
        assert_eq!(run(&mut all, 2.0).len(), 2);
        // Of another branch: the ACK of a success is a transaction of its own.
        let ack = request("ACK", "z9hG4bK2", ";tag=t");
        let events = all.receive(flow(transport), Message::Request(ack.clone()), seconds(2.0));
        assert_eq!(shown(&events), ["ack"]);
        let again = all.receive(flow(transport), Message::Request(ack), seconds(2.1));
        assert_eq!(shown(&again), ["stray"]);
        assert!(run(&mut all, 100.0).is_empty());
    }
}

#[test]
fn an_ack_that_does_not_come_is_missed_after_32_seconds() {
    let mut all = Transactions::new(10);
    let invite = request("INVITE", "z9hG4bK1", "");
    let events = all.receive(flow(Transport::Udp), Message::Request(invite.clone()), ZERO);
    all.respond(started(&events), &invite.response(200, "", Some("t")), ZERO);
    let seen = run(&mut all, 100.0);
    assert_eq!(seen.last(), Some(&(32_000, "ack missing".to_owned())));
    assert!(all.is_empty());
}

#[test]
fn a_cancel_of_nothing_is_481() {
    let mut all = Transactions::new(10);
    let udp = flow(Transport::Udp);
    let cancel = request("CANCEL", "z9hG4bK1", "");
    let stray = all.receive(udp, Message::Request(cancel.clone()), ZERO);
    assert_eq!(shown(&stray), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    let invite = request("INVITE", "z9hG4bK1", "");
    let events = all.receive(udp, Message::Request(invite.clone()), ZERO);
    let id = started(&events);
    let canceled = all.receive(udp, Message::Request(cancel.clone()), ZERO);
    assert_eq!(shown(&canceled), ["SIP/2.0 200 OK", "cancel"]);
    all.respond(id, &invite.response(200, "", Some("t")), ZERO);
    // It crossed the success: the call stands.
    assert_eq!(shown(&all.receive(udp, Message::Request(cancel), ZERO)), ["SIP/2.0 200 OK"]);
}

#[test]
fn our_invite_is_repeated_answered_and_acknowledged() {
    let mut all = Transactions::new(10);
    let udp = flow(Transport::Udp);
    let invite = request("INVITE", "z9hG4bKours", "");
    let (id, sent) = all.send(udp, invite.clone(), ZERO).unwrap();
    assert_eq!(shown(&sent), ["INVITE sip:a@b"]);
    let times: Vec<u128> = run(&mut all, 8.0).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500]);
    assert!(all.cancel(id).is_none(), "nothing was heard yet");
    let ringing = Message::Response(invite.response(180, "", Some("t")));
    assert_eq!(shown(&all.receive(udp, ringing, seconds(8.0))), ["response 180"]);
    let (_, cancel) = all.cancel(id).unwrap();
    assert_eq!(cancel.headers.get("CSeq"), Some("1 CANCEL"));
    assert!(run(&mut all, 60.0).is_empty());
    let refused = Message::Response(invite.response(486, "", Some("t")));
    let events = all.receive(udp, refused.clone(), seconds(60.0));
    assert_eq!(shown(&events), ["ACK sip:a@b", "response 486"]);
    let again = all.receive(udp, refused, seconds(61.0));
    assert_eq!(shown(&again), ["ACK sip:a@b"]);
    run(&mut all, 200.0);
    assert!(all.is_empty());
}

#[test]
fn who_does_not_answer_is_given_up() {
    let mut all = Transactions::new(10);
    let (_, sent) = all.send(flow(Transport::Udp), request("BYE", "z9hG4bKb", ""), ZERO).unwrap();
    assert_eq!(sent.len(), 1);
    let seen = run(&mut all, 100.0);
    assert_eq!(seen.last(), Some(&(32_000, "timeout".to_owned())));
    // 0.5, 1.5, 3.5, 7.5, then every 4 s.
    assert_eq!(seen.iter().filter(|(_, what)| what.starts_with("BYE")).count(), 10);
}

#[test]
fn every_success_of_a_fork_is_told() {
    let mut all = Transactions::new(10);
    let udp = flow(Transport::Udp);
    let invite = request("INVITE", "z9hG4bKours", "");
    all.send(udp, invite.clone(), ZERO).unwrap();
    for tag in ["one", "two", "one"] {
        let success = Message::Response(invite.response(200, "", Some(tag)));
        assert_eq!(shown(&all.receive(udp, success, ZERO)), ["response 200"]);
    }
}

#[test]
fn a_flood_is_told_to_wait_and_forgotten() {
    let mut all = Transactions::new(3);
    let udp = flow(Transport::Udp);
    let mut refused = 0;
    for number in 0..100 {
        let options = request("OPTIONS", &format!("z9hG4bK{number}"), "");
        let events = all.receive(udp, Message::Request(options), ZERO);
        refused += usize::from(shown(&events) == ["SIP/2.0 503 Service Unavailable"]);
    }
    assert_eq!((refused, all.len()), (97, 3));
    assert!(all.send(udp, request("BYE", "z9hG4bKx", ""), ZERO).is_err());
}

#[test]
fn a_lost_connection_ends_what_waits_on_it() {
    let mut all = Transactions::new(3);
    all.send(flow(Transport::Tcp), request("BYE", "z9hG4bKb", ""), ZERO).unwrap();
    assert_eq!(shown(&all.lost(flow(Transport::Udp))), Vec::<String>::new());
    assert_eq!(shown(&all.lost(flow(Transport::Tcp))), ["timeout"]);
    assert!(all.is_empty());
}

//! The torture messages of RFC 4475, transcribed: what matters in each is as the standard has it,
//! session descriptions are cut short, and `{07}` is the octet 0x07.

use std::time::Duration;

use crate::check::{admit, check};
use crate::digest::{Challenger, Claim};
use crate::message::{Message, ReadError, read};
use crate::transaction::{Event, Flow, Transactions, Transport};

fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code =
            rest.strip_prefix('{').and_then(|r| r.get(..2).filter(|_| r[2..].starts_with('}')));
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                out.push(code);
                rest = &rest[4..];
            }
            None => {
                let length = c.len_utf8();
                match c {
                    '\n' => out.extend_from_slice(b"\r\n"),
                    _ => out.extend_from_slice(&rest.as_bytes()[..length]),
                }
                rest = &rest[length..];
            }
        }
    }
    out
}

fn messages() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let parts = include_str!("torture.txt").split("== ").skip(1);
    parts
        .map(|part| {
            let (title, text) = part.split_once('\n').unwrap();
            let (name, verdict) = title.split_once(' ').unwrap();
            (name, verdict, octets(text))
        })
        .collect()
}

fn verdict(octets: &[u8]) -> String {
    match read(octets) {
        Err(ReadError::Drop(_)) => "drop".into(),
        Err(ReadError::Refuse(_, code, _)) => code.to_string(),
        Ok(Message::Response(_)) => "response".into(),
        Ok(Message::Request(request)) => match check(&request).and_then(|()| admit(&request)) {
            Ok(()) => "take".into(),
            Err(fault) => fault.code.to_string(),
        },
    }
}

#[test]
fn each_message_gets_its_verdict() {
    let all = messages();
    // `longreq` is made below.
    assert_eq!(all.len() + 1, 49);
    for (name, expected, octets) in &all {
        assert_eq!(verdict(octets), *expected, "{name}");
    }
}

#[test]
fn very_long_values_are_taken() {
    let long = |what: &str, times: usize| what.repeat(times);
    let text = format!(
        "INVITE sip:user@example.com SIP/2.0\r\nTo: \"I have a user name of {} proportion\"<sip:user@example.com:6000;unknownparam1=very{}longvalue>\r\nF: sip:{}name@example.net;tag=12{}982424;unknownheaderparam{}name=v\r\nCall-ID: longreq.one{}longcallid\r\nCSeq: 3882340 INVITE\r\nUnknown-{}-Header: x\r\nVia: SIP/2.0/TCP sip33.example.com\r\n{}v: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{}longbranchvalue\r\nMax-Forwards: 70\r\nContact: <sip:{}name@host5.example.net>\r\nContent-Type: application/sdp\r\nl: 5\r\n\r\nv=0\r\n",
        long("extreme", 10),
        long("long", 20),
        long("amazinglylongcaller", 5),
        long("long", 20),
        long("long", 20),
        long("really", 20),
        long("Long", 20),
        long("V: SIP/2.0/TCP s.example.com\r\n", 30),
        long("long", 50),
        long("amazinglylongcaller", 5),
    );
    assert_eq!(verdict(text.as_bytes()), "take");
}

#[test]
fn what_follows_a_datagrams_message_is_ignored() {
    let (_, _, octets) = messages().into_iter().find(|(name, ..)| *name == "dblreq").unwrap();
    let Ok(Message::Request(request)) = read(&octets) else { panic!() };
    assert!(request.body.is_empty());
}

#[test]
fn a_parameter_behind_an_address_is_the_headers() {
    let contact = |name: &str| {
        let (_, _, octets) = messages().into_iter().find(|(known, ..)| *known == name).unwrap();
        let Ok(Message::Request(request)) = read(&octets) else { panic!() };
        crate::NameAddr::parse(request.headers.get("Contact").unwrap()).unwrap()
    };
    let outside = contact("cparam01");
    assert!(outside.param("unknownparam").is_some());
    assert!(outside.uri().unwrap().param("unknownparam").is_none());
    let inside = contact("cparam02");
    assert!(inside.param("unknownparam").is_none());
    assert!(inside.uri().unwrap().param("unknownparam").is_some());
    let escaped = contact("regescrt").uri().unwrap();
    assert_eq!(escaped.headers.as_deref(), Some("Route=%3Csip:sip.example.com%3E"));
}

#[test]
fn an_unknown_scheme_of_credentials_counts_as_none() {
    let (_, _, octets) = messages().into_iter().find(|(name, ..)| *name == "regaut01").unwrap();
    let Ok(Message::Request(request)) = read(&octets) else { panic!() };
    let mut challenger = Challenger::new("r", &[0; 32]);
    let claim = challenger.claim(request.headers.all("Authorization"), Duration::ZERO);
    assert_eq!(claim, Claim::Absent);
}

#[test]
fn responses_to_others_are_dropped() {
    let mut transactions = Transactions::new(10);
    let remote = "192.0.2.1:5060".parse().unwrap();
    let flow = Flow { transport: Transport::Udp, remote, connection: 0 };
    for name in ["bcast", "unreason", "noreason"] {
        let (_, _, octets) = messages().into_iter().find(|(known, ..)| *known == name).unwrap();
        let message = read(&octets).unwrap();
        assert_eq!(transactions.receive(flow, message, Duration::ZERO), Vec::<Event>::new());
    }
}

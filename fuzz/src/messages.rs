//! What comes in packets and from sockets.

use sip::message;
use smpp::pdu;

/// SIP, as datagrams and as a stream.
pub fn sip(octets: &[u8]) {
    if let Ok(Some(length)) = message::frame(octets) {
        assert!(length > 0);
    }
    let Ok(read) = message::read(octets) else { return };
    let written = |message: &sip::Message| match message {
        sip::Message::Request(request) => request.write(),
        sip::Message::Response(response) => response.write(),
    };
    let once = written(&read);
    let again = message::read(&once).expect("what was read and is written reads again");
    assert_eq!(written(&again), once);
    let headers = match &read {
        sip::Message::Request(request) => &request.headers,
        sip::Message::Response(response) => &response.headers,
    };
    for name in ["From", "To", "Contact", "Route", "Refer-To"] {
        for value in headers.list(name) {
            let _ = sip::NameAddr::parse(value);
        }
    }
    for via in headers.list("Via") {
        let _ = sip::Via::parse(via);
    }
}

/// Descriptions of sessions.
pub fn sdp(octets: &[u8]) {
    let _ = sdp::parse(octets);
}

/// PDUs and what short messages hold.
pub fn smpp(octets: &[u8]) {
    let Ok(read) = pdu::read(octets) else { return };
    let written = |pdu: &pdu::Pdu| {
        let mut octets = Vec::new();
        pdu::write(pdu, &mut octets);
        octets
    };
    let once = written(&read);
    let again = pdu::read(&once).expect("what was read and is written reads again");
    assert_eq!(written(&again), once);
    if let pdu::Body::SubmitSm(sm) | pdu::Body::DeliverSm(sm) = &read.body {
        let _ = smpp::receipt::read(sm);
        let _ = smpp::long::read(sm, smpp::coding::Alphabet::Gsm);
    }
}

/// Questions for names.
pub fn dns(octets: &[u8]) {
    let Some(query) = intercept::dns::Query::parse(octets) else { return };
    let answer = query.answer([127, 0, 0, 1].into());
    assert!(answer.len() <= octets.len() + 512 && query.failure().len() <= octets.len() + 512);
}

/// Mail, and the reports among it.
pub fn mail(octets: &[u8]) {
    if let Some(mail) = mail::read(octets)
        && let Some(html) = &mail.html
    {
        let _ = mail::plain_text(html);
        let _ = mail::rewrite_links(html, |link, _| link.to_owned());
    }
    let _ = mail::report(octets);
}

//! Goal: what rings is acknowledged by who wants that (RFC 3262), and an INVITE takes the place of a call
//! that it may (RFC 3891). Method: telephones that speak SIP, of which the test says every word, on
//! loopback.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{
    Act, DOMAIN, Domains, Telephone, WebhookSink, World, number_uri, owned_by, placed, reached,
    telephone, worlds_with,
};
use sip::dialog::Dialog;
use sip::message::Message;
use sip::{Method, Request, Response};

const USER: &str = "sip:+14155550111@127.0.0.1";
const PASSWORD: &str = "Secret12345678";

async fn worlds_of(domains: &Arc<Domains>) -> Vec<World> {
    let domains = domains.clone();
    worlds_with(&move |settings| settings.sip_directory = Some(domains.clone())).await
}

fn rseq(response: &Response) -> Option<u32> {
    let number = response.headers.get("RSeq")?.parse().ok();
    number.filter(|_| response.headers.has_token("Require", "100rel"))
}

/// Acknowledges a provisional answer by this number, and is answered so.
async fn prack(phone: &Telephone, dialog: &mut Dialog, invite: &Request, number: u32, code: u16) {
    let mut prack = phone.inside(dialog, Method::Prack);
    let cseq = invite.headers.cseq().unwrap().0;
    prack.headers.add("RAck", format!("{number} {cseq} INVITE"));
    phone.say(prack.write()).await;
    phone.response(code, &prack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ringing_is_acknowledged_by_who_wants_that() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        let (caller, callee) = (telephone(&world).await, telephone(&world).await);
        let dial =
            format!("<Dial answerOnBridge='true'><Sip>sip:b@{}</Sip></Dial>", callee.address());
        sink.on("/voice", Act::twiml(&dial));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        for header in ["Require", "Supported"] {
            let mut invite = caller.invite(&number_uri(&world), USER);
            invite.headers.add(header, "100rel");
            caller.say(invite.write()).await;
            let ringing = caller.response(180, &invite).await;
            let mut dialog = Dialog::of_response(&invite, &ringing).unwrap();
            let first = rseq(&ringing);
            assert_eq!(first.is_some(), header == "Require");
            if let Some(number) = first {
                // It comes again, the same, until it is acknowledged.
                assert_eq!(rseq(&caller.response(180, &invite).await), Some(number));
                prack(&caller, &mut dialog, &invite, number + 1, 481).await;
                prack(&caller, &mut dialog, &invite, number, 200).await;
            }
            // The platform acknowledges too, each once and in its turn.
            let inner = callee.asked(Method::Invite).await;
            assert!(inner.headers.has_token("Supported", "100rel"));
            for number in [77_u32, 77, 78] {
                let mut early = inner.response(183, "", Some("callee"));
                for (name, value) in [
                    ("Require", "100rel".to_owned()),
                    ("RSeq", number.to_string()),
                    ("Contact", format!("<sip:b@{}>", callee.address())),
                    ("Content-Type", "application/sdp".to_owned()),
                ] {
                    early.headers.add(name, value);
                }
                early.body = callee.session("sendrecv").into_bytes();
                callee.say(early.write()).await;
            }
            for expected in ["77 1 INVITE", "78 1 INVITE"] {
                let asked = callee.asked(Method::Prack).await;
                assert_eq!(asked.headers.get("RAck"), Some(expected));
                callee.answer(&asked, 200, None).await;
            }
            let early = caller.response(183, &invite).await;
            let number = rseq(&early).expect("what is heard early is acknowledged");
            assert!(first.is_none_or(|first| first + 1 == number) && !early.body.is_empty());
            callee.answer(&inner, 200, Some(callee.session("sendrecv"))).await;
            callee.asked(Method::Ack).await;
            // The answer waits for what it agrees on: until then the early one is repeated.
            for _ in 0..2 {
                let again = caller
                    .wait("an answer", |message| match message {
                        Message::Response(response) => Some(response),
                        Message::Request(_) => None,
                    })
                    .await;
                assert_eq!((again.code, rseq(&again)), (183, Some(number)));
            }
            let mut acknowledging = caller.inside(&mut dialog, Method::Prack);
            let cseq = invite.headers.cseq().unwrap().0;
            acknowledging.headers.add("RAck", format!("{number} {cseq} INVITE"));
            caller.say(acknowledging.write()).await;
            let success = caller.response(200, &invite).await;
            assert_eq!(success.body, early.body, "one description for both");
            caller.acknowledge(&invite, &success).await;
            let bye = caller.inside(&mut dialog, Method::Bye);
            caller.say(bye.write()).await;
            caller.response(200, &bye).await;
            let bye = callee.asked(Method::Bye).await;
            // After two PRACKs of 2 and 3.
            assert_eq!(bye.headers.cseq().unwrap().0, 4);
            callee.answer(&bye, 200, None).await;
        }
        world.stop().await;
    }
}

/// An INVITE that is to take the place of a dialog, as its other end sees it.
fn instead_of(phone: &Telephone, uri: &str, from: &str, dialog: &Dialog, more: &str) -> Request {
    let mut invite = phone.invite(uri, from);
    let (ours, theirs) = (dialog.remote_tag(), dialog.local_tag());
    let value = format!("{};to-tag={ours};from-tag={theirs}{more}", dialog.call_id);
    invite.headers.add("Replaces", value);
    invite.headers.add("Require", "replaces");
    invite
}

async fn refused(phone: &Telephone, invite: &Request, code: u16) -> Response {
    phone.say(invite.write()).await;
    let refused = phone.response(code, invite).await;
    let mut ack = refused_ack(invite, &refused);
    ack.headers.add_first("Via", invite.headers.get("Via").unwrap());
    phone.say(ack.write()).await;
    refused
}

fn refused_ack(invite: &Request, refused: &Response) -> Request {
    Dialog::of_response(invite, refused)
        .unwrap()
        .numbered(Method::Ack, invite.headers.cseq().unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_telephone_takes_the_place_of_one_that_talks() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        let (caller, callee) = (telephone(&world).await, telephone(&world).await);
        let second = telephone(&world).await;
        let dial = format!("<Dial><Sip>sip:b@{}</Sip></Dial>", callee.address());
        sink.on("/voice", Act::twiml(&dial));
        *domains.voice_url.lock().unwrap() = sink.at("/voice");
        // By the lists of the domain, and by the trunk of whatever runs on this machine.
        let service = format!("sip:service@{DOMAIN}");
        let ann = format!("sip:ann@{DOMAIN}");
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        for (uri, from) in [(service, ann), (number_uri(&world), USER.to_owned())] {
            let by_domain = uri.contains(DOMAIN);
            let mut invite = caller.invite(&uri, &from);
            if by_domain {
                let challenge = refused(&caller, &invite, 407).await;
                invite = caller.answering(&invite, &challenge, PASSWORD);
            }
            caller.say(invite.write()).await;
            let success = caller.response(200, &invite).await;
            let mut dialog = caller.acknowledge(&invite, &success).await;
            let inner = callee.asked(Method::Invite).await;
            callee.answer(&inner, 200, Some(callee.session("sendrecv"))).await;
            callee.asked(Method::Ack).await;
            // Nobody else's, nothing malformed, and not what is over its ringing.
            let target = format!("sip:{}", second.platform);
            let other = Dialog { call_id: "other".to_owned(), ..dialog.clone() };
            let unknown = instead_of(&second, &target, &from, &other, "");
            refused(&second, &unknown, 481).await;
            let early = instead_of(&second, &target, &from, &dialog, ";early-only");
            refused(&second, &early, 486).await;
            let mut malformed = instead_of(&second, &target, &from, &dialog, "");
            malformed.headers.set("Replaces", dialog.call_id.clone());
            refused(&second, &malformed, 400).await;
            let mut taking = instead_of(&second, &target, &from, &dialog, "");
            if by_domain {
                let challenge = refused(&second, &taking, 407).await;
                let wrong = second.answering(&taking, &challenge, "Wrong12345678");
                refused(&second, &wrong, 403).await;
                taking = second.answering(&taking, &challenge, PASSWORD);
            }
            second.say(taking.write()).await;
            let success = second.response(200, &taking).await;
            let mut taken = second.acknowledge(&taking, &success).await;
            let bye = caller.asked(Method::Bye).await;
            assert!(dialog.take(&bye).is_ok(), "of the dialog that was replaced");
            caller.answer(&bye, 200, None).await;
            // Both ways.
            let ways = [
                (&second, Telephone::sound_of(&success.body), &callee),
                (&callee, Telephone::sound_of(&inner.body), &second),
            ];
            for (hums, there, hears) in ways {
                let stop = AtomicBool::new(false);
                let listening = async {
                    hears.hears_the_hum().await;
                    stop.store(true, Ordering::Relaxed);
                };
                tokio::join!(hums.hum(there, &stop), listening);
            }
            // What is over is told from what never was.
            let late = instead_of(&second, &target, &from, &dialog, "");
            refused(&second, &late, 603).await;
            let bye = second.inside(&mut taken, Method::Bye);
            second.say(bye.write()).await;
            second.response(200, &bye).await;
            let bye = callee.asked(Method::Bye).await;
            callee.answer(&bye, 200, None).await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rings_at_one_telephone_is_taken_by_another() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let (first, second) = (telephone(&world).await, telephone(&world).await);
        let uri = format!("sip:ann@{DOMAIN}");
        let mut register = first.request(Method::Register, &format!("sip:{DOMAIN}"), &uri);
        register.headers.set("To", format!("<{uri}>"));
        first.say(register.write()).await;
        let challenge = first.response(401, &register).await;
        let again = first.answering(&register, &challenge, PASSWORD);
        first.say(again.write()).await;
        first.response(200, &again).await;
        let form = [("To", uri.as_str()), ("Twiml", "<Response><Gather timeout='60'/></Response>")];
        let sid = placed(&world, &form).await;
        let invite = first.asked(Method::Invite).await;
        first.answer(&invite, 180, None).await;
        reached(&world, &sid, "ringing").await;
        let ringing = Dialog::of_invite(&invite, "callee").unwrap();
        let target = format!("sip:{}", second.platform);
        let taking = instead_of(&second, &target, &uri, &ringing, ";early-only");
        let challenge = refused(&second, &taking, 407).await;
        let taking = second.answering(&taking, &challenge, PASSWORD);
        second.say(taking.write()).await;
        let success = second.response(200, &taking).await;
        let mut taken = second.acknowledge(&taking, &success).await;
        let cancel = first.asked(Method::Cancel).await;
        first.answer(&cancel, 200, None).await;
        first.answer(&invite, 487, None).await;
        reached(&world, &sid, "in-progress").await;
        let bye = second.inside(&mut taken, Method::Bye);
        second.say(bye.write()).await;
        second.response(200, &bye).await;
        reached(&world, &sid, "completed").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rings_here_is_nobodys_to_take() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        let (caller, callee) = (telephone(&world).await, telephone(&world).await);
        let dial =
            format!("<Dial answerOnBridge='true'><Sip>sip:b@{}</Sip></Dial>", callee.address());
        sink.on("/voice", Act::twiml(&dial));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let ringing = caller.response(180, &invite).await;
        let dialog = Dialog::of_response(&invite, &ringing).unwrap();
        let taking = instead_of(&caller, &number_uri(&world), USER, &dialog, "");
        refused(&caller, &taking, 481).await;
        let inner = callee.asked(Method::Invite).await;
        // It goes to an address of anybody's: nobody could be asked for a password.
        let other = Dialog::of_invite(&inner, "callee").unwrap();
        callee.answer(&inner, 180, None).await;
        let taking = instead_of(&caller, &number_uri(&world), USER, &other, "");
        tokio::time::timeout(Duration::from_secs(10), refused(&caller, &taking, 481))
            .await
            .expect("it is refused");
        world.stop().await;
    }
}

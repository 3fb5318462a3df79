//! Goal: parties are sent elsewhere as documents and trunks say (media §4.6, twiml §6.7). Method:
//! telephones that speak SIP, of which the test says every word, on loopback.

mod harness;

use std::sync::Arc;

use contracts::{SipTransfers, TransferMode};
use harness::{
    Act, Domains, TRUNK, Telephone, WebhookSink, World, number_uri, owned_by, reached, telephone,
    worlds_with,
};
use serde_json::json;
use sip::dialog::Dialog;
use sip::{Method, Request};

const USER: &str = "sip:+14155550111@127.0.0.1";
const PASSWORD: &str = "Secret12345678";

async fn worlds_of(domains: &Arc<Domains>) -> Vec<World> {
    let domains = domains.clone();
    worlds_with(&move |settings| settings.sip_directory = Some(domains.clone())).await
}

/// A call to the world's number that is answered.
async fn calling(phone: &Telephone, world: &World) -> Dialog {
    let invite = phone.invite(&number_uri(world), USER);
    phone.say(invite.write()).await;
    let success = phone.response(200, &invite).await;
    phone.acknowledge(&invite, &success).await
}

/// Answers the next call; it and its dialog.
async fn answering(phone: &Telephone) -> (Request, Dialog) {
    let invite = phone.asked(Method::Invite).await;
    phone.answer(&invite, 180, None).await;
    phone.answer(&invite, 200, Some(phone.session("sendrecv"))).await;
    phone.asked(Method::Ack).await;
    let dialog = Dialog::of_invite(&invite, "callee").unwrap();
    (invite, dialog)
}

async fn refer(phone: &Telephone, dialog: &mut Dialog, to: &str) -> Request {
    let mut refer = phone.inside(dialog, Method::Refer);
    refer.headers.add("Refer-To", format!("<{to}>"));
    phone.say(refer.write()).await;
    refer
}

/// What the next NOTIFY says.
async fn told(phone: &Telephone) -> String {
    let notify = phone.asked(Method::Notify).await;
    phone.answer(&notify, 200, None).await;
    assert_eq!(notify.headers.get("Event"), Some("refer"));
    assert!(notify.headers.get("Content-Type").unwrap().starts_with("message/sipfrag"));
    let body = String::from_utf8(notify.body.clone()).unwrap();
    let state = notify.headers.get("Subscription-State").unwrap();
    format!("{} {}", body.trim_end(), state.split(';').next().unwrap())
}

async fn is_let_go(phone: &Telephone) {
    let bye = phone.asked(Method::Bye).await;
    phone.answer(&bye, 200, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialled_telephone_transfers_by_the_documents_refer_url() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        let (caller, agent, second) =
            (telephone(&world).await, telephone(&world).await, telephone(&world).await);
        let dial = |phone: &Telephone, more: &str| {
            let to = phone.address();
            Act::twiml(&format!("<Dial answerOnBridge='true' {more}><Sip>sip:a@{to}</Sip></Dial>"))
        };
        sink.in_turn("/voice", vec![dial(&agent, ""), dial(&agent, "referUrl='/refer'")]);
        sink.on("/refer", dial(&second, ""));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        // Without a referUrl it may not be.
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let (_, mut inner) = answering(&agent).await;
        let success = caller.response(200, &invite).await;
        let mut dialog = caller.acknowledge(&invite, &success).await;
        let to = format!("sip:carol@{}", second.address());
        let asked = refer(&agent, &mut inner, &to).await;
        let refused = agent.response(603, &asked).await;
        assert!(refused.headers.get("X-Twilio-Error").unwrap().starts_with("13802"));
        let bad = agent.inside(&mut inner, Method::Refer);
        agent.say(bad.write()).await;
        agent.response(400, &bad).await;
        let bye = caller.inside(&mut dialog, Method::Bye);
        caller.say(bye.write()).await;
        is_let_go(&agent).await;
        // With one, the caller goes on with what it says.
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let (_, mut inner) = answering(&agent).await;
        let success = caller.response(200, &invite).await;
        caller.acknowledge(&invite, &success).await;
        let asked = refer(&agent, &mut inner, &to).await;
        agent.response(202, &asked).await;
        assert_eq!(told(&agent).await, "SIP/2.0 100 Trying active");
        assert_eq!(told(&agent).await, "SIP/2.0 200 OK terminated");
        is_let_go(&agent).await;
        let requested = sink.first("/refer").await;
        assert_eq!(requested.value("ReferTransferTarget"), to);
        answering(&second).await;
        reached(&world, &requested.value("CallSid"), "in-progress").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_transfers_to_whom_it_may() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let (caller, exchange, third) =
            (telephone(&world).await, telephone(&world).await, telephone(&world).await);
        let target = format!("sip:{}", exchange.address());
        *domains.trunk.lock().unwrap() = Some((world.number.clone(), target));
        let to = format!("sip:dave@{}", third.address());
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let (_, mut inner) = answering(&exchange).await;
        let success = caller.response(200, &invite).await;
        let mut dialog = caller.acknowledge(&invite, &success).await;
        *domains.transfers.lock().unwrap() = SipTransfers::default();
        let asked = refer(&exchange, &mut inner, &to).await;
        let refused = exchange.response(603, &asked).await;
        assert!(refused.headers.get("X-Twilio-Error").unwrap().starts_with("32218"));
        let allow = |mode, from_transferor| {
            *domains.transfers.lock().unwrap() = SipTransfers { mode, from_transferor };
        };
        allow(TransferMode::SipOnly, false);
        let asked = refer(&exchange, &mut inner, "tel:+14155550122").await;
        exchange.response(603, &asked).await;
        // The caller's side has no say in what the trunk may.
        let asked = refer(&caller, &mut dialog, &to).await;
        let refused = caller.response(603, &asked).await;
        assert!(refused.headers.get("X-Twilio-Error").unwrap().starts_with("13802"));
        let asked = refer(&exchange, &mut inner, &to).await;
        exchange.response(202, &asked).await;
        assert_eq!(told(&exchange).await, "SIP/2.0 100 Trying active");
        let (invite, mut last) = answering(&third).await;
        assert!(invite.headers.get("From").unwrap().contains("sip:+14155550111@"));
        assert_eq!(told(&exchange).await, "SIP/2.0 200 OK terminated");
        is_let_go(&exchange).await;
        // Who came last goes, and the caller with it.
        let bye = third.inside(&mut last, Method::Bye);
        third.say(bye.write()).await;
        is_let_go(&caller).await;
        // Nobody takes it: the one who transfers is told.
        allow(TransferMode::Anybody, true);
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let (_, mut inner) = answering(&exchange).await;
        caller.response(200, &invite).await;
        let asked = refer(&exchange, &mut inner, &to).await;
        exchange.response(202, &asked).await;
        assert_eq!(told(&exchange).await, "SIP/2.0 100 Trying active");
        let invite = third.asked(Method::Invite).await;
        assert!(invite.headers.get("From").unwrap().contains(&format!("sip:{}@", world.number)));
        third.answer(&invite, 486, None).await;
        assert_eq!(told(&exchange).await, "SIP/2.0 486 Busy Here terminated");
        is_let_go(&exchange).await;
        *domains.trunk.lock().unwrap() = None;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_of_an_exchange_become_one() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        *domains.transfers.lock().unwrap() =
            SipTransfers { mode: TransferMode::Anybody, from_transferor: false };
        let (caller, exchange) = (telephone(&world).await, telephone(&world).await);
        let target = format!("sip:{}", exchange.address());
        *domains.trunk.lock().unwrap() = Some((world.number.clone(), target));
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let (_, mut first) = answering(&exchange).await;
        caller.response(200, &invite).await;
        // The exchange asks somebody else first.
        let answers = json!({"when_called": "answer"});
        assert_eq!(world.own("PUT", "handsets/+14155550122", answers).await.status, 200);
        let uri = format!("sip:+14155550122@{TRUNK}");
        let invite = exchange.invite(&uri, &format!("sip:{}@x", world.number));
        exchange.say(invite.write()).await;
        let challenge = exchange.response(407, &invite).await;
        let right = exchange.answering(&invite, &challenge, PASSWORD);
        exchange.say(right.write()).await;
        let success = exchange.response(200, &right).await;
        let second = exchange.acknowledge(&right, &success).await;
        let replaces = |tag: &str| {
            format!(
                "{uri}?Replaces={}%3Bto-tag%3D{tag}%3Bfrom-tag%3D{}",
                second.call_id,
                second.local_tag()
            )
        };
        let asked = refer(&exchange, &mut first, &replaces("forged")).await;
        exchange.response(481, &asked).await;
        let asked = refer(&exchange, &mut first, &replaces(second.remote_tag())).await;
        exchange.response(202, &asked).await;
        assert_eq!(told(&exchange).await, "SIP/2.0 100 Trying active");
        assert_eq!(told(&exchange).await, "SIP/2.0 200 OK terminated");
        is_let_go(&exchange).await;
        is_let_go(&exchange).await;
        let conference = async || {
            let all = world.get(&world.path("Conferences.json?Status=in-progress")).await.json();
            let sid = all["conferences"][0]["sid"].as_str()?.to_owned();
            let path = format!("Conferences/{sid}/Participants.json");
            let there = world.get(&world.path(&path)).await.json();
            (there["participants"].as_array()?.len() == 2).then_some(())
        };
        harness::eventually("both are together", conference).await;
        *domains.trunk.lock().unwrap() = None;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_sends_its_caller_elsewhere() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml("<Refer action='/done'><Sip>sip:bob@pbx.example</Sip></Refer>"),
        );
        sink.on("/done", Act::twiml("<Hangup/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let phone = telephone(&world).await;
        // It refuses, it goes, and it tries in vain.
        for (code, notified, expected) in [
            (405, None, ("failed", "405", None)),
            (202, Some("200 OK"), ("completed", "202", Some("200"))),
            (202, Some("486 Busy Here"), ("failed", "202", Some("486"))),
        ] {
            let mut dialog = calling(&phone, &world).await;
            let asked = phone.asked(Method::Refer).await;
            assert_eq!(asked.headers.get("Refer-To"), Some("<sip:bob@pbx.example>"));
            assert!(dialog.take(&asked).is_ok());
            phone.answer(&asked, code, None).await;
            for status in ["100 Trying"].into_iter().chain(notified).filter(|_| notified.is_some())
            {
                let mut notify = phone.inside(&mut dialog, Method::Notify);
                notify.headers.add("Event", "refer");
                notify.headers.add("Subscription-State", "active;expires=60");
                notify.headers.add("Content-Type", "message/sipfrag");
                notify.body = format!("SIP/2.0 {status}\r\n").into_bytes();
                phone.say(notify.write()).await;
                phone.response(200, &notify).await;
            }
            is_let_go(&phone).await;
            let seen = sink.seen("/done");
            let done = seen.last().unwrap();
            let value = |name: &str| done.param(name);
            let (status, answered, told) = expected;
            assert_eq!(value("ReferCallStatus").as_deref(), Some(status), "{code}");
            assert_eq!(value("ReferSipResponseCode").as_deref(), Some(answered));
            assert_eq!(value("NotifySipResponseCode").as_deref(), told);
        }
        // A handset of the simulated network cannot be sent anywhere.
        let sid = world.dial_in("+14155550122").await;
        world.alert(&sid, 13801).await;
        world.stop().await;
    }
}

//! Goal: calls find their way by trunks that redirect, fail and come back, and are heard before they are
//! answered (media §4.4, §4.5, voice-api §14). Method: telephones that speak SIP, of which the test says
//! every word, on loopback.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{
    Act, DOMAIN, Domains, Telephone, WebhookSink, World, number_uri, owned_by, placed, reached,
    telephone, trunk_worlds, worlds_with,
};
use serde_json::json;
use sip::message::Message;
use sip::{Method, Request};

const USER: &str = "sip:+14155550111@127.0.0.1";

async fn worlds_of(domains: &Arc<Domains>) -> Vec<World> {
    let domains = domains.clone();
    worlds_with(&move |settings| settings.sip_directory = Some(domains.clone())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_called_is_heard_before_it_answers() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        let (caller, callee) = (telephone(&world).await, telephone(&world).await);
        let dial = |more: &str| {
            Act::twiml(&format!("<Dial {more}><Sip>sip:b@{}</Sip></Dial>", callee.address()))
        };
        sink.in_turn("/voice", vec![dial("answerOnBridge='true'"), dial("")]);
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        for waits in [true, false] {
            let invite = caller.invite(&number_uri(&world), USER);
            caller.say(invite.write()).await;
            let early = match waits {
                true => None,
                false => Some(caller.response(200, &invite).await),
            };
            let inner = callee.asked(Method::Invite).await;
            callee.answer(&inner, 183, Some(callee.session("sendrecv"))).await;
            let early = match early {
                Some(success) => {
                    caller.acknowledge(&invite, &success).await;
                    success
                }
                None => caller.response(183, &invite).await,
            };
            let stop = AtomicBool::new(false);
            let humming = callee.hum(Telephone::sound_of(&inner.body), &stop);
            let listening = async {
                caller.hears_the_hum().await;
                stop.store(true, Ordering::Relaxed);
            };
            tokio::join!(humming, listening);
            callee.answer(&inner, 200, Some(callee.session("sendrecv"))).await;
            callee.asked(Method::Ack).await;
            let success = match waits {
                true => caller.response(200, &invite).await,
                false => early.clone(),
            };
            assert_eq!(success.body, early.body, "one description for both");
            let mut dialog = caller.acknowledge(&invite, &success).await;
            let bye = caller.inside(&mut dialog, Method::Bye);
            caller.say(bye.write()).await;
            let bye = callee.asked(Method::Bye).await;
            callee.answer(&bye, 200, None).await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_redirects_and_is_replaced_when_it_is_down() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        sink.on("/down", Act::twiml("<Say>We are down</Say>"));
        let (first, second) = (telephone(&world).await, telephone(&world).await);
        let target = format!("sip:{}", first.address());
        *domains.trunk.lock().unwrap() = Some((world.number.clone(), target));
        let ring = async || {
            let to = json!({"to": world.number});
            let dialled = world.own("POST", "handsets/+14155550122/calls", to).await;
            assert_eq!(dialled.status, 201, "{dialled:?}");
            dialled.text_of("sid")
        };
        let moved = async |phone: &Telephone, to: &Telephone| {
            let invite = phone.asked(Method::Invite).await;
            assert!(invite.uri.contains(&world.number), "{}", invite.uri);
            let mut moved = invite.response(302, "", Some("callee"));
            let contact = format!("<sip:{}@{}>", world.number, to.address());
            moved.headers.add("Contact", contact);
            phone.say(moved.write()).await;
        };
        let sid = ring().await;
        moved(&first, &second).await;
        let invite = second.asked(Method::Invite).await;
        second.answer(&invite, 200, Some(second.session("sendrecv"))).await;
        second.asked(Method::Ack).await;
        reached(&world, &sid, "in-progress").await;
        // Two who send each other are not followed for ever; then the trunk counts as down.
        *domains.recovery.lock().unwrap() = Some(sink.at("/down"));
        let sid = ring().await;
        for at in 0..6 {
            let (here, there) = if at % 2 == 0 { (&first, &second) } else { (&second, &first) };
            moved(here, there).await;
        }
        assert_eq!(sink.first("/down").await.value("CallSid"), sid);
        reached(&world, &sid, "in-progress").await;
        // Who is called by an address of its own cannot redirect.
        let to = format!("sip:{}@{}", world.number, first.address());
        let sid = placed(&world, &[("To", &to), ("Twiml", "<Response/>")]).await;
        moved(&first, &second).await;
        world.alert(&sid, 32219).await;
        *domains.trunk.lock().unwrap() = None;
        *domains.recovery.lock().unwrap() = None;
        world.stop().await;
    }
}

/// The next OPTIONS, which is none again that was answered too late.
async fn another_question(phone: &Telephone, known: &Request) -> Request {
    phone
        .wait("another question", |message| match message {
            Message::Request(request)
                if request.method == Method::Options
                    && request.headers.call_id() != known.headers.call_id() =>
            {
                Some(request)
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_there_is_passed_over() {
    let worlds = trunk_worlds(&|trunk| trunk.options_seconds = 1).await;
    for (world, first, second) in worlds {
        let asked = first.asked(Method::Options).await;
        first.answer(&asked, 503, None).await;
        let other = second.asked(Method::Options).await;
        second.answer(&other, 405, None).await;
        // What the first says reaches the platform before the next question does.
        let again = another_question(&first, &asked).await;
        let form = [("To", "+493012345678"), ("Twiml", "<Response/>")];
        let sid = placed(&world, &form).await;
        let invite = second.asked(Method::Invite).await;
        second.answer(&invite, 486, None).await;
        reached(&world, &sid, "busy").await;
        // It is back.
        first.answer(&again, 200, None).await;
        let again = another_question(&first, &again).await;
        first.answer(&again, 200, None).await;
        another_question(&first, &again).await;
        let sid = placed(&world, &form).await;
        let invite = first.asked(Method::Invite).await;
        first.answer(&invite, 486, None).await;
        reached(&world, &sid, "busy").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brought_carriers_address_says_whose_domain_is_meant() {
    let domains = Domains::shared();
    let directory = domains.clone();
    let worlds = worlds_with(&move |settings| {
        settings.sip_directory = Some(directory.clone());
        let mut sip = sip_carrier::Config::development();
        sip.trunks.clear();
        settings.config.carriers.sip = Some(sip);
    })
    .await;
    for world in worlds {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>Hi</Say>"));
        *domains.voice_url.lock().unwrap() = sink.at("/voice");
        let phone = telephone(&world).await;
        let invite = phone.invite(&number_uri(&world), USER);
        phone.say(invite.write()).await;
        phone.response(403, &invite).await;
        *domains.mapped.lock().unwrap() = Some([127, 0, 0, 1].into());
        let invite = phone.invite(&number_uri(&world), USER);
        phone.say(invite.write()).await;
        phone.response(200, &invite).await;
        let asked = sink.first("/voice").await;
        assert_eq!(asked.value("SipDomain"), DOMAIN);
        *domains.mapped.lock().unwrap() = None;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_too_many_is_refused_and_the_others_go_on() {
    let worlds = worlds_with(&|settings| {
        let mut sip = sip_carrier::Config::development();
        sip.calls_max = 1;
        settings.config.carriers.sip = Some(sip);
    })
    .await;
    for world in worlds {
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Gather timeout='60'/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let (first, second) = (telephone(&world).await, telephone(&world).await);
        let invite = first.invite(&number_uri(&world), USER);
        first.say(invite.write()).await;
        let success = first.response(200, &invite).await;
        let mut dialog = first.acknowledge(&invite, &success).await;
        let more = second.invite(&number_uri(&world), USER);
        second.say(more.write()).await;
        let refused = second.response(503, &more).await;
        assert!(refused.headers.get("X-Twilio-Error").unwrap().starts_with("10004"));
        assert_eq!(refused.headers.get("Retry-After"), Some("5"));
        let to = format!("sip:b@{}", second.address());
        let sid = placed(&world, &[("To", &to), ("Twiml", "<Response/>")]).await;
        reached(&world, &sid, "failed").await;
        world.alert(&sid, 10004).await;
        let bye = first.inside(&mut dialog, Method::Bye);
        first.say(bye.write()).await;
        first.response(200, &bye).await;
        let invite = second.invite(&number_uri(&world), USER);
        second.say(invite.write()).await;
        second.response(200, &invite).await;
        world.stop().await;
    }
}

//! Goal: telephones and operators that speak SIP call and are called as the API promises
//! (voice-api §4, §13). Method: a telephone of which the test says every word, on loopback.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{
    Act, DOMAIN, Domains, TRUNK, Telephone, WebhookSink, World, number_uri, owned_by, placed,
    reached, telephone, trunk_worlds, worlds_with,
};
use rtp::packet::{Header, Packet};
use serde_json::Value;
use sip::Method;
use sip::message::Message;

const USER: &str = "sip:+14155550111@127.0.0.1";
const PASSWORD: &str = "Secret12345678";

/// Worlds whose domain is `domains`, which has to be given each world's account.
async fn worlds_of(domains: &Arc<Domains>) -> Vec<World> {
    let domains = domains.clone();
    worlds_with(&move |settings| {
        settings.sip_directory = Some(domains.clone());
        let mut sip = sip_carrier::Config::development();
        sip.media_timeout_seconds = 2;
        settings.config.carriers.sip = Some(sip);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_calls_a_number_presses_a_key_and_hears() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(
                "<Gather numDigits='1' timeout='9' action='/key'><Say>Press one</Say></Gather>",
            ),
        );
        sink.on("/key", Act::twiml("<Hangup/>"));
        let status = sink.at("/status");
        world.configure(&[("VoiceUrl", &sink.at("/voice")), ("StatusCallback", &status)]).await;
        let phone = telephone(&world).await;
        let mut invite = phone.invite(&number_uri(&world), USER);
        invite.headers.add("X-Order", "7");
        phone.say(invite.write()).await;
        phone.response(100, &invite).await;
        phone.response(180, &invite).await;
        let success = phone.response(200, &invite).await;
        let mut dialog = phone.acknowledge(&invite, &success).await;
        let there = Telephone::sound_of(&success.body);
        let mut octets = [0; 2048];
        let heard =
            tokio::time::timeout(Duration::from_secs(5), phone.sound.recv(&mut octets)).await;
        let length = heard.expect("sound comes").unwrap();
        let packet = Packet::read(&octets[..length]).unwrap();
        assert_eq!((packet.header.payload_type, packet.payload.len()), (0, 160));
        // A stranger's key is nobody's: this one is ours.
        for number in 0..5_u16 {
            let payload = [1, if number > 2 { 0x8A } else { 10 }, 0, 40 * (number as u8 + 1)];
            let header = Header {
                payload_type: 101,
                marker: number == 0,
                sequence: 100 + number,
                timestamp: 5000,
                ssrc: 9,
            };
            let mut out = Vec::new();
            Packet::new(header, &payload).write(&mut out).unwrap();
            phone.sound.send_to(&out, there).await.unwrap();
        }
        let bye = phone.asked(Method::Bye).await;
        assert!(dialog.take(&bye).is_ok());
        phone.answer(&bye, 200, None).await;
        let asked = sink.wait("/voice", 1).await;
        assert_eq!(asked[0].param("SipCallId").as_deref(), Some(invite.headers.call_id()));
        assert_eq!(asked[0].param("From").as_deref(), Some("+14155550111"));
        assert_eq!(
            asked[0].param("SipHeader_X-Order").as_deref(),
            None,
            "a trunk's headers are its own"
        );
        assert_eq!(sink.wait("/key", 1).await[0].param("Digits").as_deref(), Some("1"));
        assert_eq!(
            sink.wait("/status", 1).await[0].param("CallStatus").as_deref(),
            Some("completed")
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_lets_in_who_knows_the_password() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>Hi</Say><Pause length='9'/>"));
        *domains.voice_url.lock().unwrap() = sink.at("/voice");
        let phone = telephone(&world).await;
        let mut invite =
            phone.invite(&format!("sip:service@{DOMAIN}"), &format!("sip:ann@{DOMAIN}"));
        invite.headers.add("X-Order", "7");
        phone.say(invite.write()).await;
        let challenge = phone.response(407, &invite).await;
        assert!(challenge.headers.get("Proxy-Authenticate").unwrap().contains("sip.twilio.com"));
        let wrong = phone.answering(&invite, &challenge, "wrong");
        phone.say(wrong.write()).await;
        let refused = phone.response(403, &wrong).await;
        assert!(refused.headers.get("X-Twilio-Error").unwrap().starts_with("32202"));
        let right = phone.answering(&invite, &challenge, PASSWORD);
        phone.say(right.write()).await;
        let success = phone.response(200, &right).await;
        let mut dialog = phone.acknowledge(&right, &success).await;
        let asked = &sink.wait("/voice", 1).await[0];
        for (name, value) in [
            ("SipDomain", DOMAIN),
            ("SipSourceIp", "127.0.0.1"),
            ("SipHeader_X-Order", "7"),
            ("To", "sip:service@acme.sip.twilio.com"),
            ("From", "sip:ann@acme.sip.twilio.com"),
            ("Direction", "inbound"),
        ] {
            assert_eq!(asked.param(name).as_deref(), Some(value), "{name}");
        }
        // The same answer to the same challenge counts once.
        let mut replayed = right.clone();
        replayed.headers.set("Via", phone.via());
        replayed.headers.set("Call-ID", "replayed");
        phone.say(replayed.write()).await;
        let again = phone.response(407, &replayed).await;
        assert!(again.headers.get("Proxy-Authenticate").unwrap().contains("stale=true"));
        // A hold, and back.
        for (direction, answer) in
            [("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")]
        {
            let mut hold = phone.inside(&mut dialog, Method::Invite);
            hold.headers.add("Content-Type", "application/sdp");
            hold.body = phone.session(direction).into_bytes();
            phone.say(hold.write()).await;
            let held = phone.response(200, &hold).await;
            let text = String::from_utf8(held.body.clone()).unwrap();
            assert!(text.contains(&format!("a={answer}\r\n")), "{direction}: {text}");
            let mut ack = dialog.numbered(Method::Ack, hold.headers.cseq().unwrap().0);
            ack.headers.add_first("Via", phone.via());
            phone.say(ack.write()).await;
        }
        // Nobody hangs up on another.
        let mut forged = dialog.clone();
        forged.local.params = vec![("tag".into(), Some("forged".into()))];
        let bye = phone.inside(&mut forged, Method::Bye);
        phone.say(bye.write()).await;
        phone.response(481, &bye).await;
        let bye = phone.inside(&mut dialog, Method::Bye);
        phone.say(bye.write()).await;
        phone.response(200, &bye).await;
        let sid = asked.param("CallSid").unwrap().to_owned();
        reached(&world, &sid, "completed").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_called_and_answer_as_they_like() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let phone = telephone(&world).await;
        let sink = WebhookSink::start().await;
        let status = sink.at("/status");
        let to = format!("sip:bob@{}?X-Order=7&Route=%3Csip:evil%3E", phone.address());
        for (code, expected) in
            [(486, "busy"), (480, "no-answer"), (603, "busy"), (404, "failed"), (500, "failed")]
        {
            let sid = placed(
                &world,
                &[("To", &to), ("Twiml", "<Response/>"), ("StatusCallback", &status)],
            )
            .await;
            let invite = phone.asked(Method::Invite).await;
            assert_eq!(invite.headers.get("X-Order"), Some("7"));
            assert_eq!(invite.headers.get("X-Twilio-CallSid"), Some(sid.as_str()));
            assert_eq!(invite.headers.get("Route"), None);
            assert!(invite.uri.starts_with("sip:bob@127.0.0.1") && !invite.uri.contains('?'));
            phone.answer(&invite, 180, None).await;
            phone.answer(&invite, code, None).await;
            phone.asked(Method::Ack).await;
            reached(&world, &sid, expected).await;
        }
        let told = sink.wait("/status", 5).await;
        assert_eq!(told[0].param("SipResponseCode").as_deref(), Some("486"));
        // Challenged, answered, talked to, and hung up.
        let form = [
            ("To", to.as_str()),
            ("Twiml", "<Response><Pause length='1'/></Response>"),
            ("SipAuthUsername", "ann"),
            ("SipAuthPassword", PASSWORD),
        ];
        let sid = placed(&world, &form).await;
        let invite = phone.asked(Method::Invite).await;
        let mut challenge = invite.response(401, "", Some("callee"));
        challenge.headers.add(
            "WWW-Authenticate",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5",
        );
        phone.say(challenge.write()).await;
        let again = phone.asked(Method::Invite).await;
        assert!(again.headers.get("Authorization").unwrap().contains("username=\"ann\""));
        phone.answer(&again, 200, Some(phone.session("sendrecv"))).await;
        phone.asked(Method::Ack).await;
        reached(&world, &sid, "in-progress").await;
        let bye = phone.asked(Method::Bye).await;
        phone.answer(&bye, 200, None).await;
        reached(&world, &sid, "completed").await;
        // Nobody comes: the call is cancelled.
        let sid = placed(&world, &[("To", &to), ("Twiml", "<Response/>"), ("Timeout", "5")]).await;
        let invite = phone.asked(Method::Invite).await;
        phone.answer(&invite, 180, None).await;
        reached(&world, &sid, "ringing").await;
        world.advance(6).await;
        let cancel = phone.asked(Method::Cancel).await;
        phone.answer(&cancel, 200, None).await;
        phone.answer(&invite, 487, None).await;
        reached(&world, &sid, "no-answer").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_telephones_ring_together() {
    let domains = Domains::shared();
    for mut world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let uri = format!("sip:ann@{DOMAIN}");
        let sid = placed(&world, &[("To", &uri), ("Twiml", "<Response/>")]).await;
        world.alert(&sid, 32009).await;
        reached(&world, &sid, "no-answer").await;
        let phones = [telephone(&world).await, telephone(&world).await];
        for phone in &phones {
            let mut register = phone.request(Method::Register, &format!("sip:{DOMAIN}"), &uri);
            register.headers.set("To", format!("<{uri}>"));
            register.headers.add("Expires", "60");
            phone.say(register.write()).await;
            let challenge = phone.response(401, &register).await;
            let again = phone.answering(&register, &challenge, PASSWORD);
            phone.say(again.write()).await;
            let bound = phone.response(200, &again).await;
            assert!(
                bound
                    .headers
                    .list("Contact")
                    .any(|c| c.ends_with("expires=600") || c.ends_with("expires=599"))
            );
        }
        let known = world.own("GET", "networks", Value::Null).await.json();
        let known = known["registered"].as_array().unwrap().clone();
        for phone in &phones {
            let address = phone.address().to_string();
            let is_it = |one: &&Value| one["what"].as_str().unwrap().ends_with(&address);
            let one = known.iter().find(is_it).expect("it is shown");
            assert!(one["kind"] == "sip" && one["name"] == "ann", "{one}");
            assert!(one["expires"].is_string());
        }
        // Where telephones are survives a restart; its port may be another then.
        let again = domains.clone();
        world.restart(&move |settings| settings.sip_directory = Some(again.clone())).await;
        let sid = placed(
            &world,
            &[("To", &uri), ("Twiml", "<Response><Say>Hi</Say><Pause length='9'/></Response>")],
        )
        .await;
        let first = phones[0].asked(Method::Invite).await;
        let second = phones[1].asked(Method::Invite).await;
        assert!(second.headers.get("From").unwrap().contains(DOMAIN));
        let env = world.own("GET", "env", Value::Null).await.json();
        let platform = env["sip"].as_str().unwrap().parse().unwrap();
        let at = |phone: &Telephone, octets: Vec<u8>| {
            phone.socket.try_send_to(&octets, platform).unwrap()
        };
        at(&phones[0], first.response(180, "", Some("one")).write());
        at(&phones[1], second.response(180, "", Some("two")).write());
        let mut success = second.response(200, "", Some("two"));
        success.headers.add("Contact", format!("<sip:x@{}>", phones[1].address()));
        success.headers.add("Content-Type", "application/sdp");
        success.body = phones[1].session("sendrecv").into_bytes();
        at(&phones[1], success.write());
        phones[1].asked(Method::Ack).await;
        let cancel = phones[0].asked(Method::Cancel).await;
        assert!(cancel.headers.get("Reason").unwrap().contains("completed elsewhere"));
        reached(&world, &sid, "in-progress").await;
        // A call that was under way when the process ended is hung up, and recorded as over.
        world.restart(&|_| {}).await;
        reached(&world, &sid, "completed").await;
        phones[1].asked(Method::Bye).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunks_calls_go_on_both_ways() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        owned_by(&domains, &world);
        let phone = telephone(&world).await;
        // Terminating: to the number that was dialled, a simulated handset.
        let handset = "handsets/+14155550122";
        let answers = serde_json::json!({"when_called": "answer"});
        assert_eq!(world.own("PUT", handset, answers).await.status, 200);
        let invite =
            phone.invite(&format!("sip:+14155550122@{TRUNK}"), &format!("sip:{}@x", world.number));
        phone.say(invite.write()).await;
        let challenge = phone.response(407, &invite).await;
        let right = phone.answering(&invite, &challenge, PASSWORD);
        phone.say(right.write()).await;
        let success = phone.response(200, &right).await;
        let mut dialog = phone.acknowledge(&right, &success).await;
        let calls = world.get(&world.path("Calls.json")).await.json();
        let directions: Vec<&str> = calls["calls"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|c| c["direction"].as_str())
            .collect();
        assert!(directions.contains(&"trunking-terminating"), "{directions:?}");
        let bye = phone.inside(&mut dialog, Method::Bye);
        phone.say(bye.write()).await;
        phone.response(200, &bye).await;
        // Originating: a call to the trunk's number goes to its target.
        let target = format!("sip:{}", phone.address());
        *domains.trunk.lock().unwrap() = Some((world.number.clone(), target));
        let number = world.number.clone();
        let dialled = world
            .own("POST", "handsets/+14155550122/calls", serde_json::json!({"to": number}))
            .await;
        assert_eq!(dialled.status, 201, "{dialled:?}");
        let invite = phone.asked(Method::Invite).await;
        assert!(invite.uri.starts_with(&format!("sip:{}@", world.number)), "{}", invite.uri);
        phone.answer(&invite, 200, Some(phone.session("sendrecv"))).await;
        phone.asked(Method::Ack).await;
        reached(&world, &dialled.text_of("sid"), "in-progress").await;
        *domains.trunk.lock().unwrap() = None;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_sound_ends_and_says_why() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>Hi</Say><Pause length='60'/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let phone = telephone(&world).await;
        let invite = phone.invite(&number_uri(&world), USER);
        phone.say(invite.write()).await;
        let success = phone.response(200, &invite).await;
        phone.acknowledge(&invite, &success).await;
        let bye = phone.asked(Method::Bye).await;
        assert!(bye.headers.get("Reason").unwrap().contains("No audio"));
        let sid = sink.wait("/voice", 1).await[0].param("CallSid").unwrap().to_owned();
        reached(&world, &sid, "completed").await;
        world.alert(&sid, 32014).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_refused_and_the_next_is_served() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let phone = telephone(&world).await;
        let options = |phone: &Telephone| phone.request(Method::Options, "sip:127.0.0.1", USER);
        for octets in [
            &b"\x00\xFF\xFE"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"INVITE",
            b"\r\n\r\n",
            &[b'A'; 60_000],
        ] {
            phone.say(octets.to_vec()).await;
        }
        let bad = options(&phone).write();
        let bad = String::from_utf8(bad).unwrap().replace("Max-Forwards: 70", "Max-Forwards: 300");
        phone.say(bad.into_bytes()).await;
        let code = phone.wait("400", |message| match message {
            sip::Message::Response(response) => Some(response.code),
            sip::Message::Request(_) => None,
        });
        assert_eq!(code.await, 400);
        // No codec that both speak, a session that is too long, nobody's number, a stray BYE.
        let mut odd = phone.invite(&number_uri(&world), USER);
        odd.body = b"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 18\r\n".to_vec();
        phone.say(odd.write()).await;
        phone.response(488, &odd).await;
        let mut huge = phone.invite(&number_uri(&world), USER);
        huge.body = [b"v=0\r\n".to_vec(), vec![b'a'; 20_000]].concat();
        phone.say(huge.write()).await;
        phone.response(400, &huge).await;
        let nobody = phone.invite("sip:+14155559999@127.0.0.1", USER);
        phone.say(nobody.write()).await;
        phone.response(404, &nobody).await;
        let mut stray = phone.request(Method::Bye, "sip:x@127.0.0.1", USER);
        stray.headers.set("To", "<sip:x@127.0.0.1>;tag=none");
        phone.say(stray.write()).await;
        phone.response(481, &stray).await;
        let good = options(&phone);
        phone.say(good.write()).await;
        let allowed = phone.response(200, &good).await;
        assert!(allowed.headers.get("Allow").unwrap().contains("INVITE"));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_differ_in_how_they_call() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml("<Gather numDigits='1' timeout='9' action='/key'><Say>Hi</Say></Gather>"),
        );
        sink.on("/key", Act::twiml("<Hangup/>"));
        let status = sink.at("/status");
        world.configure(&[("VoiceUrl", &sink.at("/voice")), ("StatusCallback", &status)]).await;
        let phone = telephone(&world).await;
        // A session timer that is too short.
        let mut short = phone.invite(&number_uri(&world), USER);
        short.headers.add("Supported", "timer");
        short.headers.add("Session-Expires", "60");
        phone.say(short.write()).await;
        assert_eq!(phone.response(422, &short).await.headers.get("Min-SE"), Some("120"));
        // An extension that nobody knows.
        let mut odd = phone.invite(&number_uri(&world), USER);
        odd.headers.add("Require", "teleport");
        phone.say(odd.write()).await;
        assert_eq!(phone.response(420, &odd).await.headers.get("Unsupported"), Some("teleport"));
        // Without an offer: ours comes with the success, theirs goes with the ACK.
        let mut bare = phone.invite(&number_uri(&world), USER);
        bare.headers.remove("Content-Type");
        bare.headers.add("Supported", "timer");
        bare.headers.add("Session-Expires", "600;refresher=uas");
        bare.body.clear();
        phone.say(bare.write()).await;
        let success = phone.response(200, &bare).await;
        assert_eq!(success.headers.get("Session-Expires"), Some("600;refresher=uas"));
        let offer = String::from_utf8(success.body.clone()).unwrap();
        assert!(offer.contains("RTP/AVP 0 8 111 101"), "{offer}");
        let mut dialog = sip::dialog::Dialog::of_response(&bare, &success).unwrap();
        let mut ack = dialog.numbered(Method::Ack, bare.headers.cseq().unwrap().0);
        ack.headers.add_first("Via", phone.via());
        ack.headers.add("Content-Type", "application/sdp");
        ack.body = phone.session("sendrecv").into_bytes();
        phone.say(ack.write()).await;
        let mut octets = [0; 2048];
        let heard =
            tokio::time::timeout(Duration::from_secs(5), phone.sound.recv(&mut octets)).await;
        assert!(heard.is_ok(), "sound comes");
        // A key by signalling.
        let mut info = phone.inside(&mut dialog, Method::Info);
        info.headers.add("Content-Type", "application/dtmf-relay");
        info.body = b"Signal=7\r\nDuration=160\r\n".to_vec();
        phone.say(info.write()).await;
        phone.response(200, &info).await;
        assert_eq!(sink.first("/key").await.value("Digits"), "7");
        let bye = phone.asked(Method::Bye).await;
        phone.answer(&bye, 200, None).await;
        // Somebody gives up while it rings.
        sink.on("/voice", Act::twiml("<Pause length='30'/>"));
        let invite = phone.invite(&number_uri(&world), USER);
        phone.say(invite.write()).await;
        phone.response(180, &invite).await;
        let mut cancel = invite.clone();
        cancel.method = Method::Cancel;
        cancel.headers.set("CSeq", format!("{} CANCEL", invite.headers.cseq().unwrap().0));
        cancel.body.clear();
        phone.say(cancel.write()).await;
        phone.response(200, &cancel).await;
        phone.response(487, &invite).await;
        let told = sink.wait("/status", 2).await;
        assert_eq!(told[1].value("CallStatus"), "no-answer");
        // Refused and busy by the document.
        for (document, code) in [("<Reject/>", 603), ("<Reject reason='busy'/>", 486)] {
            sink.on("/voice", Act::twiml(document));
            let invite = phone.invite(&number_uri(&world), USER);
            phone.say(invite.write()).await;
            phone.response(code, &invite).await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_sound_is_agreed_on_and_reliable_ringing_acknowledged() {
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let phone = telephone(&world).await;
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>Hi</Say><Pause length='9'/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let mut invite = phone.invite(&number_uri(&world), USER);
        let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
        let session = phone.session("sendrecv").replace("RTP/AVP", "RTP/SAVP") + key;
        invite.body = session.into_bytes();
        phone.say(invite.write()).await;
        let success = phone.response(200, &invite).await;
        let answer = String::from_utf8(success.body.clone()).unwrap();
        assert!(
            answer.contains("RTP/SAVP 0 101\r\n") && answer.contains("a=crypto:1 AES_CM_128"),
            "{answer}"
        );
        let mut dialog = phone.acknowledge(&invite, &success).await;
        let mut octets = [0; 2048];
        let length =
            tokio::time::timeout(Duration::from_secs(5), phone.sound.recv(&mut octets)).await;
        assert_eq!(length.expect("sound comes").unwrap(), 12 + 160 + 10);
        let bye = phone.inside(&mut dialog, Method::Bye);
        phone.say(bye.write()).await;
        phone.response(200, &bye).await;
        // Ringing that wants to be acknowledged.
        let to = format!("sip:bob@{}", phone.address());
        placed(&world, &[("To", &to), ("Twiml", "<Response/>")]).await;
        let invite = phone.asked(Method::Invite).await;
        let mut ringing = invite.response(180, "", Some("callee"));
        for (name, value) in
            [("Require", "100rel"), ("RSeq", "31"), ("Contact", &format!("<{to}>"))]
        {
            ringing.headers.add(name, value);
        }
        phone.say(ringing.write()).await;
        let prack = phone.asked(Method::Prack).await;
        assert_eq!(prack.headers.get("RAck"), Some("31 1 INVITE"));
        phone.answer(&prack, 200, None).await;
        phone.answer(&invite, 486, None).await;
        phone.asked(Method::Ack).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_off_hold_nobody_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let domains = Domains::shared();
    for world in worlds_of(&domains).await {
        let phone = telephone(&world).await;
        let mut half = tokio::net::TcpStream::connect(phone.platform).await.unwrap();
        half.write_all(b"OPTIONS sip:x SIP/2.0\r\nVia: SIP").await.unwrap();
        half.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let closed =
            tokio::time::timeout(Duration::from_secs(5), half.read_to_end(&mut rest)).await;
        assert!(closed.is_ok() && rest.is_empty(), "it is closed from both sides");
        let mut stream = tokio::net::TcpStream::connect(phone.platform).await.unwrap();
        let options = phone.request(Method::Options, "sip:127.0.0.1", USER);
        // In pieces, and two at once, after a ping.
        let octets = [b"\r\n\r\n".to_vec(), options.write(), options.write()].concat();
        let (first, second) = octets.split_at(50);
        stream.write_all(first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(second).await.unwrap();
        let mut text = String::new();
        let mut part = [0; 4096];
        while text.matches("SIP/2.0 200 OK").count() < 1 {
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut part)).await;
            let length = read.expect("it is answered").unwrap();
            assert!(length > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        assert!(text.starts_with("\r\n"), "the ping is answered");
        // What is no message ends the connection, and is told why if that can be.
        stream.write_all(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let closed =
            tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok());
        world.stop().await;
    }
}

/// What the operator is shown of the trunk.
async fn trunk_of(world: &World) -> (String, bool) {
    let known = world.own("GET", "networks", Value::Null).await.json();
    let all = known["networks"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == "north").unwrap();
    (one["state"].as_str().unwrap().to_owned(), one["up"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_trunk_is_registered_at_and_takes_its_numbers() {
    let worlds = trunk_worlds(&|trunk| {
        trunk.register = true;
        trunk.username = Some("ann".into());
        trunk.password = Some(kernel::Secret(PASSWORD.into()));
    })
    .await;
    for (world, first, second) in worlds {
        let register = first.asked(Method::Register).await;
        let (state, is_up) = trunk_of(&world).await;
        assert!(state.contains("no answer yet") && !is_up, "{state}");
        let mut challenge = register.response(401, "", Some("r"));
        challenge.headers.add("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", algorithm=MD5");
        first.say(challenge.write()).await;
        let again = first
            .wait("an answer to the challenge", |message| match message {
                Message::Request(request) => {
                    request.headers.get("Authorization").is_some().then_some(request)
                }
                Message::Response(_) => None,
            })
            .await;
        assert!(again.headers.get("Authorization").unwrap().contains("username=\"ann\""));
        assert_eq!(register.headers.call_id(), again.headers.call_id());
        first.answer(&again, 200, None).await;
        harness::eventually("it is registered", || async {
            let (state, is_up) = trunk_of(&world).await;
            (state.starts_with("registered until") && is_up).then_some(())
        })
        .await;
        // The first host is overloaded: the second is tried.
        let sid = placed(&world, &[("To", "+493012345678"), ("Twiml", "<Response/>")]).await;
        let invite = first.asked(Method::Invite).await;
        assert!(invite.uri.starts_with("sip:+493012345678@"), "{}", invite.uri);
        first.answer(&invite, 503, None).await;
        let invite = second.asked(Method::Invite).await;
        second.answer(&invite, 486, None).await;
        reached(&world, &sid, "busy").await;
        // Other numbers are the simulated network's.
        let sid = placed(&world, &[("To", "+14155550133"), ("Twiml", "<Response/>")]).await;
        reached(&world, &sid, "ringing").await;
        world.stop().await;
    }
}

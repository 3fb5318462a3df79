//! Goal: what a call says and hears goes to a recorder as the standards have it (RFC 7866, voice-api §12).
//! Method: a caller and a recorder that speak SIP, of which the test says every word, on loopback.

mod harness;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use harness::{
    Act, Telephone, WebhookSink, World, assert_error, number_uri, telephone, worlds_with,
};
use rtp::packet::Packet;
use rtp::stream::Stream;
use sip::dialog::Dialog;
use sip::{Method, Request, check};

const USER: &str = "sip:+14155550111@127.0.0.1";

/// A recorder with a port for each stream.
struct Recorder {
    phone: Telephone,
    second: tokio::net::UdpSocket,
}

impl Recorder {
    /// Two ports, and a platform that has this recorder beside itself.
    async fn beside(mut phone: Telephone, caller: &Telephone) -> Self {
        phone.platform = caller.platform;
        let second = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { phone, second }
    }

    /// Takes what is offered, until it is acknowledged.
    async fn take(&self) -> (Request, Dialog) {
        self.take_as("RTP/AVP", "").await
    }

    async fn take_as(&self, profile: &str, key: &str) -> (Request, Dialog) {
        let invite = self.phone.asked(Method::Invite).await;
        let ports = [&self.phone.sound, &self.second].map(|s| s.local_addr().unwrap().port());
        let streams: String = ports
            .iter()
            .zip(["1", "2"])
            .map(|(port, label)| {
                format!("m=audio {port} {profile} 0\r\na=recvonly\r\na=label:{label}\r\n{key}")
            })
            .collect();
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{streams}"
        );
        self.phone.answer(&invite, 200, Some(body)).await;
        self.phone.asked(Method::Ack).await;
        let dialog = Dialog::of_invite(&invite, "callee").unwrap();
        (invite, dialog)
    }
}

/// Waits for a packet of sound that is not silence.
async fn hears(socket: &tokio::net::UdpSocket) {
    let listening = async {
        let mut octets = [0; 2048];
        loop {
            let length = socket.recv(&mut octets).await.unwrap();
            let packet = Packet::read(&octets[..length]).unwrap();
            if packet.header.payload_type == 0 && packet.payload.contains(&0x80) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), listening).await.expect("sound comes");
}

/// Sends the loudest sound there is, half a second.
async fn shout(phone: &Telephone, there: SocketAddr) {
    let mut stream = Stream::new(7, 1, 1);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..25 {
        tick.tick().await;
        let mut out = Vec::new();
        let payload: Vec<u8> = (0..160).map(|at| if at % 8 < 4 { 0x80 } else { 0x00 }).collect();
        stream.sound(0, &payload, 160, &mut out).unwrap();
        phone.sound.send_to(&out, there).await.unwrap();
    }
}

/// Worlds with a recorder named `archive`, which has no platform yet.
async fn recorded_worlds(srtp: bool) -> Vec<(World, Telephone)> {
    let recorders = Mutex::new(std::collections::VecDeque::new());
    let worlds = worlds_with(&|settings| {
        let phone = Telephone::alone();
        let mut sip = sip_carrier::Config::development();
        sip.recorders.push(sip_carrier::Recorder {
            name: "archive".into(),
            uri: format!("sip:recorder@{}", phone.address()),
            username: None,
            password: None,
            srtp,
        });
        settings.config.carriers.sip = Some(sip);
        recorders.lock().unwrap().push_back(phone);
    })
    .await;
    worlds.into_iter().zip(recorders.into_inner().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_may_want_its_sound_protected() {
    const SILENCE: u8 = 0xFF;
    for (world, phone) in recorded_worlds(true).await {
        let caller = telephone(&world).await;
        let recorder = Recorder::beside(phone, &caller).await;
        let sink = WebhookSink::start().await;
        let start =
            "<Start><Siprec connectorName='archive' name='one' statusCallback='/told'/></Start>";
        sink.on("/voice", Act::twiml(&format!("{start}<Gather timeout='60'/>")));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let success = caller.response(200, &invite).await;
        caller.acknowledge(&invite, &success).await;
        let theirs = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
        let key = format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 {theirs}\r\n");
        let (asked, _) = recorder.take_as("RTP/SAVP", &key).await;
        let kind = asked.headers.get("Content-Type").unwrap();
        let described = sdp::parse(check::session(kind, &asked.body).unwrap()).unwrap();
        let keys: Vec<_> = described.media.iter().flat_map(|media| &media.crypto).collect();
        assert!(described.media.iter().all(sdp::Media::is_secure) && keys.len() == 2);
        assert_ne!(keys[0].key, keys[1].key);
        assert_eq!(sink.first("/told").await.value("SiprecEvent"), "siprec-started");
        // Silence that cannot be read, and a tag behind it.
        let mut octets = [0; 2048];
        let reading = recorder.second.recv(&mut octets);
        let length = tokio::time::timeout(Duration::from_secs(5), reading).await;
        assert_eq!(length.expect("sound comes").unwrap(), 12 + 160 + 10);
        assert!(octets[12..172].iter().filter(|octet| **octet == SILENCE).count() < 20);
        // Who answers without protection gets nothing.
        let sid = sink.first("/told").await.value("CallSid");
        let callback = sink.at("/again");
        let form = [("ConnectorName", "archive"), ("StatusCallback", callback.as_str())];
        let path = world.path(&format!("Calls/{sid}/Siprec.json"));
        assert_eq!(world.post(&path, &form).await.status, 200);
        recorder.take().await;
        let bye = recorder.phone.asked(Method::Bye).await;
        recorder.phone.answer(&bye, 200, None).await;
        assert_eq!(sink.first("/again").await.value("SiprecEvent"), "siprec-error");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_elsewhere() {
    for (world, phone) in recorded_worlds(false).await {
        let caller = telephone(&world).await;
        let recorder = Recorder::beside(phone, &caller).await;
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(
                "<Start><Siprec connectorName='archive' name='one' statusCallback='/told'>\
                 <Parameter name='order' value='7'/></Siprec>\
                 <Siprec connectorName='nobody'/></Start>\
                 <Play digits='ww1'/><Gather timeout='60'/>",
            ),
        );
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        let success = caller.response(200, &invite).await;
        let mut call = caller.acknowledge(&invite, &success).await;
        let (asked, mut dialog) = recorder.take().await;
        assert_eq!(asked.headers.get("Require"), Some("siprec"));
        assert!(asked.headers.get("Contact").unwrap().ends_with(";+sip.src"));
        let kind = asked.headers.get("Content-Type").unwrap();
        let described = check::session(kind, &asked.body).expect("a session is offered");
        let described = String::from_utf8(described.to_vec()).unwrap();
        assert_eq!(described.matches("a=sendonly\r\n").count(), 2, "{described}");
        assert!(described.contains("a=label:1\r\n") && described.contains("a=label:2\r\n"));
        let body = String::from_utf8(asked.body.clone()).unwrap();
        for part in ["application/rs-metadata+xml", "sip:+14155550111@", "name=\"order\">7<"] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let told = sink.first("/told").await;
        let sid = told.value("CallSid");
        assert_eq!(
            (told.value("SiprecEvent"), told.value("SiprecName")),
            ("siprec-started".into(), "one".into())
        );
        assert!(told.value("SiprecSid").starts_with("SR"));
        world.alert(&sid, 13750).await;
        let there = Telephone::sound_of(&success.body);
        tokio::join!(shout(&caller, there), hears(&recorder.phone.sound));
        // Stopped by its name, and started again by the API.
        let path = |rest: &str| world.path(&format!("Calls/{sid}/Siprec{rest}.json"));
        let stopped = world.post(&path("/one"), &[("Status", "stopped")]).await;
        assert_eq!((stopped.status, stopped.text_of("status")), (200, "stopped".into()));
        let bye = recorder.phone.asked(Method::Bye).await;
        recorder.phone.answer(&bye, 200, None).await;
        assert!(dialog.take(&bye).is_ok());
        assert_eq!(sink.wait("/told", 2).await[1].value("SiprecEvent"), "siprec-stopped");
        let unknown = world.post(&path(""), &[("ConnectorName", "nobody")]).await;
        assert_error(&unknown, 20001, 400, "ConnectorName");
        let callback = sink.at("/again");
        let form = [("ConnectorName", "archive"), ("StatusCallback", callback.as_str())];
        let started = world.post(&path(""), &form).await;
        assert_eq!((started.status, started.text_of("status")), (200, "in-progress".into()));
        recorder.take().await;
        sink.first("/again").await;
        // It ends with the call.
        let bye = caller.inside(&mut call, Method::Bye);
        caller.say(bye.write()).await;
        let bye = recorder.phone.asked(Method::Bye).await;
        recorder.phone.answer(&bye, 200, None).await;
        assert_eq!(sink.wait("/again", 2).await[1].value("SiprecEvent"), "siprec-stopped");
        // A recorder that refuses is told of.
        let invite = caller.invite(&number_uri(&world), USER);
        caller.say(invite.write()).await;
        caller.response(200, &invite).await;
        let asked = recorder.phone.asked(Method::Invite).await;
        recorder.phone.answer(&asked, 503, None).await;
        let failed = &sink.wait("/told", 3).await[2];
        assert_eq!(
            (failed.value("SiprecEvent"), failed.value("SiprecErrorCode")),
            ("siprec-error".into(), "32011".into())
        );
        world.stop().await;
    }
}

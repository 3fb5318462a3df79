//! Goal: what a call says and hears goes to a recorder as the standards have it (RFC 7866, voice-api §12).
//! Method: a caller and a recorder that speak SIP, of which the test says every word, on loopback.

mod harness;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use harness::{Act, Telephone, WebhookSink, assert_error, number_uri, telephone, worlds_with};
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
    /// Takes what is offered, until it is acknowledged.
    async fn take(&self) -> (Request, Dialog) {
        let invite = self.phone.asked(Method::Invite).await;
        let ports = [&self.phone.sound, &self.second].map(|s| s.local_addr().unwrap().port());
        let streams: String = ports
            .iter()
            .zip(["1", "2"])
            .map(|(port, label)| {
                format!("m=audio {port} RTP/AVP 0\r\na=recvonly\r\na=label:{label}\r\n")
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

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_elsewhere() {
    let recorders = Mutex::new(std::collections::VecDeque::new());
    let worlds = worlds_with(&|settings| {
        let phone = Telephone::alone();
        let mut sip = sip_carrier::Config::development();
        sip.recorders.push(sip_carrier::Recorder {
            name: "archive".into(),
            uri: format!("sip:recorder@{}", phone.address()),
            username: None,
            password: None,
        });
        settings.config.carriers.sip = Some(sip);
        recorders.lock().unwrap().push_back(phone);
    })
    .await;
    for world in worlds {
        let mut phone = recorders.lock().unwrap().pop_front().unwrap();
        let caller = telephone(&world).await;
        phone.platform = caller.platform;
        let second = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        second.set_nonblocking(true).unwrap();
        let second = tokio::net::UdpSocket::from_std(second).unwrap();
        let recorder = Recorder { phone, second };
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

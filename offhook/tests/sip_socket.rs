//! Goal: programs register and are called by SIP over WebSocket (RFC 7118), with WebRTC and without.
//! Method: a program of which the test says every word, on loopback. That sound goes through is for the
//! stories in a browser.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use harness::{
    Act, DOMAIN, Domains, Telephone, WebhookSink, World, number_uri, owned_by, placed, reached,
    telephone, worlds_with,
};
use serde_json::Value;
use sip::dialog::Dialog;
use sip::message::{Message, read};
use sip::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const PASSWORD: &str = "Secret12345678";

struct Program {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Makes its messages; its own sockets stay silent, but for sound.
    phone: Telephone,
}

async fn connect(
    world: &World,
    protocol: Option<&str>,
) -> Result<Program, Box<tungstenite::Error>> {
    let env = world.own("GET", "env", Value::Null).await.json();
    let url = env["sip_ws"].as_str().expect("SIP listens for WebSockets").to_owned();
    let mut request = url.into_client_request().unwrap();
    if let Some(protocol) = protocol {
        let value = http::HeaderValue::from_str(protocol).unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", value);
    }
    let (socket, _) = tokio_tungstenite::connect_async(request).await.map_err(Box::new)?;
    Ok(Program { socket, phone: Telephone::alone() })
}

impl Program {
    /// As a program behind a socket says it, which knows no address of its own.
    fn ours(&self, mut request: Request) -> Request {
        let via = self.phone.via();
        let branch = via.split_once("branch=").unwrap().1;
        request.headers.set("Via", format!("SIP/2.0/WS ab12.invalid;branch={branch}"));
        request.headers.set("Contact", "<sip:ann@ab12.invalid;transport=ws>;expires=600");
        request
    }

    async fn say(&mut self, octets: Vec<u8>) {
        let text = String::from_utf8(octets).unwrap();
        self.socket.send(tungstenite::Message::Text(text.into())).await.unwrap();
    }

    async fn wait<T>(&mut self, mut pick: impl FnMut(Message) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let message = self.socket.next().await.expect("it is open").unwrap();
                if let Ok(message) = read(&message.into_data())
                    && let Some(found) = pick(message)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it comes")
    }

    async fn response(&mut self, code: u16) -> Response {
        self.wait(|message| match message {
            Message::Response(response) if response.code >= 200 => {
                assert_eq!(response.code, code, "{:?}", response.headers);
                Some(response)
            }
            _ => None,
        })
        .await
    }

    /// Registers at the domain; its address.
    async fn register(&mut self) -> String {
        let uri = format!("sip:ann@{DOMAIN}");
        let register = self.phone.request(Method::Register, &format!("sip:{DOMAIN}"), &uri);
        let mut register = self.ours(register);
        register.headers.set("To", format!("<{uri}>"));
        self.say(register.write()).await;
        let challenge = self.response(401).await;
        let again = self.phone.answering(&register, &challenge, PASSWORD);
        self.say(self.ours(again).write()).await;
        let bound = self.response(200).await;
        assert!(bound.headers.get("Contact").unwrap().contains("ab12.invalid"));
        uri
    }

    /// Calls the domain with an offer; the INVITE that has a password.
    async fn invite(&mut self, uri: &str, session: String) -> Request {
        let mut invite = self.phone.invite(&format!("sip:service@{DOMAIN}"), uri);
        invite.body = session.into_bytes();
        // As JsSIP says it.
        invite.headers.add("Session-Expires", "90");
        let invite = self.ours(invite);
        self.say(invite.write()).await;
        let challenge = self.response(407).await;
        let again = self.phone.answering(&invite, &challenge, PASSWORD);
        let again = self.ours(again);
        self.say(again.write()).await;
        again
    }

    async fn call(&mut self, uri: &str, session: String) -> (Response, Dialog) {
        let invite = self.invite(uri, session).await;
        let success = self.response(200).await;
        let dialog = Dialog::of_response(&invite, &success).unwrap();
        self.acknowledge(&dialog, &invite).await;
        (success, dialog)
    }

    async fn acknowledge(&mut self, dialog: &Dialog, invite: &Request) {
        let number = invite.headers.cseq().unwrap().0;
        let ack = self.ours(dialog.numbered(Method::Ack, number));
        self.say(ack.write()).await;
    }

    /// Offers anew within a call.
    async fn offer(&mut self, dialog: &mut Dialog, session: Option<String>) -> Request {
        let mut invite = self.ours(dialog.request(Method::Invite));
        if let Some(session) = session {
            invite.headers.add("Content-Type", "application/sdp");
            invite.body = session.into_bytes();
        }
        self.say(invite.write()).await;
        invite
    }

    async fn asked(&mut self, method: Method) -> Request {
        self.wait(|message| match message {
            Message::Request(request) if request.method == method => Some(request),
            _ => None,
        })
        .await
    }
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

/// What a browser says of its sound and its picture.
fn web(formats: &str, direction: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    let common = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\n{common}a=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:111 opus/48000/2\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{common}a=mid:1\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:96 VP8/90000\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_speaks_webrtc_both_ways() {
    let domains = Domains::shared();
    let directory: Arc<Domains> = domains.clone();
    let worlds =
        worlds_with(&move |settings| settings.sip_directory = Some(directory.clone())).await;
    for world in worlds {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Gather timeout='30'/>"));
        *domains.voice_url.lock().unwrap() = sink.at("/voice");
        let mut program = connect(&world, Some("sip")).await.unwrap();
        let uri = program.register().await;
        program.invite(&uri, web("9", "sendrecv")).await;
        program.response(488).await;
        let (success, mut dialog) = program.call(&uri, web("111 9 0", "sendrecv")).await;
        assert_eq!(success.headers.get("Session-Expires"), Some("90;refresher=uas"));
        let answer = text(&success.body);
        for part in ["m=audio 9 ", "a=fingerprint:sha-256 ", "a=ice-lite", "a=setup:passive"] {
            assert!(answer.replace(&port_of(answer), "9").contains(part), "{part}: {answer}");
        }
        assert!(
            answer.contains("m=video 0 ") && answer.contains("a=group:BUNDLE 0\r\n"),
            "{answer}"
        );
        // A hold, and its end; the connection stays as it is.
        let credentials = |sdp: &str| {
            let found = sdp.lines().find(|line| line.starts_with("a=ice-pwd:"));
            found.unwrap().to_owned()
        };
        for (direction, answered) in [("sendonly", "recvonly"), ("sendrecv", "sendrecv")] {
            let again = program.offer(&mut dialog, Some(web("111 9 0", direction))).await;
            let held = program.response(200).await;
            program.acknowledge(&dialog, &again).await;
            let held = text(&held.body);
            assert!(held.contains(&format!("a={answered}\r\n")), "{held}");
            assert_eq!(credentials(held), credentials(answer));
        }
        // What is no offer of WebRTC changes nothing.
        program.offer(&mut dialog, None).await;
        program.response(488).await;
        let bye = program.ours(dialog.request(Method::Bye));
        program.say(bye.write()).await;
        program.response(200).await;
        // It takes the place of a telephone of another kind.
        let phone = telephone(&world).await;
        let invite = phone.invite(&format!("sip:service@{DOMAIN}"), &uri);
        phone.say(invite.write()).await;
        let challenge = phone.response(407, &invite).await;
        let invite = phone.answering(&invite, &challenge, PASSWORD);
        phone.say(invite.write()).await;
        let success = phone.response(200, &invite).await;
        let mut replaced = phone.acknowledge(&invite, &success).await;
        // Behind the ACK.
        let options = phone.inside(&mut replaced, Method::Options);
        phone.say(options.write()).await;
        phone.response(200, &options).await;
        let mut taking = program.phone.invite(&format!("sip:{}", phone.platform), &uri);
        let tags = (replaced.remote_tag(), replaced.local_tag());
        let value = format!("{};to-tag={};from-tag={}", replaced.call_id, tags.0, tags.1);
        taking.headers.add("Replaces", value);
        taking.body = web("111 0", "sendrecv").into_bytes();
        let taking = program.ours(taking);
        program.say(taking.write()).await;
        let challenge = program.response(407).await;
        let taking = program.phone.answering(&taking, &challenge, PASSWORD);
        let taking = program.ours(taking);
        program.say(taking.write()).await;
        let success = program.response(200).await;
        assert!(text(&success.body).contains("UDP/TLS/RTP/SAVPF"));
        let mut taken = Dialog::of_response(&taking, &success).unwrap();
        program.acknowledge(&taken, &taking).await;
        let bye = phone.asked(Method::Bye).await;
        phone.answer(&bye, 200, None).await;
        let bye = program.ours(taken.request(Method::Bye));
        program.say(bye.write()).await;
        program.response(200).await;
        // It is offered WebRTC; what takes neither that nor RTP is said.
        let form = [("To", uri.as_str()), ("Twiml", "<Response><Pause length='30'/></Response>")];
        let sid = placed(&world, &form).await;
        for offer in ["UDP/TLS/RTP/SAVPF", "RTP/AVP"] {
            let invite = program.asked(Method::Invite).await;
            assert!(text(&invite.body).contains(offer), "{offer}");
            program.say(invite.response(488, "", Some("callee")).write()).await;
        }
        reached(&world, &sid, "failed").await;
        world.alert(&sid, 32102).await;
        world.stop().await;
    }
}

/// Of the first stream.
fn port_of(sdp: &str) -> String {
    let line = sdp.lines().find(|line| line.starts_with("m=")).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_registers_calls_and_is_called_by_its_socket() {
    let domains = Domains::shared();
    let directory: Arc<Domains> = domains.clone();
    let worlds =
        worlds_with(&move |settings| settings.sip_directory = Some(directory.clone())).await;
    for world in worlds {
        owned_by(&domains, &world);
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Gather timeout='30'/>"));
        *domains.voice_url.lock().unwrap() = sink.at("/voice");
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        assert!(connect(&world, None).await.is_err(), "it has to speak SIP");
        let mut program = connect(&world, Some("sip")).await.unwrap();
        let uri = program.register().await;
        // A page of anybody's is no telephone of this machine.
        let invite = program.phone.invite(&number_uri(&world), "sip:+14155550111@127.0.0.1");
        let invite = program.ours(invite);
        program.say(invite.write()).await;
        program.response(403).await;
        // It calls its domain.
        let session = program.phone.session("sendrecv");
        let (success, mut dialog) = program.call(&uri, session).await;
        assert!(success.headers.get("Contact").unwrap().contains("transport=ws"));
        let bye = program.ours(dialog.request(Method::Bye));
        program.say(bye.write()).await;
        program.response(200).await;
        // And is called.
        let form = [("To", uri.as_str()), ("Twiml", "<Response><Pause length='30'/></Response>")];
        let sid = placed(&world, &form).await;
        let invite = program.asked(Method::Invite).await;
        assert!(invite.uri.contains("ab12.invalid"), "{}", invite.uri);
        // What does not speak WebRTC is offered RTP.
        assert!(text(&invite.body).contains("UDP/TLS/RTP/SAVPF"));
        program.say(invite.response(488, "", Some("none")).write()).await;
        let invite = program.asked(Method::Invite).await;
        assert!(text(&invite.body).contains("RTP/AVP"));
        let mut success = invite.response(200, "", Some("callee"));
        success.headers.add("Contact", "<sip:ann@ab12.invalid;transport=ws>");
        success.headers.add("Content-Type", "application/sdp");
        success.body = program.phone.session("sendrecv").into_bytes();
        program.say(success.write()).await;
        program.asked(Method::Ack).await;
        reached(&world, &sid, "in-progress").await;
        let path = world.path(&format!("Calls/{sid}.json"));
        assert_eq!(world.post(&path, &[("Status", "completed")]).await.status, 200);
        let bye = program.asked(Method::Bye).await;
        program.say(bye.response(200, "", None).write()).await;
        // Whoever has gone is not there.
        program.socket.close(None).await.unwrap();
        drop(program);
        let sid = placed(&world, &form).await;
        reached(&world, &sid, "failed").await;
        world.alert(&sid, 32011).await;
        world.stop().await;
    }
}

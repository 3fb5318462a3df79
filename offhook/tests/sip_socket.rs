//! Goal: programs register and are called by SIP over WebSocket (RFC 7118). Method: a program of which
//! the test says every word, on loopback.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use harness::{
    Act, DOMAIN, Domains, Telephone, WebhookSink, World, number_uri, owned_by, placed, reached,
    worlds_with,
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

    async fn asked(&mut self, method: Method) -> Request {
        self.wait(|message| match message {
            Message::Request(request) if request.method == method => Some(request),
            _ => None,
        })
        .await
    }
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
        let uri = format!("sip:ann@{DOMAIN}");
        let register = program.phone.request(Method::Register, &format!("sip:{DOMAIN}"), &uri);
        let mut register = program.ours(register);
        register.headers.set("To", format!("<{uri}>"));
        program.say(register.write()).await;
        let challenge = program.response(401).await;
        let again = program.phone.answering(&register, &challenge, PASSWORD);
        let again = program.ours(again);
        program.say(again.write()).await;
        let bound = program.response(200).await;
        assert!(bound.headers.get("Contact").unwrap().contains("ab12.invalid"));
        // A page of anybody's is no telephone of this machine.
        let invite = program.phone.invite(&number_uri(&world), "sip:+14155550111@127.0.0.1");
        let invite = program.ours(invite);
        program.say(invite.write()).await;
        program.response(403).await;
        // It calls its domain.
        let invite = program.phone.invite(&format!("sip:service@{DOMAIN}"), &uri);
        let invite = program.ours(invite);
        program.say(invite.write()).await;
        let challenge = program.response(407).await;
        let again = program.phone.answering(&invite, &challenge, PASSWORD);
        let again = program.ours(again);
        program.say(again.write()).await;
        let success = program.response(200).await;
        assert!(success.headers.get("Contact").unwrap().contains("transport=ws"));
        let mut dialog = Dialog::of_response(&again, &success).unwrap();
        let number = again.headers.cseq().unwrap().0;
        let ack = program.ours(dialog.numbered(Method::Ack, number));
        program.say(ack.write()).await;
        let bye = program.ours(dialog.request(Method::Bye));
        program.say(bye.write()).await;
        program.response(200).await;
        // And is called.
        let form = [("To", uri.as_str()), ("Twiml", "<Response><Pause length='30'/></Response>")];
        let sid = placed(&world, &form).await;
        let invite = program.asked(Method::Invite).await;
        assert!(invite.uri.contains("ab12.invalid"), "{}", invite.uri);
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

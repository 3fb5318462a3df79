//! Goal: mail goes out by SMTP and comes in by it, and what comes back of it is told. Method: a
//! program that speaks SMTP by hand, and a server that answers as it is told.

mod harness;

use std::sync::{Arc, Mutex};

use harness::{Act, Request, WebhookSink, World, eventually, free_port, worlds_with};
use offhook::config::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

async fn call(world: &World, method: &str, path: &str, body: Value) -> harness::Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::new(method, path).header("Authorization", &format!("Bearer {KEY}"));
    world.send(request.body("application/json", body)).await
}

async fn webhook(world: &World, url: &str) {
    let settings = json!({"url": url, "enabled": true, "processed": true, "delivered": true,
        "deferred": true, "bounce": true, "spam_report": true});
    let reply = call(world, "POST", "/v3/user/webhooks/event/settings", settings).await;
    assert_eq!(reply.status, 201, "{reply:?}");
}

async fn told(sink: &WebhookSink, event: &str) -> Value {
    eventually(event, || async {
        let all = sink.seen("/events").into_iter();
        let mut all = all
            .flat_map(|seen| serde_json::from_slice::<Vec<Value>>(&seen.body).expect("an array"));
        all.find(|one| one["event"] == event)
    })
    .await
}

/// Says the lines, one after the other's answer; all answers' last lines.
async fn converse(port: u16, lines: &[&str]) -> Vec<String> {
    let stream =
        eventually("the listener", || async { TcpStream::connect(("127.0.0.1", port)).await.ok() })
            .await;
    let mut stream = BufReader::new(stream);
    let mut said = Vec::new();
    for line in std::iter::once(&"").chain(lines) {
        if !line.is_empty() {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.expect("it listens");
        }
        loop {
            let mut answer = String::new();
            if stream.read_line(&mut answer).await.expect("it answers") == 0 {
                return said;
            }
            if answer.as_bytes().get(3) != Some(&b'-') {
                said.push(answer.trim().to_owned());
                break;
            }
        }
    }
    said
}

fn settings(text: &str) -> Config {
    Config::read_text(&format!("[carriers.smtp]\nhostname = 'mx.example.com'\n{text}"))
        .expect("it is read")
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_hand_mail_over_and_strangers_do_not() {
    let port = free_port();
    let config = settings(&format!("deliver = false\nlisten = ['127.0.0.1:{port}']"));
    for world in worlds_with(&|settings| settings.config = config.clone()).await {
        let login = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("\0apikey\0{KEY}"),
        );
        let auth = format!("AUTH PLAIN {login}");
        let wrong =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "\0apikey\0nothing");
        let message = "From: Bo <bo@example.com>\r\nTo: x@example.com\r\nSubject: Hi -name-\r\nX-SMTPAPI: \
            {\"to\": [\"ann@example.com\", \"cy@example.com\"],\r\n \"sub\": {\"-name-\": [\"Ann\", \"Cy\"]}}\r\n\r\n..dear -name-\r\n.";
        let said = converse(
            port,
            &[
                "EHLO me",
                &format!("AUTH PLAIN {wrong}"),
                &auth,
                "MAIL FROM:<bo@example.com>",
                "RCPT TO:<x@example.com>",
                "DATA",
                message,
                "QUIT",
            ],
        )
        .await;
        assert!(said[2].starts_with("535 Authentication failed"), "{said:?}");
        assert_eq!(said[3], "235 Authentication successful");
        assert!(said[7].starts_with("250 Ok: queued as "), "{said:?}");
        for (address, subject, text) in
            [("ann@example.com", "Hi Ann", ".dear Ann"), ("cy@example.com", "Hi Cy", ".dear Cy")]
        {
            let mail = eventually(address, || async {
                let reply =
                    world.own("GET", &format!("mailboxes/{address}/mails"), Value::Null).await;
                reply.json()["mails"].get(0).cloned()
            })
            .await;
            assert_eq!(
                (mail["subject"].as_str(), mail["text"].as_str().map(str::trim)),
                (Some(subject), Some(text))
            );
        }
        // Nobody relays through us without a key; a bad header or address is refused.
        let said = converse(
            port,
            &[
                "EHLO me",
                "MAIL FROM:<a@b.example>",
                "RCPT TO:<x@example.com>",
                "DATA",
                "MAIL FROM:<a@b.example\u{1}>",
                "NONSENSE",
                "QUIT",
            ],
        )
        .await;
        assert_eq!(said[3], "550 Unauthenticated senders not allowed");
        assert!(
            said[4].starts_with("503") && said[5].starts_with("501") && said[6].starts_with("500"),
            "{said:?}"
        );
        let said = converse(
            port,
            &[
                "EHLO me",
                &auth,
                "MAIL FROM:<bo@example.com>",
                "RCPT TO:<x@example.com>",
                "DATA",
                "From: bo@example.com\r\nSubject: x\r\nX-SMTPAPI: {broken\r\n\r\nx\r\n.",
            ],
        )
        .await;
        assert_eq!(said[6], "550 Invalid SMTPAPI header");

        // Mail for a domain of Inbound Parse comes in without a key.
        let sink = WebhookSink::start().await;
        let url = sink.on("/inbound", Act::answer(200, "text/plain", ""));
        let made = call(
            &world,
            "POST",
            "/v3/user/webhooks/parse/settings",
            json!({"hostname": "in.example.com", "url": url}),
        )
        .await;
        assert_eq!(made.status, 201, "{made:?}");
        let said = converse(
            port,
            &[
                "EHLO me",
                "MAIL FROM:<a@b.example>",
                "RCPT TO:<desk@in.example.com>",
                "DATA",
                "From: a@b.example\r\nTo: desk@in.example.com\r\nSubject: Hello\r\n\r\nthere\r\n.",
                "QUIT",
            ],
        )
        .await;
        assert_eq!(said[5], "250 2.0.0 Ok");
        let seen = sink.first("/inbound").await;
        assert!(String::from_utf8_lossy(&seen.body).contains("name=\"subject\"\r\n\r\nHello"));
        world.stop().await;
    }
}

/// A server that takes or refuses as it is told, and remembers what it was handed.
async fn server(
    recipient: Arc<Mutex<&'static str>>,
    handed: Arc<Mutex<Vec<(String, String)>>>,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (recipient, handed) = (recipient.clone(), handed.clone());
            tokio::spawn(async move { serve(stream, &recipient, &handed).await });
        }
    });
    port
}

async fn serve(
    stream: TcpStream,
    recipient: &Mutex<&'static str>,
    handed: &Mutex<Vec<(String, String)>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 there\r\n").await.ok()?;
    let mut from = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let answer = match line.split([' ', ':']).next()?.trim() {
            "EHLO" => "250-there\r\n250 8BITMIME",
            "MAIL" => {
                from = line.trim().to_owned();
                "250 fine"
            }
            "RCPT" => *recipient.lock().expect("nobody panics"),
            "DATA" => {
                stream.write_all(b"354 go\r\n").await.ok()?;
                let mut message = Vec::new();
                while !message.ends_with(b"\r\n.\r\n") {
                    message.push(stream.read_u8().await.ok()?);
                }
                let message = String::from_utf8_lossy(&message).into_owned();
                handed.lock().expect("nobody panics").push((from.clone(), message));
                "250 2.0.0 taken as 17"
            }
            _ => "221 bye",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_out_and_what_comes_back_is_told() {
    let recipient = Arc::new(Mutex::new("451 4.7.1 greylisted"));
    let handed = Arc::new(Mutex::new(Vec::new()));
    let there = server(recipient.clone(), handed.clone()).await;
    let port = free_port();
    let config = settings(&format!(
        "listen = ['127.0.0.1:{port}']\n[carriers.smtp.smarthost]\nhost = '127.0.0.1'\nport = {there}\ntls = false"
    ));
    for world in worlds_with(&|settings| settings.config = config.clone()).await {
        *recipient.lock().expect("nobody panics") = "451 4.7.1 greylisted";
        let sink = WebhookSink::start().await;
        webhook(&world, &sink.on("/events", Act::answer(200, "text/plain", ""))).await;
        let domain = call(
            &world,
            "POST",
            "/v3/whitelabel/domains",
            json!({"domain": "example.com", "subdomain": "em1"}),
        )
        .await
        .json();
        assert_eq!(
            (&domain["valid"], &domain["dns"]["dkim"]["host"]),
            (&json!(false), &json!("s1._domainkey.example.com"))
        );
        let validated = call(
            &world,
            "POST",
            &format!("/v3/whitelabel/domains/{}/validate", domain["id"]),
            Value::Null,
        )
        .await
        .json();
        assert_eq!(validated["valid"], true);
        let mail = json!({
            "personalizations": [{"to": [{"email": "ann@there.example"}]}], "from": {"email": "shop@example.com"},
            "subject": "Hi", "content": [{"type": "text/plain", "value": ".a dot\nGrüße"}],
            "attachments": [{"content": "aGVsbG8=", "filename": "a.txt"}],
        });
        assert_eq!(call(&world, "POST", "/v3/mail/send", mail).await.status, 202);
        let deferred = told(&sink, "deferred").await;
        assert_eq!(deferred["response"], "451 4.7.1 greylisted");
        *recipient.lock().expect("nobody panics") = "250 2.1.5 fine";
        world.advance(301).await;
        let delivered = told(&sink, "delivered").await;
        assert_eq!(
            (&delivered["response"], &delivered["ip"]),
            (&json!("250 2.0.0 taken as 17"), &json!("127.0.0.1"))
        );
        let (from, message) =
            handed.lock().expect("nobody panics").pop().expect("it was handed over");
        assert!(
            message.starts_with("DKIM-Signature: v=1;") && message.contains("d=example.com"),
            "{message}"
        );
        assert!(message.contains("\r\n..a dot\r\n") && message.contains("aGVsbG8="), "{message}");

        // The server changes its mind, and says so to the way back.
        let way_back = from
            .strip_prefix("MAIL FROM:<")
            .and_then(|rest| rest.split('>').next())
            .expect("an address")
            .to_owned();
        assert!(way_back.ends_with("@em1.example.com"), "{way_back}");
        let bounce = "From: MAILER-DAEMON@there.example\r\nContent-Type: multipart/report; \
            report-type=delivery-status; boundary=\"x\"\r\n\r\n--x\r\n\r\nSorry.\r\n--x\r\nContent-Type: \
            message/delivery-status\r\n\r\nReporting-MTA: dns; there.example\r\n\r\nFinal-Recipient: rfc822; \
            ann@there.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 full\r\n--x--\r\n.";
        let to = format!("RCPT TO:<{way_back}>");
        let said =
            converse(port, &["EHLO there", "MAIL FROM:<>", &to, "DATA", bounce, "QUIT"]).await;
        assert_eq!(said[5], "250 2.0.0 Ok");
        let bounced = told(&sink, "bounce").await;
        assert_eq!(
            (&bounced["status"], &bounced["reason"], &bounced["type"]),
            (&json!("5.2.2"), &json!("552 5.2.2 full"), &json!("bounce"))
        );
        let list = call(&world, "GET", "/v3/suppression/bounces", Value::Null).await.json();
        assert_eq!(list[0]["email"], "ann@there.example");
        // A way back that leads to no mail is nobody's.
        let forged = converse(
            port,
            &[
                "EHLO there",
                "MAIL FROM:<>",
                "RCPT TO:<bounces+1.xxxxxxxxxxxxxxxxxxxxxx.0.0@em1.example.com>",
            ],
        )
        .await;
        assert_eq!(forged[3], "550 Unauthenticated senders not allowed");
        world.stop().await;
    }
}

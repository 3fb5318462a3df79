//! Goal: mail of the SendGrid API passes through servers that others wrote and arrives whole and
//! signed, and what they send back becomes a signed event. Method: Debian's OpenSMTPD on loopback
//! as two servers in one: a smarthost that takes everything, and the readers' own that knows one.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::{Act, Request, Seen, WebhookSink, World, eventually, free_port, worlds_with};
use offhook::config::Config;
use serde_json::{Value, json};

const KEY: &str = "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const BYTES: &[u8] = b"\x00\xff\r\n.\r\nall\x01bytes\n.\n";

/// A running OpenSMTPD; ended when it is dropped.
struct Server {
    child: Child,
    dir: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends its own children when it is asked to end.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Server {
    /// The smarthost listens on `smarthost`; bounces of example.com go to `back`.
    async fn start(smarthost: u16, back: u16) -> Self {
        let dir = std::env::temp_dir().join(format!("offhook-opensmtpd-{smarthost}"));
        let box_dir = dir.join("box");
        std::fs::create_dir_all(&box_dir).unwrap();
        // It delivers to no mailbox of root's.
        std::os::unix::fs::chown(&box_dir, Some(65534), Some(65534)).unwrap();
        let there = free_port();
        let text = format!(
            r#"
table users {{ ann = "65534:65534:{box_dir}" }}
listen on 127.0.0.1 port {smarthost} hostname relay.example tag SMARTHOST
listen on 127.0.0.1 port {there} hostname there.example tag THERE
action "on" relay host "smtp://127.0.0.1:{there}"
action "keep" maildir "{box_dir}" userbase <users>
action "back" relay host "smtp://127.0.0.1:{back}"
match tag SMARTHOST from any for domain "there.example" action "on"
match tag THERE from any for domain "there.example" action "keep"
match from any for domain "em1.example.com" action "back"
"#,
            box_dir = box_dir.display()
        );
        let file = dir.join("smtpd.conf");
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let child = Command::new("/usr/sbin/smtpd")
            .args(["-d", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("smtpd: {error}; apt-get install opensmtpd"));
        let server = Self { child, dir };
        eventually("OpenSMTPD, which only root starts", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", smarthost)).await.ok().map(|_| ())
        })
        .await;
        server
    }

    /// The mail in the reader's maildir, once it is there.
    async fn mail(&self) -> Vec<u8> {
        let new = self.dir.join("box/new");
        patiently("a mail in the maildir", || {
            let first = std::fs::read_dir(&new).ok()?.next()?.ok()?;
            std::fs::read(first.path()).ok()
        })
        .await
    }
}

/// Like `eventually` with more patience: mail servers take their time.
async fn patiently<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = probe() {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{what}: not within a minute");
}

async fn call(world: &World, status: u16, method: &str, path: &str, body: Value) -> Value {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::new(method, path).header("Authorization", &format!("Bearer {KEY}"));
    let reply = world.send(request.body("application/json", body)).await;
    assert_eq!(reply.status, status, "{reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

/// The event of a kind about an address, and the request that told it.
async fn told(sink: &WebhookSink, kind: &str, email: &str) -> (Value, Seen) {
    patiently(kind, || {
        sink.seen("/events").into_iter().find_map(|seen| {
            let all: Vec<Value> = serde_json::from_slice(&seen.body).expect("an array");
            let event = all.into_iter().find(|one| one["event"] == kind && one["email"] == email);
            event.map(|event| (event, seen))
        })
    })
    .await
}

#[track_caller]
fn assert_signed(seen: &Seen, public_key: &str) {
    let header = |name: &str| {
        seen.header(&format!("x-twilio-email-event-webhook-{name}")).expect("it is signed")
    };
    let key = STANDARD.decode(public_key).unwrap();
    // The point stands behind the 26 bytes that say what kind of key it is.
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        &key[26..],
    );
    let signature = STANDARD.decode(header("signature")).unwrap();
    let message = [header("timestamp").as_bytes(), &seen.body].concat();
    assert!(key.verify(&message, &signature).is_ok(), "{seen:?}");
}

/// dkimpy, which others wrote, finds the signature good with the record that we publish.
fn assert_dkim(message: &Path, host: &str, record: &str) {
    let program = "import dkim, sys\n\
        mail = open(sys.argv[1], 'rb').read().replace(b'\\r\\n', b'\\n').replace(b'\\n', b'\\r\\n')\n\
        dns = lambda name, timeout=5: sys.argv[3].encode() if name == sys.argv[2].encode() + b'.' else b''\n\
        sys.exit(0 if dkim.verify(mail, dnsfunc=dns) else 1)";
    let verdict = Command::new("/usr/bin/python3")
        .args(["-c", program])
        .arg(message)
        .args([host, record])
        .output()
        .unwrap_or_else(|error| panic!("python3: {error}; apt-get install python3-dkim"));
    assert!(verdict.status.success(), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_passes_real_servers_and_what_they_refuse_comes_back() {
    assert!(Path::new("/usr/sbin/smtpd").exists(), "apt-get install opensmtpd");
    let (smarthost, back) = (free_port(), free_port());
    let text = format!(
        "[carriers.smtp]\nhostname = 'mx.example.com'\nlisten = ['127.0.0.1:{back}']\n\
         [carriers.smtp.smarthost]\nhost = '127.0.0.1'\nport = {smarthost}\ntls = false"
    );
    let config = Config::read_text(&text).unwrap();
    for world in worlds_with(&|settings| settings.config = config.clone()).await {
        let server = Server::start(smarthost, back).await;
        let sink = WebhookSink::start().await;
        let url = sink.on("/events", Act::answer(200, "text/plain", ""));
        let wanted = json!({"url": url, "enabled": true, "delivered": true, "bounce": true});
        let settings = "/v3/user/webhooks/event/settings";
        let made = call(&world, 201, "POST", settings, wanted).await;
        let path = format!("{settings}/signed/{}", made["id"].as_str().unwrap());
        let signed = call(&world, 200, "PATCH", &path, json!({"enabled": true})).await;
        let key = signed["public_key"].as_str().unwrap();
        let domain = json!({"domain": "example.com", "subdomain": "em1"});
        let domain = call(&world, 201, "POST", "/v3/whitelabel/domains", domain).await;
        let validate = format!("/v3/whitelabel/domains/{}/validate", domain["id"]);
        assert_eq!(call(&world, 200, "POST", &validate, Value::Null).await["valid"], true);

        let mail = json!({
            "personalizations": [
                {"to": [{"email": "ann@there.example", "name": "Änne"}]},
                {"to": [{"email": "nobody@there.example"}]},
            ],
            "from": {"email": "shop@example.com", "name": "The shop"},
            "subject": "Grüße, and a subject that is longer than one line of a header may be at its best",
            "content": [
                {"type": "text/plain", "value": ".a dot\nGrüße"},
                {"type": "text/html", "value": format!("<p>{}</p>", "long ".repeat(400))},
            ],
            "attachments": [
                {"content": STANDARD.encode(BYTES), "filename": "Maß.bin", "type": "application/octet-stream"},
                {"content": STANDARD.encode("a,b\n1,2\n"), "filename": "list.csv", "type": "text/csv"},
            ],
        });
        call(&world, 202, "POST", "/v3/mail/send", mail).await;
        let (delivered, seen) = told(&sink, "delivered", "ann@there.example").await;
        let response = delivered["response"].as_str().unwrap();
        assert!(response.contains("Message accepted for delivery"), "{response}");
        assert_signed(&seen, key);

        let arrived = server.mail().await;
        let read = mail::read(&arrived).unwrap();
        assert!(read.subject.starts_with("Grüße, and") && read.subject.ends_with("its best"));
        assert_eq!(read.from, "The shop <shop@example.com>");
        assert_eq!(read.to, "Änne <ann@there.example>");
        assert_eq!(read.text.unwrap().trim().replace("\r\n", "\n"), ".a dot\nGrüße");
        assert!(read.html.unwrap().contains("long long long"));
        let files: Vec<_> =
            read.parts.iter().map(|part| (part.filename.as_str(), part.bytes.as_slice())).collect();
        assert_eq!(files, [("Maß.bin", BYTES), ("list.csv", b"a,b\n1,2\n")]);
        assert!(read.headers.contains("DKIM-Signature: v=1;"), "{}", read.headers);
        let file = server.dir.join("arrived");
        std::fs::write(&file, &arrived).unwrap();
        let record = &domain["dns"]["dkim"];
        assert_dkim(&file, record["host"].as_str().unwrap(), record["data"].as_str().unwrap());

        // Its own server does not know the other; the smarthost, which had taken it, says so.
        let (bounced, seen) = told(&sink, "bounce", "nobody@there.example").await;
        let reason = "550 Invalid recipient: <nobody@there.example>";
        assert_eq!(
            (&bounced["type"], &bounced["reason"]),
            (&json!("bounce"), &json!(reason)),
            "{bounced}"
        );
        assert_signed(&seen, key);
        let list = call(&world, 200, "GET", "/v3/suppression/bounces", Value::Null).await;
        assert_eq!(list[0]["email"], "nobody@there.example");
        drop(server);
        world.stop().await;
    }
}

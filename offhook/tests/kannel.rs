//! Goal: a gateway that many operators run binds to us and back: what Kannel is given by HTTP
//! reaches simulated phones and their receipts reach its caller, and what phones type reaches
//! its service. Method: Debian's Kannel, `bearerbox` and `smsbox`, on loopback.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{
    Act, Reply, Request, Seen, WebhookSink, World, encode, eventually, exchange, free_port, worlds,
};
use offhook::config::Config;
use offhook::server::Settings;

const USER: &str = "+14155550111";

/// A running Kannel; killed when it is dropped.
struct Kannel {
    boxes: Vec<Child>,
    send_port: u16,
    dir: PathBuf,
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in &mut self.boxes {
            // One that has ended by itself needs nothing.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Kannel {
    /// Bound to the message centre at `port`; what phones send goes to `service`.
    async fn start(port: u16, service: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("offhook-kannel-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (admin_port, box_port, send_port) = (free_port(), free_port(), free_port());
        let text = format!(
            r#"
group = core
admin-port = {admin_port}
admin-password = admin
admin-allow-ip = "127.0.0.1"
smsbox-port = {box_port}
box-allow-ip = "127.0.0.1"
log-file = "{dir}/bearerbox.log"
log-level = 0

group = smsc
smsc = smpp
smsc-id = offhook
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = kannel
smsc-password = secret
system-type = ""
source-addr-autodetect = true
dest-addr-ton = 1
dest-addr-npi = 1
enquire-link-interval = 5
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send_port}
sendsms-interface = "127.0.0.1"
log-file = "{dir}/smsbox.log"
log-level = 0

group = sendsms-user
username = tester
password = foobar
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{service}?from=%p&to=%P&text=%a"
"#,
            dir = dir.display()
        );
        let file = dir.join("kannel.conf");
        std::fs::write(&file, text).unwrap();
        let start = |program: &str| {
            let log = std::fs::File::create(dir.join(format!("{program}.out"))).unwrap();
            Command::new(program)
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}; apt-get install kannel"))
        };
        let mut boxes = vec![start("bearerbox")];
        let status = format!("http://127.0.0.1:{admin_port}");
        is_open(admin_port).await;
        boxes.push(start("smsbox"));
        is_open(send_port).await;
        let kannel = Self { boxes, send_port, dir };
        eventually("Kannel bound to us", || async {
            let request = Request::new("GET", "/status.txt?password=admin");
            let status = exchange(&status, request).await.text();
            status.contains("(online").then_some(())
        })
        .await;
        kannel
    }

    /// A message by Kannel's HTTP interface, with receipts to `receipts`.
    async fn send(&self, from: &str, text: &str, coding: u8, receipts: &str) -> Reply {
        let receipts = format!("{receipts}?type=%d");
        let mut path = "/cgi-bin/sendsms?username=tester&password=foobar&dlr-mask=31".to_owned();
        let coding = coding.to_string();
        for (name, value) in [
            ("from", from),
            ("to", USER),
            ("text", text),
            ("charset", "UTF-8"),
            ("coding", &*coding),
            ("dlr-url", &*receipts),
        ] {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
        let url = format!("http://127.0.0.1:{}", self.send_port);
        exchange(&url, Request::new("GET", &path)).await
    }
}

async fn is_open(port: u16) {
    eventually(&format!("port {port}"), || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| ())
    })
    .await;
}

/// The receipts' kinds that were told so far: 1 delivered, 2 not, 8 taken by the centre.
fn kinds(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|seen| seen.value("type")).collect()
}

async fn with_application(world: &mut World, port: u16) {
    let text = format!(
        "[[carriers.smpp.listeners]]\nlisten = '127.0.0.1:{port}'\n\
         [[applications]]\nsystem_id = 'kannel'\npassword = 'secret'\n\
         account_sid = '{}'\nnumbers = ['{}']\n\
         [[routes]]\ncarriers = ['sim']",
        world.sid(),
        world.number
    );
    let config = Config::read_text(&text).unwrap();
    world.restart(&|settings: &mut Settings| settings.config = config.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_sends_and_receives_through_us() {
    assert!(Path::new("/usr/sbin/bearerbox").exists(), "apt-get install kannel");
    for mut world in worlds().await {
        let port = free_port();
        with_application(&mut world, port).await;
        let sink = WebhookSink::start().await;
        let service = sink.on("/mo", Act::answer(200, "text/plain", ""));
        let kannel = Kannel::start(port, &service).await;
        let from = world.number.clone();

        // Short, long and in another alphabet: it arrives whole, and its sender hears so.
        let long = "Ein langer Text, der nicht in eine Nachricht passt. ".repeat(6);
        for (at, (text, coding)) in
            [("hello from Kannel", 0), (&*long, 0), ("Привет, мир", 2)].into_iter().enumerate()
        {
            let receipts = format!("/dlr{at}");
            let url = sink.on(&receipts, Act::answer(200, "text/plain", ""));
            let sent = kannel.send(&from, text, coding, &url).await;
            assert_eq!(sent.status, 202, "{sent:?}");
            let bodies = world.bodies(USER, at + 1).await;
            assert_eq!(bodies[at].trim_end(), text.trim_end());
            eventually("the receipt", || async {
                kinds(&sink.seen(&receipts)).contains(&"1".to_owned()).then_some(())
            })
            .await;
        }
        world.handset(USER, "off").await;
        let url = sink.on("/lost", Act::answer(200, "text/plain", ""));
        kannel.send(&from, "nobody there", 0, &url).await;
        eventually("the negative receipt", || async {
            kinds(&sink.seen("/lost")).contains(&"2".to_owned()).then_some(())
        })
        .await;
        world.handset(USER, "on").await;

        // What a phone types reaches Kannel's service, a long text too.
        for (at, text) in ["hello Kannel", &*long].into_iter().enumerate() {
            world.type_on(USER, &world.number, text).await;
            let seen = sink.wait("/mo", at + 1).await[at].clone();
            assert_eq!(seen.value("text").trim_end(), text.trim_end());
            assert_eq!(seen.value("to"), world.number);
        }

        // We go away for a while; it comes back, and nothing that waited is lost.
        with_application(&mut world, port).await;
        let url = sink.on("/again", Act::answer(200, "text/plain", ""));
        kannel.send(&from, "after a restart", 0, &url).await;
        // Kannel takes its time to bind again.
        let mut has_arrived = false;
        for _ in 0..400 {
            let bodies = world.bodies(USER, 1).await;
            has_arrived = bodies.contains(&"after a restart".to_owned());
            if has_arrived {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(has_arrived, "the message after the restart");
        drop(kannel);
        world.stop().await;
    }
}

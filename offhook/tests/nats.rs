//! Goal: events reach a NATS server, wait for one that is away, and are refused by one that does
//! not let us in. Method: Debian's `nats-server` on loopback, and a subscriber that reads the wire.

mod harness;

use std::process::{Child, Command, Stdio};

use harness::{World, assert_error, eventually, free_port, worlds};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const USER: &str = "+14155550111";
const SENT: &str = "com.twilio.messaging.message.sent";

/// A running server with a login; killed when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself needs nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    async fn start(port: u16) -> Self {
        let port_text = port.to_string();
        let args = ["-a", "127.0.0.1", "-p", &port_text, "--user", "ada", "--pass", "s3"];
        let child = Command::new("nats-server")
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nats-server: {error}; apt-get install nats-server"));
        let server = Self(child);
        eventually("the NATS server", || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| ())
        })
        .await;
        server
    }
}

/// Everything published under `subject` from now on.
async fn subscriber(port: u16, subject: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line).await.unwrap();
    let hello = format!(
        "CONNECT {{\"verbose\":false,\"user\":\"ada\",\"pass\":\"s3\"}}\r\nSUB {subject} 1\r\nPING\r\n"
    );
    lines.get_mut().write_all(hello.as_bytes()).await.unwrap();
    line.clear();
    lines.read_line(&mut line).await.unwrap();
    assert_eq!(line.trim(), "PONG");
    lines
}

/// The next message: its JSON.
async fn next(lines: &mut BufReader<TcpStream>) -> Value {
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await.unwrap();
        let Some(header) = line.strip_prefix("MSG ") else { continue };
        let length: usize = header.split_whitespace().last().unwrap().parse().unwrap();
        let mut payload = vec![0; length + 2];
        lines.read_exact(&mut payload).await.unwrap();
        return serde_json::from_slice(&payload).unwrap();
    }
}

/// A sink with a subscription to sent messages.
async fn sink(world: &World, destination: &str) -> String {
    let configuration = json!({"destination": destination, "subject": "offhook.events"});
    let form = [
        ("Description", "bus"),
        ("SinkType", "nats"),
        ("SinkConfiguration", &configuration.to_string()),
    ];
    let made = world.post("/_/events/v1/Sinks", &form).await;
    assert_eq!((made.status, made.text_of("sink_type")), (201, "nats".into()), "{made:?}");
    let sid = made.text_of("sid");
    let types = json!([{"type": SENT}]).to_string();
    let form = [("Description", "all"), ("SinkSid", &*sid), ("Types", &*types)];
    assert_eq!(world.post("/_/events/v1/Subscriptions", &form).await.status, 201);
    sid
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_published() {
    for world in worlds().await {
        let port = free_port();
        let server = Server::start(port).await;
        let mut bus = subscriber(port, "offhook.>").await;
        sink(&world, &format!("nats://ada:s3@127.0.0.1:{port}")).await;
        let sid = world.sent(&[("To", USER), ("Body", "hi")]).await;
        let event = next(&mut bus).await;
        assert_eq!((&event["type"], &event["data"]["messageSid"]), (&json!(SENT), &json!(sid)));

        // What happens while it is away is there when it is back.
        drop(server);
        let sid = world.delivered(&[("To", USER), ("Body", "meanwhile")]).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let _server = Server::start(port).await;
        let mut bus = subscriber(port, "offhook.>").await;
        world.advance(60).await;
        let event = next(&mut bus).await;
        assert_eq!(event["data"]["messageSid"], sid);

        // One that does not let us in is an alert.
        let refused = sink(&world, &format!("nats://ada:wrong@127.0.0.1:{port}")).await;
        world.sent(&[("To", USER), ("Body", "for nobody")]).await;
        let alert = world.alert(&refused, 93101).await;
        assert!(!alert.to_string().contains("wrong"), "{alert}");

        let bad = [
            ("Description", "x"),
            ("SinkType", "nats"),
            ("SinkConfiguration", r#"{"destination":"nats://h","subject":"a.*"}"#),
        ];
        assert_error(&world.post("/_/events/v1/Sinks", &bad).await, 91000, 400, "subject");
        world.stop().await;
    }
}

//! Goal: nothing that was answered 201 is lost when the process is killed, and
//! nothing arrives twice. Method: the real binary, many senders, SIGKILL in the
//! middle, the same data again; then the API, the handsets and the application
//! are asked.

mod harness;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::{Act, Login, Reply, Request, WebhookSink, encode, eventually};
use serde_json::Value;
use store::Location;
use store::testing::TestDatabase;
use tokio::process::{Child, Command};

const SENDERS: usize = 12;
const HANDSETS: usize = 4;
/// Accepted messages after which the process is killed.
const LOAD: usize = 150;
/// A lease of the killed process runs out before its jobs are taken again.
const RECOVERY: Duration = Duration::from_secs(120);

/// The binary as a process.
struct Process {
    child: Child,
    url: String,
    login: Login,
    number: String,
}

impl Process {
    async fn start(database: &TestDatabase) -> Self {
        let data = database.directory().join("data");
        let file = data.join("url");
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command.args(["up", "--listen", "127.0.0.1:0", "--delay", "0-40", "--log", "error"]);
        command.arg("--data").arg(&data);
        if let Location::Postgres(url) = &database.location {
            command.args(["--database", url]);
        }
        command.env_remove("OFFHOOK_DATABASE").stdout(std::process::Stdio::null());
        let child = command.kill_on_drop(true).spawn().expect("the binary starts");
        let url = eventually("the binary listens", || async { read_url(&file) }).await;
        let env = harness::exchange(&url, Request::new("GET", "/_offhook/v1/env")).await;
        let login = Login::new(env.text_of("account_sid"), env.text_of("auth_token"));
        Self { child, url, login, number: env.text_of("phone_number") }
    }

    async fn get(&self, path: &str) -> Reply {
        let path = format!("/2010-04-01/Accounts/{}/{path}", self.login.user);
        harness::exchange(&self.url, Request::new("GET", &path).login(&self.login)).await
    }

    /// Every message, by SID.
    async fn messages(&self) -> HashMap<String, Value> {
        let mut all = HashMap::new();
        let mut next = Some("Messages.json?PageSize=100".to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.json();
            for message in page["messages"].as_array().unwrap() {
                all.insert(message["sid"].as_str().unwrap().to_owned(), message.clone());
            }
            let link = page["next_page_uri"].as_str();
            next = link.and_then(|link| Some(link.split_once("/Messages")?.1.to_owned()));
            next = next.map(|rest| format!("Messages{rest}"));
        }
        all
    }
}

fn read_url(file: &Path) -> Option<String> {
    std::fs::read_to_string(file)
        .ok()
        .map(|url| url.trim().to_owned())
        .filter(|url| !url.is_empty())
}

fn handset(at: usize) -> String {
    format!("+1415555020{at}")
}

/// Sends until the process is gone; what was answered 201 is in `accepted`.
async fn send_until_killed(
    url: String,
    login: Login,
    number: String,
    callback: String,
    sender: usize,
    accepted: Arc<Mutex<HashSet<String>>>,
) {
    let host = url.strip_prefix("http://").unwrap().to_owned();
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", login.user);
    for turn in 0.. {
        let to = handset((sender + turn) % HANDSETS);
        let body = format!("{sender}.{turn}");
        let form =
            [("To", &*to), ("From", &*number), ("Body", &*body), ("StatusCallback", &*callback)];
        let bytes = Request::new("POST", &path).login(&login).form(&form).bytes(&host);
        let Some(reply) = try_exchange(&host, &bytes).await else { return };
        assert_eq!(reply.status, 201, "{reply:?}");
        accepted.lock().unwrap().insert(reply.text_of("sid"));
    }
}

/// The whole answer, or none when the other side is killed.
async fn try_exchange(host: &str, bytes: &[u8]) -> Option<Reply> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.ok()?;
    let reply = Reply::parse(&read)?;
    let length: usize = reply.header("content-length")?.parse().ok()?;
    (reply.body.len() == length).then_some(reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_survives_a_kill_and_arrives_once() {
    for database in store::testing::databases().await {
        let sink = WebhookSink::start().await;
        sink.on("/status", Act::answer(200, "text/plain", ""));
        let mut process = Process::start(&database).await;
        let accepted = Arc::new(Mutex::new(HashSet::new()));
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                tokio::spawn(send_until_killed(
                    process.url.clone(),
                    process.login.clone(),
                    process.number.clone(),
                    sink.at("/status"),
                    sender,
                    accepted.clone(),
                ))
            })
            .collect();
        eventually("the load is under way", || async {
            (accepted.lock().unwrap().len() >= LOAD).then_some(())
        })
        .await;
        process.child.kill().await.expect("the process is killed");
        for sender in senders {
            sender.await.expect("every answer was a success");
        }
        let accepted = accepted.lock().unwrap().clone();

        let again = Process::start(&database).await;
        assert_eq!(again.login.user, process.login.user);
        assert_eq!(again.login.password, process.login.password);
        let kept = again.messages().await;
        let lost: Vec<_> = accepted.iter().filter(|&sid| !kept.contains_key(sid)).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), accepted.len());

        let begun = Instant::now();
        let ended = loop {
            let all = again.messages().await;
            if all.values().all(|message| message["status"] == "delivered") {
                break all;
            }
            assert!(begun.elapsed() < RECOVERY, "not all were delivered: {all:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let mut shown = Vec::new();
        for at in 0..HANDSETS {
            let path =
                format!("/_offhook/v1/handsets/{}/messages?limit=1000", encode(&handset(at)));
            let thread = harness::exchange(&again.url, Request::new("GET", &path)).await.json();
            for entry in thread["messages"].as_array().unwrap() {
                shown.push(entry["sid"].as_str().unwrap().to_owned());
            }
        }
        let distinct: HashSet<String> = shown.iter().cloned().collect();
        assert_eq!(shown.len(), distinct.len(), "a handset shows a message twice");
        assert_eq!(distinct, ended.keys().cloned().collect());

        // Each was delivered once, and the application was told of each at least once.
        let mut delivered: HashMap<String, usize> = HashMap::new();
        let mut after = 0;
        loop {
            let path = format!("/_offhook/v1/events?after={after}&limit=1000");
            let page = harness::exchange(&again.url, Request::new("GET", &path)).await.json();
            let events = page["events"].as_array().unwrap();
            let Some(last) = events.last() else { break };
            after = last["seq"].as_i64().unwrap();
            for event in events.iter().filter(|event| event["kind"] == "message.delivered") {
                *delivered.entry(event["sid"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        assert_eq!(delivered.len(), ended.len());
        assert!(delivered.values().all(|&times| times == 1), "{delivered:?}");
        let told = || {
            let seen = sink.seen("/status");
            let delivered = seen.iter().filter(|one| one.value("MessageStatus") == "delivered");
            delivered.map(|one| one.value("MessageSid")).collect::<HashSet<String>>()
        };
        let begun = Instant::now();
        while told().len() < ended.len() {
            assert!(begun.elapsed() < RECOVERY, "not all were told");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

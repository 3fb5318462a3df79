//! Nodes as a user runs them: the real binary as a process, a NATS server, and what dies of a
//! SIGKILL.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Login, Reply, Request, exchange, free_port};

/// How long a node may take to be there.
const START: Duration = Duration::from_secs(40);

/// What one node is started with.
#[derive(Clone, Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub port: u16,
    pub database: Option<String>,
    pub bus: Option<String>,
    pub more: Vec<String>,
}

/// A running node.
pub struct Node {
    pub child: Child,
    pub plan: Plan,
    pub url: String,
}

impl Plan {
    pub fn new(data: PathBuf) -> Self {
        Self { data, port: free_port(), database: None, bus: None, more: Vec::new() }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the node and waits until it answers.
    pub async fn start(&self) -> Node {
        let mut node = self.spawn();
        let begun = Instant::now();
        while try_exchange(&self.url(), &Request::new("GET", "/healthz")).await.is_none() {
            let ended = node.child.try_wait().expect("a process can be asked");
            assert!(ended.is_none(), "the node ended: {ended:?}; see {}", self.log().display());
            assert!(begun.elapsed() < START, "the node is not there after {START:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        node
    }

    fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    pub fn spawn(&self) -> Node {
        std::fs::create_dir_all(&self.data).expect("the directory can be made");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.expect("the log can be written");
        // Beyond a limit on its files writes fail, and do not kill.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_offhook")]);
        command.args(["up", "--listen", &format!("127.0.0.1:{}", self.port), "--delay", "0-40"]);
        command.args(["--log", "warn"]).arg("--data").arg(&self.data).args(&self.more);
        if let Some(database) = &self.database {
            command.args(["--database", database]);
        }
        if let Some(bus) = &self.bus {
            command.args(["--bus", bus]);
        }
        for name in ["OFFHOOK_DATABASE", "OFFHOOK_BUS", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.stdout(Stdio::null()).stderr(Stdio::from(log)).kill_on_drop(true);
        let child = command.spawn().expect("the binary starts");
        Node { child, plan: self.clone(), url: self.url() }
    }
}

impl Node {
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the process is killed");
    }

    /// The main account's login and number.
    pub async fn env(&self) -> (Login, String) {
        let env = exchange(&self.url, Request::new("GET", "/_offhook/v1/env")).await;
        let login = Login::new(env.text_of("account_sid"), env.text_of("auth_token"));
        (login, env.text_of("phone_number"))
    }
}

/// The whole answer, or none when there is nobody, or who there is dies over it.
pub async fn try_exchange(url: &str, request: &Request) -> Option<Reply> {
    let host = url.strip_prefix("http://")?;
    let bytes = request.bytes(host);
    let exchanged = async {
        let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
        stream.write_all(&bytes).await.ok()?;
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.ok()?;
        let reply = Reply::parse(&read)?;
        let length: Option<usize> = reply.header("content-length")?.parse().ok();
        (reply.body.len() == length?).then_some(reply)
    };
    tokio::time::timeout(Duration::from_secs(30), exchanged).await.ok()?
}

/// A NATS server of this test's own.
pub struct NatsServer {
    child: Child,
    port: u16,
}

impl NatsServer {
    pub async fn start() -> Self {
        Self::on(free_port()).await
    }

    async fn on(port: u16) -> Self {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("nats-server is installed: `cargo xtask test interop`");
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begun.elapsed() < START, "nats-server is not there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { child, port }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// It is gone, without a word.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the server is killed");
    }

    /// It is there again.
    pub async fn again(&mut self) {
        *self = Self::on(self.port).await;
    }
}

/// Nodes of one cluster, with one key.
pub async fn cluster(directory: &Path, database: &str, bus: &str, count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let data = directory.join(format!("node{at}"));
        std::fs::create_dir_all(&data).expect("the directory can be made");
        if let Some(first) = nodes.first() {
            let key = "secret.key";
            std::fs::copy(first.plan.data.join(key), data.join(key)).expect("the key is copied");
        }
        let mut plan = Plan::new(data);
        plan.database = Some(database.to_owned());
        plan.bus = Some(bus.to_owned());
        nodes.push(plan.start().await);
    }
    nodes
}

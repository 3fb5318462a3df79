//! Servers under measurement: each its own process with its own directory.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::{self, Measured};

type Failure = Box<dyn std::error::Error>;

/// A running server; ended and removed when dropped.
pub struct Server {
    pub name: &'static str,
    child: Child,
    address: String,
    directory: PathBuf,
    /// Account, token and sender of the platform.
    login: Option<(String, String, String)>,
}

impl Server {
    /// Starts one of our yardsticks.
    pub async fn yardstick(kind: &'static str) -> Result<Self, Failure> {
        let (port, directory) = (free_port()?, fresh_directory(kind)?);
        let child = Command::new(std::env::current_exe()?)
            .args(["yardstick", kind, &port.to_string()])
            .arg(&directory)
            .stdin(Stdio::null())
            .spawn()?;
        let server = Self { name: kind, child, address: local(port), directory, login: None };
        server.wait().await?;
        Ok(server)
    }

    /// Starts the platform; also how many milliseconds passed from the start of
    /// the process to its first accepted message.
    pub async fn platform() -> Result<(Self, f64), Failure> {
        // The first start makes keys, schema, account and number.
        let directory = fresh_directory("offhook")?;
        let mut first = Self::start_platform(directory, &[]).await?;
        first.login = Some(first.ask_login().await?);
        first.stop_politely();
        let login = first.login.clone();
        let directory = std::mem::take(&mut first.directory);
        drop(first);
        let began = Instant::now();
        let mut server = Self::start_platform(directory, &[]).await?;
        server.login = login;
        server.load(1, 1).await?;
        let started = began.elapsed().as_secs_f64() * 1000.0;
        Ok((server, started))
    }

    /// A platform on a new PostgreSQL database, with its account.
    pub async fn on_postgres(url: &str) -> Result<Self, Failure> {
        let directory = fresh_directory("postgres")?;
        let database = fresh_database(url, "one")?;
        let mut server = Self::start_platform(directory, &["--database", &database]).await?;
        server.login = Some(server.ask_login().await?);
        Ok(server)
    }

    /// Nodes of one platform, on a PostgreSQL database and a bus.
    pub async fn cluster(database: &str, bus: &str, count: usize) -> Result<Vec<Self>, Failure> {
        let mut nodes: Vec<Self> = Vec::new();
        for at in 0..count {
            let directory = fresh_directory(&format!("node{at}"))?;
            if let Some(first) = nodes.first() {
                let key = "secret.key";
                std::fs::copy(first.directory.join(key), directory.join(key))?;
            }
            let among = ["--database", database, "--bus", bus];
            let mut node = Self::start_platform(directory, &among).await?;
            node.login = Some(node.ask_login().await?);
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// A platform whose configuration is `text`.
    pub async fn configured(text: &str) -> Result<Self, Failure> {
        let directory = fresh_directory("configured")?;
        let file = directory.join("offhook.toml");
        std::fs::write(&file, text)?;
        let file = file.display().to_string();
        let mut server = Self::start_platform(directory, &["--config", &file]).await?;
        server.login = Some(server.ask_login().await?);
        Ok(server)
    }

    /// The same account with another sender.
    pub fn sending_from(&mut self, number: &str) {
        if let Some((_, _, from)) = &mut self.login {
            number.clone_into(from);
        }
    }

    /// A column of numbers from the platform's database.
    pub fn column(&self, sql: &str) -> Result<Vec<i64>, Failure> {
        let database = self.database()?;
        let mut statement = database.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn start_platform(directory: PathBuf, extra: &[&str]) -> Result<Self, Failure> {
        let port = free_port()?;
        let child = Command::new(platform_binary()?)
            .args(["up", "--listen", &local(port), "--log", "warn", "--delay", "0-0", "--data"])
            .arg(&directory)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { name: "offhook", child, address: local(port), directory, login: None };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&self) -> Result<(), Failure> {
        for _ in 0..10_000 {
            if TcpStream::connect(&self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{} does not answer", self.name).into())
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        Ok(self.ask(&request).await?.1)
    }

    /// Status and JSON of one request on a connection of its own.
    pub async fn ask(&self, request: &str) -> Result<(u16, Value), Failure> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; 64 * 1024];
        let answer = load::read_response(&mut stream, &mut buffer).await;
        let (status, body) = answer.map_err(|error| error.to_string())?;
        Ok((status, serde_json::from_slice(&body)?))
    }

    /// Account, token and sender of a platform.
    pub fn login(&self) -> Result<&(String, String, String), Failure> {
        self.login.as_ref().ok_or_else(|| format!("{} has no account", self.name).into())
    }

    /// The platform's database, beside the platform.
    pub fn database(&self) -> Result<rusqlite::Connection, Failure> {
        let database = rusqlite::Connection::open(self.directory.join("offhook.db"))?;
        database.busy_timeout(Duration::from_secs(60))?;
        Ok(database)
    }

    async fn ask_login(&self) -> Result<(String, String, String), Failure> {
        let env = self.get("/_offhook/v1/env").await?;
        let text = |name: &str| env[name].as_str().unwrap_or_default().to_owned();
        Ok((text("account_sid"), text("auth_token"), text("phone_number")))
    }

    /// `total` messages over `connections` connections.
    pub async fn load(&self, connections: usize, total: usize) -> Result<Measured, Failure> {
        let measured = load::run(&self.address, connections, total, self.messages()).await;
        measured.map_err(|error| format!("{}: {error}", self.name).into())
    }

    /// `rate` messages a second for `seconds`, whatever is answered when.
    pub async fn paced(
        &self,
        connections: usize,
        rate: f64,
        seconds: f64,
    ) -> Result<Measured, Failure> {
        let request = self.messages();
        let measured = load::paced(201, &self.address, rate, seconds, connections, request).await;
        measured.map_err(|error| format!("{}: {error}", self.name).into())
    }

    fn messages(&self) -> load::Request {
        let (host, path, authorization, from) = self.submission();
        Arc::new(move |at: usize| {
            let to = us_number(at);
            let body = "Your code is 123456. It is valid for ten minutes.";
            form(&host, &path, &authorization, &[("To", &to), ("From", &from), ("Body", body)])
        })
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Address, path, headers and sender of a request that submits a message.
    pub fn submission(&self) -> (String, String, String, String) {
        let (path, headers, from) = match &self.login {
            Some((sid, token, from)) => {
                let basic = base64::engine::general_purpose::STANDARD;
                let login = basic.encode(format!("{sid}:{token}"));
                let path = format!("/2010-04-01/Accounts/{sid}/Messages.json");
                (path, format!("Authorization: Basic {login}\r\n"), from.clone())
            }
            None => ("/messages".to_owned(), String::new(), "+14155550100".to_owned()),
        };
        (self.address.clone(), path, headers, from)
    }

    /// Waits until the platform has kept every promise for now: what is due within the next
    /// minutes is something else.
    pub async fn settle(&self) -> Result<f64, Failure> {
        let began = Instant::now();
        let database = self.database()?;
        let due = "SELECT count(*) FROM job WHERE due_at < (unixepoch() + 60) * 1000000";
        while database.query_row(due, [], |row| row.get::<_, i64>(0))? > 0 {
            if began.elapsed() > Duration::from_secs(600) {
                return Err("jobs are left after ten minutes".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// Waits until the process has nothing to do.
    pub async fn rest(&self) {
        for _ in 0..600 {
            let before = self.cpu_seconds();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.cpu_seconds() - before < 0.03 {
                return;
            }
        }
    }

    /// As [`Server::settle`]; also how many messages were delivered.
    pub async fn drain(&self) -> Result<i64, Failure> {
        self.settle().await?;
        let database = self.database()?;
        let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0));
        let delivered = count("SELECT count(*) FROM message WHERE status = 'delivered'")?;
        Ok(delivered)
    }

    /// Resident memory in KiB, as the kernel counts it.
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.child.id())
    }

    /// Seconds of processor time since the start.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2);
        // The kernel counts in hundredths here.
        ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    fn stop_politely(&mut self) {
        let id = self.child.id().to_string();
        if Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|status| status.success()) {
            let _ = self.child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.directory.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// A valid number of the United States, another for each of 3,600,000. Exchanges 211, 311 … are none.
pub fn us_number(at: usize) -> String {
    let area = [415, 212, 310, 646][at / 900_000 % 4];
    let exchange = 220 + at / 10_000 % 90;
    format!("+1{area}{exchange}{:04}", at % 10_000)
}

/// A request that posts a form.
pub fn form(host: &str, path: &str, headers: &str, fields: &[(&str, &str)]) -> String {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    posted(host, path, headers, "application/x-www-form-urlencoded", &body)
}

/// A request that posts JSON.
pub fn json(host: &str, path: &str, headers: &str, body: &str) -> String {
    posted(host, path, headers, "application/json", body)
}

fn posted(host: &str, path: &str, headers: &str, kind: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Resident memory of a process in KiB, as the kernel counts it.
pub fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The platform's binary beside this one.
pub fn platform_binary() -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("offhook"))
}

pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A new, empty database of a PostgreSQL server; its URL.
pub fn fresh_database(server: &str, name: &str) -> Result<String, Failure> {
    let name = format!("bench_{name}_{}", std::process::id());
    let made = Command::new("psql")
        .args(["-X", "-q", "-d", server, "-c", &format!("CREATE DATABASE {name}")])
        .status()
        .map_err(|error| format!("psql: {error}"))?;
    let (host, _) = server.rsplit_once('/').ok_or("the URL names no database")?;
    match made.success() {
        true => Ok(format!("{host}/{name}")),
        false => Err(format!("the database {name} could not be made").into()),
    }
}

/// A directory on the disk that the repository is on, not in memory.
pub fn fresh_directory(name: &str) -> std::io::Result<PathBuf> {
    let near = std::env::current_exe()?;
    let near = near.parent().map_or_else(std::env::temp_dir, std::path::Path::to_path_buf);
    let path = near.join(format!("bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

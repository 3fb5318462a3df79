//! Programs of others that do what the platform does, as their packages bring them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load;
use crate::process::{form, free_port, fresh_directory, local, resident_kib};

type Failure = Box<dyn std::error::Error>;

/// Something that relays: the request that submits message `n`, and what it is answered with.
pub struct Relay {
    pub name: &'static str,
    pub address: String,
    pub status: u16,
    pub request: load::Request,
    pub resident_kib: Box<dyn Fn() -> u64>,
}

pub const TEXT: &str = "Your code is 123456. It is valid for ten minutes.";

pub fn recipient(n: usize) -> String {
    format!("+4915{:09}", n % 900_000_000)
}

/// Debian's Kannel; killed when it is dropped.
pub struct Kannel {
    boxes: Vec<Child>,
    port: u16,
    directory: PathBuf,
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in &mut self.boxes {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Kannel {
    pub async fn start(centre: u16) -> Result<Self, Failure> {
        let directory = fresh_directory("kannel")?;
        std::fs::create_dir_all(directory.join("spool"))?;
        let (admin, smsbox, port) = (free_port()?, free_port()?, free_port()?);
        let spool = directory.join("spool");
        let text = format!(
            "group = core\nadmin-port = {admin}\nadmin-password = admin\n\
             admin-allow-ip = \"127.0.0.1\"\nsmsbox-port = {smsbox}\n\
             box-allow-ip = \"127.0.0.1\"\nlog-level = 3\nstore-type = spool\n\
             store-location = \"{}\"\n\n\
             group = smsc\nsmsc = smpp\nsmsc-id = bench\nhost = 127.0.0.1\nport = {centre}\n\
             transceiver-mode = true\nsmsc-username = bench\nsmsc-password = bench\n\
             system-type = \"\"\nmax-pending-submits = 100\nreconnect-delay = 1\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nsendsms-port = {port}\n\
             sendsms-interface = \"127.0.0.1\"\nlog-level = 3\n\n\
             group = sendsms-user\nusername = bench\npassword = bench\n\n\
             group = sms-service\nkeyword = default\ntext = \"\"\n",
            spool.display()
        );
        let file = directory.join("kannel.conf");
        std::fs::write(&file, text)?;
        let mut kannel = Self { boxes: Vec::new(), port, directory };
        for (program, listens) in [("bearerbox", smsbox), ("smsbox", port)] {
            let child = Command::new(program)
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let child = child.map_err(|error| {
                format!("{program}: {error}; cargo xtask test interop installs it")
            })?;
            kannel.boxes.push(child);
            for _ in 0..1000 {
                if TcpStream::connect(local(listens)).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(kannel)
    }

    /// With a callback of every delivery where `hook` listens.
    pub fn relay(&self, hook: Option<u16>) -> Relay {
        let address = local(self.port);
        let host = address.clone();
        let request = move |n: usize| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query
                .append_pair("username", "bench")
                .append_pair("password", "bench")
                .append_pair("from", "+14155550100")
                .append_pair("to", &recipient(n))
                .append_pair("text", TEXT);
            if let Some(hook) = hook {
                query
                    .append_pair("dlr-mask", "1")
                    .append_pair("dlr-url", &format!("http://127.0.0.1:{hook}/?n={n}&type=%d"));
            }
            let query = query.finish();
            format!("GET /cgi-bin/sendsms?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        };
        let ids: Vec<u32> = self.boxes.iter().map(Child::id).collect();
        Relay {
            name: "kannel",
            address,
            status: 202,
            request: Arc::new(request),
            resident_kib: Box::new(move || {
                ids.iter().map(|id| crate::process::resident_kib(*id)).sum()
            }),
        }
    }
}

/// Where `cargo xtask bench` puts those that are no packages of the system.
pub fn installed(name: &str) -> Result<PathBuf, Failure> {
    let home = std::env::var_os("OFFHOOK_BENCH_PEERS");
    let path = home.map(|home| PathBuf::from(home).join(name)).filter(|path| path.exists());
    path.ok_or_else(|| format!("{name} is not installed; cargo xtask bench does it").into())
}

/// Programs that are ended, with all that they have started, when this is dropped.
struct Group(Vec<Child>);

impl Group {
    fn start(&mut self, command: &mut Command) -> Result<u32, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program}: {error}; cargo xtask bench installs it"))?;
        let id = child.id();
        self.0.push(child);
        Ok(id)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
        }
    }
}

/// Waits until somebody listens.
async fn listens(port: u16, seconds: u32) -> Result<(), Failure> {
    for _ in 0..seconds * 10 {
        if TcpStream::connect(local(port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("nothing listens on {port} after {seconds} s").into())
}

/// Jasmin with RabbitMQ and Redis, as its own guide sets it up: durable queues, one connector.
pub struct Jasmin {
    group: Group,
    main: u32,
    port: u16,
    epmd: u16,
    directory: PathBuf,
}

/// With it a Jasmin keeps others from running on its machine; one that is killed leaves it behind.
const JASMIN_LOCK: &str = "/tmp/jasmind.lock";

impl Drop for Jasmin {
    fn drop(&mut self) {
        drop(std::mem::replace(&mut self.group, Group(Vec::new())));
        let epmd = self.epmd.to_string();
        let _ = Command::new("epmd").args(["-port", &epmd, "-kill"]).output();
        let _ = std::fs::remove_file(JASMIN_LOCK);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Jasmin {
    pub async fn start(centre: u16) -> Result<Self, Failure> {
        let home = installed("jasmin")?;
        if Path::new(JASMIN_LOCK).exists() {
            return Err(format!("{JASMIN_LOCK} is there: one runs, or was killed").into());
        }
        let directory = fresh_directory("jasmin")?;
        for part in ["etc/jasmin/store", "etc/jasmin/resource", "var/log/jasmin", "rabbit"] {
            std::fs::create_dir_all(directory.join(part))?;
        }
        let (amqp, distribution, epmd) = (free_port()?, free_port()?, free_port()?);
        let (redis, console, port) = (free_port()?, free_port()?, free_port()?);
        let mut jasmin =
            Self { group: Group(Vec::new()), main: 0, port, epmd, directory: directory.clone() };
        jasmin.group.start(
            Command::new("redis-server")
                .args(["--port", &redis.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .current_dir(&directory),
        )?;
        let rabbit = directory.join("rabbit");
        jasmin.group.start(
            Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server")
                .env("RABBITMQ_NODENAME", format!("bench{}@localhost", std::process::id()))
                .env("RABBITMQ_NODE_PORT", amqp.to_string())
                .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
                .env("RABBITMQ_DIST_PORT", distribution.to_string())
                .env("ERL_EPMD_PORT", epmd.to_string())
                .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                .env("RABBITMQ_MNESIA_BASE", &rabbit)
                .env("RABBITMQ_LOG_BASE", &rabbit)
                .env("RABBITMQ_ENABLED_PLUGINS_FILE", rabbit.join("plugins"))
                .env("HOME", &rabbit)
                .current_dir(&directory),
        )?;
        listens(amqp, 120).await?;
        let spec = specification(&home)?;
        let mut text = format!(
            "[amqp-broker]\nport = {amqp}\nspec = {}\n[redis-client]\nport = {redis}\n\
             [jcli]\nport = {console}\nauthentication = no\n\
             [http-api]\nport = {port}\nbind = 127.0.0.1\n",
            spec.display()
        );
        for part in ["smpp-server", "smpp-server-pb", "client-management", "router", "interceptor"]
        {
            text.push_str(&format!("[{part}]\nport = {}\n", free_port()?));
        }
        let file = directory.join("jasmin.cfg");
        std::fs::write(&file, text)?;
        jasmin.main = jasmin.group.start(
            Command::new(home.join("bin/jasmind.py"))
                .arg("-c")
                .arg(&file)
                .env("ROOT_PATH", &directory)
                .env("CONFIG_PATH", directory.join("etc/jasmin"))
                .env("LOG_PATH", directory.join("var/log/jasmin"))
                .env("RESOURCE_PATH", &directory)
                .current_dir(&directory),
        )?;
        listens(console, 120).await?;
        configure(console, centre).await?;
        Ok(jasmin)
    }

    pub fn relay(&self) -> Relay {
        let address = local(self.port);
        let host = address.clone();
        let request = move |n: usize| {
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("username", "bench")
                .append_pair("password", "bench")
                .append_pair("from", "14155550100")
                .append_pair("to", &recipient(n)[1..])
                .append_pair("content", TEXT)
                .finish();
            format!("GET /send?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        };
        let main = self.main;
        Relay {
            name: "jasmin",
            address,
            status: 200,
            request: Arc::new(request),
            resident_kib: Box::new(move || resident_kib(main)),
        }
    }
}

/// The description of AMQP that its client reads, wherever Python put it.
fn specification(home: &Path) -> Result<PathBuf, Failure> {
    for python in std::fs::read_dir(home.join("lib"))? {
        let specs = python?.path().join("site-packages/txamqp/specs/standard");
        let file = specs.join("amqp0-9-1.stripped.xml");
        if file.exists() {
            return Ok(file);
        }
    }
    Err("jasmin's AMQP client has no specification".into())
}

/// Types a user, a connector and a route into its console.
async fn configure(console: u16, centre: u16) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(local(console)).await?;
    let mut seen = Vec::new();
    let connector = format!("port {centre}");
    for line in [
        "",
        "group -a",
        "gid bench",
        "ok",
        "user -a",
        "username bench",
        "password bench",
        "gid bench",
        "uid bench",
        "ok",
        "smppccm -a",
        "cid bench",
        "host 127.0.0.1",
        &connector,
        "username bench",
        "password bench",
        "submit_throughput 0",
        "ok",
        "smppccm -1 bench",
        "mtrouter -a",
        "type DefaultRoute",
        "connector smppc(bench)",
        "rate 0.0",
        "ok",
    ] {
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        // It reads a line at a time, and says when it wants the next.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let mut buffer = [0; 8192];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await;
        seen.extend_from_slice(&buffer[..read.map_err(|_| "jasmin's console is silent")??]);
    }
    let seen = String::from_utf8_lossy(&seen);
    match seen.contains("Successfully added MTRoute") {
        true => Ok(()),
        false => Err(format!("jasmin was not configured: {seen}").into()),
    }
}

/// Prism, which answers by the official definition and keeps nothing.
pub struct Prism {
    _group: Group,
    main: u32,
    port: u16,
}

impl Prism {
    pub async fn start() -> Result<Self, Failure> {
        let (home, definition) = (installed("prism")?, installed("twilio_api_v2010.json")?);
        let port = free_port()?;
        let mut group = Group(Vec::new());
        let main = group.start(
            Command::new("node")
                .arg(home.join("node_modules/.bin/prism"))
                .args(["mock", "--port", &port.to_string(), "--verboseLevel", "silent"])
                .arg(definition),
        )?;
        listens(port, 120).await?;
        Ok(Self { _group: group, main, port })
    }

    pub fn relay(&self) -> Relay {
        let address = local(self.port);
        let host = address.clone();
        let request = move |n: usize| {
            let path = "/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json";
            let fields = [("To", &*recipient(n)), ("From", "+14155550100"), ("Body", TEXT)];
            form(&host, path, "Authorization: Basic QUM6eA==\r\n", &fields)
        };
        let main = self.main;
        Relay {
            name: "prism",
            address,
            status: 201,
            request: Arc::new(request),
            resident_kib: Box::new(move || resident_kib(main)),
        }
    }
}

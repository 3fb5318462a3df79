//! A cluster on this machine: PostgreSQL, three NATS servers, two nodes behind a balancer.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::postgres::Postgres;
use crate::{Outcome, needs, run};

const NODES: usize = 2;
const SERVERS: usize = 3;
const START: Duration = Duration::from_secs(60);

/// Tells the official SDKs' stories (Node and Python, or the languages named), each to a cluster of
/// its own, every connection to the next node. With `up` starts one and stays until it is
/// interrupted.
pub fn run(args: &[&str]) -> Outcome {
    needs::for_interop()?;
    run::cargo(&["build", "-p", "offhook"])?;
    if args == ["up"] {
        let (_cluster, _) = start()?;
        println!("interrupt to end it");
        loop {
            thread::park();
        }
    }
    needs::for_sdks()?;
    let binary = run::target().join("debug/offhook").display().to_string();
    for language in if args.is_empty() { &["node", "python"][..] } else { args } {
        let (_cluster, url) = start()?;
        let env = [("OFFHOOK_BIN", binary.clone()), ("OFFHOOK_AT", url)];
        let told = run::tee("bash", &["conformance/sdk/run.sh", language], &env);
        told.map_err(|(why, _)| why)?;
    }
    Ok(())
}

/// A cluster, and the URL of its balancer.
fn start() -> Result<(Cluster, String), String> {
    let ports = free_ports(NODES)?;
    let url = balance(ports.clone())?;
    let cluster = Cluster::start(ports, &url)?;
    println!("cluster: two nodes behind {url}, logs in {}", cluster.directory.display());
    Ok((cluster, url))
}

struct Cluster {
    children: Vec<Child>,
    directory: PathBuf,
    _postgres: Postgres,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Cluster {
    fn start(ports: Vec<u16>, public_url: &str) -> Result<Self, String> {
        let postgres = Postgres::start()?;
        let database = postgres.url();
        let name = format!("offhook-cluster-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).map_err(|error| format!("{directory:?}: {error}"))?;
        let mut cluster = Self { children: Vec::new(), directory, _postgres: postgres };

        let clients = free_ports(SERVERS)?;
        let routes = free_ports(SERVERS)?;
        let all: Vec<String> =
            routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        for at in 0..SERVERS {
            let mut server = Command::new("nats-server");
            server.args(["-a", "127.0.0.1", "-p", &clients[at].to_string()]);
            server.args(["--cluster_name", "offhook", "--cluster"]).arg(&all[at]);
            server.arg("--routes").arg(all.join(","));
            cluster.spawn(server, &format!("nats{at}"))?;
        }
        for port in &clients {
            wait(*port, "a NATS server")?;
        }
        let servers: Vec<String> = clients.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let bus = format!("nats://{}", servers.join(","));

        for (at, port) in ports.into_iter().enumerate() {
            let data = cluster.directory.join(format!("node{at}"));
            fs::create_dir_all(&data).map_err(|error| format!("{data:?}: {error}"))?;
            if at > 0 {
                // All nodes open the same secrets.
                let key = cluster.directory.join("node0/secret.key");
                fs::copy(key, data.join("secret.key")).map_err(|error| format!("key: {error}"))?;
            }
            let mut node = Command::new(run::target().join("debug/offhook"));
            node.args(["up", "--database", &database, "--bus", &bus, "--log", "warn"]);
            node.args(["--public-url", public_url]);
            node.args(["--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(&data);
            cluster.spawn(node, &format!("node{at}"))?;
            wait_for_health(port)?;
        }
        Ok(cluster)
    }

    fn spawn(&mut self, mut command: Command, name: &str) -> Outcome {
        let log = fs::File::create(self.directory.join(format!("{name}.log")));
        let log = log.map_err(|error| format!("{name}.log: {error}"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.children.push(child.map_err(|error| format!("{name}: {error}"))?);
        Ok(())
    }
}

fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let taken: Result<Vec<TcpListener>, _> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let taken = taken.map_err(|error| format!("no free port: {error}"))?;
    let ports: Result<Vec<u16>, _> =
        taken.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect();
    ports.map_err(|error| format!("no free port: {error}"))
}

fn wait(port: u16, what: &str) -> Outcome {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > START {
            return Err(format!("{what} on port {port} is not there"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn wait_for_health(port: u16) -> Outcome {
    let begun = Instant::now();
    let url = format!("http://127.0.0.1:{port}/healthz");
    while run::output("curl", &["-fs", &url]).is_none() {
        if begun.elapsed() > START {
            return Err(format!("the node on port {port} is not there"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A balancer as simple as one can be: each connection to the next node. Its URL.
fn balance(ports: Vec<u16>) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for (turn, client) in listener.incoming().flatten().enumerate() {
            let port = ports[turn % ports.len()];
            thread::spawn(move || {
                let Ok(node) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let (Ok(from), Ok(to)) = (client.try_clone(), node.try_clone()) else { return };
                thread::spawn(move || pass(from, to));
                pass(node, client);
            });
        }
    });
    Ok(format!("http://{address}"))
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.flush();
    let _ = to.shutdown(Shutdown::Write);
}

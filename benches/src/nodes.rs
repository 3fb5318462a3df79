//! What a second node adds, where the database is not the limit.
//!
//! On one machine two nodes would share what one has. So each node is held to a part of one processor
//! (the kernel's CPU controller), and the database, the bus and the client have the rest: two nodes
//! then have twice the processor of one, as two machines would.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::process::{Server, free_port, fresh_database, local};
use crate::report::{figure, say};

type Failure = Box<dyn std::error::Error>;

/// What each node may have, in hundredths of a processor.
const SHARE: u32 = 25;
/// The kernel counts it anew so often: often enough that nobody waits for long.
const PERIOD_MICROS: u32 = 10_000;
/// To each node.
const CONNECTIONS: usize = 128;

/// Prints a row for one node and one for two.
pub async fn run(requests: usize) -> Outcome {
    let Ok(url) = std::env::var("OFFHOOK_BENCH_POSTGRES") else {
        say!("did not run: OFFHOOK_BENCH_POSTGRES names no database");
        return Ok(());
    };
    say!("accepted per second on PostgreSQL and NATS, {requests} requests to each node over");
    say!("{CONNECTIONS} connections, each node held to {SHARE} % of a processor");
    say!("{:>5} {:>10} {:>9} {:>9}", "nodes", "per s", "p50 ms", "p99 ms");
    let bus = Bus::start().await?;
    let mut rates = Vec::new();
    for count in [1, 2] {
        let database = fresh_database(&url, &format!("nodes{count}"))?;
        let nodes = Server::cluster(&database, &bus.url, count).await?;
        let held: Vec<Held> =
            nodes.iter().map(|node| Held::to_a_share(node.id())).collect::<Result<_, _>>()?;
        // Connections, caches and pages are there before anything counts.
        together(&nodes, 500).await?;
        let all = together(&nodes, requests).await?;
        let rate: f64 = all.iter().map(|measured| measured.per_second).sum();
        let worst = |of: fn(&crate::load::Measured) -> f64| all.iter().map(of).fold(0.0, f64::max);
        say!("{count:>5} {rate:>10.0} {:>9.2} {:>9.2}", worst(|m| m.p50_ms), worst(|m| m.p99_ms));
        rates.push(rate);
        drop(held);
    }
    figure("nodes.two", rates[1] / rates[0]);
    say!("two nodes accept {:.2} times as much as one", rates[1] / rates[0]);
    Ok(())
}

/// The same load for every node, at the same time.
async fn together(
    nodes: &[Server],
    requests: usize,
) -> Result<Vec<crate::load::Measured>, Failure> {
    let loads = nodes.iter().map(|node| node.load(CONNECTIONS, requests));
    futures_util::future::try_join_all(loads).await
}

/// A NATS server; ended when dropped.
struct Bus {
    child: Child,
    url: String,
}

impl Bus {
    async fn start() -> Result<Self, Failure> {
        let port = free_port()?;
        let child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nats-server: {error}"))?;
        let bus = Self { child, url: format!("nats://{}", local(port)) };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(local(port)).await.is_ok() {
                return Ok(bus);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Err("nats-server does not answer".into())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that gets no more than its share; the group is removed when dropped.
struct Held {
    group: PathBuf,
    root: PathBuf,
    id: u32,
}

impl Held {
    /// Needs the right to make control groups, of the first or the second version.
    fn to_a_share(id: u32) -> Result<Self, Failure> {
        let name = format!("offhook-bench-{id}");
        let quota = PERIOD_MICROS * SHARE / 100;
        let (root, settings) = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            ("/sys/fs/cgroup", vec![("cpu.max", format!("{quota} {PERIOD_MICROS}"))])
        } else {
            let period = ("cpu.cfs_period_us", PERIOD_MICROS.to_string());
            ("/sys/fs/cgroup/cpu", vec![period, ("cpu.cfs_quota_us", quota.to_string())])
        };
        let held = Self { group: Path::new(root).join(name), root: root.into(), id };
        let hold = || {
            std::fs::create_dir(&held.group)?;
            for (file, value) in &settings {
                std::fs::write(held.group.join(file), value)?;
            }
            std::fs::write(held.group.join("cgroup.procs"), id.to_string())
        };
        let held_back: std::io::Result<()> = hold();
        held_back.map_err(|error| format!("a node cannot be held to its share: {error}"))?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = std::fs::write(self.root.join("cgroup.procs"), self.id.to_string());
        let _ = std::fs::remove_dir(&self.group);
    }
}

//! Goal: whatever dies, what was answered 201 is delivered, and everybody is told. Method: seeded
//! runs of the real binary under load while nodes, the database and the bus are killed, applications
//! are slow or dead, packets are lost, the clock jumps and the disk is full; then what clients were
//! told, what applications received and what the store holds are compared. `cargo xtask chaos`.
//!
//! A duplicate is explained by the at-least-once rule when the run killed a node or the database: a
//! request that was made, and whose outcome was not written, is made again. Without that there may
//! be none.

mod harness;

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::node::{NatsServer, Node, Plan, cluster, try_exchange};
use harness::{Act, Login, Reply, Request, WebhookSink, account_path, free_port};
use kernel::Timestamp;
use serde_json::json;
use store::testing::{TestDatabase, databases, sqlite};
use store::{Location, Store};

const SENDERS: usize = 6;
const HANDSETS: usize = 4;
/// Messages of one run at most; senders stop then, or when the faults are over.
const LOAD: usize = 400;
/// Between two messages of a sender.
const PAUSE: Duration = Duration::from_millis(60);
/// Segments per second of the number that sends.
const RATE: f64 = 80.0;
/// Faults happen in this time.
const FAULTS: Duration = Duration::from_secs(5);
/// A lease of a dead node runs out in 15 seconds; the rest is a slow machine's.
const RECOVERY: Duration = Duration::from_secs(60);
const STATUSES: [&str; 2] = ["sent", "delivered"];

/// SplitMix64: the same seed, the same faults.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Fault {
    KillNode,
    RestartDatabase,
    /// The database dies, and another that has all of it takes its place.
    FailOver,
    LoseBus,
    LosePackets,
    JumpClock,
    FillDisk,
}

/// One run: what runs, and what happens to it when.
struct Scenario {
    seed: u64,
    nodes: usize,
    faults: Vec<(Duration, Fault)>,
    /// Seconds that every jump of the clock takes.
    jump: u64,
}

impl Scenario {
    /// Of three runs the first is one node on SQLite, the others two nodes on PostgreSQL.
    fn of(seed: u64, run: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(1_000_003).wrapping_add(run));
        use Fault::{
            FailOver, FillDisk, JumpClock, KillNode, LoseBus, LosePackets, RestartDatabase,
        };
        let nodes = if run.is_multiple_of(3) { 1 } else { 2 };
        let kinds: &[Fault] = match (nodes, run % 6) {
            (1, _) => &[KillNode, KillNode, FillDisk, JumpClock, LosePackets],
            (_, 1 | 4) => &[KillNode, KillNode, LoseBus, JumpClock, LosePackets],
            (_, 2) => &[FailOver, LoseBus, KillNode, JumpClock, LosePackets],
            _ => &[RestartDatabase, LoseBus, KillNode, JumpClock, LosePackets],
        };
        let count = 2 + chance.next(3);
        let mut faults: Vec<_> = (0..count)
            .map(|at| {
                let kind = match at {
                    0 => kinds[0],
                    _ => kinds[chance.next(kinds.len() as u64) as usize],
                };
                let at = 300 + chance.next(FAULTS.as_millis() as u64 - 300);
                (Duration::from_millis(at), kind)
            })
            .collect();
        faults.sort();
        Self { seed: seed.wrapping_add(run), nodes, faults, jump: 60 + chance.next(7200) }
    }

    /// A request may have been made whose outcome was not written.
    fn may_repeat(&self) -> bool {
        let kills = [Fault::KillNode, Fault::RestartDatabase, Fault::FailOver, Fault::FillDisk];
        self.faults.iter().any(|(_, fault)| kills.contains(fault))
    }
}

/// What clients were told.
#[derive(Default)]
struct Told {
    /// SID of a message that was answered 201, and where its callbacks go.
    accepted: HashMap<String, &'static str>,
    /// SID of a message that a handset sent, and that was answered 201.
    typed: HashSet<String>,
    refused: u64,
    unanswered: u64,
}

/// Who sends, and the applications.
struct Clients {
    /// Where nodes are now.
    urls: Mutex<Vec<String>>,
    sink: WebhookSink,
    /// An address where nobody listens.
    dead: String,
    login: Login,
    number: String,
    told: Mutex<Told>,
}

struct World {
    scenario: Scenario,
    location: Location,
    nodes: Vec<Node>,
    nats: Option<NatsServer>,
    clients: Arc<Clients>,
}

fn handset(at: usize) -> String {
    format!("+1415555020{at}")
}

impl World {
    async fn start(scenario: Scenario, database: &TestDatabase) -> Self {
        let directory = database.directory().to_owned();
        let config = directory.join("offhook.toml");
        std::fs::write(&config, format!("[rates]\nlong_code_us = {RATE:.1}\n")).unwrap();
        let more = vec!["--config".to_owned(), config.display().to_string()];
        let (mut nodes, nats) = match &database.location {
            Location::Sqlite(_) => (vec![Plan::new(directory.join("node0")).start().await], None),
            Location::Postgres(url) => {
                let nats = NatsServer::start().await;
                (cluster(&directory, url, &nats.url(), scenario.nodes).await, Some(nats))
            }
        };
        for node in &mut nodes {
            node.kill().await;
            node.plan.more = more.clone();
            *node = node.plan.start().await;
        }
        let sink = WebhookSink::start().await;
        for path in ["/status", "/slow"] {
            sink.on(path, Act::answer(200, "text/plain", ""));
        }
        sink.on("/inbound", Act::twiml(""));
        let (login, number) = nodes[0].env().await;
        let location = match &database.location {
            Location::Sqlite(_) => Location::Sqlite(directory.join("node0/offhook.db")),
            postgres @ Location::Postgres(_) => postgres.clone(),
        };
        let dead = format!("http://127.0.0.1:{}/dead", free_port());
        let urls = Mutex::new(nodes.iter().map(|node| node.url.clone()).collect());
        let told = Mutex::default();
        let clients = Arc::new(Clients { urls, sink, dead, login, number, told });
        clients.answer_texts(&nodes[0].url).await;
        Self { scenario, location, nodes, nats, clients }
    }
}

impl Clients {
    /// The number's texts go to the application.
    async fn answer_texts(&self, url: &str) {
        let numbers = account_path(&self.login.user, "IncomingPhoneNumbers");
        let get = Request::new("GET", &format!("{numbers}.json")).login(&self.login);
        let found = harness::exchange(url, get).await.json();
        let sid = found["incoming_phone_numbers"][0]["sid"].as_str().unwrap();
        let form = [("SmsUrl", &*self.sink.at("/inbound"))];
        let set = Request::new("POST", &format!("{numbers}/{sid}.json")).login(&self.login);
        assert_eq!(harness::exchange(url, set.form(&form)).await.status, 200);
    }

    /// Sends and types until there is enough, wherever somebody answers.
    async fn load(self: Arc<Self>, sender: usize) {
        let path = account_path(&self.login.user, "Messages.json");
        let (status, slow) = (self.sink.at("/status"), self.sink.at("/slow"));
        let begun = Instant::now();
        for turn in 0.. {
            tokio::time::sleep(PAUSE).await;
            let enough = self.told.lock().unwrap().accepted.len() >= LOAD;
            if enough || begun.elapsed() > FAULTS {
                return;
            }
            let url = {
                let urls = self.urls.lock().unwrap();
                urls.get((sender + turn) % urls.len().max(1)).cloned()
            };
            let Some(url) = url else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let to = handset((sender + turn) % HANDSETS);
            let body = format!("{sender}.{turn}");
            if turn % 7 == 6 {
                let typed = json!({"to": self.number, "body": body}).to_string().into_bytes();
                let path = format!("/_offhook/v1/handsets/{to}/messages");
                let request = Request::new("POST", &path).body("application/json", typed);
                let reply = try_exchange(&url, &request).await;
                self.note(reply, |told, sid| {
                    told.typed.insert(sid);
                });
                continue;
            }
            let (kind, callback) = match turn % 5 {
                0 => ("/slow", &slow),
                1 => ("dead", &self.dead),
                _ => ("/status", &status),
            };
            let form = [
                ("To", &*to),
                ("From", &self.number),
                ("Body", &body),
                ("StatusCallback", callback),
            ];
            let request = Request::new("POST", &path).login(&self.login).form(&form);
            let reply = try_exchange(&url, &request).await;
            self.note(reply, |told, sid| {
                told.accepted.insert(sid, kind);
            });
        }
    }

    fn note(&self, reply: Option<Reply>, accept: impl Fn(&mut Told, String)) {
        let mut told = self.told.lock().unwrap();
        match reply {
            Some(reply) if matches!(reply.status, 200 | 201) => {
                accept(&mut told, reply.text_of("sid"))
            }
            Some(reply) if matches!(reply.status, 429 | 503) => told.refused += 1,
            Some(reply) => panic!("neither accepted nor refused: {reply:?}"),
            None => told.unanswered += 1,
        }
    }

    /// Slow applications, in their time.
    async fn slow_down(&self) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.sink.on("/slow", Act::Stall);
        tokio::time::sleep(FAULTS - Duration::from_millis(1500)).await;
        self.sink.on("/slow", Act::answer(200, "text/plain", ""));
        self.sink.release();
    }
}

impl World {
    async fn harm(&mut self) {
        let mut chance = Chance(self.scenario.seed);
        let begun = Instant::now();
        for (at, fault) in self.scenario.faults.clone() {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            match fault {
                Fault::KillNode => {
                    let at = chance.next(self.nodes.len() as u64) as usize;
                    self.nodes[at].kill().await;
                    tokio::time::sleep(Duration::from_millis(chance.next(1500))).await;
                    self.nodes[at] = self.nodes[at].plan.start().await;
                }
                Fault::RestartDatabase => tell_database("OFFHOOK_CHAOS_RESTART").await,
                Fault::FailOver => tell_database("OFFHOOK_CHAOS_FAIL_OVER").await,
                Fault::LoseBus => {
                    if let Some(nats) = &mut self.nats {
                        nats.kill().await;
                        tokio::time::sleep(Duration::from_millis(chance.next(2000))).await;
                        nats.again().await;
                    }
                }
                Fault::LosePackets => {
                    let share = 5 + chance.next(16);
                    lose_packets(share).await;
                    tokio::time::sleep(Duration::from_millis(chance.next(1500))).await;
                    lose_packets(0).await;
                }
                Fault::JumpClock => {
                    let body = json!({"advance_seconds": self.scenario.jump}).to_string();
                    let jump = Request::new("POST", "/_offhook/v1/clock")
                        .body("application/json", body.into_bytes());
                    let at = chance.next(self.nodes.len() as u64) as usize;
                    let _ = try_exchange(&self.nodes[at].url, &jump).await;
                }
                // Writes beyond a size fail; then the node is started again where there is room.
                Fault::FillDisk => {
                    let data = self.nodes[0].plan.data.clone();
                    let pid = self.nodes[0].child.id().expect("the node runs");
                    let wal = std::fs::metadata(data.join("offhook.db-wal")).map_or(0, |m| m.len());
                    limit_files(pid, wal + 64 * 1024).await;
                    tokio::time::sleep(Duration::from_millis(1000)).await;
                    self.nodes[0].kill().await;
                    self.nodes[0] = self.nodes[0].plan.start().await;
                }
            }
            *self.clients.urls.lock().unwrap() =
                self.nodes.iter().map(|node| node.url.clone()).collect();
        }
        tokio::time::sleep(FAULTS.saturating_sub(begun.elapsed())).await;
    }
}

/// Of a hundred packets between any two programs of the run so many are lost from now on. Only in
/// a network of its own, where `cargo xtask chaos` puts it.
async fn lose_packets(share: u64) {
    if std::env::var_os("OFFHOOK_CHAOS_OWN_NETWORK").is_none() {
        return;
    }
    let rules = match share {
        0 => "delete table inet chaos".to_owned(),
        share => format!(
            "add table inet chaos; add chain inet chaos loss {{ type filter hook input priority 0; }}; \
             add rule inet chaos loss numgen random mod 100 < {share} drop"
        ),
    };
    let done = tokio::process::Command::new("nft").arg(&rules).status().await;
    assert!(done.is_ok_and(|status| status.success()), "nft {rules}");
}

/// The largest file that a process may write from now on; as on a full disk, writes fail.
async fn limit_files(pid: u32, bytes: u64) {
    let limit = format!("--fsize={bytes}:{bytes}");
    let args = ["--pid", &pid.to_string(), &limit];
    let done = tokio::process::Command::new("prlimit").args(args).status().await;
    assert!(done.is_ok_and(|status| status.success()), "prlimit (util-linux) is there");
}

/// What was compared.
#[derive(Debug, Default)]
struct Verdict {
    accepted: usize,
    inbound: usize,
    callbacks: usize,
    duplicates: usize,
    losses: Vec<String>,
}

impl World {
    async fn run(mut self) -> (Verdict, String) {
        let clients = self.clients.clone();
        let senders = (0..SENDERS).map(|sender| tokio::spawn(clients.clone().load(sender)));
        let senders: Vec<_> = senders.collect();
        let slow = tokio::spawn({
            let clients = clients.clone();
            async move { clients.slow_down().await }
        });
        self.harm().await;
        slow.await.expect("the application goes on");
        for sender in senders {
            sender.await.expect("every answer was an acceptance or a refusal");
        }
        let begun = Instant::now();
        let verdict = loop {
            let verdict = self.compare().await;
            if verdict.losses.is_empty() || begun.elapsed() > RECOVERY {
                break verdict;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        };
        let (refused, unanswered) = {
            let told = clients.told.lock().unwrap();
            (told.refused, told.unanswered)
        };
        let mut line = format!(
            "{} accepted, {} inbound, {} callbacks, {} duplicates, {} refused, {} unanswered, \
             settled in {:.1} s;",
            verdict.accepted,
            verdict.inbound,
            verdict.callbacks,
            verdict.duplicates,
            refused,
            unanswered,
            begun.elapsed().as_secs_f64(),
        );
        for (at, fault) in &self.scenario.faults {
            let _ = write!(line, " {fault:?}@{:.1}", at.as_secs_f64());
        }
        for node in &mut self.nodes {
            node.kill().await;
        }
        (verdict, line)
    }

    /// What clients were told, what applications received, what the store holds.
    async fn compare(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let store = match Store::open_as_it_is(&self.location, bus::Bus::default()).await {
            Ok(store) => store,
            Err(error) => {
                verdict.losses.push(format!("the store: {error}"));
                return verdict;
            }
        };
        let sql = "SELECT prefix, id, direction, status FROM message";
        let mut outbound: HashMap<String, String> = HashMap::new();
        let mut inbound = HashSet::new();
        for row in store.query(sql, vec![]).await.unwrap_or_default() {
            let sid = format!("{}{}", row.text(0), row.text(1));
            match row.text(2) {
                "inbound" => {
                    inbound.insert(sid);
                }
                _ => {
                    outbound.insert(sid, row.text(3).to_owned());
                }
            }
        }
        let (callbacks, typed) = {
            let told = self.clients.told.lock().unwrap();
            (told.accepted.clone(), told.typed.clone())
        };
        (verdict.accepted, verdict.inbound) = (callbacks.len(), typed.len());
        let losses = &mut verdict.losses;
        losses.extend(callbacks.keys().filter_map(|sid| match outbound.get(sid) {
            None => Some(format!("{sid} was accepted and is not there")),
            Some(_) => None,
        }));
        let late = outbound.iter().filter(|(_, status)| *status != "delivered");
        losses.extend(late.map(|(sid, status)| format!("{sid} is {status}")));
        losses.extend(typed.difference(&inbound).map(|sid| format!("{sid} came and is gone")));

        // What the applications received, and how often.
        let mut received: HashMap<(String, String), usize> = HashMap::new();
        for path in ["/status", "/slow"] {
            for seen in self.clients.sink.seen(path) {
                seen.assert_signed(&self.clients.sink, &self.clients.login);
                let key = (seen.value("MessageSid"), seen.value("MessageStatus"));
                *received.entry(key).or_default() += 1;
            }
        }
        for seen in self.clients.sink.seen("/inbound") {
            seen.assert_signed(&self.clients.sink, &self.clients.login);
            *received.entry((seen.value("MessageSid"), "received".to_owned())).or_default() += 1;
        }
        let failed = "SELECT sid, count(*) FROM event WHERE kind = 'alert' GROUP BY sid";
        let failed = store.query(failed, vec![]).await.unwrap_or_default();
        let failed: HashMap<&str, i64> =
            failed.iter().map(|row| (row.text(0), row.int(1))).collect();
        for (sid, kind) in &callbacks {
            if *kind == "dead" {
                // Nobody was there: the account is told so, of each.
                let alerts = failed.get(sid.as_str()).copied().unwrap_or(0);
                if alerts < STATUSES.len() as i64 {
                    verdict.losses.push(format!("{sid} has {alerts} alerts"));
                }
                continue;
            }
            for status in STATUSES {
                let key = (sid.clone(), status.to_owned());
                if !received.contains_key(&key) && *kind == "/status" {
                    verdict.losses.push(format!("nobody was told that {sid} is {status}"));
                }
                // One that took too long is an alert instead.
                let is_told = received.contains_key(&key) || failed.contains_key(sid.as_str());
                if *kind == "/slow" && !is_told {
                    verdict.losses.push(format!("the slow were not told that {sid} is {status}"));
                }
            }
        }
        for sid in &inbound {
            if !received.contains_key(&(sid.clone(), "received".to_owned())) {
                verdict.losses.push(format!("nobody was asked about {sid}"));
            }
        }
        verdict.callbacks = received.values().sum();
        verdict.duplicates = received.values().map(|times| times - 1).sum();
        if verdict.duplicates > 0 && !self.scenario.may_repeat() {
            verdict.losses.push(format!("{} duplicates without a reason", verdict.duplicates));
        }
        self.compare_store(&store, &mut verdict).await;
        verdict
    }

    /// Each was sent and delivered once, shown once on its handset, and at its pace.
    async fn compare_store(&self, store: &Store, verdict: &mut Verdict) {
        let sql = "SELECT sid, kind, count(*) FROM event WHERE kind IN ('message.sent',
                   'message.delivered') GROUP BY sid, kind HAVING count(*) > 1";
        for row in store.query(sql, vec![]).await.unwrap_or_default() {
            verdict.losses.push(format!("{} {} {} times", row.text(0), row.text(1), row.int(2)));
        }
        let sql = "SELECT note FROM carrier_note WHERE carrier = 'sim' AND note LIKE 'thread/%'";
        let shown = store.query(sql, vec![]).await.unwrap_or_default();
        let shown: HashSet<&str> =
            shown.iter().filter_map(|row| row.text(0).rsplit('/').next()).collect();
        let sql = "SELECT id FROM message WHERE direction <> 'inbound' AND status = 'delivered'";
        for row in store.query(sql, vec![]).await.unwrap_or_default() {
            if !shown.contains(row.text(0)) {
                verdict.losses.push(format!("no handset shows {}", row.text(0)));
            }
        }
        let dead = store.query("SELECT id, last_error FROM dead_job", vec![]).await;
        for row in dead.unwrap_or_default() {
            let why = row.opt_text(1).unwrap_or_default();
            verdict.losses.push(format!("job {} is dead: {why}", row.text(0)));
        }
        let sql = "SELECT at FROM event WHERE kind = 'message.sent' ORDER BY at";
        let rows = store.query(sql, vec![]).await.unwrap_or_default();
        let times: Vec<Timestamp> = rows.iter().map(|row| row.time(0)).collect();
        for (at, first) in times.iter().enumerate() {
            for (more, later) in times[at..].iter().enumerate() {
                // A second that was lost may be made up for; what was started may end late.
                let most = RATE * (later.since(*first).as_secs_f64() + 1.0) + 16.0;
                if more as f64 > most {
                    let within = later.since(*first);
                    verdict.losses.push(format!("{more} were sent within {within:?}"));
                    return;
                }
            }
        }
    }
}

/// The command that restarts PostgreSQL as if it had crashed, or lets its standby take over;
/// `cargo xtask chaos` gives it.
async fn tell_database(what: &str) {
    let Ok(command) = std::env::var(what) else {
        println!("  {what} is not set: the database was left alone");
        return;
    };
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &command]).stdout(std::process::Stdio::null());
    shell.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let status = shell.status().await;
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_accepted_is_lost() {
    let (runs, seed) = (number("OFFHOOK_CHAOS_RUNS", 2), number("OFFHOOK_CHAOS_SEED", 1));
    let (mut failed, mut accepted, mut duplicates) = (Vec::new(), 0, 0);
    for run in 0..runs {
        let scenario = Scenario::of(seed, run);
        let database = match scenario.nodes {
            1 => sqlite().await,
            _ => {
                let found = databases().await.into_iter().find(|d| d.store.kind() == "postgres");
                let Some(database) = found else { continue };
                database
            }
        };
        let kind = database.store.kind();
        let nodes = scenario.nodes;
        let (verdict, line) = World::start(scenario, &database).await.run().await;
        accepted += verdict.accepted;
        duplicates += verdict.duplicates;
        println!("chaos {run}: {nodes} x {kind}, {line}");
        if !verdict.losses.is_empty() {
            let losses = &verdict.losses;
            println!("  {} WRONG: {:#?}", losses.len(), &losses[..losses.len().min(10)]);
            let logs = database.directory().join("node0/log");
            println!(
                "  {}",
                std::fs::read_to_string(&logs)
                    .unwrap_or_default()
                    .lines()
                    .rev()
                    .take(20)
                    .collect::<Vec<_>>()
                    .join("\n  ")
            );
            failed.push(run);
        }
    }
    println!(
        "chaos: {runs} runs from seed {seed}, {accepted} accepted, {duplicates} duplicates, \
              {} runs with losses",
        failed.len()
    );
    assert!(failed.is_empty(), "runs {failed:?} from seed {seed} lost something");
}

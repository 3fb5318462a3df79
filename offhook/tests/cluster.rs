//! Goal: nodes of one cluster are one platform: what is changed on one holds on all, a lane keeps
//! its pace whoever sends, and neither a lost bus nor a lost node loses anything. Method: the real
//! binary twice, PostgreSQL, a NATS server, and SIGKILL. `cargo xtask test interop`.

mod harness;

use std::time::{Duration, Instant};

use harness::node::{NatsServer, Node, Plan, cluster, try_exchange};
use harness::{Login, Reply, Request, exchange, free_port};
use kernel::Timestamp;
use serde_json::json;
use store::Location;
use store::testing::{TestDatabase, databases};

const USER: &str = "+14155550111";

/// A cluster of two, with what it stands on.
struct Pair {
    nodes: Vec<Node>,
    nats: NatsServer,
    database: TestDatabase,
    login: Login,
    number: String,
}

impl Pair {
    /// None without PostgreSQL.
    async fn start() -> Option<Self> {
        let database = databases().await.into_iter().find(|one| one.store.kind() == "postgres")?;
        let Location::Postgres(url) = database.location.clone() else { return None };
        let nats = NatsServer::start().await;
        let nodes = cluster(database.directory(), &url, &nats.url(), 2).await;
        let (login, number) = nodes[0].env().await;
        Some(Self { nodes, nats, database, login, number })
    }

    /// Starts every node again, with this configuration.
    async fn reconfigure(&mut self, config: &str) {
        let file = self.database.directory().join("offhook.toml");
        std::fs::write(&file, config).unwrap();
        for node in &mut self.nodes {
            node.kill().await;
            node.plan.more = vec!["--config".into(), file.display().to_string()];
            *node = node.plan.start().await;
        }
    }

    async fn send(&self, node: usize, request: Request) -> Reply {
        exchange(&self.nodes[node].url, request).await
    }

    async fn message(&self, node: usize, body: &str) -> String {
        let path = harness::account_path(&self.login.user, "Messages.json");
        let form = [("To", USER), ("From", &*self.number), ("Body", body)];
        let request = Request::new("POST", &path).login(&self.login).form(&form);
        let reply = self.send(node, request).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.text_of("sid")
    }

    /// Who has the binds.
    async fn binder(&self) -> Option<String> {
        let sql = "SELECT owner FROM lease WHERE name = 'smpp'";
        let row = self.database.store.point(sql, vec![]).await.unwrap();
        row.map(|row| row.text(0).to_owned())
    }

    async fn until_delivered(&self, count: usize, patience: Duration) {
        let sql = "SELECT count(*) FROM message WHERE status = 'delivered'";
        let begun = Instant::now();
        loop {
            let row = self.database.store.point(sql, vec![]).await.unwrap().unwrap();
            if row.int(0) == count as i64 {
                return;
            }
            assert!(begun.elapsed() < patience, "{} of {count} in {patience:?}", row.int(0));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Creates a key on one node, uses it on the other, deletes it; the other knows within the time.
    async fn change_is_seen(&self, within: Duration) {
        let keys = harness::account_path(&self.login.user, "Keys.json");
        let made = self.send(0, Request::new("POST", &keys).login(&self.login).form(&[])).await;
        assert_eq!(made.status, 201, "{made:?}");
        let key = Login::new(made.text_of("sid"), made.text_of("secret"));
        let list = harness::account_path(&self.login.user, "Messages.json");
        let look = || self.send(1, Request::new("GET", &list).login(&key));
        assert_eq!(look().await.status, 200);
        let one = harness::account_path(&self.login.user, &format!("Keys/{}.json", key.user));
        let gone = self.send(0, Request::new("DELETE", &one).login(&self.login)).await;
        assert_eq!(gone.status, 204, "{gone:?}");
        let begun = Instant::now();
        while look().await.status != 401 {
            assert!(begun.elapsed() < within, "a deleted key is still good after {within:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_changes_holds_on_the_other() {
    let Some(mut pair) = Pair::start().await else { return };
    assert_eq!(pair.nodes[1].env().await.0.password, pair.login.password);
    pair.change_is_seen(Duration::from_secs(1)).await;

    let hour = json!({"advance_seconds": 3600}).to_string().into_bytes();
    let moved = Request::new("POST", "/_offhook/v1/clock").body("application/json", hour);
    assert_eq!(pair.send(0, moved).await.status, 200);
    harness::eventually("the other clock has moved", || async {
        let clock = pair.send(1, Request::new("GET", "/_offhook/v1/clock")).await.json();
        let now = Timestamp::parse(clock["now"].as_str()?).ok()?;
        let wall = clock::Clock::fixed().wall();
        (now.since(wall) > Duration::from_secs(3500)).then_some(())
    })
    .await;

    // Without the bus caches do not answer, and work goes on at the pace of polling.
    pair.nats.kill().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    pair.change_is_seen(Duration::from_secs(1)).await;
    pair.message(0, "without a bus").await;
    pair.until_delivered(1, Duration::from_secs(10)).await;
    pair.nats.again().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    pair.change_is_seen(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_keeps_its_pace_whoever_sends() {
    let Some(mut pair) = Pair::start().await else { return };
    pair.reconfigure("[rates]\nlong_code_us = 5.0\n").await;
    const COUNT: usize = 40;
    for at in 0..COUNT {
        pair.message(at % 2, "paced").await;
    }
    pair.until_delivered(COUNT, Duration::from_secs(30)).await;
    let sql = "SELECT at FROM event WHERE kind = 'message.sent' ORDER BY at";
    let rows = pair.database.store.query(sql, vec![]).await.unwrap();
    let times: Vec<Timestamp> = rows.iter().map(|row| row.time(0)).collect();
    assert_eq!(times.len(), COUNT);
    let took = times[COUNT - 1].since(times[0]).as_secs_f64();
    assert!((6.8..12.0).contains(&took), "{COUNT} at 5/s took {took} s");
    for (at, first) in times.iter().enumerate() {
        for (more, later) in times[at..].iter().enumerate() {
            // A second that a busy machine lost may be made up for, no more.
            let allowed = 5.0 * (later.since(*first).as_secs_f64() + 1.0) + 1.5;
            assert!(more as f64 <= allowed, "{more} within {:?}", later.since(*first));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_node_had_begun_the_other_ends() {
    let Some(mut pair) = Pair::start().await else { return };
    let mut sent = 0;
    for at in 0..60 {
        pair.message(at % 2, "x").await;
        sent += 1;
    }
    pair.nodes[0].kill().await;
    for _ in 0..10 {
        pair.message(1, "after").await;
        sent += 1;
    }
    // The leases of its jobs run out after 15 seconds.
    pair.until_delivered(sent, Duration::from_secs(30)).await;
}

/// A message centre: a node of its own, which lets one connection bind as `cluster`.
async fn message_centre(pair: &Pair) -> (Node, u16) {
    let mut plan = Plan::new(pair.database.directory().join("centre"));
    let mut node = plan.start().await;
    let (login, number) = node.env().await;
    node.kill().await;
    let port = free_port();
    let config = format!(
        "[[carriers.smpp.listeners]]\nlisten = '127.0.0.1:{port}'\n[[applications]]\n\
         system_id = 'cluster'\npassword = 'secret'\naccount_sid = '{}'\nnumbers = ['{number}']\n\
         sessions_max = 1\n[[routes]]\ncarriers = ['sim']\n",
        login.user
    );
    let file = plan.data.join("offhook.toml");
    std::fs::write(&file, config).unwrap();
    plan.more = vec!["--config".into(), file.display().to_string()];
    (plan.start().await, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_binds_for_all_and_another_when_it_dies() {
    let Some(mut pair) = Pair::start().await else { return };
    let (_centre, port) = message_centre(&pair).await;
    pair.reconfigure(&format!(
        "[rates]\nlong_code_us = 100.0\n[[carriers.smpp.binds]]\nname = 'centre'\n\
         host = '127.0.0.1'\nport = {port}\nsystem_id = 'cluster'\npassword = 'secret'\n\
         [[routes]]\ncarriers = ['smpp']\n"
    ))
    .await;
    for at in 0..20 {
        pair.message(at % 2, "by whichever node").await;
    }
    pair.until_delivered(20, Duration::from_secs(40)).await;
    let first = pair.binder().await.expect("one of them is bound");
    // Each dies once, so whoever was bound has.
    pair.nodes[0].kill().await;
    for _ in 0..10 {
        pair.message(1, "after").await;
    }
    pair.until_delivered(30, Duration::from_secs(60)).await;
    pair.nodes[0] = pair.nodes[0].plan.start().await;
    pair.nodes[1].kill().await;
    for _ in 0..10 {
        pair.message(0, "after the other").await;
    }
    pair.until_delivered(40, Duration::from_secs(60)).await;
    assert_ne!(pair.binder().await, Some(first), "it has moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_key_is_turned_away() {
    let Some(pair) = Pair::start().await else { return };
    let mut plan = pair.nodes[0].plan.clone();
    plan.data = pair.database.directory().join("stranger");
    plan.port = free_port();
    let mut stranger = plan.spawn();
    let ended = tokio::time::timeout(Duration::from_secs(20), stranger.child.wait()).await;
    assert_eq!(ended.expect("it ends").unwrap().code(), Some(1));
    let log = std::fs::read_to_string(plan.data.join("log")).unwrap();
    assert!(log.contains("copy secret.key"), "{log}");
    assert!(try_exchange(&pair.nodes[0].url, &Request::new("GET", "/healthz")).await.is_some());
}

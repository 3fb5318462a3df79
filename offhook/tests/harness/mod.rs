//! A whole platform in this process, and a small client for it.
//!
//! Goal: tests read as a program of Twilio's would: post a form, read the answer,
//! watch the webhook. Method: `offhook::server::start` on a free loopback port
//! over every database at hand; requests are HTTP/1.1 written by hand, so that
//! nothing between test and platform mends a malformed one.

#![allow(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]

mod caller;
mod calls;
mod described;
mod http;
mod leaks;
pub mod node;
mod sink;
mod telephone;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use messaging::Rates;
use offhook::server::{Running, Settings};
use serde_json::{Value, json};
use sim::Network;
use store::testing::TestDatabase;

pub use caller::{Caller, loudness, pause, table};
pub use http::{Reply, Request, encode, exchange, raw};
pub use sink::{Act, Seen, WebhookSink};
pub use telephone::{
    DOMAIN, Domains, TRUNK, Telephone, number_uri, owned_by, placed, reached, telephone,
    trunk_worlds,
};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Login {
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

/// A running platform with its main account.
pub struct World {
    running: Option<Running>,
    database: Arc<TestDatabase>,
    /// Its own, below the database's.
    data: PathBuf,
    pub url: String,
    /// The main account.
    pub login: Login,
    pub test_login: Login,
    /// A number of the main account.
    pub number: String,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this failed on {:?}", self.database.location);
        }
    }
}

/// The development profile on every database.
pub async fn worlds() -> Vec<World> {
    started(&|_| {}).await
}

/// The development profile with senders as slow as they are.
pub async fn paced_worlds() -> Vec<World> {
    started(&|settings| settings.rates = Rates::default()).await
}

/// The development profile, changed.
pub async fn worlds_with(change: &dyn Fn(&mut Settings)) -> Vec<World> {
    started(change).await
}

/// The strict profile: nothing is adopted and the clock stands.
pub async fn strict_worlds() -> Vec<World> {
    started(&|settings| settings.development = false).await
}

async fn started(change: &dyn Fn(&mut Settings)) -> Vec<World> {
    let mut all = Vec::new();
    for database in store::testing::databases().await {
        all.push(World::start(database, change).await);
    }
    all
}

/// A port of loopback that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

/// Polls until `probe` has an answer.
///
/// # Panics
/// When it has none within [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Two nodes on one PostgreSQL database and one bus; `None` without PostgreSQL.
pub async fn nodes(nats: &node::NatsServer, change: &dyn Fn(&mut Settings)) -> Option<[World; 2]> {
    let database = store::testing::databases().await;
    let database = database.into_iter().find(|one| one.store.kind() == "postgres")?;
    let (database, bus) = (Arc::new(database), bus::Nats::parse(&nats.url()).unwrap());
    let change = |settings: &mut Settings| {
        settings.bus = Some(bus.clone());
        change(settings);
    };
    let one = World::start_on(database.clone(), "one", &change).await;
    // All nodes open the same secrets.
    let data = database.directory().join("two");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::copy(one.data.join("secret.key"), data.join("secret.key")).unwrap();
    Some([one, World::start_on(database, "two", &change).await])
}

async fn launch(database: &TestDatabase, data: &Path, change: &dyn Fn(&mut Settings)) -> Running {
    let mut settings = Settings {
        database: database.location.clone(),
        network: Network { seed: 1, delay_ms: (0, 0), fault_rate: 0.0 },
        review_delay: Duration::from_secs(60),
        ..Settings::development(([127, 0, 0, 1], 0).into(), data)
    };
    change(&mut settings);
    offhook::server::start(settings).await.expect("the platform starts")
}

impl World {
    async fn start(database: TestDatabase, change: &dyn Fn(&mut Settings)) -> Self {
        Self::start_on(Arc::new(database), "data", change).await
    }

    async fn start_on(
        database: Arc<TestDatabase>,
        name: &str,
        change: &dyn Fn(&mut Settings),
    ) -> Self {
        let data = database.directory().join(name);
        let running = launch(&database, &data, change).await;
        let env = running.platform.env().await.expect("the platform has a main account");
        Self {
            url: env.url,
            login: Login::new(env.account_sid, env.auth_token),
            test_login: Login::new(env.test_account_sid, env.test_auth_token),
            number: env.phone_number,
            running: Some(running),
            database,
            data,
        }
    }

    /// Stops, and starts again on the same database.
    pub async fn restart(&mut self, change: &dyn Fn(&mut Settings)) {
        self.running.take().expect("the platform runs").stop().await;
        let running = launch(&self.database, &self.data, change).await;
        self.url.clone_from(&running.platform.url);
        self.running = Some(running);
    }

    pub fn platform(&self) -> &offhook::server::Platform {
        &self.running.as_ref().expect("the platform runs").platform
    }

    /// Media and letters as they lie on disk.
    pub fn blobs(&self) -> store::BlobStore {
        store::BlobStore::open(self.data.join("blobs"), &self.platform().store)
            .expect("the directory is there")
    }

    pub async fn stop(mut self) {
        self.running.take().expect("the platform runs").stop().await;
    }

    pub fn sid(&self) -> &str {
        &self.login.user
    }

    /// A path below the main account: `path("Messages.json")`.
    pub fn path(&self, rest: &str) -> String {
        account_path(self.sid(), rest)
    }

    pub async fn send(&self, request: Request) -> Reply {
        exchange(&self.url, request).await
    }

    /// A GET by the main account.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::new("GET", path).login(&self.login)).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.post_as(&self.login, path, form).await
    }

    pub async fn post_as(&self, login: &Login, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(Request::new("POST", path).login(login).form(form)).await
    }

    pub async fn get_as(&self, login: &Login, path: &str) -> Reply {
        self.send(Request::new("GET", path).login(login)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Request::new("DELETE", path).login(&self.login)).await
    }

    /// A message by the main account, from its number unless a sender is given.
    pub async fn message(&self, form: &[(&str, &str)]) -> Reply {
        let mut all = vec![("From", self.number.as_str())];
        let senders = ["From", "MessagingServiceSid"];
        all.retain(|_| !form.iter().any(|(given, _)| senders.contains(given)));
        all.extend_from_slice(form);
        self.post(&self.path("Messages.json"), &all).await
    }

    /// A message that must be accepted; its SID.
    pub async fn sent(&self, form: &[(&str, &str)]) -> String {
        let reply = self.message(form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.text_of("sid")
    }

    pub async fn fetch_message(&self, sid: &str) -> Value {
        self.get(&self.path(&format!("Messages/{sid}.json"))).await.json()
    }

    /// The message once it has this status.
    pub async fn reached(&self, sid: &str, status: &str) -> Value {
        eventually(&format!("{sid} is {status}"), || async {
            let message = self.fetch_message(sid).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }

    /// A message that was sent and has arrived.
    pub async fn delivered(&self, form: &[(&str, &str)]) -> String {
        let sid = self.sent(form).await;
        self.reached(&sid, "delivered").await;
        sid
    }

    /// Our own API, JSON in and out.
    pub async fn own(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let path = format!("/_offhook/v1/{path}");
        let reply = self.send(Request::new(method, &path).body("application/json", body)).await;
        described::check(method, &path, &reply);
        reply
    }

    pub async fn handset(&self, number: &str, behaviour: &str) {
        let path = format!("handsets/{number}");
        let reply = self.own("PUT", &path, json!({"behaviour": behaviour})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Somebody types on a handset.
    pub async fn type_on(&self, handset: &str, to: &str, body: &str) -> Reply {
        let path = format!("handsets/{handset}/messages");
        self.own("POST", &path, json!({"to": to, "body": body})).await
    }

    /// What the handset received, oldest first.
    pub async fn received(&self, handset: &str) -> Vec<Value> {
        let path = format!("handsets/{handset}/messages?limit=1000");
        let reply = self.own("GET", &path, Value::Null).await;
        let mut all = reply.json()["messages"].as_array().cloned().unwrap_or_default();
        all.retain(|entry| entry["direction"] == "received");
        all.reverse();
        all
    }

    /// The bodies that the handset received, once there are `count`.
    pub async fn bodies(&self, handset: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} messages on {handset}"), || async {
            let all = self.received(handset).await;
            let body = |entry: &Value| entry["body"].as_str().unwrap_or_default().to_owned();
            (all.len() >= count).then(|| all.iter().map(body).collect())
        })
        .await
    }

    /// Waits until everything that is due has been done, for a second or two at most: what hangs
    /// waits for the clock.
    pub async fn settle(&self) {
        let platform = self.platform();
        for _ in 0..500 {
            let now = platform.clock.now();
            let sql = "SELECT count(*) FROM job WHERE ready_at <= $1";
            let row = platform.store.point(sql, vec![now.into()]).await.expect("the store answers");
            if row.is_none_or(|row| row.int(0) == 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Moves the clock, once what is due has been done: what is being done would be at its end later
    /// than it was.
    pub async fn advance(&self, seconds: u64) {
        self.settle().await;
        let reply = self.own("POST", "clock", json!({"advance_seconds": seconds})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Events of a kind about a resource, oldest first.
    pub async fn events(&self, kind: &str, sid: &str) -> Vec<Value> {
        let reply = self.own("GET", "events?after=0&limit=1000", Value::Null).await.json();
        let mut all = reply["events"].as_array().cloned().unwrap_or_default();
        all.retain(|event| event["kind"] == kind && event["sid"] == sid);
        all
    }

    /// The alert with this code about a resource.
    pub async fn alert(&self, sid: &str, code: u32) -> Value {
        eventually(&format!("alert {code} about {sid}"), || async {
            let alerts = self.events("alert", sid).await;
            alerts.into_iter().find(|alert| alert["data"]["code"] == code)
        })
        .await
    }

    /// Sets fields of the main account's number.
    pub async fn configure(&self, form: &[(&str, &str)]) -> Value {
        let sid = self.number_sid(&self.number).await;
        let path = self.path(&format!("IncomingPhoneNumbers/{sid}.json"));
        let reply = self.post(&path, form).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub async fn number_sid(&self, number: &str) -> String {
        let path = self.path(&format!("IncomingPhoneNumbers.json?PhoneNumber={}", encode(number)));
        let found = self.get(&path).await.json();
        found["incoming_phone_numbers"][0]["sid"].as_str().expect("the number exists").to_owned()
    }

    /// A subaccount of the main account.
    pub async fn subaccount(&self, name: &str) -> Login {
        let reply = self.post("/2010-04-01/Accounts.json", &[("FriendlyName", name)]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        Login::new(reply.text_of("sid"), reply.text_of("auth_token"))
    }

    /// Buys a number of an area code for an account.
    pub async fn buy(&self, login: &Login, area: &str) -> (String, String) {
        let path = account_path(&login.user, "IncomingPhoneNumbers.json");
        let reply = self.post_as(login, &path, &[("AreaCode", area)]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        (reply.text_of("sid"), reply.text_of("phone_number"))
    }
}

/// A path below an account.
pub fn account_path(sid: &str, rest: &str) -> String {
    format!("/2010-04-01/Accounts/{sid}/{rest}")
}

/// The reply is the error that was expected, complete and in its words.
#[track_caller]
pub fn assert_error(reply: &Reply, code: u32, status: u16, mentions: &str) {
    let body = reply.json();
    assert_eq!((body["code"].as_u64(), reply.status), (Some(code.into()), status), "{reply:?}");
    assert_eq!(body["status"], status, "{reply:?}");
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    assert_eq!(body["more_info"], more, "{reply:?}");
    let message = body["message"].as_str().unwrap_or_default();
    assert!(message.contains(mentions), "'{message}' does not name '{mentions}'");
}

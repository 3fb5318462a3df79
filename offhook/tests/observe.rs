//! What an operator sees of a running platform: traces, health, metrics, profiles and logs.

mod harness;

use std::collections::{BTreeSet, HashMap};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Login, Request, Seen, WebhookSink, eventually, worlds, worlds_with};
use offhook::server::TraceConfig;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

const HANDSET: &str = "+14155550123";
const BODY: &str = "the word is halcyon";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The spans of our trace that a collector got.
fn spans(posts: &[Seen]) -> Vec<Value> {
    let mut all = Vec::new();
    for post in posts {
        assert_eq!(post.method, "POST");
        assert_eq!(post.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_slice(&post.body).expect("OTLP is JSON");
        let resource = &body["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "offhook");
        let spans = resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone();
        all.extend(spans.into_iter().filter(|span| span["traceId"] == TRACE));
    }
    all
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
    let all = span["attributes"].as_array()?;
    all.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str()
}

/// One message, from the request of the application to the callback that it gets.
#[tokio::test]
async fn a_trace_joins_request_job_carrier_and_callback() {
    let collector = WebhookSink::start().await;
    let url = collector.url.clone();
    let all = worlds_with(&|settings| {
        settings.traces = Some(TraceConfig { url: url.clone(), share: 0.0 });
    })
    .await;
    for (at, world) in all.into_iter().enumerate() {
        let caller = format!("00f067aa0ba902b{}", at + 1);
        let application = WebhookSink::start().await;
        let status = application.at("/status");
        let form = [
            ("From", world.number.as_str()),
            ("To", HANDSET),
            ("Body", BODY),
            ("StatusCallback", status.as_str()),
        ];
        let request = Request::new("POST", &world.path("Messages.json"))
            .login(&world.login)
            .header("traceparent", &format!("00-{TRACE}-{caller}-01"))
            .form(&form);
        let reply = world.send(request).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let sid = reply.text_of("sid");
        world.reached(&sid, "delivered").await;
        let delivered = eventually("the callback of the delivery", || async {
            let seen = application.seen("/status");
            seen.into_iter().find(|one| one.value("MessageStatus") == "delivered")
        })
        .await;
        // The application's own trace can go on from ours.
        let place = delivered.header("traceparent").expect("the callback says where it is");
        assert!(place.starts_with(&format!("00-{TRACE}-")), "{place}");
        let asked = place.split('-').nth(2).unwrap_or_default();
        let spans = eventually("the spans are exported", || async {
            let spans = spans(&collector.seen("/v1/traces"));
            spans.iter().any(|span| span["spanId"] == asked).then_some(spans)
        })
        .await;
        let by_id: HashMap<&str, &Value> =
            spans.iter().filter_map(|span| Some((span["spanId"].as_str()?, span))).collect();
        // From the callback of the delivery upwards to the application's request.
        let mut chain = Vec::new();
        let mut at = asked;
        while let Some(span) = by_id.get(at) {
            chain.push(span["name"].as_str().unwrap_or_default());
            at = span["parentSpanId"].as_str().unwrap_or_default();
        }
        assert_eq!(at, caller, "{chain:?}");
        assert_eq!((chain.first(), chain.last()), (Some(&"webhook"), Some(&"request")));
        assert!(chain.iter().filter(|name| **name == "job").count() >= 2, "{chain:?}");
        let request =
            spans.iter().find(|span| span["parentSpanId"] == caller).expect("the request");
        assert_eq!(attribute(request, "http.response.status_code"), Some("201"));
        let carrier = spans.iter().find(|span| attribute(span, "offhook.carrier") == Some("sim"));
        let carrier = carrier.expect("the carrier");
        assert_eq!(carrier["name"], "carrier");
        // No body, no number.
        for post in collector.seen("/v1/traces") {
            let text = String::from_utf8_lossy(&post.body).into_owned();
            for secret in ["halcyon", &HANDSET[1..], &world.number[1..], &world.login.password] {
                assert!(!text.contains(secret), "{secret} is in {text}");
            }
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn readiness_tells_of_schema_and_draining_and_liveness_of_neither() {
    for world in worlds().await {
        let live = world.send(Request::new("GET", "/healthz")).await;
        assert_eq!((live.status, live.text_of("status").as_str()), (200, "ok"));
        let ready = world.send(Request::new("GET", "/readyz")).await;
        assert_eq!((ready.status, ready.text_of("status").as_str()), (200, "ready"));
        let body: Value = ready.json();
        assert!(body["schema"].as_i64().is_some_and(|version| version >= 19), "{body}");

        world.platform().draining.send_replace(true);
        let ready = world.send(Request::new("GET", "/readyz")).await;
        assert_eq!((ready.status, ready.json()["draining"].clone()), (503, json!(true)));
        // Still alive, and what comes all the same is answered.
        assert_eq!(world.send(Request::new("GET", "/healthz")).await.status, 200);
        let form = [("From", world.number.as_str()), ("To", HANDSET), ("Body", "hi")];
        assert_eq!(world.message(&form).await.status, 201);
    }
}

/// The families that a text in the Prometheus form has.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Every metric name of ours in a text, as its family is called.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("offhook_") && !word.ends_with('_'));
    ours.map(|word| {
        let suffixes = ["_bucket", "_count", "_sum", "_total"];
        let base = suffixes.iter().find_map(|suffix| word.strip_suffix(suffix));
        base.unwrap_or(word).to_owned()
    })
    .collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_metrics_that_are_there() {
    let world = worlds().await.remove(0);
    let idle = world.send(Request::new("GET", "/metrics")).await.text();
    assert!(
        idle.contains("offhook_jobs{queue=\"webhook.callback\"} 0"),
        "an empty queue shows: {idle}"
    );
    let application = WebhookSink::start().await;
    let status = application.at("/status");
    let form = [
        ("From", world.number.as_str()),
        ("To", HANDSET),
        ("Body", "hi"),
        ("StatusCallback", status.as_str()),
    ];
    // A sender has a rate once it has sent fifty.
    for _ in 0..50 {
        world.sent(&form).await;
    }
    let text = eventually("callbacks and the sender's rate are counted", || async {
        let text = world.send(Request::new("GET", "/metrics")).await.text();
        let names = ["offhook_webhook_seconds_count", "offhook_delivery_rate{"];
        names.iter().all(|name| text.contains(name)).then_some(text)
    })
    .await;
    let there = families(&text);
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
    for file in ["grafana/offhook.json", "prometheus/offhook.rules.yml"] {
        let text = std::fs::read_to_string(format!("{deploy}/{file}")).expect("the file is there");
        let named = named(&text);
        assert!(named.len() > 4, "{file} names {named:?}");
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}, there are {there:?}");
    }
    let board = std::fs::read_to_string(format!("{deploy}/grafana/offhook.json")).expect("read");
    let board: Value = serde_json::from_str(&board).expect("a dashboard is JSON");
    let ids: BTreeSet<_> =
        board["panels"].as_array().expect("panels").iter().map(|one| one["id"].as_i64()).collect();
    assert_eq!(Some(ids.len()), board["panels"].as_array().map(Vec::len));
}

static SPINNING: AtomicBool = AtomicBool::new(true);

#[inline(never)]
fn busy_work_of_this_test() -> u64 {
    let mut sum = 0u64;
    while SPINNING.load(Ordering::Relaxed) {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
    sum
}

#[tokio::test]
async fn a_profile_is_collapsed_stacks() {
    let world = worlds().await.remove(0);
    let busy = std::thread::Builder::new().name("spinner".into()).spawn(busy_work_of_this_test);
    let reply = world.send(Request::new("GET", "/_offhook/v1/profile?seconds=1")).await;
    SPINNING.store(false, Ordering::Relaxed);
    busy.expect("a thread starts").join().expect("it ends");
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = reply.text();
    let mut lines = text.lines();
    assert!(lines.all(|line| line.rsplit_once(' ').is_some_and(|(stack, count)| {
        !stack.is_empty() && count.parse::<u32>().is_ok_and(|count| count > 0)
    })));
    let found = text.lines().find(|line| line.contains("busy_work_of_this_test"));
    assert!(found.is_some_and(|line| line.starts_with("spinner;")), "{text}");
    let wrong = world.send(Request::new("GET", "/_offhook/v1/profile?seconds=0")).await;
    harness::assert_error(&wrong, 20001, 400, "seconds");
}

/// The binary, with everything above `debug` in its log.
#[tokio::test]
async fn logs_have_stable_fields_and_no_body_number_or_token() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_offhook"))
        .args(["up", "--listen", "127.0.0.1:0", "--delay", "0-0", "--log", "info", "--log-json"])
        .arg("--data")
        .arg(directory.path())
        .env_remove("OFFHOOK_DATABASE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let file = directory.path().join("url");
    let url = eventually("the binary listens", || async {
        std::fs::read_to_string(&file).ok().filter(|url| !url.is_empty())
    })
    .await;
    let env = harness::exchange(&url, Request::new("GET", "/_offhook/v1/env")).await;
    let login = Login::new(env.text_of("account_sid"), env.text_of("auth_token"));
    let dead = format!("http://127.0.0.1:{}/status?to={HANDSET}", harness::free_port());
    let path = format!("/2010-04-01/Accounts/{}/Messages.json", login.user);
    // A sender that is adopted, a callback that nobody takes, and what is refused.
    for (from, to) in [("+12125550188", HANDSET), ("+12125550188", "+1415555"), ("", HANDSET)] {
        let form = [("From", from), ("To", to), ("Body", BODY), ("StatusCallback", dead.as_str())];
        harness::exchange(&url, Request::new("POST", &path).login(&login).form(&form)).await;
    }
    eventually("the callback has failed", || async {
        let events = harness::exchange(&url, Request::new("GET", "/_offhook/v1/events")).await;
        events.text().contains("\"alert\"").then_some(())
    })
    .await;
    let pid = child.id().expect("it runs").to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
    assert!(killed.success());
    let mut log = String::new();
    let mut stderr = child.stderr.take().expect("it was asked for");
    stderr.read_to_string(&mut log).await.expect("the log is text");
    assert!(child.wait().await.expect("it ends").success(), "{log}");

    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "target"] {
            assert!(line[field].is_string(), "{line} has no {field}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    let alert = lines.iter().find(|line| line["fields"]["message"] == "alert");
    let alert = alert.unwrap_or_else(|| panic!("no alert in {log}"));
    for field in ["account_sid", "resource", "code", "why"] {
        assert!(alert["fields"].get(field).is_some(), "{alert} has no {field}");
    }
    for secret in ["halcyon", "4155550123", "2125550188", "1415555", login.password.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

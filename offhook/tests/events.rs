//! Goal: what happens reaches subscribed webhooks at least once, signed, as CloudEvents, and a sink
//! that takes nothing fails in the open (webhooks §12). Method: messages that are sent, an application
//! that fails, and a clock that is moved.

mod harness;

use harness::{Act, Login, Seen, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const HOUR: u64 = 3600;
const SENT: &str = "com.twilio.messaging.message.sent";
const DELIVERED: &str = "com.twilio.messaging.message.delivered";
const RECEIVED: &str = "com.twilio.messaging.inbound-message.received";
const LOGGED: &str = "com.twilio.error-logs.error.logged";

fn at(rest: &str) -> String {
    format!("/_/events/v1/{rest}")
}

/// A sink for this URL; its SID.
async fn sink(world: &World, url: &str, batches: bool) -> String {
    let configuration = json!({"destination": url, "method": "POST", "batch_events": batches});
    let configuration = configuration.to_string();
    let form = [
        ("Description", "test"),
        ("SinkType", "webhook"),
        ("SinkConfiguration", configuration.as_str()),
    ];
    let made = world.post(&at("Sinks"), &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.text_of("status"), "initialized");
    made.text_of("sid")
}

/// A subscription of a sink to types; its SID.
async fn subscribe(world: &World, sink: &str, types: &[&str]) -> String {
    let types: Vec<String> = types.iter().map(|name| json!({"type": name}).to_string()).collect();
    let mut form = vec![("Description", "test"), ("SinkSid", sink)];
    form.extend(types.iter().map(|json| ("Types", json.as_str())));
    let made = world.post(&at("Subscriptions"), &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.text_of("sid")
}

/// The events in requests that came, each signed.
fn events(seen: &[Seen], app: &WebhookSink, login: &Login) -> Vec<Value> {
    let mut all = Vec::new();
    for post in seen {
        let url = format!("{}{}?{}", app.url, post.path, post.query);
        let signature = post.header("x-twilio-signature").expect("events are signed");
        assert!(signature::validate_body(&login.password, &url, &post.body, signature), "{post:?}");
        match serde_json::from_slice(&post.body).expect("events are JSON") {
            Value::Array(events) => all.extend(events),
            event => all.push(event),
        }
    }
    all
}

/// The events at `path`, once there are `count`.
async fn arrived(world: &World, app: &WebhookSink, path: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} events at {path}"), || async {
        let all = events(&app.seen(path), app, &world.login);
        (all.len() >= count).then_some(all)
    })
    .await
}

fn types(events: &[Value]) -> Vec<&str> {
    let mut all: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_messages_is_sent_on() {
    for world in worlds().await {
        let app = WebhookSink::start().await;
        world.delivered(&[("To", USER), ("Body", "before anybody asked")]).await;
        let one = sink(&world, &app.at("/one"), false).await;
        subscribe(&world, &one, &[DELIVERED, RECEIVED, LOGGED]).await;
        let many = sink(&world, &app.at("/many"), true).await;
        subscribe(&world, &many, &[DELIVERED]).await;

        let sid = world.delivered(&[("To", USER), ("Body", "hi")]).await;
        let url = app.on("/sms", Act::answer(500, "text/plain", "boom"));
        world.configure(&[("SmsUrl", &url)]).await;
        world.type_on(USER, &world.number, "hello").await;
        let all = arrived(&world, &app, "/one", 3).await;
        assert_eq!(types(&all), [LOGGED, RECEIVED, DELIVERED]);
        let find = |name: &str| all.iter().find(|event| event["type"] == name).expect("it came");
        let delivered = find(DELIVERED);
        assert_eq!(delivered["specversion"], "1.0");
        assert_eq!(delivered["source"], world.path(&format!("Messages/{sid}.json")));
        for (field, value) in [
            ("messageSid", sid.as_str()),
            ("messageStatus", "DELIVERED"),
            ("to", USER),
            ("body", "hi"),
        ] {
            assert_eq!(delivered["data"][field], value, "{delivered}");
        }
        assert_eq!(find(RECEIVED)["data"]["body"], "hello");
        let error = find(LOGGED);
        assert_eq!(error["data"]["error_code"], "11200");
        let alert = error["data"]["sid"].as_str().expect("it names its alert");
        let shown = world.get(&format!("/_/monitor/v1/Alerts/{alert}")).await;
        assert_eq!(shown.json()["error_code"], "11200", "{shown:?}");

        let list = arrived(&world, &app, "/many", 1).await;
        assert_eq!(types(&list), [DELIVERED]);
        assert!(app.seen("/many")[0].body.starts_with(b"["));
        assert_eq!(list[0]["id"], delivered["id"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_tried_until_they_are_four_hours_old() {
    for world in worlds().await {
        let app = WebhookSink::start().await;
        let fail = || Act::answer(503, "text/plain", "later");
        let ok = || Act::answer(200, "text/plain", "");
        let url = app.in_turn("/flaky", vec![fail(), fail(), ok()]);
        let flaky = sink(&world, &url, false).await;
        subscribe(&world, &flaky, &[DELIVERED]).await;
        world.delivered(&[("To", USER), ("Body", "hi")]).await;
        app.wait("/flaky", 1).await;
        world.advance(30).await;
        app.wait("/flaky", 2).await;
        world.advance(HOUR).await;
        let all = arrived(&world, &app, "/flaky", 3).await;
        assert!(all.iter().all(|event| event["id"] == all[0]["id"]), "{all:?}");

        app.on("/flaky", fail());
        world.delivered(&[("To", USER), ("Body", "lost")]).await;
        app.wait("/flaky", 4).await;
        world.advance(4 * HOUR).await;
        world.alert(&flaky, 93101).await;
        let path = at(&format!("Sinks/{flaky}"));
        assert_eq!(world.get(&path).await.text_of("status"), "failed");
        // It gets nothing more until it has shown that it works.
        app.on("/flaky", ok());
        world.delivered(&[("To", USER), ("Body", "not told")]).await;
        let tested = world.post(&format!("{path}/Test"), &[]).await;
        assert_eq!((tested.status, tested.text_of("result").as_str()), (200, "submitted"));
        assert_eq!(world.get(&path).await.text_of("status"), "validating");
        let id = eventually("the test event", || async {
            let all = events(&app.seen("/flaky"), &app, &world.login);
            let test = all.iter().find(|e| e["type"] == "com.twilio.eventstreams.test-event")?;
            test["data"]["test_id"].as_str().map(str::to_owned)
        })
        .await;
        let validate = format!("{path}/Validate");
        assert_error(&world.post(&validate, &[("TestId", "other")]).await, 91005, 400, "TestId");
        let valid = world.post(&validate, &[("TestId", &id)]).await;
        assert_eq!((valid.status, valid.text_of("result").as_str()), (201, "valid"));
        assert_eq!(world.get(&path).await.text_of("status"), "active");
        assert_error(&world.post(&validate, &[("TestId", &id)]).await, 91005, 400, "TestId");
        world.delivered(&[("To", USER), ("Body", "again")]).await;
        eventually("events come again", || async {
            let all = events(&app.seen("/flaky"), &app, &world.login);
            all.iter().any(|event| event["data"]["body"] == "again").then_some(())
        })
        .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_no_is_final() {
    for world in worlds().await {
        let app = WebhookSink::start().await;
        let url = app.on("/gone", Act::answer(404, "text/plain", ""));
        let gone = sink(&world, &url, false).await;
        // It listens to errors, of which its own would never end.
        subscribe(&world, &gone, &[DELIVERED, LOGGED]).await;
        world.delivered(&[("To", USER), ("Body", "hi")]).await;
        world.alert(&gone, 93101).await;
        let status = world.get(&at(&format!("Sinks/{gone}"))).await.text_of("status");
        assert_eq!(status, "active");
        world.delivered(&[("To", USER), ("Body", "second")]).await;
        app.wait("/gone", 2).await;
        eventually("both are given up", || async {
            (world.events("alert", &gone).await.len() == 2).then_some(())
        })
        .await;
        assert_eq!(app.seen("/gone").len(), 2);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_event() {
    for mut world in worlds().await {
        let app = WebhookSink::start().await;
        let stalled = sink(&world, &app.on("/stalled", Act::Drop), false).await;
        subscribe(&world, &stalled, &[SENT, DELIVERED]).await;
        let sid = world.delivered(&[("To", USER), ("Body", "hi")]).await;
        app.wait("/stalled", 1).await;
        world.restart(&|_| {}).await;
        app.on("/stalled", Act::answer(200, "text/plain", ""));
        world.advance(60).await;
        eventually("the event after the restart", || async {
            let all = events(&app.seen("/stalled"), &app, &world.login);
            all.iter()
                .any(|e| e["type"] == DELIVERED && e["data"]["messageSid"] == sid.as_str())
                .then_some(())
        })
        .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_and_subscriptions_are_checked() {
    for world in worlds().await {
        let good = r#"{"destination":"https://x.example/"}"#;
        for (change, value, code, mentions) in [
            ("SinkType", "kinesis", 91000, "kinesis"),
            ("SinkType", "segment", 91000, "segment"),
            ("SinkType", "pigeon", 20001, "SinkType"),
            ("SinkConfiguration", "{}", 91000, "destination"),
            ("SinkConfiguration", "{", 20001, "SinkConfiguration"),
            ("Description", "", 20001, "Description"),
        ] {
            let mut form =
                vec![("Description", "d"), ("SinkType", "webhook"), ("SinkConfiguration", good)];
            form.retain(|(name, _)| *name != change);
            form.push((change, value));
            assert_error(&world.post(&at("Sinks"), &form).await, code, 400, mentions);
        }
        let first = sink(&world, "https://x.example/", false).await;
        let asked = json!({"type": SENT, "schema_version": 3}).to_string();
        for (sink, types, code, status) in [
            ("DG00000000000000000000000000000001", asked.as_str(), 91001, 404),
            ("nonsense", &asked, 91006, 400),
            (&first, r#"{"type":"com.twilio.voice.media.fetched"}"#, 91104, 404),
            (&first, r#"{"schema_version":1}"#, 91100, 400),
            (&first, "", 91103, 400),
        ] {
            let form = [("Description", "d"), ("SinkSid", sink), ("Types", types)];
            assert_error(&world.post(&at("Subscriptions"), &form).await, code, status, "");
        }
        let subscription = subscribe(&world, &first, &[SENT]).await;
        let form = [("Description", "d"), ("SinkSid", first.as_str()), ("Types", &asked)];
        assert_error(&world.post(&at("Subscriptions"), &form).await, 91007, 409, "in use");
        let path = at(&format!("Sinks/{first}"));
        assert_error(&world.delete(&path).await, 91007, 409, "in use");
        for (query, count) in [("InUse=true", 1), ("InUse=false", 0), ("Status=failed", 0)] {
            let page = world.get(&at(&format!("Sinks?{query}"))).await.json();
            assert_eq!(page["sinks"].as_array().map(Vec::len), Some(count), "{query}");
        }

        let events = at(&format!("Subscriptions/{subscription}/SubscribedEvents"));
        let added = world.post(&events, &[("Type", DELIVERED), ("SchemaVersion", "2")]).await;
        assert_eq!((added.status, added.json()["schema_version"].as_i64()), (200, Some(2)));
        let page = world.get(&events).await.json();
        assert_eq!(types(page["types"].as_array().expect("types")), [DELIVERED, SENT]);
        let one = format!("{events}/{DELIVERED}");
        assert_eq!(world.post(&one, &[("SchemaVersion", "5")]).await.json()["schema_version"], 5);
        assert_eq!(world.delete(&one).await.status, 204);
        assert_error(&world.get(&one).await, 20404, 404, DELIVERED);
        assert_error(&world.post(&events, &[("Type", "nothing")]).await, 91104, 404, "nothing");

        let other = world.subaccount("other").await;
        assert_error(&world.get_as(&other, &path).await, 20404, 404, &first);
        assert_error(&world.get_as(&other, &events).await, 20404, 404, "");
        let mine = at(&format!("Subscriptions/{subscription}"));
        assert_eq!(world.delete(&mine).await.status, 204);
        assert_eq!(world.delete(&path).await.status, 204);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_schemas_are_listed() {
    for world in worlds().await {
        let page = world.get(&at("Types?PageSize=10")).await.json();
        assert_eq!(page["types"].as_array().map(Vec::len), Some(10));
        let next = page["meta"]["next_page_url"].as_str().expect("there is more");
        let rest = world.get(next.strip_prefix(&world.url).expect("it is here")).await.json();
        assert_eq!(rest["types"].as_array().map(Vec::len), Some(7), "{rest}");
        let sent = world.get(&at(&format!("Types/{SENT}"))).await.json();
        let schema = sent["links"]["schema"].as_str().expect("it has a schema");
        let schema = world.get(schema.strip_prefix(&world.url).expect("it is here")).await.json();
        assert_eq!(schema["id"], sent["schema_id"]);
        let versions =
            at(&format!("Schemas/{}/Versions", schema["id"].as_str().unwrap_or_default()));
        let listed = world.get(&versions).await.json();
        assert_eq!(listed["schema_versions"][0]["schema_version"], 1, "{listed}");
        assert_eq!(world.get(&format!("{versions}/1")).await.json(), listed["schema_versions"][0]);
        assert_error(&world.get(&format!("{versions}/9")).await, 20404, 404, "");
        assert_error(&world.get(&at("Types/com.twilio.none")).await, 20404, 404, "none");
        world.stop().await;
    }
}

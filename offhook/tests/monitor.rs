//! Goal: what went wrong and who did what can be read from the API, without a secret, by its own
//! account only, and is forgotten in time (compliance §13). Method: webhooks that fail, resources
//! that change, and a clock that is moved.

mod harness;

use harness::{Act, Reply, Request, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const DAY: u64 = 86_400;

fn at(rest: &str) -> String {
    format!("/_/monitor/v1/{rest}")
}

/// A failed inbound webhook; its message.
async fn failed_webhook(world: &World, sink: &WebhookSink) -> String {
    let url = sink.on("/sms", Act::answer(500, "text/plain", "boom"));
    world.configure(&[("SmsUrl", &format!("{url}?password=hunter2"))]).await;
    let typed = world.type_on(USER, &world.number, "hello").await;
    let sid = typed.text_of("sid");
    world.alert(&sid, 11200).await;
    sid
}

fn list<'a>(reply: &'a Value, key: &str) -> &'a [Value] {
    reply[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_show_the_exchange_but_no_secret() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let message = failed_webhook(&world, &sink).await;
        let page = world.get(&at("Alerts")).await.json();
        assert_eq!(page["meta"]["key"], "alerts");
        let alert = list(&page, "alerts")[0].clone();
        assert_eq!(alert["error_code"], "11200");
        assert_eq!(alert["log_level"], "error");
        assert_eq!(alert["resource_sid"], message.as_str());
        assert_eq!(alert["request_method"], "POST");
        assert!(alert["alert_text"].as_str().unwrap_or_default().contains("ErrorCode=11200"));
        assert!(alert.get("request_variables").is_none(), "{alert}");

        let sid = alert["sid"].as_str().expect("alerts have a SID");
        let fetched = world.get(&at(&format!("Alerts/{sid}"))).await.json();
        let text = |name: &str| fetched[name].as_str().unwrap_or_default();
        assert!(text("request_variables").contains("Body=hello"), "{fetched}");
        assert!(text("request_headers").contains("X-Twilio-Signature=***"), "{fetched}");
        assert_eq!(text("response_body"), "boom");

        for (query, count) in [
            ("LogLevel=error", 1),
            ("LogLevel=debug", 0),
            ("StartDate=2100-01-01", 0),
            ("EndDate=2001-01-01", 0),
            ("StartDate=2001-01-01&EndDate=2100-01-01", 1),
        ] {
            let page = world.get(&at(&format!("Alerts?{query}"))).await.json();
            assert_eq!(list(&page, "alerts").len(), count, "{query}");
        }
        let bad = world.get(&at("Alerts?LogLevel=%25")).await;
        assert_error(&bad, 20001, 400, "LogLevel");
        let other = world.subaccount("other").await;
        let foreign = world.get_as(&other, &at(&format!("Alerts/{sid}"))).await;
        assert_error(&foreign, 20404, 404, sid);
        let none = world.get_as(&other, &at("Alerts")).await.json();
        assert!(list(&none, "alerts").is_empty(), "{none}");
        // Its number with another time names nothing.
        let forged = format!("NO{}{}", "0".repeat(16), &sid[18..]);
        assert_eq!(world.get(&at(&format!("Alerts/{forged}"))).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_by_key() {
    for world in worlds().await {
        for name in ["a", "b", "c"] {
            let made =
                world.post(&world.path("Applications.json"), &[("FriendlyName", name)]).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        let kind = "EventType=application.created";
        let first = world.get(&at(&format!("Events?{kind}&PageSize=2"))).await.json();
        assert_eq!(names(&first), ["c", "b"]);
        let next = first["meta"]["next_page_url"].as_str().expect("there is a next page");
        let path = next.strip_prefix(&world.url).expect("the page is here");
        let second = world.get(path).await.json();
        assert_eq!(names(&second), ["a"]);
        assert_eq!(second["meta"]["next_page_url"], Value::Null);
        let token = format!("PageToken=PASM{}", "0".repeat(32));
        let bad = world.get(&at(&format!("Events?PageSize=2&Page=1&{token}"))).await;
        assert_error(&bad, 21481, 400, "PageToken");
        world.stop().await;
    }
}

fn names(page: &Value) -> Vec<String> {
    let name = |event: &Value| {
        let change = &event["event_data"]["resource_properties"]["friendly_name"];
        change["updated"].as_str().unwrap_or_default().to_owned()
    };
    list(page, "events").iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_with_who_made_them() {
    for world in worlds().await {
        let application = world.path("Applications.json");
        let made = world.post(&application, &[("FriendlyName", "one")]).await.text_of("sid");
        let key = world.post(&world.path("Keys.json"), &[("FriendlyName", "k")]).await;
        let login = harness::Login::new(key.text_of("sid"), key.text_of("secret"));
        let path = world.path(&format!("Applications/{made}.json"));
        let url = [("SmsUrl", "https://u:hunter2@x.example/"), ("FriendlyName", "two")];
        assert_eq!(world.post_as(&login, &path, &url).await.status, 200);
        assert_eq!(world.delete(&path).await.status, 204);

        let page = world.get(&at(&format!("Events?ResourceSid={made}"))).await.json();
        let kinds: Vec<_> = list(&page, "events").iter().map(|e| e["event_type"].clone()).collect();
        assert_eq!(kinds, ["application.deleted", "application.updated", "application.created"]);
        let update = &list(&page, "events")[1];
        assert_eq!(
            (&update["actor_sid"], &update["actor_type"]),
            (&json!(login.user), &json!("api-key"))
        );
        assert_eq!(update["source_ip_address"], "127.0.0.1");
        assert_eq!(update["resource_type"], "application");
        let changed = &update["event_data"]["resource_properties"];
        assert_eq!(changed["friendly_name"], json!({"previous": "one", "updated": "two"}));
        assert_eq!(changed["sms_url"]["updated"], "https://u:***@x.example/");
        assert_eq!(changed.as_object().map(|fields| fields.len()), Some(2), "{changed}");
        let link = update["links"]["resource"].as_str().unwrap_or_default();
        assert!(link.contains(&made), "{update}");
        let sid = update["sid"].as_str().expect("events have a SID");
        assert_eq!(&world.get(&at(&format!("Events/{sid}"))).await.json(), update);

        for (query, count) in [
            (format!("ActorSid={}", login.user), 1),
            ("SourceIpAddress=127.0.0.1&EventType=application.deleted".to_owned(), 1),
            ("SourceIpAddress=10.0.0.1".to_owned(), 0),
            ("SourceIpAddress=%25".to_owned(), 0),
            ("EventType=key.created".to_owned(), 1),
        ] {
            let page = world.get(&at(&format!("Events?{query}"))).await.json();
            assert_eq!(list(&page, "events").len(), count, "{query}");
        }
        let secret = &login.password;
        let all = world.send(Request::new("GET", &at("Events")).login(&world.login)).await;
        assert!(!text_of(&all).contains(secret.as_str()));
        let other = world.subaccount("other").await;
        assert_error(&world.get_as(&other, &at(&format!("Events/{sid}"))).await, 20404, 404, sid);
        world.stop().await;
    }
}

fn text_of(reply: &Reply) -> String {
    reply.json().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_its_time_is_forgotten() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        failed_webhook(&world, &sink).await;
        let count = async |kind: &str| {
            let all = world.own("GET", "events?after=0&limit=1000", Value::Null).await.json();
            list(&all, "events").iter().filter(|event| event["kind"] == kind).count()
        };
        world.advance(29 * DAY).await;
        world.delivered(&[("To", USER), ("Body", "younger")]).await;
        assert_eq!((count("alert").await, count("message.received").await), (1, 1));
        world.advance(2 * DAY).await;
        eventually("the alert is gone", || async { (count("alert").await == 0).then_some(()) })
            .await;
        eventually("old events are gone", || async {
            (count("message.received").await + count("webhook").await == 0).then_some(())
        })
        .await;
        assert_eq!(count("message.delivered").await, 1);
        let audit = "incoming-phone-number.updated";
        assert_eq!(count(audit).await, 1);
        world.advance(366 * DAY).await;
        eventually("the audit is gone", || async { (count(audit).await == 0).then_some(()) }).await;
        world.stop().await;
    }
}

/// A JSON request of the main account.
async fn with_json(world: &World, method: &str, path: &str, body: &Value) -> Reply {
    let request = Request::new(method, path).login(&world.login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_fires_once_a_window_and_tells_its_webhook() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let url = sink.on("/alarm", Act::answer(200, "text/plain", ""));
        let path = "/_/monitor/v2/Alarms";
        let alarm = json!({
            "friendlyName": "Handsets off", "queryType": "ERROR_CODE", "query": "30003",
            "triggerValue": 3, "timeWindow": "FIVE_MINS", "email": ["sre@owl.example"], "webhook": url,
            "consoleIndicator": true, "description": "Too many are off", "enabled": true,
        });
        for (field, value, mentions) in [
            ("query", json!("off"), "query"),
            ("timeWindow", json!("TWO_MINS"), "timeWindow"),
            ("triggerValue", json!(0), "triggerValue"),
            ("enabled", Value::Null, "enabled"),
        ] {
            let mut bad = alarm.clone();
            bad[field] = value;
            assert_error(&with_json(&world, "POST", path, &bad).await, 20001, 400, mentions);
        }
        let created = with_json(&world, "POST", path, &alarm).await;
        assert_eq!(created.status, 201, "{created:?}");
        let instance = format!("{path}/{}", created.text_of("sid"));
        let shown = world.get(&instance).await.json();
        assert_eq!((&shown["triggerValue"], &shown["enabled"]), (&json!(3), &json!(true)));
        assert_eq!(list(&world.get(path).await.json(), "alarms"), [shown]);

        world.handset(USER, "off").await;
        let fail = async || {
            let sid = world.sent(&[("To", USER), ("Body", "x")]).await;
            assert_eq!(world.reached(&sid, "undelivered").await["error_code"], 30003);
        };
        for _ in 0..3 {
            fail().await;
        }
        world.advance(60).await;
        let told = sink.first("/alarm").await;
        told.assert_signed(&sink, &world.login);
        assert_eq!((told.value("Value"), told.value("Query")), ("3".into(), "30003".into()));
        let mails = async || {
            let path = "mailboxes/sre@owl.example/mails";
            let all = world.own("GET", path, Value::Null).await.json();
            all["mails"].as_array().cloned().unwrap_or_default()
        };
        let mail = eventually("the mail", || async { mails().await.pop() }).await;
        assert_eq!(mail["subject"], "Alarm: Handsets off", "{mail}");
        // Within the window it has been said; later nothing is left to say.
        fail().await;
        world.advance(60).await;
        world.advance(300).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!((sink.seen("/alarm").len(), mails().await.len()), (1, 1));

        // Switched off it looks no more; switched on it looks again.
        let status = format!("{instance}/status");
        let off = with_json(&world, "PUT", &status, &json!({"enabled": false})).await;
        assert_eq!(off.status, 204, "{off:?}");
        for _ in 0..3 {
            fail().await;
        }
        world.advance(60).await;
        let mut changed = alarm.clone();
        changed["triggerValue"] = json!(2);
        let on = with_json(&world, "PUT", &instance, &changed).await;
        assert_eq!((on.status, on.text_of("sid")), (200, created.text_of("sid")), "{on:?}");
        let again = sink.wait("/alarm", 2).await;
        assert_eq!(again[1].value("Value"), "3");
        let other = world.subaccount("other").await;
        assert_error(&world.get_as(&other, &instance).await, 20404, 404, "AK");
        assert_eq!(world.delete(&instance).await.status, 204);
        assert_eq!(world.get(&instance).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_falling_delivery_rate_is_an_alert_and_a_metric() {
    for world in worlds().await {
        for _ in 0..57 {
            world.sent(&[("To", USER), ("Body", "x")]).await;
        }
        world.bodies(USER, 57).await;
        world.handset(USER, "off").await;
        let sender = world.number.clone();
        for failed in 1..=4 {
            let sid = world.sent(&[("To", USER), ("Body", "x")]).await;
            world.alert(&sid, 30003).await;
            let about = world.events("alert", &sender).await;
            // 57 of 60 are 95 %, 57 of 61 are not.
            assert_eq!(about.len(), usize::from(failed == 4), "{about:?}");
        }
        let metrics = world.get("/metrics").await.text();
        let line = metrics.lines().find(|line| line.starts_with("offhook_delivery_rate{"));
        assert!(
            line.is_some_and(|line| line.contains(&sender) && line.contains("0.93")),
            "{metrics}"
        );
        world.stop().await;
    }
}

//! Goal: usage is what was billed, and a trigger calls back when there is too much of it
//! (messaging-adjacent §1). Method: messages that are sent, and a clock that is moved.

mod harness;

use harness::{WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const DAY: u64 = 86_400;

async fn records(world: &World, rest: &str) -> Vec<Value> {
    let reply = world.get(&world.path(&format!("Usage/Records{rest}"))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["usage_records"].as_array().cloned().unwrap_or_default()
}

/// The tests count days: none of them begins shortly before midnight.
async fn at_noon(world: &World) {
    let reply = world.own("POST", "clock", json!({"set": "2030-01-15T12:00:00Z"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn numbers(record: &Value) -> (&str, &str, &str) {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    (text("count"), text("usage"), text("price"))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_add_up_what_was_billed() {
    for world in worlds().await {
        at_noon(&world).await;
        world.delivered(&[("To", USER), ("Body", "one")]).await;
        world.delivered(&[("To", USER), ("Body", "two")]).await;
        world.advance(40 * DAY).await;
        world.delivered(&[("To", USER), ("Body", "three")]).await;

        let all = records(&world, ".json?Category=sms-outbound").await;
        assert_eq!(all.len(), 1);
        assert_eq!(numbers(&all[0]), ("3", "3", "0.0237"));
        assert_eq!(all[0]["count_unit"], "messages");
        let uri = all[0]["subresource_uris"]["daily"].as_str().unwrap_or_default();
        assert!(uri.ends_with("/Usage/Records/Daily.json?Category=sms-outbound"), "{uri}");
        let own = all[0]["uri"].as_str().unwrap_or_default();
        assert_eq!(world.get(own).await.json()["usage_records"][0]["count"], "3");

        for (query, counts) in [
            ("/Today.json?Category=sms", vec!["1"]),
            ("/Yesterday.json?Category=sms", vec!["0"]),
            ("/AllTime.json?Category=sms-inbound", vec!["0"]),
            ("/Daily.json?Category=sms&StartDate=-1days", vec!["1", "0"]),
            ("/Daily.json?Category=sms&StartDate=-40days&EndDate=-39days", vec!["0", "2"]),
            (".json?Category=sms&StartDate=%2B1days", vec![]),
            (".json?Category=no-such-thing", vec![]),
        ] {
            let found = records(&world, query).await;
            let found: Vec<_> = found.iter().map(|record| numbers(record).0).collect();
            assert_eq!(found, counts, "{query}");
        }
        let total = records(&world, ".json?Category=totalprice").await;
        assert_eq!((&total[0]["price"], &total[0]["count"]), (&"0.0237".into(), &Value::Null));
        let monthly = records(&world, "/Monthly.json?Category=sms").await;
        let sum: u32 = monthly.iter().filter_map(|r| numbers(r).0.parse::<u32>().ok()).sum();
        assert!(monthly.len() >= 2 && sum == 3, "{monthly:?}");
        let bad = world.get(&world.path("Usage/Records.json?StartDate=soon")).await;
        assert_error(&bad, 20001, 400, "StartDate");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_category_is_listed_and_pages() {
    for world in worlds().await {
        let mut next = Some(world.path("Usage/Records/Today.json?PageSize=100"));
        let mut names = Vec::new();
        while let Some(path) = next {
            let page = world.get(&path).await.json();
            let records = page["usage_records"].as_array().cloned().unwrap_or_default();
            assert!(records.len() <= 100);
            names.extend(records.iter().map(|record| record["category"].to_string()));
            next = page["next_page_uri"].as_str().map(str::to_owned);
        }
        let count = names.len();
        names.dedup();
        assert!(count > 160 && names.len() == count, "{count}");
        let bad = world.path("Usage/Records.json?Page=1&PageToken=PAx");
        assert_error(&world.get(&bad).await, 21481, 400, "PageToken");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_fires_once_in_its_period() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        at_noon(&world).await;
        let path = world.path("Usage/Triggers.json");
        world.delivered(&[("To", USER), ("Body", "before")]).await;
        let form = [
            ("CallbackUrl", sink.at("/fired")),
            ("TriggerValue", "+2".to_owned()),
            ("UsageCategory", "sms".to_owned()),
            ("Recurring", "daily".to_owned()),
            ("FriendlyName", "too many".to_owned()),
        ];
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let made = world.post(&path, &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        let trigger = made.json();
        for (field, value) in [
            ("trigger_value", "3"),
            ("current_value", "1"),
            ("trigger_by", "usage"),
            ("recurring", "daily"),
            ("callback_method", "POST"),
        ] {
            assert_eq!(trigger[field], value, "{trigger}");
        }
        assert_eq!(trigger["date_fired"], Value::Null);

        world.delivered(&[("To", USER), ("Body", "second")]).await;
        world.advance(61).await;
        world.delivered(&[("To", USER), ("Body", "third")]).await;
        assert_eq!(sink.seen("/fired").len(), 0);
        world.advance(61).await;
        let fired = sink.first("/fired").await;
        fired.assert_signed(&sink, &world.login);
        let sid = trigger["sid"].as_str().expect("it has a SID");
        assert_eq!(fired.value("UsageTriggerSid"), sid);
        assert_eq!(
            (fired.value("CurrentValue"), fired.value("Recurring")),
            ("3".into(), "daily".into())
        );
        assert!(
            fired.value("IdempotencyToken").starts_with(&format!("{}-FIRES-{sid}-", world.sid()))
        );
        let own = world.path(&format!("Usage/Triggers/{sid}.json"));
        eventually("it says when it fired", || async {
            (world.get(&own).await.json()["date_fired"] != Value::Null).then_some(())
        })
        .await;

        // Not again today, but tomorrow.
        world.delivered(&[("To", USER), ("Body", "fourth")]).await;
        world.advance(61).await;
        world.advance(DAY).await;
        for body in ["a", "b", "c"] {
            world.delivered(&[("To", USER), ("Body", body)]).await;
        }
        world.advance(61).await;
        let seen = sink.wait("/fired", 2).await;
        assert_eq!(seen.len(), 2);
        assert_ne!(seen[0].value("IdempotencyToken"), seen[1].value("IdempotencyToken"));

        let renamed = world.post(&own, &[("FriendlyName", "other")]).await.json();
        assert_eq!(
            (&renamed["friendly_name"], &renamed["current_value"]),
            (&"other".into(), &"3".into())
        );
        let listed = world.get(&format!("{path}?Recurring=daily")).await.json();
        assert_eq!(listed["usage_triggers"][0]["current_value"], "3");
        let none = world.get(&format!("{path}?Recurring=yearly")).await.json();
        assert_eq!(none["usage_triggers"].as_array().map(Vec::len), Some(0));
        assert_eq!(world.delete(&own).await.status, 204);
        let waiting = world.platform().store.query("SELECT id FROM job", vec![]).await.unwrap();
        assert_eq!(waiting.len(), 0);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_cannot_fire_are_refused() {
    for world in worlds().await {
        let path = world.path("Usage/Triggers.json");
        for (change, value, code, mentions) in [
            ("CallbackUrl", "nonsense", 21402, "CallbackUrl"),
            ("TriggerValue", "many", 20001, "TriggerValue"),
            ("TriggerValue", "-1", 20001, "TriggerValue"),
            ("TriggerValue", "0", 20001, "TriggerValue"),
            ("UsageCategory", "smoke", 20001, "UsageCategory"),
            ("Recurring", "hourly", 20001, "Recurring"),
            ("TriggerBy", "weight", 20001, "TriggerBy"),
            ("CallbackUrl", "", 20001, "CallbackUrl"),
        ] {
            let mut form = vec![
                ("CallbackUrl", "https://x.example/"),
                ("TriggerValue", "1"),
                ("UsageCategory", "sms"),
            ];
            form.retain(|(name, _)| *name != change);
            form.push((change, value));
            assert_error(&world.post(&path, &form).await, code, 400, mentions);
        }
        world.stop().await;
    }
}

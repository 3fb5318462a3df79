//! Goal: our own API tells the console what no wire API tells, on both stores. Method: things are
//! made to happen and asked for.

mod harness;

use harness::{Request, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const PHONE: &str = "+14155550123";
const SANDBOX: &str = "whatsapp:+14155238886";

async fn ask(world: &World, path: &str) -> Value {
    let reply = world.own("GET", path, Value::Null).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

fn seqs(answer: &Value) -> Vec<i64> {
    let events = answer["events"].as_array().into_iter().flatten();
    events.filter_map(|event| event["seq"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_by_resource_and_backwards() {
    for world in worlds().await {
        let sid = world.delivered(&[("To", PHONE), ("Body", "one")]).await;
        world.delivered(&[("To", PHONE), ("Body", "another")]).await;
        let own = ask(&world, &format!("events?sid={sid}")).await;
        let kinds: Vec<_> = own["events"].as_array().unwrap().iter().map(|e| &e["kind"]).collect();
        assert_eq!(kinds, ["message.queued", "message.sent", "message.delivered"]);
        assert!(own["events"].as_array().unwrap().iter().all(|e| e["sid"] == *sid));

        let all = seqs(&ask(&world, "events?after=0&limit=1000").await);
        let last = all[all.len() - 1];
        let before = seqs(&ask(&world, &format!("events?before={last}&limit=2")).await);
        assert_eq!(before, all[all.len() - 3..all.len() - 1], "the newest before it, in order");
        assert_eq!(seqs(&ask(&world, "events?after=1&before=4").await), [2, 3]);
        let bad = world.own("GET", "events?sid=no%00thing", Value::Null).await;
        assert_eq!(bad.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_tells_its_opt_outs_and_windows() {
    for world in worlds().await {
        let path = format!("handsets/{PHONE}/standing");
        assert_eq!(ask(&world, &path).await, json!({"opt_outs": [], "windows": []}));
        let number = ask(&world, "env").await["phone_number"].as_str().unwrap().to_owned();
        world.type_on(PHONE, &number, "STOP").await;
        let join = ask(&world, "sandbox").await["join"].as_str().unwrap().to_owned();
        world.type_on(PHONE, SANDBOX, &join).await;
        let standing = eventually("an opt-out and a window", || async {
            let standing = ask(&world, &path).await;
            let is_there =
                standing["opt_outs"][0].is_object() && standing["windows"][0].is_object();
            is_there.then_some(standing)
        })
        .await;
        assert_eq!(standing["opt_outs"][0]["address"], PHONE);
        assert_eq!(standing["windows"][0]["sender"], SANDBOX);
        let outs = ask(&world, "opt-outs").await;
        assert_eq!(outs["opt_outs"], standing["opt_outs"]);
        let bad = world.own("GET", "handsets/nobody/standing", Value::Null).await;
        assert_error(&bad, 20001, 400, "nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_tells_what_waits_for_it() {
    for world in worlds().await {
        assert_eq!(ask(&world, "clock").await["next_timer"], Value::Null);
        world.handset(PHONE, "slow").await;
        let sid = world.sent(&[("To", PHONE), ("Body", "later")]).await;
        world.reached(&sid, "sent").await;
        let next = eventually("a timer", || async {
            ask(&world, "clock").await["next_timer"].as_str().map(str::to_owned)
        })
        .await;
        let moved = world.own("POST", "clock", json!({ "set": next })).await;
        assert_eq!(moved.status, 200, "{moved:?}");
        world.advance(1).await;
        world.reached(&sid, "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_at_once_gets_the_same_number() {
    for world in worlds().await {
        let sid = world.number_sid(&world.number).await;
        let path = world.path(&format!("IncomingPhoneNumbers/{sid}.json"));
        assert_eq!(world.delete(&path).await.status, 204);
        let platform = world.platform();
        let (one, two, three) = tokio::join!(platform.env(), platform.env(), platform.env());
        let number = one.expect("the store is there").phone_number;
        for other in [two, three] {
            assert_eq!(other.expect("the store is there").phone_number, number);
        }
        let numbers = world.get(&world.path("IncomingPhoneNumbers.json")).await.json();
        assert_eq!(numbers["incoming_phone_numbers"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_again() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let form = [("To", PHONE), ("Body", "x"), ("StatusCallback", &*sink.at("/status?a=1"))];
        let sid = world.delivered(&form).await;
        let seen = sink.wait("/status", 3).await;
        let seq = eventually("a recorded webhook", || async {
            world.events("webhook", &sid).await.first()?["seq"].as_i64()
        })
        .await;
        let again = world.own("POST", &format!("events/{seq}/replay"), Value::Null).await;
        assert_eq!(again.status, 202, "{again:?}");
        let all = sink.wait("/status", 4).await;
        assert_eq!(all[3].params(), seen[0].params());
        all[3].assert_signed(&sink, &world.login);
        let other = world.own("POST", "events/1/replay", Value::Null).await;
        assert_error(&other, 20404, 404, "No webhook");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_a_page_in_which_nothing_runs() {
    for world in worlds().await {
        let mail = json!({
            "personalizations": [{"to": [{"email": "ann@example.com"}]}],
            "from": {"email": "shop@example.com"},
            "subject": "Hello",
            "content": [{"type": "text/html", "value": "<b>Hello</b><script>alert(1)</script>"}],
        });
        let request = Request::new("POST", "/v3/mail/send")
            .header("Authorization", "Bearer SG.any.key")
            .body("application/json", mail.to_string().into_bytes());
        assert_eq!(world.send(request).await.status, 202);
        let id = eventually("a mail", || async {
            let mails = world.own("GET", "mailboxes/ann@example.com/mails", Value::Null).await;
            mails.json()["mails"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        let path = format!("mailboxes/ann@example.com/mails/{id}/page");
        let page = world.own("GET", &path, Value::Null).await;
        assert!(page.text().contains("<b>Hello</b>"), "{page:?}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
        let none = "mailboxes/ann@example.com/mails/none/page";
        assert_error(&world.own("GET", none, Value::Null).await, 20404, 404, "no mail");
        eventually("the mail's events by its id", || async {
            let events = ask(&world, &format!("events?sid={id}&after=0")).await.to_string();
            events.contains("email.delivered").then_some(())
        })
        .await;
    }
}

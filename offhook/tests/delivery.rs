//! Goal: what is accepted ends as its handset decides, and the application is told
//! in order and signed (messaging §3, §5, §6, §8, §10). Method: a table of handset
//! behaviours, an application that records, and a clock that is moved.

mod harness;

use harness::{Act, Login, Request, WebhookSink, World, assert_error, worlds};
use serde_json::Value;

const TO: &str = "+14155550111";
/// The first bytes of a PNG, and some that are no text.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff\xfe";

#[tokio::test(flavor = "multi_thread")]
async fn handsets_decide_how_messages_end() {
    for world in worlds().await {
        for (at, (behaviour, status, code)) in [
            ("on", "delivered", None),
            ("off", "undelivered", Some(30003)),
            ("landline", "undelivered", Some(30006)),
            ("unknown", "undelivered", Some(30005)),
            ("full", "undelivered", Some(30003)),
            ("filtered", "undelivered", Some(30007)),
            ("silent", "sent", None),
        ]
        .into_iter()
        .enumerate()
        {
            let to = format!("+1415555012{at}");
            world.handset(&to, behaviour).await;
            let sid = world.sent(&[("To", &to), ("Body", behaviour)]).await;
            let message = world.reached(&sid, status).await;
            assert_eq!(message["error_code"].as_u64(), code, "{behaviour}");
            assert_eq!(message["error_message"].is_null(), code.is_none(), "{behaviour}");
            assert!(message["date_sent"].is_string(), "{behaviour}");
            let shown = usize::from(behaviour == "on");
            assert_eq!(world.received(&to).await.len(), shown, "{behaviour}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handset_confirms_when_its_time_has_come() {
    for world in worlds().await {
        world.handset(TO, "slow").await;
        let sid = world.sent(&[("To", TO), ("Body", "slowly")]).await;
        world.reached(&sid, "sent").await;
        world.advance(29).await;
        assert_eq!(world.fetch_message(&sid).await["status"], "sent");
        world.advance(2).await;
        world.reached(&sid, "delivered").await;
        assert_eq!(world.bodies(TO, 1).await, ["slowly"]);
        world.stop().await;
    }
}

/// The statuses that the application was told, each told once and signed.
async fn told(world: &World, sink: &WebhookSink, path: &str, count: usize) -> Vec<String> {
    let seen = sink.wait(path, count).await;
    for one in &seen {
        one.assert_signed(sink, &world.login);
        assert_eq!(one.method, "POST");
        assert_eq!(one.value("MessageStatus"), one.value("SmsStatus"));
        assert_eq!(one.value("MessageSid"), one.value("SmsSid"));
        assert_eq!(one.value("AccountSid"), world.sid());
        assert_eq!(one.value("ApiVersion"), "2010-04-01");
        assert_eq!(one.value("From"), world.number);
    }
    seen.iter().map(|one| one.value("MessageStatus")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_told_each_step_in_order_and_signed() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world.handset("+14155550122", "filtered").await;
        for round in 0..5 {
            let path = format!("/ok{round}");
            let url = format!("{}?order=1&x=a%20b", sink.at(&path));
            world.sent(&[("To", TO), ("Body", "x"), ("StatusCallback", &url)]).await;
            assert_eq!(told(&world, &sink, &path, 3).await, ["sending", "sent", "delivered"]);
        }
        let last = sink.seen("/ok0").pop().unwrap();
        assert_eq!(last.query, "order=1&x=a%20b");
        assert_eq!(last.value("To"), TO);
        assert_eq!(last.value("RawDlrDoneDate").len(), 10);
        assert_eq!(last.param("ErrorCode"), None);

        let url = sink.at("/bad");
        world.sent(&[("To", "+14155550122"), ("Body", "x"), ("StatusCallback", &url)]).await;
        assert_eq!(told(&world, &sink, "/bad", 3).await, ["sending", "sent", "undelivered"]);
        assert_eq!(sink.seen("/bad").pop().unwrap().value("ErrorCode"), "30007");

        // A callback that fails is an alert, and the message goes on.
        let url = sink.on("/broken", Act::answer(500, "text/plain", "no"));
        let sid = world.sent(&[("To", TO), ("Body", "x"), ("StatusCallback", &url)]).await;
        world.reached(&sid, "delivered").await;
        sink.wait("/broken", 3).await;
        world.alert(&sid, 11200).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_and_overrides_direct_the_callbacks() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let form = [("MessageStatusCallback", &*sink.at("/app"))];
        let app = world.post(&world.path("Applications.json"), &form).await.text_of("sid");
        world.sent(&[("To", TO), ("Body", "x"), ("ApplicationSid", &app)]).await;
        assert_eq!(told(&world, &sink, "/app", 3).await, ["sending", "sent", "delivered"]);

        // The message's own URL wins.
        let own = sink.at("/own");
        let form =
            [("To", TO), ("Body", "x"), ("ApplicationSid", &*app), ("StatusCallback", &*own)];
        world.sent(&form).await;
        sink.wait("/own", 3).await;
        assert_eq!(sink.seen("/app").len(), 3);

        // The fragment says how often to try again and is never sent.
        let failing = Act::answer(500, "text/plain", "later");
        let fine = Act::answer(200, "text/plain", "");
        let url = sink.in_turn("/again", vec![failing.clone(), failing, fine]);
        let url = format!("{url}#rc=2&rp=5xx");
        let sid = world.sent(&[("To", TO), ("Body", "x"), ("StatusCallback", &url)]).await;
        world.reached(&sid, "delivered").await;
        let seen = sink.wait("/again", 5).await;
        assert!(seen.iter().all(|one| !one.query.contains("rc=")), "{seen:?}");
        for one in &seen {
            one.assert_signed(&sink, &world.login);
        }
        assert!(world.events("alert", &sid).await.is_empty());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_expires_in_the_queue() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        // It waits for its media, and meanwhile its time is over.
        let media = sink.on("/slow", Act::Stall);
        let sid = world
            .sent(&[("To", TO), ("Body", "x"), ("MediaUrl", &media), ("ValidityPeriod", "10")])
            .await;
        sink.wait("/slow", 1).await;
        world.advance(11).await;
        sink.on("/slow", Act::answer(200, "image/png", PICTURE));
        sink.release();
        let message = world.reached(&sid, "failed").await;
        assert_eq!(message["error_code"], 30036, "{message}");
        assert_eq!(message["price"], Value::Null);
        assert!(world.received(TO).await.is_empty());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_fetched_kept_shown_and_deleted() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let picture = sink.on("/picture", Act::answer(200, "image/png", PICTURE));
        let moved = sink.on("/moved", Act::redirect(&picture));
        let form = [("To", TO), ("Body", "look"), ("MediaUrl", &*picture), ("MediaUrl", &*moved)];
        let reply = world.message(&form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(
            (reply.text_of("num_media"), reply.text_of("num_segments")),
            ("2".into(), "1".into())
        );
        let sid = reply.text_of("sid");
        assert!(sid.starts_with("MM"), "{sid}");
        let message = world.reached(&sid, "delivered").await;
        assert_eq!(message["price"], "-0.02000");

        let path = |rest: &str| world.path(&format!("Messages/{sid}/Media{rest}"));
        let list = world.get(&path(".json")).await.json();
        let media = list["media_list"].as_array().unwrap().clone();
        assert_eq!(media.len(), 2, "{list}");
        let one = media[0]["sid"].as_str().unwrap().to_owned();
        assert_eq!(media[0]["parent_sid"], *sid);
        assert_eq!(media[0]["content_type"], "image/png");
        assert_eq!(media[0]["uri"], path(&format!("/{one}.json")));
        let paged = world.get(&path(".json?PageSize=1")).await.json();
        let next = world.get(paged["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(next["media_list"][0]["sid"], media[1]["sid"]);

        let bad = world.get(&path(".json?Page=1&PageToken=PAzz")).await;
        assert_error(&bad, 21481, 400, "PageToken");

        let shown = world.get(&path(&format!("/{one}.json"))).await.json();
        assert_eq!(shown, media[0]);
        let bytes = world.send(Request::new("GET", &path(&format!("/{one}")))).await;
        assert_eq!((bytes.status, bytes.header("content-type")), (200, Some("image/png")));
        assert_eq!(bytes.body, PICTURE);

        // What the handset shows is the same bytes.
        let entry = world.received(TO).await.remove(0);
        let urls: Vec<&str> =
            entry["media"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
        assert_eq!(urls.len(), 2);
        for url in urls {
            let at = url.strip_prefix(&world.url).expect("the platform serves it");
            assert_eq!(world.send(Request::new("GET", at)).await.body, PICTURE, "{url}");
        }

        assert_eq!(world.delete(&path(&format!("/{one}.json"))).await.status, 204);
        let gone = path(&format!("/{one}"));
        assert_error(&world.get(&format!("{gone}.json")).await, 20404, 404, &gone);
        assert_eq!(world.send(Request::new("GET", &gone)).await.status, 404);
        let other = media[1]["sid"].as_str().unwrap();
        assert_eq!(world.delete(&world.path(&format!("Messages/{sid}.json"))).await.status, 204);
        assert_eq!(world.send(Request::new("GET", &path(&format!("/{other}")))).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_kept_even_when_its_receipt_comes_first() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let picture = sink.on("/picture", Act::answer(200, "image/png", PICTURE));
        let mut sids = Vec::new();
        for _ in 0..40 {
            sids.push(world.sent(&[("To", TO), ("MediaUrl", &picture)]).await);
        }
        for sid in sids {
            world.reached(&sid, "delivered").await;
            let path = world.path(&format!("Messages/{sid}/Media.json"));
            let list = world.get(&path).await.json();
            assert_eq!(list["media_list"].as_array().unwrap().len(), 1, "{sid}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_that_cannot_be_had_fails_its_message() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/missing", Act::answer(404, "text/plain", "no"));
        sink.on("/cut", Act::Drop);
        sink.on("/large", Act::answer(200, "image/png", vec![0; 6 * 1024 * 1024]));
        for (path, code) in [("/missing", 11200), ("/cut", 11206), ("/large", 11751)] {
            let url = sink.at(path);
            let sid = world.sent(&[("To", TO), ("MediaUrl", &url)]).await;
            let message = world.reached(&sid, "failed").await;
            assert_eq!(message["error_code"], code, "{path}");
            assert_eq!((&message["price"], &message["date_sent"]), (&Value::Null, &Value::Null));
            let alert = world.alert(&sid, code).await;
            assert_eq!(alert["data"]["url"], url);
        }
        assert!(world.received(TO).await.is_empty());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_is_paid_and_what_fails_is_not() {
    for world in worlds().await {
        let balance = world.path("Balance.json");
        let before = world.get(&balance).await.json();
        assert_eq!(before["balance"], "100.00000");
        assert_eq!(
            (&before["currency"], &before["account_sid"]),
            (&"USD".into(), &world.sid().into())
        );
        let sid = world.delivered(&[("To", TO), ("Body", &"a".repeat(161))]).await;
        let message = world.fetch_message(&sid).await;
        assert_eq!(
            (&message["price"], &message["price_unit"]),
            (&"-0.01580".into(), &"USD".into())
        );
        assert_eq!(world.get(&balance).await.json()["balance"], "99.98420");
        let sink = WebhookSink::start().await;
        let media = sink.on("/none", Act::answer(404, "text/plain", ""));
        let failed = world.sent(&[("To", TO), ("MediaUrl", &media)]).await;
        world.reached(&failed, "failed").await;
        assert_eq!(world.get(&balance).await.json()["balance"], "99.98420");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_taken_where_it_was_promised() {
    for world in worlds().await {
        let form = [("To", TO), ("Body", "x"), ("ProvideFeedback", "true")];
        let reply = world.message(&form).await.json();
        let sid = reply["sid"].as_str().unwrap();
        let path = world.path(&format!("Messages/{sid}/Feedback.json"));
        assert_eq!(reply["subresource_uris"]["feedback"], path);
        world.reached(sid, "delivered").await;
        let fault = world.post(&path, &[("Outcome", "maybe")]).await;
        assert_error(&fault, 20001, 400, "Outcome");
        for outcome in ["unconfirmed", "confirmed"] {
            let feedback = world.post(&path, &[("Outcome", outcome)]).await;
            assert_eq!(feedback.status, 200, "{feedback:?}");
            let feedback = feedback.json();
            assert_eq!(feedback["outcome"], outcome);
            assert_eq!(
                (&feedback["message_sid"], &feedback["uri"]),
                (&sid.into(), &path.clone().into())
            );
        }
        let without = world.delivered(&[("To", TO), ("Body", "x")]).await;
        let path = world.path(&format!("Messages/{without}/Feedback.json"));
        assert_error(&world.post(&path, &[]).await, 20404, 404, "not found");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_obfuscated_address_is_masked_when_the_message_has_ended() {
    for world in worlds().await {
        let form = [("To", TO), ("Body", "x"), ("AddressRetention", "obfuscate")];
        let sid = world.sent(&form).await;
        let message = world.reached(&sid, "delivered").await;
        assert_eq!(message["to"], "+1415555XXXX", "{message}");
        assert_eq!(world.bodies(TO, 1).await, ["x"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_accounts_queue_fails() {
    for world in worlds().await {
        let child = world.subaccount("Child").await;
        let (_, number) = world.buy(&child, "415").await;
        let sink = WebhookSink::start().await;
        let media = sink.on("/held", Act::Stall);
        let path = harness::account_path(&child.user, "Messages.json");
        let form = [("To", TO), ("From", &*number), ("MediaUrl", &*media)];
        let held = world.post_as(&child, &path, &form).await.text_of("sid");
        sink.wait("/held", 1).await;
        suspend(&world, &child).await;
        sink.on("/held", Act::answer(200, "image/png", PICTURE));
        sink.release();
        let path = harness::account_path(&child.user, &format!("Messages/{held}.json"));
        let message = harness::eventually("the held message fails", || async {
            let message = world.get(&path).await.json();
            (message["status"] == "failed").then_some(message)
        })
        .await;
        assert_eq!(message["error_code"], 30002, "{message}");
        assert!(world.received(TO).await.is_empty());
        world.stop().await;
    }
}

async fn suspend(world: &World, child: &Login) {
    let path = format!("/2010-04-01/Accounts/{}.json", child.user);
    let reply = world.post(&path, &[("Status", "suspended")]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

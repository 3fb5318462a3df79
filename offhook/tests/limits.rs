//! Goal: one account's flood is that account's: others are served, and it is told when to come
//! back. Method: two accounts, one with more jobs than a node can do; limits of the configuration.

mod harness;

use std::time::{Duration, Instant};

use harness::{Act, Request, WebhookSink, account_path, assert_error, worlds, worlds_with};
use offhook::server::LimitsConfig;
use rest::Limits;
use store::Batch;

const USER: &str = "+14155550111";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_account_does_not_keep_another_waiting() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let stalled = sink.on("/stalled", Act::Stall);
        let other = world.subaccount("quiet").await;
        let (_, number) = world.buy(&other, "415").await;
        // Callbacks that take their time, by the thousand, each in a lane of its own.
        let store = &world.platform().store;
        let account = store.account(world.sid().parse().unwrap());
        for chunk in 0..10 {
            let mut batch = account.batch();
            for at in 0..300 {
                let callback = webhooks::Callback {
                    url: stalled.clone(),
                    method: "POST".into(),
                    params: vec![],
                    resource: format!("SM{chunk:016}{at:016}"),
                };
                webhooks::promise(&mut batch, &world.platform().clock, callback);
            }
            account.commit(batch).await.unwrap();
        }
        harness::eventually("the flood fills what an account may have", || async {
            (sink.seen("/stalled").len() >= 150).then_some(())
        })
        .await;
        let begun = Instant::now();
        let path = account_path(&other.user, "Messages.json");
        let form = [("To", USER), ("From", &*number), ("Body", "x")];
        let sent = world.post_as(&other, &path, &form).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let one = account_path(&other.user, &format!("Messages/{}.json", sent.text_of("sid")));
        harness::eventually("the other is delivered", || async {
            let message = world.get_as(&other, &one).await.json();
            (message["status"] == "delivered").then_some(())
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        // The flood goes away: nobody waits for its end.
        let mut batch = Batch::new();
        batch.run("DELETE FROM job WHERE queue = 'webhook.callback'", vec![]);
        store.commit(batch).await.unwrap();
        sink.release();
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_limits_an_account_is_told_when_to_come_back() {
    let limited = |limits: Limits| {
        move |settings: &mut offhook::server::Settings| {
            settings.config.limits = LimitsConfig { everybody: limits, ..LimitsConfig::default() };
        }
    };
    let rate = limited(Limits { requests_per_second: 5, ..Limits::default() });
    for world in worlds_with(&rate).await {
        let mut refused = None;
        for _ in 0..20 {
            let reply = world.get(&world.path("Messages.json")).await;
            if reply.status == 429 {
                refused = Some(reply);
                break;
            }
        }
        let refused = refused.expect("twenty at once are more than five a second");
        assert_error(&refused, 20429, 429, "Too Many Requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(world.get(&world.path("Messages.json")).await.status, 200);
        world.stop().await;
    }
    let jobs = limited(Limits { waiting_jobs: 3, ..Limits::default() });
    for world in worlds_with(&jobs).await {
        // What is to be sent tomorrow waits until then.
        let account = world.platform().store.account(world.sid().parse().unwrap());
        let mut batch = account.batch();
        for _ in 0..3 {
            let job = jobs::NewJob::now("webhook.callback", &world.platform().clock, &"later");
            jobs::add(&mut batch, &world.platform().clock, job.after(Duration::from_secs(86_400)));
        }
        account.commit(batch).await.unwrap();
        let full = world.message(&[("To", USER), ("Body", "x")]).await;
        assert_error(&full, 20429, 429, "waiting");
        assert_eq!(full.header("retry-after"), Some("5"));
        assert_eq!(world.get(&world.path("Messages.json")).await.status, 200, "looking is allowed");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_too_much_says_so_instead_of_falling_over() {
    let tight = |settings: &mut offhook::server::Settings| {
        settings.config.limits =
            LimitsConfig { node_requests_in_flight: 1, ..LimitsConfig::default() };
    };
    for world in worlds_with(&tight).await {
        // A list is refused while half of the room is taken, and one request takes it all.
        let list =
            world.send(Request::new("GET", &world.path("Messages.json")).login(&world.login)).await;
        assert_error(&list, 20503, 503, "overloaded");
        assert_eq!(list.header("retry-after"), Some("1"));
        world.sent(&[("To", USER), ("Body", "writes go first")]).await;
        world.stop().await;
    }
}

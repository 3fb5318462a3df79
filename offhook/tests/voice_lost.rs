//! Goal: a call never hangs, whatever is lost beside it, and who waited hears what there is to hear
//! first (twiml §6.6, §6.8). Method: a platform that is started again under a call, a table that is
//! taken away, and simulated handsets.

mod harness;

use std::time::Duration;

use futures_util::StreamExt;
use harness::{Act, WebhookSink, World, worlds};
use serde_json::{Value, json};
use store::Batch;
use tokio::net::TcpListener;

const USER: &str = "+14155550111";
const OTHER: &str = "+14155550122";

/// An application that takes every WebSocket and says nothing.
async fn silent_application() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/talk", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    url
}

/// Waits for real until the state of the call holds this.
async fn holds(world: &World, sid: &str, part: &str) {
    let id = sid.strip_prefix("CA").unwrap();
    harness::eventually(part, || async {
        let sql = "SELECT live FROM call WHERE id = $1";
        let row = world.platform().store.point(sql, vec![id.into()]).await.unwrap();
        row.and_then(|row| row.opt_text(0).map(|live| live.contains(part)))
            .unwrap_or(false)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_when_its_stream_or_relay_was_lost_with_the_process() {
    for mut world in worlds().await {
        let sink = WebhookSink::start().await;
        let url = silent_application().await;
        for (noun, part) in [
            (format!("<Stream url=\"{url}\"/>"), "\"streams\":["),
            (format!("<ConversationRelay url=\"{url}\"/>"), "\"is_open\":true"),
        ] {
            let twiml = format!(
                "<Response><Connect>{noun}</Connect><Say>after</Say><Redirect>{}</Redirect></Response>",
                sink.on("/next", Act::twiml("<Hangup/>")),
            );
            let sid = world.called(USER, &[("Twiml", &twiml)]).await;
            holds(&world, &sid, part).await;
            // An order that is still being done would be done again, and begin it anew.
            world.settle().await;
            world.restart(&|_| {}).await;
            world.through_call(&sid, "completed").await;
            assert!(world.heard(USER).await.contains(&"say after".to_owned()), "{noun}");
        }
        assert_eq!(sink.seen("/next").len(), 2);
    }
}

async fn rename(world: &World, from: &str, to: &str) {
    let mut batch = Batch::new();
    batch.run(format!("ALTER TABLE {from} RENAME TO {to}"), vec![]);
    world.platform().store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_job_fails_for_good_ends_and_says_so() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let twiml = "<Response><Pause length=\"5\"/><Enqueue>support</Enqueue></Response>";
        let status = sink.at("/status");
        let sid = world.called(USER, &[("Twiml", twiml), ("StatusCallback", &status)]).await;
        world.through_call(&sid, "in-progress").await;
        rename(&world, "claim", "claim_lost").await;
        let mut call = Value::Null;
        for _ in 0..400 {
            call = world.fetch_call(&sid).await;
            if call["status"] != "in-progress" {
                break;
            }
            world.advance(60).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        rename(&world, "claim_lost", "claim").await;
        assert_eq!(call["status"], "failed", "{call}");
        world.alert(&sid, 12400).await;
        assert_eq!(sink.first("/status").await.value("CallStatus"), "failed");
        let lines = world.own("GET", &format!("handsets/{USER}/calls"), Value::Null).await.json();
        assert_eq!(lines["calls"][0]["status"], "ended");
        assert_eq!(
            world.own("GET", "dead-jobs", Value::Null).await.json()["dead_jobs"][0]["queue"],
            "voice.letter"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_hears_the_whisper_before_the_two_talk() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let whisper = sink.on("/whisper", Act::twiml("<Say>This call is recorded</Say>"));
        let waiting = "<Response><Enqueue waitUrl=\"\">support</Enqueue></Response>";
        let waiter = world.called(USER, &[("Twiml", waiting)]).await;
        world.through_call(&waiter, "in-progress").await;
        let taking =
            format!("<Response><Dial><Queue url=\"{whisper}\">support</Queue></Dial></Response>");
        let taker = world.called(OTHER, &[("Twiml", &taking)]).await;
        world.hears(USER, "say This call is recorded").await;
        let asked = sink.first("/whisper").await;
        assert_eq!(asked.value("CallSid"), waiter);
        assert_eq!(asked.value("DequeingCallSid"), taker);
        assert!(asked.value("QueueSid").starts_with("QU"));
        // Until it is over, the two do not hear each other.
        world.deed(OTHER, "speak", json!({ "text": "too early" })).await;
        world.advance(5).await;
        world.settle().await;
        world.deed(OTHER, "speak", json!({ "text": "good morning" })).await;
        let heard = world.heard(USER).await;
        assert!(!heard.contains(&"voice too early".to_owned()), "{heard:?}");
        assert!(heard.contains(&"voice good morning".to_owned()), "{heard:?}");
        world.deed(OTHER, "hangup", json!({})).await;
        world.through_call(&waiter, "completed").await;
    }
}

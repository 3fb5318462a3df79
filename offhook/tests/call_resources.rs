//! Goal: what belongs to a running call is changed by the API as it says: recordings pause, programs
//! send each other JSON, and what cannot be had is refused with its reason (voice-api §10, §12).
//! Method: calls on simulated handsets and a clock that is moved through them.

mod harness;

use harness::{WebhookSink, assert_error, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const WAIT: (&str, &str) = ("Twiml", "<Response><Pause length=\"60\"/></Response>");

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_pauses_and_goes_on() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        for (behaviour, seconds) in [("skip", 4..7), ("silence", 7..10)] {
            let call = world.called(USER, &[WAIT]).await;
            world.through_call(&call, "in-progress").await;
            let path = world.path(&format!("Calls/{call}/Recordings.json"));
            let callback = sink.at(&format!("/{behaviour}"));
            let form = [
                ("RecordingStatusCallback", callback.as_str()),
                ("RecordingStatusCallbackEvent", "in-progress paused resumed completed"),
            ];
            let recording = world.post(&path, &form).await.text_of("sid");
            world.settle().await;
            let current = world.path(&format!("Calls/{call}/Recordings/Twilio.CURRENT.json"));
            world.deed(USER, "speak", json!({"text": "Before"})).await;
            world.advance(2).await;
            let paused =
                world.post(&current, &[("Status", "paused"), ("PauseBehavior", behaviour)]).await;
            assert_eq!((paused.status, paused.text_of("status")), (200, "paused".into()));
            let fetched = world.get(&world.path(&format!("Recordings/{recording}.json"))).await;
            assert_eq!(fetched.text_of("status"), "paused");
            world.settle().await;
            world.deed(USER, "speak", json!({"text": "My card number"})).await;
            world.advance(3).await;
            let resumed = world.post(&current, &[("Status", "in-progress")]).await;
            assert_eq!(resumed.text_of("status"), "in-progress", "{resumed:?}");
            world.settle().await;
            world.deed(USER, "speak", json!({"text": "After"})).await;
            world.advance(2).await;
            let stopped = world.post(&current, &[("Status", "stopped")]).await;
            assert_eq!(stopped.text_of("status"), "stopped", "{stopped:?}");
            let told = sink.wait(&format!("/{behaviour}"), 4).await;
            let statuses: Vec<_> = told.iter().map(|seen| seen.value("RecordingStatus")).collect();
            assert_eq!(statuses, ["in-progress", "paused", "resumed", "completed"]);
            told[3].assert_signed(&sink, &world.login);
            let length: i64 = told[3].value("RecordingDuration").parse().unwrap();
            assert!(seconds.contains(&length), "{behaviour}: {length}");
            let again = world.post(&current, &[("Status", "paused")]).await;
            assert_eq!(again.status, 404, "{again:?}");
            let end = world.path(&format!("Calls/{call}.json"));
            assert_eq!(world.post(&end, &[("Status", "completed")]).await.status, 200);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_send_each_other_json() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let call = world.called("client:ada", &[WAIT]).await;
        let at = |rest: &str| world.path(&format!("Calls/{call}/{rest}.json"));
        let messages = at("UserDefinedMessages");
        let form = [("Content", "{\"early\":true}")];
        assert_error(&world.post(&messages, &form).await, 21220, 400, "not in-progress");
        world.through_call(&call, "in-progress").await;

        // What the application says reaches the program, once for each key.
        let form = [("Content", "{\"step\":1}"), ("IdempotencyKey", "a")];
        let first = world.post(&messages, &form).await;
        assert_eq!((first.status, first.text_of("call_sid")), (201, call.clone()), "{first:?}");
        assert!(first.text_of("sid").starts_with("KX"), "{first:?}");
        let again = world.post(&messages, &form).await;
        assert_eq!(again.text_of("sid"), first.text_of("sid"));
        let json = json!({"Content": {"step": 2}}).to_string().into_bytes();
        let request = harness::Request::new("POST", &messages).login(&world.login);
        let reply = world.send(request.body("application/json", json)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let lines = harness::eventually("both messages have come", || async {
            let mut lines = world.lines("client:ada").await;
            lines.retain(|(sound, _)| sound == "message");
            (lines.len() == 2).then_some(lines)
        })
        .await;
        let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["{\"step\":1}", "{\"step\":2}"]);

        // What the program says reaches who has subscribed, until they do not want it any more.
        let subscriptions = at("UserDefinedMessageSubscriptions");
        let callback = sink.at("/said");
        let form = [("Callback", callback.as_str()), ("IdempotencyKey", "s")];
        let made = world.post(&subscriptions, &form).await;
        assert!(made.text_of("sid").starts_with("ZY"), "{made:?}");
        let again = world.post(&subscriptions, &form).await;
        assert_eq!(again.text_of("sid"), made.text_of("sid"));
        world.deed("client:ada", "user-messages", json!({"hello": "world"})).await;
        let said = sink.first("/said").await;
        said.assert_signed(&sink, &world.login);
        assert_eq!(said.value("Content"), "{\"hello\":\"world\"}");
        assert_eq!(
            (said.value("CallSid"), said.value("ContentType")),
            (call.clone(), "application/json".into())
        );
        let one = at(&format!("UserDefinedMessageSubscriptions/{}", made.text_of("sid")));
        assert_eq!(world.delete(&one).await.status, 204);
        assert_eq!(world.delete(&one).await.status, 404);
        world.deed("client:ada", "user-messages", json!("unheard")).await;
        world.settle().await;
        assert_eq!(sink.seen("/said").len(), 1);

        for (form, code, mentions) in
            [(vec![], 32702, "Content"), (vec![("Content", "not json")], 32702, "JSON")]
        {
            assert_error(&world.post(&messages, &form).await, code, 400, mentions);
        }
        let long = format!("\"{}\"", "x".repeat(10_000));
        assert_error(&world.post(&messages, &[("Content", &long)]).await, 32703, 400, "10000");
        assert_error(&world.post(&subscriptions, &[]).await, 21205, 400, "Callback");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_refused_with_its_reason() {
    for world in worlds().await {
        let call = world.called(USER, &[WAIT]).await;
        let at = |rest: &str| world.path(&format!("Calls/{call}/{rest}.json"));
        let form = [("IdempotencyKey", "a"), ("StatusCallback", "https://example.com/pay")];
        assert_error(&world.post(&at("Payments"), &form).await, 21220, 400, "in-progress");
        world.through_call(&call, "in-progress").await;
        let elsewhere = [form[0], form[1], ("PaymentConnector", "Elsewhere")];
        assert_error(&world.post(&at("Payments"), &elsewhere).await, 64004, 400, "Elsewhere");
        assert_error(&world.post(&at("Payments"), &[]).await, 20001, 400, "IdempotencyKey");
        let none = at("Payments/PK00000000000000000000000000000000");
        assert_error(&world.post(&none, &form).await, 64018, 400, "Capture");
        let step = [form[0], form[1], ("Status", "complete")];
        assert_error(&world.post(&none, &step).await, 20404, 404, "");
        let form = [("ConnectorName", "Box"), ("Parameter1.Name", "a"), ("Parameter1.Value", "b")];
        assert_error(&world.post(&at("Siprec"), &form).await, 20001, 400, "Box");

        // A recording has no results of add-ons, and a conference no recording of its own.
        let recording = world.post(&at("Recordings"), &[]).await.text_of("sid");
        let results = world.path(&format!("Recordings/{recording}/AddOnResults.json"));
        assert_eq!(world.get(&results).await.json()["add_on_results"], json!([]));
        let unknown = world.path("Recordings/RE00000000000000000000000000000000/AddOnResults.json");
        assert_error(&world.get(&unknown).await, 20404, 404, "");

        // An archived call can only be removed, when it is over, by the day it was made on.
        let end = world.path(&format!("Calls/{call}.json"));
        let archived = |day: &str| format!("/_/voice/v1/Archives/{day}/Calls/{call}");
        let day = world.platform().clock.now().date();
        assert_eq!(world.delete(&archived(&day)).await.status, 409);
        assert_eq!(world.post(&end, &[("Status", "completed")]).await.status, 200);
        assert_error(&world.delete(&archived("2001-01-01")).await, 20404, 404, "");
        assert_eq!(world.delete(&archived(&day)).await.status, 204);
        assert_eq!(world.get(&end).await.status, 404);
        let value: Value = world.get(&world.path("Calls.json")).await.json();
        assert_eq!(value["calls"], json!([]));
        world.stop().await;
    }
}

//! Goal: a Messaging Service chooses senders, schedules, and keeps its pool's opt-outs as one
//! (messaging §12, §13; compliance §1). Method: services made through the API, handsets that
//! receive, and a clock that is moved instead of waited for.

mod harness;

use harness::{WebhookSink, World, assert_error, worlds};
use serde_json::Value;

const USER: &str = "+14155550111";

/// The path of a messaging resource.
fn at(rest: &str) -> String {
    format!("/_/messaging/v1/Services{rest}")
}

/// A service with these settings; its SID.
async fn service(world: &World, settings: &[(&str, &str)]) -> String {
    let mut form = vec![("FriendlyName", "Test")];
    form.extend(settings);
    let made = world.post(&at(""), &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.text_of("sid")
}

/// Puts a number of the account into a pool.
async fn join(world: &World, service: &str, number: &str) -> String {
    let sid = world.number_sid(number).await;
    let path = at(&format!("/{service}/PhoneNumbers"));
    let joined = world.post(&path, &[("PhoneNumberSid", &sid)]).await;
    assert_eq!(joined.status, 201, "{joined:?}");
    assert_eq!(joined.text_of("phone_number"), number);
    sid
}

/// Seconds from now, as the API writes times.
async fn later(world: &World, seconds: u64) -> String {
    let now = world.platform().clock.now();
    (now + std::time::Duration::from_secs(seconds)).format("%Y-%m-%dT%H:%M:%SZ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_chooses_the_sender() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let service = service(&world, &[("StatusCallback", &sink.at("/status"))]).await;
        let to_service = [("To", USER), ("Body", "hi"), ("MessagingServiceSid", service.as_str())];
        assert_error(&world.message(&to_service).await, 21704, 400, &service);
        join(&world, &service, &world.number).await;

        let created = world.message(&to_service).await;
        assert_eq!(created.status, 201, "{created:?}");
        let json = created.json();
        assert_eq!((&json["status"], &json["from"]), (&"accepted".into(), &Value::Null));
        assert_eq!(json["num_segments"], "0");
        let message = world.reached(&created.text_of("sid"), "delivered").await;
        assert_eq!(message["from"], world.number.as_str());
        assert_eq!(message["num_segments"], "1");
        let seen = sink.wait("/status", 4).await;
        let statuses: Vec<_> = seen.iter().map(|post| post.value("MessageStatus")).collect();
        assert_eq!(statuses, ["queued", "sending", "sent", "delivered"]);
        assert_eq!(seen[0].value("MessagingServiceSid"), service);

        // A service may be named as the sender; a number must be in the pool.
        let as_from = world.message(&[("To", USER), ("Body", "hi"), ("From", &service)]).await;
        assert_eq!(as_from.text_of("status"), "accepted");
        let (_, other) = world.buy(&world.login, "212").await;
        let stranger = [to_service.as_slice(), &[("From", other.as_str())]].concat();
        assert_error(&world.message(&stranger).await, 21711, 400, &other);
        for (bad, code, http) in
            [("MGnope", 21705, 400), ("MG00000000000000000000000000000001", 21701, 404)]
        {
            let form = [("To", USER), ("Body", "hi"), ("MessagingServiceSid", bad)];
            assert_error(&world.message(&form).await, code, http, bad);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_keeps_the_sender_it_knows() {
    for world in worlds().await {
        let service = service(&world, &[("AreaCodeGeomatch", "false")]).await;
        let mut numbers = vec![world.number.clone()];
        join(&world, &service, &world.number).await;
        for _ in 0..3 {
            let (_, number) = world.buy(&world.login, "212").await;
            join(&world, &service, &number).await;
            numbers.push(number);
        }
        let mut used = Vec::new();
        for _ in 0..6 {
            let form = [("To", USER), ("Body", "hi"), ("MessagingServiceSid", service.as_str())];
            let sid = world.sent(&form).await;
            used.push(world.reached(&sid, "delivered").await["from"].clone());
        }
        used.dedup();
        assert_eq!(used.len(), 1, "one sender for one recipient: {used:?}");

        // It leaves the pool; another takes over.
        let known = used[0].as_str().unwrap().to_owned();
        let sid = world.number_sid(&known).await;
        let gone = world.delete(&at(&format!("/{service}/PhoneNumbers/{sid}"))).await;
        assert_eq!(gone.status, 204, "{gone:?}");
        let owned = world.get(&world.path(&format!("IncomingPhoneNumbers/{sid}.json"))).await;
        assert_eq!(owned.status, 200, "the number itself stays: {owned:?}");
        let form = [("To", USER), ("Body", "hi"), ("MessagingServiceSid", service.as_str())];
        let next = world.reached(&world.sent(&form).await, "delivered").await;
        assert_ne!(next["from"], known.as_str());
        assert!(numbers.iter().any(|number| next["from"] == number.as_str()));

        // A number that is released sends no more, though nobody took it out of the pool.
        let known = next["from"].as_str().unwrap().to_owned();
        let sid = world.number_sid(&known).await;
        let path = world.path(&format!("IncomingPhoneNumbers/{sid}.json"));
        assert_eq!(world.delete(&path).await.status, 204);
        let after = world.reached(&world.sent(&form).await, "delivered").await;
        assert_ne!(after["from"], known.as_str());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_in_one_pool_and_a_service_frees_its_own() {
    for world in worlds().await {
        let (first, second) = (service(&world, &[]).await, service(&world, &[]).await);
        let sid = join(&world, &first, &world.number).await;
        let again = [("PhoneNumberSid", sid.as_str())];
        let path = |service: &str| at(&format!("/{service}/PhoneNumbers"));
        assert_error(&world.post(&path(&first), &again).await, 21710, 409, &first);
        assert_error(&world.post(&path(&second), &again).await, 21712, 409, &first);
        let nowhere = path("MG00000000000000000000000000000001");
        assert_error(&world.post(&nowhere, &again).await, 20404, 404, "");
        assert_eq!(world.get(&nowhere).await.status, 404);

        assert_eq!(world.delete(&at(&format!("/{first}"))).await.status, 204);
        join(&world, &second, &world.number).await;
        let listed = world.get(&path(&second)).await.json();
        assert_eq!(listed["phone_numbers"][0]["sid"], sid.as_str());
        assert_eq!(
            listed["phone_numbers"][0]["capabilities"],
            serde_json::json!(["MMS", "SMS", "Voice"])
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_goes_when_its_time_comes() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        join(&world, &service, &world.number).await;
        let month = later(&world, 35 * 24 * 3600 - 60).await;
        let form = |at: &'static str| {
            [
                ("To", USER),
                ("Body", "later"),
                ("MessagingServiceSid", at),
                ("ScheduleType", "fixed"),
            ]
        };
        let base = form("");
        let scheduled = |at: &str| {
            let mut form = base.to_vec();
            form[2].1 = service.clone().leak();
            form.push(("SendAt", at.to_owned().leak()));
            form
        };
        let created = world.message(&scheduled(&month)).await;
        assert_eq!(created.status, 201, "{created:?}");
        let json = created.json();
        assert_eq!((&json["status"], &json["date_sent"]), (&"scheduled".into(), &Value::Null));
        let sid = created.text_of("sid");
        let doomed = world.message(&scheduled(&month)).await.text_of("sid");
        let canceled = world
            .post(&world.path(&format!("Messages/{doomed}.json")), &[("Status", "canceled")])
            .await;
        assert_eq!(canceled.text_of("status"), "canceled");

        world.advance(34 * 24 * 3600).await;
        assert_eq!(world.fetch_message(&sid).await["status"], "scheduled");
        world.advance(24 * 3600 + 60).await;
        world.reached(&sid, "delivered").await;
        assert_eq!(world.bodies(USER, 1).await, ["later"]);
        assert_eq!(world.fetch_message(&doomed).await["status"], "canceled");

        for (seconds, code) in [(200, 35114), (36 * 24 * 3600, 35114)] {
            let at = later(&world, seconds).await;
            assert_error(&world.message(&scheduled(&at)).await, code, 400, "SendAt");
        }
        let soon = later(&world, 1000).await;
        let without = [
            ("To", USER),
            ("Body", "x"),
            ("From", world.number.as_str()),
            ("ScheduleType", "fixed"),
            ("SendAt", soon.as_str()),
        ];
        assert_error(&world.message(&without).await, 35118, 400, "MessagingServiceSid");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stop_counts_for_the_whole_pool() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let service = service(&world, &[("InboundRequestUrl", &sink.at("/in"))]).await;
        join(&world, &service, &world.number).await;
        let (_, second) = world.buy(&world.login, "212").await;
        join(&world, &service, &second).await;
        // The number's own webhook is not asked.
        world.configure(&[("SmsUrl", &sink.at("/number"))]).await;

        let soon = later(&world, 3600).await;
        let scheduled = world
            .sent(&[
                ("To", USER),
                ("Body", "later"),
                ("MessagingServiceSid", &service),
                ("ScheduleType", "fixed"),
                ("SendAt", &soon),
            ])
            .await;
        world.type_on(USER, &world.number, "STOP").await;
        let seen = sink.first("/in").await;
        assert_eq!(seen.value("MessagingServiceSid"), service);
        assert!(sink.seen("/number").is_empty());
        for form in [
            [("To", USER), ("Body", "x"), ("MessagingServiceSid", service.as_str())],
            [("To", USER), ("Body", "x"), ("From", second.as_str())],
        ] {
            assert_error(&world.message(&form).await, 21610, 400, &service);
        }
        // What was scheduled before fails when its time comes.
        world.advance(3700).await;
        assert_eq!(world.reached(&scheduled, "failed").await["error_code"], 21610);
        world.type_on(USER, &second, "START").await;
        sink.wait("/in", 2).await;
        let form = [("To", USER), ("Body", "back"), ("MessagingServiceSid", service.as_str())];
        world.reached(&world.sent(&form).await, "delivered").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_reach_where_names_are_shown() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let path = at(&format!("/{service}/AlphaSenders"));
        let made = world.post(&path, &[("AlphaSender", "Acme")]).await;
        assert_eq!((made.status, made.text_of("alpha_sender")), (201, "Acme".into()));
        assert_error(&world.post(&path, &[("AlphaSender", "1234")]).await, 21709, 400, "1234");
        assert_error(&world.post(&path, &[("AlphaSender", "")]).await, 21708, 400, "AlphaSender");
        let destinations = at(&format!("/{service}/DestinationAlphaSenders"));
        let german = [("AlphaSender", "AcmeDE"), ("IsoCountryCode", "DE")];
        assert_eq!(world.post(&destinations, &german).await.status, 201);

        for (to, from) in [("+4915123456789", "AcmeDE"), ("+33612345678", "Acme")] {
            let form = [("To", to), ("Body", "hi"), ("MessagingServiceSid", service.as_str())];
            let sid = world.sent(&form).await;
            assert_eq!(world.reached(&sid, "delivered").await["from"], from, "{to}");
        }
        let american = [("To", USER), ("Body", "hi"), ("MessagingServiceSid", service.as_str())];
        assert_error(&world.message(&american).await, 21703, 400, &service);
        world.stop().await;
    }
}

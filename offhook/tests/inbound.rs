//! Goal: what somebody types reaches the application complete and signed, and what
//! it answers is done (messaging §9, §11; compliance §1). Method: an application
//! that answers what the table says, handsets that type, and the alerts as events.

mod harness;

use std::collections::BTreeSet;

use base64::Engine;
use harness::{Act, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";

/// Types on the user's handset; the SID of the inbound message.
async fn typed(world: &World, body: &str) -> String {
    let reply = world.type_on(USER, &world.number, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.text_of("sid")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_carries_every_parameter() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world.configure(&[("SmsUrl", &format!("{}?who=me", sink.at("/sms")))]).await;
        let sid = typed(&world, "Ahoy & ciao €").await;
        let seen = sink.first("/sms").await;
        assert_eq!((seen.method.as_str(), seen.query.as_str()), ("POST", "who=me"));
        seen.assert_signed(&sink, &world.login);
        let names: BTreeSet<String> = seen.params().into_iter().map(|(name, _)| name).collect();
        let expected = "AccountSid ApiVersion Body From FromCity FromCountry FromState FromZip \
                        MessageSid NumMedia NumSegments SmsMessageSid SmsSid SmsStatus To ToCity \
                        ToCountry ToState ToZip";
        assert_eq!(names, expected.split_whitespace().map(str::to_owned).collect());
        for (name, value) in [
            ("MessageSid", &*sid),
            ("SmsSid", &sid),
            ("SmsMessageSid", &sid),
            ("AccountSid", world.sid()),
            ("From", USER),
            ("To", &world.number),
            ("Body", "Ahoy & ciao €"),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("SmsStatus", "received"),
            ("ApiVersion", "2010-04-01"),
            ("FromCountry", "US"),
            ("ToCountry", "US"),
        ] {
            assert_eq!(seen.value(name), value, "{name}");
        }
        let message = world.fetch_message(&sid).await;
        assert_eq!(
            (&message["direction"], &message["status"]),
            (&"inbound".into(), &"received".into())
        );
        assert_eq!(message["num_segments"], "1");

        world.configure(&[("SmsUrl", &sink.at("/get")), ("SmsMethod", "GET")]).await;
        let sid = typed(&world, "again").await;
        let seen = sink.first("/get").await;
        assert_eq!((seen.method.as_str(), seen.value("MessageSid")), ("GET", sid));
        seen.assert_signed(&sink, &world.login);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_from_a_handset_reaches_the_application() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world.configure(&[("SmsUrl", &sink.at("/sms"))]).await;
        let data = base64::engine::general_purpose::STANDARD.encode(b"\xff\xd8\xff picture");
        let media = json!([{"content_type": "image/jpeg", "data": data}]);
        let body = json!({"to": world.number, "body": "", "media": media});
        let sent = world.own("POST", &format!("handsets/{USER}/messages"), body).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let sid = sent.text_of("sid");
        assert!(sid.starts_with("MM"), "{sid}");
        let seen = sink.first("/sms").await;
        assert_eq!((seen.value("NumMedia"), seen.value("Body")), ("1".into(), String::new()));
        assert_eq!(seen.value("MediaContentType0"), "image/jpeg");
        let url = seen.value("MediaUrl0");
        let at = url.strip_prefix(&world.url).expect("the platform serves it");
        let bytes = world.send(harness::Request::new("GET", at)).await;
        assert_eq!((bytes.status, &*bytes.body), (200, &b"\xff\xd8\xff picture"[..]));
        // A type that is none cannot break the answer.
        let media = json!([{"content_type": "im\r\nX-Evil: 1", "data": data}]);
        let body = json!({"to": world.number, "body": "", "media": media});
        world.own("POST", &format!("handsets/{USER}/messages"), body).await;
        let url = sink.wait("/sms", 2).await[1].value("MediaUrl0");
        let at = url.strip_prefix(&world.url).expect("the platform serves it");
        let bytes = world.send(harness::Request::new("GET", at)).await;
        assert_eq!((bytes.status, bytes.header("x-evil")), (200, None), "{bytes:?}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_done_verb_by_verb() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/picture", Act::answer(200, "image/png", "png"));
        sink.on("/docs/next", Act::twiml("<Message>after the redirect</Message>"));
        let text = |body: &str| Act::answer(200, "text/plain", body);
        let status = "<Message action=\"/status\">with status</Message>";
        let cases: Vec<(Act, &[&str])> = vec![
            (Act::twiml("<Message>one</Message>"), &["one"]),
            (Act::twiml("<Message><Body>two</Body><Media>/picture</Media></Message>"), &["two"]),
            (Act::twiml("<Message>a</Message><Message>b</Message><Sms>c</Sms>"), &["a", "b", "c"]),
            (
                Act::twiml("<Redirect>next</Redirect><Message>never</Message>"),
                &["after the redirect"],
            ),
            (text("just words"), &["just words"]),
            (Act::twiml("<Say>no</Say><Message>still</Message>"), &["still"]),
            (Act::twiml(status), &["with status"]),
            (Act::twiml(""), &[]),
            (Act::Answer { status: 204, headers: Vec::new(), body: Vec::new() }, &[]),
            (Act::twiml("<Message>the end</Message>"), &["the end"]),
        ];
        let mut expected: Vec<String> = Vec::new();
        for (at, (act, replies)) in cases.into_iter().enumerate() {
            let path = format!("/docs/{at}");
            let url = sink.on(&path, act);
            world.configure(&[("SmsUrl", &url)]).await;
            typed(&world, "hello").await;
            sink.first(&path).await;
            expected.extend(replies.iter().map(|&reply| reply.to_owned()));
            let mut bodies = world.bodies(USER, expected.len()).await;
            // Replies of one document travel side by side.
            bodies.sort();
            let mut sorted = expected.clone();
            sorted.sort();
            assert_eq!(bodies, sorted, "{path}");
        }
        let shown = world.received(USER).await;
        let pictured = shown.iter().find(|entry| entry["body"] == "two").unwrap();
        assert_eq!(pictured["media"].as_array().unwrap().len(), 1);
        let sids: Vec<String> =
            shown.iter().map(|entry| entry["sid"].as_str().unwrap().to_owned()).collect();
        for sid in sids {
            let message = world.reached(&sid, "delivered").await;
            assert_eq!(message["direction"], "outbound-reply");
            assert_eq!(
                (&message["from"], &message["to"]),
                (&world.number.clone().into(), &USER.into())
            );
        }
        let told = sink.wait("/status", 3).await;
        let statuses: Vec<String> = told.iter().map(|one| one.value("MessageStatus")).collect();
        assert_eq!(statuses, ["sending", "sent", "delivered"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_an_alert_and_asks_the_fallback() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let html = Act::answer(200, "image/png", "<Response/>");
        let broken = Act::answer(200, "text/xml", "<Response><Message>");
        let root = Act::answer(200, "text/xml", "<Nothing/>");
        let fault = Act::answer(500, "text/plain", "down");
        let rescue = sink.on("/rescue", Act::twiml("<Message>rescued</Message>"));
        let mut replies = 0;
        for (at, (act, code)) in
            [(html, 12300), (broken, 12100), (root, 12102), (fault, 11200), (Act::Drop, 11206)]
                .into_iter()
                .enumerate()
        {
            let url = sink.on(&format!("/wrong{at}"), act);
            world
                .configure(&[
                    ("SmsUrl", &url),
                    ("SmsFallbackUrl", &rescue),
                    ("SmsFallbackMethod", "GET"),
                ])
                .await;
            let sid = typed(&world, "hello").await;
            let alert = world.alert(&sid, code).await;
            assert_eq!(
                (&alert["data"]["url"], &alert["data"]["level"]),
                (&url.clone().into(), &"error".into())
            );
            replies += 1;
            assert_eq!(world.bodies(USER, replies).await.last().unwrap(), "rescued");
            let seen = sink.wait("/rescue", replies).await.pop().unwrap();
            assert_eq!(seen.method, "GET");
            assert_eq!(seen.value("ErrorCode"), code.to_string());
            assert_eq!(seen.value("ErrorUrl"), url);
            assert_eq!(seen.value("MessageSid"), sid);
            seen.assert_signed(&sink, &world.login);
        }
        // An unknown verb is a warning, and the rest is done.
        let url = sink.on("/odd", Act::twiml("<Dance/><Message>danced</Message>"));
        world.configure(&[("SmsUrl", &url)]).await;
        let sid = typed(&world, "hello").await;
        assert_eq!(world.alert(&sid, 12200).await["data"]["level"], "warning");
        assert_eq!(world.bodies(USER, replies + 1).await.last().unwrap(), "danced");
        // A fallback that fails too ends it, without a loop.
        let bad = sink.on("/bad", Act::answer(500, "text/plain", ""));
        let worse = sink.on("/worse", Act::answer(500, "text/plain", ""));
        world.configure(&[("SmsUrl", &bad), ("SmsFallbackUrl", &worse)]).await;
        let sid = typed(&world, "hello").await;
        eventually("two alerts", || async {
            (world.events("alert", &sid).await.len() == 2).then_some(())
        })
        .await;
        assert_eq!((sink.seen("/bad").len(), sink.seen("/worse").len()), (1, 1));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_is_cut_off() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world
            .configure(&[("SmsUrl", &sink.on("/sms", Act::twiml("<Message>again</Message>")))])
            .await;
        let mut last = String::new();
        for turn in 1..=16 {
            last = typed(&world, "and again").await;
            sink.wait("/sms", turn).await;
            if turn <= 15 {
                world.bodies(USER, turn).await;
            }
        }
        world.alert(&last, 14107).await;
        assert_eq!(world.received(USER).await.len(), 15);
        // The guard forgets: half a minute later replies go out again.
        world.advance(31).await;
        typed(&world, "later").await;
        world.bodies(USER, 16).await;

        // A document that redirects to itself ends too.
        let url = sink.on("/round", Act::twiml("<Redirect>/round</Redirect>"));
        world.configure(&[("SmsUrl", &url)]).await;
        let sid = typed(&world, "round").await;
        world.alert(&sid, 14106).await;
        assert_eq!(sink.seen("/round").len(), 50);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_go_where_and_as_often_as_they_may() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let (_, second) = world.buy(&world.login, "212").await;
        let friend = "+14155550122";
        let elsewhere = format!("<Message to=\"{friend}\" from=\"{second}\">for you</Message>");
        world.configure(&[("SmsUrl", &sink.on("/friend", Act::twiml(&elsewhere)))]).await;
        typed(&world, "tell them").await;
        assert_eq!(world.bodies(friend, 1).await, ["for you"]);
        assert_eq!(world.received(friend).await[0]["peer"], second);

        // What cannot be sent is an alert, and the rest is done.
        let child = world.subaccount("Child").await;
        let (_, theirs) = world.buy(&child, "415").await;
        let stolen = format!("<Message from=\"{theirs}\">no</Message><Message>yes</Message>");
        world.configure(&[("SmsUrl", &sink.on("/stolen", Act::twiml(&stolen)))]).await;
        let sid = typed(&world, "again").await;
        world.alert(&sid, 21660).await;
        assert_eq!(world.bodies(USER, 1).await, ["yes"]);

        let many: String = (0..12).map(|at| format!("<Message>{at}</Message>")).collect();
        world.configure(&[("SmsUrl", &sink.on("/many", Act::twiml(&many)))]).await;
        let sid = typed(&world, "many").await;
        world.alert(&sid, 14109).await;
        world.bodies(USER, 11).await;
        eventually("everything is done", || async {
            let waiting = world.platform().store.query("SELECT id FROM job", vec![]).await.unwrap();
            waiting.is_empty().then_some(())
        })
        .await;
        assert_eq!(world.received(USER).await.len(), 11);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_win_over_numbers_and_no_url_is_no_request() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let sid = typed(&world, "nobody listens").await;
        assert_eq!(world.fetch_message(&sid).await["status"], "received");
        let form = [("SmsUrl", &*sink.at("/app")), ("SmsMethod", "GET")];
        let app = world.post(&world.path("Applications.json"), &form).await.text_of("sid");
        world.configure(&[("SmsUrl", &sink.at("/number")), ("SmsApplicationSid", &app)]).await;
        typed(&world, "to the application").await;
        assert_eq!(sink.first("/app").await.method, "GET");
        world.configure(&[("SmsApplicationSid", "")]).await;
        typed(&world, "to the number").await;
        sink.first("/number").await;
        assert_eq!((sink.seen("/app").len(), sink.seen("/number").len()), (1, 1));
        assert!(world.events("alert", &sid).await.is_empty());

        let unknown = world.type_on(USER, "+14155550999", "anybody?").await;
        assert_error(&unknown, 20404, 404, "+14155550999");
        let thread =
            world.own("GET", &format!("handsets/{USER}/messages"), Value::Null).await.json();
        assert_eq!(thread["messages"][0]["failed"], true);
        world.stop().await;
    }
}

const STOPPED: &str = "You have successfully been unsubscribed. You will not receive any more \
                       messages from this number. Reply START to resubscribe.";
const STARTED: &str = "You have successfully been re-subscribed to messages from this number. \
                       Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.";
const HELP: &str = "Reply STOP to unsubscribe. Msg&Data Rates May Apply.";

#[tokio::test(flavor = "multi_thread")]
async fn stop_start_and_help_are_obeyed() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world
            .configure(&[("SmsUrl", &sink.on("/sms", Act::twiml("<Message>app</Message>")))])
            .await;
        let refused = || async {
            let reply = world.message(&[("To", USER), ("Body", "offer")]).await;
            assert_error(&reply, 21610, 400, USER);
        };
        typed(&world, " help ").await;
        let mut bodies = world.bodies(USER, 2).await;
        bodies.sort();
        assert_eq!(bodies, [HELP, "app"]);

        // The application is still asked, and its answer refused.
        let sid = typed(&world, "Stop").await;
        assert_eq!(world.bodies(USER, 3).await[2], STOPPED);
        sink.wait("/sms", 2).await;
        world.alert(&sid, 21610).await;
        refused().await;
        for word in ["STOPALL", "unsubscribe", "HELP", "hello"] {
            let sid = typed(&world, word).await;
            world.alert(&sid, 21610).await;
        }
        refused().await;
        assert_eq!(world.received(USER).await.len(), 3, "nothing went to who opted out");
        // Of another number nobody spoke.
        let (_, other) = world.buy(&world.login, "212").await;
        world.delivered(&[("To", USER), ("From", &other), ("Body", "other")]).await;

        typed(&world, "UNSTOP").await;
        let bodies = world.bodies(USER, 6).await;
        assert!(bodies[4..].contains(&STARTED.to_owned()), "{bodies:?}");
        world.delivered(&[("To", USER), ("Body", "welcome back")]).await;
        for word in ["STOP please", "stop.", "stopped"] {
            typed(&world, word).await;
        }
        world.delivered(&[("To", USER), ("Body", "not opted out")]).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_comes_with_a_text_answers_it() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        world.configure(&[("SmsUrl", &sink.at("/sms"))]).await;
        let answer =
            |document: &str| json!({"to": world.number, "body": "Hello?", "twiml": document});
        let path = format!("handsets/{USER}/messages");
        let typed = world
            .own(
                "POST",
                &path,
                answer("<Response>\n  <Message>Good day</Message>\n  <Sya>x</Sya>\n</Response>"),
            )
            .await;
        assert_eq!(typed.status, 201, "{typed:?}");
        assert_eq!(world.bodies(USER, 1).await, ["Good day"]);
        let alert = world.alert(&typed.text_of("sid"), 12200).await;
        assert!(alert["data"].to_string().contains("line 3:"), "{alert}");
        let typed = world.own("POST", &path, answer("<Response>")).await;
        let alert = world.alert(&typed.text_of("sid"), 12100).await;
        assert!(alert["data"].to_string().contains("line 1:"), "{alert}");
        let long = world.own("POST", &path, answer(&"x".repeat(70_000))).await;
        assert_error(&long, 20001, 400, "'twiml'");
        assert!(sink.seen("/sms").is_empty(), "the application was not asked");
    }
}

//! Goal: calls run as their documents say, and everybody hears and is told what they should
//! (voice-api §2, §4; twiml §6, §11). Method: an application that answers what the test says,
//! handsets that answer, press and speak, and a clock that is moved through the calls.

mod harness;

use harness::{Act, WebhookSink, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const OTHER: &str = "+14155550122";
const THIRD: &str = "+14155550133";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_placed_answered_spoken_and_ended() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let status = sink.at("/status");
        let sid = world
            .called(
                USER,
                &[
                    (
                        "Twiml",
                        "<Response><Say>Hello there</Say><Pause/><Play digits=\"1w2\"/></Response>",
                    ),
                    ("StatusCallback", &status),
                    ("StatusCallbackEvent", "initiated"),
                    ("StatusCallbackEvent", "ringing"),
                    ("StatusCallbackEvent", "answered"),
                    ("StatusCallbackEvent", "completed"),
                ],
            )
            .await;
        let call = world.through_call(&sid, "completed").await;
        assert_eq!(world.heard(USER).await, ["say Hello there", "silence", "tones 1w2"]);
        assert_eq!(call["direction"], "outbound-api");
        assert_eq!(call["duration"], "3");
        assert_eq!(call["price"], "-0.01400");
        assert_eq!(call["to_formatted"], "(415) 555-0111");
        let told = sink.wait("/status", 4).await;
        let of = |name: &str| told.iter().map(|seen| seen.value(name)).collect::<Vec<_>>();
        assert_eq!(of("CallStatus"), ["initiated", "ringing", "in-progress", "completed"]);
        assert_eq!(of("SequenceNumber"), ["0", "1", "2", "3"]);
        assert_eq!(
            (told[3].value("CallDuration"), told[3].value("Duration")),
            ("3".into(), "1".into())
        );
        told[0].assert_signed(&sink, &world.login);
        let calls = world.get(&world.path("Calls.json?Status=completed")).await.json();
        assert_eq!(calls["calls"][0]["sid"], sid.as_str());
        assert_eq!(world.delete(&world.path(&format!("Calls/{sid}.json"))).await.status, 204);
        assert_eq!(world.get(&world.path(&format!("Calls/{sid}.json"))).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ivr_asks_and_does_as_it_is_told() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(
                "<Gather numDigits=\"1\" action=\"/menu\"><Say>Press one or two</Say></Gather>\
             <Say>We got nothing</Say><Redirect>/voice</Redirect>",
            ),
        );
        sink.on("/menu", Act::twiml("<Say>Sales</Say><Redirect method=\"GET\">bye?x=1</Redirect>"));
        sink.on("/bye", Act::twiml("<Say>Bye</Say><Hangup/>"));
        world
            .configure(&[("VoiceUrl", &sink.at("/voice")), ("StatusCallback", &sink.at("/end"))])
            .await;
        let sid = world.dial_in(USER).await;
        // The first time nobody presses anything.
        world.hears(USER, "say We got nothing").await;
        sink.wait("/voice", 2).await;
        world.deed(USER, "digits", json!({"digits": "1"})).await;
        let call = world.through_call(&sid, "completed").await;
        assert_eq!((&call["direction"], &call["from"]), (&"inbound".into(), &USER.into()));
        let first = sink.first("/voice").await;
        first.assert_signed(&sink, &world.login);
        for (name, value) in [
            ("CallSid", sid.as_str()),
            ("CallStatus", "ringing"),
            ("From", USER),
            ("Caller", USER),
            ("To", &world.number),
            ("Direction", "inbound"),
            ("FromCountry", "US"),
        ] {
            assert_eq!(first.value(name), value, "{name}");
        }
        let menu = sink.first("/menu").await;
        assert_eq!(
            (menu.value("Digits"), menu.value("CallStatus")),
            ("1".into(), "in-progress".into())
        );
        let bye = sink.first("/bye").await;
        assert_eq!((bye.method.as_str(), bye.value("x")), ("GET", "1".into()));
        let all = world.heard(USER).await;
        assert!(all.ends_with(&["say Sales".into(), "say Bye".into()]), "{all:?}");
        assert_eq!(sink.first("/end").await.value("CallStatus"), "completed");
        let events = world.get(&world.path(&format!("Calls/{sid}/Events.json"))).await.json();
        assert_eq!(events["events"][0]["request"]["parameters"]["callsid"], sid.as_str());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nobody_takes_say_why() {
    for world in worlds().await {
        let twiml = ("Twiml", "<Response><Say>x</Say></Response>");
        for (change, status) in [
            (json!({"when_called": "busy"}), "busy"),
            (json!({"when_called": "reject"}), "busy"),
            (json!({"when_called": "no-answer"}), "no-answer"),
            (json!({"behaviour": "off"}), "no-answer"),
            (json!({"behaviour": "unknown"}), "failed"),
        ] {
            world.behave(USER, json!({"behaviour": "on", "when_called": "answer"})).await;
            world.behave(USER, change.clone()).await;
            let sid = world.called(USER, &[twiml, ("Timeout", "20")]).await;
            let call = world.through_call(&sid, status).await;
            assert_eq!(
                (&call["duration"], &call["price"]),
                (&"0".into(), &Value::Null),
                "{change}"
            );
        }
        world.behave(USER, json!({"behaviour": "on", "when_called": "ring"})).await;
        let sid = world.called(USER, &[twiml]).await;
        world.through_call(&sid, "ringing").await;
        let path = world.path(&format!("Calls/{sid}.json"));
        let canceled = world.post(&path, &[("Status", "canceled")]).await;
        assert_eq!(canceled.text_of("status"), "canceled", "{canceled:?}");
        assert_error(&world.post(&path, &[("Status", "completed")]).await, 21220, 400, "canceled");
        let sid = world.called(USER, &[twiml]).await;
        world.through_call(&sid, "ringing").await;
        world.deed(USER, "answer", Value::Null).await;
        world.through_call(&sid, "completed").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_calls_are_refused_with_their_codes() {
    for world in worlds().await {
        let twiml = ("Twiml", "<Response/>");
        let long = "x".repeat(4001);
        for (form, code, mentions) in [
            (vec![("To", ""), twiml], 21201, "To"),
            (vec![("From", ""), twiml], 21213, "From"),
            (vec![("To", "nobody"), twiml], 21211, "nobody"),
            (vec![("From", "me"), twiml], 21212, "me"),
            (vec![("To", "sip:a b@example.com"), twiml], 21211, "SIP"),
            (vec![], 21205, "Url"),
            (vec![("Url", "ftp://x")], 21205, "Url"),
            (vec![("Twiml", long.as_str())], 32018, "4000"),
            (vec![twiml, ("Timeout", "0")], 21208, "Timeout"),
            (vec![twiml, ("SendDigits", "x")], 21206, "SendDigits"),
            (vec![twiml, ("Method", "PUT")], 21209, "Method"),
            (vec![twiml, ("Byoc", "BY00000000000000000000000000000001")], 21300, "Byoc"),
            (vec![twiml, ("From", " 14155550111")], 21212, "%2B"),
            (vec![twiml, ("MachineDetection", "Maybe")], 21234, "MachineDetection"),
            (vec![("ApplicationSid", "AP00000000000000000000000000000001")], 21218, "Application"),
            (vec![("To", world.number.as_str()), twiml], 21211, "both"),
        ] {
            assert_error(&world.call(USER, &form).await, code, 400, mentions);
        }
        for (from, to, code) in [
            ("+15005550006", "+14155550100", None),
            ("+15005550001", "+14155550100", Some(21212)),
            ("+14155550199", "+14155550100", Some(21210)),
            ("+15005550006", "+15005550003", Some(21215)),
        ] {
            let path = harness::account_path(&world.test_login.user, "Calls.json");
            let form = [("From", from), ("To", to), twiml];
            let reply = world.post_as(&world.test_login, &path, &form).await;
            assert_eq!(reply.code(), code, "{reply:?}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_gets_another_document() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/new", Act::twiml("<Say>Something else</Say>"));
        let sid =
            world.called(USER, &[("Twiml", "<Response><Pause length=\"600\"/></Response>")]).await;
        world.through_call(&sid, "in-progress").await;
        world.hears(USER, "silence").await;
        let path = world.path(&format!("Calls/{sid}.json"));
        let reply = world.post(&path, &[("Url", &sink.at("/new"))]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        world.through_call(&sid, "completed").await;
        assert_eq!(world.heard(USER).await, ["silence", "say Something else"]);
        assert_error(
            &world.post(&path, &[("Url", &sink.at("/new"))]).await,
            21220,
            400,
            "redirect",
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_survives_a_restart() {
    for mut world in worlds().await {
        let sid = world
            .called(
                USER,
                &[("Twiml", "<Response><Pause length=\"30\"/><Say>Still here</Say></Response>")],
            )
            .await;
        world.hears(USER, "silence").await;
        world.restart(&|_| {}).await;
        world.through_call(&sid, "completed").await;
        assert_eq!(world.heard(USER).await, ["silence", "say Still here"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_a_dial_and_voicemail_takes_it() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(&format!("<Dial action=\"/dialled\" timeout=\"10\">{OTHER}</Dial>")),
        );
        sink.on("/dialled", Act::twiml(
            "<Say>Leave a message</Say><Record action=\"/recorded\" timeout=\"3\" transcribe=\"true\" \
             transcribeCallback=\"/text\" recordingStatusCallback=\"/recording\"/>",
        ));
        sink.on("/recorded", Act::twiml("<Say>Thanks</Say>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        world.behave(OTHER, json!({"when_called": "ring"})).await;
        let sid = world.dial_in(USER).await;
        world.hears(USER, "beep").await;
        assert_eq!(sink.first("/dialled").await.value("DialCallStatus"), "no-answer");
        world.settle().await;
        world.advance(1).await;
        world.settle().await;
        let words = "Please call me back about the invoice as soon as you can";
        world.deed(USER, "speak", json!({"text": words})).await;
        world.through_call(&sid, "completed").await;
        let recorded = sink.first("/recorded").await;
        let url = recorded.value("RecordingUrl");
        assert!(recorded.value("RecordingDuration").parse::<i64>().unwrap() >= 6);
        let told = sink.first("/recording").await;
        assert_eq!(told.value("RecordingStatus"), "completed");
        let text = sink.first("/text").await;
        assert_eq!(
            (text.value("TranscriptionText"), text.value("TranscriptionStatus")),
            (words.into(), "completed".into())
        );
        let path = url.strip_prefix(&world.url).unwrap();
        let sound = world.get(path).await;
        assert_eq!((sound.status, &sound.body[..4]), (200, &b"RIFF"[..]));
        let listed = world.get(&world.path(&format!("Recordings.json?CallSid={sid}"))).await.json();
        assert_eq!(listed["recordings"][0]["source"], "RecordVerb", "{listed}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_talk_and_the_first_to_answer_wins() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml(&format!(
            "<Dial action=\"/dialled\"><Number>{OTHER}</Number><Number statusCallback=\"/child\" \
             statusCallbackEvent=\"answered completed\">{THIRD}</Number></Dial>"
        )));
        sink.on("/dialled", Act::twiml("<Say>Over</Say>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        world.behave(OTHER, json!({"when_called": "ring"})).await;
        let sid = world.dial_in(USER).await;
        sink.first("/child").await;
        eventually("the talk begins", || async {
            let parent = world.legs(USER).await;
            let lines = parent[0]["heard"].as_array()?;
            lines
                .iter()
                .any(|l| l["sound"] == "ringback" && !l["milliseconds"].is_null())
                .then_some(())
        })
        .await;
        world.settle().await;
        world.deed(USER, "speak", json!({"text": "Hello"})).await;
        world.hears(THIRD, "voice Hello").await;
        world.deed(THIRD, "speak", json!({"text": "Hi back"})).await;
        world.hears(USER, "voice Hi back").await;
        world.deed(THIRD, "hangup", Value::Null).await;
        world.through_call(&sid, "completed").await;
        let over = sink.first("/dialled").await;
        assert_eq!(
            (over.value("DialCallStatus"), over.value("DialBridged")),
            ("completed".into(), "true".into())
        );
        let children =
            world.get(&world.path(&format!("Calls.json?ParentCallSid={sid}"))).await.json();
        let mut statuses: Vec<_> = children["calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["status"].as_str().unwrap().to_owned())
            .collect();
        statuses.sort();
        assert_eq!(statuses, ["canceled", "completed"]);
        let child = sink.wait("/child", 2).await;
        assert_eq!(child[1].value("ParentCallSid"), sid);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_is_seen_changed_and_ended() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let room = |extra: &str| {
            Act::twiml(&format!(
                "<Dial action=\"/left\"><Conference {extra} statusCallback=\"/conf\" \
                 statusCallbackEvent=\"start end join leave mute hold\">Room</Conference></Dial>"
            ))
        };
        sink.in_turn(
            "/voice",
            vec![room("startConferenceOnEnter=\"false\""), room("endConferenceOnExit=\"true\"")],
        );
        sink.on("/left", Act::twiml("<Say>Left</Say>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let first = world.dial_in(USER).await;
        world.hears(USER, "music").await;
        let second = world.dial_in(OTHER).await;
        let told = sink.wait("/conf", 3).await;
        let names = |told: &[harness::Seen]| {
            told.iter().map(|seen| seen.value("StatusCallbackEvent")).collect::<Vec<_>>()
        };
        assert_eq!(names(&told), ["participant-join", "participant-join", "conference-start"]);
        let conference = told[0].value("ConferenceSid");
        world.settle().await;
        world.deed(OTHER, "speak", json!({"text": "All here"})).await;
        world.hears(USER, "voice All here").await;
        let path = world.path(&format!("Conferences/{conference}/Participants/{first}.json"));
        let muted = world.post(&path, &[("Muted", "true")]).await;
        assert_eq!(muted.json()["muted"], true, "{muted:?}");
        sink.wait("/conf", 4).await;
        world.settle().await;
        world.deed(USER, "speak", json!({"text": "Nobody hears this"})).await;
        let held = world.post(&path, &[("Hold", "true"), ("Muted", "false")]).await;
        assert_eq!(held.json()["hold"], true, "{held:?}");
        let list =
            world.get(&world.path(&format!("Conferences/{conference}/Participants.json"))).await;
        assert_eq!(list.json()["participants"].as_array().unwrap().len(), 2);
        world.deed(OTHER, "hangup", Value::Null).await;
        world.through_call(&first, "completed").await;
        world.through_call(&second, "completed").await;
        assert!(!world.heard(OTHER).await.iter().any(|line| line.contains("Nobody")));
        assert_eq!(sink.first("/left").await.value("DialCallStatus"), "answered");
        let shown = world.get(&world.path(&format!("Conferences/{conference}.json"))).await.json();
        assert_eq!(
            (&shown["status"], &shown["reason_conference_ended"]),
            (&"completed".into(), &"participant-with-end-conference-on-exit-left".into())
        );
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_in_a_queue_is_taken_out_of_it() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.in_turn(
            "/voice",
            vec![
                Act::twiml("<Enqueue waitUrl=\"/wait\" action=\"/after\">support</Enqueue>"),
                Act::twiml("<Dial><Queue>support</Queue></Dial>"),
            ],
        );
        sink.on("/wait", Act::twiml("<Say>You are waiting</Say>"));
        sink.on("/after", Act::twiml("<Say>Done</Say>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let caller = world.dial_in(USER).await;
        let wait = sink.first("/wait").await;
        assert_eq!(
            (wait.value("QueuePosition"), wait.value("CurrentQueueSize")),
            ("1".into(), "1".into())
        );
        let queue = wait.value("QueueSid");
        let shown = world.get(&world.path(&format!("Queues/{queue}.json"))).await.json();
        assert_eq!(
            (&shown["current_size"], &shown["friendly_name"]),
            (&1.into(), &"support".into())
        );
        let front =
            world.get(&world.path(&format!("Queues/{queue}/Members/Front.json"))).await.json();
        assert_eq!(front["call_sid"], caller.as_str());
        world.dial_in(OTHER).await;
        eventually("the queue is empty", || async {
            let shown = world.get(&world.path(&format!("Queues/{queue}.json"))).await.json();
            (shown["current_size"] == 0).then_some(())
        })
        .await;
        world.settle().await;
        world.deed(OTHER, "speak", json!({"text": "How can I help"})).await;
        world.hears(USER, "voice How can I help").await;
        world.deed(OTHER, "hangup", Value::Null).await;
        world.through_call(&caller, "completed").await;
        assert_eq!(sink.first("/after").await.value("QueueResult"), "bridged");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/broken", Act::answer(500, "text/plain", "no"));
        sink.on("/json", Act::answer(200, "application/json", "{}"));
        sink.on("/fine", Act::twiml("<Play>/nothing.mp3</Play><Say>Fine</Say>"));
        sink.on("/nothing.mp3", Act::answer(404, "text/plain", ""));
        let broken = sink.at("/broken");
        let (fine, bad) = (sink.at("/fine"), sink.at("/json"));
        let sid = world.called(USER, &[("Url", &broken), ("FallbackUrl", &fine)]).await;
        world.through_call(&sid, "completed").await;
        assert_eq!(world.heard(USER).await, ["say Fine"]);
        let seen = sink.first("/fine").await;
        assert_eq!((seen.value("ErrorCode"), seen.value("ErrorUrl")), ("11200".into(), broken));
        world.alert(&sid, 11200).await;
        let sid = world.called(USER, &[("Url", &bad)]).await;
        world.through_call(&sid, "completed").await;
        assert!(world.heard(USER).await[0].contains("application error"));
        world.alert(&sid, 12300).await;
        let listed =
            world.get(&world.path(&format!("Calls/{sid}/Notifications.json"))).await.json();
        assert_eq!(listed["notifications"][0]["error_code"], "12300", "{listed}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_told_from_people() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>x</Say>"));
        let url = sink.at("/voice");
        for (by, kind, expected) in [
            ("human", "Enable", "human"),
            ("machine", "Enable", "machine_start"),
            ("machine", "DetectMessageEnd", "machine_end_beep"),
            ("fax", "Enable", "fax"),
        ] {
            world.behave(USER, json!({"answered_by": by})).await;
            let sid = world.called(USER, &[("Url", &url), ("MachineDetection", kind)]).await;
            let call = world.through_call(&sid, "completed").await;
            assert_eq!(call["answered_by"], expected);
            let seen = sink.seen("/voice").pop().unwrap();
            assert_eq!(seen.value("AnsweredBy"), expected);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_is_recorded_by_the_api() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let twiml = ("Twiml", "<Response><Pause length=\"20\"/></Response>");
        let sid = world.called(USER, &[twiml]).await;
        world.through_call(&sid, "in-progress").await;
        let path = world.path(&format!("Calls/{sid}/Recordings.json"));
        let begun = world.post(&path, &[("RecordingStatusCallback", &sink.at("/rec"))]).await;
        assert_eq!(begun.text_of("status"), "in-progress", "{begun:?}");
        let recording = begun.text_of("sid");
        world.settle().await;
        world.deed(USER, "speak", json!({"text": "On the record"})).await;
        world.advance(2).await;
        world.settle().await;
        let current = world.path(&format!("Calls/{sid}/Recordings/Twilio.CURRENT.json"));
        assert_error(&world.post(&current, &[("Status", "absent")]).await, 20001, 400, "Status");
        let stopped = world.post(&current, &[("Status", "stopped")]).await;
        assert_eq!(stopped.text_of("sid"), recording, "{stopped:?}");
        let told = sink.first("/rec").await;
        assert_eq!(
            (told.value("RecordingStatus"), told.value("RecordingSource")),
            ("completed".into(), "StartCallRecordingAPI".into())
        );
        world.through_call(&sid, "completed").await;
        assert_error(&world.post(&path, &[]).await, 21220, 400, "record");
        let one = world.path(&format!("Recordings/{recording}.json"));
        assert_eq!(world.get(&one).await.json()["status"], "completed");
        assert_eq!(world.delete(&one).await.status, 204);
        assert_eq!(world.get(&one).await.status, 404);
        let kept = world.get(&format!("{one}?IncludeSoftDeleted=true")).await;
        assert_eq!(kept.json()["status"], "deleted");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dialled_parties_are_screened_and_tried_in_turn() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(&format!(
                "<Dial sequential=\"true\" timeout=\"5\" action=\"/dialled\">\
                 <Number>{OTHER}</Number><Number url=\"/screen\">{THIRD}</Number></Dial>"
            )),
        );
        sink.in_turn(
            "/screen",
            vec![Act::twiml("<Say>Take it?</Say><Hangup/>"), Act::twiml("<Say>Here it is</Say>")],
        );
        sink.on("/dialled", Act::twiml("<Say>Over</Say>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        world.behave(OTHER, json!({"when_called": "busy"})).await;
        let sid = world.dial_in(USER).await;
        world.through_call(&sid, "completed").await;
        let over = sink.first("/dialled").await;
        assert_eq!(over.value("DialBridged"), "false");
        let screened = sink.first("/screen").await;
        assert_eq!((screened.value("ParentCallSid"), screened.value("To")), (sid, THIRD.into()));
        // The second time the party is connected at the end of the document.
        let sid = world.dial_in(USER).await;
        world.hears(THIRD, "say Here it is").await;
        for _ in 0..5 {
            world.advance(1).await;
            world.settle().await;
        }
        world.deed(THIRD, "speak", json!({"text": "Hello"})).await;
        world.hears(USER, "voice Hello").await;
        world.deed(USER, "hangup", Value::Null).await;
        world.through_call(&sid, "completed").await;
        let over = sink.wait("/dialled", 2).await;
        assert_eq!(over[1].value("DialCallStatus"), "completed");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_called_into_a_conference() {
    for world in worlds().await {
        let path = world.path("Conferences/Standup/Participants.json");
        let form = [("From", world.number.as_str()), ("To", USER), ("Label", "ada")];
        let made = world.post(&path, &form).await;
        assert_eq!((made.status, made.text_of("label")), (201, "ada".to_owned()), "{made:?}");
        let sid = made.text_of("call_sid");
        world.through_call(&sid, "in-progress").await;
        world.settle().await;
        let ada = world.path("Conferences/Standup/Participants/ada.json");
        let shown = world.get(&ada).await;
        assert_eq!(shown.text_of("call_sid"), sid, "{shown:?}");
        let conference = shown.text_of("conference_sid");
        assert_error(&world.post(&path, &form).await, 16026, 400, "Label");
        assert_eq!(world.delete(&ada).await.status, 204);
        world.through_call(&sid, "completed").await;
        let over = world.path(&format!("Conferences/{conference}.json"));
        let shown = world.get(&over).await.json();
        assert_eq!(shown["reason_conference_ended"], "last-participant-kicked", "{shown}");
        assert_error(&world.post(&over, &[("Status", "completed")]).await, 16022, 404, "over");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_the_platform_calls_another() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml("<Gather input=\"speech\" action=\"/heard\" timeout=\"20\"/>"),
        );
        sink.on("/heard", Act::twiml("<Hangup/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let (_, other) = world.buy(&world.login, "415").await;
        let form = [
            ("From", other.as_str()),
            ("To", world.number.as_str()),
            (
                "Twiml",
                "<Response><Pause/><Say>Hello yourself</Say><Pause length=\"60\"/></Response>",
            ),
        ];
        let sid = world.called(USER, &form).await;
        world.through_call(&sid, "completed").await;
        assert_eq!(sink.first("/heard").await.value("SpeechResult"), "Hello yourself");
        let calls = world.get(&world.path("Calls.json")).await.json();
        let all = calls["calls"].as_array().unwrap();
        let directions: Vec<_> = all.iter().map(|call| call["direction"].clone()).collect();
        assert_eq!(directions, ["inbound", "outbound-api"]);
        world.stop().await;
    }
}

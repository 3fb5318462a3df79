//! Goal: applications that listen and talk on calls get what they get of Twilio (media §1, twiml §7).
//! Method: WebSocket servers of the test, and simulated handsets that speak and press.

mod harness;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use harness::{WebhookSink, World, assert_error, eventually, worlds, worlds_with};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const USER: &str = "+14155550111";

/// An application: what it was sent, and what it answers to it.
struct Application {
    url: String,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Application {
    async fn start(answer: impl Fn(&Value) -> Vec<Value> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/talk", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (kept, answer) = (got.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (kept, answer) = (kept.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
                    while let Some(Ok(Message::Text(text))) = socket.next().await {
                        let message: Value = serde_json::from_str(text.as_str()).unwrap();
                        let answers = answer(&message);
                        kept.lock().unwrap().push(message);
                        for answer in answers {
                            if answer == "close" {
                                let _ = socket.close(None).await;
                                return;
                            }
                            let _ = socket.send(Message::text(answer.to_string())).await;
                        }
                    }
                });
            }
        });
        Self { url, got }
    }

    fn all(&self, member: &str, value: &str) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        got.iter().filter(|message| message[member] == value).cloned().collect()
    }

    async fn wait(&self, member: &str, value: &str) -> Value {
        for _ in 0..500 {
            if let Some(found) = self.all(member, value).first() {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {member} {value} in {:?}", self.got.lock().unwrap());
    }
}

async fn placed(world: &World, twiml: &str, more: &[(&str, &str)]) -> String {
    let mut form = vec![("From", world.number.as_str()), ("To", USER), ("Twiml", twiml)];
    form.extend_from_slice(more);
    let reply = world.post(&world.path("Calls.json"), &form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.text_of("sid")
}

async fn status(world: &World, sid: &str, wanted: &str) {
    eventually(wanted, || async {
        let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
        (call["status"] == wanted).then_some(())
    })
    .await;
}

async fn deed(world: &World, what: &str, body: Value) {
    let reply = world.own("POST", &format!("handsets/{USER}/{what}"), body).await;
    assert_eq!(reply.status, 200, "{what}: {reply:?}");
}

async fn heard(world: &World) -> Vec<String> {
    let reply = world.own("GET", &format!("handsets/{USER}/calls"), Value::Null).await;
    let lines = reply.json()["calls"][0]["heard"].as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_the_call_until_the_application_closes_it() {
    for world in worlds().await {
        let application = Application::start(|message| {
            let key = message["event"] == "dtmf" && message["dtmf"]["digit"] == "9";
            if key { vec![json!("close")] } else { Vec::new() }
        })
        .await;
        let sink = WebhookSink::start().await;
        let twiml = format!(
            "<Response><Connect><Stream url=\"{}\" name=\"talk\" statusCallback=\"{}\">\
             <Parameter name=\"order\" value=\"7\"/></Stream></Connect><Say>after</Say></Response>",
            application.url,
            sink.at("/stream"),
        );
        let sid = placed(&world, &twiml, &[]).await;
        let start = application.wait("event", "start").await;
        assert_eq!(start["start"]["callSid"], sid.as_str());
        assert_eq!(start["start"]["customParameters"], json!({ "order": "7" }));
        assert_eq!(start["start"]["tracks"], json!(["inbound"]));
        let media = application.wait("event", "media").await;
        assert_eq!(media["media"]["track"], "inbound");
        deed(&world, "digits", json!({ "digits": "5" })).await;
        assert_eq!(application.wait("event", "dtmf").await["dtmf"]["digit"], "5");
        deed(&world, "digits", json!({ "digits": "9" })).await;
        status(&world, &sid, "completed").await;
        assert!(heard(&world).await.contains(&"after".to_owned()));
        let told = sink.wait("/stream", 2).await;
        let events: Vec<String> = told.iter().map(|seen| seen.value("StreamEvent")).collect();
        assert_eq!(events, ["stream-started", "stream-stopped"]);
        assert_eq!(told[0].value("StreamName"), "talk");
        assert_eq!(told[0].value("CallSid"), sid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_started_and_stopped_by_the_api() {
    for world in worlds().await {
        let application = Application::start(|_| Vec::new()).await;
        let sid = placed(&world, "<Response><Pause length=\"60\"/></Response>", &[]).await;
        status(&world, &sid, "in-progress").await;
        let path = world.path(&format!("Calls/{sid}/Streams.json"));
        let form = [
            ("Url", application.url.as_str()),
            ("Name", "ear"),
            ("Track", "both_tracks"),
            ("Parameter1.Name", "a"),
            ("Parameter1.Value", "b"),
        ];
        let reply = world.post(&path, &form).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["status"], "in-progress");
        assert!(reply.text_of("sid").starts_with("MZ"));
        let start = application.wait("event", "start").await;
        assert_eq!(start["start"]["tracks"], json!(["inbound", "outbound"]));
        assert_eq!(start["start"]["customParameters"], json!({ "a": "b" }));
        let again = world.post(&path, &form).await;
        assert_eq!(again.json()["code"], 31941, "{again:?}");
        let wrong = world.post(&path, &[("Url", "https://app.example")]).await;
        assert_eq!(wrong.json()["code"], 31922, "{wrong:?}");
        let one = world.path(&format!("Calls/{sid}/Streams/ear.json"));
        let reply = world.post(&one, &[("Status", "stopped")]).await;
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("stopped")));
        application.wait("event", "stop").await;
        deed(&world, "hangup", json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_talks_with_the_caller() {
    for world in worlds().await {
        let application = Application::start(|message| match message["type"].as_str() {
            Some("prompt") if message["voicePrompt"] == "goodbye" => {
                vec![json!({ "type": "end", "handoffData": "{\"reason\":\"done\"}" })]
            }
            Some("prompt") => {
                let token = format!("You said {}.", message["voicePrompt"].as_str().unwrap());
                vec![json!({ "type": "text", "token": token, "last": true })]
            }
            _ => Vec::new(),
        })
        .await;
        let sink = WebhookSink::start().await;
        let twiml = format!(
            "<Response><Connect action=\"{}\"><ConversationRelay url=\"{}\" \
             welcomeGreeting=\"Welcome\" dtmfDetection=\"true\"><Parameter name=\"a\" value=\"b\"/>\
             </ConversationRelay></Connect></Response>",
            sink.at("/over"),
            application.url,
        );
        let sid = placed(&world, &twiml, &[]).await;
        let setup = application.wait("type", "setup").await;
        assert_eq!(setup["callSid"], sid.as_str());
        assert_eq!(setup["customParameters"], json!({ "a": "b" }));
        assert_eq!(
            (&setup["callStatus"], &setup["callType"]),
            (&json!("IN_PROGRESS"), &json!("PSTN"))
        );
        eventually("the greeting", || async {
            heard(&world).await.contains(&"Welcome".to_owned()).then_some(())
        })
        .await;
        deed(&world, "speak", json!({ "text": "hello" })).await;
        eventually("the answer", || async {
            heard(&world).await.contains(&"You said hello.".to_owned()).then_some(())
        })
        .await;
        deed(&world, "digits", json!({ "digits": "4" })).await;
        assert_eq!(application.wait("type", "dtmf").await["digit"], "4");
        let interrupted = application.wait("type", "interrupt").await;
        assert!(interrupted["durationUntilInterruptMs"].is_u64());
        deed(&world, "speak", json!({ "text": "goodbye" })).await;
        status(&world, &sid, "completed").await;
        let over = &sink.wait("/over", 1).await[0];
        assert_eq!(over.value("SessionStatus"), "ended");
        assert_eq!(over.value("HandoffData"), "{\"reason\":\"done\"}");
        assert_eq!(over.value("SessionId"), setup["sessionId"].as_str().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_transcribed_along() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let twiml = format!(
            "<Response><Start><Transcription name=\"t\" statusCallbackUrl=\"{}\"/></Start>\
             <Say>Hello</Say><Pause length=\"30\"/></Response>",
            sink.at("/words"),
        );
        let sid = placed(&world, &twiml, &[]).await;
        sink.wait("/words", 2).await;
        deed(&world, "speak", json!({ "text": "good morning" })).await;
        sink.wait("/words", 3).await;
        let path = world.path(&format!("Calls/{sid}/Transcriptions.json"));
        let callback = sink.at("/more");
        let reply =
            world.post(&path, &[("StatusCallbackUrl", &callback), ("Name", "second")]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        sink.wait("/more", 1).await;
        let one = world.path(&format!("Calls/{sid}/Transcriptions/second.json"));
        let reply = world.post(&one, &[("Status", "stopped")]).await;
        assert_eq!(reply.json()["status"], "stopped", "{reply:?}");
        sink.wait("/more", 2).await;
        deed(&world, "hangup", json!({})).await;
        let told = sink.wait("/words", 4).await;
        let of = |name: &str| told.iter().map(|seen| seen.value(name)).collect::<Vec<_>>();
        let tracks: Vec<String> = told[..3].iter().map(|seen| seen.value("Track")).collect();
        assert_eq!(tracks, ["both_tracks", "outbound_track", "inbound_track"]);
        assert_eq!(
            of("TranscriptionEvent"),
            [
                "transcription-started",
                "transcription-content",
                "transcription-content",
                "transcription-stopped"
            ]
        );
        assert_eq!(of("SequenceId"), ["1", "2", "3", "4"]);
        let data: Value = serde_json::from_str(&told[2].value("TranscriptionData")).unwrap();
        assert_eq!(data["transcript"], "good morning");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_document_starts_is_stopped_by_the_api_or_with_the_call() {
    for world in worlds().await {
        let application = Application::start(|_| Vec::new()).await;
        let sink = WebhookSink::start().await;
        let twiml = format!(
            "<Response><Start><Stream url=\"{}\" name=\"ear\" statusCallback=\"{}\"/>\
             <Transcription name=\"t\" statusCallbackUrl=\"{}\"/></Start>\
             <Pause length=\"60\"/></Response>",
            application.url,
            sink.at("/stream"),
            sink.at("/words"),
        );
        let sid = placed(&world, &twiml, &[]).await;
        sink.wait("/stream", 1).await;
        sink.wait("/words", 1).await;
        let one = world.path(&format!("Calls/{sid}/Transcriptions/t.json"));
        let reply = world.post(&one, &[("Status", "stopped")]).await;
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("stopped")), "{reply:?}");
        let told = sink.wait("/words", 2).await;
        assert_eq!(told[1].value("TranscriptionEvent"), "transcription-stopped");
        deed(&world, "hangup", json!({})).await;
        status(&world, &sid, "completed").await;
        let told = sink.wait("/stream", 2).await;
        assert_eq!(told[1].value("StreamEvent"), "stream-stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_agent_is_an_application_that_a_connector_names() {
    let application = Application::start(|message| match message["type"].as_str() {
        Some("prompt") => vec![json!({ "type": "end", "handoffData": "{\"why\":\"angry\"}" })],
        _ => Vec::new(),
    })
    .await;
    let text = format!("[[virtual_agents]]\nname = 'bot'\nurl = '{}'\n", application.url);
    let config = offhook::config::Config::read_text(&text).unwrap();
    for world in worlds_with(&|settings| settings.config = config.clone()).await {
        let sink = WebhookSink::start().await;
        let agent = |name: &str| {
            format!(
                "<Response><Connect action=\"{}\"><VirtualAgent connectorName=\"{name}\">\
                 <Config name=\"welcomeGreeting\" value=\"How may I help?\"/>\
                 </VirtualAgent></Connect></Response>",
                sink.at("/over"),
            )
        };
        let sid = placed(&world, &agent("bot"), &[]).await;
        eventually("the greeting", || async {
            heard(&world).await.contains(&"How may I help?".to_owned()).then_some(())
        })
        .await;
        deed(&world, "speak", json!({ "text": "a person, please" })).await;
        status(&world, &sid, "completed").await;
        let over = &sink.wait("/over", 1).await[0];
        assert_eq!(over.value("VirtualAgentStatus"), "live-agent-handoff");
        let data: Value = serde_json::from_str(&over.value("VirtualAgentProviderData")).unwrap();
        assert_eq!(data["AgentHandoffParameters"], json!({ "why": "angry" }));
        let sid = placed(&world, &agent("nobody"), &[]).await;
        status(&world, &sid, "completed").await;
        let over = &sink.wait("/over", 2).await[1];
        assert_eq!(over.value("VirtualAgentStatus"), "failed");
        assert_eq!(over.value("VirtualAgentErrorCode"), "32602");
        world.alert(&sid, 32602).await;
    }
}

#[tokio::test]
async fn a_page_listens_by_an_offer_of_sound_to_a_call_that_goes_on() {
    for world in worlds().await {
        let sid = placed(&world, "<Response><Pause length=\"60\"/></Response>", &[]).await;
        status(&world, &sid, "in-progress").await;
        let place = |number: &str, call: &str| format!("handsets/{number}/calls/{call}/sound");
        let listen = |place: String, offer: &'static str| {
            let world = &world;
            async move { world.own("POST", &place, json!({ "sdp": offer })).await }
        };
        let refused = listen(place(USER, &sid), "v=0").await;
        assert_error(&refused, 20001, 400, "'sdp' is no offer of sound");
        let refused = listen(place("+14155550199", &sid), "v=0").await;
        assert_error(&refused, 20404, 404, "no call");
        let left = world.own("DELETE", &format!("{}/7", place(USER, &sid)), Value::Null).await;
        assert_eq!(left.status, 204, "who is not there may leave");
        deed(&world, "hangup", Value::Null).await;
        status(&world, &sid, "completed").await;
        let refused = listen(place(USER, &sid), "v=0").await;
        assert_error(&refused, 20404, 404, "no call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_a_phone_is_judged_by_sound_where_it_says_so() {
    for world in worlds().await {
        let path = format!("handsets/{USER}");
        let told = world.own("PUT", &path, json!({"answered_by": "somebody"})).await;
        assert_eq!(told.status, 200, "{told:?}");
        let more = [("MachineDetection", "Enable"), ("MachineDetectionSilenceTimeout", "2000")];
        let sid = placed(&world, "<Response><Pause length=\"60\"/></Response>", &more).await;
        eventually("silence is judged", || async {
            let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
            (call["answered_by"] == "unknown").then_some(())
        })
        .await;
    }
}

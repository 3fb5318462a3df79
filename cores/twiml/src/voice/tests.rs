//! Documents run against a caller that the test plays.

use super::*;
use crate::Method;

const BASE: &str = "https://app.example/ivr/start";

/// A machine whose document came from [`BASE`], and what it asked for first.
fn begun(role: Role, answered: bool, inside: &str) -> (Machine, Vec<Output>) {
    let mut machine = Machine::new(role, answered);
    let source = Source::Url { url: BASE.into(), method: Method::Post };
    let asked = machine.start(source, Some(("https://app.example/oops".into(), Method::Get)));
    let [Output::Fetch { id, .. }] = &asked[..] else { panic!("{asked:?}") };
    let out = answer(&mut machine, *id, inside);
    (machine, out)
}

fn answer(machine: &mut Machine, id: u32, inside: &str) -> Vec<Output> {
    let body = format!("<Response>{inside}</Response>").into_bytes();
    let content_type = Some("text/xml".to_owned());
    machine.on(Input::Fetched { id, body, content_type, url: BASE.into() })
}

/// One word per output.
fn words(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter(|output| !matches!(output, Output::Listen(_)))
        .map(|output| match output {
            Output::Play { sound, .. } => match sound {
                Sound::Say { text, loops: 1, .. } => format!("say {text}"),
                Sound::Say { text, loops, .. } => format!("say {text} x{loops}"),
                Sound::Play { url, .. } => format!("play {url}"),
                Sound::Tones { digits } => format!("tones {digits}"),
                Sound::Silence { millis } => format!("silence {millis}"),
                other => format!("{other:?}").to_lowercase(),
            },
            Output::Timer { millis, .. } => format!("timer {millis}"),
            Output::Media { url, .. } => format!("media {url}"),
            Output::Alert { code, .. } => format!("alert {code}"),
            Output::Fetch { url, method, params, .. } => {
                let params: Vec<String> =
                    params.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {url} {}", method.as_str(), params.join("&")).trim_end().to_owned()
            }
            Output::Post { url, params, .. } => {
                let params: Vec<String> =
                    params.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("tell {url} {}", params.join("&"))
            }
            Output::Reject { busy } => format!("reject {busy}"),
            Output::Dial(plan) => {
                let to: Vec<&str> = plan.targets.iter().map(|t| t.address.as_str()).collect();
                format!("dial {}", to.join(","))
            }
            Output::JoinConference(noun) => format!("conference {}", noun.text),
            Output::Enqueue(plan) => format!("enqueue {}", plan.queue),
            Output::LeaveQueue { result } => format!("leave {result}"),
            Output::Text { body, .. } => format!("text {body}"),
            Output::Refer { to } => format!("refer {to}"),
            Output::Record(_) => "record".to_owned(),
            Output::StartStream { noun, .. } => {
                format!("stream {}", noun.get("url").unwrap_or_default())
            }
            other => format!("{other:?}").to_lowercase(),
        })
        .collect()
}

/// The id of what the machine waits for last.
fn last_id(out: &[Output]) -> u32 {
    let id = |output: &Output| match output {
        Output::Play { id, .. }
        | Output::Timer { id, .. }
        | Output::Media { id, .. }
        | Output::Fetch { id, .. } => Some(*id),
        _ => None,
    };
    out.iter().rev().find_map(id).unwrap_or_else(|| panic!("nothing is waited for: {out:?}"))
}

#[test]
fn a_document_begins_with_what_its_first_verb_needs() {
    for (inside, expected) in [
        ("", vec!["hangup"]),
        ("<Say>a</Say>", vec!["answer", "say a"]),
        ("<Say loop=\"0\">a</Say>", vec!["answer", "say a x1000"]),
        ("<say>a</say>", vec!["alert 12200", "hangup"]),
        ("<!-- x --><Play>b.mp3</Play>", vec!["answer", "media https://app.example/ivr/b.mp3"]),
        ("<Play digits=\"1w2\"/>", vec!["answer", "tones 1w2"]),
        ("<Pause length=\"5\"/><Reject/>", vec!["timer 5000"]),
        ("<Pause length=\"0\"/><Hangup/>", vec!["answer", "hangup"]),
        ("<Reject/>", vec!["reject false"]),
        ("<Reject reason=\"busy\"/>", vec!["reject true"]),
        ("<Hangup/>", vec!["answer", "hangup"]),
        ("<Redirect>next</Redirect><Say>no</Say>", vec!["POST https://app.example/ivr/next"]),
        ("<Redirect method=\"GET\">/n?a=b</Redirect>", vec!["GET https://app.example/n?a=b"]),
        ("<Redirect/>", vec!["POST https://app.example/ivr/start"]),
        ("<Leave/>", vec!["alert 12200", "hangup"]),
        ("<Gather/>", vec!["answer", "timer 5000"]),
        ("<Gather timeout=\"3\"><Say>a</Say></Gather>", vec!["answer", "say a"]),
        ("<Record/>", vec!["answer", "beep"]),
        ("<Record playBeep=\"false\"/>", vec!["answer", "record", "timer 5000", "timer 3600000"]),
        ("<Dial>+14155550100</Dial>", vec!["answer", "ringback", "dial +14155550100"]),
        (
            "<Dial answerOnBridge=\"true\"><Number>1</Number><Client>bo</Client></Dial>",
            vec!["dial 1,bo"],
        ),
        ("<Dial/><Say>x</Say>", vec!["alert 13223", "answer", "say x"]),
        ("<Dial><Conference>c</Conference></Dial>", vec!["answer", "conference c"]),
        (
            "<Dial><Conference>c</Conference><Number>1</Number></Dial>",
            vec!["alert 13000", "answer", "conference c"],
        ),
        (
            "<Dial><Conference record=\"record-from-start\">c</Conference></Dial>",
            vec!["answer", "conference c"],
        ),
        ("<Enqueue>q</Enqueue>", vec!["answer", "enqueue q"]),
        ("<Enqueue/><Say>x</Say>", vec!["alert 14204", "answer", "say x"]),
        ("<Sms>hi</Sms>", vec!["text hi"]),
        ("<Refer><Sip>sip:a@b</Sip></Refer>", vec!["answer", "refer sip:a@b"]),
        ("<Refer/><Say>x</Say>", vec!["alert 12200", "answer", "say x"]),
        ("<Echo/>", vec!["alert 12200", "hangup"]),
        (
            "<Connect action=\"/c\"><Stream url=\"wss://x\"/></Connect>",
            vec!["answer", "stream wss://x"],
        ),
    ] {
        let (_, out) = begun(Role::Call, false, inside);
        assert_eq!(words(&out), expected, "{inside}");
    }
}

#[test]
fn gather_takes_keys_as_the_table_says() {
    // Attributes, what happens, what is asked.
    for (attributes, keys, expected) in [
        ("numDigits=\"1\"", "4", vec!["POST https://app.example/ivr/start Digits=4"]),
        ("numDigits=\"4\"", "1234", vec!["POST https://app.example/ivr/start Digits=1234"]),
        ("action=\"/d\"", "12#", vec!["POST https://app.example/d Digits=12&FinishedOnKey=#"]),
        (
            "action=\"/d\" finishOnKey=\"*\" method=\"GET\"",
            "#*",
            vec!["GET https://app.example/d Digits=#&FinishedOnKey=*"],
        ),
        ("finishOnKey=\"\"", "#", vec!["timer 5000"]),
        ("", "#", vec!["say after"]),
        ("input=\"speech\"", "1", vec![]),
    ] {
        let inside = format!("<Gather {attributes}/><Say>after</Say>");
        let (mut machine, _) = begun(Role::Call, false, &inside);
        let out = machine.on(Input::Digits(keys.into()));
        assert_eq!(words(&out), expected, "{attributes} {keys}");
    }
}

#[test]
fn gather_ends_by_silence_and_stops_its_prompt() {
    let inside = "<Gather numDigits=\"4\"><Say>menu</Say></Gather><Say>after</Say>";
    let (mut machine, out) = begun(Role::Call, false, inside);
    let out = machine.on(Input::Played { id: last_id(&out) });
    assert_eq!(words(&out), ["timer 5000"]);
    let stale = last_id(&out);
    let out = machine.on(Input::Digits("12".into()));
    assert_eq!(words(&out), ["timer 5000"]);
    assert_eq!(machine.on(Input::Timer { id: stale }), []);
    let out = machine.on(Input::Timer { id: last_id(&out) });
    assert_eq!(words(&out), ["POST https://app.example/ivr/start Digits=12"]);

    let (mut machine, _) = begun(Role::Call, false, inside);
    assert_eq!(words(&machine.on(Input::Digits("1".into()))), ["stop", "timer 5000"]);

    let (mut machine, out) = begun(Role::Call, false, "<Gather/><Say>after</Say>");
    assert_eq!(words(&machine.on(Input::Timer { id: last_id(&out) })), ["say after"]);

    let inside = "<Gather actionOnEmptyResult=\"true\" action=\"/e\"/><Say>after</Say>";
    let (mut machine, out) = begun(Role::Call, false, inside);
    let out = machine.on(Input::Timer { id: last_id(&out) });
    assert_eq!(words(&out), ["POST https://app.example/e Digits="]);
}

#[test]
fn gather_hears_words() {
    let inside = "<Gather input=\"dtmf speech\" action=\"/s\" speechTimeout=\"2\"
        partialResultCallback=\"/p\"><Say>menu</Say></Gather>";
    let (mut machine, _) = begun(Role::Call, false, inside);
    let said = |text: &str| Input::Speech(SpeechText { text: text.into(), millis: 700 });
    let out = machine.on(said("book a"));
    assert_eq!(
        words(&out),
        ["stop", "tell https://app.example/p UnstableSpeechResult=book a", "timer 2700"]
    );
    // The first kind of input stays.
    assert_eq!(machine.on(Input::Digits("1".into())), []);
    let out = machine.on(said("table"));
    let out = machine.on(Input::Timer { id: last_id(&out) });
    assert_eq!(
        words(&out),
        ["POST https://app.example/s SpeechResult=book a table&Confidence=1.0&Language=en-US"]
    );
}

#[test]
fn record_ends_by_key_silence_length_and_hanging_up() {
    let inside = "<Record action=\"/r\" playBeep=\"false\" timeout=\"3\"/><Say>nothing</Say>";
    let url = || Some(vec![("RecordingUrl".to_owned(), "u".to_owned())]);
    let speech = Input::Speech(SpeechText { text: "hello".into(), millis: 1000 });

    let (mut machine, _) = begun(Role::Call, false, inside);
    let out = machine.on(speech.clone());
    assert_eq!(words(&out), ["timer 4000"]);
    let out = machine.on(Input::Timer { id: last_id(&out) });
    assert_eq!(out, [Output::StopRecording, Output::Listen(None)]);
    let out = machine.on(Input::Recorded(url()));
    assert_eq!(words(&out), ["POST https://app.example/r RecordingUrl=u&Digits="]);

    let (mut machine, _) = begun(Role::Call, false, inside);
    let ended = machine.on(Input::Digits("5".into()));
    assert_eq!(ended, [Output::StopRecording, Output::Listen(None)]);
    let out = machine.on(Input::Recorded(url()));
    assert_eq!(words(&out), ["POST https://app.example/r RecordingUrl=u&Digits=5"]);

    let (mut machine, out) = begun(Role::Call, false, inside);
    machine.on(Input::Timer { id: last_id(&out) });
    assert_eq!(words(&machine.on(Input::Recorded(None))), ["say nothing"]);

    let (mut machine, _) = begun(Role::Call, false, inside);
    assert_eq!(machine.on(Input::HungUp), [Output::StopRecording]);
    let out = machine.on(Input::Recorded(url()));
    assert_eq!(words(&out), ["tell https://app.example/r RecordingUrl=u&Digits=hangup"]);
    assert!(machine.is_over());
    let (mut machine, _) = begun(Role::Call, false, inside);
    machine.on(Input::HungUp);
    assert_eq!(machine.on(Input::Recorded(None)), []);
}

#[test]
fn dial_goes_on_with_its_action_or_the_next_verb() {
    let busy = || Input::DialEnded(vec![("DialCallStatus".to_owned(), "busy".to_owned())]);
    let (mut machine, _) = begun(Role::Call, false, "<Dial>1</Dial><Say>next</Say>");
    assert_eq!(words(&machine.on(busy())), ["stop", "say next"]);

    let inside = "<Dial action=\"/d\" hangupOnStar=\"true\">1</Dial><Say>never</Say>";
    let (mut machine, _) = begun(Role::Call, false, inside);
    let out = machine.on(Input::Bridged);
    assert_eq!(out, [Output::Stop]);
    assert_eq!(machine.on(Input::Digits("*".into())), [Output::EndDial]);
    assert_eq!(words(&machine.on(busy())), ["POST https://app.example/d DialCallStatus=busy"]);

    let (mut machine, _) = begun(Role::Call, false, inside);
    assert_eq!(machine.on(Input::HungUp), [Output::EndDial]);
    assert_eq!(words(&machine.on(busy())), ["tell https://app.example/d DialCallStatus=busy"]);

    let inside = "<Dial answerOnBridge=\"true\">1</Dial>";
    let (mut machine, _) = begun(Role::Call, false, inside);
    assert_eq!(machine.on(Input::Bridged), [Output::Answer]);

    let (_, out) = begun(Role::Screen, true, "<Dial>1</Dial>");
    assert_eq!(words(&out), ["alert 13201", "end"]);
}

#[test]
fn waiting_is_a_document_of_its_own() {
    let (mut machine, _) = begun(Role::Call, false, "<Enqueue waitUrl=\"/w\">q</Enqueue>");
    let out = machine.on(Input::Enqueued);
    assert_eq!(words(&out), ["POST https://app.example/w"]);
    let out = answer(&mut machine, last_id(&out), "<Say>wait</Say><Record/>");
    assert_eq!(words(&out), ["say wait"]);
    let out = machine.on(Input::Played { id: last_id(&out) });
    assert_eq!(words(&out), ["alert 12200", "timer 1000"]);
    let out = machine.on(Input::Timer { id: last_id(&out) });
    let out = answer(&mut machine, last_id(&out), "<Leave/>");
    assert_eq!(words(&out), ["leave leave"]);
    assert_eq!(words(&machine.on(Input::LeftQueue(vec![]))), ["stop", "hangup"]);

    let (mut machine, _) = begun(Role::Call, false, "<Enqueue>q</Enqueue>");
    assert_eq!(words(&machine.on(Input::Enqueued)), ["music"]);
    assert_eq!(words(&machine.on(Input::Dequeued { whisper: None })), ["stop", "meet"]);

    let inside = "<Dial action=\"/d\"><Conference waitUrl=\"\">c</Conference></Dial>";
    let (mut machine, _) = begun(Role::Call, false, inside);
    let source = Source::Url { url: "https://w/".into(), method: Method::Get };
    let out = machine.on(Input::Waiting(Some(source)));
    assert_eq!(words(&out), ["GET https://w/"]);
    let out = answer(&mut machine, last_id(&out), "<Gather/><Say>soon</Say>");
    assert_eq!(words(&out), ["alert 13238", "say soon"]);
    assert_eq!(words(&machine.on(Input::Joined)), ["stop"]);
    let left = Input::LeftConference(vec![("DialCallStatus".into(), "answered".into())]);
    assert_eq!(words(&machine.on(left)), ["POST https://app.example/d DialCallStatus=answered"]);
}

#[test]
fn failures_go_to_the_fallback_once_and_then_to_the_caller() {
    let mut machine = Machine::new(Role::Call, true);
    let source = Source::Url { url: BASE.into(), method: Method::Post };
    let fallback = Some(("https://app.example/oops".to_owned(), Method::Get));
    let out = machine.start(source.clone(), fallback);
    let failed = |id| Input::FetchFailed { id, code: 11200, url: BASE.into() };
    let out = machine.on(failed(last_id(&out)));
    assert_eq!(
        words(&out),
        [format!("GET https://app.example/oops ErrorCode=11200&ErrorUrl={BASE}")]
    );
    let out = machine.on(failed(last_id(&out)));
    assert!(matches!(&out[..], [Output::Play { sound: Sound::Say { .. }, .. }]), "{out:?}");
    assert_eq!(machine.on(Input::Played { id: last_id(&out) }), [Output::HangUp]);
    // Nobody has answered: nobody is told.
    let mut machine = Machine::new(Role::Call, false);
    let out = machine.start(source, None);
    assert_eq!(machine.on(failed(last_id(&out))), [Output::Fail]);
}

#[test]
fn an_inline_document_has_no_address_of_its_own() {
    for (inside, expected) in [
        ("<Gather action=\"/x\"/><Say>x</Say>", vec!["alert 15004", "answer", "timer 5000"]),
        ("<Gather/>", vec!["alert 15004", "answer", "timer 5000"]),
        ("<Redirect>/x</Redirect>", vec!["alert 11100", "hangup"]),
        ("<Redirect/>", vec!["alert 11100", "hangup"]),
        ("<Redirect>https://x.example/y</Redirect>", vec!["POST https://x.example/y"]),
    ] {
        let mut machine = Machine::new(Role::Call, false);
        let out = machine.start(Source::Inline(format!("<Response>{inside}</Response>")), None);
        assert_eq!(words(&out), expected, "{inside}");
    }
}

#[test]
fn a_loop_without_an_end_ends() {
    let (mut machine, mut out) = begun(Role::Call, true, "<Redirect/>");
    for _ in 0..2000 {
        if out.contains(&Output::HangUp) {
            assert_eq!(words(&out), ["alert 12400", "hangup"]);
            return;
        }
        out = answer(&mut machine, last_id(&out), "<Redirect/>");
    }
    panic!("it goes on");
}

#[test]
fn a_machine_survives_as_text() {
    let inside = "<Gather input=\"speech dtmf\"><Play>a.wav</Play></Gather><Say>x</Say>";
    let (machine, _) = begun(Role::Call, false, inside);
    let text = serde_json::to_string(&machine).expect("a machine is plain data");
    assert_eq!(serde_json::from_str::<Machine>(&text).expect("a machine is plain data"), machine);
}

proptest::proptest! {
    #[test]
    fn no_story_makes_it_panic(
        body in "(<(Say|Play|Gather|Record|Dial|Enqueue|Redirect|Pause|Leave|Hangup)( action=\"a\")?>[a-z]{0,3}</(Say|Play|Gather|Record|Dial|Enqueue|Redirect|Pause|Leave|Hangup)>){0,4}",
        story in proptest::collection::vec((0u8..14, 0u32..8), 0..40),
    ) {
        let mut machine = Machine::new(Role::Call, false);
        let source = Source::Url { url: BASE.into(), method: Method::Post };
        machine.start(source, None);
        for (what, id) in story {
            let document = format!("<Response>{body}</Response>");
            let input = match what {
                0 | 1 => Input::Fetched {
                    id,
                    body: document.into_bytes(),
                    content_type: None,
                    url: BASE.into(),
                },
                2 => Input::FetchFailed { id, code: 11200, url: BASE.into() },
                3 | 4 => Input::Played { id },
                5 | 6 => Input::Timer { id },
                7 => Input::Digits("1#".into()),
                8 => Input::Speech(SpeechText { text: "a".into(), millis: 10 }),
                9 => Input::Recorded(Some(vec![])),
                10 => Input::DialEnded(vec![]),
                11 => Input::Bridged,
                12 => Input::Enqueued,
                _ => Input::HungUp,
            };
            machine.on(input);
        }
    }
}

fn said(text: &str) -> Input {
    Input::Speech(SpeechText { text: text.into(), millis: 300 })
}

#[test]
fn a_stream_goes_along_or_takes_the_call() {
    let (_, out) = begun(
        Role::Call,
        true,
        "<Start><Stream url='wss://a.example/s' name='n'/></Start><Stop><Stream name='n'/></Stop>\
         <Connect><Stream url='wss://a.example/b' track='both_tracks'/></Connect><Say>after</Say>",
    );
    let names: Vec<&str> = out
        .iter()
        .map(|output| match output {
            Output::StartStream { is_bidirectional: false, .. } => "start",
            Output::StartStream { is_bidirectional: true, .. } => "connect",
            Output::StopStream { name: Some(_) } => "stop",
            Output::Alert { code: 31941, .. } => "track",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["start", "stop", "track", "connect"]);
    let (mut machine, _) =
        begun(Role::Call, true, "<Connect><Stream url='wss://a.example/b'/></Connect><Say>x</Say>");
    assert_eq!(words(&machine.on(Input::StreamEnded)), ["say x"]);
    let (_, out) = begun(Role::Call, true, "<Connect><Stream name='n'/></Connect>");
    assert_eq!(words(&out), ["alert 31923", "hangup"]);
}

const RELAY: &str = "<Connect action='/over'><ConversationRelay url='wss://a.example/r' \
    welcomeGreeting='Hello' dtmfDetection='true'/></Connect>";

fn heard(text: &str) -> Input {
    Input::RelayHeard(text.to_owned())
}

#[test]
fn a_relay_speaks_listens_and_hands_over() {
    let (mut machine, out) = begun(Role::Call, true, RELAY);
    assert!(matches!(out.last(), Some(Output::OpenRelay(_))), "{out:?}");
    // Nobody is there yet who could be told.
    assert_eq!(words(&machine.on(said("anybody?"))), [""; 0]);
    assert_eq!(words(&machine.on(Input::Digits("1".into()))), [""; 0]);
    let out = machine.on(Input::RelayOpened);
    assert_eq!(words(&out), ["say Hello"]);
    let id = last_id(&out);
    assert_eq!(words(&machine.on(Input::Played { id })), [""; 0]);
    let [Output::Tell(prompt)] = &machine.on(said("book a table"))[..] else { panic!() };
    let prompt: serde_json::Value = serde_json::from_str(prompt).expect("JSON");
    assert_eq!(prompt["voicePrompt"], "book a table");
    assert_eq!((&prompt["type"], &prompt["last"]), (&"prompt".into(), &true.into()));
    // Tokens are spoken sentence by sentence.
    assert_eq!(words(&machine.on(heard(r#"{"type":"text","token":"For how "}"#))), [""; 0]);
    let out = machine.on(heard(r#"{"type":"text","token":"many? And when"}"#));
    assert_eq!(words(&out), [""; 0]);
    let out = machine.on(heard(r#"{"type":"text","token":"?","last":true}"#));
    assert_eq!(words(&out), ["say For how many? And when?"]);
    // Speech interrupts, and so does a key, which is told.
    let out = machine.on(said("two"));
    assert!(matches!(&out[..], [Output::Stop, Output::TellInterrupted { .. }, Output::Tell(_)]));
    assert!(
        matches!(&machine.on(Input::Digits("5".into()))[..], [Output::Tell(key)] if key.contains("dtmf"))
    );
    let out = machine.on(heard(r#"{"type":"end","handoffData":"{\"a\":1}"}"#));
    assert!(matches!(&out[..], [Output::CloseRelay { code: 1000, .. }]));
    let params = vec![("SessionId".to_owned(), "VX1".to_owned())];
    let out = machine.on(Input::RelayClosed { failure: None, params });
    let told =
        "POST https://app.example/over SessionId=VX1&SessionStatus=ended&HandoffData={\"a\":1}";
    assert_eq!(words(&out), [told]);
}

#[test]
fn a_relay_that_breaks_or_babbles_fails() {
    let (mut machine, _) = begun(Role::Call, true, RELAY);
    let failure = Some((39001, "refused".to_owned()));
    let out = machine.on(Input::RelayClosed { failure, params: Vec::new() });
    assert_eq!(
        words(&out),
        ["POST https://app.example/over SessionStatus=failed&ErrorCode=39001&ErrorMessage=refused"]
    );
    let (mut machine, _) = begun(Role::Call, true, RELAY);
    machine.on(Input::RelayOpened);
    for _ in 0..9 {
        let out = machine.on(heard(r#"{"type":"dance"}"#));
        assert!(matches!(&out[..], [Output::Alert { code: 64107, .. }, Output::Tell(_)]));
    }
    let out = machine.on(heard("nonsense"));
    assert!(out.iter().any(|o| matches!(o, Output::CloseRelay { code: 1007, .. })), "{out:?}");
}

#[test]
fn a_whisper_is_heard_before_the_two_meet() {
    let (mut machine, _) =
        begun(Role::Call, true, "<Enqueue waitUrl=\"\">q</Enqueue><Say>after</Say>");
    machine.on(Input::Enqueued);
    let source = Source::Url { url: "https://app.example/whisper".into(), method: Method::Post };
    let out = machine.on(Input::Dequeued { whisper: Some(source) });
    assert_eq!(words(&out), ["stop", "POST https://app.example/whisper"]);
    let id = last_id(&out);
    let out = answer(&mut machine, id, "<Dial>1</Dial><Say>This call is recorded</Say>");
    assert_eq!(words(&out), ["alert 12200", "say This call is recorded"]);
    let id = last_id(&out);
    assert_eq!(words(&machine.on(Input::Played { id })), ["meet"]);
    let params = vec![("QueueResult".to_owned(), "bridged".to_owned())];
    assert_eq!(words(&machine.on(Input::LeftQueue(params))), ["say after"]);
}

#[test]
fn an_announcement_is_heard_and_told_and_the_waiting_goes_on() {
    let (mut machine, _) = begun(Role::Call, true, "<Dial><Conference>c</Conference></Dial>");
    let source = |name: &str| Source::Url {
        url: format!("https://app.example/{name}"),
        method: Method::Post,
    };
    machine.on(Input::Waiting(None));
    let out = machine.on(Input::Announce { source: source("a"), told: Told::One });
    assert_eq!(words(&out), ["POST https://app.example/a"]);
    let out = answer(&mut machine, last_id(&out), "<Gather/><Say>Closing soon</Say>");
    assert_eq!(words(&out), ["alert 13238", "say Closing soon"]);
    let out = machine.on(Input::Played { id: last_id(&out) });
    let [Output::Announced { url, told: Told::One, failure: None }, rest @ ..] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((url.as_str(), words(rest)), ("https://app.example/a", vec!["music".to_owned()]));
    // In the conference there is nothing to go on with, and an announcement may fail.
    machine.on(Input::Joined);
    for (inside, why) in [("<Say/>", "nothing to hear"), ("", "nothing to hear")] {
        let out = machine.on(Input::Announce { source: source("b"), told: Told::All });
        let out = answer(&mut machine, last_id(&out), inside);
        let Some(Output::Announced { failure: Some(failure), .. }) = out.last() else {
            panic!("{out:?}")
        };
        assert!(failure.contains(why), "{failure}");
    }
    let out = machine.on(Input::Announce { source: source("b"), told: Told::All });
    let (id, url) = (last_id(&out), "https://app.example/b".to_owned());
    let out = machine.on(Input::FetchFailed { id, code: 11200, url });
    assert!(
        matches!(&out[..], [Output::Announced { failure: Some(why), .. }] if why.contains("11200")),
        "{out:?}"
    );
}

#[test]
fn a_virtual_agent_is_a_relay_with_its_own_outcome() {
    let agent = "<Connect action='/over'><VirtualAgent connectorName='bot' sentimentAnalysis='true'>\
                 <Config name='welcomeGreeting' value='Hi'/><Config name='mood' value='x'/>\
                 <Parameter name='a' value='b'/></VirtualAgent></Connect>";
    for (failure, gone, end, expected) in [
        (None, false, r#"{"type":"end","handoffData":"{\"r\":1}"}"#, "live-agent-handoff"),
        (None, false, r#"{"type":"end"}"#, "completed"),
        (None, true, "", "hangup"),
        (Some((32602, "none".to_owned())), false, "", "failed"),
    ] {
        let (mut machine, out) = begun(Role::Call, true, agent);
        assert_eq!(words(&out)[..2], ["alert 32603", "alert 32603"]);
        let Some(Output::OpenRelay(noun)) = out.last() else { panic!("{out:?}") };
        assert_eq!((noun.get("connectorName"), noun.children.len()), (Some("bot"), 1));
        if failure.is_none() {
            assert_eq!(words(&machine.on(Input::RelayOpened)), ["say Hi"]);
        }
        if !end.is_empty() {
            machine.on(heard(end));
        }
        if gone {
            machine.on(Input::HungUp);
        }
        let params = vec![("SessionId".to_owned(), "VX1".to_owned())];
        let out = machine.on(Input::RelayClosed { failure, params });
        let told = words(&out).pop().expect("the action is asked");
        assert!(told.contains(&format!("VirtualAgentStatus={expected}&")), "{told}");
        assert!(told.contains(r#""ConversationId":"VX1""#), "{told}");
        assert_eq!(told.contains("VirtualAgentErrorCode=32602"), expected == "failed", "{told}");
        assert_eq!(
            told.contains(r#""AgentHandoffParameters":{"r":1}"#),
            end.contains("handoffData"),
            "{told}"
        );
    }
}

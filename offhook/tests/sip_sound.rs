//! Goal: who hears whom in a conference, what is in a recording, who waits to what (media §8, voice-api
//! §7, §8, §10). Method: telephones that speak SIP, each of which hums its own tone without end, and what
//! each of them hears by RTP.

mod harness;

use harness::{Act, Caller, Reply, WebhookSink, loudness, pause, table, worlds, worlds_with};

#[tokio::test(flavor = "multi_thread")]
async fn five_confer_and_each_hears_whom_it_should() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let room = "<Dial><Conference beep='false'>Room</Conference></Dial>";
        sink.on("/voice", Act::twiml(room));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let pitches = [450, 620, 810, 1030, 1290];
        let mut callers = Vec::new();
        for (at, pitch) in pitches.iter().enumerate() {
            callers.push(Caller::call(&world, &format!("+1415555011{at}"), *pitch).await);
        }
        assert_eq!(table(&callers, &pitches).await, ["bcde", "acde", "abde", "abce", "abcd"]);
        let conferences =
            world.get(&world.path("Conferences.json?Status=in-progress")).await.json();
        let conference = conferences["conferences"][0]["sid"].as_str().unwrap().to_owned();
        let change = async |at: usize, form: &[(&str, &str)]| {
            let sid = &callers[at].sid;
            let path = format!("Conferences/{conference}/Participants/{sid}.json");
            let reply: Reply = world.post(&world.path(&path), form).await;
            assert_eq!(reply.status, 200, "{reply:?}");
        };
        change(1, &[("Muted", "true")]).await;
        assert_eq!(table(&callers, &pitches).await, ["cde", "acde", "ade", "ace", "acd"]);
        change(2, &[("Hold", "true"), ("HoldUrl", "")]).await;
        assert_eq!(table(&callers, &pitches).await, ["de", "ade", "", "ae", "ad"]);
        let pupil = callers[0].sid.clone();
        change(3, &[("Coaching", "true"), ("CallSidToCoach", &pupil)]).await;
        assert_eq!(table(&callers, &pitches).await, ["de", "ae", "", "ae", "a"]);
        change(1, &[("Muted", "false")]).await;
        change(2, &[("Hold", "false")]).await;
        change(3, &[("Coaching", "false")]).await;
        assert_eq!(table(&callers, &pitches).await, ["bcde", "acde", "abde", "abce", "abcd"]);
        for caller in callers {
            caller.hang_up().await;
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_what_was_said() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml("<Record action='/done' timeout='2' finishOnKey='' recordingStatusCallback='/kept'/>"),
        );
        sink.on("/done", Act::twiml("<Hangup/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let caller = Caller::call(&world, "+14155550110", 0).await;
        pause(900).await;
        *caller.pitch.lock().unwrap() = 700;
        pause(1500).await;
        *caller.pitch.lock().unwrap() = 0;
        let done = sink.first("/done").await;
        sink.first("/kept").await;
        let sid = done.value("RecordingSid");
        let reply = world.get(&world.path(&format!("Recordings/{sid}.wav"))).await;
        assert_eq!(reply.status, 200);
        let wav = audio::wav::read(&reply.body).unwrap();
        assert_eq!((wav.rate, wav.channels), (8000, 1));
        // The tone is there, as long as it was hummed, with silence after it.
        let frames: Vec<bool> =
            wav.samples.chunks(160).map(|frame| loudness(frame, 700.0) > -30.0).collect();
        let loud = frames.iter().filter(|loud| **loud).count();
        assert!((65..=85).contains(&loud), "{loud} frames of the tone");
        assert!(frames.iter().rev().take(75).all(|loud| !loud), "it ends with silence");
        let seconds: u64 = done.value("RecordingDuration").parse().unwrap();
        assert!((3..=6).contains(&seconds), "{seconds}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_music_and_then_the_other() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.in_turn(
            "/voice",
            vec![
                Act::twiml("<Enqueue>line</Enqueue>"),
                Act::twiml("<Dial><Queue>line</Queue></Dial>"),
            ],
        );
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let waiting = Caller::call(&world, "+14155550110", 500).await;
        pause(700).await;
        assert!(audio::level::dbfs(&waiting.heard.lock().unwrap()) > -40.0, "there is music");
        let agent = Caller::call(&world, "+14155550111", 900).await;
        let callers = [waiting, agent];
        assert_eq!(table(&callers, &[500, 900]).await, ["b", "a"]);
        for caller in callers {
            caller.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_is_recorded_with_everybody_in_it() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let room = "<Dial><Conference beep='false' record='record-from-start' \
                    recordingStatusCallback='/kept'>Room</Conference></Dial>";
        sink.on("/voice", Act::twiml(room));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let first = Caller::call(&world, "+14155550110", 500).await;
        pause(400).await;
        let second = Caller::call(&world, "+14155550111", 900).await;
        let third = Caller::call(&world, "+14155550112", 0).await;
        pause(1500).await;
        // Who brought the recording about leaves; the others go on.
        second.hang_up().await;
        pause(1200).await;
        first.hang_up().await;
        third.hang_up().await;
        let kept = sink.first("/kept").await;
        let path = world.path(&format!("Recordings/{}.wav", kept.value("RecordingSid")));
        let wav = audio::wav::read(&world.get(&path).await.body).unwrap();
        assert_eq!((wav.rate, wav.channels), (8000, 1));
        let frames = |pitch: f32| {
            wav.samples.chunks(160).filter(|frame| loudness(frame, pitch) > -30.0).count()
        };
        let (of_first, of_second) = (frames(500.0), frames(900.0));
        assert!(of_second >= 50, "{of_second} frames of who left early");
        assert!(of_first >= of_second + 40, "{of_first} frames of who stayed, {of_second}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_understood_by_the_operators_endpoint() {
    let sink = WebhookSink::start().await;
    let words = r#"{"text":" a table for two "}"#;
    sink.on("/v1/audio/transcriptions", Act::answer(200, "application/json", words));
    let speech = format!(
        "[speech]\nurl = '{}'\napi_key = 'k3y'\ntranscription_model = 'whisper-1'\n",
        sink.at("/v1")
    );
    let config = offhook::config::Config::read_text(&speech).unwrap();
    for world in worlds_with(&|settings| settings.config = config.clone()).await {
        let gather = "<Gather input='speech' language='en-GB' speechTimeout='1' action='/said'/>";
        sink.on("/voice", Act::twiml(gather));
        sink.on("/said", Act::twiml("<Hangup/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let seen = sink.seen("/said").len();
        let caller = Caller::call(&world, "+14155550110", 0).await;
        pause(600).await;
        *caller.pitch.lock().unwrap() = 700;
        pause(1200).await;
        *caller.pitch.lock().unwrap() = 0;
        let said = sink.wait("/said", seen + 1).await.pop().unwrap();
        assert_eq!(said.value("SpeechResult"), "a table for two");
        let asked = sink.seen("/v1/audio/transcriptions").pop().unwrap();
        assert_eq!(asked.header("authorization"), Some("Bearer k3y"));
        let holds = |part: &[u8]| asked.body.windows(part.len()).any(|bytes| bytes == part);
        assert!(
            holds(b"whisper-1") && holds(b"RIFF") && holds(b"\r\n\r\nen\r\n"),
            "the sound is sent"
        );
        caller.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        world.stop().await;
    }
}

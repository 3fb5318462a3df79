//! Goal: what others have written and many run calls us and is called: SIPp's calls over UDP and
//! TCP, keys from a capture, ringing that is acknowledged, many at once; baresip registers, answers, is
//! heard and hears.
//! Method: Debian's SIPp and baresip on loopback.

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use harness::{Act, DOMAIN, Domains, WebhookSink, World, free_port, worlds_with};
use serde_json::{Value, json};

/// A directory of a test; gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("offhook-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that runs; killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself needs nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn sip_of(world: &World) -> String {
    let env = world.own("GET", "env", Value::Null).await.json();
    env["sip"].as_str().expect("SIP listens").to_owned()
}

async fn sipp(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("sipp");
    command.args(arguments).args([
        "-i",
        "127.0.0.1",
        "-nostdin",
        "-timeout",
        "60",
        "-timeout_error",
    ]);
    command.current_dir(dir).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().expect("SIPp is installed")).await.unwrap()
}

#[track_caller]
fn assert_done(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = text.lines().rev().take(60).collect();
    assert!(
        output.status.success(),
        "{:?}\n{}",
        output.status,
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
}

async fn reached(world: &World, sid: &str, status: &str) -> Value {
    for _ in 0..800 {
        let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
        if call["status"] == status {
            return call;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{sid} is not {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_calls_an_ivr_and_presses_keys() {
    for world in worlds_with(&|_| {}).await {
        let scratch = Scratch::new("sipp-ivr");
        let sink = WebhookSink::start().await;
        sink.on(
            "/voice",
            Act::twiml(
                "<Gather numDigits='1' timeout='9' action='/key'><Say>Press one</Say></Gather>",
            ),
        );
        sink.on("/key", Act::twiml("<Hangup/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp/ivr.xml");
        let (sip, number) = (sip_of(&world).await, world.number.trim_start_matches('+').to_owned());
        let done = sipp(
            &scratch.0,
            &[&sip, "-s", &number, "-sf", scenario, "-mi", "127.0.0.1", "-m", "1"],
        )
        .await;
        assert_done(&done);
        assert_eq!(sink.first("/key").await.value("Digits"), "1");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_acknowledges_ringing() {
    for world in worlds_with(&|_| {}).await {
        let scratch = Scratch::new("sipp-reliable");
        let sink = WebhookSink::start().await;
        // It is answered when nobody has taken the call for five seconds.
        let handset = "+14155550133";
        world.behave(handset, json!({"when_called": "ring"})).await;
        let dial = format!("<Dial answerOnBridge='true' timeout='5'>{handset}</Dial>");
        sink.on("/voice", Act::twiml(&format!("{dial}<Gather timeout='30'/>")));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp/reliable.xml");
        let (sip, number) = (sip_of(&world).await, world.number.trim_start_matches('+').to_owned());
        let arguments = ["-s", &number, "-sf", scenario, "-m", "1"];
        let done = sipp(&scratch.0, &[&[sip.as_str()], &arguments[..]].concat()).await;
        assert_done(&done);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_calls_many_at_once_over_both_transports() {
    for world in worlds_with(&|_| {}).await {
        let scratch = Scratch::new("sipp-many");
        let sink = WebhookSink::start().await;
        sink.on("/voice", Act::twiml("<Say>Hello</Say><Pause length='60'/>"));
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let (sip, number) = (sip_of(&world).await, world.number.trim_start_matches('+').to_owned());
        for transport in ["u1", "t1"] {
            let done = sipp(
                &scratch.0,
                &[
                    &sip, "-s", &number, "-sn", "uac", "-t", transport, "-m", "20", "-r", "10",
                    "-d", "1000",
                ],
            )
            .await;
            assert_done(&done);
        }
        assert_eq!(sink.seen("/voice").len(), 40);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_is_called_and_answers() {
    for world in worlds_with(&|_| {}).await {
        let scratch = Scratch::new("sipp-uas");
        let (port, sink) = (free_port().to_string(), WebhookSink::start().await);
        let to = format!("sip:bob@127.0.0.1:{port}");
        let arguments = ["-sn", "uas", "-p", &port, "-m", "1"];
        let callee = sipp(&scratch.0, &arguments);
        let call = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let status = sink.at("/status");
            let form = [
                ("From", world.number.as_str()),
                ("To", &to),
                ("Twiml", "<Response><Pause length='1'/></Response>"),
                ("StatusCallback", &status),
            ];
            let reply = world.post(&world.path("Calls.json"), &form).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            reached(&world, &reply.text_of("sid"), "completed").await;
        };
        let (done, ()) = tokio::join!(callee, call);
        assert_done(&done);
        assert_eq!(sink.first("/status").await.value("SipResponseCode"), "200");
        world.stop().await;
    }
}

/// A second of a tone as a WAV file, so often.
fn tone(hertz: f32, seconds: usize) -> Vec<u8> {
    let count = seconds * 8000;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + count as u32 * 2).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1F\0\0\x80\x3E\0\0\x02\0\x10\0data");
    wav.extend((count as u32 * 2).to_le_bytes());
    for at in 0..count {
        let sample = (at as f32 * hertz * std::f32::consts::TAU / 8000.0).sin() * 8000.0;
        wav.extend((sample as i16).to_le_bytes());
    }
    wav
}

/// The share of a recording's energy that is at this frequency, of its loudest second.
fn share(wav: &[u8], hertz: f32) -> f32 {
    let samples: Vec<f32> = wav[44.min(wav.len())..]
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    let energy = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>();
    let loudest =
        samples.chunks(4000).max_by(|a, b| energy(a).total_cmp(&energy(b))).unwrap_or_default();
    let (mut real, mut imaginary) = (0.0_f32, 0.0_f32);
    for (at, sample) in loudest.iter().enumerate() {
        let angle = at as f32 * hertz * std::f32::consts::TAU / 8000.0;
        real += sample * angle.cos();
        imaginary += sample * angle.sin();
    }
    let all = energy(loudest) * loudest.len() as f32 / 2.0;
    if all > 1.0 { (real * real + imaginary * imaginary) / all } else { 0.0 }
}

/// A telephone that registers as ann, and does this when it is ready.
fn baresip(dir: &Path, sip: &str, encryption: &str, then: &[&str]) -> Running {
    std::fs::write(dir.join("in.wav"), tone(1000.0, 30)).unwrap();
    let (here, port) = (dir.display(), free_port());
    let config = format!(
        "module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\n\
         module sndfile.so\nmodule srtp.so\nmodule_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
         audio_source aufile,{here}/in.wav\naudio_player aubridge,none\naudio_alert aubridge,none\n\
         snd_path {here}\nsip_listen 0.0.0.0:{port}\n"
    );
    std::fs::write(dir.join("config"), config).unwrap();
    let account = format!(
        "<sip:ann@{DOMAIN};transport=udp>;outbound=\"sip:{sip}\";auth_user=ann;auth_pass=Secret12345678;\
         regint=600;answermode=auto{encryption}\n"
    );
    std::fs::write(dir.join("accounts"), account).unwrap();
    std::fs::write(dir.join("contacts"), "").unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let child = Command::new("baresip")
        .args(["-f", &here.to_string(), "-v"])
        .args(then)
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn();
    Running(child.expect("baresip is installed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_registers_answers_is_heard_and_hears() {
    let domains = Arc::new(Domains::new());
    let shared = domains.clone();
    for world in worlds_with(&move |settings| settings.sip_directory = Some(shared.clone())).await {
        *domains.account.lock().unwrap() = Some(world.sid().parse().unwrap());
        {
            let scratch = Scratch::new("baresip");
            let sink = WebhookSink::start().await;
            let play = sink.on("/tone.wav", Act::answer(200, "audio/wav", tone(440.0, 3)));
            sink.on("/recorded", Act::twiml("<Hangup/>"));
            let _phone = baresip(&scratch.0, &sip_of(&world).await, "", &[]);
            let document = format!(
                "<Response><Play>{play}</Play><Record maxLength='3' timeout='0' playBeep='false' action='{}'/></Response>",
                sink.at("/recorded")
            );
            let to = format!("sip:ann@{DOMAIN}");
            let mut sid = String::new();
            // Until it has registered nobody is there.
            for _ in 0..20 {
                let form = [("From", world.number.as_str()), ("To", &to), ("Twiml", &document)];
                let reply = world.post(&world.path("Calls.json"), &form).await;
                assert_eq!(reply.status, 201, "{reply:?}");
                sid = reply.text_of("sid");
                tokio::time::sleep(Duration::from_millis(500)).await;
                let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
                if call["status"] != "no-answer" {
                    break;
                }
            }
            let over =
                tokio::time::timeout(Duration::from_secs(15), reached(&world, &sid, "completed"))
                    .await;
            let log = std::fs::read_to_string(scratch.0.join("log")).unwrap_or_default();
            assert!(over.is_ok(), "the call does not end; baresip says:\n{log}");
            let recorded = sink.seen("/recorded");
            assert!(!recorded.is_empty(), "nothing was recorded; baresip says:\n{log}");
            let sound = format!("{}.wav", recorded[0].value("RecordingUrl"));
            let path = sound.strip_prefix(&world.url).expect("the recording is here").to_owned();
            let sound = world.get(&path).await;
            let ours = share(&sound.body, 1000.0);
            assert!(ours > 0.8, "we hear {ours} of its tone");
            let heard = std::fs::read_dir(&scratch.0).unwrap().filter_map(Result::ok);
            let heard = heard.map(|file| file.path()).find(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-dec.wav"))
            });
            let heard =
                std::fs::read(heard.unwrap_or_else(|| panic!("it hears nothing:\n{log}"))).unwrap();
            let theirs = share(&heard, 440.0);
            assert!(theirs > 0.8, "it hears {theirs} of our tone");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn baresip_calls_with_protected_sound() {
    let domains = Arc::new(Domains::new());
    let shared = domains.clone();
    for world in worlds_with(&move |settings| settings.sip_directory = Some(shared.clone())).await {
        *domains.account.lock().unwrap() = Some(world.sid().parse().unwrap());
        let scratch = Scratch::new("baresip-srtp");
        let sink = WebhookSink::start().await;
        let play = sink.on("/tone.wav", Act::answer(200, "audio/wav", tone(440.0, 3)));
        sink.on("/recorded", Act::twiml("<Hangup/>"));
        let document = format!(
            "<Play>{play}</Play><Record maxLength='3' timeout='0' playBeep='false' action='{}'/>",
            sink.at("/recorded")
        );
        *domains.voice_url.lock().unwrap() = sink.on("/voice", Act::twiml(&document));
        let dial = format!("d sip:service@{DOMAIN}");
        let sip = sip_of(&world).await;
        let _phone = baresip(&scratch.0, &sip, ";mediaenc=srtp-mand", &["-e", &dial]);
        let mut recorded = Vec::new();
        for _ in 0..400 {
            recorded = sink.seen("/recorded");
            if !recorded.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(scratch.0.join("log")).unwrap_or_default();
        assert!(!recorded.is_empty(), "nothing was recorded; baresip says:\n{log}");
        let sound = format!("{}.wav", recorded[0].value("RecordingUrl"));
        let path = sound.strip_prefix(&world.url).expect("the recording is here").to_owned();
        let ours = share(&world.get(&path).await.body, 1000.0);
        assert!(ours > 0.8, "we hear {ours} of its tone");
        world.stop().await;
    }
}

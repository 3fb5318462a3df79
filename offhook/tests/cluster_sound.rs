//! Goal: legs of one room that are on two nodes hear each other as on one (0006). Method: two nodes in this
//! process on one PostgreSQL database and a NATS server, and telephones that speak SIP, each of which
//! hums its own tone to its own node.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use audio::tone::Tone;
use bus::{Bus, Channels, Nats, Topic};
use harness::node::NatsServer;
use harness::{
    Act, Caller, DOMAIN, Domains, WebhookSink, World, assert_error, eventually, loudness, nodes,
    owned_by, pause, table, telephone,
};
use serde_json::json;

/// Everybody who calls is in one conference; two callers on each node.
async fn confer(worlds: &[World; 2], sink: &WebhookSink, noun: &str) -> Vec<Caller> {
    sink.on("/voice", Act::twiml(&format!("<Dial>{noun}</Dial>")));
    worlds[0].configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
    let mut callers = Vec::new();
    for (at, pitch) in PITCHES.iter().enumerate() {
        let from = format!("+1415555011{at}");
        callers.push(Caller::call(&worlds[at % 2], &from, *pitch).await);
        pause(300).await;
    }
    callers
}

const PITCHES: [u32; 4] = [450, 620, 810, 1030];

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_of_two_nodes_is_one() {
    let mut nats = NatsServer::start().await;
    let Some(worlds) = nodes(&nats, &|_| {}).await else { return };
    let sink = WebhookSink::start().await;
    let callers = confer(&worlds, &sink, "<Conference beep='false'>Room</Conference>").await;
    let all = ["bcd", "acd", "abd", "abc"];
    assert_eq!(table(&callers, &PITCHES).await, all);

    let conferences = "Conferences.json?Status=in-progress";
    let conferences = worlds[1].get(&worlds[1].path(conferences)).await.json();
    assert_eq!(conferences["conferences"].as_array().map(Vec::len), Some(1));
    let conference = conferences["conferences"][0]["sid"].as_str().unwrap().to_owned();
    let change = async |at: usize, form: &[(&str, &str)]| {
        let path = format!("Conferences/{conference}/Participants/{}.json", callers[at].sid);
        // By whichever node.
        let world = &worlds[(at + 1) % 2];
        let reply = world.post(&world.path(&path), form).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    change(1, &[("Muted", "true")]).await;
    assert_eq!(table(&callers, &PITCHES).await, ["cd", "acd", "ad", "ac"]);
    change(2, &[("Hold", "true"), ("HoldUrl", "")]).await;
    assert_eq!(table(&callers, &PITCHES).await, ["d", "ad", "", "a"]);
    let pupil = callers[0].sid.clone();
    change(3, &[("Coaching", "true"), ("CallSidToCoach", &pupil)]).await;
    assert_eq!(table(&callers, &PITCHES).await, ["d", "a", "", "a"]);
    change(1, &[("Muted", "false")]).await;
    change(2, &[("Hold", "false")]).await;
    change(3, &[("Coaching", "false")]).await;
    assert_eq!(table(&callers, &PITCHES).await, all);

    // Without the bus those of each node still hear each other.
    nats.kill().await;
    assert_eq!(table(&callers, &PITCHES).await, ["c", "d", "a", "b"]);
    nats.again().await;
    pause(4000).await;
    assert_eq!(table(&callers, &PITCHES).await, all);
    for caller in callers {
        caller.hang_up().await;
    }
    for world in worlds {
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_who_is_on_either_node() {
    let nats = NatsServer::start().await;
    let Some(worlds) = nodes(&nats, &|_| {}).await else { return };
    let sink = WebhookSink::start().await;
    let noun = "<Conference beep='false' record='record-from-start' \
                recordingStatusCallback='/kept'>Room</Conference>";
    let mut callers = confer(&worlds, &sink, noun).await;
    pause(1000).await;
    // Those of one node leave, who is on the other goes on.
    let third = callers.remove(2);
    callers.remove(0).hang_up().await;
    third.hang_up().await;
    pause(1000).await;
    for caller in callers {
        caller.hang_up().await;
    }
    let kept = sink.first("/kept").await;
    let path = worlds[0].path(&format!("Recordings/{}.wav", kept.value("RecordingSid")));
    let wav = audio::wav::read(&worlds[0].get(&path).await.body).unwrap();
    assert_eq!((wav.rate, wav.channels), (8000, 1));
    let frames = |pitch: u32| {
        let loud = |frame: &&[i16]| loudness(frame, pitch as f32) > -30.0;
        wav.samples.chunks(160).filter(loud).count()
    };
    let heard = PITCHES.map(frames);
    assert!(heard.iter().all(|frames| *frames >= 30), "{heard:?}");
    assert!(heard[1] >= heard[2] + 30 && heard[3] >= heard[2] + 30, "who stayed: {heard:?}");
    assert_eq!(sink.seen("/kept").len(), 1);
    for world in worlds {
        world.stop().await;
    }
}

const HANDSET: &str = "+14155550155";

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_handset_sounds_on_one_node_whichever_is_asked() {
    let sink = WebhookSink::start().await;
    let mut tone = vec![0; 8000];
    Tone::parse("1500").unwrap().fill(&mut tone);
    let words = audio::wav::write(audio::wav::Encoding::Pcm16, 8000, 1, &tone).unwrap();
    sink.on("/v1/audio/speech", Act::answer(200, "audio/wav", words));
    let speech = format!("[speech]\nurl = '{}'\nspeech_model = 'hum'\n", sink.at("/v1"));
    let config = offhook::config::Config::read_text(&speech).unwrap();
    let nats = NatsServer::start().await;
    let change = |settings: &mut offhook::server::Settings| settings.config = config.clone();
    let Some(worlds) = nodes(&nats, &change).await else { return };
    let noun = "<Conference beep='false' startConferenceOnEnter='true'>Room</Conference>";
    let mut callers = confer(&worlds, &sink, noun).await;
    let dialled = worlds[1].dial_in(HANDSET).await;
    let legs = |world: &World| world.platform().sound.load().legs;
    eventually("the handset has sound", || async {
        (legs(&worlds[0]) + legs(&worlds[1]) == 5).then_some(())
    })
    .await;
    let home = usize::from(legs(&worlds[1]) == 3);
    for world in &worlds {
        callers.iter().for_each(Caller::forget);
        world.deed(HANDSET, "speak", json!({ "text": "x" })).await;
        pause(1300).await;
        assert!(callers.iter().all(|caller| caller.hears(1500)), "everybody hears it");
    }

    // A page listens where the sound is; elsewhere it is told why not.
    let here = [std::net::IpAddr::from([127, 0, 0, 1])];
    let offer = media::Peer::offer(&here).await.unwrap().sdp.replace("a=ice-lite\r\n", "");
    let place = format!("handsets/{HANDSET}/calls/{dialled}/sound");
    let listened = worlds[home].own("POST", &place, json!({ "sdp": offer })).await;
    assert_eq!(listened.status, 201, "{listened:?}");
    let refused = worlds[1 - home].own("POST", &place, json!({ "sdp": offer })).await;
    assert_error(&refused, 20409, 409, "another node");

    // Who hangs up by the other node has hung up.
    worlds[1 - home].deed(HANDSET, "hangup", json!({})).await;
    eventually("its sound is over", || async {
        (legs(&worlds[0]) + legs(&worlds[1]) == 4).then_some(())
    })
    .await;

    // The node that has the sound ends: the call goes on, with its sound on the other.
    worlds[0].dial_in(HANDSET).await;
    eventually("the handset has sound again", || async {
        (legs(&worlds[0]) + legs(&worlds[1]) == 5).then_some(())
    })
    .await;
    let home = usize::from(legs(&worlds[1]) == 3);
    let [one, two] = worlds;
    let (ends, stays) = if home == 0 { (one, two) } else { (two, one) };
    ends.stop().await;
    for _ in 0..300 {
        if legs(&stays) == 3 {
            break;
        }
        pause(100).await;
    }
    assert_eq!(legs(&stays), 3, "its own two, and the handset");
    // The callers of the other node have gone with it.
    let left = callers.remove(1 - home);
    left.forget();
    stays.deed(HANDSET, "speak", json!({ "text": "x" })).await;
    pause(1300).await;
    assert!(left.hears(1500));
    callers.iter().chain([&left]).for_each(|caller| {
        caller.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    });
    stays.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_on_one_node_talks_with_who_registered_on_the_other() {
    let nats = NatsServer::start().await;
    let domains = Domains::shared();
    let change = |settings: &mut offhook::server::Settings| {
        settings.sip_directory = Some(domains.clone());
    };
    let Some([one, two]) = nodes(&nats, &change).await else { return };
    owned_by(&domains, &one);
    let phone = telephone(&two).await;
    phone.register("ann", "Secret12345678").await;
    let sink = WebhookSink::start().await;
    sink.on("/voice", Act::twiml(&format!("<Dial><Sip>sip:ann@{DOMAIN}</Sip></Dial>")));
    one.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
    let (caller, callee) =
        tokio::join!(Caller::call(&one, "+14155550110", 450), Caller::answer(phone, 620));
    let both = [caller, callee];
    pause(500).await;
    assert_eq!(table(&both, &PITCHES[..2]).await, ["b", "a"]);
    for party in both {
        party.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
    for world in [one, two] {
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hint_waits_behind_sound() {
    let nats = NatsServer::start().await;
    let place = Nats::parse(&nats.url()).unwrap();
    let [one, two] = [(); 2].map(|()| (Bus::among(place.clone()), Channels::new(place.clone())));
    let ((here, says), (there, hears)) = (one, two);
    let (says, hears) = (Arc::new(says), Arc::new(hears));
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let listening = hears.clone();
    let mut tasks = vec![tokio::spawn(async move {
        let receive = |_: &str, _: &[u8]| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        listening.carry(receive).await;
    })];
    let talking = says.clone();
    tasks.push(tokio::spawn(async move { talking.carry(|_, _| {}).await }));
    let room: Arc<str> = "AC1.CF1".into();
    assert!(hears.subscribe(&room));
    // As much as the connection takes: hundreds of rooms.
    let flooding = says.clone();
    tasks.push(tokio::spawn(async move {
        loop {
            for _ in 0..50 {
                flooding.publish(&room, vec![7; 340]);
            }
            pause(1).await;
        }
    }));
    eventually("sound", || async { (heard.load(Ordering::Relaxed) > 1000).then_some(()) }).await;
    eventually("both are connected", || async {
        here.connection().and(there.connection()).map(|_| ())
    })
    .await;
    pause(100).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let mut wakes = there.wakes(Topic::Jobs);
        let begun = Instant::now();
        here.wake(Topic::Jobs);
        wakes.changed().await.unwrap();
        slowest = slowest.max(begun.elapsed());
        pause(10).await;
    }
    assert!(slowest < Duration::from_millis(250), "a hint took {slowest:?}");
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

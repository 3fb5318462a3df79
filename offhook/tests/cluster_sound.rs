//! Goal: legs of one room that are on two nodes hear each other as on one (0006). Method: two nodes in this
//! process on one PostgreSQL database and a NATS server, and telephones that speak SIP, each of which
//! hums its own tone to its own node.

mod harness;

use harness::node::NatsServer;
use harness::{Act, Caller, WebhookSink, World, loudness, nodes, pause, table};

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

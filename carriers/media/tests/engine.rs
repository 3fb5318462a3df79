//! Legs on wires: what they hear of each other, what is recorded, and what applications get.

mod support;

use audio::dtmf::Key;
use audio::level::dbfs;
use contracts::{Item, LegEvent, Listening, Order, StreamNews, StreamSetup, Tracks};
use futures_util::{SinkExt, StreamExt};
use media::Wire;
use serde_json::{Value as Json, json};
use support::{World, loudness, part, pause, sid, tone};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_is_heard_to_its_end() {
    let world = World::new();
    let (leg, end) = world.leg(1);
    let say = |text: &str| Item::Say { text: text.into(), voice: None, language: None, loops: 2 };
    world.order(leg, Order::Play { id: 7, item: say("hello") });
    world.event(leg, |event| *event == LegEvent::Played { id: 7 }).await;
    let heard = end.take();
    let loud: Vec<i16> = heard.iter().copied().skip_while(|sample| *sample == 0).collect();
    // Twice half a second.
    assert!(loudness(&loud[..7900], 700.0) > -20.0);
    assert!((7800..8800).contains(&loud.len()), "{}", loud.len());

    world.order(leg, Order::Play { id: 8, item: Item::Music });
    pause(200).await;
    assert!(dbfs(&end.take()) > -50.0);
    world.order(leg, Order::Stop);
    pause(60).await;
    end.take();
    pause(100).await;
    assert!(end.take().iter().all(|sample| *sample == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_whom() {
    let world = World::new();
    let legs: Vec<_> = (1..=4).map(|number| world.leg(number)).collect();
    let pitch = [500u32, 700, 900, 1100];
    let join = |at: usize, part| {
        world.order(legs[at].0, Order::Join { room: "CF1".into(), part });
    };
    join(0, part(true, true, None));
    join(1, part(false, true, None));
    join(2, part(true, true, Some(legs[0].0)));
    join(3, part(true, true, None));
    for ((_, end), hz) in legs.iter().zip(pitch) {
        end.put(&tone(hz, 1500));
    }
    pause(400).await;
    for (_, end) in &legs {
        end.take();
    }
    pause(600).await;
    let heard: Vec<Vec<i16>> = legs.iter().map(|(_, end)| end.take()).collect();
    let table: Vec<Vec<bool>> = heard
        .iter()
        .map(|heard| pitch.iter().map(|hz| loudness(heard, *hz as f32) > -35.0).collect())
        .collect();
    // The second is muted, the third is heard by the first alone.
    assert_eq!(table[0], [false, false, true, true]);
    assert_eq!(table[1], [true, false, false, true]);
    assert_eq!(table[2], [true, false, false, true]);
    assert_eq!(table[3], [true, false, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_hold_what_was_said() {
    let world = World::new();
    let (leg, end) = world.leg(1);
    let recording = sid("RE", 1);
    world.order(leg, Order::Record { recording, tracks: Tracks::Dual });
    world.order(leg, Order::Play { id: 1, item: Item::Beep });
    end.put(&tone(600, 800));
    pause(1200).await;
    world.order(leg, Order::StopRecording { recording });
    let event = world.event(leg, |event| matches!(event, LegEvent::Recorded { .. })).await;
    let LegEvent::Recorded { millis, sound, .. } = event else { unreachable!() };
    assert!((1100..1500).contains(&millis), "{millis}");
    let file = world.told.sounds.lock().unwrap()[sound.unwrap().parse::<usize>().unwrap()].clone();
    let wav = audio::wav::read(&file).unwrap();
    assert_eq!((wav.rate, wav.channels), (8000, 2));
    assert_eq!(wav.samples.len() as u64 / 2, millis * 8);
    let channel = |at: usize| -> Vec<i16> {
        wav.samples.chunks_exact(2).map(|pair| pair[at]).take(6400).collect()
    };
    assert!(loudness(&channel(0), 600.0) > -20.0 && loudness(&channel(0), 1400.0) < -50.0);
    assert!(loudness(&channel(1), 1400.0) > -26.0 && loudness(&channel(1), 600.0) < -50.0);
    // A leg that ends, ends its recordings.
    let second = sid("RE", 2);
    world.order(leg, Order::Record { recording: second, tracks: Tracks::Inbound });
    pause(100).await;
    world.engine.close(leg);
    let ended = |event: &LegEvent| matches!(event, LegEvent::Recorded { recording, .. } if *recording == second);
    world.event(leg, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_keys_are_secret_nothing_of_the_leg_is_kept() {
    let world = World::new();
    let (payer, keypad) = world.leg(1);
    let (agent, ear) = world.leg(2);
    for leg in [payer, agent] {
        world.order(leg, Order::Join { room: "CF1".into(), part: part(true, true, None) });
    }
    let recording = sid("RE", 1);
    world.order(payer, Order::Record { recording, tracks: Tracks::Inbound });
    world.order(payer, Order::KeepKeys { are_secret: true });
    keypad.press(Key::new('4').unwrap());
    world.event(payer, |event| *event == LegEvent::Digits("4".into())).await;
    keypad.put(&tone(600, 600));
    pause(300).await;
    ear.take();
    pause(200).await;
    // Keys come as events here: who talks along goes on hearing the other.
    assert!(loudness(&ear.take(), 600.0) > -35.0);
    pause(400).await;
    world.order(payer, Order::KeepKeys { are_secret: false });
    keypad.put(&tone(900, 400));
    pause(700).await;
    world.order(payer, Order::StopRecording { recording });
    let event = world.event(payer, |event| matches!(event, LegEvent::Recorded { .. })).await;
    let LegEvent::Recorded { sound: Some(sound), .. } = event else { panic!("{event:?}") };
    let file = world.told.sounds.lock().unwrap()[sound.parse::<usize>().unwrap()].clone();
    let samples = audio::wav::read(&file).unwrap().samples;
    let has = |hz: f32| samples.chunks(800).any(|part| loudness(part, hz) > -30.0);
    assert!(!has(600.0) && has(900.0), "silence, then what was said when it was no secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_recorded_until_nobody_is_in_it() {
    let world = World::new();
    let legs: Vec<_> = (1..=2).map(|number| world.leg(number)).collect();
    for (leg, _) in &legs {
        world.order(*leg, Order::Join { room: "CF1".into(), part: part(true, true, None) });
    }
    let recording = sid("RE", 1);
    world.order(legs[0].0, Order::RecordRoom { recording });
    legs[0].1.put(&tone(500, 300));
    pause(500).await;
    world.engine.close(legs[0].0);
    legs[1].1.put(&tone(900, 300));
    pause(500).await;
    world.order(legs[1].0, Order::Leave);
    // The leg that began it tells of its end.
    let event = world.event(legs[0].0, |event| matches!(event, LegEvent::Recorded { .. })).await;
    let LegEvent::Recorded { sound: Some(sound), millis, .. } = event else { panic!("{event:?}") };
    assert!((800..1500).contains(&millis), "{millis}");
    let file = world.told.sounds.lock().unwrap()[sound.parse::<usize>().unwrap()].clone();
    let samples = audio::wav::read(&file).unwrap().samples;
    for hz in [500.0, 900.0] {
        assert!(samples.chunks(800).any(|part| loudness(part, hz) > -30.0), "{hz}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_words_are_reported() {
    let world = World::new();
    let (leg, end) = world.leg(1);
    let how = Listening { words: true, language: "de-DE".into(), hints: Vec::new() };
    world.order(leg, Order::Listen(Some(how)));
    end.press(Key::new('5').unwrap());
    world.event(leg, |event| *event == LegEvent::Digits("5".into())).await;
    pause(200).await;
    end.put(&tone(600, 1000));
    world.event(leg, |event| *event == LegEvent::SpeechBegan).await;
    let event = world.event(leg, |event| matches!(event, LegEvent::Speech { .. })).await;
    assert_eq!(event, LegEvent::Speech { text: "de-DE for 3".into(), millis: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_brings_sound_both_ways() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // An application that sends back what it hears, and marks it.
    let application = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(socket).await.unwrap();
        let mut got: Vec<Json> = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { break };
            let message: Json = serde_json::from_str(text.as_str()).unwrap();
            if message["event"] == "media" {
                let sid = &message["streamSid"];
                let payload = &message["media"]["payload"];
                let back =
                    json!({ "event": "media", "streamSid": sid, "media": { "payload": payload } });
                socket.send(Message::text(back.to_string())).await.unwrap();
                if message["media"]["chunk"] == "10" {
                    let mark =
                        json!({ "event": "mark", "streamSid": sid, "mark": { "name": "ten" } });
                    socket.send(Message::text(mark.to_string())).await.unwrap();
                }
            }
            got.push(message);
        }
        got
    });
    let world = World::new();
    let (leg, end) = world.leg(1);
    let stream = sid("MZ", 1);
    let setup = StreamSetup {
        stream,
        url: format!("ws://{address}/media"),
        signature: "signed".into(),
        tracks: Tracks::Inbound,
        is_bidirectional: true,
        parameters: vec![("name".into(), "value".into())],
    };
    world.order(leg, Order::Stream(Box::new(setup)));
    let news = |wanted: StreamNews| {
        move |event: &LegEvent| *event == LegEvent::Stream { stream, news: wanted.clone() }
    };
    world.event(leg, news(StreamNews::Started)).await;
    end.take();
    end.put(&tone(800, 1000));
    end.press(Key::new('#').unwrap());
    pause(1200).await;
    assert!(loudness(&end.take(), 800.0) > -25.0, "the echo is heard");
    world.order(leg, Order::StopStream { stream });
    world.event(leg, news(StreamNews::Stopped)).await;
    let got = application.await.unwrap();
    assert_eq!(got[0], json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" }));
    assert_eq!(got[1]["sequenceNumber"], "1");
    assert_eq!(got[1]["start"]["customParameters"], json!({ "name": "value" }));
    assert_eq!(got[1]["start"]["tracks"], json!(["inbound"]));
    assert!(got.iter().any(|m| m["event"] == "dtmf" && m["dtmf"]["digit"] == "#"));
    assert!(got.iter().any(|m| m["event"] == "mark" && m["mark"]["name"] == "ten"));
    assert_eq!(got.last().unwrap()["event"], "stop");
    let numbers = got[1..].iter().map(|m| m["sequenceNumber"].as_str().unwrap().to_owned());
    assert!(numbers.enumerate().all(|(at, number)| number == (at + 1).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_takes_fails() {
    let world = World::new();
    let (leg, _end) = world.leg(1);
    let stream = sid("MZ", 1);
    let setup = StreamSetup {
        stream,
        url: "ws://127.0.0.1:9/".into(),
        signature: String::new(),
        tracks: Tracks::Both,
        is_bidirectional: false,
        parameters: Vec::new(),
    };
    world.order(leg, Order::Stream(Box::new(setup)));
    let event = world.event(leg, |event| matches!(event, LegEvent::Stream { .. })).await;
    let LegEvent::Stream { news: StreamNews::Failed { code, is_over, .. }, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!((code, is_over), (31902, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_ceiling() {
    let world = World::new();
    let legs: Vec<_> = (0..100).map(|number| world.leg(number)).collect();
    let (port, _end) = Wire::new(false);
    assert!(world.engine.open(sid("AC", 1), sid("CA", 1000), Box::new(port)).is_err());
    world.engine.close(legs[0].0);
    assert_eq!(world.engine.load().legs, 99);
}

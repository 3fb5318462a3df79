//! Goal: recordings are files that programs can ask for as they like, and rest sealed where that is
//! configured (voice-api §10). Method: simulated calls that are recorded, and the blobs on disk.

mod harness;

use std::process::Command;

use harness::{World, eventually, worlds, worlds_with};
use offhook::server::Settings;

const USER: &str = "+14155550111";

/// A recording of four seconds.
async fn recorded(world: &World) -> String {
    let twiml =
        "<Response><Start><Recording channels=\"mono\"/></Start><Pause length=\"4\"/></Response>";
    let sid = world.called(USER, &[("Twiml", twiml)]).await;
    world.through_call(&sid, "completed").await;
    let path = world.path(&format!("Calls/{sid}/Recordings.json"));
    eventually("the recording", || async {
        let list = world.get(&path).await.json();
        let found = &list["recordings"][0];
        (found["status"] == "completed").then(|| found["sid"].as_str().unwrap().to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_given_as_it_is_asked_for() {
    for world in worlds().await {
        let sid = recorded(&world).await;
        let at = |rest: &str| world.path(&format!("Recordings/{sid}{rest}"));
        for name in [".wav", "", ".wav?RequestedChannels=1"] {
            let reply = world.get(&at(name)).await;
            assert_eq!((reply.status, &reply.body[..4]), (200, &b"RIFF"[..]), "{name}");
            let wav = audio::wav::read(&reply.body).unwrap();
            assert_eq!((wav.rate, wav.channels), (8000, 1));
            assert!(wav.samples.len() >= 4 * 8000, "{}", wav.samples.len());
        }
        let two = world.get(&at(".wav?RequestedChannels=2")).await;
        assert_eq!(two.status, 400);
        assert!(two.text().contains("<Code>16113</Code>"), "{two:?}");
        let mp3 = world.get(&at(".mp3")).await;
        match Command::new("lame").arg("--version").output() {
            Ok(_) => {
                assert_eq!(mp3.status, 200, "{mp3:?}");
                assert_eq!(mp3.header("content-type"), Some("audio/mpeg"));
                // A frame of MPEG audio begins with eleven bits.
                assert_eq!((mp3.body[0], mp3.body[1] & 0xE0), (0xFF, 0xE0));
            }
            Err(_) => {
                assert_eq!(mp3.status, 501, "{mp3:?}");
                assert!(mp3.text().contains("lame"), "{mp3:?}");
            }
        }
        world.stop().await;
    }
}

fn sealing(settings: &mut Settings) {
    settings.config.storage.encrypt = true;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_rest_sealed_and_old_ones_stay_readable() {
    for mut world in worlds_with(&|_| {}).await {
        let plain = recorded(&world).await;
        world.restart(&sealing).await;
        let sealed = recorded(&world).await;
        // Of what the platform has on disk and in its tables only the old one is a sound.
        let count =
            |places: Vec<String>| places.iter().filter(|place| place.contains("blob")).count();
        let sounds = count(world.places_with("WAVEfmt").await);
        let is_postgres = world.platform().store.kind() == "postgres";
        assert_eq!(sounds, if is_postgres { 2 } else { 1 }, "a row, and this node's memory of it");
        for change in [sealing, |_: &mut Settings| {}] {
            world.restart(&change).await;
            for sid in [&plain, &sealed] {
                let reply = world.get(&world.path(&format!("Recordings/{sid}.wav"))).await;
                assert_eq!((reply.status, &reply.body[..4]), (200, &b"RIFF"[..]), "{sid}");
            }
        }
        let reply = world.get(&world.path(&format!("Recordings/{sealed}.wav"))).await;
        assert!(audio::wav::read(&reply.body).unwrap().samples.len() >= 4 * 8000);
        world.stop().await;
    }
}

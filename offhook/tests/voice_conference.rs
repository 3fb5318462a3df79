//! Goal: a conference is recorded as a whole, and tells who speaks (voice-api §4.5, §4.11, §10).
//! Method: simulated handsets that speak, come and go.

mod harness;

use harness::{Act, WebhookSink, worlds};
use serde_json::json;

const FIRST: &str = "+14155550111";
const SECOND: &str = "+14155550122";
const THIRD: &str = "+14155550133";

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_is_recorded_from_its_second_participant_to_its_last() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let twiml = format!(
            "<Response><Dial><Conference record=\"record-from-start\" beep=\"false\" \
             recordingStatusCallback=\"{}\" recordingStatusCallbackEvent=\"in-progress completed\" \
             statusCallback=\"{}\" statusCallbackEvent=\"speaker end\">room</Conference></Dial></Response>",
            sink.at("/recording"),
            sink.at("/events"),
        );
        let mut calls = Vec::new();
        for handset in [FIRST, SECOND, THIRD] {
            let sid = world.called(handset, &[("Twiml", &twiml)]).await;
            world.through_call(&sid, "in-progress").await;
            world.settle().await;
            if calls.is_empty() {
                world.deed(handset, "speak", json!({ "text": "alone" })).await;
                assert!(sink.seen("/recording").is_empty(), "nobody is there to be recorded with");
                world.advance(5).await;
            }
            calls.push(sid);
        }
        let begun = sink.first("/recording").await;
        assert_eq!(begun.value("RecordingStatus"), "in-progress");
        assert_eq!(begun.value("RecordingSource"), "Conference");
        assert_eq!(begun.param("CallSid"), None);
        let (conference, recording) = (begun.value("ConferenceSid"), begun.value("RecordingSid"));
        world.deed(FIRST, "speak", json!({ "text": "good morning" })).await;
        world.advance(3).await;
        world.settle().await;
        // The one who brought the recording about leaves; it goes on.
        world.deed(SECOND, "hangup", json!({})).await;
        world.settle().await;
        let path = world.path(&format!("Conferences/{conference}/Recordings/{recording}.json"));
        let paused = world.post(&path, &[("Status", "paused")]).await;
        assert_eq!(
            (paused.status, &paused.json()["status"]),
            (200, &json!("paused")),
            "{paused:?}"
        );
        world.settle().await;
        world.deed(THIRD, "speak", json!({ "text": "between us" })).await;
        assert_eq!(world.post(&path, &[("Status", "in-progress")]).await.status, 200);
        world.settle().await;
        world.deed(THIRD, "speak", json!({ "text": "and goodbye" })).await;
        world.advance(3).await;
        world.settle().await;
        for handset in [FIRST, THIRD] {
            world.deed(handset, "hangup", json!({})).await;
        }
        let told = sink.wait("/recording", 2).await;
        assert_eq!(told[1].value("RecordingStatus"), "completed");
        assert_eq!(told[1].value("ConferenceSid"), conference);
        assert!(told[1].value("RecordingDuration").parse::<u64>().unwrap() >= 6);
        let list = world.path(&format!("Conferences/{conference}/Recordings.json"));
        let list = world.get(&list).await.json();
        assert_eq!(list["recordings"][0]["sid"], recording.as_str());
        assert_eq!(list["recordings"][0]["conference_sid"], conference.as_str());
        assert_eq!(list["recordings"][0]["source"], "Conference");
        let sql = "SELECT body FROM resource WHERE sid = $1";
        let row = world.platform().store.point(sql, vec![recording.as_str().into()]).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(row.unwrap().text(0)).unwrap();
        assert_eq!(body["spoken"], "good morning and goodbye");
        let sound = world.get(&world.path(&format!("Recordings/{recording}.wav"))).await;
        assert_eq!((sound.status, &sound.body[..4]), (200, &b"RIFF"[..]));

        let events = sink.seen("/events");
        let said: Vec<(String, String)> = events
            .iter()
            .filter(|seen| seen.param("CallSid").is_some())
            .map(|seen| (seen.value("StatusCallbackEvent"), seen.value("CallSid")))
            .filter(|(event, _)| event.starts_with("participant-speech"))
            .collect();
        let of_first: Vec<&str> =
            said.iter().filter(|(_, call)| *call == calls[0]).map(|(e, _)| e.as_str()).collect();
        assert_eq!(
            of_first[of_first.len() - 2..],
            ["participant-speech-start", "participant-speech-stop"]
        );
        for sid in calls {
            world.through_call(&sid, "completed").await;
        }
        assert_eq!(world.delete(&path).await.status, 204);
        assert_eq!(world.get(&path).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_is_heard_and_its_end_is_told() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let soon = sink.on("/soon", Act::twiml("<Say>We close soon</Say>"));
        let twiml = format!(
            "<Response><Dial><Conference beep=\"false\" statusCallback=\"{}\" \
             statusCallbackEvent=\"start announcement\">room</Conference></Dial></Response>",
            sink.at("/events"),
        );
        let mut calls = Vec::new();
        for handset in [FIRST, SECOND] {
            let sid = world.called(handset, &[("Twiml", &twiml)]).await;
            world.through_call(&sid, "in-progress").await;
            world.settle().await;
            calls.push(sid);
        }
        let conference = sink.first("/events").await.value("ConferenceSid");
        let path = world.path(&format!("Conferences/{conference}.json"));
        assert_eq!(world.post(&path, &[("AnnounceUrl", &soon)]).await.status, 200);
        for handset in [FIRST, SECOND] {
            world.hears(handset, "say We close soon").await;
        }
        world.advance(3).await;
        let told = sink.wait("/events", 2).await.pop().unwrap();
        assert_eq!(told.value("StatusCallbackEvent"), "announcement-end");
        assert_eq!((told.value("AnnounceUrl"), told.param("CallSid")), (soon.clone(), None));
        // They go on hearing each other.
        world.deed(FIRST, "speak", json!({ "text": "already?" })).await;
        world.hears(SECOND, "voice already?").await;
        let missing = sink.on("/missing", Act::answer(404, "text/plain", "none"));
        let one = world.path(&format!("Conferences/{conference}/Participants/{}.json", calls[1]));
        assert_eq!(world.post(&one, &[("AnnounceUrl", &missing)]).await.status, 200);
        let told = sink.wait("/events", 3).await.pop().unwrap();
        assert_eq!(told.value("StatusCallbackEvent"), "announcement-fail");
        assert_eq!(told.value("CallSid"), calls[1]);
        assert!(told.value("ReasonAnnouncementFailed").contains("11200"), "{told:?}");
        for handset in [FIRST, SECOND] {
            world.deed(handset, "hangup", json!({})).await;
        }
    }
}

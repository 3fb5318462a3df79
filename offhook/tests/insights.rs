//! Goal: Voice Insights tells of calls and conferences what is known of them, and nothing else
//! (messaging-adjacent §7). Method: calls on simulated handsets, then the API.

mod harness;

use harness::{Act, WebhookSink, World, assert_error, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const OTHER: &str = "+14155550122";
const VOICE: &str = "/_/insights/v1/Voice";

async fn spoken(world: &World) -> String {
    let call =
        world.called(USER, &[("Twiml", "<Response><Say>Hello there</Say></Response>")]).await;
    world.through_call(&call, "completed").await;
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_summed_up() {
    for world in worlds().await {
        let running =
            world.called(OTHER, &[("Twiml", "<Response><Pause length=\"600\"/></Response>")]).await;
        world.through_call(&running, "in-progress").await;
        let path = format!("{VOICE}/{running}/Summary");
        assert_error(&world.get(&path).await, 17001, 404, &running);
        let partial = world.get(&format!("{path}?ProcessingState=partial")).await.json();
        assert_eq!(
            (&partial["processing_state"], &partial["call_state"]),
            (&json!("partial"), &json!("answered"))
        );

        let call = spoken(&world).await;
        let shown = world.get(&format!("{VOICE}/{call}")).await.json();
        assert!(
            shown["links"]["summary"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/v1/Voice/{call}/Summary"))
        );
        let summary = world.get(&format!("{VOICE}/{call}/Summary")).await.json();
        for (field, expected) in [
            ("call_sid", json!(call)),
            ("call_type", json!("carrier")),
            ("call_state", json!("completed")),
            ("processing_state", json!("complete")),
            ("connect_duration", json!(1)),
            ("carrier_edge", Value::Null),
            ("sdk_edge", Value::Null),
            ("tags", Value::Null),
            ("trust", Value::Null),
            ("annotation", Value::Null),
            ("properties", json!({"direction": "outbound_api"})),
        ] {
            assert_eq!(summary[field], expected, "{field}");
        }
        assert_eq!(
            (&summary["to"]["callee"], &summary["to"]["country_code"]),
            (&json!(USER), &json!("US"))
        );

        let list = format!("{VOICE}/Summaries");
        let count = |query: &'static str| {
            let (world, list) = (&world, &list);
            async move {
                let reply = world.get(&format!("{list}?{query}")).await;
                assert_eq!(reply.status, 200, "{query}: {reply:?}");
                reply.json()["call_summaries"].as_array().map_or(0, Vec::len)
            }
        };
        for (query, expected) in [
            ("", 1),
            ("ProcessingState=all", 2),
            ("ProcessingState=started", 1),
            ("To=%2B14155550111", 1),
            ("To=%2B14155550122", 0),
            ("CallState=busy", 0),
            ("CallType=carrier&Direction=outbound_api", 1),
            ("ToCountryCode=US&HasTag=false", 1),
            ("HasTag=true", 0),
            ("FromCarrier=Owl", 0),
            ("EndTime=1h", 0),
            ("ProcessingState=all&PageSize=1", 1),
            ("ProcessingState=all&PageSize=1&Page=1", 1),
            ("ProcessingState=all&PageSize=1&Page=2", 0),
            ("AnsweredByAnnotation=human", 0),
        ] {
            assert_eq!(count(query).await, expected, "{query}");
        }
        let sorted = world.get(&format!("{list}?ProcessingState=all&SortBy=end_time")).await.json();
        assert_eq!(sorted["call_summaries"][0]["call_sid"], json!(call));
        let page = world.get(&format!("{list}?ProcessingState=all&PageSize=1")).await.json();
        let next = page["meta"]["next_page_url"].as_str().expect("there is more");
        let next = world.get(&format!("/_/{}", next.split_once("/_/").unwrap().1)).await.json();
        assert_ne!(next["call_summaries"][0]["call_sid"], page["call_summaries"][0]["call_sid"]);

        assert_error(&world.get(&format!("{list}?StartTime=soon")).await, 17400, 400, "StartTime");
        assert_error(&world.get(&format!("{list}?StartTime=31d")).await, 17002, 400, "30 days");
        assert_error(&world.get(&format!("{list}?SortBy=price")).await, 17400, 400, "SortBy");
        let unknown = "CA00000000000000000000000000000000";
        assert_error(&world.get(&format!("{VOICE}/{unknown}/Summary")).await, 20404, 404, "");

        // Nothing of one account is seen by another, but by its parent.
        let other = world.subaccount("Other").await;
        assert_error(
            &world.get_as(&other, &format!("{VOICE}/{call}/Summary")).await,
            20404,
            404,
            "",
        );
        let query = format!("{list}?Subaccount={}", other.user);
        assert_eq!(world.get(&query).await.json()["call_summaries"], json!([]));
        let query = format!("{list}?Subaccount={}", world.sid());
        assert_error(&world.get_as(&other, &query).await, 20404, 404, "Subaccount");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_the_steps_of_a_call_and_notes_stay_with_it() {
    for world in worlds().await {
        let call = spoken(&world).await;
        let events = format!("{VOICE}/{call}/Events");
        let reply = world.get(&events).await.json();
        let all = reply["events"].as_array().unwrap();
        let names: Vec<_> = all.iter().map(|event| event["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["queued", "initiated", "ringing", "in_progress", "completed"]);
        assert!(
            all.iter().all(|event| event["edge"] == "carrier_edge" && event["sdk_edge"].is_null())
        );
        let reply = world.get(&format!("{events}?Edge=sip_edge")).await.json();
        assert_eq!(reply["events"], json!([]));
        let metrics = format!("{VOICE}/{call}/Metrics");
        assert_eq!(world.get(&metrics).await.json()["metrics"], json!([]));

        let settings = format!("{VOICE}/Settings");
        assert_eq!(world.get(&settings).await.json()["advanced_features"], true);
        let reply = world.post(&settings, &[("AdvancedFeatures", "false")]).await;
        assert_eq!((reply.status, &reply.json()["advanced_features"]), (200, &json!(false)));
        assert_error(&world.get(&events).await, 17007, 401, "Advanced");
        assert_error(&world.get(&metrics).await, 17007, 401, "Advanced");
        world.post(&settings, &[("AdvancedFeatures", "true"), ("VoiceTrace", "true")]).await;
        assert_eq!(world.get(&settings).await.json()["voice_trace"], true);
        assert_eq!(world.get(&events).await.status, 200);

        let annotation = format!("{VOICE}/{call}/Annotation");
        let empty = world.get(&annotation).await.json();
        assert_eq!((&empty["quality_issues"], &empty["spam"]), (&json!([]), &Value::Null));
        let form = [
            ("AnsweredBy", "human"),
            ("QualityIssues", "echo,low_volume"),
            ("Spam", "true"),
            ("CallScore", "4"),
            ("Comment", "fine"),
        ];
        let noted = world.post(&annotation, &form).await;
        assert_eq!(noted.status, 200, "{noted:?}");
        world.post(&annotation, &[("Comment", "")]).await;
        let noted = world.get(&annotation).await.json();
        assert_eq!(
            (
                &noted["answered_by"],
                &noted["quality_issues"],
                &noted["call_score"],
                &noted["comment"]
            ),
            (&json!("human"), &json!(["echo", "low_volume"]), &json!(4), &Value::Null)
        );
        let summary = world.get(&format!("{VOICE}/{call}/Summary")).await.json();
        assert_eq!(summary["annotation"]["call_score"], 4);
        for (query, expected) in [("CallScoreAnnotation=4", 1), ("QualityIssueAnnotation=dtmf", 0)]
        {
            let reply = world.get(&format!("{VOICE}/Summaries?{query}")).await.json();
            assert_eq!(reply["call_summaries"].as_array().unwrap().len(), expected, "{query}");
        }
        for (param, value) in [("CallScore", "6"), ("QualityIssues", "hiss"), ("AnsweredBy", "dog")]
        {
            assert_error(&world.post(&annotation, &[(param, value)]).await, 17400, 400, param);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_is_remembered_with_everybody_in_it() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let room = |extra: &str| {
            Act::twiml(&format!(
                "<Dial><Conference {extra} maxParticipants=\"9\">Room</Conference></Dial>"
            ))
        };
        sink.in_turn(
            "/voice",
            vec![room("participantLabel=\"ann\""), room("endConferenceOnExit=\"true\"")],
        );
        world.configure(&[("VoiceUrl", &sink.at("/voice"))]).await;
        let first = world.dial_in(USER).await;
        world.through_call(&first, "in-progress").await;
        world.settle().await;
        let second = world.dial_in(OTHER).await;
        world.through_call(&second, "in-progress").await;
        world.settle().await;
        let list = "/_/insights/v1/Conferences";
        let listed = world.get(list).await.json();
        assert_eq!(listed["conferences"][0]["status"], "in_progress", "{listed}");
        world.advance(5).await;
        world.deed(OTHER, "hangup", Value::Null).await;
        world.through_call(&first, "completed").await;
        world.settle().await;

        let listed = world.get(&format!("{list}?FriendlyName=Room&Status=completed")).await.json();
        let conference = listed["conferences"][0].clone();
        for (field, expected) in [
            ("unique_participants", json!(2)),
            ("max_concurrent_participants", json!(2)),
            ("max_participants", json!(9)),
            ("end_reason", json!("participant_with_end_conference_on_exit_left")),
            ("ended_by", json!(second)),
            ("processing_state", json!("complete")),
            ("detected_issues", Value::Null),
            ("tags", Value::Null),
        ] {
            assert_eq!(conference[field], expected, "{field}: {conference}");
        }
        assert!(conference["connect_duration_seconds"].as_i64().unwrap() >= 5, "{conference}");
        let sid = conference["conference_sid"].as_str().unwrap();
        let participants = format!("{list}/{sid}/Participants");
        let reply = world.get(&participants).await.json();
        let all = reply["participants"].as_array().unwrap();
        assert_eq!((&all[0]["call_sid"], &all[1]["call_sid"]), (&json!(first), &json!(second)));
        let ann = &all[0];
        assert_eq!(
            (&ann["label"], &ann["from"], &ann["call_direction"], &ann["metrics"]),
            (&json!("ann"), &json!(USER), &json!("inbound"), &Value::Null)
        );
        assert!(ann["leave_time"].is_string() && ann["duration_seconds"].as_i64().unwrap() >= 5);
        assert_eq!((&ann["is_moderator"], &all[1]["is_moderator"]), (&json!(false), &json!(true)));
        let one = format!("{participants}/{}", ann["participant_sid"].as_str().unwrap());
        assert_eq!(world.get(&one).await.json()["call_sid"], json!(first));
        let labelled = world.get(&format!("{participants}?Label=ann")).await.json();
        assert_eq!(labelled["participants"].as_array().unwrap().len(), 1);
        let none = world.get(&format!("{list}?CreatedBefore=1d&CreatedAfter=2d")).await.json();
        assert_eq!(none["conferences"], json!([]));
        let unknown = format!("{list}/CF00000000000000000000000000000000");
        assert_error(&world.get(&unknown).await, 20404, 404, "");
        world.stop().await;
    }
}

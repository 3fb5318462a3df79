//! Goal: an account's own words stop, start and help, and its own answers follow (compliance §2).
//! Method: sets made over `/v3/OptOuts`, words typed on handsets, the webhook that tells of them.

mod harness;

use harness::{Act, Reply, Request, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const FRENCH: &str = "+33612345678";
const SETS: &str = "/_/messaging/v3/OptOuts";

async fn post_json(world: &World, path: &str, body: Value) -> Reply {
    let request = Request::new("POST", path).login(&world.login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

async fn set(world: &World, body: Value) -> String {
    let made = post_json(world, SETS, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.text_of("opt_out_sid").starts_with("OO"), "{made:?}");
    made.text_of("opt_out_sid")
}

async fn keyword(world: &World, set: &str, kind: &str, country: &str, word: &str) -> Reply {
    let body = json!({"keywordType": kind, "messageType": country, "keyword": word});
    post_json(world, &format!("{SETS}/{set}/Keywords"), body).await
}

async fn message(world: &World, set: &str, kind: &str, country: &str, text: &str) -> Reply {
    let body = json!({"keywordType": kind, "messageType": country, "message": text});
    post_json(world, &format!("{SETS}/{set}/Messages"), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_own_words_stop_and_start() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        sink.on("/sms", Act::twiml(""));
        let service = [("FriendlyName", "Own"), ("InboundRequestUrl", &sink.at("/sms"))];
        let service = world.post("/_/messaging/v1/Services", &service).await.text_of("sid");
        let number = world.number_sid(&world.number).await;
        let members = format!("/_/messaging/v1/Services/{service}/PhoneNumbers");
        world.post(&members, &[("PhoneNumberSid", &number)]).await;
        let set = set(&world, json!({"friendlyName": "Ours"})).await;
        assert_eq!(keyword(&world, &set, "STOP.FRENCH", "FR", "arret").await.status, 201);
        let told = message(&world, &set, "STOP.FRENCH", "FR", "Au revoir").await;
        assert_eq!(told.status, 201, "{told:?}");
        let attached = format!("{SETS}/{set}/MessagingServices/{service}");
        let reply = world.post(&attached, &[]).await;
        assert_eq!(
            (reply.status, reply.text_of("messaging_service_sid")),
            (201, service.clone()),
            "{reply:?}"
        );
        let listed = world.get(&format!("{SETS}/{set}/MessagingServices")).await.json();
        assert_eq!(listed["messaging_services"][0]["messaging_service_sid"], service);

        // A French word is one in France only.
        world.type_on(USER, &world.number, "ARRET").await;
        let seen = &sink.wait("/sms", 1).await[0];
        assert_eq!(seen.param("OptOutType"), None);
        world.type_on(FRENCH, &world.number, " Arret ").await;
        let seen = &sink.wait("/sms", 2).await[1];
        assert_eq!(seen.value("OptOutType"), "STOP");
        seen.assert_signed(&sink, &world.login);
        assert_eq!(world.bodies(FRENCH, 1).await, ["Au revoir"]);
        let send = |to| {
            let form = [("To", to), ("MessagingServiceSid", service.as_str()), ("Body", "x")];
            let world = &world;
            async move { world.message(&form).await }
        };
        assert_error(&send(FRENCH).await, 21610, 400, FRENCH);
        assert_eq!(send(USER).await.status, 201);
        // The ledger has it, and START lifts it.
        world.type_on(FRENCH, &world.number, "start").await;
        assert_eq!(sink.wait("/sms", 3).await[2].value("OptOutType"), "START");
        assert!(world.bodies(FRENCH, 2).await[1].contains("re-subscribed"));
        assert_eq!(send(FRENCH).await.status, 201);

        // Without the set the words mean nothing.
        assert_eq!(world.delete(&attached).await.status, 204);
        assert_error(&world.delete(&attached).await, 20404, 404, "");
        world.type_on(FRENCH, &world.number, "arret").await;
        assert_eq!(sink.wait("/sms", 4).await[3].param("OptOutType"), None);
        // A service that is deleted lets go of its set.
        assert_eq!(world.post(&attached, &[]).await.status, 201);
        let gone = world.delete(&format!("/_/messaging/v1/Services/{service}")).await;
        assert_eq!(gone.status, 204);
        let listed = world.get(&format!("{SETS}/{set}/MessagingServices")).await.json();
        assert_eq!(listed["messaging_services"], json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_default_counts_for_every_number() {
    for world in worlds().await {
        let set = set(&world, json!({"friendlyName": "All", "accountDefault": true})).await;
        assert_eq!(message(&world, &set, "HELP.ALL", "ALL", "Call us").await.status, 201);
        let gone =
            format!("{SETS}/{set}/Keywords?keywordType=STOP.ALL&messageType=ALL&keyword=END");
        assert_eq!(world.delete(&gone).await.status, 204);
        world.type_on(USER, &world.number, "help").await;
        assert_eq!(world.bodies(USER, 1).await, ["Call us"]);
        // END is an ordinary word now, and STOP never is.
        world.type_on(USER, &world.number, "end").await;
        world.delivered(&[("To", USER), ("Body", "still here")]).await;
        world.type_on(USER, &world.number, "stop").await;
        eventually("a STOP", || async {
            let reply = world.message(&[("To", USER), ("Body", "x")]).await;
            (reply.code() == Some(21610)).then_some(())
        })
        .await;
        // One default at a time.
        let second = post_json(&world, SETS, json!({"accountDefault": true})).await;
        assert_error(&second, 20409, 409, "");
        let changed =
            post_json(&world, &format!("{SETS}/{set}"), json!({"accountDefault": false})).await;
        assert_eq!((changed.status, &changed.json()["account_default"]), (200, &json!(false)));
        assert_eq!(post_json(&world, SETS, json!({"accountDefault": true})).await.status, 201);
        assert_eq!(world.delete(&format!("{SETS}/{set}")).await.status, 204);
        assert_error(&world.get(&format!("{SETS}/{set}")).await, 20404, 404, "");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_shows_itself_and_refuses_what_it_cannot_keep() {
    for world in worlds().await {
        let set = set(&world, json!({"friendlyName": "Ours"})).await;
        let path = format!("{SETS}/{set}");
        let listed = world.get(SETS).await.json();
        assert_eq!(listed["opt_outs"][0]["opt_out_sid"], set, "{listed}");
        keyword(&world, &set, "HELP.GERMAN", "DE", "hilfe").await;
        let shown = world.get(&format!("{path}/Keywords")).await.json();
        assert_eq!(
            shown["config"].as_array().unwrap().last().unwrap(),
            &json!({"keyword_type": "HELP.GERMAN", "message_type": "DE", "keywords": ["HILFE"]})
        );
        let types = world.get(&format!("{path}/MessageTypes")).await.json();
        assert_eq!(
            types["message_types"],
            json!([
                {"key": "ALL", "friendly_name": "Global Default Settings"},
                {"key": "DE", "friendly_name": "Germany"}
            ])
        );
        for (kind, country, word, mentions) in [
            ("STOP.KLINGON", "US", "X", "keywordType"),
            ("STOP.ENGLISH", "XX", "X", "messageType"),
            ("STOP.ENGLISH", "US", "two words", "two words"),
            ("STOP.GERMAN", "DE", "hilfe", "HELP"),
            ("START.GERMAN", "DE", "stop", "STOP"),
        ] {
            assert_error(&keyword(&world, &set, kind, country, word).await, 20001, 400, mentions);
        }
        let long = "x".repeat(321);
        assert_error(&message(&world, &set, "STOP.ALL", "ALL", &long).await, 20001, 400, "message");
        let reserved = format!("{path}/Keywords?keywordType=STOP.ALL&messageType=ALL&keyword=STOP");
        assert_error(&world.delete(&reserved).await, 20001, 400, "STOP");
        assert_eq!(world.delete(&format!("{path}/MessageTypes?messageType=DE")).await.status, 204);
        let other = world.subaccount("Other").await;
        assert_error(&world.get_as(&other, &path).await, 20404, 404, "");
        let defaults = world.get(&format!("{SETS}/DefaultKeywordsMessages")).await.json();
        assert_eq!(defaults["defaultKeywords"][0]["keyword"], "STOP");
        let languages = world.get(&format!("{SETS}/Configurations/Languages")).await.json();
        assert_eq!(languages["languages"].as_array().unwrap().len(), 42);
        let countries = world.get(&format!("{SETS}/Configurations/MessageTypes")).await.json();
        assert!(countries["message_types"].as_array().unwrap().len() > 200);
        world.stop().await;
    }
}

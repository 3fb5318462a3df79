//! Goal: messages reach real networks, and what these say comes back. Method: two whole
//! platforms, one the network of the other: as a Twilio account, and as a message centre.

mod harness;

use harness::{Act, Reply, Request, WebhookSink, World, eventually, free_port, worlds};
use offhook::config::Config;
use offhook::server::Settings;
use serde_json::{Value, json};

const USER: &str = "+14155550111";

/// A configuration as an operator writes it.
fn config(text: &str) -> Config {
    Config::read_text(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Two platforms for each database: ours, and the one that is a network to it.
async fn pairs() -> Vec<(World, World)> {
    worlds().await.into_iter().zip(worlds().await).collect()
}

/// Configures where the messages of `number` go in a world.
async fn route(world: &World, number: &str, url: &str) {
    let sid = world.number_sid(number).await;
    let path = world.path(&format!("IncomingPhoneNumbers/{sid}.json"));
    let set = world.post(&path, &[("SmsUrl", url)]).await;
    assert_eq!(set.status, 200, "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twilio_account_carries_messages() {
    for (mut ours, theirs) in pairs().await {
        let port = free_port();
        let public = format!("http://127.0.0.1:{port}");
        let text = format!(
            "[carriers.twilio]\naccount_sid = '{}'\nauth_token = '{}'\nbase_url = '{}'\n\
             [[routes]]\ncarriers = ['twilio']",
            theirs.login.user, theirs.login.password, theirs.url
        );
        let change = |settings: &mut Settings| {
            settings.listen = ([127, 0, 0, 1], port).into();
            settings.public_url = Some(public.clone());
            settings.config = config(&text);
        };
        ours.restart(&change).await;

        // Their simulated phone has it, once; their receipt is ours.
        let sid = ours.delivered(&[("To", USER), ("Body", "through two")]).await;
        assert_eq!(theirs.bodies(USER, 1).await, ["through two"]);
        assert!(ours.received(USER).await.is_empty(), "our own phones were not asked");
        theirs.handset(USER, "off").await;
        let lost = ours.sent(&[("To", USER), ("Body", "nobody there")]).await;
        assert_eq!(ours.reached(&lost, "undelivered").await["error_code"], 30003);
        theirs.handset(USER, "on").await;

        // What people send to the number there reaches the application here.
        let sink = WebhookSink::start().await;
        let url = sink.on("/sms", Act::twiml("<Message>heard</Message>"));
        ours.configure(&[("SmsUrl", &url)]).await;
        route(&theirs, &ours.number, &format!("{public}{}", twilio::INBOUND_PATH)).await;
        theirs.type_on(USER, &ours.number, "hello").await;
        let seen = sink.first("/sms").await;
        assert_eq!((seen.value("From"), seen.value("Body")), (USER.into(), "hello".into()));
        eventually("the reply on the phone", || async {
            let bodies = theirs.bodies(USER, 1).await;
            bodies.contains(&"heard".to_owned()).then_some(())
        })
        .await;

        // A callback that the account did not sign changes nothing.
        let forged = format!("MessageSid={sid}&MessageStatus=failed");
        let request = harness::Request::new("POST", twilio::STATUS_PATH)
            .header("X-Twilio-Signature", "AAAA")
            .body("application/x-www-form-urlencoded", forged.into_bytes());
        assert_eq!(ours.send(request).await.status, 403);
        ours.stop().await;
        theirs.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_call_back_is_asked() {
    for (mut ours, theirs) in pairs().await {
        let text = format!(
            "[carriers.twilio]\naccount_sid = '{}'\nauth_token = '{}'\nbase_url = '{}'\n\
             [[routes]]\ncarriers = ['twilio']",
            theirs.login.user, theirs.login.password, theirs.url
        );
        ours.restart(&|settings| settings.config = config(&text)).await;
        let sid = ours.sent(&[("To", USER), ("Body", "no way back")]).await;
        theirs.bodies(USER, 1).await;
        ours.reached(&sid, "sent").await;
        ours.advance(3).await;
        ours.reached(&sid, "delivered").await;
        ours.stop().await;
        theirs.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_centre_carries_messages_both_ways() {
    for (mut ours, mut theirs) in pairs().await {
        let port = free_port();
        let centre = format!(
            "[[carriers.smpp.listeners]]\nlisten = '127.0.0.1:{port}'\n[[applications]]\n\
             system_id = 'ours'\npassword = 'secret'\naccount_sid = '{}'\nnumbers = ['{}']",
            theirs.login.user, ours.number
        );
        theirs.restart(&|settings| settings.config = config(&centre)).await;
        let bind = format!(
            "[[carriers.smpp.binds]]\nname = 'centre'\nhost = '127.0.0.1'\nport = {port}\n\
             system_id = 'ours'\npassword = 'secret'\n[[routes]]\ncarriers = ['smpp']"
        );
        ours.restart(&|settings| settings.config = config(&bind)).await;

        let long = "Grüße 👋 ".repeat(40);
        ours.delivered(&[("To", USER), ("Body", long.trim_end())]).await;
        assert_eq!(theirs.bodies(USER, 1).await, [long.trim_end()]);
        theirs.handset(USER, "filtered").await;
        let lost = ours.sent(&[("To", USER), ("Body", "spam")]).await;
        assert_eq!(ours.reached(&lost, "undelivered").await["error_code"], 30007);
        theirs.handset(USER, "on").await;

        let sink = WebhookSink::start().await;
        ours.configure(&[("SmsUrl", &sink.at("/sms"))]).await;
        theirs.type_on(USER, &ours.number, "back").await;
        assert_eq!(sink.first("/sms").await.value("Body"), "back");
        ours.stop().await;
        theirs.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_carrier_takes_over_while_one_is_away() {
    for mut world in worlds().await {
        let nobody = free_port();
        let text = format!(
            "[carriers.twilio]\naccount_sid = 'AC00000000000000000000000000000001'\n\
             auth_token = 't'\nbase_url = 'http://127.0.0.1:{nobody}'\n\
             [[routes]]\nto = '+1'\ncarriers = ['twilio', 'sim']\n\
             [[routes]]\nto = '+44'\ncarriers = ['sim']"
        );
        world.restart(&|settings| settings.config = config(&text)).await;
        world.delivered(&[("To", USER), ("Body", "took over")]).await;
        let nowhere = world.sent(&[("To", "+33612345678"), ("Body", "x")]).await;
        assert_eq!(world.reached(&nowhere, "failed").await["error_code"], 30005);
        world.stop().await;
    }
}

/// How many of so many messages each platform's phones have: ours, theirs.
async fn spread(ours: &World, theirs: &World, count: usize) -> (usize, usize) {
    for at in 0..count {
        let to = format!("+1415556{at:04}");
        ours.sent(&[("To", &to), ("Body", "x")]).await;
    }
    let sql = "SELECT count(*) FROM message WHERE status = 'delivered'
               AND direction = 'outbound-api'";
    let delivered = async |world: &World| {
        let row = world.platform().store.point(sql, vec![]).await.unwrap().unwrap();
        usize::try_from(row.int(0)).unwrap()
    };
    eventually("all of them", || async {
        ours.advance(1).await;
        (delivered(ours).await == count).then_some(())
    })
    .await;
    let there = delivered(theirs).await;
    (count - there, there)
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_moves_to_another_carrier_step_by_step() {
    for (mut ours, theirs) in pairs().await {
        let phase = |percent: u32| {
            format!(
                "[carriers.twilio]\naccount_sid = '{}'\nauth_token = '{}'\nbase_url = '{}'\n\
                 [[routes]]\ncarriers = [{{ name = 'twilio', share = {percent} }}, 'sim']",
                theirs.login.user, theirs.login.password, theirs.url
            )
        };
        let first = phase(25);
        ours.restart(&|settings| settings.config = config(&first)).await;
        let (here, there) = spread(&ours, &theirs, 200).await;
        assert!((25..=80).contains(&there), "{here} here, {there} there");
        let last = phase(100);
        ours.restart(&|settings| settings.config = config(&last)).await;
        for at in 0..20 {
            ours.sent(&[("To", &format!("+1415557{at:04}")), ("Body", "x")]).await;
        }
        let sql = "SELECT count(*) FROM message";
        eventually("the rest there", || async {
            let row = theirs.platform().store.point(sql, vec![]).await.unwrap().unwrap();
            (row.int(0) == i64::try_from(there).unwrap() + 20).then_some(())
        })
        .await;
        ours.stop().await;
        theirs.stop().await;
    }
}

/// What Meta posts, signed with the app's secret.
async fn meta(world: &World, value: Value) -> Reply {
    let change = json!({"field": "messages", "value": value});
    let body = json!({"object": "whatsapp_business_account",
                      "entry": [{"id": "1", "changes": [change]}]});
    let body = body.to_string().into_bytes();
    let request = Request::new("POST", whatsapp::WEBHOOK_PATH)
        .header("X-Hub-Signature-256", &signature::sign_hub("app-secret", &body));
    world.send(request.body("application/json", body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_api_carries_whatsapp() {
    for mut world in worlds().await {
        let graph = WebhookSink::start().await;
        let text = format!(
            "[carriers.whatsapp]\naccess_token = 'token'\napp_secret = 'app-secret'\n\
             verify_token = 'ours'\nbase_url = '{}'\n\
             [[carriers.whatsapp.numbers]]\nnumber = '+14155550190'\n\
             phone_number_id = '1066'\n\
             [[routes]]\nto = 'whatsapp:'\ncarriers = ['whatsapp']\n\
             [[routes]]\ncarriers = ['sim']",
            graph.at("/v21.0")
        );
        world.restart(&|settings| settings.config = config(&text)).await;
        let (user, from) = (format!("whatsapp:{USER}"), "whatsapp:+14155550190");
        let answer = |id: &str| {
            let body = json!({"messaging_product": "whatsapp", "messages": [{"id": id}]});
            Act::answer(200, "application/json", body.to_string())
        };
        let error = |code: u32| {
            let body = json!({"error": {"code": code, "message": "no"}});
            Act::answer(400, "application/json", body.to_string())
        };

        // The webhook proves to be ours, and hears only Meta.
        let hub = |token: &str| {
            format!(
                "{}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=77",
                whatsapp::WEBHOOK_PATH
            )
        };
        assert_eq!(world.get(&hub("ours")).await.text(), "77");
        assert_eq!(world.get(&hub("theirs")).await.status, 403);
        let forged = Request::new("POST", whatsapp::WEBHOOK_PATH)
            .header("X-Hub-Signature-256", &signature::sign_hub("another", b"{}"));
        assert_eq!(world.send(forged.body("application/json", b"{}".into())).await.status, 403);

        // A user writes, once, though Meta tells it twice.
        let sink = WebhookSink::start().await;
        let url = sink.on("/in", Act::answer(204, "text/plain", ""));
        let sender = json!({"sender_id": from, "webhook": {"callback_url": url}});
        let request = Request::new("POST", "/_/messaging/v2/Channels/Senders").login(&world.login);
        let made = world.send(request.body("application/json", sender.to_string().into())).await;
        assert_eq!(made.status, 202, "{made:?}");
        let inbound = |id: &str, message: Value| {
            let mut message = message;
            message["id"] = id.into();
            message["from"] = USER.trim_start_matches('+').into();
            json!({"messaging_product": "whatsapp",
                   "metadata": {"display_phone_number": "14155550190", "phone_number_id": "1066"},
                   "contacts": [{"profile": {"name": "Ada"}, "wa_id": "14155550111"}],
                   "messages": [message]})
        };
        let hello = inbound("wamid.in1", json!({"type": "text", "text": {"body": "hello"}}));
        assert_eq!(meta(&world, hello.clone()).await.status, 200);
        assert_eq!(meta(&world, hello).await.status, 200);
        let bytes = b"\xff\xd8\xff\xe0 a picture".to_vec();
        let media = graph.on("/media/7", Act::answer(200, "image/jpeg", bytes.clone()));
        let told = json!({"url": media, "mime_type": "image/jpeg"}).to_string();
        graph.on("/v21.0/7", Act::answer(200, "application/json", told));
        let image = json!({"type": "image", "image": {"id": "7", "caption": "look"}});
        assert_eq!(meta(&world, inbound("wamid.in2", image)).await.status, 200);
        let row = json!({"type": "list_reply", "list_reply": {"id": "am", "title": "Morning"}});
        let chosen = json!({"type": "interactive", "interactive": row});
        assert_eq!(meta(&world, inbound("wamid.in3", chosen)).await.status, 200);
        let seen = sink.wait("/in", 3).await;
        assert_eq!(
            (seen[0].value("Body"), seen[0].value("ProfileName"), seen[0].value("From")),
            ("hello".into(), "Ada".into(), user.clone())
        );
        assert_eq!((seen[1].value("Body"), seen[1].value("NumMedia")), ("look".into(), "1".into()));
        let kept = seen[1].value("MediaUrl0");
        let (_, path) = kept.split_once("://").unwrap();
        let path = &path[path.find('/').unwrap()..];
        assert_eq!(world.get(path).await.body, bytes);
        assert_eq!(graph.first("/v21.0/7").await.header("authorization"), Some("Bearer token"));
        assert_eq!(seen[2].value("ListId"), "am");

        // What is sent is one request, and Meta tells what becomes of it.
        let acts = vec![answer("wamid.1"), error(131_026), error(130_429), answer("wamid.2")];
        graph.in_turn("/v21.0/1066/messages", acts);
        let form = [("To", &*user), ("From", from), ("Body", "hi Ada")];
        let sid = world.sent(&form).await;
        world.reached(&sid, "sent").await;
        let request = graph.first("/v21.0/1066/messages").await;
        assert_eq!(request.header("authorization"), Some("Bearer token"));
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&sent["to"], &sent["text"]["body"]), (&json!(USER), &json!("hi Ada")));
        let status = |id: &str, status: &str| json!({"statuses": [{"id": id, "status": status, "recipient_id": "14155550111"}]});
        for told in ["sent", "delivered", "read"] {
            assert_eq!(meta(&world, status("wamid.1", told)).await.status, 200);
        }
        world.reached(&sid, "read").await;
        assert_eq!(meta(&world, status("wamid.foreign", "failed")).await.status, 200);
        let lost = world.sent(&form).await;
        assert_eq!(world.reached(&lost, "failed").await["error_code"], 63024);
        // Too fast: tried again, and then undone by a late failure.
        let late = world.sent(&form).await;
        eventually("the second try", || async {
            world.advance(1).await;
            (graph.seen("/v21.0/1066/messages").len() == 4).then_some(())
        })
        .await;
        world.reached(&late, "sent").await;
        let failed = json!({"statuses": [
            {"id": "wamid.2", "status": "failed", "errors": [{"code": 131_049}]}]});
        assert_eq!(meta(&world, failed).await.status, 200);
        assert_eq!(world.reached(&late, "undelivered").await["error_code"], 63049);
        world.stop().await;
    }
}

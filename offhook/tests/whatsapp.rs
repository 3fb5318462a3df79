//! Goal: WhatsApp's rules hold: its senders, its window, its ticks (whatsapp-content §1, §6).
//! Method: a phone that writes, looks and stays silent, and a clock that is moved.

mod harness;

use harness::{
    Act, Login, Request, WebhookSink, World, assert_error, eventually, strict_worlds, worlds,
};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const SENDERS: &str = "/_/messaging/v2/Channels/Senders";

fn whatsapp(number: &str) -> String {
    format!("whatsapp:{number}")
}

/// A sender of the main account; its SID.
async fn sender(world: &World, address: &str, webhook: &str) -> String {
    let body = json!({"sender_id": address, "webhook": {"callback_url": webhook}});
    let request = Request::new("POST", SENDERS)
        .login(&world.login)
        .body("application/json", body.to_string().into_bytes());
    let made = world.send(request).await;
    assert_eq!((made.status, made.text_of("status")), (202, "ONLINE".into()), "{made:?}");
    made.text_of("sid")
}

async fn message(world: &World, from: &str, body: &str) -> Value {
    let form = [("To", whatsapp(USER)), ("From", from.to_owned()), ("Body", body.to_owned())];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let reply = world.message(&form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_speaks_freely_for_a_day_after_the_user_wrote() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let from = whatsapp("+14155238886");
        let url = sink.on("/in", Act::twiml("<Message>hi back</Message>"));
        sender(&world, &from, &url).await;

        let early = message(&world, &from, "hello?").await;
        let failed = world.reached(early["sid"].as_str().unwrap(), "failed").await;
        assert_eq!(failed["error_code"], 63016);

        world.type_on(USER, &from, "I have a question").await;
        let seen = sink.first("/in").await;
        assert_eq!(seen.value("From"), whatsapp(USER));
        assert_eq!(seen.value("WaId"), USER.trim_start_matches('+'));
        eventually("the reply", || async {
            let bodies = world.bodies(USER, 1).await;
            bodies.contains(&"hi back".to_owned()).then_some(())
        })
        .await;

        let callback = sink.at("/status");
        let form = [
            ("To", whatsapp(USER)),
            ("From", from.clone()),
            ("Body", "the answer".into()),
            ("StatusCallback", callback),
        ];
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let sid = world.sent(&form).await;
        world.reached(&sid, "delivered").await;
        assert_eq!(
            world.own("POST", &format!("handsets/{USER}/read"), json!({})).await.status,
            200
        );
        assert_eq!(world.reached(&sid, "read").await["num_segments"], "1");
        let posts = sink.wait("/status", 4).await;
        let read = posts.last().unwrap();
        assert_eq!(
            (read.value("MessageStatus"), read.value("EventType")),
            ("read".into(), "READ".into())
        );
        assert_eq!(read.value("ChannelPrefix"), "whatsapp");

        world.advance(24 * 3600 + 1).await;
        let late = message(&world, &from, "still there?").await;
        let failed = world.reached(late["sid"].as_str().unwrap(), "failed").await;
        assert_eq!(failed["error_code"], 63016);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_belong_to_one_account() {
    for world in worlds().await {
        let from = whatsapp("+14155550190");
        let sid = sender(&world, &from, "https://app.example/in").await;
        let again = json!({"sender_id": from}).to_string().into_bytes();
        let request = |login| {
            Request::new("POST", SENDERS).login(login).body("application/json", again.clone())
        };
        assert_eq!(world.send(request(&world.login)).await.status, 409);
        let other = world.subaccount("other").await;
        assert_eq!(world.send(request(&other)).await.status, 409);
        let form = [("To", "whatsapp:+14155550111"), ("From", from.as_str()), ("Body", "x")];
        let path = harness::account_path(&other.user, "Messages.json");
        assert_error(&world.post_as(&other, &path, &form).await, 63007, 400, &from);

        let listed = world.get(&format!("{SENDERS}?Channel=whatsapp")).await.json();
        assert_eq!(listed["senders"][0]["sid"], sid.as_str());
        assert_eq!(world.get(&format!("{SENDERS}?Channel=rcs")).await.json()["senders"], json!([]));
        assert_eq!(world.delete(&format!("{SENDERS}/{sid}")).await.status, 204);
        // In development whoever sends from it next has it.
        message(&world, &from, "mine again").await;
        world.stop().await;
    }
    for world in strict_worlds().await {
        let form =
            [("To", "whatsapp:+14155550111"), ("From", "whatsapp:+14155550190"), ("Body", "x")];
        assert_error(&world.message(&form).await, 63007, 400, "whatsapp");
        let mixed = [("To", "whatsapp:+14155550111"), ("Body", "x")];
        assert_error(&world.message(&mixed).await, 21910, 400, "channels");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_shown_for_a_users_message() {
    for world in worlds().await {
        let from = whatsapp("+14155238886");
        sender(&world, &from, "https://app.example/in").await;
        let typed = world.type_on(USER, &from, "hello").await;
        let path = "/_/messaging/v2/Indicators/Typing.json";
        let sid = typed.text_of("sid");
        let shown = world.post(path, &[("channel", "whatsapp"), ("messageId", &sid)]).await;
        assert_eq!((shown.status, shown.json()), (200, json!({"success": true})));
        let form = [("channel", "whatsapp"), ("messageId", "SM00000000000000000000000000000001")];
        assert_error(&world.post(path, &form).await, 20404, 404, "");
        // The one of RCS says that it is not there.
        let body = json!({"channel": "RCS", "messageId": sid, "from": "rcs:shop", "to": "rcs:+14155550111"});
        let request = harness::Request::new("POST", "/_/messaging/v3/Indicators/Typing.json");
        let request = request.login(&world.login);
        let asked = request.body("application/json", body.to_string().into_bytes());
        assert_error(&world.send(asked).await, 20001, 400, "not supported");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_speaks_on_the_channel_of_the_recipient() {
    for world in worlds().await {
        let from = whatsapp("+14155238886");
        let sid = sender(&world, &from, "https://app.example/in").await;
        let made = world.post("/_/messaging/v1/Services", &[("FriendlyName", "both")]).await;
        let service = made.text_of("sid");
        let pool = |kind: &str| format!("/_/messaging/v1/Services/{service}/{kind}");
        let joined = world.post(&pool("ChannelSenders"), &[("Sid", &sid)]).await;
        assert_eq!((joined.status, joined.text_of("sender")), (201, from.clone()), "{joined:?}");
        let number = world.number_sid(&world.number).await;
        world.post(&pool("PhoneNumbers"), &[("PhoneNumberSid", &number)]).await;
        // The service is asked where its messages go, as for every sender of its pool.
        world.type_on(USER, &from, "open the window").await;
        for (to, sender) in [(whatsapp(USER), from.as_str()), (USER.to_owned(), &world.number)] {
            let form = [("To", to.as_str()), ("Body", "x"), ("MessagingServiceSid", &service)];
            let sid = world.sent(&form).await;
            assert_eq!(world.reached(&sid, "delivered").await["from"], sender);
        }
        let path = format!("{}/{sid}", pool("ChannelSenders"));
        assert_eq!(world.delete(&path).await.status, 204);
        let form =
            [("To", "whatsapp:+14155550111"), ("Body", "x"), ("MessagingServiceSid", &service)];
        assert_error(&world.message(&form).await, 21703, 400, &service);
        assert_eq!(world.get(&format!("{SENDERS}/{sid}")).await.status, 200, "the sender stays");
        world.stop().await;
    }
}

/// A template with two buttons, submitted for review; its SID.
async fn template(world: &World) -> String {
    let body = json!({
        "friendly_name": "reminder", "language": "en", "variables": {"1": "Owl"},
        "types": {"twilio/quick-reply": {
            "body": "Hello {{1}}, shall we come tomorrow at nine?",
            "actions": [{"title": "Yes", "id": "yes"}, {"title": "No", "id": "no"}]
        }}
    });
    let post = |path: String, body: Value| {
        Request::new("POST", &path)
            .login(&world.login)
            .body("application/json", body.to_string().into_bytes())
    };
    let made = world.send(post("/_/content/v1/Content".into(), body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let sid = made.text_of("sid");
    let path = format!("/_/content/v1/Content/{sid}/ApprovalRequests/whatsapp");
    let submitted =
        world.send(post(path, json!({"name": "reminder", "category": "UTILITY"}))).await;
    assert_eq!(submitted.status, 201, "{submitted:?}");
    sid
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_template_opens_a_conversation_and_its_buttons_are_tapped() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let from = whatsapp("+14155238886");
        sender(&world, &from, &sink.at("/in")).await;
        let content = template(&world).await;
        let user = whatsapp(USER);
        let form = [
            ("To", user.as_str()),
            ("From", &from),
            ("ContentSid", &content),
            ("ContentVariables", r#"{"1":"Ada"}"#),
        ];
        // Nobody wrote, and nobody has approved it yet.
        let early = world.sent(&form).await;
        assert_eq!(world.reached(&early, "failed").await["error_code"], 63016);
        // The review takes its time on the platform's clock.
        let path = format!("/_/content/v1/Content/{content}/ApprovalRequests");
        eventually("the approval", || async {
            world.advance(10).await;
            let status = world.get(&path).await.json()["whatsapp"]["status"].clone();
            (status == "approved").then_some(())
        })
        .await;
        let sid = world.sent(&form).await;
        let arrived = world.reached(&sid, "delivered").await;
        assert_eq!(arrived["body"], "Hello Ada, shall we come tomorrow at nine?");
        let thread = world.received(USER).await;
        assert_eq!(thread[0]["rich"]["buttons"][1]["title"], "No", "{thread:?}");
        assert_eq!(thread[0]["rich"]["template"]["name"], "reminder");

        let tap = json!({"to": from, "body": "Yes", "button": "yes"});
        let tapped = world.own("POST", &format!("handsets/{USER}/messages"), tap).await;
        assert_eq!(tapped.status, 201, "{tapped:?}");
        let seen = sink.first("/in").await;
        assert_eq!(
            (seen.value("ButtonText"), seen.value("ButtonPayload"), seen.value("MessageType")),
            ("Yes".into(), "yes".into(), "button".into())
        );
        // Now anything may be said.
        let free = message(&world, &from, "See you then").await;
        world.reached(free["sid"].as_str().unwrap(), "delivered").await;
        world.stop().await;
    }
}

const SANDBOX: &str = "+14155238886";

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_joins_a_sandbox_and_leaves_it() {
    let strict = strict_worlds().await.into_iter().map(|world| (world, true));
    for (world, is_strict) in worlds().await.into_iter().map(|w| (w, false)).chain(strict) {
        let from = whatsapp(SANDBOX);
        let shown = world.own("GET", "sandbox", Value::Null).await.json();
        assert_eq!(shown["number"], from.as_str());
        let join = shown["join"].as_str().unwrap().to_owned();
        let status = async |login: &Login| {
            let form = [("To", whatsapp(USER)), ("From", from.clone()), ("Body", "hi".into())];
            let form: Vec<_> = form.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let path = harness::account_path(&login.user, "Messages.json");
            let sid = world.post_as(login, &path, &form).await.text_of("sid");
            let path = harness::account_path(&login.user, &format!("Messages/{sid}.json"));
            eventually("an end", || async {
                let message = world.get_as(login, &path).await.json();
                let status = message["status"].as_str().unwrap_or_default().to_owned();
                let is_final = matches!(&*status, "failed" | "delivered");
                is_final.then(|| (status, message["error_code"].as_u64().unwrap_or_default()))
            })
            .await
        };
        let failed = |code| ("failed".to_owned(), code);
        let arrived = ("delivered".to_owned(), 0);
        // Until it joins; in development whoever writes first has it.
        let other = world.subaccount("other").await;
        let early = if is_strict { failed(63015) } else { failed(63016) };
        assert_eq!(status(&world.login).await, early);
        assert_eq!(status(&other).await, failed(63015));

        let wrong = world.type_on(USER, &from, "join nobody-here").await;
        assert_eq!(wrong.status, 404, "{wrong:?}");
        assert_eq!(world.type_on(USER, &from, &join.to_uppercase()).await.status, 201);
        assert!(world.bodies(USER, 1).await[0].contains("joined"));
        assert_eq!(status(&world.login).await, arrived);

        // Each account has a sandbox of its own; a phone is in one of them.
        let path = format!("sandbox?account_sid={}", other.user);
        let theirs = world.own("GET", &path, Value::Null).await.json();
        assert_ne!(
            (&theirs["join"], &theirs["sender_sid"]),
            (&shown["join"], &shown["sender_sid"])
        );
        world.type_on(USER, &from, theirs["join"].as_str().unwrap()).await;
        assert_eq!(status(&world.login).await, failed(63015));
        assert_eq!(status(&other).await, arrived);
        let asked = world.type_on(USER, &from, "hello").await;
        assert_eq!(asked.text_of("account_sid"), other.user);
        if !is_strict {
            world.advance(3 * 24 * 3600).await;
            assert_eq!(status(&other).await, failed(63015));
            world.type_on(USER, &from, theirs["join"].as_str().unwrap()).await;
        }
        world.type_on(USER, &from, "stop").await;
        assert_eq!(status(&other).await, failed(63015));
        let unknown = "sandbox?account_sid=AC00000000000000000000000000000001";
        assert_eq!(world.own("GET", unknown, Value::Null).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_template_is_in_every_account() {
    for world in worlds().await {
        let sample = "HXb5a6e1d5cf90e031b3c87934b78a571a";
        let form = [
            ("To", &*whatsapp(USER)),
            ("From", &*whatsapp(SANDBOX)),
            ("ContentSid", sample),
            ("ContentVariables", r#"{"1":"Monday","2":"noon"}"#),
        ];
        let sid = world.sent(&form).await;
        let body = world.reached(&sid, "delivered").await["body"].clone();
        let body = body.as_str().unwrap();
        assert!(body.contains("Monday") && body.contains("noon"), "{body}");
        let path = format!("/_/content/v1/Content/{sample}");
        assert_eq!(world.get(&path).await.json()["variables"]["2"], "3pm");
        let other = world.subaccount("other").await;
        assert_eq!(world.get_as(&other, &path).await.json()["sid"], sample);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_list_is_chosen() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let from = whatsapp(SANDBOX);
        sender(&world, &from, &sink.at("/in")).await;
        world.type_on(USER, &from, "hello").await;
        let list = json!({"friendly_name": "when", "language": "en", "types": {
            "twilio/list-picker": {"body": "When?", "button": "Choose", "items": [
                {"id": "am", "item": "Morning", "description": "before noon"},
                {"id": "pm", "item": "Afternoon", "description": "after"}]}}});
        let request = Request::new("POST", "/_/content/v1/Content").login(&world.login);
        let made = world.send(request.body("application/json", list.to_string().into())).await;
        let content = made.text_of("sid");
        let user = whatsapp(USER);
        let form = [("To", &*user), ("From", &*from), ("ContentSid", &*content)];
        world.delivered(&form).await;
        let thread = world.received(USER).await;
        let row = &thread[0]["rich"]["list"]["rows"][1];
        let tap = json!({"to": from, "body": row["title"], "row": row["id"]});
        let tapped = world.own("POST", &format!("handsets/{USER}/messages"), tap).await;
        assert_eq!(tapped.status, 201, "{tapped:?}");
        let seen = &sink.wait("/in", 2).await[1];
        assert_eq!(
            (seen.value("ListTitle"), seen.value("ListId"), seen.value("MessageType")),
            ("Afternoon".into(), "pm".into(), "interactive".into())
        );
        assert_eq!((seen.value("Body"), seen.param("ButtonPayload")), ("Afternoon".into(), None));
        world.stop().await;
    }
}

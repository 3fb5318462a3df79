//! Goal: messages reach real networks, and what these say comes back. Method: two whole
//! platforms, one the network of the other: as a Twilio account, and as a message centre.

mod harness;

use harness::{Act, WebhookSink, World, eventually, free_port, worlds};
use offhook::config::Config;
use offhook::server::Settings;

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

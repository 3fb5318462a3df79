//! Goal: callers pay with keys, applications learn the result, and nobody learns the card
//! (twiml §6.9, voice-api §4.9, §12). Method: simulated handsets whose keys are pressed, connectors
//! of the test, and a search of everything that was written for the digits of the card.

mod harness;

use harness::{Act, Seen, WebhookSink, World, assert_error, eventually, worlds, worlds_with};
use offhook::server::Settings;
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const CARD: &str = "4242424242424242";
/// Eight of its digits in a row are enough to be found.
const PART: &str = "42424242";

/// A platform with a connector of the test beside the usual one.
fn with_connector(settings: &mut Settings, url: &str) {
    let text = format!(
        "[[pay]]\nname = 'Ours'\nurl = '{url}'\nsecret = 's3cret'\n\n[[pay]]\nname = 'Mock'\ntest = true\n"
    );
    settings.config = offhook::config::Config::read_text(&text).expect("the configuration is good");
}

/// Presses the keys of a whole card, when each is asked for.
async fn key_in(world: &World, card: &str) {
    world.hears(USER, "say Please enter your card number, then press pound.").await;
    world.press(USER, &card[..9]).await;
    world.press(USER, &format!("{}#", &card[9..])).await;
    let asked =
        "say Please enter when your card expires: two digits for the month, two for the year.";
    world.hears(USER, asked).await;
    world.press(USER, "1230").await;
    world
        .hears(USER, "say Please enter the three digit security code from the back of your card.")
        .await;
    world.press(USER, "987").await;
    world.hears(USER, "say Please enter your postal code, then press pound.").await;
    world.press(USER, "94105#").await;
}

fn optional(seen: &Seen, name: &str) -> String {
    seen.param(name).unwrap_or_default()
}

/// The card is nowhere: not in the store, nor in a file, nor in what our own API shows.
async fn is_nowhere(world: &World) {
    for secret in [CARD, PART] {
        assert_eq!(world.places_with(secret).await, [""; 0]);
    }
    for path in [
        format!("handsets/{USER}/calls"),
        "events?after=0&limit=1000".to_owned(),
        "dead-jobs".to_owned(),
    ] {
        let reply = world.own("GET", &path, Value::Null).await;
        assert!(!reply.text().contains(PART), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_charged_and_its_digits_rest_nowhere() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let paid = sink.on("/paid", Act::twiml("<Say>Thank you</Say>"));
        let twiml = format!(
            "<Response><Start><Recording/></Start><Pay chargeAmount=\"20.45\" action=\"{paid}\" \
             statusCallback=\"{}\"/></Response>",
            sink.at("/progress"),
        );
        let sid = world.called(USER, &[("Twiml", &twiml)]).await;
        key_in(&world, CARD).await;
        world.through_call(&sid, "completed").await;
        assert!(world.heard(USER).await.contains(&"say Thank you".to_owned()));
        let told = sink.first("/paid").await;
        for (name, value) in [
            ("Result", "success"),
            ("PaymentMethod", "credit-card"),
            ("PaymentCardNumber", "xxxx-xxxx-xxxx-4242"),
            ("PaymentCardType", "visa"),
            ("ExpirationDate", "1230"),
            ("SecurityCode", "***"),
            ("PaymentCardPostalCode", "94105"),
            ("CallSid", &sid),
        ] {
            assert_eq!(told.value(name), value, "{name}");
        }
        assert!(told.value("PaymentConfirmationCode").starts_with("ch_test_"));
        let steps = sink.wait("/progress", 5).await;
        let steps: Vec<String> = steps.iter().map(|seen| seen.value("For")).collect();
        assert_eq!(
            steps,
            [
                "payment-card-number",
                "expiration-date",
                "security-code",
                "postal-code",
                "payment-processing"
            ]
        );
        let pressed: Vec<String> = world
            .lines(USER)
            .await
            .into_iter()
            .filter(|(sound, _)| sound == "pressed")
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            pressed,
            ["•".repeat(9), "•".repeat(8), "•".repeat(4), "•".repeat(3), "•".repeat(6)]
        );
        is_nowhere(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let over = sink.on("/over", Act::twiml("<Say>Over</Say>"));
        let pay = |attributes: &str| {
            format!(
                "<Response><Pay {attributes} action=\"{over}\" statusCallback=\"{}\"/></Response>",
                sink.at("/steps")
            )
        };
        let mut count = 0;
        let mut told = async |sid: &str| {
            world.through_call(sid, "completed").await;
            count += 1;
            sink.wait("/over", count).await.pop().expect("it was waited for")
        };
        // Nobody presses anything, twice.
        let twiml = pay("maxAttempts=\"2\"");
        let sid = world.called(USER, &[("Twiml", &twiml)]).await;
        let seen = told(&sid).await;
        assert_eq!(seen.value("Result"), "too-many-failed-attempts");
        let steps = sink.seen("/steps");
        let steps: Vec<(String, String)> =
            steps.iter().map(|seen| (seen.value("Attempt"), optional(seen, "ErrorType"))).collect();
        let error = "input-timeout".to_owned();
        let expected = [("1", String::new()), ("2", error.clone()), ("2", error)]
            .map(|(n, e)| (n.to_owned(), e));
        assert_eq!(steps, expected);
        // A card that is none of a test's, and one that is declined.
        for (card, code) in [("4917610000000000", "64022"), ("4000000000000002", "64012")] {
            let sid = world.called(USER, &[("Twiml", &pay(""))]).await;
            key_in(&world, card).await;
            let seen = told(&sid).await;
            assert_eq!(seen.value("Result"), "payment-connector-error");
            assert_eq!(seen.value("PayErrorCode"), code);
            world.alert(&sid, code.parse().unwrap()).await;
        }
        // The caller gives up with a star.
        let sid = world.called(USER, &[("Twiml", &pay(""))]).await;
        world.hears(USER, "say Please enter your card number, then press pound.").await;
        world.press(USER, "42*").await;
        assert_eq!(told(&sid).await.value("Result"), "caller-interrupted-with-star");
        // There is no such connector.
        let sid = world.called(USER, &[("Twiml", &pay("paymentConnector=\"Nobody\""))]).await;
        let seen = told(&sid).await;
        assert_eq!(seen.value("PayErrorCode"), "64004");
        world.alert(&sid, 64004).await;
        // The caller hangs up.
        let sid = world.called(USER, &[("Twiml", &pay(""))]).await;
        world.hears(USER, "say Please enter your card number, then press pound.").await;
        world.press(USER, "4242").await;
        world.deed(USER, "hangup", json!({})).await;
        assert_eq!(told(&sid).await.value("Result"), "caller-hung-up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_of_the_operator_is_asked_with_a_signature() {
    let sink = WebhookSink::start().await;
    let answer = r#"{"token":"tok_9","profile_id":"cus_7"}"#;
    let url = sink.on("/connector", Act::answer(200, "application/json", answer));
    for (at, world) in
        worlds_with(&|settings| with_connector(settings, &url)).await.into_iter().enumerate()
    {
        let over = sink.on("/over", Act::twiml(""));
        let twiml = format!(
            "<Response><Pay paymentConnector=\"Ours\" tokenType=\"one-time\" action=\"{over}\">\
             <Parameter name=\"order\" value=\"7\"/></Pay></Response>"
        );
        let sid = world.called(USER, &[("Twiml", &twiml)]).await;
        key_in(&world, CARD).await;
        world.through_call(&sid, "completed").await;
        let asked = sink.wait("/connector", at + 1).await.pop().unwrap();
        let signature = asked.header("x-hub-signature-256").expect("it is signed").to_owned();
        assert!(signature::validate_hub("s3cret", &asked.body, &signature));
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(
            (&body["operation"], &body["token_type"], &body["parameters"]),
            (&json!("tokenize"), &json!("one-time"), &json!({ "order": "7" }))
        );
        assert_eq!(body["call_sid"], sid.as_str());
        assert_eq!(
            body["card"],
            json!({
                "number": CARD, "type": "visa", "expiration_month": "12", "expiration_year": "2030",
                "security_code": "987", "postal_code": "94105",
            })
        );
        let seen = sink.wait("/over", at + 1).await.pop().unwrap();
        assert_eq!(seen.value("PaymentToken"), "tok_9");
        assert_eq!(seen.value("ProfileId"), "cus_7");
        is_nowhere(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_for_one_field_after_the_other() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let twiml = "<Response><Gather timeout=\"600\" numDigits=\"1\"/></Response>";
        let sid = world.called(USER, &[("Twiml", twiml)]).await;
        world.through_call(&sid, "in-progress").await;
        let list = world.path(&format!("Calls/{sid}/Payments.json"));
        let callback = sink.at("/progress");
        let create = [
            ("IdempotencyKey", "a"),
            ("StatusCallback", callback.as_str()),
            ("ChargeAmount", "9.99"),
            ("PostalCode", "false"),
            ("Timeout", "60"),
        ];
        let made = world.post(&list, &create).await;
        assert_eq!(made.status, 201, "{made:?}");
        let payment = made.text_of("sid");
        assert_eq!(world.post(&list, &create).await.text_of("sid"), payment, "the same key");
        let one = world.path(&format!("Calls/{sid}/Payments/{payment}.json"));
        world.settle().await;
        let mut round = 0;
        let mut step = async |name: &str, value: &str| {
            round += 1;
            let key = format!("k{round}");
            let form = [
                ("IdempotencyKey", key.as_str()),
                ("StatusCallback", callback.as_str()),
                (name, value),
            ];
            let reply = world.post(&one, &form).await;
            world.settle().await;
            reply
        };
        assert_error(&step("Status", "complete").await, 64019, 400, "payment-card-number");
        assert_error(&step("Capture", "bank-account-number").await, 64021, 400, "bank-account");
        for (field, keys) in [
            ("payment-card-number", "4242424242424241#"),
            ("payment-card-number", "4242424242424242#"),
            ("expiration-date", "1230"),
            ("security-code", "987"),
        ] {
            let reply = step("Capture", field).await;
            assert_eq!(reply.status, 202, "{reply:?}");
            world.press(USER, keys).await;
        }
        let reply = step("Status", "complete").await;
        assert_eq!(reply.status, 202, "{reply:?}");
        let done = eventually("the result", || async {
            sink.seen("/progress").into_iter().find(|seen| seen.param("Result").is_some())
        })
        .await;
        assert_eq!(done.value("Result"), "success");
        assert_eq!(done.value("PaymentSid"), payment);
        assert_eq!(done.value("PaymentCardNumber"), "xxxx-xxxx-xxxx-4242");
        assert!(done.value("PaymentConfirmationCode").starts_with("ch_test_"));
        let all = sink.seen("/progress");
        assert!(all.iter().any(|seen| optional(seen, "ErrorType") == "invalid-card-number"));
        let kept = all.iter().find(|seen| optional(seen, "PaymentCardType") == "visa").unwrap();
        assert_eq!(kept.value("Required"), "expiration-date security-code");
        assert_error(&step("Status", "cancel").await, 64021, 400, "over");
        // The document went on gathering, and none of the card's keys was its.
        assert_eq!(world.fetch_call(&sid).await["status"], "in-progress");
        world.press(USER, "7").await;
        world.through_call(&sid, "completed").await;
        is_nowhere(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_on_after_a_restart_and_its_digits_rest_nowhere_meanwhile() {
    for mut world in worlds().await {
        let sink = WebhookSink::start().await;
        let paid = sink.on("/paid", Act::twiml("<Hangup/>"));
        let twiml = format!(
            "<Response><Pay securityCode=\"false\" postalCode=\"94105\" timeout=\"600\" \
             action=\"{paid}\"/></Response>"
        );
        let sid = world.called(USER, &[("Twiml", &twiml)]).await;
        world.hears(USER, "say Please enter your card number, then press pound.").await;
        world.press(USER, &CARD[..12]).await;
        assert_eq!(world.places_with(PART).await, [""; 0], "in the middle of the number");
        world.restart(&|_| {}).await;
        world.press(USER, &format!("{}#", &CARD[12..])).await;
        assert_eq!(world.places_with(PART).await, [""; 0], "with a card that is known");
        world.restart(&|_| {}).await;
        world.press(USER, "1230").await;
        world.through_call(&sid, "completed").await;
        let told = sink.first("/paid").await;
        assert_eq!(told.value("PaymentCardNumber"), "xxxx-xxxx-xxxx-4242");
        assert_eq!(told.value("PaymentCardPostalCode"), "94105");
        assert!(told.value("PaymentToken").starts_with("tok_test_"));
        is_nowhere(&world).await;
    }
}

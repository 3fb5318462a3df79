//! Goal: verifications start, are sent, checked and end as Twilio's do (verify §1 to §6, §9).
//! Method: services made through the API, codes read from the simulated handset, a clock that is
//! moved, and starts and checks that come at the same time.

mod harness;

use harness::{Reply, WebhookSink, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
const OTHER: &str = "+14155550112";

/// The path of a resource of Verify.
fn at(rest: &str) -> String {
    format!("/_/verify/v2{rest}")
}

/// A service with these settings; its SID.
async fn service(world: &World, form: &[(&str, &str)]) -> String {
    let mut all = vec![("FriendlyName", "Owl")];
    all.extend_from_slice(form);
    let made = world.post(&at("/Services"), &all).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.text_of("sid")
}

async fn start(world: &World, service: &str, form: &[(&str, &str)]) -> Reply {
    let mut all = vec![("To", USER), ("Channel", "sms")];
    all.retain(|(name, _)| !form.iter().any(|(given, _)| given == name));
    all.extend_from_slice(form);
    world.post(&at(&format!("/Services/{service}/Verifications")), &all).await
}

/// A start that must succeed; the verification.
async fn started(world: &World, service: &str, form: &[(&str, &str)]) -> Value {
    let reply = start(world, service, form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

async fn check(world: &World, service: &str, form: &[(&str, &str)]) -> Reply {
    world.post(&at(&format!("/Services/{service}/VerificationCheck")), form).await
}

/// The check of a code for the user that must be answered; its status.
async fn checked(world: &World, service: &str, code: &str) -> String {
    let reply = check(world, service, &[("To", USER), ("Code", code)]).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let (status, valid) = (reply.text_of("status"), reply.json()["valid"].clone());
    assert_eq!(valid, status == "approved", "{reply:?}");
    status
}

/// The digits of the `count`-th message on a handset.
async fn code_on(world: &World, handset: &str, count: usize) -> String {
    let bodies = world.bodies(handset, count).await;
    bodies[count - 1].chars().filter(char::is_ascii_digit).collect()
}

fn spelled(code: &str) -> String {
    code.chars().map(String::from).collect::<Vec<_>>().join(", ")
}

/// The calls of a handset, newest first.
async fn calls(world: &World, handset: &str) -> Vec<Value> {
    let reply = world.own("GET", &format!("handsets/{handset}/calls"), Value::Null).await;
    reply.json()["calls"].as_array().cloned().unwrap_or_default()
}

/// What was said in the calls of a handset, once in so many of them something was.
async fn said_on(world: &World, handset: &str, count: usize) -> Vec<Vec<String>> {
    eventually("something said in calls", || async {
        let said = |call: &Value| {
            let lines = call["heard"].as_array().cloned().unwrap_or_default();
            let lines = lines.iter().filter(|line| line["sound"] == "say");
            lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let all: Vec<_> = calls(world, handset).await.iter().map(said).collect();
        let is_there = all.iter().filter(|said| !said.is_empty()).count() >= count;
        is_there.then_some(all)
    })
    .await
}

/// What became of the newest attempt to a number, once it is this.
async fn attempt_is(world: &World, to: &str, status: &str) -> Value {
    let path = at(&format!("/Attempts?ChannelData.To={}", harness::encode(to)));
    eventually(&format!("an attempt is {status}"), || async {
        let newest = world.get(&path).await.json()["attempts"][0].clone();
        (newest["channel_data"]["message_status"] == status).then_some(newest)
    })
    .await
}

/// Six digits that are not `code`.
fn wrong(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_checked_and_used_once() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let made = started(&world, &service, &[]).await;
        assert_eq!((&made["status"], &made["valid"]), (&json!("pending"), &json!(false)));
        assert_eq!((&made["to"], &made["channel"]), (&json!(USER), &json!("sms")));
        assert_eq!(made["send_code_attempts"][0]["channel"], "SMS");
        assert_eq!(
            (&made["lookup"], &made["amount"], &made["sna"]),
            (&json!({}), &Value::Null, &Value::Null)
        );
        let sid = made["sid"].as_str().unwrap();
        let body = &world.bodies(USER, 1).await[0];
        assert!(body.starts_with("Your Owl verification code is: "), "{body}");
        let code = code_on(&world, USER, 1).await;
        assert_eq!(code.len(), 6);

        // Nothing that the API says has the code in it.
        let path = at(&format!("/Services/{service}/Verifications/{sid}"));
        for place in [&path, &at(&format!("/Services/{service}/Verifications/{USER}"))] {
            let fetched = world.get(place).await;
            assert_eq!(fetched.text_of("sid"), sid);
            assert!(!fetched.json().to_string().contains(&code), "{fetched:?}");
        }
        assert_eq!(checked(&world, &service, &wrong(&code)).await, "pending");
        assert_eq!(checked(&world, &service, &code).await, "approved");
        let spent = check(&world, &service, &[("To", USER), ("Code", &code)]).await;
        assert_error(&spent, 20404, 404, &format!("/Services/{service}/VerificationCheck"));
        assert_error(&world.get(&path).await, 20404, 404, sid);

        // It has no part in the account's messages.
        let messages = world.get(&world.path("Messages.json")).await.json();
        assert_eq!(messages["messages"], json!([]));

        let again = started(&world, &service, &[]).await;
        assert_ne!(again["sid"], sid);
        let fresh = code_on(&world, USER, 2).await;
        assert_eq!(checked(&world, &service, &fresh).await, "approved");

        let attempts = world.get(&at("/Attempts")).await.json();
        let attempt = &attempts["attempts"][1];
        assert_eq!(attempt["verification_sid"], sid);
        assert_eq!(attempt["conversion_status"], "converted");
        eventually("the text is delivered", || async {
            let one =
                world.get(&at(&format!("/Attempts/{}", attempt["sid"].as_str()?))).await.json();
            (one["channel_data"]["message_status"] == "delivered").then_some(())
        })
        .await;
        let summary = world.get(&at("/Attempts/Summary?Country=US&DestinationPrefix=1415")).await;
        assert_eq!(summary.json()["total_converted"], 2);
        assert_eq!(summary.json()["conversion_rate_percentage"], "100");
        let none = world.get(&at("/Attempts?Status=unconverted")).await.json();
        assert_eq!(none["attempts"], json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_sends_say_the_same_code_on_every_channel() {
    for world in worlds().await {
        let service = service(&world, &[("DtmfInputRequired", "false")]).await;
        let first = started(&world, &service, &[]).await;
        for count in 2..=5 {
            let channel = if count % 2 == 0 { "call" } else { "sms" };
            let again = started(&world, &service, &[("Channel", channel)]).await;
            assert_eq!((&again["sid"], &again["channel"]), (&first["sid"], &json!(channel)));
            assert_eq!(again["send_code_attempts"].as_array().unwrap().len(), count);
        }
        assert_error(&start(&world, &service, &[]).await, 60203, 429, "Max send attempts");
        let code = code_on(&world, USER, 3).await;
        for said in said_on(&world, USER, 2).await {
            assert!(said[0].contains(&spelled(&code)), "{said:?}");
        }
        assert_eq!(checked(&world, &service, &code).await, "approved");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_called_out_to_who_presses_a_key() {
    for world in worlds().await {
        let owl = service(&world, &[]).await;
        let wish = [("Channel", "call"), ("Locale", "de"), ("SendDigits", "ww42")];
        started(&world, &owl, &wish).await;
        assert_eq!(said_on(&world, USER, 1).await[0].len(), 1);
        attempt_is(&world, USER, "sent").await;
        // Nobody presses a key, until it is asked for once more.
        world.advance(10).await;
        eventually("asked again", || async {
            (said_on(&world, USER, 1).await[0].len() == 2).then_some(())
        })
        .await;
        world.own("POST", &format!("handsets/{USER}/digits"), json!({"digits": "5"})).await;
        let said = eventually("the code", || async {
            let said = said_on(&world, USER, 1).await.remove(0);
            (said.len() == 3).then_some(said)
        })
        .await;
        assert!(said[1].starts_with("Drücken Sie") && said[2].starts_with("Ihr Code"), "{said:?}");
        let digits: String = said[2].chars().filter(char::is_ascii_digit).collect();
        let code = &digits[..6];
        world.advance(10).await;
        attempt_is(&world, USER, "delivered").await;
        let call = eventually("the call is over", || async {
            let call = calls(&world, USER).await.remove(0);
            (call["status"] == "ended").then_some(call)
        })
        .await;
        assert_eq!(
            (&call["heard"][0]["sound"], &call["heard"][0]["text"]),
            (&json!("tones"), &json!("ww42"))
        );
        // It is no call of the account, and no table but the simulated phone's has the code.
        let none = world.get(&world.path("Calls.json")).await.json();
        assert_eq!(none["calls"], json!([]));
        eventually("it is forgotten", || async {
            let left = "SELECT count(*) FROM resource WHERE kind = $1";
            let row = world.platform().store.point(left, vec!["VoiceNotice".into()]).await;
            (row.expect("the store answers").expect("a count").int(0) == 0).then_some(())
        })
        .await;
        assert_eq!(checked(&world, &owl, code).await, "approved");

        // Who does not answer, or is not there, is told of.
        let mute = service(&world, &[("DtmfInputRequired", "false")]).await;
        let busy = json!({"when_called": "busy"});
        world.own("PUT", &format!("handsets/{OTHER}"), busy).await;
        started(&world, &mute, &[("To", OTHER), ("Channel", "call")]).await;
        let failed = attempt_is(&world, OTHER, "undelivered").await;
        assert_eq!(failed["channel_data"]["error_code"], "30003");
        let third = "+14155550113";
        let rings = json!({"when_called": "ring"});
        world.own("PUT", &format!("handsets/{third}"), rings).await;
        started(&world, &mute, &[("To", third), ("Channel", "call")]).await;
        eventually("it rings", || async {
            let calls = calls(&world, third).await;
            calls.first().is_some_and(|call| call["status"] == "ringing").then_some(())
        })
        .await;
        world.advance(60).await;
        attempt_is(&world, third, "undelivered").await;
        eventually("it rings no more", || async {
            (calls(&world, third).await[0]["status"] == "ended").then_some(())
        })
        .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_check_ends_it_until_its_time_is_over() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let sid = started(&world, &service, &[]).await["sid"].clone();
        let code = code_on(&world, USER, 1).await;
        for _ in 0..5 {
            assert_eq!(checked(&world, &service, &wrong(&code)).await, "pending");
        }
        for _ in 0..2 {
            let late = check(&world, &service, &[("To", USER), ("Code", &code)]).await;
            assert_error(&late, 60202, 429, "Max check attempts");
        }
        assert_error(&start(&world, &service, &[]).await, 60202, 429, "Max check");
        let path = at(&format!("/Services/{service}/Verifications/{}", sid.as_str().unwrap()));
        assert_eq!(world.get(&path).await.text_of("status"), "max_attempts_reached");
        world.advance(600).await;
        assert_error(&world.get(&path).await, 20404, 404, "VE");
        let again = started(&world, &service, &[]).await;
        assert_ne!(again["sid"], sid);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_expires_with_the_clock_and_ends_when_its_owner_says_so() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        started(&world, &service, &[]).await;
        let code = code_on(&world, USER, 1).await;
        world.advance(599).await;
        assert_eq!(checked(&world, &service, &wrong(&code)).await, "pending");
        world.advance(2).await;
        let late = check(&world, &service, &[("To", USER), ("Code", &code)]).await;
        assert_error(&late, 20404, 404, "VerificationCheck");

        let sid = started(&world, &service, &[]).await["sid"].clone();
        let path = at(&format!("/Services/{service}/Verifications/{}", sid.as_str().unwrap()));
        let unknown = world.post(&path, &[("Status", "expired")]).await;
        assert_error(&unknown, 60200, 400, "Status");
        let canceled = world.post(&path, &[("Status", "canceled")]).await;
        assert_eq!((canceled.status, canceled.text_of("status")), (200, "canceled".into()));
        assert_eq!(world.get(&path).await.text_of("status"), "canceled");
        assert_error(&world.post(&path, &[("Status", "approved")]).await, 20404, 404, "VE");

        // By its recipient, which also counts as a conversion.
        started(&world, &service, &[]).await;
        let path = at(&format!("/Services/{service}/Verifications/{USER}"));
        let approved = world.post(&path, &[("Status", "approved")]).await;
        assert_eq!(
            (&approved.json()["status"], &approved.json()["valid"]),
            (&json!("approved"), &json!(true))
        );
        assert_error(&world.get(&path).await, 20404, 404, USER);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_of_others_and_of_other_services_are_nothing() {
    for world in worlds().await {
        let mine = service(&world, &[]).await;
        let other = service(&world, &[]).await;
        let sid = started(&world, &mine, &[]).await["sid"].clone();
        started(&world, &mine, &[("To", OTHER)]).await;
        let code = code_on(&world, USER, 1).await;
        let others = code_on(&world, OTHER, 1).await;
        if others != code {
            assert_eq!(checked(&world, &mine, &others).await, "pending");
        }
        let elsewhere = check(&world, &other, &[("To", USER), ("Code", &code)]).await;
        assert_error(&elsewhere, 20404, 404, "VerificationCheck");
        let sid = sid.as_str().unwrap();
        let by_sid = check(&world, &other, &[("VerificationSid", sid), ("Code", &code)]).await;
        assert_error(&by_sid, 20404, 404, "VerificationCheck");
        let stranger = world.subaccount("Stranger").await;
        let path = at(&format!("/Services/{mine}/VerificationCheck"));
        let foreign = world.post_as(&stranger, &path, &[("To", USER), ("Code", &code)]).await;
        assert_error(&foreign, 20404, 404, "");
        let fetched = world.get_as(&stranger, &at(&format!("/Services/{mine}"))).await;
        assert_ne!(fetched.text_of("friendly_name"), "Owl");

        for (form, code, names) in [
            (&[("Code", "123456")][..], 60221, "To"),
            (&[("To", USER)], 60200, "Code"),
            (&[("To", USER), ("Code", "123")], 60200, "Code"),
            (&[("To", USER), ("Code", "12345678901")], 60200, "Code"),
            (&[("To", USER), ("Code", "12' OR 1=1")], 60200, "Code"),
        ] {
            assert_error(&check(&world, &mine, form).await, code, 400, names);
        }
        let by_sid = check(&world, &mine, &[("VerificationSid", sid), ("Code", &code)]).await;
        assert_eq!(by_sid.text_of("status"), "approved");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_checks_at_the_same_time_count_once() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let starts = (0..8).map(|_| start(&world, &service, &[]));
        let all = futures_util::future::join_all(starts).await;
        let made: Vec<_> = all.iter().filter(|reply| reply.status == 201).collect();
        assert!(!made.is_empty() && made.len() <= 5, "{all:?}");
        for reply in &all {
            assert!(
                reply.status == 201
                    || [60212, 60203].contains(&reply.json()["code"].as_u64().unwrap()),
                "{reply:?}"
            );
            assert!(reply.status != 201 || reply.text_of("sid") == made[0].text_of("sid"));
        }
        let sent = made.len();
        let bodies = world.bodies(USER, sent).await;
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");

        let code = code_on(&world, USER, 1).await;
        let form = [("To", USER), ("Code", code.as_str())];
        let all =
            futures_util::future::join_all((0..6).map(|_| check(&world, &service, &form))).await;
        let approved = all.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(approved, 1, "{all:?}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_of_a_service_acts() {
    for world in worlds().await {
        let form = [
            ("CodeLength", "8"),
            ("LookupEnabled", "true"),
            ("SkipSmsToLandlines", "true"),
            ("DoNotShareWarningEnabled", "true"),
            ("CustomCodeEnabled", "true"),
            ("Whatsapp.From", "whatsapp:+14155550199"),
            ("Totp.Skew", "2"),
            ("Push.IncludeDate", "true"),
            ("Passkeys.RelyingParty.Origins", "https://a.example, https://b.example"),
        ];
        let service = service(&world, &form).await;
        let shown = world.get(&at(&format!("/Services/{service}"))).await.json();
        assert_eq!(
            shown["push"],
            json!({"include_date": true, "apn_credential_sid": null, "fcm_credential_sid": null})
        );
        assert_eq!(shown["totp"]["skew"], 2);
        assert_eq!(shown["whatsapp"]["from"], "whatsapp:+14155550199");
        let origins = &shown["passkeys"]["relying_party"]["origins"];
        assert_eq!(origins, &json!(["https://a.example", "https://b.example"]));
        assert!(
            shown["links"]["verification_checks"].as_str().unwrap().ends_with("/VerificationCheck")
        );

        let made = started(&world, &service, &[]).await;
        assert_eq!(made["lookup"]["carrier"]["type"], "mobile");
        assert_eq!(code_on(&world, USER, 1).await.len(), 8);
        assert!(world.bodies(USER, 1).await[0].contains("Do not share"));
        world.handset(OTHER, "landline").await;
        assert_error(&start(&world, &service, &[("To", OTHER)]).await, 60205, 403, "landline");
        started(&world, &service, &[("To", OTHER), ("Channel", "call")]).await;

        let third = "+14155550113";
        let custom = [
            ("To", third),
            ("CustomCode", "abc123"),
            ("Locale", "de"),
            ("CustomFriendlyName", "Uhu"),
        ];
        started(&world, &service, &custom).await;
        let body = &world.bodies(third, 1).await[0];
        assert!(body.starts_with("Ihr Bestätigungscode für Uhu lautet: abc123"), "{body}");
        let fine = check(&world, &service, &[("To", third), ("Code", "abc123")]).await;
        assert_eq!(fine.text_of("status"), "approved");
        started(&world, &service, &[("To", "+14155550114"), ("Channel", "whatsapp")]).await;
        let received = eventually("a WhatsApp message", || async {
            world.received("+14155550114").await.into_iter().next()
        });
        assert_eq!(received.await["peer"], "whatsapp:+14155550199");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_starts_name_what_is_wrong() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        for (form, code, status, names) in [
            (&[("To", "4155550111x")][..], 60200, 400, "`To`"),
            (&[("To", "")], 60200, 400, "To"),
            (&[("Channel", "pigeon")], 60200, 400, "Channel"),
            (&[("Channel", "rcs")], 60223, 400, "rcs"),
            (&[("Channel", "whatsapp")], 68008, 400, "Whatsapp"),
            (&[("Locale", "xx")], 60200, 400, "Locale"),
            (&[("CustomCode", "12345")], 60204, 403, "CustomCode"),
            (&[("AppHash", "short")], 60200, 400, "AppHash"),
            (&[("AppHash", "abcdefghijk"), ("Channel", "call")], 60602, 400, "AppHash"),
            (&[("CustomFriendlyName", "x.example")], 60200, 400, "CustomFriendlyName"),
            (&[("CustomMessage", "Hello there")], 60200, 400, "CustomMessage"),
            (&[("TemplateSid", "HJ00000000000000000000000000000009")], 60228, 404, "HJ"),
            (&[("TemplateSid", "HJ0000000000000000000000000ff00004")], 60224, 400, "action"),
            (
                &[("TemplateSid", "HJ0000000000000000000000000ff00003"), ("Locale", "ja")],
                60229,
                404,
                "ja",
            ),
            (&[("RateLimits", r#"{"ip":"1"}"#)], 60200, 400, "ip"),
            (&[("RateLimits", "nonsense")], 60200, 400, "RateLimits"),
            (&[("Tags", r#"{"a":{"b":1}}"#)], 60200, 400, "Tags"),
            (&[("DeviceIp", "300.1.1.1")], 60200, 400, "DeviceIp"),
            (&[("Channel", "call"), ("Locale", "th")], 60331, 400, "th"),
        ] {
            assert_error(&start(&world, &service, form).await, code, status, names);
        }
        let long = format!("{{{{code}}}} {}", "x".repeat(500));
        assert_error(
            &start(&world, &service, &[("CustomMessage", &long)]).await,
            60247,
            400,
            "500",
        );
        let nowhere = start(&world, "VA00000000000000000000000000000001", &[]).await;
        assert_error(&nowhere, 20404, 404, "VA");
        for name in ["owl.example", "Call 415555", "https://x", "{{code}}"] {
            let named = world.post(&at("/Services"), &[("FriendlyName", name)]).await;
            assert_error(&named, 60200, 400, "FriendlyName");
        }
        let length = [("FriendlyName", "Owl"), ("CodeLength", "3")];
        assert_error(&world.post(&at("/Services"), &length).await, 60200, 400, "CodeLength");
        let test =
            world.post_as(&world.test_login, &at("/Services"), &[("FriendlyName", "Owl")]).await;
        assert_error(&test, 20008, 403, "");

        // What a substitution says is never filled in again.
        let sly = [
            ("TemplateSid", "HJ0000000000000000000000000ff00004"),
            (
                "TemplateCustomSubstitutions",
                r#"{"action":"{{code}} {{friendly_name}}","friendly_name":"Bank"}"#,
            ),
        ];
        started(&world, &service, &sly).await;
        let body = &world.bodies(USER, 1).await[0];
        assert!(body.ends_with(" is your Owl code to {{code}} {{friendly_name}}."), "{body}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_are_confirmed_with_their_amount_and_payee() {
    for world in worlds().await {
        let service = service(&world, &[("Psd2Enabled", "true")]).await;
        assert_error(&start(&world, &service, &[]).await, 60206, 400, "Amount");
        let paid = [("Amount", "€39.99"), ("Payee", "Acme")];
        let call = [paid[0], paid[1], ("Channel", "call")];
        assert_error(&start(&world, &service, &call).await, 60214, 400, "PSD2");
        let silent = [paid[0], paid[1], ("Channel", "sna")];
        assert_error(&start(&world, &service, &silent).await, 60329, 400, "");
        let made = started(&world, &service, &paid).await;
        assert_eq!((&made["amount"], &made["payee"]), (&json!("€39.99"), &json!("Acme")));
        let body = &world.bodies(USER, 1).await[0];
        let code: String = body.rsplit(' ').next().unwrap().to_owned();
        assert!(body.starts_with("Your code to pay €39.99 to Acme with Owl is: "), "{body}");
        assert_eq!(checked(&world, &service, &code).await, "pending");
        let more = [("To", USER), ("Code", code.as_str()), ("Amount", "€390"), ("Payee", "Acme")];
        assert_eq!(check(&world, &service, &more).await.text_of("status"), "pending");
        let same = [("To", USER), ("Code", code.as_str()), paid[0], paid[1]];
        assert_eq!(check(&world, &service, &same).await.text_of("status"), "approved");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_across_restarts_and_say_how_long() {
    for mut world in worlds().await {
        let service = service(&world, &[]).await;
        let limits = at(&format!("/Services/{service}/RateLimits"));
        let made =
            world.post(&limits, &[("UniqueName", "ip"), ("Description", "By address")]).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_error(&world.post(&limits, &[("UniqueName", "ip")]).await, 60208, 400, "ip");
        assert_error(
            &world.post(&limits, &[("UniqueName", "i p")]).await,
            60209,
            400,
            "UniqueName",
        );
        let buckets = format!("{limits}/{}/Buckets", made.text_of("sid"));
        let bucket = world.post(&buckets, &[("Max", "3"), ("Interval", "60")]).await;
        assert_eq!((bucket.status, bucket.json()["max"].clone()), (201, json!(3)));
        assert_error(
            &world.post(&buckets, &[("Max", "9"), ("Interval", "60")]).await,
            60211,
            400,
            "Interval",
        );
        let listed = world.get(&buckets).await.json();
        assert_eq!(listed["buckets"].as_array().unwrap().len(), 1);

        let keyed = |key: &str| json!({"ip": key}).to_string();
        let (mine, yours) = (keyed("10.0.0.1"), keyed("10.0.0.2"));
        for _ in 0..3 {
            started(&world, &service, &[("RateLimits", &mine)]).await;
        }
        let refused = start(&world, &service, &[("RateLimits", &mine)]).await;
        assert_error(&refused, 20429, 429, "Too many requests");
        assert_eq!(refused.header("twilio-reached-rate-limit"), Some("ip"));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(world.bodies(USER, 3).await.len(), 3);
        started(&world, &service, &[("RateLimits", &yours), ("To", OTHER)]).await;
        world.restart(&|_| {}).await;
        assert_error(&start(&world, &service, &[("RateLimits", &mine)]).await, 20429, 429, "");
        world.advance(60).await;
        started(&world, &service, &[("RateLimits", &mine)]).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pumping_is_blocked_by_range_unless_it_is_known() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        for at in 0..40 {
            started(&world, &service, &[("To", &format!("+141555501{at:02}"))]).await;
        }
        let blocked = [("To", "+14155550150")];
        assert_error(&start(&world, &service, &blocked).await, 60410, 403, "+1415555");
        started(&world, &service, &[("To", "+14155550150"), ("RiskCheck", "disable")]).await;
        let listed = world.post(&at("/SafeList/Numbers"), &[("PhoneNumber", "+14155550151")]).await;
        assert_eq!((listed.status, &listed.text_of("sid")[..2]), (201, "GN"));
        let twice = world.post(&at("/SafeList/Numbers"), &[("PhoneNumber", "+14155550151")]).await;
        assert_error(&twice, 60411, 409, "+14155550151");
        started(&world, &service, &[("To", "+14155550151")]).await;
        let path = at("/SafeList/Numbers/+14155550151");
        assert_eq!(world.get(&path).await.text_of("phone_number"), "+14155550151");
        assert_eq!(world.delete(&path).await.status, 204);
        assert_error(&world.get(&path).await, 20404, 404, "");
        // Other ranges and other services are not concerned; half a day later it is over.
        started(&world, &service, &[("To", "+14155560150")]).await;
        world.advance(12 * 3600 - 60).await;
        assert_error(&start(&world, &service, &blocked).await, 60410, 403, "");
        world.advance(120).await;
        started(&world, &service, &blocked).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_policy_calls_when_the_text_does_not_help() {
    for world in worlds().await {
        let policy = [
            ("Fallback.Channels", "sms,call"),
            ("Fallback.Delay", "30"),
            ("DtmfInputRequired", "false"),
        ];
        let service = service(&world, &policy).await;
        started(&world, &service, &[]).await;
        let code = code_on(&world, USER, 1).await;
        world.advance(30).await;
        assert!(said_on(&world, USER, 1).await[0][0].contains(&spelled(&code)));
        let shown =
            world.get(&at(&format!("/Services/{service}/Verifications/{USER}"))).await.json();
        assert_eq!(
            (&shown["channel"], shown["send_code_attempts"].as_array().unwrap().len()),
            (&json!("call"), 2)
        );
        assert_eq!(checked(&world, &service, &code).await, "approved");

        // A text that fails is followed at once; a code that was entered by nothing.
        world.handset(OTHER, "full").await;
        started(&world, &service, &[("To", OTHER)]).await;
        said_on(&world, OTHER, 1).await;
        let failed = world
            .get(&at(&format!("/Attempts?ChannelData.To={}", harness::encode(OTHER))))
            .await
            .json();
        assert_eq!(failed["attempts"][1]["channel_data"]["error_code"], "30003", "{failed}");
        let unknown = world
            .post(&at("/Services"), &[("FriendlyName", "Owl"), ("Fallback.Channels", "sms,fax")])
            .await;
        assert_error(&unknown, 60200, 400, "fax");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_authentication_asks_the_network() {
    for world in worlds().await {
        let service = service(&world, &[("DtmfInputRequired", "false")]).await;
        let form = [("Channel", "sna"), ("EnableSnaClientToken", "true")];
        let made = started(&world, &service, &form).await;
        let url = made["sna"]["url"].as_str().unwrap().strip_prefix(&world.url).unwrap().to_owned();
        let early = check(&world, &service, &[("To", USER)]).await.json();
        assert_eq!(
            (&early["status"], &early["sna_attempts_error_codes"][0]["code"]),
            (&json!("pending"), &json!(60519))
        );
        let foreign = harness::Request::new("GET", &url).header("Offhook-Handset", OTHER);
        let foreign = world.send(foreign).await;
        assert!(foreign.text().starts_with("ErrorCode=60500&"), "{foreign:?}");
        let asked = world.send(harness::Request::new("GET", &url)).await;
        let text = asked.text();
        assert!(
            text.starts_with("ErrorCode=0&ErrorDescription=Success&Carrier=Simulated"),
            "{text}"
        );
        let token = text.rsplit('=').next().unwrap();
        assert_eq!(check(&world, &service, &[("To", USER)]).await.text_of("status"), "pending");
        let known = [("To", USER), ("SnaClientToken", token)];
        assert_eq!(check(&world, &service, &known).await.text_of("status"), "approved");
        let forged = world.send(harness::Request::new("GET", &url)).await;
        assert_error(&forged, 20404, 404, "");

        // Left to the platform, a text comes when the network does not know.
        world.handset(OTHER, "silent").await;
        let made = started(&world, &service, &[("To", OTHER), ("Channel", "auto")]).await;
        assert_eq!(made["channel"], "sna");
        world.handset(OTHER, "on").await;
        world.advance(30).await;
        let code = code_on(&world, OTHER, 1).await;
        let fine = check(&world, &service, &[("To", OTHER), ("Code", &code)]).await;
        assert_eq!(fine.text_of("status"), "approved");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_settings_are_kept() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let path = at(&format!("/Services/{service}/MessagingConfigurations"));
        let texts = "MG00000000000000000000000000000001";
        let made = world.post(&path, &[("Country", "us"), ("MessagingServiceSid", texts)]).await;
        assert_eq!((made.status, made.text_of("country")), (201, "US".into()), "{made:?}");
        assert!(made.text_of("url").ends_with("/MessagingConfigurations/US"));
        let twice = world.post(&path, &[("Country", "US"), ("MessagingServiceSid", texts)]).await;
        assert_error(&twice, 60213, 400, "US");
        let other = "MG00000000000000000000000000000002";
        let one = format!("{path}/US");
        let changed = world.post(&one, &[("MessagingServiceSid", other)]).await;
        assert_eq!(changed.text_of("messaging_service_sid"), other);
        assert_eq!(world.get(&path).await.json()["messaging_configurations"][0]["country"], "US");
        // The messaging service does not exist: the attempt fails, the verification waits on.
        started(&world, &service, &[]).await;
        eventually("the attempt fails", || async {
            let all = world.get(&at("/Attempts")).await.json();
            (all["attempts"][0]["channel_data"]["error_code"] == "21701").then_some(())
        })
        .await;
        assert_eq!(world.delete(&one).await.status, 204);
        let templates = world.get(&at("/Templates?FriendlyName=Code")).await.json();
        assert_eq!(templates["templates"][0]["translations"]["en"]["status"], "approved");
        assert_eq!(world.delete(&at(&format!("/Services/{service}"))).await.status, 204);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_to_those_who_ask_and_never_with_the_code() {
    for world in worlds().await {
        let settings = [("VerifyEventSubscriptionEnabled", "true"), ("CustomCodeEnabled", "true")];
        let service = service(&world, &settings).await;
        let sink = WebhookSink::start().await;
        let path = at(&format!("/Services/{service}/Webhooks"));
        let url = sink.at("/verify-callback");
        let form = [
            ("FriendlyName", "Ends"),
            ("EventTypes", "verification.approved"),
            ("WebhookUrl", &url),
        ];
        let hook = world.post(&path, &form).await;
        assert_eq!((hook.status, hook.text_of("version")), (201, "v2".into()), "{hook:?}");
        let everything =
            [("FriendlyName", "All"), ("EventTypes", "*"), ("WebhookUrl", &sink.at("/all"))];
        assert_eq!(world.post(&path, &everything).await.status, 201);
        let unknown =
            [("FriendlyName", "x"), ("EventTypes", "verification.lost"), ("WebhookUrl", &url)];
        assert_error(&world.post(&path, &unknown).await, 60200, 400, "verification.lost");

        let code = "Zq7xKw93vB";
        let made = started(&world, &service, &[("CustomCode", code)]).await;
        let sid = made["sid"].as_str().unwrap().to_owned();
        world.bodies(USER, 1).await;
        assert_eq!(checked(&world, &service, "000000").await, "pending");
        assert_eq!(checked(&world, &service, code).await, "approved");
        let seen = sink.first("/verify-callback").await;
        assert_eq!((seen.value("To"), seen.value("Status")), (USER.into(), "approved".into()));
        seen.assert_signed(&sink, &world.login);
        assert!(sink.seen("/all").is_empty(), "verifications must be asked for");
        let approved = &world.events("verification.approved", &sid).await[0]["data"];
        assert_eq!(approved["verification_status"], "APPROVED");
        assert_eq!(approved["check_attempts"]["attempts"][0]["status"], "FAILURE");
        let all = world.own("GET", "events?after=0&limit=1000", Value::Null).await;
        assert!(!all.text().contains(code), "no event has the code");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_by_mail_and_its_fate_is_known() {
    for world in worlds().await {
        let service = service(&world, &[]).await;
        let address = "ada@owl.example";
        let form = [("Channel", "email"), ("To", address)];
        assert_eq!(start(&world, &service, &form).await.status, 201);
        let mail = eventually("the mail", || async {
            let path = format!("mailboxes/{address}/mails");
            let mails = world.own("GET", &path, Value::Null).await.json();
            mails["mails"].as_array().and_then(|mails| mails.first().cloned())
        })
        .await;
        let text = mail["text"].as_str().unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits.len(), 6, "{mail}");
        let path = format!("/_/verify/v2/Services/{service}/VerificationCheck");
        let checked = world.post(&path, &[("To", address), ("Code", &digits)]).await;
        assert_eq!((checked.status, checked.text_of("status")), (201, "approved".into()));
        let attempts = eventually("the mail's fate", || async {
            let all = world.get("/_/verify/v2/Attempts").await.json();
            let status = &all["attempts"][0]["channel_data"]["message_status"];
            (status == "delivered").then(|| all["attempts"][0].clone())
        })
        .await;
        assert_eq!(attempts["channel"], "email", "{attempts}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verifications_are_forgotten_in_time() {
    for world in worlds().await {
        let owl = service(&world, &[("DtmfInputRequired", "false")]).await;
        started(&world, &owl, &[]).await;
        let code = code_on(&world, USER, 1).await;
        assert_eq!(checked(&world, &owl, &code).await, "approved");
        started(&world, &owl, &[("To", OTHER), ("Channel", "call")]).await;
        attempt_is(&world, OTHER, "sent").await;
        let count = async |sql: &'static str| {
            let row = world.platform().store.point(sql, vec![]).await;
            row.expect("the store answers").expect("a count").int(0)
        };
        let claims = "SELECT count(*) FROM claim WHERE name IN ('notice', 'notice-call')";
        assert_eq!(count(claims).await, 2);
        world.advance(29 * 86_400).await;
        let young = started(&world, &owl, &[]).await;
        code_on(&world, USER, 2).await;
        let attempts = world.get(&at("/Attempts")).await.json();
        assert_eq!(attempts["attempts"].as_array().map(Vec::len), Some(3));
        world.advance(2 * 86_400).await;
        eventually("they are forgotten", || async {
            (count("SELECT count(*) FROM verification_attempt").await == 1).then_some(())
        })
        .await;
        assert_eq!(count("SELECT count(*) FROM verification").await, 1);
        assert_eq!(count(claims).await, 1);
        let attempts = world.get(&at("/Attempts")).await.json();
        assert_eq!(attempts["attempts"][0]["verification_sid"], young["sid"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_in_a_mail_template_of_the_account() {
    for world in worlds().await {
        let owl = service(&world, &[]).await;
        let mail = async |path: &str, body: Value| {
            let request = harness::Request::new("POST", path).login(&world.login);
            world.send(request.body("application/json", body.to_string().into_bytes())).await
        };
        let made =
            mail("/_/sendgrid/v3/templates", json!({"name": "Codes", "generation": "dynamic"}))
                .await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.text_of("id");
        let versions = format!("/_/sendgrid/v3/templates/{id}/versions");
        let address = "bea@owl.example";
        let configuration = json!({"template_id": id, "substitutions": {"who": "Bea"}}).to_string();
        let wish = [
            ("Channel", "email"),
            ("To", address),
            ("ChannelConfiguration", configuration.as_str()),
        ];
        assert_error(&start(&world, &owl, &wish).await, 60218, 400, &id);
        let version = |html: &str| json!({"name": "v", "subject": "Hello {{who}}", "active": 1, "html_content": html});
        assert_eq!(mail(&versions, version("<p>no code</p>")).await.status, 201);
        assert_error(&start(&world, &owl, &wish).await, 60219, 400, "twilio_code");
        let html = "<p>{{who}}, your code of {{friendly_name}}: {{ twilio_code }}</p>";
        assert_eq!(mail(&versions, version(html)).await.status, 201);
        assert_eq!(start(&world, &owl, &wish).await.status, 201);
        let mail = eventually("the mail", || async {
            let mails = world.own("GET", &format!("mailboxes/{address}/mails"), Value::Null).await;
            mails.json()["mails"].get(0).cloned()
        })
        .await;
        assert_eq!(mail["subject"], "Hello Bea");
        let html = mail["html"].as_str().unwrap();
        assert!(html.contains("Bea, your code of "), "{html}");
        let code: String =
            mail["text"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
        let fine = check(&world, &owl, &[("To", address), ("Code", &code)]).await;
        assert_eq!(fine.text_of("status"), "approved");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_is_fetched_so_often() {
    for world in worlds().await {
        let owl = service(&world, &[]).await;
        let sid = started(&world, &owl, &[]).await["sid"].as_str().unwrap().to_owned();
        let path = at(&format!("/Services/{owl}/Verifications/{sid}"));
        for (count, pause) in [(60, 61), (60, 61), (60, 61)] {
            for _ in 0..count {
                assert_eq!(world.get(&path).await.status, 200);
            }
            let refused = world.get(&path).await;
            assert_error(&refused, 20429, 429, "Too many requests");
            let wait: u64 = refused.header("retry-after").expect("a time").parse().unwrap();
            assert!((1..=3600).contains(&wait), "{wait}");
            world.advance(pause).await;
        }
        // Three minutes' worth is an hour's.
        assert_error(&world.get(&path).await, 20429, 429, "Too many requests");
        world.stop().await;
    }
}

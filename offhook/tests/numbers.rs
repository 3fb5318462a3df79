//! Goal: numbers, applications, short codes and caller ids are found, bought,
//! configured, moved and released as the wire says (voice-api §5–6). Method: the API
//! alone, and a handset that calls what was bought by texting it.

mod harness;

use harness::{Act, WebhookSink, World, account_path, assert_error, encode, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";

async fn search(world: &World, query: &str) -> Vec<Value> {
    let reply = world.get(&world.path(&format!("AvailablePhoneNumbers/{query}"))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["available_phone_numbers"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_filter_and_name_their_faults() {
    for world in worlds().await {
        let countries = world.get(&world.path("AvailablePhoneNumbers.json")).await.json();
        let members: Vec<&String> = countries.as_object().unwrap().keys().collect();
        assert_eq!(members, ["countries", "uri"]);
        let us = world.get(&world.path("AvailablePhoneNumbers/US.json")).await.json();
        assert_eq!((&us["country_code"], &us["country"]), (&"US".into(), &"United States".into()));
        let local = world.path("AvailablePhoneNumbers/US/Local.json");
        assert_eq!(us["subresource_uris"]["local"], local);

        let found = search(&world, "US/Local.json?AreaCode=415&PageSize=5").await;
        assert_eq!(found.len(), 5);
        for offer in &found {
            assert!(offer["phone_number"].as_str().unwrap().starts_with("+1415"), "{offer}");
            assert_eq!(offer["iso_country"], "US");
            assert!(offer["capabilities"]["SMS"].is_boolean(), "{offer}");
        }
        for offer in search(&world, "US/Local.json?Contains=%2B1212*&PageSize=3").await {
            assert!(offer["phone_number"].as_str().unwrap().starts_with("+1212"), "{offer}");
        }
        for offer in search(&world, "US/TollFree.json?PageSize=3").await {
            assert!(offer["phone_number"].as_str().unwrap().starts_with("+18"), "{offer}");
        }
        for offer in search(&world, "US/Local.json?MmsEnabled=true&PageSize=3").await {
            assert_eq!(offer["capabilities"]["MMS"], true);
        }
        for offer in search(&world, "US/Local.json?InRegion=CA&PageSize=3").await {
            assert_eq!(offer["region"], "CA");
        }
        // What is owned is not offered.
        let taken = found[0]["phone_number"].as_str().unwrap();
        let numbers = world.path("IncomingPhoneNumbers.json");
        assert_eq!(world.post(&numbers, &[("PhoneNumber", taken)]).await.status, 201);
        let after = search(&world, "US/Local.json?AreaCode=415&PageSize=5").await;
        assert!(after.iter().all(|offer| offer["phone_number"] != taken), "{after:?}");

        for (query, code, mentions) in [
            ("US/Local.json?AreaCode=9x9", 21451, "AreaCode"),
            ("US/Local.json?AreaCode=41", 21451, ""),
            ("GB/Local.json?AreaCode=415", 21457, ""),
            ("US/Local.json?NearNumber=nowhere", 21421, "NearNumber"),
            ("US/Local.json?NearLatLong=nowhere", 21421, "NearLatLong"),
            ("US/Local.json?Contains=!", 21421, ""),
            ("US/Local.json?Distance=501", 20001, "Distance"),
            ("US/Local.json?SmsEnabled=perhaps", 20001, "SmsEnabled"),
        ] {
            let reply = world.get(&world.path(&format!("AvailablePhoneNumbers/{query}"))).await;
            assert_error(&reply, code, 400, mentions);
        }
        for unknown in ["XX/Local.json", "US/Elsewhere.json", "XX.json"] {
            let reply = world.get(&world.path(&format!("AvailablePhoneNumbers/{unknown}"))).await;
            assert_error(&reply, 20404, 404, "not found");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_bought_configured_and_released() {
    for world in worlds().await {
        let numbers = world.path("IncomingPhoneNumbers.json");
        let free = search(&world, "US/Local.json?AreaCode=212&PageSize=1").await;
        let wanted = free[0]["phone_number"].as_str().unwrap();
        let bought =
            world.post(&numbers, &[("PhoneNumber", wanted), ("FriendlyName", "Desk")]).await;
        assert_eq!(bought.status, 201, "{bought:?}");
        let body = bought.json();
        let sid = bought.text_of("sid");
        for (field, value) in [
            ("phone_number", json!(wanted)),
            ("friendly_name", json!("Desk")),
            ("origin", json!("twilio")),
            ("sms_url", json!("")),
            ("sms_method", json!("POST")),
            ("sms_application_sid", json!("")),
            ("trunk_sid", Value::Null),
            ("status", json!("in-use")),
            ("beta", json!(false)),
            ("address_requirements", json!("none")),
            ("voice_receive_mode", json!("voice")),
        ] {
            assert_eq!(body[field], value, "{field}");
        }
        assert!(body["capabilities"]["sms"].is_boolean(), "{body}");

        for (form, code) in [
            (&[("PhoneNumber", wanted)][..], 21422),
            (&[("PhoneNumber", "nonsense")], 21421),
            (&[("PhoneNumber", "+1999")], 21421),
            (&[], 21421),
            (&[("AreaCode", "4a5")], 21451),
            (&[("AreaCode", "999")], 21452),
            (&[("AreaCode", "415"), ("SmsUrl", "nowhere")], 21402),
            (&[("AreaCode", "415"), ("SmsMethod", "PATCH")], 21403),
            (
                &[("AreaCode", "415"), ("SmsApplicationSid", "AP00000000000000000000000000000000")],
                21420,
            ),
        ] {
            assert_error(&world.post(&numbers, form).await, code, 400, "");
        }
        let local = search(&world, "US/Local.json?AreaCode=212&PageSize=1").await;
        let form = [("PhoneNumber", local[0]["phone_number"].as_str().unwrap())];
        let toll_free = world.path("IncomingPhoneNumbers/TollFree.json");
        assert_error(&world.post(&toll_free, &form).await, 21458, 400, "");
        assert_error(&world.post(&toll_free, &[]).await, 21421, 400, "PhoneNumber");

        let one = world.path(&format!("IncomingPhoneNumbers/{sid}.json"));
        let set =
            [("SmsUrl", "http://127.0.0.1:9/a"), ("SmsMethod", "GET"), ("FriendlyName", "Shop")];
        let body = world.post(&one, &set).await.json();
        assert_eq!((&body["sms_url"], &body["sms_method"]), (&set[0].1.into(), &"GET".into()));
        let body = world.post(&one, &[("SmsUrl", "")]).await.json();
        assert_eq!((&body["sms_url"], &body["friendly_name"]), (&"".into(), &"Shop".into()));
        assert_eq!(world.get(&one).await.json()["sms_url"], "");
        for (form, code) in [
            (("VoiceFallbackUrl", "http://127.0.0.1:9/v"), 21405),
            (("SmsFallbackUrl", "http://127.0.0.1:9/s"), 21406),
        ] {
            assert_error(&world.post(&one, &[form]).await, code, 400, "");
        }

        for (filter, count) in [
            (format!("PhoneNumber={}", encode(wanted)), 1),
            (format!("PhoneNumber={}", &wanted[5..]), 1),
            (format!("PhoneNumber={}*{}", &wanted[2..5], &wanted[6..]), 1),
            ("PhoneNumber=0000000".to_owned(), 0),
            ("FriendlyName=Shop".to_owned(), 1),
            ("FriendlyName=Desk".to_owned(), 0),
            ("Origin=hosted".to_owned(), 0),
        ] {
            let list = world.get(&format!("{numbers}?{filter}")).await.json();
            assert_eq!(list["incoming_phone_numbers"].as_array().unwrap().len(), count, "{filter}");
        }
        let typed = world.path("IncomingPhoneNumbers/Local.json");
        let list = world.get(&typed).await.json();
        assert_eq!(list["incoming_phone_numbers"].as_array().unwrap().len(), 2);

        assert_eq!(world.type_on(USER, wanted, "hello").await.status, 201);
        assert_eq!(world.delete(&one).await.status, 204);
        assert_error(&world.get(&one).await, 20404, 404, &one);
        assert_error(&world.delete(&one).await, 20404, 404, &one);
        assert_eq!(world.type_on(USER, wanted, "hello").await.status, 404);
        assert_eq!(world.post(&numbers, &[("PhoneNumber", wanted)]).await.status, 201);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_moves_numbers_within_its_family() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let child = world.subaccount("Child").await;
        let (sid, number) = world.buy(&world.login, "212").await;
        let one = world.path(&format!("IncomingPhoneNumbers/{sid}.json"));
        world.post(&one, &[("SmsUrl", &sink.at("/sms"))]).await;
        let stranger = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let missing = world.post(&one, &[("AccountSid", stranger)]).await;
        assert_error(&missing, 21471, 404, stranger);
        assert_error(&world.post(&one, &[("AccountSid", "x")]).await, 21470, 400, "AccountSid");
        assert_eq!(
            world.type_on(USER, &number, "before").await.text_of("account_sid"),
            world.sid()
        );

        let moved = world.post(&one, &[("AccountSid", &child.user)]).await;
        assert_eq!((moved.status, moved.text_of("account_sid")), (200, child.user.clone()));
        assert_error(&world.get(&one).await, 20404, 404, &one);
        let theirs = account_path(&child.user, &format!("IncomingPhoneNumbers/{sid}.json"));
        assert_eq!(world.get_as(&child, &theirs).await.text_of("phone_number"), number);
        let typed = world.type_on(USER, &number, "after").await;
        assert_eq!(typed.text_of("account_sid"), child.user);
        eventually("the child's webhook", || async {
            sink.seen("/sms").iter().find(|one| one.value("AccountSid") == child.user).map(|_| ())
        })
        .await;
        let form = [("To", USER), ("From", &*number), ("Body", "x")];
        let messages = account_path(&child.user, "Messages.json");
        assert_eq!(world.post_as(&child, &messages, &form).await.status, 201);
        assert_error(&world.message(&form).await, 21660, 400, &number);
        // Only the parent moves, and not into a suspended account.
        let own = world.post_as(&child, &theirs, &[("AccountSid", world.sid())]).await;
        assert_error(&own, 21474, 403, "parent");
        let idle = world.subaccount("Idle").await;
        world
            .post(&format!("/2010-04-01/Accounts/{}.json", idle.user), &[("Status", "suspended")])
            .await;
        assert_error(
            &world.post(&theirs, &[("AccountSid", &idle.user)]).await,
            21472,
            403,
            &idle.user,
        );
        let back = world.post(&theirs, &[("AccountSid", world.sid())]).await;
        assert_eq!(back.text_of("account_sid"), world.sid());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_keep_their_rules() {
    for world in worlds().await {
        let all = world.path("Applications.json");
        let made = world.post(&all, &[]).await;
        assert_eq!(made.status, 201, "{made:?}");
        let body = made.json();
        let sid = made.text_of("sid");
        assert!(sid.starts_with("AP") && !made.text_of("friendly_name").is_empty());
        for (field, value) in [
            ("sms_url", Value::Null),
            ("sms_method", json!("POST")),
            ("voice_method", json!("POST")),
            ("voice_caller_id_lookup", json!(false)),
            ("api_version", json!("2010-04-01")),
            ("message_status_callback", Value::Null),
        ] {
            assert_eq!(body[field], value, "{field}");
        }
        let one = world.path(&format!("Applications/{sid}.json"));
        for (name, value, code, mentions) in [
            ("VoiceFallbackUrl", "http://a.example/", 21405, "VoiceUrl"),
            ("SmsFallbackUrl", "http://a.example/", 21406, "SmsUrl"),
            ("SmsUrl", "a.example", 21402, "SmsUrl"),
            ("SmsMethod", "DELETE", 21403, "SmsMethod"),
        ] {
            for path in [&all, &one] {
                assert_error(&world.post(path, &[(name, value)]).await, code, 400, mentions);
            }
        }
        let form = [("SmsUrl", "http://a.example/"), ("SmsFallbackUrl", "http://b.example/")];
        assert_eq!(world.post(&one, &form).await.status, 200);
        assert_error(&world.post(&one, &[("SmsUrl", "")]).await, 21406, 400, "SmsUrl");
        let named = world.post(&all, &[("FriendlyName", "Two")]).await.text_of("sid");
        let list = world.get(&format!("{all}?FriendlyName=Two")).await.json();
        assert_eq!(list["applications"][0]["sid"], named);
        assert_eq!(world.delete(&one).await.status, 204);
        assert_error(&world.get(&one).await, 20404, 404, &one);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_codes_are_leased_configured_and_used() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let leased = world.own("POST", "short-codes", json!({"short_code": "54321"})).await;
        assert_eq!(leased.status, 201, "{leased:?}");
        let again = world.own("POST", "short-codes", json!({"short_code": "54321"})).await;
        assert_error(&again, 20409, 409, "54321");
        for bad in ["12", "1234567", "ABCDE"] {
            let reply = world.own("POST", "short-codes", json!({"short_code": bad})).await;
            assert_error(&reply, 20001, 400, "short_code");
        }
        let all = world.path("SMS/ShortCodes.json");
        let list = world.get(&format!("{all}?ShortCode=54321")).await.json();
        assert_eq!(list["short_codes"][0]["sid"], leased.text_of("sid"));
        assert_eq!(
            list["short_codes"][0]["uri"],
            world.path(&format!("SMS/ShortCodes/{}.json", leased.text_of("sid")))
        );
        let one = world.path(&format!("SMS/ShortCodes/{}.json", leased.text_of("sid")));
        let url = sink.on("/sms", Act::twiml("<Message>short answer</Message>"));
        assert_eq!(world.post(&one, &[("SmsUrl", &url)]).await.text_of("sms_url"), url);
        world.delivered(&[("To", USER), ("From", "54321"), ("Body", "short")]).await;
        // Keywords on a short code are its application's affair.
        assert_eq!(world.type_on(USER, "54321", "STOP").await.status, 201);
        assert_eq!(world.bodies(USER, 2).await, ["short", "short answer"]);
        assert_eq!(sink.first("/sms").await.value("To"), "54321");
        assert_error(&world.post(&all, &[]).await, 20004, 405, "POST");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_ids_are_validated_by_a_call() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let all = world.path("OutgoingCallerIds.json");
        let validate = |number: &'static str, path: &'static str| {
            let callback = sink.at(path);
            let world = &world;
            let all = &all;
            async move {
                let form = [
                    ("PhoneNumber", number),
                    ("StatusCallback", &callback),
                    ("FriendlyName", "Me"),
                ];
                world.post(all, &form).await
            }
        };
        let asked = validate(USER, "/ok").await;
        assert_eq!(asked.status, 200, "{asked:?}");
        let code = asked.text_of("validation_code");
        assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
        assert!(asked.text_of("call_sid").starts_with("CA"));
        let told = sink.first("/ok").await;
        told.assert_signed(&sink, &world.login);
        assert_eq!(
            (told.value("VerificationStatus"), told.value("To")),
            ("success".into(), USER.into())
        );
        let sid = told.value("OutgoingCallerIdSid");
        let one = world.path(&format!("OutgoingCallerIds/{sid}.json"));
        let shown = world.get(&one).await.json();
        assert_eq!((&shown["phone_number"], &shown["friendly_name"]), (&USER.into(), &"Me".into()));
        assert_error(&validate(USER, "/again").await, 21450, 400, USER);

        world.handset("+14155550122", "off").await;
        assert_eq!(validate("+14155550122", "/off").await.status, 200);
        let told = sink.first("/off").await;
        assert_eq!(
            (told.value("VerificationStatus"), told.param("OutgoingCallerIdSid")),
            ("failed".into(), None)
        );

        for (form, code, mentions) in [
            (&[("PhoneNumber", &*world.number)][..], 21449, &*world.number),
            (&[("PhoneNumber", "nonsense")], 21401, "PhoneNumber"),
            (&[], 21401, "PhoneNumber"),
            (&[("PhoneNumber", "+14155550133"), ("CallDelay", "61")], 21454, "CallDelay"),
            (&[("PhoneNumber", "+14155550133"), ("StatusCallback", "x")], 21456, "StatusCallback"),
        ] {
            assert_error(&world.post(&all, form).await, code, 400, mentions);
        }
        assert_eq!(
            world.post(&one, &[("FriendlyName", "Desk")]).await.text_of("friendly_name"),
            "Desk"
        );
        let list = world.get(&format!("{all}?PhoneNumber={}", encode(USER))).await.json();
        assert_eq!(list["outgoing_caller_ids"].as_array().unwrap().len(), 1);

        // Two requests for one number at once end in one caller id and no dead job.
        let form = [("PhoneNumber", "+14155550144"), ("CallDelay", "30")];
        for _ in 0..2 {
            assert_eq!(world.post(&all, &form).await.status, 200);
        }
        world.advance(31).await;
        let filter = format!("{all}?PhoneNumber=%2B14155550144");
        eventually("both calls were made", || async {
            let waiting = world.platform().store.query("SELECT id FROM job", vec![]).await.unwrap();
            waiting.is_empty().then_some(())
        })
        .await;
        let list = world.get(&filter).await.json();
        assert_eq!(list["outgoing_caller_ids"].as_array().unwrap().len(), 1, "{list}");
        let dead = world.own("GET", "dead-jobs", Value::Null).await.json();
        assert_eq!(dead["dead_jobs"], json!([]));
        assert_eq!(world.delete(&one).await.status, 204);
        assert_eq!(validate(USER, "/anew").await.status, 200);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_buyers_of_one_area_code_get_a_number_each() {
    for world in worlds().await {
        let world = std::sync::Arc::new(world);
        let buyers = (0..8).map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.buy(&world.login, "646").await.1 })
        });
        let mut bought = std::collections::HashSet::new();
        for buyer in buyers.collect::<Vec<_>>() {
            assert!(bought.insert(buyer.await.expect("a number for everyone")));
        }
        assert_eq!(bought.len(), 8);
        std::sync::Arc::into_inner(world).expect("nobody else buys").stop().await;
    }
}

//! Goal: templates are made, found, reviewed and sent as Twilio's API does it (whatsapp-content §2
//! to §5). Method: templates made through the API, a handset that receives what they render to, and
//! a clock that is moved past the reviewer's delay.

mod harness;

use harness::{Login, Reply, Request, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";
/// Seconds that the harness's reviewer takes.
const REVIEW: u64 = 60;
const UNKNOWN: &str = "HX00000000000000000000000000000001";

/// The path of a Content resource.
fn at(rest: &str) -> String {
    format!("/_/content/v1/Content{rest}")
}

async fn send(world: &World, login: &Login, method: &str, path: &str, body: Value) -> Reply {
    let request = Request::new(method, path).login(login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

async fn post(world: &World, path: &str, body: Value) -> Reply {
    send(world, &world.login, "POST", path, body).await
}

/// A template with these types; its SID.
async fn template(world: &World, name: &str, types: Value) -> String {
    let body = json!({"friendly_name": name, "language": "en", "variables": {"1": "Owl"},
        "types": types});
    let made = post(world, &at(""), body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.text_of("sid")
}

fn text(body: &str) -> Value {
    json!({"twilio/text": {"body": body}})
}

/// Submits a template; the answer.
async fn submit(world: &World, sid: &str, name: &str, category: &str, more: Value) -> Reply {
    let mut body = json!({"name": name, "category": category});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    post(world, &at(&format!("/{sid}/ApprovalRequests/whatsapp")), body).await
}

/// The approval once it has this status.
async fn approval(world: &World, sid: &str, status: &str) -> Value {
    eventually(&format!("{sid} is {status}"), || async {
        let path = at(&format!("/{sid}/ApprovalRequests"));
        let whatsapp = world.get(&path).await.json()["whatsapp"].clone();
        (whatsapp["status"] == status).then_some(whatsapp)
    })
    .await
}

/// Submits and lets the reviewer decide.
async fn reviewed(world: &World, sid: &str, name: &str, category: &str, status: &str) -> Value {
    let submitted = submit(world, sid, name, category, json!({})).await;
    assert_eq!(submitted.status, 201, "{submitted:?}");
    approval(world, sid, "pending").await;
    world.advance(REVIEW).await;
    approval(world, sid, status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_made_changed_and_deleted() {
    for world in worlds().await {
        let body = json!({"friendly_name": "Greeting", "language": "en",
            "variables": {"1": "Owl"},
            "types": {"twilio/text": {"body": "Hi {{1}}!"}, "twilio/media": null}});
        let made = post(&world, &at(""), body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let json = made.json();
        let sid = made.text_of("sid");
        assert!(sid.starts_with("HX"));
        assert_eq!(json["account_sid"], world.sid());
        assert_eq!(json["friendly_name"], "Greeting");
        assert_eq!(json["variables"], json!({"1": "Owl"}));
        assert_eq!(json["types"], text("Hi {{1}}!"), "nulls of SDKs are left out");
        let url = format!("{}{}", world.url, at(&format!("/{sid}")));
        assert_eq!(json["url"], url);
        assert_eq!(json["links"]["approval_create"], format!("{url}/ApprovalRequests/whatsapp"));
        assert_eq!(json["links"]["approval_fetch"], format!("{url}/ApprovalRequests"));
        assert!(json["date_created"].as_str().unwrap().ends_with('Z'));
        assert_eq!(world.get(&at(&format!("/{sid}"))).await.json(), json);
        assert!(json.get("approval").is_none());

        let path = at(&format!("/{sid}"));
        let put = json!({"types": text("Bye {{1}}!")});
        let changed = send(&world, &world.login, "PUT", &path, put).await;
        assert_eq!((changed.status, &changed.json()["types"]), (200, &text("Bye {{1}}!")));
        assert_eq!(changed.json()["friendly_name"], "Greeting");
        let bare = post(&world, &at(""), json!({"language": "en", "types": text("x")})).await;
        assert_eq!(bare.json()["friendly_name"], "");
        assert_eq!(bare.json()["variables"], json!({}));

        let listed = world.get(&at("?PageSize=1")).await.json();
        assert_eq!(listed["contents"][0]["sid"], bare.json()["sid"]);
        assert_eq!(listed["meta"]["key"], "contents");
        assert!(listed["meta"]["next_page_url"].is_string());

        let other = world.subaccount("other").await;
        assert_eq!(world.get_as(&other, &path).await.status, 404);
        assert_eq!(world.delete(&path).await.status, 204);
        assert_error(&world.get(&path).await, 20404, 404, &sid);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_template_is_named() {
    for world in worlds().await {
        let samples: serde_json::Map<String, Value> =
            (0..101).map(|at| (format!("v{at}"), "x".into())).collect();
        for (body, code, mentions) in [
            (json!({"types": text("x")}), 92003, "language"),
            (json!({"language": "english", "types": text("x")}), 92004, "english"),
            (json!({"language": "en"}), 92001, "types"),
            (json!({"language": "en", "types": {}}), 92001, "types"),
            (json!({"language": "en", "types": "x"}), 92001, "types"),
            (json!({"language": "en", "types": {"text": {}}}), 92008, "text"),
            (json!({"language": "en", "types": text("x"), "variables": {"1": 5}}), 92007, "5"),
            (json!({"language": "en", "types": text("x"), "variables": "x"}), 92007, "variables"),
            (json!({"language": "en", "types": text("x"), "variables": samples}), 92002, "101"),
            (json!({"language": "en", "types": text(&"x".repeat(1601))}), 20001, "1600"),
        ] {
            let refused = post(&world, &at(""), body.clone()).await;
            assert_error(&refused, code, 400, mentions);
            assert!(!refused.text().contains("urlencoded"), "the API takes JSON: {refused:?}");
        }
        assert_eq!(world.get(&at("")).await.json()["contents"], json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reviewer_approves_and_rejects() {
    for world in worlds().await {
        let sid = template(&world, "order", text("Your order {{1}} has shipped today.")).await;
        let before = world.get(&at(&format!("/{sid}/ApprovalRequests"))).await.json();
        assert_eq!((&before["sid"], &before["account_sid"]), (&json!(sid), &json!(world.sid())));
        assert_eq!(before["whatsapp"]["status"], "unsubmitted");
        let url = format!("{}{}", world.url, at(&format!("/{sid}/ApprovalRequests")));
        assert_eq!(before["url"], url);

        let submitted = submit(&world, &sid, "order_1", "UTILITY", json!({})).await;
        assert_eq!(submitted.status, 201, "{submitted:?}");
        assert_eq!(
            submitted.json(),
            json!({"name": "order_1", "category": "UTILITY", "content_type": "twilio/text",
                "status": "received", "rejection_reason": "", "allow_category_change": true})
        );
        let again = submit(&world, &sid, "order_1", "UTILITY", json!({})).await;
        assert_error(&again, 20409, 409, &sid);
        let put = json!({"types": text("x")});
        let changed = send(&world, &world.login, "PUT", &at(&format!("/{sid}")), put).await;
        assert_error(&changed, 20409, 409, &sid);

        approval(&world, &sid, "pending").await;
        world.advance(REVIEW - 2).await;
        assert_eq!(approval(&world, &sid, "pending").await["type"], "whatsapp");
        world.advance(2).await;
        let approved = approval(&world, &sid, "approved").await;
        assert_eq!(
            (&approved["name"], &approved["rejection_reason"]),
            (&json!("order_1"), &json!(""))
        );
        for status in ["received", "pending", "approved"] {
            assert_eq!(world.events(&format!("content.{status}"), &sid).await.len(), 1, "{status}");
        }
        assert_eq!(world.alert(&sid, 63046).await["data"]["level"], "warning");

        // A test can have a rejection; its reason is where a program looks for it.
        let body = "Your order {{1}} has been sent.";
        let other = template(&world, "rejected", text(body)).await;
        let rejected = reviewed(&world, &other, "reject_me", "UTILITY", "rejected").await;
        assert!(rejected["rejection_reason"].as_str().unwrap().contains("reject_"), "{rejected}");
        world.alert(&other, 63040).await;
        let listed = world.get("/_/content/v1/ContentAndApprovals").await.json();
        assert_eq!(listed["contents"][0]["approval_requests"]["status"], "rejected");
        assert_eq!(listed["contents"][1]["approval_requests"]["status"], "approved");
        assert_eq!(listed["contents"][1]["types"], text("Your order {{1}} has shipped today."));
        assert!(listed["contents"][1].get("approval").is_none());
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reviewer_knows_the_rules_and_what_else_there_is() {
    for world in worlds().await {
        let shipped = "Your order {{1}} has shipped today.";
        let first = template(&world, "first", text(shipped)).await;
        reviewed(&world, &first, "order_1", "UTILITY", "approved").await;
        for (body, name, category, reason) in [
            ("{{1}} has shipped to you today.", "edge", "UTILITY", "begin or end"),
            (shipped, "order_2", "UTILITY", "order_1 has the same content"),
            ("Your order {{1}} has been sent.", "order_1", "UTILITY", "has the name"),
            ("Your order has been sent.", "Order-3", "UTILITY", "lower-case"),
            ("Your code has come to you.", "code", "AUTHENTICATION", "AUTHENTICATION"),
        ] {
            let sid = template(&world, name, text(body)).await;
            let rejected = reviewed(&world, &sid, name, category, "rejected").await;
            let found = rejected["rejection_reason"].as_str().unwrap();
            assert!(found.contains(reason), "{body}: {found}");
        }
        // What sells is marketing, unless its owner forbids the change.
        for (name, allow, status, category) in
            [("sale_1", true, "approved", "MARKETING"), ("sale_2", false, "rejected", "UTILITY")]
        {
            let sid = template(&world, name, text(&format!("Our sale has begun: {name}"))).await;
            let more = json!({"allow_category_change": allow});
            submit(&world, &sid, name, "UTILITY", more).await;
            approval(&world, &sid, "pending").await;
            world.advance(REVIEW).await;
            assert_eq!(approval(&world, &sid, status).await["category"], category);
        }
        // A deleted template frees its name and its words.
        assert_eq!(world.delete(&at(&format!("/{first}"))).await.status, 204);
        let second = template(&world, "second", text(shipped)).await;
        reviewed(&world, &second, "order_1", "UTILITY", "approved").await;

        let place = json!({"twilio/location": {"latitude": 1, "longitude": 2}});
        let place = template(&world, "place", place).await;
        let refused = submit(&world, &place, "place", "UTILITY", json!({})).await;
        assert_error(&refused, 92008, 400, &place);
        let odd = submit(&world, &place, "place", "FUN", json!({})).await;
        assert_error(&odd, 20001, 400, "category");
        let nobody = submit(&world, UNKNOWN, "name", "UTILITY", json!({})).await;
        assert_error(&nobody, 20404, 404, UNKNOWN);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_goes_by_sms_and_mms() {
    for world in worlds().await {
        let hi = template(&world, "hi", text("Hi {{1}}, {{2}}!")).await;
        for (variables, body) in [
            (None, "Hi Owl, {{2}}!"),
            (Some(r#"{"2":"Bee"}"#), "Hi Owl, Bee!"),
            (Some(r#"{"1":"{{2}}","2":"Bee"}"#), "Hi {{2}}, Bee!"),
        ] {
            let mut form = vec![("To", USER), ("Body", "lost"), ("ContentSid", hi.as_str())];
            form.extend(variables.map(|json| ("ContentVariables", json)));
            let sid = world.delivered(&form).await;
            let message = world.fetch_message(&sid).await;
            assert_eq!((&message["body"], &message["num_media"]), (&json!(body), &json!("0")));
        }
        assert_eq!(world.bodies(USER, 3).await.last().unwrap(), "Hi {{2}}, Bee!");

        let sink = harness::WebhookSink::start().await;
        sink.on("/owl.png", harness::Act::answer(200, "image/png", "png"));
        let picture = json!({"twilio/text": {"body": "no picture"},
            "twilio/media": {"body": "See {{1}}", "media": [sink.at("/{{2}}.png")]}});
        let picture = template(&world, "picture", picture).await;
        let form =
            [("To", USER), ("ContentSid", &*picture), ("ContentVariables", r#"{"2":"owl"}"#)];
        let sid = world.delivered(&form).await;
        let message = world.fetch_message(&sid).await;
        assert!(sid.starts_with("MM"));
        assert_eq!((&message["body"], &message["num_media"]), (&json!("See Owl"), &json!("1")));

        let replies = json!({"twilio/quick-reply": {"body": "Yes?", "actions": [{"title": "Y"}]}});
        let quick = template(&world, "quick", replies.clone()).await;
        let unknown = json!({"twilio/pay": {"anything": true}});
        let unknown = template(&world, "pay", unknown).await;
        let bad_url = json!({"twilio/media": {"media": ["{{2}}"]}});
        let bad_url = template(&world, "bad", bad_url).await;
        let long = format!("{{\"1\":\"{}\"}}", "x".repeat(1600));
        for (content, variables, code) in [
            ("", r#"{"1":"x"}"#, 21654),
            (UNKNOWN, "", 21655),
            ("HXnope", "", 21655),
            (&*hi, "x", 21656),
            (&*hi, "[]", 21656),
            (&*hi, r#"{"1":null}"#, 21656),
            (&*hi, r#"{"1":""}"#, 21656),
            (&*hi, r#"{"1":7}"#, 21656),
            (&*hi, r#"{"1":"\u0000"}"#, 21656),
            (&*hi, &*long, 21617),
            (&*quick, "", 216602),
            (&*unknown, "", 216602),
            (&*bad_url, r#"{"2":"owl.png"}"#, 21620),
        ] {
            let form = [("To", USER), ("ContentSid", content), ("ContentVariables", variables)];
            assert_error(&world.message(&form).await, code, 400, "");
        }
        let mut both = replies;
        both["twilio/text"] = json!({"body": "plain"});
        let both = template(&world, "both", both).await;
        let sid = world.delivered(&[("To", USER), ("ContentSid", &both)]).await;
        assert_eq!(world.fetch_message(&sid).await["body"], "plain");
        world.stop().await;
    }
}

/// The variables that are kept with a message until it is rendered for good.
async fn stored_variables(world: &World, message: &str) -> Option<String> {
    let sql = "SELECT extra FROM message WHERE id = $1";
    let row = world.platform().store.point(sql, vec![message[2..].into()]).await.unwrap().unwrap();
    let extra: Value = serde_json::from_str(row.opt_text(0)?).unwrap();
    extra["content"]["variables"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_renders_the_template_as_it_is_when_it_is_sent() {
    for world in worlds().await {
        let service = world.post("/_/messaging/v1/Services", &[("FriendlyName", "s")]).await;
        let service = service.text_of("sid");
        let number = world.number_sid(&world.number).await;
        let pool = format!("/_/messaging/v1/Services/{service}/PhoneNumbers");
        let joined = world.post(&pool, &[("PhoneNumberSid", &number)]).await;
        assert_eq!(joined.status, 201, "{joined:?}");

        let hi = template(&world, "hi", text("Hi {{1}}!")).await;
        let form = |content: &str, at: Option<String>| {
            let mut form = vec![
                ("To".to_owned(), USER.to_owned()),
                ("MessagingServiceSid".to_owned(), service.clone()),
                ("ContentSid".to_owned(), content.to_owned()),
                ("ContentVariables".to_owned(), r#"{"1":"“Bee”"}"#.to_owned()),
            ];
            if let Some(at) = at {
                form.extend([
                    ("SendAt".to_owned(), at),
                    ("ScheduleType".to_owned(), "fixed".into()),
                ]);
            }
            form
        };
        let sent = |form: Vec<(String, String)>| {
            let world = &world;
            async move {
                let form: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                world.sent(&form).await
            }
        };
        let now = sent(form(&hi, None)).await;
        let message = world.reached(&now, "delivered").await;
        assert_eq!(message["body"], "Hi \"Bee\"!", "smart encoding is the service's");
        assert_eq!(message["from"], world.number.as_str());

        // What was to fill a template that was never rendered goes with the body.
        let soon = world.platform().clock.now() + std::time::Duration::from_secs(600);
        let canceled = sent(form(&hi, Some(soon.format("%Y-%m-%dT%H:%M:%SZ")))).await;
        let path = world.path(&format!("Messages/{canceled}.json"));
        assert_eq!(stored_variables(&world, &canceled).await, Some(r#"{"1":"“Bee”"}"#.to_owned()));
        assert_eq!(world.post(&path, &[("Status", "canceled")]).await.status, 200);
        assert_eq!(world.post(&path, &[("Body", "")]).await.text_of("body"), "");
        assert_eq!(stored_variables(&world, &canceled).await, None);

        let later = world.platform().clock.now() + std::time::Duration::from_secs(600);
        let later = later.format("%Y-%m-%dT%H:%M:%SZ");
        let kept = sent(form(&hi, Some(later.clone()))).await;
        let gone = template(&world, "gone", text("Bye {{1}}!")).await;
        let lost = sent(form(&gone, Some(later))).await;
        let put = json!({"types": text("Hello {{1}}!")});
        let path = at(&format!("/{hi}"));
        assert_eq!(send(&world, &world.login, "PUT", &path, put).await.status, 200);
        assert_eq!(world.delete(&at(&format!("/{gone}"))).await.status, 204);
        world.advance(601).await;
        assert_eq!(world.reached(&kept, "delivered").await["body"], "Hello \"Bee\"!");
        assert_eq!(world.reached(&lost, "failed").await["error_code"], 21655);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_found_by_what_they_are() {
    for world in worlds().await {
        let mut all = Vec::new();
        for (name, body, language) in
            [("beta", "Alpha has come", "en"), ("Alpha", "x {{1}} y", "de"), ("gamma", "x", "en")]
        {
            let made = json!({"friendly_name": name, "language": language, "types": text(body)});
            all.push(post(&world, &at(""), made).await.text_of("sid"));
        }
        let list = json!({"twilio/list-picker": {"body": "Which?", "button": "b",
            "items": [{"id": "1", "item": "Alpha"}]}});
        all.push(template(&world, "list", list).await);
        let (beta, alpha, gamma, list) = (&all[0], &all[1], &all[2], &all[3]);
        submit(&world, beta, "beta", "UTILITY", json!({})).await;
        approval(&world, beta, "pending").await;
        let now = world.platform().clock.now().format("%Y-%m-%dT%H:%M:%SZ");
        let after = format!("DateCreatedAfter={now}");
        for (query, expected) in [
            ("", vec![list, gamma, alpha, beta]),
            ("SortByDate=asc", vec![beta, alpha, gamma, list]),
            ("SortByContentName=asc", vec![alpha, beta, gamma, list]),
            ("SortByContentName=desc", vec![list, gamma, beta, alpha]),
            ("ContentName=ALPH", vec![alpha]),
            ("Content=alpha", vec![list, beta]),
            ("Language=de", vec![alpha]),
            ("Language=de&Language=en&SortByDate=asc", vec![beta, alpha, gamma, list]),
            ("ContentType=twilio/list-picker", vec![list]),
            ("ChannelEligibility=whatsapp:pending", vec![beta]),
            ("ChannelEligibility=whatsapp:unsubmitted&Language=en", vec![list, gamma]),
            ("ChannelEligibility=sms:approved", vec![]),
            ("DateCreatedBefore=2020-01-01T00:00:00Z", vec![]),
            (
                "DateCreatedAfter=2020-01-01T00:00:00Z&ContentName=a&SortByDate=asc",
                vec![beta, alpha, gamma],
            ),
            ("PageSize=2&Page=1", vec![alpha, beta]),
        ] {
            for (resource, with_approvals) in [("Content", false), ("ContentAndApprovals", true)] {
                let listed = world.get(&format!("/_/content/v2/{resource}?{query}")).await.json();
                let contents = listed["contents"].as_array().unwrap();
                let sids: Vec<&str> =
                    contents.iter().map(|found| found["sid"].as_str().unwrap()).collect();
                assert_eq!(sids, expected, "{query}");
                for found in contents {
                    assert_eq!(found["approval_requests"].is_object(), with_approvals);
                    assert_eq!(found["url"].is_string(), !with_approvals);
                }
            }
        }
        assert_eq!(world.get(&format!("/_/content/v2/Content?{after}")).await.status, 200);
        // Pages follow each other in every order, and back.
        let mut path = "/_/content/v2/Content?PageSize=3&SortByContentName=asc".to_owned();
        let mut seen = Vec::new();
        let mut back = None;
        loop {
            let page = world.get(&path).await.json();
            let sids = page["contents"].as_array().unwrap().iter();
            seen.extend(sids.map(|found| found["sid"].as_str().unwrap().to_owned()));
            back = page["meta"]["previous_page_url"].as_str().map(str::to_owned).or(back);
            match page["meta"]["next_page_url"].as_str() {
                Some(next) => path = next.strip_prefix(&world.url).unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, [alpha, beta, gamma, list].map(String::clone));
        let back = back.unwrap();
        let first = world.get(back.strip_prefix(&world.url).unwrap()).await.json();
        assert_eq!(first["contents"].as_array().unwrap().len(), 3);

        for bad in ["SortByDate=up", "ChannelEligibility=whatsapp"] {
            let refused = world.get(&format!("/_/content/v2/Content?{bad}")).await;
            assert_error(&refused, 20001, 400, "");
        }
        let legacy = world.get("/_/content/v1/LegacyContent").await;
        assert_eq!((legacy.status, &legacy.json()["contents"]), (200, &json!([])));
        world.stop().await;
    }
}

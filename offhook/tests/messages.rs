//! Goal: `/Messages` accepts, refuses, shows, lists, changes and deletes exactly
//! as the wire says (messaging §1–4). Method: a table of faults with code, status
//! and the parameter that the words must name; then the life of messages through
//! the API alone, on both databases.

mod harness;

use std::collections::HashSet;

use harness::{
    Act, Request, WebhookSink, account_path, assert_error, encode, strict_worlds, worlds,
};
use serde_json::{Value, json};

const TO: &str = "+14155550111";

/// Extra parameters, then code, status and what the words name.
type Fault = (&'static [(&'static str, &'static str)], u32, u16, &'static str);

const FAULTS: &[Fault] = &[
    (&[("Body", "x")], 21604, 400, "To"),
    (&[("To", ""), ("Body", "x")], 21604, 400, "To"),
    (&[("To", TO), ("From", ""), ("Body", "x")], 21603, 400, "From"),
    (&[("To", "nobody"), ("Body", "x")], 21211, 400, "'To'"),
    (&[("To", "+1"), ("Body", "x")], 21211, 400, "'To'"),
    (&[("To", "+12345678901234567"), ("Body", "x")], 21211, 400, "'To'"),
    (&[("To", TO), ("From", "+1"), ("Body", "x")], 21212, 400, "'From'"),
    (&[("To", TO), ("From", "Way too long a name"), ("Body", "x")], 21212, 400, "'From'"),
    (
        &[("To", TO), ("From", "sim:HS0123456789abcdef0123456789abcdef"), ("Body", "x")],
        21212,
        400,
        "From",
    ),
    (&[("To", "12345"), ("Body", "x")], 21265, 400, "'To'"),
    (&[("To", "+442079460000"), ("Body", "x")], 21614, 400, "'To'"),
    (&[("To", "+14155550111,+14155550112"), ("Body", "x")], 21653, 400, "'To'"),
    (&[("To", TO)], 21619, 400, "Body"),
    (&[("To", TO), ("Body", "")], 21619, 400, "Body"),
    (&[("To", TO), ("MediaUrl", "not a url")], 21620, 400, "MediaUrl"),
    (&[("To", TO), ("MediaUrl", "ftp://example.org/x")], 21620, 400, "MediaUrl"),
    (&[("To", TO), ("Body", "x"), ("ValidityPeriod", "0")], 21624, 400, "ValidityPeriod"),
    (&[("To", TO), ("Body", "x"), ("ValidityPeriod", "36001")], 21624, 400, "ValidityPeriod"),
    (&[("To", TO), ("Body", "x"), ("ValidityPeriod", "soon")], 21624, 400, "ValidityPeriod"),
    (&[("To", TO), ("Body", "x"), ("MaxPrice", "cheap")], 21627, 400, "MaxPrice"),
    (&[("To", TO), ("Body", "x"), ("StatusCallback", "nowhere")], 21609, 400, "StatusCallback"),
    (
        &[("To", TO), ("Body", "x"), ("StatusCallback", "http://a_b.example/x")],
        21609,
        400,
        "StatusCallback",
    ),
    (&[("To", TO), ("Body", "x"), ("ContentRetention", "maybe")], 30029, 400, "ContentRetention"),
    (&[("To", TO), ("Body", "x"), ("AddressRetention", "maybe")], 30030, 400, "AddressRetention"),
    (&[("To", TO), ("ContentVariables", "{\"1\":\"x\"}")], 21654, 400, "ContentSid"),
    (&[("To", TO), ("ContentSid", "HX00000000000000000000000000000000")], 21655, 400, "ContentSid"),
    (&[("To", TO), ("ContentSid", "nonsense")], 21655, 400, "ContentSid"),
    (&[("To", TO), ("Body", "x"), ("ScheduleType", "fixed")], 35111, 400, "SendAt"),
    (
        &[("To", TO), ("Body", "x"), ("ScheduleType", "fixed"), ("SendAt", "2030-01-01T00:00:00Z")],
        35118,
        400,
        "MessagingServiceSid",
    ),
    (
        &[("To", TO), ("Body", "x"), ("MessagingServiceSid", "nonsense")],
        21705,
        400,
        "MessagingServiceSid",
    ),
    (
        &[("To", TO), ("Body", "x"), ("MessagingServiceSid", "MG00000000000000000000000000000000")],
        21701,
        404,
        "MG0000",
    ),
    (
        &[("To", TO), ("Body", "x"), ("From", "MG00000000000000000000000000000000")],
        21701,
        404,
        "MG0000",
    ),
    (&[("To", "whatsapp:+14155550111"), ("Body", "x")], 21910, 400, "From"),
    (&[("To", TO), ("From", "ACME"), ("Body", "x")], 21612, 400, "ACME"),
    (&[("To", TO), ("Body", "x"), ("ProvideFeedback", "perhaps")], 20001, 400, "ProvideFeedback"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_code_status_and_words() {
    for world in worlds().await {
        for (form, code, status, mentions) in FAULTS {
            let reply = world.message(form).await;
            assert_error(&reply, *code, *status, mentions);
        }
        let own = world.number.clone();
        assert_error(&world.message(&[("To", &own), ("Body", "x")]).await, 21266, 400, "To");
        let long = "a".repeat(1601);
        assert_error(&world.message(&[("To", TO), ("Body", &long)]).await, 21617, 400, "Body");
        let eleven = vec![("MediaUrl", "http://127.0.0.1:9/x"); 11];
        let form = [vec![("To", TO)], eleven].concat();
        assert_error(&world.message(&form).await, 21623, 400, "MediaUrl");
        assert!(world.get(&world.path("Messages.json")).await.json()["messages"] == json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_must_be_the_accounts_own_and_able() {
    for world in worlds().await {
        let other = world.subaccount("Other").await;
        let (_, theirs) = world.buy(&other, "415").await;
        let reply = world.message(&[("To", TO), ("From", &theirs), ("Body", "x")]).await;
        assert_error(&reply, 21660, 400, &theirs);
        // What a number is able to do comes from the inventory: flip it there.
        for (capability, code, form) in [
            ("mms", 21621, &[("To", TO), ("MediaUrl", "http://127.0.0.1:9/x")][..]),
            ("mms", 21621, &[("To", TO), ("Body", "x"), ("SendAsMms", "true")]),
            ("sms", 21661, &[("To", TO), ("Body", "x")]),
        ] {
            world.disable(&world.number, capability).await;
            assert_error(&world.message(form).await, code, 400, &world.number);
        }
        world.stop().await;
    }
    for world in strict_worlds().await {
        for from in ["+14155550199", "54321"] {
            let reply = world.message(&[("To", TO), ("From", from), ("Body", "x")]).await;
            assert_error(&reply, 21659, 400, from);
        }
        world.stop().await;
    }
}

impl harness::World {
    /// Takes a capability from a number, as the inventory of some countries does.
    async fn disable(&self, number: &str, capability: &str) {
        let sid = self.number_sid(number).await;
        let store = &self.platform().store;
        let account: kernel::Sid = self.sid().parse().unwrap();
        let mut batch = store.account(account).batch();
        let read = "SELECT body FROM resource WHERE account_sid = $1 AND sid = $2";
        let row = store.account(account).point(read, vec![sid.as_str().into()]).await.unwrap();
        let mut body: Value = serde_json::from_str(row.unwrap().text(0)).unwrap();
        body["capabilities"][capability] = false.into();
        batch.must(
            "UPDATE resource SET body = $3 WHERE account_sid = $1 AND sid = $2",
            vec![sid.as_str().into(), body.to_string().into()],
        );
        store.account(account).commit(batch).await.unwrap();
        // Owners are kept in memory until somebody changes one.
        self.configure(&[("FriendlyName", "changed")]).await;
        self.buy(&self.login, "212").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_creation_reply_has_exactly_the_fields_of_the_wire() {
    for world in worlds().await {
        let reply = world.message(&[("To", "(415) 555-0111"), ("Body", "Ahoy")]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let mut body = reply.json();
        let sid = reply.text_of("sid");
        assert!(sid.len() == 34 && sid.starts_with("SM"), "{sid}");
        for date in ["date_created", "date_updated"] {
            let text = body[date].take();
            let text = text.as_str().unwrap();
            assert!(text.len() == 31 && text.ends_with(" +0000"), "{text}");
        }
        let base = format!("/2010-04-01/Accounts/{}/Messages/{sid}", world.sid());
        let expected = json!({
            "account_sid": world.sid(),
            "api_version": "2010-04-01",
            "body": "Ahoy",
            "date_created": null,
            "date_sent": null,
            "date_updated": null,
            "direction": "outbound-api",
            "error_code": null,
            "error_message": null,
            "from": world.number,
            "messaging_service_sid": null,
            "num_media": "0",
            "num_segments": "1",
            "price": null,
            "price_unit": "USD",
            "sid": sid,
            "status": "queued",
            "subresource_uris": {"media": format!("{base}/Media.json")},
            "to": TO,
            "uri": format!("{base}.json"),
        });
        assert_eq!(body, expected);
        assert!(reply.header("twilio-request-id").is_some_and(|id| id.starts_with("RQ")));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_counted_as_the_calculator_counts() {
    for world in worlds().await {
        for (body, smart, segments) in [
            ("a".repeat(160), false, "1"),
            ("a".repeat(161), false, "2"),
            ("a".repeat(306), false, "2"),
            ("a".repeat(307), false, "3"),
            ("€".repeat(80), false, "1"),
            ("€".repeat(81), false, "2"),
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), false, "3"),
            ("ж".repeat(70), false, "1"),
            ("ж".repeat(71), false, "2"),
            ("😀".repeat(35), false, "1"),
            ("😀".repeat(36), false, "2"),
            ("“hi” – it’s 50…".repeat(5), false, "2"),
            ("“hi” – it’s 50…".repeat(5), true, "1"),
        ] {
            let smart = if smart { "true" } else { "false" };
            let form = [("To", TO), ("Body", &*body), ("SmartEncoded", smart)];
            let reply = world.message(&form).await;
            assert_eq!(reply.status, 201, "{reply:?}");
            assert_eq!(reply.text_of("num_segments"), segments, "{body} smart {smart}");
        }
        let reply = world.message(&[("To", TO), ("Body", "“x”"), ("SmartEncoded", "true")]).await;
        assert_eq!(reply.text_of("body"), "\"x\"");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_forth_and_back_and_filters_hold() {
    for world in worlds().await {
        let mut sent = Vec::new();
        for number in 0..7 {
            let to = if number % 2 == 0 { TO } else { "+14155550122" };
            sent.push(world.delivered(&[("To", to), ("Body", &number.to_string())]).await);
        }
        sent.reverse();
        let sids = |page: &Value| -> Vec<String> {
            let messages = page["messages"].as_array().unwrap();
            messages.iter().map(|m| m["sid"].as_str().unwrap().to_owned()).collect()
        };
        let first = world.get(&world.path("Messages.json?PageSize=3")).await.json();
        assert_eq!(sids(&first), sent[..3]);
        assert_eq!(first["previous_page_uri"], Value::Null);
        assert_eq!((&first["page"], &first["page_size"]), (&json!(0), &json!(3)));
        assert_eq!((&first["start"], &first["end"]), (&json!(0), &json!(2)));
        let members: HashSet<&str> =
            first.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "messages end first_page_uri next_page_uri page page_size \
                        previous_page_uri start uri";
        assert_eq!(members, expected.split_whitespace().collect());

        let second = world.get(first["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(&second), sent[3..6]);
        let third = world.get(second["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(&third), sent[6..]);
        assert_eq!(third["next_page_uri"], Value::Null);
        let back = world.get(third["previous_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(&back), sent[3..6]);
        let back = world.get(back["previous_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(&back), sent[..3]);
        let again = world.get(back["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(sids(&again), sent[3..6]);

        let by_number = world.get(&world.path("Messages.json?PageSize=3&Page=2")).await.json();
        assert_eq!(sids(&by_number), sent[6..]);
        let beyond = world.get(&world.path("Messages.json?PageSize=3&Page=9")).await;
        assert_eq!((beyond.status, sids(&beyond.json())), (200, Vec::new()));
        for token in ["nonsense", "PAnonsense", "PA", "PBSM12"] {
            let path = world.path(&format!("Messages.json?Page=1&PageToken={token}"));
            assert_error(&world.get(&path).await, 21481, 400, "PageToken");
        }
        let clamped = world.get(&world.path("Messages.json?PageSize=5000")).await.json();
        assert_eq!(clamped["page_size"], 1000);
        for bad in ["PageSize=0", "PageSize=x", "Page=-1"] {
            let reply = world.get(&world.path(&format!("Messages.json?{bad}"))).await;
            assert_error(&reply, 20001, 400, "Page");
        }

        let to = encode(TO);
        let path = world.path(&format!("Messages.json?To={to}&PageSize=3"));
        let filtered = world.get(&path).await.json();
        assert_eq!(sids(&filtered).len(), 3);
        let next = filtered["next_page_uri"].as_str().unwrap().to_owned();
        assert!(next.contains(&format!("To={to}")), "{next}");
        assert_eq!(sids(&world.get(&next).await.json()).len(), 1);
        let from = encode(&world.number);
        for (filter, count) in [
            (format!("From={from}"), 7),
            ("From=%2B14155550155".to_owned(), 0),
            ("DateSent%3E=2000-01-01T00:00:00Z".to_owned(), 7),
            ("DateSent%3C=2000-01-01".to_owned(), 0),
            ("DateSent%3C=2100-01-01".to_owned(), 7),
            ("DateSent=2000-01-01".to_owned(), 0),
        ] {
            let page = world.get(&world.path(&format!("Messages.json?{filter}"))).await.json();
            assert_eq!(sids(&page).len(), count, "{filter}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redacting_cancelling_and_deleting_follow_the_status() {
    for world in worlds().await {
        let sid = world.delivered(&[("To", TO), ("Body", "secret")]).await;
        let path = world.path(&format!("Messages/{sid}.json"));
        for form in [
            &[][..],
            &[("Body", "other words")],
            &[("Body", ""), ("Status", "canceled")],
            &[("Status", "sent")],
        ] {
            let reply = world.post(&path, form).await;
            assert_error(&reply, 30400, 400, "");
        }
        assert_error(&world.post(&path, &[("Status", "canceled")]).await, 30409, 409, "delivered");
        let redacted = world.post(&path, &[("Body", "")]).await;
        assert_eq!((redacted.status, redacted.text_of("body")), (200, String::new()));
        assert_eq!(world.fetch_message(&sid).await["body"], "");

        world.handset("+14155550133", "slow").await;
        let slow = world.sent(&[("To", "+14155550133"), ("Body", "later")]).await;
        world.reached(&slow, "sent").await;
        let gone = world.delete(&path).await;
        assert_eq!((gone.status, gone.body.len()), (204, 0));
        for again in [world.delete(&path).await, world.get(&path).await] {
            assert_error(&again, 20404, 404, &path);
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_flight_is_neither_deleted_nor_redacted() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        // Its media never comes: the message stays queued while it is fetched.
        let media = sink.on("/stall", Act::Stall);
        let sid = world.sent(&[("To", TO), ("MediaUrl", &media)]).await;
        assert!(sid.starts_with("MM"), "{sid}");
        let path = world.path(&format!("Messages/{sid}.json"));
        assert_error(&world.delete(&path).await, 20009, 409, "queued");
        assert_error(&world.post(&path, &[("Body", "")]).await, 20009, 409, "queued");
        sink.release();
        world.reached(&sid, "failed").await;
        assert_eq!(world.delete(&path).await.status, 204);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_has_many_spellings() {
    for world in worlds().await {
        let sid = world.delivered(&[("To", TO), ("Body", "a <b> & \"c\"")]).await;
        let (prefix, hex) = sid.split_at(2);
        let upper = format!("{prefix}{}", hex.to_uppercase());
        let shown = world.get(&world.path(&format!("Messages/{upper}.json"))).await;
        assert_eq!((shown.status, shown.text_of("sid")), (200, sid.clone()));
        let account = world.sid().to_owned();
        let shouted = format!("AC{}", account[2..].to_uppercase());
        let path = account_path(&shouted, &format!("Messages/{sid}.json"));
        assert_eq!(world.get(&path).await.text_of("account_sid"), account);
        for wrong in [format!("MM{hex}"), format!("{prefix}{}", &hex[1..]), "x".to_owned()] {
            let path = world.path(&format!("Messages/{wrong}.json"));
            assert_error(&world.get(&path).await, 20404, 404, "not found");
        }

        for path in [format!("Messages/{sid}"), format!("Messages/{sid}.xml")] {
            let reply = world.get(&world.path(&path)).await;
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (200, Some("application/xml"))
            );
            let text = reply.text();
            assert!(text.contains("<TwilioResponse><Message>"), "{text}");
            assert!(text.contains(&format!("<Sid>{sid}</Sid>")), "{text}");
            assert!(text.contains("a &lt;b&gt; &amp; "), "{text}");
        }
        let reply = world.get(&world.path("Messages.xml")).await.text();
        assert!(reply.contains("<Messages ") && reply.contains("<Message>"), "{reply}");
        let reply = world.get(&world.path("Messages.csv")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").unwrap().starts_with("text/csv"), "{reply:?}");
        let lines: Vec<String> = reply.text().lines().map(str::to_owned).collect();
        assert!(lines.len() == 2 && lines[1].contains(&sid), "{lines:?}");
        let xml_fault = world.post(&world.path("Messages"), &[("Body", "x")]).await;
        assert_eq!(xml_fault.status, 400);
        assert!(xml_fault.text().contains("<RestException><Code>21604</Code>"), "{xml_fault:?}");

        let form = [("To", TO), ("From", &*world.number), ("Body", "old path")];
        let old = world.post(&world.path("SMS/Messages.json"), &form).await;
        assert_eq!(old.status, 201, "{old:?}");
        let sid = old.text_of("sid");
        let old = world.get(&world.path(&format!("SMS/Messages/{sid}.json"))).await;
        assert_eq!(old.text_of("sid"), sid);
        assert_eq!(world.reached(&sid, "delivered").await["body"], "old path");
        let host = Request::new("GET", &world.path(&format!("Messages/{sid}.json")))
            .header("Host", "api.dublin.ie1.twilio.com")
            .login(&world.login);
        let reply = world.send(host).await;
        assert_eq!((reply.status, reply.header("x-home-region")), (200, Some("ie1")));
        world.stop().await;
    }
}

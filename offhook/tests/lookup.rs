//! Goal: Lookup says of a number what plans, the simulated network or the operator's data source
//! know, and of what is none why (verify §12, §13). Method: both versions of the API, a phone
//! whose owner is told, and a source that is a local server.

mod harness;

use harness::{Act, Reply, Request, WebhookSink, World, assert_error, encode, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";

fn v2(number: &str, query: &str) -> String {
    format!("/_/lookups/v2/PhoneNumbers/{}?{query}", encode(number))
}

async fn with_json(world: &World, method: &str, path: &str, body: &Value) -> Reply {
    let request = Request::new(method, path).login(&world.login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_formatted_and_judged() {
    for world in worlds().await {
        for (number, query, valid, text, national, errors) in [
            (USER, "", true, USER, json!("(415) 555-0111"), json!([])),
            (
                "02079460958",
                "CountryCode=GB",
                true,
                "+442079460958",
                json!("020 7946 0958"),
                json!([]),
            ),
            ("+1415555", "", false, "+1415555", json!("415555"), json!(["TOO_SHORT"])),
            ("notanumber", "", false, "+1notanumber", Value::Null, json!(["NOT_A_NUMBER"])),
        ] {
            let found = world.get(&v2(number, query)).await;
            assert_eq!(found.status, 200, "{found:?}");
            let found = found.json();
            assert_eq!(
                (&found["valid"], &found["phone_number"], &found["validation_errors"]),
                (&json!(valid), &json!(text), &errors),
                "{number}"
            );
            if valid {
                assert_eq!(found["national_format"], national);
            }
            // Every member is there, also when nobody asked for it.
            assert_eq!(found.as_object().unwrap().len(), 17, "{found}");
        }
        let bad = world.get(&v2(USER, "Fields=caller_name,shoe_size")).await;
        assert_error(&bad, 20001, 400, "shoe_size");
        let v1 = format!("/_/lookups/v1/PhoneNumbers/{}", encode(USER));
        let plain = world.get(&v1).await.json();
        assert_eq!((&plain["country_code"], &plain["carrier"]), (&json!("US"), &Value::Null));
        assert_error(&world.get("/_/lookups/v1/PhoneNumbers/12").await, 20404, 404, "12");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_tell_of_the_phones_owner() {
    for world in worlds().await {
        let path = format!("handsets/{USER}/owner");
        let owner = json!({"first_name": "Ada", "last_name": "Byron", "city": "London",
                           "reassigned_at": "2025-06-01T00:00:00Z", "pumping_score": 92});
        assert_eq!(world.own("PUT", &path, owner.clone()).await.status, 200);
        assert_eq!(world.own("GET", &path, Value::Null).await.json()["last_name"], "Byron");
        for (member, value) in [("reassigned_at", json!("soon")), ("pumping_score", json!(101))] {
            let mut bad = owner.clone();
            bad[member] = value;
            assert_error(&world.own("PUT", &path, bad).await, 20001, 400, member);
        }
        world.handset(USER, "off").await;
        let all = "caller_name,sim_swap,call_forwarding,line_status,line_type_intelligence,\
                   identity_match,reassigned_number,sms_pumping_risk,pre_fill";
        let query = format!(
            "Fields={all}&FirstName=ada&LastName=Byron&City=Paris&\
                             LastVerifiedDate=20250101"
        );
        let found = world.get(&v2(USER, &query)).await.json();
        for (pointer, expected) in [
            ("/caller_name/caller_name", json!("Ada Byron")),
            ("/sim_swap/last_sim_swap/swapped_in_period", json!(false)),
            ("/call_forwarding/error_code", json!(60607)),
            ("/line_status/status", json!("unreachable")),
            ("/line_type_intelligence/type", json!("mobile")),
            ("/identity_match/first_name_match", json!("exact_match")),
            ("/identity_match/city_match", json!("no_match")),
            ("/identity_match/summary_score", json!(70)),
            ("/reassigned_number/is_number_reassigned", json!("yes")),
            ("/sms_pumping_risk/carrier_risk_category", json!("high")),
            ("/pre_fill/error_code", json!(60606)),
            ("/phone_number_quality_score", Value::Null),
        ] {
            assert_eq!(found.pointer(pointer), Some(&expected), "{pointer}: {found}");
        }
        let batch = json!({"phone_numbers": [
            {"correlation_id": "a", "phone_number": USER, "fields": ["line_status"]},
            {"correlation_id": "b", "phone_number": "12"}]});
        let many = with_json(&world, "POST", "/_/lookups/v2/batch/query", &batch).await;
        let many = many.json();
        assert_eq!(many["phone_numbers"][0]["line_status"]["status"], "unreachable", "{many}");
        let second = &many["phone_numbers"][1];
        assert_eq!((&second["correlation_id"], &second["valid"]), (&json!("b"), &json!(false)));

        let v1 = format!(
            "/_/lookups/v1/PhoneNumbers/{}?Type=carrier&Type=caller-name&AddOns=x",
            encode(USER)
        );
        let old = world.get(&v1).await.json();
        assert_eq!(
            (&old["carrier"]["type"], &old["add_ons"]["status"]),
            (&json!("mobile"), &json!("failed"))
        );
        assert_eq!(old["caller_name"]["caller_name"], "Ada Byron");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_overrides_a_line_and_limits_itself() {
    for world in worlds().await {
        let path =
            format!("/_/lookups/v2/PhoneNumbers/{}/Overrides/line_type_intelligence", encode(USER));
        assert_error(&world.get(&path).await, 20404, 404, "");
        let body = json!({"line_type": "landline", "reason": "the customer said so"});
        let made = with_json(&world, "POST", &path, &body).await;
        assert_eq!((made.status, &made.json()["original_line_type"]), (201, &json!("mobile")));
        let kind = async |login| {
            let reply = world.get_as(login, &v2(USER, "Fields=line_type_intelligence")).await;
            reply.json()["line_type_intelligence"]["type"].clone()
        };
        let other = world.subaccount("other").await;
        assert_eq!(
            (kind(&world.login).await, kind(&other).await),
            (json!("landline"), json!("mobile"))
        );
        let changed = json!({"line_type": "fixedVoip", "reason": "again"});
        assert_eq!(with_json(&world, "PUT", &path, &changed).await.status, 200);
        assert_eq!(kind(&world.login).await, "fixedVoip");
        let odd = json!({"line_type": "string", "reason": "x"});
        assert_error(&with_json(&world, "PUT", &path, &odd).await, 20001, 400, "line_type");
        assert_eq!(world.delete(&path).await.status, 204);
        assert_eq!(kind(&world.login).await, "mobile");

        let limit = "/_/lookups/v2/RateLimits/Fields/line_status/Bucket/day";
        assert_error(&world.get(limit).await, 20404, 404, "");
        let put = with_json(&world, "PUT", limit, &json!({"limit": 2, "ttl": 3600})).await;
        assert_eq!((put.status, &put.json()["limit"]), (200, &json!(2)), "{put:?}");
        let listed = world.get("/_/lookups/v2/RateLimits").await.json();
        assert_eq!(listed["rate_limits"][0]["bucket"], "day");
        let code = async || {
            let found = world.get(&v2(USER, "Fields=line_status")).await.json();
            found["line_status"]["error_code"].clone()
        };
        assert_eq!(
            (code().await, code().await, code().await),
            (Value::Null, Value::Null, json!(60616))
        );
        world.advance(3600).await;
        assert_eq!(code().await, Value::Null);
        assert_eq!(world.delete(limit).await.status, 204);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_source_is_asked() {
    for mut world in worlds().await {
        let sink = WebhookSink::start().await;
        let known = json!({"line_type": "voip", "carrier_name": "Cloud", "caller_name": "Owl, Inc.",
                           "is_business": true, "line_status": "active"});
        let url = sink.on("/numbers", Act::answer(200, "application/json", known.to_string()));
        let text = format!("[lookup]\nurl = '{url}'\ntoken = 'secret'\n");
        let config = offhook::config::Config::read_text(&text).unwrap();
        world.restart(&|settings| settings.config = config.clone()).await;
        let query = "Fields=line_type_intelligence,caller_name,sms_pumping_risk";
        let found = world.get(&v2(USER, query)).await.json();
        assert_eq!(found["line_type_intelligence"]["type"], "nonFixedVoip");
        assert_eq!(found["caller_name"]["caller_type"], "BUSINESS");
        assert_eq!(found["sms_pumping_risk"]["error_code"], 60003);
        let asked = sink.first("/numbers").await;
        assert_eq!(asked.header("authorization"), Some("Bearer secret"));
        assert_eq!(asked.body, json!({"phone_number": USER}).to_string().into_bytes());
        sink.on("/numbers", Act::answer(500, "text/plain", "down"));
        let found = world.get(&v2(USER, "Fields=line_status")).await.json();
        assert_eq!(found["line_status"]["error_code"], 60613);
        world.stop().await;
    }
}

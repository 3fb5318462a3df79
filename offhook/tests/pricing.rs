//! Goal: price lists say what is billed (messaging-adjacent §2). Method: every list and country is
//! read, and a message is sent to compare.

mod harness;

use harness::{World, assert_error, encode, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";

async fn get(world: &World, path: &str) -> Value {
    let reply = world.get(&format!("/_/pricing/{path}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_countries_agree() {
    for world in worlds().await {
        for (list, members) in [
            ("v1/Messaging", ["outbound_sms_prices", "inbound_sms_prices"].as_slice()),
            ("v1/PhoneNumbers", &["phone_number_prices"]),
            ("v1/Voice", &["outbound_prefix_prices", "inbound_call_prices"]),
            ("v2/Voice", &["outbound_prefix_prices", "inbound_call_prices"]),
            ("v2/Trunking", &["terminating_prefix_prices", "originating_call_prices"]),
        ] {
            let mut path = format!("{list}/Countries?PageSize=100");
            let mut codes = Vec::new();
            loop {
                let page = get(&world, &path).await;
                let countries = page["countries"].as_array().cloned().unwrap_or_default();
                codes.extend(
                    countries
                        .iter()
                        .map(|c| c["iso_country"].as_str().unwrap_or_default().to_owned()),
                );
                let Some(next) = page["meta"]["next_page_url"].as_str() else { break };
                path = next.rsplit_once("/_/pricing/").expect("the page is here").1.to_owned();
            }
            assert!(codes.is_sorted() && codes.len() > 10, "{list}: {codes:?}");
            for code in [codes[0].as_str(), "US", "DE"] {
                let country = get(&world, &format!("{list}/Countries/{code}")).await;
                assert_eq!(
                    (&country["iso_country"], &country["price_unit"]),
                    (&json!(code), &json!("USD"))
                );
                assert!(members.iter().all(|member| country[member].is_array()), "{country}");
            }
            let none = world.get(&format!("/_/pricing/{list}/Countries/ZZ")).await;
            assert_error(&none, 20404, 404, "ZZ");
        }
        let back = get(&world, "v1/Voice/Countries?PageSize=2&Page=1&PageToken=PBAE").await;
        assert_eq!(back["countries"][1]["iso_country"], "AD", "{back}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_billed() {
    for world in worlds().await {
        let country = get(&world, "v1/Messaging/Countries/us").await;
        let listed = &country["outbound_sms_prices"][0]["prices"][0];
        assert_eq!(
            listed,
            &json!({"number_type": "local", "base_price": "0.0079", "current_price": "0.0079"})
        );
        for to in [USER, "+4915112345678"] {
            let sid = world.delivered(&[("To", to), ("Body", "hi")]).await;
            let message = world.fetch_message(&sid).await;
            let iso = if to == USER { "US" } else { "DE" };
            let country = get(&world, &format!("v1/Messaging/Countries/{iso}")).await;
            let listed = &country["outbound_sms_prices"][0]["prices"][0]["current_price"];
            let price = |text: &Value| {
                text.as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
            };
            assert!((price(&message["price"]) + price(listed)).abs() < 1e-9, "{message} {listed}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_are_told_what_calls_to_them_cost() {
    for world in worlds().await {
        let own = encode(&world.number);
        let none = json!({"base_price": null, "current_price": null, "number_type": null});
        for (number, is_own) in [(own.as_str(), true), ("%2B14155550111", false)] {
            let v1 = get(&world, &format!("v1/Voice/Numbers/{number}")).await;
            assert_eq!(v1["outbound_call_price"]["current_price"], "0.014");
            assert_eq!(v1["inbound_call_price"] != none, is_own, "{v1}");
            let from = "OriginationNumber=%2B14155550123";
            let v2 = get(&world, &format!("v2/Voice/Numbers/{number}?{from}")).await;
            assert_eq!(v2["origination_number"], "+14155550123");
            assert_eq!(v2["outbound_call_prices"][0]["origination_prefixes"], json!(["ALL"]));
            let trunk = get(&world, &format!("v2/Trunking/Numbers/{number}")).await;
            assert_eq!(trunk["originating_call_price"] != none, is_own, "{trunk}");
        }
        let bad = world.get("/_/pricing/v1/Voice/Numbers/nonsense").await;
        assert_error(&bad, 20404, 404, "nonsense");
        world.stop().await;
    }
}

//! Goal: an application's own knowledge of consent counts, and an account sends only where it
//! may (compliance §3, messaging §16). Method: the bulk APIs, and sends that are refused.

mod harness;

use harness::{World, assert_error, worlds};
use serde_json::{Value, json};

const USER: &str = "+14155550111";

async fn bulk(world: &World, what: &str, items: &[Value]) -> Vec<Value> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    let form: Vec<_> = items.iter().map(|item| ("Items", item.as_str())).collect();
    let reply = world.post(&format!("/_/accounts/v1/{what}/Bulk"), &form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["items"].as_array().unwrap().clone()
}

fn consent(correlation: u8, sender: &str, status: &str) -> Value {
    json!({
        "contact_id": USER, "correlation_id": format!("{correlation:032x}"),
        "sender_id": sender, "status": status, "source": "website",
        "date_of_consent": "2024-01-02T03:04:05Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_from_elsewhere_counts_like_a_keyword() {
    for world in worlds().await {
        let number = world.number.clone();
        let answers = bulk(&world, "Consents", &[consent(1, &number, "opt-out")]).await;
        let fine =
            json!({"correlation_id": format!("{:032x}", 1), "error_code": 0, "error_messages": []});
        assert_eq!(answers, [fine]);
        assert_error(&world.message(&[("To", USER), ("Body", "x")]).await, 21610, 400, USER);
        bulk(&world, "Consents", &[consent(2, &number, "opt-in")]).await;
        world.delivered(&[("To", USER), ("Body", "welcome back")]).await;
        // The ledger keeps both, with when and how.
        let sql = "SELECT status, source, address FROM consent_record ORDER BY id";
        let rows = world.platform().store.query(sql, Vec::<store::Value>::new()).await.unwrap();
        let kept: Vec<_> = rows.iter().map(|row| (row.text(0), row.text(1))).collect();
        assert_eq!(kept, [("opt-out", "website"), ("opt-in", "website")]);
        world.type_on(USER, &number, "STOP").await;
        harness::eventually("the keyword in the ledger", || async {
            let sql = "SELECT count(*) FROM consent_record WHERE source = 'keyword'";
            let store = &world.platform().store;
            let row = store.point(sql, Vec::<store::Value>::new()).await.unwrap();
            (row.unwrap().int(0) == 1).then_some(())
        })
        .await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_item_is_named_and_the_others_are_taken() {
    for world in worlds().await {
        let mut wrong = consent(1, "MG00000000000000000000000000000001", "maybe");
        wrong["contact_id"] = json!("0170");
        wrong["source"] = json!("hearsay");
        wrong["date_of_consent"] = json!("tomorrow");
        let right = consent(2, &world.number, "opt-out");
        let answers = bulk(&world, "Consents", &[wrong, right]).await;
        assert_eq!(answers[0]["error_code"], 30646);
        assert_eq!(
            answers[0]["error_messages"],
            json!([
                "INVALID_CONTACT_ID",
                "INVALID_SENDER_ID",
                "INVALID_STATUS",
                "INVALID_SOURCE",
                "INVALID_DATE_OF_CONSENT"
            ])
        );
        assert_eq!(answers[1]["error_code"], 0);
        assert_error(&world.message(&[("To", USER), ("Body", "x")]).await, 21610, 400, USER);
        let contact = |country: &str| {
            json!({"contact_id": USER, "correlation_id": format!("{:032x}", 3),
                   "country_iso_code": country, "zip_code": "94103"})
        };
        let answers = bulk(&world, "Contacts", &[contact("US"), contact("XX")]).await;
        assert_eq!(
            (&answers[0]["error_code"], &answers[1]["error_code"]),
            (&json!(0), &json!(30647))
        );
        let bad = world.post("/_/accounts/v1/Consents/Bulk", &[("Items", "{not json")]).await;
        assert_eq!((bad.status, bad.code()), (400, Some(20001)));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sends_only_where_it_may() {
    for world in worlds().await {
        let path = "/_/accounts/v1/Messaging/GeoPermissions";
        let listed = world.get(&format!("{path}?CountryCode=FR,US")).await.json();
        assert_eq!(listed["permissions"].as_array().unwrap().len(), 2);
        assert_eq!(
            listed["permissions"][0],
            json!({"country_code": "FR", "type": "country", "enabled": true, "prefix": "+33", "message": ""})
        );
        let change = |enabled: bool| {
            json!({"country_code": "FR", "type": "country", "enabled": enabled}).to_string()
        };
        for (enabled, status) in [(false, 400), (true, 201)] {
            let item = change(enabled);
            let request = harness::Request::new("PATCH", path)
                .login(&world.login)
                .form(&[("Permissions", &item)]);
            let changed = world.send(request).await;
            assert_eq!(changed.status, 200, "{changed:?}");
            assert_eq!(changed.json()["permissions"][0]["error_code"], 0);
            let reply = world.message(&[("To", "+33612345678"), ("Body", "x")]).await;
            assert_eq!(reply.status, status, "{reply:?}");
            if status == 400 {
                assert_error(&reply, 21408, 400, "France");
            }
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_safe_list_is_kept_by_number() {
    for world in worlds().await {
        let path = "/_/accounts/v1/SafeList/Numbers";
        let number = [("PhoneNumber", "+18001234567")];
        let made = world.post(path, &number).await;
        assert_eq!((made.status, made.text_of("phone_number")), (201, "+18001234567".into()));
        assert!(made.text_of("sid").starts_with("GN"));
        let query = format!("{path}?PhoneNumber=%2B18001234567");
        assert_eq!(world.get(&query).await.text_of("sid"), made.text_of("sid"));
        assert_eq!(world.delete(&query).await.status, 204);
        assert_error(&world.get(&query).await, 20404, 404, "");
        let bad = world.post(path, &[("PhoneNumber", "me")]).await;
        assert_eq!((bad.status, bad.code()), (400, Some(20001)));
        world.stop().await;
    }
}

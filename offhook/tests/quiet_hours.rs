//! Goal: where quiet hours are on, marketing waits for the recipient's morning, and nothing else
//! does (compliance §4). Method: the clock is set to a night, messages are sent, the clock moves on.

mod harness;

use harness::{World, assert_error, worlds};
use serde_json::{Value, json};

/// In New York and in San Francisco.
const EASTERN: &str = "+12125550111";
const PACIFIC: &str = "+14155550111";

/// 21:30 in New York, 18:30 in San Francisco.
const EVENING: &str = "2035-07-02T01:30:00Z";

async fn switch(world: &World, body: Value) {
    let reply = world.own("PUT", "quiet-hours", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn set_clock(world: &World, at: &str) {
    let reply = world.own("POST", "clock", json!({ "set": at })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn marketing(world: &World, to: &str, more: &[(&str, &str)]) -> String {
    let mut form = vec![("To", to), ("Body", "Sale!"), ("MessageIntent", "marketing")];
    form.extend_from_slice(more);
    world.sent(&form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn marketing_waits_for_the_morning() {
    for world in worlds().await {
        set_clock(&world, EVENING).await;
        // Off until somebody switches it on.
        let sid = marketing(&world, EASTERN, &[]).await;
        world.reached(&sid, "delivered").await;
        switch(&world, json!({"mode": "reschedule"})).await;
        let shown = world.own("GET", "quiet-hours", Value::Null).await.json();
        assert_eq!(shown["quiet_hours"], json!([{"scope": world.sid(), "mode": "reschedule"}]));

        let waits = marketing(&world, EASTERN, &[]).await;
        world.reached(&waits, "scheduled").await;
        let west = marketing(&world, PACIFIC, &[]).await;
        world.reached(&west, "delivered").await;
        let code = [("To", EASTERN), ("Body", "Your code"), ("MessageIntent", "otp")];
        world.delivered(&code).await;
        world.delivered(&[("To", EASTERN), ("Body", "no intent")]).await;

        // A contact of San Francisco keeps that time, whatever the number says.
        let contact = json!({"contact_id": EASTERN, "correlation_id": format!("{:032x}", 1),
                             "country_iso_code": "US", "zip_code": "94103"});
        let path = "/_/accounts/v1/Contacts/Bulk";
        let stored = world.post(path, &[("Items", &contact.to_string())]).await;
        assert_eq!(stored.json()["items"][0]["error_code"], 0);
        let moved = marketing(&world, EASTERN, &[]).await;
        world.reached(&moved, "delivered").await;

        // One that waits can be canceled; the other goes out when the morning comes.
        let canceled = marketing(&world, "+12125550112", &[]).await;
        world.reached(&canceled, "scheduled").await;
        let path = world.path(&format!("Messages/{canceled}.json"));
        assert_eq!(world.post(&path, &[("Status", "canceled")]).await.status, 200);
        set_clock(&world, "2035-07-02T15:00:01Z").await;
        world.reached(&waits, "delivered").await;
        world.reached(&canceled, "canceled").await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_expired_or_unwelcome_marketing_fails() {
    for world in worlds().await {
        set_clock(&world, EVENING).await;
        switch(&world, json!({"mode": "block"})).await;
        let blocked = marketing(&world, EASTERN, &[]).await;
        assert_eq!(world.reached(&blocked, "failed").await["error_code"], 30610);
        switch(&world, json!({"mode": "reschedule"})).await;
        let short = marketing(&world, EASTERN, &[("ValidityPeriod", "3600")]).await;
        assert_eq!(world.reached(&short, "failed").await["error_code"], 30047);
        // Somebody opts out while a message waits.
        let waits = marketing(&world, EASTERN, &[]).await;
        world.reached(&waits, "scheduled").await;
        world.type_on(EASTERN, &world.number, "STOP").await;
        world.bodies(EASTERN, 1).await;
        set_clock(&world, "2035-07-02T12:00:01Z").await;
        assert_eq!(world.reached(&waits, "failed").await["error_code"], 21610);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_its_own_switch_and_use_case() {
    for world in worlds().await {
        set_clock(&world, EVENING).await;
        let form = [("FriendlyName", "Shop"), ("Usecase", "marketing")];
        let service = world.post("/_/messaging/v1/Services", &form).await.text_of("sid");
        let number = world.number_sid(&world.number).await;
        let members = format!("/_/messaging/v1/Services/{service}/PhoneNumbers");
        world.post(&members, &[("PhoneNumberSid", &number)]).await;
        let form = [("To", EASTERN), ("Body", "Sale!"), ("MessagingServiceSid", service.as_str())];
        switch(&world, json!({"mode": "reschedule", "messaging_service_sid": service})).await;
        let waits = world.sent(&form).await;
        world.reached(&waits, "scheduled").await;
        // The service's word counts before the account's.
        switch(&world, json!({"mode": "off", "messaging_service_sid": service})).await;
        switch(&world, json!({"mode": "block"})).await;
        world.delivered(&form).await;
        set_clock(&world, "2035-07-02T12:00:01Z").await;
        world.reached(&waits, "delivered").await;

        let nowhere = json!({"mode": "off", "messaging_service_sid": format!("MG{:032x}", 1)});
        let reply = world.own("PUT", "quiet-hours", nowhere).await;
        assert_error(&reply, 20404, 404, "no Messaging Service");
        let reply = world.own("PUT", "quiet-hours", json!({"mode": "sometimes"})).await;
        assert_error(&reply, 20001, 400, "sometimes");
        world.stop().await;
    }
}

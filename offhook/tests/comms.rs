//! Goal: mail of Twilio's own Email API is rendered for each reader, sent, and found again
//! (sendgrid §15). Method: the API by hand, simulated mailboxes.

mod harness;

use harness::{Login, Reply, Request, World, assert_error, eventually, worlds};
use serde_json::{Value, json};

const EMAILS: &str = "/_/comms/v1/Emails";

async fn post(world: &World, login: &Login, body: &Value) -> Reply {
    let request = Request::new("POST", EMAILS).login(login);
    world.send(request.body("application/json", body.to_string().into_bytes())).await
}

fn wish(to: Value) -> Value {
    json!({
        "from": {"address": "shop@example.com", "name": "The Shop"},
        "to": to,
        "content": {
            "subject": "Hello {{ firstName | default: 'there' }}",
            "html": "<p>{% if vip %}Dear{% else %}Hi{% endif %} {{ firstName }}: \
                     {% for x in items %}{{ x.name }}{% unless forloop.last %}, {% endunless %}{% endfor %}</p>",
            "attachments": [{"content": "aGVsbG8=", "filename": "a.txt", "contentType": "text/plain"}],
        },
        "tags": {"campaign": "spring", "who": "{{ firstName }}"},
    })
}

async fn mails(world: &World, address: &str) -> Vec<Value> {
    let reply = world.own("GET", &format!("mailboxes/{address}/mails"), Value::Null).await;
    reply.json()["mails"].as_array().cloned().unwrap_or_default()
}

/// The operation once it has this status.
async fn operation(world: &World, id: &str, status: &str) {
    eventually(&format!("{id} is {status}"), || async {
        let found = world.get(&format!("{EMAILS}/Operations/{id}")).await;
        (found.status == 200 && found.text_of("status") == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_text_reaches_many_each_in_their_words() {
    for world in worlds().await {
        let to = json!([
            {"address": "ann@example.com", "name": "Ann", "variables":
                {"firstName": "Ann", "vip": true, "items": [{"name": "Owl"}, {"name": "Fox"}]}},
            {"address": "nobody@example.com"},
        ]);
        world.own("PUT", "mailboxes/nobody@example.com", json!({"behaviour": "bounces"})).await;
        let sent = post(&world, &world.login, &wish(to)).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        let id = sent.text_of("operationId");
        assert!(id.starts_with("comms_operation_") && id.len() == 16 + 26, "{id}");
        assert!(
            sent.text_of("operationLocation").ends_with(&format!("/v1/Emails/Operations/{id}"))
        );
        operation(&world, &id, "COMPLETED").await;

        let mail = mails(&world, "ann@example.com").await.remove(0);
        assert_eq!(mail["subject"], "Hello Ann");
        assert!(mail["html"].as_str().unwrap().contains("Dear Ann: Owl, Fox"), "{mail}");
        assert_eq!(mail["text"].as_str().map(str::trim), Some("Dear Ann: Owl, Fox"));

        let path = format!("{EMAILS}?operationId={id}&PageSize=1");
        let page = world.get(&path).await.json();
        assert_eq!(page["emails"].as_array().map(Vec::len), Some(1), "{page}");
        let next = page["meta"]["next_page_url"].as_str().expect("there is another").to_owned();
        let next =
            next[next.find("/_/").unwrap_or_else(|| next.find("/v1/").unwrap())..].to_owned();
        let rest = world.get(&next).await.json();
        let (lost, found) = (&page["emails"][0], &rest["emails"][0]);
        assert_eq!(
            (&lost["status"], &lost["to"]["address"]),
            (&json!("UNDELIVERED"), &json!("nobody@example.com"))
        );
        assert_eq!(
            (&found["status"], &found["to"], &found["tags"]),
            (
                &json!("DELIVERED"),
                &json!({"address": "ann@example.com", "name": "Ann"}),
                &json!({"campaign": "spring", "who": "Ann"})
            )
        );
        assert_eq!(found["from"], json!({"address": "shop@example.com", "name": "The Shop"}));
        let one = world.get(&format!("{EMAILS}/{}", found["id"].as_str().unwrap())).await;
        assert_eq!(one.json(), *found);
        // Nobody else's.
        let other = world.subaccount("other").await;
        for path in [format!("{EMAILS}/{}", one.text_of("id")), format!("{EMAILS}/Operations/{id}")]
        {
            assert_eq!(world.get_as(&other, &path).await.status, 404);
        }
        let none = world.get_as(&other, EMAILS).await.json();
        assert_eq!(none["emails"], json!([]));
        assert_eq!(world.get(&format!("{EMAILS}/comms_email_nothing")).await.status, 404);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_waits_and_many_are_many() {
    for world in worlds().await {
        let at = world.platform().clock.now() + std::time::Duration::from_secs(3600);
        let mut later = wish(json!([{"address": "later@example.com"}]));
        later["schedule"] = json!({"sendAt": at.iso8601()});
        let id = post(&world, &world.login, &later).await.text_of("operationId");
        operation(&world, &id, "SCHEDULED").await;
        let listed = eventually("it has entered", || async {
            let page = world.get(EMAILS).await.json();
            page["emails"].get(0).cloned()
        })
        .await;
        assert_eq!(listed["status"], "SCHEDULED", "{listed}");
        world.advance(3601).await;
        operation(&world, &id, "COMPLETED").await;
        assert_eq!(mails(&world, "later@example.com").await[0]["subject"], "Hello there");

        // More than enter the queue at once.
        let to: Vec<_> =
            (0..1203).map(|at| json!({"address": format!("r{at}@example.com")})).collect();
        let mut many = wish(json!(to));
        many["content"]["attachments"] = json!([]);
        let id = post(&world, &world.login, &many).await.text_of("operationId");
        let count = async || {
            let sql = "SELECT count(*) FROM mail_recipient WHERE comms_id >= $1 AND comms_id < $2";
            let begin = id.replace("operation", "email");
            let params = vec![begin.clone().into(), format!("{begin}~").into()];
            let row = world.platform().store.point(sql, params).await;
            row.expect("the store answers").expect("a count").int(0)
        };
        let mut waited = 0;
        while count().await < 1203 && waited < 600 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            waited += 1;
        }
        assert_eq!(count().await, 1203);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_is_said_at_once() {
    for world in worlds().await {
        let mut bad =
            wish(json!([{"address": "no address"}, {"address": "a@example.com", "x": 1}]));
        bad["from"]["address"] = json!("");
        bad["content"]["subject"] = json!("{{ broken");
        bad["content"]["attachments"][0]["content"] = json!("%%");
        bad["schedule"] = json!({"sendAt": "tomorrow"});
        let reply = post(&world, &world.login, &bad).await;
        for part in [
            "from.address",
            "to[0].address",
            "to[1]",
            "content.subject: line 1",
            "attachments[0].content",
            "schedule.sendAt",
        ] {
            assert_error(&reply, 20001, 400, part);
        }
        for missing in ["from", "to", "content"] {
            let mut body = wish(json!([{"address": "a@example.com"}]));
            body.as_object_mut().unwrap().remove(missing);
            assert_error(&post(&world, &world.login, &body).await, 20001, 400, missing);
        }
        // One that would run for ever reaches nobody, and says so.
        let mut endless = wish(json!([{"address": "end@example.com"}]));
        endless["content"]["html"] = json!("{% for i in (1..99999999) %}x{% endfor %}");
        let id = post(&world, &world.login, &endless).await.text_of("operationId");
        operation(&world, &id, "COMPLETED").await;
        let page = world.get(&format!("{EMAILS}?operationId={id}")).await.json();
        assert_eq!(page["emails"][0]["status"], "FAILED");
        assert_eq!(mails(&world, "end@example.com").await.len(), 0);
        let stranger = Login::new(world.sid(), "wrong");
        assert_eq!(post(&world, &stranger, &endless).await.status, 401);
        world.stop().await;
    }
}

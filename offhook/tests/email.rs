//! Goal: a program of SendGrid's sends, and is told what became of it (sendgrid §14). Method: the
//! API by hand, simulated mailboxes that behave, a webhook that is watched.

mod harness;

use harness::{Act, Reply, Request, WebhookSink, World, eventually, strict_worlds, worlds};
use serde_json::{Value, json};

const KEY: &str = "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

async fn call_as(world: &World, key: &str, method: &str, path: &str, body: Value) -> Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::new(method, path).header("Authorization", &format!("Bearer {key}"));
    world.send(request.body("application/json", body)).await
}

async fn call(world: &World, method: &str, path: &str, body: Value) -> Reply {
    call_as(world, KEY, method, path, body).await
}

/// The JSON of a call that must succeed with a status.
async fn done(world: &World, status: u16, method: &str, path: &str, body: Value) -> Value {
    let reply = call(world, method, path, body).await;
    assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

fn letter(to: &str) -> Value {
    json!({
        "personalizations": [{"to": [{"email": to}], "custom_args": {"order": "17"}}],
        "from": {"email": "shop@example.com", "name": "The Shop"},
        "subject": "Hello",
        "content": [
            {"type": "text/plain", "value": "Hello there"},
            {"type": "text/html", "value": "<p>Hello <a href=\"https://example.com/?a=1&amp;b=2\">there</a></p>"},
        ],
        "categories": ["greetings"],
    })
}

/// Sends, and answers with the mail's id.
async fn send(world: &World, letter: Value) -> String {
    let reply = call(world, "POST", "/v3/mail/send", letter).await;
    assert_eq!((reply.status, reply.body.len()), (202, 0), "{reply:?}");
    let id = reply.header("x-message-id").expect("the mail has an id").to_owned();
    assert_eq!(id.len(), 22);
    id
}

async fn mails(world: &World, address: &str) -> Vec<Value> {
    let reply = world.own("GET", &format!("mailboxes/{address}/mails"), Value::Null).await;
    reply.json()["mails"].as_array().cloned().unwrap_or_default()
}

async fn first_mail(world: &World, address: &str) -> Value {
    eventually(&format!("a mail for {address}"), || async {
        mails(world, address).await.into_iter().next()
    })
    .await
}

/// The events that a webhook got, once there are all of these.
async fn told(sink: &WebhookSink, path: &str, wanted: &[(&str, &str)]) -> Vec<Value> {
    eventually(&format!("events {wanted:?}"), || async {
        let all: Vec<Value> = sink
            .seen(path)
            .iter()
            .flat_map(|seen| serde_json::from_slice::<Vec<Value>>(&seen.body).expect("an array"))
            .collect();
        let has = |(email, event): &(&str, &str)| {
            all.iter().any(|one| one["email"] == *email && one["event"] == *event)
        };
        wanted.iter().all(has).then_some(all)
    })
    .await
}

async fn webhook(world: &World, url: &str) -> Value {
    let mut settings = json!({"url": url, "enabled": true});
    for name in [
        "processed",
        "delivered",
        "deferred",
        "dropped",
        "bounce",
        "open",
        "click",
        "spam_report",
        "unsubscribe",
        "group_unsubscribe",
    ] {
        settings[name] = true.into();
    }
    done(world, 201, "POST", "/v3/user/webhooks/event/settings", settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_whole_and_every_event_is_told() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let url = sink.on("/events", Act::answer(200, "text/plain", ""));
        webhook(&world, &url).await;
        let mut whole = letter("ann@example.com");
        whole["attachments"] =
            json!([{"content": "aGVsbG8=", "filename": "a.txt", "type": "text/plain"}]);
        whole["headers"] = json!({"X-Own": "yes"});
        whole["personalizations"][0]["cc"] = json!([{"email": "bob@example.com", "name": "Bob"}]);
        let id = send(&world, whole).await;
        let mail = first_mail(&world, "ann@example.com").await;
        assert_eq!(mail["from"], "The Shop <shop@example.com>");
        assert_eq!(
            (&mail["subject"], &mail["cc"]),
            (&json!("Hello"), &json!("Bob <bob@example.com>"))
        );
        assert!(mail["text"].as_str().is_some_and(|text| text.contains("Hello there")));
        assert_eq!(mail["files"][0]["content"], "aGVsbG8=");
        assert!(mail["headers"].as_str().is_some_and(|text| text.contains("X-Own: yes")));
        assert!(mail["id"].as_str().is_some_and(|own| own.starts_with(&id)));
        // Each reader has a copy and events of their own.
        first_mail(&world, "bob@example.com").await;
        let events = told(
            &sink,
            "/events",
            &[("ann@example.com", "delivered"), ("bob@example.com", "delivered")],
        )
        .await;
        let one = events.iter().find(|one| one["event"] == "delivered").expect("it was told");
        assert_eq!((&one["order"], &one["category"]), (&json!("17"), &json!(["greetings"])));
        assert!(
            one["sg_message_id"].as_str().is_some_and(|own| own.starts_with(&format!("{id}.")))
        );

        // The reader opens, clicks and reacts.
        let mail_id = mail["id"].as_str().expect("mails have ids");
        for reaction in ["open", "click"] {
            let path = format!("mailboxes/ann@example.com/mails/{mail_id}/{reaction}");
            assert_eq!(world.own("POST", &path, Value::Null).await.status, 200);
        }
        let events =
            told(&sink, "/events", &[("ann@example.com", "open"), ("ann@example.com", "click")])
                .await;
        let click = events.iter().find(|one| one["event"] == "click").expect("it was told");
        assert_eq!(click["url"], "https://example.com/?a=1&b=2");
        // The link itself redirects to where it was meant to lead, and nothing else does.
        let link = mail["links"][0].as_str().expect("there is a link");
        let path = link.strip_prefix(&world.url).expect("it leads here");
        let reply = world.send(Request::new("GET", path)).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, Some("https://example.com/?a=1&b=2"))
        );
        let forged = format!("{}x", &path[..path.len() - 1]);
        assert_eq!(world.send(Request::new("GET", &forged)).await.status, 404);
        let other = path.replace("/click/", "/unsubscribe/");
        assert_eq!(world.send(Request::new("POST", &other)).await.status, 404);

        let found = done(
            &world,
            200,
            "GET",
            "/v3/messages?limit=10&query=to_email%3D%22ann%40example.com%22",
            Value::Null,
        )
        .await;
        assert_eq!(found["messages"][0]["status"], "delivered");
        assert_eq!(
            (&found["messages"][0]["opens_count"], &found["messages"][0]["clicks_count"]),
            (&json!(1), &json!(2))
        );
        let day =
            found["messages"][0]["last_event_time"].as_str().expect("a time")[..10].to_owned();
        let stats =
            done(&world, 200, "GET", &format!("/v3/stats?start_date={day}"), Value::Null).await;
        let metrics = &stats[0]["stats"][0]["metrics"];
        assert_eq!(
            (&metrics["requests"], &metrics["delivered"], &metrics["unique_clicks"]),
            (&json!(2), &json!(2), &json!(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_behave_and_lists_follow() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let url = sink.on("/events", Act::answer(200, "text/plain", ""));
        webhook(&world, &url).await;
        for name in ["bounces", "blocks", "spam", "defers", "clicks"] {
            send(&world, letter(&format!("{name}@mailbox.test"))).await;
        }
        let events = told(
            &sink,
            "/events",
            &[
                ("bounces@mailbox.test", "bounce"),
                ("blocks@mailbox.test", "bounce"),
                ("spam@mailbox.test", "spamreport"),
                ("defers@mailbox.test", "deferred"),
                ("clicks@mailbox.test", "click"),
            ],
        )
        .await;
        let of = |email: &str, event: &str| {
            events
                .iter()
                .find(|one| one["email"] == email && one["event"] == event)
                .cloned()
                .expect("it was told")
        };
        let bounce = of("bounces@mailbox.test", "bounce");
        assert_eq!(
            (&bounce["type"], &bounce["status"], &bounce["bounce_classification"]),
            (&json!("bounce"), &json!("5.1.1"), &json!("Invalid Address"))
        );
        assert_eq!(of("blocks@mailbox.test", "bounce")["type"], "blocked");
        assert_eq!(of("defers@mailbox.test", "deferred")["attempt"], "1");

        let bounces = done(&world, 200, "GET", "/v3/suppression/bounces", Value::Null).await;
        assert_eq!(
            (bounces[0]["email"].as_str(), bounces.as_array().map(Vec::len)),
            (Some("bounces@mailbox.test"), Some(1))
        );
        let one = done(
            &world,
            200,
            "GET",
            "/v3/suppression/spam_reports/spam%40mailbox.test",
            Value::Null,
        )
        .await;
        assert_eq!(one[0]["email"], "spam@mailbox.test");

        // Who bounced is not written to, unless lists are bypassed or it is taken off.
        send(&world, letter("Bounces@mailbox.test")).await;
        let events = told(&sink, "/events", &[("Bounces@mailbox.test", "dropped")]).await;
        let dropped = events.iter().find(|one| one["event"] == "dropped").expect("it was told");
        assert_eq!(dropped["reason"], "Bounced Address");
        done(&world, 204, "DELETE", "/v3/suppression/bounces/bounces%40mailbox.test", Value::Null)
            .await;
        assert_eq!(
            call(&world, "DELETE", "/v3/suppression/bounces/bounces%40mailbox.test", Value::Null)
                .await
                .status,
            404
        );

        // What was put off is tried again, and arrives.
        world.advance(301).await;
        eventually("the second deferral", || async {
            let all = told(&sink, "/events", &[]).await;
            all.iter().any(|one| one["event"] == "deferred" && one["attempt"] == "2").then_some(())
        })
        .await;
        world.advance(601).await;
        told(&sink, "/events", &[("defers@mailbox.test", "delivered")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_nothing_is_sent() {
    for world in worlds().await {
        let send = |body: Value| call(&world, "POST", "/v3/mail/send", body);
        let none = world.send(Request::new("POST", "/v3/mail/send")).await;
        assert_eq!(none.status, 401);
        assert_eq!(
            none.json(),
            json!({"errors": [{"message": "The provided authorization grant is invalid, expired, or revoked", "field": null, "help": null}]})
        );
        let bad = call_as(&world, KEY, "POST", "/v3/mail/send", json!([])).await;
        assert_eq!(
            (bad.status, bad.json()["errors"][0]["message"].clone()),
            (400, json!("Bad Request"))
        );
        let raw =
            Request::new("POST", "/v3/mail/send").header("Authorization", &format!("Bearer {KEY}"));
        assert_eq!(
            world.send(raw.body("application/json", b"{\"a\": \"\xff\"}".to_vec())).await.status,
            415
        );
        for (pointer, value, field) in [
            ("/subject", json!("Hi\r\nBcc: x@example.com"), "subject"),
            ("/from/name", json!("Hi\nX: y"), "from.name"),
            ("/headers", json!({"X-A": "b\r\nBcc: x@example.com"}), "headers.X-A"),
            (
                "/attachments",
                json!([{"content": "not base64!", "filename": "a"}]),
                "attachments.0.content",
            ),
            ("/template_id", json!("d-00000000000000000000000000000000"), "template_id"),
            ("/asm", json!({"group_id": 5}), "asm.group_id"),
            ("/batch_id", json!("nobody's"), "batch_id"),
        ] {
            let mut body = letter("nobody@example.com");
            let (parent, name) = pointer.rsplit_once('/').expect("pointers have a slash");
            body.pointer_mut(parent).expect("it is there")[name] = value;
            let reply = send(body).await;
            let errors = reply.json()["errors"].clone();
            let named =
                errors.as_array().is_some_and(|all| all.iter().any(|one| one["field"] == field));
            assert!(reply.status == 400 && named, "{pointer}: {reply:?}");
        }
        let mut large = letter("nobody@example.com");
        large["attachments"] = json!([{"content": "A".repeat(31 * 1024 * 1024), "filename": "a"}]);
        assert_eq!(send(large).await.status, 413);
        let mut sandbox = letter("nobody@example.com");
        sandbox["mail_settings"] = json!({"sandbox_mode": {"enable": true}});
        assert_eq!(send(sandbox).await.status, 200);
        assert_eq!(call(&world, "GET", "/v3/marketing/contacts", Value::Null).await.status, 404);
        assert_eq!(call(&world, "PUT", "/v3/mail/send", Value::Null).await.status, 405);
        assert_nothing_came(&world).await;
    }
}

async fn assert_nothing_came(world: &World) {
    send(world, letter("last@example.com")).await;
    first_mail(world, "last@example.com").await;
    assert!(mails(world, "nobody@example.com").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_their_scopes_say() {
    for world in worlds().await {
        let made = done(
            &world,
            201,
            "POST",
            "/v3/api_keys",
            json!({"name": "sender", "scopes": ["mail.send"]}),
        )
        .await;
        let key = made["api_key"].as_str().expect("a key").to_owned();
        assert_eq!((key.len(), key.matches('.').count()), (69, 2));
        assert_eq!(
            call_as(&world, &key, "POST", "/v3/mail/send", letter("k@example.com")).await.status,
            202
        );
        let refused = call_as(&world, &key, "GET", "/v3/api_keys", Value::Null).await;
        assert_eq!(
            (refused.status, refused.json()["errors"][0]["message"].clone()),
            (403, json!("access forbidden"))
        );
        // A secret that is not the key's opens nothing, even where keys are adopted.
        let wrong = format!("{}x", &key[..key.len() - 1]);
        let wrong = if wrong == key { format!("{}y", &key[..key.len() - 1]) } else { wrong };
        assert_eq!(call_as(&world, &wrong, "GET", "/v3/scopes", Value::Null).await.status, 401);
        let id = made["api_key_id"].as_str().expect("an id");
        done(&world, 204, "DELETE", &format!("/v3/api_keys/{id}"), Value::Null).await;
        assert_eq!(call_as(&world, &key, "GET", "/v3/scopes", Value::Null).await.status, 401);
        // Twilio's credentials open the same API; another account sees nothing of this one.
        let other = world.subaccount("other").await;
        let keys = world.get_as(&other, "/v3/api_keys").await;
        assert_eq!((keys.status, keys.json()), (200, json!({"result": []})));
        let found = world.get_as(&other, "/v3/messages?limit=10").await.json();
        assert_eq!(found, json!({"messages": []}));
        let template = json!({"name": "ours", "generation": "dynamic"});
        let template = done(&world, 201, "POST", "/v3/templates", template).await;
        let path = format!("/v3/templates/{}", template["id"].as_str().expect("an id"));
        assert_eq!(world.get_as(&other, &path).await.status, 404);
        let delete = Request::new("DELETE", &path).login(&other);
        assert_eq!(world.send(delete).await.status, 404);
        done(&world, 200, "GET", &path, Value::Null).await;
    }
    for world in strict_worlds().await {
        assert_eq!(call(&world, "GET", "/v3/scopes", Value::Null).await.status, 401);
        let login = world.login.clone();
        let body = letter("x@example.com").to_string().into_bytes();
        let reply = world
            .send(
                Request::new("POST", "/v3/mail/send").login(&login).body("application/json", body),
            )
            .await;
        assert_eq!(
            (reply.status, reply.json()["errors"][0]["field"].clone()),
            (403, json!("from")),
            "{reply:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_render_groups_unsubscribe_and_batches_wait() {
    for world in worlds().await {
        let template = done(
            &world,
            201,
            "POST",
            "/v3/templates",
            json!({"name": "receipt", "generation": "dynamic"}),
        )
        .await;
        let id = template["id"].as_str().expect("an id").to_owned();
        let versions = format!("/v3/templates/{id}/versions");
        let bad = call(&world, "POST", &versions, json!({"name": "v", "subject": "{{#if}}"})).await;
        assert_eq!((bad.status, bad.json()["errors"][0]["field"].clone()), (400, json!("subject")));
        let version = json!({"name": "v1", "active": 1, "subject": "Order {{{order}}}", "html_content":
            "<p>{{#each items}}{{name}}: {{price}};{{/each}} {{evil}}</p>"});
        done(&world, 201, "POST", &versions, version).await;
        let group = done(
            &world,
            201,
            "POST",
            "/v3/asm/groups",
            json!({"name": "News", "description": "all of it"}),
        )
        .await;
        let mut body = letter("tina@example.com");
        body["template_id"] = id.as_str().into();
        body["asm"] = json!({"group_id": group["id"]});
        body["personalizations"][0]["dynamic_template_data"] = json!({
            "order": "A&B", "items": [{"name": "cup", "price": 2}], "evil": "<script>"});
        send(&world, body.clone()).await;
        let mail = first_mail(&world, "tina@example.com").await;
        assert_eq!(mail["subject"], "Order A&B");
        let html = mail["html"].as_str().expect("html");
        assert!(html.contains("cup: 2;") && html.contains("&lt;script&gt;"), "{html}");
        assert!(mail["text"].as_str().is_some_and(|text| text.contains("cup: 2;")));

        // One click; a look alone does nothing.
        let headers = mail["headers"].as_str().expect("headers").to_owned();
        assert!(headers.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
        let way_out = mail["unsubscribe"]
            .as_str()
            .expect("a way out")
            .strip_prefix(&world.url)
            .expect("here")
            .to_owned();
        assert_eq!(world.send(Request::new("GET", &way_out)).await.status, 200);
        let members = format!("/v3/asm/groups/{}/suppressions", group["id"]);
        assert_eq!(done(&world, 200, "GET", &members, Value::Null).await, json!([]));
        let click = Request::new("POST", &way_out).form(&[("List-Unsubscribe", "One-Click")]);
        assert_eq!(world.send(click).await.status, 200);
        assert_eq!(
            done(&world, 200, "GET", &members, Value::Null).await,
            json!(["tina@example.com"])
        );

        // A batch that is cancelled is not sent; one that is paused waits.
        let batch =
            done(&world, 201, "POST", "/v3/mail/batch", Value::Null).await["batch_id"].clone();
        let now =
            world.own("GET", "clock", Value::Null).await.json()["now"].as_str().map(str::to_owned);
        let now = kernel::Timestamp::parse(&now.expect("a time")).expect("a time").as_seconds();
        let mut later = letter("later@example.com");
        later["batch_id"] = batch.clone();
        later["send_at"] = (now + 3600).into();
        send(&world, later).await;
        done(
            &world,
            201,
            "POST",
            "/v3/user/scheduled_sends",
            json!({"batch_id": batch, "status": "pause"}),
        )
        .await;
        world.advance(3700).await;
        send(&world, letter("sooner@example.com")).await;
        first_mail(&world, "sooner@example.com").await;
        assert!(mails(&world, "later@example.com").await.is_empty());
        done(
            &world,
            204,
            "DELETE",
            &format!("/v3/user/scheduled_sends/{}", batch.as_str().expect("text")),
            Value::Null,
        )
        .await;
        world.advance(11).await;
        first_mail(&world, "later@example.com").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_comes_in_is_posted() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let url = sink.on("/inbound", Act::answer(200, "text/plain", ""));
        let settings = json!({"hostname": "parse.example.com", "url": url});
        done(&world, 201, "POST", "/v3/user/webhooks/parse/settings", settings.clone()).await;
        assert_eq!(
            call(&world, "POST", "/v3/user/webhooks/parse/settings", settings).await.status,
            400
        );
        let written =
            json!({"to": "desk@parse.example.com", "subject": "Grüße", "text": "Help me"});
        let reply = world.own("POST", "mailboxes/ann@example.com/mails", written).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let seen = sink.first("/inbound").await;
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(
            seen.header("content-type")
                .is_some_and(|kind| kind.starts_with("multipart/form-data; boundary="))
        );
        for part in [
            "name=\"subject\"\r\n\r\nGrüße",
            "name=\"text\"\r\n\r\nHelp me",
            "desk@parse.example.com",
            "name=\"attachments\"\r\n\r\n0",
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        // What is hardly a mail is posted as it came.
        let garbage = json!({"to": "desk@parse.example.com", "raw": "\u{0}\u{1}not a mail at all"});
        assert_eq!(world.own("POST", "mailboxes/ann@example.com/mails", garbage).await.status, 201);
        sink.wait("/inbound", 2).await;
        let nobody = json!({"to": "desk@elsewhere.example.com", "text": "x"});
        assert_eq!(world.own("POST", "mailboxes/ann@example.com/mails", nobody).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_asked_again() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let fails = Act::answer(500, "text/plain", "no");
        let url = sink.in_turn("/events", vec![fails, Act::answer(200, "text/plain", "")]);
        let made = webhook(&world, &url).await;
        let id = made["id"].as_str().expect("an id");
        let path = format!("/v3/user/webhooks/event/settings/signed/{id}");
        let signed = done(&world, 200, "PATCH", &path, json!({"enabled": true})).await;
        send(&world, letter("sig@example.com")).await;
        sink.wait("/events", 1).await;
        // The next attempt is promised a moment after the answer.
        eventually("asked again", || async {
            world.advance(6).await;
            (sink.seen("/events").len() >= 2).then_some(())
        })
        .await;
        let seen = sink.wait("/events", 2).await;
        // Asked again with what was not taken, and perhaps more.
        let first: Vec<Value> = serde_json::from_slice(&seen[0].body).expect("an array");
        let second: Vec<Value> = serde_json::from_slice(&seen[1].body).expect("an array");
        assert_eq!(first[0]["sg_event_id"], second[0]["sg_event_id"]);
        let stamp = seen[1].header("x-twilio-email-event-webhook-timestamp").expect("a time");
        let signature =
            seen[1].header("x-twilio-email-event-webhook-signature").expect("a signature");
        let decode = |text: &str| {
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
                .expect("base64")
        };
        let key = decode(signed["public_key"].as_str().expect("a key"));
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
            &key[26..],
        );
        let message = [stamp.as_bytes(), &seen[1].body].concat();
        assert!(key.verify(&message, &decode(signature)).is_ok());
        assert!(key.verify(&message[1..], &decode(signature)).is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_another_product_is_sent_once() {
    use contracts::{Notice, NoticeChannel, NoticeError, NoticeSender};
    for world in worlds().await {
        let account = world.sid().parse().expect("the main account has a SID");
        let mut notice = Notice {
            account,
            reference: kernel::Sid::from_parts("VE", 17),
            channel: NoticeChannel::Email,
            to: "code@example.com".into(),
            from: None,
            subject: Some("Your code".into()),
            text: "Your code is 123456".into(),
            html: None,
            speech: None,
            template: None,
        };
        for _ in 0..2 {
            assert_eq!(world.platform().email.send(&notice).await, Ok(()));
        }
        assert_eq!(first_mail(&world, "code@example.com").await["subject"], "Your code");
        notice.reference = kernel::Sid::from_parts("VE", 18);
        notice.to = "marker@example.com".into();
        assert_eq!(world.platform().email.send(&notice).await, Ok(()));
        first_mail(&world, "marker@example.com").await;
        assert_eq!(mails(&world, "code@example.com").await.len(), 1);
        notice.to = "no address".into();
        let refused = world.platform().email.send(&notice).await;
        assert_eq!(refused, Err(NoticeError::Refused { code: 21211 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_lists_and_what_is_not_there() {
    for world in worlds().await {
        let emails: Vec<_> = (0..5).map(|at| format!("p{at}@example.com")).collect();
        let added = json!({"recipient_emails": emails});
        done(&world, 201, "POST", "/v3/asm/suppressions/global", added).await;
        let page =
            done(&world, 200, "GET", "/v3/suppression/unsubscribes?limit=2&offset=4", Value::Null)
                .await;
        assert_eq!(page.as_array().map(Vec::len), Some(1));
        let found =
            done(&world, 200, "GET", "/v3/suppression/unsubscribes?email=p3", Value::Null).await;
        assert_eq!(found[0]["email"], "p3@example.com");
        send(&world, letter("p1@example.com")).await;
        eventually("it is dropped", || async {
            let path = "/v3/messages?limit=1&query=status%3D%22not_delivered%22";
            let found = done(&world, 200, "GET", path, Value::Null).await;
            (found["messages"][0]["to_email"] == "p1@example.com").then_some(())
        })
        .await;
        for (method, path, body, status) in [
            ("GET", "/v3/suppression/bounces?limit=0", Value::Null, 400),
            ("GET", "/v3/messages?query=nonsense", Value::Null, 400),
            ("GET", "/v3/stats", Value::Null, 400),
            ("GET", "/v3/stats?start_date=2026-13-01", Value::Null, 400),
            ("POST", "/v3/asm/suppressions/global", json!({"recipient_emails": ["x"]}), 400),
            ("POST", "/v3/asm/groups", json!({"name": "x".repeat(31)}), 400),
            ("POST", "/v3/templates", json!({"name": "x", "generation": "new"}), 400),
            ("POST", "/v3/api_keys", json!({"name": "x", "scopes": ["everything"]}), 400),
            ("POST", "/v3/user/scheduled_sends", json!({"batch_id": "x", "status": "pause"}), 400),
            ("POST", "/v3/user/webhooks/event/settings", json!({"url": "nowhere"}), 400),
            ("POST", "/v3/whitelabel/domains", json!({"domain": "no domain"}), 400),
            ("PATCH", "/v3/tracking_settings/click", json!({"enabled": "yes"}), 400),
            ("GET", "/v3/templates/d-nobody", Value::Null, 404),
            ("GET", "/v3/asm/groups/%00", Value::Null, 404),
            ("GET", "/v3/subusers", Value::Null, 404),
        ] {
            let reply = call(&world, method, path, body).await;
            let message = reply.json()["errors"][0]["message"].clone();
            assert!(reply.status == status && message.is_string(), "{method} {path}: {reply:?}");
        }
    }
}

/// Rows of the main account's mail.
async fn rows(world: &World, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table} WHERE account_sid = $1");
    let row = world.platform().store.point(&sql, vec![world.sid().into()]).await;
    row.expect("the store answers").expect("a count").int(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_forgotten_in_time_and_its_links_still_lead() {
    for world in worlds().await {
        let html = "<p><a href=\"https://example.com/deal\">here</a></p>";
        let mut mail = letter("old@example.com");
        mail["content"] = json!([{"type": "text/html", "value": html}]);
        // Long enough for a file of its own.
        mail["attachments"] = json!([{"content": "aGVs".repeat(12_000), "filename": "a.txt"}]);
        mail["tracking_settings"] = json!({
            "click_tracking": {"enable": true}, "open_tracking": {"enable": true},
            "subscription_tracking": {"enable": true},
        });
        mail["personalizations"] = json!([
            {"to": [{"email": "old@example.com"}]}, {"to": [{"email": "older@example.com"}]},
        ]);
        let id = send(&world, mail).await;
        let lies = first_mail(&world, "old@example.com").await;
        let links: Vec<String> = lies["html"]
            .as_str()
            .expect("it has HTML")
            .split('"')
            .filter_map(|piece| piece.strip_prefix(&world.url).map(str::to_owned))
            .collect();
        let link = |kind: &str| {
            let found =
                links.iter().find(|link| link.starts_with(&format!("/_offhook/mail/{kind}")));
            found.expect("the mail has such a link").clone()
        };
        let blob =
            world.platform().store.point("SELECT blob FROM mail WHERE id = $1", vec![id.into()]);
        let blob = blob.await.expect("the store answers").expect("the mail").text(0).to_owned();
        let blobs = world.blobs();
        assert!(blobs.get(&blob).await.expect("blobs are read").is_some());
        eventually("both arrived", || async {
            let path = "/v3/messages?query=status%3D%22delivered%22";
            let found = done(&world, 200, "GET", path, Value::Null).await;
            (found["messages"].as_array().map(Vec::len) == Some(2)).then_some(())
        })
        .await;

        // Not yet; a mail that waits is kept however long; then all of it is gone.
        world.advance(29 * 86_400).await;
        send(&world, letter("young@example.com")).await;
        first_mail(&world, "young@example.com").await;
        assert_eq!((rows(&world, "mail").await, rows(&world, "mail_recipient").await), (2, 3));
        world.advance(2 * 86_400).await;
        eventually("it is forgotten", || async { (rows(&world, "mail").await == 1).then_some(()) })
            .await;
        assert_eq!(rows(&world, "mail_recipient").await, 1);
        assert_eq!(blobs.get(&blob).await.expect("blobs are read"), None);
        let events = world.platform().store.point(
            "SELECT count(*) FROM mail_event WHERE recipient_id LIKE $1",
            vec![format!("{}%", lies["id"].as_str().expect("an id")).into()],
        );
        assert_eq!(events.await.expect("the store answers").expect("a count").int(0), 0);

        let clicked = world.send(Request::new("GET", &link("click"))).await;
        assert_eq!(clicked.header("location"), Some("https://example.com/deal"), "{clicked:?}");
        assert_eq!(world.send(Request::new("GET", &link("open"))).await.status, 200);
        let out = link("unsubscribe");
        assert_eq!(world.send(Request::new("GET", &out)).await.status, 200);
        let list = "/v3/suppression/unsubscribes";
        assert_eq!(done(&world, 200, "GET", list, Value::Null).await, json!([]));
        let body = b"List-Unsubscribe=One-Click".to_vec();
        let request = Request::new("POST", &out).body("application/x-www-form-urlencoded", body);
        assert_eq!(world.send(request).await.status, 200);
        let list = done(&world, 200, "GET", list, Value::Null).await;
        assert_eq!(list[0]["email"], "old@example.com");
        world.stop().await;
    }
}

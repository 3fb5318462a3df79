//! Goal: on an instance that others can reach, users sign in and their roles decide; on loopback
//! nobody does. Method: the routes as a browser asks for them, with cookie and origin, on both stores.

mod harness;

use harness::{Reply, Request, World, assert_error, eventually, worlds, worlds_with};
use serde_json::{Value, json};

const PHONE: &str = "+14155550123";
const PASSWORD: &str = "correct horse battery";
const ROLES: [&str; 5] = ["owner", "developer", "support", "billing", "auditor"];

/// Platforms that others can reach, with a user of every role, named as the role.
async fn reachable() -> Vec<World> {
    let worlds = worlds_with(&|settings| settings.listen = ([0, 0, 0, 0], 0).into()).await;
    for world in &worlds {
        for role in ROLES {
            let user = json!({"name": role, "role": role, "password": PASSWORD});
            assert_eq!(as_program(world, "POST", "users", user).await.status, 201);
        }
    }
    worlds
}

fn own(method: &str, path: &str, body: &Value) -> Request {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Request::new(method, &format!("/_offhook/v1/{path}")).body("application/json", body)
}

/// With the main account's SID and token.
async fn as_program(world: &World, method: &str, path: &str, body: Value) -> Reply {
    world.send(own(method, path, &body).login(&world.login)).await
}

async fn sign_in(world: &World, user: &str, password: &str) -> Reply {
    let body = json!({"user": user, "password": password});
    world.send(own("POST", "sign-in", &body).header("Origin", &world.url)).await
}

/// The cookie of somebody who has signed in.
async fn cookie(world: &World, user: &str) -> String {
    let reply = sign_in(world, user, PASSWORD).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let cookie = reply.header("set-cookie").expect("a cookie is set").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/_offhook/v1"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    cookie.split(';').next().unwrap_or_default().to_owned()
}

async fn with(world: &World, cookie: &str, method: &str, path: &str, body: Value) -> Reply {
    let request = own(method, path, &body).header("Cookie", cookie).header("Origin", &world.url);
    world.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_what_it_is_for() {
    for world in reachable().await {
        let account = world.sid();
        let messages = format!("wire/api/2010-04-01/Accounts/{account}/Messages.json");
        let usage = format!("wire/api/2010-04-01/Accounts/{account}/Usage/Records.json");
        let handset = format!("handsets/{PHONE}");
        // What is asked for, and what owner, developer, support, billing and auditor are told.
        let table: [(&str, &str, Value, [u16; 5]); 15] = [
            ("GET", "session", Value::Null, [200; 5]),
            ("GET", "env", Value::Null, [200; 5]),
            ("GET", "clock", Value::Null, [200; 5]),
            ("GET", "errors/11200", Value::Null, [200; 5]),
            ("GET", &usage, Value::Null, [200; 5]),
            ("GET", "delivery-rates", Value::Null, [200; 5]),
            ("GET", "events", Value::Null, [200, 200, 200, 403, 200]),
            ("GET", &messages, Value::Null, [200, 200, 200, 403, 200]),
            ("GET", "dead-jobs", Value::Null, [200, 200, 200, 403, 200]),
            ("GET", "networks", Value::Null, [200, 200, 200, 403, 200]),
            ("POST", "dead-jobs/none/replay", Value::Null, [404, 404, 404, 403, 403]),
            ("POST", "events/999999/replay", Value::Null, [404, 404, 404, 403, 403]),
            ("PUT", &handset, json!({"name": "Ada"}), [200, 200, 403, 403, 403]),
            ("POST", &messages, Value::Null, [400, 400, 403, 403, 403]),
            ("GET", "users", Value::Null, [200, 403, 403, 403, 403]),
        ];
        for (at, role) in ROLES.into_iter().enumerate() {
            let cookie = cookie(&world, role).await;
            for (method, path, body, statuses) in &table {
                let reply = with(&world, &cookie, method, path, body.clone()).await;
                assert_eq!(reply.status, statuses[at], "{role}: {method} {path}: {reply:?}");
            }
            let env = with(&world, &cookie, "GET", "env", Value::Null).await.json();
            let sees_token = env["auth_token"].is_string();
            assert_eq!(sees_token, matches!(role, "owner" | "developer"), "{role}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_no_body_and_no_number() {
    for world in reachable().await {
        world.delivered(&[("To", PHONE), ("Body", "the secret word")]).await;
        let auditor = cookie(&world, "auditor").await;
        let support = cookie(&world, "support").await;
        let account = world.sid();
        for path in [
            "events".to_owned(),
            "handsets".to_owned(),
            format!("handsets/{PHONE}/messages"),
            format!("wire/api/2010-04-01/Accounts/{account}/Messages.json"),
            format!("wire/api/2010-04-01/Accounts/{account}.json"),
        ] {
            let seen = with(&world, &auditor, "GET", &path, Value::Null).await;
            assert_eq!(seen.status, 200, "{path}: {seen:?}");
            let text = seen.json().to_string();
            for said in ["secret word", "4155550123", world.login.password.as_str()] {
                assert!(!text.contains(said), "{path}: {text}");
            }
            let seen = with(&world, &support, "GET", &path, Value::Null).await.json().to_string();
            assert!(!seen.contains(&world.login.password), "{path}: {seen}");
        }
        let events = with(&world, &support, "GET", "events", Value::Null).await.json();
        assert!(events.to_string().contains("secret word"));
        // What cannot be looked at is not shown: metrics are text.
        let metrics = Request::new("GET", "/metrics").header("Cookie", &auditor);
        assert_error(&world.send(metrics).await, 20403, 403, "auditor");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_page_acts_with_the_cookie() {
    for world in reachable().await {
        let cookie = cookie(&world, "owner").await;
        let change = || own("PUT", &format!("handsets/{PHONE}"), &json!({"name": "x"}));
        let foreign = change().header("Cookie", &cookie).header("Origin", "http://evil.example");
        assert_error(&world.send(foreign).await, 20403, 403, "own page");
        let nowhere = change().header("Cookie", &cookie);
        assert_error(&world.send(nowhere).await, 20403, 403, "own page");
        let body = json!({"user": "owner", "password": PASSWORD});
        let foreign = own("POST", "sign-in", &body).header("Origin", "http://evil.example");
        assert_error(&world.send(foreign).await, 20403, 403, "own page");
        let nobody = own("GET", "events", &Value::Null);
        let reply = world.send(nobody).await;
        assert_error(&reply, 20003, 401, "Sign in");
        assert_eq!(reply.header("www-authenticate"), None, "browsers would ask by themselves");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_it_should() {
    for world in reachable().await {
        let ended = |reply: Reply| assert_error(&reply, 20003, 401, "session is over");
        let out = cookie(&world, "auditor").await;
        assert_eq!(with(&world, &out, "DELETE", "session", Value::Null).await.status, 204);
        ended(with(&world, &out, "GET", "session", Value::Null).await);

        let demoted = cookie(&world, "developer").await;
        let role = json!({"role": "billing"});
        assert_eq!(as_program(&world, "PUT", "users/developer", role).await.status, 200);
        ended(with(&world, &demoted, "GET", "session", Value::Null).await);

        let gone = cookie(&world, "support").await;
        assert_eq!(as_program(&world, "DELETE", "users/support", Value::Null).await.status, 204);
        ended(with(&world, &gone, "GET", "session", Value::Null).await);

        let old = cookie(&world, "owner").await;
        let advance = json!({"advance_seconds": 13 * 3600});
        assert_eq!(as_program(&world, "POST", "clock", advance).await.status, 200);
        ended(with(&world, &old, "GET", "session", Value::Null).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_waits() {
    for world in reachable().await {
        for _ in 0..10 {
            let reply = sign_in(&world, "owner", "wrong password").await;
            assert_error(&reply, 20003, 401, "name and password");
        }
        let reply = sign_in(&world, "owner", PASSWORD).await;
        assert_error(&reply, 20429, 429, "try again in");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        let reply = sign_in(&world, "nobody", "wrong password").await;
        assert_error(&reply, 20003, 401, "name and password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_nobody_signs_in() {
    for world in worlds().await {
        let session = world.own("GET", "session", Value::Null).await.json();
        assert_eq!((&session["role"], &session["signed_in"]), (&json!("owner"), &json!(false)));
        assert_error(&sign_in(&world, "owner", PASSWORD).await, 20404, 404, "loopback");
        let bad = json!({"name": "a b", "role": "owner", "password": PASSWORD});
        assert_error(&world.own("POST", "users", bad).await, 20001, 400, "name");
        let bad = json!({"name": "ada", "role": "king", "password": PASSWORD});
        assert_error(&world.own("POST", "users", bad).await, 20001, 400, "king");
        let bad = json!({"name": "ada", "role": "owner", "password": "short"});
        assert_error(&world.own("POST", "users", bad).await, 20001, 400, "password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_from_a_phone_has_an_address() {
    for world in worlds().await {
        let picture = json!({
            "to": world.number, "body": "look",
            "media": [{"content_type": "image/png", "data": "iVBORw0KGgo="}],
        });
        let path = format!("handsets/{PHONE}/messages");
        assert_eq!(world.own("POST", &path, picture).await.status, 201);
        let url = eventually("the picture's address", || async {
            let thread = world.own("GET", &path, Value::Null).await.json();
            let media = thread["messages"][0]["media"][0].as_str()?.to_owned();
            media.starts_with("http").then_some(media)
        })
        .await;
        let place = url.strip_prefix(&world.url).expect("it is here").to_owned();
        let reply = world.send(Request::new("GET", &place)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/png")));
    }
}

//! Goal: who may act on what is decided as the wire says: subaccounts, keys, tokens,
//! OAuth, test credentials, adoption (rest-conventions §8.4, §11–13). Method: each
//! credential is made through the API and then tried on what it may and may not do.

mod harness;

use base64::Engine;
use harness::{
    Login, Reply, Request, World, account_path, assert_error, eventually, strict_worlds, worlds,
};
use serde_json::{Value, json};

const TO: &str = "+14155550111";
const ACCOUNTS: &str = "/2010-04-01/Accounts.json";

fn account(sid: &str) -> String {
    format!("/2010-04-01/Accounts/{sid}.json")
}

async fn status_of(world: &World, login: &Login, status: &str) -> Reply {
    world.post(&account(&login.user), &[("Status", status)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_reaches_its_subaccounts_and_siblings_do_not() {
    for world in worlds().await {
        let reply = world.post(ACCOUNTS, &[("FriendlyName", "One")]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let body = reply.json();
        assert_eq!((&body["status"], &body["type"]), (&"active".into(), &"Full".into()));
        assert_eq!(body["owner_account_sid"], world.sid());
        assert_eq!(body["uri"], account(&reply.text_of("sid")));
        assert!(body["subresource_uris"]["messages"].is_string(), "{body}");
        let token = reply.text_of("auth_token");
        assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        let one = Login::new(reply.text_of("sid"), token);
        let two = world.subaccount("Two").await;
        let unnamed = world.post(ACCOUNTS, &[]).await.text_of("friendly_name");
        assert!(unnamed.starts_with("SubAccount Created at "), "{unnamed}");

        for path in [account(&one.user), account_path(&one.user, "Messages.json")] {
            assert_eq!(world.get(&path).await.status, 200, "the parent at {path}");
            assert_eq!(world.get_as(&one, &path).await.status, 200, "itself at {path}");
            let sibling = world.get_as(&two, &path).await;
            assert!([401, 404].contains(&sibling.status), "{path}: {sibling:?}");
        }
        let up = world.get_as(&one, &world.path("Messages.json")).await;
        assert_error(&up, 20003, 401, "Authenticate");
        assert_error(&world.get_as(&one, &account(world.sid())).await, 20404, 404, "not found");

        // The parent sends with the child's number, in the child's name.
        let (_, number) = world.buy(&one, "415").await;
        let path = account_path(&one.user, "Messages.json");
        let form = [("To", TO), ("From", &*number), ("Body", "from above")];
        let sent = world.post(&path, &form).await;
        assert_eq!((sent.status, sent.text_of("account_sid")), (201, one.user.clone()));
        let nested = world.post_as(&one, ACCOUNTS, &[]).await;
        assert_error(&nested, 21101, 400, "subaccount");

        let list = world.get(&format!("{ACCOUNTS}?FriendlyName=One")).await.json();
        assert_eq!(list["accounts"].as_array().unwrap().len(), 1, "{list}");
        let own = world.get_as(&one, ACCOUNTS).await.json();
        assert_eq!(own["accounts"].as_array().unwrap().len(), 1, "{own}");
        let all = world.get(&format!("{ACCOUNTS}?PageSize=2")).await.json();
        assert_eq!(all["accounts"].as_array().unwrap().len(), 2, "{all}");
        let next = world.get(all["next_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(next["accounts"].as_array().unwrap().len(), 2, "{next}");
        let back = world.get(next["previous_page_uri"].as_str().unwrap()).await.json();
        assert_eq!(back["accounts"], all["accounts"]);

        let renamed = world.post_as(&one, &account(&one.user), &[("FriendlyName", "Uno")]).await;
        assert_eq!(renamed.text_of("friendly_name"), "Uno");
        let long = "x".repeat(65);
        let reply = world.post(&account(&one.user), &[("FriendlyName", &long)]).await;
        assert_error(&reply, 20002, 400, "FriendlyName");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_waits_and_closed_is_for_good() {
    for world in worlds().await {
        let child = world.subaccount("Child").await;
        let (_, number) = world.buy(&child, "415").await;
        let messages = account_path(&child.user, "Messages.json");
        let form = [("To", TO), ("From", &*number), ("Body", "x")];

        assert_eq!(status_of(&world, &child, "suspended").await.text_of("status"), "suspended");
        assert_error(&world.get_as(&child, &messages).await, 20005, 403, "suspended");
        assert_error(&world.post(&messages, &form).await, 20005, 403, "suspended");
        assert_eq!(world.get(&messages).await.status, 200, "the parent still reads");
        let typed = world.type_on(TO, &number, "anybody?").await;
        assert_eq!(typed.status, 404, "{typed:?}");

        assert_eq!(status_of(&world, &child, "active").await.text_of("status"), "active");
        assert_eq!(world.post_as(&child, &messages, &form).await.status, 201);
        assert_eq!(world.type_on(TO, &number, "hello").await.status, 201);

        assert_error(&status_of(&world, &child, "paused").await, 21475, 400, "Status");
        for login in [&world.login, &child] {
            let own = world.post_as(login, &account(&login.user), &[("Status", "suspended")]).await;
            assert_error(&own, 21477, 400, "main account");
        }
        assert_eq!(status_of(&world, &child, "closed").await.text_of("status"), "closed");
        assert_error(&status_of(&world, &child, "active").await, 21479, 400, "closed");
        assert_error(&world.get_as(&child, &messages).await, 20005, 403, "closed");
        assert_eq!(world.type_on(TO, &number, "hello").await.status, 404);
        // Its number is free again.
        let form = [("PhoneNumber", &*number)];
        let bought = world.post(&world.path("IncomingPhoneNumbers.json"), &form).await;
        assert_eq!(bought.status, 201, "{bought:?}");
        world.stop().await;
    }
}

/// Makes an IAM key; its login.
async fn iam_key(world: &World, form: &[(&str, &str)]) -> Login {
    let form = [&[("AccountSid", world.sid())], form].concat();
    let reply = world.post("/_/iam/v1/Keys", &form).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    Login::new(reply.text_of("sid"), reply.text_of("secret"))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_their_kind_may() {
    for world in worlds().await {
        let keys = world.path("Keys.json");
        let reply = world.post(&keys, &[("FriendlyName", "ci")]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let secret = reply.text_of("secret");
        assert!(secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        let standard = Login::new(reply.text_of("sid"), secret);
        assert!(standard.user.starts_with("SK"));
        let one = world.path(&format!("Keys/{}.json", standard.user));
        let shown = world.get(&one).await.json();
        assert_eq!((&shown["friendly_name"], &shown["secret"]), (&"ci".into(), &Value::Null));

        let bad = world.get(&format!("{keys}?Page=1&PageToken=PAzz")).await;
        assert_error(&bad, 21481, 400, "PageToken");

        let messages = world.path("Messages.json");
        assert_eq!(world.get_as(&standard, &messages).await.status, 200);
        let form = [("To", TO), ("From", &*world.number), ("Body", "x")];
        assert_eq!(world.post_as(&standard, &messages, &form).await.status, 201);
        for path in [ACCOUNTS, &account(world.sid()), &keys, &one, &world.path("SigningKeys.json")]
        {
            assert_error(&world.get_as(&standard, path).await, 20003, 401, "");
        }
        let wrong = Login::new(standard.user.clone(), "x".repeat(32));
        assert_error(&world.get_as(&wrong, &messages).await, 20003, 401, "API key");

        let policy = json!({"allow": ["/twilio/messaging/messages/list"]}).to_string();
        let form = [("KeyType", "restricted"), ("Policy", &*policy)];
        let restricted = iam_key(&world, &form).await;
        assert_eq!(world.get_as(&restricted, &messages).await.status, 200);
        let form = [("To", TO), ("From", &*world.number), ("Body", "x")];
        let lacking = world.post_as(&restricted, &messages, &form).await;
        assert_error(&lacking, 70051, 401, "/twilio/messaging/messages/create");
        assert_error(&world.get_as(&restricted, &world.path("Balance.json")).await, 70051, 401, "");
        let none = [("AccountSid", world.sid()), ("KeyType", "restricted")];
        assert_error(&world.post("/_/iam/v1/Keys", &none).await, 20001, 400, "Policy");
        let empty = [none.as_slice(), &[("Policy", "{\"allow\":[]}")]].concat();
        assert_error(&world.post("/_/iam/v1/Keys", &empty).await, 20001, 400, "Policy");

        // A policy that changes counts at once; so does a key that is deleted.
        let wider = json!({"allow": ["/twilio/messaging/messages/create"]}).to_string();
        let path = format!("/_/iam/v1/Keys/{}", restricted.user);
        assert_eq!(world.post(&path, &[("Policy", &wider)]).await.status, 200);
        assert_error(&world.get_as(&restricted, &messages).await, 70051, 401, "list");
        assert_eq!(world.post_as(&restricted, &messages, &form).await.status, 201);
        let list = world.get(&format!("/_/iam/v1/Keys?AccountSid={}", world.sid())).await.json();
        assert_eq!(list["keys"].as_array().unwrap().len(), 2, "{list}");
        assert_eq!(list["meta"]["key"], "keys");
        assert_eq!(world.delete(&path).await.status, 204);
        assert_eq!(world.delete(&one).await.status, 204);
        assert_error(&world.get(&one).await, 20404, 404, &one);
        world.stop().await;
    }
    // In the strict profile a deleted key is unknown; in development it would be adopted.
    for world in strict_worlds().await {
        let key = iam_key(&world, &[]).await;
        assert_eq!(world.get_as(&key, &world.path("Messages.json")).await.status, 200);
        assert_eq!(world.delete(&format!("/_/iam/v1/Keys/{}", key.user)).await.status, 204);
        let gone = world.get_as(&key, &world.path("Messages.json")).await;
        assert_error(&gone, 20003, 401, "invalid username");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_rotate_without_a_gap() {
    for world in worlds().await {
        let secondary = "/_/accounts/v1/AuthTokens/Secondary";
        let promote = "/_/accounts/v1/AuthTokens/Promote";
        let messages = world.path("Messages.json");
        assert_error(&world.post(promote, &[]).await, 20404, 404, "");
        assert_error(&world.delete(secondary).await, 20404, 404, "");
        let made = world.post(secondary, &[]).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_error(&world.post(secondary, &[]).await, 20409, 409, "secondary");
        let new = Login::new(world.sid(), made.text_of("secondary_auth_token"));
        for login in [&world.login, &new] {
            assert_eq!(world.get_as(login, &messages).await.status, 200);
        }
        let promoted = world.post_as(&new, promote, &[]).await;
        assert_eq!((promoted.status, promoted.text_of("auth_token")), (200, new.password.clone()));
        assert_error(&world.get(&messages).await, 20003, 401, "auth token");
        assert_eq!(world.get_as(&new, &messages).await.status, 200);
        let another = world.post_as(&new, secondary, &[]).await.text_of("secondary_auth_token");
        let gone = Request::new("DELETE", secondary).login(&new);
        assert_eq!(world.send(gone).await.status, 204);
        let another = Login::new(world.sid(), another);
        assert_eq!(world.get_as(&another, &messages).await.status, 401);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_apps_get_tokens_that_sdks_can_read() {
    for world in worlds().await {
        let body = json!({
            "type": "standard", "friendly_name": "robot", "access_token_ttl": 120,
            "policy": {"allow": ["/twilio/messaging/messages/list"]},
        });
        let request = Request::new("POST", "/_/iam/v1/Account/OAuthApps")
            .login(&world.login)
            .body("application/json", body.to_string().into_bytes());
        let app = world.send(request).await;
        assert_eq!(app.status, 201, "{app:?}");
        let (sid, secret) = (app.text_of("sid"), app.text_of("secret"));
        assert!(sid.starts_with("OQ") && secret.len() == 32, "{app:?}");

        let token = |id: &str, secret: &str| {
            Request::new("POST", "/_/oauth/v2/token").form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret),
            ])
        };
        let reply = world.send(token(&sid, &secret)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let body = reply.json();
        assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &120.into()));
        assert!(body["refresh_token"].is_null() && body["id_token"].is_null(), "{body}");
        let jwt = reply.text_of("access_token");
        let parts: Vec<&str> = jwt.split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(life, 120);
        let v1 = Request::new("POST", "/_/oauth/v1/token").form(&[
            ("GrantType", "client_credentials"),
            ("ClientId", &sid),
            ("ClientSecret", &secret),
        ]);
        assert_eq!(world.send(v1).await.status, 201);

        let bearer = |path: &str, token: &str| {
            Request::new("GET", path).header("Authorization", &format!("Bearer {token}"))
        };
        let messages = world.path("Messages.json");
        assert_eq!(world.send(bearer(&messages, &jwt)).await.status, 200);
        let balance = world.send(bearer(&world.path("Balance.json"), &jwt)).await;
        assert_error(&balance, 70051, 401, "balance");
        assert_error(&world.send(bearer(ACCOUNTS, &jwt)).await, 20003, 401, "");
        let forged = format!("{}.{}.AAAA", parts[0], parts[1]);
        assert_eq!(world.send(bearer(&messages, &forged)).await.status, 401);
        assert_error(&world.send(bearer(&messages, "nonsense")).await, 20101, 401, "Access Token");

        for (id, secret) in
            [(&*sid, "wrong"), ("OQ00000000000000000000000000000000", &*secret), ("x", "y")]
        {
            assert_error(&world.send(token(id, secret)).await, 20003, 401, "client");
        }
        let grant = Request::new("POST", "/_/oauth/v2/token")
            .form(&[("grant_type", "password"), ("client_id", &sid)]);
        assert_error(&world.send(grant).await, 20001, 400, "grant_type");
        let missing = Request::new("POST", "/_/oauth/v2/token").form(&[("client_id", &sid)]);
        assert_error(&world.send(missing).await, 20001, 400, "grant_type");

        assert_eq!(world.delete(&format!("/_/iam/v1/Account/OAuthApps/{sid}")).await.status, 204);
        assert_eq!(world.send(bearer(&messages, &jwt)).await.status, 401);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn test_credentials_know_only_magic() {
    for world in worlds().await {
        let test = &world.test_login;
        let messages = account_path(&test.user, "Messages.json");
        let fine = "+15005550006";
        for (from, to, code) in [
            ("+15005550001", TO, 21212),
            ("+15005550007", TO, 21606),
            ("+15005550008", TO, 21611),
            ("+14155550199", TO, 21606),
            (&*world.number, TO, 21606),
            (fine, "+15005550001", 21211),
            (fine, "+15005550002", 21612),
            (fine, "+15005550003", 21408),
            (fine, "+15005550004", 21610),
            (fine, "+15005550009", 21614),
            (fine, "nobody", 21211),
        ] {
            let form = [("From", from), ("To", to), ("Body", "x")];
            assert_error(&world.post_as(test, &messages, &form).await, code, 400, "");
        }
        let none = [("From", fine), ("To", TO)];
        assert_error(&world.post_as(test, &messages, &none).await, 21619, 400, "Body");
        let form = [("From", fine), ("To", TO), ("Body", "x")];
        let sent = world.post_as(test, &messages, &form).await;
        assert_eq!((sent.status, sent.text_of("status")), (201, "queued".into()));
        assert_eq!(sent.text_of("account_sid"), test.user);
        let path = account_path(&test.user, &format!("Messages/{}.json", sent.text_of("sid")));
        assert_error(&world.get_as(test, &path).await, 20008, 403, "Test");

        let numbers = account_path(&test.user, "IncomingPhoneNumbers.json");
        for (name, value, code) in [
            ("PhoneNumber", "+15005550000", 21422),
            ("PhoneNumber", "+15005550001", 21421),
            ("PhoneNumber", "+14155550100", 21421),
            ("AreaCode", "533", 21452),
            ("AreaCode", "415", 21452),
        ] {
            let reply = world.post_as(test, &numbers, &[(name, value)]).await;
            assert_error(&reply, code, 400, value);
        }
        for form in [[("PhoneNumber", fine)], [("AreaCode", "500")]] {
            let bought = world.post_as(test, &numbers, &form).await;
            assert_eq!((bought.status, bought.text_of("phone_number")), (201, fine.into()));
            assert_eq!(bought.text_of("friendly_name"), "(500) 555-0006");
        }
        for path in ["Messages.json", "Applications.json", "Balance.json", "Keys.json"] {
            let path = account_path(&test.user, path);
            assert_error(&world.get_as(test, &path).await, 20008, 403, "Test");
        }
        assert_error(&world.get_as(test, ACCOUNTS).await, 20008, 403, "Test");
        let own = world.get_as(test, &world.path("Messages.json")).await;
        assert_error(&own, 20003, 401, "");
        assert!(world.received(TO).await.is_empty());
        let list = world.get(&world.path("Messages.json")).await.json();
        assert_eq!(list["messages"], json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn development_adopts_what_it_does_not_know() {
    for world in worlds().await {
        let sid = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let login = Login::new(sid, "my-own-token");
        let path = account_path(sid, "Messages.json");
        let form = [("To", TO), ("From", "+14155550177"), ("Body", "x")];
        let reply = world.post_as(&login, &path, &form).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let adopted: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "offhook-adopted")
            .map(|(_, value)| value.as_str())
            .collect();
        assert!(
            adopted.len() == 2 && adopted[0] == sid && adopted[1].starts_with("PN"),
            "{adopted:?}"
        );
        let again = world.get_as(&login, &path).await;
        assert_eq!((again.status, again.header("offhook-adopted")), (200, None));
        // From now on only its own token opens it, and its number is its own.
        let wrong = Login::new(sid, "another-token");
        assert_error(&world.get_as(&wrong, &path).await, 20003, 401, "auth token");
        let stolen = world.message(&[("To", TO), ("From", "+14155550177"), ("Body", "x")]).await;
        assert_error(&stolen, 21660, 400, "+14155550177");
        eventually("a typed answer arrives", || async {
            (world.type_on(TO, "+14155550177", "hi").await.status == 201).then_some(())
        })
        .await;

        let key = Login::new("SKbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "secret");
        let reply = world.get_as(&key, &world.path("Messages.json")).await;
        assert_eq!((reply.status, reply.header("offhook-adopted")), (200, Some(world.sid())));
        let wrong = Login::new(key.user.clone(), "other");
        assert_eq!(world.get_as(&wrong, &world.path("Messages.json")).await.status, 401);

        let child = "ACcccccccccccccccccccccccccccccccc";
        assert_eq!(world.get(&account_path(child, "Messages.json")).await.status, 200);
        let shown = world.get(&account(child)).await.json();
        assert_eq!(shown["owner_account_sid"], world.sid());
        let foreign = Login::new("SKeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "secret");
        let reply = world.get_as(&foreign, &account_path(child, "Messages.json")).await;
        assert_error(&reply, 20003, 401, "invalid username");
        let empty = Login::new("ACdddddddddddddddddddddddddddddddd", "");
        let path = account_path(&empty.user, "Messages.json");
        assert_error(&world.get_as(&empty, &path).await, 20003, 401, "token");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_adopts_nothing() {
    for world in strict_worlds().await {
        for user in
            ["ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SKbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "me"]
        {
            let login = Login::new(user, "token");
            for path in [account_path(user, "Messages.json"), world.path("Messages.json")] {
                let reply = world.get_as(&login, &path).await;
                assert!([401, 404].contains(&reply.status), "{user} {path}: {reply:?}");
            }
            let reply = world.get_as(&login, &world.path("Messages.json")).await;
            assert_error(&reply, 20003, 401, "invalid username");
        }
        let child = account_path("ACcccccccccccccccccccccccccccccccc", "Messages.json");
        assert_error(&world.get(&child).await, 20003, 401, "");
        let form = [("To", TO), ("From", "+14155550177"), ("Body", "x")];
        let reply = world.message(&form).await;
        assert_error(&reply, 21659, 400, "+14155550177");
        assert_eq!(reply.header("offhook-adopted"), None);
        let clock = world.own("POST", "clock", json!({"advance_seconds": 1})).await;
        assert_error(&clock, 20403, 403, "");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_account_is_made_once_however_many_ask() {
    for database in store::testing::databases().await {
        let clock = clock::Clock::movable();
        let sealer = store::Sealer::from_file(&database.directory().join("key")).unwrap();
        let accounts = accounts::Accounts::new(database.store.clone(), clock, sealer, true);
        let asked = (0..8).map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.main_account().await.expect("there is one").sid })
        });
        let mut sids = Vec::new();
        for task in asked.collect::<Vec<_>>() {
            sids.push(task.await.unwrap());
        }
        sids.dedup();
        assert_eq!(sids.len(), 1, "{sids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_adopt_at_once_is_adopted_once() {
    for world in worlds().await {
        let world = std::sync::Arc::new(world);
        let at_once = |logins: Vec<Login>, path: String| {
            let world = world.clone();
            async move {
                let asked = logins.into_iter().map(|login| {
                    let (world, path) = (world.clone(), path.clone());
                    tokio::spawn(async move { world.get_as(&login, &path).await.status })
                });
                let mut statuses = Vec::new();
                for task in asked.collect::<Vec<_>>() {
                    statuses.push(task.await.unwrap());
                }
                statuses
            }
        };
        let key = Login::new("SKabababababababababababababababab", "secret");
        let statuses = at_once(vec![key; 8], world.path("Messages.json")).await;
        assert_eq!(statuses, [200; 8]);
        let key = Login::new("SKefefefefefefefefefefefefefefefef", "secret");
        let path = account_path("ACefefefefefefefefefefefefefefefef", "Messages.json");
        assert_eq!(at_once(vec![key; 8], path).await, [200; 8]);
        let sid = "ACabababababababababababababababab";
        let same = vec![Login::new(sid, "token"); 8];
        assert_eq!(at_once(same, account_path(sid, "Messages.json")).await, [200; 8]);
        // Of several secrets one wins, and the others open nothing.
        for sid in ["ACcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "SKcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"] {
            let path = match sid.starts_with("AC") {
                true => account_path(sid, "Messages.json"),
                false => world.path("Messages.json"),
            };
            let logins = (0..8).map(|at| Login::new(sid, format!("token {at}"))).collect();
            let mut statuses = at_once(logins, path).await;
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401], "{sid}");
        }
        std::sync::Arc::into_inner(world).expect("nobody else asks").stop().await;
    }
}

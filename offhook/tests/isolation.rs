//! Goal: no operation of any table gives one account what is another's, and none
//! works without credentials. Method: generated from the mounted tables: every
//! operation is tried on the resources of account A with the credentials of its
//! subaccount B, by A's path and by B's; nothing may succeed with A's data, and
//! nothing may break. A table that is added is tested without a line here.

mod harness;

use std::collections::HashMap;

use harness::{Act, Login, Reply, Request, WebhookSink, World, account_path, worlds};
use rest::{Access, Dialect, OpDecl, Table, Verb};
use serde_json::json;

const TO: &str = "+14155550111";

/// SIDs of what A has, by prefix; and what its answers must not show to B.
struct Owned {
    sids: HashMap<&'static str, String>,
}

async fn furnish(world: &World, sink: &WebhookSink) -> Owned {
    let mut sids = HashMap::new();
    let picture = sink.on("/picture", Act::answer(200, "image/png", "png"));
    let form =
        [("To", TO), ("Body", "classified"), ("MediaUrl", &*picture), ("ProvideFeedback", "true")];
    let message = world.sent(&form).await;
    world.reached(&message, "delivered").await;
    let media = world.get(&world.path(&format!("Messages/{message}/Media.json"))).await.json();
    sids.insert("ME", media["media_list"][0]["sid"].as_str().unwrap().to_owned());
    sids.insert("MM", message.clone());
    sids.insert("SM", message);
    let made = |reply: Reply| {
        assert!([200, 201].contains(&reply.status), "{reply:?}");
        reply.text_of("sid")
    };
    sids.insert("AP", made(world.post(&world.path("Applications.json"), &[]).await));
    sids.insert("SK", made(world.post(&world.path("Keys.json"), &[]).await));
    let code = world.own("POST", "short-codes", json!({"short_code": "54321"})).await;
    sids.insert("SC", made(code));
    sids.insert("PN", world.number_sid(&world.number).await);
    let app = Request::new("POST", "/_/iam/v1/Account/OAuthApps")
        .login(&world.login)
        .body("application/json", b"{\"friendly_name\":\"classified\"}".to_vec());
    sids.insert("OQ", made(world.send(app).await));
    let template = br#"{"language":"en","types":{"twilio/text":{"body":"classified"}}}"#;
    let template = Request::new("POST", "/_/content/v1/Content")
        .login(&world.login)
        .body("application/json", template.to_vec());
    sids.insert("HX", made(world.send(template).await));
    for (prefix, path, form) in [
        ("SD", "SIP/Domains.json", vec![("DomainName", "classified.sip.twilio.com")]),
        ("CL", "SIP/CredentialLists.json", vec![("FriendlyName", "classified")]),
        ("AL", "SIP/IpAccessControlLists.json", vec![("FriendlyName", "classified")]),
        ("CA", "Calls.json", vec![("From", &*world.number), ("To", TO), ("Twiml", "<Response/>")]),
    ] {
        sids.insert(prefix, made(world.post(&world.path(path), &form).await));
    }
    for (prefix, path, form) in [
        ("TK", "trunking/v1/Trunks", ("FriendlyName", "classified")),
        ("NY", "voice/v1/ConnectionPolicies", ("FriendlyName", "classified")),
        ("BY", "voice/v1/ByocTrunks", ("FriendlyName", "classified")),
        ("IL", "voice/v1/IpRecords", ("IpAddress", "192.0.2.1")),
    ] {
        sids.insert(prefix, made(world.post(&format!("/_/{path}"), &[form]).await));
    }
    sids.insert("AC", world.sid().to_owned());
    let form = [("PhoneNumber", TO), ("StatusCallback", &*sink.at("/validated"))];
    world.post(&world.path("OutgoingCallerIds.json"), &form).await;
    sink.first("/validated").await;
    Owned { sids }
}

/// The path of an operation with its parameters filled in.
fn path_of(table: &Table, op: &OpDecl, account: &str, owned: &Owned) -> Option<String> {
    let is_list = matches!(op.verb, Verb::Create | Verb::List) && !op.at_instance;
    let template = if is_list { table.list } else { table.instance }?;
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        let value = match name {
            None => segment,
            Some("AccountSid") => account,
            Some("CountryCode") => "US",
            Some("MessageSid") => &owned.sids["SM"],
            Some("ContentSid") => &owned.sids["HX"],
            Some(_) => owned.sids.get(table.sid_prefix).map_or("unknown", String::as_str),
        };
        path.push('/');
        path.push_str(value);
    }
    Some(match table.dialect {
        Dialect::V2010 => format!("/_/{}{path}.json", table.product),
        Dialect::Product => format!("/_/{}{path}", table.product),
    })
}

fn method_of(verb: Verb) -> &'static str {
    match verb {
        Verb::Create | Verb::Update => "POST",
        Verb::List | Verb::Fetch => "GET",
        Verb::Delete => "DELETE",
    }
}

/// Values that pass the operation's parameters, so that the request goes deep.
fn form_of(op: &OpDecl, account: &str) -> Vec<(&'static str, String)> {
    let value = |name: &str| match name {
        "AccountSid" => Some(account.to_owned()),
        "FriendlyName" | "friendly_name" => Some("taken over".to_owned()),
        "To" => Some(TO.to_owned()),
        "PhoneNumber" => Some("+14155550188".to_owned()),
        "From" => Some("+14155550199".to_owned()),
        "Outcome" => Some("confirmed".to_owned()),
        "name" => Some("taken_over".to_owned()),
        "category" => Some("UTILITY".to_owned()),
        "types" => Some(r#"{"twilio/text":{"body":"taken over"}}"#.to_owned()),
        "Body" if op.verb == Verb::Create => Some("x".to_owned()),
        "Body" => Some(String::new()),
        _ => None,
    };
    op.params.iter().filter_map(|param| Some((param.name, value(param.name)?))).collect()
}

fn request(op: &OpDecl, path: &str, account: &str) -> Request {
    let form = form_of(op, account);
    let request = Request::new(method_of(op.verb), path);
    let pairs: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, &**value)).collect();
    match op.verb {
        Verb::Create | Verb::Update if op.json => {
            let object: serde_json::Map<String, serde_json::Value> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            let body = serde_json::Value::Object(object).to_string().into_bytes();
            request.body("application/json", body)
        }
        Verb::Create | Verb::Update => request.form(&pairs),
        Verb::List if !pairs.is_empty() && op.params.iter().any(|p| p.required.is_some()) => {
            Request::new("GET", &format!("{path}?AccountSid={account}"))
        }
        _ => request,
    }
}

fn tables(world: &World) -> Vec<(&'static Table, Vec<OpDecl>)> {
    world.platform().router.tables().map(|(table, ops)| (table, ops.to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_one_account_is_open_to_another() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let owned = furnish(&world, &sink).await;
        let sibling = world.subaccount("Sibling").await;
        let child = world.subaccount("Child").await;
        let stranger = Login::new("ACffffffffffffffffffffffffffffffff", "stranger");
        world.get_as(&stranger, &account_path(&stranger.user, "Messages.json")).await;
        let mut tried = 0;
        for (table, ops) in tables(&world) {
            for op in &ops {
                if table.access == Access::Public {
                    continue;
                }
                for (intruder, by) in [
                    (&child, world.sid()),
                    (&child, &child.user),
                    (&child, &sibling.user),
                    (&stranger, world.sid()),
                    (&stranger, &stranger.user),
                ] {
                    let Some(path) = path_of(table, op, by, &owned) else { continue };
                    let asked = request(op, &path, by).login(intruder);
                    let reply = world.send(asked).await;
                    let what = format!("{:?} {path} by {}: {reply:?}", op.verb, intruder.user);
                    assert!(reply.status < 500, "{what}");
                    tried += 1;
                    if reply.status >= 400 {
                        assert!(reply.code().is_some(), "{what}");
                        continue;
                    }
                    // It worked: then on the intruder's own account, and on nothing of A's.
                    let text = reply.text();
                    for sid in owned.sids.values().chain([&world.login.user, &sibling.user]) {
                        // A subaccount names its owner, who made it.
                        let owner = format!("\"owner_account_sid\":\"{sid}\"");
                        let maker = format!("\"actor_sid\":\"{sid}\"");
                        let rest = text.replace(&owner, "").replace(&maker, "");
                        assert!(!rest.contains(sid.as_str()), "{sid} in {what}");
                    }
                    assert!(!text.contains("classified"), "{what}");
                    let has_sid = table.instance.is_some_and(|path| path.contains("id}"));
                    let on_instance = !matches!(op.verb, Verb::Create | Verb::List);
                    assert!(!(has_sid && on_instance && path.contains("unknown")), "{what}");
                }
            }
        }
        assert!(tried > 200, "{tried}");
        // A still has everything, as it was.
        for (kind, prefix) in [
            ("Messages", "MM"),
            ("Applications", "AP"),
            ("Keys", "SK"),
            ("SMS/ShortCodes", "SC"),
            ("IncomingPhoneNumbers", "PN"),
        ] {
            let path = world.path(&format!("{kind}/{}.json", owned.sids[prefix]));
            let reply = world.get(&path).await;
            assert_eq!(reply.status, 200, "{path} {reply:?}");
            assert!(!reply.text().contains("taken over"), "{reply:?}");
        }
        let message = world.fetch_message(&owned.sids["MM"]).await;
        assert_eq!((&message["body"], &message["num_media"]), (&"classified".into(), &"1".into()));
        let media = world.path(&format!("Messages/{}/Media.json", owned.sids["MM"]));
        assert_eq!(world.get(&media).await.json()["media_list"][0]["sid"], *owned.sids["ME"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_works_without_credentials() {
    for world in worlds().await {
        let sink = WebhookSink::start().await;
        let owned = furnish(&world, &sink).await;
        let wrong = Login::new(world.sid(), "not the token");
        for (table, ops) in tables(&world) {
            for op in &ops {
                if table.access == Access::Public {
                    continue;
                }
                let Some(path) = path_of(table, op, world.sid(), &owned) else { continue };
                for asked in [
                    request(op, &path, world.sid()),
                    request(op, &path, world.sid()).login(&wrong),
                    request(op, &path, world.sid()).header("Authorization", "Basic !"),
                    request(op, &path, world.sid()).header("Authorization", "Bearer a.b.c"),
                ] {
                    let reply = world.send(asked).await;
                    assert_eq!(reply.status, 401, "{:?} {path}: {reply:?}", op.verb);
                    assert!([20003, 20101].contains(&reply.code().unwrap()), "{reply:?}");
                }
            }
        }
        world.stop().await;
    }
}

//! Goal: an application sees the request Twilio would send.
//! Method: a local server records it; the signature crate checks the signature.

mod server;

use std::time::Duration;

use clock::Clock;
use outbound::{Client, Fetch, Method, Payload, Policy, RawRequest};
use server::{Server, answer, client, ok, params, patient, redirect};

const TOKEN: &str = "1c892n40nd03kdnc0112slzkl3091j20";

fn signed(url: String, method: Method, payload: Payload) -> Fetch {
    Fetch { method, payload, auth_token: Some(TOKEN.to_owned()), ..Fetch::new(url) }
}

#[tokio::test]
async fn a_form_post_is_shaped_and_signed() {
    let server = Server::start(vec![ok()]).await;
    let url = server.url("/a/../sms?x=it's");
    let fetch = signed(format!("{url}#rc=2&rp=5xx"), Method::Post, Payload::Form(params()));
    let answer = client().fetch(fetch).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"<Response/>".as_slice()));
    assert_eq!(answer.content_type.as_deref(), Some("text/xml"));
    assert_eq!(answer.final_url, url);

    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/a/../sms?x=it's"));
    assert_eq!(
        String::from_utf8_lossy(&seen.body),
        "To=%2B14155550100&Body=Hello%2C+*world*+%26+100%25+%F0%9F%98%80&Empty="
    );
    let length = seen.body.len().to_string();
    for (name, value) in [
        ("Host", format!("127.0.0.1:{}", server.port).as_str()),
        ("User-Agent", "TwilioProxy/1.1"),
        ("Accept", "*/*"),
        ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("Content-Length", length.as_str()),
        ("X-Home-Region", "us1"),
        ("Connection", "close"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(seen.header("accept-encoding").is_none());
    let token = seen.header("I-Twilio-Idempotency-Token").unwrap();
    assert_eq!((token.len(), &token[14..15]), (36, "4"));
    let signature = seen.header("X-Twilio-Signature").unwrap();
    assert!(signature::validate(TOKEN, &url, &seen.form(), signature));
    // The record is what was sent: same headers, same order.
    let record = &answer.attempts[0];
    assert_eq!(record.request_headers, seen.headers);
    assert_eq!(record.request_body, seen.body);
    assert_eq!((record.status, record.error.clone()), (Some(200), None));
    assert_eq!(record.response_body, b"<Response/>");
}

#[tokio::test]
async fn a_get_carries_and_signs_its_parameters_in_the_url() {
    let server = Server::start(vec![ok()]).await;
    let fetch = signed(server.url("/sms?x=1#ct=500"), Method::Get, Payload::Form(params()));
    client().fetch(fetch).await.unwrap();
    let seen = &server.seen()[0];
    assert!(seen.target.starts_with("/sms?x=1&To=%2B14155550100&Body="), "{}", seen.target);
    assert!(seen.body.is_empty() && seen.header("content-type").is_none());
    let none: [(&str, &str); 0] = [];
    let signature = seen.header("x-twilio-signature").unwrap();
    assert!(signature::validate(TOKEN, &server.url(&seen.target), &none, signature));
}

#[tokio::test]
async fn json_is_signed_by_its_hash() {
    let server = Server::start(vec![ok()]).await;
    let body = br#"[{"specversion":"1.0"}]"#.to_vec();
    let fetch = signed(server.url("/json"), Method::Post, Payload::Json(body.clone()));
    client().fetch(fetch).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!((seen.header("content-type"), &seen.body), (Some("application/json"), &body));
    let signature = seen.header("x-twilio-signature").unwrap();
    assert!(signature::validate_body(TOKEN, &server.url(&seen.target), &body, signature));
}

#[tokio::test]
async fn without_a_token_nothing_is_signed() {
    let server = Server::start(vec![ok()]).await;
    client().fetch(Fetch::new(server.url("/"))).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.header("content-length"), seen.header("x-twilio-signature")),
        (Some("0"), None)
    );
}

#[tokio::test]
async fn credentials_wait_for_a_challenge_and_stay_out_of_the_record() {
    let challenge = answer("401 No", &["WWW-Authenticate: Basic realm=\"x\""], "");
    let server = Server::start(vec![challenge, ok()]).await;
    let url = server.url("/sms").replace("http://", "http://user:p%20w@");
    let fetch = signed(url.clone(), Method::Post, Payload::Form(params()));
    let answer = client().fetch(fetch).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[1].header("authorization"), Some("Basic dXNlcjpwIHc="));
    assert_eq!(seen[0].body, seen[1].body);
    let signature = seen[1].header("x-twilio-signature").unwrap();
    assert!(signature::validate(TOKEN, &url, &seen[1].form(), signature));
    assert_eq!(answer.final_url, url);
    let record = format!("{:?}", answer.attempts);
    assert!(!record.contains("p%20w") && !record.contains("dXNlcjpwIHc="));
}

#[tokio::test]
async fn a_challenge_is_met_once_and_only_with_credentials() {
    let challenge = answer("401 No", &["WWW-Authenticate: Basic realm=\"x\""], "");
    let server = Server::start(vec![challenge]).await;
    let failure = client().fetch(Fetch::new(server.url("/"))).await.unwrap_err();
    assert_eq!((failure.code, failure.attempts.len()), (11200, 1));
    let url = server.url("/").replace("http://", "http://u:p@");
    let failure = client().fetch(Fetch::new(url)).await.unwrap_err();
    assert_eq!((failure.code, failure.attempts.len()), (11200, 2));
    assert_eq!(failure.answer.unwrap().status, 401);
}

#[tokio::test]
async fn redirects_turn_a_post_into_a_get_or_keep_it() {
    for (status, kept) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let server = Server::start(vec![redirect(status, "../other?q=1"), ok()]).await;
        let fetch = signed(server.url("/a/b"), Method::Post, Payload::Form(params()));
        let answer = client().fetch(fetch).await.unwrap();
        let seen = &server.seen()[1];
        assert_eq!((&*seen.target, &answer.final_url), ("/other?q=1", &server.url("/other?q=1")));
        assert_eq!(seen.method, if kept { "POST" } else { "GET" }, "{status}");
        assert_eq!(seen.form(), if kept { params() } else { Vec::new() }, "{status}");
        let signature = seen.header("x-twilio-signature").unwrap();
        assert!(signature::validate(TOKEN, &answer.final_url, &seen.form(), signature));
        assert_eq!(answer.attempts.len(), 2);
        assert_eq!(answer.attempts[0].status, Some(status));
    }
}

#[tokio::test]
async fn json_is_hashed_again_after_a_redirect() {
    let server = Server::start(vec![redirect(307, "/new"), ok()]).await;
    let fetch = signed(server.url("/old"), Method::Post, Payload::Json(b"[]".to_vec()));
    client().fetch(fetch).await.unwrap();
    let seen = &server.seen()[1];
    let signature = seen.header("x-twilio-signature").unwrap();
    assert!(signature::validate_body(TOKEN, &server.url(&seen.target), b"[]", signature));
}

#[tokio::test]
async fn cookies_come_back_within_their_scope_and_life() {
    let set = answer("200 OK", &["Set-Cookie: s=1; Path=/", "Set-Cookie: t=2; Path=/else"], "");
    let server = Server::start(vec![set, ok()]).await;
    let clock = Clock::movable();
    let client = Client::with_roots(Policy::Open, clock.clone(), None).unwrap();
    let ask = async |scope: Option<&str>| {
        let fetch =
            Fetch { cookie_scope: scope.map(str::to_owned), ..Fetch::new(server.url("/sms")) };
        client.fetch(fetch).await.unwrap();
        server.seen().last().unwrap().header("cookie").map(str::to_owned)
    };
    assert_eq!(ask(Some("CA1")).await, None);
    assert_eq!(ask(Some("CA1")).await.as_deref(), Some("s=1"));
    assert_eq!(ask(Some("CA2")).await, None);
    assert_eq!(ask(None).await, None);
    clock.advance(Duration::from_secs(5 * 3600)).unwrap();
    assert_eq!(ask(Some("CA1")).await, None);
}

#[tokio::test]
async fn cookies_set_by_a_redirect_are_sent_to_where_it_leads() {
    let hop = answer("302 Found", &["Location: /b", "Set-Cookie: s=1"], "");
    let server = Server::start(vec![hop, ok()]).await;
    let fetch = Fetch { cookie_scope: Some("x".to_owned()), ..Fetch::new(server.url("/a")) };
    client().fetch(fetch).await.unwrap();
    assert_eq!(server.seen()[1].header("cookie"), Some("s=1"));
}

#[tokio::test]
async fn raw_sends_what_it_is_given_and_judges_nothing() {
    let server = Server::start(vec![answer("503 Busy", &[], "later")]).await;
    let request = RawRequest {
        headers: vec![("X-Api".to_owned(), "1".to_owned())],
        body: b"{}".to_vec(),
        ..RawRequest::new(Method::Put, server.url("/v1").replace("http://", "http://u:p@"))
    };
    let answer = client().raw(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (503, b"later".as_slice()));
    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, seen.header("x-api")), ("PUT", Some("1")));
    assert_eq!(seen.header("authorization"), Some("Basic dTpw"));
    assert!(seen.header("user-agent").is_none() && seen.header("x-home-region").is_none());
}

#[tokio::test]
async fn a_server_that_is_asked_often_keeps_its_connections() {
    let (url, all) = patient(usize::MAX).await;
    let client = client();
    for _ in 0..50 {
        let fetch = signed(url.clone(), Method::Post, Payload::Form(params()));
        client.fetch(fetch).await.unwrap();
    }
    let (seen, connections) = all.lock().unwrap().clone();
    assert_eq!(seen.len(), 50);
    assert_eq!(seen[0].header("connection"), Some("close"), "as Twilio does");
    assert!(connections < 15, "{connections} connections for 50 requests");
    // A request without a token has a connection of its own.
    client.raw(outbound::RawRequest::new(Method::Post, url)).await.unwrap();
    let (seen, after) = all.lock().unwrap().clone();
    assert_eq!((after, seen[50].header("connection")), (connections + 1, Some("close")));
}

#[tokio::test]
async fn what_a_lost_connection_swallowed_is_sent_again() {
    let (url, all) = patient(3).await;
    let client = client();
    for _ in 0..40 {
        let fetch = signed(url.clone(), Method::Post, Payload::Form(params()));
        client.fetch(fetch).await.unwrap();
    }
    let (seen, connections) = all.lock().unwrap().clone();
    assert!(connections > 15, "{connections} connections, each for three requests at most");
    assert_eq!(seen.len(), 40, "each was answered once");
}

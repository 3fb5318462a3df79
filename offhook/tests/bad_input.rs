//! Goal: whatever comes over the socket, the answer is an error that says what is
//! wrong, and the next request is served. Method: raw bytes, whole and broken.

mod harness;

use std::time::{Duration, Instant};

use harness::{Request, World, assert_error, raw, worlds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FORM: &str = "application/x-www-form-urlencoded";

fn host(world: &World) -> &str {
    world.url.strip_prefix("http://").unwrap()
}

async fn is_alive(world: &World) {
    assert_eq!(world.get(&world.path("Messages.json")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_forms_are_named() {
    for world in worlds().await {
        let path = world.path("Messages.json");
        let post =
            |body: &[u8]| Request::new("POST", &path).login(&world.login).body(FORM, body.to_vec());
        for (body, code, mentions) in [
            (&b"To=%FF&Body=x"[..], 20001, "To is not valid UTF-8"),
            (b"To=\xff", 20001, "To is not valid UTF-8"),
            (b"%FF=x", 20001, "name is not valid UTF-8"),
            (b"&&&", 21604, "To"),
            (b"=", 21604, "To"),
            (b"To", 21604, "To"),
            (b"to=%2B14155550111&body=x", 21604, "To"),
            (b"To=%2B14155550111&From=%ZZ&Body=x", 21212, "%ZZ"),
            (b"To=%2B14155550111&From=%2B14155550100%00&Body=x", 21212, "From"),
            (b"To=%2B14155550111&From=%2B14155550100&Body=a%00b", 20001, "Body has a NUL"),
            (b"To=+447700900123&From=%2B14155550100&Body=x", 21211, "%2B"),
        ] {
            assert_error(&world.send(post(body)).await, code, 400, mentions);
        }
        let many = "a=b&".repeat(5000);
        assert_error(&world.send(post(many.as_bytes())).await, 20413, 413, "4096");
        let query = format!("{path}?To=%FF");
        assert_error(&world.get(&query).await, 20001, 400, "UTF-8");

        let json = Request::new("POST", &path)
            .login(&world.login)
            .body("application/json", b"{\"To\":\"+14155550111\"}".to_vec());
        assert_error(&world.send(json).await, 21604, 400, "application/x-www-form-urlencoded");
        let no_json = Request::new("POST", "/_/iam/v1/Account/OAuthApps")
            .login(&world.login)
            .body("application/json", b"{\"type\":".to_vec());
        assert_error(&world.send(no_json).await, 20001, 400, "JSON");

        for odd in ["a\u{1}\u{7f}b\u{202e}", "\u{1f600}'\"\\; --", "a\r\nb"] {
            let reply = world.message(&[("To", "+14155550111"), ("Body", odd)]).await;
            assert_eq!((reply.status, reply.text_of("body")), (201, odd.to_owned()));
            let applications = world.path("Applications.json");
            let named = world.post(&applications, &[("FriendlyName", odd)]).await;
            assert_eq!((named.status, named.text_of("friendly_name")), (201, odd.to_owned()));
            let list = format!("{applications}?FriendlyName={}", harness::encode(odd));
            let found = world.get(&list).await.json();
            assert_eq!(found["applications"][0]["sid"], named.text_of("sid"));
        }
        is_alive(&world).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_have_their_bounds() {
    for world in worlds().await {
        let path = world.path("Messages.json");
        let head = |length: usize| {
            Request::new("POST", &path)
                .login(&world.login)
                .header("Content-Type", FORM)
                .header("Content-Length", &length.to_string())
                .bytes(host(&world))
        };
        // The answer comes although the body is not all read.
        let mut bytes = head(9 * 1024 * 1024);
        bytes.extend(std::iter::repeat_n(b'a', 9 * 1024 * 1024));
        let mut stream = TcpStream::connect(host(&world)).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let mut answer = vec![0; 4096];
        let read = async {
            let count = reading.read(&mut answer).await.unwrap_or(0);
            answer.truncate(count);
        };
        let _ = tokio::join!(read, async {
            let _ = writing.write_all(&bytes).await;
        });
        let reply = harness::Reply::parse(&answer).expect("an answer");
        assert_error(&reply, 20413, 413, "8388608");

        // A client that breaks off inside its body gets nothing done.
        let mut stream = TcpStream::connect(host(&world)).await.unwrap();
        let mut bytes = head(1000);
        bytes.extend_from_slice(b"To=%2B14155550111&Body=half");
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        if let Some(reply) = harness::Reply::parse(&read) {
            assert_error(&reply, 20001, 400, "broke off");
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100 * 1024));
        let (reply, _) = raw(host(&world), long.as_bytes()).await;
        assert!(reply.is_none_or(|reply| (400..500).contains(&reply.status)));
        let list = world.get(&path).await.json();
        assert_eq!(list["messages"], serde_json::json!([]));
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_answered_or_closed_and_slow_heads_time_out() {
    for world in worlds().await {
        for noise in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            b"\r\n\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(host(&world)).await.unwrap();
            let _ = stream.write_all(noise).await;
            let _ = stream.shutdown().await;
            let mut read = Vec::new();
            let _ = stream.read_to_end(&mut read).await;
            if let Some(reply) = harness::Reply::parse(&read) {
                assert!((400..500).contains(&reply.status), "{noise:?}: {reply:?}");
            }
        }
        is_alive(&world).await;
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_given_up() {
    let world = worlds().await.remove(0);
    let mut stream = TcpStream::connect(host(&world)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ").await.unwrap();
    let begun = Instant::now();
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(25), stream.read_to_end(&mut read)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    is_alive(&world).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_paths_and_methods_that_do_not_exist_are_named() {
    for world in worlds().await {
        for (path, name) in [("/_/fax/v1/Faxes", "fax"), ("/_/nothing", "nothing")] {
            let reply = world.get(path).await;
            assert_error(&reply, 20404, 404, &format!("{name}.twilio.com"));
        }
        let unknown = Request::new("GET", "/v1/Faxes").header("Host", "fax.twilio.com");
        assert_error(&world.send(unknown).await, 20404, 404, "fax.twilio.com/v1/Faxes");
        for path in ["/_/api/2010-04-01/Nothing.json", "/_/iam/v9/Keys", "/nowhere"] {
            assert_error(&world.get(path).await, 20404, 404, "");
        }
        let accounts = world.path("Messages.json");
        for (method, path) in [
            ("DELETE", accounts.clone()),
            ("PUT", accounts.clone()),
            ("BREW", accounts.clone()),
            ("DELETE", world.path("Balance.json")),
        ] {
            let reply = world.send(Request::new(method, &path).login(&world.login)).await;
            assert_error(&reply, 20004, 405, method);
        }
        let head = world.send(Request::new("HEAD", &accounts).login(&world.login)).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        let options = world.send(Request::new("OPTIONS", &accounts)).await;
        assert_eq!(options.status, 200);
        assert_eq!(options.header("access-control-allow-origin"), Some("*"));
        assert!(options.header("access-control-allow-headers").unwrap().contains("Authorization"));
        let slash = world.get(&format!("/2010-04-01/Accounts/{}/Messages/", world.sid())).await;
        assert_eq!(slash.status, 200, "{slash:?}");
        // Pages of other sites and rebound names may not use our own API.
        for (name, value) in [("Host", "evil.example"), ("Origin", "http://evil.example")] {
            let own = Request::new("GET", "/_offhook/v1/env").header(name, value);
            assert_error(&world.send(own).await, 20403, 403, "evil.example");
        }
        world.stop().await;
    }
}

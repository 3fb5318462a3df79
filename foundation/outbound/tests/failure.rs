//! Goal: each way a fetch can fail has its code, its retries and its record.
//! Method: a local server that stalls, resets, babbles and overflows.

mod server;

use std::time::Duration;

use clock::Clock;
use outbound::{Client, Fetch, FetchFailure, Method, Policy, Purpose};
use server::{Act, Server, answer, client, ok, redirect};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

async fn failure(url: impl Into<String>) -> FetchFailure {
    client().fetch(Fetch::new(url)).await.unwrap_err()
}

/// A port of this machine that nothing listens on.
async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn urls_and_overrides_that_mean_nothing() {
    for (url, code) in [
        ("nonsense", 11100),
        ("ftp://example.com/", 11100),
        ("http://127.0.0.1/#e=mars", 11240),
        ("http://127.0.0.1/#rp=6xx", 11243),
    ] {
        let failure = failure(url).await;
        assert_eq!((failure.code, failure.attempts.len()), (code, 0), "{url}");
        assert!(kernel::lookup(failure.code).is_some());
    }
}

#[tokio::test]
async fn a_refused_connection_is_tried_once_more_at_once() {
    let url = format!("http://127.0.0.1:{}/", closed_port().await);
    let found = failure(&url).await;
    assert_eq!((found.code, found.attempts.len()), (11202, 2));
    assert!(found.attempts.iter().all(|attempt| attempt.error.is_some()));
    let tokens: Vec<_> =
        found.attempts.iter().map(|attempt| attempt.request_headers.clone()).collect();
    assert_eq!(tokens[0], tokens[1], "the idempotency token stays");
    assert_eq!(failure(format!("{url}#rc=0")).await.attempts.len(), 1);
    assert_eq!(failure(format!("{url}#rc=3")).await.attempts.len(), 4);
    assert_eq!(failure(format!("{url}#rc=3&rp=5xx")).await.attempts.len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_not_taken_in_time_is_11201() {
    // A listener whose queue is full leaves further connections without an answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    let failure = failure(format!("http://{address}/#ct=100")).await;
    assert_eq!((failure.code, failure.attempts.len()), (11201, 2));
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    assert_eq!(failure("http://no-such-host.invalid/#rc=0").await.code, 11210);
}

#[tokio::test]
async fn a_silent_server_is_11200_by_rt_and_11203_by_tt() {
    let server = Server::start(vec![Act::SendAndStall(Vec::new())]).await;
    let read = failure(server.url("/#rt=100")).await;
    assert_eq!((read.code, read.attempts.len()), (11200, 1));
    assert!(read.answer.is_none());
    let total = failure(server.url("/#tt=100")).await;
    assert_eq!((total.code, total.attempts.len()), (11203, 1));
}

#[tokio::test]
async fn retries_after_silence_share_the_total_time() {
    let stall = Act::SendAndStall(Vec::new());
    let server = Server::start(vec![stall.clone(), ok()]).await;
    let answer = client().fetch(Fetch::new(server.url("/#rt=100&rp=rt"))).await.unwrap();
    assert_eq!(answer.attempts.len(), 2);
    assert!(answer.attempts[0].duration_ms >= 100);
    let server = Server::start(vec![stall]).await;
    let failure = failure(server.url("/#rt=100&tt=250&rc=5&rp=rt")).await;
    assert_eq!((failure.code, failure.attempts.len()), (11203, 3));
}

#[tokio::test]
async fn a_body_that_stops_is_a_silent_server() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    let server = Server::start(vec![Act::SendAndStall(head)]).await;
    let failure = failure(server.url("/#rt=100")).await;
    assert_eq!(failure.code, 11200);
    let record = &failure.attempts[0];
    assert_eq!((record.status, record.response_body.as_slice()), (Some(200), b"half".as_slice()));
}

#[tokio::test]
async fn error_answers_are_kept_and_tried_again_only_by_policy() {
    let error = answer("500 Oops", &["X-Why: bug"], "trace");
    let server = Server::start(vec![error.clone(), ok()]).await;
    let failed = failure(server.url("/")).await;
    assert_eq!((failed.code, failed.attempts.len()), (11200, 1));
    let kept = failed.answer.unwrap();
    assert_eq!((kept.status, kept.header("x-why")), (500, Some("bug")));
    assert_eq!(kept.body, b"trace");
    for (fragment, status, tries) in [
        ("#rp=5xx", "500 Oops", 2),
        ("#rp=all", "404 Gone", 2),
        ("#rp=4xx", "404 Gone", 2),
        ("#rp=4xx", "500 Oops", 0),
        ("#rp=ct,rt", "404 Gone", 0),
    ] {
        let server = Server::start(vec![answer(status, &[], ""), ok()]).await;
        let result = client().fetch(Fetch::new(server.url(fragment))).await;
        assert_eq!(result.map_or(0, |answer| answer.attempts.len()), tries, "{fragment} {status}");
    }
}

#[tokio::test]
async fn broken_http_is_11206() {
    for act in [
        Act::Send(b"220 mail.example ESMTP\r\n".to_vec()),
        Act::Send(Vec::new()),
        Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()),
        Act::Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        Act::Send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000)).into_bytes()),
        Act::Reset,
    ] {
        let server = Server::start(vec![act]).await;
        let failure = failure(server.url("/")).await;
        assert_eq!((failure.code, failure.attempts.len()), (11206, 1), "{failure}");
    }
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let mut acts = vec![redirect(302, "/again"); 10];
    acts.push(ok());
    let server = Server::start(acts).await;
    assert_eq!(client().fetch(Fetch::new(server.url("/"))).await.unwrap().attempts.len(), 11);
    let server = Server::start(vec![redirect(307, "/again")]).await;
    let failure = failure(server.url("/")).await;
    assert_eq!((failure.code, failure.attempts.len()), (11215, 11));
}

#[tokio::test]
async fn redirects_to_nowhere() {
    for (location, code) in [("ftp://example.com/", 11100), ("http://[", 11100)] {
        let server = Server::start(vec![redirect(302, location)]).await;
        assert_eq!(failure(server.url("/")).await.code, code, "{location}");
    }
    let server = Server::start(vec![answer("302 Found", &[], "")]).await;
    assert_eq!(failure(server.url("/")).await.code, 11200);
}

#[tokio::test]
async fn the_body_limit_is_exact() {
    for (purpose, code) in [(Purpose::Document, 11750), (Purpose::Media, 11751)] {
        for size in [100, 101] {
            let chunked = format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n",
                "x".repeat(size)
            );
            let server = Server::start(vec![Act::Send(chunked.into_bytes())]).await;
            let fetch = Fetch { body_bytes_max: 100, purpose, ..Fetch::new(server.url("/")) };
            match client().fetch(fetch).await {
                Ok(answer) => assert_eq!((size, answer.body.len()), (100, 100)),
                Err(failure) => {
                    assert_eq!((size, failure.code), (101, code));
                    assert_eq!(failure.answer.unwrap().body.len(), 100);
                }
            }
        }
    }
}

#[tokio::test]
async fn nobody_minds_a_callback_that_says_too_much() {
    let server = Server::start(vec![answer("200 OK", &[], &"x".repeat(500))]).await;
    let purpose = Purpose::Callback;
    let fetch = Fetch { body_bytes_max: 100, purpose, ..Fetch::new(server.url("/")) };
    assert_eq!(client().fetch(fetch).await.unwrap().body.len(), 100);
}

#[tokio::test]
async fn the_guard_decides_literals_names_and_redirects() {
    let guarded = |allow: Vec<&str>, hosts: Vec<&str>| {
        let policy = Policy::Guarded {
            allow: allow.into_iter().map(|net| net.parse().unwrap()).collect(),
            hosts: hosts.into_iter().map(str::to_owned).collect(),
        };
        Client::with_roots(policy, Clock::fixed(), None).unwrap()
    };
    let server = Server::start(vec![ok()]).await;
    let refused = guarded(vec![], vec![]);
    for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"]
    {
        let url = format!("http://{host}:{}/", server.port);
        let failure = refused.fetch(Fetch::new(&url)).await.unwrap_err();
        assert_eq!((failure.code, failure.attempts.len()), (11205, 1), "{url}");
    }
    assert!(server.seen().is_empty());
    let by_name = guarded(vec![], vec!["localhost"]);
    by_name.fetch(Fetch::new(format!("http://localhost:{}/", server.port))).await.unwrap();
    assert_eq!(by_name.fetch(Fetch::new(server.url("/"))).await.unwrap_err().code, 11205);

    // Allowed itself, the server points at what is not.
    let by_net = guarded(vec!["127.0.0.1/32"], vec![]);
    for forbidden in ["http://127.0.0.2/", "http://169.254.169.254/latest", "http://[::1]/"] {
        let server = Server::start(vec![redirect(302, forbidden)]).await;
        let failure = by_net.fetch(Fetch::new(server.url("/"))).await.unwrap_err();
        assert_eq!((failure.code, failure.attempts.len()), (11205, 2), "{forbidden}");
    }
    assert_eq!(failure("http://169.254.169.254/latest/meta-data").await.code, 11205);
}

#[tokio::test]
async fn media_is_asked_for_its_size_first() {
    let head = Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec());
    let server =
        Server::start(vec![head, answer("200 OK", &["Content-Type: image/gif"], "GIF8")]).await;
    let media = client().get_media(&server.url("/a.gif"), 10).await.unwrap();
    assert_eq!((media.content_type.as_deref(), media.attempts.len()), (Some("image/gif"), 2));
    assert_eq!(media.attempts[0].method, Method::Head);

    let big = Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n".to_vec());
    let server = Server::start(vec![big]).await;
    let failure = client().get_media(&server.url("/a.gif"), 10).await.unwrap_err();
    assert_eq!((failure.code, failure.attempts.len()), (11751, 1));

    // HEAD is not known there, and the size is a surprise.
    let acts = vec![answer("405 No", &[], ""), answer("200 OK", &[], "12345678901")];
    let server = Server::start(acts).await;
    let failure = client().get_media(&server.url("/a.gif"), 10).await.unwrap_err();
    assert_eq!((failure.code, failure.attempts.len()), (11751, 2));
}

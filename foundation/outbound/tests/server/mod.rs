//! A server made of one TCP listener and one list of things to do, a connection each.
//!
//! It is deliberately not an HTTP library: it has to break the protocol on request.

#![allow(dead_code)] // Each test file uses its own part.

use std::sync::{Arc, Mutex};

use clock::Clock;
use outbound::{Client, Policy};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the server does with one connection after it read the request.
#[derive(Clone)]
pub enum Act {
    Send(Vec<u8>),
    /// Sends, then neither sends nor closes.
    SendAndStall(Vec<u8>),
    /// Closes with RST.
    Reset,
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves `acts` in order; the last one again and again.
    pub async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut stalled = Vec::new();
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                record.lock().unwrap().extend(request);
                match &acts[turn.min(acts.len() - 1)] {
                    Act::Send(bytes) => {
                        let _ = stream.write_all(bytes).await;
                        let _ = stream.shutdown().await;
                    }
                    Act::SendAndStall(bytes) => {
                        stream.write_all(bytes).await.unwrap();
                        stalled.push(stream);
                    }
                    Act::Reset => stream.set_zero_linger().unwrap(),
                }
            }
        });
        Self { port, seen, task }
    }

    pub fn url(&self, tail: &str) -> String {
        format!("http://127.0.0.1:{}{tail}", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub async fn read_request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen {
        method: first.next().unwrap(),
        target: first.next().unwrap(),
        headers,
        body: bytes[end + 4..].to_vec(),
    };
    let length: usize = seen.header("content-length").map_or(0, |text| text.parse().unwrap());
    while seen.body.len() < length {
        stream.read_buf(&mut seen.body).await.ok()?;
    }
    Some(seen)
}

/// A whole response.
pub fn answer(status: &str, headers: &[&str], body: &str) -> Act {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    Act::Send(format!("{text}Connection: close\r\n\r\n{body}").into_bytes())
}

pub fn ok() -> Act {
    answer("200 OK", &["Content-Type: text/xml"], "<Response/>")
}

pub fn redirect(status: u16, location: &str) -> Act {
    answer(&format!("{status} Moved"), &[&format!("Location: {location}")], "ignored")
}

pub fn client() -> Client {
    Client::with_roots(Policy::Open, Clock::fixed(), None).unwrap()
}

pub fn params() -> Vec<(String, String)> {
    [("To", "+14155550100"), ("Body", "Hello, *world* & 100% \u{1f600}"), ("Empty", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Answers every request with 200, on connections that stay open unless they are told to close, and
/// that end after `of_each` requests without a word; what it saw, and how many connections it had.
pub async fn patient(of_each: usize) -> (String, Arc<Mutex<(Vec<Seen>, usize)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let all = Arc::<Mutex<(Vec<Seen>, usize)>>::default();
    let record = Arc::clone(&all);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            record.lock().unwrap().1 += 1;
            let record = Arc::clone(&record);
            tokio::spawn(async move {
                for _ in 0..of_each {
                    let Some(request) = read_request(&mut stream).await else { return };
                    let closes = request.header("connection") == Some("close");
                    record.lock().unwrap().0.push(request);
                    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
                    if stream.write_all(text.as_bytes()).await.is_err() || closes {
                        return;
                    }
                }
                // It read one more and says nothing: the connection is lost on the way.
                let _ = read_request(&mut stream).await;
            });
        }
    });
    (url, all)
}

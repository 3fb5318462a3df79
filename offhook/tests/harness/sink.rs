//! An application: a local server that records what it is asked and answers what
//! the test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Login, eventually};

/// What the application does when a path is asked.
#[derive(Clone, Debug)]
pub enum Act {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Does not answer until the test releases it; then does what its path says by then,
    /// and breaks off if that is still to stall.
    Stall,
    /// Closes the connection without a word.
    Drop,
}

impl Act {
    pub fn answer(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self::Answer { status, headers, body: body.into() }
    }

    /// A TwiML document with this inside `<Response>`.
    pub fn twiml(inside: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Response>{inside}</Response>");
        Self::answer(200, "text/xml", body)
    }

    pub fn redirect(to: &str) -> Self {
        let headers = vec![("Location".to_owned(), to.to_owned())];
        Self::Answer { status: 302, headers, body: Vec::new() }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Parameters of the form, or of the query of a GET.
    pub fn params(&self) -> Vec<(String, String)> {
        let text = if self.method == "GET" { self.query.as_bytes() } else { &self.body };
        form_urlencoded::parse(text).into_owned().collect()
    }

    pub fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    #[track_caller]
    pub fn value(&self, name: &str) -> String {
        self.param(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.params()))
    }

    /// Signed by the account, as Twilio signs: URL with query, then sorted parameters.
    #[track_caller]
    pub fn assert_signed(&self, sink: &WebhookSink, login: &Login) {
        let mut url = format!("{}{}", sink.url, self.path);
        if !self.query.is_empty() {
            url = format!("{url}?{}", self.query);
        }
        let signed = if self.method == "GET" { Vec::new() } else { self.params() };
        let signature = self.header("x-twilio-signature").expect("the webhook is signed");
        assert!(signature::validate(&login.password, &url, &signed, signature), "{self:?}");
    }
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    acts: HashMap<String, Vec<Act>>,
}

/// The application. It answers 204 to what it was not told about.
pub struct WebhookSink {
    pub url: String,
    state: Arc<Mutex<State>>,
    released: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for WebhookSink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WebhookSink {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let (released, stalls) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), stalls.clone()));
            }
        });
        Self { url: format!("http://{address}"), state, released, task }
    }

    /// Lets stalled requests go on, now and from now on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Answers every request to `path` with `act`.
    pub fn on(&self, path: &str, act: Act) -> String {
        self.in_turn(path, vec![act])
    }

    /// Answers requests to `path` one after the other; the last act stays.
    pub fn in_turn(&self, path: &str, mut acts: Vec<Act>) -> String {
        acts.reverse();
        self.state.lock().unwrap().acts.insert(path.to_owned(), acts);
        self.at(path)
    }

    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// Requests to `path`, once there are `count`.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Seen> {
        eventually(&format!("{count} requests to {path}"), || async {
            let seen = self.seen(path);
            (seen.len() >= count).then_some(seen)
        })
        .await
    }

    /// The first request to `path`.
    pub async fn first(&self, path: &str) -> Seen {
        self.wait(path, 1).await.remove(0)
    }
}

impl State {
    /// What to do now; a turn is taken unless only the head is asked for.
    fn act(&mut self, path: &str, is_head: bool) -> Option<Act> {
        match self.acts.get_mut(path)? {
            acts if acts.len() > 1 && !is_head => acts.pop(),
            acts => acts.last().cloned(),
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, mut stalls: watch::Receiver<bool>) {
    let Some(seen) = read(&mut stream).await else { return };
    let (is_head, path) = (seen.method == "HEAD", seen.path.clone());
    let mut act = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen);
        state.act(&path, is_head)
    };
    if matches!(act, Some(Act::Stall)) {
        let mut rest = Vec::new();
        tokio::select! {
            _ = stream.read_to_end(&mut rest) => return,
            _ = stalls.wait_for(|released| *released) => {}
        }
        act = state.lock().unwrap().act(&path, is_head);
    }
    let (status, headers, body) = match act {
        None => (204, Vec::new(), Vec::new()),
        Some(Act::Answer { status, headers, body }) => (status, headers, body),
        Some(Act::Drop | Act::Stall) => return,
    };
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    if !is_head {
        let _ = stream.write_all(&body).await;
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut part).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut part).await {
            Ok(count) if count > 0 => body.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Seen { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

//! One request and its answer, on a connection of their own or on one that was kept.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kernel::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::connect::connect;
use crate::fault::Fault;
use crate::fetch::{Attempt, Method};
use crate::policy::Policy;
use crate::pool::{Connection, Origin, Pool};
use crate::target::Target;

/// How much of a body a record keeps, in bytes.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Status line and headers of an answer, in bytes; hyper refuses more once a read ends beyond
/// it, so up to twice as much may pass. It allows 100 headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Outgoing {
    pub(crate) target: Target,
    pub(crate) method: Method,
    /// All headers, `Host` and `Content-Length` among them, `Connection: close` where it is wanted.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The server is asked often: the connection may have been used, and is not closed after this.
    pub(crate) stays_open: bool,
}

/// How servers are reached.
pub(crate) struct Reach<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) tls: &'a TlsConnector,
    pub(crate) origin: Origin,
    pub(crate) pool: &'a Arc<Pool>,
}

/// The time that is left for everything, and for each step.
pub(crate) struct Budget {
    pub(crate) connect: Duration,
    pub(crate) read: Duration,
    total: Duration,
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// There was more body than the limit; `body` is cut there.
    pub(crate) is_oversized: bool,
}

impl Budget {
    /// Starts to run now.
    pub(crate) fn start(connect: Duration, read: Duration, total: Duration) -> Self {
        Self { connect, read, total, until: Instant::now() + total }
    }

    fn out_of_time(&self) -> Fault {
        Fault::out_of_time(u64::try_from(self.total.as_millis()).unwrap_or(u64::MAX))
    }

    /// Waits for one sign of life from the server.
    async fn sign_of_life<T>(&self, step: impl Future<Output = T>) -> Result<T, Fault> {
        let silent_at = Instant::now() + self.read;
        timeout_at(silent_at.min(self.until), step).await.map_err(|_| {
            if self.until <= silent_at {
                return self.out_of_time();
            }
            let silent_ms = self.read.as_millis();
            Fault::read(11200, format!("the server was silent for {silent_ms} ms"))
        })
    }
}

/// Makes one exchange and records it, whatever comes of it.
pub(crate) async fn exchange(
    outgoing: &Outgoing,
    reach: &Reach<'_>,
    budget: &Budget,
    body_bytes_max: usize,
    started: Timestamp,
) -> (Attempt, Result<Received, Fault>) {
    let mut attempt = Attempt {
        url: outgoing.target.redacted(),
        method: outgoing.method,
        request_headers: outgoing.headers.iter().map(redact).collect(),
        request_body: head_of(&outgoing.body),
        status: None,
        response_headers: Vec::new(),
        response_body: Vec::new(),
        started,
        duration_ms: 0,
        error: None,
    };
    let begin = Instant::now();
    let result = run(outgoing, reach, budget, body_bytes_max, &mut attempt).await;
    attempt.duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Err(fault) = &result {
        attempt.error = Some(fault.message.clone());
    }
    (attempt, result)
}

async fn run(
    outgoing: &Outgoing,
    reach: &Reach<'_>,
    budget: &Budget,
    body_bytes_max: usize,
    attempt: &mut Attempt,
) -> Result<Received, Fault> {
    let (connection, response) = answered(outgoing, reach, budget).await?;
    let status = response.status().as_u16();
    let headers = headers_of(&response);
    attempt.status = Some(status);
    attempt.response_headers.clone_from(&headers);
    let mut body = Vec::new();
    // The body of a redirect says nothing that is used.
    let read = match status {
        300..=399 => Ok(false),
        _ => read_body(response.into_body(), &mut body, body_bytes_max, budget).await,
    };
    attempt.response_body = head_of(&body);
    let is_oversized = read?;
    if outgoing.stays_open && !is_oversized && !matches!(status, 300..=399) {
        reach.pool.keep(&reach.origin, connection);
    }
    Ok(Received { status, headers, is_oversized, body })
}

/// Sends the request: on a connection that was kept, else on a new one. A server may end a kept
/// one at any time; when it does so without a word, it is asked once more on a new one, with the
/// same idempotency token.
async fn answered(
    outgoing: &Outgoing,
    reach: &Reach<'_>,
    budget: &Budget,
) -> Result<(Connection, Response<Incoming>), Fault> {
    if outgoing.stays_open
        && let Some(mut connection) = reach.pool.take(&reach.origin)
    {
        let sent = connection.sender.send_request(request(outgoing)?);
        match budget.sign_of_life(sent).await? {
            Ok(response) => return Ok((connection, response)),
            Err(error) if error.is_parse() => return Err(Fault::from_http(&error)),
            Err(error) => tracing::debug!(%error, "a connection that was kept had ended"),
        }
    }
    let mut connection = open(outgoing, reach, budget).await?;
    let sent = connection.sender.send_request(request(outgoing)?);
    let response = budget.sign_of_life(sent).await?.map_err(|error| Fault::from_http(&error))?;
    Ok((connection, response))
}

async fn open(
    outgoing: &Outgoing,
    reach: &Reach<'_>,
    budget: &Budget,
) -> Result<Connection, Fault> {
    let deadline = budget.until.min(Instant::now() + budget.connect);
    let stream =
        connect(&outgoing.target, reach.policy, reach.tls, deadline).await.map_err(|fault| {
            if Instant::now() >= budget.until { budget.out_of_time() } else { fault }
        })?;
    // Dropping the set ends the connection, also when this future is dropped.
    let mut driver = JoinSet::new();
    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Fault::from_http(&error))?;
    driver.spawn(connection);
    Ok(Connection { sender, _driver: driver, opened: Instant::now() })
}

/// Reads at most `limit` bytes; true when there are more.
async fn read_body(
    mut incoming: Incoming,
    body: &mut Vec<u8>,
    limit: usize,
    budget: &Budget,
) -> Result<bool, Fault> {
    while let Some(frame) = budget.sign_of_life(incoming.frame()).await? {
        let frame = frame.map_err(|error| Fault::from_http(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = limit - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(true);
        }
    }
    Ok(false)
}

fn request(outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, Fault> {
    let mut builder =
        Request::builder().method(outgoing.method.as_str()).uri(outgoing.target.request_target());
    for (name, value) in &outgoing.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(outgoing.body.clone())))
        .map_err(|error| Fault::new(11100, format!("cannot be sent: {error}")))
}

fn headers_of(response: &Response<Incoming>) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = response.headers().iter();
    headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

fn head_of(body: &[u8]) -> Vec<u8> {
    body[..body.len().min(RECORD_BYTES_MAX)].to_vec()
}

fn redact((name, value): &(String, String)) -> (String, String) {
    let is_secret = name.eq_ignore_ascii_case("authorization");
    (name.clone(), if is_secret { "***".to_owned() } else { value.clone() })
}

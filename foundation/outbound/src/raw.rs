//! Requests that are not webhooks: a carrier's API, the command line.

use std::time::Duration;

use crate::client::{Client, answer};
use crate::exchange::{Budget, Outgoing, exchange};
use crate::fault::Fault;
use crate::fetch::{Answer, Attempt, FetchFailure, Method, find_header};
use crate::target::Target;

/// One request, sent once as it stands.
#[derive(Clone)]
pub struct RawRequest {
    /// `http` or `https`; a fragment is dropped and means nothing here.
    pub url: String,
    pub method: Method,
    /// Sent besides `Host`, `Content-Length` and `Connection`, which are not to be among them.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The largest answer in bytes.
    pub body_bytes_max: usize,
    /// Name lookup, TCP and TLS.
    pub connect_timeout: Duration,
    /// Everything, connecting included.
    pub total_timeout: Duration,
}

impl RawRequest {
    /// A request without headers or body: answer up to 1 MiB, 5 s to connect, 15 s in total.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method,
            headers: Vec::new(),
            body: Vec::new(),
            body_bytes_max: 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
        }
    }
}

impl Client {
    /// Sends one request through the guard: not signed, not tried again, no cookies, no
    /// redirect followed. Credentials in the URL are sent at once, unless there is an
    /// `Authorization` header. Every status is an answer.
    ///
    /// Errors: those of connecting and of HTTP as in [`Client::fetch`]; 11200 when the answer
    /// is larger than the limit.
    pub async fn raw(&self, request: RawRequest) -> Result<Answer, FetchFailure> {
        let fail = |fault: Fault, attempts: Vec<Attempt>, answer| FetchFailure {
            code: fault.code,
            message: fault.message,
            answer,
            attempts,
        };
        let target = Target::parse(&request.url).map_err(|fault| fail(fault, Vec::new(), None))?;
        let mut headers = vec![("Host".to_owned(), target.host_header())];
        if find_header(&request.headers, "authorization").is_none()
            && let Some(authorization) = target.basic_authorization()
        {
            headers.push(("Authorization".to_owned(), authorization));
        }
        headers.extend(request.headers);
        if request.method.has_body() || !request.body.is_empty() {
            headers.push(("Content-Length".to_owned(), request.body.len().to_string()));
        }
        headers.push(("Connection".to_owned(), "close".to_owned()));
        let reach = self.reach(&target, true);
        let total = request.total_timeout;
        let budget = Budget::start(request.connect_timeout, total, total);
        let (method, body) = (request.method, request.body);
        // A request without a token must never go out twice: its connection is its own.
        let outgoing = Outgoing { target, method, headers, body, stays_open: false };
        let limit = request.body_bytes_max;
        let now = self.clock.now();
        let (attempt, result) = exchange(&outgoing, &reach, &budget, limit, now).await;
        let attempts = vec![attempt];
        match result {
            Err(fault) => Err(fail(fault, attempts, None)),
            Ok(received) if received.is_oversized => {
                let fault = Fault::new(11200, format!("the answer has more than {limit} bytes"));
                let cut = Some(Box::new(answer(received, &outgoing.target)));
                Err(fail(fault, attempts, cut))
            }
            Ok(received) => Ok(Answer { attempts, ..answer(received, &outgoing.target) }),
        }
    }
}

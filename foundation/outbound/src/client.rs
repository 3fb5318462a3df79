//! The fetch: attempts, retries, redirects and credentials of one webhook.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use signature::{Overrides, RetryPolicy};
use tokio_rustls::TlsConnector;

use crate::cookies::Jar;
use crate::exchange::{Budget, Outgoing, Reach, Received, exchange};
use crate::fault::{Fault, FaultKind};
use crate::fetch::{Answer, Attempt, Fetch, FetchFailure, Method, Payload, Purpose, find_header};
use crate::policy::Policy;
use crate::pool::{self, Pool};
use crate::target::{Target, encode_form};
use crate::tls;

const REDIRECTS_MAX: u32 = 10;
const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

/// Makes requests under one policy, with one cookie jar. Share it behind an `Arc`.
pub struct Client {
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) tls: TlsConnector,
    tls_without_sni: TlsConnector,
    jar: Jar,
    pool: Arc<Pool>,
}

/// A fault, and what was answered if anything was.
type Failed = (Fault, Option<Box<Answer>>);

/// Where the fetch stands: what the next request is.
struct Hop {
    target: Target,
    method: Method,
    payload: Payload,
    authorization: Option<String>,
}

impl Client {
    /// A client that trusts the public roots, and those in the PEM file that the
    /// environment variable `SSL_CERT_FILE` names.
    ///
    /// Errors: that file cannot be read or holds no certificate.
    pub fn new(policy: Policy, clock: Clock) -> std::io::Result<Self> {
        let file = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        Self::with_roots(policy, clock, file.as_deref())
    }

    /// A client that trusts the public roots and those in a PEM file.
    ///
    /// Errors: the file cannot be read or holds no certificate.
    pub fn with_roots(
        policy: Policy,
        clock: Clock,
        pem_file: Option<&Path>,
    ) -> std::io::Result<Self> {
        let (tls, tls_without_sni) = tls::connectors(pem_file)?;
        let (jar, pool) = (Jar::default(), Arc::default());
        Ok(Self { policy, clock, tls, tls_without_sni, jar, pool })
    }

    /// Asks an application, as Twilio does.
    ///
    /// The URL is sent and signed as configured, without its fragment; parameters of a GET
    /// are added to it first. Retries and redirects share the total time. Credentials in the
    /// URL are sent only after a Basic challenge.
    ///
    /// Errors: see [`FetchFailure::code`]. When the total time ends together with another
    /// limit (by default both are 15 s for a silent server) it is 11203.
    // Differs: a URL with credentials is signed with them, as configured; which form Twilio
    // signs is not documented, and its older texts say this one.
    // Differs: only Basic challenges are answered; Digest is not.
    // Differs: Twilio closes the connection of each webhook; here a server that is asked ten times
    // a second is asked over connections that stay open.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Answer, FetchFailure> {
        let mut attempts = Vec::new();
        match self.follow(&fetch, &mut attempts).await {
            Ok(answer) => Ok(Answer { attempts, ..answer }),
            Err((fault, answer)) => {
                tracing::debug!(code = fault.code, attempts = attempts.len(), "fetch failed");
                Err(FetchFailure { code: fault.code, message: fault.message, answer, attempts })
            }
        }
    }

    /// Fetches a media file: HEAD to learn its size, then GET.
    ///
    /// A server that answers HEAD with an error is asked with GET all the same, because many
    /// do not know HEAD. The answer's attempts are those of both.
    ///
    /// Errors: as [`Client::fetch`], with 11751 when the file has more than `bytes_max`
    /// bytes, whether it says so or not.
    pub async fn get_media(&self, url: &str, bytes_max: usize) -> Result<Answer, FetchFailure> {
        let ask = |method| Fetch {
            method,
            body_bytes_max: bytes_max,
            purpose: Purpose::Media,
            ..Fetch::new(url)
        };
        let mut attempts = match self.fetch(ask(Method::Head)).await {
            Ok(mut head) => {
                let length = head.header("content-length").and_then(|text| text.parse().ok());
                if length.is_some_and(|length: u64| length > bytes_max as u64) {
                    let attempts = std::mem::take(&mut head.attempts);
                    let Fault { code, message, .. } = too_large(11751, bytes_max);
                    return Err(FetchFailure { code, message, answer: None, attempts });
                }
                head.attempts
            }
            Err(failure) if failure.answer.is_some() => failure.attempts,
            Err(failure) => return Err(failure),
        };
        let result = self.fetch(ask(Method::Get)).await;
        let mut merge = |later: Vec<Attempt>| {
            attempts.extend(later);
            std::mem::take(&mut attempts)
        };
        match result {
            Ok(answer) => Ok(Answer { attempts: merge(answer.attempts), ..answer }),
            Err(failure) => Err(FetchFailure { attempts: merge(failure.attempts), ..failure }),
        }
    }

    async fn follow(&self, fetch: &Fetch, attempts: &mut Vec<Attempt>) -> Result<Answer, Failed> {
        let (url, overrides) = Overrides::split(fetch.url.trim())
            .map_err(|wrong| (Fault::new(wrong.code(), wrong.to_string()), None))?;
        let milliseconds = |count| Duration::from_millis(u64::from(count));
        let budget = Budget::start(
            milliseconds(overrides.connect_timeout_ms),
            milliseconds(overrides.read_timeout_ms),
            milliseconds(overrides.total_timeout_ms),
        );
        let sni = overrides.sni != Some(false);
        let token = fetch.idempotency_token.clone().unwrap_or_else(|| self.uuid());
        let mut hop = Hop::first(url, fetch).map_err(without_answer)?;
        let (mut retries_left, mut redirects) = (overrides.retry_count, 0);
        loop {
            let reach = self.reach(&hop.target, sni);
            let outgoing = self.outgoing(&hop, fetch, &token, &reach);
            let limit = fetch.body_bytes_max;
            let now = self.clock.now();
            let (attempt, result) = exchange(&outgoing, &reach, &budget, limit, now).await;
            attempts.push(attempt);
            let may_retry = retries_left > 0;
            let received = match result {
                Err(fault) if may_retry && retries_fault(overrides.retry_policy, &fault) => {
                    retries_left -= 1;
                    continue;
                }
                Err(fault) => return Err(without_answer(fault)),
                Ok(received) => received,
            };
            self.keep_cookies(fetch, &hop, &received);
            if let Some(location) = location(&received) {
                redirects += 1;
                if redirects > REDIRECTS_MAX {
                    return Err(without_answer(Fault::new(11215, "more than 10 redirects")));
                }
                hop = hop.redirected(received.status, location, fetch).map_err(without_answer)?;
                continue;
            }
            if hop.authorization.is_none() && is_basic_challenge(&received) {
                hop.authorization = hop.target.basic_authorization();
                if hop.authorization.is_some() {
                    continue;
                }
            }
            if may_retry && retries_status(overrides.retry_policy, received.status) {
                retries_left -= 1;
                continue;
            }
            return judge(received, &hop, fetch);
        }
    }

    /// The way to a server, whose name is told in TLS unless that is not wanted.
    pub(crate) fn reach(&self, target: &Target, sni: bool) -> Reach<'_> {
        let tls = if sni { &self.tls } else { &self.tls_without_sni };
        let origin = pool::origin(target, sni);
        Reach { policy: &self.policy, tls, origin, pool: &self.pool }
    }

    fn outgoing(&self, hop: &Hop, fetch: &Fetch, token: &str, reach: &Reach<'_>) -> Outgoing {
        let mut headers: Vec<(String, String)> = Vec::with_capacity(12);
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        add("Host", hop.target.host_header());
        add("User-Agent", "TwilioProxy/1.1".to_owned());
        add("Accept", "*/*".to_owned());
        let body = match &hop.payload {
            Payload::Form(params) => {
                add("Content-Type", FORM.to_owned());
                encode_form(params).into_bytes()
            }
            Payload::Json(body) => {
                add("Content-Type", "application/json".to_owned());
                body.clone()
            }
            Payload::None => Vec::new(),
        };
        if hop.method.has_body() {
            add("Content-Length", body.len().to_string());
        }
        if let Some(auth_token) = &fetch.auth_token {
            let params = match &hop.payload {
                Payload::Form(params) => params.as_slice(),
                _ => &[],
            };
            add("X-Twilio-Signature", signature::sign(auth_token, hop.target.as_str(), params));
        }
        add("I-Twilio-Idempotency-Token", token.to_owned());
        add("X-Home-Region", "us1".to_owned());
        if let Some(place) = telemetry::trace::traceparent() {
            add("traceparent", place);
        }
        let scope = fetch.cookie_scope.as_deref();
        if let Some(cookies) =
            scope.and_then(|scope| self.jar.header(scope, &hop.target, self.clock.now()))
        {
            add("Cookie", cookies);
        }
        if let Some(authorization) = &hop.authorization {
            add("Authorization", authorization.clone());
        }
        let stays_open = reach.pool.is_busy(&reach.origin);
        if !stays_open {
            add("Connection", "close".to_owned());
        }
        Outgoing { target: hop.target.clone(), method: hop.method, headers, body, stays_open }
    }

    fn keep_cookies(&self, fetch: &Fetch, hop: &Hop, received: &Received) {
        if let Some(scope) = &fetch.cookie_scope {
            let set = received.headers.iter().filter(|(name, _)| name == "set-cookie");
            let set = set.map(|(_, value)| value.as_str());
            self.jar.store(scope, &hop.target, set, self.clock.now());
        }
    }

    /// A random UUID, version 4 (RFC 9562 §5.4).
    fn uuid(&self) -> String {
        let bits = u128::from(self.clock.random()) << 64 | u128::from(self.clock.random());
        let bits = bits & !(0xf << 76) | 4 << 76;
        let bits = bits & !(3 << 62) | 2 << 62;
        let hex = format!("{bits:032x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

impl Hop {
    fn first(url: &str, fetch: &Fetch) -> Result<Self, Fault> {
        let target = Target::parse(url)?;
        match &fetch.payload {
            Payload::Form(params) if !fetch.method.has_body() => {
                let url = signature::with_query(target.as_str(), params);
                Self::to(Target::parse(&url)?, fetch.method, Payload::None, fetch)
            }
            Payload::Json(_) if !fetch.method.has_body() => {
                Self::to(target, fetch.method, Payload::None, fetch)
            }
            payload => Self::to(target, fetch.method, payload.clone(), fetch),
        }
    }

    /// 301, 302 and 303 turn everything but HEAD into a GET without parameters; 307 and 308
    /// repeat the request as it was.
    fn redirected(self, status: u16, location: &str, fetch: &Fetch) -> Result<Self, Fault> {
        let target = self.target.redirect(location)?;
        match (status, self.method) {
            (307 | 308, method) => Self::to(target, method, self.payload, fetch),
            (_, Method::Head) => Self::to(target, Method::Head, Payload::None, fetch),
            _ => Self::to(target, Method::Get, Payload::None, fetch),
        }
    }

    fn to(target: Target, method: Method, payload: Payload, fetch: &Fetch) -> Result<Self, Fault> {
        let target = match &payload {
            Payload::Json(body) if fetch.auth_token.is_some() => {
                Target::parse(&signature::with_body_hash(target.as_str(), body))?
            }
            _ => target,
        };
        Ok(Self { target, method, payload, authorization: None })
    }
}

fn without_answer(fault: Fault) -> Failed {
    (fault, None)
}

fn retries_fault(policy: RetryPolicy, fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::Connect => policy.connect,
        FaultKind::Read => policy.read,
        FaultKind::Final => false,
    }
}

fn retries_status(policy: RetryPolicy, status: u16) -> bool {
    match status {
        400..=499 => policy.client_error,
        500..=599 => policy.server_error,
        _ => false,
    }
}

fn location(received: &Received) -> Option<&str> {
    match received.status {
        301 | 302 | 303 | 307 | 308 => find_header(&received.headers, "location"),
        _ => None,
    }
}

fn is_basic_challenge(received: &Received) -> bool {
    let mut challenges = received.headers.iter().filter(|(name, _)| name == "www-authenticate");
    received.status == 401
        && challenges.any(|(_, value)| value.to_ascii_lowercase().contains("basic"))
}

// Differs: a redirect that names no place to go is 11200; Twilio's number for it is not known.
fn judge(received: Received, hop: &Hop, fetch: &Fetch) -> Result<Answer, Failed> {
    let is_oversized = received.is_oversized;
    let answer = answer(received, &hop.target);
    let fault = match (answer.status, fetch.purpose) {
        (status @ 300.., _) => Fault::new(11200, format!("the server answered {status}")),
        (_, Purpose::Document) if is_oversized => too_large(11750, fetch.body_bytes_max),
        (_, Purpose::Media) if is_oversized => too_large(11751, fetch.body_bytes_max),
        _ => return Ok(answer),
    };
    Err((fault, Some(Box::new(answer))))
}

pub(crate) fn answer(received: Received, target: &Target) -> Answer {
    let content_type = find_header(&received.headers, "content-type").map(str::to_owned);
    Answer {
        status: received.status,
        headers: received.headers,
        content_type,
        body: received.body,
        final_url: target.as_str().to_owned(),
        attempts: Vec::new(),
    }
}

fn too_large(code: u32, bytes_max: usize) -> Fault {
    Fault::new(code, format!("the answer has more than {bytes_max} bytes"))
}

//! SendGrid's side of the wire: routes, credentials, JSON in and out.
//!
//! It is not `foundation/rest`: paths, errors, credentials, scopes and paging are another
//! company's (docs/decisions/0003-email.md).

use std::collections::HashMap;

use bytes::Bytes;
use contracts::BoxFuture;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use kernel::Timestamp;
use serde_json::{Map, Value};
use store::AccountStore;

use crate::fault::Fault;
use crate::key::Caller;
use crate::{Email, key};

/// A request, authenticated and scoped to its account.
pub struct Call {
    pub caller: Caller,
    pub store: AccountStore,
    pub now: Timestamp,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Bytes,
}

/// What a handler answers.
pub enum Answer {
    Empty(u16),
    Json(u16, Value),
    /// 202 with the id of a mail.
    Accepted(String),
}

/// A handler.
pub type Handler = for<'a> fn(&'a Email, &'a Call) -> BoxFuture<'a, Result<Answer, Fault>>;

/// One operation: what it is called, what a key needs for it, what it does.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// `mail.send`; empty: every key may.
    pub scope: &'static str,
    pub run: Handler,
}

/// An entry of the table of routes.
pub const fn route(
    method: &'static str,
    path: &'static str,
    scope: &'static str,
    run: Handler,
) -> Route {
    Route { method, path, scope, run }
}

impl Call {
    /// A parameter of the path, decoded.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a repeated parameter.
    pub fn query_all(&self, name: &str) -> Vec<String> {
        let values = self.query.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// A whole number of the query within its range.
    pub fn number(
        &self,
        name: &str,
        usual: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, Fault> {
        let Some(text) = self.query(name) else { return Ok(usual) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let why = format!("{name} must be a number from {} to {}", range.start(), range.end());
            Fault::field(name, why)
        })
    }

    /// The JSON of the body.
    pub fn json(&self) -> Result<Value, Fault> {
        let text = std::str::from_utf8(&self.body)
            .map_err(|_| Fault::new(415, "Invalid UTF8 in request"))?;
        serde_json::from_str(text).map_err(|_| Fault::new(400, "Bad Request"))
    }

    /// The body as an object.
    pub fn object(&self) -> Result<Map<String, Value>, Fault> {
        match self.json()? {
            Value::Object(map) => Ok(map),
            _ => Err(Fault::new(400, "Bad Request")),
        }
    }

    /// The body as an object; nothing is an empty one.
    pub fn optional_object(&self) -> Result<Map<String, Value>, Fault> {
        if self.body.is_empty() { Ok(Map::new()) } else { self.object() }
    }
}

/// An operation and the decoded parameters of its path.
type Found = (&'static Route, Vec<(String, String)>);

/// All operations, found by path and method.
pub struct Routes {
    paths: matchit::Router<Vec<&'static Route>>,
    all: Vec<&'static Route>,
}

impl Routes {
    /// # Panics
    /// When two operations claim one path: a bug in the tables, found at start.
    pub fn new(tables: &[&'static [Route]]) -> Self {
        let all: Vec<&'static Route> = tables.iter().flat_map(|table| table.iter()).collect();
        let mut by_path: HashMap<&str, Vec<&'static Route>> = HashMap::new();
        for route in &all {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut paths = matchit::Router::new();
        for (path, routes) in by_path {
            paths.insert(path, routes).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        Self { paths, all }
    }

    /// Every scope that an operation asks for.
    pub fn scopes(&self) -> Vec<&'static str> {
        let mut scopes: Vec<_> = self.all.iter().map(|route| route.scope).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes.retain(|scope| !scope.is_empty());
        scopes
    }

    fn find(&self, method: &str, path: &str) -> Result<Found, Fault> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let found = self.paths.at(path).map_err(|_| Fault::unsupported(path))?;
        let wanted = if method == "HEAD" { "GET" } else { method };
        let route = found.value.iter().find(|route| route.method == wanted);
        let route = *route.ok_or_else(|| Fault::new(405, "method not allowed"))?;
        let decode = |text: &str| {
            let bytes = percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
            let text = String::from_utf8(bytes).ok();
            text.filter(|text| !text.contains('\0')).ok_or_else(Fault::not_found)
        };
        let params = found.params.iter();
        let params = params.map(|(name, value)| Ok((name.to_owned(), decode(value)?)));
        Ok((route, params.collect::<Result<_, Fault>>()?))
    }
}

/// In an answer to a request for what this version does not serve.
const UNSUPPORTED: HeaderName = HeaderName::from_static("offhook-unsupported");

impl Email {
    /// Answers one request. Never fails.
    // Differs: there is no rate limit, and so no `X-RateLimit-…` header.
    pub async fn handle(&self, request: rest::Incoming) -> Response<Bytes> {
        self.answer(&request).await.unwrap_or_else(|fault| {
            let mut response = json_response(fault.status, &fault.json());
            if fault.is_unsupported {
                let what = format!("api.sendgrid.com{}", request.path);
                let what = HeaderValue::from_str(&what);
                response
                    .headers_mut()
                    .insert(UNSUPPORTED, what.unwrap_or(HeaderValue::from_static("")));
            }
            response
        })
    }

    async fn answer(&self, request: &rest::Incoming) -> Result<Response<Bytes>, Fault> {
        let (route, params) = self.routes.find(request.method.as_str(), &request.path)?;
        let caller = key::authenticate(self, request).await?;
        caller.may(route.scope)?;
        let adopted = caller.is_adopted.then(|| caller.account.to_string());
        let call = Call {
            store: self.parts.store.account(caller.account),
            caller,
            now: self.parts.clock.now(),
            params,
            query: form_urlencoded::parse(request.query.as_bytes()).into_owned().collect(),
            body: request.body.clone(),
        };
        let mut response = match (route.run)(self, &call).await? {
            Answer::Json(status, json) => json_response(status, &json),
            Answer::Empty(status) => empty(status),
            Answer::Accepted(id) => {
                let mut response = empty(202);
                let id = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""));
                response.headers_mut().insert("x-message-id", id);
                response
            }
        };
        if let Some(adopted) = adopted.and_then(|sid| HeaderValue::from_str(&sid).ok()) {
            response.headers_mut().insert("offhook-adopted", adopted);
        }
        Ok(response)
    }
}

fn empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() =
        http::StatusCode::from_u16(status).expect("handlers use real statuses");
    response
}

fn json_response(status: u16, json: &Value) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = Bytes::from(json.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A refusal before any product was asked, in the form of every other error.
pub fn refuse(status: u16, message: &str) -> Response<Bytes> {
    json_response(status, &Fault::new(status, message).json())
}

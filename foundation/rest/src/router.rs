//! From a request to an answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use clock::Clock;
use futures_util::FutureExt;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Response};
use kernel::{ApiError, Sid};
use store::Store;

use crate::admission::{Admission, Counts, Limits};
use crate::auth::{Gate, Login};
use crate::form::{Form, Pairs, decode_path};
use crate::paging::{Envelope, PageRequest};
use crate::reply::{Renderer, Reply, write_string};
use crate::table::{Access, BoxFuture, OpDecl, Resource, Run, Table, Verb};
use crate::{Ctx, document, xml};

/// What every API answer says alike (rest-conventions §9).
static STANDARD_HEADERS: [(HeaderName, HeaderValue); 7] = [
    (HeaderName::from_static("x-powered-by"), HeaderValue::from_static("AT-5000")),
    (HeaderName::from_static("x-shenanigans"), HeaderValue::from_static("none")),
    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    ),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, \
             If-Unmodified-Since, Idempotency-Key",
        ),
    ),
    (
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Twilio-Request-Id, Offhook-Adopted"),
    ),
    (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
];
static REQUEST_ID: HeaderName = HeaderName::from_static("twilio-request-id");
static REQUEST_DURATION: HeaderName = HeaderName::from_static("twilio-request-duration");
static HOME_REGION: HeaderName = HeaderName::from_static("x-home-region");
static API_DOMAIN: HeaderName = HeaderName::from_static("x-api-domain");

/// A request as the front door hands it over.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub method: Method,
    /// First label of the host, or the product of the `/_/{product}` prefix.
    pub product: String,
    /// Edge and region labels of the host, if any.
    pub region: Option<String>,
    /// Raw path behind the prefix.
    pub path: String,
    /// Raw query without `?`.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Scheme, authority and prefix the client used, for absolute URLs.
    pub base: String,
    /// Where the request came from, as far as the socket tells.
    pub peer: Option<IpAddr>,
}

/// A resource with its product's state, the state's type erased.
trait Endpoint: Send + Sync {
    fn table(&self) -> &'static Table;
    fn ops(&self) -> Vec<OpDecl>;
    fn call<'a>(&'a self, at: usize, ctx: &'a Ctx) -> BoxFuture<'a, Result<Reply, ApiError>>;
}

struct Mounted<S: 'static> {
    state: Arc<S>,
    resource: &'static Resource<S>,
}

impl<S: Send + Sync> Endpoint for Mounted<S> {
    fn table(&self) -> &'static Table {
        &self.resource.table
    }

    fn ops(&self) -> Vec<OpDecl> {
        self.resource.ops.iter().map(|op| op.decl).collect()
    }

    fn call<'a>(&'a self, at: usize, ctx: &'a Ctx) -> BoxFuture<'a, Result<Reply, ApiError>> {
        match self.resource.ops[at].run {
            Run::Handler(handler) => handler(&self.state, ctx),
            Run::Document => Box::pin(document::run(ctx, &document::NoHook)),
            Run::DocumentWith(hook) => Box::pin(async move {
                document::run(ctx, &HookOf { hook, state: &*self.state, ctx }).await
            }),
        }
    }
}

/// A product's hook with the state and request it works on.
struct HookOf<'a, S: 'static> {
    hook: crate::Hook<S>,
    state: &'a S,
    ctx: &'a Ctx,
}

impl<S: Sync> document::DraftHook for HookOf<'_, S> {
    fn apply<'d>(&'d self, draft: &'d mut document::Draft) -> BoxFuture<'d, Result<(), ApiError>> {
        (self.hook)(self.state, self.ctx, draft)
    }
}

/// Endpoint, operation and decoded path parameters of a request.
type Found = (usize, usize, Vec<(String, String)>);

/// One path of one resource.
#[derive(Clone, Copy)]
struct Route {
    endpoint: usize,
    instance: bool,
}

/// All resources of all products.
pub struct Router {
    endpoints: Vec<(Box<dyn Endpoint>, Vec<OpDecl>)>,
    routes: HashMap<&'static str, matchit::Router<Route>>,
    gate: Arc<dyn Gate>,
    store: Store,
    clock: Clock,
    development: bool,
    admission: Admission,
}

impl Router {
    pub fn new(store: Store, clock: Clock, gate: Arc<dyn Gate>, development: bool) -> Self {
        Self {
            endpoints: Vec::new(),
            routes: HashMap::new(),
            gate,
            store,
            clock,
            development,
            admission: Admission::default(),
        }
    }

    /// Limits what an account may have (20429 beyond), all or `some`, and the requests in flight
    /// on this node (503 beyond; 0 is no limit).
    pub fn with_limits(
        mut self,
        everybody: Limits,
        some: HashMap<Sid, Limits>,
        node_max: u32,
        counts: Arc<dyn Counts>,
    ) -> Self {
        self.admission = Admission::new(everybody, some, node_max, counts);
        self
    }

    /// Adds a product's resources.
    ///
    /// # Panics
    /// When two resources claim one path: a bug in the tables, found at start.
    pub fn mount<S: Send + Sync>(mut self, state: &Arc<S>, all: &[&'static Resource<S>]) -> Self {
        for &resource in all {
            let endpoint = self.endpoints.len();
            let table = &resource.table;
            let routes = self.routes.entry(table.product).or_default();
            for (path, instance) in [(table.list, false), (table.instance, true)] {
                let Some(path) = path else { continue };
                if instance && table.instance_elsewhere {
                    continue;
                }
                if let Err(error) = routes.insert(path, Route { endpoint, instance }) {
                    panic!("{} {path}: {error}", table.name);
                }
            }
            let mounted = Box::new(Mounted { state: state.clone(), resource });
            let ops = mounted.ops();
            self.endpoints.push((mounted, ops));
        }
        self
    }

    /// Every mounted table with its operations, for OpenAPI and conformance.
    pub fn tables(&self) -> impl Iterator<Item = (&'static Table, &[OpDecl])> {
        self.endpoints.iter().map(|(endpoint, ops)| (endpoint.table(), ops.as_slice()))
    }

    /// True when a resource lives on this product host.
    pub fn has_product(&self, product: &str) -> bool {
        self.routes.contains_key(product)
    }

    /// Answers one request. Never fails and never panics.
    pub async fn handle(&self, request: Incoming) -> Response<Bytes> {
        let started = Instant::now();
        let format = Format::of(&request);
        let mut extra = HeaderMap::new();
        let outcome = match AssertUnwindSafe(self.answer(&request, format, &mut extra))
            .catch_unwind()
            .await
        {
            Ok(outcome) => outcome,
            Err(panic) => Err(self.report_panic(&request, &panic)),
        };
        let mut response = outcome.unwrap_or_else(|error| error_response(&error, format));
        let headers = response.headers_mut();
        headers.extend(extra);
        self.add_standard_headers(headers, &request, started);
        response
    }

    async fn answer(
        &self,
        request: &Incoming,
        format: Format,
        extra: &mut HeaderMap,
    ) -> Result<Response<Bytes>, ApiError> {
        if request.method == Method::OPTIONS {
            return Ok(empty(200));
        }
        let (endpoint, at, path_params) = self.find(request, format)?;
        let (endpoint, ops) = &self.endpoints[endpoint];
        let (table, op) = (endpoint.table(), ops[at]);
        telemetry::trace::annotate("http.route", table.instance.or(table.list).unwrap_or_default());

        let (principal, account) = match table.access {
            Access::Public => (None, Sid::from_parts("AC", 0)),
            Access::PublicBytes(_) if op.verb == Verb::Fetch && format.is_bare(&request.path) => {
                let account = path_params.iter().find(|(name, _)| name == "AccountSid");
                let account = account.and_then(|(_, value)| value.parse().ok());
                (None, account.ok_or_else(|| not_found(request))?)
            }
            _ => {
                let login = Login::from_headers(&request.headers)?;
                let path_account = path_params.iter().find(|(name, _)| name == "AccountSid");
                let hint = path_account.and_then(|(_, value)| value.parse().ok());
                let principal = self.gate.authenticate(login, hint).await?;
                let account = match path_account {
                    None => principal.account,
                    Some((_, path)) => {
                        let account = path.parse().map_err(|_| not_found(request))?;
                        self.gate.reach(&principal, account, op.verb).await?;
                        account
                    }
                };
                principal.permits(table, op.verb)?;
                if principal.credential == crate::Credential::Test && !op.with_test_credentials {
                    let why = "Resource not accessible with Test Account Credentials";
                    return Err(ApiError::new(20008, why));
                }
                (Some(principal), account)
            }
        };
        if let Some(principal) = principal.as_ref().filter(|principal| principal.adopted) {
            extra.append("offhook-adopted", header(&principal.account.to_string()));
        }
        let is_call = table.sid_prefix == "CA";
        let _admitted = self.admission.enter(account, op.verb, is_call, extra).await?;

        let json = op.json || (op.json_too && is_json(request));
        let pairs = read_pairs(request, json)?;
        let page = PageRequest::parse(&pairs, table)?;
        let form = Form::parse(&op, pairs).map_err(|error| match json {
            true => error,
            false => hint_at_encoding(error, request),
        })?;
        let ctx = Ctx {
            account,
            principal,
            store: self.store.account(account),
            clock: self.clock.clone(),
            now: self.clock.now(),
            form,
            page,
            headers: request.headers.clone(),
            base: request.base.clone(),
            path: request.path.clone(),
            peer: request.peer,
            table,
            op,
            development: self.development,
            path_params,
            answer_headers: Mutex::default(),
        };
        let reply = endpoint.call(at, &ctx).await;
        let headers =
            ctx.answer_headers.lock().unwrap_or_else(|poison| poison.into_inner()).clone();
        for (name, value) in headers {
            extra.append(name, header(&value));
        }
        Ok(render(&ctx, request, format, reply?))
    }

    /// The endpoint, operation and decoded path parameters of a request.
    fn find(&self, request: &Incoming, format: Format) -> Result<Found, ApiError> {
        let path = format.strip(&request.path);
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let routes = self.routes.get(request.product.as_str());
        let found =
            routes.and_then(|routes| routes.at(path).ok()).ok_or_else(|| not_found(request))?;
        let route = *found.value;
        let mut params = Vec::with_capacity(found.params.len());
        for (name, value) in found.params.iter() {
            let value = decode_path(value).ok_or_else(|| not_found(request))?;
            // Either case of hex is accepted; the stored form is echoed.
            let value = value.parse::<Sid>().map_or(value, |sid| sid.to_string());
            params.push((name.to_owned(), value));
        }
        let ops = &self.endpoints[route.endpoint].1;
        let verb = |op: &OpDecl| match (request.method.as_str(), route.instance || op.at_instance) {
            ("GET" | "HEAD", false) => op.verb == Verb::List,
            ("GET" | "HEAD", true) => op.verb == Verb::Fetch,
            ("POST", false) => op.verb == Verb::Create,
            ("POST" | "PUT" | "PATCH", true) => {
                op.verb == Verb::Update || (op.verb == Verb::Create && op.at_instance)
            }
            ("DELETE", true) => op.verb == Verb::Delete,
            _ => false,
        };
        // Where an instance is both created and updated by path, PUT and PATCH update.
        let updates = |op: &OpDecl| {
            matches!(request.method.as_str(), "PUT" | "PATCH") && op.verb == Verb::Update
        };
        let exact = ops.iter().position(|op| verb(op) && updates(op));
        let at = exact.or_else(|| ops.iter().position(verb)).ok_or_else(|| {
            let why = format!("{} is not allowed on {}", request.method, request.path);
            ApiError::new(20004, why)
        })?;
        Ok((route.endpoint, at, params))
    }

    fn report_panic(&self, request: &Incoming, panic: &Box<dyn std::any::Any + Send>) -> ApiError {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without text");
        let id = self.clock.hex_token(12);
        tracing::error!(error_id = %id, method = %request.method, product = %request.product, %why,
            "a handler panicked");
        ApiError::internal(&id)
    }

    /// The headers of every API answer (rest-conventions §9).
    fn add_standard_headers(&self, headers: &mut HeaderMap, request: &Incoming, started: Instant) {
        // Room for these, and for what the server and the answer itself add.
        headers.reserve(STANDARD_HEADERS.len() + 10);
        for (name, value) in &STANDARD_HEADERS {
            headers.insert(name, value.clone());
        }
        if request.base.starts_with("https:") {
            let value = HeaderValue::from_static("max-age=31536000");
            headers.insert(STRICT_TRANSPORT_SECURITY, value);
        }
        headers.insert(&REQUEST_ID, header(&self.clock.sid("RQ").to_string()));
        let duration = format!("{:.3}", started.elapsed().as_secs_f64());
        headers.insert(&REQUEST_DURATION, header(&duration));
        headers.insert(&HOME_REGION, header(request.region.as_deref().unwrap_or("us1")));
        headers.insert(&API_DOMAIN, header(&format!("{}.twilio.com", request.product)));
    }
}

/// The representation a client asked for by extension (rest-conventions §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
    Csv,
}

impl Format {
    fn of(request: &Incoming) -> Self {
        if !request.path.starts_with("/2010-04-01") {
            return Self::Json;
        }
        match request.path.rsplit_once('.') {
            Some((_, "json")) => Self::Json,
            Some((_, "csv")) => Self::Csv,
            _ => Self::Xml,
        }
    }

    /// No extension at all.
    fn is_bare(self, path: &str) -> bool {
        self.strip(path) == path
    }

    /// The path without extension.
    fn strip(self, path: &str) -> &str {
        if !path.starts_with("/2010-04-01") {
            return path;
        }
        let known = [".json", ".xml", ".csv"];
        known.iter().find_map(|extension| path.strip_suffix(extension)).unwrap_or(path)
    }
}

/// Body, then query; a body of another type has no pairs.
fn read_pairs(request: &Incoming, json: bool) -> Result<Pairs, ApiError> {
    let mut pairs = Pairs::default();
    if json && !request.body.is_empty() {
        pairs.add_json(&request.body)?;
    } else if request.method != Method::GET && !is_json(request) {
        pairs.add(&request.body)?;
    }
    pairs.add(request.query.as_bytes())?;
    Ok(pairs)
}

fn is_json(request: &Incoming) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/json"))
}

/// Somebody who posts JSON to a form API gets told, not only that all is missing.
fn hint_at_encoding(mut error: ApiError, request: &Incoming) -> ApiError {
    if request.method == Method::POST && is_json(request) {
        error.message.push_str(
            " (the body is JSON; this API takes application/x-www-form-urlencoded parameters)",
        );
    }
    error
}

fn not_found(request: &Incoming) -> ApiError {
    ApiError::not_found(&request.path)
}

fn render(ctx: &Ctx, request: &Incoming, format: Format, reply: Reply) -> Response<Bytes> {
    let renderer = Renderer {
        table: ctx.table,
        fields: ctx.op.fields.unwrap_or(ctx.table.fields),
        base: &request.base,
        path: &ctx.path_params,
    };
    match reply {
        Reply::Empty => empty(ctx.op.status),
        Reply::Record(record) => render_record(&renderer, &record, ctx.op.status, format),
        Reply::RecordWith(status, record) => render_record(&renderer, &record, status, format),
        Reply::List(page) => {
            let envelope = Envelope {
                table: ctx.table,
                request: &ctx.page,
                page: &page,
                path: &request.path,
                query: &request.query,
                base: &request.base,
            };
            match format {
                Format::Xml => body(200, "application/xml", xml::list(&renderer, &envelope)),
                Format::Csv => body(200, "text/csv", xml::csv(&renderer, &page.records)),
                Format::Json => {
                    let rows: Vec<String> = page
                        .records
                        .iter()
                        .map(|record| {
                            let mut row = String::with_capacity(1024);
                            renderer.json(record, &mut row);
                            row
                        })
                        .collect();
                    body(200, "application/json", envelope.json(&rows))
                }
            }
        }
        Reply::Redirect { status, location } => {
            let mut response = empty(status);
            response.headers_mut().insert(LOCATION, header(&location));
            response
        }
        Reply::RecordAt { location, record } => {
            let mut response = render_record(&renderer, &record, ctx.op.status, format);
            response.headers_mut().insert(LOCATION, header(&location));
            response
        }
        Reply::Bytes { content_type, body: bytes } => {
            let mut response = Response::new(Bytes::from(bytes));
            response.headers_mut().insert(CONTENT_TYPE, header(&content_type));
            response
        }
        Reply::Json(status, json) => body(status, "application/json", json.to_string()),
    }
}

fn render_record(
    renderer: &Renderer<'_>,
    record: &crate::Record,
    status: u16,
    format: Format,
) -> Response<Bytes> {
    match format {
        Format::Xml => body(status, "application/xml", xml::record(renderer, record)),
        Format::Csv => body(status, "text/csv", xml::csv(renderer, std::slice::from_ref(record))),
        Format::Json => {
            let mut json = String::with_capacity(1024);
            renderer.json(record, &mut json);
            body(status, "application/json", json)
        }
    }
}

fn error_response(error: &ApiError, format: Format) -> Response<Bytes> {
    let mut response = if format == Format::Xml {
        body(error.status, "application/xml", xml::error(error))
    } else {
        let mut json = format!("{{\"code\":{},\"message\":", error.code);
        write_string(&error.message, &mut json);
        json.push_str(&format!(
            ",\"more_info\":\"{}\",\"status\":{}",
            error.more_info(),
            error.status
        ));
        if !error.details.is_empty() {
            json.push_str(",\"details\":");
            json.push_str(&serde_json::Value::Object(error.details.clone()).to_string());
        }
        json.push('}');
        body(error.status, "application/json", json)
    };
    if error.status == 401 {
        let challenge = HeaderValue::from_static("Basic realm=\"Twilio API\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

impl Router {
    /// An error body outside any resource, in the form of every other error.
    pub fn refuse(error: &ApiError) -> Response<Bytes> {
        error_response(error, Format::Json)
    }
}

fn body(status: u16, content_type: &'static str, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = http::StatusCode::from_u16(status).expect("tables hold real statuses");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("tables hold real statuses");
    response
}

/// A header value; what cannot be one becomes empty.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

//! What a handler is given.

use std::net::IpAddr;
use std::sync::Mutex;

use clock::Clock;
use http::HeaderMap;
use kernel::{ApiError, Sid, Timestamp};
use store::AccountStore;

use crate::auth::Principal;
use crate::form::Form;
use crate::paging::PageRequest;
use crate::table::{OpDecl, Table};

/// One request, authenticated, parsed and scoped to its account.
pub struct Ctx {
    /// The account acted on; with test credentials the test account.
    pub account: Sid,
    /// Absent only on operations that are public.
    pub principal: Option<Principal>,
    pub store: AccountStore,
    pub clock: Clock,
    pub now: Timestamp,
    pub form: Form,
    pub page: PageRequest,
    pub headers: HeaderMap,
    /// Scheme, host and prefix the client used.
    pub base: String,
    /// The path without host, as error messages name it.
    pub path: String,
    /// Where the request came from, for the audit.
    pub peer: Option<IpAddr>,
    pub table: &'static Table,
    pub op: OpDecl,
    /// The development profile: unknown things may be adopted.
    pub development: bool,
    pub(crate) path_params: Vec<(String, String)>,
    pub(crate) answer_headers: Mutex<Vec<(&'static str, String)>>,
}

impl Ctx {
    /// A parameter of the path, decoded; SIDs in their stored form.
    pub fn param(&self, name: &str) -> &str {
        let found = self.path_params.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The SID in the path.
    ///
    /// # Errors
    /// 20404 / 404 when it is no SID with one of these prefixes.
    pub fn param_sid(&self, name: &str, prefixes: &[&str]) -> Result<Sid, ApiError> {
        let sid = self.param(name).parse::<Sid>().ok();
        sid.filter(|sid| prefixes.contains(&sid.prefix())).ok_or_else(|| self.not_found())
    }

    /// 20404 / 404 for this request's path.
    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.path)
    }

    pub fn is_test(&self) -> bool {
        self.principal.as_ref().is_some_and(|p| p.credential == crate::auth::Credential::Test)
    }

    /// Tells the caller, by response header, what came into being for this request.
    pub fn announce_adoption(&self, what: &str) {
        self.answer_header("offhook-adopted", what);
    }

    /// Gives the answer a header, also when it is an error. `name` is in lower case.
    pub fn answer_header(&self, name: &'static str, value: impl Into<String>) {
        let mut headers = self.answer_headers.lock().unwrap_or_else(|poison| poison.into_inner());
        headers.push((name, value.into()));
    }
}

//! Resource tables: routing, parsing, validation, paging, rendering and OpenAPI
//! from one declaration.
//!
//! A product declares each resource once as a constant [`Resource`]; the
//! [`Router`] does the rest of the wire. It knows HTTP messages but no sockets:
//! the binary reads a request, calls [`Router::handle`] and writes the answer.
//!
//! It deliberately does not know products, credentials (it asks a [`Gate`]) or
//! what a resource means.
//!
//! Invariants: parameters are checked in table order and the first fault is the
//! answer; a handler's store is scoped to its account; every answer that is not
//! 2xx or 3xx carries an error body; a panic in a handler is a 500 with an error id.

mod admission;
mod audit;
mod auth;
mod ctx;
mod document;
mod form;
mod openapi;
mod paging;
mod reply;
mod router;
mod table;
mod xml;

pub use admission::{Counted, Counts, Limits};
pub use audit::changes;
pub use auth::{Credential, Gate, Login, Principal, unauthenticated};
pub use ctx::Ctx;
pub use document::{
    Doc, Draft, field_name, fields_of, insert, load, page as documents, record, revise, store_error,
};
pub use form::{Form, check_url, missing};
pub use openapi::openapi;
pub use paging::{Cursor, PageRequest};
pub use reply::{Page, Record, Reply, Val};
pub use router::{Incoming, Router};
pub use table::{
    Access, BoxFuture, Dialect, Field, Handler, Hook, Op, OpDecl, Param, Resource, Run, Table,
    Verb, Wire,
};

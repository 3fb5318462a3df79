//! Every HTTP request made on someone else's word: guarded, signed, bounded, recorded.
//!
//! [`Client::fetch`] asks an application as Twilio does (webhooks.md §3): the same headers,
//! signature, timeouts, overrides, retries, redirects and cookies, and the same error codes
//! when it fails. [`Client::get_media`] takes a picture for an MMS, [`Client::raw`] sends any
//! other request through the same guard, [`Client::publish`] a message to a NATS server,
//! [`Client::websocket`] opens a WebSocket.
//!
//! It deliberately does not: parse what was answered, choose a fallback URL, keep connections,
//! cache, use a proxy, offer compression, queue or limit how many requests run at once.
//!
//! Invariants:
//! * a socket is opened only to an address that [`Policy::allows`], after name lookup, for
//!   the first request and for every redirect;
//! * what is signed is what is sent, byte for byte;
//! * every request and every answer is in [`Attempt`], also when the fetch fails; passwords
//!   are not.
//!
//! Bounds: a URL 64 KiB, a response head 128 KiB and 100 headers, a body the caller's limit,
//! a record of a body 16 KiB, 10 redirects, 5 retries, 15 s in total, 8 addresses per name,
//! 10,000 cookie scopes of 50 cookies of 4 KiB, each for at most 4 h.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use outbound::{Client, Fetch, Payload, Policy};
//! let client = Client::new(Policy::Open, clock::Clock::fixed())?;
//! let fetch = Fetch {
//!     payload: Payload::Form(vec![("Body".to_owned(), "Hi".to_owned())]),
//!     auth_token: Some("12345".to_owned()),
//!     ..Fetch::new("http://localhost:3000/sms#rc=2&rp=5xx")
//! };
//! match client.fetch(fetch).await {
//!     Ok(answer) => println!("{}", String::from_utf8_lossy(&answer.body)),
//!     Err(failure) => println!("{}: {}", failure.code, failure.message),
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod connect;
mod cookies;
mod exchange;
mod fault;
mod fetch;
mod nats;
mod policy;
mod pool;
mod raw;
mod target;
mod tls;
mod websocket;

pub use client::Client;
pub use fetch::{Answer, Attempt, Fetch, FetchFailure, Method, Payload, Purpose, TWIML_BYTES_MAX};
pub use nats::{NatsError, check_nats_url, is_nats_subject};
pub use policy::{AddressClass, Policy};
pub use raw::RawRequest;
pub use target::encode_form;
pub use tls::connector as tls_connector;
pub use websocket::{Received, SocketFault, SocketReceiver, SocketSender, check_socket_url};

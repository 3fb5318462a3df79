//! TwiML: reads the document an application answers a webhook with.
//!
//! A document is read once, into verbs to carry out in order and diagnostics for whoever wrote it.
//! What can be ignored is ignored with a diagnostic; only a document that cannot be read at all is
//! [`Fatal`], and then the caller turns to its fallback URL.
//!
//! The crate fetches nothing, resolves no relative URL, applies no defaults that depend on the
//! request answered (who wrote, to whom), and sends nothing. It reads [`messaging`] documents, and
//! reads and runs those of calls ([`voice`]).
//!
//! Invariants:
//! * any bytes give a document or a [`Fatal`], never a panic;
//! * a body is at most [`BODY_BYTES_MAX`], a document has at most [`DIAGNOSTICS_MAX`] diagnostics
//!   and [`messaging::MESSAGES_MAX`] messages;
//! * DTDs are refused, so no entity is expanded and nothing outside the document is read;
//! * diagnostics name elements and attributes and never quote bodies or addresses.
//!
//! Source: Twilio docs, "TwiML for Programmable Messaging"; XML 1.0.
//!
//! ```
//! use twiml::messaging::{self, Verb};
//!
//! let body = b"<Response><Message>Hello</Message><Mesage>typo</Mesage></Response>";
//! let document = messaging::parse(body, Some("text/xml"))?;
//!
//! let [Verb::Message(message)] = &document.verbs[..] else { panic!("one message") };
//! assert_eq!(message.body, "Hello");
//! assert_eq!(document.diagnostics[0].code, 12200);
//! # Ok::<(), twiml::Fatal>(())
//! ```

mod diagnostic;
mod link;
pub mod messaging;
mod method;
mod source;
pub mod voice;
mod xml;

pub use diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Fatal};
pub use method::Method;
pub use source::BODY_BYTES_MAX;

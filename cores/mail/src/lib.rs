//! Mail messages without I/O: composed (RFC 5322, 2045), their links rewritten, and read again: bounces (RFC 3464), complaints (RFC 5965), what people write.
//!
//! It deliberately knows no network, clock or randomness: dates and boundaries are passed in.
//! Invariant: no value that is passed in can begin a header of its own.

mod address;
mod compose;
mod html;
mod incoming;
mod report;

pub use address::{domain_of, is_address, is_domain};
pub use compose::{Attachment, Body, Mailbox, Message};
pub use html::{plain_text, rewrite_links, with_before_end};
pub use incoming::{Incoming, Part, read};
pub use report::{Report, report};

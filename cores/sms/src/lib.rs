//! What a text message is on the air: its alphabet, its segments, its opt-out keyword.
//!
//! The crate answers four questions about a body: how many segments it takes ([`segments`]),
//! which text each of them carries ([`split`]), how it looks with typographic characters replaced
//! by GSM ones ([`smart_encode`]), and whether it is an opt-out keyword ([`keyword()`]). [`gsm`]
//! holds the GSM 7-bit alphabet itself.
//!
//! It does not send anything, build concatenation headers, pack septets into octets, know what a
//! segment costs in money, or remember who opted out.
//!
//! Invariants, held by property tests:
//! * every function is total: no input panics;
//! * `split(body).concat() == body`, and it has exactly `segments(body).count` parts;
//! * a part of a concatenated message never holds more than 153 septets or 67 UTF-16 units;
//! * `gsm::decode(&gsm::encode(text)?) == text`;
//! * counting a body of GSM characters allocates nothing.
//!
//! ```
//! use sms::{Encoding, Keyword, keyword, segments, smart_encode, split};
//!
//! let cost = segments("It’s ready");
//! assert_eq!((cost.encoding, cost.count, cost.units), (Encoding::Ucs2, 1, 10));
//! assert_eq!(segments(&smart_encode("It’s ready")).encoding, Encoding::Gsm7);
//!
//! assert_eq!(split(&"a".repeat(200)).len(), 2);
//! assert_eq!(keyword(" stop\n"), Some(Keyword::Stop));
//! ```

pub mod gsm;
mod keyword;
mod segment;
mod smart;

pub use keyword::{Keyword, keyword, keywords};
pub use segment::{Encoding, Segmentation, segments, split};
pub use smart::smart_encode;

//! The words every layer shares: SIDs, timestamps, the error table.
//!
//! This crate does no I/O, reads no clock and draws no randomness: callers pass
//! time and random bits in. It knows nothing of HTTP beyond status numbers.
//!
//! Invariants:
//! * a [`Sid`] is always two ASCII capitals and 128 bits; its text form is 34 characters;
//! * a [`Timestamp`] is microseconds since the Unix epoch, UTC;
//! * an [`ApiError`] carries a code that is a row of [`error_table`].
//!
//! ```
//! use kernel::{Sid, Timestamp};
//! let at = Timestamp::parse("2024-02-29T12:00:00Z").unwrap();
//! assert_eq!(at.rfc2822(), "Thu, 29 Feb 2024 12:00:00 +0000");
//! let sid: Sid = "AC0123456789abcdef0123456789ABCDEF".parse().unwrap();
//! assert_eq!(sid.to_string(), "AC0123456789abcdef0123456789abcdef");
//! ```

mod error;
pub mod error_table;
mod redact;
mod sid;
mod time;
mod wall_clock;

pub use error::{ApiError, ErrorRow, Level, lookup};
pub use redact::{HIDDEN, Redacted, Secret, is_secret, without_password};
pub use sid::{Sid, SidError, SidGenerator};
pub use time::{Timestamp, TimestampError};
pub use wall_clock::WallClock;

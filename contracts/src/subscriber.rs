//! What a data source knows of the person behind a number.

use kernel::Timestamp;

use crate::{BoxFuture, Line, Unavailable};

/// What is known; `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscriber {
    pub line: Option<Line>,
    pub caller: Option<Caller>,
    pub status: Option<LineStatus>,
    pub is_forwarding: Option<bool>,
    /// When the SIM was last changed; the inner `None`: never.
    pub sim_swapped_at: Option<Option<Timestamp>>,
    /// When the number last went to somebody else; the inner `None`: never.
    pub reassigned_at: Option<Option<Timestamp>>,
    pub person: Option<Person>,
    pub pumping: Option<Pumping>,
}

/// What a called phone shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub is_business: bool,
}

/// Whether a line can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStatus {
    Active,
    Inactive,
    Reachable,
    Unreachable,
}

/// Who a number belongs to; what is empty is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub first_name: String,
    pub last_name: String,
    pub address_line: String,
    pub city: String,
    pub state: String,
    pub postal_code: String,
    /// ISO code.
    pub country: String,
    pub national_id: String,
    /// `YYYYMMDD`.
    pub date_of_birth: String,
}

/// How likely messages to a number are sent for their fee only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pumping {
    /// 0 to 100.
    pub score: u8,
    pub blocked_at: Option<Timestamp>,
}

/// Implemented by networks and data sources.
pub trait Subscribers: Send + Sync {
    /// What is known of an E.164 number.
    fn subscriber<'a>(&'a self, number: &'a str) -> BoxFuture<'a, Result<Subscriber, Unavailable>>;
}

//! The few types that both databases store.

use kernel::{Sid, Timestamp};

/// A column or parameter. Timestamps are microseconds in `Int`; JSON is `Text`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<Sid> for Value {
    fn from(value: Sid) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.as_micros())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer, by column position.
///
/// The getters state what the schema guarantees: asking for another type than
/// the column has is a bug of the statement and panics with its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    pub fn value(&self, at: usize) -> &Value {
        &self.0[at]
    }

    pub fn opt_text(&self, at: usize) -> Option<&str> {
        match &self.0[at] {
            Value::Null => None,
            Value::Text(text) => Some(text),
            other => panic!("column {at} is {other:?}, not text"),
        }
    }

    pub fn text(&self, at: usize) -> &str {
        self.opt_text(at).unwrap_or_else(|| panic!("column {at} is null, not text"))
    }

    pub fn opt_int(&self, at: usize) -> Option<i64> {
        match &self.0[at] {
            Value::Null => None,
            Value::Int(int) => Some(*int),
            other => panic!("column {at} is {other:?}, not an integer"),
        }
    }

    pub fn int(&self, at: usize) -> i64 {
        self.opt_int(at).unwrap_or_else(|| panic!("column {at} is null, not an integer"))
    }

    pub fn opt_blob(&self, at: usize) -> Option<&[u8]> {
        match &self.0[at] {
            Value::Null => None,
            Value::Blob(bytes) => Some(bytes),
            other => panic!("column {at} is {other:?}, not bytes"),
        }
    }

    pub fn blob(&self, at: usize) -> &[u8] {
        self.opt_blob(at).unwrap_or_else(|| panic!("column {at} is null, not bytes"))
    }

    pub fn time(&self, at: usize) -> Timestamp {
        Timestamp::from_micros(self.int(at))
    }

    pub fn opt_time(&self, at: usize) -> Option<Timestamp> {
        self.opt_int(at).map(Timestamp::from_micros)
    }

    /// The SID in a column that only ever holds SIDs.
    pub fn sid(&self, at: usize) -> Sid {
        self.text(at).parse().unwrap_or_else(|_| panic!("column {at} holds no SID"))
    }
}

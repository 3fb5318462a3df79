//! One error shape for the wire, and the table it draws from.

use serde_json::{Map, Value};

use crate::error_table::ROWS;

/// How the debugger ranks a code. A warning never fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// One row of the error table.
#[derive(Clone, Copy, Debug)]
pub struct ErrorRow {
    pub code: u32,
    /// HTTP status of the API answer that carries the code; 0 when none does.
    pub status: u16,
    pub level: Level,
    /// What it means, in our words.
    pub title: &'static str,
}

/// Codes after which the same thing may succeed later, unchanged; every other is permanent.
const TRANSIENT: &[u32] = &[
    11200, 11201, 11202, 11203, 11205, 11210, 11220, 20429, 20503, 21611, 30001, 30003, 30017,
    30020, 30021, 30022, 30023, 30027, 30035, 60410, 60613, 60616, 63009, 63012, 63017, 63018,
    63038, 63041,
];

impl ErrorRow {
    /// Whether the same thing may succeed later, unchanged.
    pub fn is_transient(&self) -> bool {
        TRANSIENT.binary_search(&self.code).is_ok()
    }
}

/// The row of `code`, if the table has it.
pub fn lookup(code: u32) -> Option<&'static ErrorRow> {
    ROWS.binary_search_by_key(&code, |row| row.code).ok().map(|at| &ROWS[at])
}

/// An error as the REST API answers it: `{code, message, more_info, status}`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub code: u32,
    pub status: u16,
    /// Names the parameter and the fix.
    pub message: String,
    /// Extra members for the `details` object; absent when empty.
    pub details: Map<String, Value>,
}

impl ApiError {
    /// An error with the status the table gives for `code` (500 if it gives none).
    ///
    /// # Panics
    /// When `code` is not in the table: an unknown code must not reach the wire.
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        let Some(row) = lookup(code) else { panic!("{code} is not a row of the error table") };
        let status = if row.status == 0 { 500 } else { row.status };
        Self { code, status, message: message.into(), details: Map::new() }
    }

    /// The same error under another HTTP status, where a product deviates from the table.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a member to `details`.
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// 20404 / 404 for `path`, which is the request's path without host.
    pub fn not_found(path: &str) -> Self {
        Self::new(20404, format!("The requested resource {path} was not found"))
    }

    /// 20001 / 400: a product API misses a required parameter.
    pub fn missing(parameter: &str) -> Self {
        Self::new(20001, format!("Missing required parameter {parameter} in the post body"))
    }

    /// 20500 / 500. `error_id` is what the log names too.
    pub fn internal(error_id: &str) -> Self {
        Self::new(20500, format!("An internal error occurred; quote error id {error_id}"))
    }

    /// Where the code is explained.
    pub fn more_info(&self) -> String {
        format!("https://www.twilio.com/docs/errors/{}", self.code)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_codes_are_rows_in_order() {
        assert!(TRANSIENT.is_sorted());
        for code in TRANSIENT {
            assert!(lookup(*code).is_some_and(ErrorRow::is_transient), "{code}");
        }
        for permanent in [21211, 21610, 30005, 30006, 30007, 30034, 63016] {
            assert!(!lookup(permanent).is_some_and(ErrorRow::is_transient), "{permanent}");
        }
    }

    #[test]
    fn table_is_sorted_and_unique() {
        assert!(ROWS.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(ROWS.len() > 1900);
    }

    #[test]
    fn statuses_come_from_the_table() {
        for (code, status) in [(20003, 401), (20404, 404), (21211, 400), (21701, 404), (20429, 429)]
        {
            assert_eq!(ApiError::new(code, "").status, status, "{code}");
        }
    }
}

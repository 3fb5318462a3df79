//! Why a template is refused.

/// A row of the error table with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: u32,
    /// Names the field and the fix.
    pub why: String,
}

impl Fault {
    pub fn new(code: u32, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.why)
    }
}

impl std::error::Error for Fault {}

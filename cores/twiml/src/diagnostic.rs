//! What is wrong with a document, said to the person who wrote it.

use std::fmt;

/// Diagnostics kept of one document; those after it are dropped, since the first ones are what a
/// person fixes first.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Characters of a message, so that an absurd element name cannot make an absurd message.
const MESSAGE_CHARS_MAX: usize = 300;

/// Something in a document that was ignored or replaced by its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The Twilio error code, such as 12200.
    pub code: u32,
    /// Line in the body, from 1. Line 1, column 1 also stands for the body as a whole.
    pub line: u32,
    /// Character in the line, from 1.
    pub column: u32,
    /// What is wrong and how to put it right; at most 300 characters.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn new(code: u32, at: roxmltree::TextPos, message: &str) -> Self {
        let message = message.chars().take(MESSAGE_CHARS_MAX).collect();
        Self { code, line: at.row, column: at.col, message }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}: {}", self.code, self.line, self.column, self.message)
    }
}

/// Why a document cannot be used at all:
///
/// | code | |
/// |---|---|
/// | 11750 | larger than 64 kB |
/// | 12100 | not well-formed XML, not readable in its character set, or with a DTD |
/// | 12101 | XML or TwiML version other than 1.0 |
/// | 12102 | the root element is not `<Response>` |
/// | 12300 | a content type that holds no TwiML |
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub Diagnostic);

impl Fatal {
    /// The Twilio error code: `ErrorCode` for the fallback URL.
    pub fn code(&self) -> u32 {
        self.0.code
    }

    pub(crate) fn at(code: u32, at: roxmltree::TextPos, message: &str) -> Self {
        Self(Diagnostic::new(code, at, message))
    }

    /// About the body as a whole.
    pub(crate) fn whole(code: u32, message: &str) -> Self {
        Self::at(code, roxmltree::TextPos::new(1, 1), message)
    }
}

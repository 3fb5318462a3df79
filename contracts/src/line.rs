//! What networks know of a telephone line.

use crate::{BoxFuture, Unavailable};

/// What kind of line a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Mobile,
    Landline,
    Voip,
}

impl LineKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Landline => "landline",
            Self::Voip => "voip",
        }
    }
}

/// A line and who runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    pub carrier: String,
    /// Of a mobile network only.
    pub mobile_country_code: Option<String>,
    /// Of a mobile network only.
    pub mobile_network_code: Option<String>,
}

/// Implemented by networks that know lines.
pub trait Lines: Send + Sync {
    /// The line of an E.164 number.
    fn line<'a>(&'a self, number: &'a str) -> BoxFuture<'a, Result<Line, Unavailable>>;

    /// A request that came over the mobile data of `handset`: 0 when the network says that it is
    /// `number`'s, else a code of silent authentication (60001 to 60550).
    fn identify<'a>(
        &'a self,
        number: &'a str,
        handset: &'a str,
    ) -> BoxFuture<'a, Result<u32, Unavailable>>;
}

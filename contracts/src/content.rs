//! Templates that messages are made of.

use kernel::Sid;

use crate::{BoxFuture, Unavailable};

/// A Content template as its owner wrote it. The JSON is what `template::Template` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTemplate {
    pub language: String,
    /// JSON object: the defaults of the variables.
    pub variables: String,
    /// JSON object: the content types.
    pub types: String,
    /// `None` until it was submitted to WhatsApp.
    pub whatsapp: Option<ContentApproval>,
}

/// What WhatsApp says of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentApproval {
    /// The template's name at WhatsApp.
    pub name: String,
    /// `UTILITY`, `MARKETING` or `AUTHENTICATION`.
    pub category: String,
    /// `received`, `pending`, `approved`, `rejected`, `paused` or `disabled`.
    pub status: String,
}

/// Implemented by the content product.
pub trait ContentDirectory: Send + Sync {
    /// The template `content` (`HX…`) of `account`; `None` when there is none.
    fn template(
        &self,
        account: Sid,
        content: Sid,
    ) -> BoxFuture<'_, Result<Option<ContentTemplate>, Unavailable>>;
}

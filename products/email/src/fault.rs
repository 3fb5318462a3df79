//! Errors as SendGrid words them: `{"errors":[{"message","field","help"}]}`.

use serde_json::{Value, json};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub message: String,
    /// Dotted, with indexes: `personalizations.0.to.1.email`.
    pub field: Option<String>,
}

/// A refusal: its status and everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    pub items: Vec<Item>,
    /// The host and path that this version does not serve.
    pub is_unsupported: bool,
}

impl Fault {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let items = vec![Item { message: message.into(), field: None }];
        Self { status, items, is_unsupported: false }
    }

    /// 400 for one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let items = vec![Item { message: message.into(), field: Some(field.to_owned()) }];
        Self { status: 400, items, is_unsupported: false }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn not_found() -> Self {
        Self::new(404, "Resource not found")
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "The provided authorization grant is invalid, expired, or revoked")
    }

    pub fn forbidden() -> Self {
        Self::new(403, "access forbidden")
    }

    /// What this version does not do.
    pub fn unsupported(what: &str) -> Self {
        let message = format!(
            "{what} is not supported by this version of Offhook; docs/guides/email.md lists what is"
        );
        Self { is_unsupported: true, ..Self::new(404, message) }
    }

    pub fn json(&self) -> Value {
        let errors = self.items.iter().map(|item| {
            // Only the checks of mail/send have help.
            json!({"message": item.message, "field": item.field, "help": item.help()})
        });
        json!({"errors": errors.collect::<Vec<_>>()})
    }
}

impl Item {
    /// The page of the field, its indexes left out.
    fn help(&self) -> Option<String> {
        let field = self.field.as_deref()?;
        let names = field.split('.').filter(|part| part.parse::<u32>().is_err());
        let names: Vec<_> = names.collect();
        let page = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html";
        Some(format!("{page}#message.{}", names.join(".")))
    }
}

impl From<store::StoreError> for Fault {
    fn from(error: store::StoreError) -> Self {
        tracing::error!(%error, "email cannot reach the store");
        Self::new(503, "The service is overloaded or stopping; try again")
    }
}

impl From<contracts::Unavailable> for Fault {
    fn from(error: contracts::Unavailable) -> Self {
        tracing::error!(%error, "email cannot reach what it needs");
        Self::new(503, "The service is overloaded or stopping; try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_leaves_indexes_out() {
        let fault = Fault::field("personalizations.0.to.1.email", "x");
        let help = fault.json()["errors"][0]["help"].clone();
        assert!(help.as_str().unwrap().ends_with("errors.html#message.personalizations.to.email"));
        assert!(Fault::not_found().json()["errors"][0]["help"].is_null());
    }
}

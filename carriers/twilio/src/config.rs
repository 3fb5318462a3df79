//! What an operator says of the account.

use contracts::ConfigError;
use kernel::Secret;
use serde::Deserialize;

/// An account that carries messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `AC…`
    pub account_sid: String,
    pub auth_token: Secret,
    /// `https://api.twilio.com`, or the URL of another Offhook.
    #[serde(default = "usual_url")]
    pub base_url: String,
    /// `MG…`: this service of the account chooses the sender instead of ours.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
}

fn usual_url() -> String {
    "https://api.twilio.com".to_owned()
}

impl Config {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let is_sid = |prefix, text: &str| kernel::Sid::is_form(prefix, text);
        if !is_sid("AC", &self.account_sid) {
            let why =
                format!("account_sid {:?} is not a SID that begins with AC", self.account_sid);
            return Err(ConfigError(why));
        }
        if self.auth_token.0.is_empty() {
            return Err(ConfigError("auth_token is empty".into()));
        }
        if !self.base_url.starts_with("http") || self.base_url.ends_with('/') {
            let why =
                format!("base_url {:?} must be a URL without a slash at its end", self.base_url);
            return Err(ConfigError(why));
        }
        match &self.messaging_service_sid {
            Some(service) if !is_sid("MG", service) => Err(ConfigError(format!(
                "messaging_service_sid {service:?} is not a SID that begins with MG"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named_and_a_secret_is_not_shown() {
        let parse = |text: &str| {
            let text = format!("auth_token = 'geheim'\n{text}");
            toml::from_str::<Config>(&text).map_err(|error| error.to_string())
        };
        let sid = "account_sid = 'AC00000000000000000000000000000001'";
        let fine = parse(sid).unwrap();
        assert_eq!((fine.validate(), &*fine.base_url), (Ok(()), "https://api.twilio.com"));
        assert!(!format!("{fine:?}").contains("geheim"));
        for (text, name) in [
            ("account_sid = 'AC1'".to_owned(), "account_sid"),
            (format!("{sid}\nbase_url = 'api.twilio.com'"), "base_url"),
            (format!("{sid}\nmessaging_service_sid = 'x'"), "messaging_service_sid"),
        ] {
            assert!(parse(&text).unwrap().validate().unwrap_err().0.contains(name), "{text}");
        }
        assert!(parse(&format!("{sid}\nunknown = 1")).unwrap_err().contains("unknown"));
    }
}

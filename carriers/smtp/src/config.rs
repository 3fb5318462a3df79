//! What an operator says of mail.

use std::net::SocketAddr;
use std::path::PathBuf;

use contracts::ConfigError;
use kernel::Secret;
use serde::Deserialize;

/// `[carriers.smtp]`; docs/guides/email.md describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this server calls itself: a name that its address resolves to, and back.
    pub hostname: String,
    /// False: mail goes to the simulated mailboxes, and only the listeners work.
    #[serde(default = "yes")]
    pub deliver: bool,
    /// Takes everything; without one, each domain's own servers are looked up.
    #[serde(default)]
    pub smarthost: Option<Smarthost>,
    #[serde(default = "usual_connections")]
    pub connections_per_domain: usize,
    /// Where programs hand mail over and the Internet writes to.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// PEM files of the listeners' TLS.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    #[serde(default = "usual_sessions")]
    pub sessions_max: usize,
}

/// Another server that takes mail for everybody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smarthost {
    pub host: String,
    pub port: u16,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// False: in clear. Only for a server on this machine or network.
    #[serde(default = "yes")]
    pub tls: bool,
}

fn yes() -> bool {
    true
}

fn usual_connections() -> usize {
    4
}

fn usual_sessions() -> usize {
    100
}

impl Config {
    /// A listener for this machine's programs, and nothing that goes out.
    pub fn development() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            deliver: false,
            smarthost: None,
            connections_per_domain: usual_connections(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            certificate_file: None,
            key_file: None,
            sessions_max: usual_sessions(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |why: String| Err(ConfigError(why));
        let is_name = |name: &str| name == "localhost" || mail::is_domain(name);
        if !is_name(&self.hostname) {
            return wrong(format!("hostname {:?} is no domain name", self.hostname));
        }
        if !(1..=1000).contains(&self.connections_per_domain) {
            return wrong("connections_per_domain must be from 1 to 1000".into());
        }
        if !(1..=10_000).contains(&self.sessions_max) {
            return wrong("sessions_max must be from 1 to 10000".into());
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return wrong("certificate_file and key_file go together".into());
        }
        let Some(smarthost) = &self.smarthost else { return Ok(()) };
        if smarthost.username.is_some() != smarthost.password.is_some() {
            return wrong("smarthost.username and smarthost.password go together".into());
        }
        if smarthost.username.is_some() && !smarthost.tls {
            return wrong("smarthost.password needs smarthost.tls: it would go in clear".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_named() {
        let check = |text: &str| {
            let config: Result<Config, _> =
                toml::from_str(&format!("hostname = 'mx.example.com'\n{text}"));
            config
                .map_err(|error| error.to_string())
                .and_then(|config| config.validate().map_err(|error| error.0))
        };
        assert_eq!(check(""), Ok(()));
        for (text, name) in [
            ("connections_per_domain = 0", "connections_per_domain"),
            ("key_file = 'x'", "certificate_file"),
            ("[smarthost]\nhost = 'x'\nport = 25\nusername = 'u'", "smarthost.password"),
            (
                "[smarthost]\nhost = 'x'\nport = 25\nusername = 'u'\npassword = 'p'\ntls = false",
                "in clear",
            ),
            ("unknown = 1", "unknown"),
        ] {
            assert!(check(text).unwrap_err().contains(name), "{text}");
        }
    }
}

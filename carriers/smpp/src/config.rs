//! What the operator writes, and what is wrong with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kernel::Secret;
use serde::Deserialize;
use smpp::address::ShortCodeForm;
use smpp::coding::Alphabet;
use smpp::long::LongForm;
use smpp::pdu::Mode;
use smpp::receipt::IdForm;
use smpp::session::Limits;

/// Everything about SMPP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// SMSCs to bind to.
    #[serde(default)]
    pub binds: Vec<Bind>,
    /// Where applications bind to us.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// How long a message is remembered for its receipts and its repetitions, 1 to 720.
    #[serde(default = "default_retention_hours")]
    pub retention_hours: u32,
}

/// One account at an SMSC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Lower-case letters, digits and `-`, unique; part of what is kept, so it stays.
    pub name: String,
    /// Name or address.
    pub host: String,
    pub port: u16,
    /// Absent: plain TCP.
    pub tls: Option<ClientTls>,
    #[serde(default)]
    pub mode: BindMode,
    /// 15 octets at most.
    pub system_id: String,
    /// 8 octets at most.
    #[serde(default)]
    pub password: Secret,
    /// 12 octets at most.
    #[serde(default)]
    pub system_type: String,
    /// Connections of each mode, 1 to 32.
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// Prefixes of the numbers that go here; the longest prefix of all binds wins.
    /// None: every number.
    #[serde(default)]
    pub to: Vec<String>,
    /// Unanswered messages on a connection, 1 to 1000.
    #[serde(default = "default_window")]
    pub window: u32,
    /// Messages per second on a connection; 0 is no limit.
    #[serde(default)]
    pub rate_per_second: u32,
    /// 1 to 25: a submission waits twice as long at most, within a job's 55 seconds.
    #[serde(default = "default_response_timeout")]
    pub response_timeout_seconds: u32,
    /// Silence before `enquire_link`, 5 to 3600.
    #[serde(default = "default_enquire_link")]
    pub enquire_link_seconds: u32,
    #[serde(default)]
    pub long_messages: Long,
    /// What data coding 0 means at this SMSC.
    #[serde(default)]
    pub alphabet: DefaultAlphabet,
    #[serde(default)]
    pub receipt_ids: ReceiptIds,
    /// What the clock of the SMSC's receipts is ahead of UTC, -840 to 840.
    #[serde(default)]
    pub receipt_utc_offset_minutes: i32,
    /// The SMSC's own `err:` values and the 30xxx each means.
    #[serde(default)]
    pub error_codes: BTreeMap<String, u32>,
    /// `source_addr_ton` and `npi` of short codes, 0 to 6 and 0 to 18.
    #[serde(default = "default_short_code_ton")]
    pub short_code_ton: u8,
    #[serde(default)]
    pub short_code_npi: u8,
    /// 5 octets at most.
    #[serde(default)]
    pub service_type: String,
}

/// Where applications bind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub listen: SocketAddr,
    /// Absent: plain TCP.
    pub tls: Option<ServerTls>,
    /// Our name in `bind_resp`, 15 octets at most.
    #[serde(default = "default_system_id")]
    pub system_id: String,
    /// Connections at once, 1 to 10000.
    #[serde(default = "default_sessions")]
    pub sessions_max: u32,
    /// Messages of an application that are not answered yet, and of ours to it, 1 to 1000.
    #[serde(default = "default_listener_window")]
    pub window: u32,
    #[serde(default = "default_response_timeout")]
    pub response_timeout_seconds: u32,
    #[serde(default = "default_enquire_link")]
    pub enquire_link_seconds: u32,
    /// How long messages are sent to applications.
    #[serde(default)]
    pub long_messages: Long,
    /// What data coding 0 means to the applications.
    #[serde(default)]
    pub alphabet: DefaultAlphabet,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// PEM; its certificates are the only ones trusted. Absent: the public roots.
    pub ca_file: Option<PathBuf>,
    /// The name in the certificate, when it is not `host`.
    pub server_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM, the server's certificate first.
    pub certificate_file: PathBuf,
    /// PEM.
    pub key_file: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindMode {
    #[default]
    Transceiver,
    Transmitter,
    Receiver,
    /// A transmitter and a receiver that share their message ids.
    TransmitterAndReceiver,
}

impl BindMode {
    pub(crate) fn modes(self) -> &'static [Mode] {
        match self {
            Self::Transceiver => &[Mode::Transceiver],
            Self::Transmitter => &[Mode::Transmitter],
            Self::Receiver => &[Mode::Receiver],
            Self::TransmitterAndReceiver => &[Mode::Transmitter, Mode::Receiver],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Long {
    #[default]
    #[serde(rename = "udh-8")]
    Udh8,
    #[serde(rename = "udh-16")]
    Udh16,
    Sar,
    Payload,
}

impl Long {
    pub(crate) fn form(self) -> LongForm {
        match self {
            Self::Udh8 => LongForm::Udh8,
            Self::Udh16 => LongForm::Udh16,
            Self::Sar => LongForm::Sar,
            Self::Payload => LongForm::Payload,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultAlphabet {
    #[default]
    Gsm,
    Latin1,
    Ascii,
}

impl DefaultAlphabet {
    pub(crate) fn alphabet(self) -> Alphabet {
        match self {
            Self::Gsm => Alphabet::Gsm,
            Self::Latin1 => Alphabet::Latin1,
            Self::Ascii => Alphabet::Ascii,
        }
    }
}

/// How receipts write the id, compared with the answer to `submit_sm`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptIds {
    #[default]
    Auto,
    Same,
    HexThenDecimal,
    DecimalThenHex,
}

impl ReceiptIds {
    pub(crate) fn form(self) -> IdForm {
        match self {
            Self::Auto => IdForm::Auto,
            Self::Same => IdForm::Same,
            Self::HexThenDecimal => IdForm::HexThenDecimal,
            Self::DecimalThenHex => IdForm::DecimalThenHex,
        }
    }
}

fn default_retention_hours() -> u32 {
    96
}

fn default_connections() -> u32 {
    1
}

fn default_window() -> u32 {
    10
}

fn default_listener_window() -> u32 {
    100
}

fn default_response_timeout() -> u32 {
    10
}

fn default_enquire_link() -> u32 {
    30
}

fn default_short_code_ton() -> u8 {
    3
}

fn default_system_id() -> String {
    "offhook".to_owned()
}

fn default_sessions() -> u32 {
    100
}

impl Default for Config {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            listeners: Vec::new(),
            retention_hours: default_retention_hours(),
        }
    }
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {why}")]
pub struct ConfigError {
    /// As in the file: `binds[0].password`.
    pub parameter: String,
    pub why: String,
}

pub(crate) fn wrong(parameter: impl Into<String>, why: impl Into<String>) -> ConfigError {
    ConfigError { parameter: parameter.into(), why: why.into() }
}

impl Config {
    /// Names the first parameter that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("retention_hours", self.retention_hours.into(), 1, 720)?;
        for (at, bind) in self.binds.iter().enumerate() {
            let path = format!("binds[{at}]");
            bind.validate(&path)?;
            if self.binds[..at].iter().any(|other| other.name == bind.name) {
                return Err(wrong(format!("{path}.name"), "another bind has this name"));
            }
        }
        let mut listeners = self.listeners.iter().enumerate();
        listeners.try_for_each(|(at, listener)| listener.validate(&format!("listeners[{at}]")))
    }
}

impl Bind {
    fn validate(&self, path: &str) -> Result<(), ConfigError> {
        let of = |field: &str| format!("{path}.{field}");
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(is_name) {
            let why = "use 1 to 40 lower-case letters, digits and -";
            return Err(wrong(of("name"), why));
        }
        if self.host.is_empty() {
            return Err(wrong(of("host"), "is empty"));
        }
        within(&of("port"), self.port.into(), 1, 65_535)?;
        text(&of("system_id"), &self.system_id, 1, 15)?;
        text(&of("password"), &self.password.0, 0, 8)?;
        text(&of("system_type"), &self.system_type, 0, 12)?;
        text(&of("service_type"), &self.service_type, 0, 5)?;
        within(&of("connections"), self.connections.into(), 1, 32)?;
        within(&of("window"), self.window.into(), 1, 1_000)?;
        within(&of("response_timeout_seconds"), self.response_timeout_seconds.into(), 1, 25)?;
        within(&of("enquire_link_seconds"), self.enquire_link_seconds.into(), 5, 3_600)?;
        let offset = self.receipt_utc_offset_minutes.into();
        within(&of("receipt_utc_offset_minutes"), offset, -840, 840)?;
        within(&of("short_code_ton"), self.short_code_ton.into(), 0, 6)?;
        within(&of("short_code_npi"), self.short_code_npi.into(), 0, 18)?;
        for prefix in &self.to {
            let digits = prefix.strip_prefix('+').unwrap_or(prefix);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong(of("to"), format!("{prefix:?} is not a prefix like +49")));
            }
        }
        for (error, code) in &self.error_codes {
            if kernel::lookup(*code).is_none() {
                let why = format!("{code} is not in the error table");
                return Err(wrong(of(&format!("error_codes.{error}")), why));
            }
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            window_out: self.window as usize,
            rate_out: self.rate_per_second,
            response_timeout: Duration::from_secs(self.response_timeout_seconds.into()),
            enquire_after: Duration::from_secs(self.enquire_link_seconds.into()),
            ..Limits::default()
        }
    }

    pub(crate) fn short_code(&self) -> ShortCodeForm {
        ShortCodeForm { ton: self.short_code_ton, npi: self.short_code_npi }
    }
}

impl Listener {
    fn validate(&self, path: &str) -> Result<(), ConfigError> {
        let of = |field: &str| format!("{path}.{field}");
        text(&of("system_id"), &self.system_id, 1, 15)?;
        within(&of("sessions_max"), self.sessions_max.into(), 1, 10_000)?;
        within(&of("window"), self.window.into(), 1, 1_000)?;
        within(&of("response_timeout_seconds"), self.response_timeout_seconds.into(), 1, 25)?;
        within(&of("enquire_link_seconds"), self.enquire_link_seconds.into(), 5, 3_600)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            window_out: self.window as usize,
            window_in: self.window as usize,
            response_timeout: Duration::from_secs(self.response_timeout_seconds.into()),
            enquire_after: Duration::from_secs(self.enquire_link_seconds.into()),
            ..Limits::default()
        }
    }
}

fn within(parameter: &str, value: i64, least: i64, most: i64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(wrong(parameter, format!("{value} is not between {least} and {most}")))
}

fn text(parameter: &str, value: &str, least: usize, most: usize) -> Result<(), ConfigError> {
    if !value.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return Err(wrong(parameter, "has characters that are not printable ASCII"));
    }
    if (least..=most).contains(&value.len()) {
        return Ok(());
    }
    Err(wrong(parameter, format!("has {} octets, not {least} to {most}", value.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(more: &str) -> Result<Config, String> {
        let text = format!(
            "[[binds]]\nname = 'a'\nhost = 'smsc.example'\nport = 2775\nsystem_id = 'me'\n{more}"
        );
        let config: Config = toml::from_str(&text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_bind_needs_four_lines_and_every_parameter_is_named_when_wrong() {
        let config = bind("password = 'secret'").unwrap();
        assert_eq!(config.binds[0].window, 10);
        assert!(!format!("{config:?}").contains("secret"));
        let table = [
            ("password = 'too-long-for-smpp'", "binds[0].password: has 17 octets, not 0 to 8"),
            ("window = 0", "binds[0].window: 0 is not between 1 and 1000"),
            ("connections = 33", "binds[0].connections: 33 is not between 1 and 32"),
            ("to = ['Germany']", "binds[0].to: \"Germany\" is not a prefix like +49"),
            ("error_codes = { 01F = 1 }", "binds[0].error_codes.01F: 1 is not in the error table"),
            (
                "[[binds]]\nname = 'a'\nhost = 'b'\nport = 1\nsystem_id = 'x'",
                "binds[1].name: another bind has this name",
            ),
            (
                "[[listeners]]\nlisten = '127.0.0.1:2775'\nsessions_max = 0",
                "listeners[0].sessions_max: 0 is not between 1 and 10000",
            ),
        ];
        for (more, error) in table {
            assert_eq!(bind(more).unwrap_err(), error);
        }
        assert!(bind("windows = 3").unwrap_err().contains("unknown field"));
        assert!(bind("long_messages = 'udh-16'\nmode = 'transmitter-and-receiver'").is_ok());
    }
}

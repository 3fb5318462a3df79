//! One message to a NATS server (the client protocol, docs.nats.io "Client protocol").
//!
//! A connection per message: connect, publish, and a PING whose PONG says that the server has
//! read what came before it. Subjects of a stream (JetStream) keep it; others hand it to who
//! listens now.

use std::time::Duration;

use base64::Engine;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout_at};

use crate::client::Client;
use crate::connect::{Stream, connect};
use crate::fault::Fault;
use crate::target::Target;

/// Connecting, publishing and the server's word that it has it.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A line of the server's.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsError {
    /// The server refused it: its permissions, its size. Trying again does not help.
    Refused(String),
    /// Not reached, or silent.
    Unreachable(String),
}

impl std::fmt::Display for NatsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the NATS server refused: {why}"),
            Self::Unreachable(why) => write!(f, "the NATS server was not reached: {why}"),
        }
    }
}

impl std::error::Error for NatsError {}

impl From<Fault> for NatsError {
    fn from(fault: Fault) -> Self {
        Self::Unreachable(fault.message)
    }
}

/// Checks an address such as `nats://user:password@broker.example:4222`, or `nats://token@…`.
///
/// # Errors
/// Why it is none.
pub fn check_nats_url(url: &str) -> Result<(), String> {
    match target(url) {
        Ok(_) => Ok(()),
        Err(_) if url.starts_with("tls://") => {
            Err("TLS to NATS is not supported; use nats:// within your network".to_owned())
        }
        Err(_) => Err(format!("'{url}' is no address such as nats://broker.example:4222")),
    }
}

/// Whether a message can be published under this: words joined by dots, none of them a wildcard.
pub fn is_nats_subject(subject: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'>'))
    };
    subject.len() <= 256 && subject.split('.').all(is_word)
}

/// The address in the form in which others are checked and connected to.
fn target(url: &str) -> Result<Target, Fault> {
    let rest = url.strip_prefix("nats://").ok_or_else(|| Fault::new(11100, "not nats://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if has_port { "" } else { ":4222" };
    Target::parse(&format!("http://{authority}{port}/"))
}

/// What a client says of itself.
fn greeting(target: &Target) -> String {
    let mut options = vec![
        ("verbose", "false".to_owned()),
        ("pedantic", "false".to_owned()),
        ("tls_required", "false".to_owned()),
        ("lang", "\"rust\"".to_owned()),
        ("version", format!("\"{}\"", env!("CARGO_PKG_VERSION"))),
        ("name", "\"offhook\"".to_owned()),
    ];
    if let Some(login) = target.basic_authorization().and_then(|header| {
        let encoded = header.strip_prefix("Basic ")?.to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        String::from_utf8(bytes).ok()
    }) {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match login.split_once(':') {
            Some((token, "")) => options.push(("auth_token", quoted(token))),
            Some((user, password)) => {
                options.push(("user", quoted(user)));
                options.push(("pass", quoted(password)));
            }
            None => options.push(("auth_token", quoted(&login))),
        }
    }
    let members: Vec<_> =
        options.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("CONNECT {{{}}}\r\n", members.join(","))
}

impl Client {
    /// Publishes one message; the server has read it when this returns.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub async fn publish(&self, url: &str, subject: &str, payload: &[u8]) -> Result<(), NatsError> {
        if !is_nats_subject(subject) {
            return Err(NatsError::Refused(format!("'{subject}' is no subject")));
        }
        let deadline = Instant::now() + TIME_MAX;
        let target = target(url)?;
        let stream = connect(&target, &self.policy, &self.tls, deadline).await?;
        let told = timeout_at(deadline, tell(stream, &target, subject, payload)).await;
        told.unwrap_or_else(|_| Err(NatsError::Unreachable("no answer in time".to_owned())))
    }
}

async fn tell(
    stream: Stream,
    target: &Target,
    subject: &str,
    payload: &[u8],
) -> Result<(), NatsError> {
    let broken = |error: std::io::Error| NatsError::Unreachable(error.to_string());
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read);
    let mut line = String::new();
    let mut has_published = false;
    loop {
        line.clear();
        let mut bounded = tokio::io::AsyncReadExt::take(&mut lines, LINE_BYTES_MAX as u64);
        if bounded.read_line(&mut line).await.map_err(broken)? == 0 {
            return Err(NatsError::Unreachable("the connection ended".to_owned()));
        }
        match line.split_ascii_whitespace().next().unwrap_or_default() {
            "INFO" if !has_published => {
                let mut message = greeting(target).into_bytes();
                message.extend(format!("PUB {subject} {}\r\n", payload.len()).into_bytes());
                message.extend(payload);
                message.extend(b"\r\nPING\r\n");
                write.write_all(&message).await.map_err(broken)?;
                write.flush().await.map_err(broken)?;
                has_published = true;
            }
            "PING" => write.write_all(b"PONG\r\n").await.map_err(broken)?,
            "PONG" if has_published => return Ok(()),
            "-ERR" => {
                let why = line.trim_start_matches("-ERR").trim().trim_matches('\'');
                return Err(NatsError::Refused(why.to_owned()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_subjects_are_checked() {
        for (url, fine) in [
            ("nats://127.0.0.1:4222", true),
            ("nats://broker.example", true),
            ("nats://user:pass@broker.example:4222", true),
            ("tls://broker.example", false),
            ("http://broker.example", false),
            ("nats://", false),
        ] {
            assert_eq!(check_nats_url(url).is_ok(), fine, "{url}");
        }
        for (subject, fine) in [
            ("offhook.events", true),
            ("a", true),
            ("", false),
            ("a..b", false),
            ("a.*", false),
            ("a b", false),
            ("a\r\nPUB", false),
        ] {
            assert_eq!(is_nats_subject(subject), fine, "{subject}");
        }
    }

    #[test]
    fn a_login_is_told_in_the_greeting() {
        let told = |url: &str| greeting(&target(url).unwrap());
        assert!(!told("nats://h").contains("pass"));
        assert!(told("nats://ada:s%22x@h").contains(r#""user":"ada","pass":"s\"x""#));
        assert!(told("nats://secret@h").contains(r#""auth_token":"secret""#));
    }
}

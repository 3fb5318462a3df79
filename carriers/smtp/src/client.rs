//! One attempt to hand a mail over (RFC 5321 §3.3).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::{MailAttempt, MailRefusal, OutboundMail};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Smtp;
use crate::config::Smarthost;
use crate::dns::Servers;

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The whole conversation; a job has less than a minute.
const ATTEMPT_TIME: Duration = Duration::from_secs(45);
const ADDRESSES_MAX: usize = 4;
const LINE_MAX: u64 = 4096;
const LINES_MAX: usize = 64;

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What a server said.
struct Said {
    code: u16,
    text: String,
}

/// How an attempt ends before the mail is taken.
enum End {
    /// The server said no, at the stage that is named.
    Said(Said, Stage),
    /// The conversation broke off.
    Broken(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server takes nothing at all from us.
    Greeting,
    /// Of the connection or sender: not the reader's fault.
    Sender,
    Recipient,
    Content,
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

type Stream = BufReader<Box<dyn Io>>;

impl Smtp {
    pub(crate) async fn attempt(&self, mail: &OutboundMail, domain: &str) -> MailAttempt {
        let hosts = match &self.config.smarthost {
            Some(smarthost) => vec![(smarthost.host.clone(), smarthost.port)],
            None => match self.dns.servers(domain, &mail.id).await {
                Ok(Servers::Hosts(hosts)) => {
                    hosts.into_iter().map(|host| (host, self.port)).collect()
                }
                Ok(Servers::None { status, why }) => {
                    return MailAttempt::Refused(MailRefusal {
                        status: status.to_owned(),
                        reason: format!("550 {status} {domain}: {why}"),
                        ip: None,
                        is_block: false,
                    });
                }
                Err(error) => return MailAttempt::Deferred { response: error.0, ip: None },
            },
        };
        let tried = tokio::time::timeout(ATTEMPT_TIME, self.try_hosts(mail, &hosts)).await;
        tried.unwrap_or_else(|_| MailAttempt::Deferred {
            response: "the conversation took too long".into(),
            ip: None,
        })
    }

    /// One after the other, best first, until one takes the mail or refuses it for good
    /// (RFC 5321 §5.1).
    async fn try_hosts(&self, mail: &OutboundMail, hosts: &[(String, u16)]) -> MailAttempt {
        let mut last =
            MailAttempt::Deferred { response: "no server could be reached".into(), ip: None };
        for (host, port) in hosts {
            let (stream, address) = match self.reach(host, *port).await {
                Ok(reached) => reached,
                Err(why) => {
                    last = MailAttempt::Deferred { response: format!("{host}: {why}"), ip: None };
                    continue;
                }
            };
            let ip = Some(address.ip().to_string());
            last = match self.converse(mail, host, stream).await {
                Ok((said, tls)) => {
                    return MailAttempt::Delivered { response: said.text, ip, tls };
                }
                Err(End::Broken(why)) => {
                    MailAttempt::Deferred { response: format!("{host}: {why}"), ip }
                }
                Err(End::Said(said, _)) if said.code < 500 => {
                    MailAttempt::Deferred { response: said.text, ip }
                }
                // Another server of the domain may be open.
                Err(End::Said(said, Stage::Greeting)) => {
                    MailAttempt::Refused(refusal(&said, Stage::Greeting, ip))
                }
                Err(End::Said(said, stage)) => {
                    return MailAttempt::Refused(refusal(&said, stage, ip));
                }
            };
        }
        last
    }

    /// Connects to an address that the network policy allows.
    async fn reach(&self, host: &str, port: u16) -> Result<(TcpStream, SocketAddr), String> {
        // The operator named the smarthost; everything else came from a stranger's DNS.
        let is_own = self.config.smarthost.is_some();
        let lookup = async {
            if !is_own {
                return self.dns.addresses(host).await.map_err(|error| error.0);
            }
            let found = tokio::net::lookup_host((host, port)).await;
            found
                .map(|all| all.map(|address| address.ip()).collect())
                .map_err(|error| error.to_string())
        };
        let found: Vec<IpAddr> = tokio::time::timeout(CONNECT_TIME, lookup)
            .await
            .map_err(|_| "looking it up timed out")??;
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|ip| is_own || self.policy.allows(host, *ip))
            .map(|ip| SocketAddr::new(ip, port))
            .take(ADDRESSES_MAX)
            .collect();
        let mut last = "the network policy allows no connection".to_owned();
        for address in allowed {
            match tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = "connecting timed out".to_owned(),
            }
        }
        Err(last)
    }

    /// The conversation, and whether it was encrypted.
    async fn converse(
        &self,
        mail: &OutboundMail,
        host: &str,
        stream: TcpStream,
    ) -> Result<(Said, bool), End> {
        let smarthost = self.config.smarthost.as_ref();
        let mut stream: Stream = BufReader::new(Box::new(stream));
        expect(&mut stream, 220, Stage::Greeting).await?;
        let mut offers = self.greet(&mut stream).await?;
        let mut is_encrypted = false;
        let wants_tls = smarthost.is_none_or(|smarthost| smarthost.tls);
        if wants_tls && offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
            command(&mut stream, "STARTTLS", 220, Stage::Sender).await?;
            let connector =
                if smarthost.is_some() { &self.tls.verified } else { &self.tls.opportunistic };
            stream = encrypt(stream, connector, host).await?;
            is_encrypted = true;
            offers = self.greet(&mut stream).await?;
        } else if wants_tls && smarthost.is_some() {
            return Err(End::Broken("the smarthost offers no STARTTLS".into()));
        }
        if let Some(Smarthost { username: Some(username), password: Some(password), .. }) =
            smarthost
        {
            let login = STANDARD.encode(format!("\0{username}\0{}", password.0));
            command(&mut stream, &format!("AUTH PLAIN {login}"), 235, Stage::Sender).await?;
        }
        let is_utf8 = !mail.to.is_ascii() || !mail.envelope_from.is_ascii();
        let utf8 = if is_utf8 && offers.iter().any(|offer| offer == "SMTPUTF8") {
            " SMTPUTF8"
        } else {
            ""
        };
        command(
            &mut stream,
            &format!("MAIL FROM:<{}>{utf8}", bare(&mail.envelope_from)),
            250,
            Stage::Sender,
        )
        .await?;
        command(&mut stream, &format!("RCPT TO:<{}>", bare(&mail.to)), 250, Stage::Recipient)
            .await?;
        command(&mut stream, "DATA", 354, Stage::Content).await?;
        stream.write_all(&stuffed(&mail.message)).await?;
        stream.flush().await?;
        let said = expect(&mut stream, 250, Stage::Content).await?;
        // It is taken; whether the goodbye arrives does not matter.
        let _ = stream.write_all(b"QUIT\r\n").await;
        let _ = stream.flush().await;
        Ok((said, is_encrypted))
    }

    /// What the server offers.
    async fn greet(&self, stream: &mut Stream) -> Result<Vec<String>, End> {
        let said =
            command(stream, &format!("EHLO {}", self.config.hostname), 250, Stage::Sender).await?;
        Ok(said.text.lines().skip(1).map(|line| line.trim().to_owned()).collect())
    }
}

/// An address cannot end its command.
fn bare(address: &str) -> String {
    address.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>' | ' ')).collect()
}

/// RFC 5321 §4.5.2, and the end of the message.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

async fn encrypt(stream: Stream, connector: &TlsConnector, host: &str) -> Result<Stream, End> {
    // What came before the handshake in clear would be taken for its answer.
    if !stream.buffer().is_empty() {
        return Err(End::Broken("the server spoke before TLS".into()));
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| End::Broken(format!("{host} is no host name")))?;
    let tls = connector.connect(name, stream.into_inner()).await?;
    Ok(BufReader::new(Box::new(tls)))
}

async fn command(stream: &mut Stream, line: &str, code: u16, stage: Stage) -> Result<Said, End> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    expect(stream, code, stage).await
}

/// Reads one reply, which may have many lines.
async fn expect(stream: &mut Stream, code: u16, stage: Stage) -> Result<Said, End> {
    let mut text = String::new();
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        (&mut *stream).take(LINE_MAX).read_until(b'\n', &mut line).await?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let found = line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
        let found = found.ok_or_else(|| End::Broken("the server does not speak SMTP".into()))?;
        let is_last = line.as_bytes().get(3) != Some(&b'-');
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(if found == code && !is_last || !text.is_empty() {
            line.get(4..).unwrap_or_default()
        } else {
            &line
        });
        if is_last {
            let said = Said { code: found, text };
            return if found == code { Ok(said) } else { Err(End::Said(said, stage)) };
        }
    }
    Err(End::Broken("the reply has too many lines".into()))
}

/// What a refusal means: of the mailbox, or of the mail and its sender.
fn refusal(said: &Said, stage: Stage, ip: Option<String>) -> MailRefusal {
    let is_status = |word: &&str| {
        let mut parts = word.split('.');
        word.starts_with('5')
            && parts.clone().count() == 3
            && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let words = said.text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ':' | '#'));
    let status = words.into_iter().find(is_status).map(str::to_owned);
    let usual = if stage == Stage::Recipient { "5.1.1" } else { "5.7.1" };
    let status = status.unwrap_or_else(|| usual.to_owned());
    let is_block = !(status.starts_with("5.1.") || status.starts_with("5.2."))
        || (stage != Stage::Recipient && !status.starts_with("5.1.1"));
    MailRefusal { status, reason: said.text.clone(), ip, is_block }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_one() {
        assert_eq!(stuffed(b".a\r\nb\r\n..\r\n"), b"..a\r\nb\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"x"), b"x\r\n.\r\n");
    }

    #[test]
    fn refusals_are_of_the_mailbox_or_of_the_mail() {
        for (text, stage, status, is_block) in [
            ("550 5.1.1 no such user", Stage::Recipient, "5.1.1", false),
            ("550 no such user", Stage::Recipient, "5.1.1", false),
            ("552 5.2.2 full", Stage::Recipient, "5.2.2", false),
            ("550 5.7.1 listed", Stage::Recipient, "5.7.1", true),
            ("554 spam", Stage::Content, "5.7.1", true),
            ("550-5.7.26 (unauthenticated)", Stage::Sender, "5.7.1", true),
        ] {
            let found = refusal(&Said { code: 550, text: text.into() }, stage, None);
            assert_eq!((found.status.as_str(), found.is_block), (status, is_block), "{text}");
        }
    }

    #[test]
    fn an_address_ends_no_command() {
        assert_eq!(bare("a@b.c>\r\nDATA"), "a@b.cDATA");
    }
}

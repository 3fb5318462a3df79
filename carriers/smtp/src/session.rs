//! One client: who it is, and what it hands over (RFC 5321 §4, RFC 4954).

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contracts::{InboundMail, RelayRefusal};
use kernel::Sid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::client::Io;
use crate::{Ports, Smtp};

const LINE_MAX: u64 = 4096;
const MESSAGE_MAX: usize = 30 * 1024 * 1024;
const RECIPIENTS_MAX: usize = 1000;
/// RFC 5321 §4.5.3.2.
const LINE_TIME: Duration = Duration::from_secs(300);
const MESSAGE_TIME: Duration = Duration::from_secs(600);
const MESSAGES_MAX: u32 = 5000;
const FAULTS_MAX: u32 = 20;

type Stream = BufReader<Box<dyn Io>>;

struct Session<'a> {
    smtp: &'a Smtp,
    stream: Stream,
    peer: SocketAddr,
    is_encrypted: bool,
    account: Option<Sid>,
    from: Option<String>,
    to: Vec<String>,
    messages: u32,
    faults: u32,
}

/// Whether the conversation goes on.
enum Next {
    Go,
    StartTls,
    End,
}

pub(crate) async fn run(smtp: &Smtp, stream: TcpStream, peer: SocketAddr) {
    let stream: Stream = BufReader::new(Box::new(stream));
    let mut session = Session {
        smtp,
        stream,
        peer,
        is_encrypted: false,
        account: None,
        from: None,
        to: Vec::new(),
        messages: 0,
        faults: 0,
    };
    // A client that breaks off needs no answer.
    let _ = session.converse().await;
}

/// What follows `keyword` in a line, whatever its case.
fn after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    line.get(..keyword.len()).filter(|head| head.eq_ignore_ascii_case(keyword))?;
    Some(line[keyword.len()..].trim())
}

/// `<address>` with parameters behind it.
fn path(text: &str) -> Option<&str> {
    let (address, _) = text.strip_prefix('<')?.split_once('>')?;
    Some(address)
}

impl<'a> Session<'a> {
    fn ports(&self) -> &'a Ports {
        self.smtp.ports.get().expect("the binary connects the carrier before it runs")
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// `None` at the end of the conversation.
    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_MAX);
        let reading = bounded.read_until(b'\n', &mut bytes);
        let read = tokio::time::timeout(LINE_TIME, reading).await??;
        if read == 0 || !bytes.ends_with(b"\n") {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
    }

    async fn converse(&mut self) -> std::io::Result<()> {
        let host = self.smtp.config.hostname.clone();
        self.say(&format!("220 {host} ESMTP Offhook")).await?;
        while let Some(line) = self.line().await? {
            match self.obey(&line).await? {
                Next::Go => {}
                Next::End => break,
                Next::StartTls => {
                    let Some(acceptor) = self.smtp.tls.acceptor.clone() else { break };
                    // What was sent in clear behind the command is not part of the session.
                    if !self.stream.buffer().is_empty() {
                        break;
                    }
                    let (near, _) = tokio::io::duplex(1);
                    let plain = std::mem::replace(&mut self.stream, BufReader::new(Box::new(near)));
                    let tls = acceptor.accept(plain.into_inner()).await?;
                    self.stream = BufReader::new(Box::new(tls));
                    self.is_encrypted = true;
                    (self.account, self.from) = (None, None);
                    self.to.clear();
                }
            }
            if self.faults > FAULTS_MAX {
                self.say("421 4.7.0 too many errors").await?;
                break;
            }
        }
        Ok(())
    }

    async fn obey(&mut self, line: &str) -> std::io::Result<Next> {
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "EHLO" => self.greet().await?,
            "HELO" => self.say(&format!("250 {}", self.smtp.config.hostname)).await?,
            "STARTTLS" if self.smtp.tls.acceptor.is_some() && !self.is_encrypted => {
                self.say("220 2.0.0 ready").await?;
                return Ok(Next::StartTls);
            }
            "AUTH" => self.authenticate(line).await?,
            "MAIL" => self.mail(line).await?,
            "RCPT" => self.rcpt(line).await?,
            "DATA" => return self.data().await,
            "RSET" => {
                self.from = None;
                self.to.clear();
                self.say("250 2.0.0 OK").await?;
            }
            "NOOP" => self.say("250 2.0.0 OK").await?,
            "VRFY" => self.say("252 2.1.5 send some mail and see").await?,
            "QUIT" => {
                self.say("221 2.0.0 bye").await?;
                return Ok(Next::End);
            }
            _ => self.fail("500 5.5.2 unknown command").await?,
        }
        Ok(Next::Go)
    }

    async fn fail(&mut self, line: &str) -> std::io::Result<()> {
        self.faults += 1;
        self.say(line).await
    }

    /// A password goes in clear only where nobody listens in.
    fn may_sign_in(&self) -> bool {
        self.is_encrypted || self.peer.ip().is_loopback()
    }

    async fn greet(&mut self) -> std::io::Result<()> {
        let mut lines = vec![
            self.smtp.config.hostname.clone(),
            format!("SIZE {MESSAGE_MAX}"),
            "8BITMIME".into(),
            "PIPELINING".into(),
        ];
        if self.smtp.tls.acceptor.is_some() && !self.is_encrypted {
            lines.push("STARTTLS".into());
        }
        if self.may_sign_in() {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let mark = if at == last { ' ' } else { '-' };
            self.say(&format!("250{mark}{line}")).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, prompt: &str) -> std::io::Result<Option<String>> {
        self.say(&format!("334 {}", STANDARD.encode(prompt))).await?;
        let Some(line) = self.line().await? else { return Ok(None) };
        Ok(STANDARD.decode(line.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    async fn authenticate(&mut self, line: &str) -> std::io::Result<()> {
        if !self.may_sign_in() {
            return self.fail("538 5.7.11 encryption is needed: STARTTLS first").await;
        }
        let mut words = line.split_whitespace().skip(1);
        let (mechanism, initial) =
            (words.next().unwrap_or_default().to_ascii_uppercase(), words.next());
        let decode =
            |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let login = match mechanism.as_str() {
            "PLAIN" => {
                let text = match initial {
                    Some(text) => decode(text),
                    None => self.ask("").await?,
                };
                text.and_then(|text| {
                    let mut parts = text.split('\0').skip(1);
                    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
                })
            }
            "LOGIN" => {
                let user = match initial {
                    Some(text) => decode(text),
                    None => self.ask("Username:").await?,
                };
                let password = self.ask("Password:").await?;
                user.zip(password)
            }
            _ => return self.fail("504 5.5.4 use AUTH PLAIN or LOGIN").await,
        };
        let found = match login {
            Some((user, key)) if user == "apikey" => self.ports().relay.login(&key).await,
            _ => Ok(None),
        };
        match found {
            Ok(Some(account)) => {
                self.account = Some(account);
                self.say("235 Authentication successful").await
            }
            Ok(None) => self.fail("535 Authentication failed: The provided authorization grant is invalid, expired, or revoked").await,
            Err(_) => self.fail("454 4.7.0 try again later").await,
        }
    }

    async fn mail(&mut self, line: &str) -> std::io::Result<()> {
        let address = after(line, "MAIL FROM:").and_then(path);
        match address {
            Some(address) if address.is_empty() || mail::is_address(address) => {
                self.from = Some(address.to_owned());
                self.to.clear();
                self.say("250 2.1.0 Sender address accepted").await
            }
            _ => self.fail("501 5.1.7 MAIL FROM:<address> is expected").await,
        }
    }

    async fn rcpt(&mut self, line: &str) -> std::io::Result<()> {
        if self.from.is_none() {
            return self.fail("503 5.5.1 MAIL comes first").await;
        }
        let address =
            after(line, "RCPT TO:").and_then(path).filter(|address| mail::is_address(address));
        let Some(address) = address.map(str::to_owned) else {
            return self.fail("501 5.1.3 RCPT TO:<address> is expected").await;
        };
        if self.to.len() >= RECIPIENTS_MAX {
            return self.fail("452 4.5.3 too many recipients").await;
        }
        if self.account.is_none() {
            match self.ports().sink.takes(&address).await {
                Ok(true) => {}
                Ok(false) => return self.fail("550 Unauthenticated senders not allowed").await,
                Err(_) => return self.fail("451 4.3.0 try again later").await,
            }
        }
        self.to.push(address);
        self.say("250 2.1.5 Recipient address accepted").await
    }

    /// The message without its end; `None` when it is too large or breaks off.
    async fn message(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut is_large = false;
        loop {
            let begin = message.len();
            let room = u64::try_from(MESSAGE_MAX).unwrap_or(u64::MAX);
            let read = (&mut self.stream).take(room).read_until(b'\n', &mut message).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            // A bare LF ends no message (no smuggling of a second one).
            if &message[begin..] == b".\r\n" && (begin == 0 || message[..begin].ends_with(b"\r\n"))
            {
                message.truncate(begin);
                return Ok((!is_large).then_some(message));
            }
            if message[begin..].starts_with(b".") {
                message.remove(begin);
            }
            if message.len() > MESSAGE_MAX || is_large {
                is_large = true;
                // The end is still looked for, behind the last line.
                let keep = message.len().saturating_sub(2);
                message.drain(..keep);
            }
        }
    }

    async fn data(&mut self) -> std::io::Result<Next> {
        if self.to.is_empty() {
            self.fail("503 5.5.1 RCPT comes first").await?;
            return Ok(Next::Go);
        }
        self.say("354 Continue").await?;
        let Some(message) = tokio::time::timeout(MESSAGE_TIME, self.message()).await?? else {
            self.fail("552 5.3.4 the message is larger than 30 MB").await?;
            return Ok(Next::Go);
        };
        let to = std::mem::take(&mut self.to);
        let from = self.from.take().unwrap_or_default();
        self.messages += 1;
        let answer = match self.account {
            Some(account) => match self.ports().relay.relay(account, &to, &message).await {
                Ok(id) => format!("250 Ok: queued as {id}"),
                Err(RelayRefusal::Refused(why)) => {
                    format!("550 {}", why.replace(['\r', '\n'], " "))
                }
                Err(RelayRefusal::Busy(_)) => "451 4.3.0 try again later".to_owned(),
            },
            None => {
                let ip = self.peer.ip().to_string();
                let inbound = InboundMail { envelope_from: from, to, message, ip };
                match self.ports().sink.inbound(&inbound).await {
                    Ok(()) => "250 2.0.0 Ok".to_owned(),
                    Err(_) => "451 4.3.0 try again later".to_owned(),
                }
            }
        };
        self.say(&answer).await?;
        Ok(if self.messages >= MESSAGES_MAX { Next::End } else { Next::Go })
    }
}

//! The bus of several nodes: hints over a NATS server.
//!
//! The client protocol ("Client protocol" in the NATS documentation) in the part that hints need:
//! connect, subscribe, publish, and a PING that finds out whether anybody is there.
//! While there is no connection nothing is lost but time: jobs and events are polled for, and
//! caches do not answer. With a new connection everybody is woken and every cache starts over.
//!
//! Bounds: 1,024 invalidations wait to be published, beyond which everything is invalidated;
//! wake-ups of one topic are one, and at most one in 2 ms; a line has 64 KB.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{ALL, Bus, Topic};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
pub(crate) const LINE_BYTES_MAX: u64 = 64 * 1024;
/// How often the other side is asked whether it is there.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(2);
/// How long it may be silent.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(2));
const BETWEEN_WAKES: Duration = Duration::from_millis(2);

/// Where the servers are, and what the nodes of this platform call their subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    servers: Vec<String>,
    login: Option<(String, String)>,
    subject: String,
}

impl Nats {
    /// `nats://user:password@one:4222,two:4222/subject`: servers of one cluster; the login (a
    /// token where there is no password) and the subject may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("'{url}' is no address such as nats://one:4222,two:4222");
        let rest = url.strip_prefix("nats://").ok_or_else(wrong)?;
        let (authority, subject) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login.split_once(':').unwrap_or((login, ""))), servers),
            None => (None, authority),
        };
        let subject = if subject.is_empty() { "offhook" } else { subject };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !subject.split('.').all(is_word) {
            return Err(format!("'{subject}' is no subject: letters, digits and dots"));
        }
        let server = |server: &str| {
            let server = server.trim_start_matches("nats://");
            match server.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(server.to_owned())
                }
                None if !server.is_empty() => Ok(format!("{server}:4222")),
                _ => Err(wrong()),
            }
        };
        Ok(Self {
            servers: servers.split(',').map(server).collect::<Result<_, _>>()?,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            subject: subject.to_owned(),
        })
    }

    /// Whether one of the servers answers, and lets us in.
    ///
    /// # Errors
    /// Why none does.
    pub async fn check(&self) -> Result<(), String> {
        let mut why = String::new();
        for server in &self.servers {
            match self.connect(server, "").await {
                Ok(_) => return Ok(()),
                Err(error) => why = format!("{server}: {error}"),
            }
        }
        Err(why)
    }

    fn greeting(&self, subscriptions: &str) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let login = match &self.login {
            Some((token, password)) if password.is_empty() => {
                format!(",\"auth_token\":\"{}\"", quoted(token))
            }
            Some((user, password)) => {
                format!(",\"user\":\"{}\",\"pass\":\"{}\"", quoted(user), quoted(password))
            }
            None => String::new(),
        };
        // What this node says itself does not come back.
        format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"echo\":false,\
             \"lang\":\"rust\",\"version\":\"{}\",\"name\":\"offhook\"{login}}}\r\n\
             {subscriptions}PING\r\n",
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Hints alone: sound is another connection's ([`crate::Channels`]).
    fn hints(&self) -> String {
        let subject = &self.subject;
        let subscribe = |(at, name)| format!("SUB {subject}.{name} {at}\r\n");
        ["jobs", "events", "stale", ALL].iter().enumerate().map(subscribe).collect()
    }

    /// How what is said on a channel is named.
    pub(crate) fn channel(&self, name: &str) -> String {
        format!("{}.live.{name}", self.subject)
    }

    /// The server to try at this turn.
    pub(crate) fn server(&self, turn: usize) -> &str {
        &self.servers[turn % self.servers.len()]
    }

    /// Connected, subscribed, and told so.
    pub(crate) async fn connect(
        &self,
        server: &str,
        subscriptions: &str,
    ) -> std::io::Result<BufReader<TcpStream>> {
        let connected = timeout(CONNECT_TIME_MAX, async {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let mut stream = BufReader::new(stream);
            loop {
                let line = line(&mut stream).await?;
                match line.split_ascii_whitespace().next().unwrap_or_default() {
                    "INFO" => stream.write_all(self.greeting(subscriptions).as_bytes()).await?,
                    "PONG" => return Ok(stream),
                    "-ERR" => return Err(std::io::Error::other(line.trim().to_owned())),
                    _ => {}
                }
            }
        });
        connected.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// Carries hints from and to the other nodes, as long as there is a bus.
    pub(crate) async fn carry(self, bus: Bus, mut outbox: mpsc::Receiver<Said>) {
        let mut pause = RECONNECT.0;
        for turn in 0usize.. {
            let server = self.server(turn);
            match self.connect(server, &self.hints()).await {
                Ok(stream) => {
                    pause = RECONNECT.0;
                    // What was said meanwhile nobody heard, and what others said was not heard here.
                    while outbox.try_recv().is_ok() {}
                    bus.connected();
                    tracing::info!(server, "the bus is connected");
                    let ended = self.talk(stream, &bus, &mut outbox).await;
                    bus.disconnected();
                    match ended {
                        Ok(()) => return,
                        Err(why) => tracing::warn!(server, %why, "the bus is lost"),
                    }
                }
                Err(why) => tracing::warn!(server, %why, "the bus is not reached"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    async fn talk(
        &self,
        stream: BufReader<TcpStream>,
        bus: &Bus,
        outbox: &mut mpsc::Receiver<Said>,
    ) -> std::io::Result<()> {
        let (read, mut write) = tokio::io::split(stream);
        let mut lines = BufReader::new(read);
        let subject = &self.subject;
        // The others may have missed what this node said before it came.
        write.write_all(format!("PUB {subject}.{ALL} 0\r\n\r\n").as_bytes()).await?;
        let mut heard = Instant::now();
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut inbox = String::new();
        loop {
            tokio::select! {
                // Cancelled between two reads, what was read of a line stays in the inbox.
                read = lines.read_line(&mut inbox) => {
                    if read? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                    heard = Instant::now();
                    if inbox.len() as u64 > LINE_BYTES_MAX {
                        return Err(std::io::Error::other("a line is too long"));
                    }
                    let line = std::mem::take(&mut inbox);
                    let mut words = line.split_ascii_whitespace();
                    match words.next().unwrap_or_default() {
                        "PING" => write.write_all(b"PONG\r\n").await?,
                        "-ERR" => return Err(std::io::Error::other(line.trim().to_owned())),
                        "MSG" => {
                            let name = words.next().unwrap_or_default();
                            let size = words.last().and_then(|size| size.parse::<u64>().ok());
                            let size = size.unwrap_or(0).min(LINE_BYTES_MAX) + 2;
                            let mut body = Vec::new();
                            (&mut lines).take(size).read_to_end(&mut body).await?;
                            bus.hear(name.strip_prefix(subject.as_str()).unwrap_or_default(), &body);
                        }
                        _ => {}
                    }
                }
                said = outbox.recv() => {
                    let Some(first) = said else { return Ok(()) };
                    let mut wakes = (false, false);
                    let mut text = String::new();
                    let mut one = Some(first);
                    while let Some(said) = one {
                        match said {
                            Said::Wake(Topic::Jobs) => wakes.0 = true,
                            Said::Wake(Topic::Events) => wakes.1 = true,
                            Said::Stale(key) => {
                                text += &format!("PUB {subject}.stale {}\r\n{key}\r\n", key.len());
                            }
                        }
                        one = outbox.try_recv().ok();
                    }
                    if bus.0.overflown.swap(false, Ordering::AcqRel) {
                        text += &format!("PUB {subject}.{ALL} 0\r\n\r\n");
                    }
                    for (is_said, name) in [(wakes.0, "jobs"), (wakes.1, "events")] {
                        if is_said {
                            text += &format!("PUB {subject}.{name} 0\r\n\r\n");
                        }
                    }
                    write.write_all(text.as_bytes()).await?;
                    bus.0.wakes_waiting[0].store(false, Ordering::Release);
                    bus.0.wakes_waiting[1].store(false, Ordering::Release);
                    tokio::time::sleep(BETWEEN_WAKES).await;
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(std::io::ErrorKind::TimedOut.into());
                    }
                    write.write_all(b"PING\r\n").await?;
                }
            }
        }
    }
}

/// What a node has to say.
pub(crate) enum Said {
    Wake(Topic),
    Stale(std::sync::Arc<str>),
}

async fn line(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    let mut bounded = AsyncReadExt::take(&mut *stream, LINE_BYTES_MAX);
    match bounded.read_line(&mut line).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let nats = Nats::parse("nats://ada:s@one:4222,two/prod.eu").unwrap();
        assert_eq!(nats.servers, ["one:4222", "two:4222"]);
        assert_eq!(nats.login, Some(("ada".into(), "s".into())));
        assert_eq!(nats.subject, "prod.eu");
        assert_eq!(Nats::parse("nats://one").unwrap().subject, "offhook");
        for url in
            ["one:4222", "tls://one", "nats://", "nats://one:x", "nats://one/a b", "nats://a,"]
        {
            assert!(Nats::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_login_is_told_in_the_greeting() {
        let told = |url: &str| Nats::parse(url).unwrap().greeting("");
        assert!(!told("nats://h").contains("pass"));
        assert!(told("nats://a:b@h").contains(r#""user":"a","pass":"b""#));
        assert!(told("nats://secret@h").contains(r#""auth_token":"secret""#));
    }
}

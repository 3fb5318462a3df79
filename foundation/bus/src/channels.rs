//! Bytes between nodes that are worth something only at once, each on the channel of those who want
//! them, over the NATS servers of the bus.
//!
//! They have a connection of their own: however much there is, no hint waits behind it. Nothing is
//! sent again; what is published while there is no connection, or faster than the server takes it,
//! is dropped, and who publishes is told so. What is subscribed to is again with every connection.
//!
//! Bounds: 16,384 messages of 64 KB wait, 65,536 channels.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, interval, sleep};

use crate::nats::{LINE_BYTES_MAX, Nats, PING_EVERY, RECONNECT, SILENCE_MAX};

const OUTBOX_MAX: usize = 16_384;
const CHANNELS_MAX: usize = 65_536;
/// Bytes that are written at once, about.
const WRITE_MAX: usize = 64 * 1024;

/// A message, and on which channel.
type Published = (Arc<str>, Vec<u8>);

/// The channels of this node.
pub struct Channels {
    nats: Nats,
    outbox: mpsc::Sender<Published>,
    waiting: Mutex<Option<mpsc::Receiver<Published>>>,
    is_connected: AtomicBool,
    subscribed: Mutex<Subscribed>,
    changed: Notify,
}

#[derive(Default)]
struct Subscribed {
    /// By channel: the number that the server knows.
    numbers: HashMap<Arc<str>, u64>,
    last: u64,
    /// What the server is to be told next, in its own words.
    news: String,
}

impl Channels {
    pub fn new(nats: Nats) -> Self {
        let (outbox, waiting) = mpsc::channel(OUTBOX_MAX);
        Self {
            nats,
            outbox,
            waiting: Mutex::new(Some(waiting)),
            is_connected: AtomicBool::default(),
            subscribed: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Never waits. False when the message is dropped.
    pub fn publish(&self, channel: &Arc<str>, message: Vec<u8>) -> bool {
        message.len() as u64 <= LINE_BYTES_MAX
            && self.is_connected.load(Ordering::Acquire)
            && self.outbox.try_send((channel.clone(), message)).is_ok()
    }

    /// What others publish on this channel is received from now on, and what this node publishes
    /// later reaches the server later. False when there are too many channels, or it is no name of
    /// one: letters, digits, `-`, `_` and dots between words.
    pub fn subscribe(&self, channel: &Arc<str>) -> bool {
        let is_word = |word: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            !word.is_empty() && word.bytes().all(fits)
        };
        let mut subscribed = self.subscribed();
        if subscribed.numbers.len() >= CHANNELS_MAX || !channel.split('.').all(is_word) {
            return false;
        }
        if !subscribed.numbers.contains_key(channel) {
            subscribed.last += 1;
            let number = subscribed.last;
            subscribed.numbers.insert(channel.clone(), number);
            if self.is_connected.load(Ordering::Acquire) {
                subscribed.news += &self.subscription(channel, number);
            }
        }
        drop(subscribed);
        self.changed.notify_one();
        true
    }

    pub fn unsubscribe(&self, channel: &str) {
        let mut subscribed = self.subscribed();
        if let Some(number) = subscribed.numbers.remove(channel)
            && self.is_connected.load(Ordering::Acquire)
        {
            subscribed.news += &format!("UNSUB {number}\r\n");
        }
        drop(subscribed);
        self.changed.notify_one();
    }

    fn subscription(&self, channel: &str, number: u64) -> String {
        format!("SUB {} {number}\r\n", self.nats.channel(channel))
    }

    fn subscribed(&self) -> MutexGuard<'_, Subscribed> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries messages for as long as it is polled; `receive` gets each with its channel, and must
    /// not wait. Once.
    pub async fn carry(&self, receive: impl Fn(&str, &[u8])) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        let mut pause = RECONNECT.0;
        for turn in 0usize.. {
            let server = self.nats.server(turn);
            match self.nats.connect(server, "").await {
                Ok(stream) => {
                    pause = RECONNECT.0;
                    while waiting.try_recv().is_ok() {}
                    let Err(why) = self.talk(stream, &mut waiting, &receive).await;
                    self.is_connected.store(false, Ordering::Release);
                    tracing::warn!(server, %why, "what is said live is lost");
                }
                Err(why) => tracing::debug!(server, %why, "nothing is said live"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    async fn talk(
        &self,
        stream: BufReader<TcpStream>,
        waiting: &mut mpsc::Receiver<Published>,
        receive: &impl Fn(&str, &[u8]),
    ) -> Result<std::convert::Infallible, Error> {
        {
            let mut subscribed = self.subscribed();
            let all = subscribed.numbers.iter();
            subscribed.news = all.map(|(name, number)| self.subscription(name, *number)).collect();
            self.is_connected.store(true, Ordering::Release);
        }
        let (read, write) = tokio::io::split(stream);
        let (heard, asked) = (Mutex::new(Instant::now()), Notify::new());
        // Neither waits for the other: a server that is slow to take is listened to all the same.
        tokio::select! {
            ended = self.read(BufReader::new(read), receive, &heard, &asked) => ended,
            ended = self.write(write, waiting, &heard, &asked) => ended,
        }
    }

    async fn read(
        &self,
        mut lines: impl AsyncBufReadExt + Unpin,
        receive: &impl Fn(&str, &[u8]),
        heard: &Mutex<Instant>,
        asked: &Notify,
    ) -> Result<std::convert::Infallible, Error> {
        let prefix = self.nats.channel("");
        let (mut line, mut body) = (String::new(), Vec::new());
        loop {
            line.clear();
            let mut bounded = AsyncReadExt::take(&mut lines, LINE_BYTES_MAX);
            if bounded.read_line(&mut line).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let mut words = line.split_ascii_whitespace();
            match words.next().unwrap_or_default() {
                "PING" => asked.notify_one(),
                "-ERR" => return Err(Error::other(line.trim().to_owned())),
                "MSG" => {
                    let name = words.next().unwrap_or_default();
                    let size = words.last().and_then(|size| size.parse::<u64>().ok());
                    let size = size.filter(|size| *size <= LINE_BYTES_MAX);
                    let size = size.ok_or_else(|| Error::other("a message is too long"))?;
                    body.resize(size as usize + 2, 0);
                    lines.read_exact(&mut body).await?;
                    if let Some(channel) = name.strip_prefix(&prefix) {
                        receive(channel, &body[..size as usize]);
                    }
                }
                _ => {}
            }
        }
    }

    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        waiting: &mut mpsc::Receiver<Published>,
        heard: &Mutex<Instant>,
        asked: &Notify,
    ) -> Result<std::convert::Infallible, Error> {
        let mut ping = interval(PING_EVERY);
        let mut out = Vec::with_capacity(WRITE_MAX);
        loop {
            let mut next = None;
            tokio::select! {
                message = waiting.recv() => next = message,
                () = self.changed.notified() => {}
                () = asked.notified() => out.extend(b"PONG\r\n"),
                _ = ping.tick() => {
                    let heard = *heard.lock().unwrap_or_else(PoisonError::into_inner);
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    out.extend(b"PING\r\n");
                }
            }
            // Who is subscribed before it publishes is so at the server, too.
            out.extend(std::mem::take(&mut self.subscribed().news).into_bytes());
            while let Some((channel, message)) = next {
                let (subject, size) = (self.nats.channel(&channel), message.len());
                out.extend(format!("PUB {subject} {size}\r\n").into_bytes());
                out.extend(message);
                out.extend(b"\r\n");
                next = if out.len() < WRITE_MAX { waiting.try_recv().ok() } else { None };
            }
            write.write_all(&out).await?;
            out.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Reads until this was said; everything so far.
    async fn until(stream: &mut TcpStream, said: &str) -> String {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(said) {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&some[..count]);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    async fn accept(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"INFO {}\r\n").await.unwrap();
        until(&mut stream, "PING").await;
        stream.write_all(b"PONG\r\n").await.unwrap();
        stream
    }

    #[tokio::test]
    async fn bytes_go_by_their_channel_and_subscriptions_survive_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}/prod", listener.local_addr().unwrap());
        let channels = Arc::new(Channels::new(Nats::parse(&url).unwrap()));
        let (heard, mut received) = mpsc::unbounded_channel();
        let carrying = channels.clone();
        let task = tokio::spawn(async move {
            let receive = |channel: &str, bytes: &[u8]| {
                heard.send((channel.to_owned(), bytes.to_vec())).unwrap();
            };
            carrying.carry(receive).await;
        });
        let room: Arc<str> = "AC1.CF1".into();
        assert!(!channels.publish(&room, b"early".to_vec()), "nobody would hear it");
        assert!(channels.subscribe(&room));
        for name in ["", "a b", "a.>", "a..b", "a\r\nb"] {
            assert!(!channels.subscribe(&name.into()), "{name:?}");
        }
        let mut stream = accept(&listener).await;
        assert!(until(&mut stream, "SUB").await.contains("SUB prod.live.AC1.CF1 1\r\n"));
        let other: Arc<str> = "AC1.CF2".into();
        channels.subscribe(&other);
        assert!(channels.publish(&other, vec![0, 13, 10, 255]));
        let said = until(&mut stream, "PUB prod.live.AC1.CF2 4\r\n").await;
        assert!(said.contains("SUB prod.live.AC1.CF2 2\r\nPUB"), "{said}");
        stream.write_all(b"PING\r\nMSG prod.live.AC1.CF1 1 3\r\n\r\nx\r\n").await.unwrap();
        assert_eq!(received.recv().await, Some(("AC1.CF1".to_owned(), b"\r\nx".to_vec())));
        until(&mut stream, "PONG").await;
        channels.unsubscribe("AC1.CF2");
        until(&mut stream, "UNSUB 2").await;

        drop(stream);
        let mut stream =
            tokio::time::timeout(Duration::from_secs(5), accept(&listener)).await.unwrap();
        let said = until(&mut stream, "SUB").await;
        assert!(said.contains("SUB prod.live.AC1.CF1 1\r\n") && !said.contains("CF2"), "{said}");
        task.abort();
    }
}

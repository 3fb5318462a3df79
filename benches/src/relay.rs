//! From HTTP to a message centre and back: a message is submitted, goes out by SMPP, is reported
//! delivered, and its sender is called back. Beside Kannel, which does the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::load;
use crate::peers::{Kannel, Relay, TEXT, recipient};
use crate::process::Server;
use crate::report::{figure, say};
use crate::smsc;

type Failure = Box<dyn std::error::Error>;

const CONNECTIONS: usize = 16;
/// Messages of the low rate, and how many a second.
const QUIET: usize = 300;
const QUIET_RATE: f64 = 50.0;
/// Until every callback is there.
const PATIENCE: Duration = Duration::from_secs(300);

/// A platform that relays to this centre by SMPP.
pub async fn platform(centre: u16) -> Result<Server, Failure> {
    let text = format!(
        "[[carriers.smpp.binds]]\nname = 'bench'\nhost = '127.0.0.1'\nport = {centre}\n\
             system_id = 'bench'\npassword = 'bench'\nwindow = 100\n\
             [[routes]]\ncarriers = ['smpp']\n"
    );
    Server::configured(&text).await
}

/// When the callback of each message came.
#[derive(Clone, Default)]
struct Callbacks(Arc<Mutex<HashMap<usize, Instant>>>);

impl Callbacks {
    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> HashMap<usize, Instant> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens for callbacks on a port of loopback.
    async fn listen(&self) -> Result<u16, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let all = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let all = all.clone();
                tokio::spawn(async move {
                    // A caller that breaks off has not called back.
                    let _ = all.hear(stream).await;
                });
            }
        });
        Ok(port)
    }

    /// The calls of one connection: `/?n=NUMBER`, with `type=1` or `MessageStatus=delivered`.
    async fn hear(&self, mut stream: TcpStream) -> Result<(), Failure> {
        let mut text = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let end = loop {
                if let Some(end) = whole(&text) {
                    break end;
                }
                match stream.read(&mut buffer).await? {
                    0 => return Ok(()),
                    count => text.extend(&buffer[..count]),
                }
            };
            let call = String::from_utf8_lossy(&text[..end]).into_owned();
            text.drain(..end);
            let number = call.split("n=").nth(1).and_then(|rest| {
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
            });
            let is_delivered =
                call.contains("MessageStatus=delivered") || call.contains("&type=1 ");
            if let (Some(number), true) = (number, is_delivered) {
                let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(number).or_insert_with(Instant::now);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
        }
    }
}

/// Where the first request of the text ends, if it is all there.
fn whole(text: &[u8]) -> Option<usize> {
    let head = text.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let lines = String::from_utf8_lossy(&text[..head]).to_ascii_lowercase();
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Some(0), |value| value.trim().parse().ok())?;
    (text.len() >= head + length).then_some(head + length)
}

/// Prints a row for each relay.
pub async fn run(messages: usize) -> Outcome {
    let callbacks = Callbacks::default();
    let hook = callbacks.listen().await?;
    let centre = smsc::start().await?;
    say!(
        "HTTP to SMPP and back: {messages} messages over {CONNECTIONS} connections, then {QUIET} \
         at {QUIET_RATE} a second; a centre that delivers at once"
    );
    say!(
        "{:<9} {:>11} {:>11} {:>9} {:>9} {:>9}",
        "relay",
        "accepted /s",
        "whole way/s",
        "p50 ms",
        "p99 ms",
        "MB"
    );
    let kannel = Kannel::start(centre).await?;
    let rates = [measure(&kannel.relay(Some(hook)), &callbacks, messages).await?, {
        drop(kannel);
        let server = platform(centre).await?;
        measure(&offhook(server, hook), &callbacks, messages).await?
    }];
    figure("relay.kannel", rates[0]);
    figure("relay.offhook", rates[1]);
    say!("offhook does {:.0} % of what kannel does the whole way", 100.0 * rates[1] / rates[0]);
    say!("kannel: spool store, receipts in memory; offhook: everything durable, and a callback");
    say!("for each of sending, sent and delivered");
    Ok(())
}

/// Prints one row; messages a second the whole way.
async fn measure(relay: &Relay, callbacks: &Callbacks, messages: usize) -> Result<f64, Failure> {
    let send = async |first: usize, connections: usize, count: usize| {
        let request = relay.request.clone();
        let request = Arc::new(move |at: usize| request(first + at));
        let sent = load::run_for(relay.status, &relay.address, connections, count, request).await;
        sent.map_err(|error| -> Failure { format!("{}: {error}", relay.name).into() })
    };
    // Connections, caches and pages are there before anything counts.
    send(10_000_000, CONNECTIONS, 500).await?;
    heard(callbacks, 500).await?;
    let began = Instant::now();
    let accepted = send(0, CONNECTIONS, messages).await?;
    let last = heard(callbacks, messages).await?;
    let whole = messages as f64 / last.duration_since(began).as_secs_f64();

    let mut submitted = Vec::with_capacity(QUIET);
    for n in 0..QUIET {
        let due = Duration::from_secs_f64(1.0 / QUIET_RATE);
        submitted.push(Instant::now());
        send(n, 1, 1).await?;
        tokio::time::sleep(due.saturating_sub(submitted[n].elapsed())).await;
    }
    wait(callbacks, QUIET).await?;
    let came = callbacks.take();
    let mut times: Vec<f64> = submitted
        .iter()
        .enumerate()
        .map(|(n, at)| came[&n].duration_since(*at).as_secs_f64() * 1000.0)
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share) as usize];
    say!(
        "{:<9} {:>11.0} {:>11.0} {:>9.2} {:>9.2} {:>9}",
        relay.name,
        accepted.per_second,
        whole,
        at(0.5),
        at(0.99),
        (relay.resident_kib)() / 1024
    );
    Ok(whole)
}

/// When the last of so many callbacks came; they are forgotten then.
async fn heard(callbacks: &Callbacks, count: usize) -> Result<Instant, Failure> {
    wait(callbacks, count).await?;
    callbacks.take().into_values().max().ok_or_else(|| "no callback".into())
}

async fn wait(callbacks: &Callbacks, count: usize) -> Result<(), Failure> {
    let began = Instant::now();
    while callbacks.count() < count {
        if began.elapsed() > PATIENCE {
            return Err(format!("{} of {count} callbacks came", callbacks.count()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn offhook(server: Server, hook: u16) -> Relay {
    let (address, path, headers, from) = server.submission();
    let host = address.clone();
    let request = move |n: usize| {
        let callback = format!("http://127.0.0.1:{hook}/?n={n}");
        let body: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("To", &recipient(n))
            .append_pair("From", &from)
            .append_pair("Body", TEXT)
            .append_pair("StatusCallback", &callback)
            .finish();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    Relay {
        name: "offhook",
        address,
        status: 201,
        request: Arc::new(request),
        resident_kib: Box::new(move || server.resident_kib()),
    }
}

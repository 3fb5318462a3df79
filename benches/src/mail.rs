//! Mail accepted per second, and handed over by SMTP to a server that takes everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Outcome;
use crate::load;
use crate::process::{Server, json};
use crate::report::{figure, say};

type Failure = Box<dyn std::error::Error>;

const CONNECTIONS: usize = 16;
const KEY: &str = "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
/// Until every mail is handed over.
const PATIENCE: Duration = Duration::from_secs(600);

/// Prints what is accepted and handed over per second, each beside its yardstick.
pub async fn run(mails: usize) -> Outcome {
    say!(
        "{mails} mails of 2 KB, {CONNECTIONS} connections by HTTP and by SMTP, one mail each of the latter"
    );
    let taken = Arc::new(AtomicUsize::new(0));
    let sink = sink(taken.clone()).await?;
    let text = format!(
        "[carriers.smtp]\nhostname = 'bench.example.com'\nconnections_per_domain = {CONNECTIONS}\n\
         [carriers.smtp.smarthost]\nhost = '127.0.0.1'\nport = {sink}\ntls = false\n"
    );
    let durable = Server::yardstick("durable").await?;
    durable.load(CONNECTIONS, mails / 10).await?;
    let yardstick = durable.load(CONNECTIONS, mails).await?;
    drop(durable);
    let bare = bare(sink, mails).await?;
    taken.store(0, Ordering::Relaxed);

    let platform = Server::configured(&text).await?;
    let address = platform.submission().0;
    let requests: Vec<String> = (0..mails).map(|at| letter(&address, at)).collect();
    let began = Instant::now();
    let accepted =
        load::run_for(202, &address, CONNECTIONS, mails, Arc::new(move |at| requests[at].clone()));
    let accepted = accepted.await.map_err(|error| format!("mail/send: {error}"))?;
    while taken.load(Ordering::Relaxed) < mails {
        if began.elapsed() > PATIENCE {
            return Err(format!(
                "{} of {mails} mails were handed over",
                taken.load(Ordering::Relaxed)
            )
            .into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let delivered = mails as f64 / began.elapsed().as_secs_f64();
    say!("{:<34} {:>9} {:>9} {:>9}", "", "per s", "p50 ms", "p99 ms");
    say!(
        "{:<34} {:>9.0} {:>9.2} {:>9.2}",
        "a durable row by HTTP",
        yardstick.per_second,
        yardstick.p50_ms,
        yardstick.p99_ms
    );
    say!(
        "{:<34} {:>9.0} {:>9.2} {:>9.2}",
        "accepted by mail/send",
        accepted.per_second,
        accepted.p50_ms,
        accepted.p99_ms
    );
    say!("{:<34} {bare:>9.0}", "the bare SMTP client of this run");
    say!("{:<34} {delivered:>9.0}", "accepted and handed over");
    say!(
        "mail/send: {:.0} % of durable; handed over: {:.0} % of bare, counted from the first request",
        100.0 * accepted.per_second / yardstick.per_second,
        100.0 * delivered / bare
    );
    figure("mail.accept", accepted.per_second / yardstick.per_second);
    figure("mail.whole", delivered / bare);
    let waited = platform.settle().await?;
    say!("the last event was written {waited:.1} s after the last mail");
    Ok(())
}

fn letter(host: &str, at: usize) -> String {
    let body = serde_json::json!({
        "personalizations": [{"to": [{"email": format!("reader{at}@there{}.example", at % 50)}]}],
        "from": {"email": "shop@example.com", "name": "The Shop"},
        "subject": "Your order is on its way",
        "content": [
            {"type": "text/plain", "value": "It left today. ".repeat(30)},
            {"type": "text/html", "value": format!("<p>{}</p>", "It left today. ".repeat(80))},
        ],
    });
    json(host, "/v3/mail/send", &format!("Authorization: Bearer {KEY}\r\n"), &body.to_string())
}

/// A server that takes everything; its port. Counts what it took.
async fn sink(taken: Arc<AtomicUsize>) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let taken = taken.clone();
            tokio::spawn(async move {
                // A client that breaks off has not handed anything over.
                let _ = take(stream, &taken).await;
            });
        }
    });
    Ok(port)
}

async fn take(stream: TcpStream, taken: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let (mut line, mut is_data) = (Vec::new(), false);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match (is_data, line.get(..4).unwrap_or_default()) {
            (true, _) if line == b".\r\n" => {
                is_data = false;
                taken.fetch_add(1, Ordering::Relaxed);
                b"250 2.0.0 taken\r\n"
            }
            (true, _) => continue,
            (false, b"DATA") => {
                is_data = true;
                b"354 go\r\n"
            }
            (false, b"QUIT") => return stream.write_all(b"221 bye\r\n").await,
            (false, _) => b"250 fine\r\n",
        };
        stream.write_all(answer).await?;
    }
}

/// Mails a second that a client which does nothing else hands over, a connection each.
async fn bare(port: u16, mails: usize) -> Result<f64, Failure> {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let began = Instant::now();
    let mut tasks = Vec::with_capacity(mails);
    for at in 0..mails {
        let seat = seats.clone().acquire_owned().await?;
        tasks.push(tokio::spawn(async move {
            let done = hand_over(port, at).await;
            drop(seat);
            done
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(mails as f64 / began.elapsed().as_secs_f64())
}

async fn hand_over(port: u16, at: usize) -> std::io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let message = format!("Subject: {at}\r\n\r\n{}\r\n.", "It left today. ".repeat(130));
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    for said in ["EHLO bench", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA", &message]
    {
        stream.write_all(format!("{said}\r\n").as_bytes()).await?;
        line.clear();
        stream.read_line(&mut line).await?;
    }
    stream.write_all(b"QUIT\r\n").await
}

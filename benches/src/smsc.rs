//! A message centre that takes everything and reports it delivered at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kernel::Timestamp;
use smpp::pdu::{Body, Sm};
use smpp::receipt::{Report, State, compose};
use smpp::session::{Event, Limits, Output, Session};
use smpp::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Listens on a port of loopback for as long as the process lives; the port.
pub async fn start() -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let ids = Arc::new(AtomicU64::new(1));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let ids = ids.clone();
            tokio::spawn(async move {
                // A peer that breaks off is not our failure; the figures show it.
                let _ = serve(stream, &ids).await;
            });
        }
    });
    Ok(port)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

async fn serve(mut stream: TcpStream, ids: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // What a peer leaves unanswered at most; more it would refuse.
    let limits = Limits { window_out: 50, window_in: 1000, ..Limits::default() };
    let mut session = Session::smsc(now(), limits);
    let mut receipts: VecDeque<Sm> = VecDeque::new();
    let mut octets = vec![0; 64 * 1024];
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    loop {
        let mut out = Vec::new();
        while let Some(output) = session.poll() {
            match output {
                Output::Transmit(bytes) => out.extend(bytes),
                Output::Event(Event::BindRequested { sequence, .. }) => {
                    session.answer_bind(now(), sequence, Ok("bench"));
                }
                Output::Event(Event::Request { sequence, sm }) => {
                    // As real centres do it: no id is another one's in another notation.
                    let number = ids.fetch_add(1, Ordering::Relaxed);
                    let id = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    session.respond(now(), sequence, Status::OK, &id);
                    if sm.wants_receipt(false) {
                        receipts.push_back(receipt(&sm, id));
                    }
                }
                Output::Event(Event::Closed(_)) => return Ok(()),
                Output::Event(_) => {}
            }
            while let Some(next) = receipts.front() {
                if !session.request(now(), 0, Body::DeliverSm(next.clone())) {
                    break;
                }
                receipts.pop_front();
            }
        }
        stream.write_all(&out).await?;
        tokio::select! {
            read = stream.read(&mut octets) => match read? {
                0 => return Ok(()),
                count => session.receive(now(), &octets[..count]),
            },
            _ = beat.tick() => session.tick(now()),
        }
    }
}

fn receipt(sm: &Sm, id: String) -> Sm {
    let template =
        Sm { source: sm.destination.clone(), destination: sm.source.clone(), ..Sm::default() };
    let (at, state) = (now(), State::Delivered);
    compose(&template, &Report { id, state, code: 0, submitted_at: at, done_at: at })
}

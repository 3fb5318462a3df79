//! The ports that mail comes in by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Smtp, session};

/// How long until a port that could not be had is asked for again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a stopping listener waits for its sessions.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(smtp: Arc<Smtp>, stop: watch::Receiver<bool>) {
    let seats = Arc::new(Semaphore::new(smtp.config.sessions_max));
    let mut tasks = JoinSet::new();
    for address in smtp.config.listen.clone() {
        tasks.spawn(listen(smtp.clone(), address, seats.clone(), stop.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn listen(
    smtp: Arc<Smtp>,
    address: SocketAddr,
    seats: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    'bound: while !*stop.borrow() {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "the SMTP listener cannot listen");
                tokio::select! {
                    _ = stop.changed() => break 'bound,
                    () = tokio::time::sleep(RETRY) => continue 'bound,
                }
            }
        };
        let local = listener.local_addr().unwrap_or(address);
        tracing::info!(address = %local, "SMTP listens");
        smtp.bound.send_modify(|all| all.push(local));
        loop {
            let accepted = tokio::select! {
                _ = stop.changed() => break 'bound,
                accepted = listener.accept() => accepted,
                _ = sessions.join_next(), if !sessions.is_empty() => continue,
            };
            let Ok((stream, peer)) = accepted else { continue };
            let Ok(seat) = seats.clone().try_acquire_owned() else {
                refuse(stream);
                continue;
            };
            let smtp = smtp.clone();
            sessions.spawn(async move {
                session::run(&smtp, stream, peer).await;
                drop(seat);
            });
        }
    }
    let _ =
        tokio::time::timeout(DRAIN, async { while sessions.join_next().await.is_some() {} }).await;
}

fn refuse(stream: TcpStream) {
    // A line that fits any buffer; a client that is gone needs none.
    let _ = stream.try_write(b"421 4.7.0 too many sessions, try again later\r\n");
}

//! The front door: one port that finds out by itself what a client speaks.
//!
//! | first bytes | what happens |
//! |---|---|
//! | `0x16` | TLS; the host that the client names gets its certificate |
//! | `0x05` | SOCKS5 (RFC 1928), then this table again |
//! | `CONNECT` | the tunnel is granted, then this table again |
//! | anything else | HTTP/1.1 or HTTP/2 in clear, in origin or absolute form |
//!
//! Requests for intercepted hosts, and those that name no other host, reach the
//! service. Foreign hosts are tunnelled untouched, or refused, as [`Foreign`] says.
//!
//! Bounds: 10,000 connections, 60 s for the first byte, 15 s for a handshake, 64 KiB
//! of headers within 15 s, 16 KiB for a `CONNECT`. Beyond the connections the door waits.

mod accept;
mod connect;
mod dial;
mod forward;
mod relay;
mod socks;
mod stream;
mod upstream;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch as signal};

pub use connect::ESTABLISHED;
pub use relay::Relay;
pub use upstream::{Upstream, UpstreamError};
pub use watch::{Client, Seen, TlsFault, Watch};

const CONNECTIONS_MAX: usize = 10_000;
/// How long open connections may finish when the door closes.
const DRAIN: Duration = Duration::from_secs(10);

/// What becomes of traffic for hosts that are not intercepted.
#[derive(Clone)]
pub enum Foreign {
    /// `CONNECT` and SOCKS are refused; an absolute-form request is taken for one to us.
    Refuse,
    Pass {
        /// The proxy that was there before us.
        upstream: Option<Arc<Upstream>>,
        /// Public addresses are refused.
        offline: bool,
    },
}

/// A door. `S` answers what is ours; it finds a [`Client`] in the request's extensions.
pub struct Door<S> {
    pub service: S,
    /// Without it TLS is refused.
    pub authority: Option<Arc<Authority>>,
    pub foreign: Foreign,
    pub watch: Arc<dyn Watch>,
}

/// What goes wrong in a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub trait Content: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> Content for B {}

/// What a door's service must be.
pub trait Answers:
    Service<Request<Incoming>, Response = Response<Self::Content>, Error = Infallible, Future: Send>
    + Send
    + Sync
    + 'static
{
    type Content: Content;
}

impl<S, B> Answers for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Send
        + Sync
        + 'static,
    B: Content,
{
    type Content = B;
}

/// Serves until `stop` turns true, then drains.
pub async fn serve<S: Answers>(
    listener: TcpListener,
    door: Door<S>,
    mut stop: signal::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let entrance = Arc::new(accept::Entrance::new(door));
    loop {
        let permit = room.clone().acquire_owned().await.expect("the room is never closed");
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stop.changed() => break,
        };
        // Answers are small and complete: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let (entrance, watcher, mut stop) = (entrance.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            entrance.watch().saw(Seen::Opened);
            // Requests are drained; whoever has not come to one yet, and tunnels, are not.
            let ready = tokio::select! {
                ready = entrance.receive(stream, peer) => ready,
                _ = stop.changed() => None,
            };
            if let Some(ready) = ready {
                entrance.clone().serve(ready, watcher).await;
            }
            entrance.watch().saw(Seen::Closed);
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after the drain time");
    }
}

//! Connections that are kept for the next request.
//!
//! Twilio closes each connection of a webhook, and so is done here, until a server is asked so often
//! that opening connections is most of the work: then those of its last requests are used again.
//! What was asked of an address once, whether it may be connected to, holds for as long as the
//! connection to it does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::target::Target;

const SECOND: Duration = Duration::from_secs(1);
/// Requests of one second from which on connections are kept.
const BUSY: u32 = 10;
/// How long a connection is kept unused. Servers that end theirs sooner are asked again.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// How long it is used at all: names move to other addresses.
const AGE_MAX: Duration = Duration::from_secs(60);
/// Unused connections of a server: as many as there are jobs at once.
const IDLE_OF_SERVER: usize = 256;
/// Servers that are remembered.
const SERVERS_MAX: usize = 4096;

/// A server as connections know it: scheme, host, port, and whether its name was told in TLS.
pub(crate) type Origin = (bool, String, u16, bool);

pub(crate) fn origin(target: &Target, sni: bool) -> Origin {
    (target.is_tls(), target.host_name().to_ascii_lowercase(), target.port(), sni)
}

/// An open connection.
pub(crate) struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    /// Dropping it ends the connection.
    pub _driver: JoinSet<hyper::Result<()>>,
    pub opened: Instant,
}

#[derive(Default)]
pub(crate) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    servers: HashMap<Origin, Server>,
    /// Somebody will end what is kept for too long.
    is_swept: bool,
}

struct Server {
    second: Instant,
    /// Requests of the second that runs, and whether those of the last were many.
    count: u32,
    was_busy: bool,
    /// With when each was last used, the latest at the end.
    idle: Vec<(Connection, Instant)>,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; true when its connection is worth keeping.
    pub fn is_busy(&self, origin: &Origin) -> bool {
        let now = Instant::now();
        let servers = &mut self.state().servers;
        if servers.len() >= SERVERS_MAX && !servers.contains_key(origin) {
            servers.retain(|_, server| now.duration_since(server.second) < IDLE_MAX);
            if servers.len() >= SERVERS_MAX {
                return false;
            }
        }
        let server = servers.entry(origin.clone()).or_insert_with(|| Server {
            second: now,
            count: 0,
            was_busy: false,
            idle: Vec::new(),
        });
        let passed = now.duration_since(server.second);
        if passed >= SECOND {
            server.was_busy = server.count >= BUSY && passed < 2 * SECOND;
            (server.second, server.count) = (now, 0);
        }
        server.count += 1;
        server.was_busy || server.count >= BUSY
    }

    /// The connection that was used last, open as far as is known.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        let now = Instant::now();
        let mut state = self.state();
        let idle = &mut state.servers.get_mut(origin)?.idle;
        while let Some((connection, since)) = idle.pop() {
            if now.duration_since(since) <= IDLE_MAX && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// For the next request; its answer has been read to the end.
    pub fn keep(self: &Arc<Self>, origin: &Origin, connection: Connection) {
        let now = Instant::now();
        if connection.sender.is_closed() || now.duration_since(connection.opened) > AGE_MAX {
            return;
        }
        let mut state = self.state();
        let Some(server) = state.servers.get_mut(origin) else { return };
        if server.idle.len() < IDLE_OF_SERVER {
            server.idle.push((connection, now));
        }
        if !std::mem::replace(&mut state.is_swept, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Ends what is not used, until nothing is kept.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE_MAX).await;
            let now = Instant::now();
            let mut state = self.state();
            for server in state.servers.values_mut() {
                server.idle.retain(|(_, since)| now.duration_since(*since) <= IDLE_MAX);
            }
            if state.servers.values().all(|server| server.idle.is_empty()) {
                state.is_swept = false;
                return;
            }
        }
    }
}

//! What the threads of one supervisor share.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::decide::Transport;
use super::markers::Markers;
use crate::{Caller, Facts};

/// How long [`Shared::behind`] waits for connections that are being made.
const UNDERWAY_WAIT: Duration = Duration::from_millis(500);

/// Sockets that [`Shared::keep`] keeps.
const LOOKUPS_MAX: usize = 128;

#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    /// Told whenever a connection to the front door has been made.
    made: Condvar,
}

#[derive(Default)]
struct State {
    facts: Facts,
    markers: Markers,
    /// The name server that was meant, by transport and local port of the asker.
    meant: HashMap<(Transport, u16), SocketAddr>,
    /// The latest UDP sockets that were made for the tree's lookups, by inode.
    lookups: VecDeque<(u64, OwnedFd)>,
    /// Who is behind a connection to the front door, by its local port.
    callers: HashMap<u16, Caller>,
    /// Connections to the front door that are being made: it may have accepted them
    /// before we know their port.
    underway: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn facts(&self) -> Facts {
        self.lock().facts.clone()
    }

    pub fn note(&self, note: impl FnOnce(&mut Facts)) {
        note(&mut self.lock().facts);
    }

    pub fn marker(&self, name: &str) -> Ipv4Addr {
        self.lock().markers.address(name)
    }

    pub fn host(&self, marker: Ipv4Addr) -> Option<String> {
        self.lock().markers.name(marker).map(str::to_owned)
    }

    pub fn remember_server(&self, transport: Transport, port: u16, server: SocketAddr) {
        self.lock().meant.insert((transport, port), server);
    }

    pub fn server(&self, transport: Transport, port: u16) -> Option<SocketAddr> {
        self.lock().meant.get(&(transport, port)).copied()
    }

    /// Keeps a socket that was put in the place of one of the tree's.
    pub fn keep(&self, socket: OwnedFd) {
        let Ok(status) = rustix::fs::fstat(&socket) else { return };
        let lookups = &mut self.lock().lookups;
        if lookups.len() >= LOOKUPS_MAX {
            lookups.pop_front();
        }
        lookups.push_back((status.st_ino, socket));
    }

    /// A socket that was kept, by its inode.
    pub fn kept(&self, inode: u64) -> Option<OwnedFd> {
        let state = self.lock();
        state.lookups.iter().find(|(kept, _)| *kept == inode)?.1.try_clone().ok()
    }

    /// Makes a connection to the front door with `connect`, which tells the local port
    /// if there is one, and remembers who is behind it.
    pub fn underway<T>(&self, caller: Caller, connect: impl FnOnce() -> (T, Option<u16>)) -> T {
        self.lock().underway += 1;
        let (result, port) = connect();
        let mut state = self.lock();
        state.underway -= 1;
        if let Some(port) = port {
            state.facts.note_redirected(&caller.host);
            state.callers.insert(port, caller);
        }
        drop(state);
        self.made.notify_all();
        result
    }

    /// Who is behind a port. While connections are being made and none of the ones that
    /// are known fits, waits up to 500 ms.
    pub fn behind(&self, port: u16) -> Option<Caller> {
        let unknown = |state: &mut State| state.underway > 0 && !state.callers.contains_key(&port);
        let (state, _) = self
            .made
            .wait_timeout_while(self.lock(), UNDERWAY_WAIT, unknown)
            .unwrap_or_else(PoisonError::into_inner);
        state.callers.get(&port).cloned()
    }
}

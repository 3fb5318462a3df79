//! The threads that answer the calls of the tree.

use std::io::PipeWriter;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use intercept::dns::Query;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::decide::{self, Connect, Destination, Send, Transport};
use super::process::Thread;
use super::receive;
use super::redirect::{self, Socket};
use super::state::Shared;
use super::sys::{self, Answer, Notification};
use crate::{Caller, Foreign, Method, Refused, Rules};

/// Bytes of a datagram that are looked at for a DNS question.
const QUESTION_MAX: usize = 512;

/// Everything a thread needs. When the last one ends, the listener and the pipe close.
pub struct Watch {
    pub listener: OwnedFd,
    pub rules: Rules,
    pub method: Method,
    /// Our DNS responder's address, by transport.
    pub dns_udp: SocketAddrV4,
    pub dns_tcp: SocketAddrV4,
    pub shared: Arc<Shared>,
    /// Held by the one thread that waits for the next call: where another thread took
    /// what was announced, older kernels would let it wait beyond the end of the tree.
    pub turn: Mutex<()>,
    /// Its other end is what the responder watches; nothing is written.
    pub _alive: PipeWriter,
}

impl Watch {
    /// Answers calls until the tree has ended.
    pub fn work(&self) {
        while let Some(call) = self.next() {
            // Without an answer the program would wait for ever.
            let answer = catch_unwind(AssertUnwindSafe(|| self.decide(&call)));
            let answer = answer.unwrap_or(Answer::Error(Errno::IO));
            // ENOENT: the thread was killed, or interrupted and will call again.
            let _ = sys::answer(self.listener.as_fd(), call.id, answer);
        }
    }

    /// The next call. `None`: nobody is left who could make one.
    fn next(&self) -> Option<Notification> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut listener = [PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut listener, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return None,
                Ok(_) => {}
            }
            // Checked first: a call may be announced by one who is gone.
            if !listener[0].revents().contains(PollFlags::IN) {
                return None;
            }
            match sys::receive(self.listener.as_fd()) {
                Ok(call) => return Some(call),
                Err(Errno::INTR | Errno::NOENT) => {}
                Err(_) => return None,
            }
        }
    }

    fn decide(&self, call: &Notification) -> Answer {
        let thread = Thread(call.thread);
        match call.call {
            libc::SYS_connect => self.connect(call, thread),
            libc::SYS_sendto => self.send(call, thread),
            libc::SYS_recvfrom => self.receive(call, thread),
            _ => {
                let program = thread.program();
                self.shared.note(|facts| facts.io_uring.note(program));
                Answer::Continue
            }
        }
    }

    /// The destination of a call. `None`: it cannot be known, the kernel may see to it.
    fn destination(
        &self,
        call: &Notification,
        thread: Thread,
        address: u64,
        length: u64,
    ) -> Option<Destination> {
        let destination = thread.destination(address, length);
        if destination == Err(Errno::PERM) {
            let program = thread.program();
            self.shared.note(|facts| facts.unreadable.note(program));
        }
        let destination = destination.ok()?;
        self.is_waiting(call).then_some(destination)
    }

    /// Whether what was read of the thread since its call was its own. If not, its answer
    /// goes nowhere.
    fn is_waiting(&self, call: &Notification) -> bool {
        sys::is_waiting(self.listener.as_fd(), call.id)
    }

    fn connect(&self, call: &Notification, thread: Thread) -> Answer {
        self.shared.note(|facts| facts.connects += 1);
        let [descriptor, address, length, ..] = call.args;
        let Some(destination) = self.destination(call, thread, address, length) else {
            return Answer::Continue;
        };
        let Destination::Internet(address) = destination else {
            return match decide::connect(&destination, Transport::Other, false, false) {
                Connect::Absent => Answer::Error(Errno::NOENT),
                _ => Answer::Continue,
            };
        };
        let offline = self.rules.offline;
        let mut socket = None;
        if decide::needs_transport(&destination, offline) {
            match Socket::of(thread, descriptor as i32, self.method) {
                // It ended, and what was found may be of another with its number.
                _ if !self.is_waiting(call) => return Answer::Continue,
                Ok(found) => socket = Some(found),
                Err(Errno::BADF | Errno::NOTSOCK) => return Answer::Continue,
                // Not allowed, or gone. A connection to a marker must not happen anyway.
                Err(_) if decide::is_marker(address.ip()) => return self.refuse(thread, address),
                Err(_) => {}
            }
        }
        let transport = socket.as_ref().map_or(Transport::Other, |socket| socket.transport);
        let host = self.host(address.ip());
        let decision = decide::connect(&destination, transport, host.is_some(), offline);
        match (decision, socket) {
            (Connect::Door, Some(socket)) => {
                let caller = Caller { program: thread.program(), host: host.unwrap_or_default() };
                self.to_door(call, &socket, caller)
            }
            (Connect::Mail, Some(socket)) => match self.rules.mail {
                Some(mail) => {
                    let host = host.unwrap_or_default();
                    self.shared.note(|facts| *facts.mail.entry(host).or_default() += 1);
                    socket.connect(mail, self.listener.as_fd(), call.id).answer
                }
                None => self.refuse(thread, address),
            },
            (Connect::Dns, Some(socket)) => self.to_dns(call, &socket, address),
            (Connect::Refuse, _) => self.refuse(thread, address),
            (Connect::RefuseQuietly, _) => Answer::Error(Errno::CONNREFUSED),
            (Connect::Absent, _) => Answer::Error(Errno::NOENT),
            (Connect::Foreign, _) => {
                let foreign = Foreign { address: address.ip(), program: thread.program() };
                self.shared.note(|facts| facts.foreign_tls.note(foreign));
                Answer::Continue
            }
            // Door, mail and DNS are decided only for a transport, which is known of a socket.
            (Connect::Continue | Connect::Door | Connect::Mail | Connect::Dns, _) => {
                Answer::Continue
            }
        }
    }

    /// The name that a marker address was given to.
    fn host(&self, address: IpAddr) -> Option<String> {
        match address {
            IpAddr::V4(address) => self.shared.host(address),
            IpAddr::V6(_) => None,
        }
    }

    fn refuse(&self, thread: Thread, address: SocketAddr) -> Answer {
        let host = self.host(address.ip()).unwrap_or_else(|| address.ip().to_string());
        let refused = Refused { host, port: address.port(), program: thread.program() };
        self.shared.note(|facts| facts.refused.note(refused));
        Answer::Error(Errno::CONNREFUSED)
    }

    fn to_door(&self, call: &Notification, socket: &Socket, caller: Caller) -> Answer {
        self.shared.underway(caller, || {
            let made = socket.connect(self.rules.door, self.listener.as_fd(), call.id);
            (made.answer, made.port)
        })
    }

    fn to_dns(&self, call: &Notification, socket: &Socket, server: SocketAddr) -> Answer {
        let responder = match socket.transport {
            Transport::Tcp => self.dns_tcp,
            _ => self.dns_udp,
        };
        let made = socket.connect(responder, self.listener.as_fd(), call.id);
        if let Some(port) = made.port {
            self.shared.remember_server(socket.transport, port, server);
        }
        if let (Some(file), Transport::Udp) = (made.made, socket.transport) {
            self.shared.keep(file);
        }
        made.answer
    }

    /// A datagram of our responder comes, for the program, from the server that was meant:
    /// c-ares ignores any other.
    fn receive(&self, call: &Notification, thread: Thread) -> Answer {
        let Ok(socket) = Socket::of(thread, call.args[0] as i32, self.method) else {
            return Answer::Continue;
        };
        if socket.transport != Transport::Udp {
            return Answer::Continue;
        }
        let is_v6 = socket.is_v6;
        let Some(file) = socket.into_file(|inode| self.shared.kept(inode)) else {
            return Answer::Continue;
        };
        let Some(server) = self.server_meant(file.as_fd()) else { return Answer::Continue };
        let Some(memory) = thread.memory().filter(|_| self.is_waiting(call)) else {
            return Answer::Continue;
        };
        let from = match server {
            SocketAddr::V4(server) if is_v6 => redirect::mapped(server),
            server => server,
        };
        receive::receive(&memory, file.as_fd(), &call.args, from)
    }

    /// The server that a socket's program believes to talk to, if it talks to our responder.
    fn server_meant(&self, socket: BorrowedFd<'_>) -> Option<SocketAddr> {
        let peer = redirect::peer(socket)?;
        if peer.ip().to_canonical() != *self.dns_udp.ip() || peer.port() != self.dns_udp.port() {
            return None;
        }
        self.shared.server(Transport::Udp, redirect::local_port(socket).ok()?)
    }

    fn send(&self, call: &Notification, thread: Thread) -> Answer {
        let [_, payload, size, _, address, length] = call.args;
        let Some(destination) = self.destination(call, thread, address, length) else {
            return Answer::Continue;
        };
        match decide::send(&destination, self.rules.offline) {
            Send::Continue => Answer::Continue,
            Send::Refuse => Answer::Error(Errno::CONNREFUSED),
            Send::Lookup => {
                let mut buffer = [0; QUESTION_MAX];
                let query = Query::parse(thread.payload(payload, size, &mut buffer));
                if query.is_some_and(|query| intercept::is_intercepted(&query.name)) {
                    let program = thread.program();
                    self.shared.note(|facts| facts.own_resolver.note(program));
                }
                Answer::Continue
            }
        }
    }
}

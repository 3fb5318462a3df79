//! The threads that answer the calls of the tree.

use std::io::PipeWriter;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use intercept::dns::Query;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::decide::{self, Connect, Destination, Send, Transport};
use super::process::Thread;
use super::redirect::Socket;
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
        sys::is_waiting(self.listener.as_fd(), call.id).then_some(destination)
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
            (Connect::Door, Some(socket)) => self.to_door(call, &socket, host.unwrap_or_default()),
            (Connect::Dns, Some(socket)) => self.to_dns(call, &socket, address),
            (Connect::Refuse, _) => self.refuse(thread, address),
            (Connect::RefuseQuietly, _) => Answer::Error(Errno::CONNREFUSED),
            (Connect::Absent, _) => Answer::Error(Errno::NOENT),
            (Connect::Foreign, _) => {
                let foreign = Foreign { address: address.ip(), program: thread.program() };
                self.shared.note(|facts| facts.foreign_tls.note(foreign));
                Answer::Continue
            }
            // The first two are decided only for a transport, which is known of a socket.
            (Connect::Continue | Connect::Door | Connect::Dns, _) => Answer::Continue,
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

    fn to_door(&self, call: &Notification, socket: &Socket, host: String) -> Answer {
        let caller = Caller { program: socket.program(), host };
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
        made.answer
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

//! The DNS responder that the tree's resolvers talk to.
//!
//! Intercepted names it answers itself, with a marker address each. Everything else is
//! forwarded byte for byte to the server that was meant, and so is the answer back.

use std::io::{self, PipeReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use intercept::dns::Query;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::decide::Transport;
use super::state::Shared;

/// UDP queries that wait for another server at the same time; beyond that SERVFAIL.
const QUERIES_MAX: usize = 256;
/// TCP connections at the same time; beyond that they are closed.
const STREAMS_MAX: usize = 32;
/// How long another server may take.
const SERVER_WAIT: Duration = Duration::from_secs(5);
/// How long a TCP connection may be idle.
const IDLE_WAIT: Duration = Duration::from_secs(10);
/// The most a DNS message can have.
const MESSAGE_MAX: usize = 65_535;

/// Characters of a host name (RFC 1035 §2.3.4, less what only the wire has). More are
/// those of a name with escaped bytes, which is no host's.
const HOST_MAX: usize = 253;

pub struct Responder {
    udp: UdpSocket,
    tcp: TcpListener,
    streams: Arc<AtomicUsize>,
}

/// A query that waits for another server.
struct Asked {
    /// Connected to that server, so that nobody else can answer.
    socket: UdpSocket,
    asker: SocketAddr,
    /// What the asker gets if the server cannot be reached.
    failure: Vec<u8>,
    until: Instant,
}

/// Who answers a query.
enum Reply {
    Ours(Vec<u8>),
    /// This server; if it cannot be reached, the message.
    Theirs(SocketAddr, Vec<u8>),
}

impl Responder {
    /// Two sockets on 127.0.0.1, at any port each.
    pub fn bind() -> io::Result<Self> {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { udp, tcp, streams: Arc::default() })
    }

    /// The addresses for UDP and for TCP.
    pub fn addresses(&self) -> io::Result<(SocketAddrV4, SocketAddrV4)> {
        let udp = self.udp.local_addr()?.port();
        let tcp = self.tcp.local_addr()?.port();
        Ok((
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, udp),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, tcp),
        ))
    }

    /// Answers until the other end of `alive` is closed.
    pub fn work(self, shared: &Arc<Shared>, alive: &PipeReader) {
        let mut asked: Vec<Asked> = Vec::new();
        let mut buffer = vec![0; MESSAGE_MAX];
        loop {
            let sockets = [alive.as_fd(), self.udp.as_fd(), self.tcp.as_fd()];
            let waiting = asked.iter().map(|asked| asked.socket.as_fd());
            let mut watched: Vec<PollFd<'_>> = sockets
                .into_iter()
                .chain(waiting)
                .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
                .collect();
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            let limit = if asked.is_empty() { None } else { Some(&second) };
            match poll(&mut watched, limit) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            let ready: Vec<bool> = watched.iter().map(|file| !file.revents().is_empty()).collect();
            if ready[0] {
                return;
            }
            let now = Instant::now();
            let mut answered = ready[3..].iter();
            asked.retain(|asked| {
                let is_ready = answered.next().is_some_and(|&ready| ready);
                if is_ready {
                    self.pass_back(asked, &mut buffer);
                }
                !is_ready && asked.until > now
            });
            if ready[1] {
                self.take_datagram(shared, &mut asked, &mut buffer);
            }
            if ready[2] {
                self.take_stream(shared);
            }
        }
    }

    fn take_datagram(&self, shared: &Shared, asked: &mut Vec<Asked>, buffer: &mut [u8]) {
        let Ok((length, asker)) = self.udp.recv_from(buffer) else { return };
        let message = &buffer[..length];
        let reply = match reply(shared, Transport::Udp, asker.port(), message) {
            None => return,
            Some(Reply::Ours(reply)) => reply,
            Some(Reply::Theirs(_, failure)) if asked.len() >= QUERIES_MAX => failure,
            Some(Reply::Theirs(server, failure)) => match ask(server, message) {
                Ok(socket) => {
                    let until = Instant::now() + SERVER_WAIT;
                    asked.push(Asked { socket, asker, failure, until });
                    return;
                }
                Err(_) => failure,
            },
        };
        // An asker who is gone needs no answer.
        let _ = self.udp.send_to(&reply, asker);
    }

    fn pass_back(&self, asked: &Asked, buffer: &mut [u8]) {
        let reply = match asked.socket.recv(buffer) {
            Ok(length) => &buffer[..length],
            Err(_) => &asked.failure,
        };
        let _ = self.udp.send_to(reply, asked.asker);
    }

    /// Serves a connection in a thread of its own.
    fn take_stream(&self, shared: &Arc<Shared>) {
        let Ok((stream, asker)) = self.tcp.accept() else { return };
        let slot = Slot(Arc::clone(&self.streams));
        if slot.0.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
            return;
        }
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("supervisor-dns".to_owned());
        // No thread, no answer: the connection is closed.
        let _ = thread.spawn(move || {
            let _slot = slot;
            serve(stream, asker, &shared)
        });
    }
}

/// A place among the TCP connections, given back when dropped.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Decides who answers. `None`: nobody, as a failure cannot be told without a question.
fn reply(shared: &Shared, transport: Transport, port: u16, message: &[u8]) -> Option<Reply> {
    let query = Query::parse(message);
    let failure = query.as_ref().map(Query::failure);
    // Who was not led here may not ask.
    let Some(server) = shared.server(transport, port) else { return failure.map(Reply::Ours) };
    match query {
        Some(query) if intercept::is_intercepted(&query.name) => {
            if query.name.len() > HOST_MAX {
                return failure.map(Reply::Ours);
            }
            Some(Reply::Ours(query.answer(shared.marker(&query.name))))
        }
        Some(query) => {
            shared.note(|facts| facts.foreign_names.note(query.name));
            Some(Reply::Theirs(server, failure.unwrap_or_default()))
        }
        None => Some(Reply::Theirs(server, Vec::new())),
    }
}

/// Sends a query by UDP from a port of its own.
fn ask(server: SocketAddr, message: &[u8]) -> io::Result<UdpSocket> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
    };
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    socket.send(message)?;
    Ok(socket)
}

/// Answers the queries of one TCP connection, one after the other, until it ends.
fn serve(mut stream: TcpStream, asker: SocketAddr, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    limit(&stream, IDLE_WAIT)?;
    loop {
        let message = read_framed(&mut stream)?;
        let answer = match reply(shared, Transport::Tcp, asker.port(), &message) {
            None => return Ok(()),
            Some(Reply::Ours(answer)) => answer,
            Some(Reply::Theirs(server, failure)) => ask_tcp(server, &message).unwrap_or(failure),
        };
        write_framed(&mut stream, &answer)?;
    }
}

/// Asks a server by TCP.
fn ask_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, SERVER_WAIT)?;
    limit(&stream, SERVER_WAIT)?;
    write_framed(&mut stream, message)?;
    read_framed(&mut stream)
}

fn limit(stream: &TcpStream, wait: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))
}

/// Reads a message after its length in two bytes (RFC 1035 §4.2.2).
fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for the A record of `name`, as a stub resolver sends it.
    fn query(name: &str) -> Vec<u8> {
        let mut message = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        message
    }

    struct Running {
        shared: Arc<Shared>,
        udp: SocketAddrV4,
        tcp: SocketAddrV4,
        /// Ends the responder when dropped.
        _alive: std::io::PipeWriter,
    }

    fn run() -> Running {
        let responder = Responder::bind().unwrap();
        let (udp, tcp) = responder.addresses().unwrap();
        let (watched, alive) = io::pipe().unwrap();
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        std::thread::spawn(move || responder.work(&its, &watched));
        Running { shared, udp, tcp, _alive: alive }
    }

    fn asker(running: &Running, server: Option<SocketAddr>) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.connect(running.udp).unwrap();
        if let Some(server) = server {
            let port = socket.local_addr().unwrap().port();
            running.shared.remember_server(Transport::Udp, port, server);
        }
        socket
    }

    fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 600];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn an_intercepted_name_is_answered_even_if_its_server_is_dead() {
        let running = run();
        let socket = asker(&running, Some("192.0.2.1:53".parse().unwrap()));
        socket.send(&query("api.twilio.com")).unwrap();
        assert!(receive(&socket).ends_with(&[127, 66, 0, 1]));
        assert_eq!(running.shared.host([127, 66, 0, 1].into()).unwrap(), "api.twilio.com");
    }

    #[test]
    fn a_foreign_name_is_asked_of_the_server_that_was_meant_byte_for_byte() {
        let running = run();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = asker(&running, Some(server.local_addr().unwrap()));
        let mut asked = query("example.org");
        asked.extend(b"and what follows");
        socket.send(&asked).unwrap();
        let mut buffer = [0; 600];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..length], asked);
        stranger.send_to(b"a forged answer", from).unwrap();
        server.send_to(b"any answer", from).unwrap();
        assert_eq!(receive(&socket), b"any answer");
        assert_eq!(running.shared.facts().foreign_names.entries, ["example.org"]);
    }

    #[test]
    fn who_was_not_led_here_and_who_has_no_server_gets_a_failure() {
        let running = run();
        let socket = asker(&running, None);
        socket.send(&query("api.twilio.com")).unwrap();
        assert_eq!(receive(&socket)[3] & 15, 2);
        // Nobody listens at a port that was just given back.
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = asker(&running, Some(gone));
        socket.send(&query("example.org")).unwrap();
        assert_eq!(receive(&socket)[3] & 15, 2);
    }

    #[test]
    fn by_tcp_too_and_several_queries_in_a_row() {
        let running = run();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(running.tcp).unwrap();
        let port = stream.local_addr().unwrap().port();
        running.shared.remember_server(Transport::Tcp, port, server.local_addr().unwrap());
        write_framed(&mut stream, &query("api.twilio.com")).unwrap();
        assert!(read_framed(&mut stream).unwrap().ends_with(&[127, 66, 0, 1]));
        write_framed(&mut stream, &query("example.org")).unwrap();
        let (mut theirs, _) = server.accept().unwrap();
        assert_eq!(read_framed(&mut theirs).unwrap(), query("example.org"));
        write_framed(&mut theirs, b"any answer").unwrap();
        assert_eq!(read_framed(&mut stream).unwrap(), b"any answer");
    }

    #[test]
    fn it_ends_with_the_tree() {
        let responder = Responder::bind().unwrap();
        let (watched, alive) = io::pipe().unwrap();
        drop(alive);
        responder.work(&Arc::default(), &watched);
    }
}

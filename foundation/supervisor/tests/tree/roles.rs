//! What the supervised programs do. A role that fails panics.

use std::io::{ErrorKind, Read, Write};
use std::net::{
    Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream, ToSocketAddrs, UdpSocket,
};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::door::GREETING;
use crate::raw;

/// A query for the A record of api.twilio.com.
const QUERY: &[u8] = b"\x07\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x03api\x06twilio\x03com\x00\x00\x01\x00\x01";

pub fn play(role: &str, args: &[String]) {
    let arg = |at: usize| args[at].as_str();
    let port = |at: usize| arg(at).parse::<u16>().unwrap();
    match role {
        "connect" => greeted(TcpStream::connect((arg(0), port(1))).unwrap()),
        // To where nobody is: it is killed, or refused by the network, whichever is first.
        "try" => drop(TcpStream::connect((arg(0), port(1)))),
        "often" => (0..port(2)).for_each(|_| greeted(connect(arg(0), port(1)))),
        "thread" => {
            let (host, port) = (arg(0).to_owned(), port(1));
            std::thread::spawn(move || greeted(connect(&host, port))).join().unwrap();
        }
        "nonblocking" => nonblocking(resolve(arg(0), port(1))),
        "mapped" => mapped(resolve(arg(0), port(1))),
        "grandchild" => again(&["grandchild-2", arg(0), arg(1)]),
        "grandchild-2" => again(&["connect", arg(0), arg(1)]),
        "refused" => {
            let refused = TcpStream::connect((arg(0), port(1))).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        "udp-refused" => {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let address = resolve(arg(0), port(1));
            let refused = socket.connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let refused = socket.send_to(b"a datagram", address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        "unknown-name" => {
            (arg(0), 443).to_socket_addrs().unwrap_err();
        }
        "dns-over-tcp" => dns_over_tcp(),
        "checks-source" => checks_source(),
        "own-resolver" => {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(QUERY, "127.0.0.1:53").unwrap();
        }
        "io-uring" => raw::io_uring_setup(),
        "bad-arguments" => bad_arguments(arg(0)),
        "exit-in-call" => exit_in_call(arg(0), port(1)),
        "many" => many(arg(0), arg(1), port(2)),
        "nested" => nested(),
        other => panic!("no role {other}"),
    }
}

fn resolve(host: &str, port: u16) -> SocketAddrV4 {
    let mut addresses = (host, port).to_socket_addrs().unwrap();
    let Some(SocketAddr::V4(address)) = addresses.next() else { panic!("no IPv4 address") };
    address
}

fn connect(host: &str, port: u16) -> TcpStream {
    TcpStream::connect((host, port)).unwrap()
}

fn greeted(mut stream: TcpStream) {
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, GREETING);
}

fn socket(family: AddressFamily, flags: SocketFlags) -> OwnedFd {
    rustix::net::socket_with(family, SocketType::STREAM, flags, None).unwrap()
}

/// As an event loop does: no call waits, and flags and descriptor stay what they were.
fn nonblocking(address: SocketAddrV4) {
    let socket = socket(AddressFamily::INET, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC);
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => panic!("{error}"),
    }
    poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None).unwrap();
    assert_eq!(rustix::net::sockopt::socket_error(&socket).unwrap(), Ok(()));
    let again = rustix::net::connect(&socket, &address);
    assert!(matches!(again, Ok(()) | Err(Errno::ISCONN)), "{again:?}");
    let status = rustix::fs::fcntl_getfl(&socket).unwrap();
    assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&socket).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], None).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    greeted(stream);
}

/// As a JVM does: an IPv6 socket for an IPv4 address.
fn mapped(address: SocketAddrV4) {
    let socket = socket(AddressFamily::INET6, SocketFlags::empty());
    rustix::net::sockopt::set_ipv6_v6only(&socket, false).unwrap();
    let to = SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0);
    rustix::net::connect(&socket, &to).unwrap();
    assert!(!rustix::io::fcntl_getfd(&socket).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    greeted(TcpStream::from(socket));
}

fn dns_over_tcp() {
    let mut stream = TcpStream::connect("192.0.2.53:53").unwrap();
    let length = u16::try_from(QUERY.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], QUERY].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    let [.., 127, 66, c, d] = answer[..] else { panic!("{answer:?}") };
    greeted(TcpStream::connect((Ipv4Addr::new(127, 66, c, d), 443)).unwrap());
}

/// As c-ares does: an answer counts only if it comes from the server that was asked.
fn checks_source() {
    for (socket, server) in [("0.0.0.0:0", "192.0.2.53:53"), ("[::]:0", "[::ffff:192.0.2.53]:53")] {
        let socket = UdpSocket::bind(socket).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(server).unwrap();
        let mut answer = [0; 512];
        let nothing = socket.recv_from(&mut answer).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        socket.send(QUERY).unwrap();
        poll(&mut [PollFd::new(&socket, PollFlags::IN)], None).unwrap();
        let (length, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!(from, server.parse().unwrap());
        assert_eq!(
            answer[..length],
            [
                b"\x07\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00",
                &QUERY[12..],
                b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x7f\x42\x00\x01",
            ]
            .concat()
        );
    }
}

/// Starts this program once more, in another role.
fn again(args: &[&str]) {
    let me = std::env::current_exe().unwrap();
    assert!(Command::new(me).arg("child").args(args).status().unwrap().success());
}

/// Every call gets from the kernel what it would get without supervision.
fn bad_arguments(host: &str) {
    let tcp = socket(AddressFamily::INET, SocketFlags::CLOEXEC);
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let (tcp, udp) = (tcp.as_raw_fd(), udp.as_raw_fd());
    let marker = resolve(host, 443);
    let mut good = [0u8; 16];
    good[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    good[2..4].copy_from_slice(&443u16.to_be_bytes());
    good[4..8].copy_from_slice(&marker.ip().octets());
    let good = good.as_ptr() as usize;
    for bad in [0, 1, 0xdead_beef, usize::MAX, 0x7fff_ffff_f000] {
        assert_eq!(raw::connect(tcp, bad, 16), Err(libc::EFAULT), "{bad:x}");
    }
    for length in [129, 1 << 30, u32::MAX, i32::MAX as u32] {
        assert_eq!(raw::connect(tcp, good, length), Err(libc::EINVAL), "{length}");
    }
    for length in [0, 1, 8] {
        assert_eq!(raw::connect(tcp, good, length), Err(libc::EINVAL), "{length}");
    }
    assert_eq!(raw::connect(-1, good, 16), Err(libc::EBADF));
    assert_eq!(raw::connect(9999, good, 16), Err(libc::EBADF));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(raw::connect(file.as_raw_fd(), good, 16), Err(libc::ENOTSOCK));
    assert_eq!(raw::send_to(udp, 1, 16), Err(libc::EFAULT));
    assert_eq!(raw::send_to(udp, good, u32::MAX), Err(libc::EINVAL));
    bad_receiving();
}

/// The same for `recvfrom`, on a socket that talks to our responder.
fn bad_receiving() {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.53:53").unwrap();
    let mut source = [0u8; 16];
    let good = source.as_mut_ptr() as usize;
    let receive = |buffer, source, room, length| {
        socket.send(QUERY).unwrap();
        poll(&mut [PollFd::new(&socket, PollFlags::IN)], None).unwrap();
        raw::receive_from(socket.as_raw_fd(), buffer, source, room, length)
    };
    for bad in [0, 1, 0xdead_beef, usize::MAX, 0x7fff_ffff_f000] {
        assert_eq!(receive(Some(bad), good, 16, None), Err(libc::EFAULT), "{bad:x}");
        assert_eq!(receive(None, good, 16, Some(bad)), Err(libc::EFAULT), "{bad:x}");
    }
    assert_eq!(receive(None, 1, 16, None), Err(libc::EFAULT));
    assert_eq!(receive(None, good, u32::MAX, None), Err(libc::EINVAL));
    let answer = QUERY.len() + 16;
    assert_eq!(receive(None, good, 0, None), Ok(answer));
    assert_eq!(source, [0; 16], "there was no room");
    assert_eq!(receive(None, good, 16, None), Ok(answer));
    assert_eq!(source[2..8], [0, 53, 192, 0, 2, 53]);
}

/// Dies while some of its threads are in the middle of a call.
fn exit_in_call(host: &str, port: u16) {
    let address = resolve(host, port);
    static STARTED: AtomicBool = AtomicBool::new(false);
    for _ in 0..4 {
        std::thread::spawn(move || {
            loop {
                drop(TcpStream::connect(address));
                STARTED.store(true, Ordering::Relaxed);
            }
        });
    }
    while !STARTED.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    raw::exit_now();
}

/// A second listener is not to be had, and that is said.
fn nested() {
    let why = supervisor::probe().unwrap_err().to_string();
    assert!(why.contains("runs under a seccomp listener itself"), "{why}");
    let rules =
        supervisor::Rules { door: "127.0.0.1:1".parse().unwrap(), mail: None, offline: false };
    let nested = supervisor::spawn(Command::new("true"), rules, supervisor::Method::AddFd);
    let error = nested.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), why);
}

/// Many processes at the same time.
fn many(host: &str, port: &str, count: u16) {
    let me = std::env::current_exe().unwrap();
    let start = || {
        let mut command = Command::new(&me);
        command.args(["child", "connect", host, port]).stdin(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..count).map(|_| start()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

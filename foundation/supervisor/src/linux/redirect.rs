//! Connecting a socket of another process to one of our own addresses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_ipv6_v6only, set_socket_timeout, socket_domain, socket_timeout, socket_type,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::decide::Transport;
use super::process::{Flags, Thread};
use super::sys::{self, Answer};
use crate::Method;

/// How long a connection to one of our own addresses may take, if the program would
/// wait for it: a thread of ours waits in its place.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// A socket of the tree.
pub struct Socket {
    pub transport: Transport,
    /// Of family IPv6.
    pub is_v6: bool,
    thread: Thread,
    number: i32,
    handle: Handle,
}

enum Handle {
    /// The same open file, for [`Method::PidfdGetfd`].
    Duplicate(OwnedFd),
    /// Only its number, for [`Method::AddFd`].
    Number(Flags),
}

/// What came of a connection.
pub struct Connected {
    pub answer: Answer,
    /// The local port, if there is a connection or one is under way.
    pub port: Option<u16>,
    /// The socket that took the place of the old one, if one did.
    pub made: Option<OwnedFd>,
}

impl Socket {
    /// Looks at descriptor `number` of a thread. EBADF and ENOTSOCK are the thread's
    /// own fault.
    pub fn of(thread: Thread, number: i32, method: Method) -> Result<Self, Errno> {
        if number < 0 {
            return Err(Errno::BADF);
        }
        match method {
            Method::PidfdGetfd => {
                let socket = thread.duplicate(number)?;
                let is_v6 = match socket_domain(&socket)? {
                    AddressFamily::INET => Some(false),
                    AddressFamily::INET6 => Some(true),
                    _ => None,
                };
                let transport = match socket_type(&socket)? {
                    SocketType::STREAM if is_v6.is_some() => Transport::Tcp,
                    SocketType::DGRAM if is_v6.is_some() => Transport::Udp,
                    _ => Transport::Other,
                };
                let handle = Handle::Duplicate(socket);
                Ok(Self { transport, thread, number, is_v6: is_v6 == Some(true), handle })
            }
            Method::AddFd => {
                let flags = thread.flags(number).ok_or(Errno::BADF)?;
                let (transport, is_v6) = match thread.protocol(number) {
                    Err(Errno::NODATA | Errno::OPNOTSUPP) => return Err(Errno::NOTSOCK),
                    other => other?,
                };
                Ok(Self { transport, thread, number, is_v6, handle: Handle::Number(flags) })
            }
        }
    }

    /// Connects it to `to`, for the call `id` that waits.
    pub fn connect(&self, to: SocketAddrV4, listener: BorrowedFd<'_>, id: u64) -> Connected {
        let connected = match &self.handle {
            Handle::Duplicate(socket) => self.connect_one(socket.as_fd(), to),
            Handle::Number(flags) => self.connect_other(*flags, to, listener, id),
        };
        let failed = |error| Connected { answer: Answer::Error(error), port: None, made: None };
        connected.unwrap_or_else(failed)
    }

    /// Connects a new socket, and puts it in the place of the old one. Waits until it is
    /// connected, also for a program that would not: if it asked again with `connect` how
    /// its socket stands, that would be another socket.
    fn connect_other(
        &self,
        flags: Flags,
        to: SocketAddrV4,
        listener: BorrowedFd<'_>,
        id: u64,
    ) -> Result<Connected, Errno> {
        let family = if self.is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let kind = match self.transport {
            Transport::Tcp => SocketType::STREAM,
            Transport::Udp => SocketType::DGRAM,
            Transport::Other => return Err(Errno::CONNREFUSED),
        };
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        let connected = self.connect_one(socket.as_fd(), to)?;
        rustix::io::ioctl_fionbio(&socket, flags.nonblocking)?;
        // Not negative, see `Socket::of`.
        let number = self.number as u32;
        sys::replace(listener, id, socket.as_fd(), number, flags.close_on_exec)?;
        Ok(Connected { made: Some(socket), ..connected })
    }

    /// Connects `socket` and tells what the program sees, and the local port.
    fn connect_one(&self, socket: BorrowedFd<'_>, to: SocketAddrV4) -> Result<Connected, Errno> {
        let to = if self.is_v6 { mapped(to) } else { to.into() };
        if self.is_v6 {
            // Fails if the socket is bound; then `connect` says what is wrong with it.
            let _ = set_ipv6_v6only(socket, false);
        }
        let answer = match connect_within(socket, to) {
            Ok(()) => Answer::Value(0),
            // The call was interrupted, so that we see it for the second time, or the
            // program asks how it stands: it gets what it would have got at first.
            Err(Errno::INPROGRESS | Errno::ALREADY) => Answer::Error(Errno::INPROGRESS),
            Err(Errno::ISCONN) if peer(socket) == Some(to) => Answer::Value(0),
            Err(error) => return Err(error),
        };
        Ok(Connected { answer, port: Some(local_port(socket)?), made: None })
    }

    /// The open file itself. If it is known by number only, `kept` may have it, by its
    /// inode.
    pub fn into_file(self, kept: impl FnOnce(u64) -> Option<OwnedFd>) -> Option<OwnedFd> {
        match self.handle {
            Handle::Duplicate(socket) => Some(socket),
            Handle::Number(_) => kept(self.thread.inode(self.number)?),
        }
    }
}

/// `connect`, which for a blocking socket takes at most [`CONNECT_WAIT`], or less if
/// the program has set a limit itself; then ETIMEDOUT.
fn connect_within(socket: BorrowedFd<'_>, to: SocketAddr) -> Result<(), Errno> {
    let blocking = !rustix::fs::fcntl_getfl(socket)?.contains(OFlags::NONBLOCK);
    if !blocking || socket_timeout(socket, Timeout::Send)?.is_some() {
        return rustix::net::connect(socket, &to);
    }
    set_socket_timeout(socket, Timeout::Send, Some(CONNECT_WAIT))?;
    let connected = rustix::net::connect(socket, &to);
    set_socket_timeout(socket, Timeout::Send, None)?;
    match connected {
        Err(Errno::INPROGRESS | Errno::ALREADY) => Err(Errno::TIMEDOUT),
        other => other,
    }
}

pub fn peer(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    rustix::net::getpeername(socket).ok()??.try_into().ok()
}

pub fn local_port(socket: BorrowedFd<'_>) -> Result<u16, Errno> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.port())
}

/// The address as a socket of family IPv6 takes it (RFC 4291 §2.5.5.2).
pub fn mapped(to: SocketAddrV4) -> SocketAddr {
    let ip: &Ipv4Addr = to.ip();
    SocketAddrV6::new(ip.to_ipv6_mapped(), to.port(), 0, 0).into()
}

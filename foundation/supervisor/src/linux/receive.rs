//! `recvfrom` in another process's place.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::process::Memory;
use super::sys::Answer;

/// The most a datagram can have.
const DATAGRAM_MAX: usize = 65_535;

/// Receives a datagram for a thread into its memory, where the arguments of its call say,
/// as if it came `from` there. Where it would have to wait, the kernel may do that: then
/// the thread learns where the datagram really came from.
pub fn receive(
    memory: &Memory,
    socket: BorrowedFd<'_>,
    args: &[u64; 6],
    from: SocketAddr,
) -> Answer {
    let flags = RecvFlags::from_bits_retain(args[3] as u32);
    let waits = !flags.contains(RecvFlags::DONTWAIT)
        && !rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
    if waits && !is_ready(socket) {
        return Answer::Continue;
    }
    match received(memory, socket, args, flags, from) {
        Ok(length) => Answer::Value(length),
        Err(error) => Answer::Error(error),
    }
}

/// The number of bytes that the call returns.
fn received(
    memory: &Memory,
    socket: BorrowedFd<'_>,
    args: &[u64; 6],
    flags: RecvFlags,
    from: SocketAddr,
) -> Result<usize, Errno> {
    let [_, buffer, size, _, source, source_length] = *args;
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(DATAGRAM_MAX);
    let mut data = vec![0; size];
    let (length, whole) = rustix::net::recv(socket, &mut data[..], flags | RecvFlags::DONTWAIT)?;
    memory.write(buffer, &data[..length])?;
    let from = encode(from);
    let room = memory.read_int(source_length)?;
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    memory.write(source, &from[..from.len().min(room)])?;
    memory.write(source_length, &(from.len() as u32).to_ne_bytes())?;
    Ok(if flags.contains(RecvFlags::TRUNC) { whole } else { length })
}

fn is_ready(socket: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], Some(&now)) == Ok(1)
}

/// A `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)).
fn encode(address: SocketAddr) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family[..], &port, &v4.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(v6) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            let scope = v6.scope_id().to_ne_bytes();
            [&family[..], &port, &[0; 4], &v6.ip().octets(), &scope].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::decide::Destination;
    use crate::platform::process::parse;

    #[test]
    fn what_is_encoded_is_read_the_same() {
        for address in ["192.0.2.53:53", "[2001:db8::53]:53"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(parse(&encode(address)), Destination::Internet(address));
        }
    }
}

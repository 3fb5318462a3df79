//! What is read of a thread that waits in a call: its memory and its /proc entry.
//!
//! Everything here is the thread's own word, and it may be gone or lie at any moment.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::decide::{Destination, Transport};
use super::sys;

/// `sizeof(struct sockaddr_storage)`, which is also the most the kernel accepts.
const ADDRESS_MAX: usize = 128;
/// Bytes of a program's name that are kept.
const NAME_MAX: usize = 255;

/// A thread of the supervised tree.
#[derive(Clone, Copy)]
pub struct Thread(pub i32);

/// A descriptor, as far as it can be known without touching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    pub nonblocking: bool,
    pub close_on_exec: bool,
}

impl Thread {
    /// The socket address that a call names: arguments of `connect` and `sendto`. A
    /// length that the kernel does not accept is no destination of ours.
    pub fn destination(self, address: u64, length: u64) -> Result<Destination, Errno> {
        // The kernel takes an `int`.
        let Some(length) = usize::try_from(length as i32).ok().filter(|&l| l <= ADDRESS_MAX) else {
            return Ok(Destination::Other);
        };
        let mut buffer = [0; ADDRESS_MAX];
        let got = sys::read_memory(self.0, address, &mut buffer[..length])?;
        if got != length {
            return Err(Errno::FAULT);
        }
        Ok(parse(&buffer[..length]))
    }

    /// The first bytes of the payload of a `sendto`: what can be read of them.
    pub fn payload(self, address: u64, length: u64, buffer: &mut [u8]) -> &[u8] {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let got = sys::read_memory(self.0, address, &mut buffer[..length]).unwrap_or(0);
        &buffer[..got]
    }

    /// Its memory, for writing: of the process that it is now, even if it ends and another
    /// gets its number.
    pub fn memory(self) -> Option<Memory> {
        let path = format!("/proc/{}/mem", self.0);
        fs::OpenOptions::new().read(true).write(true).open(path).ok().map(Memory)
    }

    /// The file name of the executable, else the name of the thread, else `?`.
    pub fn program(self) -> String {
        let executable = fs::read_link(format!("/proc/{}/exe", self.0)).ok();
        let name = executable.as_deref().and_then(|path| path.file_name());
        let name = match name {
            Some(name) => name.to_string_lossy().into_owned(),
            None => fs::read_to_string(format!("/proc/{}/comm", self.0)).unwrap_or_default(),
        };
        // The kernel appends this to the path of a file that was removed or replaced.
        let name = name.trim_end();
        let name = name.strip_suffix(" (deleted)").unwrap_or(name);
        if name.is_empty() { "?".to_owned() } else { name.chars().take(NAME_MAX).collect() }
    }

    /// A duplicate of one of its descriptors.
    pub fn duplicate(self, number: i32) -> Result<OwnedFd, Errno> {
        // PIDFD_THREAD (Linux 6.9) is O_EXCL: the thread itself, whose descriptors they
        // are even if the first thread of the process has ended.
        let by_thread = PidfdFlags::from_bits_retain(libc::O_EXCL as u32);
        let process = match pidfd_open(self.pid()?, by_thread) {
            Err(Errno::INVAL) => pidfd_open(self.process()?.pid()?, PidfdFlags::empty())?,
            other => other?,
        };
        pidfd_getfd(process, number, PidfdGetfdFlags::empty())
    }

    /// The transport of a socket and whether its family is IPv6, without a duplicate.
    /// ENODATA or EOPNOTSUPP: not a socket.
    pub fn protocol(self, number: i32) -> Result<(Transport, bool), Errno> {
        let mut name = [0; 32];
        let path = format!("/proc/{}/fd/{number}", self.0);
        let length = rustix::fs::getxattr(path, c"system.sockprotoname", &mut name)?;
        let name = name[..length].split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(match name {
            b"TCP" | b"MPTCP" => (Transport::Tcp, false),
            b"TCPv6" | b"MPTCPv6" => (Transport::Tcp, true),
            b"UDP" => (Transport::Udp, false),
            b"UDPv6" => (Transport::Udp, true),
            _ => (Transport::Other, false),
        })
    }

    /// The inode of the file behind a descriptor, which is a socket's own.
    pub fn inode(self, number: i32) -> Option<u64> {
        Some(fs::metadata(format!("/proc/{}/fd/{number}", self.0)).ok()?.ino())
    }

    /// The flags of a descriptor (proc_pid_fdinfo(5)).
    pub fn flags(self, number: i32) -> Option<Flags> {
        let text = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.0)).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
        Some(Flags {
            nonblocking: flags & libc::O_NONBLOCK != 0,
            close_on_exec: flags & libc::O_CLOEXEC != 0,
        })
    }

    /// The process that it belongs to, by its first thread.
    fn process(self) -> Result<Self, Errno> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Tgid:"));
        line.and_then(|line| line.trim().parse().ok()).map(Self).ok_or(Errno::SRCH)
    }

    fn pid(self) -> Result<Pid, Errno> {
        Pid::from_raw(self.0).ok_or(Errno::SRCH)
    }
}

/// The memory of a process (proc_pid_mem(5)).
pub struct Memory(fs::File);

impl Memory {
    /// Writes all of `bytes` at `address`, or fails with EFAULT.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.0.write_all_at(bytes, address).map_err(|_| Errno::FAULT)
    }

    /// Reads an `int`.
    pub fn read_int(&self, address: u64) -> Result<i32, Errno> {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, address).map_err(|_| Errno::FAULT)?;
        Ok(i32::from_ne_bytes(bytes))
    }
}

/// Reads a `struct sockaddr` (ip(7), ipv6(7), unix(7)).
pub fn parse(bytes: &[u8]) -> Destination {
    let Some((family, rest)) = bytes.split_first_chunk::<2>() else { return Destination::Other };
    let port = |rest: &[u8]| Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    let internet = |ip: IpAddr, rest| match port(rest) {
        Some(port) => Destination::Internet(SocketAddr::new(ip.to_canonical(), port)),
        None => Destination::Other,
    };
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET if bytes.len() >= 16 => {
            let mut octets = [0; 4];
            octets.copy_from_slice(&rest[2..6]);
            internet(Ipv4Addr::from(octets).into(), rest)
        }
        // 24: without the scope, as RFC 2133 had it and the kernel still takes it.
        libc::AF_INET6 if bytes.len() >= 24 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&rest[6..22]);
            internet(Ipv6Addr::from(octets).into(), rest)
        }
        libc::AF_UNIX if rest.first().is_some_and(|&first| first != 0) => {
            Destination::Path(rest.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
        }
        _ => Destination::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(family: i32, rest: &[u8]) -> Destination {
        let mut bytes = (family as u16).to_ne_bytes().to_vec();
        bytes.extend(rest);
        parse(&bytes)
    }

    #[test]
    fn socket_addresses() {
        let v4 = [&[1, 187, 127, 66, 0, 9][..], &[0; 8]].concat();
        let expected = Destination::Internet("127.66.0.9:443".parse().unwrap());
        assert_eq!(address(libc::AF_INET, &v4), expected);
        assert_eq!(address(libc::AF_INET, &v4[..13]), Destination::Other);

        let mapped = [&[1, 187, 0, 0, 0, 0][..], &[0; 10], &[0xff, 0xff, 127, 66, 0, 9]].concat();
        assert_eq!(address(libc::AF_INET6, &mapped), expected);
        assert_eq!(address(libc::AF_INET6, &mapped[..21]), Destination::Other);
        let v6 = [&[0, 53, 0, 0, 0, 0][..], &[0; 15], &[1, 0, 0, 0, 0]].concat();
        let expected = Destination::Internet("[::1]:53".parse().unwrap());
        assert_eq!(address(libc::AF_INET6, &v6), expected);

        let path = Destination::Path(b"/run/x".to_vec());
        assert_eq!(address(libc::AF_UNIX, b"/run/x\0junk"), path);
        assert_eq!(address(libc::AF_UNIX, b"/run/x"), path);
        assert_eq!(address(libc::AF_UNIX, b"\0abstract"), Destination::Other);
        assert_eq!(address(libc::AF_UNIX, b""), Destination::Other);
        assert_eq!(address(libc::AF_UNSPEC, &v4), Destination::Other);
        assert_eq!(parse(&[2]), Destination::Other);
    }

    #[test]
    fn of_ourselves() {
        let me = Thread(std::process::id() as i32);
        assert!(me.program().starts_with("supervisor-"), "{}", me.program());
        let socket = std::net::UdpSocket::bind("[::1]:0")
            .or_else(|_| std::net::UdpSocket::bind("127.0.0.1:0"))
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        assert_eq!(me.protocol(number).unwrap().0, Transport::Udp);
        let flags = Flags { nonblocking: true, close_on_exec: true };
        assert_eq!(me.flags(number), Some(flags));
        assert_eq!(me.flags(-1), None);
    }
}

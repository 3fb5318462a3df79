//! What the child does between fork and exec, and what the parent learns of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::thread::set_no_new_privs;

use super::sys;

/// The child's part. It allocates nothing and takes no lock, see [`sys::before_exec`].
pub struct Step {
    /// Where the listener or the reason for its absence is sent.
    pub channel: OwnedFd,
    /// For a probe: connect to this address, and then end without `exec`.
    pub rehearse: Option<SocketAddrV4>,
}

/// What the child reports, as the first byte of its message; the errno follows.
const READY: u8 = 0;
const NO_NEW_PRIVS: u8 = 1;
const FILTER: u8 = 2;

/// What came of the child's part.
pub enum Report {
    /// The filter is installed, and this is its listener.
    Ready(OwnedFd),
    /// `PR_SET_NO_NEW_PRIVS` failed, without which a filter takes privilege.
    NoNewPrivs(Errno),
    /// The kernel did not take the filter.
    Filter(Errno),
}

impl Step {
    /// Fails with what the system call failed with; a probe always, with ECANCELED.
    pub fn run(&self) -> io::Result<()> {
        if let Err(error) = set_no_new_privs(true) {
            return Err(self.report(NO_NEW_PRIVS, error));
        }
        match sys::install_filter() {
            Err(error) => return Err(self.report(FILTER, error)),
            Ok(listener) => send(self.channel.as_fd(), READY, 0, Some(listener.as_fd()))?,
        }
        let Some(address) = self.rehearse else { return Ok(()) };
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::connect(&socket, &address)?;
        Err(Errno::CANCELED.into())
    }

    fn report(&self, what: u8, error: Errno) -> io::Error {
        // If this fails too, `spawn` still fails with the error itself.
        let _ = send(self.channel.as_fd(), what, error.raw_os_error(), None);
        error.into()
    }
}

fn send(
    channel: BorrowedFd<'_>,
    what: u8,
    error: i32,
    listener: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let [a, b, c, d] = error.to_ne_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(listener) = listener.as_ref() {
        control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(listener)));
    }
    let message = [what, a, b, c, d];
    rustix::net::sendmsg(channel, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the child's report. `None`: there is none, because there was no fork or, with
/// [`RecvFlags::DONTWAIT`], it did not get that far.
pub fn receive(channel: BorrowedFd<'_>, flags: RecvFlags) -> Option<Report> {
    let mut message = [0; 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        channel,
        &mut [IoSliceMut::new(&mut message)],
        &mut control,
        flags | RecvFlags::CMSG_CLOEXEC,
    );
    if received.ok()?.bytes != message.len() {
        return None;
    }
    let [what, a, b, c, d] = message;
    let error = || Errno::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
    match what {
        READY => control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next().map(Report::Ready),
            _ => None,
        }),
        NO_NEW_PRIVS => Some(Report::NoNewPrivs(error())),
        _ => Some(Report::Filter(error())),
    }
}

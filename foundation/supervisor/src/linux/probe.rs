//! Whether this machine can, found by trying.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::child::{self, Report, Step};
use super::decide::{Destination, MARKERS};
use super::process::Thread;
use super::redirect::Socket;
use super::sys::{self, Answer};
use super::{channel, check_kernel, refusal};
use crate::{Method, Unsupported};

/// How long the child may take to make its one call.
const WAIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// Where it connects to: no name has this address.
const MARKER: SocketAddrV4 =
    SocketAddrV4::new(Ipv4Addr::new(MARKERS[0], MARKERS[1], 255, 255), 443);

/// Tries with a child that makes one connection and ends: the filter, reading its
/// memory, and then each [`Method`] in turn.
pub fn probe() -> Result<Method, Unsupported> {
    check_kernel()?;
    let failed = |error: std::io::Error| Unsupported(format!("a probe could not be made: {error}"));
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let port = door.local_addr().map_err(failed)?.port();
    let (ours, theirs) = channel().map_err(failed)?;

    let mut command = Command::new("/");
    sys::before_exec(&mut command, Step { channel: theirs, rehearse: Some(MARKER) });
    std::thread::scope(|scope| {
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let watcher = scope.spawn(move || watch(&ours, to));
        // Fails in any case: the child gives up before `exec`, and is waited for.
        let outcome = command.spawn();
        drop(command);
        let found = watcher.join().unwrap_or_else(|_| {
            Err(Unsupported("a probe could not be made: its thread failed".to_owned()))
        });
        match (found, outcome) {
            // The child did not even get to its part.
            (Ok(None), Err(error)) => Err(failed(error)),
            (Ok(None), Ok(_)) => Err(Unsupported("a probe could not be made".to_owned())),
            (Ok(Some(method)), _) => Ok(method),
            (Err(why), _) => Err(why),
        }
    })
}

/// Answers the child's one call. `None`: there was no child.
fn watch(channel: &OwnedFd, door: SocketAddrV4) -> Result<Option<Method>, Unsupported> {
    let listener = match child::receive(channel.as_fd(), RecvFlags::empty()) {
        Some(Report::Ready(listener)) => listener,
        Some(report) => return Err(refusal(&report)),
        None => return Ok(None),
    };
    let mut watched = [PollFd::new(&listener, PollFlags::IN)];
    let announced = poll(&mut watched, Some(&WAIT));
    if announced != Ok(1) || !watched[0].revents().contains(PollFlags::IN) {
        return Err(Unsupported("a filtered call was not reported".to_owned()));
    }
    let call = sys::receive(listener.as_fd())
        .map_err(|error| Unsupported(format!("a filtered call cannot be received: {error}")))?;
    let thread = Thread(call.thread);
    match thread.destination(call.args[1], call.args[2]) {
        Ok(Destination::Internet(address)) if address == SocketAddr::from(MARKER) => {}
        Ok(_) => return Err(Unsupported("a filtered call was misread".to_owned())),
        Err(error) => {
            return Err(Unsupported(format!(
                "the memory of a child process may not be read (process_vm_readv: {error})"
            )));
        }
    }
    let mut why = Errno::NOSYS;
    for method in [Method::PidfdGetfd, Method::AddFd] {
        let made = Socket::of(thread, call.args[0] as i32, method)
            .map(|socket| socket.connect(door, listener.as_fd(), call.id).answer);
        match made {
            Ok(Answer::Value(_)) => {
                // The child only waits for any answer.
                let _ = sys::answer(listener.as_fd(), call.id, Answer::Value(0));
                return Ok(Some(method));
            }
            Ok(Answer::Error(error)) | Err(error) => why = error,
            Ok(Answer::Continue) => {}
        }
    }
    Err(Unsupported(format!(
        "neither pidfd_getfd nor SECCOMP_IOCTL_NOTIF_ADDFD works here (the latter: {why})"
    )))
}

//! Linux: seccomp user notification.

mod child;
mod decide;
mod filter;
mod markers;
mod notes;
mod probe;
mod process;
mod receive;
mod redirect;
mod responder;
mod state;
mod sys;
mod watch;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use self::child::{Report, Step};
use self::responder::Responder;
use self::state::Shared;
use self::watch::Watch;
use crate::{Caller, Facts, Method, Rules, Unsupported};

/// Whether this machine can, and how: found by trying it with a child that connects once
/// and ends. Takes some milliseconds.
pub fn probe() -> Result<Method, Unsupported> {
    probe::probe()
}

/// Threads that answer calls, so that one that waits for the front door does not stop
/// the others.
const THREADS: usize = 4;

/// The supervision of a program and everything that descends from it.
pub struct Supervised {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Supervised {
    /// What the tree was seen to do so far.
    pub fn facts(&self) -> Facts {
        self.shared.facts()
    }

    /// The program behind a connection that the front door has accepted, by the peer's
    /// port: the last one that was led there from this port. `None`: not one of this
    /// tree. May wait up to 500 ms while a connection is being made.
    pub fn behind(&self, port: u16) -> Option<Caller> {
        self.shared.behind(port)
    }

    /// Whether the whole tree has ended, and with it every thread of its supervisor. A
    /// child that was not waited for has not ended.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

/// Starts `command` under supervision; the whole descendant tree is covered. `method` is
/// what [`probe`] found. The child is for waiting, killing and its standard streams.
///
/// # Errors
/// What [`Command::spawn`] fails with, and [`io::ErrorKind::Unsupported`] with a sentence
/// if the filter cannot be installed.
pub fn spawn(
    mut command: Command,
    rules: Rules,
    method: Method,
) -> io::Result<(Child, Supervised)> {
    let unsupported = |why| io::Error::new(io::ErrorKind::Unsupported, why);
    check_kernel().map_err(unsupported)?;
    let responder = Responder::bind()?;
    let (dns_udp, dns_tcp) = responder.addresses()?;
    let (watched, alive) = io::pipe()?;
    let (ours, theirs) = channel()?;
    sys::before_exec(&mut command, Step { channel: theirs, rehearse: None });
    let spawned = command.spawn();
    let report = child::receive(ours.as_fd(), RecvFlags::DONTWAIT);
    let (child, listener) = match (spawned, report) {
        (Ok(child), Some(Report::Ready(listener))) => (child, listener),
        (Ok(child), _) => {
            return Err(abandon(child, io::Error::other("the child handed over no listener")));
        }
        (Err(error), None | Some(Report::Ready(_))) => return Err(error),
        (Err(_), Some(report)) => return Err(unsupported(refusal(&report))),
    };
    sys::wake_at_once(listener.as_fd());
    // A matter of speed only.
    let _ = sys::wake_synchronously(listener.as_fd());
    let shared = Arc::new(Shared::default());
    let turn = Mutex::new(());
    let watch = Watch {
        listener,
        rules,
        method,
        dns_udp,
        dns_tcp,
        shared: Arc::clone(&shared),
        turn,
        _alive: alive,
    };
    let mut supervised = Supervised { shared, threads: Vec::with_capacity(THREADS + 1) };
    match supervised.start(watch, responder, watched) {
        Ok(()) => Ok((child, supervised)),
        Err(error) => Err(abandon(child, error)),
    }
}

impl Supervised {
    fn start(
        &mut self,
        watch: Watch,
        responder: Responder,
        watched: io::PipeReader,
    ) -> io::Result<()> {
        let watch = Arc::new(watch);
        for _ in 0..THREADS {
            let watch = Arc::clone(&watch);
            self.threads.push(thread("supervisor", move || watch.work())?);
        }
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread("supervisor-dns", move || responder.work(&shared, &watched))?);
        Ok(())
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Ends a child that cannot be supervised.
fn abandon(mut child: Child, why: io::Error) -> io::Error {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    why
}

/// The two ends over which the child reports.
fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = SocketType::SEQPACKET;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?)
}

/// Whether the kernel knows notifications, in structures that we know.
fn check_kernel() -> Result<(), Unsupported> {
    match sys::structures_fit() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Unsupported(
            "the kernel's seccomp notifications are larger than this program knows".to_owned(),
        )),
        Err(error) => Err(refusal(&Report::Filter(error))),
    }
}

/// Why the filter was not installed.
fn refusal(report: &Report) -> Unsupported {
    Unsupported(match report {
        Report::Ready(_) => "the filter was installed, but its child was lost".to_owned(),
        Report::NoNewPrivs(error) => {
            format!("a process may not give up new privileges here (PR_SET_NO_NEW_PRIVS: {error})")
        }
        Report::Filter(Errno::BUSY) => {
            "this process runs under a seccomp listener itself, and there can be only one"
                .to_owned()
        }
        Report::Filter(Errno::INVAL | Errno::NOSYS) => {
            "the kernel has no seccomp user notification (it takes Linux 5.9)".to_owned()
        }
        Report::Filter(Errno::PERM | Errno::ACCESS) => {
            "the container's seccomp profile forbids filters with a listener".to_owned()
        }
        Report::Filter(error) => format!("the seccomp filter was not taken ({error})"),
    })
}

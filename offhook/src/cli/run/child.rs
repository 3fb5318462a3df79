//! The program: started, signalled, waited for.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;

use supervisor::{Rules, Supervised};

use super::Plan;

/// A started program.
pub struct Started {
    child: Child,
    /// In syscall mode: what its whole tree does.
    pub supervised: Option<Arc<Supervised>>,
}

/// Starts `command` as planned.
///
/// # Errors
/// `NotFound` and the like of the program itself.
pub fn start(mut command: Command, plan: &Plan, rules: Rules) -> io::Result<Started> {
    match plan {
        Plan::Syscall(method) => {
            let (child, supervised) = supervisor::spawn(command, rules, *method)?;
            Ok(Started { child, supervised: Some(Arc::new(supervised)) })
        }
        Plan::Portable | Plan::Env => Ok(Started { child: command.spawn()?, supervised: None }),
    }
}

impl Started {
    /// Passes signals on until the program ends; its exit code, or 128 and the signal that
    /// ended it.
    pub async fn wait(self) -> io::Result<u8> {
        let mut child = self.child;
        let id = child.id();
        let mut signals = signals::Signals::listen()?;
        let mut ended = tokio::task::spawn_blocking(move || child.wait());
        loop {
            tokio::select! {
                status = &mut ended => return Ok(code(status??)),
                signal = signals.next() => signals::send(id, signal),
            }
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return (128 + signal) as u8;
    }
    status.code().unwrap_or(1) as u8
}

#[cfg(unix)]
mod signals {
    use std::io;

    use rustix::process::{Pid, Signal, getpgrp, kill_process};
    use rustix::termios::tcgetpgrp;
    use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

    /// What is passed on. Of those that a terminal sends, the program gets its own.
    pub struct Signals {
        listeners: [(Signal, Listener); 6],
    }

    impl Signals {
        pub fn listen() -> io::Result<Self> {
            Ok(Self {
                listeners: [
                    (Signal::INT, signal(SignalKind::interrupt())?),
                    (Signal::QUIT, signal(SignalKind::quit())?),
                    (Signal::TERM, signal(SignalKind::terminate())?),
                    (Signal::HUP, signal(SignalKind::hangup())?),
                    (Signal::USR1, signal(SignalKind::user_defined1())?),
                    (Signal::USR2, signal(SignalKind::user_defined2())?),
                ],
            })
        }

        pub async fn next(&mut self) -> Signal {
            let [a, b, c, d, e, f] = &mut self.listeners;
            tokio::select! {
                _ = a.1.recv() => a.0,
                _ = b.1.recv() => b.0,
                _ = c.1.recv() => c.0,
                _ = d.1.recv() => d.0,
                _ = e.1.recv() => e.0,
                _ = f.1.recv() => f.0,
            }
        }
    }

    pub fn send(id: u32, signal: Signal) {
        let from_terminal = matches!(signal, Signal::INT | Signal::QUIT) && is_in_foreground();
        if from_terminal {
            return;
        }
        if let Some(pid) = Pid::from_raw(id as i32) {
            // It may have ended in between.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ctrl-C goes to every process of the terminal's foreground group: the program, too.
    fn is_in_foreground() -> bool {
        tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;

    /// The console delivers Ctrl-C to the program itself; we only must not die of it.
    pub struct Signals;

    impl Signals {
        pub fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub fn send(_: u32, (): ()) {}
}

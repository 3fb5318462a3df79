//! System calls that have no safe wrapper elsewhere, each as a function that cannot be
//! misused: the only module of the platform with unsafe code.
//!
//! Layouts, numbers and meanings: seccomp(2), seccomp_unotify(2), process_vm_readv(2).
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::Errno;

use super::filter;

/// Bytes that the kernel's notification structures may have; ours have 80 and 24.
const STRUCTURE_MAX: u16 = 512;

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of <linux/seccomp.h>.
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// A structure of the kernel with room to grow into: it may be newer than we are.
#[repr(C)]
struct Roomy<T> {
    known: T,
    room: [u8; STRUCTURE_MAX as usize],
}

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    pub id: u64,
    /// The thread that calls; 0 if it is outside our pid namespace.
    pub thread: i32,
    /// The system call's number.
    pub call: i64,
    pub args: [u64; 6],
}

/// What the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel performs the call after all.
    Continue,
    /// This, without performing it: 0 from `connect`, a number of bytes from `recvfrom`.
    Value(usize),
    Error(Errno),
}

/// Runs `step` in the child of `command`, the last thing before `exec`; its error is
/// what `spawn` fails with.
pub fn before_exec(command: &mut Command, step: super::child::Step) {
    let step = move || step.run();
    // SAFETY: between fork and exec only async-signal-safe calls may be made. `Step::run`
    // makes system calls on memory that was prepared before the fork and on its own
    // stack: it takes no lock and allocates nothing, on its error paths neither.
    unsafe { command.pre_exec(step) };
}

/// Installs the filter for the calling thread and everything that descends from it.
/// Allocates nothing.
///
/// A thread that waits for our answer is woken only by a fatal signal, where the kernel
/// can do that (5.19): an interrupted call would be reported again.
pub fn install_filter() -> Result<OwnedFd, Errno> {
    let wanted = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match install_with(wanted | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(Errno::INVAL) => install_with(wanted),
        other => other,
    }
}

fn install_with(flags: libc::c_ulong) -> Result<OwnedFd, Errno> {
    let program = filter::program();
    // SAFETY: `program` and the static instructions it points to outlive the call, which
    // only reads them; their number is the length of the array.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    let listener = checked(result)? as c_int;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// Whether the kernel's notification structures fit those of this module.
pub fn structures_fit() -> Result<bool, Errno> {
    let mut sizes =
        libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: the kernel writes one `struct seccomp_notif_sizes`, which `sizes` is.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes)
    };
    checked(result)?;
    Ok(sizes.seccomp_notif <= STRUCTURE_MAX && sizes.seccomp_notif_resp <= STRUCTURE_MAX)
}

/// Lets a call and its answer hand the processor over to each other, which makes them a
/// fifth cheaper. Kernels before 6.6 answer EINVAL, and all is well too.
pub fn wake_at_once(listener: BorrowedFd<'_>) {
    // SAFETY: the argument is a set of flags, not a pointer.
    unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, SYNC_WAKE_UP)
    };
}

/// Asks the kernel to run whoever waits for a notification, and then the thread that waits
/// for its answer, at once and on the same processor (Linux 6.6): half the time of a call.
/// Older kernels refuse, and go on as they did.
pub fn wake_synchronously(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    // <linux/seccomp.h>: SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP.
    const SYNC_WAKE_UP: u64 = 1;
    // SAFETY: the argument is a number, not an address.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, SYNC_WAKE_UP)
    };
    checked(result.into()).map(drop)
}

/// Takes the next notification, waiting for it. ENOENT: its thread was killed or
/// interrupted meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // SAFETY: the structure consists of integers, for which zeroes are valid; the kernel
    // demands zeroes.
    let mut notification: Roomy<libc::seccomp_notif> = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `struct seccomp_notif`, for which there is room
    // (`structures_fit` was asked before any listener was made).
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV as _,
            &raw mut notification,
        )
    };
    checked(result.into())?;
    let known = notification.known;
    Ok(Notification {
        id: known.id,
        thread: known.pid as i32,
        call: known.data.nr.into(),
        args: known.data.args,
    })
}

/// Whether the thread still waits in the call with this id: what was read of it since
/// then was its own, not that of a successor with its number.
pub fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one `u64`, which `id` is.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id)
    };
    result == 0
}

/// Answers a notification. ENOENT: the thread does not wait for it any more.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> Result<(), Errno> {
    // SAFETY: the structure consists of integers, for which zeroes are valid.
    let mut response: Roomy<libc::seccomp_notif_resp> = unsafe { std::mem::zeroed() };
    response.known.id = id;
    match answer {
        Answer::Continue => response.known.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        // No buffer is larger than the address space.
        Answer::Value(value) => response.known.val = value as i64,
        Answer::Error(error) => response.known.error = -error.raw_os_error(),
    }
    // SAFETY: the kernel reads one `struct seccomp_notif_resp`, for which there is room
    // (`structures_fit`); what we do not know of it is zero.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut response)
    };
    checked(result.into()).map(drop)
}

/// Puts `file` in the place of descriptor `number` of the process that waits.
pub fn replace(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    number: u32,
    close_on_exec: bool,
) -> Result<(), Errno> {
    let request = libc::seccomp_notif_addfd {
        id,
        flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
        srcfd: file.as_raw_fd() as u32,
        newfd: number,
        newfd_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    // SAFETY: the kernel reads one `struct seccomp_notif_addfd`, of the size that the
    // request number carries; `file` is open as long as the call.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD as _, &raw const request)
    };
    checked(result.into()).map(drop)
}

/// Copies memory of another process at `address` into `buffer`; returns how many bytes,
/// fewer if what follows is not mapped. EFAULT: nothing there; EPERM: not allowed.
pub fn read_memory(thread: i32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: buffer.len() };
    // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`. `remote` is an
    // address of the other process, which the kernel checks and we never follow.
    let result =
        unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    Ok(checked(result as libc::c_long)? as usize)
}

/// The result of a system call, or the error of the calling thread.
fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(result)
}

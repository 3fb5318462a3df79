//! Calls that no safe interface makes.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;

/// `connect` with any arguments; the errno if it fails.
pub fn connect(socket: c_int, address: usize, length: u32) -> Result<(), i32> {
    // SAFETY: the kernel only reads through the address, and checks it.
    let result = unsafe { libc::connect(socket, address as *const libc::sockaddr, length) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// `sendto` of nothing to any address.
pub fn send_to(socket: c_int, address: usize, length: u32) -> Result<(), i32> {
    // SAFETY: the kernel only reads through the address, and checks it.
    let result = unsafe {
        libc::sendto(socket, std::ptr::null(), 0, 0, address as *const libc::sockaddr, length)
    };
    if result >= 0 { Ok(()) } else { Err(errno()) }
}

/// `io_uring_setup` with a null pointer, which fails.
pub fn io_uring_setup() {
    // SAFETY: the kernel checks the null pointer.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, 0) };
    assert_eq!(result, -1);
}

/// Ends the process at once, whatever its threads are doing.
pub fn exit_now() -> ! {
    // SAFETY: `_exit` runs no destructor and touches no memory.
    unsafe { libc::_exit(0) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

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

/// `recvfrom` of up to 512 bytes into `buffer`, with the sender's address into `source` and
/// its length, `room` before, into `length` if that is not given.
pub fn receive_from(
    socket: c_int,
    buffer: Option<usize>,
    source: usize,
    mut room: u32,
    length: Option<usize>,
) -> Result<usize, i32> {
    let mut own = [0u8; 512];
    let buffer = buffer.unwrap_or(own.as_mut_ptr() as usize);
    let length = length.unwrap_or(&raw mut room as usize);
    // SAFETY: each address is either that of a local variable with room for what is written,
    // or one where nothing is mapped, which the kernel checks.
    let result = unsafe {
        libc::recvfrom(
            socket,
            buffer as *mut _,
            512,
            libc::MSG_DONTWAIT,
            source as *mut libc::sockaddr,
            length as *mut _,
        )
    };
    usize::try_from(result).map_err(|_| errno())
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

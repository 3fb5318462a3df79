//! The filter: which system calls are reported to us.

use libc::{sock_filter, sock_fprog};

/// `AUDIT_ARCH_…` of <linux/audit.h>: the machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data` (seccomp(2)).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The two halves of argument 4, little-endian: where `sendto` reads and `recvfrom`
/// writes a socket address.
const ADDRESS_LOW: u32 = 16 + 4 * 8;
const ADDRESS_HIGH: u32 = ADDRESS_LOW + 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const LENGTH: usize = 13;

/// Reports `connect`, `sendto` and `recvfrom` with an address, and `io_uring_setup`;
/// allows all else, and everything of another architecture (32-bit programs).
pub static FILTER: [sock_filter; LENGTH] = [
    load(ARCHITECTURE),
    // The two numbers: instructions to skip if equal, and if not.
    equal(ARCH, 0, 9),
    load(NUMBER),
    equal(libc::SYS_connect as u32, 8, 0),
    equal(libc::SYS_io_uring_setup as u32, 7, 0),
    equal(libc::SYS_sendto as u32, 1, 0),
    equal(libc::SYS_recvfrom as u32, 0, 4),
    load(ADDRESS_LOW),
    equal(0, 0, 3),
    load(ADDRESS_HIGH),
    equal(0, 0, 1),
    give(libc::SECCOMP_RET_ALLOW),
    give(libc::SECCOMP_RET_USER_NOTIF),
];

/// The filter as the kernel takes it. It only reads through the pointer.
pub fn program() -> sock_fprog {
    sock_fprog { len: LENGTH as u16, filter: FILTER.as_ptr().cast_mut() }
}

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

const fn equal(value: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: JUMP_IF_EQUAL, jt, jf, k: value }
}

const fn give(action: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: action }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would (bpf(4), the three instructions it uses).
    fn run(arch: u32, number: i64, address: u64) -> u32 {
        let read = |offset| match offset {
            NUMBER => number as u32,
            ARCHITECTURE => arch,
            ADDRESS_LOW => address as u32,
            ADDRESS_HIGH => (address >> 32) as u32,
            other => panic!("reads at {other}"),
        };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = FILTER[at];
            at += 1;
            match step.code {
                LOAD => loaded = read(step.k),
                JUMP_IF_EQUAL if loaded == step.k => at += usize::from(step.jt),
                JUMP_IF_EQUAL => at += usize::from(step.jf),
                RETURN => return step.k,
                other => panic!("instruction {other}"),
            }
        }
    }

    #[test]
    fn what_is_reported() {
        let table = [
            (ARCH, libc::SYS_connect, 0, true),
            (ARCH, libc::SYS_io_uring_setup, 0, true),
            (ARCH, libc::SYS_sendto, 0, false),
            (ARCH, libc::SYS_sendto, 0x7fff, true),
            (ARCH, libc::SYS_sendto, 0x7fff_0000_0000, true),
            (ARCH, libc::SYS_recvfrom, 0, false),
            (ARCH, libc::SYS_recvfrom, 0x7fff_0000_0000, true),
            (ARCH, libc::SYS_sendmsg, 0x7fff, false),
            (ARCH, libc::SYS_read, 1, false),
            (0x4000_0003, libc::SYS_connect, 1, false),
        ];
        for (arch, number, address, reported) in table {
            let expected =
                if reported { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(run(arch, number, address), expected, "{arch:x} {number}");
        }
    }
}

//! The clock at the program's very first instruction, for launch benchmarks: what is measured is the way into the
//! container, not the start of the C library. CLOCK_MONOTONIC is the host's own in a container without a time
//! namespace.

use std::arch::global_asm;
use std::ptr::addr_of;

// The entry point of the program (see build.rs): clock_gettime(CLOCK_MONOTONIC, &probe_first), then the C library's
// own entry point with the stack as the kernel made it and rdx (the C library's exit hook, zero on Linux) restored.
global_asm!(
    ".globl probe_start",
    "probe_start:",
    "mov eax, {clock_gettime}",
    "mov edi, {monotonic}",
    "lea rsi, [rip + {first}]",
    "syscall",
    "xor edx, edx",
    "jmp _start",
    clock_gettime = const libc::SYS_clock_gettime,
    monotonic = const libc::CLOCK_MONOTONIC,
    first = sym FIRST,
);

/// Written by `probe_start` alone, before any other code of the program runs.
static mut FIRST: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// Prints the nanoseconds of CLOCK_MONOTONIC at which the program's first instruction ran.
pub fn print() {
    // SAFETY: the only write was made before main, and there is one thread.
    let first = unsafe { addr_of!(FIRST).read() };
    println!("{}", first.tv_sec * 1_000_000_000 + first.tv_nsec);
}

//! bpf(2), as far as a device program needs it: load a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`, attach it to a
//! control group. The instructions are made elsewhere (`runtime::devices`).
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper in libc or nix")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One eBPF instruction (`struct bpf_insn` of linux/bpf.h).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation, source kind and class.
    pub code: u8,
    /// The destination register in the low four bits, the source register in the high four.
    pub registers: u8,
    /// A memory offset in bytes, or a jump's distance in instructions from the next one.
    pub offset: i16,
    /// The immediate operand.
    pub immediate: i32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes a shorter attribute as one with zeros behind it.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a device program. The descriptor is close-on-exec (the kernel makes it so).
pub fn load_device_program(program: &[Insn]) -> io::Result<OwnedFd> {
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64, // it calls no helper, so it need not be GPL
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `attr` is as long as the size says, and the two pointers in it, to `program` and to a static string,
    // outlive the call; the kernel only reads from them.
    match unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
    }
}

/// Attaches a device program to a control group of the cgroup2 hierarchy, **in place of** the one that was attached
/// in the same way before. The group keeps it when both descriptors are closed.
///
/// No flag is given: with `BPF_F_ALLOW_MULTI` a second call would add a second program for ever, with
/// `BPF_F_ALLOW_OVERRIDE` a group further down could take its own program instead. Programs that systemd or anybody
/// else attached further up (they use `BPF_F_ALLOW_MULTI`) are asked as well.
pub fn attach_device_program(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attr = AttachAttr {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
    };
    // SAFETY: `attr` is as long as the size says and holds no pointer.
    match unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of::<AttachAttr>()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

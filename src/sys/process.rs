//! The calling process itself: identity, descriptors, signals, system call filter, fork. Raw system calls where the C
//! library's wrapper does more than the call. No policy here. Called by `runtime`.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

/// Replaces the supplementary groups (setgroups(2)).
pub fn set_groups(groups: &[u32]) -> nix::Result<()> {
    // SAFETY: pointer and length are the slice's own.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets the real, effective, saved and file system group (setresgid(2)). The system call, and not the C library's
/// function: that one signals all threads that the library believes to exist.
pub fn set_gid(gid: u32) -> nix::Result<()> {
    // SAFETY: no pointer is passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets the real, effective, saved and file system user (setresuid(2)); the system call, as with [`set_gid`].
pub fn set_uid(uid: u32) -> nix::Result<()> {
    // SAFETY: no pointer is passed.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Closes every descriptor from 3 on but those in `kept` (close_range(2), Linux 5.9). Whoever still owns one of them must not
/// use it again: this is for a process that is about to execute a program.
pub fn close_descriptors_but<const N: usize>(kept: [BorrowedFd<'_>; N]) -> nix::Result<()> {
    let mut kept = kept.map(|fd| libc::c_uint::try_from(fd.as_raw_fd()).expect("a descriptor is not negative"));
    kept.sort_unstable();
    let mut first = 3;
    for number in kept {
        if number > first {
            close_range(first, number - 1)?;
        }
        first = first.max(number + 1);
    }
    close_range(first, libc::c_uint::MAX)
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> nix::Result<()> {
    // SAFETY: no pointer is passed; that nobody uses the descriptors any more is the caller's promise.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// The kernel's `struct sigaction` (handler, flags, restorer, mask) as it is for the default action.
static DEFAULT_ACTION: [u64; 4] = [0; 4];

/// Sets every signal to its default action and unblocks all. An execve resets handlers, but not what is ignored (as
/// SIGPIPE is by the Rust runtime) nor the mask. By system call: the C library keeps signals 32 and 33 for itself, and
/// would leave them as whoever started us had them.
pub fn reset_signals() -> nix::Result<()> {
    let (action, mask_size) = (&raw const DEFAULT_ACTION, size_of::<u64>());
    let before: *mut [u64; 4] = std::ptr::null_mut();
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the kernel reads a structure of the layout and mask size that it has on 64-bit machines; the default
        // action runs no code of ours.
        Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, before, mask_size) })?;
    }
    let none = 0_u64;
    // SAFETY: as above; the mask is read, and no earlier one asked for.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, before, mask_size) };
    Errno::result(result).map(drop)
}

/// Blocks every signal that can be blocked. By system call, as [`reset_signals`].
pub fn block_signals() -> nix::Result<()> {
    let all = u64::MAX;
    let before: *mut u64 = std::ptr::null_mut();
    // SAFETY: the kernel reads a mask of the size that is given, and is asked for no earlier one.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, before, size_of::<u64>()) };
    Errno::result(result).map(drop)
}

/// Waits for any of the blocked signals, takes it, and says its number (rt_sigtimedwait(2)).
pub fn wait_for_signal() -> nix::Result<libc::c_int> {
    let all = u64::MAX;
    let (info, for_ever): (*mut libc::siginfo_t, *const libc::timespec) = (std::ptr::null_mut(), std::ptr::null());
    loop {
        // SAFETY: the kernel reads a mask of the size that is given; details and a deadline are not asked for.
        let result =
            unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const all, info, for_ever, size_of::<u64>()) };
        match Errno::result(result) {
            Ok(signal) => return Ok(libc::c_int::try_from(signal).expect("signals end at 64")),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sends a signal by its number, real-time ones included (kill(2)).
pub fn send_signal(process: Pid, signal: libc::c_int) -> nix::Result<()> {
    // SAFETY: no pointer is passed.
    Errno::result(unsafe { libc::kill(process.as_raw(), signal) }).map(drop)
}

/// Loads a system call filter into the calling thread (seccomp(2)); needs CAP_SYS_ADMIN or no_new_privs.
pub fn load_filter(program: &[libc::sock_filter]) -> nix::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `length` instructions from a slice of as many, and writes nothing.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(result).map(drop)
}

/// Forks; the child runs `child`, and exits with the code that it gives. The caller must be the only thread of its
/// process, as all of our workers are: then the child may do whatever the parent may.
pub fn fork(child: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: with one thread no lock can be held by a thread that the child lacks.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit_now(child()),
    }
}

/// Forks a sibling: the new process is a child of the caller's parent (CLONE_PARENT), and knows nothing of the caller. By
/// system call, so that a filter sees plain flags; otherwise as [`fork`].
pub fn fork_sibling(child: impl FnOnce() -> i32) -> nix::Result<Pid> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: with a stack of its own by copy, as in fork(2), and one thread; no pointer is passed.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => exit_now(child()),
        pid => Ok(Pid::from_raw(i32::try_from(pid).expect("a pid is an int"))),
    }
}

/// Ends the process at once, with no clean-up of any library.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: the call does not return.
    unsafe { libc::_exit(code) }
}

/// Makes a terminal the controlling one of the caller's session, which must have none (ioctl_tty(2)).
pub fn set_controlling_terminal(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the request takes a number, and no pointer.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

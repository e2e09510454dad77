//! Verbs that ask the kernel for what a container may not have.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use crate::life::{fork, leave, wait};
use crate::{Outcome, required};

/// Calls that end or stop the caller, or return twice on one stack.
const SKIPPED: &[libc::c_long] =
    &[libc::SYS_exit, libc::SYS_exit_group, libc::SYS_pause, libc::SYS_rt_sigreturn, libc::SYS_vfork];

/// `mknod MAJOR MINOR PATH`: makes a character device.
pub fn mknod(args: &[String]) -> Outcome {
    let path = CString::new(required::<String>(args, 2)?)?;
    let device = libc::makedev(required(args, 0)?, required(args, 1)?);
    // SAFETY: the path is a C string that lives through the call.
    if unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, device) } == -1 {
        return Err(io::Error::last_os_error().into());
    }
    println!("ok");
    Ok(0)
}

/// `open PATH`: for reading and writing (a directory: for reading), without waiting.
pub fn open(args: &[String]) -> Outcome {
    let path: String = required(args, 0)?;
    let open = |write| OpenOptions::new().read(true).write(write).custom_flags(libc::O_NONBLOCK).open(&path);
    match open(true) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => open(false)?,
        result => result?,
    };
    println!("ok");
    Ok(0)
}

/// `syscalls FROM TO`: makes each call in a child of its own, every argument -1 (an invalid pointer, descriptor, flag
/// or size), and prints `NUMBER ERRNO` (0 where it succeeded) or `NUMBER signal SIGNAL`.
pub fn syscalls(args: &[String]) -> Outcome {
    let (from, to): (libc::c_long, libc::c_long) = (required(args, 0)?, required(args, 1)?);
    for number in (from..=to).filter(|number| !SKIPPED.contains(number)) {
        let child = fork()?;
        if child == 0 {
            attempt(number);
        }
        let status = wait(child)?;
        if libc::WIFSIGNALED(status) {
            println!("{number} signal {}", libc::WTERMSIG(status));
        } else {
            println!("{number} {}", libc::WEXITSTATUS(status));
        }
    }
    Ok(0)
}

/// Makes the call and leaves with its errno, all of which fit an exit code.
fn attempt(number: libc::c_long) -> ! {
    // SAFETY: this child exists for one call, has no terminal (so that none can be hung up), and ends by SIGALRM if the
    // call waits; an invalid argument can hurt nobody but itself. A call that forks leaves twice.
    let result = unsafe {
        libc::setsid();
        libc::alarm(2);
        libc::syscall(number, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64)
    };
    leave(if result == -1 { io::Error::last_os_error().raw_os_error().unwrap_or(255) } else { 0 })
}

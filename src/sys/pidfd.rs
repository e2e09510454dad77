//! Processes as something that cannot be mistaken for another: pidfds, and the start time and boot id by which a
//! record tells a process from a later one of the same number. No policy here.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// How a process ended, as the kernel keeps it for whoever holds a pidfd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// What the kernel still knows of the end of a process that is not one's own child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitInfo {
    /// It has been reaped, and ended like this.
    Ended(Exit),
    /// It runs, or nobody has reaped it yet.
    NotYet,
    /// It has been reaped, and the kernel kept nothing (before Linux 6.15).
    Unknown,
}

/// `struct pidfd_info` of `linux/pidfd.h` in its first version (Linux 6.13).
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`: `_IOWR(0xff, 11, struct pidfd_info)` at the 64 bytes of its first version.
const GET_INFO: libc::c_ulong = 0xc040_ff0b;
/// `PIDFD_INFO_EXIT` (Linux 6.15).
const INFO_EXIT: u64 = 1 << 3;

/// Opens a process, close-on-exec (pidfd_open(2)).
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor is an int")) }),
    }
}

/// Sends a signal by its number, real-time ones included (pidfd_send_signal(2)); `ESRCH` if the process has been reaped.
pub fn send_signal(pidfd: impl AsFd, signal: libc::c_int) -> io::Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo is what kill(2) would have made.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, info, 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What the kernel knows of the end of a process (`PIDFD_GET_INFO`). The pidfd must have been opened before the process
/// was reaped: the kernel keeps the exit code with the pidfd's inode.
pub fn exit_info(pidfd: impl AsFd) -> io::Result<ExitInfo> {
    let mut info = Info { mask: INFO_EXIT, ..Info::default() };
    // SAFETY: the pointer is to a live value of the size that is coded in the request.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO, &raw mut info) };
    if result == 0 {
        return Ok(if info.mask & INFO_EXIT != 0 { ExitInfo::Ended(exit(info.exit_code)) } else { ExitInfo::NotYet });
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ESRCH) => Ok(ExitInfo::Unknown),
        // A kernel that does not know the request: only whether the process is still there can be told.
        Some(libc::ENOTTY | libc::EINVAL) => is_there(pidfd).map(|there| match there {
            true => ExitInfo::NotYet,
            false => ExitInfo::Unknown,
        }),
        _ => Err(error),
    }
}

impl Exit {
    /// As one number: 128 + n for signal n, as shells and ECS have it.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

fn is_there(pidfd: impl AsFd) -> io::Result<bool> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: signal 0 is the test for existence; the null siginfo is what kill(2) would have made.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), 0, info, 0) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            error => Err(error),
        },
        _ => Ok(true),
    }
}

/// A wait status (wait(2)) as an end.
fn exit(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) { Exit::Signal(libc::WTERMSIG(status)) } else { Exit::Code(libc::WEXITSTATUS(status)) }
}

/// Whether the process has come to its end, reaped or not.
pub fn has_exited(pidfd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What `/proc/PID/stat` says of a process (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Field 3, as its letter: `T` is stopped, `Z` a zombie.
    pub state: char,
    /// Field 4.
    pub parent: Pid,
    /// Field 9, without `PF_FORKNOEXEC` of `linux/sched.h`: it has executed a program since it was forked. A zombie still
    /// knows.
    pub has_executed: bool,
    /// Field 22: when it started, in clock ticks since boot.
    pub start_time: u64,
    /// Field 52: how it ended, as long as it is a zombie.
    pub exit: Exit,
}

/// `PF_FORKNOEXEC` of `linux/sched.h`.
const FORKED_NOT_EXECUTED: u64 = 0x40;

/// Reads `/proc/PID/stat`.
pub fn stat(pid: Pid) -> io::Result<Stat> {
    let stat = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat")))
}

/// The name in field 2 is the process's own choice, spaces and brackets included: fields count from its last bracket.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3);
    Some(Stat {
        state: field(3)?.chars().next()?,
        parent: Pid::from_raw(field(4)?.parse().ok()?),
        has_executed: field(9)?.parse::<u64>().ok()? & FORKED_NOT_EXECUTED == 0,
        start_time: field(22)?.parse().ok()?,
        exit: exit(field(52)?.parse().ok()?),
    })
}

/// Whether a process that had this number and start time is still there, and not at its end. The descriptor is opened first:
/// what matches then is the process.
pub fn is_alive(pid: Pid, start_time: u64) -> bool {
    open(pid).is_ok_and(|pidfd| stat(pid).is_ok_and(|stat| stat.start_time == start_time) && !has_exited(pidfd))
}

/// The id of this boot, a UUID as text.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn pid(child: &std::process::Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).unwrap())
    }

    #[test]
    fn the_start_time_is_found_behind_a_hostile_name() {
        let fields: Vec<String> = (4..=52).map(|field| (field * 10).to_string()).collect();
        let stat = parse_stat(format!("7 (a) R 1 (b) S {} 1 2", fields.join(" ")).as_bytes()).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start_time), ('S', Pid::from_raw(40), 220));
        assert_eq!((stat.has_executed, stat.exit), (false, exit(520)), "90 has the bit 0x40");
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
    }

    #[test]
    fn a_process_has_a_start_time_and_the_machine_a_boot_id() {
        assert!(stat(Pid::this()).unwrap().start_time > 0);
        assert_eq!(boot_id().unwrap().len(), 36);
    }

    #[test]
    fn who_has_executed_a_program_is_told_from_who_was_only_forked() {
        let mut child = Command::new("/bin/sh").args(["-c", "read line"]).stdin(piped()).spawn().unwrap();
        assert!(stat(pid(&child)).unwrap().has_executed);
        drop(child.stdin.take());
        while stat(pid(&child)).unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(stat(pid(&child)).unwrap().has_executed, "a zombie still knows");
        child.wait().unwrap();
        let forked = crate::sys::process::fork(|| crate::sys::process::wait_for_signal().map_or(1, |_| 0)).unwrap();
        let was = stat(forked).unwrap();
        nix::sys::signal::kill(forked, nix::sys::signal::Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(forked, None).unwrap();
        assert!(!was.has_executed);
    }

    #[test]
    fn a_pidfd_knows_of_the_end_of_its_process() {
        let mut child = Command::new("/bin/sh").args(["-c", "read line; exit 7"]).stdin(piped()).spawn().unwrap();
        let pidfd = open(pid(&child)).unwrap();
        assert_eq!(exit_info(&pidfd).unwrap(), ExitInfo::NotYet);
        assert!(!has_exited(&pidfd));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(has_exited(&pidfd));
        let info = exit_info(&pidfd).unwrap();
        assert!([ExitInfo::Ended(Exit::Code(7)), ExitInfo::Unknown].contains(&info), "{info:?}");
    }

    #[test]
    fn a_signal_reaches_its_process_and_never_another() {
        let mut child = Command::new("/bin/sh").args(["-c", "read line"]).stdin(piped()).spawn().unwrap();
        let pidfd = open(pid(&child)).unwrap();
        send_signal(&pidfd, libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(send_signal(&pidfd, libc::SIGKILL).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_process_is_alive_until_it_ends_and_under_its_own_start_time_alone() {
        let mut child = Command::new("/bin/sh").args(["-c", "read line"]).stdin(piped()).spawn().unwrap();
        let start_time = stat(pid(&child)).unwrap().start_time;
        assert!(is_alive(pid(&child), start_time) && !is_alive(pid(&child), start_time + 1));
        send_signal(open(pid(&child)).unwrap(), libc::SIGKILL).unwrap();
        let pidfd = open(pid(&child)).unwrap();
        poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        assert!(!is_alive(pid(&child), start_time), "a zombie");
        child.wait().unwrap();
        assert!(!is_alive(pid(&child), start_time));
    }

    fn piped() -> std::process::Stdio {
        std::process::Stdio::piped()
    }
}

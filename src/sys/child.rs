//! Children that have ended: seen first, reaped later. In between the child stays a zombie, so that the exit code of one
//! whose parent dies meanwhile goes to the next parent. Unlike nix's `waitpid` it knows the ends by real-time signals.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::unistd::Pid;

use super::pidfd::Exit;

/// Whose end is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Any child's.
    Any,
    /// That of the child with this pid.
    Pid(Pid),
    /// That of the child behind this pidfd.
    Pidfd(BorrowedFd<'a>),
}

/// What to do when none has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// Come back.
    Return,
    /// Wait.
    Wait,
}

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its pid.
    pub pid: Pid,
    /// How it ended.
    pub exit: Exit,
}

/// A child that has ended, left as a zombie (waitid(2) with `WNOWAIT`). `ECHILD`: there is no such child.
pub fn ended(which: Which, otherwise: Otherwise) -> io::Result<Option<Ended>> {
    let wait = match otherwise {
        Otherwise::Return => libc::WNOHANG,
        Otherwise::Wait => 0,
    };
    waitid(which, libc::WNOWAIT | wait)
}

/// Reaps a child that has ended.
pub fn reap(pid: Pid) -> io::Result<Option<Ended>> {
    waitid(Which::Pid(pid), libc::WNOHANG)
}

fn waitid(which: Which, flags: libc::c_int) -> io::Result<Option<Ended>> {
    let (kind, id) = match which {
        Which::Any => (libc::P_ALL, 0),
        Which::Pid(pid) => (libc::P_PID, pid.as_raw()),
        Which::Pidfd(fd) => (libc::P_PIDFD, fd.as_raw_fd()),
    };
    // SAFETY: all zeroes is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value; the other arguments are numbers.
    let result = unsafe { libc::waitid(kind, id.unsigned_abs(), &raw mut info, flags | libc::WEXITED | libc::__WALL) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid fills in these members, or leaves their zeroes when nothing has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = if info.si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) };
    Ok((pid != 0).then_some(Ended { pid: Pid::from_raw(pid), exit }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::super::pidfd;
    use super::*;

    #[expect(clippy::zombie_processes, reason = "the tests reap it themselves, by the functions under test")]
    fn child(script: &str) -> Pid {
        let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        Pid::from_raw(i32::try_from(child.id()).unwrap())
    }

    #[test]
    fn an_end_can_be_seen_many_times_until_the_child_is_reaped() {
        let pid = child("exit 7");
        let seven = Some(Ended { pid, exit: Exit::Code(7) });
        assert_eq!(ended(Which::Pid(pid), Otherwise::Wait).unwrap(), seven);
        let pidfd = pidfd::open(pid).unwrap();
        assert_eq!(ended(Which::Pidfd(pidfd.as_fd()), Otherwise::Return).unwrap(), seven);
        assert_eq!(reap(pid).unwrap(), seven);
        assert_eq!(ended(Which::Pid(pid), Otherwise::Return).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }

    #[test]
    fn a_real_time_signal_is_an_end_like_any_other() {
        let pid = child("kill -34 $$; exit 1");
        let seen = ended(Which::Pid(pid), Otherwise::Wait).unwrap();
        assert_eq!(seen, Some(Ended { pid, exit: Exit::Signal(34) }));
        reap(pid).unwrap();
    }

    #[test]
    fn a_child_that_runs_has_not_ended() {
        let pid = child("sleep 100");
        assert_eq!(ended(Which::Pid(pid), Otherwise::Return).unwrap(), None);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        ended(Which::Pid(pid), Otherwise::Wait).unwrap();
        reap(pid).unwrap();
    }
}

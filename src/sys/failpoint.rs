//! Named points in the code: what `timing` tells the times of, and at which a test can make something go wrong. Without the
//! feature `failpoints` there is nothing but the time.
//!
//! With it, the variable BERTH_FAILPOINTS names a directory. Every point that is reached is written to `hits` there, and a
//! point whose name stands in `armed` beside the name of a fault does what the fault says, once: whoever moves `armed` to
//! `fired` is the one. As many files `skip.N` as there are let the point pass so many times first. `tests/chaos` arms them.

use std::io;

/// A point at which the code can be told of an error. Whatever is armed happens here: death, or an error of the system.
#[inline]
pub fn reach(point: &str) -> io::Result<()> {
    super::timing::mark(point);
    #[cfg(feature = "failpoints")]
    return armed::meet(point, 'e');
    #[cfg(not(feature = "failpoints"))]
    Ok(())
}

/// A point at which there is nobody to be told of an error: only death can happen here.
#[inline]
pub fn pass(point: &str) {
    super::timing::mark(point);
    #[cfg(feature = "failpoints")]
    drop(armed::meet(point, 'k'));
}

/// What a process of ours has to be started with, so that the points in it are armed too: our environment is empty else.
#[cfg(feature = "failpoints")]
pub(super) fn environment() -> Option<std::ffi::CString> {
    let directory = std::env::var(armed::VARIABLE).ok()?;
    std::ffi::CString::new(format!("{}={directory}", armed::VARIABLE)).ok()
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::fs::{self, OpenOptions};
    use std::io::{self, Write};
    use std::path::Path;

    use nix::errno::Errno;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, getpid, getppid};

    pub(super) const VARIABLE: &str = "BERTH_FAILPOINTS";
    /// The most files `skip.N`.
    const SKIPS: u32 = 4;

    /// `kind` tells the harness whether an error can be had here.
    pub(super) fn meet(point: &str, kind: char) -> io::Result<()> {
        let Some(directory) = std::env::var_os(VARIABLE) else { return Ok(()) };
        let directory = Path::new(&directory);
        if let Ok(mut hits) = OpenOptions::new().append(true).create(true).open(directory.join("hits")) {
            let _ = hits.write_all(format!("{kind} {point}\n").as_bytes());
        }
        let armed = directory.join("armed");
        let Ok(text) = fs::read_to_string(&armed) else { return Ok(()) };
        let Some(fault) = text.strip_prefix(point).and_then(|rest| rest.strip_prefix(' ')) else { return Ok(()) };
        if (1..=SKIPS).any(|number| fs::remove_file(directory.join(format!("skip.{number}"))).is_ok()) {
            return Ok(());
        }
        match fs::rename(&armed, directory.join("fired")) {
            Ok(()) => strike(fault),
            Err(_) => Ok(()), // somebody else was quicker
        }
    }

    fn strike(fault: &str) -> io::Result<()> {
        let errno = match fault {
            "kill" => return end(getpid()),
            "kill-parent" if is_ours(getppid()) => return end(getppid()),
            "kill-parent" => return Ok(()),
            "ENOSPC" => Errno::ENOSPC,
            "EIO" => Errno::EIO,
            "EMFILE" => Errno::EMFILE,
            "EAGAIN" => Errno::EAGAIN,
            other => panic!("there is no fault {other}"),
        };
        Err(errno.into())
    }

    fn end(pid: Pid) -> io::Result<()> {
        Ok(kill(pid, Signal::SIGKILL)?)
    }

    fn is_ours(pid: Pid) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next().is_some_and(|name| name.ends_with(b"berth"))
    }
}

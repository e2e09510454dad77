//! A process in a running container, on behalf of `berth exec` and of ECS Exec: this worker joins the container's group, enters
//! its namespaces, starts the command with the container's own security floor, carries its terminal or hands it over, and ends
//! as it ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, read, write};
use serde::{Deserialize, Serialize};

use super::protocol::{InitFile, PLAN_FD};
use crate::plan::{CgroupPlan, ProcessPlan};
use crate::runtime::cgroup::Cgroups;
use crate::runtime::exec::{ExecError, Streams, spawn};
use crate::sys::spawn::inherited;
use crate::sys::{passing, pidfd, tty};

/// The name that starts the program as such a worker; its descriptor 3 is a memfd with an [`ExecRequest`].
pub const COMMAND: &str = "exec-worker";

/// The descriptor on which a terminal is handed over.
const SOCKET_FD: i32 = 4;

/// What is to run, and where.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The process.
    pub process: ProcessPlan,
    /// The task's groups.
    pub cgroup: CgroupPlan,
    /// The container's name.
    pub container: String,
    /// The directory of compiled seccomp filters.
    pub filters: std::path::PathBuf,
    /// The container's first process.
    pub init: InitFile,
    /// Whether the process gets a terminal of the container's.
    pub terminal: Terminal,
}

/// A process's terminal, and who carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Terminal {
    /// It has none, but this worker's standard streams.
    None,
    /// This worker carries it over its standard streams.
    Carried,
    /// Whoever has started this worker: they get it on descriptor 4, a socket.
    HandedOver,
}

/// Runs the command; the code is the command's, or the shell's for one that cannot be run.
pub fn run() -> Result<i32, Box<dyn std::error::Error>> {
    let [request] = inherited([PLAN_FD]);
    let request: ExecRequest = serde_json::from_slice(&crate::sys::spawn::read_whole(&request)?)?;
    let init = pidfd::open(Pid::from_raw(request.init.pid))?;
    if pidfd::stat(Pid::from_raw(request.init.pid))?.start_time != request.init.start_time {
        return Err("the container has ended".into());
    }
    Cgroups::of_host()?.join(&request.cgroup, &request.container)?;
    let streams = if request.terminal == Terminal::None { Streams::Inherited } else { Streams::Terminal };
    let mut running = match spawn(init.as_fd(), &request.process, &request.filters, streams, None) {
        Ok(running) => running,
        Err(ExecError::Start { program, failure, source }) => {
            eprintln!("error: exec {program:?}: {}", source.desc());
            return Ok(failure.exit_code());
        }
        Err(error) => return Err(error.into()),
    };
    match (running.terminal.take(), request.terminal) {
        (Some(terminal), Terminal::Carried) => carry(&terminal, running.pidfd.as_fd())?,
        // No copy stays here: the terminal is gone when its owner lets it go.
        (Some(terminal), Terminal::HandedOver) => {
            passing::send(inherited([SOCKET_FD])[0].as_fd(), &[terminal.as_fd()])?
        }
        (_, _) => {}
    }
    Ok(running.wait()?.code())
}

/// Carries bytes between the standard streams and the terminal until the process has ended and its output is out.
fn carry(terminal: &OwnedFd, process: BorrowedFd) -> io::Result<()> {
    let mut resize = SigSet::empty();
    resize.add(Signal::SIGWINCH);
    resize.thread_block()?;
    let resized = SignalFd::with_flags(&resize, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let stdin = io::stdin();
    let mut typing = true;
    copy_size(terminal);
    loop {
        let input = if typing { stdin.as_fd() } else { process };
        let mut fds = [terminal.as_fd(), process, resized.as_fd(), input].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let [output, ended, size, input] = fds.each_ref().map(|fd| fd.any() == Some(true));
        if size {
            while let Ok(Some(_)) = resized.read_signal() {}
            copy_size(terminal);
        }
        if typing && input {
            typing = copy(stdin.as_fd(), terminal.as_fd())?;
            if !typing {
                write_all(terminal.as_fd(), &[END_OF_INPUT])?;
            }
        }
        // The end of the last process on it closes the terminal (EIO); one that is left in the background does not count.
        let more = output && copy(terminal.as_fd(), io::stdout().as_fd())?;
        if ended && !more {
            return Ok(());
        }
    }
}

/// What Ctrl-D types: the end of input on a terminal.
const END_OF_INPUT: u8 = 4;

/// Copies what there is; false at the end.
fn copy(from: BorrowedFd, to: BorrowedFd) -> io::Result<bool> {
    let mut bytes = [0; 8192];
    match read(from, &mut bytes) {
        Ok(0) | Err(Errno::EIO) => Ok(false),
        Ok(count) => write_all(to, &bytes[..count]).map(|()| true),
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn write_all(to: BorrowedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The user's terminal may have no size, or be none.
fn copy_size(terminal: &OwnedFd) {
    if let Ok(size) = tty::window_size(io::stdin()) {
        let _ = tty::set_window_size(terminal, size);
    }
}

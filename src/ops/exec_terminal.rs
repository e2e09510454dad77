//! A process in a container whose terminal this process has: what ECS Exec shows at the other end of its data channel. The worker
//! in between waits for the process and ends as it ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::sys::spawn::{OnParentDeath, memory_file, read_whole};
use crate::sys::{child, passing, pidfd, seal, spawn};
use crate::worker::exec::{COMMAND, ExecRequest};

/// The terminal, and the worker. When this is dropped, the terminal's processes get SIGHUP, and the worker is killed: nobody
/// is left that could see them.
#[derive(Debug)]
pub struct ExecTerminal {
    /// The near end of the terminal, which does not block; `None` if the process could not be started.
    pub terminal: Option<OwnedFd>,
    /// The worker's pidfd: it can be read when the process has ended.
    pub worker: OwnedFd,
    pid: Pid,
    complaints: OwnedFd,
    reaped: bool,
}

impl ExecTerminal {
    pub(super) fn start(request: &ExecRequest) -> io::Result<Self> {
        let program = seal::own_program()?;
        let request = memory_file(c"exec", &serde_json::to_vec(request)?)?;
        let complaints = memory_file(c"complaints", b"")?;
        let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let (socket, theirs) = passing::pair()?;
        let fds = [&null, &null, &complaints, &request, &theirs].map(AsFd::as_fd);
        let pid = spawn::spawn(program.as_fd(), &["berth", COMMAND], &fds, OnParentDeath::Die)?;
        drop(theirs);
        let worker = pidfd::open(pid)?;
        let mut this = Self { terminal: None, worker, pid, complaints, reaped: false };
        if let Some([terminal]) = passing::receive(&socket)? {
            fcntl(&terminal, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
            this.terminal = Some(terminal);
        }
        Ok(this)
    }

    /// The code that the process has ended with; `None` as long as it runs.
    pub fn exit_code(&mut self) -> Option<i32> {
        let ended = child::reap(self.pid).ok().flatten()?;
        self.reaped = true;
        Some(ended.exit.code())
    }

    /// What the worker has complained of.
    pub fn complaints(&self) -> String {
        let text = read_whole(&self.complaints).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().trim_start_matches("error: ").to_owned()
    }
}

impl Drop for ExecTerminal {
    fn drop(&mut self) {
        if !self.reaped {
            drop(self.terminal.take());
            let _ = pidfd::send_signal(&self.worker, nix::libc::SIGKILL);
            let _ = child::ended(child::Which::Pidfd(self.worker.as_fd()), child::Otherwise::Wait);
            let _ = child::reap(self.pid);
        }
    }
}

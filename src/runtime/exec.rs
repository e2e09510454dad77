//! A further process in a running container: health checks, ECS Exec.
//!
//! Not libcontainer's, whose exec knows no filter and no user. It joins the namespaces of the container's init by pidfd
//! and then takes the same last steps as init did (`process`). Called by a worker that was exec'd from the sealed
//! program, has one thread, and has joined the container's cgroup; afterwards that worker stands in the container, and is
//! good for nothing but to carry streams and wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown, setsid};

use super::process::{Failure, Program, ProgramError, Step, report_pipe};
use crate::plan::ProcessPlan;
use crate::sys::pidfd::{self, Exit};
use crate::sys::process::{fork, set_controlling_terminal};
use crate::sys::terminal::{Terminal, open_terminal};

/// The process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The plan of the process.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The container has ended, or cannot be entered.
    #[error("enter the container")]
    Enter(#[source] Errno),
    /// The caller's own preparations.
    #[error("prepare a process for the container")]
    Prepare(#[source] io::Error),
    /// No terminal could be had in the container.
    #[error("open a terminal in the container")]
    Terminal(#[source] io::Error),
    /// It failed on its last steps.
    #[error("{}", .failure.describe(.program))]
    Start {
        /// The program as the plan names it.
        program: String,
        /// What failed.
        failure: Failure,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
}

/// What a process has for standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// The caller's own.
    Inherited,
    /// A terminal of the container.
    Terminal,
}

/// A process that runs its program.
pub struct Running {
    /// The process, a child of the caller.
    pub pidfd: OwnedFd,
    /// The near end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    pid: Pid,
}

/// Starts a process in the container of `init`, and comes back when its program runs. `filters` is the cache of compiled
/// system call filters.
pub fn spawn(init: BorrowedFd<'_>, plan: &ProcessPlan, filters: &Path, streams: Streams) -> Result<Running, ExecError> {
    let program = Program::new(plan, filters)?;
    let (report, end) = report_pipe().map_err(ExecError::Prepare)?;
    std::fs::write("/proc/self/oom_score_adj", plan.oom_score_adj.to_string()).map_err(ExecError::Prepare)?;
    enter(init).map_err(ExecError::Enter)?;
    let terminal = match streams {
        Streams::Inherited => None,
        Streams::Terminal => Some(terminal_for(plan.uid).map_err(ExecError::Terminal)?),
    };
    let slave = terminal.as_ref().map(|terminal| terminal.slave.as_fd());
    let pid = fork(|| run(&program, slave, &end)).map_err(|errno| ExecError::Prepare(errno.into()))?;
    drop(end);
    let pidfd = pidfd::open(pid).map_err(ExecError::Prepare)?;
    let running = Running { pidfd, terminal: terminal.map(|terminal| terminal.master), pid };
    match report.wait().map_err(ExecError::Prepare)? {
        None => Ok(running),
        Some(failure) => {
            running.wait().map_err(ExecError::Prepare)?;
            let program = plan.args.first().cloned().unwrap_or_default();
            Err(ExecError::Start { program, failure, source: failure.errno })
        }
    }
}

impl Running {
    /// Waits for the end of the process, and reaps it.
    pub fn wait(&self) -> io::Result<Exit> {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, code)) => return Ok(Exit::Code(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Exit::Signal(signal as i32)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// All namespaces that a container has, in one step (setns(2) by pidfd, Linux 5.8). The process namespace is that of
/// children only: the caller itself is not seen in the container.
fn enter(init: BorrowedFd<'_>) -> nix::Result<()> {
    // What we have in memory is not for processes of the container that may trace others.
    prctl::set_dumpable(false)?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    setns(init, namespaces)
}

fn terminal_for(uid: u32) -> io::Result<Terminal> {
    let terminal = open_terminal()?;
    fchown(&terminal.slave, Some(Uid::from_raw(uid)), None)?;
    Ok(terminal)
}

/// The child: a session of its own, its streams, and the floor.
fn run(program: &Program, terminal: Option<BorrowedFd<'_>>, report: &OwnedFd) -> i32 {
    match session(terminal) {
        Ok(()) => program.run(report).exit_code(),
        Err(errno) => Failure { step: Step::Prepare, errno }.tell(report).exit_code(),
    }
}

fn session(terminal: Option<BorrowedFd<'_>>) -> nix::Result<()> {
    setsid()?;
    let Some(terminal) = terminal else { return Ok(()) };
    dup2_stdin(terminal)?;
    dup2_stdout(terminal)?;
    dup2_stderr(terminal)?;
    set_controlling_terminal(terminal)
}

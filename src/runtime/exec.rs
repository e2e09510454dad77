//! A further process in a running container: health checks, ECS Exec.
//!
//! Not libcontainer's, whose exec knows no filter and no user. It joins the namespaces of the container's init by pidfd
//! and then takes the same last steps as init did (`process`). Called by a worker that was exec'd from the sealed
//! program, has one thread, and has joined the container's cgroup or names a group for the process; afterwards that worker stands in the container, and is
//! good for nothing but to carry streams and wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown, setsid};

use super::cgroup::CheckGroup;
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
#[derive(Debug, Clone, Copy)]
pub enum Streams<'a> {
    /// The caller's own.
    Inherited,
    /// A terminal of the container.
    Terminal,
    /// These, the second one for output and errors.
    Given {
        /// Standard input.
        input: BorrowedFd<'a>,
        /// Standard output and standard error.
        output: BorrowedFd<'a>,
    },
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
/// system call filters; the process joins `group` before anything else, if there is one.
pub fn spawn(
    init: BorrowedFd<'_>,
    plan: &ProcessPlan,
    filters: &Path,
    streams: Streams<'_>,
    group: Option<&CheckGroup>,
) -> Result<Running, ExecError> {
    let program = Program::new(plan, filters)?;
    let (report, end) = report_pipe().map_err(ExecError::Prepare)?;
    std::fs::write("/proc/self/oom_score_adj", plan.oom_score_adj.to_string()).map_err(ExecError::Prepare)?;
    enter(init).map_err(ExecError::Enter)?;
    let terminal = match streams {
        Streams::Inherited | Streams::Given { .. } => None,
        Streams::Terminal => Some(terminal_for(plan.uid).map_err(ExecError::Terminal)?),
    };
    let theirs = match (&terminal, streams) {
        (Some(terminal), _) => Theirs::Terminal(terminal.slave.as_fd()),
        (None, Streams::Given { input, output }) => Theirs::Given { input, output },
        (None, Streams::Inherited | Streams::Terminal) => Theirs::Inherited,
    };
    let pid = fork(|| run(&program, theirs, group, &end)).map_err(|errno| ExecError::Prepare(errno.into()))?;
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

/// The streams as the child takes them.
#[derive(Clone, Copy)]
enum Theirs<'a> {
    Inherited,
    Terminal(BorrowedFd<'a>),
    Given { input: BorrowedFd<'a>, output: BorrowedFd<'a> },
}

/// The child: its group, a session of its own, its streams, and the floor.
fn run(program: &Program, streams: Theirs<'_>, group: Option<&CheckGroup>, report: &OwnedFd) -> i32 {
    let joined =
        group.map_or(Ok(()), CheckGroup::join).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    match joined.and_then(|()| session(streams)) {
        Ok(()) => program.run(report).exit_code(),
        Err(errno) => Failure { step: Step::Prepare, errno }.tell(report).exit_code(),
    }
}

fn session(streams: Theirs<'_>) -> nix::Result<()> {
    setsid()?;
    let (input, output) = match streams {
        Theirs::Inherited => return Ok(()),
        Theirs::Terminal(terminal) => (terminal, terminal),
        Theirs::Given { input, output } => (input, output),
    };
    dup2_stdin(input)?;
    dup2_stdout(output)?;
    dup2_stderr(output)?;
    match streams {
        Theirs::Terminal(terminal) => set_controlling_terminal(terminal),
        Theirs::Inherited | Theirs::Given { .. } => Ok(()),
    }
}

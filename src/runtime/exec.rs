//! A further process in a running container: health checks, ECS Exec.
//!
//! Not libcontainer's, whose exec knows no filter and no user. Our own program, executed afresh from the sealed file, joins the
//! namespaces of the container's init by pidfd and takes the same last steps as init did (`process`). It does so outside the
//! container's process namespace, where a container that may trace others does not see it, and with nothing in memory but
//! what the new process is to know; only when it has given up every right that the program is not to have does it fork the
//! sibling that appears in there, and becomes the program. Called by a worker, whose child the program is, and which never
//! enters the container itself.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown, pipe2, setsid};
use serde::{Deserialize, Serialize};

use super::cgroup::CheckGroup;
use super::process::{Failure, Program, ProgramError, Step, report_pipe};
use crate::plan::ProcessPlan;
use crate::sys::pidfd::{self, Exit};
use crate::sys::process::{exit_now, set_controlling_terminal};
use crate::sys::spawn::{OnParentDeath, inherited, memory_file, read_whole};
use crate::sys::terminal::open_terminal;
use crate::sys::{passing, seal};

/// The name that starts the program as the process that enters a container.
pub const COMMAND: &str = "enter-container";
/// Its descriptors behind the standard streams: what it is to do, the container's init, the report, the pid, the socket for a
/// terminal, and then the doors of a group.
const FDS: [i32; 5] = [3, 4, 5, 6, 7];
const DOORS: i32 = 8;

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
    Terminal(#[source] Errno),
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

/// What the process that enters is told.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    process: ProcessPlan,
    filters: PathBuf,
    terminal: bool,
    doors: i32,
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
    Program::new(plan, filters)?; // what is wrong with the plan is known before anything exists
    let (report, end) = report_pipe().map_err(ExecError::Prepare)?;
    let begun = enter(init, plan, filters, streams, group, end).map_err(ExecError::Prepare)?;
    let of = |failure: Failure| match failure.step {
        Step::Enter => ExecError::Enter(failure.errno),
        Step::Terminal => ExecError::Terminal(failure.errno),
        _ => {
            let program = plan.args.first().cloned().unwrap_or_default();
            ExecError::Start { program, failure, source: failure.errno }
        }
    };
    let failure = report.wait().map_err(ExecError::Prepare)?;
    match (begun, failure) {
        (Some(running), None) => Ok(running),
        (Some(running), Some(failure)) => {
            running.wait().map_err(ExecError::Prepare)?;
            Err(of(failure))
        }
        (None, Some(failure)) => Err(of(failure)),
        (None, None) => Err(ExecError::Prepare(io::Error::other("the process that enters the container was killed"))),
    }
}

/// Starts the process that enters, and waits for its end; the one that it leaves behind, if it does.
fn enter(
    init: BorrowedFd<'_>,
    plan: &ProcessPlan,
    filters: &Path,
    streams: Streams<'_>,
    group: Option<&CheckGroup>,
    end: OwnedFd,
) -> io::Result<Option<Running>> {
    let own = seal::own_program()?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let doors = group.map(CheckGroup::doors).unwrap_or_default();
    let is_terminal = matches!(streams, Streams::Terminal);
    let order = Order {
        process: plan.clone(),
        filters: filters.to_owned(),
        terminal: is_terminal,
        doors: i32::try_from(doors.len()).map_err(io::Error::other)?,
    };
    let order = memory_file(c"order", &serde_json::to_vec(&order)?)?;
    let (pid_in, pid_out) = pipe2(OFlag::O_CLOEXEC)?;
    let (socket, theirs) = passing::pair()?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let [input, output, errors] = match streams {
        Streams::Inherited => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        Streams::Terminal => [null.as_fd(); 3],
        Streams::Given { input, output } => [input, output, output],
    };
    let mut fds = vec![input, output, errors, order.as_fd(), init, end.as_fd(), pid_out.as_fd(), theirs.as_fd()];
    fds.extend(doors.iter().map(AsFd::as_fd));
    let entering = crate::sys::spawn::spawn(own.as_fd(), &["berth", COMMAND], &fds, OnParentDeath::Die)?;
    drop((end, pid_out, theirs));
    // It says so before the program exists; the end of the socket, or of the pipe, is its own end.
    let terminal = if is_terminal { passing::receive::<1>(&socket)?.map(|[master]| master) } else { None };
    let mut pid = [0; 4];
    let said = fs::File::from(pid_in).read(&mut pid)?;
    while waitpid(entering, None) == Err(Errno::EINTR) {}
    if said != pid.len() {
        return Ok(None);
    }
    let pid = Pid::from_raw(i32::from_ne_bytes(pid));
    let running = Running { pidfd: pidfd::open(pid)?, terminal, pid };
    // The sibling has that pipe, too, until it is the program: whoever takes hold of it may name no process but itself.
    match pidfd::stat(pid)?.parent == Pid::this() {
        true => Ok(Some(running)),
        false => Err(io::Error::other("the container's new process is not this one's child")),
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

/// Runs as the process that enters. Ends when the program's process is there, or a failure has been told.
pub fn run() -> io::Result<()> {
    let [order, init, report, pid_out, socket] = inherited(FDS);
    let order: Order = serde_json::from_slice(&read_whole(&order)?)?;
    let doors: Vec<OwnedFd> = (DOORS..DOORS + order.doors).flat_map(|door| inherited([door])).collect();
    let program = Program::new(&order.process, &order.filters).map_err(io::Error::other)?;
    let session = || {
        setsid()?;
        if order.terminal { set_controlling_terminal(io::stdin().as_fd()) } else { Ok(()) }
    };
    let begun = stand_in(&order, &init, &doors, &socket).and_then(|()| program.run_beside(&report, &pid_out, session));
    match begun {
        Ok(pid) => drop(nix::unistd::write(&pid_out, &pid.as_raw().to_ne_bytes())), // nobody to tell if that fails
        Err(failure) => drop(failure.tell(&report)),
    }
    exit_now(0) // descriptors have been closed behind their owners' backs
}

/// Joins the group and the container's namespaces, and takes its streams.
fn stand_in(order: &Order, init: &OwnedFd, doors: &[OwnedFd], socket: &OwnedFd) -> Result<(), Failure> {
    let failed = |step| move |errno| Failure { step, errno };
    let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ENOTTY as i32));
    let score = fs::write("/proc/self/oom_score_adj", order.process.oom_score_adj.to_string());
    score.map_err(errno).map_err(failed(Step::Prepare))?;
    for door in doors {
        nix::unistd::write(door, b"0").map_err(failed(Step::Prepare))?;
    }
    join(init.as_fd()).map_err(failed(Step::Enter))?;
    if !order.terminal {
        return Ok(());
    }
    let terminal = open_terminal().map_err(errno).map_err(failed(Step::Terminal))?;
    let taken = fchown(&terminal.slave, Some(Uid::from_raw(order.process.uid)), None)
        .and_then(|()| dup2_stdin(&terminal.slave))
        .and_then(|()| dup2_stdout(&terminal.slave))
        .and_then(|()| dup2_stderr(&terminal.slave));
    taken.map_err(failed(Step::Terminal))?;
    passing::send(socket, &[terminal.master.as_fd()]).map_err(errno).map_err(failed(Step::Terminal))
}

/// All namespaces that a container has, in one step (setns(2) by pidfd, Linux 5.8). The process namespace is that of
/// children only: the caller itself is not seen in the container.
fn join(init: BorrowedFd<'_>) -> nix::Result<()> {
    prctl::set_dumpable(false)?; // for processes of the container that may not trace others anyway
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    setns(init, namespaces)
}

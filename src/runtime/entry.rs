//! The way of a container's first process from libcontainer's set-up to its program: devices and terminal are made while it
//! waits for the start, and it becomes the program, or an init with the program as its child.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown, setpgid, tcsetpgrp};

use super::nodes::{self, Node};
use super::process::{Failure, Program, Step};
use crate::sys::passing;
use crate::sys::process::{block_signals, exit_now, fork, set_controlling_terminal};
use crate::sys::terminal::open_terminal;
use crate::sys::tty;

/// libcontainer's hook at the end of the set-up: our floor instead of its own. It runs in the container's first process.
#[derive(Clone)]
pub(super) struct Entry(pub(super) Rc<Parts>);

/// What the hook works with.
pub(super) struct Parts {
    /// What it becomes.
    pub(super) program: Program,
    /// Whose terminal and files it has.
    pub(super) uid: u32,
    /// Where it tells of a failure.
    pub(super) report: OwnedFd,
    /// Devices to be made.
    pub(super) nodes: Vec<Node>,
    /// Our own sealed program, if an init is wanted.
    pub(super) init: Option<OwnedFd>,
    /// Where both ends of its terminal are sent, if it is to have one.
    pub(super) terminal: Option<OwnedFd>,
    /// The program's end of that.
    pub(super) slave: RefCell<Option<OwnedFd>>,
}

impl Executor for Entry {
    /// Runs in init after the start message. The library has nothing to do with what comes then, nor with an error.
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        exit_now(self.0.run().exit_code())
    }

    /// Runs in init before it waits for the start message, for ever if need be. Nobody could tell it from a running
    /// container then; so let it go down with the supervisor, who starts anew.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        let failed = |what: &str, why: &dyn std::fmt::Display| {
            ExecutorValidationError::ArgValidationError(format!("{what}: {why}"))
        };
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| failed("parent-death signal", &errno))?;
        let made = nodes::make(&self.0.nodes);
        made.map_err(|(path, errno)| failed(&format!("make the device {}", path.display()), &errno))?;
        self.0.make_terminal().map_err(|error| failed("make the terminal", &error))
    }

    /// The program's environment is given to execve; that of this process does not matter.
    fn setup_envs(&self, _: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

impl Parts {
    /// A terminal of the container's own devpts, seen as `/dev/console` too, as Docker has it. Both ends are sent out: who
    /// holds the program's end as well never sees the other one hang up.
    fn make_terminal(&self) -> io::Result<()> {
        let Some(socket) = &self.terminal else { return Ok(()) };
        let terminal = open_terminal()?;
        fchown(&terminal.slave, Some(Uid::from_raw(self.uid)), None)?;
        // Its output is a log, whose lines do not end in a carriage return.
        tty::set_settings(&terminal.slave, &tty::settings(&terminal.slave)?.plain_line_ends())?;
        console(&terminal.slave)?;
        passing::send(socket, &[terminal.master.as_fd(), terminal.slave.as_fd()])?;
        *self.slave.borrow_mut() = Some(terminal.slave);
        Ok(())
    }

    fn run(&self) -> Failure {
        let failed = |errno| Failure { step: Step::Prepare, errno }.tell(&self.report);
        if let Some(slave) = self.slave.borrow_mut().take()
            && let Err(errno) = take_terminal(slave.as_fd())
        {
            return failed(errno);
        }
        let Some(init) = &self.init else { return self.program.run(&self.report) };
        // Before there is a child: whoever starts a container ends it with itself only as long as no program runs.
        if let Err(errno) = prctl::set_pdeathsig(None) {
            return failed(errno);
        }
        // Blocked from here on, so that no signal comes between this program and the init that it becomes.
        match block_signals().and_then(|()| fork(|| self.run_child())) {
            Ok(child) => self.program.run_own(&self.report, init, &init_args(child)),
            Err(errno) => failed(errno),
        }
    }

    /// The program under the init: a group of its own, in the foreground of the terminal if there is one.
    fn run_child(&self) -> i32 {
        let own = Pid::from_raw(0);
        let grouped = setpgid(own, own).and_then(|()| match self.terminal {
            Some(_) => tcsetpgrp(io::stdin(), nix::unistd::getpid()),
            None => Ok(()),
        });
        match grouped {
            Ok(()) => self.program.run(&self.report).exit_code(),
            Err(errno) => Failure { step: Step::Prepare, errno }.tell(&self.report).exit_code(),
        }
    }
}

/// How our own program is told to be the init of a program.
fn init_args(child: Pid) -> [CString; 3] {
    let text = |text: String| CString::new(text).expect("a name and a number have no NUL");
    ["init".to_owned(), super::init::COMMAND.to_owned(), child.to_string()].map(text)
}

fn take_terminal(slave: BorrowedFd<'_>) -> nix::Result<()> {
    dup2_stdin(slave)?;
    dup2_stdout(slave)?;
    dup2_stderr(slave)?;
    set_controlling_terminal(slave)
}

/// `/dev` is a fresh tmpfs of ours: there is no such file yet, and nothing leads elsewhere.
fn console(slave: &OwnedFd) -> io::Result<()> {
    let path = "/dev/console";
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let source = format!("/proc/self/fd/{}", slave.as_raw_fd());
    let nothing: Option<&str> = None;
    Ok(mount(Some(source.as_str()), path, nothing, MsFlags::MS_BIND, nothing)?)
}

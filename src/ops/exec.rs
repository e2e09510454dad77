//! A command in a running container, with the streams of this process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::exec_terminal::ExecTerminal;
use super::{Engine, OpsError, TaskRecord};
use crate::plan::ProcessPlan;
use crate::plan::user::resolve;
use crate::secrets::complete;
use crate::sys;
use crate::sys::spawn::OnParentDeath;
use crate::worker::exec::{COMMAND, ExecRequest, Terminal};
use crate::worker::protocol::InitFile;

/// What differs from the container's own process.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The command and its arguments; not empty.
    pub command: Vec<String>,
    /// Another user, in any of the forms of a task definition.
    pub user: Option<String>,
    /// Another working directory.
    pub cwd: Option<String>,
    /// More variables.
    pub env: Vec<(String, String)>,
    /// Whether it reads this process's standard input, and not nothing.
    pub interactive: bool,
    /// Whether it gets a terminal.
    pub terminal: bool,
}

impl Engine {
    /// Runs a command in the container at a place and waits for its end; 128 + n when signal n has ended it.
    pub fn exec(&self, record: &TaskRecord, place: usize, options: &ExecOptions) -> Result<i32, OpsError> {
        let terminal = if options.terminal { Terminal::Carried } else { Terminal::None };
        let request = self.exec_request(record, place, options, terminal)?;
        let failed = |source| OpsError::Exec { container: request.container.clone(), source };
        start(&request, options.interactive).and_then(end_of).map_err(failed)
    }

    /// Starts a command in the container at a place, and hands its terminal over. It ends when that is let go, at the latest.
    pub fn exec_in_terminal(
        &self,
        record: &TaskRecord,
        place: usize,
        options: &ExecOptions,
    ) -> Result<ExecTerminal, OpsError> {
        let request = self.exec_request(record, place, options, Terminal::HandedOver)?;
        let failed = |source| OpsError::Exec { container: request.container.clone(), source };
        ExecTerminal::start(&request).map_err(failed)
    }

    fn exec_request(
        &self,
        record: &TaskRecord,
        place: usize,
        options: &ExecOptions,
        terminal: Terminal,
    ) -> Result<ExecRequest, OpsError> {
        Ok(ExecRequest {
            process: self.process(record, place, options)?,
            cgroup: record.plan.cgroup.clone(),
            container: record.plan.containers[place].name.clone(),
            filters: record.plan.filters.clone(),
            init: init(record, place)?,
            terminal,
        })
    }

    fn process(&self, record: &TaskRecord, place: usize, options: &ExecOptions) -> Result<ProcessPlan, OpsError> {
        let container = &record.plan.containers[place];
        let mut process = complete(&container.process, &container.name, &record.plan.paths)?;
        process.args.clone_from(&options.command);
        process.cwd = options.cwd.clone().unwrap_or(process.cwd);
        if let Some(name) = &options.user {
            let images = self.images()?.list()?;
            let image = images.iter().find(|image| image.digest.to_string() == container.image_digest);
            let passwd = image.map(|image| image.passwd()).transpose()?.flatten().unwrap_or_default();
            let group = image.map(|image| image.group()).transpose()?.flatten().unwrap_or_default();
            let user = resolve(name, &passwd, &group).map_err(OpsError::User)?;
            (process.uid, process.gid, process.groups) = (user.uid, user.gid, user.groups);
            set(&mut process.env, "HOME", &user.home);
        }
        if options.terminal {
            set(&mut process.env, "TERM", "xterm");
        }
        for (name, value) in &options.env {
            set(&mut process.env, name, value);
        }
        Ok(process)
    }
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    env.retain(|(known, _)| known != name);
    env.push((name.to_owned(), value.to_owned()));
}

/// The container's first process, if it runs.
pub(super) fn init(record: &TaskRecord, place: usize) -> Result<InitFile, OpsError> {
    let container = &record.plan.containers[place];
    let file = std::fs::read(record.plan.container_paths(place).state_file()).ok();
    let init: Option<InitFile> = file.and_then(|text| serde_json::from_slice(&text).ok());
    init.filter(|init| init.started).ok_or_else(|| OpsError::NotRunning {
        container: container.name.clone(),
        task: record.plan.id.clone(),
        status: format!("{:?}", record.state.containers[place].phase).to_lowercase(),
    })
}

/// Whether that process is still the one that has its pid.
pub(super) fn is_alive(init: &InitFile) -> bool {
    sys::pidfd::stat(Pid::from_raw(init.pid)).is_ok_and(|stat| stat.start_time == init.start_time)
}

fn start(request: &ExecRequest, interactive: bool) -> io::Result<Pid> {
    let program = sys::seal::own_program()?;
    let request = sys::spawn::memory_file(c"exec", &serde_json::to_vec(request)?)?;
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let input: BorrowedFd = if interactive { stdin.as_fd() } else { null.as_fd() };
    let fds = [input, stdout.as_fd(), stderr.as_fd(), request.as_fd()];
    sys::spawn::spawn(program.as_fd(), &["berth", COMMAND], &fds, OnParentDeath::Die)
}

fn end_of(worker: Pid) -> io::Result<i32> {
    loop {
        match waitpid(worker, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

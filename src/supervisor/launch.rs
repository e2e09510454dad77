//! Starting a supervisor, handing it its plan, and waiting until it answers. Called by `ops` for a new task, and for one whose supervisor is gone.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::plan::TaskPlan;
use crate::sys;
use crate::sys::failpoint::{pass, reach};
use crate::sys::spawn::OnParentDeath;

/// The name that starts the program as a supervisor.
pub const COMMAND: &str = "supervise";

/// The most that is read of a reason, in bytes.
const LONGEST_REASON: usize = 4096;

/// How a supervisor comes to its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// The task has just been committed.
    New,
    /// An earlier supervisor is gone.
    Adopted,
}

impl Beginning {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Adopted => "adopted",
        }
    }

    /// Reads the word again.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::New, Self::Adopted].into_iter().find(|beginning| beginning.word() == word)
    }
}

/// The one byte that a supervisor answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Answer {
    /// It has the task and listens on its control socket.
    Ready = b'r',
    /// Another one has it.
    Taken = b't',
    /// It could not begin; the reason follows as text.
    Failed = b'f',
    /// No loop of it could begin; the reason follows as text.
    Lost = b'l',
}

/// Who has the task now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The new supervisor.
    Ready,
    /// One that was there before.
    Taken,
}

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The task's directory for locks and sockets cannot be made.
    #[error("make the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The process cannot be started.
    #[error("start the task's supervisor")]
    Spawn(#[source] io::Error),
    /// It gave up before it had made anything.
    #[error("the task's supervisor could not begin: {0}")]
    Failed(String),
    /// It tried for a while, and has removed what it had made.
    #[error("the task's supervisor could not begin, however often it tried: {0}")]
    Lost(String),
    /// It was killed before it could say how it stands.
    #[error("the task's supervisor ended without an answer")]
    NoAnswer,
}

/// A supervisor that has been started and waits for its plan. Dropped, it ends without having touched anything.
#[derive(Debug)]
pub struct Waiting {
    plan: fs::File,
    go: fs::File,
    answer: fs::File,
}

/// Starts a supervisor from a sealed copy of this program. Its start takes a while, which the caller has for planning.
pub fn begin(task: &str, beginning: Beginning) -> Result<Waiting, LaunchError> {
    spawn(task, beginning).map_err(LaunchError::Spawn)
}

impl Waiting {
    /// Hands over the plan and waits for the answer.
    pub fn launch(mut self, plan: &TaskPlan) -> Result<Launched, LaunchError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&plan.paths.run);
        made.map_err(|source| LaunchError::Directory { path: plan.paths.run.clone(), source })?;
        match self.exchange(plan).map_err(LaunchError::Spawn)? {
            None => Err(LaunchError::NoAnswer),
            Some(byte) if byte == Answer::Ready as u8 => Ok(Launched::Ready),
            Some(byte) if byte == Answer::Taken as u8 => Ok(Launched::Taken),
            Some(byte) if byte == Answer::Lost as u8 => Err(LaunchError::Lost(self.reason()?)),
            Some(_) => Err(LaunchError::Failed(self.reason()?)),
        }
    }

    /// What follows that byte, which is written at once. A holder that goes on never closes the pipe.
    fn reason(&mut self) -> Result<String, LaunchError> {
        let mut text = [0; LONGEST_REASON];
        let read = self.answer.read(&mut text).map_err(LaunchError::Spawn)?;
        Ok(String::from_utf8_lossy(&text[..read]).into_owned())
    }

    /// The first byte of the answer. The holder keeps the pipe open, so that there is no end to wait for.
    fn exchange(&mut self, plan: &TaskPlan) -> io::Result<Option<u8>> {
        reach("launch: before the plan is handed over")?;
        self.plan.write_all(&serde_json::to_vec(plan)?)?;
        // One that has ended already is told by the missing answer.
        let _ = self.go.write_all(b"g");
        pass("launch: it may go");
        let mut byte = [0];
        Ok((self.answer.read(&mut byte)? == 1).then_some(byte[0]))
    }
}

/// Starts a supervisor for a task that is committed.
pub fn launch(plan: &TaskPlan, beginning: Beginning) -> Result<Launched, LaunchError> {
    begin(&plan.id, beginning)?.launch(plan)
}

fn spawn(task: &str, beginning: Beginning) -> io::Result<Waiting> {
    let program = sys::seal::own_program()?;
    let plan = sys::spawn::memory_file(c"plan", b"")?;
    let open = |path: &str, flags: OFlag| nix::fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty());
    let null = open("/dev/null", OFlag::O_RDWR)?;
    let host_network = open("/proc/self/ns/net", OFlag::O_RDONLY)?;
    let (answer, their_answer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (their_go, go) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let args = ["berth", COMMAND, beginning.word(), task];
    let fds = [&null, &null, &null, &plan, &host_network, &their_answer, &their_go].map(AsFd::as_fd);
    sys::spawn::spawn(program.as_fd(), &args, &fds, OnParentDeath::Live)?;
    Ok(Waiting { plan: plan.into(), go: go.into(), answer: answer.into() })
}

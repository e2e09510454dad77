//! What a process says when it cannot become its program: the step, the errno, the exit code, and the pipe to its parent.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// What a process was doing when it failed to become its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Getting ready: descriptors, signals.
    Prepare = 1,
    /// Setting resource limits.
    Rlimits,
    /// Entering the working directory.
    Cwd,
    /// Becoming the user.
    User,
    /// Taking capabilities away.
    Capabilities,
    /// Loading the system call filter.
    Filter,
    /// Executing the program.
    Exec,
    /// Becoming the small init above the program.
    Init,
    /// Entering a container that runs.
    Enter,
    /// Opening a terminal there.
    Terminal,
}

/// Why a process did not become its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What it was doing.
    pub step: Step,
    /// What the kernel said.
    pub errno: Errno,
}

impl Failure {
    /// The exit code that stands for it, as Docker and shells have it: 127 if the program is not there, 126 if it
    /// cannot be executed, 128 if it was not the program's fault.
    pub fn exit_code(self) -> i32 {
        match (self.step, self.errno) {
            (Step::Exec, Errno::ENOENT | Errno::ENOTDIR) => 127,
            (Step::Exec, _) => 126,
            _ => 128,
        }
    }

    /// What was being done with `program` (as the plan names it), for a person; the errno is the rest of the sentence.
    pub fn describe(self, program: &str) -> String {
        match (self.step, self.errno) {
            (Step::Prepare, _) => "prepare the container's process".to_owned(),
            (Step::Rlimits, _) => "set the container's resource limits".to_owned(),
            (Step::Cwd, _) => "enter the container's working directory".to_owned(),
            (Step::User, _) => "become the container's user".to_owned(),
            (Step::Capabilities, _) => "drop capabilities".to_owned(),
            (Step::Filter, _) => "load the system call filter".to_owned(),
            (Step::Init, _) => "start the container's init process".to_owned(),
            (Step::Enter, _) => "enter the container".to_owned(),
            (Step::Terminal, _) => "open a terminal in the container".to_owned(),
            (Step::Exec, Errno::ENOENT) if !program.contains('/') => format!("find {program:?} in PATH"),
            (Step::Exec, _) => format!("exec {program:?}"),
        }
    }

    /// Writes it to a report pipe. Nobody can be told that telling failed; the exit code is the same.
    pub fn tell(self, report: &OwnedFd) -> Self {
        // One write of a few bytes, which a pipe takes whole.
        let _ = nix::unistd::write(report, &self.to_bytes());
        self
    }

    fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = (self.errno as i32).to_ne_bytes();
        [self.step as u8, a, b, c, d]
    }

    fn from_bytes([step, a, b, c, d]: [u8; 5]) -> Option<Self> {
        use Step::{Capabilities, Cwd, Enter, Exec, Filter, Init, Prepare, Rlimits, Terminal, User};
        let steps = [Prepare, Rlimits, Cwd, User, Capabilities, Filter, Exec, Init, Enter, Terminal];
        let step = steps.into_iter().find(|known| *known as u8 == step)?;
        Some(Self { step, errno: Errno::from_raw(i32::from_ne_bytes([a, b, c, d])) })
    }
}

/// Adds the step to what the kernel said.
pub(super) trait During<T> {
    fn during(self, step: Step) -> Result<T, Failure>;
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, step: Step) -> Result<T, Failure> {
        self.map_err(|errno| Failure { step, errno })
    }
}

/// A pipe for one [`Failure`]: the parent's end, and the end of the process that is to become the program.
pub fn report_pipe() -> io::Result<(Report, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((Report(read.into()), write))
}

/// The parent's end of a report pipe.
pub struct Report(File);

impl Report {
    /// Waits until the other process has become its program (or has been killed: its exit tells), or has failed to.
    /// All other copies of the pipe's writing end must be closed.
    pub fn wait(mut self) -> io::Result<Option<Failure>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let failure = <[u8; 5]>::try_from(bytes).ok().and_then(Failure::from_bytes);
        failure.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a broken report"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_pipe() {
        let (report, end) = report_pipe().unwrap();
        let failure = Failure { step: Step::Exec, errno: Errno::ENOENT };
        failure.tell(&end);
        drop(end);
        assert_eq!(report.wait().unwrap(), Some(failure));
    }

    #[test]
    fn a_pipe_that_ends_at_once_means_that_the_program_runs() {
        let (report, end) = report_pipe().unwrap();
        drop(end);
        assert_eq!(report.wait().unwrap(), None);
    }

    #[test]
    fn exit_codes_are_those_of_docker() {
        let code = |step, errno| Failure { step, errno }.exit_code();
        assert_eq!(code(Step::Exec, Errno::ENOENT), 127);
        assert_eq!(code(Step::Exec, Errno::EACCES), 126);
        assert_eq!(code(Step::Exec, Errno::ENOEXEC), 126);
        assert_eq!(code(Step::Cwd, Errno::ENOENT), 128);
    }
}

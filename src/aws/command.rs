//! A `credential_process`: a command line of the shell, whose standard output is the answer. It has bounded time and
//! output, and what it started ends with it.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys::pidfd;

/// How long it may take: it may have to ask somebody.
const TIME: Duration = Duration::from_secs(60);
/// The most that it may say, in bytes.
const OUTPUT_MAX: u64 = 64 << 10;

/// How a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It cannot be run.
    #[error("run it")]
    Run(#[from] io::Error),
    /// It did not come to an end.
    #[error("no answer in {0} seconds")]
    Time(u64),
    /// It said too much.
    #[error("its answer is longer than {OUTPUT_MAX} bytes")]
    Output,
    /// It failed; what it had to say went to standard error.
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
}

/// Runs a command line and gives what it said.
pub(super) fn run(line: &str) -> Result<Vec<u8>, CommandError> {
    run_within(line, TIME)
}

fn run_within(line: &str, time: Duration) -> Result<Vec<u8>, CommandError> {
    let deadline = Instant::now() + time;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).stdin(Stdio::null()).stdout(Stdio::piped());
    // A group of its own: what it starts ends with it.
    let mut child = command.process_group(0).spawn()?;
    let mut output = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?.take(OUTPUT_MAX + 1);
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = output.read_to_end(&mut said);
        // Nobody listens any more when the time is over.
        let _ = tell.send(read.map(|_| said));
    });
    let said = match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(said) => said.map_err(CommandError::Run),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(CommandError::Time(time.as_secs())),
    };
    let said = said.and_then(|said| if said.len() as u64 > OUTPUT_MAX { Err(CommandError::Output) } else { Ok(said) });
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid is positive and fits"));
    if said.is_ok() {
        wait(pid, deadline)?;
    }
    // It has ended, or will not by itself; what it left in the background has nothing to say.
    let _ = killpg(pid, Signal::SIGKILL);
    let status = child.wait()?;
    match said {
        Ok(said) if status.success() => Ok(said),
        Ok(_) => Err(CommandError::Failed(status)),
        Err(error) => Err(error),
    }
}

/// Waits for the end of a child without taking it away: its group keeps its number.
fn wait(pid: Pid, deadline: Instant) -> io::Result<()> {
    let pidfd = pidfd::open(pid)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if !left.is_zero() => {}
            Err(nix::errno::Errno::EINTR) => {}
            polled => return Ok(polled.map(drop)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_may_have_quotes_and_pipes() {
        assert_eq!(run("printf '%s' 'a b' | tr a-z A-Z").unwrap(), b"A B");
    }

    #[test]
    fn one_that_fails_says_too_much_or_does_not_end_is_told_apart() {
        assert!(matches!(run("echo x; exit 3"), Err(CommandError::Failed(_))));
        assert!(matches!(run("exec yes"), Err(CommandError::Output)));
        let before = Instant::now();
        let short = Duration::from_millis(200);
        assert!(matches!(run_within("sleep 100 & sleep 100", short), Err(CommandError::Time(_))));
        assert!(matches!(run_within("exec >&-; exec sleep 100", short), Err(CommandError::Failed(_))));
        assert!(before.elapsed() < Duration::from_secs(20));
    }
}

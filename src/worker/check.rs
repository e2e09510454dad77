//! One health check: the command of the definition in the container, with the container's own user, capabilities and filter,
//! in a group of its own that is killed when the check has ended or has taken too long. Nothing of a check remains, whatever
//! it started; and whatever it writes, little of it is kept.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, pipe2, read};

use super::protocol::{InitFile, Report};
use super::{Worker, chain};
use crate::lifecycle::{CheckEnd, Checked, LONGEST_OUTPUT};
use crate::plan::{HealthPlan, ProcessPlan};
use crate::runtime::cgroup::CheckGroup;
use crate::runtime::exec::{ExecError, Running, Streams, spawn};
use crate::sys::pidfd;

/// Bytes of output that are looked at: no character has more than four.
const KEPT: usize = LONGEST_OUTPUT * 4;
/// What one read takes; what is not kept is thrown away, so that the check can go on.
const CHUNK: usize = 64 << 10;
/// Reads after the end of the check: what its children may still write is of no interest.
const LAST_READS: usize = 16;

impl Worker<'_> {
    /// Checks the health of the container at a place of the plan. Not to be able to is an outcome too.
    pub(super) fn check(&self, place: usize) -> Report {
        Report::Checked(match self.try_check(place) {
            Ok(checked) => checked,
            Err(error) => Checked { end: CheckEnd::NotRun, output: chain(error.as_ref()) },
        })
    }

    fn try_check(&self, place: usize) -> Result<Checked, Box<dyn Error>> {
        let container = self.completed(place)?; // what its process was given, values included that do not stand in the plan
        let health = container.health.as_ref().ok_or("the container has no health check")?;
        let process = ProcessPlan { args: health.args.clone(), ..container.process.clone() };
        let init = self.init(place)?;
        let group = self.cgroups.check_group(&self.plan.cgroup, &container.name)?;
        let checked = self.run_in(&group, &init, &process, health);
        group.kill()?;
        checked
    }

    /// The first process of the container, which must run.
    fn init(&self, place: usize) -> Result<OwnedFd, Box<dyn Error>> {
        let text = std::fs::read(self.plan.container_paths(place).state_file())?;
        let file: InitFile = serde_json::from_slice(&text)?;
        let pid = Pid::from_raw(file.pid);
        let init = pidfd::open(pid)?;
        let is_it = pidfd::stat(pid)?.start_time == file.start_time && pidfd::boot_id()? == file.boot_id;
        if is_it && file.started { Ok(init) } else { Err("the container has ended".into()) }
    }

    fn run_in(
        &self,
        group: &CheckGroup,
        init: &OwnedFd,
        process: &ProcessPlan,
        health: &HealthPlan,
    ) -> Result<Checked, Box<dyn Error>> {
        let (output, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let null = io::stderr(); // a worker's standard error is /dev/null
        let streams = Streams::Given { input: null.as_fd(), output: theirs.as_fd() };
        let deadline = Instant::now() + Duration::from_secs(health.timeout.into());
        let running = match spawn(init.as_fd(), process, &self.plan.filters, streams, Some(group)) {
            Ok(running) => running,
            Err(ExecError::Start { program, failure, source }) => {
                let output = format!("exec {program:?}: {}", source.desc());
                return Ok(Checked { end: CheckEnd::Exited(failure.exit_code()), output });
            }
            Err(error) => return Err(error.into()),
        };
        drop(theirs);
        let (end, bytes) = watch(&running, &output, deadline)?;
        group.kill()?; // the check too, if it has not ended
        let code = running.wait()?.code();
        let end = if end == End::Late { CheckEnd::TimedOut } else { CheckEnd::Exited(code) };
        let text = String::from_utf8_lossy(&bytes);
        Ok(Checked { end, output: text.trim_end().chars().take(LONGEST_OUTPUT).collect() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Own,
    Late,
}

/// Waits for the end of the check, and reads what it writes meanwhile.
fn watch(running: &Running, output: &OwnedFd, deadline: Instant) -> io::Result<(End, Vec<u8>)> {
    let mut kept = Vec::new();
    let mut is_open = true;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((End::Late, kept));
        }
        let process = PollFd::new(running.pidfd.as_fd(), PollFlags::POLLIN);
        let mut fds = vec![process];
        fds.extend(is_open.then(|| PollFd::new(output.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ended = fds[0].any() == Some(true);
        is_open = is_open && take(output, &mut kept)?;
        if ended {
            for _ in 0..LAST_READS {
                is_open = is_open && take(output, &mut kept)?;
            }
            return Ok((End::Own, kept));
        }
    }
}

/// Reads once, and keeps what has room; whether there may be more.
fn take(output: &OwnedFd, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; CHUNK];
    match read(output, &mut chunk) {
        Ok(0) => Ok(false),
        Ok(count) => {
            let room = KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..count.min(room)]);
            Ok(true)
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

//! The output of a task's containers: read back, and followed until the task has stopped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Engine, OpsError, TaskRecord};
use crate::lifecycle::LastStatus;
use crate::logging::Multiline;
use crate::logs::{Line, Merge, Query, Reader, Until, Watch};
use crate::plan::TaskPlan;
use crate::supervisor::watch;

/// How following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The task has stopped and every line has been shown.
    Ended,
    /// The caller's descriptor became readable.
    Interrupted,
}

impl TaskRecord {
    /// The logs of some containers, by their places; lines carry the number within this list.
    pub fn logs(&self, containers: &[usize], query: Query, until: Until) -> Result<Merge, OpsError> {
        let open = |place: &usize| {
            let pattern = self.plan.containers[*place].log.multiline.as_ref().map(Multiline::regex);
            Ok::<_, OpsError>(Reader::open(self.plan.container_paths(*place).log, query, until)?.with_pattern(pattern))
        };
        let readers = containers.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Merge::new(readers))
    }
}

impl Engine {
    /// Shows lines as they come until the task has stopped or `interrupt` is readable.
    pub fn follow(
        &mut self,
        plan: &TaskPlan,
        logs: &mut Merge,
        interrupt: BorrowedFd,
        show: &mut dyn FnMut(Option<(usize, Line)>) -> io::Result<()>,
    ) -> Result<Followed, OpsError> {
        let changes = Watch::new(logs)?;
        let shown = |source| OpsError::Output { source };
        loop {
            self.reopen();
            // The task is watched before its record is read, and the logs are read after: nothing falls in between.
            let mut task = watch(&plan.paths.control()).ok();
            let record = self.task(plan)?;
            let stopped = record.state.last_status == LastStatus::Stopped;
            if stopped {
                logs.close();
            } else if task.is_none() {
                self.tend(&[record])?;
                std::thread::sleep(Duration::from_millis(2)); // between two loops nobody listens for a moment
                continue;
            }
            loop {
                changes.clear()?;
                while let Some(line) = logs.next_line()? {
                    show(Some(line)).map_err(shown)?;
                }
                show(None).map_err(shown)?;
                if stopped {
                    return Ok(Followed::Ended);
                }
                let Some(watched) = &mut task else { break };
                match wait(changes.as_fd(), watched.as_fd(), interrupt) {
                    Woken::Logs => {}
                    Woken::Interrupt => return Ok(Followed::Interrupted),
                    Woken::Task => match watched.next_status() {
                        Some(LastStatus::Stopped) | None => break,
                        Some(_) => {}
                    },
                }
            }
        }
    }
}

enum Woken {
    Logs,
    Task,
    Interrupt,
}

fn wait(logs: BorrowedFd, task: BorrowedFd, interrupt: BorrowedFd) -> Woken {
    let mut fds = [interrupt, task, logs].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    match fds.each_ref().map(|fd| fd.any() == Some(true)) {
        [true, ..] => Woken::Interrupt,
        [_, true, _] => Woken::Task,
        _ => Woken::Logs,
    }
}

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
use crate::supervisor::{self, News, follow, watch};

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
        // Of a loop that does not tell of logs, as those of earlier versions do not. Where it does, nobody waits for the kernel:
        // to close an inotify descriptor takes a grace period, 15 ms while network namespaces and control groups go.
        let mut changes = None;
        let shown = |source| OpsError::Output { source };
        loop {
            self.reopen();
            // The task is watched before its record is read, and the logs are read after: nothing falls in between.
            let control = plan.paths.control();
            let mut task = if changes.is_some() { watch(&control) } else { follow(&control) }.ok();
            let mut is_told = false;
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
                changes.as_ref().map_or(Ok(()), Watch::clear)?;
                while let Some(line) = logs.next_line()? {
                    show(Some(line)).map_err(shown)?;
                }
                show(None).map_err(shown)?;
                if stopped {
                    return Ok(Followed::Ended);
                }
                let Some(watched) = &mut task else { break };
                match wait(changes.as_ref().map(Watch::as_fd), watched, interrupt) {
                    Woken::Logs => {}
                    Woken::Interrupt => return Ok(Followed::Interrupted),
                    Woken::Task => match watched.next_news() {
                        Some(News::Status(LastStatus::Stopped)) => break,
                        Some(_) => is_told = true,
                        None => {
                            if !is_told && changes.is_none() {
                                changes = Some(Watch::new(logs)?);
                            }
                            break;
                        }
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

fn wait(logs: Option<BorrowedFd>, task: &supervisor::Watch, interrupt: BorrowedFd) -> Woken {
    if task.has_more() {
        return Woken::Task;
    }
    let fds = [Some(interrupt), Some(task.as_fd()), logs].into_iter().flatten();
    let mut fds: Vec<PollFd> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
    match fds.iter().position(|fd| fd.any() == Some(true)) {
        Some(0) => Woken::Interrupt,
        Some(1) => Woken::Task,
        _ => Woken::Logs,
    }
}

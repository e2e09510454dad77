//! The end of a container whose first process is not the end of all of it: what else runs in it is killed where its processes
//! are not its own namespace's, and its terminal's last output is waited for.

use super::protocol::Report;
use super::terminal::wait_for_output;
use super::{Worker, failed};
use crate::plan::isolation::{PidNamespace, Streams};

impl Worker<'_> {
    /// Sees a container's end through.
    pub(super) fn sweep(&self, place: usize) -> Report {
        let plan = &self.plan.containers[place];
        let killed = match plan.isolation.pid {
            PidNamespace::Own => Ok(()), // the kernel has done it
            PidNamespace::Task | PidNamespace::Host => self.cgroups.kill_container(&self.plan.cgroup, &plan.name),
        };
        if plan.isolation.streams == Streams::Terminal {
            wait_for_output(&self.plan.container_paths(place));
        }
        match killed {
            Ok(()) => Report::Swept,
            Err(error) => failed("ContainerRuntimeError", &error),
        }
    }
}

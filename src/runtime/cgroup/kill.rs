//! Emptying groups and removing them.
//!
//! v2 kills with `cgroup.kill`. v1 has only SIGKILL for one process after the other, and a group that forks meanwhile
//! could stay ahead of that. Its pids limit is set to 0 first: then no fork succeeds, and what is left is a list that
//! only gets shorter. (The freezer would do too, but a killer that dies half-way leaves it frozen, and it is one more
//! hierarchy for every launch to pay for.)

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{read, write};
use super::layout::Layout;
use super::{CgroupError, Cgroups, group};
use crate::plan::CgroupPlan;

/// How long the processes of a task may take to die before its removal gives up.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroups {
    /// Kills every process of a container, those in groups that it made itself too. Returns when all have been sent
    /// SIGKILL and none can fork, not when they are gone. No group is no process.
    pub fn kill_container(&self, plan: &CgroupPlan, name: &str) -> Result<(), CgroupError> {
        self.kill(&group(plan, Some(name)))
    }

    /// Kills every process of a task, as [`Cgroups::kill_container`] does. It is the end of the task: on v1 no process of
    /// its containers can fork from then on.
    pub fn kill_task(&self, plan: &CgroupPlan) -> Result<(), CgroupError> {
        self.kill(&group(plan, None))
    }

    fn kill(&self, group: &Path) -> Result<(), CgroupError> {
        kill_group(&self.layout, &self.layout.pids().join(group))
    }

    /// Removes a task's groups, those of its containers and those that containers made in theirs; kills what is in
    /// them and waits for its end, 10 s at most. Removes the root's group too if this was its last task. What is not
    /// there counts as removed.
    ///
    /// # Errors
    /// All of them: one hierarchy's error does not keep the others' groups.
    pub fn remove_task(&self, plan: &CgroupPlan) -> Result<(), Vec<CgroupError>> {
        let mut left: Vec<_> = self.layout.mounts().iter().map(|mount| mount.join(group(plan, None))).collect();
        let mut errors = Vec::new();
        let start = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            left.retain(|group| !removed(group, &mut errors));
            if left.is_empty() || start.elapsed() > PATIENCE {
                break;
            }
            if let Err(error) = self.kill_task(plan) {
                errors.push(error);
                break;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        errors.extend(left.into_iter().map(|group| {
            let pids = processes(&group).unwrap_or_default().into_iter().collect();
            CgroupError::Busy { group, pids, seconds: PATIENCE.as_secs() }
        }));
        for mount in self.layout.mounts() {
            // Refused while it has another task's group: that one's removal is the last then.
            let _ = fs::remove_dir(mount.join(&plan.root));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Kills every process of the group at a path, and of those below it.
pub(super) fn kill_group(layout: &Layout, group: &Path) -> Result<(), CgroupError> {
    let killed = match layout {
        Layout::V2 { .. } => write(&group.join("cgroup.kill"), "1"),
        Layout::V1 { .. } => write(&group.join("pids.max"), "0").and_then(|()| signal_all(group)),
    };
    match killed {
        Err(CgroupError::NoGroup { .. }) => Ok(()),
        other => other,
    }
}

/// Whether a task's group is done with: removed, or failed for another reason than that it is in use.
fn removed(group: &Path, errors: &mut Vec<CgroupError>) -> bool {
    match remove_tree(group) {
        Ok(()) => true,
        Err(source) if source.kind() == ErrorKind::ResourceBusy => false,
        Err(source) => {
            errors.push(CgroupError::Remove { group: group.to_owned(), source });
            true
        }
    }
}

/// Removes a group and those below it, deepest first. EBUSY: a process is in one of them.
fn remove_tree(group: &Path) -> io::Result<()> {
    for child in children(group)? {
        remove_tree(&child)?;
    }
    absent_is_done(fs::remove_dir(group))
}

fn absent_is_done(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The groups directly below one; none if it does not exist.
pub(super) fn children(group: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// SIGKILL to every process of a v1 group and of those below it, until a look shows none that has not had it.
fn signal_all(group: &Path) -> Result<(), CgroupError> {
    let mut done = BTreeSet::new();
    loop {
        let found = processes(group)?;
        if found.is_subset(&done) {
            return Ok(());
        }
        strike(&found, group)?;
        done.extend(found);
    }
}

/// SIGKILL to processes of a group.
pub(super) fn strike(pids: &BTreeSet<i32>, group: &Path) -> Result<(), CgroupError> {
    for &pid in pids {
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(source) => return Err(CgroupError::Kill { pid, group: group.to_owned(), source }),
        }
    }
    Ok(())
}

/// The processes of a group and of those below it. One that this pid namespace cannot name is listed by the kernel as
/// 0, and left out: a signal to 0 would be one to ourselves.
fn processes(group: &Path) -> Result<BTreeSet<i32>, CgroupError> {
    let list = match read(&group.join("cgroup.procs")) {
        Err(CgroupError::NoGroup { .. }) => return Ok(BTreeSet::new()),
        list => list?,
    };
    let mut pids: BTreeSet<_> = list.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect();
    let below = children(group).map_err(|source| CgroupError::Read { path: group.to_owned(), source })?;
    for child in below {
        pids.extend(processes(&child)?);
    }
    Ok(pids)
}

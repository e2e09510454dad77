//! The control groups of a task and of its containers, on cgroup v1 (hybrid) and cgroup v2 hosts: made, limited,
//! joined, measured, emptied, removed. Nobody else writes to them; libcontainer is kept away by [`hide`].
//!
//! Called by the workers and by `ops` for figures. Needs root and Linux 5.14 (`cgroup.kill`).
//!
//! Two levels: `berth-TAG/TASK` carries the task's limits, a group below it those of one container. They stand in the
//! group that systemd has delegated for them ([`delegated`]), or beside systemd's where there is none. On v1 they are
//! made in five hierarchies (pids, memory, cpu, cpuacct, devices), and in no other: every further one costs a launch
//! 0.1 ms and has nothing to hold (blkio, since Linux 6.10, does not even count without a limit). A container's processes
//! therefore stay in their caller's cpuset, freezer, blkio and systemd groups there. The freezer is not needed to kill: see `kill`.
//!
//! cgroups-rs writes the limits; the groups are made, joined, emptied and removed by plain file operations, because
//! its `create` ignores errors of `cgroup.subtree_control`, enables every controller in the host's root group and
//! follows a fixed mount point; its `delete` neither kills nor waits less than 10 ms; and its detection reads
//! mountinfo anew for each handle.

mod check;
mod counters;
mod error;
mod hide;
mod kill;
mod layout;
mod limits;
mod stat;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::plan::{CgroupPlan, ContainerLimits};
use crate::runtime::devices::{self, Rule};

pub use check::CheckGroup;
pub use error::CgroupError;
pub use hide::{HideError, hide};
pub(crate) use limits::CPU_PERIOD;
pub use limits::CpuCap;
pub use stat::{OomCount, Pressure, Stall, Usage};

use error::{read, write};
use layout::Layout;

/// The group beside those of the containers, none of which has a name with a dot.
const OWN: &str = "berth.own";
/// As Docker gives a container that asks for nothing.
const OWN_SHARES: u32 = 1024;
/// A carrier for each of ten containers, the task's pause process, and the workers that start them.
const OWN_PIDS: u32 = 64;

/// What `berth-tasks.service` has systemd delegate, on v2: tasks of units, of logins and of the endpoint have one place, which
/// systemd neither writes below nor removes. A unit's own group cannot be that, because its tasks outlive it.
const DELEGATED: &str = "berth.slice/berth-tasks.service";

/// The group for tasks that systemd has delegated, relative to the mount point of v2; empty where there is none.
pub fn delegated() -> &'static str {
    // On a v1 host this is a tmpfs with the hierarchies' mount points.
    if Path::new("/sys/fs/cgroup").join(DELEGATED).is_dir() { DELEGATED } else { "" }
}

/// The control groups of this host.
#[derive(Debug, Clone)]
pub struct Cgroups {
    layout: Layout,
}

impl Cgroups {
    /// Finds the hierarchies of this host: one read of `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// If a controller that a task needs is missing; the error says what brings it back.
    pub fn of_host() -> Result<Self, CgroupError> {
        Layout::parse(&read(Path::new("/proc/self/mountinfo"))?).map(|layout| Self { layout })
    }

    /// Whether this is a cgroup v2 host.
    pub fn is_v2(&self) -> bool {
        matches!(self.layout, Layout::V2 { .. })
    }

    /// Makes the task's group and sets its limits, but for the CPU cap. Does no harm to one that is there.
    pub fn create_task(&self, plan: &CgroupPlan) -> Result<(), CgroupError> {
        for mount in self.layout.mounts() {
            make_below_root(&mount.join(&plan.root), &plan.task)?;
        }
        if let Layout::V2 { root } = &self.layout {
            // From the top down, and only now: the task's group keeps another process from removing the root's.
            let own = root.join(&plan.root);
            enable_controllers(own.parent().unwrap_or(root))?;
            enable_controllers(&own)?;
            enable_controllers(&root.join(&plan.root).join(&plan.task))?;
        }
        limits::task(&self.layout, plan)
    }

    /// The task's CPU cap, to be set before its first program runs and not earlier: what prepares a container stands in the
    /// container's group, and would be held to the cap as well. `None` for a task without one.
    pub fn cpu_cap(&self, plan: &CgroupPlan) -> Result<Option<CpuCap>, CgroupError> {
        CpuCap::open(&self.layout, plan)
    }

    /// Makes a container's group below the task's, which must be there, and sets its limits and device rules. Does no
    /// harm to one that is there; one that was killed can be used again after it.
    pub fn create_container(
        &self,
        plan: &CgroupPlan,
        name: &str,
        limits: &ContainerLimits,
        rules: &[Rule],
    ) -> Result<(), CgroupError> {
        for mount in self.layout.mounts() {
            let group = mount.join(group(plan, Some(name)));
            make(&group).map_err(|source| CgroupError::Create { group, source })?;
        }
        limits::container(&self.layout, &group(plan, Some(name)), limits, rules)
    }

    /// Moves the calling process into a container's group. It must be single-threaded: v1 moves the calling thread.
    ///
    /// v1: by `tasks`, not by `cgroup.procs`, because a thread that moves itself need not take the kernel's global lock,
    /// which costs an RCU grace period of 8 to 20 ms (kernel commit 9a3284fad42f). v2 has no such way; clone3(2) with
    /// `CLONE_INTO_CGROUP` and [`Cgroups::leaf_dir`] avoids it there.
    pub fn join(&self, plan: &CgroupPlan, name: &str) -> Result<(), CgroupError> {
        let file = if self.is_v2() { "cgroup.procs" } else { "tasks" };
        for mount in self.layout.mounts() {
            write(&mount.join(group(plan, Some(name))).join(file), "0")?;
        }
        Ok(())
    }

    /// Makes the group of the task's that holds what is berth's own, if it is not there, and moves the calling process into it.
    /// It is removed with the task.
    pub fn join_own(&self, plan: &CgroupPlan) -> Result<(), CgroupError> {
        let limits = ContainerLimits { cpu_shares: OWN_SHARES, pids: OWN_PIDS, ..ContainerLimits::default() };
        self.create_container(plan, OWN, &limits, &devices::own())?;
        self.join(plan, OWN)
    }

    /// The container's group as a descriptor for clone3(2), on v2.
    pub fn leaf_dir(&self, plan: &CgroupPlan, name: &str) -> Result<Option<OwnedFd>, CgroupError> {
        let Layout::V2 { root } = &self.layout else { return Ok(None) };
        open_group(&root.join(group(plan, Some(name)))).map(Some)
    }
}

/// A task's group, or a container's in it, relative to a hierarchy's mount point.
///
/// The kernel's own files of a v1 group that have no dot in their names could be names of containers; a container's
/// name has no dot, so that these stay apart.
fn group(plan: &CgroupPlan, container: Option<&str>) -> PathBuf {
    let task = Path::new(&plan.root).join(&plan.task);
    match container {
        None => task,
        Some(name @ ("tasks" | "notify_on_release" | "release_agent")) => task.join(format!("{name}.container")),
        Some(name) => task.join(name),
    }
}

/// Makes a group, if it is not there. The mode does not depend on the umask: who may write here may move processes.
fn make(group: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(group) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Makes a task's group and the root's above it. Whoever removes the last task of a root removes the root's group too,
/// at any moment: then it is made again.
fn make_below_root(root: &Path, task: &str) -> Result<(), CgroupError> {
    const ATTEMPTS: usize = 100;
    let group = root.join(task);
    let mut made = make(&group);
    for _ in 0..ATTEMPTS {
        match &made {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            _ => break,
        }
        make(root).map_err(|source| CgroupError::Create { group: root.to_owned(), source })?;
        made = make(&group);
    }
    made.map_err(|source| CgroupError::Create { group, source })
}

/// Gives the groups below `group` the controllers that berth uses. What is enabled stays untouched, so that where nothing is
/// delegated the host's root group is written to once at most; systemd cannot take a controller away again while the groups below
/// have it enabled (the kernel answers EBUSY).
fn enable_controllers(group: &Path) -> Result<(), CgroupError> {
    let path = group.join("cgroup.subtree_control");
    let enabled = read(&path)?;
    let is_enabled = |name: &str| enabled.split_whitespace().any(|word| word == name);
    if !is_enabled(layout::V2_DISKS) {
        // By itself: a kernel without it, or whoever delegates without it, takes some figures and not the task.
        let _ = write(&path, &format!("+{}", layout::V2_DISKS));
    }
    let missing = layout::V2_CONTROLLERS.iter().filter(|name| !is_enabled(name));
    let wanted = missing.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    if wanted.is_empty() {
        return Ok(());
    }
    write(&path, &wanted).map_err(|error| error.about_delegation(group, &wanted))
}

/// A group as a descriptor: for clone3(2), and to attach a program to.
fn open_group(group: &Path) -> Result<OwnedFd, CgroupError> {
    let flags = libc::O_DIRECTORY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(group);
    file.map(OwnedFd::from).map_err(|source| CgroupError::Read { path: group.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_is_called_like_a_file_of_the_kernel_gets_a_group_of_its_own() {
        let plan = CgroupPlan { root: "berth-1".into(), task: "t".into(), limits: Default::default() };
        assert_eq!(group(&plan, None), Path::new("berth-1/t"));
        assert_eq!(group(&plan, Some("web")), Path::new("berth-1/t/web"));
        assert_eq!(group(&plan, Some("tasks")), Path::new("berth-1/t/tasks.container"));
    }
}

//! The group of a container's health check: its processes, and whatever they start, can be killed as a whole without the
//! container's own.
//!
//! It is a child of the container's group, so that everything counts there: on v2 the one group (without controllers of its
//! own, so that the container's may hold processes beside it), on v1 one in the pids hierarchy, where killing works; in the
//! other hierarchies a check is in the container's own groups. Removed with the task.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::write;
use super::kill::kill_group;
use super::layout::Layout;
use super::{CgroupError, Cgroups, group, make};
use crate::plan::CgroupPlan;

/// Its name below the container's; a file of the kernel has another one.
const NAME: &str = "berth.check";

/// The group, empty when it is made.
#[derive(Debug)]
pub struct CheckGroup {
    layout: Layout,
    path: PathBuf,
    doors: Vec<File>,
}

impl Cgroups {
    /// Makes the group for a check of a container, and kills what an earlier check left in it.
    pub fn check_group(&self, plan: &CgroupPlan, name: &str) -> Result<CheckGroup, CgroupError> {
        let own = group(plan, Some(name));
        let path = self.layout.pids().join(&own).join(NAME);
        make(&path).map_err(|source| CgroupError::Create { group: path.clone(), source })?;
        kill_group(&self.layout, &path)?;
        if !self.is_v2() {
            write(&path.join("pids.max"), "max")?; // a kill leaves 0; the container's own limit holds all the same
        }
        let file = if self.is_v2() { "cgroup.procs" } else { "tasks" };
        let directory = |mount: &Path| if mount == self.layout.pids() { path.clone() } else { mount.join(&own) };
        let doors = self.layout.mounts().into_iter().map(|mount| {
            let door = directory(mount).join(file);
            File::options().write(true).open(&door).map_err(|source| CgroupError::Write {
                path: door,
                value: "0".to_owned(),
                source,
            })
        });
        let doors = doors.collect::<Result<_, _>>()?;
        Ok(CheckGroup { layout: self.layout.clone(), path, doors })
    }
}

impl CheckGroup {
    /// Moves the calling process, which must be single-threaded, into the group; from any namespace.
    pub fn join(&self) -> io::Result<()> {
        self.doors.iter().try_for_each(|mut door| door.write_all(b"0"))
    }

    /// Kills what is in it, and what forks meanwhile.
    pub fn kill(&self) -> Result<(), CgroupError> {
        kill_group(&self.layout, &self.path)
    }
}

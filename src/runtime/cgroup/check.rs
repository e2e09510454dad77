//! The group of a container's health check: its processes, and whatever they start, can be killed as a whole without the
//! container's own.
//!
//! It is a child of the container's group, so that everything counts there: on v2 the one group (without controllers of its
//! own, so that the container's may hold processes beside it), on v1 one in the pids hierarchy, where killing works; in the
//! other hierarchies a check is in the container's own groups. Removed with the task.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::write;
use super::kill::{kill_group, strike};
use super::layout::Layout;
use super::{CgroupError, Cgroups, group, make};
use crate::plan::CgroupPlan;

/// Its name below the container's; a file of the kernel has another one.
const NAME: &str = "berth.check";
/// More processes than this one read of their list does not show; the next one does.
const LIST: usize = 64 << 10;

/// The group, empty when it is made. It is joined from within the container's namespaces, where there is no path to it: all
/// of its files are open.
#[derive(Debug)]
pub struct CheckGroup {
    path: PathBuf,
    doors: Vec<File>,
    killer: Killer,
}

/// What kills.
#[derive(Debug)]
enum Killer {
    /// `cgroup.kill`.
    V2(File),
    /// `pids.max`, which keeps the group from forking, and the list of its processes.
    V1 { limit: File, list: File },
}

impl Cgroups {
    /// Makes the group for a check of a container, and kills what an earlier check left in it.
    pub fn check_group(&self, plan: &CgroupPlan, name: &str) -> Result<CheckGroup, CgroupError> {
        let own = group(plan, Some(name));
        let path = self.layout.pids().join(&own).join(NAME);
        make(&path).map_err(|source| CgroupError::Create { group: path.clone(), source })?;
        kill_group(&self.layout, &path)?;
        let (killer, door) = match &self.layout {
            Layout::V2 { .. } => (Killer::V2(open(&path.join("cgroup.kill"))?), "cgroup.procs"),
            Layout::V1 { .. } => {
                write(&path.join("pids.max"), "max")?; // a kill leaves 0; the container's own limit holds all the same
                let list = path.join("cgroup.procs");
                let list = File::open(&list).map_err(|source| CgroupError::Read { path: list, source })?;
                (Killer::V1 { limit: open(&path.join("pids.max"))?, list }, "tasks")
            }
        };
        let directory = |mount: &Path| if mount == self.layout.pids() { path.clone() } else { mount.join(&own) };
        let doors = self.layout.mounts().into_iter().map(|mount| open(&directory(mount).join(door)));
        let doors = doors.collect::<Result<_, _>>()?;
        Ok(CheckGroup { path, doors, killer })
    }
}

fn open(path: &Path) -> Result<File, CgroupError> {
    let opened = File::options().write(true).open(path);
    opened.map_err(|source| CgroupError::Write { path: path.to_owned(), value: String::new(), source })
}

impl CheckGroup {
    /// The files through which a process joins it, from any namespace: each takes a `0` for the writer.
    pub fn doors(&self) -> &[File] {
        &self.doors
    }

    /// Kills what is in it, and what forks meanwhile.
    pub fn kill(&self) -> Result<(), CgroupError> {
        match &self.killer {
            Killer::V2(file) => self.tell(file, "1"),
            Killer::V1 { limit, list } => {
                self.tell(limit, "0")?;
                let mut done = BTreeSet::new();
                loop {
                    let found = self.listed(list)?;
                    if found.is_subset(&done) {
                        return Ok(());
                    }
                    strike(&found, &self.path)?;
                    done.extend(found);
                }
            }
        }
    }

    fn tell(&self, mut file: &File, value: &str) -> Result<(), CgroupError> {
        let path = self.path.clone();
        file.write_all(value.as_bytes()).map_err(|source| CgroupError::Write { path, value: value.to_owned(), source })
    }

    fn listed(&self, list: &File) -> Result<BTreeSet<i32>, CgroupError> {
        let mut bytes = vec![0; LIST];
        let mut filled = 0;
        while filled < bytes.len() {
            match list.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(source) => return Err(CgroupError::Read { path: self.path.clone(), source }),
            }
        }
        let text = String::from_utf8_lossy(&bytes[..filled]).into_owned();
        // The last number may be cut.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
    }
}

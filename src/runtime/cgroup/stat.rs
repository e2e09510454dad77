//! The figures of a group: what it uses, and whether the kernel killed in it for want of memory.

use std::path::Path;

use super::error::read;
use super::kill::children;
use super::layout::Layout;
use super::{CgroupError, Cgroups, group};
use crate::plan::CgroupPlan;

/// How many processes the kernel has killed for want of memory since the groups were made.
///
/// The kernel counts a kill in the **victim's** group, whichever limit was hit, the container's, the task's or the
/// host's: a count that rose in a container's group says that a process of this container was killed. v2 adds it to all
/// groups above (`memory.events`), v1 does not (`memory.oom_control`): there the groups below are summed up here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OomCount {
    /// Processes of this container.
    pub container: u64,
    /// Processes of all the task's containers, this one included.
    pub task: u64,
}

/// What a task or a container uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time used so far, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in bytes as `docker stats` counts it: without file pages that have not been used lately.
    pub memory_bytes: u64,
    /// The most memory that it had, in bytes, such file pages included; `None` before Linux 5.19 on v2.
    pub memory_peak: Option<u64>,
    /// The memory limit in bytes that holds it: its own or the task's, whichever is less. `None` is no limit.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// How much its processes wait; only v2 can say, and only a kernel with PSI.
    pub pressure: Option<Pressure>,
}

/// For what part of the time some process waited for want of a resource (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// For a CPU, because others had it or the limit was reached.
    pub cpu: Stall,
    /// For memory that had to be freed or read again.
    pub memory: Stall,
    /// For storage.
    pub io: Stall,
}

/// The line `some` of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stall {
    /// Over the last ten seconds, in hundredths of a percent.
    pub recent: u32,
    /// In all, in microseconds.
    pub total_us: u64,
}

impl Pressure {
    /// `None` where the kernel does not count it.
    fn read(group: &Path) -> Option<Self> {
        let of = |resource: &str| stall(&read(&group.join(format!("{resource}.pressure"))).ok()?);
        Some(Self { cpu: of("cpu")?, memory: of("memory")?, io: of("io")? })
    }
}

/// Reads `some avg10=0.12 avg60=0.00 avg300=0.00 total=345`.
fn stall(text: &str) -> Option<Stall> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key));
    let (whole, part) = value("avg10=")?.split_once('.')?;
    let recent = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(part.get(..2)?.parse().ok()?)?;
    Some(Stall { recent, total_us: value("total=")?.parse().ok()? })
}

impl Cgroups {
    /// OOM kills in a container and in its task.
    pub fn oom_kills(&self, plan: &CgroupPlan, name: &str) -> Result<OomCount, CgroupError> {
        let of = |container| self.kills(&self.layout.memory().join(group(plan, container)));
        Ok(OomCount { container: of(Some(name))?, task: of(None)? })
    }

    /// What a container uses, or all of the task.
    pub fn usage(&self, plan: &CgroupPlan, name: Option<&str>) -> Result<Usage, CgroupError> {
        let group = group(plan, name);
        match &self.layout {
            Layout::V1 { pids, memory, cpuacct, .. } => {
                let memory = memory.join(&group);
                let file = memory.join("memory.stat");
                let stat = Stat::read(&file)?;
                Ok(Usage {
                    cpu_ns: figure(&cpuacct.join(&group).join("cpuacct.usage"))?,
                    memory_bytes: figure(&memory.join("memory.usage_in_bytes"))?
                        .saturating_sub(stat.get("total_inactive_file")?),
                    memory_peak: Some(figure(&memory.join("memory.max_usage_in_bytes"))?),
                    // The least of the group and of all above it; no limit is the largest whole page below 2^63.
                    memory_limit: Some(stat.get("hierarchical_memory_limit")?).filter(|limit| *limit < 1 << 62),
                    pids: figure(&pids.join(&group).join("pids.current"))?,
                    oom_kills: self.kills(&memory)?,
                    pressure: None,
                })
            }
            Layout::V2 { root } => {
                let dir = root.join(&group);
                let inactive = Stat::read(&dir.join("memory.stat"))?.get("inactive_file")?;
                Ok(Usage {
                    cpu_ns: Stat::read(&dir.join("cpu.stat"))?.get("usage_usec")?.saturating_mul(1000),
                    memory_bytes: figure(&dir.join("memory.current"))?.saturating_sub(inactive),
                    memory_peak: figure(&dir.join("memory.peak")).ok(),
                    memory_limit: limit_v2(&dir, name.and(dir.parent()))?,
                    pids: figure(&dir.join("pids.current"))?,
                    oom_kills: self.kills(&dir)?,
                    pressure: Pressure::read(&dir),
                })
            }
        }
    }

    /// The OOM kills in a group and in those below it.
    fn kills(&self, group: &Path) -> Result<u64, CgroupError> {
        match self.layout {
            Layout::V2 { .. } => Stat::read(&group.join("memory.events"))?.get("oom_kill"),
            Layout::V1 { .. } => {
                let own = Stat::read(&group.join("memory.oom_control"))?.get("oom_kill")?;
                let below = children(group).map_err(|source| CgroupError::Read { path: group.to_owned(), source })?;
                below.iter().try_fold(own, |sum, child| Ok(sum + self.kills(child)?))
            }
        }
    }
}

/// The least of the limits of a group and of its task's.
pub(super) fn limit_v2(group: &Path, task: Option<&Path>) -> Result<Option<u64>, CgroupError> {
    let mut least = None::<u64>;
    for dir in [Some(group), task].into_iter().flatten() {
        // The word `max` is no limit.
        if let Ok(limit) = read(&dir.join("memory.max"))?.trim().parse() {
            least = Some(least.map_or(limit, |least| least.min(limit)));
        }
    }
    Ok(least)
}

/// A file that holds one number.
pub(super) fn figure(path: &Path) -> Result<u64, CgroupError> {
    read(path)?.trim().parse().map_err(|_| CgroupError::Malformed { path: path.to_owned() })
}

/// A file of lines `KEY NUMBER`.
pub(super) struct Stat<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> Stat<'a> {
    pub(super) fn read(path: &'a Path) -> Result<Self, CgroupError> {
        Ok(Self { path, text: read(path)? })
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.text.lines().filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key, value.trim().parse().ok()?))
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<u64, CgroupError> {
        let value = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok();
        self.text.lines().find_map(value).ok_or_else(|| CgroupError::Malformed { path: self.path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_as_the_kernel_writes_it() {
        let text =
            "some avg10=12.05 avg60=0.00 avg300=0.00 total=345\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=6\n";
        assert_eq!(stall(text), Some(Stall { recent: 1205, total_us: 345 }));
        for text in ["", "full avg10=0.00 total=1", "some avg10=x total=1", "some avg10=1.00 avg60=0.00"] {
            assert_eq!(stall(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_taken_for_another_that_begins_like_it() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n".to_owned();
        let stat = Stat { path: Path::new("memory.oom_control"), text };
        assert_eq!(stat.get("oom_kill").unwrap(), 7);
        assert!(matches!(stat.get("oom"), Err(CgroupError::Malformed { .. })));
    }
}

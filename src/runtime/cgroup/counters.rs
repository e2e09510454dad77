//! All counters of a group, for statistics in Docker's form. Called by the process of the task's endpoint, for each request.

use std::path::Path;

use super::error::read;
use super::layout::Layout;
use super::stat::{Stat, figure, limit_v2};
use super::{CgroupError, Cgroups, group};
use crate::metadata::{Counters, Cpu, Io, Memory};
use crate::plan::CgroupPlan;

/// What `cpuacct.stat` counts in (`USER_HZ`, a hundredth of a second on every architecture), in nanoseconds.
const TICK: u64 = 10_000_000;
const MICROSECOND: u64 = 1000;

impl Cgroups {
    /// The counters of a container, or of all of the task.
    pub fn counters(&self, plan: &CgroupPlan, name: Option<&str>) -> Result<Counters, CgroupError> {
        let group = group(plan, name);
        match &self.layout {
            Layout::V1 { pids, memory, cpuacct, cpu, .. } => {
                v1(&pids.join(&group), &memory.join(&group), &cpuacct.join(&group), &cpu.join(&group))
            }
            Layout::V2 { root } => v2(&root.join(&group), name.and(root.join(&group).parent())),
        }
    }
}

/// A v1 host counts reads and writes, if it does, in a hierarchy that berth has no groups in.
fn v1(pids: &Path, memory: &Path, cpuacct: &Path, cpu: &Path) -> Result<Counters, CgroupError> {
    let (stat_file, split_file, bandwidth_file) =
        (memory.join("memory.stat"), cpuacct.join("cpuacct.stat"), cpu.join("cpu.stat"));
    let (stat, split) = (Stat::read(&stat_file)?, Stat::read(&split_file)?);
    let bandwidth = Stat::read(&bandwidth_file)?;
    let per_processor = read(&cpuacct.join("cpuacct.usage_percpu")).unwrap_or_default();
    Ok(Counters {
        cpu: Cpu {
            total: figure(&cpuacct.join("cpuacct.usage"))?,
            kernel: split.get("system")?.saturating_mul(TICK),
            user: split.get("user")?.saturating_mul(TICK),
            by_processor: per_processor.split_whitespace().filter_map(|text| text.parse().ok()).collect(),
            periods: bandwidth.get("nr_periods").unwrap_or_default(),
            throttled_periods: bandwidth.get("nr_throttled").unwrap_or_default(),
            throttled: bandwidth.get("throttled_time").unwrap_or_default(),
        },
        memory: Memory {
            usage: figure(&memory.join("memory.usage_in_bytes"))?,
            peak: figure(&memory.join("memory.max_usage_in_bytes")).ok(),
            limit: Some(stat.get("hierarchical_memory_limit")?).filter(|limit| *limit < 1 << 62),
            failures: figure(&memory.join("memory.failcnt")).unwrap_or_default(),
            stat: stat.all().map(|(key, value)| (key.to_owned(), value)).collect(),
        },
        io: Vec::new(),
        pids: figure(&pids.join("pids.current"))?,
        pids_limit: figure(&pids.join("pids.max")).ok(), // the word `max` is no limit
    })
}

fn v2(group: &Path, task: Option<&Path>) -> Result<Counters, CgroupError> {
    let (cpu_file, memory_file, events_file) =
        (group.join("cpu.stat"), group.join("memory.stat"), group.join("memory.events"));
    let (cpu, memory) = (Stat::read(&cpu_file)?, Stat::read(&memory_file)?);
    let microseconds = |key: &str| cpu.get(key).unwrap_or_default().saturating_mul(MICROSECOND);
    Ok(Counters {
        cpu: Cpu {
            total: cpu.get("usage_usec")?.saturating_mul(MICROSECOND),
            kernel: microseconds("system_usec"),
            user: microseconds("user_usec"),
            by_processor: Vec::new(),
            periods: cpu.get("nr_periods").unwrap_or_default(),
            throttled_periods: cpu.get("nr_throttled").unwrap_or_default(),
            throttled: microseconds("throttled_usec"),
        },
        memory: Memory {
            usage: figure(&group.join("memory.current"))?,
            peak: figure(&group.join("memory.peak")).ok(),
            limit: limit_v2(group, task)?,
            failures: Stat::read(&events_file)?.get("max").unwrap_or_default(),
            stat: memory.all().map(|(key, value)| (key.to_owned(), value)).collect(),
        },
        io: read(&group.join("io.stat")).map(|text| io(&text)).unwrap_or_default(),
        pids: figure(&group.join("pids.current"))?,
        pids_limit: figure(&group.join("pids.max")).ok(),
    })
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`.
fn io(text: &str) -> Vec<Io> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let mut one = Io { device: (major.parse().ok()?, minor.parse().ok()?), ..Io::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().ok()?;
            match key {
                "rbytes" => one.bytes.0 = value,
                "wbytes" => one.bytes.1 = value,
                "rios" => one.count.0 = value,
                "wios" => one.count.1 = value,
                _ => {} // discards
            }
        }
        Some(one)
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_told_by_device() {
        let found = io("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \nrubbish\n");
        let disk = Io { device: (8, 16), bytes: (1, 2), count: (3, 4) };
        assert_eq!(found, [disk, Io { device: (7, 0), ..Io::default() }]);
    }

    #[test]
    fn a_v2_group_is_read_file_by_file() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n");
        write("memory.stat", "anon 4096\nfile 8192\n");
        write("memory.events", "low 0\nmax 5\noom_kill 0\n");
        for (name, text) in
            [("memory.current", "12288"), ("memory.max", "max"), ("pids.current", "1"), ("pids.max", "max")]
        {
            write(name, text);
        }
        let found = v2(directory.path(), None).unwrap();
        assert_eq!((found.cpu.total, found.cpu.user, found.cpu.kernel, found.cpu.throttled), (7000, 4000, 3000, 9000));
        assert_eq!((found.memory.usage, found.memory.limit, found.memory.failures), (12288, None, 5));
        assert_eq!((found.memory.stat["file"], found.pids, found.pids_limit), (8192, 1, None));
    }
}

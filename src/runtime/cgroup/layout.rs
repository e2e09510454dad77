//! Where this host's control groups are: which hierarchies are mounted, and whether they are v1 or v2. Reads nothing
//! but the text it is given and, on v2, the list of controllers.

use std::path::{Path, PathBuf};

use super::CgroupError;
use super::error::read;

/// The controllers of v2 that a task needs.
pub(super) const V2_CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// The one that counts reads and writes.
pub(super) const V2_DISKS: &str = "io";

const V1_WAY_OUT: &str = "mount it (mount -t cgroup -o NAME NAME /sys/fs/cgroup/NAME), or boot with \
                          systemd.unified_cgroup_hierarchy=1 to have cgroup v2";
const V2_WAY_OUT: &str = "boot without cgroup_disable=NAME (some kernels want cgroup_enable=NAME), and mount no cgroup v1 \
                          hierarchy of it";

/// The mount points of the hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// cgroup v1, alone or hybrid: a mount point per controller. Some may be the same (`cpu,cpuacct`).
    V1 { pids: PathBuf, memory: PathBuf, cpu: PathBuf, cpuacct: PathBuf, devices: PathBuf },
    /// cgroup v2: one mount point.
    V2 { root: PathBuf },
}

impl Layout {
    /// From the text of `/proc/self/mountinfo` (proc(5)).
    pub(super) fn parse(mountinfo: &str) -> Result<Self, CgroupError> {
        let mounts: Vec<_> = mountinfo.lines().filter_map(mount).collect();
        // A host whose v1 controllers are mounted has them there; its cgroup2 mount, if any, has none of these.
        if ["memory", "cpu", "pids"].iter().any(|name| find_v1(&mounts, name).is_some()) {
            return Self::v1(&mounts);
        }
        match mounts.iter().find(|mount| mount.version == "cgroup2") {
            Some(mount) => Self::v2(mount.point, &read(&Path::new(mount.point).join("cgroup.controllers"))?),
            None => Err(CgroupError::NotMounted),
        }
    }

    fn v1(mounts: &[Mount<'_>]) -> Result<Self, CgroupError> {
        let mut missing = Vec::new();
        let mut wanted = |name| {
            let found = find_v1(mounts, name);
            found.unwrap_or_else(|| {
                missing.push(name);
                PathBuf::new()
            })
        };
        let found = Self::V1 {
            pids: wanted("pids"),
            memory: wanted("memory"),
            cpu: wanted("cpu"),
            cpuacct: wanted("cpuacct"),
            devices: wanted("devices"),
        };
        if missing.is_empty() { Ok(found) } else { Err(CgroupError::NoController { missing, way_out: V1_WAY_OUT }) }
    }

    fn v2(root: &str, controllers: &str) -> Result<Self, CgroupError> {
        let there: Vec<_> = controllers.split_whitespace().collect();
        let missing: Vec<_> = V2_CONTROLLERS.into_iter().filter(|name| !there.contains(name)).collect();
        if missing.is_empty() {
            Ok(Self::V2 { root: root.into() })
        } else {
            Err(CgroupError::NoController { missing, way_out: V2_WAY_OUT })
        }
    }

    /// Every mount point once, in the order in which they are joined. pids first: what is in any group of a container
    /// is then found by its pids group. cpu last: from there on the joining process runs under the task's cap and weight.
    pub(super) fn mounts(&self) -> Vec<&Path> {
        match self {
            Self::V2 { root } => vec![root],
            Self::V1 { pids, memory, cpu, cpuacct, devices } => {
                let mut mounts: Vec<&Path> = Vec::with_capacity(5);
                for mount in [pids, memory, devices, cpuacct, cpu] {
                    if !mounts.contains(&mount.as_path()) {
                        mounts.push(mount);
                    }
                }
                mounts
            }
        }
    }

    /// The mount point whose groups count and list the processes.
    pub(super) fn pids(&self) -> &Path {
        match self {
            Self::V1 { pids, .. } => pids,
            Self::V2 { root } => root,
        }
    }

    /// The mount point whose groups account for memory.
    pub(super) fn memory(&self) -> &Path {
        match self {
            Self::V1 { memory, .. } => memory,
            Self::V2 { root } => root,
        }
    }
}

/// The cgroup mounts among the lines of a mountinfo.
pub(super) struct Mount<'a> {
    pub(super) point: &'a str,
    version: &'a str,
    options: &'a str,
}

/// A line of a mountinfo, if it is of a cgroup file system. Optional fields stand before the lone hyphen.
pub(super) fn mount(line: &str) -> Option<Mount<'_>> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    let version = back.next().filter(|version| matches!(*version, "cgroup" | "cgroup2"))?;
    Some(Mount { point: front.split(' ').nth(4)?, version, options: back.nth(1)? })
}

fn find_v1(mounts: &[Mount<'_>], controller: &str) -> Option<PathBuf> {
    let has = |mount: &&Mount<'_>| mount.version == "cgroup" && mount.options.split(',').any(|word| word == controller);
    mounts.iter().find(has).map(|mount| mount.point.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_host_is_a_v1_host_and_a_shared_hierarchy_is_used_once() {
        let layout = Layout::parse(HYBRID).unwrap();
        let names: Vec<_> = layout.mounts().iter().map(|path| path.strip_prefix("/sys/fs/cgroup").unwrap()).collect();
        assert_eq!(names, ["pids", "memory", "devices", "cpu,cpuacct"].map(Path::new));
    }

    #[test]
    fn a_v1_host_without_a_controller_is_told_which() {
        let without: String =
            HYBRID.lines().filter(|line| !line.contains("pids")).map(|line| format!("{line}\n")).collect();
        let error = Layout::parse(&without).unwrap_err();
        assert!(matches!(&error, CgroupError::NoController { missing, .. } if *missing == ["pids"]), "{error}");
    }

    #[test]
    fn a_v2_host_without_a_controller_is_told_which() {
        assert_eq!(Layout::v2("/c", "cpuset cpu io memory pids\n").unwrap(), Layout::V2 { root: "/c".into() });
        let error = Layout::v2("/c", "cpuset cpu io pids\n").unwrap_err();
        assert!(error.to_string().starts_with("this host has no cgroup controller memory: "), "{error}");
    }

    #[test]
    fn a_host_without_any_hierarchy_is_told_what_to_mount() {
        let error = Layout::parse("22 1 0:20 / /proc rw - proc proc rw\n").unwrap_err();
        assert!(matches!(error, CgroupError::NotMounted));
    }
}

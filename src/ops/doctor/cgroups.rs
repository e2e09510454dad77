//! Checks of the control groups: controllers, swap, and the option that makes starts quicker.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Check, chain};
use crate::runtime::cgroup::{Cgroups, delegated};

const FAVOR: &str = "favordynmods";

pub(super) fn checks() -> Vec<Check> {
    let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    vec![controllers(&mounts), swap(&mounts), favordynmods(&mounts)]
}

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    kind: Kind,
    /// The options of the hierarchy, on v1 its controllers too.
    options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
}

/// The cgroup mounts of a mountinfo: the fifth word is the mount point, and after a lone hyphen come the type, the source
/// and the options of the file system (proc_pid_mountinfo(5)).
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut words = file_system.split(' ');
        let kind = match words.next()? {
            "cgroup" => Kind::V1,
            "cgroup2" => Kind::V2,
            _ => return None,
        };
        let options = words.nth(1)?.split(',').map(str::to_owned).collect();
        Some(Mount { point: mount.split(' ').nth(4)?.into(), kind, options })
    };
    mountinfo.lines().filter_map(mount).collect()
}

fn controllers(mounts: &[Mount]) -> Check {
    let name = "cgroups";
    match Cgroups::of_host() {
        Err(error) => {
            Check::fail(name, chain(&error)).remedy("see what it says; `cat /proc/cgroups` lists what the kernel has")
        }
        Ok(cgroups) if cgroups.is_v2() => v2(delegated(), Path::new("/run/systemd/system").exists()),
        Ok(_) => {
            let hybrid = mounts.iter().any(|mount| mount.kind == Kind::V2);
            let layout = if hybrid { "v1, beside a v2 hierarchy without controllers" } else { "v1" };
            Check::ok(name, format!("{layout}, with cpu, cpuacct, memory, pids and devices"))
        }
    }
}

/// Where tasks stand on v2: systemd wants to be told whose a group is that it did not make.
fn v2(delegated: &str, systemd: bool) -> Check {
    let name = "cgroups";
    let found = "v2, with cpu, memory and pids";
    match delegated {
        "" if systemd => Check::ok(name, format!("{found}; tasks have a group beside systemd's slices"))
            .remedy("systemctl enable --now berth-tasks (then they have one that systemd delegates, in berth.slice)"),
        "" => Check::ok(name, found),
        group => Check::ok(name, format!("{found}; tasks are in {group}, which systemd delegates")),
    }
}

/// A memory limit holds without swap only if swap is counted as well.
fn swap(mounts: &[Mount]) -> Check {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() < 2 {
        return Check::ok("swap", "none");
    }
    let v1 =
        mounts.iter().find(|mount| mount.kind == Kind::V1 && mount.options.iter().any(|option| option == "memory"));
    match v1.map(|mount| mount.point.join("memory.memsw.limit_in_bytes")) {
        Some(file) if !file.exists() => {
            Check::warn("swap", "in use and not counted: a task can exceed its memory limit by way of swap")
                .remedy("boot with swapaccount=1, or: swapoff -a")
        }
        Some(_) | None => Check::ok("swap", "in use; tasks get none of it"),
    }
}

/// Without it, the first move of a process into a group in a while waits for an RCU grace period, 8 to 20 ms (kernel
/// commit 6a010a49b63a). One hierarchy that has it serves for all; an empty one can be taken away again.
fn favordynmods(mounts: &[Mount]) -> Check {
    const COST: &str = "tasks start some milliseconds sooner, every fork and exit on the host takes a little longer";
    let is_on = |mount: &&Mount| mount.options.iter().any(|option| option == FAVOR);
    match mounts.iter().find(is_on) {
        Some(mount) => Check::ok(FAVOR, format!("on, by {}: {COST}", mount.point.display())),
        None => Check::ok(FAVOR, format!("off; with it {COST} (Linux 6.0)")).remedy(format!(
            "mkdir -p /run/{FAVOR} && mount -t cgroup -o none,name={FAVOR},{FAVOR} cgroup /run/{FAVOR} \
             (undone by umount)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        24 1 0:1 / / rw - ext4 /dev/vda rw\n\
        30 24 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:7 master:1 - cgroup cgroup rw,memory\n\
        31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn hierarchies_are_found_among_the_mounts() {
        let mounts = mounts(HYBRID);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].kind, mounts[0].point.as_path()), (Kind::V1, Path::new("/sys/fs/cgroup/memory")));
        assert_eq!(mounts[1].options, ["rw", "nsdelegate"]);
    }

    #[test]
    fn a_group_that_systemd_delegates_is_offered_where_there_is_none() {
        assert!(v2("", true).remedy.unwrap().starts_with("systemctl enable --now berth-tasks"));
        assert!(v2("", false).remedy.is_none());
        let given = v2("berth.slice/x", true);
        assert!(given.remedy.is_none() && given.found.contains("berth.slice/x"), "{given:?}");
    }

    #[test]
    fn favordynmods_is_offered_where_it_is_off_and_named_where_it_is_on() {
        assert!(favordynmods(&mounts(HYBRID)).remedy.unwrap().contains("none,name="));
        let on = favordynmods(&mounts(&HYBRID.replace("nsdelegate", "nsdelegate,favordynmods")));
        assert!(on.remedy.is_none() && on.found.contains("/sys/fs/cgroup/unified"), "{on:?}");
    }
}

//! Checks of the kernel itself: who asks, its version, what it confines with.

use std::fs;
use std::path::Path;

use super::{Caller, Check};

/// The oldest kernel that berth runs on: `cgroup.kill` came with it; the mount API (5.12) is older.
const OLDEST: (u32, u32) = (5, 14);
/// From here on the kernel tells the exit code of a process that is not one's child (`PIDFD_GET_INFO`).
const EXIT_CODES: (u32, u32) = (6, 15);

pub(super) fn checks(caller: Caller) -> Vec<Check> {
    vec![root(caller), version(), seccomp(), namespaces(), security_modules()]
}

fn root(caller: Caller) -> Check {
    match caller {
        Caller::Root if in_user_namespace() => {
            Check::warn("root", "root of a user namespace only: much of what a task needs may be refused")
                .remedy("run berth outside of the container that you are in")
        }
        Caller::Root => Check::ok("root", "yes"),
        Caller::Other => {
            Check::fail("root", "no: berth makes namespaces, mounts and cgroups").remedy("run it with sudo")
        }
    }
}

/// The initial user namespace maps every id to itself (user_namespaces(7)).
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn version() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version_of(release.trim())
}

fn version_of(release: &str) -> Check {
    let name = "kernel";
    match parse(release) {
        None => Check::warn(name, format!("Linux {release:?}, a version that berth cannot read"))
            .remedy(format!("see that it is {}.{} at least", OLDEST.0, OLDEST.1)),
        Some(version) if version < OLDEST => {
            let (major, minor) = OLDEST;
            Check::fail(name, format!("Linux {release}, too old: {major}.{minor} is needed (cgroup.kill, mount API)"))
                .remedy("install a newer kernel: apt install linux-image-amd64 (Debian 12 has 6.1)")
        }
        Some(version) if version < EXIT_CODES => Check::ok(
            name,
            format!("Linux {release} (6.15 would also tell exit codes of containers whose supervisor was killed)"),
        ),
        Some(_) => Check::ok(name, format!("Linux {release}")),
    }
}

/// The first two numbers of a release, `6.1.0-18-amd64`.
fn parse(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn seccomp() -> Check {
    match Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        true => Check::ok("seccomp", "filters are available"),
        false => Check::fail("seccomp", "this kernel has no seccomp filters")
            .remedy("boot a kernel with CONFIG_SECCOMP_FILTER=y"),
    }
}

fn namespaces() -> Check {
    let is_missing = |name: &&str| !Path::new("/proc/self/ns").join(name).exists();
    let missing: Vec<&str> = ["mnt", "net", "pid", "ipc", "uts", "cgroup"].into_iter().filter(is_missing).collect();
    match missing.is_empty() {
        true => Check::ok("namespaces", "all kinds are available"),
        false => Check::fail("namespaces", format!("missing: {}", missing.join(", ")))
            .remedy("boot a kernel with CONFIG_NAMESPACES=y and every kind below it"),
    }
}

fn security_modules() -> Check {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let selinux = read("/sys/fs/selinux/enforce");
    let apparmor = read("/sys/module/apparmor/parameters/enabled");
    match (selinux.trim(), apparmor.trim()) {
        ("1", _) => {
            Check::warn("security module", "SELinux is enforcing, and berth gives containers no label of their own")
                .remedy("if a container is denied something: ausearch -m avc -ts recent; setenforce 0 lets it pass")
        }
        ("0", _) => Check::ok("security module", "SELinux, permissive"),
        (_, "Y") => Check::ok("security module", "AppArmor (containers get no profile of their own)"),
        _ => Check::ok("security module", "none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::State;

    #[test]
    fn a_release_is_compared_by_its_first_two_numbers() {
        assert_eq!(parse("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(parse("6.18"), Some((6, 18)));
        assert_eq!((parse("next"), parse("6")), (None, None));
        assert_eq!(version_of("5.10.0-21-amd64").state, State::Fail);
        assert_eq!(version_of("6.1.0-18-amd64").state, State::Ok);
        assert!(version_of("6.1.0").found.contains("6.15") && !version_of("6.15.2").found.contains("("));
        assert_eq!(version_of("x").state, State::Warn);
    }
}

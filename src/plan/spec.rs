//! The OCI runtime specification of a container, from its plan: what libcontainer is to set up. Pure.
//!
//! Only the set-up is in it: namespaces, mounts, masks, host name. The process that libcontainer starts stays root with
//! all capabilities; who it becomes (user, groups, capabilities, limits, filter, environment) is the matter of
//! `runtime::process`, which init and exec share. So nothing of that stands here, nor do the cgroups, which are ours.

use std::path::Path;

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, Process,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::{ContainerPaths, ContainerPlan};

/// The capabilities of a container that asks for no others: Docker's fourteen.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Kernel parameters of a task's network namespace, below `/proc/sys`, as Docker sets them for every container: any
/// user may listen on any port, and may send ICMP echo requests.
pub const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];

/// What a container sees of the control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupView {
    /// Nothing. On v1 hosts: a v1 mount stays writable whatever is asked (THREATS T50).
    Absent,
    /// `/sys/fs/cgroup`, version 2, read-only, from its own group down.
    ReadOnly,
}

/// A mount of a kernel file system: where, which kind, its options.
type KernelMount = (&'static str, &'static str, &'static [&'static str]);

/// Docker's default mounts, in its order.
const MOUNTS: [KernelMount; 6] = [
    ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
];

/// By its own type, and not as `cgroup`: for that libcontainer asks the host's `/sys/fs/cgroup` what to mount, which
/// our workers hide.
const CGROUP_MOUNT: KernelMount = ("/sys/fs/cgroup", "cgroup2", &["nosuid", "noexec", "nodev", "ro"]);

/// Docker's masked paths: empty or unreadable in a container.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Docker's read-only paths.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The network namespace is missing: a worker already stands in the task's.
const NAMESPACES: [LinuxNamespaceType; 5] = [
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Cgroup,
];

const COMPLETE: &str = "no field of it has a rule that could fail";

/// The specification that libcontainer gets.
pub fn oci_spec(container: &ContainerPlan, paths: &ContainerPaths, cgroup: CgroupView) -> Spec {
    let root = RootBuilder::default().path(paths.rootfs()).readonly(container.rootfs.readonly);
    SpecBuilder::default()
        .version("1.2.0")
        .root(root.build().expect(COMPLETE))
        .mounts(mounts(container, paths, cgroup))
        .process(process(container))
        .hostname(&container.hostname)
        .linux(linux())
        .build()
        .expect(COMPLETE)
}

fn mounts(container: &ContainerPlan, paths: &ContainerPaths, cgroup: CgroupView) -> Vec<Mount> {
    let cgroup = match cgroup {
        CgroupView::Absent => None,
        CgroupView::ReadOnly => Some(CGROUP_MOUNT),
    };
    let kernel = MOUNTS
        .into_iter()
        .chain(cgroup)
        .map(|(destination, kind, options)| mount(destination, kind, Path::new(kind), options.iter().copied()));
    // As in Docker, our files can be written to, unless nothing can.
    let access = if container.rootfs.readonly { "ro" } else { "rw" };
    let files = container.files.iter().enumerate().map(|(index, (destination, _))| {
        mount(destination, "bind", &paths.file(index), ["bind", "nosuid", "nodev", "noexec", access])
    });
    kernel.chain(files).collect()
}

fn mount<'a>(destination: &str, kind: &str, source: &Path, options: impl IntoIterator<Item = &'a str>) -> Mount {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options.into_iter().map(str::to_owned).collect::<Vec<_>>())
        .build()
        .expect(COMPLETE)
}

/// What libcontainer itself has to know of the process. HOME must be there, or it looks the user up inside the
/// container, with the container's own libraries (THREATS F3); the rest of the environment may hold secrets, and stays
/// out of the file. `noNewPrivileges` must not be `false`, but absent (F20).
fn process(container: &ContainerPlan) -> Process {
    let home = container.process.env.iter().find(|(name, _)| name == "HOME").map_or("/", |(_, home)| home);
    let mut process = ProcessBuilder::default()
        .user(UserBuilder::default().uid(0u32).gid(0u32).build().expect(COMPLETE))
        .args(container.process.args.clone())
        .env(vec![format!("HOME={home}")])
        .cwd("/")
        .oom_score_adj(container.process.oom_score_adj)
        .build()
        .expect(COMPLETE);
    // The builder has defaults for these. Absent capabilities mean that libcontainer drops none: all sets are made in
    // `runtime::process`, and a list of all would fail on a host that lacks one of them.
    process.set_capabilities(None).set_rlimits(None).set_no_new_privileges(None);
    process
}

fn linux() -> Linux {
    LinuxBuilder::default()
        .namespaces(NAMESPACES.map(namespace).to_vec())
        .masked_paths(MASKED.map(str::to_owned).to_vec())
        .readonly_paths(READONLY.map(str::to_owned).to_vec())
        .build()
        .map(without_resources)
        .expect(COMPLETE)
}

/// Without resources libcontainer writes nothing to a cgroup.
fn without_resources(mut linux: Linux) -> Linux {
    linux.set_resources(None).set_devices(None).set_cgroups_path(None);
    linux
}

fn namespace(kind: LinuxNamespaceType) -> LinuxNamespace {
    LinuxNamespaceBuilder::default().typ(kind).build().expect(COMPLETE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Layout, ProcessPlan, RootfsPlan};

    fn container() -> ContainerPlan {
        ContainerPlan {
            name: "web".into(),
            runtime_id: "0123456789abcdef0123456789abcdef-0123456789".into(),
            process: ProcessPlan {
                args: vec!["nginx".into()],
                env: vec![("PATH".into(), "/bin".into()), ("HOME".into(), "/root".into()), ("KEY".into(), "k".into())],
                cwd: "/srv".into(),
                uid: 1000,
                gid: 1000,
                groups: Vec::new(),
                capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
                rlimits: Vec::new(),
                no_new_privileges: false,
                seccomp: true,
                oom_score_adj: 0,
                private: None,
            },
            rootfs: RootfsPlan { layers: vec!["/layers/a".into()], readonly: true },
            hostname: "ip-172-31-0-10.ec2.internal".into(),
            files: vec![("/etc/hosts".into(), String::new())],
            ..ContainerPlan::default()
        }
    }

    fn spec(container: &ContainerPlan, cgroup: CgroupView) -> Spec {
        oci_spec(container, &Layout::system().task("t").container("web"), cgroup)
    }

    #[test]
    fn the_process_keeps_root_and_all_capabilities_for_the_set_up() {
        let spec = spec(&container(), CgroupView::Absent);
        let process = spec.process().as_ref().unwrap();
        assert_eq!((process.user().uid(), process.user().gid()), (0, 0));
        assert_eq!((process.capabilities(), process.rlimits()), (&None, &None));
        assert_eq!(process.no_new_privileges(), None);
    }

    #[test]
    fn home_is_given_and_no_other_variable() {
        let spec = spec(&container(), CgroupView::Absent);
        assert_eq!(spec.process().as_ref().unwrap().env().as_deref(), Some(&["HOME=/root".to_owned()][..]));
    }

    #[test]
    fn nothing_asks_libcontainer_for_a_cgroup_or_a_filter() {
        let spec = spec(&container(), CgroupView::Absent);
        let linux = spec.linux().as_ref().unwrap();
        assert!(linux.resources().is_none() && linux.cgroups_path().is_none() && linux.seccomp().is_none());
        let kinds: Vec<_> = linux.namespaces().iter().flatten().map(LinuxNamespace::typ).collect();
        assert!(!kinds.contains(&LinuxNamespaceType::Network) && !kinds.contains(&LinuxNamespaceType::User));
    }

    #[test]
    fn control_groups_are_seen_on_v2_only_and_read_only() {
        let cgroups = |spec: Spec| {
            let mounts = spec.mounts().clone().unwrap_or_default();
            mounts.into_iter().filter(|mount| mount.destination().starts_with("/sys/fs")).collect::<Vec<_>>()
        };
        assert!(cgroups(spec(&container(), CgroupView::Absent)).is_empty());
        let mounts = cgroups(spec(&container(), CgroupView::ReadOnly));
        assert_eq!(mounts.len(), 1);
        assert!(mounts[0].options().iter().flatten().any(|option| option == "ro"));
    }

    #[test]
    fn our_files_are_bound_after_all_else_and_read_only_with_the_root() {
        let spec = spec(&container(), CgroupView::ReadOnly);
        let last = spec.mounts().as_ref().unwrap().last().unwrap().clone();
        assert_eq!(last.destination(), Path::new("/etc/hosts"));
        assert_eq!(last.source().as_deref(), Some(Path::new("/run/berth/tasks/t/c/web/files/0")));
        assert!(last.options().iter().flatten().any(|option| option == "ro"));
        assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    }
}

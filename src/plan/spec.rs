//! The OCI runtime specification of a container, from its plan: what libcontainer is to set up. Pure.
//!
//! Only the set-up is in it: namespaces, mounts, masks, host name. The process that libcontainer starts stays root with
//! all capabilities; who it becomes (user, groups, capabilities, limits, filter, environment) is the matter of
//! `runtime::process`, which init and exec share. So nothing of that stands here, nor do the cgroups, which are ours.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, Process,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::isolation::{IpcNamespace, Isolation, PidNamespace};
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

/// What a container finds on its host; the choice of who makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// What it sees of the control groups.
    pub cgroup: CgroupView,
    /// The process namespace that it joins, as a path, where that is not its own.
    pub pid: Option<PathBuf>,
    /// The directory that it has for `/dev/shm`, where that is not its own.
    pub shm: Option<PathBuf>,
}

/// A mount of a kernel file system: where, which kind, its options.
type KernelMount = (&'static str, &'static str, &'static [&'static str]);

/// Docker's default mounts, in its order.
const MOUNTS: [KernelMount; 5] = [
    ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
];

/// And the sixth, whose size can be chosen.
const SHM: &str = "/dev/shm";
const SHM_OPTIONS: [&str; 4] = ["nosuid", "noexec", "nodev", "mode=1777"];

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

/// The namespaces of network and IPC are missing: a worker already stands in those. That of the processes is added where the
/// container is not to see the host's.
const NAMESPACES: [LinuxNamespaceType; 3] =
    [LinuxNamespaceType::Uts, LinuxNamespaceType::Mount, LinuxNamespaceType::Cgroup];

const COMPLETE: &str = "no field of it has a rule that could fail";

/// The specification that libcontainer gets.
pub fn oci_spec(container: &ContainerPlan, paths: &ContainerPaths, around: &Surroundings) -> Spec {
    let root = RootBuilder::default().path(paths.rootfs()).readonly(container.rootfs.readonly);
    SpecBuilder::default()
        .version("1.2.0")
        .root(root.build().expect(COMPLETE))
        .mounts(mounts(container, paths, around))
        .process(process(container))
        .hostname(&container.hostname)
        .linux(linux(&container.isolation, around))
        .build()
        .expect(COMPLETE)
}

fn mounts(container: &ContainerPlan, paths: &ContainerPaths, around: &Surroundings) -> Vec<Mount> {
    let cgroup = match around.cgroup {
        CgroupView::Absent => None,
        CgroupView::ReadOnly => Some(CGROUP_MOUNT),
    };
    let privileged = container.isolation.privileged;
    let kernel = MOUNTS.into_iter().chain(cgroup).map(|(destination, kind, options)| {
        let options = options.iter().copied().filter(|option| !(privileged && *option == "ro"));
        mount(destination, kind, Path::new(kind), options)
    });
    let kernel = kernel.chain(shm(&container.isolation, around));
    // As in Docker, our files can be written to, unless nothing can.
    let access = if container.rootfs.readonly { "ro" } else { "rw" };
    let files = container.files.iter().enumerate().map(|(index, (destination, _))| {
        mount(destination, "bind", &paths.file(index), ["bind", "nosuid", "nodev", "noexec", access])
    });
    let sockets = container
        .socket_directory
        .iter()
        .map(|destination| mount(destination, "bind", &paths.sockets(), ["bind", "nosuid", "nodev", "noexec", "rw"]));
    kernel.chain(sockets).chain(files).collect()
}

/// `/dev/shm`: a tmpfs of the container's own, somebody else's directory, or nothing.
fn shm(isolation: &Isolation, around: &Surroundings) -> Option<Mount> {
    match (isolation.ipc, &around.shm) {
        (IpcNamespace::OwnWithoutShm, _) => None,
        (IpcNamespace::Task | IpcNamespace::Host, Some(directory)) => {
            Some(mount(SHM, "bind", directory, ["bind", "nosuid", "noexec", "nodev"]))
        }
        (IpcNamespace::Own | IpcNamespace::Task | IpcNamespace::Host, _) => {
            let size = format!("size={}k", isolation.shm >> 10);
            Some(mount(SHM, "tmpfs", Path::new("shm"), SHM_OPTIONS.into_iter().chain([size.as_str()])))
        }
    }
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

fn linux(isolation: &Isolation, around: &Surroundings) -> Linux {
    let kept = |paths: &[&str]| match isolation.privileged {
        true => Vec::new(),
        false => paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>(),
    };
    let mut namespaces = NAMESPACES.map(namespace).to_vec();
    match (isolation.pid, &around.pid) {
        (PidNamespace::Host, _) => {}
        (PidNamespace::Own | PidNamespace::Task, path) => {
            let mut own = namespace(LinuxNamespaceType::Pid);
            own.set_path(path.clone());
            namespaces.push(own);
        }
    }
    LinuxBuilder::default()
        .namespaces(namespaces)
        .masked_paths(kept(&MASKED))
        .readonly_paths(kept(&READONLY))
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
#[path = "spec_tests.rs"]
mod tests;

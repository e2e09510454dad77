//! What libcontainer is told, and what it is not.

use super::*;
use crate::plan::isolation::Isolation;
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
        isolation: Isolation { shm: 64 << 20, ..Isolation::default() },
        hostname: "ip-172-31-0-10.ec2.internal".into(),
        files: vec![("/etc/hosts".into(), String::new())],
        ..ContainerPlan::default()
    }
}

fn spec(container: &ContainerPlan, cgroup: CgroupView) -> Spec {
    around(container, &Surroundings { cgroup, pid: None, shm: None })
}

fn around(container: &ContainerPlan, around: &Surroundings) -> Spec {
    oci_spec(container, &Layout::system().task("t").container("web"), around)
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

fn pid_namespace(spec: &Spec) -> Option<Option<PathBuf>> {
    let namespaces = spec.linux().as_ref().unwrap().namespaces().iter().flatten();
    namespaces.filter(|one| one.typ() == LinuxNamespaceType::Pid).map(|one| one.path().clone()).next()
}

fn shm_of(spec: &Spec) -> Option<Mount> {
    spec.mounts().iter().flatten().find(|mount| mount.destination() == Path::new("/dev/shm")).cloned()
}

#[test]
fn processes_are_the_containers_own_the_tasks_or_the_hosts() {
    let mut container = container();
    let mut surroundings = Surroundings { cgroup: CgroupView::Absent, pid: None, shm: None };
    assert_eq!(pid_namespace(&around(&container, &surroundings)), Some(None));
    container.isolation.pid = PidNamespace::Task;
    surroundings.pid = Some("/proc/self/fd/9".into());
    assert_eq!(pid_namespace(&around(&container, &surroundings)), Some(Some("/proc/self/fd/9".into())));
    container.isolation.pid = PidNamespace::Host;
    assert_eq!(pid_namespace(&around(&container, &surroundings)), None);
}

#[test]
fn shared_memory_is_of_the_size_that_was_asked_for_or_somebody_elses_or_not_there() {
    let mut container = container();
    let mut surroundings = Surroundings { cgroup: CgroupView::Absent, pid: None, shm: None };
    container.isolation.shm = 128 << 20;
    let own = shm_of(&around(&container, &surroundings)).unwrap();
    assert!(own.options().iter().flatten().any(|option| option == "size=131072k"), "{own:?}");
    container.isolation.ipc = IpcNamespace::OwnWithoutShm;
    assert_eq!(shm_of(&around(&container, &surroundings)), None);
    container.isolation.ipc = IpcNamespace::Task;
    surroundings.shm = Some("/run/shm".into());
    assert_eq!(shm_of(&around(&container, &surroundings)).unwrap().source().as_deref(), Some(Path::new("/run/shm")));
}

#[test]
fn nothing_is_masked_or_read_only_for_a_privileged_container() {
    let mut container = container();
    container.isolation.privileged = true;
    let spec = spec(&container, CgroupView::ReadOnly);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!((linux.masked_paths(), linux.readonly_paths()), (&Some(Vec::new()), &Some(Vec::new())));
    let kernel = spec.mounts().iter().flatten().filter(|mount| mount.typ().as_deref() != Some("bind"));
    assert!(kernel.flat_map(|mount| mount.options().iter().flatten()).all(|option| option != "ro"));
}

//! What ECS demands of volumes, of the places where containers mount them, and of file systems in memory. Texts are ECS's
//! own where they are known. Called by `task_rules` and `container_rules`.

use std::collections::{HashMap, HashSet};

use super::json::excerpt;
use super::mount_path::mount_path;
use super::report::{Path, Report};
use crate::ecs::arn::is_name;
use crate::ecs::linux::Tmpfs;
use crate::ecs::task_definition::Volume;
use crate::ecs::volume::{DockerVolumeConfiguration, EfsVolumeConfiguration};
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// The task's volumes, and how its containers name them. `containers` are those that are looked at.
pub(super) fn check(definition: &TaskDefinition, containers: &[ContainerDefinition], report: &mut Report) {
    let volumes = definition.volumes.as_deref().unwrap_or_default();
    let list = Path::root().member("volumes");
    let mut names = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = list.element(index);
        let name = volume.name.as_deref().unwrap_or_default();
        if !is_name(name) {
            report.error(&path.member("name"), "a volume's name is 1 to 255 letters, digits, hyphens and underscores");
        } else if !names.insert(name) {
            report.error(&path.member("name"), format!("the volume name {name} stands twice"));
        }
        kind(volume, &path, report);
    }
    for (index, container) in containers.iter().enumerate() {
        mount_points(container, &names, &Path::container(index), report);
        volumes_from(container, containers, &Path::container(index), report);
    }
    at_launch(volumes, &list, report);
    unmounted(volumes, containers, &list, report);
    circles(containers, report);
}

fn kind(volume: &Volume, path: &Path, report: &mut Report) {
    let source = volume.host.as_ref().and_then(|host| host.source_path.as_deref()).filter(|path| !path.is_empty());
    let kinds = [
        source.is_some(),
        volume.docker_volume_configuration.is_some(),
        volume.efs_volume_configuration.is_some(),
        volume.configured_at_launch == Some(true),
    ];
    if kinds.iter().filter(|is_set| **is_set).count() > 1 {
        let words = "When the volume parameter is specified, only one volume configuration type should be used.";
        report.error(path, words);
    }
    if let Some(source) = source {
        host(source, &path.member("host").member("sourcePath"), report);
    }
    if let Some(docker_volume) = &volume.docker_volume_configuration {
        docker(docker_volume, &path.member("dockerVolumeConfiguration"), report);
    }
    if let Some(file_system) = &volume.efs_volume_configuration {
        efs(file_system, &path.member("efsVolumeConfiguration"), report);
    }
}

fn host(source: &str, path: &Path, report: &mut Report) {
    if !source.starts_with('/') || source.contains('\0') || source.split('/').any(|part| part == "..") {
        report.error(path, "a sourcePath is an absolute path of the host, without ..");
    }
}

fn docker(volume: &DockerVolumeConfiguration, path: &Path, report: &mut Report) {
    if let Some(driver) = volume.driver.as_deref().filter(|driver| !["", "local"].contains(driver)) {
        let words =
            format!("the volume driver {} is not supported by this version of berth: only local", excerpt(driver));
        report.error(&path.member("driver"), words);
    }
    if volume.autoprovision == Some(true) && volume.scope.as_deref() != Some("shared") {
        report.error(&path.member("autoprovision"), "autoprovision is only for volumes with the scope shared");
    }
}

fn efs(volume: &EfsVolumeConfiguration, path: &Path, report: &mut Report) {
    let id = &volume.file_system_id;
    if !id
        .strip_prefix("fs-")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        report.error(&path.member("fileSystemId"), format!("{} is not the id of a file system (fs-...)", excerpt(id)));
    }
    let is = |word: &Option<String>| word.as_deref() == Some("ENABLED");
    let encrypted = is(&volume.transit_encryption);
    let authorization = volume.authorization_config.as_ref();
    let encryption = path.member("transitEncryption");
    if authorization.is_some_and(|config| is(&config.iam)) {
        if encrypted {
            let iam = path.member("authorizationConfig").member("iam");
            report.warning(&iam, "the directory on this host asks nobody for a role: IAM authorization is not checked");
        } else {
            report.error(&encryption, "EFS IAM authorization requires TransitEncryption to be enabled");
        }
    }
    if volume.transit_encryption_port.is_some() && !encrypted {
        let words = "TransitEncryptionPort requires that TransitEncryption is enabled";
        report.error(&path.member("transitEncryptionPort"), words);
    }
    let access_point = authorization.and_then(|config| config.access_point_id.as_deref()).filter(|id| !id.is_empty());
    let root = volume.root_directory.as_deref().filter(|root| !root.is_empty());
    if access_point.is_some() && !encrypted {
        report.error(&encryption, "an EFS access point requires TransitEncryption to be enabled");
    }
    if access_point.is_some() && root.is_some_and(|root| root != "/") {
        let words = "When using an EFS access point, the root directory must either be set to \"/\" or be omitted";
        report.error(&path.member("rootDirectory"), words);
    }
    if root.is_some_and(|root| root.contains('\0') || root.split('/').any(|part| part == "..")) {
        report.error(&path.member("rootDirectory"), "a rootDirectory is a path in the file system, without ..");
    }
    if encrypted {
        report.warning(
            &encryption,
            "the file system is a directory of this host: nothing is in transit, nothing is encrypted",
        );
    }
}

/// One EBS volume a task (EBS volumes, developer guide), and it has to be mounted.
fn at_launch(volumes: &[Volume], path: &Path, report: &mut Report) {
    let mut launched = volumes.iter().enumerate().filter(|(_, volume)| volume.configured_at_launch == Some(true));
    if let Some((index, _)) = launched.nth(1) {
        let words = "a task has at most one volume that is configured at launch";
        report.error(&path.element(index).member("configuredAtLaunch"), words);
    }
}

fn unmounted(volumes: &[Volume], containers: &[ContainerDefinition], path: &Path, report: &mut Report) {
    let mounted: HashSet<&str> = containers
        .iter()
        .flat_map(|container| container.mount_points.iter().flatten())
        .filter_map(|point| point.source_volume.as_deref())
        .collect();
    for (index, volume) in volumes.iter().enumerate() {
        let name = volume.name.as_deref().unwrap_or_default();
        if name.is_empty() || mounted.contains(name) {
            continue;
        }
        let words = format!("Volumes [{name}] are not referenced by any of the containers");
        match volume.configured_at_launch {
            Some(true) => report.error(&path.element(index), words),
            Some(false) | None => report.warning(&path.element(index), words),
        }
    }
}

fn mount_points(container: &ContainerDefinition, volumes: &HashSet<&str>, path: &Path, report: &mut Report) {
    let mut paths = HashSet::new();
    for (index, point) in container.mount_points.iter().flatten().enumerate() {
        let path = path.member("mountPoints").element(index);
        let volume = point.source_volume.as_deref().unwrap_or_default();
        if !volumes.contains(volume) {
            report.error(&path.member("sourceVolume"), format!("Unknown volume '{volume}'."));
        }
        place(point.container_path.as_deref().unwrap_or_default(), &path.member("containerPath"), &mut paths, report);
    }
    let memory = container.linux_parameters.iter().flat_map(|linux| linux.tmpfs.iter().flatten());
    for (index, tmpfs) in memory.enumerate() {
        let path = path.member("linuxParameters").member("tmpfs").element(index);
        place(&tmpfs.container_path, &path.member("containerPath"), &mut paths, report);
        in_memory(tmpfs, &path, report);
    }
}

fn place(text: &str, path: &Path, taken: &mut HashSet<String>, report: &mut Report) {
    match mount_path(text) {
        Err(fault) => report.error(path, format!("nothing can be mounted at {}: it {fault}", excerpt(text))),
        Ok(clean) if taken.contains(&clean) => report.error(path, format!("Duplicate mount point: {clean}")),
        Ok(clean) => drop(taken.insert(clean)),
    }
}

fn in_memory(tmpfs: &Tmpfs, path: &Path, report: &mut Report) {
    if tmpfs.size < 1 {
        report.error(&path.member("size"), "the size of a tmpfs is 1 MiB or more");
    }
    for (index, option) in tmpfs.mount_options.iter().flatten().enumerate() {
        if let Some(fault) = option_fault(option) {
            let words = format!("the mount option {} {fault}", excerpt(option));
            report.error(&path.member("mountOptions").element(index), words);
        }
    }
}

/// What ECS takes as options of a tmpfs (Tmpfs in the API reference) falls into three: those of a mount, those of a tmpfs
/// itself, and those that mean another mount than a new one.
fn option_fault(option: &str) -> Option<&'static str> {
    const OTHER: [&str; 11] = [
        "remount",
        "bind",
        "rbind",
        "unbindable",
        "runbindable",
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
    ];
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    match (name, value) {
        ("mode", Some(value)) => u32::from_str_radix(value, 8).is_err().then_some("wants an octal number"),
        ("uid" | "gid", Some(value)) => value.parse::<u32>().is_err().then_some("wants a number"),
        ("nr_inodes" | "nr_blocks", Some(value)) => {
            let digits = value.trim_end_matches(['k', 'm', 'g', 'K', 'M', 'G']);
            digits.parse::<u64>().is_err().then_some("wants a number")
        }
        ("mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks", None) => Some("wants a value"),
        ("mpol", _) => Some("is not supported by this version of berth"),
        (name, None) if OTHER.contains(&name) => Some("is not one of a new tmpfs"),
        (name, None) if FLAGS.contains(&name) => None,
        _ => Some("is not known"),
    }
}

/// Options that a mount has or has not.
const FLAGS: [&str; 21] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
];

fn volumes_from(container: &ContainerDefinition, all: &[ContainerDefinition], path: &Path, report: &mut Report) {
    for (index, from) in container.volumes_from.iter().flatten().enumerate() {
        let name = from.source_container.as_deref().unwrap_or_default();
        if !all.iter().any(|other| other.name == name) {
            let words = format!("Invalid 'volumesFrom' setting. Unknown container: '{name}'");
            report.error(&path.member("volumesFrom").element(index).member("sourceContainer"), words);
        }
    }
}

/// A container that has its own volumes from itself, directly or through others.
fn circles(containers: &[ContainerDefinition], report: &mut Report) {
    let places: HashMap<&str, usize> =
        containers.iter().enumerate().map(|(index, container)| (container.name.as_str(), index)).collect();
    for start in 0..containers.len() {
        let (mut seen, mut next) = (HashSet::new(), vec![start]);
        while let Some(place) = next.pop() {
            let from = containers[place].volumes_from.iter().flatten();
            let sources = from.filter_map(|from| places.get(from.source_container.as_deref()?).copied());
            next.extend(sources.filter(|source| seen.insert(*source)));
        }
        if seen.contains(&start) {
            let path = Path::container(start).member("volumesFrom");
            report.error(&path, format!("volumesFrom of {} leads back to itself", containers[start].name));
        }
    }
}

#[cfg(test)]
#[path = "volume_rules_tests.rs"]
mod tests;

//! Making the plan of a task's storage: each volume's source from the definition, the run and the operator's settings, and
//! each container's mounts. Pure; called by `make`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::TaskPaths;
use super::ebs;
use super::make::ImageFacts;
use super::volume::{
    Access, AccessTimes, DiskEnd, DiskFormat, DiskPlan, Identity, Missing, MountPlan, MountSource, StoragePlan,
    TmpfsPlan, VolumePlan, VolumeSource,
};
use crate::ecs::linux::Tmpfs;
use crate::ecs::task_definition::{Compatibility, Volume};
use crate::ecs::volume::{DockerVolumeConfiguration, EfsVolumeConfiguration, TaskVolumeConfiguration};
use crate::ecs::{ContainerDefinition, TaskDefinition};
use crate::validate::mount_path;

/// What the operator and the run say of storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// The template of a scratch disk of each size, if tasks are held to their ephemeral storage.
    pub templates: Option<PathBuf>,
    /// Directories of the host that may be mounted, with all below them.
    pub host_paths: Vec<PathBuf>,
    /// Directories that stand for EFS file systems, by their ids.
    pub file_systems: BTreeMap<String, FileSystem>,
    /// Where shared Docker volumes are.
    pub shared: PathBuf,
    /// Where EBS volumes are that outlive their tasks.
    pub ebs: PathBuf,
    /// `volumeConfigurations` of the run.
    pub configurations: Vec<TaskVolumeConfiguration>,
    /// The file that the operator's settings are in; for errors.
    pub file: PathBuf,
}

/// Nothing is said; for tests of plans that are about something else.
#[cfg(test)]
pub(super) static NO_SETTINGS: std::sync::LazyLock<StorageSettings> =
    std::sync::LazyLock::new(StorageSettings::default);

/// A directory that stands for an EFS file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// The directory.
    pub directory: PathBuf,
    /// Its access points by their ids.
    pub access_points: BTreeMap<String, AccessPoint>,
}

/// An access point of an EFS file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPoint {
    /// Its directory, relative to the file system's.
    pub directory: PathBuf,
    /// Who everybody is to it.
    pub identity: Identity,
}

/// The task's volumes cannot be had here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VolumeError {
    /// The operator has not allowed it.
    #[error(
        "volume {volume}: the host's {path} may not be mounted: add it, or a directory above it, to [volumes] host-paths in {file}"
    )]
    HostPath {
        /// The volume.
        volume: String,
        /// The path.
        path: String,
        /// The configuration.
        file: PathBuf,
    },
    /// No directory stands for the file system.
    #[error("volume {volume}: no directory stands for {id}: write [efs.{id:?}] with directory = \"...\" in {file}")]
    FileSystem {
        /// The volume.
        volume: String,
        /// The file system.
        id: String,
        /// The configuration.
        file: PathBuf,
    },
    /// Nor one for the access point.
    #[error(
        "volume {volume}: {id} has no access point {point}: write [efs.{id:?}.access-points.{point:?}] with directory, uid and gid in {file}"
    )]
    AccessPoint {
        /// The volume.
        volume: String,
        /// The file system.
        id: String,
        /// The access point.
        point: String,
        /// The configuration.
        file: PathBuf,
    },
    /// The run does not fit the definition. The texts are ECS's where they are known.
    #[error("{0}")]
    Launch(String),
}

/// ECS's ephemeral storage of a Fargate task that names no size, in GiB (Fargate task storage, developer guide).
pub const DEFAULT_SIZE: u32 = 20;

/// The storage of a task, and the mounts of each container.
pub(super) fn storage(
    task: &TaskDefinition,
    images: &[ImageFacts],
    paths: &TaskPaths,
    id: &str,
    settings: &StorageSettings,
) -> Result<(StoragePlan, Vec<Vec<MountPlan>>), VolumeError> {
    let mut launched = ebs::at_launch(task, &settings.configurations)?;
    let mut volumes = Vec::new();
    for volume in task.volumes.iter().flatten() {
        let name = volume.name.clone().unwrap_or_default();
        let source = match launched.take_if(|one| one.name == name) {
            Some(one) => ebs::source(&one, paths, id, settings)?,
            None => source(volume, &name, settings)?,
        };
        volumes.push(VolumePlan { name, source });
    }
    let own: Vec<Vec<MountPlan>> = task
        .container_definitions
        .iter()
        .enumerate()
        .map(|(place, container)| {
            let mut mounts = points(container, &volumes);
            of_image(task, place, images.get(place), &mut mounts, &mut volumes);
            mounts
        })
        .collect();
    let mounts = (0..own.len()).map(|place| with_others(task, place, &own)).collect();
    let size_gib = size(task);
    let disk = settings
        .templates
        .as_ref()
        .zip(size_gib)
        .map(|(templates, size)| DiskPlan { images: layer_bytes(images), ..scratch(size, templates, paths) });
    Ok((StoragePlan { size_gib, disk, volumes }, mounts))
}

/// A task on a container instance has what the instance has.
pub fn has_ephemeral_storage(task: &TaskDefinition) -> bool {
    task.requires_compatibilities.iter().flatten().any(|one| *one == Compatibility::Fargate)
}

/// The size of its ephemeral storage in GiB, if it has any.
pub(super) fn size(task: &TaskDefinition) -> Option<u32> {
    let asked = task.ephemeral_storage.as_ref().and_then(|asked| u32::try_from(asked.size_in_gib).ok());
    has_ephemeral_storage(task).then(|| asked.unwrap_or(DEFAULT_SIZE))
}

/// What the layers of these images take, each once, as far as that was asked for.
pub fn layer_bytes(images: &[ImageFacts]) -> u64 {
    let layers = images.iter().flat_map(|image| image.layers.iter().zip(&image.layer_sizes));
    layers.collect::<BTreeMap<_, _>>().into_values().sum()
}

/// The bytes of its ephemeral storage, if it has any.
pub fn storage_bytes(task: &TaskDefinition) -> Option<u64> {
    size(task).map(|gib| u64::from(gib) << 30)
}

fn scratch(size_gib: u32, templates: &Path, paths: &TaskPaths) -> DiskPlan {
    DiskPlan {
        file: paths.disk(),
        bytes: u64::from(size_gib) << 30,
        images: 0,
        format: DiskFormat::Scratch { template: templates.join(format!("scratch-{size_gib}gib.ext4")) },
        end: DiskEnd::Removed,
        note: paths.run.join("disk.json"),
    }
}

fn source(volume: &Volume, name: &str, settings: &StorageSettings) -> Result<VolumeSource, VolumeError> {
    let host = volume.host.as_ref().and_then(|host| host.source_path.as_deref()).filter(|path| !path.is_empty());
    if let Some(path) = host {
        return host_source(path, name, settings);
    }
    if let Some(efs) = &volume.efs_volume_configuration {
        return efs_source(efs, name, settings);
    }
    Ok(volume
        .docker_volume_configuration
        .as_ref()
        .map_or(VolumeSource::Empty, |docker| docker_source(docker, name, settings)))
}

/// The longest of the allowed directories that it lies in.
fn host_source(path: &str, volume: &str, settings: &StorageSettings) -> Result<VolumeSource, VolumeError> {
    let asked: PathBuf = Path::new(path).components().collect();
    let allowed = settings.host_paths.iter().filter(|allowed| asked.starts_with(allowed));
    let allowed = allowed.max_by_key(|allowed| allowed.components().count());
    let refused =
        || VolumeError::HostPath { volume: volume.to_owned(), path: path.to_owned(), file: settings.file.clone() };
    let allowed = allowed.ok_or_else(refused)?;
    let below = asked.strip_prefix(allowed).map_err(|_| refused())?.to_owned();
    Ok(VolumeSource::Host { allowed: allowed.clone(), below })
}

fn docker_source(docker: &DockerVolumeConfiguration, name: &str, settings: &StorageSettings) -> VolumeSource {
    match docker.scope.as_deref() {
        Some("shared") => VolumeSource::Shared {
            directory: settings.shared.join(name),
            missing: if docker.autoprovision == Some(true) { Missing::Make } else { Missing::Fail },
        },
        _ => VolumeSource::Empty,
    }
}

fn efs_source(
    efs: &EfsVolumeConfiguration,
    volume: &str,
    settings: &StorageSettings,
) -> Result<VolumeSource, VolumeError> {
    let (volume, id, file) = (volume.to_owned(), efs.file_system_id.clone(), settings.file.clone());
    let Some(system) = settings.file_systems.get(&id) else {
        return Err(VolumeError::FileSystem { volume, id, file });
    };
    let directory = system.directory.clone();
    let point = efs.authorization_config.as_ref().and_then(|config| config.access_point_id.clone());
    let Some(point) = point.filter(|point| !point.is_empty()) else {
        let below = relative(efs.root_directory.as_deref().unwrap_or("/"));
        return Ok(VolumeSource::Efs { directory, below, identity: None });
    };
    match system.access_points.get(&point) {
        Some(found) => {
            Ok(VolumeSource::Efs { directory, below: found.directory.clone(), identity: Some(found.identity) })
        }
        None => Err(VolumeError::AccessPoint { volume, id, point, file }),
    }
}

/// A path without its root and its `.` parts.
pub fn relative(path: &str) -> PathBuf {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// What a container mounts by its own definition.
fn points(container: &ContainerDefinition, volumes: &[VolumePlan]) -> Vec<MountPlan> {
    let volume = |point: &crate::ecs::container_definition::MountPoint| {
        let place = volumes.iter().position(|volume| Some(&volume.name) == point.source_volume.as_ref())?;
        let path = mount_path(point.container_path.as_deref()?).ok()?;
        let access = if point.read_only == Some(true) { Access::ReadOnly } else { Access::ReadWrite };
        Some(MountPlan { path, access, source: MountSource::Volume(place) })
    };
    let memory = container.linux_parameters.iter().flat_map(|linux| linux.tmpfs.iter().flatten());
    container.mount_points.iter().flatten().filter_map(volume).chain(memory.filter_map(in_memory)).collect()
}

/// Docker's defaults (nosuid, nodev, noexec), and what the definition says over them. `sync`, `dirsync` and `mand` mean
/// nothing in memory.
fn in_memory(tmpfs: &Tmpfs) -> Option<MountPlan> {
    let mut plan = TmpfsPlan {
        bytes: u64::try_from(tmpfs.size).ok()? << 20,
        parameters: Vec::new(),
        suid: false,
        dev: false,
        exec: false,
        times: AccessTimes::Relative,
    };
    let mut access = Access::ReadWrite;
    for option in tmpfs.mount_options.iter().flatten() {
        match option.as_str() {
            "ro" => access = Access::ReadOnly,
            "rw" => access = Access::ReadWrite,
            "suid" => plan.suid = true,
            "nosuid" => plan.suid = false,
            "dev" => plan.dev = true,
            "nodev" => plan.dev = false,
            "exec" => plan.exec = true,
            "noexec" => plan.exec = false,
            "defaults" => (plan.suid, plan.dev, plan.exec) = (true, true, true),
            "noatime" => plan.times = AccessTimes::None,
            "strictatime" | "norelatime" => plan.times = AccessTimes::Strict,
            "relatime" | "atime" => plan.times = AccessTimes::Relative,
            other => plan.parameters.extend(other.split_once('=').map(|(name, value)| (name.into(), value.into()))),
        }
    }
    let path = mount_path(&tmpfs.container_path).ok()?;
    Some(MountPlan { path, access, source: MountSource::Memory(plan) })
}

/// As in Docker, a path that an image declares as a volume can be written though the root cannot, and others have it by
/// `volumesFrom`. Where neither matters the writable layer is as good.
fn of_image(
    task: &TaskDefinition,
    place: usize,
    image: Option<&ImageFacts>,
    mounts: &mut Vec<MountPlan>,
    volumes: &mut Vec<VolumePlan>,
) {
    let container = &task.container_definitions[place];
    let others = task.container_definitions.iter().flat_map(|other| other.volumes_from.iter().flatten());
    let is_source = others.filter_map(|from| from.source_container.as_ref()).any(|name| *name == container.name);
    if !is_source && container.readonly_root_filesystem != Some(true) {
        return;
    }
    let declared: BTreeSet<String> =
        image.iter().flat_map(|image| &image.volumes).filter_map(|path| mount_path(path).ok()).collect();
    for path in declared {
        if mounts.iter().all(|mount| mount.path != path) {
            volumes.push(VolumePlan { name: format!("{}:{path}", container.name), source: VolumeSource::Empty });
            let source = MountSource::Volume(volumes.len() - 1);
            mounts.push(MountPlan { path, access: Access::ReadWrite, source });
        }
    }
}

/// Its own mounts, and those of the containers that it has volumes from (as Docker, also what these have from others); what
/// is mounted at one path first stays. Parents come before what lies in them.
fn with_others(task: &TaskDefinition, place: usize, own: &[Vec<MountPlan>]) -> Vec<MountPlan> {
    let mut all: Vec<MountPlan> = Vec::new();
    collect(task, place, Access::ReadWrite, own, &mut BTreeSet::new(), &mut all);
    all.sort_by_key(|mount| mount.path.matches('/').count());
    all
}

fn collect(
    task: &TaskDefinition,
    place: usize,
    access: Access,
    own: &[Vec<MountPlan>],
    seen: &mut BTreeSet<usize>,
    all: &mut Vec<MountPlan>,
) {
    let is_first = seen.is_empty();
    if !seen.insert(place) {
        return;
    }
    for mount in &own[place] {
        // A tmpfs is no volume: it stays with its container.
        let shared = is_first || matches!(mount.source, MountSource::Volume(_));
        if shared && all.iter().all(|other| other.path != mount.path) {
            let access = if access == Access::ReadOnly { Access::ReadOnly } else { mount.access };
            all.push(MountPlan { access, ..mount.clone() });
        }
    }
    for from in task.container_definitions[place].volumes_from.iter().flatten() {
        let named = |other: &ContainerDefinition| Some(&other.name) == from.source_container.as_ref();
        let access = if from.read_only == Some(true) { Access::ReadOnly } else { access };
        if let Some(source) = task.container_definitions.iter().position(named) {
            collect(task, source, access, own, seen, all);
        }
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;

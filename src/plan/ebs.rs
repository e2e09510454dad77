//! The EBS volume of a task: what RunTask's `volumeConfigurations` make of the volume that a definition leaves to be
//! configured at launch. Pure; called by `volumes`.

use super::TaskPaths;
use super::volume::{DiskEnd, DiskFormat, DiskPlan, FileSystemKind, VolumeSource};
use super::volumes::{StorageSettings, VolumeError};
use crate::ecs::TaskDefinition;
use crate::ecs::volume::{ManagedEbsVolume, TaskVolumeConfiguration};

/// Types, and the sizes in GiB that each can have (CreateVolume in the EC2 reference).
const TYPES: [(&str, std::ops::RangeInclusive<i32>); 7] = [
    ("gp3", 1..=16_384),
    ("gp2", 1..=16_384),
    ("io1", 4..=16_384),
    ("io2", 4..=16_384),
    ("st1", 125..=16_384),
    ("sc1", 125..=16_384),
    ("standard", 1..=1024),
];
/// The type where none is named (TaskManagedEBSVolumeConfiguration).
const DEFAULT_TYPE: &str = "gp3";

/// Whether a definition's volumes go with what is said of them at launch.
pub fn check_at_launch(task: &TaskDefinition, configurations: &[TaskVolumeConfiguration]) -> Result<(), VolumeError> {
    let Some(configuration) = at_launch(task, configurations)? else { return Ok(()) };
    let name = &configuration.name;
    let refused = |words: String| VolumeError::Launch(format!("volume {name}: {words}"));
    let missing = || refused("managedEBSVolume is missing in the volume configuration".to_owned());
    let volume = configuration.managed_ebs_volume.as_ref().ok_or_else(missing)?;
    size(volume).map_err(refused)?;
    kind(volume).map(drop).map_err(refused)
}

/// The configuration of the one volume that wants one.
pub(super) fn at_launch(
    task: &TaskDefinition,
    configurations: &[TaskVolumeConfiguration],
) -> Result<Option<TaskVolumeConfiguration>, VolumeError> {
    let wanted = task.volumes.iter().flatten().find(|volume| volume.configured_at_launch == Some(true));
    let refused = |words: &str| Err(VolumeError::Launch(words.to_owned()));
    match (wanted, configurations) {
        (None, []) => Ok(None),
        (Some(_), []) => {
            refused("Task definition has configuredAtLaunch volume but no volume configuration provided at runtime")
        }
        (Some(wanted), [one]) if wanted.name.as_deref() == Some(&one.name) => Ok(Some(one.clone())),
        (_, [_]) => {
            refused("Volume configuration provided but no matching configuredAtLaunch volume found in task definition")
        }
        (_, _) => refused("a task has at most one volume that is configured at launch, and more are configured"),
    }
}

/// What the volume is.
pub(super) fn source(
    configuration: &TaskVolumeConfiguration,
    paths: &TaskPaths,
    task: &str,
    settings: &StorageSettings,
) -> Result<VolumeSource, VolumeError> {
    let name = &configuration.name;
    let refused = |words: String| VolumeError::Launch(format!("volume {name}: {words}"));
    let volume = configuration
        .managed_ebs_volume
        .as_ref()
        .ok_or_else(|| refused("managedEBSVolume is missing in the volume configuration".to_owned()))?;
    let size = size(volume).map_err(refused)?;
    let kind = kind(volume).map_err(refused)?;
    let id = format!("vol-{task:.17}");
    let keeps = volume.termination_policy.as_ref().is_some_and(|policy| !policy.delete_on_termination);
    let (file, end) = match keeps {
        true => (settings.ebs.join(&id), DiskEnd::Kept),
        false => (paths.state.join("ebs.disk"), DiskEnd::Removed),
    };
    let note = paths.run.join("ebs.json");
    let disk = DiskPlan { file, bytes: size << 30, images: 0, format: DiskFormat::New(kind), end, note };
    Ok(VolumeSource::Ebs { id, disk })
}

/// GiB.
fn size(volume: &ManagedEbsVolume) -> Result<u64, String> {
    if volume.snapshot_id.is_some() {
        return Err("snapshotId is not supported by this version of berth: there are no snapshots here".to_owned());
    }
    if volume.role_arn.as_deref().is_none_or(str::is_empty) {
        return Err("roleArn is missing in managedEBSVolume".to_owned());
    }
    let kind = volume.volume_type.as_deref().unwrap_or(DEFAULT_TYPE);
    let Some((_, sizes)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(format!("{kind:?} is not a volumeType: it is one of {}", known.join(", ")));
    };
    let size = volume.size_in_gib.ok_or("sizeInGiB is missing in managedEBSVolume")?;
    if !sizes.contains(&size) {
        return Err(format!("sizeInGiB of {kind} is {} to {}, and not {size}", sizes.start(), sizes.end()));
    }
    u64::try_from(size).map_err(|error| error.to_string())
}

/// xfs where none is named (TaskManagedEBSVolumeConfiguration).
fn kind(volume: &ManagedEbsVolume) -> Result<FileSystemKind, String> {
    let name = volume.filesystem_type.as_deref().unwrap_or("xfs");
    FileSystemKind::named(name).ok_or_else(|| format!("{name:?} is not a filesystemType: it is ext3, ext4 or xfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let volume: ManagedEbsVolume = serde_json::from_str(json).unwrap();
        let size = size(&volume).map(drop);
        size.and_then(|()| kind(&volume).map(drop)).err().unwrap_or_default()
    }

    #[test]
    fn sizes_types_and_file_systems_are_those_of_ebs() {
        let table = [
            (r#"{"sizeInGiB": 10, "roleArn": "r"}"#, ""),
            (r#"{"sizeInGiB": 10, "roleArn": "r", "filesystemType": "ext4", "volumeType": "io2"}"#, ""),
            (r#"{"sizeInGiB": 10}"#, "roleArn is missing"),
            (r#"{"roleArn": "r"}"#, "sizeInGiB is missing"),
            (r#"{"snapshotId": "snap-1", "roleArn": "r"}"#, "snapshotId is not supported"),
            (r#"{"sizeInGiB": 10, "roleArn": "r", "volumeType": "st1"}"#, "sizeInGiB of st1 is 125 to 16384"),
            (r#"{"sizeInGiB": 10, "roleArn": "r", "volumeType": "gp9"}"#, "is not a volumeType"),
            (r#"{"sizeInGiB": 10, "roleArn": "r", "filesystemType": "ntfs"}"#, "is not a filesystemType"),
        ];
        for (json, words) in table {
            let refusal = refusal(json);
            assert!(refusal.contains(words) && refusal.is_empty() == words.is_empty(), "{json}: {refusal}");
        }
    }
}

//! What a run is told of storage: the operator's settings, what this host can do, and the volumes that the caller
//! configures.

use std::path::Path;

use super::config::StorageLimit;
use super::{Engine, OpsError, RunOptions, TaskRecord};
use crate::ecs::TaskDefinition;
use crate::ecs::volume::ManagedEbsVolume;
use crate::plan::volumes::{StorageSettings, has_ephemeral_storage};
use crate::runtime::mkfs;
use crate::validate::ValidTaskDefinition;

/// Why this host cannot hold tasks to their ephemeral storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unheld {
    /// mke2fs is missing.
    NoMke2fs,
    /// There are no loop devices.
    NoLoop,
}

impl Unheld {
    /// What is missing.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NoMke2fs => "mke2fs is not installed",
            Self::NoLoop => "there is no /dev/loop-control",
        }
    }

    /// The way out.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::NoMke2fs => "apt-get install e2fsprogs",
            Self::NoLoop => "modprobe loop; in a container, give it the host's /dev",
        }
    }
}

/// What this host lacks, if anything.
pub(super) fn lacks() -> Option<Unheld> {
    if !Path::new("/dev/loop-control").exists() {
        return Some(Unheld::NoLoop);
    }
    (!mkfs::is_available()).then_some(Unheld::NoMke2fs)
}

/// The members of a volume's configuration that change nothing here.
fn unused(volume: &ManagedEbsVolume) -> Option<String> {
    let members = [
        ("encrypted", volume.encrypted == Some(true)),
        ("kmsKeyId", volume.kms_key_id.is_some()),
        ("iops", volume.iops.is_some()),
        ("throughput", volume.throughput.is_some()),
        ("volumeInitializationRate", volume.volume_initialization_rate.is_some()),
        ("tagSpecifications", volume.tag_specifications.is_some()),
    ];
    let names: Vec<&str> = members.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    let words = "does nothing here: the volume is a file of this host";
    (!names.is_empty()).then(|| format!("warning: managedEBSVolume: {}: {words}", names.join(", ")))
}

impl Engine {
    /// What of a run's storage is not as it would be on AWS, in sentences.
    pub fn storage_remarks(&self, definition: &ValidTaskDefinition, options: &RunOptions) -> Vec<String> {
        let unheld = match self.config.storage.limit {
            StorageLimit::Never => None,
            StorageLimit::Auto | StorageLimit::Always => lacks(),
        };
        let unheld = unheld.filter(|_| has_ephemeral_storage(definition.definition())).map(|unheld| {
            let (reason, remedy) = (unheld.reason(), unheld.remedy());
            format!("warning: the task is not held to its ephemeral storage: {reason}: {remedy}")
        });
        let volumes = options.volume_configurations.iter().filter_map(|one| one.managed_ebs_volume.as_ref());
        unheld.into_iter().chain(volumes.filter_map(unused)).collect()
    }

    /// All that a plan needs to know of storage.
    pub(super) fn storage(
        &self,
        definition: &ValidTaskDefinition,
        options: &RunOptions,
    ) -> Result<StorageSettings, OpsError> {
        let volumes = self.layout.volumes();
        let systems = self.config.efs.iter().map(|(id, config)| (id.clone(), config.file_system()));
        Ok(StorageSettings {
            templates: self.is_held(definition.definition())?.then(|| self.layout.templates()),
            host_paths: self.config.volumes.host_paths.clone(),
            file_systems: systems.collect(),
            shared: volumes.join("docker"),
            ebs: volumes.join("ebs"),
            configurations: options.volume_configurations.clone(),
            file: self.config_file.clone(),
        })
    }

    /// Whether what a task writes is held to its ephemeral storage.
    pub(super) fn is_held(&self, task: &TaskDefinition) -> Result<bool, OpsError> {
        if !has_ephemeral_storage(task) {
            return Ok(false);
        }
        let must = match self.config.storage.limit {
            StorageLimit::Never => return Ok(false),
            StorageLimit::Always => true,
            StorageLimit::Auto => task.ephemeral_storage.is_some(),
        };
        match lacks() {
            None => Ok(true),
            Some(unheld) if must => Err(OpsError::StorageLimit { reason: unheld.reason(), remedy: unheld.remedy() }),
            Some(_) => Ok(false),
        }
    }

    /// How full the task's ephemeral storage is; `None` where it is not held to a size, or when no container of it runs.
    pub fn storage_usage(&self, record: &TaskRecord) -> Option<StorageUsage> {
        record.plan.storage.disk.as_ref()?;
        (0..record.plan.containers.len()).find_map(|place| {
            let init = super::exec::init(record, place).ok()?;
            // The root of a container is an overlay, which answers for the file system of its writable layer.
            let stat = nix::sys::statvfs::statvfs(format!("/proc/{}/root", init.pid).as_str()).ok()?;
            let bytes = |blocks: u64| blocks * stat.fragment_size();
            let (size, free) = (bytes(stat.blocks()), bytes(stat.blocks_free()));
            super::exec::is_alive(&init).then(|| StorageUsage { used: size - free, size })
        })
    }
}

/// How full a task's ephemeral storage is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageUsage {
    /// What is in use.
    pub used: u64,
    /// What there is.
    pub size: u64,
}

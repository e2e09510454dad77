//! A task's storage as data: the size that it is held to, its volumes, and where containers have them mounted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// All storage of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePlan {
    /// The task's ephemeral storage in GiB, as ECS describes it; absent where ECS gives none.
    pub size_gib: Option<u32>,
    /// What writable layers and empty volumes lie on; absent if they are directories of the host and no size is held to.
    pub disk: Option<DiskPlan>,
    /// The volumes.
    pub volumes: Vec<VolumePlan>,
}

impl StoragePlan {
    /// All file systems in files.
    pub fn disks(&self) -> impl Iterator<Item = &DiskPlan> {
        self.disk.iter().chain(self.volumes.iter().filter_map(VolumePlan::disk))
    }
}

impl VolumePlan {
    /// Its file system, if it is one in a file.
    pub fn disk(&self) -> Option<&DiskPlan> {
        match &self.source {
            VolumeSource::Ebs { disk, .. } => Some(disk),
            VolumeSource::Empty
            | VolumeSource::Host { .. }
            | VolumeSource::Shared { .. }
            | VolumeSource::Efs { .. } => None,
        }
    }
}

impl DiskPlan {
    /// Whether nothing of it is left when its task is.
    pub fn ends_with_task(&self) -> bool {
        self.end == DiskEnd::Removed
    }
}

/// A file system in a file, mounted by a loop device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlan {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Bytes of it that the task's images take, as they do on Fargate.
    #[serde(default)]
    pub images: u64,
    /// What is in it.
    pub format: DiskFormat,
    /// What becomes of it at the task's end.
    pub end: DiskEnd,
    /// The file in which workers of one boot tell each other of the loop device.
    pub note: PathBuf,
}

/// What is in a disk's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFormat {
    /// A copy of this file: a new ext4 without a journal, worth nothing after the boot that made it.
    Scratch {
        /// The file; made if it is not there.
        template: PathBuf,
    },
    /// A new file system of this kind.
    New(FileSystemKind),
}

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileSystemKind {
    Ext3,
    Ext4,
    Xfs,
}

impl FileSystemKind {
    /// Its name in ECS, and in the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ext3, Self::Ext4, Self::Xfs].into_iter().find(|kind| kind.name() == name)
    }
}

/// What becomes of a disk at its task's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskEnd {
    /// It is removed.
    Removed,
    /// It stays.
    Kept,
}

/// A volume of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlan {
    /// Its name in the task definition; for a volume of an image, the container's name and the path.
    pub name: String,
    /// What it is.
    pub source: VolumeSource,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// A directory of the task's own storage. It begins with what an image has at the place of its first mount.
    Empty,
    /// A file or directory of the host; a directory that is missing is made.
    Host {
        /// What the operator allows.
        allowed: PathBuf,
        /// The path below it, relative; empty for all of it.
        below: PathBuf,
    },
    /// A directory that outlives its tasks. It begins as an empty one does.
    Shared {
        /// The directory of this volume: its data lie in `data`.
        directory: PathBuf,
        /// What to do if it is not there.
        missing: Missing,
    },
    /// A directory that stands for an EFS file system.
    Efs {
        /// The directory that the operator has named.
        directory: PathBuf,
        /// The path below it, relative.
        below: PathBuf,
        /// Who everybody is to it.
        identity: Option<Identity>,
    },
    /// An EBS volume.
    Ebs {
        /// `vol-` and 17 hexadecimal digits.
        id: String,
        /// Its file system.
        disk: DiskPlan,
    },
}

/// What to do about a volume that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// Make it.
    Make,
    /// The task cannot start.
    Fail,
}

/// Who a container's user is to an EFS access point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The owner of all that is made through the access point.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The mode of the access point's directory, if it has to be made.
    pub mode: u32,
}

/// Something that a container has mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Where: absolute and clean.
    pub path: String,
    /// Whether it can be written through this mount.
    pub access: Access,
    /// What.
    pub source: MountSource,
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Access {
    ReadWrite,
    ReadOnly,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// The volume at this place of [`StoragePlan::volumes`].
    Volume(usize),
    /// A new file system in memory.
    Memory(TmpfsPlan),
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsPlan {
    /// Its size in bytes.
    pub bytes: u64,
    /// `mode`, `uid`, `gid`, `nr_inodes`, `nr_blocks`, with their values.
    pub parameters: Vec<(String, String)>,
    /// Whether set-user-ID bits count in it.
    pub suid: bool,
    /// Whether device files work in it.
    pub dev: bool,
    /// Whether programs in it can be run.
    pub exec: bool,
    /// When access times are kept.
    pub times: AccessTimes,
}

/// When a mount keeps access times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are mount(8)'s")]
pub enum AccessTimes {
    Relative,
    Strict,
    None,
}

//! Where a task's writable layers and empty volumes are, as a worker sees them in its own mount namespace.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::disk::{self, DiskError};
use crate::plan::TaskPlan;
use crate::plan::volume::{MountPlan, MountSource};
use crate::sys::mount::attach;

/// File systems in files that a container needs, open and mounted nowhere yet.
#[derive(Debug)]
pub struct Disks {
    pub(super) own: Option<OwnedFd>,
    /// By the places of the container's mounts.
    pub(super) volumes: Vec<Option<OwnedFd>>,
}

impl Disks {
    /// Opens those of the container at a place. Not to be called from its control group, where loop devices cannot be
    /// opened. `own` is the task's own disk if it is open already.
    pub fn open(plan: &TaskPlan, place: usize, own: Option<OwnedFd>) -> Result<Self, DiskError> {
        let own = match &plan.storage.disk {
            None => None,
            Some(disk) => Some(own.map_or_else(|| disk::open(disk), Ok)?),
        };
        let volume = |mount: &MountPlan| match mount.source {
            MountSource::Volume(volume) => plan.storage.volumes[volume].disk().map(disk::open).transpose(),
            MountSource::Memory(_) => Ok(None),
        };
        let volumes = plan.containers[place].mounts.iter().map(volume).collect::<Result<_, _>>()?;
        Ok(Self { own, volumes })
    }
}

/// The task's own storage.
#[derive(Debug)]
pub(super) struct Storage {
    directory: PathBuf,
    /// Held while several containers of the task may make the same volume.
    pub(super) lock: PathBuf,
}

impl Storage {
    /// Enters it: the task's disk is attached in the caller's mount namespace, which must be its own.
    pub(super) fn enter(plan: &TaskPlan, disk: Option<OwnedFd>) -> Result<Self, DiskError> {
        let lock = plan.paths.run.join("volumes.lock");
        let directory = match disk {
            None => plan.paths.upper(),
            Some(disk) => {
                let point = plan.paths.disk_mount();
                let mounted = directory(&point).and_then(|()| {
                    let point = open(&point, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
                    Ok(attach(disk, point)?)
                });
                let verb = "mount the task's storage on";
                mounted.map_err(|source| DiskError::File { verb, path: point.clone(), source })?;
                point
            }
        };
        Ok(Self { directory, lock })
    }

    /// Where a container's writable layer is.
    pub(super) fn upper(&self, container: &str) -> PathBuf {
        self.directory.join("c").join(container)
    }

    /// The directory of an empty volume, and the one in which it is made.
    pub(super) fn volume(&self, place: usize) -> [PathBuf; 2] {
        ["v", "new"].map(|kind| self.directory.join(kind).join(place.to_string()))
    }
}

/// Removes what is left of the task's storage when all its processes are gone. What is missing already is no error. A
/// volume that outlives its task stays.
pub fn remove(plan: &TaskPlan) -> Vec<(PathBuf, io::Error)> {
    let mut failures = Vec::new();
    let mut note = |path: &Path, removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => failures.push((path.to_owned(), error)),
        _ => {}
    };
    let upper = plan.paths.upper();
    note(&upper, fs::remove_dir_all(&upper));
    for disk in plan.storage.disks() {
        let unfinished = disk::unfinished(&disk.file);
        note(&unfinished, fs::remove_file(&unfinished));
        if disk.ends_with_task() {
            note(&disk.file, fs::remove_file(&disk.file));
        }
    }
    failures
}

fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

//! The volumes of a container, mounted on its root file system while nobody else sees it. Called by `bundle`.
//!
//! Paths in the container belong to a stranger: the image's, or (in a volume that another container has as well) a running
//! one's. They are resolved inside the container's root, and both ends of every mount are descriptors, so that nothing that
//! is exchanged meanwhile leads out of it. Paths below a directory of the host follow no link at all.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::copy_up::copy_tree;
use super::disk::locked;
use super::rootfs::{self, RootfsError};
use super::sources;
use super::storage::Storage;
use crate::plan::volume::{Access, AccessTimes, MountPlan, MountSource, TmpfsPlan, VolumePlan, VolumeSource};
use crate::plan::{ContainerPaths, TaskPlan};
use crate::sys::mount::{
    attach, attribute, clone_tree, fsconfig_create, fsconfig_string, fsmount, fsopen, set_attributes,
};

/// A volume cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The volume itself.
    #[error("volume {volume}: {verb} {path}")]
    Source {
        /// The volume.
        volume: String,
        /// What was tried.
        verb: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not there, and is not to be made.
    #[error("volume {volume}: there is no shared volume of this name, and autoprovision is not set")]
    Absent {
        /// The volume.
        volume: String,
    },
    /// What an image has there.
    #[error("volume {volume}: look at {path} in the images")]
    Image {
        /// The volume.
        volume: String,
        /// The path in the container.
        path: String,
        /// Why not.
        #[source]
        source: RootfsError,
    },
    /// The access point's user.
    #[error(
        "volume {volume}: the file system of {path} cannot map owners, so uid and gid of its access point would not hold"
    )]
    Owners {
        /// The volume.
        volume: String,
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// The place in the container.
    #[error("mount a volume on {path} in the container")]
    Place {
        /// The path in the container.
        path: String,
        /// Why not.
        #[source]
        source: Errno,
    },
}

/// Mounts all that the container at a place has mounted on its root, in the plan's order.
pub(super) fn mount(
    task: &TaskPlan,
    place: usize,
    storage: &Storage,
    disks: Vec<Option<OwnedFd>>,
    root: &OwnedFd,
) -> Result<(), VolumeError> {
    let container = &task.containers[place];
    let paths = task.container_paths(place);
    for (mount, disk) in container.mounts.iter().zip(disks) {
        let at = |source| VolumeError::Place { path: mount.path.clone(), source };
        match &mount.source {
            MountSource::Memory(tmpfs) => in_memory(mount, tmpfs, root).map_err(at)?,
            MountSource::Volume(volume) => {
                let user = (container.process.uid, container.process.gid);
                let tree = match disk {
                    Some(disk) => disk,
                    None => open_volume(task, *volume, user, storage, &paths)?,
                };
                volume_on(mount, &tree, root).map_err(at)?;
            }
        }
    }
    Ok(())
}

fn volume_on(mount: &MountPlan, tree: &OwnedFd, root: &OwnedFd) -> nix::Result<()> {
    let attributes = attribute::NODEV | if mount.access == Access::ReadOnly { attribute::RDONLY } else { 0 };
    set_attributes(tree, attributes)?;
    let is_directory = fstat(tree)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
    let place = if is_directory { rootfs::directory_at(root, &mount.path) } else { rootfs::file_at(root, &mount.path) };
    attach(tree, place?)
}

/// Without a mode of its own it has that of the directory that it covers, as with runc.
fn in_memory(mount: &MountPlan, tmpfs: &TmpfsPlan, root: &OwnedFd) -> nix::Result<()> {
    let covered = rootfs::directory_if_there(root, &mount.path)?;
    let mode = covered.map_or(Ok(0o1777), |directory| fstat(directory).map(|stat| stat.st_mode & 0o7777))?;
    let context = fsopen(c"tmpfs")?;
    let given = tmpfs.parameters.iter().map(|(name, value)| (name.clone(), value.clone()));
    let own = [("source", "tmpfs".to_owned()), ("mode", format!("{mode:o}")), ("size", tmpfs.bytes.to_string())];
    for (name, value) in own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(given) {
        let text = |text: String| CString::new(text).map_err(|_| Errno::EINVAL);
        fsconfig_string(&context, &text(name)?, &text(value)?)?;
    }
    fsconfig_create(&context)?;
    let denied = [
        (!tmpfs.suid, attribute::NOSUID),
        (!tmpfs.dev, attribute::NODEV),
        (!tmpfs.exec, attribute::NOEXEC),
        (mount.access == Access::ReadOnly, attribute::RDONLY),
        (tmpfs.times == AccessTimes::None, attribute::NOATIME),
        (tmpfs.times == AccessTimes::Strict, attribute::STRICTATIME),
    ];
    let attributes = denied.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, one)| all | one);
    attach(fsmount(&context, attributes)?, rootfs::directory_at(root, &mount.path)?)
}

/// A mount of the volume that stands nowhere yet. `user` is the container's user and group.
fn open_volume(
    task: &TaskPlan,
    place: usize,
    user: (u32, u32),
    storage: &Storage,
    paths: &ContainerPaths,
) -> Result<OwnedFd, VolumeError> {
    let volume = &task.storage.volumes[place];
    let seeding = Seeding { task, place, volume, paths };
    match &volume.source {
        VolumeSource::Empty => {
            let [directory, unfinished] = storage.volume(place);
            seeding.make(&directory, &unfinished, &storage.lock)?;
            tree(volume, &directory)
        }
        VolumeSource::Shared { directory, missing } => {
            let [data, unfinished] = ["data", "new"].map(|part| directory.join(part));
            sources::shared(volume, directory, *missing)?;
            seeding.make(&data, &unfinished, &directory.join("lock"))?;
            tree(volume, &data)
        }
        VolumeSource::Host { allowed, below } => sources::host(volume, allowed, below),
        VolumeSource::Efs { directory, below, identity } => sources::efs(volume, directory, below, *identity, user),
        VolumeSource::Ebs { disk, .. } => Err(failed(volume, "open", &disk.file)(Errno::EBADF.into())),
    }
}

/// A mount of a directory of ours.
fn tree(volume: &VolumePlan, path: &Path) -> Result<OwnedFd, VolumeError> {
    let opened = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).and_then(clone_tree);
    opened.map_err(|errno| failed(volume, "mount", path)(errno.into()))
}

/// Names what failed.
pub(super) fn failed<'a>(
    volume: &'a VolumePlan,
    verb: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> VolumeError + 'a {
    move |source| VolumeError::Source { volume: volume.name.clone(), verb, path: path.to_owned(), source }
}

/// A volume that begins with what an image has at its place.
struct Seeding<'a> {
    task: &'a TaskPlan,
    place: usize,
    volume: &'a VolumePlan,
    paths: &'a ContainerPaths,
}

impl Seeding<'_> {
    /// Makes `directory`, once. It is made under another name first: whoever is killed meanwhile leaves nothing that
    /// could be taken for the volume.
    fn make(&self, directory: &Path, unfinished: &Path, lock: &Path) -> Result<(), VolumeError> {
        if directory.exists() {
            return Ok(());
        }
        let _lock = locked(lock).map_err(failed(self.volume, "lock", lock))?;
        if directory.exists() {
            return Ok(()); // another container of the task was quicker
        }
        let cleared = match fs::remove_dir_all(unfinished) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        cleared.map_err(failed(self.volume, "remove", unfinished))?;
        for path in [directory.parent(), Some(unfinished)].into_iter().flatten() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(failed(self.volume, "make", path))?;
        }
        self.fill(unfinished)?;
        fs::rename(unfinished, directory).map_err(failed(self.volume, "make", directory))
    }

    /// The first container of the definition whose image has something there decides, so that it does not matter which of
    /// them starts first; else the first whose image has the directory; else it is root's.
    fn fill(&self, into: &Path) -> Result<(), VolumeError> {
        let mut found: Option<OwnedFd> = None;
        for (container, path) in self.users() {
            let refused = |source| VolumeError::Image { volume: self.volume.name.clone(), path: path.clone(), source };
            let layers = &self.task.containers[container].rootfs.layers;
            let point = self.paths.run.join("image");
            let image = rootfs::open_image(layers, &point).map_err(refused)?;
            let directory = rootfs::directory_if_there(&image, &path);
            let _ = umount2(&point, MntFlags::MNT_DETACH); // it was none if there is one layer
            let _ = fs::remove_dir(&point);
            let directory = directory.map_err(|errno| failed(self.volume, "open", Path::new(&path))(errno.into()))?;
            let Some(directory) = directory else { continue };
            if !sources::is_empty(&directory).map_err(failed(self.volume, "read", Path::new(&path)))? {
                found = Some(directory);
                break;
            }
            found = found.or(Some(directory));
        }
        match found {
            Some(from) => {
                let target = fs::File::open(into).map_err(failed(self.volume, "open", into))?;
                copy_tree(from.as_fd(), target.as_fd()).map_err(failed(self.volume, "copy the image's files to", into))
            }
            None => {
                fs::set_permissions(into, fs::Permissions::from_mode(0o755)).map_err(failed(self.volume, "make", into))
            }
        }
    }

    /// The containers that mount it, and where.
    fn users(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        let containers = self.task.containers.iter().enumerate();
        containers.flat_map(|(container, plan)| {
            let mounts = plan.mounts.iter().filter(|mount| mount.source == MountSource::Volume(self.place));
            mounts.map(move |mount| (container, mount.path.clone()))
        })
    }
}

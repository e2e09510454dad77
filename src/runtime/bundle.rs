//! A container's bundle: the directory with `config.json`, the files that we bind into the container, and the mounted
//! root file system. Made by a worker in a mount namespace of its own, which takes the mounts with it when it ends.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::DiskError;
use super::rootfs::{self, RootfsError};
use super::storage::{Disks, Storage};
use super::volumes::{self, VolumeError};
use crate::plan::spec::{Surroundings, oci_spec};
use crate::plan::{ContainerPaths, TaskPlan};

/// The bundle could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or directory of the bundle.
    #[error("write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The root file system.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The task's storage.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// A complete bundle, ready for [`super::container::create`].
pub struct Bundle {
    /// Its directory.
    pub(super) directory: PathBuf,
}

/// Makes the bundle of the container at a place. Must be called in a private mount namespace; changes the working directory (to
/// `/`). What an earlier try left is made anew.
pub fn prepare(task: &TaskPlan, place: usize, disks: Disks, around: &Surroundings) -> Result<Bundle, BundleError> {
    let (container, paths) = (&task.containers[place], &task.container_paths(place));
    directory(&paths.rootfs())?;
    for (index, (_, content)) in container.files.iter().enumerate() {
        let path = paths.file(index);
        path.parent().map_or(Ok(()), directory)?;
        // Any user of the container may read it; on the host, none may enter the directory above.
        write(&path, content.as_bytes(), 0o644)?;
    }
    if container.socket_directory.is_some() {
        sockets(container, &paths.sockets())?;
    }
    let config = paths.run.join("config.json");
    let spec = serde_json::to_vec(&oci_spec(container, paths, around));
    let spec = spec.map_err(|error| BundleError::Write { path: config.clone(), source: error.into() })?;
    write(&config, &spec, 0o600)?;
    let storage = Storage::enter(task, disks.own)?;
    rootfs::mount(&container.rootfs, &storage.upper(&container.name), &paths.rootfs())?;
    let root = rootfs::repair_directories(&paths.rootfs())?;
    volumes::mount(task, place, &storage, disks.volumes, &root)?;
    let files = container.files.iter().map(|(destination, _)| destination.as_str());
    rootfs::repair_files(&root, files, &container.process.cwd)?;
    if let Some(directory) = &container.socket_directory {
        rootfs::make_directory_in(&root, directory)?;
    }
    Ok(Bundle { directory: paths.run.clone() })
}

/// Removes what [`prepare`] made but for the mounts (they end with their namespace) and the writable layer. What is
/// missing already is no error.
pub fn remove(paths: &ContainerPaths) -> Result<(), BundleError> {
    let config = paths.run.join("config.json");
    let files = paths.run.join("files");
    gone(&config, fs::remove_file(&config))?;
    gone(&files, fs::remove_dir_all(&files))?;
    // Not what is in it: if it is still mounted here, that is the container's.
    gone(&paths.rootfs(), fs::remove_dir(paths.rootfs()))
}

/// The result of a removal, where absence is as good.
pub(super) fn gone(path: &Path, result: io::Result<()>) -> Result<(), BundleError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BundleError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The directory for sockets belongs to the container's user; on the host, none but root may enter the one above.
fn sockets(container: &crate::plan::ContainerPlan, path: &Path) -> Result<(), BundleError> {
    directory(path)?;
    let own = || {
        std::os::unix::fs::lchown(path, Some(container.process.uid), Some(container.process.gid))?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
    };
    own().map_err(|source| BundleError::Write { path: path.to_owned(), source })
}

fn directory(path: &Path) -> Result<(), BundleError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| BundleError::Write { path: path.to_owned(), source })
}

/// No temporary file: nobody reads these before the container is created, and a second try writes them again.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), BundleError> {
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).and_then(|mut file| {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.write_all(content)
        });
    written.map_err(|source| BundleError::Write { path: path.to_owned(), source })
}

//! Where a removal puts what nobody may see any more, so that it is gone at once and may take its time to be removed. Each
//! such directory is locked by the process that made it; one whose lock is free is a dead process's, and whoever comes
//! next removes it. Called by `store`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::sys::tree::remove_tree;

/// A directory of one process, gone when this is dropped.
pub(crate) struct Removed {
    parent: File,
    name: String,
    path: PathBuf,
    /// Of the directory itself.
    _lock: Flock<File>,
}

impl Removed {
    /// Makes a directory in `parent`, after those that the dead have left. Only under the store's lock: between
    /// a directory's making and its locking it looks like a dead one's.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        directory(parent)?;
        let handle = File::open(parent)?;
        let mut taken = Vec::new();
        for entry in fs::read_dir(parent)? {
            let name = entry?.file_name();
            match lock(&parent.join(&name)) {
                Ok(_dead) => remove_tree(handle.as_fd(), name.as_os_str())?,
                Err(_alive) => taken.push(name),
            }
        }
        let name =
            (0_u64..).map(|number| number.to_string()).find(|name| taken.iter().all(|taken| taken != name.as_str()));
        let name = name.expect("fewer directories than numbers");
        let path = parent.join(&name);
        directory(&path)?;
        Ok(Self { _lock: lock(&path)?, parent: handle, name, path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        // What stays is found by the next one; there is nobody to tell here.
        let _ = remove_tree(self.parent.as_fd(), self.name.as_str());
    }
}

fn lock(path: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno.into())
}

/// Makes a directory that only root can enter, and what is missing above it.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

//! Staging: where layers are built that nobody may see yet. One directory per layer, named by its chain id and locked by
//! whoever works on it: two fetches of one layer share the work, and what a killed fetch completed is found by the next.
//! A fetch is a process that trusts nothing and may write here alone; whoever publishes takes what is here for a
//! stranger's. Called by `fetch`, `publish` and `store`.
//!
//! ```text
//! staging/layers/HEX/fs             the layer's files
//! staging/layers/HEX/settle         what is still to be done to them before they are published
//! staging/layers/HEX/unpacked.json  written last: the layer is verified and complete
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::removed::directory;
use crate::sys::beneath::{create_beneath, open_beneath};
use crate::sys::tree::remove_tree;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW);
/// The mode of files that are only ours.
pub(super) const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
const COMPLETE: &str = "unpacked.json";
const COMPLETE_NEW: &str = "unpacked.json.new";
const SETTLE: &str = "settle";
/// The longest `unpacked.json`, in bytes.
const RECORD_MAX: u64 = 4096;

/// What is known about a layer: in its `unpacked.json`, and in the store's own `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
    pub(crate) entries: u64,
    /// Device nodes that were left out.
    pub(crate) devices: u64,
}

/// The staging directory of a store, and a look at the layers that the store has.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    dir: OwnedFd,
    layers: OwnedFd,
    published: OwnedFd,
}

/// What becomes of the wish to build a layer.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The store has it.
    Published,
    /// Somebody is at it.
    Taken,
    /// It is nobody's, or was.
    Free(StagedLayer),
}

/// The directory of one layer, locked.
#[derive(Debug)]
pub(crate) struct StagedLayer {
    parent: OwnedFd,
    name: String,
    dir: Flock<OwnedFd>,
}

impl Staging {
    /// Opens the staging directory of the store in `images`.
    pub(crate) fn open(images: &Path) -> io::Result<Self> {
        let path = images.join("staging");
        directory(&path.join("layers"))?;
        directory(&images.join("layers"))?;
        let dir = |path: &Path| open(path, DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let staging = dir(&path)?;
        let layers = open_beneath(staging.as_fd(), "layers", DIRECTORY)?;
        // For looks alone: a fetch may not open anything below it.
        let published =
            open(&images.join("layers"), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(Self { path, dir: staging, layers, published })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A new file without a name.
    pub(crate) fn nameless(&self) -> io::Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        Ok(openat(&self.dir, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Bytes that are left on its file system for those who are not privileged.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let stat = fstatvfs(&self.dir)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }

    /// Whether the store has the layer of this chain id.
    pub(crate) fn is_published(&self, chain: &Digest) -> io::Result<bool> {
        match fstatat(
            &self.published,
            Path::new(&chain.hex()).join("layer.json").as_path(),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        ) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Asks for a layer to work on; never waits.
    pub(crate) fn claim(&self, chain: &Digest) -> io::Result<Claim> {
        let name = chain.hex();
        loop {
            if self.is_published(chain)? {
                return Ok(Claim::Published);
            }
            match mkdirat(&self.layers, name.as_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            match self.lock(&name)? {
                Locked::Gone => {}
                Locked::Taken => return Ok(Claim::Taken),
                // It may have been published, and its directory made anew by us, in between.
                Locked::Free(layer) if self.is_published(chain)? => layer.remove()?,
                Locked::Free(layer) => return Ok(Claim::Free(layer)),
            }
        }
    }

    /// The layer of this chain id if it is here, locked; waits for whoever works on it.
    pub(crate) fn find(&self, chain: &Digest) -> io::Result<Option<StagedLayer>> {
        let name = chain.hex();
        loop {
            let dir = match open_beneath(self.layers.as_fd(), name.as_str(), DIRECTORY) {
                Err(Errno::ENOENT) => return Ok(None),
                dir => dir?,
            };
            let dir = Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
            if let Some(layer) = self.in_place(&name, dir)? {
                return Ok(Some(layer));
            }
        }
    }

    /// The names of all that is among the layers, and their directories locked where nobody works on them.
    pub(crate) fn idle(&self) -> io::Result<Vec<StagedLayer>> {
        let mut listing = Dir::from_fd(open_beneath(self.layers.as_fd(), c".", DIRECTORY)?)?;
        let mut idle = Vec::new();
        for entry in listing.iter() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            match self.lock(name) {
                Ok(Locked::Free(layer)) => idle.push(layer),
                Ok(Locked::Taken | Locked::Gone) => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_tree(self.layers.as_fd(), name)?,
                Err(error) => return Err(error),
            }
        }
        Ok(idle)
    }

    fn lock(&self, name: &str) -> io::Result<Locked> {
        let dir = match open_beneath(self.layers.as_fd(), name, DIRECTORY) {
            Err(Errno::ENOENT) => return Ok(Locked::Gone),
            dir => dir?,
        };
        match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(dir) => Ok(self.in_place(name, dir)?.map_or(Locked::Gone, Locked::Free)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(Locked::Taken),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// A lock counts only for the directory that still has the name: it may have been published, or taken away, while
    /// we waited.
    fn in_place(&self, name: &str, dir: Flock<OwnedFd>) -> io::Result<Option<StagedLayer>> {
        let ours = fstat(&*dir)?;
        match fstatat(&self.layers, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                let parent = self.layers.try_clone()?;
                Ok(Some(StagedLayer { parent, name: name.to_owned(), dir }))
            }
            Ok(_) | Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

enum Locked {
    Free(StagedLayer),
    Taken,
    Gone,
}

impl StagedLayer {
    /// What was unpacked; `None` if it is not complete.
    pub(crate) fn record(&self) -> io::Result<Option<LayerRecord>> {
        let file =
            match open_beneath(self.dir.as_fd(), COMPLETE, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW) {
                Err(Errno::ENOENT) => return Ok(None),
                file => File::from(file?),
            };
        let mut text = Vec::new();
        file.take(RECORD_MAX).read_to_end(&mut text)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Seconds since the epoch at which it was completed.
    pub(crate) fn completed_at(&self) -> io::Result<i64> {
        Ok(fstatat(&*self.dir, COMPLETE, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mtime)
    }

    /// Makes it empty: what is there is of a fetch that did not end. Gives the directory for the files, and the file
    /// for what is to be settled.
    pub(crate) fn begin(&self) -> io::Result<(OwnedFd, File)> {
        for name in [COMPLETE, COMPLETE_NEW, SETTLE, "fs"] {
            remove_tree(self.dir.as_fd(), name)?;
        }
        mkdirat(&*self.dir, "fs", Mode::S_IRWXU)?;
        let settle = create_beneath(self.dir.as_fd(), SETTLE, PRIVATE)?;
        Ok((self.root()?, settle.into()))
    }

    /// Says that it is complete.
    pub(crate) fn complete(&self, record: &LayerRecord) -> io::Result<()> {
        // Whole or not at all: whoever sees the name sees the content.
        let mut file = File::from(create_beneath(self.dir.as_fd(), COMPLETE_NEW, PRIVATE)?);
        file.write_all(&serde_json::to_vec(record)?)?;
        Ok(renameat(&*self.dir, COMPLETE_NEW, &*self.dir, COMPLETE)?)
    }

    /// The directory of its files.
    pub(crate) fn root(&self) -> io::Result<OwnedFd> {
        Ok(open_beneath(self.dir.as_fd(), "fs", DIRECTORY)?)
    }

    /// What is to be settled.
    pub(crate) fn settle(&self) -> io::Result<File> {
        Ok(open_beneath(self.dir.as_fd(), SETTLE, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW)?.into())
    }

    /// Moves it to `to`, its lock with it, and leaves behind there what only staging needs.
    pub(crate) fn publish(&self, to: &Path) -> io::Result<()> {
        self.rename(to)?;
        [COMPLETE, SETTLE].into_iter().try_for_each(|name| remove_tree(self.dir.as_fd(), name))
    }

    /// Moves it to `to`, its lock with it.
    pub(crate) fn rename(&self, to: &Path) -> io::Result<()> {
        renameat(&self.parent, self.name.as_str(), AT_FDCWD, to)?;
        // What was locked and looked at must be what was moved.
        match fs::symlink_metadata(to)?.ino() == fstat(&*self.dir)?.st_ino {
            true => Ok(()),
            false => Err(io::Error::other("another directory has taken its place")),
        }
    }

    /// The directory itself, in which `layer.json` is to be written.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// What it is called: the chain id's hexadecimal digits.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Removes it, at once.
    pub(crate) fn remove(self) -> io::Result<()> {
        remove_tree(self.parent.as_fd(), self.name.as_str())
    }
}

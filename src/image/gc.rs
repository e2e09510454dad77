//! Removing: names, then the layers and documents that no name needs any more, and what fetches have left behind. A start
//! holds the store's use lock from looking its image up until its task stands in the records; who removes holds it alone
//! from looking which images tasks use until the names are gone: so no image goes between the two. Called by `ops`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::digest::Digest;
use super::index::{Index, Record};
use super::reference::ImageReference;
use super::removed::{Removed, directory};
use super::staging::Staging;
use super::store::{ImageStore, StoreError, StoreLock, io_error};

/// How long a complete layer that no image needs is kept for a fetch that picks it up, in seconds.
const STAGED_MAX: i64 = 24 * 60 * 60;

/// Which images `prune` removes, of those that no task uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prune {
    /// Those without a tag (any more).
    Untagged,
    /// All.
    Unused,
}

/// Which complete layers in the staging directory are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those that may still be picked up.
    Fresh,
    /// None.
    Nothing,
}

/// While this is held, no image goes.
#[derive(Debug)]
pub struct Using {
    _lock: Flock<File>,
}

/// While this is held, no task starts.
#[derive(Debug)]
pub struct Removing {
    _lock: Flock<File>,
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names.
    pub images: Vec<ImageReference>,
    /// Bytes of the files of layers, published or staged, that are gone.
    pub bytes: u64,
}

impl ImageStore {
    /// To be held by who starts a task, from looking its images up until the task is on record.
    pub fn using(&self) -> Result<Using, StoreError> {
        Ok(Using { _lock: self.flock("use.lock", FlockArg::LockShared)? })
    }

    /// To be held by who removes images, before looking which ones tasks use.
    pub fn removing(&self) -> Result<Removing, StoreError> {
        Ok(Removing { _lock: self.flock("use.lock", FlockArg::LockExclusive)? })
    }

    /// Removes a name, and the image's layers if no other image has them. `in_use` are the digests of the images that
    /// tasks run: the last name of such an image stays.
    pub fn remove(&self, removing: Removing, reference: &ImageReference, in_use: &[Digest]) -> Result<(), StoreError> {
        let lock = self.lock()?;
        let mut index = Index::read(self.dir())?;
        let record = index.find(reference).ok_or_else(|| StoreError::NotFound(reference.clone().into()))?.clone();
        index.images.retain(|other| other.reference != record.reference);
        let last = index.images.iter().all(|other| other.digest != record.digest);
        if last && in_use.contains(&record.digest) {
            return Err(StoreError::InUse(reference.clone().into()));
        }
        index.write(self.dir())?;
        let swept = self.sweep(&lock, &index, Keep::Fresh)?;
        // Removing may take its time, and nobody need wait for that.
        drop((lock, removing));
        drop(swept);
        Ok(())
    }

    /// Removes images that no task runs, and what fetches have left behind.
    pub fn prune(&self, removing: Removing, which: Prune, in_use: &[Digest]) -> Result<Pruned, StoreError> {
        let lock = self.lock()?;
        let mut index = Index::read(self.dir())?;
        let goes = |record: &mut Record| {
            let wanted = match which {
                Prune::Untagged => record.reference.tag().is_none(),
                Prune::Unused => true,
            };
            wanted && !in_use.contains(&record.digest)
        };
        let images: Vec<_> = index.images.extract_if(.., goes).map(|record| record.reference).collect();
        if !images.is_empty() {
            index.write(self.dir())?;
        }
        let swept = self.sweep(&lock, &index, Keep::Nothing)?;
        drop((lock, removing));
        let bytes = swept.bytes;
        drop(swept);
        Ok(Pruned { images, bytes })
    }

    /// Removes what the index does not name and what fetches that did not end have left incomplete.
    pub fn clean(&self) -> Result<(), StoreError> {
        let lock = self.lock()?;
        let swept = self.sweep(&lock, &Index::read(self.dir())?, Keep::Fresh)?;
        drop(lock);
        drop(swept);
        Ok(())
    }

    /// Takes away what nobody needs. The removal itself happens when what this gives back is dropped: after the lock.
    pub(crate) fn sweep(&self, _: &StoreLock, index: &Index, keep: Keep) -> Result<Swept, StoreError> {
        let removed = self.dir().join("removed");
        let removed = Removed::new(&removed).map_err(io_error("make a directory in", &removed))?;
        let layers: HashSet<String> = index.images.iter().flat_map(|record| &record.layers).map(Digest::hex).collect();
        let blobs = index.images.iter().flat_map(|record| [&record.digest, &record.config]).map(Digest::hex).collect();
        let mut bytes = self.unnamed(&layers)?;
        for (name, kept) in [("layers", &layers), ("blobs/sha256", &blobs)] {
            let dir = self.dir().join(name);
            let gone = removed.path().join(name);
            directory(&gone).map_err(io_error("make the directory", &gone))?;
            take_away(&dir, kept, &gone).map_err(io_error("clean", &dir))?;
        }
        bytes += self.sweep_staging(&removed, keep).map_err(io_error("clean the staging directory of", self.dir()))?;
        Ok(Swept { _removed: removed, bytes })
    }

    /// Bytes of the layers that no image has.
    fn unnamed(&self, named: &HashSet<String>) -> Result<u64, StoreError> {
        let layers = self.layers()?;
        let unnamed = layers.iter().filter(|chain| !named.contains(&chain.hex()));
        // One without a record was never complete.
        Ok(unnamed.filter_map(|chain| self.layer_record(chain).ok()).map(|record| record.size).sum())
    }

    /// Takes away the staged layers that nobody works on and that are not complete, or were not picked up.
    fn sweep_staging(&self, removed: &Removed, keep: Keep) -> io::Result<u64> {
        let gone = removed.path().join("staged");
        directory(&gone)?;
        let now = Timestamp::now().as_second();
        let mut bytes = 0;
        for layer in Staging::open(self.dir())?.idle()? {
            let record = layer.record().ok().flatten();
            let fresh = || layer.completed_at().is_ok_and(|at| (now - STAGED_MAX..=now + STAGED_MAX).contains(&at));
            if keep == Keep::Fresh && record.is_some() && fresh() {
                continue;
            }
            bytes += record.map_or(0, |record| record.size);
            layer.rename(&gone.join(layer.name()))?;
        }
        Ok(bytes)
    }
}

/// What was taken away; it is removed when this is dropped.
pub(crate) struct Swept {
    _removed: Removed,
    /// Bytes of the layers among it.
    bytes: u64,
}

/// Moves the entries of `dir` that are not kept into `to`.
fn take_away(dir: &Path, kept: &HashSet<String>, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(|name| kept.contains(name)) {
            fs::rename(dir.join(&name), to.join(&name))?;
        }
    }
    Ok(())
}

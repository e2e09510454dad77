//! The image store: one directory, owned by root and closed to all others.
//!
//! ```text
//! index.json          which images there are, by name; the truth
//! lock                held while the index changes
//! blobs/sha256/HEX    manifests and configurations
//! layers/HEX/fs       a layer's files, HEX being the chain id; shared by all containers as overlayfs lower directories
//! layers/HEX/layer.json
//! staging/N           what an import builds, or a removal has taken away
//! ```
//!
//! The compressed blobs of layers are not kept: they would take half as much room again, and nothing needs them once the
//! layer is unpacked. Saving an image to a file writes new layers from the trees.
//!
//! Reading takes no lock: the index is replaced whole, and what it names is complete before it is named. What it does not
//! name is a dead process's and is removed by the next change.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::config::{ConfigError, Configuration, ImageConfig, Platform};
use super::digest::Digest;
use super::import::{ImportError, Progress};
use super::index::{Index, IndexError, Record};
use super::reference::ImageReference;
use super::staging::{Staging, directory};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The index.
    #[error("the index of images")]
    Index(#[from] IndexError),
    /// A file or directory of the store.
    #[error("{act} {path}")]
    Io {
        /// What was being done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The configuration of an image in the store.
    #[error("the image {image} is damaged")]
    Config {
        /// The image.
        image: Box<ImageReference>,
        /// What is wrong with it.
        #[source]
        source: ConfigError,
    },
    /// No image of that name.
    #[error("there is no image {0}")]
    NotFound(Box<ImageReference>),
    /// A task runs it.
    #[error("the image {0} is in use by a task that is not stopped")]
    InUse(Box<ImageReference>),
}

pub(crate) fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { act, path: path.to_owned(), source }
}

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name: by tag, or by digest where it has no tag (any more).
    pub reference: ImageReference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What it says about its process.
    pub config: ImageConfig,
    /// The directories of its layers, topmost first, as overlayfs takes them.
    pub layers: Vec<PathBuf>,
    /// Bytes of all files of all layers, unpacked.
    pub size: u64,
    /// What it is for.
    pub platform: Platform,
    /// When it was built, as it says itself.
    pub created: Option<Timestamp>,
    /// When it came into the store under this name.
    pub imported_at: Timestamp,
}

/// A store of images below one directory.
#[derive(Debug, Clone)]
pub struct ImageStore {
    dir: PathBuf,
}

impl ImageStore {
    /// Opens the store in `dir`, and makes an empty one if there is none.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        directory(dir).map_err(io_error("make the directory", dir))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The image that a reference names, if it is here.
    pub fn resolve(&self, reference: &ImageReference) -> Result<Option<Image>, StoreError> {
        Index::read(&self.dir)?.find(reference).map(|record| self.image(record)).transpose()
    }

    /// All images, by name.
    pub fn list(&self) -> Result<Vec<Image>, StoreError> {
        Index::read(&self.dir)?.images.iter().map(|record| self.image(record)).collect()
    }

    /// Imports the images of an OCI image layout (a directory or an archive) or a docker archive and gives them back.
    /// `name` names the image if the source holds only one; without it the source's own names count. A name that another
    /// image had is the new one's. Nothing of an import is visible until all of it is verified.
    pub fn import(
        &self,
        path: &Path,
        name: Option<&ImageReference>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Image>, ImportError> {
        let records = super::import::import(self, path, name, progress)?;
        Ok(records.iter().map(|record| self.image(record)).collect::<Result<_, _>>()?)
    }

    /// Removes a name, and the image's layers if no other image has them. `in_use` are the digests of the images that
    /// tasks run: the last name of such an image stays.
    pub fn remove(&self, reference: &ImageReference, in_use: &[Digest]) -> Result<(), StoreError> {
        let lock = self.lock()?;
        let mut index = Index::read(&self.dir)?;
        let record = index.find(reference).ok_or_else(|| StoreError::NotFound(reference.clone().into()))?.clone();
        index.images.retain(|other| other.reference != record.reference);
        let last = index.images.iter().all(|other| other.digest != record.digest);
        if last && in_use.contains(&record.digest) {
            return Err(StoreError::InUse(reference.clone().into()));
        }
        index.write(&self.dir)?;
        let swept = self.sweep(&lock, &index)?;
        // Removing may take its time, and nobody need wait for that.
        drop(lock);
        drop(swept);
        Ok(())
    }

    /// Removes the images that have no tag (any more) and that no task runs, and gives their names back.
    pub fn prune(&self, in_use: &[Digest]) -> Result<Vec<ImageReference>, StoreError> {
        let lock = self.lock()?;
        let mut index = Index::read(&self.dir)?;
        let unused = |record: &Record| record.reference.tag().is_none() && !in_use.contains(&record.digest);
        let removed: Vec<_> =
            index.images.extract_if(.., |record| unused(record)).map(|record| record.reference).collect();
        if !removed.is_empty() {
            index.write(&self.dir)?;
        }
        let swept = self.sweep(&lock, &index)?;
        drop(lock);
        drop(swept);
        Ok(removed)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the layer of this chain id is, or will be.
    pub(crate) fn layer(&self, chain: &Digest) -> PathBuf {
        self.dir.join("layers").join(chain.hex())
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Waits for the store's lock.
    pub(crate) fn lock(&self) -> Result<StoreLock, StoreError> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(io_error("open", &path))?;
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => Ok(StoreLock { _lock: lock }),
            Err((_, errno)) => Err(io_error("lock", &path)(errno.into())),
        }
    }

    /// Takes away what the index does not name, and what dead processes have left. The removal itself happens when the
    /// staging directory that this gives back is dropped: after the lock.
    pub(crate) fn sweep(&self, _: &StoreLock, index: &Index) -> Result<Staging, StoreError> {
        let staging = self.dir.join("staging");
        let staging = Staging::new(&staging).map_err(io_error("make a directory in", &staging))?;
        let layers = index.images.iter().flat_map(|record| &record.layers).map(Digest::hex).collect();
        let blobs = index.images.iter().flat_map(|record| [&record.digest, &record.config]).map(Digest::hex).collect();
        for (name, kept) in [("layers", layers), ("blobs/sha256", blobs)] {
            let dir = self.dir.join(name);
            let gone = staging.path().join(name);
            directory(&gone).map_err(io_error("make the directory", &gone))?;
            take_away(&dir, &kept, &gone).map_err(io_error("clean", &dir))?;
        }
        Ok(staging)
    }

    fn image(&self, record: &Record) -> Result<Image, StoreError> {
        let path = self.blob(&record.config);
        let document = fs::read(&path).map_err(io_error("read", &path))?;
        let configuration = Configuration::parse(&document)
            .map_err(|source| StoreError::Config { image: record.reference.clone().into(), source })?;
        Ok(Image {
            reference: record.reference.clone(),
            digest: record.digest,
            config: configuration.config,
            layers: record.layers.iter().rev().map(|chain| self.layer(chain).join("fs")).collect(),
            size: record.size,
            platform: record.platform.clone(),
            created: record.created,
            imported_at: record.imported_at,
        })
    }
}

/// The right to change the index.
pub(crate) struct StoreLock {
    _lock: Flock<File>,
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

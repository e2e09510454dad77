//! The image store: one directory, owned by root and closed to all others.
//!
//! ```text
//! index.json          which images there are, by name; the truth
//! lock                held while the index changes
//! blobs/sha256/HEX    manifests and configurations
//! layers/HEX/fs       a layer's files, HEX being the chain id; shared by all containers as overlayfs lower directories
//! layers/HEX/layer.json
//! staging/            what fetches build, see `staging`
//! removed/N           what a removal has taken away
//! use.lock            held shared while a task is started, alone while images are removed
//! ```
//!
//! The compressed blobs of layers are not kept: they would take half as much room again, and nothing needs them once the
//! layer is unpacked. Saving an image to a file writes new layers from the trees.
//!
//! Reading takes no lock: the index is replaced whole, and what it names is complete before it is named. What it does not
//! name is a dead process's and is removed by the next change.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::config::{ConfigError, Configuration, ImageConfig, Platform};
use super::digest::Digest;
use super::index::{Index, IndexError, Origin, Record};
use super::publish::PublishError;
use super::reference::ImageReference;
use super::removed::directory;
use super::request::{Job, Staged};
use super::staging::LayerRecord;

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
    /// A name by digest for an image that may have another one.
    #[error("{0} is not a name that an image can be given: write a repository, and a tag")]
    NotTag(Box<ImageReference>),
    /// A task runs it.
    #[error("the image {0} is in use by a task that is not stopped")]
    InUse(Box<ImageReference>),
}

/// What is known of the layer in this directory.
pub(crate) fn layer_record(layer: &Path) -> Result<LayerRecord, StoreError> {
    let path = layer.join("layer.json");
    let read = fs::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?));
    read.map_err(io_error("read", &path))
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
    /// Where it came from.
    pub origin: Origin,
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

    /// Names the images that a fetch for `job` says it has staged, after all of it was checked again, and gives them back.
    /// A name that another image had is the new one's. Nothing is visible until all of it is. `None` if somebody removed a
    /// layer meanwhile: the fetch is to be done again.
    pub fn publish(&self, job: &Job, staged: &[Staged]) -> Result<Option<Vec<Image>>, PublishError> {
        let Some(records) = super::publish::publish(self, job, staged)? else { return Ok(None) };
        Ok(Some(records.iter().map(|record| self.image(record)).collect::<Result<_, _>>()?))
    }

    /// Gives an image another name. A name that another image had is the new one's.
    pub fn tag(&self, source: &ImageReference, name: &ImageReference) -> Result<Image, StoreError> {
        let _lock = self.lock()?;
        let mut index = Index::read(&self.dir)?;
        let record = index.find(source).ok_or_else(|| StoreError::NotFound(source.clone().into()))?.clone();
        let reference = match (name.digest(), name.by_tag()) {
            (None, Some(tagged)) => tagged,
            _ => return Err(StoreError::NotTag(name.clone().into())),
        };
        // What a registry said about another name says nothing about this one.
        let record = Record { reference, origin: Origin::Import, imported_at: Timestamp::now(), ..record };
        index.put(record.clone());
        index.write(&self.dir)?;
        self.image(&record)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
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
        Ok(StoreLock { _lock: self.flock("lock", FlockArg::LockExclusive)? })
    }

    pub(crate) fn flock(&self, name: &str, how: FlockArg) -> Result<Flock<File>, StoreError> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(io_error("open", &path))?;
        Flock::lock(file, how).map_err(|(_, errno)| io_error("lock", &path)(errno.into()))
    }

    /// The chain ids of all layers that are here, named or not.
    pub(crate) fn layers(&self) -> Result<Vec<Digest>, StoreError> {
        let dir = self.dir.join("layers");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(io_error("list", &dir))?,
        };
        let chain = |name: &str| format!("sha256:{name}").parse().ok();
        Ok(entries.iter().filter_map(|entry| chain(entry.file_name().to_str()?)).collect())
    }

    /// What the store knows about a layer.
    pub(crate) fn layer_record(&self, chain: &Digest) -> Result<LayerRecord, StoreError> {
        layer_record(&self.layer(chain))
    }

    pub(crate) fn image(&self, record: &Record) -> Result<Image, StoreError> {
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
            origin: record.origin.clone(),
        })
    }
}

/// The right to change the index.
pub(crate) struct StoreLock {
    _lock: Flock<File>,
}

//! Import: from a source to the store. Everything is built and verified in a staging directory that only this process
//! knows; then, under the store's lock and in a few renames, it is there. Called by `store`.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::unistd::syncfs;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::index::{Index, Record};
use super::layer::{LayerBlob, LayerError, Position, unpack_layer};
use super::manifest::{Found, ManifestError, images};
use super::reference::{ImageReference, ReferenceError};
use super::rules::Limits;
use super::settle::{SettleError, settle};
use super::source::{Source, SourceError};
use super::staging::{Staging, directory};
use super::store::{ImageStore, StoreError, io_error};

/// How often an import starts again because a removal took a layer that it meant to share.
const ATTEMPTS: usize = 5;

/// Why an import came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The path.
    #[error("import")]
    Source(#[from] SourceError),
    /// What is in it.
    #[error("import {path}")]
    Manifest {
        /// What was given.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// A layer.
    #[error("import {path}: layer {number} of {of}, {digest}")]
    Layer {
        /// What was given.
        path: PathBuf,
        /// Which one, counted from 1 at the bottom.
        number: usize,
        /// How many there are.
        of: usize,
        /// The digest of its blob.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: Box<LayerError>,
    },
    /// What is left to do for a layer that is unpacked.
    #[error("import {path}: layer {number} of {of}")]
    Settle {
        /// What was given.
        path: PathBuf,
        /// Which one, counted from 1 at the bottom.
        number: usize,
        /// How many there are.
        of: usize,
        /// What is wrong with it.
        #[source]
        source: SettleError,
    },
    /// No name given, and none in the source.
    #[error("{0} does not name its image; give the name that it is to have")]
    NoName(PathBuf),
    /// The source's own name is none.
    #[error("{path} calls its image {name:?}, which is not a name; give the name that it is to have")]
    BadName {
        /// What was given.
        path: PathBuf,
        /// What the source says.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ReferenceError,
    },
    /// One name for several images.
    #[error("{path} holds {count} images, which cannot all be {name}; import them under their own names")]
    OneName {
        /// What was given.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The name given.
        name: Box<ImageReference>,
    },
    /// The name has a digest, and it is another one's.
    #[error("{path} holds the image {found}, not {name}")]
    OtherDigest {
        /// What was given.
        path: PathBuf,
        /// The name given.
        name: Box<ImageReference>,
        /// The digest of the image.
        found: Digest,
    },
    /// The store.
    #[error("the image store")]
    Store(#[from] StoreError),
    /// Other processes remove images as fast as this one imports.
    #[error("import {0}: its layers were removed while it went on; try again")]
    Restless(PathBuf),
}

/// How far an import is. Layers are counted from 1, the lowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<'a> {
    /// An image was found.
    Image {
        /// Its digest.
        digest: &'a Digest,
        /// How many layers it has.
        layers: usize,
    },
    /// A layer is in the store already.
    Shared {
        /// Which one.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A layer is being unpacked.
    Layer {
        /// Which one.
        number: usize,
        /// How many there are.
        of: usize,
        /// Bytes of its blob that were read.
        done: u64,
        /// Bytes of its blob.
        total: u64,
    },
    /// A layer is unpacked and verified.
    Unpacked {
        /// Which one.
        number: usize,
        /// How many there are.
        of: usize,
        /// Bytes of its files.
        size: u64,
        /// Device nodes that were left out.
        devices: u64,
    },
}

/// What the store knows about a layer, in its `layer.json`.
#[derive(Debug, Serialize, Deserialize)]
struct LayerRecord {
    diff_id: Digest,
    /// Bytes of its files.
    size: u64,
    entries: u64,
    /// Device nodes that were left out.
    devices: u64,
}

/// Imports what is at `path` and gives back what is now in the index.
pub(crate) fn import(
    store: &ImageStore,
    path: &Path,
    name: Option<&ImageReference>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Record>, ImportError> {
    let staging = begin(store)?;
    let source = Source::open(path, staging.path())?;
    let found = images(&source).map_err(|source| ImportError::Manifest { path: path.into(), source })?;
    let named = named(path, &found, name)?;
    let mut import = Import { store, source: &source, staging: &staging, progress };
    for _ in 0..ATTEMPTS {
        for image in &found {
            import.stage(image)?;
        }
        syncfs(staging.handle()).map_err(|errno| io_error("synchronise", staging.path())(errno.into()))?;
        if let Some(records) = import.publish(&found, &named)? {
            return Ok(records);
        }
    }
    Err(ImportError::Restless(path.into()))
}

/// Makes the staging directory of an import; what dead processes have left is removed.
fn begin(store: &ImageStore) -> Result<Staging, StoreError> {
    let lock = store.lock()?;
    let swept = store.sweep(&lock, &Index::read(store.dir())?)?;
    let dir = store.dir().join("staging");
    let staging = Staging::new(&dir).map_err(io_error("make a directory in", &dir));
    // Removing may take its time, and nobody need wait for that.
    drop(lock);
    drop(swept);
    staging
}

/// Gives every image its names: the given one, or the source's own.
fn named(
    path: &Path,
    found: &[Found],
    given: Option<&ImageReference>,
) -> Result<Vec<(ImageReference, usize)>, ImportError> {
    let Some(name) = given else {
        let mut all = Vec::new();
        for (at, image) in found.iter().enumerate() {
            for name in &image.names {
                let reference = name.parse().map_err(|source| ImportError::BadName {
                    path: path.into(),
                    name: name.clone(),
                    source,
                })?;
                all.push((under(path, &reference, image)?, at));
            }
            if image.names.is_empty() {
                return Err(ImportError::NoName(path.into()));
            }
        }
        return Ok(all);
    };
    match found {
        [first, rest @ ..] if rest.iter().all(|other| other.digest == first.digest) => {
            Ok(vec![(under(path, name, first)?, 0)])
        }
        _ => Err(ImportError::OneName { path: path.into(), count: found.len(), name: name.clone().into() }),
    }
}

/// The name that the index has for an image: by tag, and without a tag by its digest. A digest in the name must be the
/// image's own.
fn under(path: &Path, name: &ImageReference, image: &Found) -> Result<ImageReference, ImportError> {
    match name.digest() {
        Some(digest) if *digest != image.digest => {
            Err(ImportError::OtherDigest { path: path.into(), name: name.clone().into(), found: image.digest })
        }
        _ => Ok(name.by_tag().unwrap_or_else(|| name.clone())),
    }
}

/// The chain ids of an image's layers, lowest first.
fn chains(image: &Found) -> Vec<Digest> {
    let chain = |below: &mut Option<Digest>, layer: &LayerBlob| {
        *below = Some(Digest::chain(below.as_ref(), &layer.diff_id));
        *below
    };
    image.layers.iter().scan(None, chain).collect()
}

struct Import<'a> {
    store: &'a ImageStore,
    source: &'a Source,
    staging: &'a Staging,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Import<'_> {
    /// Where a layer is built.
    fn staged(&self, chain: &Digest) -> PathBuf {
        self.staging.path().join("layers").join(chain.hex())
    }

    /// Where a layer is now, if it is anywhere.
    fn layer(&self, chain: &Digest) -> Option<PathBuf> {
        [self.store.layer(chain), self.staged(chain)].into_iter().find(|path| path.join("layer.json").exists())
    }

    /// Builds what the store does not have of an image.
    fn stage(&mut self, image: &Found) -> Result<(), ImportError> {
        (self.progress)(Progress::Image { digest: &image.digest, layers: image.layers.len() });
        let of = image.layers.len();
        let chains = chains(image);
        for (at, (layer, chain)) in image.layers.iter().zip(&chains).enumerate() {
            let number = at + 1;
            if self.layer(chain).is_some() {
                (self.progress)(Progress::Shared { number, of });
                continue;
            }
            // A layer below that is gone by now is found missing when the image is published.
            let below = chains[..at].iter().rev().filter_map(|chain| self.layer(chain));
            let below: Result<Vec<_>, _> = below.map(|path| open(&path.join("fs"))).collect();
            self.unpack(layer, chain, &below?, number, of)?;
        }
        let blobs = self.staging.path().join("blobs");
        directory(&blobs).map_err(io_error("make the directory", &blobs))?;
        for (digest, bytes) in [(&image.digest, &image.manifest), (&image.config_digest, &image.config)] {
            let path = blobs.join(digest.hex());
            fs::write(&path, bytes).map_err(io_error("write", &path))?;
        }
        Ok(())
    }

    fn unpack(
        &mut self,
        layer: &LayerBlob,
        chain: &Digest,
        below: &[OwnedFd],
        number: usize,
        of: usize,
    ) -> Result<(), ImportError> {
        let dir = self.staged(chain);
        let root = dir.join("fs");
        directory(&root).map_err(io_error("make the directory", &root))?;
        let total = layer.size;
        (self.progress)(Progress::Layer { number, of, done: 0, total });
        let list = dir.join("settle");
        let mut list = File::create_new(&list).map_err(io_error("make", &list))?;
        let limits = Limits::default();
        let position = if number == 1 { Position::Lowest } else { Position::Above };
        let blob = self.source.blob(&layer.name)?;
        let settled = list.try_clone().map_err(io_error("open", &dir))?;
        let unpacked = unpack_layer(blob, layer, position, open(&root)?, settled, &limits, &|_| {});
        let unpacked = unpacked.map_err(|source| ImportError::Layer {
            path: self.source.path().into(),
            number,
            of,
            digest: layer.digest,
            source: Box::new(source),
        })?;
        list.rewind().map_err(io_error("read", &dir))?;
        settle(open(&root)?.as_fd(), below, list, &limits).map_err(|source| ImportError::Settle {
            path: self.source.path().into(),
            number,
            of,
            source,
        })?;
        let (size, entries, devices) = (unpacked.size, unpacked.entries, unpacked.devices);
        let record = LayerRecord { diff_id: layer.diff_id, size, entries, devices };
        let path = dir.join("layer.json");
        let written = serde_json::to_vec(&record).map_err(io::Error::from).and_then(|json| fs::write(&path, json));
        written.map_err(io_error("write", &path))?;
        (self.progress)(Progress::Layer { number, of, done: total, total });
        (self.progress)(Progress::Unpacked { number, of, size, devices });
        Ok(())
    }

    /// Puts everything into the store and names it. `None` if a layer that was to be shared is gone.
    fn publish(&self, found: &[Found], named: &[(ImageReference, usize)]) -> Result<Option<Vec<Record>>, ImportError> {
        let _lock = self.store.lock()?;
        let layers: Vec<Vec<Digest>> = found.iter().map(chains).collect();
        if layers.iter().flatten().any(|chain| self.layer(chain).is_none()) {
            return Ok(None);
        }
        let dirs = ["layers", "blobs/sha256"].map(|name| self.store.dir().join(name));
        for dir in &dirs {
            directory(dir).map_err(io_error("make the directory", dir))?;
        }
        for chain in layers.iter().flatten() {
            let (from, to) = (self.staged(chain), self.store.layer(chain));
            if !to.exists() {
                fs::rename(&from, &to).map_err(io_error("put in place", &to))?;
            }
        }
        for digest in found.iter().flat_map(|image| [&image.digest, &image.config_digest]) {
            let (from, to) = (self.staging.path().join("blobs").join(digest.hex()), self.store.blob(digest));
            if from.exists() {
                fs::rename(&from, &to).map_err(io_error("put in place", &to))?;
            }
        }
        for dir in &dirs {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("synchronise", dir))?;
        }
        let sizes = layers.iter().map(|chains| chains.iter().map(|chain| self.size(chain)).sum::<Result<u64, _>>());
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let record = |(reference, at): &(ImageReference, usize)| Record {
            reference: reference.clone(),
            digest: found[*at].digest,
            config: found[*at].config_digest,
            layers: layers[*at].clone(),
            size: sizes[*at],
            platform: found[*at].configuration.platform.clone(),
            created: found[*at].configuration.created,
            imported_at: Timestamp::now(),
        };
        let records: Vec<Record> = named.iter().map(record).collect();
        let mut index = Index::read(self.store.dir()).map_err(StoreError::from)?;
        records.iter().for_each(|record| index.put(record.clone()));
        index.write(self.store.dir()).map_err(StoreError::from)?;
        Ok(Some(records))
    }

    fn size(&self, chain: &Digest) -> Result<u64, StoreError> {
        let path = self.store.layer(chain).join("layer.json");
        let read = fs::read(&path).and_then(|json| Ok(serde_json::from_slice::<LayerRecord>(&json)?));
        Ok(read.map_err(io_error("read", &path))?.size)
    }
}

fn open(dir: &Path) -> Result<OwnedFd, StoreError> {
    File::open(dir).map(OwnedFd::from).map_err(io_error("open", dir))
}

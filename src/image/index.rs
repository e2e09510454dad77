//! The store's index: which images there are, by name. One small file, read whole without a lock and written whole under
//! the store's lock. Called by `store` and `publish`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::Platform;
use super::digest::Digest;
use super::reference::ImageReference;

const SCHEMA: u32 = 1;

/// Why the index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Reading it.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Its content.
    #[error("{path} is not an index of images")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Written by a later version.
    #[error("{path} has schema {found}; this version knows {SCHEMA}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: u32,
    },
    /// Writing it.
    #[error("write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The index.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    schema: u32,
    /// Sorted by name.
    pub(crate) images: Vec<Record>,
}

/// One name of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// By tag; by digest where the image has no tag, or has lost it to a newer image.
    pub(crate) reference: ImageReference,
    /// The manifest's digest.
    pub(crate) digest: Digest,
    /// The configuration's digest.
    pub(crate) config: Digest,
    /// The chain ids of the layers, lowest first.
    pub(crate) layers: Vec<Digest>,
    /// Bytes of all files of all layers.
    pub(crate) size: u64,
    pub(crate) platform: Platform,
    pub(crate) created: Option<Timestamp>,
    pub(crate) imported_at: Timestamp,
    #[serde(default)]
    pub(crate) origin: Origin,
}

/// Where an image came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Origin {
    /// A file or a directory: no registry is ever asked for it.
    #[default]
    Import,
    /// The registry in its name.
    Registry {
        /// The digest that the registry has for the name: of the manifest, or of the index that lists it.
        digest: Digest,
    },
}

impl Origin {
    /// The digest that the registry has for the name.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Import => None,
            Self::Registry { digest } => Some(digest),
        }
    }
}

impl Index {
    /// Reads the index of the store in `dir`. A store without one has no images.
    pub(crate) fn read(dir: &Path) -> Result<Self, IndexError> {
        let path = dir.join("index.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { schema: SCHEMA, images: Vec::new() });
            }
            Err(source) => return Err(IndexError::Read { path, source }),
        };
        let index: Self =
            serde_json::from_slice(&bytes).map_err(|source| IndexError::Json { path: path.clone(), source })?;
        if index.schema == SCHEMA { Ok(index) } else { Err(IndexError::Schema { path, found: index.schema }) }
    }

    /// Writes the index, so that it lasts. Only under the store's lock.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), IndexError> {
        let path = dir.join("index.json");
        let temporary = dir.join("index.json.new");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(|source| IndexError::Write { path: path.clone(), source })
    }

    /// The record that a reference names. A digest names the image whatever tag stands beside it, as for Docker.
    pub(crate) fn find(&self, reference: &ImageReference) -> Option<&Record> {
        self.images.iter().find(|record| record.is(reference))
    }

    /// Adds a record. An image that had the name before keeps its digest for a name: a task may run it.
    pub(crate) fn put(&mut self, record: Record) {
        if let Some(at) = self.images.iter().position(|old| old.reference == record.reference) {
            let old = self.images.remove(at);
            let by_digest = old.reference.by_digest(old.digest);
            let known = self.images.iter().any(|other| other.digest == old.digest);
            if old.digest != record.digest && !known {
                self.images.push(Record { reference: by_digest, ..old });
            }
        }
        // What had lost its name has one again.
        let nameless = record.reference.by_digest(record.digest);
        if record.reference != nameless {
            self.images.retain(|other| other.reference != nameless);
        }
        self.images.push(record);
        self.images.sort_by(|a, b| a.reference.cmp(&b.reference));
    }
}

impl Record {
    /// Whether a digest means this image: its manifest's, or its index's at the registry.
    fn has(&self, digest: &Digest) -> bool {
        self.digest == *digest || self.origin.digest() == Some(digest)
    }

    fn is(&self, reference: &ImageReference) -> bool {
        match reference.digest() {
            Some(digest) => self.has(digest) && self.reference.repository() == reference.repository(),
            None => self.reference == *reference,
        }
    }
}

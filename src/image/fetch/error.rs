//! Why a fetch came to nothing: the error, and what kind of failure it is for whoever asked for the fetch.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::super::digest::Digest;
use super::super::layer::LayerError;
use super::super::manifest::ManifestError;
use super::super::pulled::Unavailable;
use super::super::reference::{ImageReference, ReferenceError};
use super::super::registry::RegistryError;
use super::super::request::{Failure, FailureKind};
use super::super::source::SourceError;

/// Why a fetch came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path of an import.
    #[error("import")]
    Source(#[from] SourceError),
    /// The image's documents.
    #[error("{what}")]
    Manifest {
        /// What was asked for: `import PATH`, `NAME`.
        what: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] Unavailable),
    /// A layer.
    #[error("{what}: layer {number} of {of}, {digest}")]
    Layer {
        /// What was asked for.
        what: String,
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
    /// No space for a layer.
    #[error(
        "{what}: layer {number} of {of}, {digest}, needs {needed} bytes at least, and {free} are free in {path}: no space left \
         on device"
    )]
    Space {
        /// What was asked for.
        what: String,
        /// Which one, counted from 1 at the bottom.
        number: usize,
        /// How many there are.
        of: usize,
        /// The digest of its blob.
        digest: Digest,
        /// Bytes of its blob.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Where.
        path: PathBuf,
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
    #[error("{what}: it is {found}, not {name}")]
    OtherDigest {
        /// What was asked for.
        what: String,
        /// The name given.
        name: Box<ImageReference>,
        /// The digest of the image.
        found: Digest,
    },
    /// A document of the image is not text.
    #[error("{what}: the document {digest} is not UTF-8")]
    NotText {
        /// What was asked for.
        what: String,
        /// Which document.
        digest: Digest,
    },
    /// The staging directory.
    #[error("{act} in {path}")]
    Staging {
        /// What was being done.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another layer failed.
    #[error("given up because another layer failed")]
    Cancelled,
}

impl FetchError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Layer { source, .. } if source.is_full() => FailureKind::Space,
            Self::Staging { source, .. } | Self::Source(SourceError::Spool { source, .. }) if is_full(source) => {
                FailureKind::Space
            }
            Self::Source(_) | Self::NoName(_) | Self::BadName { .. } | Self::OneName { .. } => FailureKind::Source,
            Self::Registry(source) => source.kind(),
            Self::Manifest { source, .. } => source.kind(),
            Self::Layer { source, .. } if matches!(**source, LayerError::Read(_)) => FailureKind::Source,
            Self::Layer { .. } => FailureKind::Content,
            Self::Space { .. } => FailureKind::Space,
            Self::OtherDigest { .. } | Self::NotText { .. } => FailureKind::Content,
            Self::Staging { .. } | Self::Cancelled => FailureKind::Store,
        }
    }
}

impl From<RegistryError> for FetchError {
    fn from(error: RegistryError) -> Self {
        Unavailable::from(error).into()
    }
}

impl From<&FetchError> for Failure {
    fn from(error: &FetchError) -> Self {
        Self { kind: error.kind(), message: chain(error) }
    }
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Whether the file system is full, or somebody's share of it.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOSPC | Errno::EDQUOT))
}

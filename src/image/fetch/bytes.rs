//! The bytes of a layer's blob, from wherever the fetch has them, until another layer fails. Called by `layers`.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::layer::LayerBlob;
use super::super::pulled::Unavailable;
use super::super::registry::{self, Repository};
use super::super::source::{self, Source};
use super::FetchError;

/// Where blobs are.
pub(super) enum Blobs<'a> {
    Source(&'a Source),
    Registry(&'a Repository),
}

impl Blobs<'_> {
    /// Begins to read a blob.
    pub(super) fn open<'a>(&'a self, layer: &LayerBlob, cancelled: &'a AtomicBool) -> Result<Bytes<'a>, FetchError> {
        let from = match self {
            Self::Source(source) => From::Source(source.blob(&layer.name)?),
            Self::Registry(repository) => From::Registry(repository.blob(&layer.digest, layer.size)?.into()),
        };
        Ok(Bytes { from, cancelled })
    }
}

/// A blob that is being read.
pub(super) struct Bytes<'a> {
    from: From<'a>,
    cancelled: &'a AtomicBool,
}

enum From<'a> {
    Source(source::Blob),
    Registry(Box<registry::Blob<'a>>),
}

impl Bytes<'_> {
    /// Why reading failed, if the reason is a registry's.
    pub(super) fn failure(&mut self) -> Option<Unavailable> {
        match &mut self.from {
            From::Source(_) => None,
            From::Registry(blob) => blob.failure().map(Unavailable::from),
        }
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other(FetchError::Cancelled));
        }
        match &mut self.from {
            From::Source(blob) => blob.read(buffer),
            From::Registry(blob) => blob.read(buffer),
        }
    }
}

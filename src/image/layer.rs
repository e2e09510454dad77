//! One layer on its way from a blob to a tree: bytes are counted, hashed, decompressed, counted and hashed again, and
//! unpacked, in one pass and in bounded memory. The tree may be used only if this returned without an error. Called by
//! `import`.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::compress::Decoder;
use super::digest::{Digest, HashingReader};
use super::rules::Limits;
use super::source::{Source, SourceError};
use super::unpack::{UnpackError, Unpacked, unpack};

/// How many compressed bytes lie between two reports of progress.
const STEP: u64 = 4 << 20;

/// A layer as a manifest and a configuration describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerBlob {
    /// The blob's name in the source.
    pub(crate) name: String,
    /// The digest of the blob.
    pub(crate) digest: Digest,
    /// The size of the blob in bytes.
    pub(crate) size: u64,
    /// The digest of the uncompressed bytes.
    pub(crate) diff_id: Digest,
}

/// Why a layer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The blob itself.
    #[error("the layer's blob")]
    Source(#[from] SourceError),
    /// The blob's size is not what the manifest says.
    #[error("the blob has {found} bytes; the manifest says {expected}")]
    Size {
        /// Bytes that there are.
        found: u64,
        /// Bytes that the manifest says.
        expected: u64,
    },
    /// The blob's digest is not what the manifest says.
    #[error("the blob's digest is {found}")]
    Digest {
        /// The digest of the bytes.
        found: Digest,
    },
    /// The uncompressed bytes' digest is not what the configuration says.
    #[error("the uncompressed layer's digest is {found}; the image's configuration says {expected}")]
    DiffId {
        /// The digest of the bytes.
        found: Digest,
        /// The digest that the configuration says.
        expected: Digest,
    },
    /// The stream.
    #[error("decompress the layer")]
    Decompress(#[source] io::Error),
    /// The archive in it.
    #[error("unpack the layer")]
    Unpack(#[from] UnpackError),
}

/// A layer over its limits; found inside a reader, so it travels in an `io::Error`.
#[derive(Debug, thiserror::Error)]
enum TooMuch {
    #[error("the uncompressed layer is larger than {0} bytes")]
    Bytes(u64),
    #[error("the layer grows more than {0}-fold when it is uncompressed")]
    Ratio(u64),
}

/// Verifies a layer and unpacks it into `root`, an empty directory. `below` are the layers under it, topmost first.
/// `progress` is told how many bytes of the blob were read.
pub(crate) fn unpack_layer(
    source: &Source,
    layer: &LayerBlob,
    root: OwnedFd,
    below: &[OwnedFd],
    limits: &Limits,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, LayerError> {
    let blob = source.blob(&layer.name)?;
    if blob.size() != layer.size {
        return Err(LayerError::Size { found: blob.size(), expected: layer.size });
    }
    let read = Rc::new(Cell::new(0));
    let counted = Counted { inner: HashingReader::new(blob), count: Rc::clone(&read), told: 0, progress };
    let decoder = Decoder::new(BufReader::with_capacity(128 << 10, counted)).map_err(LayerError::Decompress)?;
    let bounded = Bounded { inner: decoder, compressed: read, count: 0, limits };
    let stream = BufReader::with_capacity(64 << 10, HashingReader::new(bounded));
    match unpack(stream, root, below, limits) {
        Ok((unpacked, stream)) => verify(layer, stream.into_inner()).map(|()| unpacked),
        // Damaged bytes make all kinds of errors; that they are damaged is what one wants to know.
        Err(UnpackError::Archive(error)) => match source.digest(&layer.name)? {
            found if found == layer.digest => Err(UnpackError::Archive(error).into()),
            found => Err(LayerError::Digest { found }),
        },
        Err(error) => Err(error.into()),
    }
}

type Stream<'a> = HashingReader<Bounded<'a, Decoder<BufReader<Counted<'a, HashingReader<super::source::Blob>>>>>>;

fn verify(layer: &LayerBlob, mut stream: Stream<'_>) -> Result<(), LayerError> {
    let diff_id = stream.digest();
    let blob = stream.get_mut().inner.get_mut();
    io::copy(blob, &mut io::sink()).map_err(LayerError::Decompress)?;
    let digest = blob.get_ref().inner.digest();
    if digest != layer.digest {
        return Err(LayerError::Digest { found: digest });
    }
    if diff_id != layer.diff_id {
        return Err(LayerError::DiffId { found: diff_id, expected: layer.diff_id });
    }
    Ok(())
}

/// Counts the bytes of a blob and reports them.
struct Counted<'a, R> {
    inner: R,
    count: Rc<Cell<u64>>,
    told: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let count = self.count.get() + length as u64;
        self.count.set(count);
        if count - self.told >= STEP {
            self.told = count;
            (self.progress)(count);
        }
        Ok(length)
    }
}

/// Stops a stream that is over the limits.
struct Bounded<'a, R> {
    inner: R,
    compressed: Rc<Cell<u64>>,
    count: u64,
    limits: &'a Limits,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        let Limits { bytes, ratio, ratio_from, .. } = *self.limits;
        if self.count > bytes {
            return Err(io::Error::other(TooMuch::Bytes(bytes)));
        }
        if self.count > ratio_from && self.count / ratio > self.compressed.get() {
            return Err(io::Error::other(TooMuch::Ratio(ratio)));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::super::testing::{Tar, gzip, zstd};
    use super::*;

    const SMALL: Limits = Limits { bytes: 8 << 20, entries: 100, ratio: 50, ratio_from: 1 << 20 };

    /// Unpacks a blob and says how many bytes are in the tree afterwards.
    fn unpacked(
        blob: &[u8],
        layer: impl FnOnce(&mut LayerBlob),
        diff_id: Digest,
    ) -> (Result<Unpacked, LayerError>, u64) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("blob"), blob).unwrap();
        let (digest, size) = (Digest::of(blob), blob.len() as u64);
        let mut described = LayerBlob { name: "blob".into(), digest, size, diff_id };
        layer(&mut described);
        let source = Source::open(dir.path(), Path::new("/")).unwrap();
        let root = File::open(dir.path().join("root")).unwrap().into();
        let result = unpack_layer(&source, &described, root, &[], &SMALL, &mut |_| {});
        let files = fs::read_dir(dir.path().join("root")).unwrap();
        (result, files.map(|file| file.unwrap().metadata().unwrap().len()).sum())
    }

    #[test]
    fn plain_gzip_and_zstd_layers_are_verified_and_unpacked() {
        let layer = Tar::default().file("a", "content").end();
        for blob in [layer.clone(), gzip(&layer), zstd(&layer)] {
            let (result, size) = unpacked(&blob, |_| {}, Digest::of(&layer));
            assert_eq!((result.unwrap().size, size), (7, 7));
        }
    }

    #[test]
    fn bytes_behind_the_end_of_the_archive_are_part_of_its_digest() {
        let layer = [Tar::default().file("a", "content").end(), vec![7; 3000]].concat();
        assert!(unpacked(&gzip(&layer), |_| {}, Digest::of(&layer)).0.is_ok());
    }

    #[test]
    fn a_wrong_size_or_digest_is_an_error() {
        let layer = Tar::default().file("a", "content").end();
        let id = Digest::of(&layer);
        let other = other_digest();
        let is = |result: (Result<_, LayerError>, u64), expected: fn(&LayerError) -> bool| {
            assert!(expected(&result.0.unwrap_err()));
        };
        is(unpacked(&layer, |layer| layer.size += 1, id), |error| matches!(error, LayerError::Size { .. }));
        is(unpacked(&layer, |layer| layer.digest = other_digest(), id), |e| matches!(e, LayerError::Digest { .. }));
        is(unpacked(&gzip(&layer), |_| {}, other), |error| matches!(error, LayerError::DiffId { .. }));
        let mut damaged = gzip(&layer);
        damaged[20] ^= 1;
        let digest = Digest::of(&gzip(&layer));
        is(unpacked(&damaged, |layer| layer.digest = digest, id), |e| matches!(e, LayerError::Digest { .. }));
    }

    fn other_digest() -> Digest {
        Digest::of(b"other")
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let layer = Tar::default().file("a", &"\0".repeat(6 << 20)).end();
        for blob in [gzip(&layer), zstd(&layer)] {
            let (result, size) = unpacked(&blob, |_| {}, Digest::of(&layer));
            let error = result.unwrap_err();
            assert!(chain(&error).contains("grows more than 50-fold"), "{}", chain(&error));
            assert!(size <= 2 << 20, "{size}");
        }
        let large = Tar::default().file("a", &"x".repeat(9 << 20)).end();
        let (result, size) = unpacked(&large, |_| {}, Digest::of(&large));
        assert!(chain(&result.unwrap_err()).contains("larger than 8388608 bytes"));
        assert!(size <= 8 << 20, "{size}");
    }

    fn chain(error: &dyn std::error::Error) -> String {
        format!("{error}: {}", error.source().map(chain).unwrap_or_default())
    }
}

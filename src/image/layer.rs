//! One layer on its way from a blob to a tree: bytes are counted, hashed, decompressed, counted and hashed again, and
//! unpacked, in one pass and in bounded memory. The tree may be used only if this returned without an error. Called by
//! `import`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread;

use super::compress::Decoder;
use super::digest::{Digest, Hasher, HashingReader};
use super::pipe::{BUFFER, PipeWriter, pipe};
use super::rules::Limits;
use super::unpack::{UnpackError, unpack};

pub(crate) use super::trail::Position;
pub(crate) use super::unpack::Unpacked;

/// How many compressed bytes lie between two reports of progress.
const STEP: u64 = 1 << 20;

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
    /// The blob cannot be read; the source is the reader's own error.
    #[error("read the blob")]
    Read(#[source] io::Error),
    /// The blob is shorter than the manifest says.
    #[error("the blob has {found} bytes; the manifest says {expected}")]
    Size {
        /// Bytes that there are.
        found: u64,
        /// Bytes that the manifest says.
        expected: u64,
    },
    /// The blob is longer than the manifest says.
    #[error("the blob has more than the {0} bytes that the manifest says")]
    Longer(u64),
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
    /// More uncompressed bytes than the limit.
    #[error("the uncompressed layer is larger than {0} bytes")]
    Bytes(u64),
    /// More uncompressed bytes for each compressed one than the limit.
    #[error("the layer grows more than {0}-fold when it is uncompressed")]
    Ratio(u64),
    /// The thread that decompresses.
    #[error("start a thread")]
    Thread(#[source] io::Error),
    /// The archive in it.
    #[error("unpack the layer")]
    Unpack(#[from] UnpackError),
}

impl LayerError {
    /// Whether the disk, or somebody's share of it, is full.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&dyn Error> = Some(self);
        while let Some(error) = cause {
            let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            if matches!(code, Some(libc::ENOSPC | libc::EDQUOT)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Verifies a layer and unpacks it into `root`, an empty directory; what is left to do for it goes to the file `settle`.
/// `progress` is told how many bytes of the blob were read, from another thread.
pub(crate) fn unpack_layer<R: Read + Send>(
    blob: R,
    layer: &LayerBlob,
    position: Position,
    root: OwnedFd,
    settle: File,
    limits: &Limits,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, LayerError> {
    let mut blob = Blob { inner: HashingReader::new(blob), size: layer.size, read: 0, told: 0, progress, error: None };
    let (writer, reader) = pipe();
    let (plain, unpacked) = thread::scope(|scope| {
        let inflating = thread::Builder::new().name("inflate".into());
        let inflating = inflating.spawn_scoped(scope, || inflate(&mut blob, limits, writer))?;
        // The reader goes with `unpack`, and so the other thread ends too.
        let unpacked = unpack(reader, root, position, settle, limits).map(|(unpacked, _)| unpacked);
        Ok((inflating.join().unwrap_or_else(|panic| resume_unwind(panic)), unpacked))
    })
    .map_err(LayerError::Thread)?;
    if let Some(error) = blob.error.take() {
        return Err(LayerError::Read(error));
    }
    let verified = match (plain, unpacked) {
        (Err(Stop::Limit(error)), _) => return Err(error),
        (Err(Stop::Damage(error)), _) => Err(LayerError::Decompress(error)),
        (Ok(_), Err(error @ UnpackError::Archive(_))) => Err(error.into()),
        (Ok(_), Err(error)) => return Err(error.into()),
        (Ok(found), Ok(_)) if found != layer.diff_id => Err(LayerError::DiffId { found, expected: layer.diff_id }),
        (Ok(_), Ok(unpacked)) => Ok(unpacked),
    };
    // Damaged bytes make all kinds of errors; that they are damaged is what one wants to know.
    match blob.finish()? {
        found if found != layer.digest => Err(LayerError::Digest { found }),
        _ => verified,
    }
}

/// Decompresses a blob into a pipe, as far as the limits and whoever reads the pipe let it; gives the digest of the
/// uncompressed bytes.
fn inflate<R: Read>(blob: &mut Blob<'_, R>, limits: &Limits, pipe: PipeWriter) -> Result<Digest, Stop> {
    let blob = BufReader::with_capacity(BUFFER, blob);
    let decoder = Decoder::new(blob).map_err(Stop::Damage)?;
    let mut plain = Plain { inner: decoder, limits, count: 0, hash: Hasher::default() };
    pipe.fill(|buffer| plain.read(buffer))?;
    Ok(plain.hash.digest())
}

/// A blob: counts its bytes, hashes them, and keeps its error apart from what readers above make of it.
struct Blob<'a, R> {
    inner: HashingReader<R>,
    size: u64,
    read: u64,
    told: u64,
    progress: &'a (dyn Fn(u64) + Sync),
    error: Option<io::Error>,
}

impl<R: Read> Blob<'_, R> {
    /// Reads what is left and gives the digest of all.
    fn finish(&mut self) -> Result<Digest, LayerError> {
        if let Some(error) = self.error.take() {
            return Err(LayerError::Read(error));
        }
        io::copy(self, &mut io::sink()).map_err(LayerError::Read)?;
        (self.progress)(self.read);
        if self.read < self.size {
            return Err(LayerError::Size { found: self.read, expected: self.size });
        }
        let digest = self.inner.digest();
        let more = self.inner.get_mut().take(1).read(&mut [0; 1]).map_err(LayerError::Read)?;
        if more == 0 { Ok(digest) } else { Err(LayerError::Longer(self.size)) }
    }
}

impl<R: Read> Read for Blob<'_, R> {
    /// Reads as far as the manifest says that it goes.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.read).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let length = match self.inner.read(&mut buffer[..length]) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.error = Some(error);
                return Err(io::Error::other("the blob cannot be read"));
            }
        };
        self.read += length as u64;
        if self.read - self.told >= STEP {
            self.told = self.read;
            (self.progress)(self.read);
        }
        Ok(length)
    }
}

/// Why there are no more uncompressed bytes.
enum Stop {
    Limit(LayerError),
    Damage(io::Error),
}

/// The uncompressed bytes, as far as the limits let them come.
struct Plain<'a, R> {
    inner: Decoder<BufReader<R>>,
    limits: &'a Limits,
    count: u64,
    hash: Hasher,
}

impl<R: Read> Plain<'_, &mut Blob<'_, R>> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let length = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(Stop::Damage)?,
            }
        };
        self.count += length as u64;
        let Limits { bytes, ratio, ratio_from, .. } = *self.limits;
        if self.count > bytes {
            return Err(Stop::Limit(LayerError::Bytes(bytes)));
        }
        if self.count > ratio_from && self.count / ratio > self.inner.get_mut().get_ref().read {
            return Err(Stop::Limit(LayerError::Ratio(ratio)));
        }
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Tar, gzip, zstd};
    use super::*;
    use std::fs::{self, File};

    const SMALL: Limits = Limits { bytes: 8 << 20, entries: 100, ratio: 50, ratio_from: 1 << 20, settle: 1 << 20 };

    /// Unpacks a blob and says how many bytes are in the tree afterwards.
    fn unpacked(
        blob: &[u8],
        layer: impl FnOnce(&mut LayerBlob),
        diff_id: Digest,
    ) -> (Result<Unpacked, LayerError>, u64) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let (digest, size) = (Digest::of(blob), blob.len() as u64);
        let mut described = LayerBlob { name: "blob".into(), digest, size, diff_id };
        layer(&mut described);
        let root = File::open(dir.path().join("root")).unwrap().into();
        let settle = tempfile::tempfile().unwrap();
        let result = unpack_layer(blob, &described, Position::Lowest, root, settle, &SMALL, &|_| {});
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

    #[test]
    fn a_blob_longer_than_the_manifest_says_is_refused() {
        let layer = Tar::default().file("a", "content").end();
        let (result, _) = unpacked(&[&gzip(&layer)[..], b"x"].concat(), |blob| blob.size -= 1, Digest::of(&layer));
        assert!(matches!(result, Err(LayerError::Digest { .. } | LayerError::Longer(_))));
        let (result, _) = unpacked(
            &[&layer[..], &[0; 10]].concat(),
            |blob| {
                (blob.size, blob.digest) = (layer.len() as u64, Digest::of(&layer));
            },
            Digest::of(&layer),
        );
        assert!(matches!(result, Err(LayerError::Longer(_))));
    }

    #[test]
    fn what_the_blobs_reader_says_is_what_one_is_told() {
        struct Cut;
        impl Read for Cut {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the registry went away"))
            }
        }
        let layer = Tar::default().file("a", &"x".repeat(1 << 20)).end();
        for part in [0, 1, 600, 1 << 19] {
            for blob in [&layer[..part], &gzip(&layer)[..part.min(500)]] {
                let described =
                    LayerBlob { name: "blob".into(), digest: other_digest(), size: 1 << 21, diff_id: other_digest() };
                let dir = tempfile::tempdir().unwrap();
                let root = File::open(dir.path()).unwrap().into();
                let settle = tempfile::tempfile().unwrap();
                let error = unpack_layer(blob.chain(Cut), &described, Position::Lowest, root, settle, &SMALL, &|_| {});
                let error = error.unwrap_err();
                assert!(
                    matches!(&error, LayerError::Read(e) if e.to_string() == "the registry went away"),
                    "{error:?}"
                );
            }
        }
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
            assert!(size <= (1 << 20) + 51 * blob.len() as u64, "{size} of {}", blob.len());
        }
        let large = Tar::default().file("a", &"x".repeat(9 << 20)).end();
        let (result, size) = unpacked(&large, |_| {}, Digest::of(&large));
        assert!(chain(&result.unwrap_err()).contains("larger than 8388608 bytes"));
        assert!(size <= 8 << 20, "{size}");
    }

    #[test]
    fn a_full_disk_is_recognised_however_deep_it_is_in_the_error() {
        let entry =
            |code| UnpackError::Entry { entry: "`a`".into(), act: "write", source: io::Error::from_raw_os_error(code) };
        assert!(LayerError::from(entry(libc::ENOSPC)).is_full());
        assert!(LayerError::Read(io::Error::from_raw_os_error(libc::EDQUOT)).is_full());
        assert!(!LayerError::from(entry(libc::EIO)).is_full());
    }

    fn chain(error: &dyn std::error::Error) -> String {
        format!("{error}: {}", error.source().map(chain).unwrap_or_default())
    }
}

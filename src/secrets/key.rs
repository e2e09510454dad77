//! The key file: 32 random bytes, root's alone. Made with the first secret, and never again: a store whose key is gone is
//! not given another one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use ring::rand::{SecureRandom, SystemRandom};

use super::error::SecretError;

/// A key's length, in bytes (ChaCha20-Poly1305).
const LENGTH: usize = 32;

/// A key. Not printed.
pub(super) struct Key(pub(super) [u8; LENGTH]);

impl Key {
    /// Reads the key; `None` if there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, SecretError> {
        let Some(bytes) = read_private(path, LENGTH as u64)? else { return Ok(None) };
        let key = bytes.try_into().map_err(|_| SecretError::Key { path: path.to_owned() })?;
        Ok(Some(Self(key)))
    }

    /// Makes a key and its file. The caller holds the store's lock.
    pub(super) fn make(path: &Path) -> Result<Self, SecretError> {
        let mut key = [0; LENGTH];
        SystemRandom::new().fill(&mut key).map_err(|_| SecretError::Random)?;
        replace(path, &key)?;
        Ok(Self(key))
    }
}

/// Reads a file that nobody else may read or change, and that is not longer than `limit` bytes by more than one.
pub(super) fn read_private(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::File { verb: "read", path: path.to_owned(), source };
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    let own = metadata.uid() == nix::unistd::geteuid().as_raw();
    if !metadata.is_file() || !own || metadata.mode() & 0o077 != 0 {
        return Err(SecretError::Open { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Writes a file whole, closed to all others, and to the disk.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    write(path, bytes).map_err(|source| SecretError::File { verb: "write", path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let new = path.with_extension("new");
    // Whoever left one was killed in the middle; the lock says that nobody is at it now.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It is not what anybody wants to find.
        let _ = fs::remove_file(&new);
    }
    written?;
    File::open(directory)?.sync_all()
}

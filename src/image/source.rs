//! Where an image is imported from: a directory, or an archive (plain or compressed) whose members are found by one pass
//! over its headers. Either way: named blobs, with their sizes known before a byte is read. Called by `fetch`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::compress::{Compression, Decoder};
use super::digest::{Digest, HashingReader};
use super::tarball::{Kind, TarError, TarReader};
use crate::sys::beneath::open_beneath;

/// The most members of an archive: some hundred images, with all their layers.
const MEMBERS_MAX: usize = 20_000;
/// The longest name of a member, in bytes.
const MEMBER_NAME_MAX: usize = 512;
/// How many links lead from one member to the next at most: old `docker save` links repeated layers.
const LINKS_MAX: usize = 8;
/// The most bytes that a compressed archive may unpack to.
const ARCHIVE_MAX: u64 = 256 << 30;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The path itself.
    #[error("open {path}")]
    Open {
        /// What was given.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Not a file, nor a directory, nor a pipe.
    #[error("{0} is neither a directory nor an archive")]
    NotSource(PathBuf),
    /// The archive's own headers.
    #[error("{path} is not a tar archive")]
    Archive {
        /// What was given.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: TarError,
    },
    /// Decompressing the archive, or copying what cannot be read twice.
    #[error("unpack {path}")]
    Spool {
        /// What was given.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// More members than an archive of images has.
    #[error("{0} has more than {MEMBERS_MAX} members")]
    Members(PathBuf),
    /// A blob that is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A blob that is a directory, a link, a device.
    #[error("{0} is not a regular file")]
    NotFile(String),
    /// A document over its limit.
    #[error("{name} is larger than {limit} bytes")]
    TooLarge {
        /// The blob.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// A blob that cannot be read.
    #[error("read {name}")]
    Read {
        /// The blob.
        name: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// An opened source.
pub(crate) struct Source {
    kind: SourceKind,
}

enum SourceKind {
    Directory(File),
    Archive(File, HashMap<String, Member>),
}

enum Member {
    At { offset: u64, size: u64 },
    Link(String),
}

impl Source {
    /// Looks into a directory or an archive that was opened as `path`. What is compressed, or cannot be read twice, is
    /// first copied to the file that `spool` gives.
    pub(crate) fn of(file: File, path: &Path, spool: impl FnOnce() -> io::Result<File>) -> Result<Self, SourceError> {
        let failed = |source: io::Error| SourceError::Open { path: path.into(), source };
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            return Ok(Self { kind: SourceKind::Directory(file) });
        }
        let mut start = [0; 4];
        let archive = if kind.is_file() {
            let length = file.read_at(&mut start, 0).map_err(failed)?;
            match Compression::of(&start[..length]) {
                Compression::None => file,
                Compression::Gzip | Compression::Zstd => spooled(file, path, spool)?,
            }
        } else if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
            spooled(file, path, spool)?
        } else {
            return Err(SourceError::NotSource(path.into()));
        };
        let members = members(&archive, path)?;
        Ok(Self { kind: SourceKind::Archive(archive, members) })
    }

    /// Whether there is a blob of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.blob(name).is_ok()
    }

    /// A blob, to be read as often as one likes.
    pub(crate) fn blob(&self, name: &str) -> Result<Blob, SourceError> {
        match &self.kind {
            SourceKind::Directory(dir) => {
                // Without O_NONBLOCK a FIFO of that name would hold us up.
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
                let file = open_beneath(dir.as_fd(), name, flags).map_err(|errno| match errno {
                    Errno::ENOENT | Errno::ENOTDIR => SourceError::Missing(name.into()),
                    Errno::ELOOP => SourceError::NotFile(name.into()),
                    errno => SourceError::Read { name: name.into(), source: errno.into() },
                })?;
                let file = File::from(file);
                let metadata = file.metadata().map_err(|source| SourceError::Read { name: name.into(), source })?;
                if !metadata.is_file() {
                    return Err(SourceError::NotFile(name.into()));
                }
                Ok(Blob { file, position: 0, end: metadata.len() })
            }
            SourceKind::Archive(file, members) => {
                let (offset, size) = find(members, name)?;
                let file = file.try_clone().map_err(|source| SourceError::Read { name: name.into(), source })?;
                Ok(Blob { file, position: offset, end: offset + size })
            }
        }
    }

    /// A small blob, whole; its size is looked at before it is read.
    pub(crate) fn document(&self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let mut blob = self.blob(name)?;
        if blob.size() > limit {
            return Err(SourceError::TooLarge { name: name.into(), limit });
        }
        let mut bytes = Vec::new();
        blob.read_to_end(&mut bytes).map_err(|source| SourceError::Read { name: name.into(), source })?;
        Ok(bytes)
    }

    /// How a blob is compressed.
    pub(crate) fn compression(&self, name: &str) -> Result<Compression, SourceError> {
        let mut start = Vec::new();
        let read = self.blob(name)?.take(4).read_to_end(&mut start);
        read.map(|_| Compression::of(&start)).map_err(|source| SourceError::Read { name: name.into(), source })
    }

    /// The digest of a blob's bytes.
    pub(crate) fn digest(&self, name: &str) -> Result<Digest, SourceError> {
        let mut reader = HashingReader::new(self.blob(name)?);
        let mut buffer = vec![0; 128 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(reader.digest()),
                Ok(_) => {}
                Err(source) => return Err(SourceError::Read { name: name.into(), source }),
            }
        }
    }
}

/// The bytes of a blob.
#[derive(Debug)]
pub(crate) struct Blob {
    file: File,
    position: u64,
    end: u64,
}

impl Blob {
    /// How many bytes are left.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.position
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.size()).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..length], self.position)?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into()); // the file shrank, or the archive is cut off
        }
        self.position += read as u64;
        Ok(read)
    }
}

/// Copies a stream, uncompressed.
fn spooled(file: File, path: &Path, spool: impl FnOnce() -> io::Result<File>) -> Result<File, SourceError> {
    let failed = |source: io::Error| SourceError::Spool { path: path.into(), source };
    let mut copy = spool().map_err(failed)?;
    let mut stream = Decoder::new(BufReader::with_capacity(128 << 10, file)).map_err(failed)?;
    let copied = io::copy(&mut Read::by_ref(&mut stream).take(ARCHIVE_MAX), &mut copy).map_err(failed)?;
    if copied == ARCHIVE_MAX {
        return Err(SourceError::TooLarge { name: path.display().to_string(), limit: ARCHIVE_MAX });
    }
    Ok(copy)
}

/// Finds the members of an archive. Of two with one name the last counts, as for every reader of tar.
fn members(archive: &File, path: &Path) -> Result<HashMap<String, Member>, SourceError> {
    let failed = |source| SourceError::Archive { path: path.into(), source };
    let mut file = archive.try_clone().map_err(|source| failed(TarError::Read(source)))?;
    io::Seek::rewind(&mut file).map_err(|source| failed(TarError::Read(source)))?;
    let mut tar = TarReader::new(file);
    let mut members = HashMap::new();
    while let Some(entry) = tar.next_seeking().map_err(failed)? {
        let name = String::from_utf8_lossy(&entry.path).trim_start_matches("./").to_owned();
        if name.len() > MEMBER_NAME_MAX {
            continue; // nothing that we look for has such a name
        }
        let member = match entry.kind {
            Kind::File => Member::At { offset: tar.position(), size: entry.size },
            Kind::Hardlink => Member::Link(String::from_utf8_lossy(&entry.link).into_owned()),
            Kind::Symlink => Member::Link(beside(&name, &String::from_utf8_lossy(&entry.link))),
            Kind::Directory | Kind::Fifo | Kind::Device => continue,
        };
        members.insert(name, member);
        if members.len() > MEMBERS_MAX {
            return Err(SourceError::Members(path.into()));
        }
    }
    Ok(members)
}

/// The member that a symbolic link names from where it stands. Only a key to look up: no path is ever made of it.
fn beside(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn find(members: &HashMap<String, Member>, name: &str) -> Result<(u64, u64), SourceError> {
    let mut at = name;
    for _ in 0..LINKS_MAX {
        match members.get(at) {
            None => return Err(SourceError::Missing(name.into())),
            Some(Member::At { offset, size }) => return Ok((*offset, *size)),
            Some(Member::Link(target)) => at = target,
        }
    }
    Err(SourceError::NotFile(name.into()))
}

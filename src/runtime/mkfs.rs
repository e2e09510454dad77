//! New file systems, by the programs that know how: `mke2fs` and `mkfs.xfs`. Called by `disk`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::plan::volume::FileSystemKind;

/// There is no new file system.
#[derive(Debug, thiserror::Error)]
pub enum MkfsError {
    /// The program is not there.
    #[error("{program} is not installed on this host: apt-get install {package}")]
    Absent {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// It could not be run.
    #[error("run {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program}: {message}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it said.
        message: String,
    },
}

/// Where administrators' programs are; a worker has no PATH.
const PLACES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];
const MKE2FS: &str = "mke2fs";

/// Whether [`scratch`] can make anything here.
pub fn is_available() -> bool {
    find(MKE2FS).is_some()
}

/// An ext4 for a task's own storage: nothing in it outlives a boot, so it has no journal; its owner is its only user, so
/// nothing is reserved; and it takes next to no room in a sparse file.
pub fn scratch(file: &Path) -> Result<(), MkfsError> {
    let features = "^has_journal,^resize_inode,sparse_super2";
    let more = "lazy_itable_init=1,nodiscard,root_owner=0:0";
    run(MKE2FS, "e2fsprogs", &["-q", "-F", "-t", "ext4", "-m", "0", "-O", features, "-E", more], file)
}

/// A file system of a kind, as its program makes it.
pub fn format(kind: FileSystemKind, file: &Path) -> Result<(), MkfsError> {
    let lazily = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0";
    match kind {
        FileSystemKind::Ext3 | FileSystemKind::Ext4 => {
            run(MKE2FS, "e2fsprogs", &["-q", "-F", "-t", kind.name(), "-m", "0", "-E", lazily], file)
        }
        FileSystemKind::Xfs => run("mkfs.xfs", "xfsprogs", &["-q", "-f", "-K"], file),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}

fn run(name: &'static str, package: &'static str, args: &[&str], file: &Path) -> Result<(), MkfsError> {
    let program = find(name).ok_or(MkfsError::Absent { program: name, package })?;
    let mut command = Command::new(&program);
    command.args(args).arg(file).env_clear().env("LC_ALL", "C").env("PATH", PLACES.join(":"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|source| MkfsError::Run { program: program.clone(), source })?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(MkfsError::Failed { program, message })
        }
    }
}

/// Copies what is not a hole to the same places of a file that has the same length and nothing in it.
pub fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let mut at = 0;
    loop {
        let begin = match lseek(from.as_fd(), at, Whence::SeekData) {
            Err(Errno::ENXIO) => return Ok(()), // no more data
            found => found?,
        };
        let end = lseek(from.as_fd(), begin, Whence::SeekHole)?;
        copy(from, to, begin, end)?;
        at = end;
    }
}

fn copy(from: &File, to: &File, mut at: i64, end: i64) -> io::Result<()> {
    while at < end {
        let (mut source, mut target) = (at, at);
        let length = usize::try_from(end - at).map_err(io::Error::other)?;
        match nix::fcntl::copy_file_range(from, Some(&mut source), to, Some(&mut target), length)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            copied => at += i64::try_from(copied).map_err(io::Error::other)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn a_sparse_copy_has_the_same_bytes_and_takes_no_more_room() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        for file in [&from, &to] {
            file.set_len(64 << 20).unwrap();
        }
        for at in [0, 5 << 20, (64 << 20) - 7] {
            from.write_all_at(b"content", at).unwrap();
        }
        copy_sparse(&from, &to).unwrap();
        let read = |file: &File, at| {
            let mut bytes = [0; 7];
            file.read_exact_at(&mut bytes, at).unwrap();
            bytes
        };
        for at in [0, 5 << 20, (64 << 20) - 7] {
            assert_eq!(&read(&to, at), b"content");
        }
        assert_eq!(read(&to, 9 << 20), [0; 7]);
        assert!(to.metadata().unwrap().blocks() * 512 < 1 << 20);
    }
}

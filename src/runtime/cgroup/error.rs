//! What can go wrong with control groups, and the two file operations that everything here is made of.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// What can go wrong with control groups.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CgroupError {
    #[error("this host has no cgroup controller {}: {way_out}", .missing.join(", "))]
    NoController { missing: Vec<&'static str>, way_out: &'static str },
    #[error("no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup")]
    NotMounted,
    #[error("create control group {group}")]
    Create { group: PathBuf, source: io::Error },
    #[error("control group {group} does not exist")]
    NoGroup { group: PathBuf, source: io::Error },
    #[error(
        "enable {controllers} for the groups below {group}: the host does not delegate this group to berth; run it \
         in the host's own cgroup namespace, or under systemd in a unit with Delegate=yes and no process in {group} itself"
    )]
    NotDelegated { group: PathBuf, controllers: String, source: io::Error },
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("no figure in {path}")]
    Malformed { path: PathBuf },
    #[error("write {value:?} to {path}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("load the device program of control group {group}")]
    Devices { group: PathBuf, source: io::Error },
    #[error("kill process {pid} of control group {group}")]
    Kill { pid: i32, group: PathBuf, source: nix::errno::Errno },
    #[error("remove control group {group}")]
    Remove { group: PathBuf, source: io::Error },
    #[error("control group {group} still has processes {pids:?} after {seconds} s of killing: they hang in the kernel")]
    Busy { group: PathBuf, pids: Vec<i32>, seconds: u64 },
}

impl CgroupError {
    /// A failed write to `cgroup.subtree_control`, told apart: is it that the group is not ours to divide?
    pub(super) fn about_delegation(self, group: &Path, controllers: &str) -> Self {
        match self {
            Self::Write { source, .. } if denied(&source) => {
                Self::NotDelegated { group: group.to_owned(), controllers: controllers.to_owned(), source }
            }
            other => other,
        }
    }
}

/// EBUSY: the group itself has processes (a namespace's root is no exception to the rule, the host's root is); EACCES,
/// EPERM, EROFS: it is somebody else's; ENOENT: the group above does not pass the controller on.
fn denied(error: &io::Error) -> bool {
    let known = [libc::EBUSY, libc::EACCES, libc::EPERM, libc::EROFS, libc::ENOENT];
    error.raw_os_error().is_some_and(|code| known.contains(&code))
}

/// A file of a control group, whole.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    // The kernel makes the text while it is read: with room for all of it, two reads are enough.
    let mut text = String::with_capacity(8192);
    match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(source) => Err(absent_or(path, source, |path, source| CgroupError::Read { path, source })),
    }
}

/// Writes to a file of a control group. It is never made: `O_CREAT` on a missing one would say EACCES.
pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let done = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes()));
    done.map_err(|source| {
        absent_or(path, source, |path, source| CgroupError::Write { path, value: value.to_owned(), source })
    })
}

/// Tells a missing group from a missing file and from everything else.
fn absent_or(path: &Path, source: io::Error, other: impl FnOnce(PathBuf, io::Error) -> CgroupError) -> CgroupError {
    // ENODEV: the group was removed between open and read.
    let gone = source.kind() == ErrorKind::NotFound || source.raw_os_error() == Some(libc::ENODEV);
    match path.parent() {
        Some(group) if gone && !group.is_dir() => CgroupError::NoGroup { group: group.to_owned(), source },
        _ => other(path.to_owned(), source),
    }
}

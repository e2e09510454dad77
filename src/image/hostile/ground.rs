//! Where the corpus is unpacked: a root, and beside it a canary tree that must come out as it went in. Whatever a layer
//! calls "outside" lies in one temporary directory, so that even an extractor that gets out does no harm.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::super::rules::Limits;
use super::super::settle::{SettleError, settle};
use super::super::trail::Position;
use super::super::unpack::{UnpackError, Unpacked, unpack};
use crate::sys::beneath::{set_xattr, xattr};
use crate::sys::tree::remove_tree;

/// The attributes that are looked for outside.
const XATTRS: [&std::ffi::CStr; 4] =
    [c"user.canary", c"user.hostile", c"trusted.overlay.opaque", c"security.capability"];

pub(super) struct Ground {
    dir: tempfile::TempDir,
    /// A directory with a bit of everything, outside the root.
    pub(super) canary: PathBuf,
    pub(super) root: PathBuf,
}

impl Ground {
    pub(super) fn new() -> Self {
        let dir = in_memory().unwrap_or_else(|| tempfile::tempdir().unwrap());
        let ground = Self { canary: dir.path().join("canary"), root: dir.path().join("root"), dir };
        ground.renew();
        ground
    }

    /// The directory that holds all of it.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes all of it anew, whatever was done to it.
    pub(super) fn renew(&self) {
        fs::create_dir_all(self.path()).unwrap();
        let all = File::open(self.path()).unwrap();
        for entry in fs::read_dir(self.path()).unwrap() {
            remove_tree(all.as_fd(), entry.unwrap().file_name().as_os_str()).unwrap();
        }
        fs::set_permissions(self.path(), Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(&self.root).unwrap();
        let canary = &self.canary;
        fs::create_dir_all(canary.join("dir/dir")).unwrap();
        for file in ["file", "dir/file", "dir/dir/file"] {
            fs::write(canary.join(file), "canary").unwrap();
        }
        fs::set_permissions(canary.join("file"), Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(canary.join("dir"), Permissions::from_mode(0o1751)).unwrap();
        fs::hard_link(canary.join("file"), canary.join("hard")).unwrap();
        symlink("file", canary.join("link")).unwrap();
        symlink("dir", canary.join("dirlink")).unwrap();
        mkfifo(&canary.join("fifo"), Mode::S_IRUSR).unwrap();
        let file = File::open(canary.join("file")).unwrap();
        set_xattr(&file, c"user.canary", b"canary").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123)).unwrap();
    }

    /// Only the root anew: the canary has to be as it was.
    pub(super) fn empty_root(&self) {
        let all = File::open(self.path()).unwrap();
        remove_tree(all.as_fd(), "root").unwrap();
        fs::create_dir(&self.root).unwrap();
    }

    /// Unpacks a layer that lies on another one, the canary, and settles it.
    pub(super) fn unpack(&self, layer: &[u8], limits: &Limits) -> Result<Unpacked, UnpackError> {
        let mut list = File::from(memfd_create("settle", MFdFlags::MFD_CLOEXEC).unwrap());
        let (unpacked, _) = unpack(layer, self.open_root(), Position::Above, list.try_clone().unwrap(), limits)?;
        list.rewind().unwrap();
        let settled = self.settle(list, limits);
        // To mark a directory as opaque takes root.
        assert!(settled.is_ok() || !nix::unistd::geteuid().is_root(), "{settled:?}");
        Ok(unpacked)
    }

    /// Does what a list says in the root, as if the canary were the layer below.
    pub(super) fn settle(&self, list: impl Read, limits: &Limits) -> Result<(), SettleError> {
        let below = File::open(&self.canary).unwrap().into();
        settle(self.open_root().as_fd(), &[below], list, limits)
    }

    pub(super) fn open_root(&self) -> OwnedFd {
        File::open(&self.root).unwrap().into()
    }

    /// Everything beside the root: inodes, names, owners, modes, links, times, attributes and contents.
    pub(super) fn outside(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.canary.symlink_metadata().is_ok() {
            list(&self.canary, &mut all);
        }
        let Ok(entries) = fs::read_dir(self.path()) else { return all };
        all.push(format!("{:o}", self.path().metadata().unwrap().mode()));
        let named = |entry: fs::DirEntry| format!("{:?} {:?}", entry.file_name(), entry.file_type().unwrap());
        all.extend(entries.map(|entry| named(entry.unwrap())));
        all.sort();
        all
    }
}

/// A directory in memory, which is many times faster; on Linux 6.6 and later, attributes of users are kept there too.
fn in_memory() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir_in("/dev/shm").ok()?;
    set_xattr(File::open(dir.path()).ok()?, c"user.canary", b"").ok()?;
    Some(dir)
}

fn list(path: &Path, all: &mut Vec<String>) {
    let m = path.symlink_metadata().unwrap();
    let content = if m.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    let line = format!("{path:?} {} {:o} {} {} {} {times:?}", m.ino(), m.mode(), m.uid(), m.gid(), m.nlink());
    let target = fs::read_link(path).ok();
    let xattrs = if m.is_file() || m.is_dir() { xattrs(path) } else { Vec::new() };
    all.push(format!("{line} {content:?} {target:?} {xattrs:?}"));
    if m.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| list(&entry.unwrap().path(), all));
    }
}

/// The attributes of a file or directory that somebody could have put there.
pub(super) fn xattrs(path: &Path) -> Vec<(&'static std::ffi::CStr, Vec<u8>)> {
    let file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 16];
    XATTRS.iter().filter_map(|name| Some((*name, xattr(&file, name, &mut buffer).ok()?.to_vec()))).collect()
}

//! The control of the corpus: an extractor as a beginner writes it. It joins paths, follows links and believes what an
//! entry says; layers that want out get out of its root, and the canary must notice. What would lead out of the
//! sacrificial ground itself it leaves alone.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::mkfifo;

use super::super::tarball::{Entry, Kind, TarReader};
use super::ground::Ground;
use crate::sys::beneath::set_xattr;

/// Unpacks a layer into the ground's root; an entry that fails is left out.
pub(super) fn unpack(ground: &Ground, layer: &[u8]) {
    let mut tar = TarReader::new(layer);
    while let Ok(Some(entry)) = tar.next() {
        let mut content = Vec::new();
        let _ = tar.content().read_to_end(&mut content);
        let _ = place(ground, &entry, &content);
    }
}

fn place(ground: &Ground, entry: &Entry, content: &[u8]) -> io::Result<()> {
    let path = resolve(ground, &entry.path)?;
    let link = Path::new(std::ffi::OsStr::from_bytes(&entry.link));
    let name = path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    if name == b".wh..wh..opq" {
        return fs::read_dir(path.parent().unwrap())?.try_for_each(|entry| remove(&entry?.path()));
    }
    if let Some(hidden) = name.strip_prefix(b".wh.") {
        let hidden = path.parent().unwrap().join(std::ffi::OsStr::from_bytes(hidden));
        return remove(&inside(ground, &hidden)?);
    }
    if fs::metadata(&path).is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(io::ErrorKind::WouldBlock.into()); // opening it would wait for somebody
    }
    match entry.kind {
        Kind::File => fs::write(inside(ground, &path)?, content)?,
        Kind::Directory if path.is_dir() => {}
        Kind::Directory => fs::create_dir(&path)?,
        Kind::Symlink => {
            let _ = remove(&path);
            return symlink(link, &path);
        }
        Kind::Hardlink => {
            let _ = fs::remove_file(&path);
            return fs::hard_link(inside_itself(ground, &ground.root.join(link))?, &path);
        }
        Kind::Fifo => mkfifo(&path, Mode::S_IRUSR)?,
        // Without numbers it is harmless, and needs no root.
        Kind::Device => return Ok(mknod(&path, SFlag::S_IFCHR, Mode::empty(), 0)?),
    }
    let path = inside(ground, &path)?;
    if entry.kind != Kind::Fifo {
        let file = File::open(&path)?;
        for (name, value) in &entry.xattrs {
            let _ = set_xattr(&file, &CString::new(name.clone())?, value);
        }
    }
    fs::set_permissions(&path, Permissions::from_mode(entry.mode))
}

/// Joins an entry's path to the root and makes the directories above it, through whatever links there are.
fn resolve(ground: &Ground, path: &[u8]) -> io::Result<PathBuf> {
    let mut at = ground.root.clone();
    let mut parts = Path::new(std::ffi::OsStr::from_bytes(path)).components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::RootDir => at = PathBuf::from("/"),
            Component::CurDir => {}
            part if parts.peek().is_none() => return inside_itself(ground, &at.join(part)),
            part => {
                at.push(part);
                if fs::metadata(&at).is_err() && at.starts_with(ground.path()) {
                    fs::create_dir(&at)?;
                }
                at = at.canonicalize()?;
            }
        }
    }
    inside(ground, &at)
}

/// The path, if what it leads to is on the ground, there or not.
fn inside(ground: &Ground, path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        if let Ok(found) = path.canonicalize() {
            let on = found.starts_with(ground.path());
            return if on { Ok(found) } else { Err(io::ErrorKind::PermissionDenied.into()) };
        }
        inside_itself(ground, &path)?;
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().expect("it has just been looked at").join(target);
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// The path, if its directory is on the ground.
fn inside_itself(ground: &Ground, path: &Path) -> io::Result<PathBuf> {
    let parent = path.parent().ok_or(io::ErrorKind::PermissionDenied)?.canonicalize()?;
    let on = parent.starts_with(ground.path());
    if on { Ok(path.to_owned()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

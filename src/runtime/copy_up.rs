//! What an image has at the place of a new volume, copied into it: as Docker does, with owners, modes, times and the
//! attributes that belong to files. By descriptors, following no link; nobody has either tree in use. Called by `volumes`.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, symlinkat};

use crate::sys::beneath::{set_xattr, xattr, xattr_names};

/// Images have no deeper trees: their layers may not (`image::rules`).
const DEPTH: usize = 200;
/// The longest value that the kernel takes (XATTR_SIZE_MAX).
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// Makes `to`, which is an empty directory, what `from` is; that may be a descriptor of its place only.
pub(super) fn copy_tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    copy_directory(directory(from, c".")?.as_fd(), to, 0)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > DEPTH {
        return Err(Errno::ELOOP.into());
    }
    // The listing moves the offset of its descriptor, and closes it.
    let mut listing = Dir::from_fd(directory(from, c".")?)?;
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if ![c".", c".."].contains(&name) {
            copy_entry(from, to, name, depth)?;
        }
    }
    settle(from, to, &fstat(from)?)
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    match kind {
        SFlag::S_IFDIR => {
            mkdirat(to, name, Mode::S_IRWXU)?;
            copy_directory(directory(from, name)?.as_fd(), directory(to, name)?.as_fd(), depth + 1)
        }
        SFlag::S_IFREG => copy_file(from, to, name, &stat),
        SFlag::S_IFLNK => {
            let target = readlinkat(from, name)?;
            symlinkat(target.as_os_str(), to, name)?;
            own(to, name, &stat)
        }
        // A socket is nothing without the process that listens on it.
        SFlag::S_IFSOCK => Ok(()),
        _ => {
            mknodat(to, name, kind, Mode::from_bits_truncate(stat.st_mode & 0o7777), stat.st_rdev)?;
            own(to, name, &stat)
        }
    }
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut source = File::from(openat(from, name, flags | OFlag::O_RDONLY, Mode::empty())?);
    let flags = flags | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let mut target = File::from(openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    io::copy(&mut source, &mut target)?;
    settle(source.as_fd(), target.as_fd(), stat)
}

/// Owner, mode, attributes and times, in this order: a new owner clears set-user-ID bits and file capabilities.
fn settle(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &FileStat) -> io::Result<()> {
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_bits_truncate(stat.st_mode & 0o7777))?;
    let mut buffer = vec![0; LONGEST_ATTRIBUTE];
    for name in xattr_names(from)?.iter().filter(|name| is_the_files_own(name)) {
        match xattr(from, name, &mut buffer) {
            Ok(value) => set_xattr(to, name, value)?,
            Err(Errno::ENODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let [accessed, modified] = times(stat);
    Ok(futimens(to, &accessed, &modified)?)
}

/// Those of overlays and of other security modules belong to where the file lies.
fn is_the_files_own(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.starts_with(b"user.") || name == b"security.capability" || name.starts_with(b"system.posix_acl_")
}

/// Owner and times of what cannot be opened.
fn own(to: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let [accessed, modified] = times(stat);
    Ok(utimensat(to, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?)
}

fn times(stat: &FileStat) -> [TimeSpec; 2] {
    [TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)]
}

fn directory(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn copied(make: impl FnOnce(&Path)) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| base.path().join(name));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        make(&from);
        copy_tree(File::open(from).unwrap().as_fd(), File::open(to).unwrap().as_fd()).unwrap();
        base
    }

    #[test]
    fn a_copy_has_content_mode_and_time() {
        let copy = copied(|from| {
            fs::create_dir_all(from.join("a/b")).unwrap();
            fs::write(from.join("a/b/c"), "content").unwrap();
            fs::set_permissions(from.join("a/b/c"), fs::Permissions::from_mode(0o4750)).unwrap();
            fs::set_permissions(from, fs::Permissions::from_mode(0o1777)).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            File::open(from.join("a")).unwrap().set_modified(time).unwrap();
        });
        let to = copy.path().join("to");
        assert_eq!(fs::read(to.join("a/b/c")).unwrap(), b"content");
        assert_eq!(to.join("a/b/c").metadata().unwrap().mode() & 0o7777, 0o4750);
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(to.join("a").metadata().unwrap().mtime(), 1_000_000);
    }

    #[test]
    fn links_are_copied_and_never_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let copy = copied(|from| {
            symlink(outside.path(), from.join("directory")).unwrap();
            symlink(outside.path().join("secret"), from.join("file")).unwrap();
        });
        for (name, target) in [("directory", outside.path().to_owned()), ("file", outside.path().join("secret"))] {
            assert_eq!(fs::read_link(copy.path().join("to").join(name)).unwrap(), target);
        }
    }
}

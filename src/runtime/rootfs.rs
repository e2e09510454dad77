//! A container's root file system: the overlay of its layers, made in the caller's (private) mount namespace, and put
//! right before anybody acts on it by path.
//!
//! Putting right matters because an image may hold anything: a `/dev` that is a symbolic link made libcontainer 0.7 (and
//! runc, CVE-2026-41579) delete and create files in a directory of the host. Nothing here follows a link out of the
//! root. No process of the container exists yet, so nothing changes meanwhile.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::mount::{MsFlags, mount as mount_legacy};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, chdir, unlinkat};

use crate::plan::RootfsPlan;
use crate::sys::beneath::until_settled;

/// The root file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A layer or a part of the writable layer cannot be opened or made.
    #[error("open {path}")]
    Layer {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the overlay.
    #[error("mount the overlay on {target}")]
    Overlay {
        /// Where it was to be.
        target: PathBuf,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// Something in the image stands in the way.
    #[error("prepare {path} in the container")]
    Prepare {
        /// The path in the container.
        path: String,
        /// Why not.
        #[source]
        source: Errno,
    },
}

/// Directories that a runtime mounts on or writes to by path.
const REAL_DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "etc"];

/// Mounts the layers and the writable layer below `upper` on `target`, which must exist. Changes the working directory
/// (to `/`).
pub fn mount(plan: &RootfsPlan, upper: &Path, target: &Path) -> Result<(), RootfsError> {
    let (files, work) = (upper.join("fs"), upper.join("work"));
    // The root directory of the container has the mode of `fs`.
    for (path, mode) in [(&files, 0o755), (&work, 0o700)] {
        // Whatever the umask is.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        let made = made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
        made.map_err(|source| RootfsError::Layer { path: path.clone(), source })?;
    }
    let layers = plan.layers.iter().map(|layer| directory(layer)).collect::<Result<Vec<_>, _>>()?;
    let (files, work) = (directory(&files)?, directory(&work)?);
    overlay(&layers, &files, &work, target).map_err(|source| RootfsError::Overlay { target: target.to_owned(), source })
}

fn directory(path: &Path) -> Result<OwnedFd, RootfsError> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| RootfsError::Layer { path: path.to_owned(), source: errno.into() })
}

/// The image's files alone, to be read; nobody can write them through this. More than one layer are mounted together on
/// `point`, which is made, and which the caller unmounts when it has opened what it wants.
pub fn open_image(layers: &[PathBuf], point: &Path) -> Result<OwnedFd, RootfsError> {
    if let [layer] = layers {
        return directory(layer);
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(point);
    made.map_err(|source| RootfsError::Layer { path: point.to_owned(), source })?;
    let layers = layers.iter().map(|layer| directory(layer)).collect::<Result<Vec<_>, _>>()?;
    let mounted = mount_overlay(&format!("lowerdir={}", joined(&layers)), point);
    mounted.map_err(|source| RootfsError::Overlay { target: point.to_owned(), source })?;
    directory(point)
}

/// The options of mount(2) are one page at most. So the directories are named by descriptor, relative to
/// `/proc/self/fd`: the 500 layers that an overlay may have fit, on every kernel, and no path needs escaping.
fn overlay(layers: &[OwnedFd], files: &OwnedFd, work: &OwnedFd, target: &Path) -> nix::Result<()> {
    let (files, work) = (files.as_raw_fd(), work.as_raw_fd());
    mount_overlay(&format!("lowerdir={},upperdir={files},workdir={work}", joined(layers)), target)
}

fn joined(layers: &[OwnedFd]) -> String {
    layers.iter().map(|layer| layer.as_raw_fd().to_string()).collect::<Vec<_>>().join(":")
}

/// What an image says in overlay attributes of its own is not to be believed: no redirects, no metadata-only files.
fn mount_overlay(directories: &str, target: &Path) -> nix::Result<()> {
    let options = format!("{directories},index=off,metacopy=off,redirect_dir=nofollow");
    chdir("/proc/self/fd")?;
    let mounted = mount_legacy(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()));
    chdir("/")?;
    mounted
}

/// Makes sure that what is mounted on by path is what it looks like: `/dev`, `/proc`, `/sys` and `/etc` are directories.
/// What else has such a name in the image, symbolic links above all, is replaced. Gives back the root.
pub fn repair_directories(root: &Path) -> Result<OwnedFd, RootfsError> {
    let root = directory(root)?;
    for name in REAL_DIRECTORIES {
        real_directory(root.as_fd(), Path::new(name))
            .map_err(|source| RootfsError::Prepare { path: name.to_owned(), source })?;
    }
    Ok(root)
}

/// The same for what is written to by path, when all volumes are mounted: `files` (absolute paths) are regular files below
/// directories, and `cwd` exists.
pub fn repair_files<'a>(
    root: &OwnedFd,
    files: impl IntoIterator<Item = &'a str>,
    cwd: &str,
) -> Result<(), RootfsError> {
    let at = |path: &str| {
        let path = path.to_owned();
        |source| RootfsError::Prepare { path, source }
    };
    for path in files {
        real_file(root, Path::new(path)).map_err(at(path))?;
    }
    make_directories(root, Path::new(cwd)).map_err(at(cwd))
}

/// A directory of the container to mount on, opened; made with what is missing above it. Links lead where they lead in
/// the container.
pub(super) fn directory_at(root: &OwnedFd, path: &str) -> nix::Result<OwnedFd> {
    make_directories(root, Path::new(path))?;
    directory_in_root(root, Path::new(path))
}

/// The directory at a path in the container, if there is one.
pub(super) fn directory_if_there(root: &OwnedFd, path: &str) -> nix::Result<Option<OwnedFd>> {
    match directory_in_root(root, Path::new(path)) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A file of the container to mount on, opened; an empty one is made if nothing is there.
pub(super) fn file_at(root: &OwnedFd, path: &str) -> nix::Result<OwnedFd> {
    let path = Path::new(path);
    let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().ok_or(Errno::EISDIR)?);
    make_directories(root, parent)?;
    let parent = directory_in_root(root, parent)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(&parent, name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    until_settled(|| openat2(root, path, OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve)))
}

/// A directory that something is mounted over, and what is missing above it. Links lead where they lead in the container.
pub fn make_directory_in(root: &OwnedFd, path: &str) -> Result<(), RootfsError> {
    make_directories(root, Path::new(path)).map_err(|source| RootfsError::Prepare { path: path.to_owned(), source })
}

/// A directory of that name, opened, whatever had the name before.
fn real_directory(parent: BorrowedFd<'_>, name: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        // A link, too, is not a directory to who does not follow it.
        Err(Errno::ENOTDIR) => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?,
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    make_directory(parent, name)?;
    openat(parent, name, flags, Mode::empty())
}

/// A regular file of that path; an existing one keeps its content.
fn real_file(root: &OwnedFd, path: &Path) -> nix::Result<()> {
    let mut names = path.components().filter_map(|component| match component {
        Component::RootDir => None,
        Component::Normal(name) => Some(Ok(Path::new(name))),
        _ => Some(Err(Errno::EINVAL)),
    });
    let name = names.next_back().ok_or(Errno::EISDIR)??;
    let mut parent = root.as_fd().try_clone_to_owned().map_err(|_| Errno::EMFILE)?;
    for directory in names {
        parent = real_directory(parent.as_fd(), directory?)?;
    }
    match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() => return Ok(()),
        Ok(_) => unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?,
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(&parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
}

/// A directory and what is missing above it, as every runtime makes it. Links lead where they lead in the container, and
/// what they lead to is made as well.
fn make_directories(root: &OwnedFd, path: &Path) -> nix::Result<()> {
    make_through(root, path, LINKS)
}

/// As many links as the kernel follows in one path.
const LINKS: usize = 40;

fn make_through(root: &OwnedFd, path: &Path, links: usize) -> nix::Result<()> {
    let mut reached = PathBuf::from(".");
    for component in path.components().filter(|component| *component != Component::RootDir) {
        let parent = directory_in_root(root, &reached)?;
        let name = Path::new(&component);
        let next = reached.join(name);
        match directory_in_root(root, &next) {
            Err(Errno::ENOENT) => match make_directory(parent.as_fd(), name) {
                Ok(()) => {}
                Err(Errno::EEXIST) => match readlinkat(&parent, name) {
                    Ok(_) if links == 0 => return Err(Errno::ELOOP),
                    Ok(target) => make_through(root, &reached.join(target), links - 1)?,
                    // A running container that has the same volume was quicker.
                    Err(Errno::EINVAL | Errno::ENOENT) => {}
                    Err(errno) => return Err(errno),
                },
                Err(errno) => return Err(errno),
            },
            other => drop(other?),
        }
        reached = next;
    }
    Ok(())
}

fn directory_in_root(root: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    until_settled(|| openat2(root, path, OpenHow::new().flags(flags).resolve(resolve)))
}

/// With mode 0755, whatever the umask is.
fn make_directory(parent: BorrowedFd<'_>, name: &Path) -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    mkdirat(parent, name, mode)?;
    fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn image() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        (directory, root)
    }

    fn repair(root: &Path, files: &[&str], cwd: &str) -> Result<(), RootfsError> {
        repair_files(&repair_directories(root)?, files.iter().copied(), cwd)
    }

    #[test]
    fn links_in_place_of_system_directories_are_replaced_and_their_targets_left_alone() {
        let (directory, root) = image();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        for name in REAL_DIRECTORIES {
            symlink(&outside, root.join(name)).unwrap();
        }
        repair(&root, &["/etc/hosts"], "/").unwrap();
        for name in REAL_DIRECTORIES {
            assert!(root.join(name).symlink_metadata().unwrap().is_dir(), "{name}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_place_of_one_of_our_files_is_replaced() {
        let (directory, root) = image();
        let secret = directory.path().join("secret");
        fs::write(&secret, "s").unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        symlink(&secret, root.join("etc/resolv.conf")).unwrap();
        repair(&root, &["/etc/resolv.conf"], "/").unwrap();
        assert!(root.join("etc/resolv.conf").symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read(root.join("etc/resolv.conf")).unwrap(), b"");
    }

    #[test]
    fn a_file_of_the_image_keeps_its_content_and_a_directory_is_an_error() {
        let (_directory, root) = image();
        fs::create_dir_all(root.join("etc/hostname")).unwrap();
        fs::write(root.join("etc/hosts"), "h").unwrap();
        repair(&root, &["/etc/hosts"], "/").unwrap();
        assert_eq!(fs::read(root.join("etc/hosts")).unwrap(), b"h");
        assert!(repair(&root, &["/etc/hostname"], "/").is_err());
        assert!(repair(&root, &["/etc/../hosts"], "/").is_err());
    }

    #[test]
    fn the_working_directory_is_made_inside_however_links_lead() {
        let (_directory, root) = image();
        symlink("/srv", root.join("www")).unwrap();
        fs::create_dir(root.join("srv")).unwrap();
        repair(&root, &[], "/www/a/b").unwrap();
        assert!(root.join("srv/a/b").is_dir());
        repair(&root, &[], "/../../x").unwrap();
        assert!(root.join("x").is_dir());
        symlink("/no/such", root.join("absolute")).unwrap();
        symlink("../../absolute/deep", root.join("srv/relative")).unwrap();
        repair(&root, &[], "/srv/relative/c").unwrap();
        assert!(root.join("no/such/deep/c").is_dir());
        symlink("loop", root.join("loop")).unwrap();
        assert!(repair(&root, &[], "/loop/x").is_err());
    }
}

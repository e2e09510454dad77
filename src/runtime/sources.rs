//! Volumes that are not the task's own: directories of the host, of operators, and shared ones. Called by `volumes`.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{Gid, Uid, fchown};

use super::volumes::{VolumeError, failed};
use crate::plan::VolumePlan;
use crate::plan::volume::{Identity, Missing};
use crate::sys::beneath::until_settled;
use crate::sys::mount::{clone_tree, map_owners};
use crate::sys::user_namespace;

const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// Makes sure that the directory of a shared volume is there.
pub(super) fn shared(volume: &VolumePlan, directory: &Path, missing: Missing) -> Result<(), VolumeError> {
    if directory.is_dir() {
        return Ok(());
    }
    match missing {
        Missing::Fail => Err(VolumeError::Absent { volume: volume.name.clone() }),
        Missing::Make => {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(failed(volume, "make", directory))
        }
    }
}

/// What an operator allows to be mounted, or something below it. As Docker, a directory that is missing is made.
pub(super) fn host(volume: &VolumePlan, allowed: &Path, below: &Path) -> Result<OwnedFd, VolumeError> {
    let path = allowed.join(below);
    let opened = open(allowed, PATH, Mode::empty()).map_err(io::Error::from);
    let tree = opened.and_then(|allowed| beneath(allowed, below, Mode::from_bits_truncate(0o755), None));
    let tree = tree.and_then(|place| Ok(clone_tree(place)?));
    tree.map_err(failed(volume, "open", &path))
}

/// The directory of an EFS file system, or of one of its access points. Through an access point the container's user is the
/// access point's; who else is in the container owns nothing there and can make nothing.
pub(super) fn efs(
    volume: &VolumePlan,
    directory: &Path,
    below: &Path,
    identity: Option<Identity>,
    user: (u32, u32),
) -> Result<OwnedFd, VolumeError> {
    let path = directory.join(below);
    let root = open(directory, PATH | OFlag::O_DIRECTORY, Mode::empty());
    let root = root.map_err(|errno| failed(volume, "open", directory)(errno.into()))?;
    let Some(identity) = identity else {
        // Only an access point makes its directory (RootDirectory in the EFS reference).
        let tree = open_below(&root, below).and_then(clone_tree);
        return tree.map_err(|errno| failed(volume, "open", &path)(errno.into()));
    };
    let owner = Some((identity.uid, identity.gid));
    let place = beneath(root, below, Mode::from_bits_truncate(identity.mode), owner);
    let tree = place.and_then(|place| Ok(clone_tree(place)?)).map_err(failed(volume, "open", &path))?;
    let (uid, gid) = user;
    let owners = user_namespace::mapping((identity.uid, uid), (identity.gid, gid));
    let owners = owners.map_err(failed(volume, "map owners of", &path))?;
    let refused = |source| VolumeError::Owners { volume: volume.name.clone(), path: path.clone(), source };
    map_owners(&tree, owners).map_err(refused)?;
    Ok(tree)
}

/// Opens a path below a directory; directories on the way that are missing are made, the last one with this mode and owner.
fn beneath(root: OwnedFd, path: &Path, mode: Mode, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    match open_below(&root, path) {
        Err(Errno::ENOENT) => {}
        opened => return Ok(opened?),
    }
    let mut reached = root;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { return Err(Errno::EINVAL.into()) };
        let name = Path::new(name);
        let is_last = components.peek().is_none();
        let wanted = if is_last { mode } else { Mode::from_bits_truncate(0o755) };
        let is_new = match mkdirat(&reached, name, wanted) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        let next = openat(&reached, name, PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())?;
        if is_new {
            if let Some((uid, gid)) = owner.filter(|_| is_last) {
                let writable =
                    openat(&reached, name, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
                fchown(&writable, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            }
            // Whatever the umask is.
            fchmodat(&reached, name, wanted, FchmodatFlags::FollowSymlink)?;
        }
        reached = next;
    }
    Ok(reached)
}

/// No link is followed; what is mounted below the directory belongs to it.
fn open_below(root: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    until_settled(|| openat2(root, path, OpenHow::new().flags(PATH).resolve(resolve)))
}

/// Whether a directory has no entries.
pub(super) fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::from_fd(openat(directory.as_fd(), c".", flags, Mode::empty())?)?;
    for entry in listing.iter() {
        if ![c".", c".."].contains(&entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_path_below_a_directory_is_made_and_follows_no_link() {
        let base = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let open_base = || open(base.path(), PATH, Mode::empty()).unwrap();
        beneath(open_base(), Path::new("a/b"), Mode::from_bits_truncate(0o750), None).unwrap();
        assert_eq!(base.path().join("a/b").metadata().unwrap().mode() & 0o7777, 0o750);
        assert_eq!(base.path().join("a").metadata().unwrap().mode() & 0o7777, 0o755);
        symlink(outside.path(), base.path().join("link")).unwrap();
        for path in ["link", "link/x", "a/../../x", "/a"] {
            assert!(beneath(open_base(), Path::new(path), Mode::S_IRWXU, None).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

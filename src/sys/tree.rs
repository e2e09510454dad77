//! Removing a directory tree that a stranger filled: by descriptors, following no link, crossing no mount, with a
//! bounded number of descriptors and a bounded stack however deep the tree is. Called by `image`, and by whoever
//! removes a container's writable layer.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::NixPath;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::beneath::open_beneath;

/// Deeper directories are first moved up to the top of the tree that is being removed: so many descriptors are open at
/// once at most.
const DEPTH: usize = 32;

/// Removes `name` below `dir`, whatever it is, with all that is below it. That it is not there is no error. On an error
/// the tree may be partly gone; calling again goes on.
pub fn remove_tree<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, name: &P) -> io::Result<()> {
    loop {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let top = match open_dir(dir, name) {
            Ok(top) => top,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let mut steps = 0;
        empty(top.as_fd(), top.as_fd(), 0, &mut steps)?;
        match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            // What was moved to the top, or what the kernel's listing left out while entries went away.
            Err(Errno::ENOTEMPTY) if steps > 0 => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Empties `dir`, which lies `depth` below `top`. Directories that are too deep become entries of `top`. Counts what it
/// removed or moved.
fn empty(dir: BorrowedFd<'_>, top: BorrowedFd<'_>, depth: usize, steps: &mut u64) -> nix::Result<()> {
    // The listing has a descriptor of its own, because it moves the descriptor's offset and closes it at its end.
    let mut listing = Dir::from_fd(open_dir(dir, c".")?)?;
    for entry in listing.iter() {
        let name: CString = entry?.file_name().to_owned();
        if name.as_bytes() == b"." || name.as_bytes() == b".." {
            continue;
        }
        match unlinkat(dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {
                *steps += 1;
                continue;
            }
            Err(Errno::EISDIR) => {}
            Err(errno) => return Err(errno),
        }
        if depth >= DEPTH {
            raise(dir, &name, top, steps)?;
            continue;
        }
        let below = open_dir(dir, name.as_c_str())?;
        empty(below.as_fd(), top, depth + 1, steps)?;
        match unlinkat(dir, name.as_c_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => *steps += 1,
            Err(Errno::ENOTEMPTY) => {} // the next pass over the top finds it again
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Moves a directory up to `top` under a name that nothing there has.
fn raise(dir: BorrowedFd<'_>, name: &CString, top: BorrowedFd<'_>, steps: &mut u64) -> nix::Result<()> {
    loop {
        let target = format!(".raised-{steps}");
        *steps += 1;
        // A directory replaces only an empty directory, which is as good here.
        match renameat(dir, name.as_c_str(), top, target.as_str()) {
            Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
            result => return result,
        }
    }
}

fn open_dir<P: ?Sized + NixPath>(dir: BorrowedFd<'_>, name: &P) -> nix::Result<OwnedFd> {
    open_beneath(dir, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    fn directory() -> (tempfile::TempDir, File) {
        let directory = tempfile::tempdir().unwrap();
        let handle = File::open(directory.path()).unwrap();
        (directory, handle)
    }

    #[test]
    fn a_tree_goes_and_what_its_links_point_to_stays() {
        let (directory, handle) = directory();
        fs::create_dir_all(directory.path().join("tree/a/b")).unwrap();
        fs::create_dir(directory.path().join("kept")).unwrap();
        fs::write(directory.path().join("kept/file"), "x").unwrap();
        symlink(directory.path().join("kept"), directory.path().join("tree/a/link")).unwrap();
        remove_tree(handle.as_fd(), "tree").unwrap();
        assert!(!directory.path().join("tree").exists());
        assert!(directory.path().join("kept/file").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes() {
        let (directory, handle) = directory();
        fs::create_dir(directory.path().join("tree")).unwrap();
        let mut at: OwnedFd = open_dir(handle.as_fd(), "tree").unwrap();
        for _ in 0..3000 {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = open_dir(at.as_fd(), "d").unwrap();
        }
        remove_tree(handle.as_fd(), "tree").unwrap();
        assert!(!directory.path().join("tree").exists());
    }

    #[test]
    fn a_link_is_removed_as_itself_and_nothing_is_no_error() {
        let (directory, handle) = directory();
        fs::create_dir(directory.path().join("kept")).unwrap();
        symlink("kept", directory.path().join("link")).unwrap();
        remove_tree(handle.as_fd(), "link").unwrap();
        remove_tree(handle.as_fd(), "link").unwrap();
        assert!(directory.path().join("kept").exists());
    }
}

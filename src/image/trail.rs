//! The directories between a layer's root and the entry that is being unpacked, kept open: one after the other opened
//! below the last and through no link, so that neither a path's length nor what an earlier entry put there can lead
//! elsewhere. Making an entry changes its directory's time; the trail sets it back when it leaves. Memory and
//! descriptors are bounded by the depth. Called by `unpack`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::rules::Rule;
use crate::sys::beneath::{open_beneath, set_xattr};

/// Why an entry was not made.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It breaks a rule.
    Rule(Rule),
    /// The system refused; what was being done stands in the first field.
    Act(&'static str, io::Error),
}

impl From<Rule> for Fault {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

/// Names what failed: `.map_err(doing("set the owner"))`.
pub(crate) fn doing<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> Fault {
    move |error| Fault::Act(act, error.into())
}

/// The open directories. The first is the layer's root.
pub(crate) struct Trail<'a> {
    levels: Vec<Level>,
    /// The layers below, topmost first.
    below: &'a [OwnedFd],
    /// How many directories were made because entries implied them.
    implied: u64,
}

struct Level {
    name: OsString,
    dir: OwnedFd,
    mtime: TimeSpec,
}

/// What may make way for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Displace {
    /// An entry that says so: whatever is no directory.
    Anything,
    /// A directory that is only implied: whiteouts.
    Whiteouts,
}

impl<'a> Trail<'a> {
    /// Starts in a layer's root.
    pub(crate) fn new(root: OwnedFd, below: &'a [OwnedFd]) -> Result<Self, Fault> {
        let root = Level::new(OsString::new(), root)?;
        Ok(Self { levels: vec![root], below, implied: 0 })
    }

    /// The layer's root.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.levels[0].dir.as_fd()
    }

    /// How many directories were made because entries implied them.
    pub(crate) fn implied(&self) -> u64 {
        self.implied
    }

    /// Whether there are layers below, of which something could show.
    pub(crate) fn has_below(&self) -> bool {
        !self.below.is_empty()
    }

    /// Makes the directory `name` in the directory of this path, or opens the one that is there; it takes the place of
    /// whatever else is there.
    pub(crate) fn directory(&mut self, parents: &[OsString], name: &OsStr) -> Result<OwnedFd, Fault> {
        self.enter(parents)?;
        self.make_directory(name, Displace::Anything)
    }

    /// Goes to the directory of this path and makes what is missing of it.
    pub(crate) fn enter(&mut self, path: &[OsString]) -> Result<BorrowedFd<'_>, Fault> {
        let common = self.levels[1..].iter().zip(path).take_while(|(level, name)| level.name == **name).count();
        self.leave(common + 1)?;
        for depth in common..path.len() {
            let dir = self.step(&path[..=depth])?;
            self.levels.push(Level::new(path[depth].clone(), dir)?);
        }
        Ok(self.last())
    }

    /// Leaves the root too: all times are set back.
    pub(crate) fn end(mut self) -> Result<(), Fault> {
        self.leave(0)
    }

    /// Sets the time that the root gets in the end.
    pub(crate) fn set_root_mtime(&mut self, mtime: TimeSpec) {
        self.levels[0].mtime = mtime;
    }

    fn last(&self) -> BorrowedFd<'_> {
        self.levels.last().expect("the root is left at the end only").dir.as_fd()
    }

    fn leave(&mut self, depth: usize) -> Result<(), Fault> {
        while self.levels.len() > depth {
            if let Some(level) = self.levels.pop() {
                futimens(&level.dir, &TimeSpec::UTIME_OMIT, &level.mtime)
                    .map_err(doing("set the time of a directory"))?;
            }
        }
        Ok(())
    }

    /// Opens, and makes if need be, the last directory of `path`; the one above it is the end of the trail.
    fn step(&mut self, path: &[OsString]) -> Result<OwnedFd, Fault> {
        let name = path.last().expect("a step has a name");
        match open_dir(self.last(), name) {
            Ok(dir) => Ok(dir),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                let dir = self.make_directory(name, Displace::Whiteouts)?;
                self.implied += 1;
                self.like_below(&dir, path)?;
                Ok(dir)
            }
            Err(errno) => Err(Fault::Act("open a directory above it", errno.into())),
        }
    }

    /// Makes the directory `name` at the end of the trail, or opens the one that is there. A directory that displaces
    /// what this layer already put there (a whiteout, or an entry that itself took the lower one's place) is opaque:
    /// nothing of the lower layers may show in it.
    fn make_directory(&self, name: &OsStr, displace: Displace) -> Result<OwnedFd, Fault> {
        let parent = self.last();
        let make = || mkdirat(parent, name, Mode::S_IRWXU);
        let displaced = match make() {
            Ok(()) => false,
            Err(Errno::EEXIST) => match status(parent, name)? {
                Some(there) if is(&there, SFlag::S_IFDIR) => false,
                Some(there) if displace == Displace::Whiteouts && !is_whiteout(&there) => {
                    let link = is(&there, SFlag::S_IFLNK);
                    return Err(if link { Rule::ThroughLink } else { Rule::ThroughFile }.into());
                }
                Some(_) | None => {
                    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(doing("replace an earlier entry"))?;
                    make().map_err(doing("make the directory"))?;
                    true
                }
            },
            Err(errno) => return Err(Fault::Act("make the directory", errno.into())),
        };
        let dir = open_dir(parent, name).map_err(doing("open the directory"))?;
        if displaced && self.has_below() {
            make_opaque(dir.as_fd())?;
        }
        Ok(dir)
    }

    /// Gives an implied directory the owner and mode that it has in the layers below: it is the same directory, and
    /// what this layer says nothing about must not change. 0755 and root's otherwise.
    fn like_below(&self, dir: &OwnedFd, path: &[OsString]) -> Result<(), Fault> {
        let path: PathBuf = path.iter().collect();
        for layer in self.below {
            match open_beneath(layer.as_fd(), &path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Ok(known) => {
                    let known = fstat(known).map_err(doing("read the mode of a directory below"))?;
                    let (uid, gid) = (Uid::from_raw(known.st_uid), Gid::from_raw(known.st_gid));
                    fchown(dir, Some(uid), Some(gid)).map_err(doing("set the owner of a directory above it"))?;
                    return fchmod(dir, Mode::from_bits_truncate(known.st_mode & 0o7777))
                        .map_err(doing("set the mode of a directory above it"));
                }
                Err(Errno::ENOENT) => {}
                Err(_) => break, // something else has that name there
            }
        }
        fchmod(dir, Mode::from_bits_truncate(0o755)).map_err(doing("set the mode of a directory above it"))
    }
}

impl Level {
    fn new(name: OsString, dir: OwnedFd) -> Result<Self, Fault> {
        let stat = fstat(&dir).map_err(doing("read the time of a directory"))?;
        Ok(Self { name, dir, mtime: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec) })
    }
}

/// Marks a directory as hiding what is in it in the layers below (the kernel's overlayfs.rst, "whiteouts and opaque
/// directories").
pub(crate) fn make_opaque(dir: BorrowedFd<'_>) -> Result<(), Fault> {
    set_xattr(dir, c"trusted.overlay.opaque", b"y").map_err(doing("mark the directory as opaque"))
}

/// What `name` is in `parent`, itself and not what it points to.
pub(crate) fn status(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Option<FileStat>, Fault> {
    match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(Fault::Act("look at what is there", errno.into())),
    }
}

/// Whether a file is of this type.
pub(crate) fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

/// Whether it is overlayfs's whiteout, the character device 0:0.
pub(crate) fn is_whiteout(stat: &FileStat) -> bool {
    is(stat, SFlag::S_IFCHR) && stat.st_rdev == 0
}

/// Opens a directory below another one, itself and not through a link.
pub(crate) fn open_dir(parent: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    open_beneath(parent, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)
}

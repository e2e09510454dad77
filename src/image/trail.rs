//! The directories between a layer's root and the entry that is being unpacked, kept open: one after the other opened
//! below the last and through no link, so that neither a path's length nor what an earlier entry put there can lead
//! elsewhere. Making an entry changes its directory's time; the trail sets it back when it leaves. What it cannot do for a
//! directory, it puts on the list for `settle`. Memory and descriptors are bounded by the depth. Called by `unpack`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::rules::{Limits, Rule};
use super::settle_list::{ListError, ListWriter, Record};
use crate::sys::beneath::open_beneath;

/// Why an entry was not made.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It breaks a rule.
    Rule(Rule),
    /// The system refused; what was being done stands in the first field.
    Act(&'static str, io::Error),
    /// The list for `settle` cannot be written.
    List(ListError),
}

impl From<Rule> for Fault {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<ListError> for Fault {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}

/// Names what failed: `.map_err(doing("set the owner"))`.
pub(crate) fn doing<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> Fault {
    move |error| Fault::Act(act, error.into())
}

/// Where a layer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// At the bottom: it has nothing to hide, and what it does not say nobody says.
    Lowest,
    /// On top of other layers.
    Above,
}

/// The open directories. The first is the layer's root.
pub(crate) struct Trail {
    levels: Vec<Level>,
    position: Position,
    list: ListWriter<File>,
    /// How many directories were made because entries implied them.
    implied: u64,
}

struct Level {
    name: OsString,
    dir: OwnedFd,
    mtime: TimeSpec,
    /// Whether it is on the list as opaque since we came here.
    opaque: bool,
}

/// What may make way for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Displace {
    /// An entry that says so: whatever is no directory.
    Anything,
    /// A directory that is only implied: whiteouts.
    Whiteouts,
}

/// What was there before a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Directory,
    /// Something else, which had to go.
    Other,
}

impl Trail {
    /// Starts in a layer's root. What is left to do goes to the file `settle`.
    pub(crate) fn new(root: OwnedFd, position: Position, settle: File, limits: &Limits) -> Result<Self, Fault> {
        let root = Level::new(OsString::new(), root)?;
        Ok(Self { levels: vec![root], position, list: ListWriter::new(settle, limits), implied: 0 })
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
        self.position == Position::Above
    }

    /// Makes the directory `name` in the directory of this path, or opens the one that is there; it takes the place of
    /// whatever else is there.
    pub(crate) fn directory(&mut self, parents: &[OsString], name: &OsStr) -> Result<OwnedFd, Fault> {
        self.enter(parents)?;
        let (dir, found) = self.make_directory(name, Displace::Anything)?;
        if found == Found::Other {
            self.put(Record::Opaque, Some(name))?;
        }
        Ok(dir)
    }

    /// Says that an entry made `name`, at the end of the trail, what it is: an earlier one may have implied it.
    pub(crate) fn declared(&mut self, name: &OsStr, uid: u32, gid: u32, mode: u32) -> Result<(), Fault> {
        if self.implied == 0 { Ok(()) } else { self.put(Record::Entry { uid, gid, mode }, Some(name)) }
    }

    /// Goes to the directory of this path and makes what is missing of it.
    pub(crate) fn enter(&mut self, path: &[OsString]) -> Result<BorrowedFd<'_>, Fault> {
        let common = self.levels[1..].iter().zip(path).take_while(|(level, name)| level.name == **name).count();
        self.leave(common + 1)?;
        for name in &path[common..] {
            let dir = self.step(name)?;
            self.levels.push(Level::new(name.clone(), dir)?);
        }
        Ok(self.last())
    }

    /// Hides what the layers below have in the directory at the end of the trail.
    pub(crate) fn hide_all(&mut self) -> Result<(), Fault> {
        let last = self.levels.last_mut().expect("the root is left at the end only");
        if std::mem::replace(&mut last.opaque, true) { Ok(()) } else { self.put(Record::Opaque, None) }
    }

    /// Hides what the layers below have in the directory `name` at the end of the trail.
    pub(crate) fn hide_all_in(&mut self, name: &OsStr) -> Result<(), Fault> {
        self.put(Record::Opaque, Some(name))
    }

    /// Leaves the root too: all times are set back, and the list is written.
    pub(crate) fn end(mut self) -> Result<(), Fault> {
        self.leave(0)?;
        Ok(self.list.end()?)
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

    /// Puts the directory at the end of the trail, or `name` in it, on the list. The lowest layer's list is empty.
    fn put(&mut self, record: Record, name: Option<&OsStr>) -> Result<(), Fault> {
        match self.position {
            Position::Lowest => Ok(()),
            Position::Above => {
                let path = self.levels[1..].iter().map(|level| level.name.as_os_str());
                Ok(self.list.add(record, path.chain(name))?)
            }
        }
    }

    /// Opens, and makes if need be, the directory `name` at the end of the trail.
    fn step(&mut self, name: &OsStr) -> Result<OwnedFd, Fault> {
        match open_dir(self.last(), name) {
            Ok(dir) => Ok(dir),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                let (dir, found) = self.make_directory(name, Displace::Whiteouts)?;
                fchmod(&dir, Mode::from_bits_truncate(0o755)).map_err(doing("set the mode of a directory above it"))?;
                self.implied += 1;
                // One in a whiteout's place is another directory than the one below.
                let hides = found == Found::Other;
                self.put(if hides { Record::Opaque } else { Record::Implied }, Some(name))?;
                Ok(dir)
            }
            Err(errno) => Err(Fault::Act("open a directory above it", errno.into())),
        }
    }

    /// Makes the directory `name` at the end of the trail, or opens the one that is there. A directory that displaces
    /// what this layer already put there (a whiteout, or an entry that itself took the lower one's place) is opaque:
    /// nothing of the lower layers may show in it.
    fn make_directory(&self, name: &OsStr, displace: Displace) -> Result<(OwnedFd, Found), Fault> {
        let parent = self.last();
        let make = || mkdirat(parent, name, Mode::S_IRWXU);
        let found = match make() {
            Ok(()) => Found::Nothing,
            Err(Errno::EEXIST) => match status(parent, name)? {
                Some(there) if is(&there, SFlag::S_IFDIR) => Found::Directory,
                Some(there) if displace == Displace::Whiteouts && !is_whiteout(&there) => {
                    let link = is(&there, SFlag::S_IFLNK);
                    return Err(if link { Rule::ThroughLink } else { Rule::ThroughFile }.into());
                }
                Some(_) | None => {
                    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(doing("replace an earlier entry"))?;
                    make().map_err(doing("make the directory"))?;
                    Found::Other
                }
            },
            Err(errno) => return Err(Fault::Act("make the directory", errno.into())),
        };
        Ok((open_dir(parent, name).map_err(doing("open the directory"))?, found))
    }
}

impl Level {
    fn new(name: OsString, dir: OwnedFd) -> Result<Self, Fault> {
        let stat = fstat(&dir).map_err(doing("read the time of a directory"))?;
        Ok(Self { name, dir, mtime: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec), opaque: false })
    }
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

//! The directories between a layer's root and the entry that is being unpacked, kept open: one after the other opened
//! below the last, so that neither a path's length nor what an earlier entry put there can lead elsewhere. A symbolic
//! link among them is followed as a container in the layer would follow it (so do Docker and containerd): by its text,
//! read here, from the directory that it is in or from the layer's root, never above the root. Making an entry changes its directory's time; the trail sets it back when it leaves. What it cannot do for a
//! directory, it puts on the list for `settle`. Memory and descriptors are bounded by the depth. Called by `unpack`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::rules::{DEPTH_MAX, Limits, PATH_MAX, Rule};
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

/// How many names one path may have once the links in it are followed. Each takes a few system calls, and an entry of
/// a few bytes can ask for all of them.
const STEPS_MAX: usize = 512;

/// The open directories. The first is the layer's root. Their names are real ones: no link is among them.
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
    /// The time that it gets when we leave it, if it may have changed.
    mtime: TimeSpec,
    changed: bool,
    /// Whether it is on the list as opaque since we came here.
    opaque: bool,
}

/// What becomes of a directory on the way that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is implied.
    Make,
    /// There is no such way.
    Refuse,
}

/// What a name on the way is.
enum Step {
    Directory,
    /// A symbolic link, and its text.
    Link(OsString),
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

    /// How many directories were made because entries implied them.
    pub(crate) fn implied(&self) -> u64 {
        self.implied
    }

    /// Whether there are layers below, of which something could show.
    pub(crate) fn has_below(&self) -> bool {
        self.position == Position::Above
    }

    /// Goes to the layer's root, to say what it is.
    pub(crate) fn enter_root(&mut self) -> Result<(), Fault> {
        self.leave(1)
    }

    /// Makes the directory `name` in the directory of this path, or finds the one that is there, and goes to it; it takes
    /// the place of whatever else is there.
    pub(crate) fn enter_new(&mut self, parents: &[OsString], name: &OsStr) -> Result<(), Fault> {
        self.enter(parents)?;
        let (dir, found) = self.make_directory(name)?;
        self.push(name, dir)?;
        if found == Found::Other { self.hide_all() } else { Ok(()) }
    }

    /// Says that an entry made the directory at the end of the trail what it is: an earlier one may have implied it.
    /// `mtime` is the time that it gets in the end.
    pub(crate) fn declared(&mut self, uid: u32, gid: u32, mode: u32, mtime: TimeSpec) -> Result<(), Fault> {
        let last = self.last_level();
        (last.mtime, last.changed) = (mtime, true);
        let listed = self.implied > 0 && self.levels.len() > 1;
        if listed { self.put(Record::Entry { uid, gid, mode }, None) } else { Ok(()) }
    }

    /// Goes to the directory of this path, in which something is going to be made, and makes what is missing of it.
    pub(crate) fn enter(&mut self, path: &[OsString]) -> Result<BorrowedFd<'_>, Fault> {
        self.walk(path, Missing::Make)?;
        self.last_level().changed = true;
        Ok(self.last())
    }

    /// Opens the directory of this path.
    pub(crate) fn find(&mut self, path: &[OsString]) -> Result<OwnedFd, Fault> {
        self.walk(path, Missing::Refuse)?;
        self.last().try_clone_to_owned().map_err(doing("keep a directory open"))
    }

    /// Hides what the layers below have in the directory at the end of the trail.
    pub(crate) fn hide_all(&mut self) -> Result<(), Fault> {
        let known = std::mem::replace(&mut self.last_level().opaque, true);
        if known { Ok(()) } else { self.put(Record::Opaque, None) }
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

    /// The directory at the end of the trail.
    pub(crate) fn last(&self) -> BorrowedFd<'_> {
        self.levels.last().expect("the root is left at the end only").dir.as_fd()
    }

    fn last_level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the root is left at the end only")
    }

    fn push(&mut self, name: &OsStr, dir: OwnedFd) -> Result<(), Fault> {
        if self.levels.len() > DEPTH_MAX {
            return Err(Rule::Depth.into()); // links can add to the depth of a path
        }
        self.levels.push(Level::new(name.to_owned(), dir)?);
        Ok(())
    }

    fn leave(&mut self, depth: usize) -> Result<(), Fault> {
        while self.levels.len() > depth {
            if let Some(level) = self.levels.pop().filter(|level| level.changed) {
                futimens(&level.dir, &TimeSpec::UTIME_OMIT, &level.mtime)
                    .map_err(doing("set the time of a directory"))?;
            }
        }
        Ok(())
    }

    /// Puts the directory at the end of the trail, or `name` in it, on the list. The lowest layer's list is empty.
    fn put(&mut self, record: Record, name: Option<&OsStr>) -> Result<(), Fault> {
        if self.position == Position::Lowest {
            return Ok(());
        }
        let path = self.levels[1..].iter().map(|level| level.name.as_os_str()).chain(name);
        let length: usize = path.clone().map(|name| name.len() + 1).sum();
        match (path.clone().count(), length) {
            (depth, _) if depth > DEPTH_MAX => Err(Rule::Depth.into()),
            (_, length) if length > PATH_MAX + 1 => Err(Rule::Path.into()),
            _ => Ok(self.list.add(record, path)?),
        }
    }

    /// Goes to the directory of this path. Links on the way are followed, with a bound on all that they add to it.
    fn walk(&mut self, path: &[OsString], missing: Missing) -> Result<(), Fault> {
        let common = self.levels[1..].iter().zip(path).take_while(|(level, name)| level.name == **name).count();
        self.leave(common + 1)?;
        let mut ahead: Vec<OsString> = path[common..].iter().rev().cloned().collect();
        let mut steps = 0;
        while let Some(name) = ahead.pop() {
            steps += 1;
            let Step::Link(text) = self.step(&name, missing)? else { continue };
            if text.as_bytes().starts_with(b"/") {
                self.leave(1)?;
            }
            let names = text.as_bytes().rsplit(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
            ahead.extend(names.take(STEPS_MAX).map(|name| OsStr::from_bytes(name).to_owned()));
            if steps + ahead.len() > STEPS_MAX {
                return Err(Rule::Links.into());
            }
        }
        Ok(())
    }

    /// Goes one name further.
    fn step(&mut self, name: &OsStr, missing: Missing) -> Result<Step, Fault> {
        if name == ".." {
            // Only a link says so. The root is above itself.
            self.leave((self.levels.len() - 1).max(1))?;
            return Ok(Step::Directory);
        }
        match open_dir(self.last(), name) {
            Ok(dir) => self.push(name, dir)?,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => match (status(self.last(), name)?, missing) {
                (Some(there), _) if is(&there, SFlag::S_IFLNK) => {
                    return Ok(Step::Link(readlinkat(self.last(), name).map_err(doing("read a symbolic link"))?));
                }
                (_, Missing::Refuse) => return Err(Rule::HardlinkTarget.into()),
                (Some(there), Missing::Make) if !is_whiteout(&there) => return Err(Rule::ThroughFile.into()),
                (_, Missing::Make) => self.imply(name)?,
            },
            Err(Errno::ENAMETOOLONG) => return Err(Rule::Name.into()),
            Err(errno) => return Err(Fault::Act("open a directory above it", errno.into())),
        }
        Ok(Step::Directory)
    }

    /// Makes the directory `name`, which no entry made so far, and goes to it.
    fn imply(&mut self, name: &OsStr) -> Result<(), Fault> {
        self.last_level().changed = true;
        let (dir, found) = self.make_directory(name)?;
        fchmod(&dir, Mode::from_bits_truncate(0o755)).map_err(doing("set the mode of a directory above it"))?;
        self.implied += 1;
        self.push(name, dir)?;
        match found {
            // One in a whiteout's place is another directory than the one below.
            Found::Other => self.hide_all(),
            Found::Nothing | Found::Directory => self.put(Record::Implied, None),
        }
    }

    /// Makes the directory `name` at the end of the trail, or opens the one that is there. A directory that displaces
    /// what this layer already put there (a whiteout, or an entry that itself took the lower one's place) has to be
    /// opaque: nothing of the lower layers may show in it.
    fn make_directory(&self, name: &OsStr) -> Result<(OwnedFd, Found), Fault> {
        let parent = self.last();
        let make = || mkdirat(parent, name, Mode::from_bits_truncate(0o755));
        let found = match make() {
            Ok(()) => Found::Nothing,
            Err(Errno::EEXIST) => match status(parent, name)? {
                Some(there) if is(&there, SFlag::S_IFDIR) => Found::Directory,
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
        let mtime = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
        Ok(Self { name, dir, mtime, changed: false, opaque: false })
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

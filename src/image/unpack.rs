//! Unpacking one layer, which a stranger made, into an empty directory of ours. Everything happens below that
//! directory's descriptor; nothing outside it can be named. The result is a lower directory for
//! overlayfs once it is settled: whiteouts are its character devices 0:0; opaque directories are on the list for `settle`.
//!
//! What becomes of an entry: files, directories, links and FIFOs are made as they are, with owner, mode (setuid too) and
//! time; of the extended attributes only those that `rules` keeps. Device nodes are left out as if they were not in the
//! layer, because a container's `/dev` is the runtime's. A later entry takes the place of an earlier one of the same
//! name, with all below it, except that a directory on a directory only changes its attributes. Called by `layer`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, linkat, mkfifoat, symlinkat};

use serde::{Deserialize, Serialize};

use super::rules::{Limits, Rule, Target, kept_xattrs, link_text, owner};
use super::settle_list::ListError;
use super::tarball::{Entry, Kind, TarError, TarReader, escaped};
use super::trail::{Fault, Position, Trail, doing, is, status};
use crate::sys::beneath::{create_beneath, open_beneath, set_xattr};
use crate::sys::tree::remove_tree;

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is not a tar archive, or a damaged one.
    #[error("the layer's archive cannot be read")]
    Archive(#[from] TarError),
    /// An entry that breaks a rule.
    #[error("the entry {entry} is refused")]
    Refused {
        /// The entry's name, escaped.
        entry: String,
        /// The rule.
        #[source]
        rule: Rule,
    },
    /// The system did not do what the entry asks for.
    #[error("the entry {entry}: {act}")]
    Entry {
        /// The entry's name, escaped.
        entry: String,
        /// What was being done.
        act: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The layer's own root directory.
    #[error("the layer's root: {act}")]
    Root {
        /// What was being done.
        act: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Entries over the limit.
    #[error("the layer has more than {0} entries")]
    Entries(u64),
    /// The list of what is left to do.
    #[error("note what is left to do for the layer")]
    List(#[source] ListError),
}

/// What a layer turned out to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Entries, and directories that entries implied.
    pub(crate) entries: u64,
    /// Device nodes that were left out.
    pub(crate) devices: u64,
}

struct Unpacker<R> {
    tar: TarReader<R>,
    trail: Trail,
    done: Unpacked,
}

/// Unpacks a layer's uncompressed stream into the empty directory `root`; what is left to do goes to the file `settle`.
/// Reads the stream to its end and gives it back.
pub(crate) fn unpack<R: BufRead>(
    stream: R,
    root: OwnedFd,
    position: Position,
    settle: File,
    limits: &Limits,
) -> Result<(Unpacked, R), UnpackError> {
    let trail = Trail::new(root, position, settle, limits).map_err(at_root)?;
    let mut unpacker = Unpacker { tar: TarReader::new(stream), trail, done: Unpacked::default() };
    while let Some(entry) = unpacker.tar.next()? {
        unpacker.done.entries += 1;
        unpacker.place(&entry)?;
        if unpacker.done.entries + unpacker.trail.implied() > limits.entries {
            return Err(UnpackError::Entries(limits.entries));
        }
    }
    unpacker.done.entries += unpacker.trail.implied();
    unpacker.trail.end().map_err(at_root)?;
    Ok((unpacker.done, unpacker.tar.finish()?))
}

fn at_root(fault: Fault) -> UnpackError {
    match fault {
        Fault::Rule(rule) => UnpackError::Refused { entry: "`/`".into(), rule },
        Fault::Act(act, source) => UnpackError::Root { act, source },
        Fault::List(error) => UnpackError::List(error),
    }
}

impl<R: BufRead> Unpacker<R> {
    fn place(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        let name = || escaped(&entry.path);
        self.make(entry).map_err(|error| match error {
            MakeError::Read(error) => UnpackError::Archive(error),
            MakeError::Fault(Fault::Rule(rule)) => UnpackError::Refused { entry: name(), rule },
            MakeError::Fault(Fault::Act(act, source)) => UnpackError::Entry { entry: name(), act, source },
            MakeError::Fault(Fault::List(error)) => UnpackError::List(error),
        })
    }

    fn make(&mut self, entry: &Entry) -> Result<(), MakeError> {
        match Target::of(&entry.path)? {
            Target::Nothing => {}
            // The lowest layer has nothing to hide, and a whiteout in it would only show in listings.
            Target::Opaque(_) | Target::Whiteout(..) if !self.trail.has_below() => {}
            Target::Root if entry.kind != Kind::Directory => return Err(Rule::Root.into()),
            Target::Root => {
                self.trail.enter_root()?;
                self.directory(entry)?;
            }
            Target::Opaque(dir) => {
                self.trail.enter(&dir)?;
                self.trail.hide_all()?;
            }
            Target::Whiteout(parents, name) => self.whiteout(&parents, &name)?,
            Target::Entry(parents, name) => match entry.kind {
                Kind::Device => self.done.devices += 1,
                Kind::Directory => {
                    self.trail.enter_new(&parents, &name)?;
                    self.directory(entry)?;
                }
                Kind::File => {
                    let parent = self.trail.enter(&parents)?;
                    // Without the bits that only an owner may give away; mostly that is the whole mode.
                    let make = || {
                        create_beneath(parent, name.as_os_str(), permissions(entry) & Mode::from_bits_truncate(0o777))
                    };
                    let mut file = File::from(instead(parent, &name, "make the file", make)?);
                    self.write(&mut file)?;
                    self.done.size += entry.size;
                    attributes(file.as_fd(), entry)?;
                    set_time(file.as_fd(), entry)?;
                }
                Kind::Symlink => symlink(self.trail.enter(&parents)?, &name, entry)?,
                Kind::Fifo => fifo(self.trail.enter(&parents)?, &name, entry)?,
                Kind::Hardlink => self.hardlink(&parents, &name, entry)?,
            },
        }
        Ok(())
    }

    /// Gives the directory at the end of the trail what the entry says of it; its time comes when the trail leaves it.
    fn directory(&mut self, entry: &Entry) -> Result<(), Fault> {
        let (uid, gid) = owners(entry)?;
        attributes(self.trail.last(), entry)?;
        self.trail.declared(uid.as_raw(), gid.as_raw(), entry.mode, mtime(entry))
    }

    /// Writes the content straight from the stream's buffers.
    fn write(&mut self, file: &mut File) -> Result<(), MakeError> {
        let mut content = self.tar.content();
        loop {
            let length = match content.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => {
                    file.write_all(bytes).map_err(doing("write the file"))?;
                    bytes.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(MakeError::Read(TarError::Read(error))),
            };
            content.consume(length);
        }
    }

    /// Hides `name` of the layers below. What this layer itself has under that name stays: a whiteout only speaks of
    /// lower layers (image-spec, layer.md, "Whiteouts"), so that a directory becomes opaque, and anything else hides
    /// them anyway.
    fn whiteout(&mut self, parents: &[OsString], name: &OsStr) -> Result<(), Fault> {
        let parent = self.trail.enter(parents)?;
        match mknodat(parent, name, SFlag::S_IFCHR, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => match status(parent, name)? {
                Some(there) if is(&there, SFlag::S_IFDIR) => self.trail.hide_all_in(name),
                Some(_) | None => Ok(()),
            },
            Err(errno) => Err(Fault::Act("make the whiteout", errno.into())),
        }
    }

    fn hardlink(&mut self, parents: &[OsString], name: &OsStr, entry: &Entry) -> Result<(), Fault> {
        let (target_parents, target) = Target::of_hardlink(&entry.link)?;
        let dir = self.trail.find(&target_parents)?;
        let there = status(dir.as_fd(), &target)?.ok_or(Rule::HardlinkTarget)?;
        if ![SFlag::S_IFREG, SFlag::S_IFLNK, SFlag::S_IFIFO].iter().any(|kind| is(&there, *kind)) {
            return Err(Rule::HardlinkKind.into());
        }
        let parent = self.trail.enter(parents)?;
        if target == name && same(dir.as_fd(), parent)? {
            return Ok(()); // a link to itself: replacing it would remove it
        }
        let link = || linkat(&dir, target.as_os_str(), parent, name, AtFlags::empty());
        match instead(parent, name, "make the hard link", link) {
            // The target was below what the link replaced.
            Err(Fault::Act(_, error)) if error.kind() == io::ErrorKind::NotFound => Err(Rule::HardlinkTarget.into()),
            result => result,
        }
    }
}

/// What ends an entry: the archive, or the entry itself.
enum MakeError {
    Read(TarError),
    Fault(Fault),
}

impl From<Fault> for MakeError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Rule> for MakeError {
    fn from(rule: Rule) -> Self {
        Self::Fault(rule.into())
    }
}

/// Makes `name`, instead of what an earlier entry put there.
fn instead<T>(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    act: &'static str,
    make: impl Fn() -> nix::Result<T>,
) -> Result<T, Fault> {
    match make() {
        Err(Errno::EEXIST) => {
            remove_tree(parent, name).map_err(doing("replace an earlier entry"))?;
            make().map_err(doing(act))
        }
        result => result.map_err(doing(act)),
    }
}

fn symlink(parent: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
    let text = link_text(&entry.link)?;
    let (uid, gid) = owners(entry)?;
    instead(parent, name, "make the symbolic link", || symlinkat(text, parent, name))?;
    if status(parent, name)?.is_none_or(|made| (made.st_uid, made.st_gid) != (uid.as_raw(), gid.as_raw())) {
        fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(doing("set the owner"))?;
    }
    let time = mtime(entry);
    utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(doing("set the time"))
}

fn fifo(parent: BorrowedFd<'_>, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
    instead(parent, name, "make the FIFO", || mkfifoat(parent, name, Mode::S_IRUSR | Mode::S_IWUSR))?;
    // Without O_NONBLOCK this would wait for a writer.
    let fifo = open_beneath(parent, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW);
    let fifo = fifo.map_err(doing("open the FIFO"))?;
    attributes(fifo.as_fd(), entry)?;
    set_time(fifo.as_fd(), entry)
}

/// Sets owner, attributes and mode, in this order: a change of owner clears setuid and capabilities, and whatever is set
/// here the umask has no part in. What is right as it was made is left alone: looking costs far less than a change that
/// the file system has to write down.
fn attributes(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), Fault> {
    let (uid, gid) = owners(entry)?;
    let xattrs = kept_xattrs(entry.kind, &entry.xattrs)?;
    let made = fstat(fd).map_err(doing("read the owner"))?;
    let other_owner = (made.st_uid, made.st_gid) != (uid.as_raw(), gid.as_raw());
    if other_owner {
        fchown(fd, Some(uid), Some(gid)).map_err(doing("set the owner"))?;
    }
    for (name, value) in xattrs {
        set_xattr(fd, &name, value).map_err(doing("set an extended attribute"))?;
    }
    let special = entry.mode & 0o7000 != 0;
    if made.st_mode & 0o7777 != entry.mode || other_owner && special {
        fchmod(fd, permissions(entry)).map_err(doing("set the mode"))?;
    }
    Ok(())
}

fn set_time(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), Fault> {
    let time = mtime(entry);
    futimens(fd, &time, &time).map_err(doing("set the time"))
}

/// Whether both are the same directory.
fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Fault> {
    let id = |fd| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino)).map_err(doing("look at a directory"));
    Ok(id(one)? == id(other)?)
}

fn permissions(entry: &Entry) -> Mode {
    Mode::from_bits_truncate(entry.mode)
}

fn owners(entry: &Entry) -> Result<(Uid, Gid), Rule> {
    Ok((Uid::from_raw(owner(entry.uid)?), Gid::from_raw(owner(entry.gid)?)))
}

fn mtime(entry: &Entry) -> TimeSpec {
    TimeSpec::new(entry.mtime.0, entry.mtime.1.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::super::testing::Tar;
    use super::*;

    /// Unpacks a layer and gives the list of what is left to do.
    fn listed(layer: &[u8], position: Position, limits: &Limits) -> Result<String, UnpackError> {
        let dir = tempfile::tempdir().unwrap();
        let mut list = tempfile::tempfile().unwrap();
        let root = File::open(dir.path()).unwrap().into();
        unpack(layer, root, position, list.try_clone().unwrap(), limits)?;
        let mut text = String::new();
        list.rewind().unwrap();
        list.read_to_string(&mut text).unwrap();
        Ok(text.replace('\0', "\n"))
    }

    #[test]
    fn what_an_entry_says_of_an_implied_directory_comes_after_it_on_the_list() {
        let layer = Tar::default().dir("before").file("a/b/f", "x").dir("a/b").file("a/g", "x").end();
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        let list = listed(&layer, Position::Above, &Limits::default()).unwrap();
        assert_eq!(list, format!("i a\ni a/b\ne {uid} {gid} 493 a/b\n"));
    }

    #[test]
    fn what_came_through_a_link_has_its_real_name_on_the_list() {
        let layer = Tar::default().dir("d").symlink("l", "/d/../d").file("l/e/f", "x").file("l/.wh..wh..opq", "").end();
        assert_eq!(listed(&layer, Position::Above, &Limits::default()).unwrap(), "i d/e\no d\n");
    }

    #[test]
    fn an_opaque_directory_is_on_the_list_once_while_it_is_worked_in() {
        let opaque = |tar: Tar| tar.file("d/.wh..wh..opq", "");
        let layer = (0..100).fold(Tar::default().dir("d"), |tar, _| opaque(tar));
        assert_eq!(listed(&layer.end(), Position::Above, &Limits::default()).unwrap(), "o d\n");
    }

    #[test]
    fn what_takes_the_place_of_something_hides_what_is_below() {
        let layer =
            Tar::default().file(".wh.a", "").file("a/f", "x").file("b", "x").dir("b").dir("c").file(".wh.c", "");
        let list = listed(&layer.end(), Position::Above, &Limits::default()).unwrap();
        let hidden: Vec<_> = list.lines().filter(|line| !line.starts_with("e ")).collect();
        assert_eq!(hidden, ["o a", "o b", "o c"]);
    }

    #[test]
    fn the_lowest_layer_leaves_nothing_to_do() {
        let layer = Tar::default().file("a/f", "x").file("a/.wh..wh..opq", "").dir("a").end();
        assert_eq!(listed(&layer, Position::Lowest, &Limits::default()).unwrap(), "");
    }

    #[test]
    fn a_list_over_its_limit_ends_the_layer() {
        let layer = (0..100).fold(Tar::default(), |tar, at| tar.file(&format!("{at}/f"), "")).end();
        let error = listed(&layer, Position::Above, &Limits { settle: 300, ..Limits::default() }).unwrap_err();
        assert!(matches!(error, UnpackError::List(ListError::TooLong(300))), "{error:?}");
    }
}

//! Settling a layer: what unpacking could not do, because marking a directory as opaque takes a capability that it does
//! not have, and because the layers below were not there yet. Runs with every capability on a tree and a list that an
//! untrusted process made: each path is opened below its root, through no link, as a directory or not at all. Called when
//! a layer is published, after the layers below it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown};

use super::rules::Limits;
use super::settle_list::{ListError, ListReader, Record};
use super::tarball::escaped;
use crate::sys::beneath::{open_beneath, set_xattr, xattr};

/// Why a layer was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The list.
    #[error("read what is left to do for the layer")]
    List(#[from] ListError),
    /// More records than a layer can have.
    #[error("more is left to do for the layer than for {0} entries")]
    Records(u64),
    /// A directory.
    #[error("the directory {path}: {act}")]
    Directory {
        /// Its path in the layer, escaped.
        path: String,
        /// What was being done.
        act: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The attribute that makes a directory opaque (the kernel's overlayfs.rst, "whiteouts and opaque directories").
const OPAQUE: &std::ffi::CStr = c"trusted.overlay.opaque";

/// Does what `list` says in the unpacked layer `root`: marks opaque directories, and gives implied ones the owner and mode
/// that they have in the layers `below`, topmost first; 0755 and root's otherwise. Doing it again changes nothing.
pub(crate) fn settle(
    root: BorrowedFd<'_>,
    below: &[OwnedFd],
    list: impl Read,
    limits: &Limits,
) -> Result<(), SettleError> {
    let mut known = Below { layers: below, levels: Vec::new() };
    // An entry can make a directory opaque, imply many (which count as entries) and say what one is.
    let most = limits.entries.saturating_mul(2);
    for (number, record) in (1..).zip(ListReader::new(list, limits)) {
        let (record, path) = record?;
        if number > most {
            return Err(SettleError::Records(limits.entries));
        }
        apply(root, &mut known, record, &path).map_err(|(act, errno)| SettleError::Directory {
            path: escaped(path.iter().collect::<PathBuf>().as_os_str().as_encoded_bytes()),
            act,
            source: errno.into(),
        })?;
    }
    Ok(())
}

type Failed = (&'static str, Errno);

fn apply(root: BorrowedFd<'_>, below: &mut Below<'_>, record: Record, path: &[OsString]) -> Result<(), Failed> {
    let Some(dir) = directory(root, &path.iter().collect::<PathBuf>()).map_err(|errno| ("open", errno))? else {
        return Ok(()); // a later entry took its place
    };
    match record {
        Record::Opaque => set_xattr(&dir, OPAQUE, b"y").map_err(|errno| ("mark as opaque", errno)),
        Record::Implied => give(&dir, below.find(path)?.unwrap_or(Attributes { uid: 0, gid: 0, mode: 0o755 })),
        Record::Entry { uid, gid, mode } => give(&dir, Attributes { uid, gid, mode }),
    }
}

#[derive(Debug, Clone, Copy)]
struct Attributes {
    uid: u32,
    gid: u32,
    mode: u32,
}

fn give(dir: &OwnedFd, Attributes { uid, gid, mode }: Attributes) -> Result<(), Failed> {
    fchown(dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(|errno| ("set the owner", errno))?;
    fchmod(dir, Mode::from_bits_truncate(mode)).map_err(|errno| ("set the mode", errno))
}

/// Opens a directory below `root`; `None` if it is not there, or is something else.
fn directory(root: BorrowedFd<'_>, path: &Path) -> nix::Result<Option<OwnedFd>> {
    match open_beneath(root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The layers below, and which of them have the directories that lead to the last one looked for. Records come in the
/// order of the archive, in which neighbours are mostly close, and what is in no layer has nothing below it in any.
struct Below<'a> {
    layers: &'a [OwnedFd],
    levels: Vec<Level>,
}

struct Level {
    name: OsString,
    /// Which layers have the directory and show it, topmost first, and what it is in the topmost.
    layers: Vec<usize>,
    attributes: Option<Attributes>,
}

impl Below<'_> {
    /// What the directory is in the topmost layer that has it.
    fn find(&mut self, path: &[OsString]) -> Result<Option<Attributes>, Failed> {
        let common = self.levels.iter().zip(path).take_while(|(level, name)| level.name == **name).count();
        self.levels.truncate(common);
        for depth in common..path.len() {
            let level = self.step(&path[..=depth]).map_err(|errno| ("look at it in a layer below", errno))?;
            self.levels.push(level);
        }
        Ok(self.levels.last().and_then(|level| level.attributes))
    }

    fn step(&self, path: &[OsString]) -> nix::Result<Level> {
        let all: Vec<usize>;
        let candidates = match self.levels.last() {
            Some(above) => &above.layers,
            None => {
                all = (0..self.layers.len()).collect();
                &all
            }
        };
        let name = path.last().cloned().unwrap_or_default();
        let path: PathBuf = path.iter().collect();
        let mut level = Level { name, layers: Vec::new(), attributes: None };
        for layer in candidates {
            let opened = open_beneath(
                self.layers[*layer].as_fd(),
                &path,
                OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW,
            );
            let dir = match opened {
                Ok(dir) => dir,
                Err(Errno::ENOENT) => continue,
                Err(Errno::ENOTDIR | Errno::ELOOP) => break, // a file, a link or a whiteout hides what is further down
                Err(errno) => return Err(errno),
            };
            level.layers.push(*layer);
            if level.attributes.is_none() {
                let stat = fstat(&dir)?;
                level.attributes = Some(Attributes { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 });
            }
            if is_opaque(&dir)? {
                break;
            }
        }
        Ok(level)
    }
}

fn is_opaque(dir: &OwnedFd) -> nix::Result<bool> {
    match xattr(dir, OPAQUE, &mut [0; 1]) {
        Ok(value) => Ok(value == b"y"),
        Err(Errno::ENODATA | Errno::ERANGE | Errno::ENOTSUP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    struct Layers(tempfile::TempDir);

    impl Layers {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            ["root", "0", "1"].iter().for_each(|layer| fs::create_dir(dir.path().join(layer)).unwrap());
            Self(dir)
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn dir(&self, path: &str, mode: u32) {
            fs::create_dir_all(self.path(path)).unwrap();
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn open(&self, path: &str) -> OwnedFd {
            File::open(self.path(path)).unwrap().into()
        }

        fn settle(&self, list: &str) -> Result<(), SettleError> {
            let below = [self.open("0"), self.open("1")];
            settle(self.open("root").as_fd(), &below, list.as_bytes(), &Limits::default())
        }

        fn mode(&self, path: &str) -> u32 {
            self.path(path).metadata().unwrap().mode() & 0o7777
        }

        fn opaque(&self, path: &str) -> bool {
            is_opaque(&self.open(path)).unwrap()
        }
    }

    #[test]
    fn implied_directories_are_as_in_the_topmost_layer_that_has_them() {
        let layers = Layers::new();
        ["root/a/b", "root/c", "root/d"].iter().for_each(|path| layers.dir(path, 0o700));
        layers.dir("0/a", 0o1777);
        layers.dir("1/a", 0o711);
        layers.dir("1/a/b", 0o2750);
        chown(layers.path("1/a/b"), Some(7), Some(8)).unwrap();
        layers.dir("1/d", 0o711);
        fs::write(layers.path("0/d"), "").unwrap();
        layers.settle("i a\0i a/b\0i c\0i d\0").unwrap();
        let modes = ["root/a", "root/a/b", "root/c", "root/d"].map(|path| layers.mode(path));
        assert_eq!(modes, [0o1777, 0o2750, 0o755, 0o755], "what hides a directory hides its mode too");
        let owner = layers.path("root/a/b").metadata().unwrap();
        assert_eq!((owner.uid(), owner.gid()), (7, 8));
    }

    #[test]
    fn what_an_opaque_directory_below_hides_does_not_count() {
        let layers = Layers::new();
        layers.dir("root/a/b", 0o700);
        layers.dir("0/a", 0o711);
        layers.dir("1/a/b", 0o700);
        set_xattr(layers.open("0/a"), OPAQUE, b"y").unwrap();
        layers.settle("i a\0i a/b\0").unwrap();
        assert_eq!((layers.mode("root/a"), layers.mode("root/a/b")), (0o711, 0o755));
    }

    #[test]
    fn settling_twice_is_settling_once_and_the_last_word_counts() {
        let layers = Layers::new();
        layers.dir("root/a", 0o700);
        layers.dir("root/b", 0o700);
        layers.dir("0/a", 0o711);
        for _ in 0..2 {
            layers.settle("i a\0o b\0i b\0e 7 8 1528 a\0").unwrap();
            let a = layers.path("root/a").metadata().unwrap();
            assert_eq!((a.uid(), a.gid(), layers.mode("root/a")), (7, 8, 0o2770));
            assert_eq!((layers.opaque("root/a"), layers.opaque("root/b")), (false, true));
        }
    }

    #[test]
    fn nothing_is_touched_through_a_link_or_outside_or_that_is_no_directory() {
        let layers = Layers::new();
        layers.dir("0/canary", 0o711);
        layers.dir("root/real", 0o711);
        symlink(layers.path("0/canary"), layers.path("root/link")).unwrap();
        symlink("real", layers.path("root/inside")).unwrap();
        symlink(layers.path("0"), layers.path("root/up")).unwrap();
        fs::write(layers.path("root/file"), "").unwrap();
        fs::set_permissions(layers.path("root/file"), fs::Permissions::from_mode(0o600)).unwrap();
        for path in ["link", "inside", "up/canary", "file", "missing", "missing/x", "file/x"] {
            layers.settle(&format!("o {path}\0i {path}\0e 7 7 0 {path}\0")).unwrap();
        }
        assert!(layers.settle("e 7 7 0 ../0/canary\0").is_err());
        for path in ["0/canary", "root/real"] {
            assert_eq!((layers.mode(path), layers.opaque(path)), (0o711, false), "{path}");
            assert_eq!(layers.path(path).metadata().unwrap().uid(), 0);
        }
        assert_eq!(layers.mode("root/file"), 0o600);
    }
}

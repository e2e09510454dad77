//! Looking a file up in an image without mounting it: through the layers from the top down, honouring whiteouts and
//! opaque directories as overlayfs does, and through the image's symbolic links with the image's root for `/`. Nothing
//! outside the layers can be reached. `ops` reads the image's users and groups with it, so that no code of the image is
//! run for that.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::reference::ImageReference;
use super::store::{Image, StoreError, layer_record};
use super::trail::{is, is_whiteout, open_dir};
use crate::sys::beneath::{open_beneath, xattr};

/// The most that is read of a file, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// How many symbolic links are followed: as many as Linux follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Why a file of an image was not read.
#[derive(Debug, thiserror::Error)]
#[error("{path} in the image {image}")]
pub struct LookupError {
    image: Box<ImageReference>,
    path: PathBuf,
    #[source]
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("it is not a regular file")]
    NotFile,
    #[error("it is larger than {FILE_MAX} bytes")]
    TooLarge,
    #[error("it is behind more than {LINKS_MAX} symbolic links")]
    Links,
    #[error("read it")]
    Read(#[from] std::io::Error),
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Read(errno.into())
    }
}

/// The directories of the layers that show as one, topmost first.
type Merged = Rc<Vec<OwnedFd>>;

impl Image {
    /// The image's `/etc/passwd`; `None` if it has none.
    pub fn passwd(&self) -> Result<Option<String>, LookupError> {
        self.file(Path::new("/etc/passwd"))
    }

    /// The image's `/etc/group`; `None` if it has none.
    pub fn group(&self) -> Result<Option<String>, LookupError> {
        self.file(Path::new("/etc/group"))
    }

    /// The bytes of each layer's files, topmost first, as they were counted when it was unpacked.
    pub fn layer_sizes(&self) -> Result<Vec<u64>, StoreError> {
        self.layers.iter().map(|layer| Ok(layer_record(layer.parent().unwrap_or(layer))?.size)).collect()
    }

    /// A text file of at most 1 MiB; what is not UTF-8 in it is replaced. `None` if it is not there.
    fn file(&self, path: &Path) -> Result<Option<String>, LookupError> {
        let failed = |source| LookupError { image: self.reference.clone().into(), path: path.into(), source };
        read(&self.layers, path).map_err(failed)
    }
}

fn read(layers: &[PathBuf], path: &Path) -> Result<Option<String>, Cause> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let roots: Result<Vec<_>, _> = layers.iter().map(|layer| open(layer, flags, Mode::empty())).collect();
    let Some(file) = find(Rc::new(roots?), path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let length = file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if length as u64 > FILE_MAX {
        return Err(Cause::TooLarge);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Walks to a regular file and opens it.
fn find(root: Merged, path: &Path) -> Result<Option<File>, Cause> {
    let mut way: VecDeque<OsString> = parts(path).collect();
    let mut trail = vec![root];
    let mut links = 0;
    while let Some(part) = way.pop_front() {
        if part == ".." {
            trail.truncate(trail.len().saturating_sub(1).max(1)); // above the root is the root
            continue;
        }
        let here = trail.last().expect("the root stays");
        match step(here, &part)? {
            Step::Nothing => return Ok(None),
            Step::Directory(merged) => trail.push(Rc::new(merged)),
            Step::File(file) if way.is_empty() => return Ok(Some(file)),
            Step::File(_) => return Ok(None),
            Step::Link(target) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Cause::Links);
                }
                if Path::new(&target).is_absolute() {
                    trail.truncate(1);
                }
                parts(Path::new(&target)).collect::<Vec<_>>().into_iter().rev().for_each(|part| way.push_front(part));
            }
        }
    }
    Err(Cause::NotFile)
}

/// The parts of a path that lead somewhere.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
}

enum Step {
    Nothing,
    Directory(Vec<OwnedFd>),
    File(File),
    Link(OsString),
}

/// One name in directories that show as one.
fn step(here: &[OwnedFd], name: &OsString) -> Result<Step, Cause> {
    let mut merged = Vec::new();
    for layer in here {
        let entry = match open_beneath(layer.as_fd(), name.as_os_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            entry => entry?,
        };
        let stat = fstat(&entry)?;
        if is(&stat, SFlag::S_IFDIR) {
            let dir = open_dir(layer.as_fd(), name)?;
            let opaque = is_opaque(&dir);
            merged.push(dir);
            if opaque {
                break;
            }
            continue;
        }
        // What is no directory hides all below it, and ends a merged directory above it.
        if !merged.is_empty() || is_whiteout(&stat) {
            break;
        }
        if is(&stat, SFlag::S_IFLNK) {
            return Ok(Step::Link(readlinkat(&entry, "")?));
        }
        if !is(&stat, SFlag::S_IFREG) {
            return Err(Cause::NotFile);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        return Ok(Step::File(open_beneath(layer.as_fd(), name.as_os_str(), flags)?.into()));
    }
    Ok(if merged.is_empty() { Step::Nothing } else { Step::Directory(merged) })
}

fn is_opaque(dir: &OwnedFd) -> bool {
    let mut value = [0];
    xattr(dir, c"trusted.overlay.opaque", &mut value) == Ok(&b"y"[..])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::mknod;
    use nix::unistd::mkfifo;

    use super::*;

    struct Layers(tempfile::TempDir);

    impl Layers {
        /// Two layers, `top` and `low`, each with an `etc`.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("top/etc")).unwrap();
            fs::create_dir_all(dir.path().join("low/etc")).unwrap();
            Self(dir)
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn read(&self, path: &str) -> Result<Option<String>, Cause> {
            read(&[self.path("top"), self.path("low")], Path::new(path))
        }
    }

    #[test]
    fn the_topmost_file_counts_and_a_whiteout_hides_it() {
        let layers = Layers::new();
        fs::write(layers.path("low/etc/passwd"), "low").unwrap();
        assert_eq!(layers.read("/etc/passwd").unwrap().as_deref(), Some("low"));
        fs::write(layers.path("top/etc/passwd"), "top").unwrap();
        assert_eq!(layers.read("/etc/passwd").unwrap().as_deref(), Some("top"));
        fs::remove_file(layers.path("top/etc/passwd")).unwrap();
        mknod(&layers.path("top/etc/passwd"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
        assert_eq!(layers.read("/etc/passwd").unwrap(), None);
    }

    #[test]
    fn a_whiteout_or_file_in_the_way_hides_the_whole_directory() {
        let layers = Layers::new();
        fs::write(layers.path("low/etc/passwd"), "low").unwrap();
        fs::remove_dir(layers.path("top/etc")).unwrap();
        fs::write(layers.path("top/etc"), "a file").unwrap();
        assert_eq!(layers.read("/etc/passwd").unwrap(), None);
        fs::remove_file(layers.path("top/etc")).unwrap();
        mknod(&layers.path("top/etc"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
        assert_eq!(layers.read("/etc/passwd").unwrap(), None);
    }

    #[test]
    fn links_are_followed_within_the_image_only() {
        let layers = Layers::new();
        fs::create_dir_all(layers.path("low/usr/share")).unwrap();
        fs::write(layers.path("low/usr/share/passwd"), "image").unwrap();
        for target in ["/usr/share/passwd", "../usr/share/passwd", "../../../../usr/share/passwd"] {
            symlink(target, layers.path("top/etc/passwd")).unwrap();
            assert_eq!(layers.read("/etc/passwd").unwrap().as_deref(), Some("image"), "{target}");
            fs::remove_file(layers.path("top/etc/passwd")).unwrap();
        }
        let outside = layers.path("outside");
        fs::write(&outside, "host").unwrap();
        for target in [outside.to_str().unwrap(), "../../outside", "/etc/hostname"] {
            symlink(target, layers.path("top/etc/passwd")).unwrap();
            assert_eq!(layers.read("/etc/passwd").unwrap(), None, "{target}");
            fs::remove_file(layers.path("top/etc/passwd")).unwrap();
        }
    }

    #[test]
    fn loops_fifos_and_large_files_are_errors_and_nobody_waits() {
        let layers = Layers::new();
        symlink("passwd", layers.path("top/etc/passwd")).unwrap();
        assert!(matches!(layers.read("/etc/passwd"), Err(Cause::Links)));
        mkfifo(&layers.path("top/etc/group"), Mode::S_IRWXU).unwrap();
        assert!(matches!(layers.read("/etc/group"), Err(Cause::NotFile)));
        fs::create_dir(layers.path("top/etc/shadow")).unwrap();
        assert!(matches!(layers.read("/etc/shadow"), Err(Cause::NotFile)));
        fs::write(layers.path("top/etc/large"), vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(matches!(layers.read("/etc/large"), Err(Cause::TooLarge)));
    }
}

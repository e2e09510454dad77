//! Saved images, read back: without the bytes that were pulled, but with all that was in them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::testing::{Tar, docker_archive, import};
use super::{Image, ImageReference, ImageStore};

fn named(text: &str) -> ImageReference {
    text.parse().unwrap()
}

/// Everything about the files of a layer, by path.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let content = match stat.file_type() {
                kind if kind.is_dir() => {
                    dirs.push(path.clone());
                    xattr(&path, c"trusted.overlay.opaque")
                }
                kind if kind.is_file() => format!("{:?} {}", fs::read(&path).unwrap(), xattr(&path, c"user.x")),
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                _ => stat.rdev().to_string(),
            };
            let links = if stat.is_dir() { 0 } else { stat.nlink() };
            let about = (stat.mode(), stat.uid(), stat.gid(), links, content);
            // Whiteouts have no time of their own.
            let time = if stat.mode() & 0o170_000 == 0o020_000 { (0, 0) } else { (stat.mtime(), stat.mtime_nsec()) };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), format!("{about:?} {time:?}"));
        }
    }
    all
}

fn xattr(path: &Path, name: &std::ffi::CStr) -> String {
    let mut buffer = [0; 64];
    let file = fs::File::open(path).unwrap();
    crate::sys::beneath::xattr(&file, name, &mut buffer).map_or(String::new(), |value| format!("{value:?}"))
}

struct Place {
    dir: tempfile::TempDir,
    store: ImageStore,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&dir.path().join("images")).unwrap();
        Self { dir, store }
    }

    fn import(&self, archive: &[u8]) -> Vec<Image> {
        let path = self.dir.path().join("archive");
        fs::write(&path, archive).unwrap();
        import(&self.store, &path, None, |_| {}).unwrap()
    }

    fn saved(&self, names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| named(name)).collect();
        let mut archive = Vec::new();
        self.store.save(&names, &mut archive).unwrap();
        archive
    }
}

/// An image with one of everything.
fn image() -> Vec<u8> {
    let long = "long/".repeat(30) + &"n".repeat(200);
    let lower = Tar::default().dir("d").file("d/gone", "x").file("d/kept", "x").dir("o").file("o/hidden", "x");
    let lower = lower.file("a", "content").hardlink("b/c", "a").symlink("l", "/nowhere").of(b'6', "fifo");
    let lower = lower.pax("mtime", b"-1.25").file("old", "").pax("mtime", b"7.5").file("new", "");
    let lower = lower.pax("SCHILY.xattr.user.x", b"line\n=line").file("x", "").pax("uid", b"3000000").file("owned", "");
    let lower = lower.pax("path", long.as_bytes()).file("_", "deep").symlink("far", &"t".repeat(150)).end();
    let upper = Tar::default().file("d/.wh.gone", "").file("o/.wh..wh..opq", "").file("o/shown", "y").end();
    docker_archive(&[lower, upper], &["one:1", "registry.example/two:2"])
}

#[test]
fn a_saved_image_comes_back_with_all_its_files() {
    if !nix::unistd::geteuid().is_root() {
        return; // owners and opaque directories take root
    }
    let (from, to) = (Place::new(), Place::new());
    let before = from.import(&image()).remove(0);
    let after = to.import(&from.saved(&["one:1"])).remove(0);
    assert_eq!(after.reference, before.reference);
    assert_eq!((after.config, after.platform, after.size), (before.config, before.platform, before.size));
    for (one, two) in before.layers.iter().zip(&after.layers) {
        assert_eq!(tree(one), tree(two));
    }
    assert_eq!(tree(&after.layers[1]).len(), 46);
    assert_ne!(after.digest, before.digest, "layers that are written anew have other digests");
}

#[test]
fn the_same_image_is_saved_as_the_same_bytes() {
    let (one, two) = (Place::new(), Place::new());
    one.import(&image());
    let archive = one.saved(&["one:1"]);
    two.import(&archive);
    assert!(two.saved(&["one:1"]) == archive);
}

#[test]
fn several_images_share_their_layers_in_one_archive() {
    let (from, to) = (Place::new(), Place::new());
    let (base, top) = (Tar::default().file("base", "x").end(), Tar::default().file("top", "x").end());
    from.import(&docker_archive(std::slice::from_ref(&base), &["base"]));
    from.import(&docker_archive(&[base, top], &["top"]));
    let archive = from.saved(&["base", "top", "top"]);
    let mut members = tar::Archive::new(&archive[..]);
    assert_eq!(members.entries().unwrap().count(), 3 + 4 + 2, "documents of the archive, of the images, layers");
    let names: Vec<_> = to.import(&archive).into_iter().map(|image| image.reference).collect();
    assert_eq!(names, [named("base"), named("top"), named("top")]);
    assert_eq!(fs::read_dir(to.dir.path().join("images/layers")).unwrap().count(), 2);
}

#[test]
fn a_docker_archive_is_in_it_too() {
    let place = Place::new();
    place.import(&image());
    let archive = place.saved(&["one:1"]);
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(&archive[..]).unpack(dir.path()).unwrap();
    fs::remove_file(dir.path().join("index.json")).unwrap();
    let other = Place::new();
    let images = import(&other.store, dir.path(), None, |_| {}).unwrap();
    assert_eq!(images[0].reference, named("one:1"));
}

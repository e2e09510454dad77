//! Unpacked layers as overlayfs sees them: whiteouts, opaque directories, owners and capabilities.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth::image::{Digest, Fetch, Image, ImageStore, Job};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A layer under construction: `tar` writes the headers, and PAX records where they are given.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: tar::EntryType, name: &str, mode: u32, owner: u64, content: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, name, content.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str) -> Self {
        self.entry(tar::EntryType::Regular, name, 0o644, 0, name)
    }

    fn dir(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, 0o755, 0, "")
    }

    fn pax(mut self, key: &str, value: &[u8]) -> Self {
        self.0.append_pax_extensions([(key, value)]).unwrap();
        self
    }

    fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn import(dir: &Path, layers: &[Vec<u8>]) -> Image {
    let names: Vec<_> = (0..layers.len()).map(|at| format!("{at}.tar")).collect();
    let ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = serde_json::json!({"architecture": architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ids}});
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": ["test"], "Layers": names}]);
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).unwrap();
    };
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", manifest.to_string().as_bytes());
    names.iter().zip(layers).for_each(|(name, layer)| add(name, layer));
    fs::write(dir.join("archive"), archive.into_inner().unwrap()).unwrap();
    let store = ImageStore::open(&dir.join("images")).unwrap();
    let job = Job::Import { path: dir.join("archive"), name: None };
    let source = File::open(dir.join("archive")).unwrap();
    let staged = Fetch::open(job.clone(), Some(source), store.dir(), Arc::new(|_| {})).unwrap().run().unwrap();
    store.publish(&job, &staged).unwrap().expect("nobody removes anything").remove(0)
}

/// Mounts the image's layers, in a mount namespace of this thread's own, and looks at them.
fn mounted(image: &Image, dir: &Path, look: impl FnOnce(&Path) + Send) {
    let merged = dir.join("merged");
    fs::create_dir_all(&merged).unwrap();
    let lower = image.layers.iter().map(|layer| layer.to_str().unwrap()).collect::<Vec<_>>().join(":");
    let empty = dir.join("empty"); // overlayfs wants two directories at least
    fs::create_dir_all(&empty).unwrap();
    let options = format!("lowerdir={lower}:{}", empty.display());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("this suite needs root");
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            mount(Some("overlay"), &merged, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str())).unwrap();
            look(&merged);
            umount2(&merged, MntFlags::MNT_DETACH).unwrap();
        });
        thread.join().unwrap();
    });
}

fn names(dir: PathBuf) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_lies_below() {
    let dir = tempfile::tempdir().unwrap();
    let low = Layer::new().file("gone").dir("kept").file("kept/gone").file("kept/kept").dir("opaque");
    let low = low.file("opaque/gone").dir("replaced").file("replaced/gone").dir("tree").file("tree/gone").end();
    let top = Layer::new().file(".wh.gone").file("kept/.wh.gone").file("opaque/.wh..wh..opq").file("opaque/new");
    let top = top.file(".wh.replaced").dir("replaced").file("replaced/new").file("tree").dir("tree").end();
    let image = import(dir.path(), &[low, top]);
    mounted(&image, dir.path(), |merged| {
        assert_eq!(names(merged.to_owned()), ["kept", "opaque", "replaced", "tree"]);
        assert_eq!(names(merged.join("kept")), ["kept"]);
        assert_eq!(names(merged.join("opaque")), ["new"]);
        assert_eq!(names(merged.join("replaced")), ["new"], "a directory behind a whiteout is a new one");
        assert_eq!(names(merged.join("tree")), [""; 0], "a directory behind a file is a new one");
    });
}

#[test]
fn a_whiteout_behind_a_directory_of_its_own_layer_hides_the_lower_one() {
    let dir = tempfile::tempdir().unwrap();
    let low = Layer::new().dir("d").file("d/gone").end();
    let top = Layer::new().dir("d").file("d/new").file(".wh.d").end();
    let image = import(dir.path(), &[low, top]);
    mounted(&image, dir.path(), |merged| assert_eq!(names(merged.join("d")), ["new"]));
}

#[test]
fn attributes_for_overlayfs_in_a_layer_are_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let low = Layer::new().dir("secret").file("secret/a").dir("d").file("d/kept").end();
    let top = Layer::new().pax("SCHILY.xattr.trusted.overlay.redirect", b"/secret").dir("d");
    let top = top.pax("SCHILY.xattr.trusted.overlay.opaque", b"y").dir("d").end();
    let image = import(dir.path(), &[low, top]);
    mounted(&image, dir.path(), |merged| assert_eq!(names(merged.join("d")), ["kept"]));
}

#[test]
fn owners_setuid_and_capabilities_are_kept() {
    // Version 2 with CAP_NET_BIND_SERVICE, effective (linux/capability.h, struct vfs_cap_data).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let dir = tempfile::tempdir().unwrap();
    let layer = Layer::new().entry(tar::EntryType::Regular, "suid", 0o6755, 1234, "x");
    let layer = layer.pax("SCHILY.xattr.security.capability", &capability);
    let layer = layer.entry(tar::EntryType::Regular, "capable", 0o755, 0, "x").dir("d").end();
    let image = import(dir.path(), &[layer]);
    let suid = image.layers[0].join("suid").metadata().unwrap();
    assert_eq!((suid.mode() & 0o7777, suid.uid(), suid.gid()), (0o6755, 1234, 1235));
    let capable = fs::File::open(image.layers[0].join("capable")).unwrap();
    let mut value = [0; 32];
    let found = berth::sys::beneath::xattr(&capable, c"security.capability", &mut value).unwrap();
    assert_eq!(found, capability);
}

#[test]
fn the_store_is_closed_to_everybody_else() {
    let dir = tempfile::tempdir().unwrap();
    let image = import(dir.path(), &[Layer::new().file("a").end()]);
    let closed = |path: &Path| assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o700, "{path:?}");
    let layer = image.layers[0].parent().unwrap();
    [layer, layer.parent().unwrap(), &dir.path().join("images"), &dir.path().join("images/blobs")]
        .into_iter()
        .for_each(closed);
}

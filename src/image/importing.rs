//! Imports from end to end, without root: what comes in, what stays out, and what a store looks like afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::testing::{Layout, Tar, config, docker_archive, gzip, import, zstd};
use super::{
    Digest, FetchError, Image, ImageReference, ImageStore, LayerError, ManifestError, Platform, Progress, Prune,
    StoreError,
};

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

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.path("layout"))
    }

    fn import(&self, path: &Path, name: Option<&str>) -> Result<Vec<Image>, FetchError> {
        import(&self.store, path, name.map(|name| name.parse().unwrap()).as_ref(), |_| {})
    }

    /// Imports an image of these layers under a name.
    fn image(&self, layers: &[Vec<u8>], name: &str) -> Image {
        let path = self.path("archive");
        fs::write(&path, docker_archive(layers, &[name])).unwrap();
        self.import(&path, None).unwrap().remove(0)
    }

    fn remove(&self, name: &ImageReference, in_use: &[Digest]) -> Result<(), StoreError> {
        self.store.remove(self.store.removing().unwrap(), name, in_use)
    }

    fn prune(&self, in_use: &[Digest]) -> Vec<ImageReference> {
        self.store.prune(self.store.removing().unwrap(), Prune::Untagged, in_use).unwrap().images
    }

    fn count(&self, below: &str) -> usize {
        fs::read_dir(self.path("images").join(below)).map_or(0, Iterator::count)
    }

    /// Nothing is visible, and nothing is left behind but complete layers, to be picked up.
    fn shows_nothing(&self) -> bool {
        let staged = self.path("images/staging/layers");
        let mut staged = fs::read_dir(staged).into_iter().flatten().map(|entry| entry.unwrap().path());
        self.store.list().unwrap().is_empty()
            && ["layers", "blobs/sha256", "removed"].iter().all(|dir| self.count(dir) == 0)
            && staged.all(|layer| layer.join("unpacked.json").exists())
    }

    /// Nothing is visible, and nothing is left behind.
    fn is_empty(&self) -> bool {
        self.shows_nothing() && self.count("staging/layers") == 0
    }
}

fn layer(name: &str, content: &str) -> Vec<u8> {
    Tar::default().file(name, content).end()
}

fn named(text: &str) -> ImageReference {
    text.parse().unwrap()
}

#[test]
fn an_oci_layout_is_imported_from_a_directory_and_from_archives() {
    let place = Place::new();
    let layers = [layer("a", "one"), layer("b", "two"), layer("c", "three")];
    let layout = place.layout();
    let blobs = [layers[0].clone(), gzip(&layers[1]), zstd(&layers[2])];
    let descriptor = layout.manifest(&config(&layers), &blobs);
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let layout = layout.add(descriptor, Some("thing:1"));
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", &layout.dir).unwrap();
    let archive = archive.into_inner().unwrap();
    fs::write(place.path("plain"), &archive).unwrap();
    fs::write(place.path("gzip"), gzip(&archive)).unwrap();
    for path in [layout.dir.clone(), place.path("plain"), place.path("gzip")] {
        let image = place.import(&path, None).unwrap().remove(0);
        assert_eq!(image.reference, named("thing:1"));
        assert_eq!(image.digest, digest);
        assert_eq!(image.config.cmd, ["/bin/true"]);
        assert_eq!(image.size, 11);
        assert!(image.layers[0].join("c").exists() && image.layers[2].join("a").exists(), "topmost first");
        assert_eq!(place.store.resolve(&named("docker.io/library/thing:1")).unwrap(), Some(image));
        assert_eq!((place.count("layers"), place.count("staging/layers")), (3, 0));
        place.remove(&named("thing:1"), &[]).unwrap();
        assert!(place.is_empty());
    }
}

#[test]
fn a_docker_archive_is_imported_under_its_tags() {
    let place = Place::new();
    let path = place.path("archive");
    fs::write(&path, docker_archive(&[layer("a", "x")], &["one:1", "registry.example/two:2"])).unwrap();
    let images = place.import(&path, None).unwrap();
    assert_eq!(
        images.iter().map(|image| image.reference.to_string()).collect::<Vec<_>>(),
        ["one:1", "registry.example/two:2"]
    );
    assert_eq!(images[0].digest, images[1].digest);
    let by_digest = named(&format!("one@{}", images[0].digest));
    assert_eq!(place.store.resolve(&by_digest).unwrap().unwrap(), images[0]);
    assert_eq!(place.store.resolve(&named("one")).unwrap(), None);
}

#[test]
fn layers_are_unpacked_once_and_go_with_their_last_image() {
    let place = Place::new();
    let base = layer("base", "x");
    place.image(&[base.clone(), layer("a", "x")], "a");
    let shared = Arc::new(AtomicUsize::new(0));
    let path = place.path("archive");
    fs::write(&path, docker_archive(&[base, layer("b", "x")], &["b"])).unwrap();
    let count = Arc::clone(&shared);
    let tell = move |progress| {
        count.fetch_add(usize::from(matches!(progress, Progress::Present { .. })), Ordering::Relaxed);
    };
    import(&place.store, &path, None, tell).unwrap();
    assert_eq!((shared.load(Ordering::Relaxed), place.count("layers")), (1, 3));
    place.remove(&named("a"), &[]).unwrap();
    assert_eq!((place.count("layers"), place.count("blobs/sha256")), (2, 2));
    place.remove(&named("b"), &[]).unwrap();
    assert!(place.is_empty());
}

#[test]
fn an_image_in_use_keeps_its_last_name() {
    let place = Place::new();
    let image = place.image(&[layer("a", "x")], "a");
    place.image(&[layer("a", "x")], "b");
    place.remove(&named("b"), &[image.digest]).unwrap();
    assert!(matches!(place.remove(&named("a"), &[image.digest]), Err(StoreError::InUse(_))));
    assert!(image.layers[0].join("a").exists());
    assert!(matches!(place.remove(&named("b"), &[]), Err(StoreError::NotFound(_))));
}

#[test]
fn an_image_that_loses_its_name_stays_until_it_is_pruned() {
    let place = Place::new();
    let old = place.image(&[layer("a", "old")], "a");
    let new = place.image(&[layer("a", "new")], "a");
    assert_eq!(place.store.resolve(&named("a")).unwrap().unwrap(), new);
    let by_digest = named(&format!("a@{}", old.digest));
    assert_eq!(place.store.resolve(&by_digest).unwrap().unwrap().layers, old.layers);
    assert_eq!(place.prune(&[old.digest]), []);
    assert!(old.layers[0].exists());
    assert_eq!(place.prune(&[]), [by_digest]);
    assert!(!old.layers[0].exists() && new.layers[0].exists());
}

#[test]
fn an_old_image_that_gets_its_name_back_has_one_name() {
    let place = Place::new();
    place.image(&[layer("a", "old")], "a");
    place.image(&[layer("a", "new")], "a");
    place.image(&[layer("a", "old")], "a");
    let names: Vec<_> = place.store.list().unwrap().into_iter().map(|image| image.reference).collect();
    assert_eq!((names.len(), names.contains(&named("a"))), (2, true));
}

#[test]
fn any_damaged_blob_keeps_everything_invisible() {
    let place = Place::new();
    let layers = [layer("a", "one"), layer("b", "two")];
    let layout = place.layout();
    let blobs = [gzip(&layers[0]), layers[1].clone()];
    let descriptor = layout.manifest(&config(&layers), &blobs);
    let layout = layout.add(descriptor, Some("thing"));
    let files: Vec<_> =
        fs::read_dir(layout.dir.join("blobs/sha256")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    let refused = || {
        place.prune(&[]); // a layer that is complete would be picked up, and its damage not be seen
        place.import(&layout.dir, None).unwrap_err();
        assert!(place.shows_nothing());
    };
    for file in files {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [flipped, whole[..whole.len() - 1].to_vec(), [&whole[..], b"\0"].concat(), Vec::new()] {
            fs::write(&file, damaged).unwrap();
            refused();
        }
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        refused();
        fs::remove_file(&file).unwrap();
        fs::write(&file, whole).unwrap();
    }
    place.import(&layout.dir, None).unwrap();
}

#[test]
fn a_refused_layer_is_named_and_nothing_of_its_image_stays() {
    let place = Place::new();
    let layers = [layer("a", "x"), Tar::default().file("../a", "x").end()];
    let error = place.import(&place.layout().image(&layers, Some("a")).dir, None).unwrap_err();
    assert!(error.to_string().ends_with(&format!("layer 2 of 2, {}", Digest::of(&layers[1]))), "{error}");
    let FetchError::Layer { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, LayerError::Unpack(_)));
    assert!(place.shows_nothing());
    place.prune(&[]);
    assert!(place.is_empty());
}

#[test]
fn a_name_is_given_or_comes_from_the_source_or_is_asked_for() {
    let place = Place::new();
    let layers = [layer("a", "x")];
    let path = place.layout().image(&layers, None).dir;
    assert!(matches!(place.import(&path, None), Err(FetchError::NoName(_))));
    assert_eq!(place.import(&path, Some("given:1")).unwrap()[0].reference, named("given:1"));
    let path = Layout::new(&place.path("bad")).image(&layers, Some("Not A Name")).dir;
    assert!(matches!(place.import(&path, None), Err(FetchError::BadName { .. })));
    let two = Layout::new(&place.path("two")).image(&layers, Some("one")).image(&[layer("b", "x")], Some("two")).dir;
    assert_eq!(place.import(&two, None).unwrap().len(), 2);
    assert!(matches!(place.import(&two, Some("given")), Err(FetchError::OneName { count: 2, .. })));
    let other = format!("given@{}", Digest::of(b"other"));
    assert!(matches!(place.import(&path, Some(&other)), Err(FetchError::OtherDigest { .. })));
}

fn with_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn of_a_nested_index_the_image_for_this_host_is_taken() {
    let place = Place::new();
    let layout = place.layout();
    let host = Platform::host();
    let (ours, theirs) = ([layer("ours", "x")], [layer("theirs", "x")]);
    let manifests = [
        with_platform(layout.manifest(&config(&theirs), &theirs), "linux", "s390x"),
        with_platform(layout.manifest(&config(&ours), &ours), "linux", &host.architecture),
        with_platform(layout.manifest(&config(&theirs), &theirs), "unknown", "unknown"),
    ];
    let index =
        |manifests: &[Value]| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
    let descriptor = layout.blob(INDEX, index(&manifests).as_bytes());
    let layout = layout.add(descriptor.clone(), Some("thing"));
    let image = place.import(&layout.dir, None).unwrap().remove(0);
    assert!(image.layers[0].join("ours").exists());
    let other =
        Layout::new(&place.path("layout")).add(layout.blob(INDEX, index(&manifests[..1]).as_bytes()), Some("thing"));
    let error = place.import(&other.dir, None).unwrap_err();
    assert!(
        matches!(&error, FetchError::Manifest { source: ManifestError::Platform { found, .. }, .. } if found == "linux/s390x")
    );
    let deeper =
        Layout::new(&place.path("layout")).add(layout.blob(INDEX, index(&[descriptor]).as_bytes()), Some("thing"));
    let error = place.import(&deeper.dir, None).unwrap_err();
    assert!(matches!(error, FetchError::Manifest { source: ManifestError::Nested(_), .. }));
}

#[test]
fn a_document_that_can_be_read_as_two_things_is_refused() {
    let place = Place::new();
    let layers = [layer("a", "x")];
    let layout = place.layout();
    let descriptor = layout.manifest(&config(&layers), &layers);
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(layout.path(&digest)).unwrap()).unwrap();
    manifest["manifests"] = json!([]);
    let both = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    let mut lying = descriptor;
    lying["mediaType"] = json!(INDEX);
    for descriptor in [both, lying] {
        let layout = Layout::new(&place.path("layout")).add(descriptor, Some("thing"));
        let error = place.import(&layout.dir, None).unwrap_err();
        assert!(matches!(error, FetchError::Manifest { source: ManifestError::Confused(_), .. }), "{error:?}");
    }
}

#[test]
fn more_layers_than_the_configuration_knows_are_refused() {
    let place = Place::new();
    let layout = place.layout();
    let layers = [layer("a", "x")];
    let descriptor = layout.manifest(&config(&[]), &layers);
    let error = place.import(&layout.add(descriptor, Some("thing")).dir, None).unwrap_err();
    assert!(matches!(error, FetchError::Manifest { source: ManifestError::Layers { layers: 1, diff_ids: 0, .. }, .. }));
}

#[test]
fn what_is_no_image_says_so() {
    let place = Place::new();
    fs::create_dir(place.path("dir")).unwrap();
    let error = place.import(&place.path("dir"), None).unwrap_err();
    assert!(matches!(error, FetchError::Manifest { source: ManifestError::Format, .. }));
    fs::write(place.path("text"), "text ".repeat(500)).unwrap();
    assert!(matches!(place.import(&place.path("text"), None), Err(FetchError::Source(_))));
    assert!(matches!(place.import(&place.path("nothing"), None), Err(FetchError::Source(_))));
    assert!(matches!(place.import(Path::new("/dev/null"), None), Err(FetchError::Source(_))));
}

#[test]
fn what_a_killed_fetch_left_is_removed_by_the_next() {
    let place = Place::new();
    let kept = place.image(&[layer("a", "x")], "a");
    let images = place.path("images");
    fs::create_dir_all(images.join("staging/layers/x/fs/dir")).unwrap();
    fs::create_dir_all(images.join("layers").join("0".repeat(64)).join("fs")).unwrap();
    fs::write(images.join("blobs/sha256").join("0".repeat(64)), "x").unwrap();
    place.image(&[layer("b", "x")], "b");
    assert_eq!((place.count("staging/layers"), place.count("layers"), place.count("blobs/sha256")), (0, 2, 4));
    assert!(kept.layers[0].join("a").exists());
}

#[test]
fn imports_and_removals_at_the_same_time_leave_a_whole_store() {
    let place = Place::new();
    let base = layer("base", &"x".repeat(100_000));
    let archives: Vec<_> = (0..4)
        .map(|at| {
            let path = place.path(&format!("archive{at}"));
            let layers = [base.clone(), layer(&format!("top{}", at / 2), "x")];
            fs::write(&path, docker_archive(&layers, &[&format!("image{at}")])).unwrap();
            path
        })
        .collect();
    std::thread::scope(|scope| {
        for (at, path) in archives.iter().enumerate() {
            let store = place.store.clone();
            scope.spawn(move || {
                for _ in 0..5 {
                    let images = import(&store, path, None, |_| {}).unwrap();
                    assert!(images[0].layers.iter().all(|layer| layer.exists()));
                    if at > 0 {
                        store.remove(store.removing().unwrap(), &images[0].reference, &[]).unwrap();
                    }
                }
            });
        }
    });
    let images = place.store.list().unwrap();
    assert_eq!(images.len(), 1);
    assert!(images[0].layers[1].join("base").exists() && images[0].layers[0].join("top0").exists());
    place.prune(&[]);
    assert_eq!((place.count("layers"), place.count("staging/layers")), (2, 0));
}

//! Publishing and what comes before it: who believes what a fetch says, who waits for whom, what is picked up, and what
//! goes when.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::digest::Digest;
use super::fetch::{Fetch, FetchError};
use super::gc::Prune;
use super::index::Origin;
use super::reference::ImageReference;
use super::request::{Failure, FailureKind, Job, Progress, Proxies, PullRequest, Staged};
use super::staging::{Claim, Staging};
use super::store::{ImageStore, StoreError};
use super::testing::{Layout, Tar, docker_archive, import};

struct Place {
    dir: tempfile::TempDir,
    store: ImageStore,
}

fn named(text: &str) -> ImageReference {
    text.parse().unwrap()
}

fn layer(name: &str, content: &str) -> Vec<u8> {
    Tar::default().file(name, content).end()
}

fn quiet(_: Progress) {}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&dir.path().join("images")).unwrap();
        Self { dir, store }
    }

    fn archive(&self, layers: &[Vec<u8>], name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, docker_archive(layers, &[name])).unwrap();
        path
    }

    fn fetch(&self, path: &Path, tell: impl Fn(Progress) + Send + Sync + 'static) -> Result<Vec<Staged>, FetchError> {
        let source = File::open(path).unwrap();
        Fetch::open(job(path), Some(source), self.store.dir(), Arc::new(tell))?.run()
    }

    fn staged(&self, layers: &[Vec<u8>], name: &str) -> (Job, Staged) {
        let path = self.archive(layers, name);
        (job(&path), self.fetch(&path, quiet).unwrap().remove(0))
    }

    fn staging(&self) -> Staging {
        Staging::open(self.store.dir()).unwrap()
    }

    fn count(&self, below: &str) -> usize {
        fs::read_dir(self.store.dir().join(below)).map_or(0, Iterator::count)
    }

    fn shows_nothing(&self) -> bool {
        self.store.list().unwrap().is_empty() && self.count("layers") == 0 && self.count("blobs/sha256") == 0
    }
}

fn job(path: &Path) -> Job {
    Job::Import { path: path.to_owned(), name: None }
}

fn pull(name: &str) -> Job {
    let (endpoints, local_hosts, proxies) = (Vec::new(), Vec::new(), Proxies::default());
    Job::Pull(PullRequest { reference: named(name), known: None, endpoints, proxies, local_hosts, parallel: 2 })
}

#[test]
fn a_pulled_image_remembers_what_its_registry_calls_it() {
    let place = Place::new();
    let (_, mut staged) = place.staged(&[layer("a", "x")], "a");
    let digest = Digest::of(staged.manifest.as_bytes());
    let descriptor = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(),
        "size": staged.manifest.len()});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string();
    let top = Digest::of(index.as_bytes());
    staged.index = Some(index);
    staged.names = vec![named("registry.example/a:1")];
    let image = place.store.publish(&pull("registry.example/a:1"), &[staged.clone()]).unwrap().unwrap().remove(0);
    assert_eq!(image.origin, Origin::Registry { digest: top });
    for digest in [digest, top] {
        let found = place.store.resolve(&named(&format!("registry.example/a@{digest}"))).unwrap();
        assert_eq!(found.as_ref(), Some(&image));
    }
    // By the digest of the index it gets the name of its manifest, and the tag beside it does not move.
    staged.names = vec![named(&format!("registry.example/b@{digest}"))];
    let job = pull(&format!("registry.example/b:1@{top}"));
    let image = place.store.publish(&job, &[staged]).unwrap().unwrap().remove(0);
    assert_eq!(image.reference, named(&format!("registry.example/b@{digest}")));
    assert_eq!(place.store.resolve(&named("registry.example/b:1")).unwrap(), None);
}

#[test]
fn a_fetch_that_lies_publishes_nothing() {
    let place = Place::new();
    let (job, staged) = place.staged(&[layer("a", "x"), layer("b", "y")], "a");
    let other = Digest::of(b"other");
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_str(&staged.manifest).unwrap();
        edit(&mut manifest);
        manifest.to_string()
    };
    let with = |change: &dyn Fn(&mut Staged)| {
        let mut staged = staged.clone();
        change(&mut staged);
        staged
    };
    let [a, b, by_digest] = ["a", "b", &format!("a@{other}")].map(pull);
    let lies: Vec<(&str, &Job, Staged)> = vec![
        ("another configuration", &job, with(&|it| it.config.push(' '))),
        ("a manifest that is none", &job, with(&|it| it.manifest = it.config.clone())),
        ("a manifest that is an index too", &job, with(&|it| it.manifest = edited(&|m| m["manifests"] = json!([])))),
        ("fewer layers", &job, with(&|it| it.manifest = edited(&|m| m["layers"] = json!([])))),
        ("a name with another digest", &job, with(&|it| it.names = vec![named(&format!("a@{other}"))])),
        ("another name than was asked for", &b, staged.clone()),
        ("no name", &a, with(&|it| it.names.clear())),
        ("two names", &a, with(&|it| it.names.push(named("b")))),
        ("another digest than was asked for", &by_digest, staged.clone()),
        ("an index that does not list it", &a, with(&|it| it.index = Some(index_of(&other)))),
        ("an index that is a manifest", &a, with(&|it| it.index = Some(it.manifest.clone()))),
        ("too much", &job, with(&|it| it.config.push_str(&" ".repeat(4 << 20)))),
    ];
    for (name, job, lie) in lies {
        assert!(place.store.publish(job, &[lie]).is_err(), "{name}");
        assert!(place.shows_nothing(), "{name}");
    }
    assert!(place.store.publish(&a, std::slice::from_ref(&staged)).unwrap().is_some(), "the control");
    assert!(place.store.publish(&job, &[staged]).unwrap().is_some());
}

fn index_of(digest: &Digest) -> String {
    json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest.to_string(), "size": 1}]})
    .to_string()
}

type Change<'a> = &'a dyn Fn(&Path);

#[test]
fn a_staged_layer_that_is_not_what_it_should_be_is_not_published() {
    let hex = Digest::of(&layer("a", "x")).hex();
    let outside = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 5] = [
        ("no layer", &|layer| fs::remove_dir_all(layer).unwrap()),
        ("not complete", &|layer| fs::remove_file(layer.join("unpacked.json")).unwrap()),
        ("another layer's", &|layer| {
            let record = json!({"diff_id": Digest::of(b"other").to_string(), "size": 1, "entries": 1, "devices": 0});
            fs::write(layer.join("unpacked.json"), record.to_string()).unwrap();
        }),
        ("files elsewhere", &|layer| {
            fs::remove_dir_all(layer.join("fs")).unwrap();
            std::os::unix::fs::symlink(outside.path(), layer.join("fs")).unwrap();
        }),
        ("the whole elsewhere", &|layer| {
            let moved = outside.path().join("moved");
            fs::rename(layer, &moved).unwrap();
            std::os::unix::fs::symlink(&moved, layer).unwrap();
        }),
    ];
    for (name, change) in changes {
        let place = Place::new();
        let (job, staged) = place.staged(&[layer("a", "x")], "a");
        change(&place.store.dir().join("staging/layers").join(&hex));
        let published = place.store.publish(&job, &[staged]);
        assert!(!matches!(published, Ok(Some(_))), "{name}");
        assert!(place.shows_nothing(), "{name}");
        let _ = fs::remove_dir_all(outside.path().join("moved"));
    }
}

#[test]
fn what_a_fetch_completed_is_picked_up_by_the_next() {
    let place = Place::new();
    let (good, bad) = (layer("good", "x"), Tar::default().file("../bad", "x").end());
    // alone first: beside a bad one it may be given up before it is complete
    place.fetch(&place.archive(std::slice::from_ref(&good), "a"), quiet).unwrap();
    let path = place.archive(&[good.clone(), bad], "a");
    assert!(matches!(place.fetch(&path, quiet), Err(FetchError::Layer { number: 2, .. })));
    assert_eq!(place.count("staging/layers"), 1, "the bad one is gone at once");
    place.store.clean().unwrap();
    let path = place.archive(&[good], "b");
    let (said, heard) = channel();
    let said = Mutex::new(said);
    place.fetch(&path, move |step| said.lock().unwrap().send(step).unwrap()).unwrap();
    assert!(heard.iter().any(|step| step == Progress::Present { layer: 0 }));
}

#[test]
fn two_fetches_of_one_layer_share_the_work() {
    let place = Place::new();
    let path = place.archive(&[layer("a", "x")], "a");
    let chain = Digest::of(&layer("a", "x"));
    let Claim::Free(held) = place.staging().claim(&chain).unwrap() else { panic!("nobody has it") };
    let (said, heard): (Sender<Progress>, Receiver<Progress>) = channel();
    let said = Mutex::new(said);
    thread::scope(|scope| {
        let second = scope.spawn(|| place.fetch(&path, move |step| said.lock().unwrap().send(step).unwrap()));
        assert!(heard.iter().any(|step| step == Progress::Waiting { layer: 0 }));
        let (root, _) = held.begin().unwrap();
        let record = super::staging::LayerRecord { diff_id: chain, size: 0, entries: 0, devices: 0 };
        held.complete(&record).unwrap();
        drop((root, held));
        second.join().unwrap().unwrap();
        assert!(heard.iter().any(|step| step == Progress::Present { layer: 0 }));
    });
}

#[test]
fn a_fetch_that_waits_gives_up_when_another_layer_fails() {
    let place = Place::new();
    let layers = [layer("a", "x"), Tar::default().file("../bad", "x").end()];
    let path = place.archive(&layers, "a");
    let Claim::Free(_held) = place.staging().claim(&Digest::of(&layers[0])).unwrap() else { panic!("nobody has it") };
    assert!(matches!(place.fetch(&path, quiet), Err(FetchError::Layer { number: 2, .. })));
}

#[test]
fn a_layer_that_somebody_works_on_is_left_alone() {
    let place = Place::new();
    let chain = Digest::of(b"x");
    let Claim::Free(held) = place.staging().claim(&chain).unwrap() else { panic!("nobody has it") };
    held.begin().unwrap();
    assert!(matches!(place.staging().claim(&chain).unwrap(), Claim::Taken));
    place.store.prune(place.store.removing().unwrap(), Prune::Unused, &[]).unwrap();
    assert_eq!(place.count("staging/layers"), 1);
    drop(held);
    place.store.clean().unwrap();
    assert_eq!(place.count("staging/layers"), 0);
}

#[test]
fn a_complete_layer_waits_a_day_to_be_picked_up() {
    let place = Place::new();
    let (job, staged) = place.staged(&[layer("a", "x")], "a");
    place.store.clean().unwrap();
    assert_eq!((place.count("staging/layers"), place.store.usage(&[]).unwrap().staged), (1, 1));
    let complete = place.store.dir().join("staging/layers").join(Digest::of(&layer("a", "x")).hex());
    let complete = File::open(complete.join("unpacked.json")).unwrap();
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 60 * 60);
    complete.set_modified(yesterday).unwrap();
    place.store.clean().unwrap();
    assert_eq!((place.count("staging/layers"), place.count("removed")), (0, 0));
    assert!(matches!(place.store.publish(&job, &[staged]), Ok(None)), "it has to be fetched again");
}

#[test]
fn a_layer_larger_than_the_free_space_is_not_begun() {
    let place = Place::new();
    let layers = [layer("a", "x")];
    let layout = Layout::new(&place.dir.path().join("layout"));
    let descriptor = layout.manifest(&super::testing::config(&layers), &layers);
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(layout.path(&digest)).unwrap()).unwrap();
    manifest["layers"][0]["size"] = json!(1_u64 << 60);
    let descriptor = layout.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    let error = place.fetch(&layout.add(descriptor, Some("a")).dir, quiet).unwrap_err();
    let failure = Failure::from(&error);
    assert_eq!(failure.kind, FailureKind::Space);
    assert!(failure.message.contains("needs 1152921504606846976 bytes at least, and"), "{failure}");
    assert_eq!(place.count("staging/layers"), 0);
}

#[test]
fn no_image_goes_while_a_task_starts() {
    let place = Place::new();
    let using = place.store.using().unwrap();
    drop(place.store.using().unwrap());
    let (said, heard) = channel();
    thread::scope(|scope| {
        let store = &place.store;
        scope.spawn(move || {
            let removing = store.removing().unwrap();
            said.send(()).unwrap();
            drop(removing);
        });
        assert!(heard.try_recv().is_err(), "it cannot have begun");
        drop(using);
        heard.recv().unwrap();
    });
}

#[test]
fn a_tag_is_another_name_for_the_same_image() {
    let place = Place::new();
    let path = place.archive(&[layer("a", "x")], "a");
    let image = import(&place.store, &path, None, quiet).unwrap().remove(0);
    let tagged = place.store.tag(&named("a"), &named("registry.example/b:2")).unwrap();
    assert_eq!((tagged.digest, tagged.layers.clone()), (image.digest, image.layers));
    let by_digest = named(&format!("a@{}", image.digest));
    assert!(matches!(place.store.tag(&named("a"), &by_digest), Err(StoreError::NotTag(_))));
    assert!(matches!(place.store.tag(&named("nothing"), &named("b")), Err(StoreError::NotFound(_))));
    let detail = place.store.inspect(&named("registry.example/b:2")).unwrap();
    assert_eq!(detail.names, [named("a"), named("registry.example/b:2")]);
    assert_eq!(detail.layers[0].diff_id, Digest::of(&layer("a", "x")));
}

#[test]
fn disk_use_tells_shared_from_unique_and_used_from_unused() {
    let place = Place::new();
    let base = layer("base", &"x".repeat(100));
    for (name, size) in [("a", 10), ("b", 1)] {
        let path = place.archive(&[base.clone(), layer(name, &"x".repeat(size))], name);
        import(&place.store, &path, None, quiet).unwrap();
    }
    place.store.tag(&named("b"), &named("c")).unwrap();
    let a = place.store.resolve(&named("a")).unwrap().unwrap();
    let usage = place.store.usage(&[a.digest]).unwrap();
    assert_eq!((usage.bytes, usage.layers, usage.reclaimable, usage.staged), (111, 3, 1, 0));
    let images: Vec<_> = usage.images.iter().map(|it| (it.names.len(), it.shared, it.unique, it.in_use)).collect();
    assert_eq!(images, [(1, 100, 10, true), (2, 100, 1, false)]);
    let pruned = place.store.prune(place.store.removing().unwrap(), Prune::Unused, &[a.digest]).unwrap();
    assert_eq!((pruned.images, pruned.bytes), (vec![named("b"), named("c")], 1));
}

//! What is done with images that are here: when their registry is asked, what removes them, and how they get out again.

use std::fs;
use std::process::Command;
use std::time::Duration;

use berth::image::ImageStore;
use serde_json::{Value, json};

use crate::support::command::{Finished, Running};
use crate::support::registry::{Door, Registry};
use crate::support::root::Root;
use crate::support::{container, fixture, of, task, tree};

fn exit(image: &str, code: &str) -> Value {
    task(&[container("web", &["exit", code], json!({ "image": image }))])
}

fn behave(root: &Root, behavior: &str) {
    root.configure(&format!("[image]\npull-behavior = \"{behavior}\"\n"));
}

fn names(root: &Root) -> Vec<String> {
    root.berth(["image", "ls", "-q"]).ok().lines().map(str::to_owned).collect()
}

fn assert_refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code(), 1, "{finished:#?}");
    words.iter().for_each(|word| assert!(finished.stderr.contains(word), "{word:?} is not in {}", finished.stderr));
}

#[test]
fn an_image_that_is_here_makes_no_call_unless_it_is_asked_for() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["probe"]));
    let image = registry.image("probe");
    let run = || assert_eq!(root.run(&exit(&image, "7")).code(), 7);
    run();
    assert!(registry.served("/blobs/") > 0);
    for behavior in ["", "once", "prefer-cached"] {
        if behavior.is_empty() {
            root.configure("")
        } else {
            behave(&root, behavior)
        }
        let before = registry.requests();
        run();
        assert_eq!(registry.requests(), before, "{behavior:?}");
    }
}

#[test]
fn by_default_and_always_the_tag_is_asked_for_each_time() {
    let (root, mut registry) = (Root::new(), Registry::with_images(Door::Open, &["probe"]));
    let image = registry.image("probe");
    for behavior in ["default", "always"] {
        behave(&root, behavior);
        assert_eq!(root.run(&exit(&image, "7")).code(), 7);
        let (before, blobs) = (registry.requests().len(), registry.served("/blobs/"));
        assert_eq!(root.run(&exit(&image, "7")).code(), 7);
        assert!(registry.requests().len() > before, "{behavior}");
        assert_eq!(registry.served("/blobs/"), blobs, "what is here is not downloaded again");
    }
    // what the tag is given to meanwhile is what runs
    registry.push(&fixture("layers20"), "probe");
    assert_eq!(root.run(&exit(&image, "7")).code(), 7);
    let store = ImageStore::open(&root.path().join("images")).unwrap();
    assert_eq!(store.resolve(&image.parse().unwrap()).unwrap().unwrap().layers.len(), 20);

    registry.kill();
    let failed = root.run(&exit(&image, "7"));
    assert_refused(&failed, &["CannotPullContainerError: pull image manifest has been retried", "onnection refused"]);
    let stopped = &root.list(&["-a"])[..];
    assert!(stopped.iter().any(|task| of(task, "web")["reason"].as_str().is_some()), "{stopped:#?}");
    behave(&root, "default");
    assert_eq!(root.run(&exit(&image, "7")).code(), 7, "the image that is here does");
}

#[test]
fn what_was_imported_or_is_named_by_its_digest_makes_no_call_even_if_always_is_set() {
    let (root, mut registry) = (Root::with_images(&["probe"]), Registry::with_images(Door::Open, &["probe"]));
    let named = registry.image("probe");
    root.berth(["image", "pull", &named]).ok();
    let digest = root.berth(["image", "pull", "-q", &named]).ok();
    registry.kill();
    behave(&root, "always");
    for image in ["probe", &format!("{}/probe@{}", registry.address, digest.trim())] {
        assert_eq!(root.run(&exit(image, "7")).code(), 7, "{image}");
    }
    assert_eq!(root.run(&exit(&named, "7")).code(), 1, "the tag itself is asked for");
}

#[test]
fn an_image_that_a_task_runs_stays() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["probe"]));
    let image = registry.image("probe");
    let running = root.run_detached(&task(&[container("web", &["sleep"], json!({ "image": image }))]));
    assert_refused(&root.berth(["image", "rm", &image]), &[&image, "in use"]);
    root.berth(["image", "prune", "-af"]).ok();
    assert_eq!(names(&root), [image.as_str()]);
    root.berth(["rm", "-f", &running.id]).ok();
    root.berth(["image", "rm", &image]).ok();
    assert_eq!(names(&root), [""; 0]);
    assert_eq!(fs::read_dir(root.path().join("images/layers")).unwrap().count(), 0);
}

#[test]
fn prune_removes_what_has_lost_its_tag_and_with_all_what_no_task_needs() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["probe", "zstd"]));
    let (image, other) = (registry.image("probe"), registry.image("zstd"));
    root.berth(["image", "pull", &image, &other]).ok();
    registry.push(&fixture("multiarch"), "probe");
    root.berth(["image", "pull", &image]).ok();
    let layers = || fs::read_dir(root.path().join("images/layers")).unwrap().count();
    assert_eq!((names(&root).len(), layers()), (3, 4), "the one without a tag is kept for now");
    root.berth(["image", "prune", "-f"]).ok();
    let mut left = names(&root);
    left.sort();
    assert_eq!((left, layers()), (vec![image, other], 4), "the base is shared");
    root.berth(["image", "prune", "-af"]).ok();
    assert_eq!((names(&root).len(), layers()), (0, 0));
}

#[test]
fn an_image_has_as_many_names_as_it_is_given() {
    let root = Root::with_images(&["probe"]);
    root.berth(["image", "tag", "probe", "registry.test:5000/web:1"]).ok();
    root.berth(["image", "rm", "probe"]).ok();
    assert_eq!(names(&root), ["registry.test:5000/web:1"]);
    assert_eq!(root.run(&exit("registry.test:5000/web:1", "7")).code(), 7);
    assert_refused(&root.berth(["image", "tag", "probe", "web"]), &["probe"]);
    assert_eq!(root.berth(["image", "tag", "registry.test:5000/web:1", "No/Name"]).code(), 2);
}

#[test]
fn imported_layers_come_to_the_tree_that_they_describe() {
    for name in ["layers20", "zstd", "multiarch"] {
        let root = Root::with_images(&[name]);
        let store = ImageStore::open(&root.path().join("images")).unwrap();
        let image = store.resolve(&name.parse().unwrap()).unwrap().unwrap();
        tree::assert_is(&tree::of_image(&image), &tree::expected(name));
    }
}

#[test]
fn a_saved_image_is_the_same_image_when_it_is_imported() {
    let root = Root::with_images(&["layers20"]);
    let file = root.path().join("saved.tar");
    let path = file.to_str().unwrap();
    root.berth(["image", "save", "-o", path, "layers20"]).ok();
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--config"]).arg(format!("oci-archive:{path}"));
    let config = Running::start(skopeo).wait(Duration::from_secs(30)).json();
    assert_eq!(config["config"]["Entrypoint"], json!(["/probe"]), "{config:#}");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 20);

    let other = Root::new();
    other.import(&file);
    assert_eq!(names(&other), ["layers20:latest"]);
    for root in [&root, &other] {
        let store = ImageStore::open(&root.path().join("images")).unwrap();
        let image = store.resolve(&"layers20".parse().unwrap()).unwrap().unwrap();
        tree::assert_is(&tree::of_image(&image), &tree::expected("layers20"));
    }
    assert_eq!(other.run(&exit("layers20", "7")).code(), 7);
}

#[test]
fn inspect_and_df_count_what_is_on_the_disk_once() {
    let root = Root::with_images(&["probe"]);
    let df = || root.berth(["--format", "json", "image", "df"]).json();
    let before = df();
    root.berth(["image", "tag", "probe", "again"]).ok();
    assert_eq!(df()["bytes"], before["bytes"], "another name takes no room: {before:#}");
    assert!(before["bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{before:#}");
    let inspected = root.berth(["--format", "json", "image", "inspect", "probe"]).json();
    assert_eq!(inspected[0]["layers"].as_array().map(Vec::len), Some(1), "{inspected:#}");
    assert_eq!(inspected[0]["config"]["Entrypoint"], json!(["/probe"]), "{inspected:#}");
    assert_refused(&root.berth(["image", "inspect", "nothing"]), &["nothing"]);
}

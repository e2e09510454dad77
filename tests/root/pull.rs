//! Images from a registry: what is pulled is what was pushed, whatever happens on the way, and whoever may not have it is
//! told so in ECS's words.

use std::fs;
use std::path::Path;
use std::time::Duration;

use berth::image::{Image, ImageStore};
use serde_json::{Value, json};

use crate::support::command::{Finished, Running};
use crate::support::registry::{Door, PASSWORD, Registry, USER, json_file, layers};
use crate::support::relay::Relay;
use crate::support::root::Root;
use crate::support::{container, eventually, fixture, of, task, tree};

const PATIENCE: Duration = Duration::from_secs(60);

/// A task of one container with this image.
fn task_of(image: &str, command: &[&str]) -> Value {
    task(&[container("web", command, json!({ "image": image }))])
}

/// `berth image login` with a password.
fn log_in(root: &Root, registry: &str, password: &str) -> Finished {
    let file = root.path().join("password");
    fs::write(&file, password).unwrap();
    let command = root.command(["image", "login", "--username", USER, "--password-stdin", registry]);
    Running::reading(command, fs::File::open(file).unwrap()).wait(PATIENCE)
}

/// The image of this name in the root's store.
fn stored(root: &Root, name: &str) -> Image {
    let store = ImageStore::open(&root.path().join("images")).unwrap();
    store.resolve(&name.parse().unwrap()).unwrap().unwrap_or_else(|| panic!("there is no image {name}"))
}

/// No image, and nothing that was begun.
fn assert_no_images(root: &Root) {
    assert_eq!(root.berth(["image", "ls", "-q"]).ok(), "");
    for directory in ["layers", "blobs/sha256"] {
        let path = root.path().join("images").join(directory);
        assert_eq!(fs::read_dir(path).into_iter().flatten().count(), 0, "{directory}");
    }
}

#[test]
fn a_task_whose_image_is_behind_a_login_runs_once_somebody_has_logged_in() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Login, &["probe"]));
    log_in(&root, &registry.address, PASSWORD).ok();
    let finished = root.run(&task_of(&registry.image("probe"), &["exit", "7"]));
    assert_eq!(finished.code(), 7, "{finished:#?}");
    root.berth(["image", "logout", &registry.address]).ok();
    root.berth(["image", "rm", &registry.image("probe")]).ok();
    assert_eq!(root.berth(["image", "pull", &registry.image("probe")]).code(), 1, "the password is forgotten");
}

#[test]
fn without_the_right_password_a_task_is_stopped_for_ecs_reason() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Login, &["probe"]));
    let image = registry.image("probe");
    let said = log_in(&root, &registry.address, "guessed");
    assert_eq!(said.code(), 1, "{said:#?}");
    assert!(said.stderr.contains(&registry.address), "{said:#?}");
    // one that was right when it was written
    let auths = json!({ "auths": { &registry.address: { "auth": "YWRhOmd1ZXNzZWQ=" } } });
    for (known, cause) in [(json!({}), "authorization failed"), (auths, "401 Unauthorized")] {
        fs::create_dir_all(root.path().join("docker")).unwrap();
        fs::write(root.path().join("docker/config.json"), known.to_string()).unwrap();
        let finished = root.run(&task_of(&image, &["exit", "0"]));
        assert_eq!(finished.code(), 1, "{finished:#?}");
        let begin = format!(
            "CannotPullContainerError: pull image manifest has been retried 0 time(s): failed to resolve ref {image}: "
        );
        assert!(finished.stderr.contains(&begin), "{begin}\nis not in {}", finished.stderr);
        assert!(finished.stderr.contains(cause), "{cause}: {}", finished.stderr);
        let tasks = root.list(&["-a"]);
        let task = &tasks[0];
        let reason = of(task, "web")["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with(&begin), "{task:#}");
        assert_eq!(task["lastStatus"], "STOPPED");
        assert_eq!(task["stopCode"], "TaskFailedToStart");
        assert!(task["stoppedReason"].as_str().is_some_and(|reason| reason.contains("CannotPull")), "{task:#}");
        assert_eq!(root.present(), Vec::<String>::new());
        root.berth(["rm", "--stopped"]).ok();
    }
    assert_no_images(&root);
    assert_eq!(registry.served("/blobs/"), 0);
}

#[test]
fn twenty_layers_come_to_the_tree_that_they_describe() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["layers20"]));
    let image = registry.image("layers20");
    root.berth(["image", "pull", &image]).ok();
    let stored = stored(&root, &image);
    assert_eq!(stored.layers.len(), 20);
    tree::assert_is(&tree::of_image(&stored), &tree::expected("layers20"));
    // and a container sees it
    let finished = root.run(&task_of(&image, &["exit", "3"]));
    assert_eq!(finished.code(), 3, "{finished:#?}");
}

#[test]
fn layers_of_zstd_are_read() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["zstd"]));
    let image = registry.image("zstd");
    root.berth(["image", "pull", &image]).ok();
    tree::assert_is(&tree::of_image(&stored(&root, &image)), &tree::expected("zstd"));
}

#[test]
fn of_an_index_the_image_for_this_host_is_pulled_by_tag_or_digest() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["multiarch"]));
    let index =
        json_file(&fixture("multiarch").join("index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let by_digest = format!("{}/multiarch@{index}", registry.address);
    for name in [by_digest, registry.image("multiarch")] {
        root.berth(["image", "pull", &name]).ok();
        let stored = stored(&root, &name);
        tree::assert_is(&tree::of_image(&stored), &tree::expected("multiarch"));
        let finished = root.run(&task_of(&name, &["exit", "4"]));
        assert_eq!(finished.code(), 4, "{finished:#?}");
    }
    // a manifest of the index is an image too, but not for this machine
    let digest = json_file(&fixture("multiarch").join("blobs").join(index.replace(':', "/")));
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let is_foreign = |one: &&Value| one["platform"]["architecture"] == foreign;
    let foreign = digest["manifests"].as_array().unwrap().iter().find(is_foreign).unwrap();
    let name = format!("{}/multiarch@{}", registry.address, foreign["digest"].as_str().unwrap());
    let refused = root.berth(["image", "pull", &name]);
    assert_eq!(refused.code(), 1, "{refused:#?}");
    assert!(refused.stderr.contains("no image for linux/"), "{refused:#?}");
}

#[test]
fn what_is_not_there_is_said_in_ecs_words() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["probe"]));
    for image in ["nothing".to_owned(), format!("probe@sha256:{}", "0".repeat(64))] {
        let image = format!("{}/{image}", registry.address);
        let finished = root.run(&task_of(&image, &["exit", "0"]));
        assert_eq!(finished.code(), 1, "{finished:#?}");
        assert!(
            finished.stderr.contains("CannotPullContainerError: pull image manifest has been retried"),
            "{finished:#?}"
        );
        assert!(finished.stderr.contains("not found"), "{finished:#?}");
    }
    assert_no_images(&root);
}

#[test]
fn pulls_at_the_same_time_share_what_they_download() {
    let root = Root::new();
    let registry = Registry::with_images(Door::Open, &["layers20", "multiarch", "probe"]);
    registry.push(&fixture("layers20"), "again");
    let names = ["layers20", "again", "multiarch", "probe", "layers20"].map(|name| registry.image(name));
    let pulls = names.each_ref().map(|name| root.start(["image", "pull", name]));
    pulls.into_iter().for_each(|pull| drop(pull.wait(PATIENCE).ok()));
    let layers = layers("layers20");
    for layer in &layers {
        // an empty layer stands twice in the image, and is unpacked in two places
        let wanted = layers.iter().filter(|other| *other == layer).count();
        assert_eq!(registry.served(layer), wanted, "{layer}: {:#?}", registry.requests());
    }
    for (name, image) in [("again", "layers20"), ("multiarch", "multiarch")] {
        tree::assert_is(&tree::of_image(&stored(&root, &registry.image(name))), &tree::expected(image));
    }
    // and one more pull downloads nothing
    let served = || layers.iter().map(|layer| registry.served(layer)).sum::<usize>();
    let before = served();
    root.berth(["image", "pull", &registry.image("layers20")]).ok();
    assert_eq!(served(), before);
}

#[test]
fn a_pull_goes_on_when_a_registry_that_died_is_back() {
    let (root, mut registry) = (Root::new(), Registry::with_images(Door::Open, &["layers20"]));
    let link = Relay::to(&registry.address, 2048);
    let image = format!("{}/layers20:1", link.address);
    let pull = root.start(["image", "pull", &image]);
    // in the middle of the layer that has most of the bytes
    eventually(PATIENCE, "3 MB have come", || (link.passed() > 3_000_000).then_some(()));
    registry.kill();
    link.cut();
    registry.resume();
    pull.wait(PATIENCE).ok();
    tree::assert_is(&tree::of_image(&stored(&root, &image)), &tree::expected("layers20"));
    let partial = registry.requests().iter().filter(|line| line.ends_with(" 206")).count();
    assert!(partial > 0, "what had come was asked for again: {:#?}", registry.requests());
}

#[test]
fn a_registry_is_reached_through_a_proxy() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Open, &["probe"]));
    let proxy = Relay::to(&registry.address, 1 << 20);
    let image = "registry.test:5000/probe:1";
    root.configure("[image.mirrors]\n\"registry.test:5000\" = [\"http://registry.test:5000\"]\n");
    let mut command = root.command(["image", "pull", image]);
    command.env("HTTP_PROXY", format!("http://{}", proxy.address));
    Running::start(command).wait(PATIENCE).ok();
    assert!(proxy.connections() > 0);
    assert_eq!(stored(&root, image).layers.len(), 1);
    // for a host that is excepted the proxy is not asked, and nobody else knows its name
    root.berth(["image", "rm", image]).ok();
    let before = proxy.connections();
    let mut command = root.command(["image", "pull", image]);
    command.env("HTTP_PROXY", format!("http://{}", proxy.address)).env("NO_PROXY", "registry.test");
    assert_eq!(Running::start(command).wait(PATIENCE).code(), 1);
    assert_eq!(proxy.connections(), before);
}

/// Runs `berth` where `registry.test` is on loopback, and where these authorities are known for it.
fn with_hosts(root: &Root, authority: Option<&Path>, port: &str, args: &[&str]) -> Finished {
    let etc = root.path().join("etc");
    let certificates = format!("docker/certs.d/registry.test:{port}");
    let mut script = format!("cp -a /etc/. {0} && echo 127.0.0.1 registry.test >>{0}/hosts", etc.display());
    script += &format!(" && rm -rf {0}/docker/certs.d && mkdir -p {0}/{certificates}", etc.display());
    if let Some(authority) = authority {
        script += &format!(" && cp {} {}/{certificates}/ca.crt", authority.display(), etc.display());
    }
    script += &format!(" && mount --bind {} /etc && exec \"$@\"", etc.display());
    fs::create_dir_all(&etc).unwrap();
    let berth = root.command(args);
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(berth.get_program()).args(berth.get_args());
    for (name, value) in berth.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let finished = Running::start(command).wait(PATIENCE);
    fs::remove_dir_all(etc).unwrap();
    finished
}

#[test]
fn by_tls_only_a_registry_that_a_known_authority_vouches_for_is_believed() {
    let (root, registry) = (Root::new(), Registry::with_images(Door::Tls, &["probe"]));
    let port = registry.address.rsplit(':').next().unwrap();
    let image = format!("registry.test:{port}/probe:1");
    root.configure("[image]\nlocal-hosts = [\"registry.test\"]\n");
    let stranger = with_hosts(&root, None, port, &["image", "pull", &image]);
    assert_eq!(stranger.code(), 1, "{stranger:#?}");
    assert!(stranger.stderr.contains("certificate"), "{stranger:#?}");
    assert_no_images(&root);
    with_hosts(&root, Some(&registry.authority()), port, &["image", "pull", &image]).ok();
    assert_eq!(stored(&root, &image).layers.len(), 1);
    // on loopback, by its address, any certificate does
    root.berth(["image", "pull", &registry.image("probe")]).ok();
}

//! Images and volumes that try to lead a mount out of the container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{entries, mounted, root_with, shell, with_volumes};
use crate::support::derived::Layer;
use crate::support::root::Root;

/// A directory of the host with one file, and what is in it.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret"), "of the host").unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(entries(self.path()), ["secret"]);
        assert_eq!(fs::read_to_string(self.path().join("secret")).unwrap(), "of the host");
        assert_eq!(self.path().join("secret").metadata().unwrap().uid(), 0);
    }
}

#[test]
fn a_link_in_the_image_leads_a_mount_to_a_place_in_the_container() {
    let outside = Outside::new();
    let up = Path::new("../../../../../../../../../..").join(outside.path().strip_prefix("/").unwrap());
    let layer =
        Layer::new().link("absolute", outside.path()).link("relative", &up).link("chain", Path::new("/absolute"));
    let root = root_with("links", layer);
    for place in ["/absolute", "/relative", "/chain", "/absolute/below"] {
        // the link's target is made in the container, as it would be on a host that has it
        let mut web =
            shell("web", &format!("mkdir -p {}; touch {place}/x; ls {place}", outside.path().display()), json!({}));
        web["image"] = json!("links");
        web["mountPoints"] = json!([{ "sourceVolume": "v", "containerPath": place }]);
        let finished = root.run(&with_volumes(json!([{ "name": "v" }]), &[web]));
        outside.is_untouched();
        assert!(!finished.stdout.contains("secret"), "{finished:#?}");
        assert_eq!(finished.code(), 0, "{place}: {finished:#?}");
    }
}

#[test]
fn a_volume_is_not_seeded_with_files_of_the_host() {
    let outside = Outside::new();
    // the place itself, and what is in it, are links to the host
    let layer =
        Layer::new().directory("data", 0o755, 0).link("data/link", outside.path()).link("whole", outside.path());
    let root = root_with("links", layer);
    let mut web = shell("web", "ls /data /whole; ! cat /data/link/secret; touch /data/x /whole/x", json!({}));
    web["image"] = json!("links");
    web["mountPoints"] = json!([
        { "sourceVolume": "v", "containerPath": "/data" }, { "sourceVolume": "w", "containerPath": "/whole" }]);
    let finished = root.run(&with_volumes(json!([{ "name": "v" }, { "name": "w" }]), &[web]));
    assert_eq!(finished.code(), 0, "{finished:#?}");
    assert!(!finished.stdout.contains("secret"), "{finished:#?}");
    outside.is_untouched();
}

#[test]
fn a_link_in_a_shared_volume_leads_a_mount_in_it_to_a_place_in_the_container() {
    let outside = Outside::new();
    let root = Root::with_images(&["busybox"]);
    let target = outside.path().display();
    let planter = shell("planter", &format!("ln -s {target} /v/sub; touch /v/ready; sleep 1000"), mounted("v", "/v"));
    let mut victim = shell("victim", &format!("touch /v/sub/x; ls {target}"), json!({}));
    victim["dependsOn"] = json!([{ "containerName": "planter", "condition": "START" }]);
    victim["mountPoints"] = json!([
        { "sourceVolume": "v", "containerPath": "/v" }, { "sourceVolume": "w", "containerPath": "/v/sub" }]);
    let finished = root.run(&with_volumes(json!([{ "name": "v" }, { "name": "w" }]), &[planter, victim]));
    outside.is_untouched();
    assert!(!finished.stdout.contains("secret"), "{finished:#?}");
}

/// The place of a nested mount is exchanged, again and again, by a container that runs already, while others start.
#[test]
fn a_place_that_is_exchanged_while_containers_start_leads_nowhere_else() {
    let outside = Outside::new();
    let root = Root::with_images(&["busybox"]);
    let target = outside.path().display();
    let swap = format!(
        "touch /v/ready; while true; do rm -rf /v/sub; ln -s {target} /v/sub; rm /v/sub; mkdir -p /v/sub; done"
    );
    let mut containers = vec![shell("swapper", &swap, mounted("v", "/v"))];
    containers[0]["essential"] = json!(true);
    for number in 0..8 {
        let name = format!("victim{number}");
        let mut victim = shell(&name, "cat /v/sub/secret; touch /v/sub/x; true", json!({ "essential": false }));
        victim["dependsOn"] = json!([{ "containerName": "swapper", "condition": "START" }]);
        victim["mountPoints"] = json!([
            { "sourceVolume": "v", "containerPath": "/v" }, { "sourceVolume": "w", "containerPath": "/v/sub" }]);
        containers.push(victim);
    }
    let definition: Value = with_volumes(json!([{ "name": "v" }, { "name": "w" }]), &containers);
    let begin = Instant::now();
    for round in 0..10 {
        if round > 1 && begin.elapsed() > Duration::from_secs(5) {
            break;
        }
        let started = root.berth(["run".as_ref(), "-d".as_ref(), root.file(&definition).as_os_str()]);
        thread::yield_now();
        outside.is_untouched();
        assert!(!started.stdout.contains("of the host"), "{started:#?}");
        let id = root.berth(["ps", "-q"]).ok();
        for id in id.lines() {
            let logs = root.berth(["logs", id]);
            assert!(!logs.stdout.contains("of the host"), "{logs:#?}");
            root.berth(["rm", "-f", id]).ok();
        }
    }
    outside.is_untouched();
}

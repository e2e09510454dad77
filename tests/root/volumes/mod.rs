//! Volumes in real containers: what is in them, who may write, how large they are, and that nothing of them is left.

mod disks;
mod host;
mod hostile;
mod kills;
mod size;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::derived::{self, Layer};
use crate::support::root::Root;
use crate::support::{container, task};

/// A busybox container that runs a script.
fn shell(name: &str, script: &str, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("the members are an object: {more}") };
    let mut container = container(name, &["sh", "-ec", script], json!({ "image": "busybox" }));
    for (member, value) in more {
        container[member] = value;
    }
    container
}

/// A task with volumes.
fn with_volumes(volumes: Value, containers: &[Value]) -> Value {
    let mut task = task(containers);
    task["volumes"] = volumes;
    task
}

/// Mount points of one volume.
fn mounted(volume: &str, path: &str) -> Value {
    json!({ "mountPoints": [{ "sourceVolume": volume, "containerPath": path }] })
}

/// A root with busybox and an image on top of it.
fn root_with(image: &str, layer: Layer) -> Root {
    let root = Root::with_images(&["busybox"]);
    let layout = root.path().join(format!("layout-{image}"));
    derived::image(&layout, "busybox", image, layer);
    root.import(&layout);
    root
}

/// The definition for container instances instead of Fargate.
fn on_instance(mut task: Value) -> Value {
    task["requiresCompatibilities"] = json!(["EC2"]);
    task
}

/// What a directory has in it, sorted.
fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_empty_volume_begins_with_what_the_image_has_there_whoever_starts_first() {
    let layer = Layer::new()
        .directory("data", 0o1775, 7)
        .file("data/hello", 0o640, "from the image\n")
        .link("data/link", Path::new("/etc/hostname"));
    let root = root_with("seeded", layer);
    let reader = "cat /in/hello; readlink /in/link; stat -c '%a %u' /in /in/hello; \
                  until [ -e /in/new ]; do sleep 0.02; done; cat /in/new";
    let reader = shell("reader", reader, mounted("v", "/in"));
    let mut writer = shell("writer", "echo from the writer > /data/new", mounted("v", "/data"));
    (writer["image"], writer["essential"]) = (json!("seeded"), json!(false));
    for containers in [[reader.clone(), writer.clone()], [writer, reader]] {
        let finished = root.run(&with_volumes(json!([{ "name": "v", "host": {} }]), &containers));
        let text: String = finished.ok().replace("reader", "").replace(" | ", "").replace("  ", "");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines, ["from the image", "/etc/hostname", "1775 7", "640 0", "from the writer"], "{text}");
    }
}

#[test]
fn volumes_from_another_container_can_be_read_only() {
    let root = Root::with_images(&["busybox"]);
    let source = shell("source", "echo x > /a/x; sleep 1000", mounted("v", "/a"));
    let wait = "until [ -e /a/x ]; do sleep 0.02; done";
    let from = |readonly: bool| json!({ "volumesFrom": [{ "sourceContainer": "source", "readOnly": readonly }] });
    let mut reader = shell("reader", &format!("{wait}; ! echo y > /a/y; touch /a/x 2>&1 || true"), from(true));
    reader["essential"] = json!(false);
    let writer = shell("writer", &format!("{wait}; echo y > /a/y; cat /a/y"), from(false));
    let finished = root.run(&with_volumes(json!([{ "name": "v" }]), &[source, reader, writer]));
    let all = finished.stdout.clone() + &finished.stderr;
    assert_eq!(finished.code(), 0, "{all}");
    assert!(all.contains("Read-only file system"), "{all}");
}

#[test]
fn with_a_read_only_root_only_volumes_can_be_written() {
    let root = Root::with_images(&["busybox"]);
    let script = "! touch /x; touch /v/x; ! touch /ro/x; touch /scratch/x; \
                  stat -c '%a %u' /scratch; ! dd if=/dev/zero of=/scratch/big bs=1M count=6 2>/dev/null; \
                  grep -c ' /scratch tmpfs rw,nosuid,nodev,noexec,' /proc/mounts";
    let more = json!({
        "readonlyRootFilesystem": true,
        "mountPoints": [
            { "sourceVolume": "v", "containerPath": "/v" },
            { "sourceVolume": "w", "containerPath": "/ro", "readOnly": true }
        ],
        "linuxParameters": { "tmpfs": [
            { "containerPath": "/scratch", "size": 5, "mountOptions": ["mode=0700", "uid=5"] }] },
    });
    let finished = root.run(&with_volumes(json!([{ "name": "v" }, { "name": "w" }]), &[shell("web", script, more)]));
    assert_eq!(finished.ok(), "700 5\n1\n");
}

#[test]
fn what_a_container_wrote_is_there_when_nobody_had_the_volume_mounted_meanwhile() {
    let root = Root::with_images(&["busybox"]);
    let mut first = shell("first", "echo kept > /v/x", mounted("v", "/v"));
    first["essential"] = json!(false);
    let mut second = shell("second", "until [ -e /v/x ]; do sleep 0.02; done; cat /v/x", mounted("v", "/v"));
    second["dependsOn"] = json!([{ "containerName": "first", "condition": "START" }]);
    for _ in 0..5 {
        let finished = root.run(&with_volumes(json!([{ "name": "v" }]), &[first.clone(), second.clone()]));
        assert!(finished.ok().contains("kept"));
    }
}

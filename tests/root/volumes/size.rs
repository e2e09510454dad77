//! Ephemeral storage: what a task can write, and what it cannot do to others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{mounted, shell, with_volumes};
use crate::support::root::Root;
use crate::support::{eventually, task};

#[test]
fn a_task_that_fills_its_storage_is_out_of_space_and_its_neighbour_is_not() {
    let root = Root::with_images(&["busybox"]);
    let neighbour = root.run_detached(&task(&[shell("web", "sleep 1000", json!({}))]));
    // without writing that much: a file system gives no more than it has, whatever the bytes are
    let script = "fallocate -l 19G /layer; ! fallocate -l 2G /v/volume; \
                  ! dd if=/dev/zero of=/v/rest bs=1M count=1200 2>&1; df -P / /v; sleep 1000";
    let full = with_volumes(json!([{ "name": "v" }]), &[shell("web", script, mounted("v", "/v"))]);
    let started = root.run_detached(&full);
    let text = root.until_written(&started, "web", "/v\n");
    assert_eq!(text.matches("No space left on device").count(), 2, "{text}");
    assert_eq!(text.matches("100%").count(), 2, "the layer and the volume lie on one file system: {text}");

    root.exec(&neighbour, "web", &["dd", "if=/dev/zero", "of=/x", "bs=1M", "count=20"]).ok();
    let used = root.berth(["--format", "json", "stats", &started.id]).json()[0]["storageBytes"].as_u64().unwrap();
    assert!(used > 19 << 30, "{used}");
    let used = root.berth(["--format", "json", "stats", &neighbour.id]).json()[0]["storageBytes"].as_u64().unwrap();
    assert!((20 << 20..100 << 20).contains(&used), "{used}");
    assert_eq!(root.describe(&started)["ephemeralStorage"], json!({ "sizeInGiB": 20 }));
    let file = root.path().join("tasks").join(&started.id).join("disk").metadata().unwrap();
    assert!(file.blocks() * 512 < 2 << 30, "the host gives what was written, and no more: {}", file.blocks());
    root.berth(["rm", "-f", &started.id, &neighbour.id]).ok();
}

#[test]
fn a_task_has_the_storage_that_its_definition_names_and_gives_back_what_it_deletes() {
    let root = Root::with_images(&["busybox"]);
    let script = "df -P -m / | tail -n 1; dd if=/dev/zero of=/x bs=1M count=100 2>/dev/null; sync; \
                  echo full; sleep 1; rm /x; sync; echo deleted; sleep 1000";
    let mut definition = task(&[shell("web", script, json!({}))]);
    definition["ephemeralStorage"] = json!({ "sizeInGiB": 33 });
    let started = root.run_detached(&definition);
    let text = root.until_written(&started, "web", "deleted");
    let size: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((32 << 10..=33 << 10).contains(&size), "{text}");
    assert_eq!(root.describe(&started)["ephemeralStorage"], json!({ "sizeInGiB": 33 }));
    let file = root.path().join("tasks").join(&started.id).join("disk");
    eventually(Duration::from_secs(20), "the host has the room again", || {
        (file.metadata().unwrap().blocks() * 512 < 50 << 20).then_some(())
    });
    root.berth(["rm", "-f", &started.id]).ok();
}

#[test]
fn the_layers_of_a_tasks_images_are_a_part_of_its_storage() {
    let root = Root::with_images(&["busybox"]);
    let layers: Vec<_> = fs::read_dir(root.path().join("images/layers")).unwrap().collect();
    let [Ok(layer)] = &layers[..] else { panic!("one layer: {layers:?}") };
    let record = layer.path().join("layer.json");
    let grow = |gib: u64| {
        let mut known: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
        known["size"] = json!(gib << 30);
        fs::write(&record, known.to_string()).unwrap();
    };
    // Both containers have the same layer.
    grow(6);
    let both =
        task(&[shell("web", "df -P -k / | tail -n 1; sleep 1000", json!({})), shell("app", "sleep 1000", json!({}))]);
    let started = root.run_detached(&both);
    let text = root.until_written(&started, "web", "%");
    let used: u64 = text.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((6 << 20..7 << 20).contains(&used), "{text}");
    let disk = root.path().join("tasks").join(&started.id).join("disk").metadata().unwrap();
    assert!(disk.blocks() * 512 < 100 << 20, "they are kept once, for all tasks: {}", disk.blocks());
    root.berth(["rm", "-f", &started.id]).ok();
    grow(21);
    assert_eq!(root.run(&both).code(), 1);
    let refused = root.list(&["-a"]).remove(0);
    assert_eq!(refused["stopCode"], "TaskFailedToStart");
    let reason = refused["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.ends_with("no space left on device"),
        "{reason}"
    );
}

#[test]
fn a_root_may_leave_the_storage_of_its_tasks_without_a_limit() {
    let root = Root::with_images(&["busybox"]);
    root.configure("[storage]\nlimit = \"never\"\n");
    let script = "echo x > /v/x; echo x > /x; ! grep -q /dev/loop /proc/mounts; sleep 1000";
    let definition = with_volumes(json!([{ "name": "v" }]), &[shell("web", script, mounted("v", "/v"))]);
    let started = root.run_detached(&definition);
    let upper = root.path().join("tasks").join(&started.id).join("upper");
    eventually(Duration::from_secs(20), "both files are on the host", || {
        (upper.join("v/0/x").exists() && upper.join("c/web/fs/x").exists()).then_some(())
    });
    let stats = root.berth(["--format", "json", "stats", &started.id]).json();
    assert!(stats[0]["storageBytes"].is_null(), "{stats:#}");
    root.berth(["rm", "-f", &started.id]).ok();
}

//! EBS volumes: file systems of a size and a kind that are there for a task.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use super::{entries, mounted, shell, with_volumes};
use crate::support::command::Finished;
use crate::support::root::Root;

fn run(root: &Root, volume: &Value, script: &str) -> Finished {
    let volumes = json!([{ "name": "data", "configuredAtLaunch": true }]);
    let file = root.file(&with_volumes(volumes, &[shell("web", script, mounted("data", "/data"))]));
    let configurations = json!([{ "name": "data", "managedEBSVolume": volume }]).to_string();
    root.berth([
        OsStr::new("run"),
        OsStr::new("--volume-configurations"),
        OsStr::new(&configurations),
        file.as_os_str(),
    ])
}

fn volume(kind: &str) -> Value {
    json!({ "sizeInGiB": 3, "filesystemType": kind, "roleArn": "arn:aws:iam::000000000000:role/ecs" })
}

#[test]
fn an_ebs_volume_has_the_size_and_the_kind_that_the_run_names() {
    let root = Root::with_images(&["busybox"]);
    let size = crate::support::supervised::tries("EBS_FILE_MIB", 2048);
    for kind in ["ext4", "ext3"] {
        let script = format!(
            "df -P -m /data | tail -n 1; grep ' /data ' /proc/mounts; fallocate -l {size}M /data/x 2>&1 || \
             dd if=/dev/zero of=/data/x bs=1M count=1; echo written"
        );
        let finished = run(&root, &volume(kind), &script);
        let text = finished.ok();
        let size: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!((2800..=3072).contains(&size), "{text}");
        assert!(text.contains(&format!(" /data {kind} rw,")) && text.contains("written"), "{text}");
    }
    let record = &root.list(&["-a"])[0];
    let attachments = record["attachments"].as_array().unwrap();
    let ebs = attachments.iter().find(|one| one["type"] == "AmazonElasticBlockStorage").unwrap();
    let detail = |name: &str| ebs["details"].as_array().unwrap().iter().find(|detail| detail["name"] == name).unwrap();
    assert_eq!(detail("deleteOnTermination")["value"], "true");
    assert!(detail("volumeId")["value"].as_str().unwrap().starts_with("vol-"));
}

#[test]
fn an_ebs_volume_is_xfs_if_nothing_else_is_said_and_names_the_package_that_makes_it() {
    let root = Root::with_images(&["busybox"]);
    let finished = run(&root, &json!({ "sizeInGiB": 1, "roleArn": "r" }), "grep ' /data ' /proc/mounts; touch /data/x");
    if Path::new("/usr/sbin/mkfs.xfs").exists() {
        let text = finished.ok();
        assert!(text.contains(" /data xfs rw,"), "{text}");
    } else {
        let words = "mkfs.xfs is not installed on this host: apt-get install xfsprogs";
        assert!(finished.code() == 1 && finished.stderr.contains(words), "{finished:#?}");
    }
}

#[test]
fn an_ebs_volume_is_kept_if_its_termination_policy_says_so() {
    let root = Root::with_images(&["busybox"]);
    let mut kept = volume("ext4");
    kept["terminationPolicy"] = json!({ "deleteOnTermination": false });
    assert_eq!(run(&root, &kept, "echo kept > /data/x; sync").code(), 0);
    assert_eq!(run(&root, &volume("ext4"), "true").code(), 0);
    let volumes = entries(&root.path().join("volumes/ebs"));
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    let file = root.path().join("volumes/ebs").join(&volumes[0]);
    let shown = std::process::Command::new("/usr/sbin/debugfs").args(["-R", "cat /x"]).arg(file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "kept\n");
}

#[test]
fn a_run_and_a_definition_that_do_not_fit_are_refused_in_ecs_own_words() {
    let root = Root::with_images(&["busybox"]);
    let launched = json!([{ "name": "data", "configuredAtLaunch": true }]);
    let finished = root.run(&with_volumes(launched, &[shell("web", "true", mounted("data", "/data"))]));
    assert_eq!(finished.code(), 1);
    let words = "Task definition has configuredAtLaunch volume but no volume configuration provided at runtime";
    assert!(finished.stderr.contains(words), "{finished:#?}");
    let refused = [
        (json!({ "sizeInGiB": 3 }), "roleArn is missing"),
        (json!({ "snapshotId": "snap-1", "roleArn": "r" }), "snapshotId is not supported"),
        (json!({ "sizeInGiB": 3, "roleArn": "r", "volumeType": "gp9" }), "is not a volumeType"),
    ];
    for (volume, words) in refused {
        let finished = run(&root, &volume, "true");
        assert!(finished.code() == 1 && finished.stderr.contains(words), "{finished:#?}");
    }
    let finished = run(&root, &json!({ "size": 3 }), "true");
    assert!(finished.code() == 2 && finished.stderr.contains("unknown field"), "{finished:#?}");
}

//! Supervisors that are killed while a task with every kind of volume starts: nothing of it is left when it is over.

use std::ffi::OsStr;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{shell, with_volumes};
use crate::support::eventually;
use crate::support::root::Root;
use crate::support::supervised::{PATIENCE, eventually_soon, pair, processes, strike, tries, workers};

#[test]
fn a_supervisor_that_is_killed_during_a_start_with_volumes_leaves_nothing() {
    let root = Root::with_images(&["busybox"]);
    let more = json!({ "stopTimeout": 2, "mountPoints": [
        { "sourceVolume": "v", "containerPath": "/bin" }, { "sourceVolume": "data", "containerPath": "/data" }] });
    let containers = ["a", "b"].map(|name| shell(name, "sleep 1000", more.clone()));
    let volumes = json!([{ "name": "v" }, { "name": "data", "configuredAtLaunch": true }]);
    let file = root.file(&with_volumes(volumes, &containers));
    let volume = json!([{ "name": "data", "managedEBSVolume":
        { "sizeInGiB": 1, "filesystemType": "ext4", "roleArn": "r" } }])
    .to_string();
    let args = ["run", "-d", "--volume-configurations", &volume].map(OsStr::new);
    let count = tries("RECOVERY_TRIES", 12);
    for number in 0..count {
        let running = root.start(args.iter().copied().chain([file.as_os_str()]));
        let holder = eventually_soon("a supervisor is there", || {
            // other roots have supervisors too
            processes(&["supervise", "new"])
                .into_iter()
                .find(|(_, parent)| *parent == running.pid())
                .map(|(pid, _)| pid)
        });
        let line = fs::read_to_string(format!("/proc/{holder}/cmdline")).unwrap_or_default();
        let Some(id) = line.split('\0').nth(3).map(str::to_owned) else { panic!("no task in {line:?}") };
        thread::sleep(Duration::from_micros(u64::from(number * 120_000 / count)));
        match number % 3 {
            0 => pair(&id).into_iter().for_each(|pair| pair.end()),
            1 => pair(&id).into_iter().for_each(|pair| strike(pair.looping)),
            _ => workers(&id).into_iter().for_each(strike),
        }
        running.wait(PATIENCE);
        let status = eventually(PATIENCE, "it runs or has stopped", || {
            let record = root.berth(["--format", "json", "describe", &id]).json();
            let status = record["tasks"][0]["lastStatus"].as_str().unwrap_or("MISSING").to_owned();
            ["RUNNING", "STOPPED", "MISSING"].contains(&&*status).then_some(status)
        });
        if status == "RUNNING" {
            let shown = root.berth(["exec", "-c", "b", &id, "sh", "-c", "touch /data/x /bin/x && ls /bin/x"]);
            assert_eq!(shown.ok(), "/bin/x\n", "the volume has the image's programs");
        }
        if status != "MISSING" {
            root.berth(["rm", "-f", &id]).ok();
        }
    }
    // the end of the root checks that nothing is left
}

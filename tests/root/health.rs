//! Health checks in real containers: what they are run as, what is left of them, what they cost, and what they are good for.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::life::{PATIENCE, check, shell, until_health, until_term, why};
use crate::support::root::{Root, Task};
use crate::support::supervised::{kill_loop, pair, strike, workers};
use crate::support::{eventually, of, task};

fn web(more: Value) -> Value {
    task(&[shell("web", &until_term(":", 0), more)])
}

/// The processes of the group that checks of a container run in.
fn checking(root: &Root, task: &Task) -> Vec<String> {
    let list = root.group(task, Some("web"), "pids", "berth.check/cgroup.procs").unwrap_or_default();
    list.lines().map(str::to_owned).collect()
}

/// What is known of the last failed check of `web`.
fn failure(root: &Root, task: &Task) -> Value {
    why(root, task)["containers"][0]["health"]["lastFailure"].clone()
}

#[test]
fn health_follows_the_check_and_a_task_of_nobodys_survives_unhealthy() {
    let root = Root::with_images(&["busybox"]);
    let script = "cat /tmp/state; test ! -e /tmp/broken";
    let started = root.run_detached(&web(json!({ "healthCheck": check(script) })));
    let record = root.describe(&started);
    assert_eq!(of(&record, "web")["healthStatus"], "UNKNOWN");
    let record = until_health(&root, &started, "web", "HEALTHY");
    assert_eq!(record["healthStatus"], "HEALTHY");
    root.exec(&started, "web", &["sh", "-c", "echo 'disk gone' > /tmp/state; touch /tmp/broken"]).ok();
    let record = until_health(&root, &started, "web", "UNHEALTHY");
    assert_eq!((&record["healthStatus"], &record["lastStatus"]), (&json!("UNHEALTHY"), &json!("RUNNING")));
    let told = why(&root, &started);
    assert_eq!((&told["stopCode"], &told["healthStatus"]), (&Value::Null, &json!("UNHEALTHY")));
    assert!(told["summary"].as_str().unwrap().contains("UNHEALTHY"), "{told:#}");
    let failed = &told["containers"][0]["health"]["lastFailure"];
    assert_eq!((&failed["exitCode"], &failed["output"]), (&json!(1), &json!("disk gone")), "{told:#}");
    root.exec(&started, "web", &["rm", "/tmp/broken"]).ok();
    until_health(&root, &started, "web", "HEALTHY");
    root.stop(&started);
}

#[test]
fn a_check_has_the_rights_of_its_container_and_no_more() {
    let root = Root::with_images(&["busybox"]);
    let script =
        "id -u; grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status; echo $KEY; pwd; cat /proc/1/comm; exit 1";
    let started = root.run_detached(&web(json!({
        "user": "1234:1234", "workingDirectory": "/tmp", "environment": [{ "name": "KEY", "value": "of web" }],
        "linuxParameters": { "capabilities": { "drop": ["ALL"] } }, "healthCheck": check(script) })));
    until_health(&root, &started, "web", "UNHEALTHY");
    let output = failure(&root, &started)["output"].as_str().unwrap().replace('\t', " ");
    assert_eq!(output, "1234\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nSeccomp: 2\nof web\n/tmp\nsh");
    root.stop(&started);
}

#[test]
fn a_check_that_hangs_is_killed_at_its_timeout_with_all_that_it_started() {
    let root = Root::with_images(&["busybox"]);
    // in the background, in sessions of their own, deaf to signals
    let script = "trap '' TERM HUP; echo hanging; (setsid sh -c 'sleep 300 & sleep 300' &); sleep 300";
    let mut check = check(script);
    check["timeout"] = json!(1);
    check["interval"] = json!(30);
    let started = root.run_detached(&web(
        json!({ "healthCheck": { "command": check["command"], "interval": 2, "timeout": 1, "retries": 1 } }),
    ));
    eventually(PATIENCE, "it hangs", || (checking(&root, &started).len() >= 3).then_some(()));
    until_health(&root, &started, "web", "UNHEALTHY");
    let failed = failure(&root, &started);
    assert_eq!((&failed["timedOut"], &failed["output"]), (&json!(true), &json!("hanging")), "{failed}");
    assert_eq!(failed["exitCode"], Value::Null);
    // the next check, which would remove what this one left, is a while away
    eventually(Duration::from_secs(5), "nothing is left", || checking(&root, &started).is_empty().then_some(()));
    assert_eq!(root.describe(&started)["lastStatus"], "RUNNING");
    root.stop(&started);
    assert_eq!(of(&root.describe(&started), "web")["exitCode"], 0, "the container was not hurt");
}

#[test]
fn a_check_that_floods_costs_neither_memory_nor_the_supervisor() {
    let root = Root::with_images(&["busybox"]);
    let mut flood = check("yes 0123456789abcdef");
    flood["timeout"] = json!(3);
    let started = root.run_detached(&web(json!({ "healthCheck": flood })));
    eventually(PATIENCE, "it floods", || (!checking(&root, &started).is_empty()).then_some(()));
    until_health(&root, &started, "web", "UNHEALTHY");
    let output = failure(&root, &started)["output"].as_str().unwrap().to_owned();
    assert_eq!(output.chars().count(), 1024);
    let pair = pair(&started.id).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pair.looping)).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kilobytes < 40_000, "the loop had {peak}");
    let took = root.berth(["stop", &started.id]).took;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_check_that_leaves_children_leaves_none() {
    let root = Root::with_images(&["busybox"]);
    let script = "(setsid sh -c 'trap \"\" HUP TERM; sleep 300' </dev/null &); exit 0";
    let check = json!({ "command": ["CMD-SHELL", script], "interval": 8, "retries": 1 });
    let started = root.run_detached(&web(json!({ "healthCheck": check })));
    eventually(PATIENCE, "it is checked", || root.group(&started, Some("web"), "pids", "berth.check/cgroup.procs"));
    until_health(&root, &started, "web", "HEALTHY");
    // the next check, which would remove what this one left, is a while away
    eventually(Duration::from_secs(5), "nothing is left", || checking(&root, &started).is_empty().then_some(()));
    root.stop(&started);
}

#[test]
fn a_program_that_is_not_there_is_a_failure_that_names_it() {
    let root = Root::with_images(&["busybox"]);
    let check = json!({ "command": ["CMD", "no-such-program", "x"], "interval": 1, "retries": 1 });
    let started = root.run_detached(&web(json!({ "healthCheck": check })));
    until_health(&root, &started, "web", "UNHEALTHY");
    let failed = failure(&root, &started);
    assert_eq!(failed["exitCode"], 127, "{failed}");
    assert!(failed["output"].as_str().unwrap().contains("no-such-program"), "{failed}");
    root.stop(&started);
}

#[test]
fn health_and_its_counts_survive_the_loop_and_a_half_done_check_is_ended() {
    let root = Root::with_images(&["busybox"]);
    let check = json!({ "command": ["CMD-SHELL", "echo $$ >> /tmp/checks; test -e /tmp/slow && sleep 300; exit 1"],
        "interval": 1, "timeout": 60, "retries": 4 });
    let started = root.run_detached(&web(json!({ "healthCheck": check })));
    let failures = |root: &Root| why(root, &started)["containers"][0]["health"]["failures"].as_u64().unwrap();
    eventually(PATIENCE, "two have failed", || (failures(&root) >= 2).then_some(()));
    root.exec(&started, "web", &["touch", "/tmp/slow"]).ok();
    let hanging = eventually(PATIENCE, "one hangs", || {
        let found = checking(&root, &started);
        let sleeps =
            |pid: &String| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"));
        found.iter().any(sleeps).then_some(found)
    });
    let before = failures(&root);
    assert!((2..4).contains(&before), "{before}");
    root.exec(&started, "web", &["rm", "/tmp/slow"]).ok();
    kill_loop(&root, &started);
    assert!(failures(&root) >= before, "the count is kept");
    eventually(PATIENCE, "the half-done check is gone", || {
        let now = checking(&root, &started);
        (!hanging.iter().any(|pid| now.contains(pid))).then_some(())
    });
    eventually(PATIENCE, "the count has gone on", || {
        (of(&root.describe(&started), "web")["healthStatus"] == "UNHEALTHY").then_some(())
    });
    let old = pair(&started.id).unwrap();
    strike(old.looping);
    let record = eventually(PATIENCE, "it has a loop", || {
        pair(&started.id).filter(|new| new.looping != old.looping).map(|_| root.describe(&started))
    });
    assert_eq!(of(&record, "web")["healthStatus"], "UNHEALTHY", "as it was");
    root.stop(&started);
}

#[test]
fn none_is_no_check() {
    let root = Root::with_images(&["busybox"]);
    let started = root.run_detached(&web(json!({ "healthCheck": { "command": ["NONE"] } })));
    root.until_written(&started, "web", "ready");
    assert_eq!(why(&root, &started)["containers"][0]["health"], Value::Null);
    assert_eq!(root.group(&started, Some("web"), "pids", "berth.check/cgroup.procs"), None);
    root.stop(&started);
}

#[test]
fn a_check_whose_worker_was_killed_has_failed_and_the_next_one_removes_it() {
    let root = Root::with_images(&["busybox"]);
    let script = "test -e /tmp/once && exit 0; touch /tmp/once; sleep 300";
    let check = json!({ "command": ["CMD-SHELL", script], "interval": 1, "timeout": 60, "retries": 1 });
    let started = root.run_detached(&web(json!({ "healthCheck": check })));
    let hanging = eventually(PATIENCE, "it hangs", || {
        let has_begun = root.exec(&started, "web", &["test", "-e", "/tmp/once"]).status.success();
        Some(checking(&root, &started)).filter(|found| has_begun && !found.is_empty())
    });
    workers(&started.id).into_iter().for_each(strike);
    until_health(&root, &started, "web", "HEALTHY");
    let now = checking(&root, &started);
    assert!(!hanging.iter().any(|pid| now.contains(pid)), "{hanging:?} and {now:?}");
    let failed = failure(&root, &started);
    assert_eq!((&failed["exitCode"], &failed["timedOut"]), (&Value::Null, &json!(false)), "{failed}");
    assert!(failed["output"].as_str().unwrap().starts_with("ContainerRuntimeError: "), "{failed}");
    root.stop(&started);
}

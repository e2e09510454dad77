//! `restartPolicy`: a container that is started again in its task, and the ends that are final.

use serde_json::{Value, json};

use crate::support::life::{PATIENCE, check, shell, until_health, until_term, why};
use crate::support::root::{Root, Task};
use crate::support::supervised::{copies, ended, exit_code, init, kill_loop, pair, strike};
use crate::support::{container, eventually, of, task};

fn policy(period: u32) -> Value {
    json!({ "enabled": true, "restartAttemptPeriod": period, "ignoredExitCodes": [3] })
}

fn restarts(root: &Root, task: &Task) -> u64 {
    why(root, task)["containers"][0]["restartCount"].as_u64().unwrap()
}

/// The record is behind the container by a moment.
fn until_restarts(root: &Root, task: &Task, count: u64) {
    eventually(PATIENCE, &format!("{count} restarts are counted"), || (restarts(root, task) == count).then_some(()));
}

#[test]
fn who_ran_long_enough_is_started_again_and_keeps_everything() {
    let root = Root::with_images(&["busybox"]);
    let script = until_term(
        "echo run >> /runs; wc -l < /runs; hostname; test $(wc -l < /runs) = 3 || { sleep 2.5; exit 9; }",
        0,
    );
    let more = json!({ "restartPolicy": policy(1), "healthCheck": check("test $(wc -l < /runs) != 2") });
    let started = root.run_detached(&task(&[shell("web", &script, more)]));
    let first = root.describe(&started);
    root.until_written(&started, "web", "ready");
    let record = root.describe(&started);
    assert_eq!((&record["lastStatus"], &record["startedAt"]), (&json!("RUNNING"), &first["startedAt"]));
    for member in ["containerArn", "runtimeId", "networkInterfaces", "name"] {
        assert_eq!(of(&record, "web")[member], of(&first, "web")[member]);
    }
    assert_eq!(of(&record, "web")["exitCode"], Value::Null, "that was another run's");
    let host = format!("ip-{}.ec2.internal", started.address().replace('.', "-"));
    let lines: Vec<String> = root.logs(&started, "web").lines().map(str::to_owned).collect();
    assert_eq!(lines, ["1", &host, "2", &host, "3", &host, "ready"], "the writable layer and the address survive");
    until_restarts(&root, &started, 2);
    until_health(&root, &started, "web", "HEALTHY");
    root.stop(&started);
    let record = root.describe(&started);
    assert_eq!((&of(&record, "web")["exitCode"], &record["stopCode"]), (&json!(0), &json!("UserInitiated")));
}

#[test]
fn a_crash_loop_and_an_ignored_exit_code_are_final() {
    let root = Root::with_images(&["busybox"]);
    for (script, period, code) in [("exit 9", 60, 9), ("exit 3", 0, 3)] {
        let web = shell("web", script, json!({ "restartPolicy": policy(period) }));
        let finished = root.run(&task(&[web]));
        assert_eq!(finished.code(), code, "{finished:#?}");
    }
    for record in root.list(&["-a"]) {
        assert_eq!(record["stopCode"], "EssentialContainerExited");
        let told = root.berth(["--format", "json", "why", record["taskArn"].as_str().unwrap()]).json();
        assert_eq!(told["containers"][0]["restartCount"], 0, "{told:#}");
    }
}

#[test]
fn the_end_of_one_that_is_not_essential_is_final_and_the_task_runs_on() {
    let root = Root::with_images(&["busybox"]);
    let side = json!({ "essential": false, "restartPolicy": policy(60) });
    let started =
        root.run_detached(&task(&[shell("side", "exit 9", side), shell("web", &until_term(":", 0), json!({}))]));
    eventually(PATIENCE, "it has stopped", || {
        (of(&root.describe(&started), "side")["lastStatus"] == "STOPPED").then_some(())
    });
    assert_eq!(root.describe(&started)["lastStatus"], "RUNNING");
    root.until_written(&started, "web", "ready");
    root.stop(&started);
}

#[test]
fn restarts_go_on_and_are_counted_right_whenever_the_loop_is_killed() {
    let root = Root::with_images(&["probe"]);
    let more = json!({ "restartPolicy": policy(0), "essential": true });
    let started = root.run_detached(&task(&[container("web", &["sleep"], more)]));
    let mut pid = init(&root, &started);
    const ROUNDS: u64 = 12;
    for round in 0..ROUNDS {
        strike(pid);
        // the next run, and the death of the loop, at about the same time
        std::thread::sleep(std::time::Duration::from_millis(round * 4));
        kill_loop(&root, &started);
        pid = eventually(PATIENCE, "it runs again", || {
            let path = root.path().join(format!("run/tasks/{}/c/web/init.json", started.id));
            let file: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
            let new = nix::unistd::Pid::from_raw(i32::try_from(file["pid"].as_i64()?).ok()?);
            // Before its program has begun a run that is killed has not been one, and comes again under its number.
            let name = std::fs::read_to_string(format!("/proc/{new}/comm")).ok()?;
            (new != pid && file["run"] == round + 1 && name.trim_end() == "probe").then_some(new)
        });
    }
    until_restarts(&root, &started, ROUNDS);
    assert_eq!(copies(&started.id), [pid], "it runs once");
    assert_eq!(root.describe(&started)["lastStatus"], "RUNNING");
    root.berth(["rm", "-f", &started.id]).ok();
}

#[test]
fn nothing_is_started_again_after_a_stop() {
    let root = Root::with_images(&["busybox"]);
    let web = shell("web", &until_term(":", 9), json!({ "restartPolicy": policy(0) }));
    let started = root.run_detached(&task(&[web]));
    root.until_written(&started, "web", "ready");
    root.stop(&started);
    assert_eq!(exit_code(&ended(&started, &root)), &json!(9));
    assert_eq!(root.logs(&started, "web"), "ready\nTERM\n");
}

#[test]
fn an_oom_kill_of_an_earlier_run_is_not_taken_for_this_ones() {
    // On cgroup v2 the whole container goes (`memory.oom.group`), with the code that the policy must ignore below.
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return;
    }
    let root = Root::with_images(&["busybox"]);
    // In the first run a child is killed for want of memory; the second run is killed by somebody.
    let script = until_term("test -e /again || { touch /again; tail /dev/zero; exit 5; }", 0);
    let policy = json!({ "enabled": true, "restartAttemptPeriod": 0, "ignoredExitCodes": [137] });
    let web = shell("web", &script, json!({ "memory": 16, "restartPolicy": policy }));
    let started = root.run_detached(&task(&[web]));
    root.until_written(&started, "web", "ready");
    until_restarts(&root, &started, 1);
    strike(init(&root, &started));
    let record = ended(&started, &root);
    assert_eq!((exit_code(&record), &of(&record, "web")["reason"]), (&json!(137), &Value::Null));
    assert_eq!(why(&root, &started)["containers"][0]["memory"], Value::Null);
}

#[test]
fn a_run_that_was_short_of_memory_says_so_with_its_limit() {
    let root = Root::with_images(&["busybox"]);
    let again = root.run_detached(&task(&[shell("web", "sleep 1; exec tail /dev/zero", json!({ "memory": 16 }))]));
    let record = ended(&again, &root);
    assert_eq!(of(&record, "web")["reason"], "OutOfMemoryError: Container killed due to memory usage");
    assert_eq!(exit_code(&record), &json!(137));
    let told = why(&root, &again);
    assert_eq!(told["containers"][0]["memory"]["limitBytes"], 16 << 20, "{told:#}");
}

#[test]
fn who_is_adopted_is_started_again_as_well_and_has_its_network() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["listen", "80", "hello"], json!({ "restartPolicy": policy(0) }));
    let started = root.run_detached(&task(&[web]));
    let first = init(&root, &started);
    pair(&started.id).unwrap().end();
    root.berth(["ps"]).ok();
    eventually(PATIENCE, "it has a supervisor", || pair(&started.id));
    strike(first);
    // Before Linux 6.15 nobody knows how a stranger's child ended, and such an end is final.
    let status = eventually(PATIENCE, "it runs again or has stopped", || {
        let record = root.describe(&started);
        let over = record["lastStatus"] == "STOPPED";
        (over || restarts(&root, &started) == 1).then(|| record["lastStatus"].clone())
    });
    if status == "STOPPED" {
        assert_eq!(exit_code(&root.describe(&started)), &Value::Null);
        return;
    }
    let text = eventually(PATIENCE, "it answers at the same address", || {
        let mut text = String::new();
        let mut stream = std::net::TcpStream::connect(format!("{}:80", started.address())).ok()?;
        std::io::Read::read_to_string(&mut stream, &mut text).ok().map(|_| text)
    });
    assert_eq!((text.as_str(), copies(&started.id).len()), ("hello\n", 1));
    root.berth(["rm", "-f", &started.id]).ok();
}

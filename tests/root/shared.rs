//! Containers that share processes or memory with their neighbours (`pidMode`, `ipcMode`).

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, ended, exists, kill_loop, pair, processes, strike};
use crate::support::{container, eventually, of, task};

fn sharing(mode: &str, containers: &[Value]) -> Value {
    let mut definition = task(containers);
    definition[mode] = json!("task");
    if mode == "ipcMode" {
        definition["requiresCompatibilities"] = json!(["EC2"]);
    }
    definition
}

fn busybox(name: &str, script: &str, more: Value) -> Value {
    let mut container = container(name, &[script], more);
    container["image"] = json!("busybox");
    container["entryPoint"] = json!(["sh", "-c"]);
    container
}

fn pid_of(root: &Root, task: &Task, name: &str) -> Pid {
    let text = fs::read(root.path().join(format!("run/tasks/{}/c/{name}/init.json", task.id))).unwrap();
    let file: Value = serde_json::from_slice(&text).unwrap();
    Pid::from_raw(i32::try_from(file["pid"].as_i64().unwrap()).unwrap())
}

fn shell(root: &Root, task: &Task, name: &str, script: &str) -> String {
    let finished = root.exec(task, name, &["sh", "-c", script]);
    finished.stdout + &finished.stderr
}

fn pause(task: &Task) -> Vec<Pid> {
    processes(&["pause", &task.id]).into_iter().map(|(pid, _)| pid).collect()
}

#[test]
fn containers_of_a_task_see_each_others_processes_and_end_with_their_own_codes() {
    let root = Root::with_images(&["probe", "busybox"]);
    let web = container("web", &["trap", "USR1", "--", "7"], json!({ "essential": false }));
    let side = busybox("side", "sleep 1000 & sleep 2000 & wait", json!({ "essential": false }));
    let main = busybox("main", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done", json!({}));
    let standing = root.run_detached(&sharing("pidMode", &[web, side, main]));
    root.until(&standing, "RUNNING");
    root.until_written(&standing, "main", "ready");
    let seen = shell(&root, &standing, "side", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    for words in ["pause", "trap USR1", "exit 3", "sleep 1000"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    // one goes, its code is right, its neighbours stay
    kill(pid_of(&root, &standing, "web"), Signal::SIGUSR1).unwrap();
    let record = eventually(PATIENCE, "web is STOPPED", || {
        Some(root.describe(&standing)).filter(|record| of(record, "web")["lastStatus"] == "STOPPED")
    });
    assert_eq!((&of(&record, "web")["exitCode"], &record["lastStatus"]), (&json!(7), &json!("RUNNING")));
    // another goes with all that it had started
    strike(pid_of(&root, &standing, "side"));
    let record = eventually(PATIENCE, "side is STOPPED", || {
        Some(root.describe(&standing)).filter(|record| of(record, "side")["lastStatus"] == "STOPPED")
    });
    assert_eq!(of(&record, "side")["exitCode"], json!(137));
    eventually(PATIENCE, "its children are gone", || {
        let left = shell(&root, &standing, "main", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
        (!left.contains("sleep 1000") && !left.contains("sleep 2000")).then_some(())
    });
    assert_eq!(pause(&standing).len(), 1);
    root.stop(&standing);
    assert_eq!(of(&root.until(&standing, "STOPPED"), "main")["exitCode"], json!(3));
    assert!(pause(&standing).is_empty());
}

#[test]
fn the_pause_process_gives_nothing_to_who_may_trace_it() {
    let root = Root::with_images(&["busybox"]);
    let more = json!({ "linuxParameters": { "capabilities": { "add": ["SYS_PTRACE"] } } });
    let standing = root.run_detached(&sharing("pidMode", &[busybox("web", "sleep 1000", more)]));
    root.until(&standing, "RUNNING");
    let status = shell(&root, &standing, "web", "cat /proc/1/status");
    let expected = [
        "Uid:\t65534\t65534",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ];
    for line in expected {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert_eq!(
        shell(&root, &standing, "web", "ls /proc/1/root; tr '\\0' '\\n' </proc/1/environ; touch /proc/1/root/x"),
        "shm\ntouch: /proc/1/root/x: Read-only file system\n"
    );
    let streams = shell(&root, &standing, "web", "ls -l /proc/1/fd | grep -o '>.*' | sort -u");
    assert!(streams.lines().count() == 1 && streams.ends_with("/null\n"), "{streams}");
    assert_eq!(shell(&root, &standing, "web", "kill -9 1; sleep 0.1; echo alive"), "alive\n");
    let group = root.group(&standing, None, "memory", "berth.own/memory.usage_in_bytes");
    println!("the pause process's group has {group:?} bytes");
    root.berth(["rm", "-f", &standing.id]).ok();
}

#[test]
fn a_task_with_shared_processes_is_adopted_after_its_pair_was_killed() {
    let root = Root::with_images(&["probe"]);
    let one = container("one", &["trap", "USR1", "--", "7"], json!({ "essential": false }));
    let two = container("two", &["trap", "TERM", "--", "3"], json!({}));
    let standing = root.run_detached(&sharing("pidMode", &[one, two]));
    let (first, second) = (pid_of(&root, &standing, "one"), pid_of(&root, &standing, "two"));
    kill_loop(&root, &standing);
    assert!(exists(first) && exists(second));
    kill(first, Signal::SIGUSR1).unwrap();
    eventually(PATIENCE, "one has ended with its code", || {
        (of(&root.describe(&standing), "one")["exitCode"] == json!(7)).then_some(())
    });
    let old = pause(&standing);
    pair(&standing.id).unwrap().end();
    root.berth(["ps"]).ok();
    assert!(exists(second));
    assert_eq!(pause(&standing), old, "the namespace keeps its first process");
    root.stop(&standing);
    let record = ended(&standing, &root);
    assert!([json!(3), Value::Null].contains(&of(&record, "two")["exitCode"]), "{record:#}");
    assert!(pause(&standing).is_empty());
}

#[test]
fn the_end_of_the_pause_process_is_the_end_of_the_task() {
    let root = Root::with_images(&["probe"]);
    let standing = root.run_detached(&sharing("pidMode", &[container("web", &["sleep"], json!({}))]));
    root.until(&standing, "RUNNING");
    pause(&standing).into_iter().for_each(strike);
    let record = ended(&standing, &root);
    assert_eq!(of(&record, "web")["exitCode"], json!(137));
}

#[test]
fn a_container_out_of_memory_is_reported_alone_among_shared_processes() {
    let root = Root::with_images(&["probe"]);
    let greedy = container("greedy", &["alloc", "256", "hold"], json!({ "memory": 64, "essential": false }));
    let web = container("web", &["trap", "TERM", "--", "3"], json!({}));
    let standing = root.run_detached(&sharing("pidMode", &[web, greedy]));
    let record = eventually(PATIENCE, "greedy is STOPPED", || {
        Some(root.describe(&standing)).filter(|record| of(record, "greedy")["lastStatus"] == "STOPPED")
    });
    assert_eq!(of(&record, "greedy")["exitCode"], json!(137));
    assert!(of(&record, "greedy")["reason"].as_str().unwrap_or_default().starts_with("OutOfMemoryError"), "{record:#}");
    assert_eq!(of(&record, "web")["lastStatus"], "RUNNING");
    root.stop(&standing);
}

#[test]
fn shared_memory_of_a_task_is_seen_by_all_its_containers_and_ipc_parameters_are_the_tasks() {
    let root = Root::with_images(&["busybox"]);
    let control = json!([{ "namespace": "kernel.msgmax", "value": "9999" }]);
    let one = busybox("one", "echo word >/dev/shm/file; sleep 1000", json!({ "systemControls": control }));
    let two = busybox("two", "sleep 1000", json!({ "dependsOn": [{ "containerName": "one", "condition": "START" }] }));
    let standing = root.run_detached(&sharing("ipcMode", &[one, two]));
    root.until(&standing, "RUNNING");
    eventually(PATIENCE, "it is seen", || {
        (shell(&root, &standing, "two", "cat /dev/shm/file 2>/dev/null") == "word\n").then_some(())
    });
    let asked = "readlink /proc/self/ns/ipc; cat /proc/sys/kernel/msgmax; df -k /dev/shm | awk 'NR > 1 {print $2}'";
    let [one, two] = ["one", "two"].map(|name| shell(&root, &standing, name, asked));
    assert_eq!(one, two);
    assert!(one.ends_with("\n9999\n65536\n"), "{one}");
    assert_ne!(one.lines().next().unwrap(), fs::read_link("/proc/self/ns/ipc").unwrap().to_str().unwrap());
    root.berth(["rm", "-f", &standing.id]).ok();
}

#[test]
fn the_hosts_processes_are_seen_only_where_the_host_allows_it() {
    let root = Root::with_images(&["busybox"]);
    let mut definition =
        task(&[busybox("web", "sleep 1000 & sleep 2000 & readlink /proc/self/ns/pid; wait", json!({}))]);
    definition["requiresCompatibilities"] = json!(["EC2"]);
    definition["pidMode"] = json!("host");
    let refused = root.run(&definition);
    assert!(refused.code() != 0 && refused.stderr.contains("host-pid = true"), "{refused:#?}");
    root.configure("[instance]\nhost-pid = true\n");
    let standing = root.run_detached(&definition);
    root.until(&standing, "RUNNING");
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    root.until_written(&standing, "web", own.to_str().unwrap());
    assert_eq!(shell(&root, &standing, "web", "readlink /proc/self/ns/pid"), format!("{}\n", own.display()));
    // what it has started goes with it
    strike(pid_of(&root, &standing, "web"));
    let record = ended(&standing, &root);
    assert_eq!(of(&record, "web")["exitCode"], json!(137));
}

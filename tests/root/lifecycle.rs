//! A task's life from outside: order, signals, ends and what is said of them, logs, exec, removal.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::{container, definition, eventually, of, task};

const PATIENCE: Duration = Duration::from_secs(15);

fn after(name: &str) -> Value {
    json!([{ "containerName": name, "condition": "START" }])
}

#[test]
fn every_exit_code_is_handed_on_and_recorded() {
    let root = Root::with_images(&["probe"]);
    for code in [0, 1, 42, 143, 255] {
        assert_eq!(root.run(&definition(&[("web", &["exit", &code.to_string()])])).code(), code);
    }
    let codes: Vec<_> = root.list(&["-a"]).iter().map(|task| of(task, "web")["exitCode"].clone()).collect();
    assert_eq!(codes, [0, 1, 42, 143, 255].map(Value::from));
}

#[test]
fn the_steps_of_a_launch_are_told_in_the_order_of_their_times() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&definition(&[("web", &["exit", "4"])]));
    let mut command = root.command(["run", "--timing", file.to_str().unwrap()]);
    let ours = tempfile::tempdir().unwrap();
    let output = command.env("TMPDIR", ours.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "its own exit code");
    let text = String::from_utf8(output.stderr).unwrap();
    let steps = [
        "run: the task is committed",
        "launch: it may go",
        "prepare: done",
        "start: the program runs",
        "clean-up: done",
    ];
    let times = steps.map(|step| {
        let row = text.lines().find(|line| line.ends_with(step)).unwrap_or_else(|| panic!("no {step} in\n{text}"));
        row.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    });
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(std::fs::read_dir(ours.path()).unwrap().count(), 0, "nothing is left of it");
}

/// The lines of all containers in the order of their times: (container, text).
fn history(root: &Root, task: &Task) -> Vec<(String, String)> {
    let text = root.berth(["--format", "json", "logs", &task.id]).ok();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["timestamp"].to_string());
    let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    lines.iter().map(|line| (field(line, "container"), field(line, "message"))).collect()
}

#[test]
fn containers_start_in_the_order_of_their_dependencies_and_stop_in_the_reverse() {
    let root = Root::with_images(&["probe"]);
    let trap = |name: &str, more: Value| container(name, &["trap", "TERM", "--", "0"], more);
    // listed in an order that is neither of the two
    let containers = [
        trap("middle", json!({ "dependsOn": after("first") })),
        trap("last", json!({ "dependsOn": after("middle") })),
        trap("first", json!({})),
    ];
    let started = root.run_detached(&task(&containers));
    root.until_written(&started, "last", "ready");
    root.stop(&started);
    let expected = [
        ("first", "ready"),
        ("middle", "ready"),
        ("last", "ready"),
        ("last", "TERM"),
        ("middle", "TERM"),
        ("first", "TERM"),
    ];
    assert_eq!(history(&root, &started), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[test]
fn who_ignores_the_stop_signal_is_killed_after_its_stop_timeout() {
    let root = Root::with_images(&["probe"]);
    let started = root.run_detached(&task(&[container("web", &["ignore", "TERM"], json!({ "stopTimeout": 2 }))]));
    root.until_written(&started, "web", "ready");
    let took = root.berth(["stop", "--reason", "enough", &started.id]).took;
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let record = root.until(&started, "STOPPED");
    assert_eq!(of(&record, "web")["exitCode"], 137);
    assert_eq!(of(&record, "web")["reason"], Value::Null, "nobody ran out of memory");
    assert_eq!((&record["stopCode"], &record["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
}

#[test]
fn nginx_is_stopped_with_the_signal_that_its_image_names() {
    let root = Root::with_images(&["nginx"]);
    let web = container("web", &[], json!({ "image": "nginx", "command": null }));
    let started = root.run_detached(&task(&[web]));
    root.until_written(&started, "web", "start worker process");
    root.stop(&started);
    let text = root.logs(&started, "web");
    assert!(text.contains("signal 3 (SIGQUIT) received"), "{text}");
    assert_eq!(of(&root.describe(&started), "web")["exitCode"], 0);
}

#[test]
fn the_end_of_an_essential_container_stops_the_rest() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["trap", "TERM", "--", "5"], json!({}));
    let job = container("job", &["trap", "USR1", "--", "3"], json!({}));
    let started = root.run_detached(&task(&[web, job]));
    for name in ["web", "job"] {
        root.until_written(&started, name, "ready");
    }
    signal_first(&root, &started, "job", Signal::SIGUSR1);
    let record = root.until(&started, "STOPPED");
    assert_eq!(record["stopCode"], "EssentialContainerExited", "{record:#}");
    assert_eq!(record["stoppedReason"], "Essential container in task exited");
    assert_eq!(record["desiredStatus"], "STOPPED");
    assert_eq!((&of(&record, "job")["exitCode"], &of(&record, "web")["exitCode"]), (&json!(3), &json!(5)));
    for time in ["createdAt", "connectivityAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"] {
        assert!(record[time].is_number(), "{time} in {record:#}");
    }
}

fn signal_first(root: &Root, task: &Task, container: &str, signal: Signal) {
    let group = root.group(task, Some(container), "pids", "cgroup.procs").expect("its group is there");
    let pid = group.lines().next().and_then(|pid| pid.parse().ok()).expect("it has a process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn the_foreground_ends_with_the_code_of_the_container_that_ended_first() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["trap", "TERM", "--", "5"], json!({}));
    let job = container("job", &["sleep", "1"], json!({ "dependsOn": after("web") }));
    let finished = root.run(&task(&[web, job]));
    assert_eq!(finished.code(), 0, "{finished:#?}");
}

#[test]
fn the_end_of_another_container_leaves_the_task_running() {
    let root = Root::with_images(&["probe"]);
    let job = container("job", &["exit", "9"], json!({ "essential": false }));
    let started = root.run_detached(&task(&[container("web", &["trap", "TERM", "--", "0"], json!({})), job]));
    let record = eventually(PATIENCE, "the job is over", || {
        Some(root.describe(&started)).filter(|record| of(record, "job")["lastStatus"] == "STOPPED")
    });
    assert_eq!(of(&record, "job")["exitCode"], 9);
    assert_eq!((&record["lastStatus"], &record["desiredStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    root.until_written(&started, "web", "ready");
    root.stop(&started);
    assert_eq!(of(&root.describe(&started), "web")["exitCode"], 0);
}

#[test]
fn a_program_that_is_not_there_fails_the_start_and_the_reason_says_so() {
    let root = Root::with_images(&["probe"]);
    let web = container("web", &["trap", "TERM", "--", "0"], json!({}));
    let bad = json!({ "entryPoint": ["/no/such/program"], "dependsOn": after("web") });
    let definition = task(&[web, container("bad", &["x"], bad)]);
    for detached in [&[][..], &["-d"]] {
        let file = root.file(&definition);
        let args = [OsStr::new("run")].into_iter().chain(detached.iter().map(OsStr::new)).chain([file.as_os_str()]);
        let finished = root.berth(args);
        assert_eq!(finished.code(), 1, "{finished:#?}");
        assert!(finished.stderr.contains("CannotStartContainerError: "), "{finished:#?}");
        assert!(finished.stderr.contains("/no/such/program"), "{finished:#?}");
    }
    for record in &root.list(&["-a"]) {
        assert_eq!(record["lastStatus"], "STOPPED");
        assert_eq!(record["stopCode"], "TaskFailedToStart");
        let reason = of(record, "bad")["reason"].as_str().unwrap();
        assert!(reason.starts_with("CannotStartContainerError: "), "{reason}");
        assert_eq!(record["stoppedReason"], reason);
    }
}

#[test]
fn ctrl_c_stops_a_task_that_runs_in_the_foreground() {
    let root = Root::with_images(&["probe"]);
    let file = root.file(&definition(&[("web", &["trap", "TERM", "--", "9"])]));
    let running = root.start([OsStr::new("run"), file.as_os_str()]);
    eventually(PATIENCE, "the container waits for its signal", || {
        let id = root.berth(["ps", "-q"]).ok();
        let logs = (!id.is_empty()).then(|| root.berth(["logs", id.trim()]))?;
        logs.stdout.contains("ready").then_some(())
    });
    // not before it is RUNNING: a task that is stopped earlier has failed to start
    eventually(PATIENCE, "it runs", || (root.list(&[])[0]["lastStatus"] == "RUNNING").then_some(()));
    running.signal(Signal::SIGINT);
    let finished = running.wait(PATIENCE);
    assert_eq!(finished.code(), 9, "{finished:#?}");
    assert_eq!(finished.stdout, "ready\nTERM\n");
    let tasks = root.list(&["-a"]);
    assert_eq!((&tasks[0]["lastStatus"], &tasks[0]["stopCode"]), (&json!("STOPPED"), &json!("UserInitiated")));
}

#[test]
fn a_task_is_removed_when_it_is_stopped_or_by_force() {
    let root = Root::with_images(&["probe"]);
    let started = root.run_detached(&definition(&[("web", &["ignore", "TERM"])]));
    root.until_written(&started, "web", "ready");
    let refused = root.berth(["rm", &started.id]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains(&started.id) && refused.stderr.contains("--force"), "{}", refused.stderr);
    let forced = root.berth(["rm", "-f", &started.id]);
    assert!(forced.took < Duration::from_secs(10), "it does not wait for stopTimeout: {forced:#?}");
    assert_eq!(forced.ok().trim(), started.id);
    let gone = root.berth(["describe", &started.id]);
    assert_eq!(gone.code(), 1);
    assert!(gone.stdout.contains(&started.id) && gone.stderr.contains("missing"), "{gone:#?}");
    assert!(!root.path().join("tasks").join(&started.id).exists(), "its logs go with it");

    let ended = root.run_detached(&definition(&[("web", &["exit", "0"])]));
    root.until(&ended, "STOPPED");
    root.berth(["rm", &ended.id]).ok();
    assert_eq!(root.berth(["ps", "-a", "-q"]).ok(), "");
}

#[test]
fn a_task_goes_by_its_id_the_beginning_of_it_and_its_arn() {
    let root = Root::with_images(&["probe"]);
    let started = root.run_detached(&definition(&[("web", &["sleep"])]));
    let arn = root.describe(&started)["taskArn"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:ecs:us-east-1:000000000000:task/default/"), "{arn}");
    let upper = started.id.to_uppercase();
    for name in [&arn, &started.id[..12], &started.id[..4], &upper] {
        let answer = root.berth(["describe", name]).json();
        assert_eq!(answer["tasks"][0]["taskArn"], arn.as_str());
        assert!(root.berth(["exec", name, "/probe", "print", "x"]).ok() == "x\n");
    }
    for (name, code) in [("ffffffffffffffffffffffffffffffff", 1), ("web", 2), ("arn:aws:ecs:us-east-1:0:cluster/x", 2)]
    {
        let finished = root.berth(["describe", name]);
        assert_eq!(finished.code(), code, "{finished:#?}");
        assert!(finished.stdout.contains(name) || finished.stderr.contains(name), "{finished:#?}");
    }
    assert_eq!(root.berth(["rm", "-f", &started.id[..8]]).ok().trim(), started.id);
}

#[test]
fn logs_can_be_followed_cut_and_read_from_a_time_on() {
    let root = Root::with_images(&["probe"]);
    let started = root.run_detached(&definition(&[("web", &["lines", "8", "250"])]));
    let followed = root.start(["logs", "-f", &started.id]);
    root.until_written(&started, "web", "line 4");
    let all: String = (1..=8).map(|line| format!("line {line}\n")).collect();
    let finished = followed.wait(PATIENCE);
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, all.as_str()), "it ends with the task");
    root.until(&started, "STOPPED");
    assert_eq!(root.berth(["logs", &started.id]).ok(), all);
    assert_eq!(root.berth(["logs", "--tail", "2", &started.id]).ok(), "line 7\nline 8\n");
    assert_eq!(root.berth(["logs", "--tail", "0", &started.id]).ok(), "");
    let json = root.berth(["--format", "json", "logs", &started.id]).ok();
    let line = |number: usize| serde_json::from_str::<Value>(json.lines().nth(number).unwrap()).unwrap();
    let since = line(5)["timestamp"].as_str().unwrap().to_owned();
    assert_eq!(root.berth(["logs", "--since", &since, &started.id]).ok(), "line 6\nline 7\nline 8\n");
    assert_eq!(root.berth(["logs", "--since", "1h", &started.id]).ok(), all);
    let stamped = root.berth(["logs", "--timestamps", "--tail", "1", &started.id]).ok();
    assert!(stamped.starts_with(line(7)["timestamp"].as_str().unwrap()) && stamped.ends_with(" line 8\n"), "{stamped}");
}

#[test]
fn no_byte_of_a_flood_is_lost_or_changed() {
    const BYTES: usize = 5_000_000;
    let root = Root::with_images(&["probe"]);
    let bytes = BYTES.to_string();
    let expected: String = (0..BYTES / 100).map(|line| format!("{:.<99}\n", format!("{line:012} "))).collect();
    let finished = root.run(&definition(&[("web", &["flood", &bytes])]));
    assert_eq!(finished.code(), 0);
    assert!(finished.stdout == expected, "{} bytes in the foreground", finished.stdout.len());
    assert!(finished.stderr.contains(&format!("bytes={bytes} lines=50000")), "{}", finished.stderr);
    let id = root.berth(["ps", "-a", "-q"]).ok();
    let stored = root.berth(["logs", id.trim()]).ok();
    assert!(stored == expected, "{} bytes from the log", stored.len());
}

/// `berth exec -i` of a command in busybox, with something on standard input.
fn typed(root: &Root, task: &Task, command: &[&str], input: &[u8]) -> Output {
    let mut exec = root.command(["exec", "-i", &task.id].iter().chain(command));
    exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = exec.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // side by side: a command that answers while it reads would wait for its reader
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

#[test]
fn exec_carries_input_output_and_exit_code() {
    let root = Root::with_images(&["busybox"]);
    let box_ = container(
        "box",
        &["sleep", "1000"],
        json!({ "image": "busybox", "environment": [{ "name": "A", "value": "1" }] }),
    );
    let started = root.run_detached(&task(&[box_]));
    let input: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let copied = typed(&root, &started, &["cat"], &input);
    assert!(copied.status.success() && copied.stdout == input, "{} of {} bytes", copied.stdout.len(), input.len());
    let script = "echo out; echo err >&2; exit 5";
    let finished = typed(&root, &started, &["sh", "-c", script], b"");
    assert_eq!(finished.status.code(), Some(5));
    assert_eq!((finished.stdout, finished.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));

    let code = |command: &[&str]| root.exec(&started, "box", command).code();
    assert_eq!(code(&["no-such-program"]), 127);
    assert_eq!(code(&["/no/such/program"]), 127);
    assert_eq!(code(&["/etc/passwd"]), 126);
    assert_eq!(code(&["/tmp"]), 126);
    assert_eq!(code(&["sh", "-c", "kill -9 $$"]), 137);
    assert_eq!(code(&["cat"]), 0, "without -i there is nothing to read");
    let shown = root.berth(["exec", "-w", "/tmp", "-e", "B=2", &started.id, "sh", "-c", "pwd; echo $A$B"]).ok();
    assert_eq!(shown, "/tmp\n12\n");
    root.berth(["rm", "-f", &started.id]).ok();
}

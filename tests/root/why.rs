//! `berth why` and the stop reasons: each class of end, as ECS writes it and as people read it.

use serde_json::{Value, json};

use crate::support::life::{check, shell, until_health, until_term, why};
use crate::support::root::Root;
use crate::support::supervised::ended;
use crate::support::{of, task};

#[test]
fn an_end_is_told_with_exit_code_signal_memory_and_last_lines() {
    let root = Root::with_images(&["busybox"]);
    let script = "for i in $(seq 1 30); do echo line $i; done; printf 'colour \\033[31m\\n'; exec tail /dev/zero";
    let web = shell("web", script, json!({ "memory": 16 }));
    let side = shell("side", &until_term(":", 4), json!({ "essential": false }));
    let started = root.run_detached(&task(&[side, web]));
    let record = ended(&started, &root);
    assert_eq!(record["stopCode"], "EssentialContainerExited");
    assert_eq!(record["stoppedReason"], "Essential container in task exited");
    let told = why(&root, &started);
    let web = &told["containers"][0];
    assert_eq!((&web["name"], &web["culprit"]), (&json!("web"), &json!(true)), "{told:#}");
    assert_eq!((&web["exitCode"], &web["signal"]), (&json!(137), &json!("SIGKILL")));
    assert_eq!(web["memory"]["limitBytes"], 16 << 20);
    let lines: Vec<&str> = web["lastLines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!((lines.len(), lines[0], lines[9]), (10, "line 22", "colour \u{1b}[31m"), "{lines:?}");
    let text = root.berth(["--format", "table", "why", &started.id]).ok();
    for words in ["because its essential container web ended", "137 (SIGKILL)", "for want of memory", "of 16.0 MiB"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(text.contains("    line 30\n") && !text.contains('\u{1b}'), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.starts_with(&format!("Task {} (probe:", &started.id[..12])), "{first}");
}

#[test]
fn a_stop_on_request_is_told_with_its_reason() {
    let root = Root::with_images(&["busybox"]);
    let started = root.run_detached(&task(&[shell("web", &until_term(":", 3), json!({}))]));
    root.until_written(&started, "web", "ready");
    let told = why(&root, &started);
    assert!(told["summary"].as_str().unwrap().contains("is RUNNING, and nothing has ended it"), "{told:#}");
    root.berth(["stop", "--reason", "replaced", &started.id]).ok();
    let told = why(&root, &started);
    assert_eq!((&told["stopCode"], &told["stoppedReason"]), (&json!("UserInitiated"), &json!("replaced")));
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.contains("was stopped on request at ") && summary.contains(": replaced."), "{summary}");
    assert!(summary.contains("Container web ended with exit code 3."), "{summary}");
}

#[test]
fn a_failed_start_is_told_with_what_it_is_due_to() {
    let root = Root::with_images(&["busybox"]);
    let web = shell("web", "", json!({ "entryPoint": ["/no/such/program"] }));
    let file = root.file(&task(&[web]));
    let finished = root.berth(["run".as_ref(), "-d".as_ref(), file.as_os_str()]);
    assert_eq!(finished.code(), 1);
    let record = root.list(&["-a"]).pop().unwrap();
    assert_eq!(record["stopCode"], "TaskFailedToStart");
    let told = root.berth(["--format", "json", "why", record["taskArn"].as_str().unwrap()]).json();
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.contains("failed to start") && summary.contains("CannotStartContainerError: "), "{summary}");

    let web = shell("web", "true", json!({ "workingDirectory": "/bin/busybox/below" }));
    let file = root.file(&task(&[web]));
    root.berth(["run".as_ref(), "-d".as_ref(), file.as_os_str()]).code();
    let record = root.list(&["-a"]).pop().unwrap();
    let reason = record["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("CannotCreateContainerError: ") && reason.contains("/bin/busybox/below"), "{reason}");

    let web = shell("web", "", json!({ "image": "127.0.0.1:1/absent" }));
    let file = root.file(&task(&[web]));
    root.berth(["run".as_ref(), "-d".as_ref(), file.as_os_str()]).code();
    let record = root.list(&["-a"]).pop().unwrap();
    let reason = of(&record, "web")["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("CannotPullContainerError: ") && reason.chars().count() <= 1024, "{reason}");
    let told = root.berth(["--format", "json", "why", record["taskArn"].as_str().unwrap()]).json();
    assert!(told["summary"].as_str().unwrap().contains("CannotPullContainerError: "), "{told:#}");
}

#[test]
fn a_dependency_that_failed_is_told_with_its_own_last_lines() {
    let root = Root::with_images(&["busybox"]);
    let job = shell("job", "echo no such table >&2; exit 4", json!({ "essential": false }));
    let edge = json!([{ "containerName": "job", "condition": "SUCCESS" }]);
    let file = root.file(&task(&[shell("web", "true", json!({ "dependsOn": edge })), job]));
    root.berth(["run".as_ref(), "-d".as_ref(), file.as_os_str()]).code();
    let id = root.berth(["ps", "-a", "-q"]).ok();
    let text = root.berth(["--format", "table", "why", id.trim()]).ok();
    for words in ["TaskDependencyError: ", "job ended with exit code 4", "    no such table\n"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn poor_health_is_told_with_what_the_check_wrote() {
    let root = Root::with_images(&["busybox"]);
    let more = json!({ "healthCheck": check("echo cannot reach the database; exit 2") });
    let started = root.run_detached(&task(&[shell("web", &until_term(":", 0), more)]));
    until_health(&root, &started, "web", "UNHEALTHY");
    let text = root.berth(["--format", "table", "why", &started.id]).ok();
    let words = "The health of web is UNHEALTHY since ";
    for words in
        [words, "1 of 1 checks in a row failed, the last one with exit code 2", "    cannot reach the database\n"]
    {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let list = root.berth(["--format", "table", "ps"]).ok();
    assert!(list.contains("RUNNING, UNHEALTHY"), "{list}");
    root.stop(&started);
}

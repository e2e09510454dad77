//! `dependsOn`: what each condition waits for, what becomes of a task whose condition can never be met, and a whole task of
//! three containers from its start to its end.

use serde_json::{Value, json};

use crate::support::life::{PATIENCE, check, history, shell, until_health, until_term, why};
use crate::support::root::Root;
use crate::support::{container, eventually, of, task};

fn after(edges: &[(&str, &str)]) -> Value {
    edges.iter().map(|(name, condition)| json!({ "containerName": name, "condition": condition })).collect()
}

#[test]
fn a_container_starts_when_every_condition_is_met() {
    let root = Root::with_images(&["busybox"]);
    let side = json!({ "essential": false });
    let web = json!({ "dependsOn":
        after(&[("once", "START"), ("job", "COMPLETE"), ("migrate", "SUCCESS"), ("db", "HEALTHY")]) });
    let started = root.run_detached(&task(&[
        shell("web", &until_term(":", 0), web),
        shell("once", "echo over", side.clone()),
        shell("job", "sleep 0.4; echo over; exit 5", side.clone()),
        shell("migrate", "sleep 0.6; echo over", side),
        shell("db", &until_term("sleep 0.8; echo up > /tmp/up", 0), json!({ "healthCheck": check("cat /tmp/up") })),
    ]));
    root.until_written(&started, "web", "ready");
    let lines = history(&root, &started);
    assert_eq!(lines.last(), Some(&("web".to_owned(), "ready".to_owned())), "{lines:?}");
    assert_eq!(lines.len(), 5, "{lines:?}");
    let record = root.until(&started, "RUNNING");
    let of_db = |name: &str| of(&record, "db")[name].clone();
    assert_eq!((of_db("lastStatus"), of_db("healthStatus")), (json!("RUNNING"), json!("HEALTHY")));
    assert_eq!((&of(&record, "job")["exitCode"], &of(&record, "migrate")["exitCode"]), (&json!(5), &json!(0)));
    assert_eq!(record["healthStatus"], "UNKNOWN", "web has no check");
    root.stop(&started);
}

/// Starts a task that can never be complete; its record in the end. Nothing of `web` may ever have run.
fn fails(root: &Root, other: Value, condition: &str) -> Value {
    let web = shell("web", "echo never", json!({ "dependsOn": after(&[("other", condition)]) }));
    let file = root.file(&task(&[web, other]));
    let finished = root.berth(["run".as_ref(), "-d".as_ref(), file.as_os_str()]);
    assert_eq!(finished.code(), 1, "{finished:#?}");
    let record = root.list(&["-a"]).pop().expect("it is listed");
    assert_eq!((&record["lastStatus"], &record["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    assert_eq!((&record["startedAt"], &of(&record, "web")["exitCode"]), (&Value::Null, &Value::Null));
    assert_eq!(of(&record, "web")["reason"], record["stoppedReason"]);
    assert!(finished.stderr.contains(record["stoppedReason"].as_str().unwrap()), "{finished:#?}");
    record
}

const EDGE: &str = "TaskDependencyError: failed to resolve container ordering dependency [other] for target [web]";

#[test]
fn a_condition_that_can_never_be_met_stops_the_task_and_says_why() {
    let root = Root::with_images(&["busybox"]);
    let side = json!({ "essential": false });
    let record = fails(&root, shell("other", "exit 3", side.clone()), "SUCCESS");
    assert_eq!(record["stoppedReason"], format!("{EDGE} as dependency did not exit successfully (exit code 3)"));
    assert_eq!(of(&record, "other")["exitCode"], 3);
    let mut checked = side.clone();
    checked["healthCheck"] = check("exit 1");
    let record = fails(&root, shell("other", "exit 0", checked), "HEALTHY");
    assert_eq!(record["stoppedReason"], format!("{EDGE} as dependency stopped before it was healthy (exit code 0)"));
    let mut absent = side;
    absent["entryPoint"] = json!(["/no/such/program"]);
    let record = fails(&root, shell("other", "", absent), "START");
    assert_eq!(record["stoppedReason"], format!("{EDGE} because dependency will never start"));
    let reason = of(&record, "other")["reason"].as_str().unwrap();
    assert!(reason.starts_with("CannotStartContainerError: "), "{reason}");
}

#[test]
fn who_is_not_there_in_its_start_timeout_fails_the_task() {
    let root = Root::with_images(&["busybox"]);
    let slow = json!({ "essential": false, "startTimeout": 2, "healthCheck": check("exit 1") });
    let record = fails(&root, shell("other", &until_term(":", 0), slow), "HEALTHY");
    assert_eq!(
        record["stoppedReason"],
        format!("{EDGE} as dependency has timed out after its startTimeout of 2 seconds")
    );
    let time = |name: &str| record[name].as_f64().unwrap();
    let took = time("stoppingAt") - time("connectivityAt");
    assert!((2.0..90.0).contains(&took), "{took} s");
    assert_eq!(of(&record, "other")["healthStatus"], "UNHEALTHY");
}

#[test]
fn the_start_timeout_of_a_dependency_holds_over_the_death_of_the_loop() {
    let root = Root::with_images(&["busybox"]);
    let slow = json!({ "essential": false, "startTimeout": 3 });
    let web = shell("web", "echo never", json!({ "dependsOn": after(&[("other", "COMPLETE")]) }));
    let file = root.file(&task(&[web, shell("other", &until_term(":", 0), slow)]));
    let running = root.start(["run".as_ref(), "-d".as_ref(), file.as_os_str()]);
    let id = eventually(PATIENCE, "it is listed", || {
        let id = root.berth(["ps", "-q"]).ok();
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    });
    let started = crate::support::root::Task { id, answer: Value::Null };
    root.until_written(&started, "other", "ready");
    crate::support::supervised::kill_loop(&root, &started);
    let finished = running.wait(PATIENCE);
    assert_eq!(finished.code(), 1, "{finished:#?}");
    assert!(finished.stderr.contains("has timed out after its startTimeout of 3 seconds"), "{finished:#?}");
}

#[test]
fn a_task_of_three_starts_in_order_and_stops_in_reverse() {
    let root = Root::with_images(&["busybox", "nginx"]);
    let port = "wget -q -O /dev/null http://127.0.0.1/ || exit 1";
    let nginx = container(
        "nginx",
        &[],
        json!({ "image": "nginx", "command": null,
            "healthCheck": { "command": ["CMD", "nginx", "-t"], "interval": 1, "retries": 3, "startPeriod": 10 } }),
    );
    let app = json!({ "dependsOn": after(&[("nginx", "HEALTHY")]), "healthCheck": check(port) });
    let sidecar = json!({ "essential": false, "dependsOn": after(&[("app", "START")]) });
    // listed in an order that is neither of the two
    let started = root.run_detached(&task(&[
        shell("sidecar", &until_term(":", 0), sidecar),
        nginx,
        shell("app", &until_term("wget -q -O - http://127.0.0.1/ | grep '<title>'", 7), app),
    ]));
    root.until_written(&started, "sidecar", "ready");
    let record = until_health(&root, &started, "app", "HEALTHY");
    assert_eq!((&record["lastStatus"], &record["healthStatus"]), (&json!("RUNNING"), &json!("HEALTHY")));
    root.stop(&started);
    let record = root.describe(&started);
    assert_eq!((&of(&record, "app")["exitCode"], &of(&record, "nginx")["exitCode"]), (&json!(7), &json!(0)));
    let lines = history(&root, &started);
    let place = |name: &str, text: &str| {
        let found = lines.iter().position(|(container, line)| container == name && line.contains(text));
        found.unwrap_or_else(|| panic!("{name} {text} in {lines:#?}"))
    };
    let order = [
        place("nginx", "start worker process"),
        place("app", "<title>Welcome to nginx!</title>"),
        place("app", "ready"),
        place("sidecar", "TERM"),
        place("app", "TERM"),
        place("nginx", "signal 3 (SIGQUIT) received"),
    ];
    assert!(order.is_sorted(), "{order:?} in {lines:#?}");
    let told = why(&root, &started);
    assert!(told["summary"].as_str().unwrap().contains("stopped on request"), "{told:#}");
}

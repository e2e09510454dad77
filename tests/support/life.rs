//! Containers with a shell, health checks and what is said of both.

use std::time::Duration;

use serde_json::{Value, json};

use super::container;
use super::root::{Root, Task};
use super::{eventually, of};

/// How long anything may take here on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A container of busybox that runs a line of shell as a process that SIGTERM ends, with members that differ.
pub(crate) fn shell(name: &str, script: &str, more: Value) -> Value {
    let image = if more["image"].is_null() { json!("busybox") } else { more["image"].clone() };
    let mut container = container(name, &["sh", "-c", script], more);
    container["image"] = image;
    container
}

/// A line that does something first (`:` is nothing), and ends with this code when it is asked to stop.
pub(crate) fn until_term(before: &str, code: u8) -> String {
    format!("trap 'echo TERM; exit {code}' TERM; {before}; echo ready; while :; do sleep 0.05; done")
}

/// A health check each second by a line of shell, with one try.
pub(crate) fn check(script: &str) -> Value {
    json!({ "command": ["CMD-SHELL", script], "interval": 1, "timeout": 2, "retries": 1 })
}

/// What `berth why` knows of a task.
pub(crate) fn why(root: &Root, task: &Task) -> Value {
    root.berth(["--format", "json", "why", &task.id]).json()
}

/// Waits until a container has this health; the task as it is then.
pub(crate) fn until_health(root: &Root, task: &Task, name: &str, status: &str) -> Value {
    eventually(PATIENCE, &format!("{name} is {status}"), || {
        Some(root.describe(task)).filter(|record| of(record, name)["healthStatus"] == status)
    })
}

/// The lines of all containers in the order of their times: (container, text).
pub(crate) fn history(root: &Root, task: &Task) -> Vec<(String, String)> {
    let text = root.berth(["--format", "json", "logs", &task.id]).ok();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    lines.sort_by_key(|line| line["timestamp"].to_string());
    let field = |line: &Value, name: &str| line[name].as_str().expect("it has it").to_owned();
    lines.iter().map(|line| (field(line, "container"), field(line, "message"))).collect()
}

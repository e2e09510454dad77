//! What the tests of the real program share: a private root, the program run with a deadline, waiting for a condition,
//! and the leak check that every root ends with. Used by `tests/root` (`#[path = "../support/mod.rs"] mod support;`).

pub(crate) mod command;
pub(crate) mod derived;
pub(crate) mod endpoint;
pub(crate) mod events;
pub(crate) mod generate;
pub(crate) mod inside;
pub(crate) mod leaks;
pub(crate) mod life;
pub(crate) mod moto;
mod nft;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod root;
#[expect(dead_code, reason = "some of it is for the tests of the registry client alone")]
pub(crate) mod scripted;
#[expect(dead_code, reason = "documents of other services are for the suite without root")]
pub(crate) mod shapes;
pub(crate) mod supervised;
pub(crate) mod tree;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The `berth` program under test: BERTH_BIN, or the one that cargo built with the tests.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("BERTH_BIN").map_or_else(|| env!("CARGO_BIN_EXE_berth").into(), PathBuf::from);
    path.canonicalize().unwrap_or_else(|error| panic!("BERTH_BIN {}: {error}", path.display()))
}

/// The OCI layout of an image of `rootfs-fixtures/`.
pub(crate) fn fixture(image: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/fixtures").join(image);
    assert!(path.join("index.json").exists(), "{} is missing: run `make fixtures`", path.display());
    path
}

/// Waits until `condition` gives something, looking every 10 ms; panics with `what` after `patience`.
pub(crate) fn eventually<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "after {patience:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A figure for the person who runs the suite: it is printed whether or not the test fails.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // not by eprintln, which the test harness catches
}

/// A row of the table of `make attack`: how the attack ended, and how it does without the defence.
pub(crate) fn attack(name: &str, result: &str, control: &str) {
    say(&format!("attack: {name:34} {result:36} control: {control}"));
}

/// A container of the probe: its name, verb and arguments, and members that differ (`null` for those that are not wanted).
pub(crate) fn container(name: &str, command: &[&str], more: Value) -> Value {
    let mut container = json!({ "name": name, "image": "probe", "essential": true, "command": command });
    let Value::Object(more) = more else { panic!("the members are an object: {more}") };
    for (key, value) in more {
        container[key] = value;
    }
    container
}

/// A container of the probe with a log driver.
pub(crate) fn logging(name: &str, command: &[&str], driver: &str, options: Value) -> Value {
    let mut configuration = json!({ "logDriver": driver });
    configuration["options"] = options;
    container(name, command, json!({ "logConfiguration": configuration }))
}

/// A task definition of 256 CPU units and 512 MiB.
pub(crate) fn task(containers: &[Value]) -> Value {
    let mut task = definition(&[]);
    task["containerDefinitions"] = containers.into();
    task
}

/// The same for a container instance.
pub(crate) fn instance(containers: &[Value]) -> Value {
    let mut task = task(containers);
    task["requiresCompatibilities"] = json!(["EC2"]);
    task
}

/// The container of that name in an ECS Task.
pub(crate) fn of<'a>(task: &'a Value, name: &str) -> &'a Value {
    let containers = task["containers"].as_array().into_iter().flatten();
    let found = containers.into_iter().find(|container| container["name"] == name);
    found.unwrap_or_else(|| panic!("no container {name} in {task:#}"))
}

/// A task definition of probe containers (`name`, verb and arguments), all essential, in a task of 256 CPU units and
/// 512 MiB with its own network.
pub(crate) fn definition(containers: &[(&str, &[&str])]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, command)| json!({ "name": name, "image": "probe", "essential": true, "command": command }))
        .collect();
    json!({
        "family": "probe",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": containers,
    })
}

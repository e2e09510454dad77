//! `berth actions` beside AWS's own model of the service, as botocore has it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

const BERTH: &str = env!("CARGO_BIN_EXE_berth");
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// The names of all actions of the model.
fn model() -> Vec<String> {
    let venv = Command::new("tests/support/venv").current_dir(PROJECT).output().expect("bash is there");
    assert!(venv.status.success(), "tests/support/venv: {}", String::from_utf8_lossy(&venv.stderr));
    let script = "import botocore.session; \
        print('\\n'.join(botocore.session.get_session().get_service_model('ecs').operation_names))";
    let mut python = Command::new("target/venv/bin/python");
    let output = python.args(["-c", script]).current_dir(PROJECT).output().expect("it was made");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    names.sort();
    names
}

fn rows() -> Vec<Value> {
    let output = Command::new(BERTH).args(["--format", "json", "actions"]).output().expect("it was built");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a list")
}

#[test]
fn the_table_has_every_action_of_the_service_model_once() {
    let mut ours: Vec<String> = rows().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    ours.sort();
    let model = model();
    assert_eq!(model.len(), 88);
    assert_eq!(ours, model);
}

#[test]
fn what_is_not_done_says_what_is_refused() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows() {
        let state = row["state"].as_str().unwrap().to_owned();
        assert!(state == "done" || !row["remark"].as_str().unwrap().is_empty(), "{row:#}");
        *counts.entry(state).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), 88, "{counts:?}");
}

#[test]
fn an_action_that_reads_is_open_to_those_who_only_read() {
    for row in rows() {
        let name = row["name"].as_str().unwrap();
        let reads = ["List", "Describe", "Get", "Discover"].iter().any(|verb| name.starts_with(verb));
        assert_eq!(row["access"], if reads { "read" } else { "write" }, "{name}");
    }
}

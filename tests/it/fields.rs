//! `berth fields` beside AWS's own model of the service, as botocore has it.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

const BERTH: &str = env!("CARGO_BIN_EXE_berth");
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// The words of this one are ECS's choice only on paper: any other word than udp is taken as tcp.
const ANY_WORD: &str = "containerDefinitions[].portMappings[].protocol";

/// The agent's word for no log driver at all, which the model does not have.
const LOG_DRIVER: &str = "containerDefinitions[].logConfiguration.logDriver";
const NONE: &str = "none";

/// The members of an operation's input, or of what the path in it leads to, by their place.
pub(crate) fn model(operation: &[&str]) -> BTreeMap<String, Value> {
    let venv = Command::new("tests/support/venv").current_dir(PROJECT).output().expect("bash is there");
    assert!(venv.status.success(), "tests/support/venv: {}", String::from_utf8_lossy(&venv.stderr));
    let mut python = Command::new("target/venv/bin/python");
    let output =
        python.arg("tests/support/model.py").args(operation).current_dir(PROJECT).output().expect("it was made");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    by_place(&output.stdout)
}

fn by_place(json: &[u8]) -> BTreeMap<String, Value> {
    let rows: Vec<Value> = serde_json::from_slice(json).expect("a list");
    rows.into_iter().map(|row| (row["field"].as_str().expect("a place").to_owned(), row)).collect()
}

fn fields(args: &[&str]) -> BTreeMap<String, Value> {
    let output = Command::new(BERTH).arg("fields").args(args).output().expect("it was built");
    assert!(output.status.success(), "{output:?}");
    by_place(&output.stdout)
}

/// The members of a task definition, without what RunTask replaces.
fn definition() -> BTreeMap<String, Value> {
    let is_own = |place: &str| !place.starts_with("overrides") && !place.starts_with("logOptions");
    fields(&["--format", "json"]).into_iter().filter(|(place, _)| is_own(place)).collect()
}

fn sorted(words: &Value) -> Vec<String> {
    let mut words: Vec<_> =
        words.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    words.sort();
    words
}

/// What is in the model and not, or not so, in berth's table, and the other way round.
fn differences(model: &BTreeMap<String, Value>, ours: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found: Vec<String> =
        ours.keys().filter(|place| !model.contains_key(*place)).map(|p| format!("{p}: not ECS's")).collect();
    for (place, theirs) in model {
        let Some(row) = ours.get(place) else {
            found.push(format!("{place}: missing"));
            continue;
        };
        if row["type"] != theirs["type"] {
            found.push(format!("{place}: {} is {} in the model", row["type"], theirs["type"]));
        }
        if theirs["required"] == true && row["required"] != true {
            found.push(format!("{place}: required in the model"));
        }
        let mut words = sorted(&row["words"]);
        words.retain(|word| place != LOG_DRIVER || word != NONE);
        if place != ANY_WORD && words != sorted(&theirs["words"]) {
            found.push(format!("{place}: {} are {} in the model", row["words"], theirs["words"]));
        }
    }
    found
}

#[test]
fn the_table_has_every_member_of_the_service_model_with_its_shape_and_its_words() {
    let (model, ours) = (model(&["RegisterTaskDefinition"]), definition());
    assert_eq!(differences(&model, &ours), Vec::<String>::new());
    let members = |prefix: &str| {
        let below = ours.keys().filter_map(|place| place.strip_prefix(prefix));
        below.filter(|name| !name.contains('.')).count()
    };
    assert_eq!((members(""), members("containerDefinitions[].")), (19, 42));
}

#[test]
fn the_table_has_every_member_that_run_task_overrides() {
    let model = model(&["RunTask", "overrides"]);
    let below = |(place, row): (String, Value)| Some((place.strip_prefix("overrides.")?.to_owned(), row));
    let ours: BTreeMap<_, _> = fields(&[]).into_iter().filter_map(below).collect();
    assert_eq!(differences(&model, &ours), Vec::<String>::new());
}

#[test]
fn a_member_that_the_table_lacks_is_noticed() {
    let model = model(&["RegisterTaskDefinition"]);
    let mut ours = definition();
    ours.remove("containerDefinitions[].healthCheck.retries").expect("it is there");
    ours.get_mut("networkMode").expect("it is there")["words"] = serde_json::json!(["awsvpc"]);
    ours.get_mut("containerDefinitions[].cpu").expect("it is there")["type"] = "string".into();
    let found = differences(&model, &ours);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.contains(&"containerDefinitions[].healthCheck.retries: missing".to_owned()), "{found:#?}");
}

#[test]
fn every_row_says_what_berth_does() {
    for (place, row) in fields(&[]) {
        let (berth, remark) = (row["berth"].as_str().unwrap_or_default(), row["remark"].as_str().unwrap_or_default());
        assert!(!berth.is_empty() && !row["fargate"].as_str().unwrap_or_default().is_empty(), "{row}");
        assert!(
            berth != "no effect" || !remark.is_empty() || place.contains('.'),
            "{place} has no effect, and no remark says why"
        );
    }
}

#[test]
fn rows_are_picked_by_a_part_of_their_name() {
    let rows = fields(&["healthcheck", "--format", "json"]);
    assert_eq!(rows.len(), 6, "{rows:#?}");
    let table = Command::new(BERTH).args(["fields", "privileged", "--format", "table"]).output().expect("it was built");
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(text.starts_with("FIELD ") && text.contains("refused") && text.contains("Fargate requires that"), "{text}");
    let none = Command::new(BERTH).args(["fields", "healthchek"]).output().expect("it was built");
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("healthchek"), "{none:?}");
}

//! Overrides in a definition: what they replace, and what is refused in which words.

use serde_json::{Value, json};

use super::*;
use crate::validate::{parse, validate};

fn definition() -> ValidTaskDefinition {
    let text = json!({
        "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [
            {"name": "web", "image": "nginx", "command": ["old"], "memory": 128,
             "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "db", "image": "postgres:17", "stopTimeout": 200}
        ]
    });
    validate(parse(&text.to_string(), Strictness::Lenient)).unwrap().0
}

fn run(overrides: &Value) -> Result<(Overridden, Vec<Problem>), Vec<Problem>> {
    overridden(&definition(), parse_overrides(&overrides.to_string(), Strictness::Strict))
}

fn taken(overrides: &Value) -> TaskDefinition {
    let (taken, _) = run(overrides).unwrap_or_else(|problems| panic!("{overrides}: {problems:#?}"));
    taken.definition.definition().clone()
}

#[test]
fn what_is_named_is_replaced_and_the_rest_stays() {
    let before = definition().definition().clone();
    let after = taken(&json!({
        "cpu": "1 vCPU", "memory": "2048", "taskRoleArn": "arn:t", "executionRoleArn": "arn:e",
        "ephemeralStorage": {"sizeInGiB": 30},
        "containerOverrides": [{"name": "web", "command": ["new", "x"], "cpu": 10, "memory": 200, "memoryReservation": 64,
            "environment": [{"name": "B", "value": "b"}, {"name": "C", "value": "c"}]}]
    }));
    assert_eq!((after.cpu.as_deref(), after.memory.as_deref()), (Some("1024"), Some("2048")));
    assert_eq!((after.task_role_arn.as_deref(), after.execution_role_arn.as_deref()), (Some("arn:t"), Some("arn:e")));
    assert_eq!(after.ephemeral_storage.map(|storage| storage.size_in_gib), Some(30));
    let web = &after.container_definitions[0];
    assert_eq!(web.command.as_deref(), Some(&["new".to_owned(), "x".to_owned()][..]));
    assert_eq!((web.cpu, web.memory, web.memory_reservation), (Some(10), Some(200), Some(64)));
    let variables: Vec<_> = web
        .environment
        .iter()
        .flatten()
        .map(|one| (one.name.as_deref().unwrap(), one.value.as_deref().unwrap()))
        .collect();
    assert_eq!(variables, [("A", "1"), ("B", "b"), ("C", "c")]);
    assert_eq!(after.container_definitions[1], before.container_definitions[1]);
}

#[test]
fn no_overrides_change_nothing_and_say_nothing() {
    for nothing in [json!({}), json!({"containerOverrides": [{"name": "web"}], "cpu": null, "memory": ""})] {
        let (taken, problems) = run(&nothing).unwrap();
        assert_eq!((taken.definition, problems), (definition(), Vec::new()));
    }
}

/// Overrides, path in them, words.
#[test]
fn overrides_are_refused_in_ecs_own_words_and_where_they_stand() {
    let one = |member: &str, value: Value| json!({"containerOverrides": [{"name": "web", member: value}]});
    let many: Vec<_> = (0..500).map(|n| json!({"name": format!("NAME{n}"), "value": "x".repeat(10)})).collect();
    let table = [
        (
            json!({"containerOverrides": [{"name": "no"}]}),
            "containerOverrides[0].name",
            "Override for container named no is not a container in the TaskDefinition.",
        ),
        (json!({"containerOverrides": [{"command": ["x"]}]}), "containerOverrides[0].name", "must be named"),
        (json!({"containerOverrides": [{"name": "db"}, {"name": "db"}]}), "containerOverrides[1].name", "twice"),
        (
            json!({"cpu": "512", "memory": "512"}),
            "memory",
            "No Fargate configuration exists for given values: 512 CPU, 512 memory",
        ),
        (json!({"cpu": "300"}), "cpu", "No Fargate configuration exists for given values"),
        (json!({"cpu": "much"}), "cpu", "Invalid 'cpu' setting for task"),
        (json!({"memory": "256"}), "memory", "No Fargate configuration exists"),
        (one("cpu", json!(257)), "cpu", "The sum of all container 'cpu' values cannot be greater than"),
        (one("cpu", json!(-1)), "containerOverrides[0].cpu", "between 0 and 262144"),
        (
            one("memory", json!(513)),
            "containerOverrides[0].memory",
            "The 'memory' setting for container 'web' is greater than for the task",
        ),
        (one("memory", json!(5)), "containerOverrides[0].memory", "6 MiB"),
        (
            one("memoryReservation", json!(200)),
            "containerOverrides[0].memoryReservation",
            "'memory' must be greater than or equal to 'memoryReservation'",
        ),
        (
            one("environment", json!([{"name": "OK", "value": "x"}, {"name": "A=B", "value": "x"}])),
            "containerOverrides[0].environment[1].name",
            "cannot hold '='",
        ),
        (
            one("environment", json!([{"name": "A", "value": 1}])),
            "containerOverrides[0].environment[0].value",
            "refuses the number 1",
        ),
        (
            one("resourceRequirements", json!([{"type": "GPU", "value": "1"}])),
            "containerOverrides[0].resourceRequirements",
            "Tasks using the Fargate launch type do not support GPU resource requirements",
        ),
        (one("environment", Value::from(many)), "", "Container Overrides length must be at most 8192"),
        (json!({"ephemeralStorage": {"sizeInGiB": 20}}), "ephemeralStorage.sizeInGiB", "size should be at least 21"),
        (
            json!({"inferenceAcceleratorOverrides": [{"deviceName": "x"}]}),
            "inferenceAcceleratorOverrides",
            "Unsupported field",
        ),
        (json!([]), "", "expected an object"),
    ];
    for (overrides, path, words) in table {
        let problems = run(&overrides).unwrap_err();
        let found = problems
            .iter()
            .find(|one| one.severity == Severity::Error && one.path == path && one.message.contains(words));
        let found = found.unwrap_or_else(|| panic!("{overrides}: {problems:#?}"));
        let read = words.contains("refuses") || words.contains("expected");
        let expected = if read { Exception::SerializationException } else { Exception::InvalidParameterException };
        assert_eq!(found.exception, expected, "{found:#?}");
    }
}

#[test]
fn a_member_that_cannot_be_overridden_is_refused_by_name_in_a_file() {
    let text = r#"{"containerOverrides": [{"name": "web", "image": "x"}], "networkMode": "host"}"#;
    let problems = overridden(&definition(), parse_overrides(text, Strictness::Lenient)).unwrap_err();
    let paths: Vec<_> = problems.iter().map(|one| (one.path.as_str(), one.line, one.column)).collect();
    assert_eq!(paths, [("containerOverrides[0].image", 1, 41), ("networkMode", 1, 57)], "{problems:#?}");
}

#[test]
fn overrides_of_a_program_are_held_against_the_same_rules() {
    let overrides = TaskOverride { cpu: Some("300".to_owned()), ..TaskOverride::default() };
    assert!(overridden(&definition(), overrides.into()).is_err());
    let overrides = TaskOverride { memory: Some("1GB".to_owned()), ..TaskOverride::default() };
    let (taken, _) = overridden(&definition(), overrides.into()).unwrap();
    assert_eq!(taken.definition.memory_mib(), Some(1024));
}

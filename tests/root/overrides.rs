//! What a run replaces in its task definition: the container has it, ECS's Task shows it, the definition stays as it was.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::support::command::Finished;
use crate::support::root::Root;
use crate::support::{container, of, task};

/// `berth --format json run [-d] --overrides OVERRIDES FILE`.
fn run(root: &Root, definition: &Value, overrides: &str, more: &[&str]) -> Finished {
    let file = root.file(definition);
    let args = ["--format", "json", "run", "--overrides", overrides].map(OsStr::new);
    root.berth(args.into_iter().chain(more.iter().map(OsStr::new)).chain([file.as_os_str()]))
}

#[test]
fn a_run_has_what_it_overrides_and_the_next_one_has_not() {
    let root = Root::with_images(&["probe"]);
    let environment = json!({"environment": [{"name": "KEPT", "value": "k"}, {"name": "CHANGED", "value": "old"}]});
    let definition = task(&[container("web", &["sleep"], environment), container("db", &["sleep"], json!({}))]);
    let overrides = json!({
        "cpu": "512", "memory": "1024",
        "containerOverrides": [{"name": "web", "memory": 64, "cpu": 100,
            "environment": [{"name": "CHANGED", "value": "new"}, {"name": "ADDED", "value": "a"}]}]
    });
    let answer = run(&root, &definition, &overrides.to_string(), &["-d"]).json();
    let arn = answer["tasks"][0]["taskArn"].as_str().expect("a task was started").to_owned();
    let id = arn.rsplit('/').next().unwrap().to_owned();
    let shown = root.berth(["describe", &id]).json()["tasks"][0].clone();
    let given = json!([overrides["containerOverrides"][0], {"name": "db"}]);
    assert_eq!(shown["overrides"]["containerOverrides"], given, "{shown:#}");
    assert_eq!((&shown["overrides"]["cpu"], &shown["overrides"]["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!((&shown["cpu"], &shown["memory"]), (&json!("512"), &json!("1024")), "{shown:#}");
    assert_eq!((&of(&shown, "web")["cpu"], &of(&shown, "web")["memory"]), (&json!("100"), &json!("64")), "{shown:#}");
    let env = root.berth(["exec", "-c", "web", &id, "/probe", "env"]).ok();
    for line in ["KEPT=k", "CHANGED=new", "ADDED=a"] {
        assert!(env.lines().any(|one| one == line), "{line} is not in {env}");
    }
    root.berth(["rm", "-f", &id]).ok();

    let plain = root.run_detached(&definition);
    let record = root.describe(&plain);
    assert_eq!(record["taskDefinitionArn"], shown["taskDefinitionArn"], "an override makes no revision");
    assert_eq!(record["overrides"]["containerOverrides"], json!([{"name": "web"}, {"name": "db"}]), "{record:#}");
    assert_eq!((&record["cpu"], &of(&record, "web")["memory"]), (&json!("256"), &Value::Null), "{record:#}");
    root.berth(["rm", "-f", &plain.id]).ok();
}

#[test]
fn a_command_of_a_file_takes_the_place_of_the_definitions() {
    let root = Root::with_images(&["probe"]);
    let definition = task(&[container("web", &["exit", "1"], json!({}))]);
    let file = root.path().join("overrides.json");
    std::fs::write(&file, r#"{"containerOverrides": [{"name": "web", "command": ["exit", "23"]}]}"#).unwrap();
    assert_eq!(run(&root, &definition, &format!("@{}", file.display()), &[]).code(), 23);
    assert_eq!(root.run(&definition).code(), 1);
}

#[test]
fn overrides_that_do_not_fit_are_refused_before_there_is_a_task() {
    let root = Root::with_images(&["probe"]);
    let definition = task(&[container("web", &["exit", "1"], json!({}))]);
    let cases = [
        (r#"{"containerOverrides": [{"name": "wbe"}]}"#, "Override for container named wbe is not a container in the"),
        (r#"{"cpu": "512"}"#, "No Fargate configuration exists for given values: 512 CPU, 512 memory"),
        (r#"{"containerOverrides": [{"name": "web", "image": "x"}]}"#, "--> --overrides:1:41"),
        ("{", "--> --overrides:1:1"),
        ("@/no/such/file", "read /no/such/file: No such file"),
    ];
    for (overrides, words) in cases {
        let finished = run(&root, &definition, overrides, &["-d"]);
        assert_eq!(finished.code(), 2, "{finished:#?}");
        assert!(finished.stderr.contains(words), "{words} is not in {}", finished.stderr);
    }
    assert_eq!(root.berth(["ps", "-a", "-q"]).ok(), "");
    assert_eq!(root.present(), Vec::<String>::new());
}

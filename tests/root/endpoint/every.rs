//! Every action that is not refused as a whole, once, by boto3.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::root;
use crate::support::endpoint::Endpoint;

/// Those that nothing here can make succeed: there is never an update, a namespace or a pause. The fourth needs a session.
const NEVER: [(&str, &str); 4] = [
    ("UpdateContainerAgent", "NoUpdateAvailableException"),
    ("ListServicesByNamespace", "NamespaceNotFoundException"),
    ("ContinueServiceDeployment", "InvalidParameterException"),
    ("ExecuteCommand", ""),
];

#[test]
fn every_action_and_every_waiter_of_botocore_is_answered_and_every_answer_fits_the_model() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let seen = endpoint.script("every.py", &[&subnet]);
    endpoint.check_answers();

    let answered: BTreeSet<&str> =
        seen["answered"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let rows = root.berth(["--format", "json", "actions"]).json();
    let never = |name: &str| NEVER.iter().any(|(one, _)| *one == name);
    for row in rows.as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let expected = row["state"] != "refused" && !never(name);
        assert!(!expected || answered.contains(name), "{name} was not answered: {seen:#}");
    }
    for (name, code) in NEVER.iter().filter(|(_, code)| !code.is_empty()) {
        assert_eq!(seen["refused"][name], *code, "{name} in {seen:#}");
    }
    waiters(&seen["waiters"]);
    let expected = json!({
        "by": "arn:aws:iam::000000000000:user/tester",
        "provider tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
        "set tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
        "set tags in service": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
        "untold tags": [],
        "spot": ["FARGATE_SPOT"],
        "protected": true,
        "left": true,
        "same cluster": true,
        "same service": true,
        "another service": ["InvalidParameterException", "Creation of service was not idempotent."],
        "another token": "ConflictException",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name} in {seen:#}");
    }
    let task = crate::support::definition(&[("one", &["exit", "0"])]);
    let by_root = root.berth(["ecs", "register-task-definition", &task.to_string()]).json();
    assert_eq!(by_root["taskDefinition"]["registeredBy"], "arn:aws:iam::000000000000:root");
}

/// Those of daemons, of which there are none, end at once and say why; the others come to what they wait for.
fn waiters(seen: &Value) {
    let seen = seen.as_object().unwrap();
    assert_eq!(seen.len(), 9, "{seen:#?}");
    for (name, end) in seen {
        match name.starts_with("daemon") {
            true => {
                let end = end.as_str().unwrap();
                assert!(end.contains("UnsupportedFeatureException") && end.contains("not supported"), "{name}: {end}");
            }
            false => assert_eq!(end, "done", "{name}"),
        }
    }
}

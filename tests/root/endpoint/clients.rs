//! boto3 and the `aws` command.

use serde_json::json;

use super::root;
use crate::support::definition;
use crate::support::endpoint::Endpoint;

#[test]
fn boto3_lives_a_whole_day_by_botocores_own_waiters() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let seen = endpoint.script("life.py", &[&subnet]);
    let expected = json!({
        "drift": "",
        "failures": [],
        "begins": ["PROVISIONING"],
        "runs": ["RUNNING", "RUNNING"],
        "listed": true,
        "stopped": [["UserInitiated", "enough"]],
        "same": true,
        "stable": 2,
        "updated": [1, "life:2", 1],
        "deleted": "INACTIVE",
    });
    assert_eq!(seen, expected);
    endpoint.check_answers();
    assert_eq!(endpoint.stop(), 0);
}

#[test]
fn every_paginator_of_botocore_gives_in_small_pages_what_one_large_page_gives() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let found = endpoint.script("pages.py", &[&subnet]);
    let pages = found.as_object().unwrap();
    let actions = root.berth(["--format", "json", "actions"]).json();
    let refused = |name: &str| {
        let row = actions.as_array().unwrap().iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("{name} in {actions:#}"))["state"] == "refused"
    };
    assert_eq!(pages.len(), 12, "{found:#}");
    for (name, page) in pages {
        match name.as_str() {
            "ListServicesByNamespace" => assert_eq!(page["error"], "NamespaceNotFoundException", "{name} in {found:#}"),
            _ if refused(name) => assert_eq!(page["error"], "UnsupportedFeatureException", "{name} in {found:#}"),
            _ => assert_eq!(page["same"], true, "{name} in {found:#}"),
        }
    }
    for (name, least) in [("ListClusters", 4), ("ListServices", 3), ("ListTaskDefinitions", 3), ("ListTasks", 3)] {
        assert!(
            pages[name]["things"].as_u64() >= Some(least) && pages[name]["pages"].as_u64() >= Some(least),
            "{name}"
        );
    }
    endpoint.check_answers();
}

#[test]
fn the_calls_of_terraforms_service_end_in_a_steady_state() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let out = endpoint.script("steady.py", &[&subnet, "2"]);
    for step in ["create", "update"] {
        assert_eq!(out[step].as_array().and_then(|seen| seen.last()), Some(&json!("SUCCESSFUL")), "{out:#}");
    }
    assert_eq!((&out["controller"], &out["tags"]), (&json!("ECS"), &json!([])));
    assert_eq!((&out["after"], &out["gone"]), (&json!([2, true, ["COMPLETED"]]), &json!(true)));
    endpoint.check_answers();
}

/// The words of the shell, with `{}` replaced.
fn words<'a>(line: &'a str, with: &'a str) -> Vec<&'a str> {
    line.split_whitespace().map(|word| if word == "{}" { with } else { word }).collect()
}

#[test]
fn the_aws_command_lives_a_whole_day() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let network = format!("awsvpcConfiguration={{subnets=[{subnet}]}}");
    let mut task = definition(&[("web", &["sleep", "3600"])]);
    task["containerDefinitions"][0]["stopTimeout"] = json!(2);
    let file = format!("file://{}", root.file(&task).display());
    let aws = |line: &str, with: &str| endpoint.aws(&words(line, with));

    aws("ecs create-cluster --cluster-name cli", "").ok();
    let registered = aws("ecs register-task-definition --cli-input-json {}", &file).json();
    assert_eq!(registered["taskDefinition"]["revision"], 1);
    let run = aws(
        "ecs run-task --cluster cli --task-definition probe --launch-type FARGATE --network-configuration {}",
        &network,
    );
    let arn = run.json()["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    aws("ecs wait tasks-running --cluster cli --tasks {}", &arn).ok();
    let described = aws("ecs describe-tasks --cluster cli --tasks {}", &arn).json();
    assert_eq!(described["tasks"][0]["lastStatus"], "RUNNING");
    let stopped = aws("ecs stop-task --cluster cli --task {}", &arn).json();
    assert_eq!(
        (&stopped["task"]["desiredStatus"], &stopped["task"]["lastStatus"]),
        (&json!("STOPPED"), &json!("RUNNING"))
    );
    aws("ecs wait tasks-stopped --cluster cli --tasks {}", &arn).ok();

    aws(
        "ecs create-service --cluster cli --service-name web --task-definition probe --desired-count 1 --launch-type FARGATE \
         --network-configuration {}",
        &network,
    )
    .ok();
    aws("ecs wait services-stable --cluster cli --services web", "").ok();
    aws("ecs update-service --cluster cli --service web --desired-count 2", "").ok();
    aws("ecs wait services-stable --cluster cli --services web", "").ok();
    let service = aws("ecs describe-services --cluster cli --services web", "").json();
    assert_eq!(service["services"][0]["runningCount"], 2);
    aws("ecs delete-service --cluster cli --service web --force", "").ok();
    aws("ecs wait services-inactive --cluster cli --services web", "").ok();
    let refused = aws("ecs describe-tasks --cluster none --tasks a", "");
    assert!(
        refused.code() != 0
            && refused.stderr.contains("An error occurred (ClusterNotFoundException) when calling the DescribeTasks")
            && refused.stderr.contains("Cluster not found."),
        "{refused:#?}"
    );
    let me = aws("sts get-caller-identity", "").json();
    assert_eq!(me["Arn"], "arn:aws:iam::000000000000:user/tester");
}

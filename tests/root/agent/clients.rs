//! Published clients that nobody here wrote read what the endpoint says: OpenTelemetry's detector of ECS resources, and New
//! Relic's agent.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::staying;
use crate::support::inside::Inside;
use crate::support::root::Root;
use crate::support::task;

fn script(inside: &Inside, text: &str) -> Value {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    let output = inside.command(&python).arg("-c").arg(text).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaints}"))
}

fn logging(root: &Root) -> (crate::support::root::Task, Inside) {
    let log = json!({ "logConfiguration": { "logDriver": "awslogs", "options": {
        "awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p" } } });
    let task = root.run_detached(&task(&[staying("app", log)]));
    let inside = Inside::of(root, &task, "app");
    (task, inside)
}

#[test]
fn the_detector_of_opentelemetry_finds_the_task() {
    let root = Root::with_images(&["probe"]);
    let (task, inside) = logging(&root);
    let found = script(
        &inside,
        "import json\nfrom opentelemetry.sdk.extension.aws.resource.ecs import AwsEcsResourceDetector\n\
         found = AwsEcsResourceDetector(raise_on_error=True).detect()\n\
         print(json.dumps(dict(found.attributes), default=list))",
    );
    let record = root.describe(&task);
    assert_eq!(found["aws.ecs.task.arn"], record["taskArn"], "{found:#}");
    assert_eq!(found["aws.ecs.cluster.arn"], record["clusterArn"]);
    assert_eq!(found["aws.ecs.container.arn"], record["containers"][0]["containerArn"]);
    assert_eq!(found["aws.ecs.launchtype"], "fargate");
    assert_eq!(found["aws.ecs.task.family"], "probe");
    assert_eq!(found["aws.log.group.names"], json!(["/ecs/web"]));
    assert_eq!(found["cloud.platform"], "aws_ecs");
    let stream = found["aws.log.stream.names"][0].as_str().unwrap_or_default();
    assert!(stream.starts_with("p/app/") && stream.ends_with(&task.id), "{found:#}");
}

#[test]
fn the_agent_of_new_relic_finds_the_container() {
    let root = Root::with_images(&["probe"]);
    let (task, inside) = logging(&root);
    let found = script(
        &inside,
        "import json\nfrom newrelic.common.utilization import ECSUtilization\nprint(json.dumps(ECSUtilization.detect()))",
    );
    assert_eq!(found, json!({ "ecsDockerId": root.describe(&task)["containers"][0]["runtimeId"] }));
}

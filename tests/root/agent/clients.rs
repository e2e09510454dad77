//! Published clients that nobody here wrote read what the endpoint says: OpenTelemetry's detector of ECS resources, and AWS's
//! own metrics library.

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
}

#[test]
fn the_metrics_library_of_aws_knows_that_it_is_on_ecs() {
    let root = Root::with_images(&["probe"]);
    let (_task, inside) = logging(&root);
    let found = script(
        &inside,
        "import asyncio, json\nfrom aws_embedded_metrics.environment.ecs_environment import ECSEnvironment\n\
         from aws_embedded_metrics.logger.metrics_context import MetricsContext\n\
         async def main():\n    ecs = ECSEnvironment()\n    here = await ecs.probe()\n    context = MetricsContext.empty()\n\
        \x20   ecs.configure_context(context)\n    return {'here': here, 'type': ecs.get_type(), 'name': ecs.get_name(), \
         **context.properties}\n\
         print(json.dumps(asyncio.run(main())))",
    );
    assert_eq!(found["here"], true, "{found:#}");
    assert_eq!(found["type"], "AWS::ECS::Container");
    assert!(found["containerId"].as_str().is_some_and(|id| !id.is_empty()), "{found:#}");
    assert!(found["image"].as_str().is_some_and(|image| image.contains("probe")), "{found:#}");
    assert!(found["taskDefinition"].is_string() || found["cluster"].is_string(), "{found:#}");
}

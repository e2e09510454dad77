//! AWS's SDK for Rust, whose parser is typed: what it does not understand is an error.

use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ecs::types::{
    AwsVpcConfiguration, Compatibility, ContainerDefinition, LaunchType, NetworkConfiguration, NetworkMode,
};

use super::root;
use crate::support::endpoint::{Endpoint, REGION};

fn client(endpoint: &Endpoint) -> Client {
    let (id, secret) = endpoint.key();
    let config = aws_sdk_ecs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(&endpoint.url)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .build();
    Client::from_conf(config)
}

#[test]
fn the_typed_sdk_lives_a_whole_day_and_understands_every_answer() {
    let (root, subnet) = root();
    let endpoint = Endpoint::start(&root);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(day(&client(&endpoint), &subnet));
}

async fn day(ecs: &Client, subnet: &str) {
    let vpc = AwsVpcConfiguration::builder().subnets(subnet).build().unwrap();
    let network = NetworkConfiguration::builder().awsvpc_configuration(vpc).build();
    ecs.create_cluster().cluster_name("rust").send().await.unwrap();
    let container = ContainerDefinition::builder()
        .name("web")
        .image("probe")
        .essential(true)
        .command("sleep")
        .command("3600")
        .stop_timeout(2)
        .build();
    let register = ecs.register_task_definition().family("rust").cpu("256").memory("512");
    let register = register.network_mode(NetworkMode::Awsvpc).requires_compatibilities(Compatibility::Fargate);
    let registered = register.container_definitions(container).send().await.unwrap();
    assert_eq!(registered.task_definition().unwrap().revision(), 1);
    let run = ecs.run_task().cluster("rust").task_definition("rust").launch_type(LaunchType::Fargate);
    let run = run.network_configuration(network.clone()).send().await.unwrap();
    let task = run.tasks()[0].task_arn().unwrap().to_owned();
    until(ecs, &task, "RUNNING").await;
    ecs.stop_task().cluster("rust").task(&task).reason("enough").send().await.unwrap();
    until(ecs, &task, "STOPPED").await;

    let create = ecs.create_service().cluster("rust").service_name("web").task_definition("rust").desired_count(2);
    create.launch_type(LaunchType::Fargate).network_configuration(network).send().await.unwrap();
    until_stable(ecs, 2).await;
    ecs.update_service().cluster("rust").service("web").desired_count(1).send().await.unwrap();
    until_stable(ecs, 1).await;
    let deployments = ecs.list_service_deployments().cluster("rust").service("web").send().await.unwrap();
    assert!(!deployments.service_deployments().is_empty());
    ecs.delete_service().cluster("rust").service("web").force(true).send().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let all = ecs.describe_services().cluster("rust").services("web").send().await.unwrap();
        if all.services()[0].status() == Some("INACTIVE") {
            break;
        }
        pause(deadline).await;
    }
    let refused = ecs.describe_clusters().clusters("none").send().await.unwrap();
    assert_eq!(refused.failures()[0].reason(), Some("MISSING"));
    let error = ecs.list_tasks().cluster("none").send().await.unwrap_err().into_service_error();
    assert!(error.is_cluster_not_found_exception(), "{error:?}");
}

async fn until(ecs: &Client, task: &str, status: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let tasks = ecs.describe_tasks().cluster("rust").tasks(task).send().await.unwrap();
        if tasks.tasks()[0].last_status() == Some(status) {
            return;
        }
        pause(deadline).await;
    }
}

async fn until_stable(ecs: &Client, count: i32) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let all = ecs.describe_services().cluster("rust").services("web").send().await.unwrap();
        let service = &all.services()[0];
        if service.deployments().len() == 1 && service.running_count() == count && service.desired_count() == count {
            return;
        }
        pause(deadline).await;
    }
}

async fn pause(deadline: tokio::time::Instant) {
    assert!(tokio::time::Instant::now() < deadline, "it takes too long");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

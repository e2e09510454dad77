//! The task of ECS's service model and its sub-structures, as DescribeTasks answers them. Sizes are strings here, in the
//! containers too; lists are never left out, because clients index them without a check.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Timestamp;
use super::arn::{ClusterArn, ContainerArn, TaskArn, TaskDefinitionArn};
use super::container_definition::KeyValuePair;
use super::overrides::TaskOverride;
use super::status::{Connectivity, ContainerStatus, HealthStatus, LaunchType, StopCode, TaskStatus};
use super::task_definition::{Attribute, EphemeralStorage, Tag};

/// A task as DescribeTasks answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The network interface.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Properties such as `ecs.cpu-architecture`.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// The zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
    /// The capacity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_name: Option<String>,
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// Whether its interface is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity: Option<Connectivity>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity_at: Option<Timestamp>,
    /// The container instance; absent on Fargate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_instance_arn: Option<String>,
    /// The containers.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// The task's CPU limit in CPU units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// What it should be: RUNNING or STOPPED.
    pub desired_status: TaskStatus,
    /// Whether commands may be executed in it.
    pub enable_execute_command: bool,
    /// When its containers had stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<Timestamp>,
    /// `service:NAME` or `family:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The health of its essential containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_status: Option<HealthStatus>,
    /// Retired; empty.
    #[serde(default)]
    pub inference_accelerators: Vec<Value>,
    /// What it is.
    pub last_status: TaskStatus,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    /// The task's memory limit in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// What the run replaced in the definition.
    pub overrides: TaskOverride,
    /// Fargate's platform, `1.4.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// `Linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_family: Option<String>,
    /// When the first pull began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<Timestamp>,
    /// When the last pull ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<Timestamp>,
    /// When it was RUNNING first; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Who started it; a service's deployment id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Why it stopped, as a class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<StopCode>,
    /// When it was STOPPED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// Why it stopped, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    /// When it began to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<Timestamp>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Its ARN.
    pub task_arn: TaskArn,
    /// Its task definition.
    pub task_definition_arn: TaskDefinitionArn,
    /// Grows with every change of the task.
    pub version: i64,
    /// The size of its own storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorage>,
    /// The same, where Fargate encrypts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fargate_ephemeral_storage: Option<EphemeralStorage>,
}

/// A container of a task as DescribeTasks answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its ARN.
    pub container_arn: ContainerArn,
    /// Its task.
    pub task_arn: TaskArn,
    /// Its name in the definition.
    pub name: String,
    /// The image as the definition names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The digest of the image's manifest, `sha256:...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The runtime's id: the task id, a hyphen, ten digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// What it is.
    pub last_status: ContainerStatus,
    /// Its exit code; absent if it never ran, or if nobody saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What went wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Ports of the host; empty in awsvpc mode.
    #[serde(default)]
    pub network_bindings: Vec<NetworkBinding>,
    /// The task's interface.
    #[serde(default)]
    pub network_interfaces: Vec<NetworkInterface>,
    /// Its health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_status: Option<HealthStatus>,
    /// The agent that executes commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_agents: Option<Vec<ManagedAgent>>,
    /// Its weight in CPU units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Its hard limit in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Its soft limit in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<String>,
}

/// What is attached to a task: its network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// A UUID.
    pub id: String,
    /// `ElasticNetworkInterface`.
    pub r#type: String,
    /// `PRECREATED`, `CREATED`, `ATTACHING`, `ATTACHED`, `DETACHING`, `DETACHED`, `DELETED` or `FAILED`.
    pub status: String,
    /// subnetId, networkInterfaceId, macAddress, privateDnsName, privateIPv4Address.
    #[serde(default)]
    pub details: Vec<KeyValuePair>,
}

/// The task's interface as a container's entry repeats it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// The attachment's id.
    pub attachment_id: String,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ipv4_address: Option<String>,
    /// The IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
}

/// A port of the host that leads to a container's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkBinding {
    /// The host's address.
    #[serde(rename = "bindIP", skip_serializing_if = "Option::is_none")]
    pub bind_ip: Option<String>,
    /// The container's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_port: Option<i32>,
    /// The host's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<i32>,
    /// `tcp` or `udp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// A range of the container's ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_port_range: Option<String>,
    /// A range of the host's ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port_range: Option<String>,
}

/// The agent that executes commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedAgent {
    /// `ExecuteCommandAgent`.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<ContainerStatus>,
    /// When it started last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_started_at: Option<Timestamp>,
    /// What went wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What one of several things asked for failed with; the others succeed beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The thing, as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// `MISSING`, `RESOURCE:MEMORY` ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of DescribeTasks in the form that the API reference shows.
    const ANSWER: &str = r#"{
      "attachments": [{"id": "a1", "type": "ElasticNetworkInterface", "status": "ATTACHED",
        "details": [{"name": "privateIPv4Address", "value": "172.31.0.10"}]}],
      "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
      "availabilityZone": "us-east-1a",
      "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/default",
      "connectivity": "CONNECTED", "connectivityAt": 1763721710.482,
      "containers": [{
        "containerArn": "arn:aws:ecs:us-east-1:123456789012:container/default/0123456789abcdef0123456789abcdef/5f0f4ff6-8b1e-4d53-9a5e-b4d4bba2b1b4",
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef",
        "name": "web", "image": "nginx", "runtimeId": "0123456789abcdef0123456789abcdef-0000000001",
        "lastStatus": "STOPPED", "exitCode": 0, "networkBindings": [],
        "networkInterfaces": [{"attachmentId": "a1", "privateIpv4Address": "172.31.0.10"}],
        "healthStatus": "UNKNOWN", "cpu": "99", "memory": "100"}],
      "cpu": "256", "createdAt": 1763721709.1, "desiredStatus": "STOPPED", "enableExecuteCommand": false,
      "inferenceAccelerators": [], "lastStatus": "DEPROVISIONING", "launchType": "FARGATE", "memory": "512",
      "overrides": {"containerOverrides": [{"name": "web"}], "inferenceAcceleratorOverrides": []},
      "stopCode": "EssentialContainerExited", "tags": [],
      "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef",
      "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/webserver:1",
      "version": 5, "ephemeralStorage": {"sizeInGiB": 20}
    }"#;

    #[test]
    fn a_task_round_trips_without_drift() {
        let value: Value = serde_json::from_str(ANSWER).unwrap();
        let task: Task = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&task).unwrap(), value);
    }

    #[test]
    fn the_states_stand_in_their_order() {
        use TaskStatus::*;
        let order = [Provisioning, Pending, Activating, Running, Deactivating, Stopping, Deprovisioning, Stopped];
        assert!(order.is_sorted());
    }
}

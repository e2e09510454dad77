//! Task sets of ECS's service model: what a service with an outside deployment controller is made of.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Timestamp;
use super::arn::{ClusterArn, ServiceArn, TaskDefinitionArn};
use super::capacity_provider::CapacityProviderStrategyItem;
use super::service::NetworkConfiguration;
use super::status::LaunchType;
use super::task::Failure;
use super::task_definition::Tag;

/// A part of a service's desired count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct Scale {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// CreateTaskSet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CreateTaskSetRequest {
    pub service: String,
    pub cluster: Option<String>,
    pub external_id: Option<String>,
    pub task_definition: String,
    pub network_configuration: Option<NetworkConfiguration>,
    pub load_balancers: Option<Value>,
    pub service_registries: Option<Value>,
    pub launch_type: Option<LaunchType>,
    pub capacity_provider_strategy: Option<Vec<CapacityProviderStrategyItem>>,
    pub platform_version: Option<String>,
    pub scale: Option<Scale>,
    pub client_token: Option<String>,
    pub tags: Option<Vec<Tag>>,
}

/// UpdateTaskSet, DeleteTaskSet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct TaskSetRequest {
    pub cluster: Option<String>,
    pub service: String,
    pub task_set: String,
    pub scale: Option<Scale>,
    pub force: Option<bool>,
}

/// UpdateServicePrimaryTaskSet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct UpdateServicePrimaryTaskSetRequest {
    pub cluster: Option<String>,
    pub service: String,
    pub primary_task_set: String,
}

/// DescribeTaskSets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeTaskSetsRequest {
    pub cluster: Option<String>,
    pub service: String,
    pub task_sets: Vec<String>,
    pub include: Vec<String>,
}

/// What DescribeTaskSets answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeTaskSetsResponse {
    pub task_sets: Vec<TaskSet>,
    pub failures: Vec<Failure>,
}

/// What the others answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct TaskSetResponse {
    pub task_set: TaskSet,
}

/// A task set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct TaskSet {
    pub id: String,
    pub task_set_arn: String,
    pub service_arn: ServiceArn,
    pub cluster_arn: ClusterArn,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    pub status: String,
    pub task_definition: TaskDefinitionArn,
    pub computed_desired_count: u32,
    pub pending_count: u32,
    pub running_count: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    pub capacity_provider_strategy: Vec<CapacityProviderStrategyItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    pub load_balancers: Vec<Value>,
    pub service_registries: Vec<Value>,
    pub scale: Scale,
    pub stability_status: String,
    pub stability_status_at: Timestamp,
    pub tags: Vec<Tag>,
}

//! Capacity providers of ECS's service model, and the strategy that spreads tasks over them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::Failure;
use super::task_definition::Tag;

/// One provider of a `capacityProviderStrategy`: its first `base` tasks, and its share of all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CapacityProviderStrategyItem {
    pub capacity_provider: String,
    #[serde(default)]
    pub weight: i32,
    #[serde(default)]
    pub base: i32,
}

/// `managedScaling`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ManagedScaling {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_capacity: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_scaling_step_size: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_scaling_step_size: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_warmup_period: Option<i32>,
}

/// `autoScalingGroupProvider`; an update has no ARN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct AutoScalingGroupProvider {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling_group_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_scaling: Option<ManagedScaling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_termination_protection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_draining: Option<String>,
}

/// CreateCapacityProvider and UpdateCapacityProvider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CapacityProviderRequest {
    pub name: String,
    pub cluster: Option<String>,
    pub auto_scaling_group_provider: Option<AutoScalingGroupProvider>,
    pub managed_instances_provider: Option<Value>,
    pub tags: Option<Vec<Tag>>,
}

/// DeleteCapacityProvider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DeleteCapacityProviderRequest {
    pub capacity_provider: String,
    pub cluster: Option<String>,
}

/// DescribeCapacityProviders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeCapacityProvidersRequest {
    pub capacity_providers: Vec<String>,
    pub cluster: Option<String>,
    pub include: Vec<String>,
    pub max_results: Option<i32>,
    pub next_token: Option<String>,
}

/// What the three that change one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CapacityProviderResponse {
    pub capacity_provider: CapacityProvider,
}

/// What DescribeCapacityProviders answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeCapacityProvidersResponse {
    pub capacity_providers: Vec<CapacityProvider>,
    pub failures: Vec<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A capacity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CapacityProvider {
    pub capacity_provider_arn: String,
    pub name: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling_group_provider: Option<AutoScalingGroupProvider>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<String>,
    pub tags: Vec<Tag>,
    pub r#type: String,
}

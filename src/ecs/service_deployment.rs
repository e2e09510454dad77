//! Service deployments and service revisions: what a service was changed from and to, and how that went.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::arn::{ClusterArn, ServiceArn, TaskDefinitionArn};
use super::capacity_provider::CapacityProviderStrategyItem;
use super::service::{DeploymentConfiguration, NetworkConfiguration, RevisionSummary};
use super::status::LaunchType;
use super::task::Failure;
use super::volume::TaskVolumeConfiguration;

/// `createdAt {after, before}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct CreatedAt {
    pub before: Option<Timestamp>,
    pub after: Option<Timestamp>,
}

/// ListServiceDeployments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ListServiceDeploymentsRequest {
    pub service: String,
    pub cluster: Option<String>,
    pub status: Vec<String>,
    pub created_at: Option<CreatedAt>,
    pub max_results: Option<i32>,
    pub next_token: Option<String>,
}

/// What ListServiceDeployments answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ListServiceDeploymentsResponse {
    pub service_deployments: Vec<ServiceDeploymentBrief>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// A service deployment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ServiceDeploymentBrief {
    pub service_deployment_arn: String,
    pub service_arn: ServiceArn,
    pub cluster_arn: ClusterArn,
    pub started_at: Timestamp,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    pub target_service_revision_arn: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}

/// DescribeServiceDeployments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeServiceDeploymentsRequest {
    pub service_deployment_arns: Vec<String>,
}

/// What DescribeServiceDeployments answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeServiceDeploymentsResponse {
    pub service_deployments: Vec<ServiceDeployment>,
    pub failures: Vec<Failure>,
}

/// A service deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ServiceDeployment {
    pub service_deployment_arn: String,
    pub service_arn: ServiceArn,
    pub cluster_arn: ClusterArn,
    pub created_at: Timestamp,
    pub started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub source_service_revisions: Vec<RevisionSummary>,
    pub target_service_revision: RevisionSummary,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    pub deployment_configuration: DeploymentConfiguration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    pub deployment_circuit_breaker: BreakerState,
}

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct Rollback {
    pub reason: String,
    pub started_at: Timestamp,
    pub service_revision_arn: String,
}

/// What the circuit breaker has counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct BreakerState {
    pub status: String,
    pub failure_count: u32,
    pub threshold: u32,
}

/// DescribeServiceRevisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeServiceRevisionsRequest {
    pub service_revision_arns: Vec<String>,
}

/// What DescribeServiceRevisions answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct DescribeServiceRevisionsResponse {
    pub service_revisions: Vec<ServiceRevision>,
    pub failures: Vec<Failure>,
}

/// A service revision: all that a deployment froze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ServiceRevision {
    pub service_revision_arn: String,
    pub service_arn: ServiceArn,
    pub cluster_arn: ClusterArn,
    pub task_definition: TaskDefinitionArn,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity_provider_strategy: Vec<CapacityProviderStrategyItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_configurations: Vec<TaskVolumeConfiguration>,
    pub container_images: Vec<ContainerImage>,
    pub created_at: Timestamp,
}

/// The image of a container, and the digest that all tasks of the revision run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ContainerImage {
    pub container_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    pub image: String,
}

/// StopServiceDeployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct StopServiceDeploymentRequest {
    pub service_deployment_arn: String,
    pub stop_type: Option<String>,
}

/// What StopServiceDeployment and ContinueServiceDeployment answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct StopServiceDeploymentResponse {
    pub service_deployment_arn: String,
}

/// ListServicesByNamespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ListServicesByNamespaceRequest {
    pub namespace: String,
    pub max_results: Option<i32>,
    pub next_token: Option<String>,
}

/// ContinueServiceDeployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are ECS's")]
pub struct ContinueServiceDeploymentRequest {
    pub service_deployment_arn: String,
    pub hook_id: String,
    pub action: Option<String>,
}

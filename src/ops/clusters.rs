//! Clusters: names under which services and tasks are kept apart. The default one is always there.

use serde::{Deserialize, Serialize};

use super::capacity_providers::FARGATE;
use super::cluster_settings::check_settings;
use super::engine::DEFAULT_CLUSTER;
use super::paging::{Asked, page};
use super::{Engine, OpsError, session_log, tags};
use crate::ecs::arn::{ClusterArn, is_name};
use crate::ecs::capacity_provider::CapacityProviderStrategyItem;
use crate::ecs::cluster::{
    Cluster, ClusterResponse, CreateClusterRequest, DeleteClusterRequest, DescribeClustersRequest,
    DescribeClustersResponse, ListClustersRequest, ListClustersResponse,
};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::task::Failure;
use crate::lifecycle::LastStatus;
use crate::scheduler::ServiceStatus;
use crate::store::{Commit, Entry, Txn, records};

const ATTEMPTS: usize = 20;

/// A cluster's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) created_with: CreateClusterRequest,
    /// A deleted cluster stays describable.
    pub(super) active: bool,
}

impl ClusterRecord {
    /// The record of the default cluster before it has one.
    pub(super) fn default_one() -> Self {
        let created_with = CreateClusterRequest {
            cluster_name: Some(DEFAULT_CLUSTER.to_owned()),
            capacity_providers: Some(FARGATE.map(str::to_owned).to_vec()),
            ..CreateClusterRequest::default()
        };
        Self { created_with, active: true }
    }
}

impl Engine {
    /// CreateCluster: one that is there is answered as it is.
    pub fn create_cluster(&mut self, request: &CreateClusterRequest) -> Result<ClusterResponse, OpsError> {
        let name = request.cluster_name.clone().unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
        if !is_name(&name) {
            return Err(EcsError::invalid_parameter(
                "Cluster name must be 1 to 255 letters, digits, hyphens and underscores.",
            )
            .into());
        }
        tags::check(request.tags.as_deref().unwrap_or_default())?;
        check_settings(request.settings.as_deref().unwrap_or_default())?;
        session_log::check(request.configuration.as_ref())?;
        let default = request.default_capacity_provider_strategy.as_deref().unwrap_or_default();
        self.check_cluster_providers(request.capacity_providers.as_deref().unwrap_or_default(), default)?;
        let key = records::cluster(&self.config.account, &self.config.region, &name);
        for _ in 0..ATTEMPTS {
            let txn = match self.cluster_record(&name)? {
                Some(old) if old.value.active => break,
                Some(old) => Txn::default().require_unchanged(&key, old.revision),
                None => Txn::default().require_absent(&key),
            };
            let record = ClusterRecord { created_with: request.clone(), active: true };
            let arn = self.owner().cluster(&name).to_string();
            let txn = tags::put(txn.put(&key, &record), &arn, request.tags.as_deref().unwrap_or_default());
            if self.store.commit_durably(&txn)? == Commit::Done {
                break;
            }
        }
        Ok(ClusterResponse { cluster: self.cluster_view(&name, true)? })
    }

    /// DeleteCluster: not while anything runs in it.
    pub fn delete_cluster(&mut self, request: &DeleteClusterRequest) -> Result<ClusterResponse, OpsError> {
        let name = self.cluster_of(Some(&request.cluster))?;
        let active = |status| status != ServiceStatus::Inactive;
        if self.services_of(&name)?.iter().any(|record| active(record.service.status)) {
            return Err(in_use(Exception::ClusterContainsServicesException, "Services"));
        }
        if self.briefs_of(&name)?.iter().any(|task| task.status != LastStatus::Stopped) {
            return Err(in_use(Exception::ClusterContainsTasksException, "Tasks"));
        }
        if self.has_registered(&name)? {
            let code = Exception::ClusterContainsContainerInstancesException;
            return Err(EcsError::new(
                code,
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            )
            .into());
        }
        let key = records::cluster(&self.config.account, &self.config.region, &name);
        let created_with = self.cluster_record(&name)?.map(|entry| entry.value.created_with).unwrap_or_default();
        let arn = self.owner().cluster(&name).to_string();
        let txn = Txn::default().put(&key, &ClusterRecord { created_with, active: false });
        let _: Commit = self.store.commit_durably(&txn.delete(records::tags(&arn)))?;
        Ok(ClusterResponse { cluster: self.cluster_view(&name, false)? })
    }

    /// DescribeClusters: the default one where none is named.
    pub fn describe_clusters(
        &mut self,
        request: &DescribeClustersRequest,
    ) -> Result<DescribeClustersResponse, OpsError> {
        if request.clusters.len() > 100 {
            return Err(EcsError::invalid_parameter("Clusters cannot have more than 100 elements.").into());
        }
        let known = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"];
        if let Some(other) = request.include.iter().find(|what| !known.contains(&what.as_str())) {
            return Err(EcsError::invalid_parameter(format!("Invalid include: {other}")).into());
        }
        let default = [DEFAULT_CLUSTER.to_owned()];
        let names = if request.clusters.is_empty() { &default[..] } else { &request.clusters };
        let mut answer = DescribeClustersResponse::default();
        for given in names {
            let name = given.rsplit('/').next().unwrap_or(given);
            match (self.cluster_is_active(name)?, self.cluster_record(name)?) {
                (true, _) => answer.clusters.push(self.cluster_included(name, true, &request.include)?),
                (false, Some(_)) => answer.clusters.push(self.cluster_included(name, false, &request.include)?),
                (false, None) => answer.failures.push(Failure {
                    arn: Some(self.owner().cluster(name).to_string()),
                    reason: Some("MISSING".to_owned()),
                    detail: None,
                }),
            }
        }
        Ok(answer)
    }

    /// ListClusters: those that are ACTIVE.
    pub fn list_clusters(&self, request: &ListClustersRequest) -> Result<ListClustersResponse, OpsError> {
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (100, 100));
        let (names, next_token) = page(&"clusters", self.active_clusters()?, String::clone, asked)?;
        let cluster_arns = names.iter().map(|name| self.owner().cluster(name).to_string()).collect();
        Ok(ListClustersResponse { cluster_arns, next_token })
    }

    /// Whether tasks may be run in a cluster.
    pub(super) fn cluster_is_active(&self, name: &str) -> Result<bool, OpsError> {
        Ok(self.cluster_record(name)?.map_or(name == DEFAULT_CLUSTER, |entry| entry.value.active))
    }

    /// The names of all clusters that are ACTIVE.
    pub(super) fn active_clusters(&self) -> Result<Vec<String>, OpsError> {
        let prefix = records::clusters(&self.config.account, &self.config.region);
        let all = self.store.list::<ClusterRecord>(&prefix)?;
        let active = all.iter().filter(|entry| entry.value.active).filter_map(|entry| entry.key.strip_prefix(&prefix));
        let mut names: Vec<String> = active.map(str::to_owned).collect();
        if self.cluster_is_active(DEFAULT_CLUSTER)? && !names.iter().any(|name| name == DEFAULT_CLUSTER) {
            names.push(DEFAULT_CLUSTER.to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The capacity providers of a cluster, and its default strategy. One that nobody has made has Fargate's.
    pub(super) fn cluster_providers(
        &self,
        name: &str,
    ) -> Result<(Vec<String>, Vec<CapacityProviderStrategyItem>), OpsError> {
        let Some(record) = self.cluster_record(name)? else {
            return Ok((FARGATE.map(str::to_owned).to_vec(), Vec::new()));
        };
        let given = record.value.created_with;
        Ok((given.capacity_providers.unwrap_or_default(), given.default_capacity_provider_strategy.unwrap_or_default()))
    }

    pub(super) fn cluster_record(&self, name: &str) -> Result<Option<Entry<ClusterRecord>>, OpsError> {
        Ok(self.store.get(&records::cluster(&self.config.account, &self.config.region, name))?)
    }

    pub(super) fn cluster_view(&mut self, name: &str, active: bool) -> Result<Cluster, OpsError> {
        let given = self.cluster_record(name)?.map(|entry| entry.value.created_with).unwrap_or_default();
        let tasks = self.briefs_of(name)?;
        let count = |which: fn(LastStatus) -> bool| {
            u32::try_from(tasks.iter().filter(|task| which(task.status)).count()).unwrap_or(u32::MAX)
        };
        let services = self.services_of(name)?;
        let services = services.iter().filter(|record| record.service.status == ServiceStatus::Active).count();
        let arn: ClusterArn = self.owner().cluster(name);
        Ok(Cluster {
            cluster_arn: arn.clone(),
            cluster_name: name.to_owned(),
            status: if active { "ACTIVE" } else { "INACTIVE" }.to_owned(),
            registered_container_instances_count: self.instance_count(name)?,
            running_tasks_count: count(|status| status == LastStatus::Running),
            pending_tasks_count: count(|status| status < LastStatus::Running),
            active_services_count: u32::try_from(services).unwrap_or(u32::MAX),
            statistics: Vec::new(),
            tags: self.tags_of(&arn.to_string())?,
            settings: self.cluster_settings(given.settings)?,
            configuration: given.configuration,
            capacity_providers: given.capacity_providers.unwrap_or_default(),
            default_capacity_provider_strategy: given.default_capacity_provider_strategy.unwrap_or_default(),
            attachments: None,
            service_connect_defaults: given.service_connect_defaults,
        })
    }
}

fn in_use(code: Exception, what: &str) -> OpsError {
    EcsError::new(code, format!("The Cluster cannot be deleted while {what} are active.")).into()
}

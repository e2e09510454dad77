//! Capacity providers: FARGATE and FARGATE_SPOT, which are always there, and those of Auto Scaling groups, which stand for this
//! host's container instances: nothing here scales a group. What spreads tasks over them is `scheduler::share`.

mod check;

use serde::{Deserialize, Serialize};

pub(super) use check::shares;
use check::{check_group, check_name, complete};

use super::paging::{Asked, page};
use super::{Engine, OpsError, tags};
use crate::ecs::LaunchType;
use crate::ecs::capacity_provider::{
    AutoScalingGroupProvider, CapacityProvider, CapacityProviderRequest, CapacityProviderResponse,
    CapacityProviderStrategyItem, DeleteCapacityProviderRequest, DescribeCapacityProvidersRequest,
    DescribeCapacityProvidersResponse,
};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::task::Failure;
use crate::scheduler::{ServiceStatus, Share};
use crate::store::{Commit, Entry, Txn, records};

const ATTEMPTS: usize = 20;
/// Those that nobody makes.
pub(super) const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// A provider of an Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProviderRecord {
    pub(super) name: String,
    group: AutoScalingGroupProvider,
    /// A deleted one stays describable.
    active: bool,
    update_status: String,
}

/// What a strategy comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spread {
    /// The strategy, as it is shown.
    pub(super) items: Vec<CapacityProviderStrategyItem>,
    /// The same to count with.
    pub(super) shares: Vec<Share>,
    /// What its tasks run on.
    pub(super) launch_type: LaunchType,
}

impl Engine {
    /// CreateCapacityProvider.
    pub fn create_capacity_provider(
        &mut self,
        request: &CapacityProviderRequest,
    ) -> Result<CapacityProviderResponse, OpsError> {
        check_name(&request.name)?;
        let group = match (&request.auto_scaling_group_provider, &request.managed_instances_provider) {
            (_, Some(_)) => return Err(managed_instances().into()),
            (Some(group), None) => complete(group.clone(), AutoScalingGroupProvider::default()),
            (None, None) => {
                return Err(EcsError::invalid_parameter("The autoScalingGroupProvider must be specified.").into());
            }
        };
        check_group(&group)?;
        let tags = request.tags.clone().unwrap_or_default();
        tags::check(&tags)?;
        for _ in 0..ATTEMPTS {
            let (key, old) = self.provider_entry(&request.name)?;
            let txn = match old {
                Some(old) if old.value.active => {
                    return Err(EcsError::invalid_parameter(
                        "The specified capacity provider already exists. To change the configuration of an existing \
                         capacity provider, update the capacity provider.",
                    )
                    .into());
                }
                Some(old) => Txn::default().require_unchanged(&key, old.revision),
                None => Txn::default().require_absent(&key),
            };
            let update_status = "CREATE_COMPLETE".to_owned();
            let (name, group) = (request.name.clone(), group.clone());
            let record = ProviderRecord { name, group, active: true, update_status };
            let arn = self.owner().capacity_provider(&record.name);
            if self.store.commit_durably(&tags::put(txn.put(&key, &record), &arn, &tags))? == Commit::Done {
                let view = CapacityProvider { tags, ..self.provider_view(&record) };
                return Ok(CapacityProviderResponse { capacity_provider: view });
            }
        }
        Err(OpsError::Contention)
    }

    /// UpdateCapacityProvider: members that are not named stay.
    pub fn update_capacity_provider(
        &mut self,
        request: &CapacityProviderRequest,
    ) -> Result<CapacityProviderResponse, OpsError> {
        if request.managed_instances_provider.is_some() {
            return Err(managed_instances().into());
        }
        self.change_provider(&request.name, |record| {
            let given = request.auto_scaling_group_provider.clone();
            let given =
                given.ok_or_else(|| EcsError::invalid_parameter("The autoScalingGroupProvider must be specified."))?;
            if given.auto_scaling_group_arn.is_some() {
                return Err(EcsError::invalid_parameter(
                    "The Auto Scaling group of a capacity provider cannot be changed.",
                ));
            }
            record.group = complete(given, record.group.clone());
            check_group(&record.group)?;
            record.update_status = "UPDATE_COMPLETE".to_owned();
            Ok(())
        })
    }

    /// DeleteCapacityProvider: not while a cluster or a service names it.
    pub fn delete_capacity_provider(
        &mut self,
        request: &DeleteCapacityProviderRequest,
    ) -> Result<CapacityProviderResponse, OpsError> {
        let name = bare(&request.capacity_provider);
        if FARGATE.contains(&name) {
            return Err(reserved().into());
        }
        if let Some(cluster) = self.cluster_with_provider(name)? {
            return Err(EcsError::client(format!(
                "The capacity provider cannot be deleted because it is associated with cluster: {cluster}. Remove the \
                 capacity provider from the cluster and try again."
            ))
            .into());
        }
        self.change_provider(name, |record| {
            record.active = false;
            record.update_status = "DELETE_COMPLETE".to_owned();
            Ok(())
        })
    }

    /// DescribeCapacityProviders: all that are ACTIVE, or those that are named.
    pub fn describe_capacity_providers(
        &self,
        request: &DescribeCapacityProvidersRequest,
    ) -> Result<DescribeCapacityProvidersResponse, OpsError> {
        if request.capacity_providers.len() > 100 {
            return Err(EcsError::invalid_parameter("capacityProviders can have at most 100 items.").into());
        }
        let mut answer = DescribeCapacityProvidersResponse::default();
        if request.capacity_providers.is_empty() {
            let mut all: Vec<CapacityProvider> = FARGATE.iter().map(|name| self.fargate(name)).collect();
            let owner = self.owner();
            let made =
                self.store.list::<ProviderRecord>(&records::capacity_providers(&owner.account, &owner.region))?;
            all.extend(made.iter().filter(|one| one.value.active).map(|one| self.provider_view(&one.value)));
            let order = |one: &CapacityProvider| (one.auto_scaling_group_provider.is_some(), one.name.clone());
            let asked = Asked::by(request.max_results, request.next_token.as_deref(), (10, 10));
            let (page, next) = page(&"capacity providers", all, order, asked)?;
            (answer.capacity_providers, answer.next_token) = (page, next);
        }
        for given in &request.capacity_providers {
            let name = bare(given);
            match (FARGATE.contains(&name), self.provider_entry(name)?.1) {
                (true, _) => answer.capacity_providers.push(self.fargate(name)),
                (false, Some(found)) => answer.capacity_providers.push(self.provider_view(&found.value)),
                (false, None) => answer.failures.push(Failure {
                    arn: Some(self.owner().capacity_provider(name)),
                    reason: Some("MISSING".to_owned()),
                    detail: None,
                }),
            }
        }
        if request.include.iter().any(|what| what == "TAGS") {
            for one in &mut answer.capacity_providers {
                one.tags = self.tags_of(&one.capacity_provider_arn)?;
            }
        }
        Ok(answer)
    }

    /// Whether a cluster may have these providers and this default strategy.
    pub(super) fn check_cluster_providers(
        &self,
        providers: &[String],
        default: &[CapacityProviderStrategyItem],
    ) -> Result<(), OpsError> {
        for name in providers {
            if !self.has_provider(name)? {
                let message = format!("The specified capacity provider '{name}' was not found.");
                return Err(EcsError::invalid_parameter(message).into());
            }
        }
        if default.is_empty() {
            return Ok(());
        }
        shares(default)?;
        match default.iter().all(|item| providers.contains(&item.capacity_provider)) {
            true => Ok(()),
            false => Err(EcsError::invalid_parameter(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
                 the cluster. Associate the capacity provider with the cluster and try again.",
            )
            .into()),
        }
    }

    /// Whether there is such a provider.
    pub(super) fn has_provider(&self, name: &str) -> Result<bool, OpsError> {
        Ok(FARGATE.contains(&name) || self.provider_entry(name)?.1.is_some_and(|entry| entry.value.active))
    }

    /// What the tasks of a request are spread over: its strategy, or where it names no launch type either, the cluster's default
    /// one. `None` where launch type and definition decide.
    pub(super) fn spread(
        &self,
        cluster: &str,
        launch_type: Option<LaunchType>,
        given: Option<&[CapacityProviderStrategyItem]>,
    ) -> Result<Option<Spread>, OpsError> {
        let (providers, default) = self.cluster_providers(cluster)?;
        let items = match (launch_type, given.filter(|items| !items.is_empty())) {
            (Some(_), Some(_)) => {
                return Err(EcsError::invalid_parameter(
                    "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try \
                     again.",
                )
                .into());
            }
            (Some(_), None) => return Ok(None),
            (None, Some(items)) => items.to_vec(),
            (None, None) if default.is_empty() => return Ok(None),
            (None, None) => default,
        };
        let shares = shares(&items)?;
        for item in &items {
            if !self.has_provider(&item.capacity_provider)? {
                return Err(EcsError::invalid_parameter(
                    "The specified capacity provider was not found. Specify a valid \
                     name or ARN and try again.",
                )
                .into());
            }
            if !providers.contains(&item.capacity_provider) {
                return Err(EcsError::invalid_parameter(
                    "The specified capacity provider strategy cannot contain a capacity provider that is not associated \
                     with the cluster. Associate the capacity provider with the cluster and try again.",
                )
                .into());
            }
        }
        let launch_type = match FARGATE.contains(&items[0].capacity_provider.as_str()) {
            true => LaunchType::Fargate,
            false => LaunchType::Ec2,
        };
        Ok(Some(Spread { items, shares, launch_type }))
    }

    fn provider_entry(&self, name: &str) -> Result<(String, Option<Entry<ProviderRecord>>), OpsError> {
        let owner = self.owner();
        let key = records::capacity_provider(&owner.account, &owner.region, bare(name));
        let found = self.store.get(&key)?;
        Ok((key, found))
    }

    /// Changes a provider that somebody made.
    pub(super) fn change_provider(
        &mut self,
        name: &str,
        change: impl Fn(&mut ProviderRecord) -> Result<(), EcsError>,
    ) -> Result<CapacityProviderResponse, OpsError> {
        if FARGATE.contains(&bare(name)) {
            return Err(reserved().into());
        }
        for _ in 0..ATTEMPTS {
            let (key, found) = self.provider_entry(name)?;
            let Some(mut found) = found.filter(|found| found.value.active) else {
                return Err(EcsError::invalid_parameter(
                    "The specified capacity provider was not found. Specify a valid name or ARN and try again.",
                )
                .into());
            };
            change(&mut found.value)?;
            let txn = Txn::default().require_unchanged(&key, found.revision).put(&key, &found.value);
            if self.store.commit_durably(&txn)? == Commit::Done {
                return Ok(CapacityProviderResponse { capacity_provider: self.provider_view(&found.value) });
            }
        }
        Err(OpsError::Contention)
    }

    /// The cluster that names a provider, or whose services do.
    fn cluster_with_provider(&self, name: &str) -> Result<Option<String>, OpsError> {
        for cluster in self.active_clusters()? {
            let (providers, default) = self.cluster_providers(&cluster)?;
            let used = |items: &[CapacityProviderStrategyItem]| items.iter().any(|item| item.capacity_provider == name);
            let services = self.services_of(&cluster)?;
            let by_service = services.iter().any(|record| {
                let strategy = record.spec.capacity_provider_strategy.as_deref().unwrap_or_default();
                record.service.status != ServiceStatus::Inactive && used(strategy)
            });
            if providers.iter().any(|one| one == name) || used(&default) || by_service {
                return Ok(Some(cluster));
            }
        }
        Ok(None)
    }

    fn provider_view(&self, record: &ProviderRecord) -> CapacityProvider {
        CapacityProvider {
            capacity_provider_arn: self.owner().capacity_provider(&record.name),
            name: record.name.clone(),
            status: if record.active { "ACTIVE" } else { "INACTIVE" }.to_owned(),
            auto_scaling_group_provider: Some(record.group.clone()),
            update_status: Some(record.update_status.clone()),
            tags: Vec::new(),
            r#type: "EC2_AUTOSCALING".to_owned(),
        }
    }

    fn fargate(&self, name: &str) -> CapacityProvider {
        CapacityProvider {
            capacity_provider_arn: self.owner().capacity_provider(name),
            name: name.to_owned(),
            status: "ACTIVE".to_owned(),
            auto_scaling_group_provider: None,
            update_status: None,
            tags: Vec::new(),
            r#type: name.to_owned(),
        }
    }
}

/// A name, or the name in an ARN.
fn bare(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn reserved() -> EcsError {
    EcsError::invalid_parameter(
        "The specified capacity provider is reserved: FARGATE and FARGATE_SPOT cannot be changed or deleted.",
    )
}

fn managed_instances() -> EcsError {
    EcsError::new(
        Exception::UnsupportedFeatureException,
        "managedInstancesProvider is not supported by this version of berth: it starts no machines.",
    )
}

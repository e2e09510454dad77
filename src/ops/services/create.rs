//! CreateService.

use super::super::capacity::{constraints, requirements, rules};
use super::super::{Engine, OpsError, tags};
use super::config::{check_network, check_volumes, check_words, deployment, invalid, refuse_create, working};
use super::outside::{check_create, controller};
use super::record::{RevisionRecord, ServiceRecord, digits, letters, now};
use crate::ecs::LaunchType;
use crate::ecs::arn::is_name;
use crate::ecs::error::EcsError;
use crate::ecs::service::{CreateServiceRequest, ServiceResponse};
use crate::scheduler::{Controller, Deploy, Requirements, Service, ServiceStatus, Working, begin};
use crate::store::{Commit, Entry, Txn, records};
use crate::sys::pidfd;
use crate::validate::ValidTaskDefinition;

const ATTEMPTS: usize = 20;

impl Engine {
    /// CreateService: at once ACTIVE, its tasks follow. The same request again answers with the service that is there.
    pub fn create_service(&mut self, request: &CreateServiceRequest) -> Result<ServiceResponse, OpsError> {
        if !is_name(&request.service_name) {
            return Err(invalid("Service name must be 1 to 255 letters, digits, hyphens and underscores.").into());
        }
        tags::check(request.tags.as_deref().unwrap_or_default())?;
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let arn = self.owner().service(&cluster, &request.service_name);
        let key = Self::service_key(&arn);
        for _ in 0..ATTEMPTS {
            let old = self.service_entry(&arn)?;
            if let Some(old) = &old
                && let Some(answer) = self.answer_again(old, request)?
            {
                return Ok(answer);
            }
            let (record, revision) = self.new_service(&arn, request)?;
            let mut txn = match &old {
                Some(old) => Txn::default().require_unchanged(&key, old.revision),
                None => Txn::default().require_absent(&key),
            };
            txn = txn.put(&key, &record);
            if let Some((id, revision)) = &revision {
                txn = txn.put(records::revision(&key, id), revision);
            }
            txn = tags::put(txn, &arn.to_string(), request.tags.as_deref().unwrap_or_default());
            if self.store.commit_durably(&txn)? == Commit::Done {
                self.wake(&key)?;
                return Ok(ServiceResponse { service: self.service_view(&record) });
            }
        }
        Err(OpsError::Contention)
    }

    /// What a service that is there already means for a request to create it.
    fn answer_again(
        &self,
        old: &Entry<ServiceRecord>,
        request: &CreateServiceRequest,
    ) -> Result<Option<ServiceResponse>, OpsError> {
        let same = |one: &CreateServiceRequest| CreateServiceRequest { client_token: None, ..one.clone() };
        match old.value.service.status {
            ServiceStatus::Inactive => Ok(None),
            ServiceStatus::Draining => Err(invalid("Unable to Start a service that is still Draining.").into()),
            ServiceStatus::Active if same(&old.value.created_with) == same(request) => {
                Ok(Some(ServiceResponse { service: self.service_view(&old.value) }))
            }
            ServiceStatus::Active => Err(invalid("Creation of service was not idempotent.").into()),
        }
    }

    fn new_service(
        &mut self,
        arn: &crate::ecs::arn::ServiceArn,
        request: &CreateServiceRequest,
    ) -> Result<(ServiceRecord, Option<(String, RevisionRecord)>), OpsError> {
        refuse_create(request)?;
        check_words(request)?;
        if controller(request)?.is_outside() {
            return Ok((self.new_outside(arn, request)?, None));
        }
        let working = working(request)?;
        let created_with = request;
        let name = request.task_definition.as_deref().unwrap_or_default();
        let (definition, number) = self.runnable(name, None)?;
        check_network(self, &definition, request.network_configuration.as_ref())?;
        check_volumes(&definition, request.volume_configurations.as_deref())?;
        let spread = self.spread(&arn.cluster, request.launch_type, request.capacity_provider_strategy.as_deref())?;
        let asked = spread.as_ref().map(|spread| spread.launch_type).or(request.launch_type);
        let launch_type = launch_type(asked, &definition)?;
        let strategy = spread.map(|spread| spread.items);
        let desired = match (working, request.desired_count) {
            (Working::Daemon, Some(_)) if launch_type != LaunchType::Fargate => {
                return Err(invalid("The desiredCount cannot be specified with the DAEMON scheduling strategy.").into());
            }
            (Working::Daemon, _) if launch_type == LaunchType::Fargate => {
                return Err(
                    invalid("The DAEMON scheduling strategy is not supported for the launch type FARGATE.").into()
                );
            }
            (Working::Daemon, _) => 0,
            (Working::Replica, count) => {
                u32::try_from(count.unwrap_or(0)).map_err(|_| invalid("The desired count must not be negative."))?
            }
        };
        let mut service = self.empty_service(arn, request, working)?;
        service.desired = desired;
        let request = &CreateServiceRequest { capacity_provider_strategy: strategy, ..request.clone() };
        let (deploy, revision) = self.deploy(request, &definition, number, launch_type)?;
        let id = deploy.id.clone();
        let created_at = service.created_at;
        begin(&mut service, deploy, created_at);
        let task_definition = Some(revision.definition.clone());
        let spec = CreateServiceRequest { task_definition, ..request.clone() };
        let record = ServiceRecord {
            arn: arn.clone(),
            created_with: created_with.clone(),
            spec,
            launch_type,
            service,
            task_sets: std::collections::BTreeMap::new(),
        };
        Ok((record, Some((id, revision))))
    }

    /// A service with an outside deployment controller: nothing of it runs before it has a task set.
    fn new_outside(
        &self,
        arn: &crate::ecs::arn::ServiceArn,
        request: &CreateServiceRequest,
    ) -> Result<ServiceRecord, OpsError> {
        check_create(request)?;
        let mut service = self.empty_service(arn, request, working(request)?)?;
        service.controller = controller(request)?;
        service.desired = u32::try_from(request.desired_count.unwrap_or(0))
            .map_err(|_| invalid("The desired count must not be negative."))?;
        Ok(ServiceRecord {
            arn: arn.clone(),
            created_with: request.clone(),
            spec: request.clone(),
            launch_type: LaunchType::Fargate,
            service,
            task_sets: std::collections::BTreeMap::new(),
        })
    }

    /// A service before its first deployment.
    fn empty_service(
        &self,
        arn: &crate::ecs::arn::ServiceArn,
        request: &CreateServiceRequest,
        working: Working,
    ) -> Result<Service, OpsError> {
        Ok(Service {
            name: arn.name.clone(),
            status: ServiceStatus::Active,
            working,
            desired: 0,
            config: deployment(request)?,
            grace: grace(request.health_check_grace_period_seconds)?,
            placement: rules(
                request.placement_constraints.as_deref().unwrap_or_default(),
                request.placement_strategy.as_deref().unwrap_or_default(),
            )?,
            deployments: Vec::new(),
            completed: None,
            tasks: Vec::new(),
            gone: Vec::new(),
            rollouts: Vec::new(),
            events: Vec::new(),
            told: 0,
            steady: None,
            time_scale: self.config.time_scale.millionths(),
            boot_id: boot_id()?,
            created_at: now().wall,
            controller: Controller::Ecs,
            task_sets: Vec::new(),
        })
    }

    /// A deployment of what is in force: its number, and what it freezes under that.
    pub(super) fn deploy(
        &self,
        spec: &CreateServiceRequest,
        definition: &ValidTaskDefinition,
        number: u32,
        launch_type: LaunchType,
    ) -> Result<(Deploy, RevisionRecord), OpsError> {
        let id = digits(19);
        let short = format!("{}:{number}", definition.family());
        let containers = definition.containers();
        let revision = RevisionRecord {
            definition: short.clone(),
            network: spec.network_configuration.clone(),
            launch_type,
            strategy: spec.capacity_provider_strategy.clone().unwrap_or_default(),
            volumes: spec.volume_configurations.clone().unwrap_or_default(),
            platform_version: spec.platform_version.clone(),
            images: containers.map(|one| (one.name().to_owned(), one.image().to_owned())).collect(),
            pinned: std::collections::BTreeMap::new(),
            created_at: now().wall,
        };
        let requirements = Requirements { constraints: constraints(definition)?, ..requirements(definition) };
        Ok((Deploy { id, rollout: letters(21), definition: short, requirements }, revision))
    }
}

/// What tasks run on: as asked for, else what the definition is for.
pub(in crate::ops) fn launch_type(
    asked: Option<LaunchType>,
    definition: &ValidTaskDefinition,
) -> Result<LaunchType, EcsError> {
    match asked {
        None if definition.is_fargate() => Ok(LaunchType::Fargate),
        None | Some(LaunchType::Ec2) => Ok(LaunchType::Ec2),
        Some(LaunchType::Fargate) if definition.is_fargate() => Ok(LaunchType::Fargate),
        Some(LaunchType::Fargate) => Err(invalid("Task definition does not support launch_type FARGATE.")),
        Some(LaunchType::External) => Err(super::config::unsupported("launchType EXTERNAL")),
        Some(LaunchType::ManagedInstances) => Err(super::config::unsupported("launchType MANAGED_INSTANCES")),
    }
}

/// `healthCheckGracePeriodSeconds` in milliseconds.
pub(super) fn grace(seconds: Option<i32>) -> Result<u64, EcsError> {
    let seconds = u64::try_from(seconds.unwrap_or(0));
    seconds.map(|seconds| seconds * 1000).map_err(|_| invalid("healthCheckGracePeriodSeconds must not be negative."))
}

pub(super) fn boot_id() -> Result<String, OpsError> {
    let fail = |source| OpsError::File { verb: "read", path: "/proc/sys/kernel/random/boot_id".into(), source };
    pidfd::boot_id().map_err(fail)
}

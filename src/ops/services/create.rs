//! CreateService.

use super::super::capacity::{constraints, requirements, rules};
use super::super::{Engine, OpsError};
use super::config::{check_network, deployment, invalid, refuse_create, working};
use super::record::{RevisionRecord, ServiceRecord, digits, letters, now};
use crate::ecs::LaunchType;
use crate::ecs::arn::is_name;
use crate::ecs::error::EcsError;
use crate::ecs::service::{CreateServiceRequest, ServiceResponse};
use crate::scheduler::{Deploy, Requirements, Service, ServiceStatus, Working, begin};
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
            let (record, revision, id) = self.new_service(&arn, request)?;
            let txn = match &old {
                Some(old) => Txn::default().require_unchanged(&key, old.revision),
                None => Txn::default().require_absent(&key),
            };
            let txn = txn.put(&key, &record).put(records::revision(&key, &id), &revision);
            if self.store.commit(&txn)? == Commit::Done {
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
    ) -> Result<(ServiceRecord, RevisionRecord, String), OpsError> {
        refuse_create(request)?;
        let working = working(request)?;
        let name = request.task_definition.as_deref().unwrap_or_default();
        let (definition, number) = self.runnable(name, None)?;
        check_network(self, &definition, request.network_configuration.as_ref())?;
        let launch_type = launch_type(request.launch_type, &definition)?;
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
        let now = now();
        let mut service = Service {
            name: arn.name.clone(),
            status: ServiceStatus::Active,
            working,
            desired,
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
            created_at: now.wall,
        };
        let (deploy, revision) = self.deploy(request, &definition, number, launch_type)?;
        let id = deploy.id.clone();
        begin(&mut service, deploy, now.wall);
        let task_definition = Some(revision.definition.clone());
        let (created_with, spec) = (request.clone(), CreateServiceRequest { task_definition, ..request.clone() });
        Ok((ServiceRecord { arn: arn.clone(), created_with, spec, launch_type, service }, revision, id))
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

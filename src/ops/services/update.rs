//! UpdateService, and what it would do: a new deployment or not, why, and which tasks in which order.

use serde::Serialize;

use super::super::capacity::rules;
use super::super::{Engine, OpsError};
use super::config::{check_network, check_volumes, check_words, deployment, invalid, refuse_update};
use super::create::{grace, launch_type};
use super::outside;
use super::record::{RevisionRecord, ServiceRecord, now};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::service::{CreateServiceRequest, DeploymentController, ServiceResponse, UpdateServiceRequest};
use crate::lifecycle::{LastStatus, Now};
use crate::scheduler::{
    Change, Health, Instance, Member, Observed, RolloutState, Service, ServiceStatus, Standing, Working, begin,
    reconcile,
};
use crate::store::{Commit, Entry, Txn, records};

const ATTEMPTS: usize = 20;
/// How many rounds of a roll-over are shown before.
const ROUNDS: usize = 50;

/// What an update would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Whether a new deployment begins.
    pub new_deployment: bool,
    /// The members of the request that ask for it, or that hold for tasks started later.
    pub because_of: Vec<String>,
    /// The definition in force, and the one to come.
    pub task_definition: (String, String),
    /// The count in force, and the one to come.
    pub desired_count: (u32, u32),
    /// What happens one after the other, if every new task becomes healthy.
    pub steps: Vec<PreviewStep>,
    /// Whether floor and ceiling leave nothing that can be done.
    pub blocked: bool,
}

/// One round: tasks that are stopped and tasks that are started together, before the next round waits until they are healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PreviewStep {
    /// The ids of tasks to stop; those of new ones are not known yet.
    pub stop: Vec<String>,
    /// How many are started.
    pub start: usize,
}

/// A service as it would be.
struct Updated {
    record: ServiceRecord,
    revision: Option<(String, RevisionRecord)>,
    reasons: Vec<String>,
}

impl Engine {
    /// UpdateService.
    pub fn update_service(&mut self, request: &UpdateServiceRequest) -> Result<ServiceResponse, OpsError> {
        for _ in 0..ATTEMPTS {
            let entry = self.active(request.cluster.as_deref(), &request.service)?;
            let updated = self.updated(&entry.value, request)?;
            let mut txn = Txn::default().require_unchanged(&entry.key, entry.revision).put(&entry.key, &updated.record);
            if let Some((id, revision)) = &updated.revision {
                txn = txn.put(records::revision(&entry.key, id), revision);
            }
            if self.store.commit_durably(&txn)? == Commit::Done {
                self.wake(&entry.key)?;
                return Ok(ServiceResponse { service: self.service_view(&updated.record) });
            }
        }
        Err(OpsError::Contention)
    }

    /// What an update would do, and does not.
    pub fn preview_update(&mut self, request: &UpdateServiceRequest) -> Result<Preview, OpsError> {
        let entry = self.active(request.cluster.as_deref(), &request.service)?;
        let updated = self.updated(&entry.value, request)?;
        let updated_record = updated.record;
        let (old, new) = (&entry.value.service, updated_record.service.clone());
        let name = |service: &Service| service.primary().map(|one| one.definition.clone()).unwrap_or_default();
        let definitions: Vec<String> = new.deployments.iter().map(|one| one.definition.clone()).collect();
        let instances = self.instances_for_service(&updated_record, &definitions)?;
        let (definitions, desired) = ((name(old), name(&new)), (old.desired, new.desired));
        let (steps, blocked) = rehearse(new, &instances, now());
        Ok(Preview {
            new_deployment: updated.revision.is_some(),
            because_of: updated.reasons,
            task_definition: definitions,
            desired_count: desired,
            steps,
            blocked,
        })
    }

    /// A service that can be changed.
    pub(super) fn active(&self, cluster: Option<&str>, name: &str) -> Result<Entry<ServiceRecord>, OpsError> {
        let arn = self.service_arn(cluster, name)?;
        let entry = self.service_entry(&arn)?.ok_or_else(EcsError::service_not_found)?;
        match entry.value.service.status {
            ServiceStatus::Active => Ok(entry),
            ServiceStatus::Draining | ServiceStatus::Inactive => {
                Err(EcsError::new(Exception::ServiceNotActiveException, "Service was not ACTIVE.").into())
            }
        }
    }

    fn updated(&mut self, old: &ServiceRecord, request: &UpdateServiceRequest) -> Result<Updated, OpsError> {
        refuse_update(request)?;
        let spec = merged(&old.spec, request);
        check_words(&spec)?;
        let is_other = |given: &DeploymentController| controller_word(&old.spec) != given.r#type;
        if request.deployment_controller.as_ref().is_some_and(is_other) {
            return Err(invalid("The deploymentController of a service cannot be changed.").into());
        }
        if old.service.controller.is_outside() {
            let record = outside::updated(old, request)?;
            return Ok(Updated { record, revision: None, reasons: later(request) });
        }
        let mut record = ServiceRecord { spec, ..old.clone() };
        let service = &mut record.service;
        match (service.working, request.desired_count) {
            (_, None) => {}
            (Working::Daemon, Some(_)) => {
                return Err(invalid("The desiredCount cannot be specified with the DAEMON scheduling strategy.").into());
            }
            (Working::Replica, Some(count)) => {
                service.desired =
                    u32::try_from(count).map_err(|_| invalid("The desired count must not be negative."))?;
            }
        }
        service.config = deployment(&record.spec)?;
        service.grace = grace(record.spec.health_check_grace_period_seconds)?;
        service.placement = rules(
            record.spec.placement_constraints.as_deref().unwrap_or_default(),
            record.spec.placement_strategy.as_deref().unwrap_or_default(),
        )?;
        let in_use = service.primary().map(|primary| primary.definition.clone());
        let name = match &request.task_definition {
            Some(name) => name.clone(),
            None => in_use.clone().unwrap_or_default(),
        };
        let (definition, number) = self.runnable(&name, in_use.as_deref())?;
        check_volumes(&definition, record.spec.volume_configurations.as_deref())?;
        if request.capacity_provider_strategy.is_some() {
            let given = record.spec.capacity_provider_strategy.as_deref();
            let spread = self.spread(&record.arn.cluster, None, given)?;
            let asked = spread.as_ref().map_or(record.launch_type, |spread| spread.launch_type);
            record.launch_type = launch_type(Some(asked), &definition)?;
            record.spec.capacity_provider_strategy = spread.map(|spread| spread.items);
        }
        let changes = in_use != Some(format!("{}:{number}", definition.family()));
        record.spec.task_definition = Some(format!("{}:{number}", definition.family()));
        let reasons = reasons(&old.spec, request, changes);
        let now = now();
        if let Some(primary) = service.deployments.first_mut() {
            primary.backoff = None; // an update is a new beginning
            primary.updated_at = now.wall;
        }
        if self.config.time_scale != super::super::TimeScale::default() {
            service.time_scale = self.config.time_scale.millionths();
        }
        if reasons.is_empty() {
            return Ok(Updated { record, revision: None, reasons: later(request) });
        }
        check_network(self, &definition, record.spec.network_configuration.as_ref())?;
        let (deploy, revision) = self.deploy(&record.spec, &definition, number, record.launch_type)?;
        let id = deploy.id.clone();
        begin(&mut record.service, deploy, now.wall);
        Ok(Updated { record, revision: Some((id, revision)), reasons })
    }
}

/// The word for who controls the deployments of a service.
pub(super) fn controller_word(spec: &CreateServiceRequest) -> &str {
    spec.deployment_controller.as_ref().map_or("ECS", |controller| controller.r#type.as_str())
}

/// What is in force after an update.
pub(super) fn merged(old: &CreateServiceRequest, request: &UpdateServiceRequest) -> CreateServiceRequest {
    let request = request.clone();
    CreateServiceRequest {
        task_definition: request.task_definition.or_else(|| old.task_definition.clone()),
        desired_count: request.desired_count.or(old.desired_count),
        platform_version: request.platform_version.or_else(|| old.platform_version.clone()),
        deployment_configuration: request.deployment_configuration.or_else(|| old.deployment_configuration.clone()),
        network_configuration: request.network_configuration.or_else(|| old.network_configuration.clone()),
        health_check_grace_period_seconds: request
            .health_check_grace_period_seconds
            .or(old.health_check_grace_period_seconds),
        volume_configurations: request.volume_configurations.or_else(|| old.volume_configurations.clone()),
        capacity_provider_strategy: request
            .capacity_provider_strategy
            .or_else(|| old.capacity_provider_strategy.clone()),
        placement_constraints: request.placement_constraints.or_else(|| old.placement_constraints.clone()),
        placement_strategy: request.placement_strategy.or_else(|| old.placement_strategy.clone()),
        availability_zone_rebalancing: request
            .availability_zone_rebalancing
            .or_else(|| old.availability_zone_rebalancing.clone()),
        enable_ecs_managed_tags: request.enable_ecs_managed_tags.or(old.enable_ecs_managed_tags),
        propagate_tags: request.propagate_tags.or_else(|| old.propagate_tags.clone()),
        enable_execute_command: request.enable_execute_command.or(old.enable_execute_command),
        ..old.clone()
    }
}

/// The members of a request that begin a deployment (ECS API reference, UpdateService): those that say something new.
fn reasons(old: &CreateServiceRequest, request: &UpdateServiceRequest, definition_changes: bool) -> Vec<String> {
    let new = |given: bool, same: bool| given && !same;
    let network = &request.network_configuration;
    let platform = &request.platform_version;
    let volumes = &request.volume_configurations;
    let members = [
        (definition_changes, "taskDefinition"),
        (new(network.is_some(), *network == old.network_configuration), "networkConfiguration"),
        (new(platform.is_some(), *platform == old.platform_version), "platformVersion"),
        (new(volumes.is_some(), *volumes == old.volume_configurations), "volumeConfigurations"),
        (request.force_new_deployment == Some(true), "forceNewDeployment"),
    ];
    members.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned()).collect()
}

/// Those that hold for what comes.
fn later(request: &UpdateServiceRequest) -> Vec<String> {
    let members = [
        (request.desired_count.is_some(), "desiredCount"),
        (request.deployment_configuration.is_some(), "deploymentConfiguration"),
        (request.health_check_grace_period_seconds.is_some(), "healthCheckGracePeriodSeconds"),
        (request.capacity_provider_strategy.is_some(), "capacityProviderStrategy"),
        (request.placement_constraints.is_some(), "placementConstraints"),
        (request.placement_strategy.is_some(), "placementStrategy"),
        (request.availability_zone_rebalancing.is_some(), "availabilityZoneRebalancing"),
        (request.enable_execute_command.is_some(), "enableExecuteCommand"),
        (request.propagate_tags.is_some(), "propagateTags"),
        (request.enable_ecs_managed_tags.is_some(), "enableECSManagedTags"),
    ];
    members.into_iter().filter(|(is, _)| *is).map(|(_, name)| name.to_owned()).collect()
}

/// Plays a deployment through in a world where every task becomes healthy.
fn rehearse(mut service: Service, instances: &[Instance], mut now: Now) -> (Vec<PreviewStep>, bool) {
    let mut steps = Vec::new();
    let (mut number, mut instances) = (0, instances.to_vec());
    for _ in 0..ROUNDS {
        let tasks: Vec<Observed> = service.tasks.iter().map(as_healthy).collect();
        let outcome = reconcile(&mut service, &tasks, &instances, now, &mut || {
            number += 1;
            format!("new-{number}")
        });
        let mut step = PreviewStep::default();
        for change in outcome.changes {
            match change {
                Change::Stop { task, .. } => step.stop.push(task),
                Change::Start { deployment, instance, .. } => {
                    step.start += 1;
                    let needs = service.deployments.iter().find(|one| one.id == deployment);
                    let host = instances.iter_mut().find(|one| one.id == instance);
                    host.into_iter().zip(needs).for_each(|(host, one)| host.take(&one.requirements));
                }
            }
        }
        let rests = step == PreviewStep::default() && service.tasks.iter().all(Member::is_alive);
        steps.extend(Some(step).filter(|step| *step != PreviewStep::default()));
        if rests {
            break;
        }
        now.boot += 1;
    }
    let blocked = service.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress)
        && service.config.bake == 0;
    (steps, blocked)
}

fn as_healthy(member: &Member) -> Observed {
    let ending = member.standing == Standing::Ending;
    Observed {
        id: member.id.clone(),
        status: if ending { LastStatus::Stopped } else { LastStatus::Running },
        stops: ending,
        ran: true,
        failed: false,
        health: Health::Healthy,
        protected: member.protected,
    }
}

//! A service as DescribeServices answers it.

use super::super::Engine;
use super::record::{RevisionRecord, ServiceRecord};
use super::update::controller_word;
use crate::ecs::arn::TaskDefinitionArn;
use crate::ecs::service::{
    CircuitBreaker, Deployment, DeploymentConfiguration, DeploymentController, RevisionSummary, Service, ServiceEvent,
};
use crate::ecs::{LaunchType, Timestamp};
use crate::lifecycle;
use crate::scheduler::{self, Member, RolloutState, ServiceStatus, Standing, Working};
use crate::store::records;

const PLATFORM_VERSION: &str = "1.4.0";

pub(super) fn time(at: lifecycle::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}

/// How many of some tasks run, and how many are on their way.
pub(super) fn counts<'a>(tasks: impl Iterator<Item = &'a Member>) -> (u32, u32) {
    tasks.fold((0, 0), |(running, pending), member| match member.standing {
        Standing::Young | Standing::Healthy | Standing::Unhealthy => (running + 1, pending),
        Standing::Pending => (running, pending + 1),
        Standing::Ending => (running, pending),
    })
}

impl ServiceRecord {
    pub(super) fn definition_arn(&self, short: &str) -> TaskDefinitionArn {
        let (family, revision) = short.rsplit_once(':').unwrap_or((short, "0"));
        self.arn.owner.task_definition(family, revision.parse().unwrap_or_default())
    }

    pub(super) fn summary(&self, revision: &str) -> RevisionSummary {
        let of = || self.service.tasks.iter().filter(|member| member.deployment == revision);
        let (running_task_count, pending_task_count) = counts(of());
        let primary = self.service.primary().is_some_and(|primary| primary.id == revision);
        let requested = if primary { self.service.desired } else { running_task_count + pending_task_count };
        RevisionSummary {
            arn: self.arn.revision(revision),
            requested_task_count: requested,
            running_task_count,
            pending_task_count,
        }
    }

    /// Its launch type, where it is not capacity providers or task sets that say what its tasks run on.
    pub(super) fn shown_launch_type(&self) -> Option<LaunchType> {
        let strategy = self.spec.capacity_provider_strategy.as_ref().is_some_and(|items| !items.is_empty());
        Some(self.launch_type).filter(|_| !strategy && !self.service.controller.is_outside())
    }

    pub(super) fn platform(&self) -> (Option<String>, Option<String>) {
        match self.launch_type {
            LaunchType::Fargate if self.service.controller.is_outside() => (None, None),
            LaunchType::Fargate => {
                let asked = self.spec.platform_version.clone().filter(|version| version != "LATEST");
                (asked.or_else(|| Some(PLATFORM_VERSION.to_owned())), Some("Linux".to_owned()))
            }
            LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => (None, None),
        }
    }

    pub(super) fn configuration(&self) -> DeploymentConfiguration {
        let config = &self.service.config;
        let given = self.spec.deployment_configuration.clone().unwrap_or_default();
        let off = CircuitBreaker::default();
        DeploymentConfiguration {
            deployment_circuit_breaker: Some(given.deployment_circuit_breaker.clone().unwrap_or(off)),
            maximum_percent: i32::try_from(config.maximum_percent).ok(),
            minimum_healthy_percent: i32::try_from(config.minimum_healthy_percent).ok(),
            strategy: Some("ROLLING".to_owned()),
            bake_time_in_minutes: Some(given.bake_time_in_minutes.unwrap_or(0)),
            ..given
        }
    }
}

impl Engine {
    /// The whole service, without its tags.
    pub(in crate::ops) fn service_view(&self, record: &ServiceRecord) -> Service {
        let (spec, service) = (&record.spec, &record.service);
        let (running_count, pending_count) = counts(service.tasks.iter());
        let (platform_version, platform_family) = record.platform();
        let own = if service.controller.is_outside() { &[][..] } else { service.deployments.as_slice() };
        let deployments: Vec<Deployment> =
            own.iter().enumerate().map(|(place, one)| self.deployment_view(record, place, one)).collect();
        let definition = service.primary().map(|primary| primary.definition.clone());
        let definition = definition.filter(|_| !service.controller.is_outside());
        let definition = definition.or_else(|| spec.task_definition.clone());
        let strategy = spec.capacity_provider_strategy.clone().unwrap_or_default();
        let launch_type = record.shown_launch_type();
        Service {
            service_arn: record.arn.clone(),
            service_name: service.name.clone(),
            cluster_arn: record.arn.owner.cluster(&record.arn.cluster),
            load_balancers: Vec::new(),
            service_registries: Vec::new(),
            status: status(service.status).to_owned(),
            desired_count: service.desired,
            running_count,
            pending_count,
            launch_type,
            capacity_provider_strategy: strategy,
            platform_version,
            platform_family,
            task_definition: definition.map(|definition| record.definition_arn(&definition)),
            deployment_configuration: record.configuration(),
            task_sets: service.task_sets.iter().map(|set| self.task_set_view(record, set)).collect(),
            deployments,
            events: service.events.iter().map(|event| event_view(record, event)).collect(),
            created_at: time(service.created_at),
            current_service_deployment: service.rollouts.first().map(|one| record.arn.deployment(&one.id)),
            current_service_revisions: own.iter().map(|one| record.summary(&one.id)).collect(),
            placement_constraints: spec.placement_constraints.clone().unwrap_or_default(),
            placement_strategy: spec.placement_strategy.clone().unwrap_or_default(),
            network_configuration: spec.network_configuration.clone(),
            health_check_grace_period_seconds: spec.health_check_grace_period_seconds,
            scheduling_strategy: match service.working {
                Working::Replica => "REPLICA".to_owned(),
                Working::Daemon => "DAEMON".to_owned(),
            },
            deployment_controller: DeploymentController { r#type: controller_word(spec).to_owned() },
            tags: Vec::new(),
            enable_ecs_managed_tags: spec.enable_ecs_managed_tags.unwrap_or(false),
            propagate_tags: spec.propagate_tags.clone().unwrap_or_else(|| "NONE".to_owned()),
            enable_execute_command: spec.enable_execute_command.unwrap_or(false),
            availability_zone_rebalancing: spec
                .availability_zone_rebalancing
                .clone()
                .unwrap_or_else(|| "DISABLED".to_owned()),
            role_arn: spec.role.clone(),
            resource_management_type: "CUSTOMER".to_owned(),
        }
    }

    fn deployment_view(&self, record: &ServiceRecord, place: usize, one: &scheduler::Deployment) -> Deployment {
        let summary = record.summary(&one.id);
        let (platform_version, platform_family) = record.platform();
        let key = records::revision(&Self::service_key(&record.arn), &one.id);
        let frozen = self.store.get::<RevisionRecord>(&key).ok().flatten();
        let strategy = frozen.as_ref().map(|frozen| frozen.value.strategy.clone()).unwrap_or_default();
        let volumes = frozen.as_ref().map(|frozen| frozen.value.volumes.clone()).unwrap_or_default();
        let network = frozen.map_or_else(|| record.spec.network_configuration.clone(), |frozen| frozen.value.network);
        Deployment {
            id: format!("ecs-svc/{}", one.id),
            status: if place == 0 { "PRIMARY" } else { "ACTIVE" }.to_owned(),
            task_definition: record.definition_arn(&one.definition),
            desired_count: summary.requested_task_count,
            pending_count: summary.pending_task_count,
            running_count: summary.running_task_count,
            failed_tasks: one.failed_tasks,
            created_at: time(one.created_at),
            updated_at: time(one.updated_at),
            launch_type: Some(record.launch_type).filter(|_| strategy.is_empty()),
            capacity_provider_strategy: strategy,
            platform_version,
            platform_family,
            network_configuration: network,
            volume_configurations: volumes,
            rollout_state: match one.rollout {
                RolloutState::InProgress => "IN_PROGRESS",
                RolloutState::Completed => "COMPLETED",
                RolloutState::Failed => "FAILED",
            }
            .to_owned(),
            rollout_state_reason: one.reason.clone(),
        }
    }
}

/// An event's id is made of what tells it from all others.
fn event_view(record: &ServiceRecord, event: &scheduler::ServiceEvent) -> ServiceEvent {
    let name = record
        .service
        .name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let seed = u128::from(name) << 64 | u128::from(event.number);
    let id = uuid::Builder::from_random_bytes(seed.to_be_bytes()).into_uuid().to_string();
    ServiceEvent { id, created_at: time(event.at), message: event.message.clone() }
}

fn status(status: ServiceStatus) -> &'static str {
    match status {
        ServiceStatus::Active => "ACTIVE",
        ServiceStatus::Draining => "DRAINING",
        ServiceStatus::Inactive => "INACTIVE",
    }
}

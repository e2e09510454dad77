//! Services with an outside deployment controller: what CreateService and UpdateService take of them, and how their task sets are
//! shown.

use super::super::Engine;
use super::config::{deployment, invalid, unsupported};
use super::create::grace;
use super::record::{RevisionRecord, ServiceRecord, now};
use super::update::merged;
use super::view::{counts, time};
use crate::ecs::error::EcsError;
use crate::ecs::service::{CreateServiceRequest, UpdateServiceRequest};
use crate::ecs::task_set::{self, Scale};
use crate::ecs::{LaunchType, Timestamp};
use crate::scheduler::{Controller, Role, TaskSet};
use crate::store::records;

/// Who controls the deployments of a service.
pub(super) fn controller(spec: &CreateServiceRequest) -> Result<Controller, EcsError> {
    match spec.deployment_controller.as_ref().map(|controller| controller.r#type.as_str()) {
        None | Some("ECS") => Ok(Controller::Ecs),
        Some("EXTERNAL") => Ok(Controller::External),
        // A service of CodeDeploy's cannot be without a load balancer.
        Some("CODE_DEPLOY") => Err(unsupported("deploymentController CODE_DEPLOY")),
        Some(other) => Err(invalid(format!("Invalid deploymentController: {other}"))),
    }
}

/// What belongs to task sets cannot be said of the service.
pub(super) fn check_create(spec: &CreateServiceRequest) -> Result<(), EcsError> {
    let members = [
        (spec.task_definition.is_some(), "TaskDefinition"),
        (spec.network_configuration.is_some(), "NetworkConfiguration"),
        (spec.platform_version.is_some(), "PlatformVersion"),
        (spec.launch_type.is_some(), "LaunchType"),
        (spec.capacity_provider_strategy.is_some(), "CapacityProviderStrategy"),
        (spec.volume_configurations.is_some(), "VolumeConfigurations"),
        (spec.scheduling_strategy.as_deref() == Some("DAEMON"), "SchedulingStrategy DAEMON"),
    ];
    match members.into_iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, "SchedulingStrategy DAEMON")) => {
            Err(invalid("The DAEMON scheduling strategy is not supported for the EXTERNAL deployment controller."))
        }
        Some((_, name)) => Err(invalid(format!("{name} must be blank"))),
    }
}

/// A service as an update leaves it.
pub(super) fn updated(old: &ServiceRecord, request: &UpdateServiceRequest) -> Result<ServiceRecord, EcsError> {
    let members = [
        (request.task_definition.is_some(), "task definition"),
        (request.network_configuration.is_some(), "network configuration"),
        (request.platform_version.is_some(), "platform version"),
        (request.capacity_provider_strategy.is_some(), "capacity provider strategy"),
        (request.force_new_deployment == Some(true), "deployment"),
    ];
    if let Some((_, what)) = members.into_iter().find(|(given, _)| *given) {
        return Err(invalid(format!(
            "Unable to update {what} on services with an EXTERNAL deployment controller. Use task sets instead."
        )));
    }
    let mut record = ServiceRecord { spec: merged(&old.spec, request), ..old.clone() };
    if let Some(count) = request.desired_count {
        record.service.desired =
            u32::try_from(count).map_err(|_| invalid("The desired count must not be negative."))?;
    }
    record.service.config = deployment(&record.spec)?;
    record.service.grace = grace(record.spec.health_check_grace_period_seconds)?;
    for one in &mut record.service.deployments {
        one.backoff = None; // an update is a new beginning
    }
    Ok(record)
}

impl Engine {
    /// What a deployment, or a task set, froze.
    fn revision_of(&self, record: &ServiceRecord, id: &str) -> Option<RevisionRecord> {
        let key = records::revision(&Self::service_key(&record.arn), id);
        self.store.get::<RevisionRecord>(&key).ok().flatten().map(|entry| entry.value)
    }

    /// A task set, without its tags.
    pub(super) fn task_set_view(&self, record: &ServiceRecord, set: &TaskSet) -> task_set::TaskSet {
        let made = record.task_sets.get(&set.id).cloned().unwrap_or_default();
        let deployment = record.service.deployments.iter().find(|one| one.id == set.id);
        let of = || record.service.tasks.iter().filter(|member| member.deployment == set.id);
        let (running_count, pending_count) = counts(of());
        let frozen = self.revision_of(record, &set.id);
        let launch_type = frozen.as_ref().map_or(record.launch_type, |frozen| frozen.launch_type);
        let strategy = frozen.as_ref().map(|frozen| frozen.strategy.clone()).unwrap_or_default();
        let definition = deployment.map(|one| one.definition.clone()).or(frozen.map(|frozen| frozen.definition));
        let fargate = |text: &str| (launch_type == LaunchType::Fargate).then(|| text.to_owned());
        let at = |at: crate::lifecycle::Timestamp| time(at);
        let created_at = deployment.map_or(Timestamp::from_millis(0), |one| at(one.created_at));
        task_set::TaskSet {
            id: format!("ecs-svc/{}", set.id),
            task_set_arn: record.arn.task_set(&set.id),
            service_arn: record.arn.clone(),
            cluster_arn: record.arn.owner.cluster(&record.arn.cluster),
            external_id: made.external_id,
            status: match set.role {
                Role::Primary => "PRIMARY",
                Role::Active => "ACTIVE",
                Role::Draining => "DRAINING",
            }
            .to_owned(),
            task_definition: record.definition_arn(&definition.unwrap_or_default()),
            computed_desired_count: set.wanted(record.service.desired),
            pending_count,
            running_count,
            created_at,
            updated_at: deployment.map_or(created_at, |one| at(one.updated_at)),
            launch_type: strategy.is_empty().then_some(launch_type),
            capacity_provider_strategy: strategy,
            platform_version: made.platform_version.filter(|one| one != "LATEST").or_else(|| fargate("1.4.0")),
            platform_family: fargate("Linux"),
            network_configuration: made.network_configuration,
            load_balancers: Vec::new(),
            service_registries: Vec::new(),
            scale: Scale { value: Some(set.scale), unit: Some("PERCENT".to_owned()) },
            stability_status: if set.stable { "STEADY_STATE" } else { "STABILIZING" }.to_owned(),
            // ECS's words: when the status was retrieved.
            stability_status_at: time(now().wall),
            tags: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> CreateServiceRequest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_belongs_to_task_sets_is_refused_by_its_name() {
        for (text, message) in [
            (r#"{"taskDefinition": "web"}"#, "TaskDefinition must be blank"),
            (r#"{"launchType": "FARGATE"}"#, "LaunchType must be blank"),
            (r#"{"schedulingStrategy": "DAEMON"}"#, "The DAEMON scheduling strategy is not supported"),
        ] {
            let error = check_create(&spec(text)).unwrap_err().message;
            assert!(error.starts_with(message), "{error}");
        }
        assert!(check_create(&spec(r#"{"serviceName": "web", "desiredCount": 2}"#)).is_ok());
    }

    #[test]
    fn a_controller_is_one_of_those_that_there_are() {
        let of = |kind: &str| controller(&spec(&format!(r#"{{"deploymentController": {{"type": "{kind}"}}}}"#)));
        assert_eq!((of("ECS"), of("EXTERNAL")), (Ok(Controller::Ecs), Ok(Controller::External)));
        assert!(of("CODE_DEPLOY").unwrap_err().message.contains("CODE_DEPLOY"));
        assert!(of("MOON").is_err());
    }
}

//! From what a request says to what the scheduler counts with. What berth does not do is refused by name.

use serde_json::Value;

use super::super::{Engine, OpsError};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::service::{
    CircuitBreaker, CreateServiceRequest, DeploymentConfiguration, EarlySuccessCriteria, NetworkConfiguration,
    ThresholdConfiguration, UpdateServiceRequest,
};
use crate::ecs::task_definition::NetworkMode;
use crate::ecs::volume::TaskVolumeConfiguration;
use crate::plan::check_at_launch;
use crate::scheduler::{Breaker, Cleanup, DeploymentConfig, EarlySuccess, Threshold, Working};
use crate::validate::ValidTaskDefinition;

const MINUTE: u64 = 60_000;

/// How a service counts.
pub(super) fn working(spec: &CreateServiceRequest) -> Result<Working, EcsError> {
    match spec.scheduling_strategy.as_deref() {
        None | Some("REPLICA") => Ok(Working::Replica),
        Some("DAEMON") => Ok(Working::Daemon),
        Some(other) => Err(EcsError::invalid_parameter(format!("Invalid schedulingStrategy: {other}"))),
    }
}

/// How its deployments go.
pub(super) fn deployment(spec: &CreateServiceRequest) -> Result<DeploymentConfig, EcsError> {
    let working = working(spec)?;
    let mut config = DeploymentConfig::default_for(working);
    let Some(given) = &spec.deployment_configuration else { return Ok(config) };
    refuse(given)?;
    let percent = |value: Option<i32>, default: u32, name: &str| match value {
        None => Ok(default),
        Some(value) => u32::try_from(value).map_err(|_| invalid(format!("{name} must not be negative."))),
    };
    config.maximum_percent = percent(given.maximum_percent, config.maximum_percent, "maximumPercent")?;
    config.minimum_healthy_percent =
        percent(given.minimum_healthy_percent, config.minimum_healthy_percent, "minimumHealthyPercent")?;
    match (working, config.minimum_healthy_percent, config.maximum_percent) {
        (_, low, _) if low > 100 => return Err(invalid("minimumHealthyPercent must not be above 100.")),
        (Working::Daemon, _, high) if high > 100 => {
            return Err(invalid("maximumPercent must not be above 100 for the DAEMON scheduling strategy."));
        }
        (Working::Replica, _, high) if high < 100 => return Err(invalid("maximumPercent must be at least 100.")),
        (Working::Replica, 100, 100) => {
            return Err(invalid(
                "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments",
            ));
        }
        _ => {}
    }
    config.breaker = given.deployment_circuit_breaker.as_ref().map_or(Ok(config.breaker), breaker)?;
    config.bake = match given.bake_time_in_minutes {
        None => 0,
        Some(minutes @ 0..=1440) => u64::from(minutes.unsigned_abs()) * MINUTE,
        Some(_) => return Err(invalid("bakeTimeInMinutes must be between 0 and 1440.")),
    };
    config.early_success = given.early_success_criteria.as_ref().map(early_success).transpose()?;
    Ok(config)
}

fn breaker(given: &CircuitBreaker) -> Result<Breaker, EcsError> {
    Ok(Breaker {
        enable: given.enable,
        rollback: given.rollback,
        reset_on_healthy: given.reset_on_healthy_task.unwrap_or(true),
        threshold: given.threshold_configuration.as_ref().map_or(Ok(Breaker::default().threshold), threshold)?,
    })
}

fn threshold(given: &ThresholdConfiguration) -> Result<Threshold, EcsError> {
    let value = |default: Option<i32>| {
        let value = given.value.or(default).and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0);
        value.ok_or_else(|| invalid("thresholdConfiguration.value must be at least 1."))
    };
    match given.r#type.as_str() {
        "COUNT" => value(None).map(Threshold::Count),
        "BOUNDED_PERCENT" => value(Some(50)).map(Threshold::BoundedPercent),
        "UNBOUNDED_PERCENT" => value(Some(50)).map(Threshold::UnboundedPercent),
        other => Err(invalid(format!("Invalid thresholdConfiguration.type: {other}"))),
    }
}

fn early_success(given: &EarlySuccessCriteria) -> Result<EarlySuccess, EcsError> {
    let healthy_percent = match given.healthy_percent.unwrap_or(100) {
        percent @ 1..=100 => percent.unsigned_abs(),
        _ => return Err(invalid("earlySuccessCriteria.healthyPercent must be between 1 and 100.")),
    };
    let cleanup = match given.cleanup.as_deref() {
        None | Some("BLOCKING") => Cleanup::Blocking,
        Some("DEFERRED") => Cleanup::Deferred,
        Some(other) => return Err(invalid(format!("Invalid earlySuccessCriteria.cleanup: {other}"))),
    };
    Ok(EarlySuccess { healthy_percent, cleanup })
}

fn refuse(given: &DeploymentConfiguration) -> Result<(), EcsError> {
    if given.strategy.as_deref().is_some_and(|strategy| strategy != "ROLLING") {
        return Err(unsupported("deploymentConfiguration.strategy other than ROLLING"));
    }
    if given.alarms.as_ref().is_some_and(|alarms| alarms["enable"] == Value::Bool(true)) {
        return Err(unsupported("deploymentConfiguration.alarms that are enabled"));
    }
    let members = [
        (&given.lifecycle_hooks, "deploymentConfiguration.lifecycleHooks"),
        (&given.linear_configuration, "deploymentConfiguration.linearConfiguration"),
        (&given.canary_configuration, "deploymentConfiguration.canaryConfiguration"),
    ];
    members.into_iter().try_for_each(|(value, name)| refuse_value(value.as_ref(), name))
}

/// What is not done yet: asked for in earnest, it is refused by its name.
pub(super) fn refuse_create(spec: &CreateServiceRequest) -> Result<(), EcsError> {
    let members = [
        (&spec.load_balancers, "loadBalancers"),
        (&spec.service_registries, "serviceRegistries"),
        (&spec.service_connect_configuration, "serviceConnectConfiguration"),
        (&spec.vpc_lattice_configurations, "vpcLatticeConfigurations"),
        (&spec.gateway_connectors, "gatewayConnectors"),
        (&spec.monitoring, "monitoring"),
    ];
    members.into_iter().try_for_each(|(value, name)| refuse_value(value.as_ref(), name))
}

/// The same of an update.
pub(super) fn refuse_update(request: &UpdateServiceRequest) -> Result<(), EcsError> {
    let members = [
        (&request.load_balancers, "loadBalancers"),
        (&request.service_registries, "serviceRegistries"),
        (&request.service_connect_configuration, "serviceConnectConfiguration"),
        (&request.vpc_lattice_configurations, "vpcLatticeConfigurations"),
        (&request.gateway_connectors, "gatewayConnectors"),
        (&request.monitoring, "monitoring"),
    ];
    members.into_iter().try_for_each(|(value, name)| refuse_value(value.as_ref(), name))
}

pub(super) fn refuse_value(value: Option<&Value>, name: &str) -> Result<(), EcsError> {
    let asks = match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(members)) => members.get("enabled").is_none_or(|enabled| *enabled == Value::Bool(true)),
        Some(_) => true,
    };
    if asks { Err(unsupported(name)) } else { Ok(()) }
}

/// Whether the volumes of a service go with its definition. They end with their tasks: nothing can be said of that here.
pub(super) fn check_volumes(
    definition: &ValidTaskDefinition,
    volumes: Option<&[TaskVolumeConfiguration]>,
) -> Result<(), EcsError> {
    let volumes = volumes.unwrap_or_default();
    let ends = |one: &TaskVolumeConfiguration| {
        one.managed_ebs_volume.as_ref().is_some_and(|volume| volume.termination_policy.is_some())
    };
    if volumes.iter().any(ends) {
        return Err(invalid("volumeConfigurations of a service have no terminationPolicy."));
    }
    check_at_launch(definition.definition(), volumes).map_err(|error| invalid(error.to_string()))
}

/// Words that must be among ECS's.
pub(super) fn check_words(spec: &CreateServiceRequest) -> Result<(), EcsError> {
    let members = [
        ("availabilityZoneRebalancing", &spec.availability_zone_rebalancing, &["ENABLED", "DISABLED"][..]),
        ("propagateTags", &spec.propagate_tags, &["TASK_DEFINITION", "SERVICE", "NONE"][..]),
    ];
    match members.into_iter().find(|(_, given, words)| given.as_deref().is_some_and(|word| !words.contains(&word))) {
        None => Ok(()),
        Some((name, given, words)) => Err(invalid(format!(
            "Invalid {name}: {}, it must be one of {}",
            given.as_deref().unwrap_or_default(),
            words.join(", ")
        ))),
    }
}

pub(super) fn unsupported(what: &str) -> EcsError {
    EcsError::new(Exception::UnsupportedFeatureException, format!("{what} is not supported by this version of berth."))
}

pub(super) fn invalid(message: impl Into<String>) -> EcsError {
    EcsError::invalid_parameter(message)
}

/// The subnets that a request names.
pub(in crate::ops) fn subnets(network: Option<&NetworkConfiguration>) -> Vec<String> {
    network.and_then(|network| network.awsvpc_configuration.as_ref()).map_or_else(Vec::new, |vpc| vpc.subnets.clone())
}

/// Whether a definition and a network go together.
pub(in crate::ops) fn check_network(
    engine: &mut Engine,
    definition: &ValidTaskDefinition,
    network: Option<&NetworkConfiguration>,
) -> Result<(), OpsError> {
    let awsvpc = definition.network_mode() == NetworkMode::Awsvpc;
    match network.and_then(|network| network.awsvpc_configuration.as_ref()) {
        None if awsvpc => Err(EcsError::network_configuration_missing().into()),
        None => Ok(()),
        Some(_) if !awsvpc => {
            Err(invalid("Network Configuration is not valid for the given networkMode of this task definition.").into())
        }
        Some(vpc) if vpc.subnets.is_empty() => Err(invalid("subnets can not be empty.").into()),
        Some(vpc) => {
            let known = engine.subnet_ids()?;
            match vpc.subnets.iter().find(|subnet| !known.contains(subnet)) {
                Some(subnet) => Err(invalid(format!("The subnet ID '{subnet}' does not exist")).into()),
                None => Ok(()),
            }
        }
    }
}

impl Engine {
    /// The ids of this root's subnets.
    pub fn subnet_ids(&mut self) -> Result<Vec<String>, OpsError> {
        Ok(self.vpc()?.subnets.into_iter().map(|subnet| subnet.id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(deployment_configuration: &Value) -> CreateServiceRequest {
        serde_json::from_value(serde_json::json!({ "deploymentConfiguration": deployment_configuration })).unwrap()
    }

    #[test]
    fn defaults_are_those_of_ecs() {
        let config = deployment(&CreateServiceRequest::default()).unwrap();
        assert_eq!((config.minimum_healthy_percent, config.maximum_percent, config.bake), (100, 200, 0));
        let daemon = CreateServiceRequest { scheduling_strategy: Some("DAEMON".into()), ..Default::default() };
        let config = deployment(&daemon).unwrap();
        assert_eq!((config.minimum_healthy_percent, config.maximum_percent), (0, 100));
    }

    #[test]
    fn what_blocks_or_is_not_done_is_refused_by_name() {
        for (given, word) in [
            (serde_json::json!({"minimumHealthyPercent": 100, "maximumPercent": 100}), "will block deployments"),
            (serde_json::json!({"strategy": "BLUE_GREEN"}), "strategy"),
            (serde_json::json!({"alarms": {"enable": true, "rollback": true, "alarmNames": ["a"]}}), "alarms"),
            (serde_json::json!({"bakeTimeInMinutes": 1441}), "bakeTimeInMinutes"),
        ] {
            let error = deployment(&spec(&given)).unwrap_err().message;
            assert!(error.contains(word), "{error}");
        }
        let off = spec(&serde_json::json!({"alarms": {"enable": false, "rollback": false, "alarmNames": []}}));
        assert!(deployment(&off).is_ok());
    }

    #[test]
    fn the_breaker_is_taken_as_it_is_given() {
        let given = spec(&serde_json::json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true,
            "thresholdConfiguration": {"type": "COUNT", "value": 7}}}));
        let config = deployment(&given).unwrap();
        assert_eq!(config.breaker.threshold, Threshold::Count(7));
        assert!(config.breaker.enable && config.breaker.rollback && config.breaker.reset_on_healthy);
    }
}

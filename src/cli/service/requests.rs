//! What `berth service create` and `update` ask for: a request given as a whole, and over it what single options say.

use super::super::args::{CreateService, Rollout, UpdateService};
use super::super::error::Failure;
use super::super::request;
use crate::ecs::service::{
    AwsVpcConfiguration, CircuitBreaker, CreateServiceRequest, DeploymentConfiguration, NetworkConfiguration,
    PlacementConstraint, PlacementStrategy, UpdateServiceRequest,
};
use crate::ops::Engine;

pub(super) fn create(engine: &mut Engine, args: &CreateService) -> Result<CreateServiceRequest, Failure> {
    let given: CreateServiceRequest = args.rollout.json.as_ref().map(request::read).transpose()?.unwrap_or_default();
    if !given.service_name.is_empty() && given.service_name != args.service {
        let text =
            format!("--json: serviceName is {:?}, and the service is to be {:?}", given.service_name, args.service);
        return Err(Failure::Usage(text));
    }
    let strategy =
        args.scheduling_strategy.as_ref().map(|word| word.to_uppercase()).or(given.scheduling_strategy.clone());
    let is_daemon = strategy.as_deref() == Some("DAEMON");
    let definition = args.task_definition.clone().or(given.task_definition.clone());
    let network = match &given.network_configuration {
        None if engine.needs_network(definition.as_deref().unwrap_or_default())? => Some(NetworkConfiguration {
            awsvpc_configuration: Some(AwsVpcConfiguration { subnets: engine.subnet_ids()?, ..Default::default() }),
        }),
        network => network.clone(),
    };
    let rollout = &args.rollout;
    Ok(CreateServiceRequest {
        cluster: args.within.cluster.clone().or(given.cluster.clone()),
        service_name: args.service.clone(),
        task_definition: definition,
        desired_count: args.desired_count.or(given.desired_count).or((!is_daemon).then_some(1)),
        scheduling_strategy: strategy,
        deployment_configuration: configuration(rollout, given.deployment_configuration.as_ref())
            .or(given.deployment_configuration.clone()),
        health_check_grace_period_seconds: rollout
            .health_check_grace_period
            .or(given.health_check_grace_period_seconds),
        placement_constraints: constraints(rollout).or(given.placement_constraints.clone()),
        placement_strategy: strategies(rollout).or(given.placement_strategy.clone()),
        network_configuration: network,
        ..given
    })
}

/// `old` is the service's deployment configuration: ECS takes one as a whole.
pub(super) fn update(args: &UpdateService, old: DeploymentConfiguration) -> Result<UpdateServiceRequest, Failure> {
    let given: UpdateServiceRequest = args.rollout.json.as_ref().map(request::read).transpose()?.unwrap_or_default();
    if !given.service.is_empty() && given.service != args.service {
        let text = format!("--json: service is {:?}, and the service is {:?}", given.service, args.service);
        return Err(Failure::Usage(text));
    }
    let rollout = &args.rollout;
    let under = given.deployment_configuration.clone().unwrap_or(old);
    Ok(UpdateServiceRequest {
        cluster: args.within.cluster.clone().or(given.cluster.clone()),
        service: args.service.clone(),
        task_definition: args.task_definition.clone().or(given.task_definition.clone()),
        desired_count: args.desired_count.or(given.desired_count),
        force_new_deployment: args.force_new_deployment.then_some(true).or(given.force_new_deployment),
        deployment_configuration: configuration(rollout, Some(&under)).or(given.deployment_configuration.clone()),
        health_check_grace_period_seconds: rollout
            .health_check_grace_period
            .or(given.health_check_grace_period_seconds),
        placement_constraints: constraints(rollout).or(given.placement_constraints.clone()),
        placement_strategy: strategies(rollout).or(given.placement_strategy.clone()),
        ..given
    })
}

/// The whole deployment configuration of ECS, if one of its members is given: over `old`, since ECS takes it as a whole.
fn configuration(args: &Rollout, old: Option<&DeploymentConfiguration>) -> Option<DeploymentConfiguration> {
    let given = args.minimum_healthy_percent.is_some()
        || args.maximum_percent.is_some()
        || args.circuit_breaker.is_some()
        || args.bake_time.is_some()
        || args.early_success.is_some();
    let old = old.cloned().unwrap_or_default();
    let breaker = args.circuit_breaker.as_deref().map(|word| CircuitBreaker {
        enable: word != "off",
        rollback: word == "rollback",
        ..old.deployment_circuit_breaker.clone().unwrap_or_default()
    });
    given.then(|| DeploymentConfiguration {
        minimum_healthy_percent: args.minimum_healthy_percent.or(old.minimum_healthy_percent),
        maximum_percent: args.maximum_percent.or(old.maximum_percent),
        deployment_circuit_breaker: breaker.or_else(|| old.deployment_circuit_breaker.clone()),
        bake_time_in_minutes: args.bake_time.or(old.bake_time_in_minutes),
        early_success_criteria: args
            .early_success
            .as_ref()
            .map(|early| early.0.clone())
            .or(old.early_success_criteria.clone()),
        ..old.clone()
    })
}

fn constraints(args: &Rollout) -> Option<Vec<PlacementConstraint>> {
    let given: Vec<PlacementConstraint> = args.placement_constraint.iter().map(|one| one.0.clone()).collect();
    Some(given).filter(|given| !given.is_empty())
}

fn strategies(args: &Rollout) -> Option<Vec<PlacementStrategy>> {
    let given: Vec<PlacementStrategy> = args.placement_strategy.iter().map(|one| one.0.clone()).collect();
    Some(given).filter(|given| !given.is_empty())
}

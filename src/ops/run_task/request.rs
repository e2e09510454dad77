//! What a RunTask request asks for, once it has been held against what ECS takes.

use rand::RngExt;

use super::super::capacity::rules;
use super::super::services::{check_network, create::launch_type, subnets};
use super::super::tags;
use super::super::{Engine, OpsError, RunOptions};
use crate::ecs::LaunchType;
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::request::RunTaskRequest;
use crate::ecs::task_definition::Tag;
use crate::plan::Asked;
use crate::scheduler::distribute;
use crate::validate::ValidTaskDefinition;

/// Texts that are too long, by their members' names.
const LENGTHS: [(&str, usize); 3] = [("startedBy", 128), ("group", 255), ("referenceId", 1024)];
/// Fargate's platform versions for Linux that can still be asked for.
const PLATFORM_VERSIONS: [&str; 2] = ["LATEST", "1.4.0"];

/// The request.
pub(super) struct Request {
    /// The cluster's name.
    pub(super) cluster: String,
    /// How many tasks.
    pub(super) count: usize,
    /// What they are.
    pub(super) definition: ValidTaskDefinition,
    /// Its revision.
    pub(super) revision: u32,
    /// What the run is told.
    pub(super) options: RunOptions,
    /// The id of the first task.
    pub(super) first: String,
    /// When it was asked for, in milliseconds since the epoch.
    pub(super) at: i64,
    /// The capacity providers that the tasks are given to, one for each task; empty without a strategy.
    providers: Vec<String>,
}

impl Request {
    /// What the task of that number is told, on the container instance that it is placed on.
    pub(super) fn options_of(&self, number: usize, instance: Option<&String>) -> RunOptions {
        let mut options = self.options.clone();
        options.asked.capacity_provider = self.providers.get(number).cloned();
        options.asked.container_instance = instance.cloned();
        options
    }
}

impl Engine {
    /// Holds a request against what ECS takes.
    pub(super) fn asked(&mut self, request: &RunTaskRequest) -> Result<Request, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let count = match request.count.unwrap_or(1) {
            count @ 1..=10 => usize::try_from(count).unwrap_or(1),
            _ => return Err(EcsError::invalid_parameter("count must be between 1 and 10.").into()),
        };
        check_texts(request)?;
        let (definition, revision) = self.runnable(&request.task_definition, None)?;
        let spread = self.spread(&cluster, request.launch_type, request.capacity_provider_strategy.as_deref())?;
        let asked_type = spread.as_ref().map(|spread| spread.launch_type).or(request.launch_type);
        let launch_type = launch_type(asked_type, &definition)?;
        let tasks = u32::try_from(count).unwrap_or(1);
        let providers = spread.map(|spread| distribute(&spread.shares, tasks)).unwrap_or_default();
        check_platform(request.platform_version.as_deref(), launch_type)?;
        check_network(self, &definition, request.network_configuration.as_ref())?;
        let vpc = request.network_configuration.as_ref().and_then(|network| network.awsvpc_configuration.as_ref());
        let arn = self.owner().task_definition(definition.family(), revision).to_string();
        let options = RunOptions {
            started_by: request.started_by.clone(),
            cluster: Some(cluster.clone()),
            group: request.group.clone(),
            subnets: subnets(request.network_configuration.as_ref()),
            revision: Some(revision),
            launch_type: Some(launch_type),
            overrides: request.overrides.clone().unwrap_or_default(),
            placement: rules(
                request.placement_constraints.as_deref().unwrap_or_default(),
                request.placement_strategy.as_deref().unwrap_or_default(),
            )?,
            volume_configurations: request.volume_configurations.clone().unwrap_or_default(),
            tags: self.tags_of_run(request, &cluster, &arn)?,
            asked: Asked {
                enable_execute_command: request.enable_execute_command == Some(true),
                capacity_provider: None,
                platform_version: request.platform_version.clone().filter(|version| version != "LATEST"),
                security_groups: vpc.map(|vpc| vpc.security_groups.clone()).unwrap_or_default(),
                assign_public_ip: vpc.and_then(|vpc| vpc.assign_public_ip.clone()),
                reference_id: request.reference_id.clone(),
                container_instance: None,
            },
            ..RunOptions::default()
        };
        let first = uuid::Builder::from_random_bytes(rand::rng().random()).into_uuid().simple().to_string();
        let at = super::now().0;
        Ok(Request { cluster, count, definition, revision, options, first, at, providers })
    }

    /// The tags of a run: its own, those of its definition where it wants them, and those that ECS adds.
    fn tags_of_run(&self, request: &RunTaskRequest, cluster: &str, definition: &str) -> Result<Vec<Tag>, OpsError> {
        let mut all = request.tags.clone().unwrap_or_default();
        tags::check(&all)?;
        match request.propagate_tags.as_deref() {
            None | Some("NONE") => {}
            Some("TASK_DEFINITION") => tags::add(&mut all, self.tags_of(definition)?),
            Some("SERVICE") => {
                let message = "propagateTags SERVICE is for the tasks of a service: use TASK_DEFINITION or NONE.";
                return Err(EcsError::invalid_parameter(message).into());
            }
            Some(other) => return Err(EcsError::invalid_parameter(format!("Invalid propagateTags: {other}")).into()),
        }
        if request.enable_ecs_managed_tags == Some(true) {
            all.push(tags::tag("aws:ecs:clusterName", cluster));
        }
        Ok(all)
    }
}

fn check_texts(request: &RunTaskRequest) -> Result<(), EcsError> {
    let texts = [&request.started_by, &request.group, &request.reference_id];
    for (text, (name, most)) in texts.into_iter().zip(LENGTHS) {
        if text.as_ref().is_some_and(|text| text.chars().count() > most) {
            return Err(EcsError::invalid_parameter(format!("{name} must be at most {most} characters.")));
        }
    }
    match request.group.as_deref() {
        Some(group) if group.starts_with("service:") => {
            Err(EcsError::invalid_parameter("Invalid namespace for group: 'service:' is for the tasks of services."))
        }
        _ => Ok(()),
    }
}

fn check_platform(version: Option<&str>, launch_type: LaunchType) -> Result<(), EcsError> {
    match version.filter(|version| !version.is_empty()) {
        None => Ok(()),
        Some(_) if launch_type != LaunchType::Fargate => {
            Err(EcsError::invalid_parameter("The platform version must be null when specifying an EC2 launch type."))
        }
        Some(version) if PLATFORM_VERSIONS.contains(&version) => Ok(()),
        Some(_) => Err(EcsError::new(Exception::PlatformUnknownException, "The specified platform does not exist.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_that_there_is_not_has_its_own_exception() {
        let code = |version, launch| check_platform(version, launch).err().map(|error| error.code);
        assert_eq!(code(Some("9.9"), LaunchType::Fargate), Some(Exception::PlatformUnknownException));
        assert_eq!(code(Some("1.4.0"), LaunchType::Ec2), Some(Exception::InvalidParameterException));
        assert_eq!((code(Some("LATEST"), LaunchType::Fargate), code(None, LaunchType::Ec2)), (None, None));
    }
}

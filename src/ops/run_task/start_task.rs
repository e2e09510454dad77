//! StartTask: tasks on container instances that are named, where RunTask looks for a place.

use crate::ecs::LaunchType;
use crate::ecs::container_instance::StartTaskRequest;
use crate::ecs::error::EcsError;
use crate::ecs::request::{RunTaskRequest, TasksResponse};
use crate::ecs::task::Failure;
use crate::ops::{Engine, OpsError};

/// How many instances can be named.
const MOST: usize = 10;

impl Engine {
    /// StartTask: one task on each of the instances; those that cannot take it are failures beside the others.
    pub fn start_task(&mut self, request: &StartTaskRequest) -> Result<TasksResponse, OpsError> {
        match request.container_instances.len() {
            0 => return Err(EcsError::invalid_parameter("Container Instances cannot be empty.").into()),
            1..=MOST => {}
            _ => {
                let message = format!("Container Instances cannot have more than {MOST} elements.");
                return Err(EcsError::invalid_parameter(message).into());
            }
        }
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let run = as_run(request);
        let mut answer = TasksResponse::default();
        for name in &request.container_instances {
            let mut asked = self.asked(&run)?;
            match self.placeable(&cluster, name)? {
                Ok(id) => asked.options.on_instance = Some(id),
                Err(failure) => {
                    answer.failures.push(failure);
                    continue;
                }
            }
            let started = self.run_asked(&asked, &run)?;
            answer.tasks.extend(started.tasks);
            answer.failures.extend(started.failures);
        }
        Ok(answer)
    }

    /// The id of an instance that a task can be started on.
    fn placeable(&self, cluster: &str, name: &str) -> Result<Result<String, Failure>, OpsError> {
        Ok(match self.instance_state(cluster, name)? {
            None => Err(self.no_instance(cluster, name)),
            Some((id, true)) => Ok(id),
            Some((id, false)) => {
                let arn = Some(self.owner().container_instance(cluster, &id));
                Err(Failure { arn, reason: Some("INACTIVE".to_owned()), detail: None })
            }
        })
    }
}

/// The same as a request to run one task.
fn as_run(request: &StartTaskRequest) -> RunTaskRequest {
    let request = request.clone();
    RunTaskRequest {
        cluster: request.cluster,
        task_definition: request.task_definition,
        count: Some(1),
        launch_type: Some(LaunchType::Ec2),
        network_configuration: request.network_configuration,
        started_by: request.started_by,
        group: request.group,
        overrides: request.overrides,
        enable_execute_command: request.enable_execute_command,
        enable_ecs_managed_tags: request.enable_ecs_managed_tags,
        propagate_tags: request.propagate_tags,
        reference_id: request.reference_id,
        tags: request.tags,
        volume_configurations: request.volume_configurations,
        ..RunTaskRequest::default()
    }
}

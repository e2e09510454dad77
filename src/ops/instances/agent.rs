//! What ECS's own agent would ask and say. Tasks here are carried by their supervisors, which write what they are themselves: an
//! agent's word about them is acknowledged, if it is about something that there is, and changes nothing.

use super::super::{Engine, OpsError};
use crate::ecs::container_instance::{
    Acknowledgment, ContainerInstanceRequest, ContainerInstanceResponse, DiscoverPollEndpointRequest,
    SubmitStateChangeRequest,
};
use crate::ecs::error::{EcsError, Exception};

impl Engine {
    /// UpdateContainerAgent: this program is its own newest agent, and a registered instance has none that could be changed.
    pub fn update_container_agent(
        &mut self,
        request: &ContainerInstanceRequest,
    ) -> Result<ContainerInstanceResponse, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let found = self.instance_entry(&cluster, &request.container_instance)?;
        let found = found.ok_or_else(|| EcsError::client("The referenced container instance was not found."))?;
        let (code, message) = match found.value.agent_version() {
            Some(version) => {
                (Exception::NoUpdateAvailableException, format!("There is no update available for agent version {version}."))
            }
            None => (
                Exception::MissingVersionException,
                "Amazon ECS can't determine the current version of the Amazon ECS container agent on the container instance."
                    .to_owned(),
            ),
        };
        Err(EcsError::new(code, message).into())
    }

    /// DiscoverPollEndpoint: there is none, since no agent is waited for.
    pub fn discover_poll_endpoint(&self, request: &DiscoverPollEndpointRequest) -> Result<(), OpsError> {
        self.cluster_of(request.cluster.as_deref())?;
        Err(EcsError::client("berth has no endpoint for agents: it runs the tasks of all container instances itself.")
            .into())
    }

    /// SubmitTaskStateChange and SubmitContainerStateChange.
    pub fn submit_state_change(&mut self, request: &SubmitStateChangeRequest) -> Result<Acknowledgment, OpsError> {
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let task = request.task.as_deref().unwrap_or_default();
        let record = self.task_of(&cluster, task)?;
        let record = record.ok_or_else(|| EcsError::invalid_parameter("The referenced task was not found."))?;
        if let Some(name) = &request.container_name
            && !record.plan.containers.iter().any(|container| container.name == *name)
        {
            return Err(EcsError::invalid_parameter(format!("The task has no container {name}.")).into());
        }
        Ok(Acknowledgment { acknowledgment: "ACCEPT".to_owned() })
    }

    /// SubmitAttachmentStateChanges.
    pub fn submit_attachment_state_changes(
        &self,
        request: &SubmitStateChangeRequest,
    ) -> Result<Acknowledgment, OpsError> {
        self.cluster_of(request.cluster.as_deref())?;
        match request.attachments.as_ref().is_some_and(|attachments| !attachments.is_empty()) {
            true => Ok(Acknowledgment { acknowledgment: "ACCEPT".to_owned() }),
            false => Err(EcsError::invalid_parameter("attachments cannot be empty.").into()),
        }
    }
}

impl super::InstanceRecord {
    fn agent_version(&self) -> Option<String> {
        match &self.registration {
            Some(registration) => registration.version_info.agent_version.clone(),
            None => Some(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }
}

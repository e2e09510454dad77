//! The exceptions of the ECS API: a name that clients match on, and a text. How an error of berth becomes one of them is
//! decided by `ops`, nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of an exception, the wire's `__type`. The first four belong to every action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exception {
    /// The server failed.
    ServerException,
    /// The client asked for something that cannot be.
    ClientException,
    /// A parameter is wrong.
    InvalidParameterException,
    /// The caller may not.
    AccessDeniedException,
    /// A member has the wrong JSON type, or the body is not JSON. Not specific to ECS.
    SerializationException,
    /// There is no such action. Not specific to ECS.
    UnknownOperationException,
    /// The request is not signed. Not specific to ECS.
    MissingAuthenticationTokenException,
    /// The access key is not known. Not specific to ECS.
    UnrecognizedClientException,
    /// The signature is not that of the request. Not specific to ECS.
    InvalidSignatureException,
    /// The session is over. Not specific to ECS.
    ExpiredTokenException,
    /// Too many requests. Not specific to ECS.
    ThrottlingException,
    /// No such cluster.
    ClusterNotFoundException,
    /// No such service.
    ServiceNotFoundException,
    /// The service is not ACTIVE.
    ServiceNotActiveException,
    /// No such service deployment.
    ServiceDeploymentNotFoundException,
    /// Known to ECS, not to this version of berth.
    UnsupportedFeatureException,
    /// No such thing.
    ResourceNotFoundException,
    /// A quota is used up.
    LimitExceededException,
    /// The same client token with other arguments.
    ConflictException,
    /// The launch type cannot run the task definition.
    PlatformTaskDefinitionIncompatibilityException,
    /// No such platform version.
    PlatformUnknownException,
    /// The container cannot be reached by exec.
    TargetNotConnectedException,
    /// The cluster still has services.
    ClusterContainsServicesException,
    /// The cluster still has tasks.
    ClusterContainsTasksException,
    /// The cluster still has container instances.
    ClusterContainsContainerInstancesException,
    /// The cluster still has a capacity provider.
    ClusterContainsCapacityProviderException,
    /// No such namespace.
    NamespaceNotFoundException,
    /// No such task set.
    TaskSetNotFoundException,
    /// No such container instance to have attributes.
    TargetNotFoundException,
    /// An instance has as many attributes as it may have.
    AttributeLimitExceededException,
    /// Something is used, and cannot be taken away.
    ResourceInUseException,
    /// Something is being changed already.
    UpdateInProgressException,
    /// The agent is the newest one.
    NoUpdateAvailableException,
    /// The agent's version is not known.
    MissingVersionException,
    /// The account is blocked.
    BlockedException,
}

impl Exception {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::ServerException => 500,
            _ => 400,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are named as the wire names them.
        fmt::Debug::fmt(self, f)
    }
}

/// An exception with its text: what the CLI prints and what the endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EcsError {
    /// The exception's name.
    #[serde(rename = "__type")]
    pub code: Exception,
    /// The text; ECS's own where it has one.
    pub message: String,
    /// ConflictException alone: what there is already.
    #[serde(default, rename = "resourceIds", skip_serializing_if = "Vec::is_empty")]
    pub resource_ids: Vec<String>,
}

impl EcsError {
    /// An exception with a text of one's own.
    pub fn new(code: Exception, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), resource_ids: Vec::new() }
    }

    /// The same client token with other arguments; these are what it stands for.
    pub fn conflict(message: impl Into<String>, resource_ids: Vec<String>) -> Self {
        Self { resource_ids, ..Self::new(Exception::ConflictException, message) }
    }

    /// A wrong parameter.
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(Exception::InvalidParameterException, message)
    }

    /// Something that cannot be done.
    pub fn client(message: impl Into<String>) -> Self {
        Self::new(Exception::ClientException, message)
    }

    /// The cluster does not exist.
    pub fn cluster_not_found() -> Self {
        Self::new(Exception::ClusterNotFoundException, "Cluster not found.")
    }

    /// The service does not exist.
    pub fn service_not_found() -> Self {
        Self::new(Exception::ServiceNotFoundException, "Service not found.")
    }

    /// The task definition to describe does not exist.
    pub fn definition_not_described() -> Self {
        Self::client("Unable to describe task definition.")
    }

    /// The task definition to run does not exist.
    pub fn definition_not_found() -> Self {
        Self::client("TaskDefinition not found.")
    }

    /// A revision that is not a number.
    pub fn bad_revision(revision: &str) -> Self {
        Self::client(format!("Invalid revision number. Number: {revision}"))
    }

    /// A task id that cannot be one.
    pub fn bad_task_id() -> Self {
        Self::invalid_parameter("taskId length should be one of [32,36]")
    }

    /// An awsvpc task without subnets.
    pub fn network_configuration_missing() -> Self {
        Self::invalid_parameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_written_as_the_wire_names_it() {
        let error = EcsError::cluster_not_found();
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#
        );
        assert_eq!(error.to_string(), "ClusterNotFoundException: Cluster not found.");
        assert_eq!((Exception::ServerException.status(), error.code.status()), (500, 400));
    }
}

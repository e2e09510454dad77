//! The states of tasks and containers, as the wire names them. Their order is that of the declarations.

use serde::{Deserialize, Serialize};

/// The states of a task, in their order; a task never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Its network is being made.
    Provisioning,
    /// Images are pulled, containers made.
    Pending,
    /// It is being registered with load balancers.
    Activating,
    /// All its containers have started.
    Running,
    /// It is being taken from load balancers.
    Deactivating,
    /// Its containers are being stopped.
    Stopping,
    /// Its network is being unmade.
    Deprovisioning,
    /// Nothing of it is left but its record.
    Stopped,
}

/// The states of a container, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerStatus {
    /// It has not started.
    Pending,
    /// It runs.
    Running,
    /// It has ended, or will never start.
    Stopped,
}

/// Health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthStatus {
    /// The last check passed.
    Healthy,
    /// Enough checks failed.
    Unhealthy,
    /// Not yet known, or there is no check.
    Unknown,
}

/// What runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// A container instance.
    #[serde(rename = "EC2")]
    Ec2,
    /// Fargate.
    Fargate,
    /// An instance outside AWS.
    External,
    /// An instance that ECS manages.
    ManagedInstances,
}

/// Whether a task's interface is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Connectivity {
    /// It is.
    Connected,
    /// It is not.
    Disconnected,
}

/// Why a task stopped, as a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopCode {
    /// It never ran.
    TaskFailedToStart,
    /// An essential container ended.
    EssentialContainerExited,
    /// Somebody asked for it.
    UserInitiated,
    /// Its service did.
    ServiceSchedulerInitiated,
    /// The capacity was reclaimed.
    SpotInterruption,
    /// The capacity is about to be.
    TerminationNotice,
    /// The host is unwell.
    InfrastructureHealth,
}

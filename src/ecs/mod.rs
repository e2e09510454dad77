//! The ECS vocabulary: data and serde, no behaviour. Field names are the service model's, in snake case.
//!
//! An absent member and an empty list are two things on this wire, and clients compare what they sent with what they
//! get back: therefore members are `Option`, lists included, wherever ECS tells the two apart.

pub mod arn;
pub mod capacity_provider;
pub mod cluster;
pub mod container_definition;
pub mod container_instance;
pub mod error;
pub mod linux;
pub mod overrides;
pub mod request;
pub mod service;
pub mod service_deployment;
pub mod status;
pub mod tags;
pub mod task;
pub mod task_definition;
pub mod task_set;
mod timestamp;
pub mod value_from;
pub mod volume;

pub use container_definition::ContainerDefinition;
pub use overrides::TaskOverride;
pub use status::{Connectivity, ContainerStatus, HealthStatus, LaunchType, StopCode, TaskStatus};
pub use task::{Container, Failure, Task};
pub use task_definition::TaskDefinition;
pub use timestamp::Timestamp;

//! The events of ECS as EventBridge carries them, made from what changes in the store: tasks, services, deployments and
//! container instances. Nobody writes events down; who follows sees the states that the store had whenever it looked,
//! within a few hundredths of a second of each change. Two changes within that time are told as one; a task's `version`
//! shows it. The warning of a Spot interruption is told in any case.

mod envelope;
mod follower;
mod instance;
mod service;
mod task;

pub use envelope::Event;
pub use follower::EventFollower;

//! A service as it is kept: what was asked for, its deployments, its tasks and its events, in one record.

use serde::{Deserialize, Serialize};

use super::bounds::scaled;
use super::{
    Constraint, Controller, Deployment, Gone, Instance, Member, Requirements, Rollout, ServiceEvent, Strategy, TaskSet,
};
use crate::lifecycle::Timestamp;

/// ECS's status of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ServiceStatus {
    /// It holds its count.
    Active,
    /// It was deleted, and its tasks are stopping.
    Draining,
    /// It was deleted, and nothing of it runs.
    Inactive,
}

/// How many tasks a service has, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Working {
    /// So many, anywhere.
    Replica,
    /// One on each container instance.
    Daemon,
}

/// How many failures end a deployment (`thresholdConfiguration`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Threshold {
    /// So many.
    Count(u32),
    /// This part of the desired count, 3 to 200.
    BoundedPercent(u32),
    /// This part of the desired count, at least 1.
    UnboundedPercent(u32),
}

/// The circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Whether it acts at all.
    pub enable: bool,
    /// Whether it goes back to the last deployment that was completed.
    pub rollback: bool,
    /// Whether a healthy task makes it forget failures.
    pub reset_on_healthy: bool,
    /// When it acts.
    pub threshold: Threshold,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { enable: false, rollback: false, reset_on_healthy: true, threshold: Threshold::BoundedPercent(50) }
    }
}

/// What becomes of old tasks when a deployment is a success early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Cleanup {
    /// The deployment is complete when they are gone.
    Blocking,
    /// It is complete before.
    Deferred,
}

/// `earlySuccessCriteria`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlySuccess {
    /// The part of the desired count that must be healthy.
    pub healthy_percent: u32,
    /// What becomes of the old tasks.
    pub cleanup: Cleanup,
}

/// How deployments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfig {
    /// The ceiling in percent of the desired count, rounded down.
    pub maximum_percent: u32,
    /// The floor in percent of the desired count, rounded up.
    pub minimum_healthy_percent: u32,
    /// The circuit breaker.
    pub breaker: Breaker,
    /// How long a deployment must have been good before it is complete, in milliseconds.
    pub bake: u64,
    /// When a deployment is a success with fewer tasks than desired.
    pub early_success: Option<EarlySuccess>,
}

impl DeploymentConfig {
    /// ECS's defaults.
    pub fn default_for(working: Working) -> Self {
        let (minimum_healthy_percent, maximum_percent) = match working {
            Working::Replica => (100, 200),
            Working::Daemon => (0, 100),
        };
        Self { maximum_percent, minimum_healthy_percent, breaker: Breaker::default(), bake: 0, early_success: None }
    }
}

/// Where tasks may be, and where they had better be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRules {
    /// All of these must hold.
    pub constraints: Vec<Constraint>,
    /// The first counts most.
    pub strategies: Vec<Strategy>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: ServiceStatus,
    /// How it counts.
    pub working: Working,
    /// How many tasks it should have; of a daemon, how many instances there were last.
    pub desired: u32,
    /// How deployments go.
    pub config: DeploymentConfig,
    /// For how long the health checks of a new task are ignored, in milliseconds.
    pub grace: u64,
    /// Where its tasks may be.
    pub placement: PlacementRules,
    /// What one task needs on an instance, by deployment: filled in by whoever begins one.
    pub deployments: Vec<Deployment>,
    /// The last deployment that was completed: the one to go back to.
    pub completed: Option<Deployment>,
    /// Its tasks that are not yet gone.
    pub tasks: Vec<Member>,
    /// Its tasks that have stopped, oldest first, as long as their records are kept.
    #[serde(default)]
    pub gone: Vec<Gone>,
    /// ECS's service deployments, newest first.
    pub rollouts: Vec<Rollout>,
    /// Events, newest first.
    pub events: Vec<ServiceEvent>,
    /// The last event's number.
    pub told: u64,
    /// Since when it has been steady, in milliseconds since boot, and when that was told last.
    pub steady: Option<u64>,
    /// What all of ECS's clocks are multiplied by, in millionths.
    pub time_scale: u32,
    /// The boot that all times since boot belong to.
    pub boot_id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who controls its deployments.
    #[serde(default)]
    pub controller: Controller,
    /// What it is made of where that is not the service itself.
    #[serde(default)]
    pub task_sets: Vec<TaskSet>,
}

impl Service {
    /// The deployment that it is to become.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    /// One of ECS's clocks, in milliseconds, at this service's pace.
    pub(super) fn scaled(&self, milliseconds: u64) -> u64 {
        scaled(milliseconds, self.time_scale)
    }

    /// How many tasks it wants now.
    pub fn wanted(&self, instances: &[Instance]) -> u32 {
        match (self.status, self.working) {
            (ServiceStatus::Draining | ServiceStatus::Inactive, _) => 0,
            (ServiceStatus::Active, Working::Replica) => self.desired,
            (ServiceStatus::Active, Working::Daemon) => {
                let needs = self.primary().map(|primary| &primary.requirements);
                let allowed = |instance: &&Instance| {
                    !instance.draining
                        && self.placement.allows(instance)
                        && needs.is_none_or(|needs| needs.allow(instance))
                };
                u32::try_from(instances.iter().filter(allowed).count()).unwrap_or(u32::MAX)
            }
        }
    }

    /// The task of that id.
    pub fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.tasks.iter_mut().find(|member| member.id == id)
    }

    /// What a task of a deployment needs.
    pub(super) fn requirements(&self, deployment: &str) -> Requirements {
        let found = self.deployments.iter().find(|one| one.id == deployment);
        found.map(|one| one.requirements.clone()).unwrap_or_default()
    }

    /// Forgets all times since boot if they are another boot's: the tasks of that one are gone.
    pub fn note_boot(&mut self, boot_id: &str) {
        if self.boot_id == boot_id {
            return;
        }
        self.boot_id = boot_id.to_owned();
        self.steady = None;
        for deployment in &mut self.deployments {
            deployment.backoff = None;
            deployment.good_since = None;
        }
        for member in &mut self.tasks {
            (member.started, member.running_since) = (0, member.running_since.map(|_| 0));
        }
    }
}

//! What a task uses now, read from its control groups.

use super::{Engine, OpsError, StorageUsage, TaskRecord};
use crate::ecs::task_definition::NetworkMode;
use crate::plan::NetworkPlan;
use crate::runtime::cgroup::{Cgroups, Usage};

/// One container's use.
#[derive(Debug, Clone)]
pub struct ContainerUsage {
    /// The container.
    pub name: String,
    /// What its group says.
    pub usage: Usage,
}

/// A task's use, and that of its containers that run.
#[derive(Debug, Clone)]
pub struct TaskUsage {
    /// What the task's group says.
    pub usage: Usage,
    /// How full its ephemeral storage is, if it is held to a size.
    pub storage: Option<StorageUsage>,
    /// Its containers.
    pub containers: Vec<ContainerUsage>,
}

impl Engine {
    /// Bytes that have come to a task and gone from it, by all interfaces but `lo`; those of its containers where each has a
    /// network of its own, none where they have the host's.
    pub fn network_bytes(&self, record: &TaskRecord) -> (u64, u64) {
        let own = match &record.plan.network {
            NetworkPlan::Awsvpc(_) => 1,
            NetworkPlan::PerContainer { mode: NetworkMode::Bridge, .. } => record.plan.containers.len(),
            NetworkPlan::PerContainer { .. } => 0,
        };
        let of = |place: usize| {
            let init = super::exec::init(record, place).ok()?;
            let text = std::fs::read_to_string(format!("/proc/{}/net/dev", init.pid)).ok()?;
            super::exec::is_alive(&init).then(|| bytes(&text))
        };
        let found = (0..record.plan.containers.len()).filter_map(of).take(own);
        found.fold((0, 0), |(all_in, all_out), (came, went)| (all_in + came, all_out + went))
    }

    /// Reads the counters of a task and of its running containers; `None` when it has no groups (any more).
    pub fn usage(&self, record: &TaskRecord) -> Result<Option<TaskUsage>, OpsError> {
        let cgroups = Cgroups::of_host().map_err(OpsError::Cgroup)?;
        let plan = &record.plan.cgroup;
        let Ok(usage) = cgroups.usage(plan, None) else { return Ok(None) };
        let containers = record.plan.containers.iter().filter_map(|container| {
            // A group that is gone belongs to a container that has just ended.
            let usage = cgroups.usage(plan, Some(&container.name)).ok()?;
            Some(ContainerUsage { name: container.name.clone(), usage })
        });
        Ok(Some(TaskUsage { usage, storage: self.storage_usage(record), containers: containers.collect() }))
    }
}

/// The bytes of `/proc/PID/net/dev`, received and sent.
fn bytes(text: &str) -> (u64, u64) {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let others = lines.filter(|(name, _)| name.trim() != "lo");
    others.fold((0, 0), |(all_in, all_out), (_, figures)| {
        let figures: Vec<u64> = figures.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let figure = |place: usize| figures.get(place).copied().unwrap_or_default();
        (all_in + figure(0), all_out + figure(8))
    })
}

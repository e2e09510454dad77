//! What a task uses now, read from its control groups.

use super::{Engine, OpsError, StorageUsage, TaskRecord};
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
